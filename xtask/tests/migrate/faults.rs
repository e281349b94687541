//! Killed, out of room, or locked out, at every moment: the repository is untouched, or the
//! migration can be finished and taken back.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use testing::Running;

use crate::support::{Lab, Repo, Run, State, copy, example, is_root};

const MIGRATE: &[&str] = &["--upstream", "../upstream"];
const COMMIT: &[&str] = &["--upstream", "../upstream", "--commit"];
const MARKERS: &[&str] = &["--conflicts", "markers"];
const RESUME: &[&str] = &["--resume"];

/// A run that is disturbed: where it starts, and where it and its undoing lead to.
struct Scenario<'a> {
    start: Repo<'a>,
    args: &'a [&'a str],
    finished: State,
    before: State,
    points: usize,
}

impl<'a> Scenario<'a> {
    /// `before` is the state that `--abort` leads to; that of `start`, if not given.
    fn new(start: Repo<'a>, args: &'a [&'a str], before: Option<State>) -> Self {
        let done = start.copied("undisturbed");
        let code = done.migrate(args).code;
        assert!(matches!(code, Some(0 | 1)));
        let finished = done.state();
        let before = before.unwrap_or_else(|| start.state());
        let mut scenario = Self {
            start,
            args,
            finished,
            before,
            points: 0,
        };
        scenario.points = count(&scenario.start, args);
        assert!(scenario.points > 10, "only {} points", scenario.points);
        scenario
    }

    /// Runs, disturbed at one moment, and gives the repository as it was left.
    fn disturbed(&self, name: &str, fault: &str) -> (Repo<'a>, Run) {
        let repo = self.start.copied(name);
        let run = repo.xtask(self.args).env("XTASK_FAULT", fault).run();
        if fault.starts_with("kill") {
            assert_eq!(run.code, None, "{fault}: {run:?}");
        } else {
            assert_eq!(run.code, Some(1), "{fault}: {run:?}");
        }
        (repo, run)
    }

    /// Both ways out of where a run was left lead to where they should.
    fn expect_both_ways_out(&self, left: &Repo<'a>, when: &str) {
        let copy = left.copied(&format!("{}-abort", name_of(left)));
        self.expect_resumed(left, when);
        self.expect_aborted(&copy, when);
    }

    fn expect_resumed(&self, left: &Repo<'a>, when: &str) {
        let run = left.migrate(RESUME);
        if run.stderr.contains("there is no migration to resume") {
            let state = left.state();
            if state != self.finished {
                state.expect_same(&self.start.state(), &format!("{when}: untouched"));
                left.migrate(self.args);
            }
        } else if run
            .stderr
            .contains("a migration is staged here and not committed yet")
        {
            // Killed after its last write.
        } else if self.waits_for_a_person() {
            assert_eq!(run.code, Some(1), "{when}: {run:?}");
        } else {
            assert_eq!(run.code, Some(0), "{when}: {run:?}");
        }
        left.state()
            .expect_same(&self.finished, &format!("{when}: resumed"));
        assert!(!left.has(".git/index.lock"), "{when}: index.lock is left");
    }

    fn expect_aborted(&self, left: &Repo<'a>, when: &str) {
        let run = left.migrate(&["--abort"]);
        if run.stderr.contains("is committed already") {
            // Nothing was done, and finishing is the way on.
            if left.state() != self.finished {
                left.state()
                    .expect_same(&self.start.state(), &format!("{when}: committed"));
            }
            assert_eq!(left.migrate(RESUME).code, Some(0), "{when}");
            left.state()
                .expect_same(&self.finished, &format!("{when}: committed"));
            return;
        }
        if run.stderr.contains("there is no migration to abort") {
            let state = left.state();
            if state != self.finished {
                state.expect_same(&self.start.state(), &format!("{when}: untouched"));
            }
            return;
        }
        assert_eq!(run.code, Some(0), "{when}: {run:?}");
        left.state()
            .expect_same(&self.before, &format!("{when}: aborted"));
        left.expect_settled();
    }

    /// Whether the undisturbed run ends with conflicts in the files.
    fn waits_for_a_person(&self) -> bool {
        self.args == MARKERS
    }

    /// Kills a run at each of its moments.
    fn killed_everywhere(&self) {
        let locks = self.at_every(1, "kill");
        assert_eq!(locks, 1, "no run was killed with the index locked");
    }

    /// Disturbs a run at every such moment, and at each one of its end. Gives how often the index
    /// was left locked.
    fn at_every(&self, step: usize, fault: &str) -> usize {
        const END: usize = 10;
        let locks = AtomicUsize::new(0);
        let is_meant = |at: &usize| at.is_multiple_of(step) || at + END > self.points;
        each((1..=self.points).filter(is_meant), |at| {
            let when = format!("{fault}:{at} in {:?}", self.args);
            let (left, run) = self.disturbed(&format!("{fault}-{at}"), &format!("{fault}:{at}"));
            locks.fetch_add(left.has(".git/index.lock").into(), Ordering::Relaxed);
            if fault == "kill" {
                self.expect_both_ways_out(&left, &when);
            } else {
                // Where it leaves the repository is where a kill does; one way out in turn.
                expect_told(&left, &run, &when);
                if at.is_multiple_of(2) {
                    self.expect_resumed(&left, &when);
                } else {
                    self.expect_aborted(&left, &when);
                }
            }
            forget(&left);
        });
        locks.into_inner()
    }

    /// Kills a run, and then each way out of that at each of its own moments.
    fn everywhere_on_the_way_out(&self, at: usize) {
        let (left, _) = self.disturbed(&format!("out-{at}"), &format!("kill:{at}"));
        for way in [RESUME, &["--abort"]] {
            if left
                .copied("tried")
                .migrate(way)
                .stderr
                .contains("there is no migration")
            {
                continue;
            }
            each(1..=count(&left, way), |then| {
                let when = format!("kill:{at} in {:?}, then kill:{then} in {way:?}", self.args);
                let again = left.copied(&format!("out-{at}-{then}{}", way[0]));
                let fault = format!("kill:{then}");
                again.xtask(way).env("XTASK_FAULT", fault).run().killed();
                // What is half undone can be done again, and what is half done undone.
                if (at + then).is_multiple_of(2) {
                    self.expect_resumed(&again, &when);
                } else {
                    self.expect_aborted(&again, &when);
                }
                forget(&again);
            });
            std::fs::remove_dir_all(left.lab.path("tried")).unwrap();
        }
        forget(&left);
    }
}

/// At how many moments a run can be disturbed.
fn count(from: &Repo, args: &[&str]) -> usize {
    let repo = from.copied("counted");
    let run = repo.xtask(args).env("XTASK_FAULT", "count:0").run();
    std::fs::remove_dir_all(&repo.path).unwrap();
    let words = run.stderr.lines().last().unwrap_or_default();
    words
        .strip_prefix("fault points: ")
        .and_then(|count| count.parse().ok())
        .unwrap_or_else(|| panic!("{run:?}"))
}

fn name_of(repo: &Repo) -> String {
    repo.path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn forget(repo: &Repo) {
    for name in [name_of(repo), format!("{}-abort", name_of(repo))] {
        let _ = std::fs::remove_dir_all(repo.lab.path(&name));
    }
}

/// An error tells what is wrong and both ways out.
fn expect_told(left: &Repo, run: &Run, when: &str) {
    let cause = if when.starts_with("full") {
        "No space left on device"
    } else {
        "Permission denied"
    };
    assert!(run.stderr.contains(cause), "{when}: {run:?}");
    if left.has(".git/xtask-migrate/journal.json") {
        assert!(run.stderr.contains("--resume"), "{when}: {run:?}");
        assert!(run.stderr.contains("--abort"), "{when}: {run:?}");
    }
}

/// On two threads.
fn each(range: impl Iterator<Item = usize>, act: impl Fn(usize) + Sync) {
    let all: Vec<usize> = range.collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(&at) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    act(at);
                }
            });
        }
    });
}

