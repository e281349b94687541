//! Killed, out of room or locked out at every moment: the tree is as it was, or running it again
//! finishes.

use crate::support::{Lab, Repo, Run, State};
use crate::{accept, cleanup, ready};

/// A worker with all kinds of steps before it: removals in several folders, and two files to
/// write.
fn start(lab: &Lab) -> Repo<'_> {
    let worker = ready(lab);
    worker.append("outdated/src/utils.py", "# more\n");
    worker.commit("fix: mend the old worker");
    accept(&worker, "outdated:src/utils.py", "a remark");
    worker
}

struct Scenario<'a> {
    start: Repo<'a>,
    args: &'a [&'a str],
    before: State,
    finished: State,
    points: usize,
}

impl<'a> Scenario<'a> {
    fn new(start: Repo<'a>, args: &'a [&'a str]) -> Self {
        let done = start.copied("undisturbed");
        let run = disturbed(&done, args, "count:0");
        assert_eq!(run.code, Some(0), "{run:?}");
        let words = run.stderr.lines().last().unwrap();
        let points = words
            .strip_prefix("fault points: ")
            .unwrap()
            .parse()
            .unwrap();
        assert!(points > 30, "only {points} points");
        Self {
            before: start.state(),
            finished: done.state(),
            start,
            args,
            points,
        }
    }

    /// Runs again what was disturbed; it must come to where an undisturbed run does.
    fn expect_finished(&self, left: &Repo<'_>, when: &str) {
        let run = cleanup(left, self.args);
        assert_eq!(run.code, Some(0), "{when}: {run:?}");
        left.state().expect_same(&self.finished, when);
        left.expect_settled();
    }
}

fn disturbed(repo: &Repo<'_>, args: &[&str], fault: &str) -> Run {
    let run = repo.task("cleanup", args).env("XTASK_FAULT", fault);
    run.run()
}

fn everywhere(args: &[&str], fault: &str) {
    let lab = Lab::new();
    let scenario = Scenario::new(start(&lab), args);
    for at in 1..=scenario.points {
        let fault = format!("{fault}:{at}");
        let when = format!("{fault} of {} in {args:?}", scenario.points);
        let left = scenario.start.copied("left");
        let run = disturbed(&left, args, &fault);
        if fault.starts_with("kill") {
            assert_eq!(run.code, None, "{when}: {run:?}");
        } else {
            assert_eq!(run.code, Some(1), "{when}: {run:?}");
            let cause = if fault.starts_with("full") {
                "No space left on device"
            } else {
                "Permission denied"
            };
            assert!(run.stderr.contains(cause), "{when}: {run:?}");
        }
        if left.has(".git/xtask-migrate/journal.json") {
            let run = cleanup(&left, &["--dry-run"]);
            assert_eq!(run.code, Some(1), "{when}: {run:?}");
            run.says("A cleanup was interrupted here.");
            if left.head() == scenario.start.head() {
                let back = left.copied("back");
                let run = back.migrate(&["--abort"]);
                assert_eq!(run.code, Some(0), "{when}: {run:?}");
                back.state().expect_same(&scenario.before, &when);
                std::fs::remove_dir_all(&back.path).unwrap();
            }
        } else if left.state() != scenario.finished {
            left.state().expect_same(&scenario.before, &when);
        }
        scenario.expect_finished(&left, &when);
        std::fs::remove_dir_all(&left.path).unwrap();
    }
}

#[test]
fn killed_anywhere() {
    everywhere(&[], "kill");
}

#[test]
fn killed_anywhere_with_a_commit() {
    everywhere(&["--commit"], "kill");
}

#[test]
fn a_disk_that_is_full_at_any_moment() {
    everywhere(&["--commit"], "full");
}

#[test]
fn a_folder_that_is_read_only_at_any_moment() {
    everywhere(&[], "read-only");
}

/// Half of the folder is gone, and the journal knows of it.
fn half_way(worker: &Repo<'_>) {
    let points = {
        let counted = worker.copied("counted");
        let run = disturbed(&counted, &[], "count:0");
        let words = run.stderr.lines().last().unwrap().to_owned();
        let count = words.strip_prefix("fault points: ").unwrap();
        count.parse::<usize>().unwrap()
    };
    disturbed(worker, &[], &format!("kill:{}", points / 2)).killed();
    assert!(worker.has(".git/xtask-migrate/journal.json"));
}

#[test]
fn migrate_does_not_go_on_over_an_interrupted_cleanup() {
    let lab = Lab::new();
    let worker = start(&lab);
    half_way(&worker);
    for args in [&[] as &[&str], &["--resume"]] {
        worker.migrate(args).refused(
            "a cleanup was interrupted here",
            "finish it with `cargo xtask cleanup -C .`, or take it back with `cargo xtask migrate \
             -C . --abort`",
        );
    }
    let run = cleanup(&worker, &[]).done();
    run.says("Finished what was interrupted; it is staged. Next:")
        .says(
            "git restore --staged --worktree -- outdated compare.accepted.json upstream.lock.json",
        );
}

#[test]
fn what_was_interrupted_is_committed_where_that_is_asked_for() {
    let lab = Lab::new();
    let worker = start(&lab);
    half_way(&worker);
    let head = worker.head();
    let run = cleanup(&worker, &["--commit", "--format", "json"]).done();
    assert_eq!(run.json()["ending"], "committed");
    assert_eq!(worker.git(&["rev-parse", "HEAD~1"]), head);
    assert_eq!(worker.status(), "");
    worker.expect_settled();
}

#[test]
fn a_file_that_was_changed_in_between_is_not_lost() {
    let lab = Lab::new();
    let worker = start(&lab);
    half_way(&worker);
    let left = worker.paths();
    let left = left
        .iter()
        .find(|path| path.starts_with("outdated/"))
        .unwrap();
    worker.write(left, "mine\n");
    let run = cleanup(&worker, &[]).refused_like("has changed since the plan was made");
    assert!(
        run.stderr.contains("then run `cargo xtask cleanup -C .`"),
        "{run:?}"
    );
    assert_eq!(worker.read(left), "mine\n");
    worker.remove(left);
    cleanup(&worker, &["--commit"]).done();
    assert!(!worker.has("outdated"));
}

#[test]
fn somebody_went_on_from_where_it_was_interrupted() {
    let lab = Lab::new();
    let worker = start(&lab);
    half_way(&worker);
    worker.git(&["commit", "--quiet", "--all", "-m", "chore: something else"]);
    let left = worker.git(&["ls-files", "outdated"]).lines().count();
    assert!((1..9).contains(&left), "{left} files are left");
    // What was taken away is committed, and what is left is looked at anew.
    cleanup(&worker, &["--commit"])
        .done()
        .says(&format!("Removes outdated/, {left} file"));
    worker.expect_settled();
    assert_eq!(worker.status(), "");
    assert!(!worker.has("outdated"));
}
