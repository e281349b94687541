//! Forks: what they started from, what they changed themselves, and whose decision a difference
//! is.

use serde_json::{Value, json};

use crate::support::{Lab, Repo, copy, example};

/// The official worker, a fork of it with a change in the engine's table, and an upstream.
fn fork(lab: &Lab) -> Repo<'_> {
    lab.upstream("upstream");
    let official = lab.legacy("official");
    official.edit("src/utils.py", "\n", "\n# second\n");
    official.commit("fix: the newest official revision");
    let worker = official.copied("worker");
    official.edit("src/utils.py", "\n", "\n# third\n");
    official.commit("fix: what the fork never saw");
    worker.edit(
        "src/engine.py",
        "    \"MODEL_NAME\": \"--model-path\",\n",
        "    \"MODEL_NAME\": \"--model-path\",\n    \"ATTENTION_BACKEND\": \"--attention-backend\",\n",
    );
    worker.commit("feat: ATTENTION_BACKEND");
    worker
}

const OFFICIAL: &[&str] = &["--upstream", "../upstream", "--official", "../official"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [OFFICIAL, more].concat()
}

fn baseline(worker: &Repo) -> Value {
    serde_json::from_str(&worker.read(".xtask/baseline.json")).unwrap()
}

#[test]
fn a_worker_for_something_else_is_refused_with_what_was_found() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.empty("worker");
    worker.write("README.md", "# Like the one for SGLang\n");
    worker.write("src/handler.py", "import runpod\nfrom vllm import LLM\n");
    worker.write("builder/requirements.txt", "vllm\nrunpod\n");
    worker.write(
        "Dockerfile",
        "FROM nvidia/cuda:12.4.1-base-ubuntu22.04\nCOPY builder/requirements.txt /r.txt\nRUN pip install -r /r.txt\nCOPY src /src\nCMD [\"python3\", \"/src/handler.py\"]\n",
    );
    worker.commit("feat: a worker for vLLM");
    let before = worker.everything();
    worker
        .task("status", &[])
        .run()
        .done()
        .says("layout    no worker for SGLang: no import, command, base image or requirement names")
        .says("cargo xtask hub-lint -C .\n")
        .says_not("migrate");
    worker.migrate(&["--upstream", "../upstream"]).refused(
        "[LAB]/worker is no worker for SGLang: no import, command, base image or requirement in it \
         names that: it is built on nvidia/cuda:12.4.1-base-ubuntu22.04 and it installs vllm, runpod",
        "name the worker's repository with `-C DIR`, or migrate this one all the same with --anyway",
    );
    worker.everything().expect_same(&before, "a refusal");
    worker
        .migrate(&["--upstream", "../upstream", "--anyway"])
        .done();
    // Nor is it told to move its handler first.
    let beside = lab.empty("beside");
    beside.write("handler.py", "import runpod\nfrom vllm import LLM\n");
    beside.commit("feat: a worker for vLLM");
    beside
        .migrate(&["--upstream", "../upstream"])
        .refused_like("migrate this one all the same with --anyway");
    // In the modern layout too, and not sent to --adopt.
    let modern = lab.empty("modern");
    modern.write("handler.py", "import runpod\nfrom vllm import LLM\n");
    modern.write(".runpod/hub.json", "{}\n");
    modern.write("Dockerfile", "FROM python:3.12\nCOPY handler.py /\n");
    modern.commit("feat: a modern worker for vLLM");
    modern
        .migrate(&["--upstream", "../upstream"])
        .refused_like("is no worker for SGLang");
}

