//! A fact with its verdict.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::facts::{Fact, area_of};
use super::few;

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

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
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
    /// Whether it could not be judged, which a note says.
    #[serde(skip)]
    pub is_unsure: bool,
}

/// What one worker has of a fact.
pub type Side<'f> = Option<&'f Fact>;

const AS_BEFORE: &str = "If this is meant, record why; if not, make it as before.";

impl Item {
    /// What is lost or differs comes with what that means and the usual advice.
    pub fn new<'f>(
        id: &str,
        verdict: Verdict,
        old: impl Into<Side<'f>>,
        new: impl Into<Side<'f>>,
    ) -> Self {
        let (why, help) = match verdict {
            Verdict::Missing => (loss(area_of(id)), again(area_of(id))),
            Verdict::Changed => ("", AS_BEFORE),
            Verdict::Retired => ("", "Nothing to set instead."),
            _ => ("", ""),
        };
        Self {
            id: id.to_owned(),
            verdict,
            open: verdict <= Verdict::Unread,
            old: old.into().cloned(),
            new: new.into().cloned(),
            why: why.to_owned(),
            help: help.to_owned(),
            ..Self::default()
        }
    }

    pub fn missing(id: &str, old: &Fact) -> Self {
        Self::new(id, Verdict::Missing, old, None)
    }

    /// A fact that is there on both sides, and changed where anything differs.
    pub fn by_differences(id: &str, old: &Fact, new: &Fact, differences: &[String]) -> Self {
        if differences.is_empty() {
            return Self::new(id, Verdict::Kept, old, new);
        }
        Self::new(id, Verdict::Changed, old, new).why(format!("{}.", differences.join("; ")))
    }

    /// What a run found, which no fact of a worker says.
    pub fn found(id: &str, why: String) -> Self {
        Self::new(id, Verdict::Changed, None, None).why(why)
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
        self.help.clear();
        self
    }

    /// Leaves a fact undecided: a note says why.
    pub fn unsure(mut self, why: impl Into<String>) -> Self {
        self.is_unsure = true;
        self.why(why)
    }

    /// Opens what the new worker has, and should not have.
    pub fn open(mut self, why: impl Into<String>) -> Self {
        self.open = true;
        self.why(why)
            .help("Take it out again, or record why it is meant.")
    }

    /// Closes what turns out to be the same.
    pub fn keep(&mut self, why: impl Into<String>) {
        self.is_unsure = false;
        self.verdict = Verdict::Kept;
        self.open = false;
        self.why = why.into();
        self.help.clear();
    }

    /// Opens what turns out to differ. The reason joins one that is already there.
    pub fn change(&mut self, why: impl Into<Option<String>>) {
        match why.into() {
            Some(why) if self.open => self.why += &format!(" {why}"),
            Some(why) => {
                self.is_unsure = false;
                (self.verdict, self.open) = (Verdict::Changed, true);
                (self.why, self.help) = (why, AS_BEFORE.to_owned());
            }
            None => {}
        }
    }

    pub fn area(&self) -> &str {
        area_of(&self.id)
    }
}

/// What could not be judged, in a sentence for each reason.
pub fn unsure(items: &[Item]) -> Vec<String> {
    let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for item in items.iter().filter(|item| item.is_unsure) {
        all.entry(&item.why).or_default().push(&item.id);
    }
    let told = all.into_iter();
    told.map(|(why, ids)| format!("{}: {why}", few(&ids, 4)))
        .collect()
}

/// What brings a fact back, where nothing more particular is known of it.
fn again(area: &str) -> &'static str {
    match area {
        "image" | "arg" | "mount" => "Write it into the Dockerfile again, or record why not.",
        "copy" => "Copy it in the Dockerfile again, or record why not.",
        "pip" | "apt" | "conda" | "apk" => "Install it again, or record why not.",
        "compose" => "Write it into the compose file again, or record why not.",
        "bake" => "Write it into docker-bake.hcl again, or record why not.",
        "hub" => "Write it into .runpod/hub.json again, or record why not.",
        "tests" => "Set it in .runpod/tests.json again, or record why not.",
        "readme" => "Document it again, or record why not.",
        _ => "Bring it back, or record why not.",
    }
}

/// What it means that the new worker lacks a fact, where nothing more particular is known of it.
fn loss(area: &str) -> &'static str {
    match area {
        "env" => "The new worker doesn't read it: endpoints that set it are ignored.",
        "route" => "The new worker never asks the server for it.",
        "input" => "The new handler doesn't look at it: jobs that use it get something else.",
        "serverless" => "The new worker doesn't give it to runpod.serverless.start.",
        "result" => "The handler's result doesn't have it any more.",
        "serves" => "The new worker doesn't serve this route.",
        "model" => "The new worker doesn't load this model.",
        "python" => "The new worker doesn't have it: code of your own that imports it breaks.",
        "image" => "The new image doesn't set it.",
        "arg" => "Builds that give it are told that it does nothing.",
        "mount" => "No step of the new build mounts it.",
        "compose" => "The compose file doesn't have it any more.",
        "bake" => "The bake file doesn't have it any more: builds that name it fail.",
        "hub" => "Nobody can set it in the Hub's form any more.",
        "tests" => "The Hub's tests don't set it any more.",
        "readme" => "The README's tables don't have it any more.",
        _ => "Nothing installs it now.",
    }
}
