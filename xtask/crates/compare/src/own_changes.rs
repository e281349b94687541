//! What a fork changed itself, since the revision that it started from.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::facts::Facts;

/// The revision that a fork started from, and which of its facts are not that revision's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnChanges {
    pub commit: String,
    /// The ids of what the fork added, changed or removed.
    pub own: BTreeSet<String>,
}

impl OwnChanges {
    /// Compares a fork with what it started from.
    pub fn of(base: &Facts, fork: &Facts, commit: &str) -> Self {
        let ids = base.all.keys().chain(fork.all.keys());
        let differ = |id: &&String| match (base.get(id), fork.get(id)) {
            (Some(one), Some(other)) => !one.judged().eq(other.judged()),
            _ => true,
        };
        let unread = fork.unread.iter().filter(|gap| !gap.is_in(&base.unread));
        Self {
            commit: commit.to_owned(),
            own: ids
                .filter(differ)
                .chain(unread.map(|gap| &gap.id))
                .cloned()
                .collect(),
        }
    }

    /// Whether the fork's own changes are in an entry. What only a run shows is the fork's where
    /// it is about a variable of the fork's.
    pub fn is_own(&self, members: &[String]) -> bool {
        let of_a_run = |id: &str| {
            let mut words = id
                .strip_prefix("run:")
                .into_iter()
                .flat_map(|id| id.split('.'));
            words.any(|word| self.own.contains(&format!("env:{word}")))
        };
        members
            .iter()
            .any(|id| self.own.contains(id) || of_a_run(id))
    }
}
