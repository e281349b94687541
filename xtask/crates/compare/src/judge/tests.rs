//! Old and new facts, and the verdicts on them.

mod image;

use super::super::tests::{compared, legacy, modern};
use super::*;
use xtask_core::tree::{Memory, Tree};

fn of<'a>(items: &'a [Item], id: &str) -> &'a Item {
    items
        .iter()
        .find(|item| item.id == id)
        .unwrap_or_else(|| panic!("no {id}"))
}

#[track_caller]
fn expect(items: &[Item], id: &str, verdict: Verdict, open: bool) {
    let item = of(items, id);
    assert_eq!(
        (item.verdict, item.open),
        (verdict, open),
        "{id}: {}",
        item.why
    );
}

#[test]
fn every_verdict_stands_in_one_comparison() {
    let unread = legacy().with("builder/x.py", "import os\nos.getenv(input())\n");
    let dockerfile = unread.read_file("Dockerfile").unwrap().unwrap();
    let dockerfile =
        String::from_utf8(dockerfile).unwrap() + "COPY builder/x.py /\nRUN python3 /x.py\n";
    let unread = unread.with("Dockerfile", dockerfile);
    let mut items = compared(&unread, &modern());
    items[0].verdict = Verdict::Accepted;
    for (verdict, _) in Verdict::ALL {
        assert!(
            items.iter().any(|item| item.verdict == verdict),
            "{verdict:?}"
        );
    }
}

#[test]
fn variables_are_renamed_by_the_role_they_play() {
    let items = compared(&legacy(), &modern());
    for (old, new) in [
        ("MODEL_NAME", "MODEL_PATH"),
        ("FILE_STORAGE_PTH", "FILE_STORAGE_PATH"),
        ("DISABLE_DISK_CACHE", "DISABLE_OUTLINES_DISK_CACHE"),
    ] {
        let id = format!("env:{old}");
        expect(&items, &id, Verdict::Renamed, true);
        assert_eq!(of(&items, &id).now, Some(format!("env:{new}")));
        assert!(of(&items, &id).help.contains(old));
    }
}

#[test]
fn of_several_names_the_new_one_is_the_old_one_without_its_prefix_or_the_flags() {
    let worker = |names: &[(&str, &str)]| {
        let flag = |(name, flag): &(&str, &str)| {
            format!("if os.getenv('{name}'):\n    command += ['{flag}', os.getenv('{name}')]\n")
        };
        let flags: String = names.iter().map(flag).collect();
        let head =
            "import os\nimport subprocess\ncommand = ['python3', '-m', 'sglang.launch_server']\n";
        Memory::new().with(
            "engine.py",
            format!("{head}{flags}subprocess.run(command)\n"),
        )
    };
    let backend = "--attention-backend";
    let model = "--model-path";
    let new = worker(&[
        ("FLASHMLA", backend),
        ("ATTENTION_BACKEND", backend),
        ("MODEL", model),
        ("MODEL_NAME", model),
        ("MODEL_PATH", model),
    ]);
    let old = [
        ("SGL_ATTENTION_BACKEND", backend),
        ("ATTENTION_BACKEND", backend),
        ("KERNELS", backend),
        ("SGL_MODEL_NAME", model),
        ("WEIGHTS", model),
    ];
    let items = compared(&worker(&old), &new);
    for (old, new) in [
        ("SGL_ATTENTION_BACKEND", "ATTENTION_BACKEND"),
        ("KERNELS", "ATTENTION_BACKEND"),
        ("SGL_MODEL_NAME", "MODEL_NAME"),
        ("WEIGHTS", "MODEL_PATH"),
    ] {
        let now = of(&items, &format!("env:{old}")).now.as_deref();
        assert_eq!(now, Some(&*format!("env:{new}")));
    }
}

