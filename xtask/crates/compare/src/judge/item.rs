//! A fact with its verdict.

use serde::Serialize;

use super::super::facts::Fact;

/// What became of a fact. The first four are open until somebody fixes them or gives a reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
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
    #[default]
    Kept,
}

impl Verdict {
    pub const ALL: [(Self, &str); 8] = [
        (Self::Missing, "missing"),
        (Self::Renamed, "renamed"),
        (Self::Changed, "changed"),
        (Self::Unread, "unread"),
        (Self::Retired, "retired"),
        (Self::Accepted, "accepted"),
        (Self::Added, "added"),
        (Self::Kept, "kept"),
    ];

    pub fn word(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
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

/// What one worker has of a fact.
pub type Side<'f> = Option<&'f Fact>;

impl Item {
    pub fn new<'f>(
        id: &str,
        verdict: Verdict,
        old: impl Into<Side<'f>>,
        new: impl Into<Side<'f>>,
    ) -> Self {
        Self {
            id: id.to_owned(),
            verdict,
            open: verdict <= Verdict::Unread,
            old: old.into().cloned(),
            new: new.into().cloned(),
            ..Self::default()
        }
    }

    pub fn missing(id: &str, old: &Fact) -> Self {
        Self::new(id, Verdict::Missing, Some(old), None)
    }

    /// A fact that is there on both sides, and changed where anything differs.
    pub fn by_differences(id: &str, old: &Fact, new: &Fact, differences: &[String]) -> Self {
        if differences.is_empty() {
            return Self::new(id, Verdict::Kept, old, new);
        }
        Self::new(id, Verdict::Changed, old, new)
            .why(format!("{}.", differences.join("; ")))
            .help("If that is meant, record why.")
    }

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

    /// Shows it without asking for a decision.
    pub fn closed(mut self) -> Self {
        self.open = false;
        self
    }

    pub fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// Closes what turns out to be the same.
    pub fn keep(&mut self, why: impl Into<String>) {
        self.verdict = Verdict::Kept;
        self.open = false;
        self.why = why.into();
        self.help.clear();
    }

    /// Opens it for this reason, which joins one that is already there.
    pub fn add_change(&mut self, why: String, help: &str) {
        if self.open {
            self.why = format!("{} {why}", self.why);
        } else {
            self.change(why, help);
        }
    }

    /// The same where there is a reason.
    pub fn add_changes(&mut self, why: Option<String>, help: &str) {
        if let Some(why) = why {
            self.add_change(why, help);
        }
    }

    /// Opens what turns out to differ.
    pub fn change(&mut self, why: String, help: &str) {
        self.verdict = Verdict::Changed;
        self.open = true;
        self.why = why;
        help.clone_into(&mut self.help);
    }

    pub fn area(&self) -> &str {
        self.id.split(':').next().unwrap_or_default()
    }
}
