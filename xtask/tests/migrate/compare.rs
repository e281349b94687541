//! What `cargo xtask compare` says of a worker that was migrated: from its files, from its
//! history, and when neither is there any more.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Lab, Repo, Run};

/// Each fact's verdict, and whether it is open.
type Verdicts = BTreeMap<String, (String, bool)>;

fn verdicts(run: &Run) -> Verdicts {
    assert!(matches!(run.code, Some(0 | 1)), "{run:#?}");
    let json = run.json();
    let facts = json["facts"].as_array().unwrap().iter();
    let of = |fact: &Value| {
        let text = |key: &str| fact[key].as_str().unwrap().to_owned();
        (text("id"), (text("verdict"), fact["open"] == true))
    };
    facts.map(of).collect()
}

fn of(repo: &Repo<'_>, args: &[&str]) -> Verdicts {
    verdicts(&repo.compare(&[args, &["--format", "json"]].concat()))
}

/// A worker that was migrated; the tag `v1` is the legacy one.
fn migrated(lab: &Lab) -> Repo<'_> {
    lab.upstream("upstream");
    let worker = lab.migrated("worker");
    let first = worker.git(&["rev-list", "--max-parents=0", "HEAD"]);
    worker.git(&["tag", "v1", &first]);
    worker
}

#[track_caller]
fn expect_same(one: &Verdicts, other: &Verdicts, when: &str) {
    let ids = one.keys().chain(other.keys());
    let differ: Vec<&String> = ids.filter(|id| one.get(*id) != other.get(*id)).collect();
    assert!(differ.is_empty(), "{when}: {differ:?}");
}

#[test]
fn revisions_of_a_repository_compare_like_the_folders_they_hold() {
    let lab = Lab::new();
    let worker = migrated(&lab);
    lab.legacy("legacy");
    let folders = of(&worker, &["../legacy", "."]);
    assert_eq!(folders["env:MODEL_NAME"], ("renamed".to_owned(), true));
    for names in [&["v1", "HEAD"][..], &["HEAD~2"], &["../legacy", "main"]] {
        expect_same(&of(&worker, names), &folders, &names.join(" "));
    }
    let run = worker.compare(&["v1", "HEAD"]).finds();
    assert!(run.stdout.starts_with("v1 → HEAD\n"), "{run:#?}");
    worker.compare(&["no-such-tag"]).refused(
        "no-such-tag is neither a directory nor a revision of this repository",
        "name a directory, a branch, a tag or a commit; in a shallow clone fetch it first",
    );
    worker
        .compare(&["--", "--output=x"])
        .unusable("revision \"--output=x\" begins with `-`; git would read it as an option");
    lab.empty("nothing").commit("chore: nothing yet");
    worker.compare(&["../nothing"]).refused(
        "./../nothing holds nothing that a worker exposes",
        "name the folder or the revision with the old worker's handler and Dockerfile",
    );
    worker
        .compare(&[""])
        .unusable("OLD and NEW are directories or revisions; one of them is empty");
    assert!(!worker.has("x"), "a name is never taken for git's option");
}

#[test]
fn what_upstream_has_is_put_together_from_the_lock() {
    let lab = Lab::new();
    let worker = migrated(&lab);
    let json = worker.compare(&["--format", "json"]).json();
    let facts = json["facts"].as_array().unwrap();
    let fact = |id: &str| facts.iter().find(|fact| fact["id"] == id).unwrap();
    assert_eq!(
        fact("env:MODEL_PATH")["upstream"]["flag"],
        "--model-path",
        "{:#}",
        fact("env:MODEL_PATH")
    );
    assert!(fact("env:MODEL_NAME")["upstream"].is_null());
    // It is what upstream gave, whatever became of the file since.
    worker.edit("engine.py", "MODEL_PATH", "MODEL_FOLDER");
    let run = worker.compare(&["--all"]).finds();
    let gone = run.says("upstream --model-path");
    gone.says("env:MODEL_FOLDER");
    // Without the objects there is no third column, and no complaint.
    let url = format!("file://{}", worker.path.display());
    worker.git(&["clone", "--quiet", "--depth", "1", &url, "../shallow"]);
    let shallow = lab.at("shallow");
    shallow.remove("engine.py");
    shallow.commit("chore: something else");
    shallow.compare(&[]).finds();
}

