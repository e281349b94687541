//! A fact with its verdict.

use serde::Serialize;

use super::super::facts::Fact;

/// What became of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The new worker does not have it.
    Missing,
    /// The same role under another name.
    Renamed,
    /// Another default, other options, another type, …
    Changed,
    /// A part of the old worker that could not be read may have held anything.
    Unread,
    /// The pinned `SGLang` has no such flag any more.
    Retired,
    /// A reason is on record.
    Accepted,
    /// Only the new worker has it.
    Added,
    Kept,
}

impl Verdict {
    pub const ALL: [Self; 8] = [
        Self::Missing,
        Self::Renamed,
        Self::Changed,
        Self::Unread,
        Self::Retired,
        Self::Accepted,
        Self::Added,
        Self::Kept,
    ];

    pub fn word(self) -> &'static str {
        const WORDS: [&str; 8] = [
            "missing", "renamed", "changed", "unread", "retired", "accepted", "added", "kept",
        ];
        WORDS[self as usize]
    }
}

/// A fact with its verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub id: String,
    pub verdict: Verdict,
    /// Whether it fails until somebody fixes it or gives a reason.
    pub open: bool,
    pub old: Option<Fact>,
    /// The fact of the same id, or of the id that it was renamed to.
    pub new: Option<Fact>,
    /// The new id, where that is another.
    pub now: Option<String>,
    /// The fact that this one belongs to: it stands and falls with that.
    pub part_of: Option<String>,
    pub why: String,
    pub help: String,
    pub reason: Option<String>,
}

impl Item {
    pub fn new(id: &str, verdict: Verdict, old: Option<&Fact>, new: Option<&Fact>) -> Self {
        let open = matches!(
            verdict,
            Verdict::Missing | Verdict::Renamed | Verdict::Changed | Verdict::Unread
        );
        Self {
            id: id.to_owned(),
            verdict,
            open,
            old: old.cloned(),
            new: new.cloned(),
            now: None,
            part_of: None,
            why: String::new(),
            help: String::new(),
            reason: None,
        }
    }

    /// A fact that is there on both sides, and changed where anything differs.
    pub fn by_differences(id: &str, old: &Fact, new: &Fact, differences: &[String]) -> Self {
        if differences.is_empty() {
            return Self::new(id, Verdict::Kept, Some(old), Some(new));
        }
        Self::new(id, Verdict::Changed, Some(old), Some(new))
            .why(format!("{}.", differences.join("; ")))
            .help("If that is meant, record why.")
    }

    /// A finding of a run, open.
    pub fn found(id: &str, why: String, help: &str) -> Self {
        Self::new(id, Verdict::Changed, None, None)
            .why(why)
            .help(help)
    }

    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    pub fn now(mut self, id: impl Into<String>) -> Self {
        self.now = Some(id.into());
        self
    }

    pub fn part_of(mut self, id: impl Into<String>) -> Self {
        self.part_of = Some(id.into());
        self.open = false;
        self
    }

    /// Told, and nothing that anybody has to decide on.
    pub fn note(mut self) -> Self {
        self.open = false;
        self
    }

    pub fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// Closes what another look shows to be the same.
    pub fn keep(&mut self, why: impl Into<String>) {
        self.verdict = Verdict::Kept;
        self.open = false;
        self.why = why.into();
        self.help.clear();
    }

    /// Opens it for this reason, beside the one that it is open for already.
    pub fn change_too(&mut self, why: String, help: &str) {
        if self.open {
            self.why = format!("{} {why}", self.why);
        } else {
            self.change(why, help);
        }
    }

    /// Opens what another look shows to differ.
    pub fn change(&mut self, why: String, help: &str) {
        self.verdict = Verdict::Changed;
        self.open = true;
        self.why = why;
        help.clone_into(&mut self.help);
    }

    /// The area: what stands in front of the colon.
    pub fn area(&self) -> &str {
        self.id.split(':').next().unwrap_or_default()
    }
}