#[test]
fn own_changes_are_told_and_auto_finds_what_they_are_changes_of() {
    let lab = Lab::new();
    let worker = fork(&lab);
    let base = worker.git(&["rev-parse", "HEAD~1"]);
    let run = worker.migrate(&with(&["--dry-run"])).done().says(
        "\nChanged by this fork since [OID], and not in the new files\n  src/engine.py\nTo merge \
         these changes into the new files:\n  cargo xtask migrate -C . --upstream ../upstream \
         --official ../official --carry auto --conflicts upstream\n",
    );
    assert!(run.stdout.contains("\nMoves\n"));
    const TYPED: &str = "cargo xtask migrate -C . --upstream ../upstream --official ../official";
    let carrying = format!("{TYPED} --carry auto --conflicts upstream");
    assert_eq!(run.next(), [&carrying, TYPED]);
    // Staged without them, it is taken back first.
    let plain = worker.copied("plain");
    let run = plain.migrate(&with(&[])).done();
    let abort = "cargo xtask migrate -C . --abort";
    assert_eq!(run.next()[4..], [abort, &carrying]);
    lab.types("plain", abort).done();

    worker
        .migrate(&with(&["--carry", "auto"]))
        .finds()
        .says("  this fork started from the official worker at [OID]\n")
        .says(
            "  engine.py: changed here and upstream in the same place\n    src/engine.py:12 \
             env:ATTENTION_BACKEND added: --attention-backend\n      nothing to carry: the new \
             worker's ATTENTION_BACKEND sets --attention-backend\n      line: `\"ATTENTION_BACKEND\": \
             \"--attention-backend\",`\n",
        );
    worker
        .migrate(&with(&["--carry", "auto", "--conflicts", "markers"]))
        .finds();
    worker.git(&["checkout", "--theirs", "engine.py"]);
    worker.git(&["add", "engine.py"]);
    worker.migrate(&["--resume", "--commit"]).done();
    let record = baseline(&worker);
    assert_eq!(record["base"]["commit"], json!(base));
    let own = record["base"]["own"].as_array().unwrap();
    assert!(own.contains(&json!("env:ATTENTION_BACKEND")), "{own:?}");
    assert!(!own.contains(&json!("env:MODEL_NAME")));
}

#[test]
fn a_change_is_told_at_the_place_that_the_fork_changed() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let official = lab.legacy("official");
    official.write(
        "src/backend.py",
        "import os\n\nprint(os.getenv(\"ATTENTION_BACKEND\"))\n",
    );
    official.edit("src/handler.py", "\n", "\nimport backend\n");
    official.commit("fix: tell the backend");
    let worker = official.copied("worker");
    worker.edit(
        "src/engine.py",
        "    \"MODEL_NAME\": \"--model-path\",\n",
        "    \"MODEL_NAME\": \"--model-path\",\n    \"ATTENTION_BACKEND\": \"--attention-backend\",\n",
    );
    worker.commit("feat: ATTENTION_BACKEND");
    worker
        .migrate(&with(&["--carry", "auto"]))
        .finds()
        .says("src/engine.py:12 env:ATTENTION_BACKEND ");
}

#[test]
fn upstreams_files_are_taken_with_a_word_on_what_they_lack() {
    let lab = Lab::new();
    let worker = fork(&lab);
    worker.write("src/prompts.py", "RULES = 'be kind'\n");
    worker.edit("builder/setup.sh", "curl git", "curl git jq");
    worker.commit("feat: a module, and a tool");
    worker.migrate(&with(&["--conflicts", "upstream"])).refused(
        "`--conflicts upstream` is for `--carry` and for another upstream, where `compare` \
             knows what was there before",
        "write the conflicts into the files with `--conflicts markers`",
    );
    worker
        .migrate(&with(&["--carry", "auto"]))
        .finds()
        .says("--carry auto --official ../official --conflicts upstream");
    worker
        .migrate(&with(&[
            "--carry",
            "auto",
            "--conflicts",
            "upstream",
            "--commit",
        ]))
        .done()
        .says("Not carried: upstream's file is taken\n")
        .says("  builder/setup.sh: changed here; what it installs belongs in the Dockerfile\n")
        .says("  engine.py: changed here and upstream in the same place\n")
        .says("src/engine.py:12 env:ATTENTION_BACKEND added: --attention-backend\n");
    let upstreams = lab.at("upstream").read(".runpod/engine.py");
    assert_eq!(worker.read("engine.py"), upstreams);
    assert_eq!(worker.read("prompts.py"), "RULES = 'be kind'\n");
    assert!(worker.read("outdated/builder/setup.sh").contains("jq"));
    assert!(!worker.has("builder/setup.sh"));
    worker.expect_settled();
    assert_eq!(worker.status(), "");
}

