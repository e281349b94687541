//! Both workers in, a command, the words out.

use super::judge::judge;
use super::*;
use xtask_core::tree::{Memory, Mode};

/// A worker in the legacy layout, small but with something of everything.
pub(super) fn legacy() -> Memory {
    Memory::new()
        .with("src/engine.py", r#"
import os, subprocess, requests
class Engine:
    def __init__(self, host="0.0.0.0", port=30000):
        self.base_url = f"http://{host}:{port}"
    def start(self):
        command = ["python3", "-m", "sglang.launch_server"]
        options = {
            "MODEL_NAME": "--model-path",
            "API_KEY": "--api-key",
            "FILE_STORAGE_PTH": "--file-storage-pth",
            "MAX_NUM_REQS": "--max-num-reqs",
            "RANDOM_SEED": "--random-seed",
        }
        for name, flag in options.items():
            value = os.getenv(name)
            if value:
                command.extend([flag, value])
        for name in ["DISABLE_FLASHINFER", "DISABLE_DISK_CACHE", "TRUST_REMOTE_CODE"]:
            if os.getenv(name, "").lower() in ("true", "1", "yes"):
                command.append("--" + name.lower().replace("_", "-"))
        subprocess.Popen(command)
    def wait(self):
        requests.get(f"{self.base_url}/v1/models")
    def shutdown(self):
        pass
"#)
        .with("src/handler.py", r#"
import os, requests, runpod
from engine import Engine
engine = Engine()
engine.start()
engine.wait()
def concurrency(default=300):
    return int(os.getenv("MAX_CONCURRENCY", default))
async def handler(job):
    job_input = job["input"]
    if job_input.get("openai_route"):
        yield requests.post(engine.base_url + job_input["openai_route"], json=job_input.get("openai_input"))
    else:
        yield requests.post(f"{engine.base_url}/generate", json=job_input)
runpod.serverless.start({"handler": handler, "concurrency_modifier": concurrency, "return_aggregate_stream": True})
"#)
        .with("Dockerfile", "FROM nvidia/cuda:12.1.0-base-ubuntu22.04\nRUN apt-get install -y curl\nCOPY builder/requirements.txt /requirements.txt\nRUN --mount=type=cache,target=/root/.cache/pip pip install -r /requirements.txt\nARG MODEL_NAME=\"\"\nENV MODEL_NAME=$MODEL_NAME PYTHONPATH=/:/old HF_HOME=/hf\nCOPY src /src\nRUN --mount=type=secret,id=HF_TOKEN true\nCMD [\"python3\", \"/src/handler.py\"]\n")
        .with("builder/requirements.txt", "runpod~=1.7.0\nhf-transfer\nray\n")
        .with("builder/setup.sh", "apt-get install -y openssh-server\n")
        .with("docker-bake.hcl", "target \"old\" {\n  args = { A = \"1\" }\n}\n")
        .with("worker-config.json", r#"{"versions": {"1": {"imageName": "i:1", "minimumCudaVersion": "12.1", "categories": [{"title": "C", "settings": ["NNODES"]}]}},
"schema": {
 "NNODES": {"env_var_name": "NNODES", "type": "number", "value": "", "title": "Nodes"},
 "MAX_CONCURRENCY": {"env_var_name": "MAX_CONCURRENCY", "type": "number", "value": 300},
 "FILE_STORAGE_PTH": {"env_var_name": "FILE_STORAGE_PTH", "type": "text", "value": ""},
 "RANDOM_SEED": {"env_var_name": "RANDOM_SEED", "type": "number", "value": 1},
 "TRUST_REMOTE_CODE": {"env_var_name": "TRUST_REMOTE_CODE", "type": "toggle", "value": false}}}"#)
        .with("README.md", "| Variable | Default |\n|---|---|\n| `RANDOM_SEED` | 1 |\n| `MAX_NUM_REQS` | |\n")
}

/// The same worker after a migration in which things got lost.
pub(super) fn modern() -> Memory {
    Memory::new()
        .with("engine.py", r#"
import os, subprocess, requests
class Engine:
    def __init__(self, host=os.getenv("HOST", "0.0.0.0"), port=int(os.getenv("PORT", 30000))):
        self.host = host
        self.port = port
        self.base_url = f"http://{host}:{port}"
    def start(self):
        command = ["python3", "-m", "sglang.launch_server", "--host", self.host, "--port", str(self.port)]
        options = {
            "MODEL_PATH": "--model-path",
            "API_KEY": "--api-key",
            "FILE_STORAGE_PATH": "--file-storage-path",
            "ATTENTION_BACKEND": "--attention-backend",
        }
        for name, flag in options.items():
            value = os.getenv(name)
            if value:
                command.extend([flag, value])
        for name in ["DISABLE_OUTLINES_DISK_CACHE", "TRUST_REMOTE_CODE"]:
            if os.getenv(name, "").lower() in ("true", "1"):
                command.append("--" + name.lower().replace("_", "-"))
        subprocess.Popen(command)
    def wait(self):
        requests.get(f"{self.base_url}/v1/models")
"#)
        .with("handler.py", r#"
import os, requests, runpod
from engine import Engine
engine = Engine()
engine.start()
engine.wait()
def concurrency(default=50):
    return int(os.getenv("MAX_CONCURRENCY", default))
async def handler(job):
    job_input = job["input"]
    if job_input.get("openai_route"):
        yield requests.post(engine.base_url + job_input["openai_route"], json=job_input.get("openai_input"))
    elif "messages" in job_input:
        yield requests.post(f"{engine.base_url}/v1/chat/completions", json=job_input)
    else:
        yield requests.post(f"{engine.base_url}/generate", json=job_input)
runpod.serverless.start({"handler": handler, "concurrency_modifier": concurrency})
"#)
        .with("Dockerfile", "FROM lmsysorg/sglang:v0.5.19-cu129\nCOPY requirements.txt ./\nRUN uv pip install -r requirements.txt\nARG MODEL_PATH=\"\"\nENV MODEL_PATH=$MODEL_PATH HF_HOME=/other\nCOPY handler.py engine.py ./\nCMD [\"python3\", \"handler.py\"]\n")
        .with("requirements.txt", "runpod>=1.12\n")
        .with(".runpod/hub.json", r#"{"title": "t", "config": {"allowedCudaVersions": ["12.6", "12.9"], "env": [
 {"key": "FILE_STORAGE_PATH", "input": {"name": "n", "type": "string"}},
 {"key": "RANDOM_SEED", "input": {"name": "n", "type": "string", "default": "2"}},
 {"key": "TRUST_REMOTE_CODE", "input": {"name": "n", "type": "boolean"}},
 {"key": "REASONING_PARSER", "input": {"name": "n", "type": "string", "options": [{"label": "l", "value": "llama4"}, {"label": "m", "value": "mistral"}]}}]}}"#)
        .with(".runpod/tests.json", r#"{"tests": [], "config": {"env": [{"key": "MODEL_NAME", "value": "x"}]}}"#)
        .with("README.md", "| Variable | Default |\n|---|---|\n| `MODEL_PATH` | |\n")
}

pub(super) fn compared(old: &Memory, new: &Memory) -> Vec<judge::Item> {
    judge(&Facts::read(old).unwrap(), &Facts::read(new).unwrap())
}

pub(super) fn report(items: Vec<judge::Item>) -> Report {
    Report {
        keeps_reasons: true,
        entries: entries::of(&items, None),
        old: Old {
            name: "old".to_owned(),
            ..Old::default()
        },
        new: Worker::read(Box::new(Memory::new())).unwrap(),
        upstream: None,
        bound: None,
        offered: std::collections::BTreeMap::new(),
        items,
        stale: Vec::new(),
        notes: Vec::new(),
        executed: None,
        all: false,
        command: "cargo xtask compare".to_owned(),
        commands: xtask_core::commands::Commands::default(),
        cleanup: None,
    }
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[test]
fn the_text_shows_a_summary_then_what_is_open_with_places_reasons_and_advice() {
    let text = plain(&report(compared(&legacy(), &modern())).text());
    assert!(text.starts_with("old → "), "{text}");
    assert!(text.contains("environment variables"));
    let renamed = "renamed env:MODEL_NAME → env:MODEL_PATH\n  old --model-path  src/engine.py:9:14\n  new --model-path  engine.py:11:14\n  Both drive --model-path, but";
    assert!(text.contains(renamed), "{text}");
    assert!(text.contains("help: Let the worker read MODEL_NAME too"));
    assert!(text.contains("with it: ") && text.contains("image:MODEL_NAME"));
    assert!(
        !text.contains("kept env:API_KEY"),
        "what is kept is shown with --all only"
    );
    let mut all = report(compared(&legacy(), &modern()));
    all.all = true;
    assert!(plain(&all.text()).contains("kept env:API_KEY"));
}

#[test]
fn a_command_to_copy_is_quoted_for_a_shell() {
    let dockerfile = |step: &str| format!("FROM python:3.11\n{step}COPY . /\n");
    let [old, new] = ["RUN ldconfig /a $B > /c\n", ""]
        .map(|step| Memory::new().with("Dockerfile", dockerfile(step)));
    let report = report(compared(&old, &new));
    let command = "--accept 'step:ldconfig /a $B > /c' --reason";
    assert!(plain(&report.text()).contains(command), "{}", report.text());
    assert!(
        report
            .html(&[])
            .contains(&command.replace('>', "&gt;").replace('\'', "&#39;")),
        "{}",
        report.html(&[])
    );
}

#[test]
fn json_has_the_documented_keys() {
    let text = report(compared(&legacy(), &modern())).json();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["version"], 1);
    let facts = json["facts"].as_array().unwrap();
    let fact = facts.iter().find(|f| f["id"] == "env:MODEL_NAME").unwrap();
    assert_eq!(fact["verdict"], "renamed");
    assert_eq!(fact["open"], true);
    assert_eq!(fact["now"], "env:MODEL_PATH");
    assert_eq!(fact["old"]["flag"], "--model-path");
    assert_eq!(fact["places"]["old"][0], "src/engine.py:9:14");
    for key in ["new", "why", "help", "reason", "part_of"] {
        assert!(fact.get(key).is_some(), "{key}");
    }
    let open = facts.iter().filter(|f| f["open"] == true).count();
    assert_eq!(json["summary"]["open"], open);
}

#[test]
fn files_are_compared_across_layouts() {
    let old = Memory::new()
        .with("src/engine.py", "a = 1\nport = 30000\nc\nb = 2\n")
        .with("worker-config.json", "{}\n");
    let new = Memory::new()
        .with("engine.py", "a = 1\nport = 30001\nc\nb = 2")
        .with(".runpod/hub.json", "{}\n\n");
    let before = OldFiles {
        tree: &old,
        is_whole: true,
    };
    let text = plain(&diffs(
        &pairs::of(Some(before), Some(&new), &new, &[]).unwrap(),
    ));
    let engine = "--- old/src/engine.py\n+++ new/engine.py\n@@ -1,4 +1,4 @@\n a = 1\n-port = 30000\n+port = 30001\n";
    assert!(text.contains(engine), "{text}");
    assert!(text.contains("\\ No newline at end of file"));
    assert!(text.contains("--- old/worker-config.json\n+++ new/.runpod/hub.json"));
    assert!(!text.contains("upstream/"), "what is the same is not shown");
    let all = diffs(&pairs::of(Some(before), Some(&old), &new, &[]).unwrap());
    assert!(all.contains("upstream/src/engine.py"));
}

#[test]
fn a_third_column_shows_what_upstream_has() {
    let mut with = report(compared(&legacy(), &modern()));
    with.upstream = Some(Worker::read(Box::new(modern())).unwrap());
    let text = plain(&with.text());
    assert!(text.contains("upstream not there"), "{text}");
    assert!(with.json().contains("\"upstream\""));
}

#[test]
fn the_baseline_says_the_same_as_the_tree_it_was_made_from() {
    let old = Facts::read(&legacy()).unwrap();
    let text = baseline::write(&old, "", None, None);
    assert!(text.lines().count() > old.all.len(), "one fact a line");
    assert!(!text.contains("\"title\""), "wording is not kept");
    let read = baseline::read(&text).unwrap().facts;
    let new = Facts::read(&modern()).unwrap();
    let verdicts = |old: &Facts| -> Vec<(String, judge::Verdict, bool)> {
        judge(old, &new)
            .into_iter()
            .map(|i| (i.id, i.verdict, i.open))
            .collect()
    };
    assert_eq!(verdicts(&old), verdicts(&read));
    assert_eq!(baseline::write(&read, "", None, None), text);
    let error = baseline::of_repository("{\"version\": 9}", BASELINE).unwrap_err();
    let refusal = error.downcast_ref::<UserError>().unwrap();
    assert_eq!(
        refusal.what,
        ".xtask/baseline.json can't be read: it is of version 9; this tool knows 2"
    );
    assert!(refusal.help.contains("--write-baseline"), "{refusal:?}");
    assert!(baseline::read("no").is_err());
}

#[test]
fn what_an_older_reader_did_not_see_makes_no_false_change() {
    let worker = |more: &str| {
        let dockerfile = format!("FROM a:1\nCOPY chat.jinja {more}\nRUN pip install --no-deps b\n");
        let tree = Memory::new().with("Dockerfile", dockerfile);
        Facts::read(&tree.with("chat.jinja", "x")).unwrap()
    };
    let (old, new) = (worker("/x/"), worker("/y/"));
    let mut record = old.clone();
    let open = |old: &Facts| -> Vec<String> {
        let items = judge(old, &new).into_iter().filter(|item| item.open);
        items.map(|item| item.id).collect()
    };
    assert_eq!(open(&old), ["copy:chat.jinja"]);
    record.is_older = true;
    assert_eq!(open(&record), ["copy:chat.jinja"]);
    let first = r#"{"version": 1, "facts": []}"#;
    record.is_first = baseline::read(first).unwrap().facts.is_first;
    assert!(open(&record).is_empty());
    record.is_first = false;
    let unseen = record.all.get_mut("copy:chat.jinja").unwrap();
    unseen.value.remove("to");
    assert!(open(&record).is_empty());
    record.all.remove("copy:chat.jinja");
    let value = facts::Fact::single("spec", "==2".to_owned(), Vec::new());
    record.all.insert("pip:lost".to_owned(), value);
    assert_eq!(open(&record), ["pip:lost"]);
}

#[test]
fn a_link_that_the_image_holds_is_a_file_of_it() {
    let dockerfile = "FROM a:1\nCOPY src /src\n";
    let worker = || {
        let tree = Memory::new().with("Dockerfile", dockerfile);
        tree.with("src/handler.py", "import runpod\n")
    };
    let link = |tree: Memory| tree.with_mode("src/chat.jinja", Mode::Symlink, "../chat.jinja");
    let open = |old: &Memory, new: &Memory| -> Vec<String> {
        let items = compared(old, new).into_iter().filter(|item| item.open);
        items.map(|item| item.id).collect()
    };
    assert_eq!(open(&link(worker()), &worker()), ["copy:chat.jinja"]);
    assert!(open(&link(worker()), &link(worker())).is_empty());
}

#[test]
fn a_key_is_only_looked_for_where_its_reader_knew_what_is_used() {
    let worker = |body: &str| {
        let text = format!(
            "import requests, runpod\n\n\ndef handler(job):\n    given = job['input']\n    url = 'http://localhost:30000/generate'\n{body}\n\nrunpod.serverless.start({{'handler': handler}})\n"
        );
        Facts::read(&Memory::new().with("handler.py", text)).unwrap()
    };
    let new = worker("    return requests.post(url, json=given).json()\n");
    let old = |body: &str, is_older: bool| {
        let mut facts = worker(body);
        if is_older {
            facts
                .all
                .insert("input:stop".to_owned(), facts::Fact::default());
        }
        Facts { is_older, ..facts }
    };
    let open = |old: &Facts| {
        let items = judge(old, &new);
        items
            .iter()
            .any(|item| item.id == "input:stop" && item.open)
    };
    let used = "    return requests.post(url, json={'stop': given.get('stop')}).json()\n";
    let looked_for = "    if 'stop' in given:\n        url += '/x'\n    return requests.post(url, json=given).json()\n";
    assert!(open(&old(looked_for, false)));
    assert!(!open(&old(used, false)));
    assert!(!open(&old(used, true)));
}

#[test]
fn reasons_turn_open_facts_into_accepted_ones_and_go_stale() {
    let mut items = compared(&legacy(), &modern());
    let mut accepted = Accepted::default();
    accepted.add(
        "env:MODEL_NAME",
        "announced in the release notes",
        false,
        accepted::values("env:MODEL_NAME", &items),
    );
    accepted.add(
        "pip:*",
        "the base image has them",
        false,
        accepted::values("pip:*", &items),
    );
    accepted.add(
        "pip:ray",
        "never imported",
        false,
        accepted::values("pip:ray", &items),
    );
    accepted.add(
        "env:GONE_LONG_AGO",
        "old",
        false,
        accepted::values("env:GONE_LONG_AGO", &items),
    );
    let stale = accepted.apply(&mut items);
    assert_eq!(stale.len(), 1);
    assert_eq!(stale[0].fact, "env:GONE_LONG_AGO");
    let of = |id: &str| items.iter().find(|item| item.id == id).unwrap();
    assert_eq!(of("env:MODEL_NAME").verdict, judge::Verdict::Accepted);
    assert!(!of("env:MODEL_NAME").open);
    assert_eq!(of("pip:ray").reason.as_deref(), Some("never imported"));
    assert_eq!(
        of("pip:hf-transfer").reason.as_deref(),
        Some("the base image has them")
    );
    let mut clean = report(Vec::new());
    clean.stale = stale;
    assert_eq!(clean.failures(), 1, "a stale reason is a finding");
    assert!(plain(&clean.text()).contains("stale env:GONE_LONG_AGO"));
}

fn write(root: &Path, tree: &Memory) {
    for path in tree.entries().keys() {
        let file = path.below(root);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, tree.read(path).unwrap()).unwrap();
    }
}

fn args(words: &[&str]) -> Args {
    use clap::{Args as _, FromArgMatches as _};
    let command = Args::augment_args(clap::Command::new("compare"));
    let matches = command.try_get_matches_from(["compare"].iter().chain(words));
    Args::from_arg_matches(&matches.unwrap()).unwrap()
}

#[test]
fn a_whole_session_from_outdated_to_accepted_and_without_the_old_files() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path();
    let compare = |words: &[&str]| run(Some(root), &args(words), &|_| Ok(Vec::new()));
    write(root, &modern());
    let nothing = compare(&[]).unwrap_err();
    assert!(nothing.to_string().contains("neither outdated/ nor"));
    write(&root.join("outdated"), &legacy());
    assert_eq!(compare(&[]).unwrap(), Outcome::Findings);
    assert_eq!(
        compare(&["outdated", ".", "--format", "json"]).unwrap(),
        Outcome::Findings
    );
    compare(&["--write-baseline"]).unwrap();
    fs_err::remove_dir_all(root.join("outdated")).unwrap();
    assert_eq!(compare(&["--format", "html"]).unwrap(), Outcome::Findings);
    let no_code = compare(&["--execute"]).unwrap_err();
    assert!(no_code.to_string().contains("no Python"));
    let wrong = compare(&["--accept", "env:NOTHING", "--reason", "x"]).unwrap_err();
    assert!(wrong.to_string().contains("matches nothing"));
    assert!(compare(&["--accept", "env:*", "--reason", " "]).is_err());
    let everything = compare(&["--accept", "*", "--reason", "a test"]).unwrap_err();
    assert!(everything.to_string().contains("would take in everything"));
    let open = Facts::read(&legacy()).map(|old| judge(&old, &Facts::read(&modern()).unwrap()));
    let open = open.unwrap();
    let ids = open
        .iter()
        .filter(|item| item.open)
        .map(|item| item.id.as_str());
    let mut all: Vec<&str> = ids.flat_map(|id| ["--accept", id]).collect();
    all.extend(["--reason", "a test"]);
    compare(&all).unwrap();
    assert_eq!(compare(&[]).unwrap(), Outcome::Done);
    // A worker that is compared with itself has nothing open.
    fs_err::remove_file(root.join(xtask_core::layout::ACCEPTED)).unwrap();
    assert_eq!(compare(&[".", "."]).unwrap(), Outcome::Done);
}

#[test]
fn what_the_old_worker_has_in_files_that_did_not_retire_is_known_from_the_record() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path();
    let dockerfile = "FROM python:3.11\nCOPY src /src\nCOPY templates /templates\nCOPY start.sh /\nCMD [\"bash\", \"/start.sh\"]\n";
    let handler = "import os\nprint(os.getenv('CACHE'))\n";
    let start = "#!/bin/bash\nexport CACHE=${CACHE:-/cache}\nexec python3 /src/handler.py\n";
    let stays = Memory::new()
        .with("templates/chat.jinja", "{{ bos_token }}")
        .with("start.sh", start);
    let retired = Memory::new()
        .with("src/handler.py", handler)
        .with("Dockerfile", dockerfile);
    write(root, &stays);
    write(root, &retired);
    let (record, _) = Exposed::read(&xtask_core::tree::Directory::open(root, |_| false).unwrap())
        .unwrap()
        .baseline("x", None, None);
    for name in ["src", "Dockerfile"] {
        let to = root.join("outdated").join(name);
        fs_err::create_dir_all(to.parent().unwrap()).unwrap();
        fs_err::rename(root.join(name), to).unwrap();
    }
    write(
        root,
        &Memory::new()
            .with(".xtask/baseline.json", record)
            .with("handler.py", handler)
            .with(
                "Dockerfile",
                "FROM python:3.11\nCOPY handler.py /\nCMD [\"python3\", \"/handler.py\"]\n",
            ),
    );
    let items = with_past(root).unwrap().items;
    let why = |id: &str| {
        let item = items.iter().find(|item| item.id == id);
        item.map_or("not there", |item| &*item.why)
    };
    let lost = "The new image doesn't hold this file.";
    assert_eq!(why("copy:templates/chat.jinja"), lost);
    assert_eq!(why("copy:start.sh"), lost);
    assert_eq!(why("env:CACHE"), "default was `/cache`, is nothing.");
}

