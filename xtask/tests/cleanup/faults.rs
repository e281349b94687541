//! Killed, out of room or locked out at every moment: the tree is as it was, or running it again
//! finishes.

use crate::support::{Lab, Repo, Run, State};
use crate::{accept, cleanup, expect_only};

/// A worker with all kinds of steps before it: removals in several folders, and two files to
/// write.
fn start(lab: &Lab) -> Repo<'_> {
    lab.once("fixed", "worker", || {
        let worker = lab.small_migrated("worker");
        worker.append("outdated/src/engine.py", "# more\n");
        worker.commit("fix: fix the old worker");
        accept(&worker, "outdated:src/engine.py", "a remark");
    })
}

struct Scenario<'a> {
    start: Repo<'a>,
    args: &'a [&'a str],
    before: State,
    finished: State,
    points: usize,
    /// How an undisturbed run says that the folder comes back.
    back: String,
}

/// What is said of how the folder comes back.
fn back(run: &Run) -> Option<String> {
    let text = String::from_utf8_lossy(&run.raw).into_owned();
    let at = text.find("Comes back with git restore --source=")?;
    let lines: Vec<&str> = text[at..].lines().take(2).collect();
    Some(lines.join("\n"))
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
            back: back(&run).unwrap(),
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
        // Where nothing was left to do the message of the commit says it.
        if self.args.is_empty() || !run.stdout.starts_with("Nothing to clean up") {
            assert_eq!(back(&run).as_ref(), Some(&self.back), "{when}: {run:?}");
        }
    }
}

fn disturbed(repo: &Repo<'_>, args: &[&str], fault: &str) -> Run {
    let run = repo.task("cleanup", args).env("XTASK_FAULT", fault);
    run.run()
}

/// A kill comes at every moment. What an error adds to it is how the run ends, which is the same
/// code at each; so every third moment and the last ones will do, `every` being 3.
fn everywhere(args: &[&str], fault: &str, every: usize) {
    let lab = Lab::new();
    let scenario = Scenario::new(start(&lab), args);
    let is_meant = |at: &usize| at.is_multiple_of(every) || at + 10 > scenario.points;
    for at in (1..=scenario.points).filter(is_meant) {
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
    everywhere(&[], "kill", 1);
}

#[test]
fn killed_anywhere_with_a_commit() {
    // Until the commit, these are the moments of a run without one.
    everywhere(&["--commit"], "kill", 4);
}

#[test]
fn a_disk_that_is_full_at_any_moment() {
    everywhere(&["--commit"], "full", 3);
}

#[test]
fn a_folder_that_is_read_only_at_any_moment() {
    everywhere(&[], "read-only", 3);
}

/// Half of the folder is gone, and the journal knows of it.
fn half_way(worker: &Repo<'_>) {
    half_way_of(worker, &[]);
}

fn half_way_of(worker: &Repo<'_>, args: &[&str]) {
    let points = {
        let counted = worker.copied("counted");
        let run = disturbed(&counted, args, "count:0");
        std::fs::remove_dir_all(&counted.path).unwrap();
        let words = run.stderr.lines().last().unwrap().to_owned();
        let count = words.strip_prefix("fault points: ").unwrap();
        count.parse::<usize>().unwrap()
    };
    disturbed(worker, args, &format!("kill:{}", points / 2)).killed();
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
            "git restore --staged --worktree -- outdated .xtask/accepted.json .xtask/upstream.lock.json",
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
    let run = cleanup(&worker, &[]);
    let named = format!("  because: {left} has changed since the plan was made\n");
    let run = run.refused_like(&named).refused_like(&format!(
        "\nhelp: copy your version to another place and restore the file with `git checkout -- \
         {left}`, then run `cargo xtask cleanup -C .`; or take all back with `cargo xtask migrate \
         -C . --abort`\n"
    ));
    assert_eq!(run.stdout, "");
    assert_eq!(worker.read(left), "mine\n");
    // Each of the ways out, as it is named.
    let back = worker.copied("back");
    back.migrate(&["--abort"]).done();
    assert_eq!(back.read(left), "mine\n");
    assert_eq!(back.git(&["status", "--short"]), format!(" M {left}"));
    worker.rename(left, "../mine");
    worker.git(&["checkout", "--quiet", "--", left]);
    cleanup(&worker, &["--commit"]).done();
    assert!(!worker.has("outdated"));
}

#[test]
fn a_program_is_told_how_it_comes_back_from_what_was_interrupted() {
    let lab = Lab::new();
    let worker = start(&lab);
    let kept_by = worker.git(&["rev-list", "-1", "HEAD", "--", "outdated"]);
    let folder = worker.copied("committed");
    for (worker, args) in [(&worker, &[] as &[&str]), (&folder, &["--commit"])] {
        half_way_of(worker, args);
        let json = cleanup(worker, &["--format", "json"]).done().json();
        let ending = if args.is_empty() {
            "staged"
        } else {
            "committed"
        };
        assert_eq!(json["ending"], ending);
        let restore = serde_json::json!({"commit": kept_by, "on": "main"});
        assert_eq!(json["restore"], restore, "{json:#}");
    }
}

#[test]
fn what_was_changed_before_the_last_look_is_not_taken_for_what_may_go() {
    let lab = Lab::new();
    let worker = start(&lab);
    let git = which::which("git").unwrap();
    let file = "outdated/src/engine.py";
    let before = worker.read(file);
    for at in 1.. {
        let left = worker.copied(&format!("left-{at}"));
        // Somebody's editor writes the file once all was found to be committed.
        let mark = lab.path(&format!("edited-{at}"));
        let edit = format!(
            "case \"$*\" in *hash-object*) if [ ! -e '{mark}' ]; then : > '{mark}'; \
             echo '# mine' >> '{}'; fi;; esac\nexec '{}' \"$@\"",
            left.file(file).display(),
            git.display(),
            mark = mark.display(),
        );
        lab.script(&format!("bin-{at}/git"), &edit);
        let run = left
            .task("cleanup", &[])
            .path_first(&lab.path(&format!("bin-{at}")))
            .env("XTASK_FAULT", format!("kill:{at}"))
            .run();
        if run.code.is_some() {
            run.refused(
                &format!("these have changed since the plan was made:\n  {file}"),
                "commit or stash that, then run this again",
            );
            break;
        }
        assert!(!left.has(".git/xtask-migrate/journal.json"), "kill:{at}");
        // What was laid out is cleared away, and the file named with what settles it.
        cleanup(&left, &[])
            .finds()
            .says(&format!("  {file} changed since HEAD"));
        assert!(!left.has(".git/xtask-migrate"));
        let settle = format!("git commit -- {file}");
        expect_only(&left, &format!("uncommitted {file}"), &settle);
        assert_eq!(left.read(file), format!("{before}# mine\n"), "kill:{at}");
        assert_eq!(left.git(&["status", "--short"]), format!(" M {file}"));
        std::fs::remove_dir_all(&left.path).unwrap();
    }
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