#[test]
fn the_forks_own_losses_lead_the_comparison() {
    let lab = Lab::new();
    let worker = fork(&lab);
    worker.edit(
        "src/engine.py",
        "    \"MODEL_NAME\": \"--model-path\",\n",
        "    \"MODEL_NAME\": \"--model-path\",\n    \"KV_CACHE_DTYPE\": \"--kv-cache-dtype\",\n",
    );
    worker.edit(
        "src/handler.py",
        "import runpod\n",
        "import runpod\n\nprint('a fork starts')\n",
    );
    worker.commit("feat: KV_CACHE_DTYPE, and a line that is no fact");
    worker.migrates(&with(&["--commit"]));
    let run = worker.compare(&[]).finds();
    let at = |words: &str| run.stdout.find(words).unwrap_or_else(|| panic!("{run:#?}"));
    let own = at("This fork's own changes since [OID]\n");
    let lost = at("missing env:KV_CACHE_DTYPE");
    let theirs = at("Upstream's decisions\n");
    let renamed = at("renamed env:MODEL_NAME");
    assert!(own < lost && lost < theirs && theirs < renamed, "{run:#?}");
    let code = at("missing code:src/handler.py\n");
    let told = at("The new worker lacks what this fork added here: `print(\"a fork starts\")`.");
    assert!(lost < code && code < told && told < theirs, "{run:#?}");
    let entries = worker.compare(&["--format", "json"]).finds().json();
    let entries = entries["entries"].as_array().unwrap().clone();
    assert_eq!(entries[0]["id"], "env:KV_CACHE_DTYPE");
    assert_eq!(entries[0]["origin"], "fork");
    assert_eq!(entries.last().unwrap()["origin"], "upstream");
}

#[test]
fn a_fork_without_its_history_is_known_by_its_files() {
    let lab = Lab::new();
    let from = fork(&lab);
    let worker = lab.empty("uploaded");
    for folder in ["src", "builder"] {
        crate::support::copy(&from.path.join(folder), &worker.path.join(folder));
    }
    for file in ["Dockerfile", "worker-config.json", "docker-bake.hcl"] {
        worker.write(file, from.bytes(file));
    }
    worker.commit("Add files via upload");
    let base = lab.at("official").git(&["rev-parse", "HEAD~1"]);
    worker
        .migrate(&with(&["--dry-run"]))
        .done()
        .says("Not as in [OID], which this fork is most like, and not in the new files\n")
        .says(" --carry auto --conflicts upstream\n")
        .says("  this fork is most like the official worker at [OID]: ")
        .says_not("history of this clone is cut");
    // What the fork changed is not among its objects: the official repository has it.
    worker
        .migrate(&with(&["--carry", "auto", "--conflicts", "markers"]))
        .finds()
        .says("env:ATTENTION_BACKEND added");
    worker.git(&["checkout", "--theirs", "engine.py"]);
    worker.git(&["add", "engine.py"]);
    worker.migrate(&["--resume", "--commit"]).done();
    assert_eq!(baseline(&worker)["base"]["commit"], json!(base));
}

#[test]
fn what_is_no_base_is_refused() {
    let lab = Lab::new();
    let worker = fork(&lab);
    const HELP: &str = "name the commit of the legacy worker that this fork started from: an \
                        ancestor of HEAD, or one of the official repository, which `--carry auto` \
                        looks for";
    worker.git(&["tag", "now"]);
    worker
        .migrate(&with(&["--carry", "now"]))
        .refused("now is HEAD itself, so nothing has changed since", HELP);
    let never_seen = lab.at("official").head();
    worker.migrate(&with(&["--carry", &never_seen])).refused(
        "[OID] is no ancestor of HEAD, which has the official [OID] as its newest, so this fork \
         did not start from it",
        HELP,
    );
    let later = worker.git(&["commit-tree", "HEAD^{tree}", "-m", "later"]);
    worker.git(&["tag", "later", &later]);
    worker.migrate(&with(&["--carry", "later"])).refused(
        "later is no ancestor of HEAD, so this fork did not start from it",
        HELP,
    );
    let other = lab.legacy("other");
    other.edit("src/engine.py", "import os\n", "import os  # other\n");
    other.commit("feat: of the same files, not of the official repository");
    lab.modern("modern");
    let args = [
        "--upstream",
        "../upstream",
        "--official",
        "../modern",
        "--carry",
        "auto",
    ];
    other.migrate(&[&args[..4], &["--dry-run"]].concat()).says(
        "  this worker is like no official revision, so what it changed itself is not known: `cargo \
         xtask migrate -C . --carry BASE` merges what changed since BASE into the new files\n",
    );
    other.migrate(&args).refused(
        "no official revision is an ancestor of HEAD or has the same files, so what this fork \
         started from is not known",
        "name it with `--carry BASE`, a commit of the official repository, or the repository that it \
         came from with `--official URL|DIR`",
    );
}