#[test]
fn a_flag_that_sglang_dropped_is_retired_and_names_what_to_set() {
    let items = compared(&legacy(), &modern());
    expect(&items, "env:MAX_NUM_REQS", Verdict::Retired, false);
    assert!(
        of(&items, "env:MAX_NUM_REQS")
            .why
            .contains("--max-running-requests comes nearest")
    );
    expect(&items, "env:DISABLE_FLASHINFER", Verdict::Retired, false);
    assert_eq!(
        of(&items, "env:DISABLE_FLASHINFER").help,
        "Set ATTENTION_BACKEND=triton instead."
    );
    // One that SGLang still takes is missing.
    expect(&items, "env:RANDOM_SEED", Verdict::Missing, true);
    assert!(of(&items, "env:RANDOM_SEED").why.contains("still takes"));
    // The flags go with their variables.
    assert_eq!(
        of(&items, "flag:--random-seed").part_of.as_deref(),
        Some("env:RANDOM_SEED")
    );
}

#[test]
fn an_old_name_that_still_works_is_kept() {
    let engine_on = |base: &str, options: &str| {
        Memory::new()
            .with("Dockerfile", format!("FROM {base}\n"))
            .with("engine.py", format!("import os, subprocess\ncommand = ['-m', 'sglang.launch_server']\nfor name, flag in {options}.items():\n    if os.getenv(name):\n        command.extend([flag, os.getenv(name)])\nsubprocess.Popen(command)\n"))
    };
    let engine = |options: &str| engine_on("lmsysorg/sglang:v0.5.19-cu129", options);
    let items = compared(
        &engine(
            "{'FILE_STORAGE_PTH': '--file-storage-pth', 'TENSOR_PARALLEL_SIZE': '--tensor-parallel-size'}",
        ),
        &engine(
            "{'FILE_STORAGE_PTH': '--file-storage-path', 'FILE_STORAGE_PATH': '--file-storage-path', 'TENSOR_PARALLEL_SIZE': '--tp-size'}",
        ),
    );
    expect(&items, "env:FILE_STORAGE_PTH", Verdict::Kept, false);
    expect(&items, "env:TENSOR_PARALLEL_SIZE", Verdict::Kept, false);
    // Passing a flag that the pinned release lacks ends its server.
    let passes = "{'ENABLE_X': '--enable-mla'}";
    let items = compared(&engine_on("own/sglang:1", passes), &engine(passes));
    expect(&items, "env:ENABLE_X", Verdict::Retired, true);
    assert!(of(&items, "env:ENABLE_X").why.contains("exit code 2"));
    // Where it did so before nothing is lost.
    let items = compared(&engine(passes), &engine(passes));
    expect(&items, "env:ENABLE_X", Verdict::Kept, false);
}

#[test]
fn defaults_and_words_that_switch_on_are_compared() {
    let items = compared(&legacy(), &modern());
    expect(&items, "env:MAX_CONCURRENCY", Verdict::Changed, true);
    assert!(
        of(&items, "env:MAX_CONCURRENCY")
            .why
            .contains("default was `300`, is `50`")
    );
    expect(&items, "env:TRUST_REMOTE_CODE", Verdict::Changed, true);
    assert!(
        of(&items, "env:TRUST_REMOTE_CODE")
            .why
            .contains("`yes` no longer switches it on")
    );
}

#[test]
fn routes_input_settings_and_the_api() {
    let items = compared(&legacy(), &modern());
    expect(&items, "route:/generate", Verdict::Kept, false);
    expect(&items, "route:/v1/chat/completions", Verdict::Added, false);
    expect(&items, "input:messages", Verdict::Added, false);
    expect(&items, "input:openai_route", Verdict::Kept, false);
    expect(
        &items,
        "serverless:return_aggregate_stream",
        Verdict::Missing,
        true,
    );
    expect(&items, "python:Engine.shutdown", Verdict::Missing, false);
    let without = modern().with("engine.py", "import os\nos.getenv('HOST')\n");
    let none = compared(&legacy(), &without);
    assert!(
        none.iter()
            .all(|item| item.area() != "python" || !item.open)
    );
    expect(&items, "python:Engine.__init__", Verdict::Changed, false);
    assert!(
        of(&items, "python:Engine.__init__")
            .why
            .contains("os.getenv(\"HOST\"")
    );
    expect(&items, "python:handler", Verdict::Kept, false);
}