/// A legacy worker with all kinds of steps before it.
fn legacy(lab: &Lab) -> Repo<'_> {
    lab.small_legacy("worker")
}

/// A modern worker and an upstream that changed the same line, and other files.
fn in_conflict(lab: &Lab) -> Repo<'_> {
    let upstream = lab.small_upstream();
    let worker = lab.small_migrated("worker");
    worker.edit("engine.py", "interval=5", "interval=1");
    worker.commit("fix: ask more often");
    upstream.edit(".runpod/engine.py", "interval=5", "interval=9");
    upstream.append(".runpod/handler.py", "# more\n");
    upstream.remove(".runpod/utils.py");
    upstream.write(".runpod/utils.py", "# anew\n");
    upstream.remove(".runpod/public/banner.png");
    upstream.write(".runpod/public/new.txt", "new\n");
    upstream.commit("feat: changes");
    worker
}

#[test]
fn killed_anywhere() {
    let lab = Lab::new();
    Scenario::new(legacy(&lab), MIGRATE, None).killed_everywhere();
}

#[test]
fn killed_anywhere_with_commits() {
    let lab = Lab::new();
    // Until the commits, these are the moments of a run without them.
    Scenario::new(legacy(&lab), COMMIT, None).at_every(4, "kill");
}

#[test]
fn killed_anywhere_while_conflicts_are_written() {
    let lab = Lab::new();
    Scenario::new(in_conflict(&lab), MARKERS, None).killed_everywhere();
}