/// Changes between a base of one's own choice and the official one count on the wrong side.
#[test]
fn a_base_that_has_the_forks_own_changes_is_told_as_such() {
    let lab = Lab::new();
    let worker = fork(&lab);
    let official = worker.git(&["rev-parse", "HEAD~1"]);
    worker.edit("src/engine.py", "import os\n", "import os  # own\n");
    worker.commit("feat: a second change of its own");
    let note = "changes between the official [OID] and [OID] count as the base's, and not as this \
                fork's own: src/engine.py. `--carry auto` takes [OID]";
    let run = worker.migrate(&with(&["--carry", "HEAD~1", "--dry-run"]));
    run.says(note);
    let run = worker.migrate(&with(&["--carry", &official, "--dry-run"]));
    run.says_not("count as the base's");
}

/// What is missing of its history may hold the base.
#[test]
fn a_clone_with_a_cut_history_is_told_how_to_get_the_rest() {
    let lab = Lab::new();
    let from = fork(&lab);
    let address = format!("file://{}", from.path.display());
    from.git(&["clone", "-q", "--depth=1", &address, "../worker-shallow"]);
    let worker = lab.at("worker-shallow");
    const CUT: &str = "the history of this clone is cut: `git fetch --unshallow` brings the rest";
    for more in [&["--dry-run"][..], &["--carry", "auto"]] {
        worker
            .migrate(&with(more))
            .says("  this fork is most like the official worker at [OID]: ")
            .says(CUT);
    }
    let taken = worker.copied("taken");
    let upstream = ["--carry", "auto", "--conflicts", "upstream", "--commit"];
    taken.migrate(&with(&upstream)).done();
    // The base has its README too, which is no change of the fork's.
    let own = baseline(&taken)["base"]["own"].to_string();
    let has_readme = baseline(&taken)["facts"].to_string().contains("readme:");
    assert!(has_readme && !own.contains("readme:"), "{own}");
    worker.git(&["fetch", "-q", "--unshallow"]);
    worker
        .migrate(&with(&["--carry", "auto"]))
        .says("  this fork started from the official worker at [OID]\n")
        .says_not(CUT);
}

/// A fork that was made by copying files names what it started from, wherever that is.
#[test]
fn an_official_base_is_taken_for_another_history_too() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let official = lab.legacy("official");
    official.edit("src/utils.py", "\n", "\n# official\n");
    official.commit("fix: what the copy began with");
    let worker = lab.empty("worker");
    for path in official.paths() {
        worker.write(&path, official.read(&path));
        worker.append(&path, "\n");
    }
    worker.edit("src/utils.py", "# official\n", "# official\n# ours\n");
    worker.commit("feat: a copy, and nothing is as it was");
    let base = official.head();
    let carry = |base| with(&["--carry", base, "--conflicts", "upstream"]);
    worker
        .migrate(&[&carry(&base[..9])[..], &["--dry-run"]].concat())
        .done();
    worker
        .migrate(&carry(&base))
        .done()
        .says("Comes from upstream");
    assert_eq!(baseline(&worker)["base"]["commit"], json!(base));
}

