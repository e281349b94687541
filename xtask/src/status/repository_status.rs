//! Where a repository stands, as a value, and what to type next: pure, so that every case can be
//! tested.

use std::collections::BTreeMap;

use serde::Serialize;

use transaction::journal::Unreadable;
use xtask_core::commands::Commands;
pub use xtask_core::layout::Layout;
use xtask_core::output::{Counts, quoted_file};
use xtask_core::tree::RepoPath;

/// What this tool or git has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnderWay {
    /// A migration was killed.
    Interrupted,
    /// The conflicts of a migration wait to be resolved.
    Conflicts,
    /// They are resolved, and the migration waits to be finished.
    Resolved,
    /// They are staged, and these files still have conflict markers.
    Marked(Vec<RepoPath>),
    Staged,
    Cleanup,
    /// The removal of `outdated/` is staged.
    CleanupStaged,
    /// The same by hand: the records still speak of the folder.
    RemovalStaged,
    /// Something was, and its journal can't be read.
    Unreadable(Unreadable),
    /// A merge, a rebase, …
    Git(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known<T> {
    Is(T),
    /// There is no such thing.
    None,
    /// It isn't known, for this reason.
    Unknown(String),
}

/// As itself, `null`, or an object with the reason.
impl<T: Serialize> Serialize for Known<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Is(value) => value.serialize(serializer),
            Self::None => serializer.serialize_none(),
            Self::Unknown(why) => BTreeMap::from([("unknown", why)]).serialize(serializer),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkTree {
    pub branch: String,
    /// `None` before the first commit.
    pub head: Option<String>,
    /// Tracked files that differ from HEAD, and records of this tool that git does not track.
    pub changed: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordedUpstream {
    pub address: String,
    pub rev: Option<String>,
    pub commit: Option<String>,
    /// Commits since then that touch the worker's files.
    pub behind: Known<usize>,
}

/// The newest image that was made from a commit of this repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BuiltImage {
    pub name: String,
    pub commit: String,
    pub dirty: bool,
    pub created: String,
    pub behind: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RepositoryStatus {
    pub layout: Layout,
    pub repository: Known<WorkTree>,
    pub under_way: Option<UnderWay>,
    pub upstream: Known<RecordedUpstream>,
    /// Whether it holds this tool and so is an upstream itself.
    pub is_tools_own: bool,
    /// Whether nothing in it names `SGLang`: it serves models with something else.
    pub is_for_another_engine: bool,
    /// Files below `outdated/`.
    pub outdated: usize,
    pub compare: Known<compare::OpenCounts>,
    pub lint: Known<Counts>,
    pub image: Known<BuiltImage>,
}

/// A command, and what it is good for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Next {
    pub command: String,
    pub why: String,
}

impl RepositoryStatus {
    /// The one command that is of most use now.
    pub fn next(&self, commands: &Commands) -> Next {
        let (command, why) = self
            .unfinished(commands)
            .or_else(|| self.to_migrate(commands))
            .unwrap_or_else(|| self.to_go_on(commands));
        Next {
            command,
            why: commands.fit(why),
        }
    }

    /// What has to be ended before anything else.
    fn unfinished(&self, commands: &Commands) -> Option<(String, &'static str)> {
        Some(match self.under_way.as_ref()? {
            UnderWay::Interrupted => (
                commands.task("migrate", "--resume"),
                "finishes the migration (--abort takes it back)",
            ),
            UnderWay::Conflicts => (
                commands.git("status"),
                "names the files in conflict: resolve each and stage it with `git add`",
            ),
            UnderWay::Marked(paths) => {
                let paths: Vec<String> = paths.iter().map(quoted_file).collect();
                (
                    commands.git(&format!("checkout --merge {}", paths.join(" "))),
                    "brings the conflicts back: resolve each, stage it with `git add`, then run \
                     `cargo xtask migrate --resume`",
                )
            }
            UnderWay::Resolved => (
                commands.task("migrate", "--resume"),
                "finishes the migration, of which every conflict is resolved",
            ),
            UnderWay::Staged => (
                commands.git("commit"),
                "keeps the migration that is staged (`cargo xtask migrate --abort` takes it back)",
            ),
            UnderWay::Cleanup => (commands.task("cleanup", ""), "finishes the cleanup"),
            UnderWay::CleanupStaged => (
                commands.task("cleanup", "--commit"),
                "commits the removal of outdated/, and says how to get it back",
            ),
            UnderWay::RemovalStaged => (
                commands.task("cleanup", "--dry-run"),
                "tells whether outdated/ may go, and how to go on",
            ),
            UnderWay::Unreadable(record) => (
                record.put_aside(),
                "puts the journal aside, where nothing in it is lost; `git status` then tells what \
                 is half-done",
            ),
            UnderWay::Git(_) => (
                commands.git("status"),
                "git has begun something and not ended it",
            ),
        })
    }

    /// What leads to a modern worker with a lock.
    fn to_migrate(&self, commands: &Commands) -> Option<(String, &'static str)> {
        let Known::Is(repository) = &self.repository else {
            return Some(match (self.layout, &self.repository) {
                (Layout::Unknown, _) => elsewhere(),
                // A repository without a work tree, or with an owner that git does not trust.
                (_, Known::Unknown(why)) if !why.ends_with("is in no git repository") => (
                    commands.git("status"),
                    "everything else needs a git that works here",
                ),
                _ => (
                    commands.git("init"),
                    "everything else needs the worker in a git repository",
                ),
            });
        };
        match self.layout {
            Layout::Unknown => Some(elsewhere()),
            _ if self.is_for_another_engine => Some((
                commands.task("hub-lint", ""),
                "checks the Hub's files; the other tasks are for SGLang workers only",
            )),
            Layout::Legacy if repository.changed > 0 || repository.head.is_none() => Some((
                commands.git("status"),
                "a migration starts from a work tree where all is committed",
            )),
            Layout::Legacy => Some((
                commands.task("migrate", "--dry-run"),
                "shows what moving to the modern layout would do",
            )),
            Layout::Modern if self.upstream == Known::None && !self.is_tools_own => Some((
                commands.task("migrate", "--adopt main --upstream URL"),
                "records which upstream the files came from",
            )),
            Layout::Modern => None,
        }
    }

    /// What a modern worker needs.
    fn to_go_on(&self, commands: &Commands) -> (String, &'static str) {
        match &self.compare {
            Known::Is(counts) if counts.open + counts.stale > 0 => {
                return (
                    commands.task("compare", ""),
                    "shows what is not decided yet",
                );
            }
            Known::Unknown(_) => {
                return (
                    commands.task("compare", ""),
                    "says what keeps it from comparing, and what to do",
                );
            }
            _ => {}
        }
        if let Known::Is(counts) = &self.lint
            && counts.errors + counts.warnings > 0
        {
            return (
                commands.task("hub-lint", ""),
                "shows what the Hub would reject",
            );
        }
        if let Known::Is(repository) = &self.repository
            && repository.changed > 0
        {
            return (
                commands.git("status"),
                "the next tasks start from what is committed",
            );
        }
        if self.outdated > 0 {
            if self.image == Known::None {
                return (
                    commands.task("build-image", ""),
                    "builds the image and checks it, while outdated/ is still there",
                );
            }
            return (
                commands.task("cleanup", "--dry-run"),
                "nothing is open any more: outdated/ may be ready to go",
            );
        }
        if let Known::Is(upstream) = &self.upstream
            && matches!(upstream.behind, Known::Is(1..))
        {
            return (
                commands.task("migrate", "--dry-run"),
                "shows what upstream has changed",
            );
        }
        match &self.image {
            Known::None => (
                commands.task("build-image", ""),
                "builds the image and checks it",
            ),
            Known::Is(image) if image.behind > 0 => (
                commands.task("build-image", ""),
                "builds the image as it is now",
            ),
            _ if self.is_tools_own && self.upstream == Known::None => (
                "cargo xtask test".to_owned(),
                "runs what a contribution must pass",
            ),
            _ => (
                commands.task("migrate", "--check"),
                "nothing is left to do; this tells when upstream has something new",
            ),
        }
    }
}

fn elsewhere() -> (String, &'static str) {
    (
        "cargo xtask status -C DIR".to_owned(),
        "looks at the worker's repository, wherever that is",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modern() -> RepositoryStatus {
        RepositoryStatus {
            layout: Layout::Modern,
            repository: Known::Is(WorkTree {
                branch: "main".into(),
                head: Some("aa".into()),
                changed: 0,
            }),
            under_way: None,
            upstream: Known::Is(RecordedUpstream {
                address: "u".into(),
                rev: None,
                commit: Some("bb".into()),
                behind: Known::Is(0),
            }),
            is_tools_own: false,
            is_for_another_engine: false,
            outdated: 0,
            compare: Known::Is(compare::OpenCounts {
                open: 0,
                stale: 0,
                accepted: 7,
            }),
            lint: Known::Is(Counts::default()),
            image: Known::Is(BuiltImage {
                name: "w:dev".into(),
                commit: "aa".into(),
                dirty: false,
                created: "2024-01-01T00:00:00Z".into(),
                behind: 0,
            }),
        }
    }

    fn next(change: impl Fn(&mut RepositoryStatus)) -> String {
        let mut standing = modern();
        change(&mut standing);
        standing.next(&Commands::default()).command
    }

    #[test]
    fn what_is_begun_comes_first() {
        let under_way = |state: UnderWay| {
            next(|at| {
                at.under_way = Some(state.clone());
                at.outdated = 3;
            })
        };
        let resume = "cargo xtask migrate --resume";
        assert_eq!(under_way(UnderWay::Interrupted), resume);
        assert_eq!(under_way(UnderWay::Conflicts), "git status");
        assert_eq!(under_way(UnderWay::Resolved), resume);
        assert_eq!(under_way(UnderWay::Staged), "git commit");
        assert_eq!(under_way(UnderWay::Cleanup), "cargo xtask cleanup");
        let commit = "cargo xtask cleanup --commit";
        assert_eq!(under_way(UnderWay::CleanupStaged), commit);
        let dry = "cargo xtask cleanup --dry-run";
        assert_eq!(under_way(UnderWay::RemovalStaged), dry);
        let marked = UnderWay::Marked(vec!["engine.py".into(), "a b".into()]);
        let back = "git checkout --merge engine.py 'a b'";
        assert_eq!(under_way(marked), back);
        let unreadable = UnderWay::Unreadable(Unreadable {
            path: "/it's/.git/xtask-migrate/journal.json".into(),
            why: "EOF".into(),
        });
        assert_eq!(
            under_way(unreadable),
            r"mv '/it'\''s/.git/xtask-migrate' '/it'\''s/.git/xtask-migrate.aside'"
        );
        assert_eq!(under_way(UnderWay::Git("a merge".into())), "git status");
    }

    #[test]
    fn a_legacy_worker_is_led_to_migrate() {
        let dry = "cargo xtask migrate --dry-run";
        assert_eq!(next(|at| at.layout = Layout::Legacy), dry);
        let other = next(|at| {
            at.layout = Layout::Legacy;
            at.is_for_another_engine = true;
        });
        assert_eq!(other, "cargo xtask hub-lint");
        let dirty = next(|at| {
            at.layout = Layout::Legacy;
            if let Known::Is(repository) = &mut at.repository {
                repository.changed = 1;
            }
        });
        assert_eq!(dirty, "git status");
        let bare = next(|at| {
            at.layout = Layout::Legacy;
            at.repository = Known::None;
        });
        assert_eq!(bare, "git init");
        let untrusted = next(|at| {
            at.layout = Layout::Legacy;
            at.repository = Known::Unknown("git does not trust .: somebody else owns it".into());
        });
        assert_eq!(untrusted, "git status");
    }

    #[test]
    fn what_is_no_worker_is_told_so() {
        let elsewhere = "cargo xtask status -C DIR";
        assert_eq!(next(|at| at.layout = Layout::Unknown), elsewhere);
        let outside = next(|at| {
            at.layout = Layout::Unknown;
            at.repository = Known::None;
        });
        assert_eq!(outside, elsewhere);
    }

    #[test]
    fn a_modern_worker_is_led_on_step_by_step() {
        let open = |at: &mut RepositoryStatus| {
            at.outdated = 9;
            at.compare = Known::Is(compare::OpenCounts {
                open: 1,
                stale: 0,
                accepted: 0,
            });
            at.lint = Known::Is(Counts {
                errors: 1,
                warnings: 0,
                infos: 0,
            });
        };
        assert_eq!(next(open), "cargo xtask compare");
        let lint = |at: &mut RepositoryStatus| {
            open(at);
            at.compare = Known::None;
        };
        assert_eq!(next(lint), "cargo xtask hub-lint");
        assert_eq!(next(|at| at.outdated = 9), "cargo xtask cleanup --dry-run");
        let unbuilt = next(|at| {
            at.outdated = 9;
            at.image = Known::None;
        });
        assert_eq!(unbuilt, "cargo xtask build-image");
        let changed = next(|at| {
            at.outdated = 9;
            if let Known::Is(repository) = &mut at.repository {
                repository.changed = 1;
            }
        });
        assert_eq!(changed, "git status");
        // What can't be compared is not ready to go.
        let broken = next(|at| {
            at.outdated = 9;
            at.compare = Known::Unknown("it is no JSON".into());
        });
        assert_eq!(broken, "cargo xtask compare");
        let upstream = |behind: Known<usize>| {
            next(|at| {
                if let Known::Is(upstream) = &mut at.upstream {
                    upstream.behind = behind.clone();
                }
            })
        };
        assert_eq!(upstream(Known::Is(2)), "cargo xtask migrate --dry-run");
        let unknown = || Known::Unknown("it was not asked".into());
        assert_eq!(upstream(unknown()), "cargo xtask migrate --check");
        assert_eq!(next(|at| at.image = Known::None), "cargo xtask build-image");
        assert_eq!(
            next(|at| at.image = Known::Unknown("no docker".into())),
            "cargo xtask migrate --check"
        );
        assert_eq!(
            next(|at| at.upstream = Known::None),
            "cargo xtask migrate --adopt main --upstream URL"
        );
        let own = next(|at| {
            at.upstream = Known::None;
            at.is_tools_own = true;
        });
        assert_eq!(own, "cargo xtask test");
        let carries_it = next(|at| at.is_tools_own = true);
        assert_eq!(carries_it, "cargo xtask migrate --check");
    }
}