#[test]
fn killed_anywhere_while_resolved_conflicts_are_finished() {
    let lab = Lab::new();
    for extra in [&[] as &[&str], &["--commit"]] {
        let lab = if extra.is_empty() { &lab } else { &Lab::new() };
        let worker = in_conflict(lab);
        let before = worker.state();
        worker.migrate(&[MARKERS, extra].concat()).finds();
        let engine = worker.read("engine.py");
        let (head, rest) = engine.split_once("<<<<<<<").unwrap();
        let (_, tail) = rest.split_once(">>>>>>> upstream\n").unwrap();
        worker.write("engine.py", format!("{head}interval=4\n{tail}"));
        worker.git(&["add", "engine.py"]);
        Scenario::new(worker, RESUME, Some(before)).killed_everywhere();
    }
}

#[test]
fn killed_anywhere_after_the_resolution_was_committed_by_hand() {
    let lab = Lab::new();
    let worker = in_conflict(&lab);
    worker.migrate(MARKERS).finds();
    worker.write("engine.py", "# resolved\n");
    worker.git(&["commit", "--quiet", "-a", "-m", "feat: resolved by hand"]);
    let before = worker.state();
    Scenario::new(worker, RESUME, Some(before)).killed_everywhere();
}

#[test]
fn killed_anywhere_on_the_way_out() {
    let lab = Lab::new();
    let scenario = Scenario::new(legacy(&lab), MIGRATE, None);
    for at in [4, 7].map(|part| scenario.points * part / 10) {
        scenario.everywhere_on_the_way_out(at);
    }
    scenario.everywhere_on_the_way_out(scenario.points - 3);
}

#[test]
fn killed_anywhere_on_the_way_out_of_conflicts() {
    let lab = Lab::new();
    let scenario = Scenario::new(in_conflict(&lab), MARKERS, None);
    scenario.everywhere_on_the_way_out(scenario.points / 2);
    scenario.everywhere_on_the_way_out(scenario.points - 3);
}

#[test]
fn a_disk_that_is_full_at_any_moment() {
    let lab = Lab::new();
    // Where it can stop is what a kill goes through one by one.
    Scenario::new(legacy(&lab), COMMIT, None).at_every(3, "full");
}

#[test]
fn a_disk_that_is_full_at_any_moment_of_writing_conflicts() {
    let lab = Lab::new();
    Scenario::new(in_conflict(&lab), MARKERS, None).at_every(3, "full");
}

#[test]
fn a_folder_that_is_read_only_at_any_moment() {
    let lab = Lab::new();
    // The same errors at the same places as with a full disk, in other words.
    Scenario::new(legacy(&lab), MIGRATE, None).at_every(3, "read-only");
}

#[test]
fn killed_at_random_while_git_goes_on() {
    const KILLS: u32 = 12;
    let lab = Lab::new();
    let scenario = Scenario::new(legacy(&lab), COMMIT, None);
    let began = Instant::now();
    scenario.start.copied("timed").migrates(COMMIT);
    let whole = began.elapsed();
    let mut random = 20_240_506_u32;
    for number in 0..KILLS {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let delay = whole * (random >> 16) / 65_536;
        let left = scenario.start.copied(&format!("random-{number}"));
        let mut command = left.xtask(COMMIT).command;
        let mut child = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        std::thread::sleep(delay);
        // The process alone; a git that it has started goes on.
        child.kill().unwrap();
        child.wait().unwrap();
        let when = format!("killed after {delay:?} of {whole:?}");
        scenario.expect_resumed(&left, &when);
        left.expect_settled();
        forget(&left);
    }
}

#[test]
fn the_next_run_waits_for_a_git_that_outlives_its_parent() {
    let lab = Lab::new();
    let worker = legacy(&lab);
    let undisturbed = worker.copied("undisturbed");
    undisturbed.migrates(COMMIT);
    // A git that kills the tool when it is to move HEAD, and does it a second later.
    let real = which("git");
    lab.script(
        "bin/git",
        &format!(
            "case \" $* \" in *' update-ref '*) kill -9 $PPID; sleep 1; echo moved >> {} ;; esac\n\
             exec {} \"$@\"",
            lab.path("moved").display(),
            real.display()
        ),
    );
    worker
        .xtask(COMMIT)
        .path_first(&lab.path("bin"))
        .run()
        .killed();
    assert!(!lab.path("moved").exists(), "git was not slow");
    worker
        .migrate(RESUME)
        .done()
        .says("Finished and committed.");
    assert!(lab.path("moved").exists(), "the run did not wait for git");
    worker
        .state()
        .expect_same(&undisturbed.state(), "after the wait");
    worker.expect_settled();
}

