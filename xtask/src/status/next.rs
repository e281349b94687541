//! The next command, as a pure function of the state.

use serde::Serialize;

use super::RepositoryStatus;
use migrate::Unsettled;
use transaction::journal::Unreadable;
use xtask_core::commands::Commands;
use xtask_core::layout::Layout;
use xtask_core::output::quoted_file;
use xtask_core::tree::RepoPath;

/// A task or a git operation that has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnderWay {
    Interrupted,
    Conflicts,
    /// All conflicts are resolved, and the migration waits to be finished.
    Resolved,
    Marked(Vec<RepoPath>),
    /// These staged files have no place in the modern layout.
    Retired(Vec<RepoPath>),
    Staged,
    Cleanup,
    CleanupStaged,
    Unreadable(Unreadable),
    /// A merge, a rebase, …
    Git(String),
}

#[derive(Serialize)]
pub struct Next {
    pub command: String,
    pub why: String,
}

impl UnderWay {
    /// The state, the command that ends it, and the command's effect.
    pub fn describe(&self, commands: &Commands) -> (String, String, String) {
        let git = |what: &str, paths: &[RepoPath]| {
            let paths: Vec<String> = paths.iter().map(quoted_file).collect();
            commands.git(&format!("{what} {}", paths.join(" ")))
        };
        // As migrate says it.
        let waits = |it: Unsettled, command| (it.what(), command, it.help());
        let (state, command, why) = match self {
            Self::Interrupted => (
                "a migration was interrupted",
                commands.task("migrate", "--resume"),
                "finishes the migration (--abort takes it back)",
            ),
            Self::Conflicts => waits(Unsettled::Unmerged(Vec::new()), commands.git("status")),
            Self::Marked(paths) => waits(
                Unsettled::Marked(paths.clone()),
                git("checkout --merge", paths),
            ),
            Self::Retired(paths) => waits(Unsettled::Retired(paths.clone()), git("rm", paths)),
            Self::Resolved => (
                migrate::RESOLVED,
                commands.task("migrate", "--resume"),
                "finishes the migration, of which every conflict is resolved",
            ),
            Self::Staged => (
                "a migration is staged and not committed",
                commands.git("commit"),
                "keeps the migration that is staged (`cargo xtask migrate --abort` takes it back)",
            ),
            Self::Cleanup => (
                "a cleanup was interrupted",
                commands.task("cleanup", ""),
                "finishes the cleanup",
            ),
            Self::CleanupStaged => (
                "the removal of outdated/ is staged and not committed",
                commands.task("cleanup", "--commit"),
                "commits the removal of outdated/, and says how to get it back",
            ),
            Self::Unreadable(record) => (&*record.what(), record.put_aside(), &*record.help()),
            Self::Git(what) => (
                &*format!("{what} is under way"),
                commands.git("status"),
                "git has begun something and not ended it",
            ),
        };
        (state.to_owned(), command, why.to_owned())
    }
}

impl RepositoryStatus {
    pub fn next(&self, commands: &Commands) -> Next {
        let (command, why) = if let Some(state) = &self.under_way {
            let (_, command, why) = state.describe(commands);
            (command, why)
        } else {
            let (command, why) = self.command(commands);
            (command, why.to_owned())
        };
        let why = commands.fit(&why);
        Next { command, why }
    }