/// Without a base nobody knows whether it is the fork's own.
#[test]
fn a_file_that_is_not_compared_is_told_without_a_base_too() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    worker.write("test_input.json", "{\"input\": {\"prompt\": \"ours\"}}\n");
    worker.commit("feat: a job to try");
    worker.migrates(&["--upstream", "../upstream", "--commit"]);
    let said = worker.compare(&[]).stdout;
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let told = "the old worker has another test_input.json, which is not compared: see outdated/";
    assert!(said.contains(told), "{said}");
}

/// Of an official repository elsewhere only the newest revisions are looked at.
#[test]
fn a_history_that_is_cut_is_told() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let official = lab.legacy("official");
    let worker = lab.empty("worker");
    copy(&example("legacy"), &worker.path);
    worker.edit("src/engine.py", "import os\n", "import os  # ours\n");
    worker.commit("feat: a copy without history");
    let mut commits = format!("reset refs/heads/main\nfrom {}\n\n", official.head());
    for _ in 0..60 {
        commits += "commit refs/heads/main\ncommitter a <a@example.com> 0 +0000\ndata 1\na\n";
    }
    official.git_input(&["fast-import", "--quiet", "--force"], commits.as_bytes());
    let address = format!("file://{}", official.path.display());
    let auto = [
        "--upstream",
        "../upstream",
        "--official",
        &address,
        "--carry",
        "auto",
    ];
    let cut = "only its newest 50 revisions were looked at; name a clone on this machine";
    let run = worker.migrate(&[&auto[..], &["--conflicts", "upstream", "--dry-run"]].concat());
    run.says("this fork is most like the official worker at [OID]: ")
        .says(cut);
    for path in worker.git(&["ls-files"]).lines() {
        worker.append(path, "\n");
    }
    worker.commit("feat: nothing is as it was");
    worker
        .migrate(&auto)
        .refused_like("what this fork started from is not known; only its newest 50 revisions");
}

#[test]
fn upstreams_reasons_are_taken_with_one_command() {
    let lab = Lab::new();
    let worker = fork(&lab);
    // Upstream was such a worker itself and says why it is not any more.
    let old = lab.at("official").copied("old");
    old.migrates(&["--upstream", "../upstream", "--commit"]);
    for (fact, reason) in [
        ("pip:*", "The new image brings its own."),
        ("env:*", "Variables were tidied up."),
    ] {
        old.compare(&["--accept", fact, "--reason", reason, "--yes"])
            .succeeds();
    }
    let upstream = old.copied("theirs");
    upstream.commit("docs: why");
    let open =
        |worker: &Repo| worker.compare(&["--format", "json"]).json()["summary"]["open"].clone();
    let args = [
        "--upstream",
        "../theirs",
        "--official",
        "../official",
        "--commit",
    ];
    worker.migrates(&args);
    let before = open(&worker);
    let run = worker
        .compare(&[])
        .finds()
        .says("upstream's decisions:\n")
        .says("Read why with --all, and take them with:\n")
        .says("cargo xtask compare -C . --accept-upstream\n");
    assert!(!run.stdout.contains("Variables were tidied up"), "{run:#?}");
    let why = "The new image brings its own.\n";
    worker.compare(&["--all"]).finds().says(why);
    let page = worker.compare(&["--format", "html"]).finds();
    page.says("s decisions</h2>")
        .says("The new image brings its own.</li>");
    let rest = ["--accept", "image:*", "--reason", "ours", "--yes"];
    worker
        .compare(&[&["--accept-upstream"], &rest[..]].concat())
        .done()
        .says("accepted for upstream's reasons: pip:")
        .says("image:*: accepted (");
    assert!(open(&worker).as_u64() < before.as_u64());
    let record = worker.read(".xtask/accepted.json");
    assert!(
        record.contains(&format!("\"upstream\":\"{}\"", upstream.head())),
        "{record}"
    );
    assert!(!record.contains("offered"), "{record}");
    // Taken already, they are in nobody's way.
    let again = ["--accept-upstream", "--accept", "pip:*"];
    worker
        .compare(&[&again[..], &["--reason", "ours", "--yes"]].concat())
        .done()
        .says("upstream offers no reason for what is open\npip:*: accepted (");
    worker.compare(&["--accept-upstream"]).refused(
        "upstream offers no reason for what is open",
        "give one with `cargo xtask compare -C . --accept FACT --reason TEXT`",
    );
}

