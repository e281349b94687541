//! Rules. They are declared in the table of `RULES.md`, where each has a page, which `--explain` prints
//! and whose examples are run as tests.

use std::sync::LazyLock;

use clap::ValueEnum;
use serde::Serialize;

pub const PAGES: &str = include_str!("../RULES.md");

// The comments of the variants are in `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Will surprise somebody.
    Warning,
    /// Rejected, or can't work.
    Error,
}

impl Severity {
    pub fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    pub code: &'static str,
    pub name: &'static str,
    pub severity: Severity,
    pub summary: &'static str,
}

impl Rule {
    /// Whether a pattern of the command line matches: the id, the name, or the beginning of the id
    /// (`HUB2` is the whole group "meaning").
    pub fn matches(&self, pattern: &str) -> bool {
        let start = self.code.get(..pattern.len().max(3)).unwrap_or_default();
        self.name.eq_ignore_ascii_case(pattern) || start.eq_ignore_ascii_case(pattern)
    }

    pub fn address(&self) -> String {
        let (home, code) = (env!("CARGO_PKG_REPOSITORY"), self.code.to_lowercase());
        let path = "xtask/crates/hub_lint/RULES.md";
        format!("{home}/blob/main/{path}#{code}-{}", self.name)
    }

    /// The rule's page, without its heading: severity, fix, the reason and examples.
    pub fn page(&self) -> &'static str {
        let heading = format!("\n### {} {}\n", self.code, self.name);
        let page = PAGES.split_once(&heading).unwrap_or_default().1;
        page.split("\n##").next().unwrap_or_default().trim()
    }
}

/// Every rule, in the order of the codes.
pub fn all() -> &'static [Rule] {
    static ALL: LazyLock<Vec<Rule>> =
        LazyLock::new(|| PAGES.lines().filter_map(read_row).collect());
    &ALL
}

/// Reads a row of the pages' table: `| [HUB001 empty-file](#…) | error | none | SUMMARY |`.
fn read_row(row: &'static str) -> Option<Rule> {
    let (heading, rest) = row.strip_prefix("| [")?.split_once("](")?;
    let (code, name) = heading.split_once(' ')?;
    let mut cells = rest.split(" | ").skip(1);
    Some(Rule {
        code,
        name,
        severity: Severity::from_str(cells.next()?, false).ok()?,
        summary: cells.nth(1)?.strip_suffix(" |")?,
    })
}

/// The rule with this id or name, in any case.
pub fn find(text: &str) -> Option<&'static Rule> {
    let is = |word: &str| word.eq_ignore_ascii_case(text);
    all().iter().find(|rule| is(rule.code) || is(rule.name))
}

/// The rule that the program calls so. That each is in the pages is tested.
pub fn named(name: &str) -> &'static Rule {
    find(name).unwrap_or(&all()[0])
}