#[test]
fn the_baseline_that_migrate_wrote_stands_for_the_old_worker() {
    let lab = Lab::new();
    let worker = migrated(&lab);
    let with_files = of(&worker, &[]);
    let with_history = of(&worker, &["v1"]);
    expect_same(&with_files, &with_history, "with the history");
    for id in ["readme:MODEL_NAME", "bake:group.default"] {
        let verdict = with_files.get(id).map(|(verdict, _)| verdict.as_str());
        assert_ne!(verdict, Some("added"), "{id} was there before");
        assert!(verdict.is_some(), "{id}");
    }

    let url = format!("file://{}", worker.path.display());
    worker.git(&["clone", "--quiet", "--depth", "1", &url, "../shallow"]);
    let shallow = lab.at("shallow");
    expect_same(&of(&shallow, &[]), &with_files, "a shallow clone");
    shallow
        .compare(&["v1"])
        .refused_like("in a shallow clone fetch it first");
    shallow.remove("outdated");
    expect_same(&of(&shallow, &[]), &with_files, "without the old files");
    shallow.commit("chore: remove what retired");
    let run = shallow.compare(&[]).finds();
    assert!(
        run.stdout.starts_with(".xtask/baseline.json → "),
        "{run:#?}"
    );
    shallow.compare(&["--write-baseline"]).refused(
        ".xtask/baseline.json is there, and the old worker's files are not",
        "name the old worker: `cargo xtask compare -C . OLD --write-baseline`",
    );
    shallow.remove(".xtask/baseline.json");
    shallow.compare(&[]).refused(
        "there is neither outdated/ nor .xtask/baseline.json to compare with",
        "name the old worker: `cargo xtask compare -C . OLD`, a directory or a git revision",
    );
}

#[test]
fn a_baseline_says_what_it_was_made_of_and_not_where_that_lay() {
    let lab = Lab::new();
    let worker = migrated(&lab);
    let before = of(&worker, &[]);
    worker.compare(&["--write-baseline"]).done();
    let text = worker.read(".xtask/baseline.json");
    assert!(text.contains("\"of\": \"outdated\""), "{text}");
    assert!(!text.contains(&lab.path("").display().to_string()));
    expect_same(&of(&worker, &[]), &before, "nothing is forgotten by it");
    worker.write(".xtask/baseline.json", "{");
    worker
        .compare(&[])
        .refused_like("cargo xtask compare -C . OLD --write-baseline");
}

#[test]
fn migrate_writes_a_page_that_has_the_files_of_both_workers() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    let options = ["--upstream", "../upstream", "--commit"];
    let run = worker.migrate(&options).done();
    let said = "Side by side in a browser: ";
    let page = run.stdout.lines().find_map(|line| line.strip_prefix(said));
    assert!(page.unwrap().ends_with("/.git/compare.html"), "{run:?}");
    assert_eq!(worker.status(), "");
    let html = worker.read(".git/compare.html");
    let json = worker.compare(&["--format", "json"]).json();
    for entry in json["entries"].as_array().unwrap() {
        let id = entry["id"].as_str().unwrap();
        assert!(html.contains(&format!("<code>{id}</code>")), "{id}");
    }
    for part in [
        "<th class=\"o\">old: src/engine.py</th><th class=\"u\">upstream: engine.py</th><th class=\"n\">new: engine.py</th>",
        "<th class=\"o\">old: worker-config.json</th><th class=\"u\">upstream: .runpod/hub.json</th>",
        "<th class=\"o\">old: builder/requirements.txt</th>",
        "&quot;<del>MODEL_NAME</del>&quot;: &quot;--model-path&quot;,",
        "&quot;<ins>MODEL_PATH</ins>&quot;: &quot;--model-path&quot;,",
    ] {
        assert!(html.contains(part), "no {part}");
    }
    // What did not retire is read from the commit that the old worker was.
    let bake = "<th class=\"o\">old: docker-bake.hcl</th>";
    let is_same = html.contains("<code>docker-bake.hcl</code>");
    assert!(html.contains(bake) || is_same, "{html}");
    let diff = worker.compare(&["--diff"]);
    diff.says("--- old/src/engine.py\n+++ new/engine.py\n");
}

#[test]
fn what_only_runs_show_is_accepted_by_running_and_is_not_stale_without() {
    let lab = Lab::new();
    let worker = migrated(&lab);
    lab.legacy("the old one");
    let run = worker.compare(&["../the old one", "--execute"]);
    // The advice can be typed as it stands.
    let advice = "\n  cargo xtask compare -C . '../the old one' --execute --accept ";
    run.says(advice)
        .says("\nchanged run:job.bare-messages and 1 with it\n");
    let id = "run:job.bare-messages";
    let reason = ["--accept", id, "--reason", "it is meant"];
    worker
        .compare(&reason)
        .refused_like("what only runs can show is accepted with --execute");
    worker
        .compare(&[&["--execute"], &reason[..]].concat())
        .succeeds();
    assert_eq!(
        of(&worker, &["--execute"])[id],
        ("accepted".to_owned(), false)
    );
    let json = worker.compare(&["--format", "json"]).json();
    assert_eq!(json["stale"].as_array().unwrap().len(), 0);
}