#[test]
fn the_hubs_form_against_the_old_one() {
    let items = compared(&legacy(), &modern());
    expect(&items, "hub:MAX_CONCURRENCY", Verdict::Missing, true);
    expect(&items, "hub:NNODES", Verdict::Missing, true);
    assert!(of(&items, "hub:NNODES").why.contains("never read it"));
    expect(&items, "hub:HF_TOKEN", Verdict::Missing, true);
    expect(&items, "hub:FILE_STORAGE_PTH", Verdict::Renamed, false);
    expect(&items, "hub:RANDOM_SEED", Verdict::Changed, true);
    expect(&items, "hub:RANDOM_SEED.default", Verdict::Changed, true);
    expect(&items, "hub:TRUST_REMOTE_CODE", Verdict::Kept, false);
    expect(
        &items,
        "hub:TRUST_REMOTE_CODE.default",
        Verdict::Kept,
        false,
    );
    expect(&items, "hub:REASONING_PARSER.options", Verdict::Added, true);
    assert!(
        of(&items, "hub:REASONING_PARSER.options")
            .why
            .contains("llama4")
    );
    assert!(
        !of(&items, "hub:REASONING_PARSER.options")
            .why
            .contains("mistral")
    );
    expect(&items, "hub:category.C", Verdict::Retired, false);
    expect(&items, "hub:imageName", Verdict::Retired, false);
    expect(&items, "hub:cuda", Verdict::Changed, true);
    assert!(of(&items, "hub:cuda").why.contains("the image needs 12.9"));
    expect(&items, "tests:MODEL_NAME", Verdict::Added, true);
    expect(&items, "readme:RANDOM_SEED", Verdict::Missing, false);
    expect(&items, "readme:MAX_NUM_REQS", Verdict::Retired, false);
}

#[test]
fn a_release_without_a_table_is_judged_by_both_its_neighbours() {
    let start = "COPY src /src\nCMD [\"python3\", \"/src/handler.py\"]";
    let on = |base: &str| legacy().with("Dockerfile", format!("FROM {base}\n{start}\n"));
    let new = modern().with("Dockerfile", "FROM lmsysorg/sglang:v0.5.20\n");
    let items = compared(&on("x"), &new);
    let why = &of(&items, "env:MAX_NUM_REQS").why;
    assert!(
        why.contains("judged by the flags of 0.5.19 and 0.5.21"),
        "{why}"
    );
    // Where they disagree, that is told and decides nothing.
    let passes = "if os.getenv('A_ONE'): command += ['--enable-flashinfer-mla']";
    let on = |tag: &str, python: &str| starting(&format!("lmsysorg/sglang:{tag}"), python);
    let disagree = "SGLang 0.4.6.post4 takes and 0.5.2 does not";
    for (new, verdict) in [(passes, Verdict::Kept), ("", Verdict::Missing)] {
        let items = compared(&on("v0.4.6.post4", passes), &on("v0.5.1", new));
        expect(&items, "env:A_ONE", verdict, verdict == Verdict::Missing);
        let why = &of(&items, "env:A_ONE").why;
        assert!(why.contains(disagree), "{why}");
    }
}