#[test]
fn nothing_changes_between_a_worker_and_itself() {
    let open: Vec<_> = compared(&legacy(), &legacy())
        .into_iter()
        .filter(|i| i.old.is_some() && i.new.is_none())
        .collect();
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn a_baseline_says_how_many_facts_it_keeps() {
    let (text, count) = Exposed::read(&legacy())
        .unwrap()
        .baseline("the old one", None, None);
    assert!(text.contains("env:MODEL_NAME"));
    assert_eq!(baseline::read(&text).unwrap().facts.all.len(), count);
}

#[test]
fn facts_hold_no_secrets() {
    let token = format!("ghp_{}", "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3z");
    let dockerfile = format!(
        "FROM scratch\nENV HF_TOKEN={token} INDEX=https://u:s3cretpw@h/\n\
         ADD https://u:s3cretpw@h/x.tar /x\nRUN curl -H 'Authorization: Bearer {token}' https://h\n"
    );
    let packages = format!(
        "--extra-index-url https://u:s3cretpw@h/x\nray\ngit+https://{token}@github.com/x/y\n"
    );
    let tree = legacy()
        .with("Dockerfile", dockerfile)
        .with("builder/requirements.txt", packages);
    let facts = format!("{:?}", Facts::read(&tree).unwrap().all);
    assert!(facts.contains("(secret)"), "{facts}");
    assert!(
        !facts.contains("s3cretpw") && !facts.contains(&token),
        "{facts}"
    );
}

#[test]
fn a_reason_of_version_1_is_bound_once() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path();
    let compare = |words: &[&str]| run(Some(root), &args(words), &|_| Ok(Vec::new()));
    write(root, &modern());
    write(&root.join("outdated"), &legacy());
    let file = root.join(xtask_core::layout::ACCEPTED);
    fs_err::create_dir_all(file.parent().unwrap()).unwrap();
    let first = r#"{"version": 1, "accepted": [{"fact": "env:*", "reason": "old"}]}"#;
    fs_err::write(&file, first).unwrap();
    let read = || fs_err::read_to_string(&file).unwrap();
    // A comparison that only reads, or that names another worker, leaves the record as it is.
    let looked = super::compare(None, root, &Args::default()).unwrap();
    let note = "`cargo xtask compare` binds them to what is open";
    let words = looked.text();
    let words: Vec<&str> = words.split_whitespace().collect();
    assert!(words.join(" ").contains(note));
    compare(&["outdated", "."]).unwrap();
    assert_eq!(read(), first);
    compare(&[]).unwrap();
    let bound = Accepted::read(&read()).unwrap();
    assert!(read().contains("\"env:MODEL_NAME\":"));
    // What the pattern would take in later is open.
    let less = modern().with("engine.py", "");
    write(root, &less);
    compare(&[]).unwrap();
    assert_eq!(Accepted::read(&read()).unwrap(), bound);
    let mut items = compared(&legacy(), &less);
    bound.apply(&mut items);
    let open = items.iter().find(|item| item.id == "env:API_KEY").unwrap();
    assert!(open.open);
}

#[test]
fn a_form_beside_hub_json_is_said_to_be_passed_over() {
    let form = |more: &str| {
        let hub = r#"{"config": {"env": [{"key": "A_ONE", "input": {"type": "string"}}]}}"#;
        let text = format!(
            r#"{{"schema": {{"A_ONE": {{"env_var_name": "A_ONE"}}, "B_TWO": {{"env_var_name": "{more}"}}}}}}"#
        );
        let tree = Memory::new().with(".runpod/hub.json", hub);
        Facts::read(&tree.with("worker-config.json", text)).unwrap()
    };
    let said = |facts: Facts| facts.passed_over.unwrap();
    assert!(said(form("B_TWO")).ends_with("it offers what hub.json does not: B_TWO"));
    assert!(said(form("A_ONE")).ends_with("because the Hub shows what hub.json says"));
}
