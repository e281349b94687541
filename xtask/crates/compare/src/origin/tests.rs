//! What became of a fork's changes, and what upstream's reasons are offered for.

use super::super::entries;
use super::super::judge::judge;
use super::super::tests::{legacy, modern};
use super::*;
use xtask_core::layout::ACCEPTED;
use xtask_core::tree::Memory;

fn read(tree: &Memory) -> Exposed {
    Exposed::read(tree).unwrap()
}

/// The legacy worker with a flag that is set by a variable and one that is fixed.
fn fork() -> Memory {
    let engine = legacy().read_file("src/engine.py").unwrap().unwrap();
    let engine = String::from_utf8(engine).unwrap().replace(
        "\"API_KEY\": \"--api-key\",",
        "\"API_KEY\": \"--api-key\",\n            \"ATTENTION_BACKEND\": \"--attention-backend\",",
    );
    legacy().with("src/engine.py", engine)
}

#[test]
fn what_a_fork_changed_comes_before_what_upstream_decided() {
    let (base, fork, new) = (read(&legacy()), read(&fork()), read(&modern()));
    let since = OwnChanges::of(&base.0, &fork.0, "abc");
    assert!(since.own.contains("env:ATTENTION_BACKEND"), "{since:?}");
    assert!(!since.own.contains("env:MODEL_NAME"));
    let changes = fork.changes(&base, &new);
    let change = changes
        .iter()
        .find(|change| change.id == "env:ATTENTION_BACKEND");
    let change = change.unwrap();
    assert_eq!(change.path, "src/engine.py");
    assert_eq!(
        change.now,
        "nothing to carry: the new worker's ATTENTION_BACKEND sets --attention-backend"
    );
    let same = OwnChanges::of(&base.0, &base.0, "abc");
    assert!(same.own.is_empty(), "{same:?}");
    // The one that the new worker lacks leads, whatever else is open.
    let engine = modern().read_file("engine.py").unwrap().unwrap();
    let engine = String::from_utf8(engine)
        .unwrap()
        .replace("\"ATTENTION_BACKEND\": \"--attention-backend\",", "");
    let lacking = read(&modern().with("engine.py", engine));
    let entries = entries::of(&judge(&fork.0, &lacking.0), Some(&since));
    assert_eq!(entries[0].id, "env:ATTENTION_BACKEND");
    assert_eq!(entries[0].origin, Some("fork"));
    assert_eq!(entries[1].origin, Some("upstream"));
}

#[test]
fn what_to_do_follows_from_what_is_open() {
    let worker = |engine: &str| {
        let text = format!(
            "import os, subprocess\ncommand = ['python3', '-m', 'sglang.launch_server']\n{engine}subprocess.Popen(command)\n"
        );
        let image = "FROM lmsysorg/sglang:v0.5.19-cu129\nCOPY engine.py /\nCMD [\"python3\", \"/engine.py\"]\n";
        Memory::new()
            .with("engine.py", text)
            .with("Dockerfile", image)
    };
    let switch = |default: &str| {
        format!(
            "if os.getenv('ENABLE_MIXED_CHUNK', '{default}').lower() in ('true', '1', 'yes'):\n    command.append('--enable-mixed-chunk')\n"
        )
    };
    let parser = "if os.getenv('TOOL_CALL_PARSER'):\n    command.extend(['--tool-call-parser', os.getenv('TOOL_CALL_PARSER')])\n";
    let told = |fork: &str, new: &str, id: &str| -> String {
        let [base, fork, new] = ["", fork, new].map(|engine| read(&worker(engine)));
        let changes = fork.changes(&base, &new).into_iter();
        let mut found = changes.filter(|change| change.id == id);
        found.next().unwrap().now
    };
    // Off by default is what the new worker does too.
    let id = "env:ENABLE_MIXED_CHUNK";
    assert_eq!(
        told(&switch("False"), &switch(""), id),
        "nothing to carry: the new worker's ENABLE_MIXED_CHUNK sets --enable-mixed-chunk"
    );
    assert!(told(&switch("True"), &switch(""), id).starts_with("set ENABLE_MIXED_CHUNK=True "));
    // Another file's default is not passed to SGLang.
    let named = "if os.getenv('TOOL_CALL_PARSER'):\n    command.extend(['--tool-call-parser', os.getenv('TOOL_CALL_PARSER')])\n";
    let read = |own: &str| {
        let engine = format!("import handler\n{named}");
        Exposed::read(&worker(&engine).with("handler.py", own).with(
            "Dockerfile",
            "FROM lmsysorg/sglang:v0.5.19-cu129\nCOPY *.py /\nCMD [\"python3\", \"/engine.py\"]\n",
        ))
        .unwrap()
    };
    let own = "import os\nprint(os.getenv('TOOL_CALL_PARSER', 'unknown'))\n";
    let changes = read(own).changes(&read(""), &read(""));
    let change = changes
        .iter()
        .find(|change| change.id == "env:TOOL_CALL_PARSER");
    let now = &change.unwrap().now;
    assert!(
        now.starts_with("with it unset, `unknown` was passed, "),
        "{now}"
    );
    // What only some endpoints were given is nothing to set for all.
    let for_some = "if os.getenv('TOOLS'):\n    command.extend(['--tool-call-parser', 'qwen25'])\n";
    let told = told(
        &format!("{parser}{for_some}"),
        parser,
        "flag:--tool-call-parser",
    );
    assert!(
        told.starts_with("TOOL_CALL_PARSER or TOOLS decided whether `qwen25` is passed"),
        "{told}"
    );
}

