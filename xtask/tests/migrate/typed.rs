//! The commands that are printed, typed as they stand and where the user stands.

use crate::support::{Lab, Repo, Run};

const MIGRATE: &[&str] = &["--upstream", "../upstream"];

/// Another repository than the worker's, in which the user stands.
fn elsewhere(lab: &Lab) -> Repo<'_> {
    let here = lab.empty("here");
    here.write("README.md", "# Something else\n");
    here.commit("docs: something else");
    here
}

/// `cargo xtask migrate -C ../worker`, from there.
fn migrate(here: &Repo, args: &[&str]) -> Run {
    here.xtask_at("../worker", args).run()
}

#[test]
fn a_folder_that_moves_is_not_named_afterwards() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    let before = worker.state();
    let run = || {
        let run = lab
            .at("")
            .xtask_at("worker/src", &["--upstream", "upstream"]);
        let run = run.run().done();
        assert!(!worker.has("src"));
        run.next()
    };
    let next = run();
    assert_eq!(
        next,
        [
            "git -C [LAB]/worker status",
            "git -C [LAB]/worker diff --cached",
            "git -C [LAB]/worker commit",
            "cargo xtask migrate -C [LAB]/worker --abort",
        ]
    );
    lab.types("", &next[0])
        .done()
        .says("outdated/src/engine.py");
    lab.types("", &next[3]).done().says("Taken back.");
    worker.state().expect_same(&before, "taken back");
    lab.types("", &run()[2]).done();
    assert_eq!(worker.git(&["log", "-1", "--format=%s"]), "typed");
    assert_eq!(worker.status(), "");
}

#[test]
fn who_stands_in_a_folder_that_moves_moves_along() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    let run = worker
        .xtask_at(".", &["--upstream", "../../upstream"])
        .dir(worker.file("src"))
        .run()
        .done();
    let next = run.next();
    assert_eq!(next[2], "git -C [LAB]/worker commit");
    lab.types("worker/outdated/src", &next[2]).done();
    assert_eq!(worker.status(), "");
}

#[test]
fn the_commands_for_another_repository_name_it() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let (here, worker) = (elsewhere(&lab), lab.legacy("worker"));
    let (legacy, standing) = (worker.head(), here.everything());

    worker.append("README.md", "not committed\n");
    let help = migrate(&here, MIGRATE).help();
    assert_eq!(help, ["git -C ../worker stash"]);
    lab.types("here", &help[0]).done();

    migrate(&here, MIGRATE).done();
    let help = migrate(&here, MIGRATE).help();
    assert_eq!(
        help,
        [
            "git -C ../worker commit",
            "cargo xtask migrate -C ../worker --abort"
        ]
    );
    lab.types("here", &help[0]).done();
    assert_eq!(worker.git(&["log", "-1", "--format=%s"]), "typed");

    let help = migrate(&here, &["--abort"]).help();
    assert_eq!(
        help,
        [
            "git -C ../worker revert COMMIT",
            "git -C ../worker reset --soft [OID]"
        ]
    );
    lab.types("here", &help[1].replace("[OID]", &legacy)).done();
    migrate(&here, &["--abort"]).done();
    assert!(worker.has("src/engine.py"));
    assert_eq!(worker.status(), "");
    here.everything()
        .expect_same(&standing, "where the user stands");
}

#[test]
fn conflicts_in_another_repository_are_staged_there() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    let (here, worker) = (elsewhere(&lab), lab.migrated("worker"));
    worker.append("handler.py", "# mine\n");
    worker.commit("feat: mine");
    upstream.append(".runpod/handler.py", "# theirs\n");
    upstream.commit("feat: theirs");
    migrate(&here, &["--conflicts", "markers"]).finds().says(
        "Resolve them, stage each with `git -C ../worker add` or `git -C ../worker rm`, then:",
    );
    let help = migrate(&here, &["--resume"]).help();
    assert_eq!(
        help[..2],
        ["git -C ../worker add FILE", "git -C ../worker rm FILE"]
    );
    worker.write("handler.py", "# both\n");
    lab.types("here", &help[0].replace("FILE", "handler.py"))
        .done();
    let next = migrate(&here, &["--resume"]).done().next();
    assert_eq!(next[2], "git -C ../worker commit");
    lab.types("here", &next[2]).done();
    assert_eq!(worker.status(), "");
}