#[test]
fn a_git_that_is_killed_with_its_parent_leaves_no_lock_in_the_way() {
    let lab = Lab::new();
    let worker = in_conflict(&lab);
    let before = worker.state();
    worker.migrate(MARKERS).finds();
    worker.write("engine.py", "# resolved\n");
    worker.git(&["add", "engine.py"]);
    let real = which("git");
    lab.script(
        "bin/git",
        &format!(
            "case \" $* \" in *' update-index '*) : > \"$GIT_INDEX_FILE.lock\"; kill -9 $PPID; \
             exit 1;; esac\nexec {} \"$@\"",
            real.display()
        ),
    );
    worker
        .xtask(RESUME)
        .path_first(&lab.path("bin"))
        .run()
        .killed();
    let copy = worker.copied("copy");
    worker.migrate(RESUME).done();
    assert_eq!(worker.read("engine.py"), "# resolved\n");
    copy.migrate(&["--abort"]).done();
    copy.state().expect_same(&before, "after --abort");
}

/// A git that is killed together with the tool when it is about to move HEAD, its locks on the
/// branch held: `reference-transaction` runs in just that moment.
fn killed_while_head_moves(lab: &Lab, worker: &Repo) {
    lab.script(
        "hooks/reference-transaction",
        "if [ \"$1\" = prepared ]; then kill -9 $PPID; fi",
    );
    let real = which("git");
    lab.script(
        "bin/git",
        &format!(
            "case \" $* \" in *' update-ref '*)\n\
             shift 2; {real} -c core.hooksPath={hooks} \"$@\"; kill -9 $PPID; exit 1;;\n\
             esac\nexec {real} \"$@\"",
            real = real.display(),
            hooks = lab.path("hooks").display(),
        ),
    );
    worker
        .xtask(COMMIT)
        .path_first(&lab.path("bin"))
        .run()
        .killed();
}

#[test]
fn a_git_that_is_killed_while_it_moves_head_leaves_no_lock_in_the_way() {
    let lab = Lab::new();
    for detached in [false, true] {
        let worker = lab.small_legacy(if detached { "detached" } else { "worker" });
        if detached {
            worker.git(&["checkout", "--quiet", "--detach"]);
        }
        let before = worker.state();
        let undisturbed = worker.copied("undisturbed");
        undisturbed.migrates(COMMIT);
        killed_while_head_moves(&lab, &worker);
        let lock = if detached {
            ".git/HEAD.lock"
        } else {
            ".git/refs/heads/main.lock"
        };
        assert!(worker.has(lock), "git left no lock");
        let copy = worker.copied("copy");
        worker
            .migrate(RESUME)
            .done()
            .says("Finished and committed.");
        worker
            .state()
            .expect_same(&undisturbed.state(), "after the lock");
        for lock in [lock, ".git/HEAD.lock"] {
            assert!(!worker.has(lock), "{lock} is left");
        }
        worker.expect_settled();
        copy.migrate(&["--abort"]).done();
        copy.state().expect_same(&before, "after --abort");
        assert!(!copy.has(lock) && !copy.has(".git/HEAD.lock"));
        undisturbed.remove("");
        copy.remove("");
    }
}

#[test]
fn a_git_that_is_killed_just_after_it_has_moved_the_branch_leaves_no_lock_either() {
    let lab = Lab::new();
    let worker = legacy(&lab);
    killed_while_head_moves(&lab, &worker);
    let tip = worker.read(".git/refs/heads/main.lock");
    worker.remove(".git/refs/heads/main.lock");
    // As git does it, by renaming: the branch is as old as its lock was.
    let head_lock = fs_time(&worker, ".git/HEAD.lock");
    worker.write(".git/refs/heads/main", tip);
    assert!(head_lock <= fs_time(&worker, ".git/refs/heads/main"));
    worker.migrate(RESUME).done();
    assert!(!worker.has(".git/HEAD.lock"));
    worker.expect_settled();
}

fn fs_time(repo: &Repo, path: &str) -> std::time::SystemTime {
    repo.path.join(path).metadata().unwrap().modified().unwrap()
}

#[test]
fn a_lock_on_head_that_another_git_holds_is_refused_and_stays() {
    let lab = Lab::new();
    for (lock, content) in [
        (".git/refs/heads/main.lock", "another git's"),
        // As it is before git has written the new value.
        (".git/refs/heads/main.lock", ""),
        (".git/HEAD.lock", ""),
    ] {
        let worker = legacy(&lab);
        killed_while_head_moves(&lab, &worker);
        worker.remove(".git/refs/heads/main.lock");
        worker.remove(".git/HEAD.lock");
        worker.write(lock, content);
        worker.migrate(RESUME).refused(
            &format!("[LAB]/worker/{lock} is there: another git is at work, or was killed"),
            "wait for it to end, or remove the file, then run `cargo xtask migrate -C . --resume`",
        );
        assert_eq!(worker.read(lock), content);
        worker.remove(lock);
        worker.migrate(RESUME).done();
        worker.expect_settled();
        worker.remove("");
    }
}

