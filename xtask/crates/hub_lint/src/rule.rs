//! Rules. Each has a page in `RULES.md`, which `--explain` prints and whose examples are run as tests.

use clap::ValueEnum;
use serde::Serialize;

/// The rules' pages, in Markdown.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fixability {
    Never,
    /// With `--fix`.
    Safely,
    /// With `--unsafe-fixes`.
    Unsafely,
    /// With one or the other.
    Either,
}

impl Fixability {
    pub fn words(self) -> &'static str {
        match self {
            Self::Never => "none",
            Self::Safely => "`--fix`",
            Self::Unsafely => "`--unsafe-fixes`",
            Self::Either => "`--fix`, or `--unsafe-fixes` where it is a guess",
        }
    }
}

/// One kind of mistake.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    pub code: &'static str,
    pub name: &'static str,
    pub severity: Severity,
    pub fixability: Fixability,
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

/// Declares the rules of one group:
///
/// ```text
/// rules! {
///     MISSING_KEY = "HUB101" "missing-key" Error Never "a key that the Hub needs is not there";
/// }
/// ```
macro_rules! rules {
    ($($ident:ident = $code:literal $name:literal $severity:ident $fixability:ident $summary:literal;)+) => {
        $(
            pub static $ident: $crate::rule::Rule = $crate::rule::Rule {
                code: $code,
                name: $name,
                severity: $crate::rule::Severity::$severity,
                fixability: $crate::rule::Fixability::$fixability,
                summary: $summary,
            };
        )+
        /// The rules of this group, in the order of their codes.
        pub static RULES: &[&$crate::rule::Rule] = &[$(&$ident),+];
    };
}
pub(crate) use rules;