#[test]
fn reasons_are_written_beside_the_new_worker() {
    let lab = Lab::new();
    let (here, other) = (migrated(&lab), lab.legacy("other"));
    lab.legacy("old");
    let change = |text: &str| text.replace("MODEL_NAME", "MODEL_ID");
    other.write("src/engine.py", change(&other.read("src/engine.py")));
    let reason = ["--reason", "it is meant", "--yes"];
    let accept = |new: &str| {
        let words = ["../old", new, "--accept", "env:*"];
        here.compare(&[&words[..], &reason[..]].concat())
    };
    accept("../other").done();
    assert!(other.read(".xtask/accepted.json").contains("it is meant"));
    assert!(here.git(&["status", "--porcelain"]).is_empty());
    accept("HEAD")
        .refused_like("HEAD is a revision, and reasons are written beside a worker's files");
    let run = here.compare(&["../old", "HEAD"]);
    run.says("in a checkout of the new worker reasons can be recorded");
}

#[test]
fn a_reason_is_taken_off_the_record_by_its_name() {
    let lab = Lab::new();
    let worker = migrated(&lab);
    let accept = |id: &str| {
        worker
            .compare(&["--accept", id, "--reason", "it is meant"])
            .done()
    };
    accept("pip:*");
    accept("env:MODEL_NAME");
    let before = worker.read(".xtask/accepted.json");
    let open = of(&worker, &[]);
    accept("hub:*");
    let run = worker.compare(&["--withdraw", "hub:*"]).done();
    assert_eq!(
        run.stdout,
        "hub:*: withdrawn; the reason was: it is meant\n"
    );
    assert_eq!(worker.read(".xtask/accepted.json"), before);
    expect_same(&of(&worker, &[]), &open, "what it answered for is open");

    // None of several goes where one is unknown, and no pattern takes others with it.
    for id in ["hub:*", "env:MODEL_NAM", "pip:anything", "*"] {
        worker
            .compare(&["--withdraw", "env:MODEL_NAME", "--withdraw", id])
            .refused(
                &format!("no reason for {id} is on record in .xtask/accepted.json"),
                "each is withdrawn by the name that it has there; `cargo xtask compare -C .` names \
                 those that are stale",
            );
        assert_eq!(worker.read(".xtask/accepted.json"), before, "{id}");
    }
    worker
        .compare(&["--withdraw", "env:MODEL_NAME", "--withdraw", "pip:*"])
        .done();
    assert_eq!(
        worker.read(".xtask/accepted.json"),
        "{\n\"version\": 2,\n\"accepted\": []\n}\n"
    );
    let run = worker.compare(&["--withdraw", "x", "--accept", "y", "--reason", "z"]);
    assert_eq!(run.code, Some(2), "{run:?}");
}

#[test]
fn reasons_that_are_bound_and_not_written_are_told() {
    let lab = Lab::new();
    let worker = migrated(&lab);
    let old = r#"{"version": 1, "accepted": [{"fact": "pip:*", "reason": "old"}]}"#;
    worker.write("compare.accepted.json", old);
    // The new place is taken.
    worker.write(".xtask/accepted.json/file", "");
    let run = worker.compare(&[]);
    assert_eq!(run.code, Some(1), "{run:#?}");
    let told = ".xtask/accepted.json is not written, and the next run binds the reasons again: ";
    assert!(run.stderr.contains(told), "{run:#?}");
    assert_eq!(worker.read("compare.accepted.json"), old);
}

#[test]
fn records_in_their_older_places_are_read_and_move_with_the_next_migration() {
    let lab = Lab::new();
    let worker = migrated(&lab);
    let accept = ["--accept", "env:MODEL_NAME", "--reason", "it is meant"];
    worker.compare(&accept).done();
    let before = of(&worker, &[]);
    let records = [
        (".xtask/upstream.lock.json", "upstream.lock.json"),
        (".xtask/baseline.json", "compare.baseline.json"),
        (".xtask/accepted.json", "compare.accepted.json"),
    ];
    for (place, older) in records {
        let text = worker.read(place);
        worker.write(older, &text);
        worker
            .compare(&["--format", "json"])
            .refused_like(&format!("git rm {older}"));
        worker.remove(place);
    }
    worker.commit("chore: the records where older versions kept them");
    expect_same(&of(&worker, &[]), &before, "the older places");
    // With nothing else to do, migrate puts them where they belong.
    worker.migrate(&["--commit"]).done();
    for (place, older) in records {
        assert!(worker.has(place) && !worker.has(older), "{older}");
    }
    expect_same(&of(&worker, &[]), &before, "the present places");
    worker.migrate(&["--check"]).done();
    // A reason that is written moves its record as well.
    let text = worker.read(".xtask/accepted.json");
    worker.write("compare.accepted.json", &text);
    worker.remove(".xtask/accepted.json");
    worker.compare(&["--withdraw", "env:MODEL_NAME"]).done();
    assert!(worker.has(".xtask/accepted.json") && !worker.has("compare.accepted.json"));
}