#[test]
fn staged_markers_are_told_alike_by_status_and_resume() {
    let lab = Lab::new();
    let worker = fork(&lab);
    worker
        .migrate(&with(&["--carry", "auto", "--conflicts", "markers"]))
        .finds();
    worker.git(&["add", "engine.py"]);
    let run = worker
        .task("status", &[])
        .run()
        .done()
        .says("conflict markers of a migration are staged");
    const WAY_ON: &str = "bring each conflict back with `git checkout --merge FILE`, resolve it, \
                          stage it with `git add FILE`, then run `cargo xtask migrate -C . --resume`";
    let next = "git checkout --merge engine.py";
    assert_eq!(run.says(WAY_ON).next(), [next]);
    for again in [&["--resume"][..], &with(&[]), &["--upstream", "../other"]] {
        let what = "conflict markers of a migration are staged:\n  engine.py";
        worker.migrate(again).refused(what, WAY_ON);
    }
    lab.types("worker", next).succeeds();
    let unmerged = worker.git(&["diff", "--name-only", "--diff-filter=U"]);
    assert_eq!(unmerged, "engine.py");
}

#[test]
fn a_modern_fork_that_changes_its_upstream_keeps_what_it_had_on_record() {
    let lab = Lab::new();
    let official = lab.modern("official");
    official.write("hub_client.py", "def ask(): ...\n");
    official.commit("feat: a module that the next worker does without");
    let worker = official.copied("worker");
    let text = "import hub_client\nfrom engine import Engine\n\nengine = Engine()\n";
    worker.write("lb.py", text);
    worker.write("worker-config.json", "{}\n");
    worker.write("jobs/stage_volume.py", "import os\n");
    worker.commit("feat: a load balancer's entry");
    // Nothing tells where it came from but its files.
    worker
        .task("status", &[])
        .run()
        .done()
        .says("layout    modern")
        .says("migrate -C . --adopt main");
    worker
        .migrate(&["--adopt", "main", "--official", "../official", "--commit"])
        .done()
        .says("Upstream ../official at [OID] (main)\n")
        .says("  worker-config.json is left of the legacy layout")
        .says("take it out with `git rm -r worker-config.json`, or move it\n");
    lab.trust(&[lab.path("official"), lab.path("next")]);
    let next = official.copied("next");
    let modules = "COPY handler.py engine.py utils.py download_model.py requirements.txt ./";
    next.edit("Dockerfile", "COPY *.py requirements.txt ./", modules);
    next.edit("engine.py", "class Engine:", "class Server:");
    next.edit("handler.py", "import Engine", "import Server as Engine");
    next.remove("hub_client.py");
    next.commit("feat: the next worker");
    worker.write(".runpod/tests.disabled.json", "{}\n");
    worker.commit("chore: no tests for now");
    worker
        .migrate(&["--upstream", "../next"])
        .done()
        .says("  .runpod/tests.disabled.json stays where it is; the Hub reads nothing in .runpod/ but")
        .says("  .xtask/baseline.json keeps ")
        .says("COPY lb.py ./\n")
        .says_not("`jobs/stage_volume.py`")
        .says("  lb.py:1:1: `hub_client` is imported, and the new worker has no such module: ")
        .says("  lb.py:2:1: `Engine` is imported from engine.py, which has no such name");
    assert!(worker.has(".runpod/tests.disabled.json") && worker.has("worker-config.json"));
    let record = baseline(&worker);
    assert_eq!(record["base"]["commit"], json!(official.head()));
    worker.git(&["commit", "--quiet", "-m", "feat: another upstream"]);
    let json = worker.compare(&["--format", "json"]).json();
    assert!(json["summary"]["kept"].as_u64().unwrap() > 50, "{json:#?}");
    // What it imports in vain is told until somebody has fixed it.
    let said = worker.compare(&[]).stdout;
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let told = "lb.py:2:1 imports `Engine` from engine.py, which has no such name: it ends there.";
    assert!(said.contains(told), "{said}");
}