#[test]
fn a_lock_on_a_table_of_references_is_named() {
    let lab = Lab::new();
    if !lab.git_knows_reftable() {
        return;
    }
    lab.upstream("upstream");
    let worker = lab.init("worker", &["--ref-format=reftable"]);
    copy(&example("legacy"), &worker.path);
    worker.commit("feat: a worker of the legacy layout");
    let before = worker.state();
    killed_while_head_moves(&lab, &worker);
    let lock = ".git/reftable/tables.list.lock";
    assert!(worker.has(lock), "git left no lock");
    let other = worker.copied("other");
    worker.migrate(RESUME).refused(
        &format!("[LAB]/worker/{lock} is there: another git is at work, or was killed"),
        "wait for it to end, or remove the file, then run `cargo xtask migrate -C . --resume`",
    );
    worker.remove(lock);
    worker.migrate(RESUME).done();
    worker.expect_settled();
    other.migrate(&["--abort"]).done();
    other.remove(lock);
    other.state().expect_same(&before, "after --abort");
}

#[test]
fn an_index_lock_of_another_git_is_refused_and_stays() {
    let lab = Lab::new();
    let worker = legacy(&lab);
    worker.write(".git/index.lock", "another git's");
    let before = worker.everything();
    let what = "[LAB]/worker/.git/index.lock is there: another git is at work, or was killed";
    worker
        .migrate(MIGRATE)
        .refused(what, "wait for it to end, or remove the file");
    worker.everything().expect_same(&before, "a refusal");
}

#[test]
fn an_index_lock_that_appears_in_between_is_refused_and_stays() {
    let lab = Lab::new();
    let scenario = Scenario::new(legacy(&lab), MIGRATE, None);
    let (left, _) = scenario.disturbed("left", &format!("kill:{}", scenario.points / 2));
    left.write(".git/index.lock", "another git's");
    for way in [RESUME, &["--abort"]] {
        let copy = left.copied("copy");
        let run = copy.migrate(way);
        assert_eq!(copy.read(".git/index.lock"), "another git's", "{way:?}");
        copy.remove(".git/index.lock");
        // Taking it back has no need of the index, which is as it was.
        if way == RESUME {
            let help = "wait for it to end, or remove the file, then run `cargo xtask migrate \
                        -C . --resume`";
            run.refused(
                "[LAB]/copy/.git/index.lock is there: another git is at work, or was killed",
                help,
            );
            copy.migrate(way).done();
        } else {
            run.done();
        }
        let expected = if way == RESUME {
            &scenario.finished
        } else {
            &scenario.before
        };
        copy.state().expect_same(expected, "without the lock");
        copy.remove("");
    }
}

#[test]
fn an_interrupted_migration_is_told_by_the_next_run() {
    let lab = Lab::new();
    let scenario = Scenario::new(legacy(&lab), MIGRATE, None);
    let (left, _) = scenario.disturbed("left", &format!("kill:{}", scenario.points / 2));
    let held = |name: &str| name == "(git) xtask-migrate.lock";
    let before = left.everything().without(held);
    for options in [MIGRATE, &["--check"], &["--dry-run"]] {
        left.migrate(options).refused(
            "a migration was interrupted here",
            "finish it with `cargo xtask migrate -C . --resume`, or take it back with `cargo \
             xtask migrate -C . --abort`",
        );
    }
    left.everything()
        .without(held)
        .expect_same(&before, "a refusal");
}

#[test]
fn what_was_written_after_the_kill_is_not_lost() {
    let lab = Lab::new();
    let scenario = Scenario::new(legacy(&lab), MIGRATE, None);
    each((1..=scenario.points).step_by(3), |at| {
        let (left, _) = scenario.disturbed(&format!("edit-{at}"), &format!("kill:{at}"));
        let mine = "# written by a person in between\n";
        for path in [
            "engine.py",
            "Dockerfile",
            "src/engine.py",
            "outdated/notes.md",
        ] {
            left.write(path, mine);
        }
        for way in [RESUME, &["--abort"]] {
            let copy = left.copied(&format!("edit-{at}-copy"));
            let run = copy.migrate(way);
            let state = copy.everything();
            let kept = state
                .0
                .values()
                .filter(|it| it.contains("written by a person"));
            assert_eq!(kept.count(), 4, "{way:?} after kill:{at}: {run:?}");
            copy.remove("");
        }
        forget(&left);
    });
}

