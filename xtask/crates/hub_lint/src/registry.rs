//! Every rule, in the order of the codes.

use std::sync::LazyLock;

use crate::rule::Rule;
use crate::rules::{
    allowed_values, cross_file, gpu, secrets, shape, shape_env, shape_tests, syntax,
    template_residue, tests_meaning, values,
};
use crate::suppressions;

pub fn all() -> &'static [&'static Rule] {
    static ALL: LazyLock<Vec<&'static Rule>> = LazyLock::new(|| {
        let mut all = [
            syntax::RULES,
            shape::RULES,
            shape_env::RULES,
            shape_tests::RULES,
            allowed_values::RULES,
            gpu::RULES,
            values::RULES,
            secrets::RULES,
            tests_meaning::RULES,
            template_residue::RULES,
            cross_file::files::RULES,
            cross_file::code::RULES,
            cross_file::env::RULES,
            cross_file::image::RULES,
            cross_file::sglang::RULES,
            suppressions::RULES,
        ]
        .concat();
        all.sort_by_key(|rule| rule.code);
        all
    });
    &ALL
}

/// The rule with this id or name, in any case.
pub fn find(text: &str) -> Option<&'static Rule> {
    let mut rules = all().iter().copied();
    rules.find(|rule| rule.code.eq_ignore_ascii_case(text) || rule.name.eq_ignore_ascii_case(text))
}
