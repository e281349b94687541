//! The rules, a file for each group: pages, table entries and checks side by side.

pub mod allowed_values;
pub mod cross_file;
pub mod gpu;
pub mod secrets;
pub mod shape;
pub mod shape_env;
pub mod shape_tests;
pub mod syntax;
pub mod template_residue;
pub mod tests_meaning;
pub mod values;

use crate::document::{HubDocument, Which};
use xtask_core::finding::Finding;
use xtask_core::tree::RepoPath;

/// All that can be said of one file alone. A document, where it is fit to be compared with others.
pub fn check_file(
    path: &RepoPath,
    which: Which,
    bytes: &[u8],
    findings: &mut Vec<Finding>,
) -> Option<HubDocument> {
    let document = syntax::read(path, which, bytes, findings)?;
    if !shape::check(&document, findings) {
        // Not what the Hub reads; but if it is a bare list of tests, those have a meaning.
        tests_meaning::check(&document, findings);
        return None;
    }
    for check in [
        shape_env::check,
        gpu::check,
        values::check,
        secrets::check,
        tests_meaning::check,
        template_residue::check,
    ] {
        check(&document, findings);
    }
    Some(document)
}
