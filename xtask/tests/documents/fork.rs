//! A fork of the official worker with changes of its own, from the legacy layout to a clean
//! `cleanup`, as docs/migrating-a-fork.md tells it: the steps are counted, no change gets lost
//! without a word, and one that is left out in the end is found.

use serde_json::Value;

use crate::page::{Story, What, stories};
use crate::reader::Reader;
use crate::states::{CLONE, WORKER};
use crate::support::{Lab, Repo};
use crate::text_of;

const PAGE: &str = "docs/migrating-a-fork.md";

/// The state that the walk starts from, and where its official repository is.
pub const STATE: &str = "fork";
const OFFICIAL: &str = "official";

/// A change of the fork's own.
struct Own {
    what: &'static str,
    /// What makes it: files and what is replaced in them, or written where there is no file.
    made: &'static [(&'static str, &'static str, &'static str)],
    /// The facts that it is known by.
    facts: &'static [&'static str],
    /// What takes it out of the new worker again.
    lost: (&'static str, &'static str, &'static str),
}

const COMMAND_ENDS: &str = "        return command\n";

const CHANGES: [Own; 12] = [
    Own {
        what: "a default in a dict",
        made: &[
            (
                "src/engine.py",
                "# Flags without a value",
                "# What we serve with where nobody says otherwise.\nDEFAULTS = {\n    \"TOOL_CALL_PARSER\": \"qwen25\",\n}\n\n# Flags without a value",
            ),
            (
                "src/engine.py",
                "    \"LOG_LEVEL\": \"--log-level\",\n",
                "    \"LOG_LEVEL\": \"--log-level\",\n    \"TOOL_CALL_PARSER\": \"--tool-call-parser\",\n",
            ),
            (
                "src/engine.py",
                "value = os.getenv(name)\n",
                "value = os.getenv(name, DEFAULTS.get(name))\n",
            ),
        ],
        facts: &["env:TOOL_CALL_PARSER"],
        lost: ("Dockerfile", " \\\n    TOOL_CALL_PARSER=qwen25", ""),
    },
    Own {
        what: "a default by .get",
        made: &[(
            "src/engine.py",
            COMMAND_ENDS,
            "        command += [\"--reasoning-parser\", os.environ.get(\"REASONING_PARSER\", \"qwen3\")]\n        return command\n",
        )],
        facts: &["env:REASONING_PARSER"],
        lost: ("Dockerfile", "REASONING_PARSER=qwen3 \\\n    ", ""),
    },
    Own {
        what: "a default by or",
        made: &[(
            "src/engine.py",
            COMMAND_ENDS,
            "        rate = os.getenv(\"SCHEDULE_CONSERVATIVENESS\") or \"0.3\"\n        command += [\"--schedule-conservativeness\", rate]\n        return command\n",
        )],
        facts: &["env:SCHEDULE_CONSERVATIVENESS"],
        lost: ("Dockerfile", "CONSERVATIVENESS=0.3", "CONSERVATIVENESS=0.4"),
    },
    Own {
        what: "a fixed flag in a list",
        made: &[(
            "src/engine.py",
            "\"--port\", str(self.port)]",
            "\"--port\", str(self.port), \"--kv-cache-dtype\", \"fp8_e5m2\"]",
        )],
        facts: &["flag:--kv-cache-dtype"],
        lost: ("Dockerfile", "    KV_CACHE_DTYPE=fp8_e5m2 \\\n", ""),
    },
    Own {
        what: "a fixed flag in a shell script",
        made: &[
            (
                "builder/serve.sh",
                "",
                "#!/bin/bash\n# Everything that starts SGLang goes through here.\nexec python3 -m sglang.launch_server --enable-mixed-chunk \"$@\"\n",
            ),
            (
                "Dockerfile",
                "COPY src /src\n",
                "COPY builder/serve.sh /serve.sh\nCOPY src /src\n",
            ),
            (
                "src/engine.py",
                "[\"python3\", \"-m\", \"sglang.launch_server\"]",
                "[\"bash\", \"/serve.sh\"]",
            ),
        ],
        facts: &["flag:--enable-mixed-chunk", "copy:serve.sh"],
        lost: ("Dockerfile", "ENV ENABLE_MIXED_CHUNK=true \\\n    ", "ENV "),
    },
    Own {
        what: "a pip package from git",
        made: &[(
            "builder/requirements.txt",
            "transformers\n",
            "transformers\nour-metrics @ git+https://github.com/example/our-metrics@v1.4.0\n",
        )],
        facts: &["pip:our-metrics"],
        lost: (
            "requirements.txt",
            "our-metrics@v1.4.0",
            "our-metrics@v1.3.0",
        ),
    },
    Own {
        what: "a module",
        made: &[
            ("src/prompts.py", "", PROMPTS),
            (
                "src/handler.py",
                "from engine import Engine\n",
                "from engine import Engine\nfrom prompts import with_rules\n",
            ),
            (
                "src/handler.py",
                "job[\"input\"]",
                "with_rules(job[\"input\"])",
            ),
        ],
        facts: &["env:CHAT_RULES"],
        lost: ("Dockerfile", "COPY prompts.py ./\n", ""),
    },
    Own {
        what: "a step of the Dockerfile",
        made: &[(
            "Dockerfile",
            "COPY src /src\n",
            "ADD https://example.com/ca.pem /usr/local/share/ca-certificates/ours.crt\nRUN update-ca-certificates --fresh\n\nCOPY src /src\n",
        )],
        facts: &["step:update-ca-certificates --fresh"],
        lost: ("Dockerfile", "RUN update-ca-certificates --fresh\n", ""),
    },
    Own {
        what: "a Hub preset",
        made: &[(".runpod/hub.json", "", HUB)],
        facts: &["hub:preset.Qwen3 8B"],
        lost: (
            ".runpod/hub.json",
            "\"CONTEXT_LENGTH\": \"32768\"",
            "\"CONTEXT_LENGTH\": \"16384\"",
        ),
    },
    Own {
        what: "a system package",
        made: &[("Dockerfile", "python3-pip\n", "python3-pip ffmpeg\n")],
        facts: &["apt:ffmpeg"],
        lost: ("Dockerfile", "recommends ffmpeg", "recommends sox"),
    },
    Own {
        what: "a variable that SGLang inherits",
        made: &[(
            "Dockerfile",
            "    PYTHONPATH=\"/:/src\"",
            "    NCCL_P2P_DISABLE=1 \\\n    PYTHONPATH=\"/:/src\"",
        )],
        facts: &["image:NCCL_P2P_DISABLE"],
        lost: ("Dockerfile", "NCCL_P2P_DISABLE=1", "NCCL_P2P_DISABLE=0"),
    },
    Own {
        what: "a variable of the handler",
        made: &[(
            "src/handler.py",
            "    job_input = ",
            "    if os.getenv(\"MAINTENANCE\"):\n        yield {\"error\": \"closed for maintenance\"}\n        return\n    job_input = ",
        )],
        facts: &["env:MAINTENANCE"],
        lost: ("handler.py", "os.getenv(\"MAINTENANCE\")", "False"),
    },
];

