//! The options of `hub-lint`; the doc comments are the help.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::finding::Finding;
use crate::rule::Severity;

/// Lint the RunPod Hub's files: .runpod/hub.json and .runpod/tests.json
///
/// Also looks at what they have to agree on with each other and with the rest
/// of the repository. Works on any worker repository. What a repository
/// accepts is listed in its hub-lint.json. Ends with 1 if it finds anything.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Repositories or single files [default: the repository around the
    /// working directory]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Fix what can be fixed without a look
    #[arg(long)]
    pub fix: bool,

    /// Fix what can be fixed, guesses included: look at the result
    #[arg(long)]
    pub unsafe_fixes: bool,

    /// List the rules
    #[arg(long)]
    pub rules: bool,

    /// Print the pages of rules, by id, name, or the beginning of an id
    #[arg(long, value_name = "RULE")]
    pub explain: Option<String>,

    /// Look for these rules only: ids, names, or the beginning of an id (HUB2)
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub select: Vec<String>,

    /// Leave these rules out
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub ignore: Vec<String>,

    /// Leave out what is less bad
    #[arg(long, value_enum, value_name = "SEVERITY", default_value = "warning")]
    pub min_severity: Severity,

    /// Who reads the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub format: LintFormat,
}

impl Args {
    pub fn selects(&self, finding: &Finding) -> bool {
        let matches = |pattern: &String| finding.rule.matches(pattern);
        (self.select.is_empty() || self.select.iter().any(matches))
            && !self.ignore.iter().any(matches)
            && finding.severity >= self.min_severity
    }
}

/// Who reads what hub-lint found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LintFormat {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Annotations in GitHub Actions
    Github,
}