#[test]
fn the_other_tasks_name_the_repository_too() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    worker.write(".xtask/accepted.json", "{\n");
    worker.commit("chore: break the reasons");
    let task = |dir: &str, name: &str| {
        let task = lab.at("").task(name, &[]);
        // Instead of the folder that it names itself.
        let mut again = std::process::Command::new(task.command.get_program());
        lab.environment(&mut again);
        again.current_dir(lab.path("")).args(["-C", dir, name]);
        lab.ended(again.output().unwrap())
    };
    assert_eq!(
        task("worker", "compare").help(),
        ["cargo xtask compare -C worker OLD"]
    );
    migrate(&elsewhere(&lab), MIGRATE).done();
    assert_eq!(
        task("worker", "compare").help(),
        ["git -C worker log -p -- .xtask/accepted.json"]
    );
    assert_eq!(
        task("worker/docs", "cleanup").help(),
        [
            "git -C [LAB]/worker commit",
            "cargo xtask migrate -C [LAB]/worker --abort"
        ]
    );
    let run = task("worker/docs", "status").done();
    let run = run.says("(`cargo xtask migrate -C [LAB]/worker --abort` takes it back)");
    let next = run.next();
    assert_eq!(next, ["git -C [LAB]/worker commit"]);
    lab.types("", &next[0]).done();
    assert_eq!(worker.status(), "");
}

/// A legacy worker, prepared, is migrated once what is printed has been typed.
#[track_caller]
fn typed_away(prepare: impl FnOnce(&Repo), typed: &str) -> Vec<String> {
    let lab = Lab::new();
    lab.upstream("upstream");
    let (here, worker) = (elsewhere(&lab), lab.legacy("worker"));
    prepare(&worker);
    let help = migrate(&here, MIGRATE).help();
    assert_eq!(help[0], typed);
    lab.types("here", &help[0]).succeeds();
    if !worker.status().is_empty() {
        worker.commit("chore: what was typed");
    }
    migrate(&here, MIGRATE).done();
    help
}

#[test]
fn a_submodule_is_taken_out() {
    let help = typed_away(
        |worker| {
            let part = worker.lab.empty("part");
            part.write("x", "x");
            part.commit("feat: x");
            let add = ["submodule", "--quiet", "add", "../part", "src/x"];
            worker.git(&[&["-c", "protocol.file.allow=always"], &add[..]].concat());
            worker.commit("feat: a submodule");
        },
        "git -C ../worker rm -- src/x",
    );
    assert_eq!(help[1], "git -C ../worker mv");
}

#[test]
fn a_check_leads_to_a_run_with_the_same_options() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    let (here, worker) = (elsewhere(&lab), lab.migrated("worker"));
    worker.append("handler.py", "# mine\n");
    worker.commit("feat: mine");
    upstream.append(".runpod/handler.py", "# theirs\n");
    upstream.commit("feat: theirs");
    let options = ["--upstream", "../upstream", "--rev", "main"];
    let check = [&options[..], &["--check", "--conflicts", "markers"]].concat();
    let next = migrate(&here, &check).finds().next();
    assert_eq!(
        next,
        [
            "cargo xtask migrate -C ../worker --upstream ../upstream --rev main --conflicts \
             markers"
        ]
    );
    lab.types("here", &next[0])
        .finds()
        .says("The conflicts are written with markers.");
    assert!(worker.read("handler.py").contains("<<<<<<< ours"));
}

#[test]
fn a_migration_in_a_stash_can_still_be_taken_back() {
    for look in ["--dry-run", "--check"] {
        let lab = Lab::new();
        lab.upstream("upstream");
        let worker = lab.legacy("worker");
        let before = worker.state();
        worker.migrates(MIGRATE);
        let staged = worker.state();
        worker.git(&["stash", "--quiet"]);
        let stashed = worker.everything();
        worker.migrate(&[MIGRATE, &[look]].concat());
        worker.everything().expect_same(&stashed, look);
        worker.git(&["stash", "pop", "--quiet", "--index"]);
        worker.state().expect_same(&staged, "back from the stash");
        worker.migrate(&["--abort"]).done().says("Taken back.");
        worker.state().expect_same(&before, "taken back");
        worker.expect_settled();
    }
}

#[test]
fn a_new_migration_takes_the_place_of_one_that_was_dropped() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    let before = worker.state();
    worker.migrates(MIGRATE);
    worker.git(&["reset", "--quiet", "--hard"]);
    worker.migrates(MIGRATE);
    worker.migrate(&["--abort"]).done();
    worker.state().expect_same(&before, "taken back");
    worker.expect_settled();
}