#[test]
fn what_is_written_while_the_plan_is_made_is_not_lost() {
    let lab = Lab::new();
    let real = which("git");
    let upstream = lab.small_upstream();
    for options in [MIGRATE, COMMIT] {
        let worker = lab.small_migrated("worker");
        upstream.append(".runpod/handler.py", "# later\n");
        upstream.commit("feat: later");
        let index = worker.bytes(".git/index");
        // An editor that saves once the tool has looked at the repository.
        lab.script(
            "bin/git",
            &format!(
                "case \" $* \" in *' hash-object '*) [ -e {edited} ] || \
                 {{ : > {edited}; echo '# mine' >> {file}; }} ;; esac\nexec {real} \"$@\"",
                edited = lab.path("edited").display(),
                file = worker.path.join("handler.py").display(),
                real = real.display()
            ),
        );
        worker
            .xtask(options)
            .path_first(&lab.path("bin"))
            .run()
            .refused(
                "these have changed since the plan was made:\n  handler.py",
                "commit or stash that, then run this again",
            );
        assert!(worker.read("handler.py").ends_with("# mine\n"));
        assert!(!worker.has(".git/xtask-migrate"));
        assert_eq!(worker.bytes(".git/index"), index);
        worker.git(&["commit", "--quiet", "--all", "-m", "mine"]);
        worker.migrate(&["--conflicts", "markers"]).finds();
        assert!(worker.read("handler.py").contains("# mine\n"));
        worker.remove("");
        std::fs::remove_file(lab.path("edited")).unwrap();
    }
}

#[test]
fn what_is_written_while_a_merge_is_finished_takes_no_way_out_away() {
    let lab = Lab::new();
    let worker = in_conflict(&lab);
    let before = worker.state();
    worker.migrate(MARKERS).finds();
    worker.write("engine.py", "# resolved\n");
    worker.git(&["add", "engine.py"]);
    let real = which("git");
    lab.script(
        "bin/git",
        &format!(
            "case \" $* \" in *' hash-object '*) [ -e {edited} ] || \
             {{ : > {edited}; echo >> {file}; }} ;; esac\nexec {real} \"$@\"",
            edited = lab.path("edited").display(),
            file = worker.path.join(".xtask/upstream.lock.json").display(),
            real = real.display()
        ),
    );
    worker
        .xtask(RESUME)
        .path_first(&lab.path("bin"))
        .run()
        .refused(
            "these have changed since the plan was made:\n  .xtask/upstream.lock.json",
            "take that back with `git restore FILE`, then run this again",
        );
    worker.git(&["checkout", "--", ".xtask/upstream.lock.json"]);
    let copy = worker.copied("copy");
    worker.migrate(RESUME).done();
    assert_eq!(worker.read("engine.py"), "# resolved\n");
    copy.migrate(&["--abort"]).done();
    copy.state().expect_same(&before, "after --abort");
}

#[test]
fn what_is_staged_while_the_plan_is_made_is_not_lost() {
    let lab = Lab::new();
    let upstream = lab.small_upstream();
    let worker = lab.small_migrated("worker");
    // Elsewhere in the file than the edit, so that the two merge.
    let handler = upstream.read(".runpod/handler.py");
    upstream.write(".runpod/handler.py", format!("# later\n{handler}"));
    upstream.commit("feat: later");
    let real = which("git");
    lab.script(
        "bin/git",
        &format!(
            "case \" $* \" in *' hash-object '*) [ -e {edited} ] || {{ : > {edited}; \
             echo '# mine' >> {file}; {real} -C {top} add handler.py; }} ;; esac\n\
             exec {real} \"$@\"",
            edited = lab.path("edited").display(),
            file = worker.path.join("handler.py").display(),
            top = worker.path.display(),
            real = real.display()
        ),
    );
    let run = worker.xtask(COMMIT).path_first(&lab.path("bin"));
    run.run().refused(
        "the index has changed since the plan was made",
        "commit or stash that, then run this again",
    );
    assert!(worker.read("handler.py").ends_with("# mine\n"));
    assert!(!worker.has(".git/xtask-migrate"));
}

#[test]
fn what_is_staged_after_a_kill_is_not_lost() {
    let lab = Lab::new();
    let worker = lab.small_legacy("worker");
    let real = which("git");
    // The files have moved, and the index is about to follow.
    lab.script(
        "bin/git",
        &format!(
            "case \" $* \" in *' update-index '*) [ ! -e {moved} ] || {{ kill -9 $PPID; exit 1; }} ;; \
             esac\nexec {real} \"$@\"",
            moved = worker.path.join("outdated").display(),
            real = real.display()
        ),
    );
    worker
        .xtask(MIGRATE)
        .path_first(&lab.path("bin"))
        .run()
        .killed();
    let moved = "outdated/src/engine.py";
    worker.write(moved, "# mine\n");
    worker.git(&["add", moved]);
    worker
        .migrate(RESUME)
        .refused_like("outdated/src/engine.py has been staged since the plan was made");
    let staged = worker.git(&["show", &format!(":{moved}")]);
    assert_eq!(staged, "# mine");
    // The way out that the message names.
    worker.git(&["restore", "--staged", moved]);
    worker.migrate(RESUME).done();
    assert_eq!(worker.read(moved), "# mine\n");
}

