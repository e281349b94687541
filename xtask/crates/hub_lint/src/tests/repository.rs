//! Whole repositories, and what `hub-lint.json` says of them.

use super::*;

#[test]
fn the_hubs_own_workers_layout_has_no_error() {
    // A handler in src/, the README in .runpod/, as RunPod's own vLLM worker has it: files that the
    // image copies, variables that are read in a loop or by another engine, an input of its own.
    let env = r#"
      { "key": "MODEL_NAME", "input": { "name": "Model", "type": "huggingface", "required": true } },
      { "key": "MAX_MODEL_LEN", "input": { "name": "Length", "type": "number", "default": null } },
      { "key": "QUANTIZATION", "input": { "name": "Quantization", "type": "string", "default": "",
        "options": [{ "label": "None", "value": "" }, { "label": "AWQ", "value": "awq" }] } },
      { "key": "ENFORCE_EAGER", "input": { "name": "Eager", "type": "boolean", "default": false,
        "trueValue": "1", "falseValue": "0" } },
      { "key": "VLLM_NIGHTLY", "value": "false" }"#;
    let config = r#""gpuIds": "ADA_80_PRO,AMPERE_80,-NVIDIA H100 PCIe", "allowedCudaVersions": ["12.9"],
      "presets": [{ "name": "Small", "defaults": { "MODEL_NAME": "a/b", "MAX_MODEL_LEN": "4096" } }]"#;
    let tests = r#"{
      "tests": [{ "name": "chat", "input": { "messages": [{ "role": "user", "content": "Hi" }],
        "sampling_params": { "max_tokens": 10 } }, "timeout": 300000 }],
      "config": { "gpuTypeId": "NVIDIA A100 80GB PCIe", "gpuCount": 1, "allowedCudaVersions": ["12.9"],
        "env": [{ "key": "MODEL_NAME", "value": "a/tiny" }, { "key": "VLLM_ATTENTION", "value": "x" }] } }"#;
    let tree = Memory::new()
        .with(
            "Dockerfile",
            "FROM nvidia/cuda:12.9.1-base-ubuntu22.04\nENV BASE_PATH=/runpod-volume\n\
             COPY src /src\nCMD [\"python3\", \"/src/handler.py\"]\n",
        )
        .with(
            "src/handler.py",
            "import os\nimport runpod\nfrom engine import Engine\nengine = Engine()\n\
             async def handler(job):\n    async for part in engine.run(job['input']['messages']):\n        \
             yield part\nrunpod.serverless.start({'handler': handler})\n",
        )
        .with(
            "src/engine.py",
            "import os\nimport vllm\nclass Engine:\n    def __init__(self):\n        \
             self.model = os.getenv('MODEL_NAME', 'a/large')\n        \
             self.own = {name.lower(): value for name, value in os.environ.items()}\n",
        )
        .with(".runpod/README.md", "# Worker\n")
        .with(".runpod/hub.json", listing(config, env))
        .with(".runpod/tests.json", tests);
    assert_eq!(said(&tree), [""; 0]);
}

#[test]
fn the_files_in_runpod_come_first() {
    let tree = repository_of(&listing("", ""), TESTS).with("hub.json", "not even JSON");
    assert_eq!(
        said(&tree),
        ["HUB312 `.runpod/hub.json` takes precedence over this file"]
    );
}