#[test]
fn what_a_modern_fork_took_out_stays_out() {
    let lab = Lab::new();
    let official = lab.modern("official");
    let worker = official.copied("worker");
    worker.remove(".runpod/tests.json");
    worker.remove("utils.py");
    worker.write("test_input.json", "{\"input\": {\"prompt\": \"ours\"}}\n");
    worker.commit("chore: no tests on the Hub");
    worker
        .migrate(&["--adopt", "main", "--official", "../official", "--commit"])
        .done();
    lab.trust(&[lab.path("official"), lab.path("next")]);
    let next = official.copied("next");
    next.edit(".runpod/tests.json", "{", "{ ");
    next.edit("utils.py", "\n", "\n\n");
    next.write("test_input.json", "{\"input\": {\"prompt\": \"theirs\"}}\n");
    next.commit("feat: the next worker");
    let options = [
        "--upstream",
        "../next",
        "--conflicts",
        "upstream",
        "--commit",
    ];
    worker.migrate(&options).done().says("removed here");
    // The image needs its modules.
    assert!(!worker.has(".runpod/tests.json") && worker.has("utils.py"));
    let said = worker.compare(&[]).stdout;
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        said.contains("this fork has its own test_input.json, which is not compared: `git show "),
        "{said}"
    );
}

#[test]
fn a_modern_fork_takes_another_upstreams_files_and_compare_tells_what_that_costs() {
    let lab = Lab::new();
    let official = lab.modern("official");
    let worker = official.copied("worker");
    let served = "import os\n\nRATE = os.getenv(\"OUR_RATE\", \"2\")\n\n\nclass Engine:";
    worker.edit("engine.py", "class Engine:", served);
    worker.commit("feat: a rate");
    worker
        .migrate(&["--adopt", "main", "--official", "../official", "--commit"])
        .done();
    lab.trust(&[lab.path("official"), lab.path("next")]);
    let next = official.copied("next");
    next.edit(
        "engine.py",
        "class Engine:",
        "class Engine:  # the next one",
    );
    next.commit("feat: the next worker");
    worker.migrate(&["--upstream", "../next"]).finds();
    worker
        .migrate(&[
            "--upstream",
            "../next",
            "--conflicts",
            "upstream",
            "--commit",
        ])
        .done()
        .says("Not carried: upstream's file is taken\n  engine.py: changed here and upstream")
        .says("env:OUR_RATE added: default 2\n");
    assert_eq!(worker.read("engine.py"), next.read("engine.py"));
    let entries = worker.compare(&["--format", "json"]).finds().json();
    assert_eq!(entries["entries"][0]["id"], "env:OUR_RATE");
    assert_eq!(entries["entries"][0]["origin"], "fork");
    let cleanup = worker.task("cleanup", &[]).run().done();
    cleanup.says("Nothing to clean up: there is no outdated/.\n\nBut compare has ");
}

#[test]
fn what_an_owner_changes_after_the_migration_is_the_forks_own() {
    let lab = Lab::new();
    let worker = fork(&lab);
    worker.migrates(&with(&[
        "--carry",
        "auto",
        "--conflicts",
        "upstream",
        "--commit",
    ]));
    let origins = |worker: &Repo| -> Vec<(String, String)> {
        let report = worker.compare(&["--format", "json"]).finds().json();
        let entries = report["entries"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let both = entries.map(|entry| (text(&entry["id"]), text(&entry["origin"])));
        both.collect()
    };
    let before = origins(&worker);
    assert!(
        before.iter().all(|(_, origin)| origin == "upstream"),
        "{before:?}"
    );
    worker.edit("Dockerfile", "HF_TRANSFER=1", "HF_TRANSFER=0");
    worker.commit("fix: what the owner wants");
    let after = origins(&worker);
    let own: Vec<&str> = after
        .iter()
        .filter(|(_, origin)| origin == "fork")
        .map(|(id, _)| &**id)
        .collect();
    assert_eq!(own, ["image:HF_HUB_ENABLE_HF_TRANSFER"], "{after:?}");
}