#[test]
fn what_an_open_editor_saves_into_a_replaced_file_is_kept() {
    let lab = Lab::new();
    let upstream = lab.small_upstream();
    let worker = lab.small_migrated("worker");
    upstream.append(".runpod/handler.py", "# later\n");
    upstream.commit("feat: later");
    let real = which("git");
    // A program that has the old file open, and writes when it is in the journal already.
    lab.script(
        "bin/git",
        &format!(
            "case \" $* \" in *' update-ref '*) for file in {old}/*; do \
             grep -q 'def handler' \"$file\" && echo '# mine' >> \"$file\"; done ;; esac\n\
             exec {real} \"$@\"",
            old = worker.file(".git/xtask-migrate/old").display(),
            real = real.display()
        ),
    );
    let run = worker.xtask(COMMIT).path_first(&lab.path("bin")).run();
    assert_eq!(run.code, Some(1), "{run:?}");
    let words = "the migration is done, but these were saved while they were replaced:";
    assert!(run.stderr.contains(words), "{run:?}");
    assert!(
        worker
            .read(".git/xtask-kept/handler.py")
            .ends_with("# mine\n")
    );
    assert!(worker.read("handler.py").ends_with("# later\n"));
    assert_eq!(worker.status(), "");
    worker.expect_settled();
}

#[test]
fn a_lock_or_journal_that_is_no_file_is_refused_before_anything_is_written() {
    let lab = Lab::new();
    let worker = legacy(&lab);
    let lock = worker.file(".git/xtask-migrate.lock");
    let kinds: [(&str, &dyn Fn()); 3] = [
        ("a pipe", &|| pipe(&lock)),
        ("a link", &|| {
            std::os::unix::fs::symlink("../precious", &lock).unwrap();
        }),
        ("a directory", &|| std::fs::create_dir(&lock).unwrap()),
    ];
    for (kind, make) in kinds {
        make();
        let before = worker.state();
        for options in [MIGRATE, COMMIT, RESUME, &["--abort"]] {
            worker.migrate(options).refused(
                "[LAB]/worker/.git/xtask-migrate.lock is not a regular file",
                "remove it; this tool makes its own",
            );
        }
        worker.state().expect_same(&before, kind);
        assert!(lock.symlink_metadata().is_ok(), "{kind} was removed");
        assert!(!worker.has("precious"), "{kind} was followed");
        if lock.is_dir() {
            std::fs::remove_dir(&lock).unwrap();
        } else {
            std::fs::remove_file(&lock).unwrap();
        }
    }
    std::fs::create_dir(worker.file(".git/xtask-migrate")).unwrap();
    pipe(&worker.file(".git/xtask-migrate/journal.json"));
    for task in ["migrate", "status"] {
        let run = worker.task(task, &[]).run();
        let text = run.stdout.clone() + &run.stderr;
        assert!(
            text.contains("it is not a file of this tool"),
            "{task}: {run:?}"
        );
    }
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_folder_that_may_not_be_written() {
    let lab = Lab::new();
    let worker = legacy(&lab);
    let undisturbed = worker.copied("undisturbed");
    undisturbed.migrates(MIGRATE);
    worker.link(".runpod/link", "README.md");
    worker.commit("feat: a link");
    undisturbed.remove("");
    let undisturbed = worker.copied("undisturbed");
    undisturbed.migrates(MIGRATE);
    let before = worker.state();
    worker.chmod(".runpod", 0o555);
    let run = as_somebody(&lab, &worker, MIGRATE);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("Permission denied"), "{run:?}");
    assert!(run.stderr.contains("--resume"), "{run:?}");
    let copy = worker.copied("copy");
    for repo in [&worker, &copy] {
        repo.chmod(".runpod", 0o755);
    }
    let run = as_somebody(&lab, &worker, RESUME);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(as_somebody(&lab, &copy, &["--abort"]).code, Some(0));
    own(lab.path("").as_path(), rustix::process::getuid().as_raw());
    worker
        .state()
        .expect_same(&undisturbed.state(), "after --resume");
    copy.state().expect_same(&before, "after --abort");
}

