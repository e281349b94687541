//! Rules. A rule's doc comment is its page: `--explain` prints it, the reference contains it, and its
//! examples are run as tests.

use clap::ValueEnum;
use serde::Serialize;

/// The file with the rules' pages, below the repository's root.
pub const REFERENCE: &str = "docs/hub-lint-rules.md";

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
    /// Where the rule is known from.
    pub source: &'static str,
    /// The page in Markdown, with the reason and examples.
    pub page: &'static str,
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
        format!("{home}/blob/main/{REFERENCE}#{code}-{}", self.name)
    }

    /// The page's text, without the space at the start of each line of a doc comment.
    pub fn text(&self) -> String {
        let lines = self.page.lines();
        let lines = lines.map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end());
        lines.collect::<Vec<_>>().join("\n").trim().to_owned()
    }
}

/// Declares the rules of one group:
///
/// ```text
/// rules! {
///     /// Why it is a mistake, and examples.
///     MISSING_KEY = "HUB101" "missing-key" Error Never
///         "a key that the Hub needs is not there"
///         from "the Hub's guide";
/// }
/// ```
macro_rules! rules {
    ($(
        $(#[doc = $doc:literal])+
        $ident:ident = $code:literal $name:literal $severity:ident $fixability:ident
            $summary:literal
            from $source:literal;
    )+) => {
        $(
            pub static $ident: $crate::rule::Rule =
                $crate::rule::Rule {
                    code: $code,
                    name: $name,
                    severity: $crate::rule::Severity::$severity,
                    fixability: $crate::rule::Fixability::$fixability,
                    summary: $summary,
                    source: $source,
                    page: concat!($($doc, "\n"),+),
                };
        )+
        /// The rules of this group, in the order of their codes.
        pub static RULES: &[&$crate::rule::Rule] = &[$(&$ident),+];
    };
}
pub(crate) use rules;