const FORM: &str = r#"{"versions": {}, "schema": {"ATTENTION_BACKEND": {
    "env_var_name": "ATTENTION_BACKEND", "value": "triton", "type": "text"}}}"#;

#[test]
fn nothing_is_to_carry_only_where_the_code_around_it_is_there_too() {
    let told = |own: &str, new: &str| -> String {
        let start = "runpod.serverless.start({'handler': lambda job: handler(job)})";
        let handler = format!("import os, runpod\n{start}\n\ndef handler(job):\n");
        let [base, fork, new] = ["    go(job)\n", own, new]
            .map(|body| read(&Memory::new().with("src/handler.py", format!("{handler}{body}"))));
        let changes = fork.changes(&base, &new).into_iter();
        let mut found = changes.filter(|change| change.id == "env:LIMIT");
        found.next().unwrap().now
    };
    let reads = "    if os.getenv('LIMIT'):\n        return go(job)\n";
    let refuses = format!("{reads}    refuse(status=429)\n");
    let kept = "the new worker reads LIMIT too";
    assert_eq!(told(reads, reads), format!("{NOTHING}{kept}"));
    assert_eq!(told(&refuses, &refuses), format!("{NOTHING}{kept}"));
    let open = "`compare` has open beside it: code:src/handler.py:handler";
    assert_eq!(told(&refuses, reads), format!("{kept}; {open}"));
    // What else the line does is told with it.
    let yields =
        "    if (n := os.getenv('LIMIT')):\n        return {'text': go(job), 'limit': n}\n";
    let plain = "    if os.getenv('LIMIT'):\n        return {'text': go(job)}\n";
    let joined = yields.replace(":\n        ", ": ");
    let now = told(&joined, plain);
    assert!(now.contains("open beside it: result:limit"), "{now}");
    // Its default in the form may be gone where the variable is not.
    let form = fork().with("worker-config.json", FORM);
    let changes = read(&form).changes(&read(&legacy()), &read(&modern()));
    let mut found = changes
        .iter()
        .filter(|change| change.id == "env:ATTENTION_BACKEND");
    let now = &found.next().unwrap().now;
    let beside = "sets --attention-backend; `compare` has open beside it: hub:ATTENTION_BACKEND";
    assert!(now.contains(beside), "{now}");
}

#[test]
fn upstreams_reasons_are_offered_for_the_same_value_alone() {
    let (base, fork) = (read(&legacy()), read(&fork()));
    let text = r#"{"version": 2, "accepted": [
        {"fact": "serverless:ret*", "reason": "jobs stream"},
        {"fact": "env:MAX_NUM_REQS", "reason": "gone"},
        {"fact": "pip:ray", "reason": "of another value", "of": {"pip:ray": "0"}}]}"#;
    let (record, _) = base.baseline("old", None, None);
    let upstream = Memory::new().with(ACCEPTED, text).with(BASELINE, record);
    let mine = Memory::new();
    let offered = fork.offered(&base, &mine, &upstream, "c0ffee").unwrap();
    let offered = Accepted::read(&offered.unwrap()).unwrap();
    let mut items = judge(&fork.0, &read(&modern()).0);
    let shown = offered.offered_for(&items);
    let ids: Vec<&str> = shown.keys().map(String::as_str).collect();
    assert_eq!(ids, ["serverless:return_aggregate_stream"]);
    // They answer for nothing until they are taken.
    let open = |items: &[Item]| {
        items
            .iter()
            .any(|item| item.id == "serverless:return_aggregate_stream" && item.open)
    };
    offered.apply(&mut items);
    assert!(open(&items));
    let mut taken = offered.clone();
    assert_eq!(
        taken.take_offered(&items),
        ["serverless:return_aggregate_stream"]
    );
    taken.apply(&mut items);
    assert!(!open(&items));
    assert!(taken.write().contains("\"upstream\":\"c0ffee\""));
    // A fork's own change is nobody else's to explain.
    let handler = legacy().read_file("src/handler.py").unwrap().unwrap();
    let handler = String::from_utf8(handler)
        .unwrap()
        .replace("stream\": True", "stream\": False");
    let own = read(&legacy().with("src/handler.py", handler));
    assert_eq!(
        own.offered(&base, &mine, &upstream, "c0ffee").unwrap(),
        None
    );
}