#[test]
fn nobody_is_told_to_set_an_older_name_again() {
    let worker = |name: &str, value: &str, read: &str| {
        let env =
            format!(r#"{{"tests":[],"config":{{"env":[{{"key":"{name}","value":"{value}"}}]}}}}"#);
        let service = format!("services:\n  w:\n    environment:\n      - {name}={value}\n");
        let row = format!("| Variable | Default |\n| --- | --- |\n| `{name}` | x |\n");
        let python = format!("model = {read}\nif model: command += ['--model-path', model]");
        let worker = starting(PINNED, &python).with("README.md", row);
        worker
            .with(".runpod/tests.json", env)
            .with("docker-compose.yml", service)
    };
    let both = "os.getenv('MODEL_PATH') or os.getenv('MODEL_NAME')";
    let old = worker("MODEL_PATH", "m", "os.getenv('MODEL_PATH')");
    let items = compared(&old, &worker("MODEL_NAME", "m", both));
    assert!(items.iter().all(|item| !item.open), "{items:#?}");
    for id in [
        "tests:MODEL_PATH",
        "compose:w.MODEL_PATH",
        "readme:MODEL_PATH",
    ] {
        expect(&items, id, Verdict::Renamed, false);
    }
    // Another value is another matter.
    let items = compared(&old, &worker("MODEL_NAME", "n", both));
    expect(&items, "tests:MODEL_PATH", Verdict::Missing, true);
}

/// A worker that starts SGLang on an image, with this Python before the last line.
fn starting(image: &str, python: &str) -> Memory {
    let engine = format!(
        "import os, subprocess\ncommand = ['python3', '-m', 'sglang.launch_server']\n{python}\nsubprocess.Popen(command)\n"
    );
    let worker = Memory::new().with("engine.py", engine);
    match image {
        "" => worker,
        image => worker.with(
            "Dockerfile",
            format!("FROM {image}\nCOPY engine.py .\nCMD [\"python3\", \"engine.py\"]\n"),
        ),
    }
}

const PINNED: &str = "lmsysorg/sglang:v0.5.19-cu129";

#[test]
fn what_is_passed_with_nothing_set_is_compared_with_sglangs_own_default() {
    let old = "command += ['--tool-call-parser', os.getenv('TOOL_CALL_PARSER', 'qwen3_coder')]\ncommand += ['--stream-interval', os.getenv('STREAM_INTERVAL', '1')]\ncommand += ['--kv-cache-dtype', 'fp8_e5m2']";
    let new = "for name, flag in {'TOOL_CALL_PARSER': '--tool-call-parser', 'STREAM_INTERVAL': '--stream-interval', 'KV_CACHE_DTYPE': '--kv-cache-dtype'}.items():\n    if os.getenv(name):\n        command += [flag, os.getenv(name)]";
    let items = compared(&starting(PINNED, old), &starting(PINNED, new));
    expect(&items, "env:TOOL_CALL_PARSER", Verdict::Changed, true);
    let why = &of(&items, "env:TOOL_CALL_PARSER").why;
    assert!(
        why.contains("with it unset, `qwen3_coder` was passed"),
        "{why}"
    );
    expect(&items, "env:STREAM_INTERVAL", Verdict::Kept, false);
    expect(&items, "flag:--kv-cache-dtype", Verdict::Changed, true);
    let why = &of(&items, "flag:--kv-cache-dtype").why;
    assert!(
        why.contains("`fp8_e5m2` was always passed; now SGLang's own default (`auto`) is, unless KV_CACHE_DTYPE"),
        "{why}"
    );
    // A test for a file is not always.
    let there = old.replace(
        "command += ['--kv",
        "if os.path.isfile('/fp8'): command += ['--kv",
    );
    let items = compared(&starting(PINNED, &there), &starting(PINNED, new));
    let why = &of(&items, "flag:--kv-cache-dtype").why;
    let when =
        "was passed where `isfile(\"/fp8\")` holds; now SGLang's own default (`auto`) is, unless";
    assert!(why.contains(when), "{why}");
    // What the image sets holds with nothing set.
    let sets = |variables: &str| {
        let image = format!("{PINNED}\nENV {variables}");
        compared(&starting(PINNED, old), &starting(&image, new))
    };
    let items = sets("TOOL_CALL_PARSER=qwen3_coder KV_CACHE_DTYPE=fp8_e5m2");
    expect(&items, "env:TOOL_CALL_PARSER", Verdict::Kept, false);
    expect(&items, "flag:--kv-cache-dtype", Verdict::Kept, false);
    let items = sets("TOOL_CALL_PARSER=qwen KV_CACHE_DTYPE=$KV STREAM_INTERVAL=4");
    expect(&items, "env:TOOL_CALL_PARSER", Verdict::Changed, true);
    expect(&items, "env:STREAM_INTERVAL", Verdict::Changed, true);
    expect(&items, "flag:--kv-cache-dtype", Verdict::Changed, true);
    // A value that a variable only lets through, and what the server inherits of the worker.
    let table = "for name, flag in {'SPECULATIVE_ALGORITHM': '--speculative-algorithm', 'MAMBA_SCHEDULER_STRATEGY': '--mamba-scheduler-strategy'}.items():\n    if os.getenv(name):\n        command += [flag, os.getenv(name)]";
    let old = format!(
        "if os.getenv('SPECULATIVE_ALGORITHM') and not os.getenv('SGLANG_ENABLE_SPEC_V2'):\n    os.environ['SGLANG_ENABLE_SPEC_V2'] = '1'\n    command += ['--mamba-scheduler-strategy', 'extra_buffer']\n{table}"
    );
    let items = compared(&starting(PINNED, &old), &starting(PINNED, table));
    expect(
        &items,
        "image:SGLANG_ENABLE_SPEC_V2",
        Verdict::Missing,
        true,
    );
    let flag = "flag:--mamba-scheduler-strategy";
    expect(&items, flag, Verdict::Changed, true);
    // What never runs gives nothing.
    let helper = |tree: Memory| {
        let text = "command = ['sglang.launch_server', '--kv-cache-dtype', 'fp8_e5m2']\n";
        tree.with("helper.py", text)
    };
    let old = helper(starting(
        PINNED,
        "command += ['--kv-cache-dtype', 'fp8_e5m2']",
    ));
    let items = compared(&old, &helper(starting(PINNED, new)));
    expect(&items, "flag:--kv-cache-dtype", Verdict::Changed, true);
    // What is passed for the first time changes endpoints as well.
    let items = compared(
        &starting(PINNED, ""),
        &starting(PINNED, "command += ['--kv-cache-dtype', 'fp8_e5m2']"),
    );
    expect(&items, "flag:--kv-cache-dtype", Verdict::Added, true);
}

#[test]
fn another_variables_default_may_be_that_of_the_flags_own() {
    let given = "for name, flag in {'TOOL_CALL_PARSER': '--tool-call-parser'}.items():\n    if os.getenv(name):\n        command += [flag, os.getenv(name)]";
    let old = format!("command += ['--tool-call-parser', os.getenv('PARSER', 'qwen')]\n{given}");
    let sets = |value: &str| {
        let image = format!("{PINNED}\nENV TOOL_CALL_PARSER={value}");
        compared(&starting(PINNED, &old), &starting(&image, given))
    };
    let items = sets("qwen");
    expect(&items, "env:PARSER", Verdict::Renamed, true);
    expect(&items, "env:TOOL_CALL_PARSER", Verdict::Kept, false);
    let items = sets("llama3");
    expect(&items, "env:TOOL_CALL_PARSER", Verdict::Changed, true);
}

#[test]
fn flags_that_no_release_knows_are_open_and_only_on_a_pinned_release() {
    let old = "command += ['--own-build-flag', os.getenv('OWN', '')]";
    let items = compared(&starting(PINNED, old), &starting(PINNED, ""));
    expect(&items, "env:OWN", Verdict::Missing, true);
    assert!(
        of(&items, "env:OWN")
            .why
            .contains("unknown to SGLang 0.2.6 to ")
    );
    // Passing it is refused by a release that is known, and nothing is said without one.
    let items = compared(&starting("", old), &starting(PINNED, old));
    expect(&items, "env:OWN", Verdict::Retired, true);
    let items = compared(&starting(PINNED, old), &starting(PINNED, old));
    expect(&items, "env:OWN", Verdict::Kept, false);
    let items = compared(&starting("", old), &starting("", old));
    expect(&items, "env:OWN", Verdict::Kept, false);
}

#[test]
fn what_sglang_inherits_is_lost_only_with_its_default() {
    let items = compared(
        &starting(
            "",
            "os.getenv('NCCL_DEBUG')\nos.getenv('SGLANG_PORT', '1')\nos.getenv('SGLANG_OWN')",
        ),
        &starting("", "os.getenv('Z')"),
    );
    // SGLang does not know this name.
    expect(&items, "env:SGLANG_OWN", Verdict::Missing, true);
    expect(&items, "env:NCCL_DEBUG", Verdict::Kept, false);
    expect(&items, "env:SGLANG_PORT", Verdict::Missing, true);
    assert!(
        of(&items, "env:SGLANG_PORT")
            .why
            .contains("its default `1` is gone")
    );
}

#[test]
fn a_part_closes_only_with_an_owner_that_answers_for_it() {
    // The variable stays, and one of its two flags goes.
    let both = "value = os.getenv('A_ONE')\ncommand += ['--model-path', value, '--served-model-name', value]";
    let one = "value = os.getenv('A_ONE')\ncommand += ['--model-path', value]";
    let items = compared(&starting(PINNED, both), &starting(PINNED, one));
    expect(&items, "flag:--served-model-name", Verdict::Missing, true);
    for item in compared(&legacy(), &modern()) {
        let lost = matches!(item.verdict, Verdict::Missing | Verdict::Changed);
        let note = item.area() == "python" || item.part_of.is_some();
        assert!(
            !lost || item.open || note,
            "{} is lost and not open",
            item.id
        );
    }
}

#[test]
fn what_was_not_read_is_open_unless_it_is_the_same_down_to_the_data() {
    let old = Memory::new()
        .with("handler.py", "import json, os\nfor name in json.load(open('vars.json')):\n    os.getenv(name.upper() + chr(65))\nos.getenv('Z')\n")
        .with("vars.json", "[\"a\", \"b\"]");
    let unread = |items: &[Item]| -> Vec<(Verdict, bool)> {
        let items = items.iter().filter(|item| item.area() == "unread");
        items.map(|item| (item.verdict, item.open)).collect()
    };
    assert_eq!(unread(&compared(&old, &old)), [(Verdict::Kept, false)]);
    let less = old.clone().with("vars.json", "[\"a\"]");
    assert_eq!(unread(&compared(&old, &less)), [(Verdict::Unread, true)]);
    let items = compared(
        &old,
        &Memory::new().with("handler.py", "import os\nos.getenv('Y')\n"),
    );
    assert_eq!(unread(&items), [(Verdict::Unread, true)]);
    // On the new side it casts doubt on what is missing.
    let items = compared(
        &Memory::new().with("handler.py", "import os\nos.getenv('Z1')\n"),
        &old,
    );
    assert!(
        of(&items, "env:Z1").why.contains("Unless handler.py:3:"),
        "{}",
        of(&items, "env:Z1").why
    );
}

#[test]
fn the_hubs_values_are_compared_and_its_wording_is_not() {
    let hub = |config: &str, name: &str| {
        Memory::new().with("handler.py", "import os\nos.getenv('A')\n").with(".runpod/hub.json", format!(r#"{{"title": "{name}", "config": {{{config}, "env": [{{"key": "A", "input": {{"name": "{name}", "type": "number", "min": 1}}}}]}}}}"#))
    };
    let old = hub(
        r#""runsOn": "GPU", "gpuIds": "ADA_24", "gpuCount": 1, "containerDiskInGb": 50"#,
        "one",
    );
    let items = compared(
        &old,
        &hub(
            r#""runsOn": "GPU", "gpuIds": "AMPERE_80", "gpuCount": 2, "containerDiskInGb": 20"#,
            "two",
        ),
    );
    let open: Vec<&str> = items
        .iter()
        .filter(|item| item.open)
        .map(|item| item.id.as_str())
        .collect();
    assert_eq!(
        open,
        [
            "hub:config.containerDiskInGb",
            "hub:config.gpuCount",
            "hub:config.gpuIds"
        ]
    );
}

#[test]
fn what_a_job_s_body_says_is_kept_where_the_body_is_handed_on_as_a_whole() {
    let old = Memory::new().with(
        "handler.py",
        "import runpod\n\ndef handler(job):\n    body = job['input']['openai_input']\n    use(body['messages'], body.get('stream', False), body.get('n', 1), body.get('max_tokens', 100), body.get('tenant'))\n\nrunpod.serverless.start({'handler': handler})\n",
    );
    let new = |body: &str| {
        Memory::new().with(
            "handler.py",
            format!("import runpod, requests\n\ndef handler(job):\n    body = job['input']['openai_input']\n    route = job['input']['openai_route']\n    return requests.post('http://localhost:30000/v1' + route, json={body}).json()\n\nrunpod.serverless.start({{'handler': handler}})\n"),
        )
    };
    let items = compared(&old, &new("body"));
    let id = |name: &str| format!("input:openai_input.{name}");
    for name in ["messages", "stream", "n"] {
        expect(&items, &id(name), Verdict::Kept, false);
    }
    expect(&items, &id("max_tokens"), Verdict::Changed, true);
    assert!(of(&items, &id("max_tokens")).why.contains("got `100`"));
    // No parameter of SGLang's: the old handler did something of its own with it.
    expect(&items, &id("tenant"), Verdict::Missing, true);
    let items = compared(&old, &new("{'messages': body['messages']}"));
    expect(&items, &id("stream"), Verdict::Missing, true);
}

#[test]
fn advice_follows_renamed_variables() {
    let compose = |service: &str, names: &[&str]| {
        let set = names.iter().map(|name| format!("      {name}: x\n"));
        let set: String = set.collect();
        format!("services:\n  {service}:\n    image: x\n    environment:\n{set}")
    };
    let fork = |more: &str| {
        let program = "import os\nname = os.environ.get('TOKENIZER', os.getenv('MODEL'))\n";
        program.replace("MODEL", more)
    };
    let old = legacy()
        .with("docker-compose.yml", compose("w", &["MODEL_NAME", "LOST"]))
        .with(
            "README.md",
            "| `LOST` | a |\n|---|---|\n| `GONE` | b |\n| `MODEL_NAME` | c |\n",
        )
        .with("src/download_model.py", fork("MODEL_NAME"));
    let new = modern()
        .with("docker-compose.yml", compose("w", &["MODEL_PATH"]))
        .with("README.md", "# x\n")
        .with("download_model.py", fork("MODEL_PATH"));
    let items = compared(&old, &new);
    expect(&items, "compose:w.MODEL_NAME", Verdict::Renamed, false);
    let now = of(&items, "compose:w.MODEL_NAME").now.as_deref();
    assert_eq!(now, Some("compose:w.MODEL_PATH"));
    for id in ["readme:GONE", "compose:w.LOST"] {
        expect(&items, id, Verdict::Missing, true);
        assert!(
            of(&items, id)
                .help
                .starts_with("Record that nothing reads it")
        );
    }
    let readme = of(&items, "readme:MODEL_NAME");
    assert_eq!(readme.help, "Document MODEL_PATH in its place.");
    // The name that is tried instead is the other variable's change.
    let tokenizer = of(&items, "env:TOKENIZER");
    assert_eq!(tokenizer.part_of.as_deref(), Some("env:MODEL_NAME"));
    assert!(!tokenizer.open);
    // A service of another name is the same one.
    let new = new.with("docker-compose.yml", compose("worker", &["MODEL_PATH"]));
    let items = compared(&old, &new);
    let now = of(&items, "compose:w.MODEL_NAME").now.as_deref();
    assert_eq!(now, Some("compose:worker.MODEL_PATH"));
}

#[test]
fn what_only_the_image_s_build_reads_comes_after_what_endpoints_set() {
    let read = |name: &str| format!("import os\nos.getenv('{name}')\n");
    let old = Memory::new()
        .with("download_model.py", read("A_BUILD"))
        .with("handler.py", read("Z_RUN"));
    let new = Memory::new().with("handler.py", "import os\nos.getenv('OTHER')\n");
    let entries = crate::entries::of(&compared(&old, &new), None);
    let ids: Vec<&str> = entries.iter().map(|entry| &*entry.id).collect();
    assert_eq!(ids, ["env:Z_RUN", "env:A_BUILD"]);
}

#[test]
fn options_in_place_of_any_text_are_a_change() {
    let on = |options: &str| {
        let hub = format!(
            r#"{{"config": {{"env": [{{"key": "A", "input": {{"name": "a", "type": "string"{options}}}}}]}}}}"#
        );
        modern().with(".runpod/hub.json", hub)
    };
    let choice = r#", "options": [{"label": "x", "value": "x"}]"#;
    let items = compared(&on(""), &on(choice));
    expect(&items, "hub:A.options", Verdict::Changed, true);
    expect(
        &compared(&on(choice), &on("")),
        "hub:A.options",
        Verdict::Kept,
        false,
    );
}

#[test]
fn a_flag_that_the_new_sglang_refuses_is_told_although_both_pass_it() {
    let code = "import subprocess\ncmd = ['python3', '-m', 'sglang.launch_server', '--disable-flashinfer']\nsubprocess.Popen(cmd)\n";
    let on = |release: &str| {
        let docker =
            format!("FROM lmsysorg/sglang:{release}\nCOPY a.py /\nCMD [\"python3\", \"/a.py\"]\n");
        Memory::new().with("Dockerfile", docker).with("a.py", code)
    };
    let (old, new) = (on("v0.3.3-cu124"), on("v0.5.19-cu129"));
    expect(
        &compared(&old, &new),
        "flag:--disable-flashinfer",
        Verdict::Retired,
        true,
    );
    expect(
        &compared(&new, &new),
        "flag:--disable-flashinfer",
        Verdict::Kept,
        false,
    );
}

#[test]
fn a_lost_step_is_told_beside_the_argument_that_it_took() {
    let image = |argument: &str, step: &str| {
        let docker = format!(
            "FROM python:3.11\n{argument}COPY a.py /\nRUN true {step}\nCMD [\"python3\", \"/a.py\"]\n"
        );
        Memory::new()
            .with("Dockerfile", docker)
            .with("a.py", "import os\nos.getenv('A')\n")
    };
    let new = image("", "");
    let tuned = "&& tune --level $TUNE --all";
    let items = compared(&image("ARG TUNE\n", tuned), &new);
    expect(
        &items,
        "step:tune --level $TUNE --all",
        Verdict::Missing,
        true,
    );
    // A condition alone goes with it.
    let asked = "&& ldconfig && [ -n \"$TUNE\" ]";
    let items = compared(&image("ARG TUNE\n", asked), &image("", "&& ldconfig"));
    expect(&items, "step:ldconfig", Verdict::Changed, false);
}

/// Two variables of one flag that disagree end the worker, so that advice names the form's.
#[test]
fn advice_sets_the_variable_that_the_form_offers() {
    let start = |names: &[&str]| {
        let reads: Vec<String> = names
            .iter()
            .map(|name| format!("os.getenv('{name}')"))
            .collect();
        format!(
            "import os, subprocess\nsubprocess.run(['python3', '-m', 'sglang.launch_server', '--tp-size', {}])\n",
            reads.join(" or ")
        )
    };
    let form =
        r#"{"config": {"env": [{"key": "TENSOR_PARALLEL_SIZE", "input": {"type": "number"}}]}}"#;
    let old = Memory::new().with(
        "handler.py",
        start(&["GPUS"]).replace("'GPUS')", "'GPUS', '2')"),
    );
    let new = Memory::new()
        .with("handler.py", start(&["TP_SIZE", "TENSOR_PARALLEL_SIZE"]))
        .with(".runpod/hub.json", form);
    let [old, new] = [&old, &new].map(|tree| Facts::read(tree).unwrap());
    let items = judge(&old, &new);
    let help = &of(&items, "env:GPUS").help;
    assert!(help.contains("`ENV TENSOR_PARALLEL_SIZE=2`"), "{help}");
}