const PROMPTS: &str = r#""""The rules that every chat of ours begins with."""

import os


def with_rules(job_input):
    rules = os.getenv("CHAT_RULES")
    if rules and "messages" in job_input:
        first = {"role": "system", "content": rules}
        job_input = job_input | {"messages": [first, *job_input["messages"]]}
    return job_input
"#;

const HUB: &str = r#"{
  "title": "Our SGLang",
  "description": "Chats by our rules.",
  "type": "serverless",
  "category": "language",
  "config": {
    "runsOn": "GPU",
    "containerDiskInGb": 60,
    "gpuCount": 1,
    "gpuIds": "ADA_24",
    "presets": [
      {"name": "Qwen3 8B", "defaults": {"MODEL_NAME": "Qwen/Qwen3-8B", "CONTEXT_LENGTH": "32768"}}
    ],
    "env": [
      {"key": "MODEL_NAME", "input": {"name": "Model", "type": "huggingface", "required": true}},
      {"key": "CONTEXT_LENGTH", "input": {"name": "Context length", "type": "number"}}
    ]
  }
}
"#;

/// The official worker, and a clone of it with a commit for each change.
pub fn make(lab: &Lab) {
    let official = lab.legacy(OFFICIAL);
    official.git(&["clone", "--quiet", ".", &format!("../{WORKER}")]);
    let worker = lab.at(WORKER);
    for own in &CHANGES {
        for (file, from, to) in own.made {
            if from.is_empty() {
                worker.write(file, to);
            } else {
                worker.edit(file, from, to);
            }
        }
        worker.commit(own.what);
    }
}