    fn command(&self, commands: &Commands) -> (String, &'static str) {
        let task = |name, options, why| (commands.task(name, options), why);
        let git = |command, why| (commands.git(command), why);
        if self.layout == Layout::Unknown && self.has_root_handler {
            let why = "says what this worker lacks for a migration, and what to do";
            return task("migrate", "--dry-run", why);
        }
        if self.layout == Layout::Unknown {
            let why = "looks at the worker's repository, wherever that is";
            return ("cargo xtask status -C DIR".to_owned(), why);
        }
        let repository = match &self.repository {
            Ok(Some(repository)) => repository,
            // A repository without a work tree, or with an owner that git does not trust.
            Err(why) if !why.ends_with("is in no git repository") => {
                return git("status", "everything else needs a git that works here");
            }
            _ => {
                let why = "everything else needs the worker in a git repository";
                return git("init", why);
            }
        };
        let has_upstream = !matches!(self.upstream, Ok(None));
        let is_official = matches!(&self.upstream, Ok(Some(it)) if it.is_official());
        let was_adopted = is_official && !self.is_tools_own && matches!(self.compare, Ok(None));
        if self.is_for_another_engine {
            let why = "checks the Hub's files; the other tasks are for SGLang workers only";
            task("hub-lint", "", why)
        } else if self.layout == Layout::Legacy {
            if repository.changed > 0 || repository.head.is_none() {
                let why = "a migration starts from a work tree where all is committed";
                git("status", why)
            } else if self.has_own_changes {
                let why = "shows what moving to the modern layout would do, and what becomes of \
                           this fork's own changes";
                let options = format!("{} --dry-run", migrate::WITH_OWN_CHANGES);
                task("migrate", &options, why)
            } else {
                let why = "shows what moving to the modern layout would do";
                task("migrate", "--dry-run", why)
            }
        } else if !has_upstream && !self.is_tools_own {
            let why = "records which upstream the files came from, the official one or this tool's \
                       (--upstream URL names another)";
            task("migrate", "--adopt main", why)
        } else if self.compare.is_err() {
            let why = "says what keeps it from comparing, and what to do";
            task("compare", "", why)
        } else if matches!(&self.compare, Ok(Some(it)) if it.open + it.stale > 0) {
            task("compare", "", "shows what is not decided yet")
        } else if was_adopted && repository.changed == 0 {
            let why = "moves it on from the official worker to this tool's; `cargo xtask compare` \
                       then tells what of the fork's own is not in it";
            task("migrate", migrate::TO_THIS_WORKER, why)
        } else if matches!(&self.lint, Ok(Some(it)) if it.errors > 0) {
            task("hub-lint", "", "shows what the Hub would reject")
        } else if repository.changed > repository.records {
            git("status", "the next tasks start from what is committed")
        } else if self.outdated == 0 && repository.changed > 0 {
            task(
                "cleanup",
                "--commit",
                "commits the records, and nothing else",
            )
        } else if self.outdated > 0 {
            let why = "nothing is open any more: outdated/ may go (`cargo xtask build-image` checks \
                       the image first)";
            task("cleanup", "--dry-run", why)
        } else if self.is_tools_own && !has_upstream {
            let why = "runs what a contribution must pass";
            ("cargo xtask test".to_owned(), why)
        } else {
            let why = "nothing is left to do; this tells when upstream has something new";
            task("migrate", "--check", why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{RecordedUpstream, WorkTree};
    use hub_lint::Counts;

    fn modern() -> RepositoryStatus {
        RepositoryStatus {
            layout: Layout::Modern,
            has_root_handler: true,
            repository: Ok(Some(WorkTree {
                branch: "main".into(),
                head: Some("aa".into()),
                changed: 0,
                records: 0,
            })),
            under_way: None,
            upstream: Ok(Some(RecordedUpstream {
                address: "u".into(),
                rev: None,
                commit: Some("bb".into()),
            })),
            is_tools_own: false,
            is_for_another_engine: false,
            has_own_changes: false,
            outdated: 0,
            compare: Ok(Some(compare::OpenCounts {
                open: 0,
                stale: 0,
                accepted: 7,
            })),
            lint: Ok(Some(Counts::default())),
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
        let fork = next(|at| {
            at.layout = Layout::Legacy;
            at.has_own_changes = true;
        });
        let carry = "cargo xtask migrate --carry auto --conflicts upstream --dry-run";
        assert_eq!(fork, carry);
        let other = next(|at| {
            at.layout = Layout::Legacy;
            at.is_for_another_engine = true;
        });
        assert_eq!(other, "cargo xtask hub-lint");
        let dirty = next(|at| {
            at.layout = Layout::Legacy;
            if let Ok(Some(repository)) = &mut at.repository {
                repository.changed = 1;
            }
        });
        assert_eq!(dirty, "git status");
        let bare = next(|at| {
            at.layout = Layout::Legacy;
            at.repository = Ok(None);
        });
        assert_eq!(bare, "git init");
        let untrusted = next(|at| {
            at.layout = Layout::Legacy;
            at.repository = Err("git does not trust .: somebody else owns it".into());
        });
        assert_eq!(untrusted, "git status");
    }

    #[test]
    fn what_is_no_worker_is_told_so() {
        let elsewhere = "cargo xtask status -C DIR";
        let unknown = |at: &mut RepositoryStatus| {
            at.layout = Layout::Unknown;
            at.has_root_handler = false;
        };
        assert_eq!(next(unknown), elsewhere);
        // A worker with its files at the root is led to what it lacks.
        let root = next(|at| at.layout = Layout::Unknown);
        assert_eq!(root, "cargo xtask migrate --dry-run");
        let outside = next(|at| {
            unknown(at);
            at.repository = Ok(None);
        });
        assert_eq!(outside, elsewhere);
    }

    #[test]
    fn a_modern_worker_is_led_on_step_by_step() {
        let open = |at: &mut RepositoryStatus| {
            at.outdated = 9;
            at.compare = Ok(Some(compare::OpenCounts {
                open: 1,
                stale: 0,
                accepted: 0,
            }));
            at.lint = Ok(Some(Counts {
                errors: 1,
                warnings: 0,
            }));
        };
        assert_eq!(next(open), "cargo xtask compare");
        let lint = |at: &mut RepositoryStatus| {
            open(at);
            at.compare = Ok(None);
        };
        assert_eq!(next(lint), "cargo xtask hub-lint");
        // The Hub takes what hub-lint only warns of.
        let warned = next(|at| {
            at.outdated = 9;
            at.lint = Ok(Some(Counts {
                errors: 0,
                warnings: 3,
            }));
        });
        assert_eq!(warned, "cargo xtask cleanup --dry-run");
        assert_eq!(next(|at| at.outdated = 9), "cargo xtask cleanup --dry-run");
        let changed = next(|at| {
            at.outdated = 9;
            if let Ok(Some(repository)) = &mut at.repository {
                repository.changed = 1;
            }
        });
        assert_eq!(changed, "git status");
        // Cleanup commits the records itself.
        let records = |outdated| {
            next(move |at| {
                at.outdated = outdated;
                if let Ok(Some(repository)) = &mut at.repository {
                    (repository.changed, repository.records) = (1, 1);
                }
            })
        };
        assert_eq!(records(9), "cargo xtask cleanup --dry-run");
        assert_eq!(records(0), "cargo xtask cleanup --commit");
        // What can't be compared is not ready to go.
        let broken = next(|at| {
            at.outdated = 9;
            at.compare = Err("it is no JSON".into());
        });
        assert_eq!(broken, "cargo xtask compare");
        assert_eq!(next(|_| {}), "cargo xtask migrate --check");
        assert_eq!(
            next(|at| at.upstream = Ok(None)),
            "cargo xtask migrate --adopt main"
        );
        let adopted = |at: &mut RepositoryStatus| {
            at.compare = Ok(None);
            if let Ok(Some(upstream)) = &mut at.upstream {
                upstream.commit = Some("1b924c9de8b90e5cf47c974c556f6dd403939243".into());
            }
        };
        let moves_on = "cargo xtask migrate --upstream xtask: --conflicts upstream --commit";
        assert_eq!(next(adopted), moves_on);
        let owns = next(|at| {
            adopted(at);
            at.is_tools_own = true;
        });
        assert_eq!(owns, "cargo xtask migrate --check");
        let own = next(|at| {
            at.upstream = Ok(None);
            at.is_tools_own = true;
        });
        assert_eq!(own, "cargo xtask test");
        let carries_it = next(|at| at.is_tools_own = true);
        assert_eq!(carries_it, "cargo xtask migrate --check");
    }
}