#[test]
fn what_is_ignored_with_a_reason_is_left_out() {
    let hub = listing(r#""gpuIds": "RTX A4000""#, "");
    let ignore = |entry: &str| {
        said(
            &repository_of(&hub, TESTS)
                .with("hub-lint.json", format!(r#"{{ "ignore": [{entry}] }}"#)),
        )
    };
    let found = "HUB211 RunPod has no GPU with the id `RTX A4000`";
    assert_eq!(ignore(""), [found]);
    assert_eq!(
        ignore(r#"{ "rule": "HUB211", "reason": "a private GPU" }"#),
        [""; 0]
    );
    assert_eq!(
        ignore(r#"{ "rule": "unknown-gpu", "path": ".runpod/hub.json", "reason": "private" }"#),
        [""; 0]
    );
    assert_eq!(
        ignore(r#"{ "rule": "HUB211", "path": ".runpod/tests.json", "reason": "private" }"#),
        [found, "HUB390 nothing here breaks `HUB211` any more"]
    );
    assert_eq!(
        ignore(r#"{ "rule": "HUB211", "reason": " " }"#),
        [found, "HUB391 the entry for `HUB211` gives no `reason`"]
    );
    assert_eq!(
        ignore(r#"{ "rule": "HUB999", "reason": "x" }"#),
        [found, "HUB391 there is no rule `HUB999`"]
    );
    // One mistake leaves the other entries in force.
    assert_eq!(
        ignore(r#"{ "rule": 1 }, { "rule": "HUB211", "reason": "a private GPU" }"#),
        ["HUB391 invalid type: integer `1`, expected a string"]
    );
    assert_eq!(
        ignore(r#"{ "rule": "HUB211", "resaon": "x" }"#),
        [
            found,
            "HUB391 unknown field `resaon`, expected one of `rule`, `path`, `reason`"
        ]
    );
}

#[test]
fn rules_are_chosen_by_id_name_or_beginning() {
    let rule = rule::find("HUB211").unwrap();
    for pattern in ["HUB211", "hub2", "unknown-gpu", "HUB"] {
        assert!(rule.matches(pattern), "{pattern}");
    }
    for pattern in ["HUB1", "unknown", "HU", ""] {
        assert!(!rule.matches(pattern), "{pattern}");
    }
}

#[test]
fn findings_come_by_file_and_line() {
    let hub = listing(r#""gpuIds": "H100", "volume": 1"#, "").replace("\"language\"", "\"text\"");
    let tests = TESTS.replace("Hi\" }", "Hi\" }, \"timeout\": 30");
    let report = lint(&repository_of(&hub, &tests), true).unwrap();
    let places: Vec<_> = report
        .findings
        .iter()
        .map(|f| (f.place.path.to_string(), f.place.span.start))
        .collect();
    let mut sorted = places.clone();
    sorted.sort();
    assert_eq!(places, sorted);
    assert_eq!(places.len(), 4);
    assert_eq!(
        summary(&report),
        "hub-lint: 2 errors, 2 warnings in 2 files; 2 to fix with `--unsafe-fixes`; \
         `--explain RULE` says why"
    );
}

const ENGINE: &str = r#"
import os
import subprocess
import runpod
command = ["python3", "-m", "sglang.launch_server", "--model-path", "/model"]
if os.getenv("LOAD_BALANCE_METHOD"):
    command += ["--load-balance-method", os.getenv("LOAD_BALANCE_METHOD")]
if os.getenv("MODEL_REVISION"):
    command += ["--revision", os.getenv("MODEL_REVISION")]
subprocess.Popen(command)
"#;

/// A worker that starts SGLang of this image, with these variables and these tests.
fn worker(image: &str, env: &str, tests: &str) -> Memory {
    let hub = listing(
        "",
        &format!(r#"{{ "key": "MODEL_REVISION", "value": "main" }}, {env}"#),
    );
    let dockerfile = format!("FROM {image}\nCOPY engine.py /\nCMD [\"python3\", \"/engine.py\"]\n");
    repository_of(hub.replace(", ]", "]").as_str(), tests)
        .with("engine.py", ENGINE)
        .with("Dockerfile", dockerfile)
}

const BALANCE: &str = r#"{ "key": "LOAD_BALANCE_METHOD", "input": { "name": "B", "type": "string",
    "options": [{ "label": "Shortest", "value": "shortest_queue" }] } }"#;

#[test]
fn options_are_judged_by_the_release_that_the_dockerfile_pins() {
    let says = |image: &str| said(&worker(image, BALANCE, TESTS));
    assert_eq!(says("lmsysorg/sglang:v0.4.6.post4-cu124"), [""; 0]);
    assert_eq!(
        says("lmsysorg/sglang:v0.5.10"),
        [
            "HUB330 `LOAD_BALANCE_METHOD` may be `shortest_queue`, which `--load-balance-method` \
          of SGLang 0.5.10 does not take"
        ]
    );
    // Of a release that is not known, only what its neighbours both refuse is told, as a warning.
    let tree = worker("lmsysorg/sglang:v0.5.12", BALANCE, TESTS);
    let report = lint(&tree, true).unwrap();
    let [finding] = &report.findings[..] else {
        panic!("{:#?}", report.findings);
    };
    assert_eq!(
        (
            finding.severity,
            finding.message.as_str(),
            finding.help.len()
        ),
        (
            Severity::Warning,
            "`LOAD_BALANCE_METHOD` may be `shortest_queue`, which `--load-balance-method` of \
             SGLang 0.5.12 (not known here; judged by 0.5.10 and 0.5.15) does not take",
            0
        )
    );
    // One side alone proves nothing: 0.5.2 takes it and 0.5.10 does not.
    for unknown in ["v0.5.9", "v0.9.0", "v0.1.0", "latest", "dev"] {
        assert_eq!(
            says(&format!("lmsysorg/sglang:{unknown}")),
            [""; 0],
            "{unknown}"
        );
    }
}

#[test]
fn a_base_image_refuses_a_host_only_where_it_carries_the_requirement() {
    let with = |dockerfile: &str, versions: &str, env: &str| {
        let config = format!(r#""allowedCudaVersions": [{versions}]"#);
        let tree = repository_of(&listing(&config, env), TESTS).with("Dockerfile", dockerfile);
        let findings = lint(&tree, true).unwrap().findings;
        let told = |f: &Finding| format!("{} {}", f.severity.word(), f.message);
        findings.iter().map(told).collect::<Vec<_>>().join("\n")
    };
    let says = |image: &str, versions: &str| with(&format!("FROM {image}\n"), versions, "");
    let older = |version: &str, needed: &str| {
        format!("error CUDA `{version}` is allowed, and the image needs {needed}")
    };
    for (image, needed) in [
        ("nvidia/cuda:12.8.1-base-ubuntu22.04", "12.8"),
        ("docker.io/nvidia/cuda:12.8.1-base-ubuntu22.04", "12.8"),
        ("runpod/pytorch:1.0.2-cu1281-torch280-ubuntu2404", "12.8"),
        ("runpod/base:1.0.2-cuda1290", "12.9"),
        ("lmsysorg/sglang:v0.5.19-cu129", "12.9"),
        ("vllm/vllm-openai:v0.11-cu129", "12.9"),
        ("pytorch/pytorch:2.8.0-cuda12.8-cudnn9-devel", "12.8"),
    ] {
        assert_eq!(
            says(image, r#""12.7", "12.9", "13.0""#),
            older("12.7", needed),
            "{image}"
        );
        assert_eq!(says(image, r#""12.9""#), "", "{image}");
    }
    // These run on any driver of the same major version.
    for image in [
        "pytorch/pytorch:2.8.0-cuda12.8-cudnn9-runtime",
        "someone/worker:cu128",
    ] {
        assert_eq!(says(image, r#""12.4", "12.8""#), "", "{image}");
    }
    assert_eq!(
        says("someone/worker:1-cu130", r#""12.9", "13.0""#),
        "warning CUDA `12.9` is allowed, and the image needs 13.0"
    );
    // A version that nobody has seen is none.
    assert_eq!(says("someone/worker:cu1999", r#""12.4""#), "");
    let base = "FROM nvidia/cuda:12.8.1-base-ubuntu22.04\n";
    let disabled = format!("{base}ENV NVIDIA_DISABLE_REQUIRE=1\n");
    assert_eq!(with(&disabled, r#""12.4", "12.8""#, ""), "");
    let own = format!("{base}ENV NVIDIA_REQUIRE_CUDA=\"cuda>=12.4\"\n");
    assert_eq!(with(&own, r#""12.4", "12.8""#, ""), "");
    assert_eq!(with(&own, r#""12.3", "12.8""#, ""), older("12.3", "12.4"));
    let fixed = r#"{ "key": "NVIDIA_DISABLE_REQUIRE", "value": "true" }"#;
    assert_eq!(with(base, r#""12.4", "12.8""#, fixed), "");
    let off = r#"{ "key": "NVIDIA_DISABLE_REQUIRE", "value": "0" }"#;
    assert_eq!(with(base, r#""12.4", "12.8""#, off), older("12.4", "12.8"));
}

#[test]
fn blackwell_is_content_with_a_cuda_from_pip() {
    let hub = listing(r#""gpuIds": "ADA_24,NVIDIA GeForce RTX 5090""#, "");
    let with = |text: &str| {
        let dockerfile = format!("FROM pytorch/pytorch:2.4.1-cuda12.4-cudnn9-runtime\n{text}");
        said(&repository_of(&hub, TESTS).with("Dockerfile", dockerfile))
    };
    assert_eq!(
        with(""),
        ["HUB334 `NVIDIA GeForce RTX 5090` needs CUDA 12.8, and the image has 12.4"]
    );
    let pip = "RUN pip install torch --index-url https://example.org/whl/cu128\n";
    assert_eq!(with(pip), [""; 0]);
}

#[test]
fn how_bad_a_mistake_is_depends_on_what_it_costs() {
    let told = |tree: &Memory| {
        let findings = lint(tree, true).unwrap().findings;
        let told = |f: &Finding| format!("{} {}", f.severity.word(), f.message);
        findings.iter().map(told).collect::<Vec<_>>()
    };
    let hub = |member: &str| {
        let good = listing("", "");
        told(&repository_of(
            &good.replacen('{', &format!("{{ {member},"), 1),
            TESTS,
        ))
    };
    assert_eq!(
        hub(r#""icon": "https://a.example.org/i.png""#),
        ["warning the listing has no key `icon`"]
    );
    assert_eq!(
        hub(r#""endpointType": "LB""#),
        ["error the Hub looks for `endpointType` in `config`, not here"]
    );
    assert_eq!(hub(r#""tags": ["llm"]"#), [""; 0]);
    let typed = |word: &str| {
        let hub = listing("", "").replace("\"serverless\"", &format!("\"{word}\""));
        told(&repository_of(&hub, TESTS))
    };
    for fine in ["pod", "POD", "serverless"] {
        assert_eq!(typed(fine), [""; 0], "{fine}");
    }
    let empty = repository_of(&listing("", ""), r#"{ "tests": [], "config": {} }"#);
    assert_eq!(told(&empty), ["warning `tests` is empty"]);
    let gpus = |ids: &str| {
        let hub = listing(&format!(r#""gpuIds": "{ids}""#), "");
        told(&repository_of(&hub, TESTS))
    };
    assert_eq!(
        gpus("ADA_24,Tesla T4"),
        ["warning `Tesla T4` is an id of RunPod's REST API alone"]
    );
    assert_eq!(
        gpus("ADA_24,ADA_24"),
        ["warning `ADA_24` is in the list twice"]
    );
    assert_eq!(gpus(" "), ["warning `gpuIds` names no GPU"]);
    assert_eq!(
        gpus("ADA_24,-NVIDIA GeForce RTX 3070"),
        ["warning no pool holds `NVIDIA GeForce RTX 3070`, so there is nothing to exclude"]
    );
    let help = |ids: &str| {
        let hub = listing(&format!(r#""gpuIds": "{ids}""#), "");
        let report = lint(&repository_of(&hub, TESTS), true).unwrap();
        report.findings[0].help[0].clone()
    };
    assert_eq!(help("ada_24"), "did you mean `ADA_24`?");
    assert_eq!(help("ADA_24;AMPERE_24"), "did you mean `ADA_24,AMPERE_24`?");
}

#[test]
fn a_file_that_the_image_may_bring_is_not_missed() {
    let with = |dockerfile: &str| {
        said(&repository_of(&listing("", ""), TESTS).with("Dockerfile", dockerfile)).join("\n")
    };
    let start = "COPY src /src\nCMD [\"python3\", \"/src/main.py\"]\n";
    let missing = "HUB314 the image starts `/src/main.py`, which is not in the repository";
    assert_eq!(with(&format!("FROM python:3.12\n{start}")), missing);
    for fine in [
        format!("FROM someone/worker:1\n{start}"),
        format!("FROM python:3.12\nRUN git clone https://example.org/a /src\n{start}"),
        format!("FROM python:3.12\nRUN printf 'print(1)' > /src/main.py\n{start}"),
    ] {
        assert_eq!(with(&fine), "", "{fine}");
    }
}

#[test]
fn variables_are_compared_only_where_sglang_reads_them() {
    let image = "lmsysorg/sglang:v0.4.6.post4-cu124";
    let odd = r#"{ "key": "SHOW_COSTS", "input": { "name": "C", "type": "boolean" } }"#;
    let balance = r#"{ "key": "LOAD_BALANCE_METHOD", "value": "round_robin" }"#;
    let env = format!("{balance}, {odd}");
    assert_eq!(
        said(&worker(image, &env, TESTS)),
        ["HUB320 nothing in the worker reads `SHOW_COSTS`"]
    );
    let other =
        worker("python:3.12", &env, TESTS).with("engine.py", ENGINE.replace("sglang", "other"));
    assert_eq!(
        said(&other),
        ["HUB320 nothing in the worker reads `SHOW_COSTS`"]
    );
}

#[test]
fn a_variable_of_any_worker_has_to_be_read_somewhere() {
    let env = r#"{ "key": "SHOW_COSTS", "input": { "name": "C", "type": "boolean" } },
        { "key": "HF_TOKEN", "input": { "name": "T", "type": "string" } }"#;
    let with = |base: &str, handler: &str| {
        repository_of(&listing("", env), TESTS)
            .with(
                "Dockerfile",
                format!("FROM {base}\nCOPY . /\nCMD python3 /handler.py\n"),
            )
            .with("handler.py", format!("import os\nimport runpod\n{handler}"))
            .with("docs/guide.md", "Set SHOW_COSTS.\n")
    };
    let not_read = "HUB320 nothing in the worker reads `SHOW_COSTS`";
    for handler in [
        "",
        "os.getenv('OTHER')\n",
        "def get(name):\n    return os.getenv(name)\n",
    ] {
        assert_eq!(said(&with("python:3.12", handler)), [not_read], "{handler}");
    }
    for handler in [
        "os.getenv('SHOW_COSTS')\n",
        "def get(name):\n    return os.getenv(name)\nget('SHOW_COSTS')\n",
        "class Settings(BaseSettings):\n    show_costs: bool = False\n",
        "for name, value in os.environ.items():\n    print(name)\n",
        "os.getenv(f'SHOW_{x}')\n",
        "os.environ[prefix + 'COSTS']\n",
        "def get(name):\n    return os.getenv(name.upper())\n",
    ] {
        assert_eq!(said(&with("python:3.12", handler)), [""; 0], "{handler}");
    }
    // An image with a worker in it reads what it likes.
    assert_eq!(said(&with("runpod/worker-comfyui:5.1.0-base", "")), [""; 0]);
    // Anything that is no prose may be what reads it.
    let script = with("python:3.12", "").with("start.sh", "echo $SHOW_COSTS\n");
    assert_eq!(said(&script), [""; 0]);
}

#[test]
fn a_queue_worker_starts_the_sdk() {
    let with = |config: &str, dockerfile: &str, code: &str| {
        let tree = repository_of(&listing(config, ""), TESTS);
        said(&tree.with("Dockerfile", dockerfile).with("app.py", code)).join("\n")
    };
    let plain = "FROM python:3.12\nCOPY app.py /\nCMD [\"python3\", \"/app.py\"]\n";
    assert_eq!(
        with("", plain, "import flask\n"),
        "HUB317 nothing in the repository calls `runpod.serverless.start`: no job is ever taken"
    );
    assert_eq!(with(r#""endpointType": "LB""#, plain, "import flask\n"), "");
    for code in ["import runpod\n", "from runpod import serverless\n"] {
        assert_eq!(with("", plain, code), "");
    }
    let cloned = plain.replace("COPY", "RUN git clone https://example.org/a /a\nCOPY");
    let worker = plain.replace("python:3.12", "someone/worker:1");
    for dockerfile in [
        cloned,
        worker,
        "FROM python:3.12\nCMD [\"serve\"]\n".to_owned(),
    ] {
        assert_eq!(with("", &dockerfile, "import flask\n"), "", "{dockerfile}");
    }
}

#[test]
fn tests_that_are_switched_off_are_named() {
    let bare = |path: &str| {
        let tree = Memory::new()
            .with("Dockerfile", "FROM scratch\n")
            .with("README.md", "# Worker\n")
            .with(".runpod/hub.json", listing("", ""));
        said(&tree.with(path, TESTS)).join("\n")
    };
    for path in [
        ".runpod/tests_.json",
        ".runpod/_tests.json",
        ".runpod/tests.disabled.json",
        ".runpod/tests.json.bak",
        ".runpod/disabled_tests.json",
        ".runpod/test.json",
        "tests.disabled.json",
    ] {
        let words = format!("HUB318 the Hub does not read `{path}`: its tests are switched off");
        assert_eq!(bare(path), words);
    }
    for other in [
        "src/tests_.json",
        ".runpod/notes.json",
        "test_input.json",
        "tests/a.json",
    ] {
        assert_eq!(
            bare(other),
            "HUB313 the repository has no tests.json",
            "{other}"
        );
    }
    // Beside a tests.json, another one is no matter.
    assert_eq!(
        said(&repository_of(&listing("", ""), TESTS).with(".runpod/tests_old.json", TESTS)),
        [""; 0]
    );
}

#[test]
fn two_dockerfiles_have_to_say_the_same() {
    let tree = repository_of(&listing("", ""), TESTS);
    assert_eq!(
        said(&tree.clone().with(".runpod/Dockerfile", "FROM scratch\n")),
        [""; 0]
    );
    assert_eq!(
        said(&tree.with(".runpod/Dockerfile", "FROM scratch\nLABEL a=b\n")),
        ["HUB312 `.runpod/Dockerfile` takes precedence over this file"]
    );
}

#[test]
fn a_short_time_out_matters_where_a_model_is_loaded() {
    let with = |timeout: u32, code: &str| {
        let tests = TESTS.replace("Hi\" }", &format!("Hi\" }}, \"timeout\": {timeout}"));
        said(&repository_of(&listing("", ""), &tests).with("handler.py", code)).join("\n")
    };
    let loads = "import runpod\nmodel = Model.from_pretrained('a/b')\n";
    let short = |seconds: u32| {
        format!("HUB319 a timeout of {seconds} seconds is short where a model is loaded")
    };
    assert_eq!(with(30_000, loads), short(30));
    assert_eq!(with(10_000, loads), short(10));
    assert_eq!(with(30_001, loads), "");
    assert_eq!(with(10_000, "import runpod\n"), "");
}

#[test]
fn tests_that_want_a_failure_are_told_by_their_names() {
    let with = |name: &str| {
        let tests = TESTS.replace("\"one\"", &format!("\"{name}\""));
        said(&repository_of(&listing("", ""), &tests)).join("\n")
    };
    for name in [
        "missing_query_returns_error_field",
        "Invalid URL",
        "input-fails-fast",
    ] {
        assert_eq!(
            with(name),
            format!("HUB253 the test `{name}` seems to want a failure")
        );
    }
    for fine in [
        "no_error",
        "runs without error",
        "missing optional",
        "failover",
        "terror",
    ] {
        assert_eq!(with(fine), "", "{fine}");
    }
}

#[test]
fn what_the_present_template_leaves_is_told_in_both_files() {
    let env = r#"{ "key": "STRING_ENV_VAR", "input": { "name": "User-friendly Name", "type": "string" } },
        { "key": "SIZE", "input": { "name": "Select Option", "type": "string" } }"#;
    assert_eq!(
        said(&repository_of(&listing("", env), TESTS)),
        [
            "HUB260 the variable `STRING_ENV_VAR` is the template's example",
            "HUB260 `Select Option` is the template's example",
            // The tests set it, too.
            "HUB260 the variable `STRING_ENV_VAR` is the template's example"
        ]
    );
    let tests = r#"{ "tests": [
        { "name": "test_case_name", "input": { "param1": "value1" } },
        { "name": "two", "input": { "image": "https://example.com/a.png" } },
        { "name": "three", "input": { "image": "https://picture.example.org/a.png", "param1": 1 } }],
      "config": { "gpuCount": 1, "env": [{ "key": "TEST_ENV_VAR", "value": "test_value" }] } }"#;
    assert_eq!(
        said(&repository_of(&listing("", ""), tests)),
        [
            "HUB260 `test_case_name` is the template's example",
            "HUB260 the input `param1` is the template's example",
            "HUB260 `https://example.com/a.png` is an example's address",
            "HUB260 the variable `TEST_ENV_VAR` is the template's example"
        ]
    );
}

#[test]
fn another_tools_tests_json_is_left_alone() {
    let tree = Memory::new()
        .with("Dockerfile", "FROM scratch\n")
        .with("README.md", "# Worker\n")
        .with(".runpod/hub.json", listing("", ""))
        .with("tests.json", r#"{ "suites": [1, 2] }"#);
    assert_eq!(said(&tree), [""; 0]);
    let own = tree.with(
        "tests.json",
        TESTS.replace("Hi\" }", "Hi\" }, \"timeout\": 30"),
    );
    assert_eq!(said(&own).len(), 1);
}

#[test]
fn a_worker_that_loops_over_its_environment_is_believed() {
    let env = r#"{ "key": "LOAD_BALANCE_METHOD", "value": "round_robin" },
        { "key": "ANYTHING", "value": "1" }"#;
    let tree = worker("lmsysorg/sglang:v0.4.6.post4-cu124", env, TESTS);
    assert_eq!(
        said(&tree),
        ["HUB320 nothing in the worker reads `ANYTHING`"]
    );
    let looping = format!("{ENGINE}\nfor name, value in os.environ.items():\n    print(name)\n");
    assert_eq!(said(&tree.clone().with("engine.py", looping)), [""; 0]);
    // What can't be read may read it.
    let unread = format!("{ENGINE}\nfor name in sys.argv:\n    os.environ.get(name + \"_X\")\n");
    assert_eq!(said(&tree.with("engine.py", unread)), [""; 0]);
}

#[test]
fn defaults_are_compared_by_what_they_mean() {
    let env = r#"{ "key": "SEED", "input": { "name": "S", "type": "number", "default": 300 } },
        { "key": "KIND", "input": { "name": "K", "type": "string", "default": "auto" } },
        { "key": "MORE", "input": { "name": "M", "type": "string", "default": "{}" } },
        { "key": "FAST", "input": { "name": "F", "type": "boolean", "default": true } }"#;
    let with =
        |readme: &str| said(&repository_of(&listing("", env), TESTS).with("README.md", readme));
    let table = "# Worker\n\n| Variable | Default | What |\n| --- | --- | --- |\n";
    assert_eq!(
        with(&format!(
            "{table}| `SEED` | `300.0` | s |\n| `FAST` | 1 | f |\n"
        )),
        [""; 0]
    );
    assert_eq!(
        with(&format!(
            "{table}| `SEED` | 7 | s |\n| `FAST` | none | f |\n"
        )),
        ["HUB324 the default of `SEED` is `300` here, and the README's default is `7`"]
    );
    // What the image sets takes the place of the code's default.
    let engine = format!("{ENGINE}\nprint(os.getenv(\"SEED\", \"7\"))\n");
    let set = |line: &str| {
        let tree = repository_of(&listing("", env), TESTS).with("engine.py", &*engine);
        let start = "FROM lmsysorg/sglang:v0.5.19-cu129\nCOPY engine.py /\nCMD [\"python3\", \"/engine.py\"]\n";
        let mut said = said(&tree.with("Dockerfile", format!("{start}{line}\n")));
        said.retain(|one| one.starts_with("HUB324"));
        said
    };
    let differs = |what: &str| format!("HUB324 the default of `SEED` is `300` here, and {what}");
    assert_eq!(set("LABEL a=b"), [differs("the code's default is `7`")]);
    assert_eq!(set("ENV SEED=300"), [""; 0]);
    assert_eq!(set("ENV SEED=8"), [differs("the image's value is `8`")]);
    // Of what the image sets, `auto` and an object are values too.
    for (name, was) in [("KIND", "auto"), ("MORE", "{}")] {
        let what = format!("HUB324 the default of `{name}` is `{was}` here, and the image's value");
        let found = set(&format!("ENV SEED=300 {name}=half"));
        assert_eq!(found, [format!("{what} is `half`")]);
        assert_eq!(set(&format!("ENV SEED=300 {name}={was}")), [""; 0]);
    }
}

#[test]
fn what_the_tests_leave_out_is_told_where_it_matters() {
    let says = |input: &str, env: &str| {
        let entry = format!(r#"{{ "key": "A", "input": {{ "name": "A", {input} }} }}"#);
        let tests = TESTS.replace(HOME, env);
        said(&repository_of(&listing("", &entry), &tests)).join("\n")
    };
    let other = r#"{ "key": "HF_HUB_OFFLINE", "value": "1" }"#;
    let own = r#"{ "key": "A", "value": "a/b" }"#;
    let required = "HUB303 `A` is required, and the tests don't set it";
    for env in ["", other] {
        // A default is no help to the tests.
        for also in ["", r#", "default": "a/b""#] {
            let input = format!(r#""type": "string", "required": true{also}"#);
            assert_eq!(says(&input, env), required);
            assert_eq!(says(&input, own), "");
        }
        assert_eq!(says(r#""type": "string""#, env), "");
    }
}

#[test]
fn nobody_is_told_to_publish_a_secret() {
    let entry =
        r#"{ "key": "HF_TOKEN", "input": { "name": "T", "type": "string", "required": true } }"#;
    let tests = TESTS.replace(HOME, "");
    let report = lint(&repository_of(&listing("", entry), &tests), true).unwrap();
    let [finding] = &report.findings[..] else {
        panic!("{:#?}", report.findings);
    };
    assert_eq!(finding.rule.code, "HUB303");
    assert!(finding.help[0].contains("must not be in tests.json"));
}

#[test]
fn a_model_that_is_no_pool_or_id_is_shown_its_ids() {
    let help = |name: &str| {
        let hub = listing(&format!(r#""gpuIds": "ADA_24,{name}""#), "");
        let report = lint(&repository_of(&hub, TESTS), true).unwrap();
        report.findings[0].help[0].clone()
    };
    let all = "`NVIDIA A100 80GB PCIe` and `NVIDIA A100-SXM4-80GB`";
    assert_eq!(help("A100_80"), format!("there are {all}"));
    assert_eq!(help("A100 NVL"), format!("there are {all}"));
    assert_eq!(help("AMP_16"), "did you mean `AMPERE_16`?");
    assert_eq!(help("RTX_4090"), "did you mean `NVIDIA GeForce RTX 4090`?");
    assert_eq!(help("GTX 80GB"), "`--explain unknown-gpu` lists the ids");
}

#[test]
fn only_so_many_names_of_a_long_list_are_looked_for() {
    const MOST: usize = 100;
    // Names that nothing is near to, and one that is spelt in another way.
    let is_found = |others: usize| {
        let others = (0..others).map(|n| format!(r#"{{ "key": "UNREAD_{n}", "value": "x" }}"#));
        let near = r#"{ "key": "VARIABL", "value": "x" }"#.to_owned();
        let env = others.chain([near]).collect::<Vec<_>>().join(",");
        let tree = worker("lmsysorg/sglang:v0.5.10", "", TESTS)
            .with(".runpod/hub.json", listing("", &env))
            .with("engine.py", format!("{ENGINE}os.environ['VARIABLE']\n"));
        let found = lint(&tree, true).unwrap().findings;
        found.iter().any(|finding| finding.rule.code == "HUB322")
    };
    assert!(is_found(MOST - 1));
    assert!(!is_found(MOST));
}