/// Runs as a user whom permissions stop; root is stopped by none.
fn as_somebody(lab: &Lab, repo: &Repo, args: &[&str]) -> Run {
    use std::os::unix::process::CommandExt;
    let mut call = repo.xtask(args);
    if is_root() {
        const NOBODY: u32 = 65_534;
        // The tool is copied to where that user may go: root's own folder may be closed to others.
        // Another process writes it, since a program that is open for writing can't be started.
        let tool = lab.path("tool");
        if !tool.exists() {
            let tool = [env!("CARGO_BIN_EXE_xtask").as_ref(), tool.as_path()];
            assert!(Command::new("cp").args(tool).status().unwrap().success());
        }
        own(lab.path("").as_path(), NOBODY);
        call.start_with(&tool);
        call.command.uid(NOBODY).gid(NOBODY);
    }
    call.run()
}

fn own(path: &Path, user: u32) {
    std::os::unix::fs::lchown(path, Some(user), None).unwrap();
    if path.is_dir() && !path.is_symlink() {
        for item in std::fs::read_dir(path).unwrap() {
            own(&item.unwrap().path(), user);
        }
    }
}

#[test]
fn a_disk_that_really_is_full() {
    let lab = Lab::new();
    let worker = legacy(&lab);
    let undisturbed = worker.copied("undisturbed");
    undisturbed.migrates(MIGRATE);
    lab.path("disk");
    std::fs::create_dir(lab.path("disk")).unwrap();
    // A small disk that only this script sees. For less and less room: migrate, and when that
    // stops, make room and finish, and take a copy back.
    let script = r#"
        mount -t tmpfs -o size=4m disk "$LAB/disk" || exit 9
        cd "$LAB/disk" || exit 9
        for room in 400 300 200 150 100 75 50 25 10 5 0; do
            rm -rf worker fill copy
            cp -a "$LAB/worker" worker
            free=$(df -k --output=avail . | tail -n 1)
            head -c "$(( (free - room) * 1024 ))" /dev/zero > fill
            "$XTASK" -C worker migrate --upstream "$LAB/upstream" >/dev/null 2>"$LAB/err"
            code=$?
            rm fill
            if [ -e worker/.git/xtask-migrate/journal.json ]; then way=half; else way=none; fi
            cp -a worker copy
            if [ "$code" = 0 ]; then :
            elif [ $way = half ]; then "$XTASK" -C worker migrate --resume >/dev/null || exit 3
            else "$XTASK" -C worker migrate --upstream "$LAB/upstream" >/dev/null || exit 4
            fi
            if [ $way = half ]; then "$XTASK" -C copy migrate --abort >/dev/null || exit 5; fi
            [ -z "$(git -C copy status --porcelain)" ] || exit 6
            [ -z "$(git -C worker diff --name-only)" ] || exit 7
            echo "$room $code $way $(git -C worker ls-files --stage | grep -v upstream.lock | cksum)" \
                 "$(head -n 2 "$LAB/err" | tr '\n' ' ')"
        done
    "#;
    let mut command = Command::new("unshare");
    let known = worker.xtask(&[]).command;
    for (name, value) in known.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let output = command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .env("LAB", lab.path(""))
        .env("XTASK", env!("CARGO_BIN_EXE_xtask"))
        .output();
    let output = match output {
        Ok(output) if output.status.code() != Some(9) && output.status.code() != Some(1) => output,
        _ => {
            eprintln!("skipped: this machine lets nobody mount a small disk of their own");
            return;
        }
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{:?}\n{said}\n{problem}",
        output.status
    );
    let sums: std::collections::BTreeSet<&str> = said
        .lines()
        .map(|line| line.split(' ').nth(3).unwrap())
        .collect();
    assert_eq!(sums.len(), 1, "not the same result each time:\n{said}");
    let failed: Vec<&str> = said
        .lines()
        .filter(|line| line.split(' ').nth(1) == Some("1"))
        .collect();
    assert!(!failed.is_empty(), "the disk was never full:\n{said}");
    for line in failed {
        assert!(line.contains("No space left"), "{line}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_stops_nothing() {
    let lab = Lab::new();
    let worker = legacy(&lab);
    let mut command = worker.xtask(MIGRATE).command;
    let mut child = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    drop(child.stdout.take());
    let output = child.output();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
    worker.migrate(&["--abort"]).done();
}

#[test]
fn another_migrate_at_work_is_waited_for() {
    let lab = Lab::new();
    let worker = legacy(&lab);
    let held = std::fs::File::create(worker.file(".git/xtask-migrate.lock")).unwrap();
    held.lock().unwrap();
    let mut child = Running::start(worker.xtask(MIGRATE).command.stdout(Stdio::null()));
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it did not wait");
    drop(held);
    assert!(child.wait().unwrap().success());
}

fn which(program: &str) -> std::path::PathBuf {
    std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
        .unwrap()
}