/// What the reader types in place of what the page says: the official repository is out of reach
/// for a test.
pub fn swaps() -> Vec<(String, String)> {
    let auto = "--carry auto";
    vec![(auto.to_owned(), format!("{auto} --official ../{OFFICIAL}"))]
}

/// What an owner does: a command that is typed, or a file that is edited.
#[derive(Debug)]
enum Did {
    Typed(#[allow(dead_code, reason = "shown where there are too many")] String),
    Edited(#[allow(dead_code, reason = "shown where there are too many")] String),
}

fn steps(story: &Story) -> Vec<Did> {
    let of = |what: &What| match what {
        What::Type(commands, _) => commands
            .iter()
            .map(|(command, _)| Did::Typed(command.clone()))
            .collect(),
        What::Change(diff) => diff
            .lines()
            .filter_map(|line| line.strip_prefix("+++ b/"))
            .map(|file| Did::Edited(file.to_owned()))
            .collect::<Vec<_>>(),
    };
    story.steps.iter().flat_map(|step| of(&step.what)).collect()
}

fn entries(worker: &Repo) -> Vec<Value> {
    let run = worker.compare(&["--format", "json"]).json();
    run["entries"].as_array().unwrap().clone()
}

/// Whether an entry of the fork's own names a fact.
fn names(entries: &[Value], fact: &str) -> bool {
    entries.iter().any(|entry| {
        let members = entry["members"].as_array().unwrap();
        entry["origin"] == "fork" && members.iter().any(|member| member == fact)
    })
}

#[test]
fn from_legacy_to_a_clean_cleanup_nothing_is_lost_in_silence() {
    let all = stories(PAGE, &text_of(PAGE));
    let story = all.iter().find(|story| story.state == STATE).unwrap();
    let steps = steps(story);
    assert!(steps.len() <= 9, "{} steps: {steps:#?}", steps.len());
    let [first, .., last] = &story.steps[..] else {
        panic!("{PAGE} has no walk of a fork");
    };
    let mut reader = Reader::new(PAGE, STATE);
    reader.step(PAGE, first, &[]);
    let worker = reader.lab.at(WORKER);
    let after = entries(&worker);
    for own in &CHANGES {
        let (file, text, _) = own.lost;
        let is_written = worker.has(file) && worker.read(file).contains(text);
        for fact in own.facts {
            let is_told = is_written || names(&after, fact);
            assert!(is_told, "{}: {fact} in {after:#?}", own.what);
        }
    }
    for step in &story.steps[1..story.steps.len() - 1] {
        reader.step(PAGE, step, &[]);
    }
    let worker = reader.lab.at(WORKER);
    assert!(
        worker
            .compare(&[])
            .done()
            .stdout
            .contains("Nothing is open.\n")
    );
    worker.copied("lossy");
    reader.step(PAGE, last, &[]);
    let worker = reader.lab.at(WORKER);
    assert!(!worker.has("outdated") && worker.status().is_empty());
    worker.compare(&[]).done();
    let new = reader.lab.at("lossy");
    assert!(entries(&new).is_empty());
    for Own { lost, .. } in &CHANGES {
        new.edit(lost.0, lost.1, lost.2);
    }
    let found = entries(&new);
    for own in &CHANGES {
        let is_found = own.facts.iter().any(|fact| names(&found, fact));
        assert!(is_found, "{} is lost: {found:#?}", own.what);
    }
    // The clone is only read.
    assert!(reader.lab.at(CLONE).status().is_empty());
}
