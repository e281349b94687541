//! Small workers, run: what the runs show of them.

use serde_json::json;

use super::super::facts::Facts;
use super::super::judge::{Item, Verdict, judge, table_of};
use super::super::own_changes::judge_all;
use super::super::tests::{legacy, modern};
use super::*;
use xtask_core::tree::{Directory, Memory};

fn scenario(name: &str, env: &[(&str, &str)], jobs: Vec<RunJob>) -> Scenario {
    Scenario {
        name: name.to_owned(),
        env: env
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        jobs,
    }
}

/// One that ends has ended long before, however busy the machine is.
fn one(handler: &str, scenario: Scenario) -> Played {
    one_within(30, handler, scenario)
}

fn one_within(limit: u32, handler: &str, scenario: Scenario) -> Played {
    let tree = Memory::new().with("handler.py", handler);
    let facts = Facts::read(&tree).unwrap();
    play_within(&tree, &facts, &[scenario], limit)
        .unwrap()
        .remove(0)
}

#[test]
fn running_agrees_with_reading_and_adds_what_only_running_shows() {
    let (old_tree, new_tree) = (legacy(), modern());
    let (old, new) = (
        Facts::read(&old_tree).unwrap(),
        Facts::read(&new_tree).unwrap(),
    );
    let table = table_of(&new);
    let mut items = judge(&old, &new);
    let scenarios = scenarios(&old, &new, table, &jobs(&[&old_tree, &new_tree], &old));
    let runs = Runs {
        scenarios: &scenarios,
        old: &play(&old_tree, &old, &scenarios).unwrap(),
        new: &play(&new_tree, &new, &scenarios).unwrap(),
    };
    let base = &runs.new[0];
    assert_eq!(base.error, None);
    assert_eq!(base.settings["concurrency"], 1);
    let summary = verify(&runs, [&old, &new], table, &mut items);
    let of = |id: &str| items.iter().find(|item| item.id == id);
    // API_KEY does the same in both; MODEL_NAME and RANDOM_SEED don't, as the reading says.
    assert!(summary.alike >= 2, "{summary:?}");
    assert!(summary.as_read >= 3, "{summary:?}");
    assert_eq!(of("env:API_KEY").unwrap().verdict, Verdict::Kept);
    // A bare `messages` goes to another route now.
    let job = of("run:job.bare-messages").unwrap();
    assert!(
        job.open && job.why.contains("POST /v1/chat/completions"),
        "{}",
        job.why
    );
    assert_eq!(of("run:job.chat").unwrap().verdict, Verdict::Kept);
    // Nothing was misread.
    let wrong: Vec<&Item> = items
        .iter()
        .filter(|item| item.id.starts_with("run:old") || item.id.starts_with("run:new"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn a_reading_that_a_run_contradicts_is_a_finding() {
    let engine = |code: &str| {
        let command = "cmd = ['python3', '-m', 'sglang.launch_server']\n";
        let start = "subprocess.Popen(cmd)\nrunpod.serverless.start({'handler': print})\n";
        Memory::new().with(
            "handler.py",
            format!("import os, subprocess, runpod\n{command}{code}{start}"),
        )
    };
    let old_tree = engine("if os.getenv('API_KEY'): cmd += ['--api-key', os.getenv('API_KEY')]\n");
    // To the eye the flag is passed; but the code that would pass it never runs.
    let new_tree = engine(
        "if os.getenv('API_KEY') and len(cmd) > 99: cmd += ['--api-key', os.getenv('API_KEY')]\nos.getenv(''.join(map(chr, [72, 73])))\n",
    );
    let (old, new) = (
        Facts::read(&old_tree).unwrap(),
        Facts::read(&new_tree).unwrap(),
    );
    let table = table_of(&new);
    let mut items = judge(&old, &new);
    let kept = items.iter().find(|item| item.id == "env:API_KEY").unwrap();
    assert_eq!(kept.verdict, Verdict::Kept, "so says the reading");
    let scenarios = scenarios(&old, &new, table, &[]);
    let runs = Runs {
        scenarios: &scenarios,
        old: &play(&old_tree, &old, &scenarios).unwrap(),
        new: &play(&new_tree, &new, &scenarios).unwrap(),
    };
    verify(&runs, [&old, &new], table, &mut items);
    let of = |id: &str| items.iter().find(|item| item.id == id).unwrap();
    assert_eq!(
        (of("env:API_KEY").verdict, of("env:API_KEY").open),
        (Verdict::Changed, true)
    );
    let why = &of("env:API_KEY").why;
    assert!(why.contains("the old worker passes --api-key"), "{why}");
    assert!(of("run:new.API_KEY").open);
    assert!(of("run:new.reads.HI").why.contains("reads HI"));
}

/// What runs of two handlers come to.
fn verified(old: &str, new: &str) -> Vec<Item> {
    let trees = [old, new].map(|text| Memory::new().with("handler.py", text));
    let facts = [&trees[0], &trees[1]].map(|tree| Facts::read(tree).unwrap());
    let table = table_of(&facts[1]);
    let mut items = judge(&facts[0], &facts[1]);
    let scenarios = scenarios(
        &facts[0],
        &facts[1],
        table,
        &jobs(&[&trees[0], &trees[1]], &facts[0]),
    );
    let runs = Runs {
        scenarios: &scenarios,
        old: &play(&trees[0], &facts[0], &scenarios).unwrap(),
        new: &play(&trees[1], &facts[1], &scenarios).unwrap(),
    };
    verify(&runs, [&facts[0], &facts[1]], table, &mut items);
    items
}

#[test]
fn what_running_contradicts_is_closed_or_marked() {
    let answer = "return {'a': 1}";
    let old = handler(
        "if os.getenv('DTYPE'): cmd += ['--dtype', os.getenv('DTYPE')]\ncmd += ['--port', '3000']",
        answer,
    );
    // What the reader can't follow.
    let new = handler(
        "get = getattr(os, 'get' + 'env')\nif get('DTYPE'): cmd += ['--dtype', get('DTYPE')]\ncmd += ['--port', str(3 * 10 ** 3)]",
        answer,
    );
    let items = verified(&old, &new);
    let open: Vec<&Item> = items.iter().filter(|item| item.open).collect();
    assert!(open.is_empty(), "{open:#?}");
    let dtype = items.iter().find(|item| item.id == "env:DTYPE").unwrap();
    assert!(dtype.why.contains("both workers pass --dtype"));
    assert_eq!(dtype.help, "");
}

#[test]
fn a_handler_that_fails_with_every_job_shows_nothing() {
    for answer in ["raise ValueError(job)", "yield {'error': 'no key'}"] {
        let fails = handler("pass", answer);
        let items = verified(&fails, &fails);
        let old = items.iter().find(|item| item.id == "run:old").unwrap();
        assert!(old.open && old.why.contains("its handler fails with every job"));
    }
}

#[test]
fn a_worker_runs_as_one_that_takes_jobs_from_a_queue() {
    let answer = "yield {'a': 1}";
    let old = handler("pass", answer);
    let new = handler("os.environ['RUNPOD_WEBHOOK_GET_JOB']", answer);
    let items = verified(&old, &new);
    let open: Vec<&Item> = items.iter().filter(|item| item.open).collect();
    assert!(open.is_empty(), "{open:#?}");
}

#[test]
fn a_value_that_stops_the_new_worker_is_told() {
    let port = |read: &str| {
        handler(
            &format!("port = {read}\nif port: cmd += ['--port', port]"),
            "return {}",
        )
    };
    let old = port("os.getenv('PORT')");
    let items = verified(
        &old,
        &port("os.getenv('PORT') is not None and str(int(os.getenv('PORT')))"),
    );
    let item = items.iter().find(|item| item.id == "env:PORT").unwrap();
    assert!(
        item.why
            .contains("the old worker goes on, the new one stops"),
        "{}",
        item.why
    );
}

#[test]
fn an_empty_value_is_told_as_that() {
    let host = |read: &str| {
        handler(
            &format!("host = {read}\ncmd += ['--host', host]"),
            "return {}",
        )
    };
    let told = |old: &str, new: &str| {
        let items = verified(&host(old), &host(new));
        let item = items
            .into_iter()
            .find(|item| item.id == "env:HOST")
            .unwrap();
        item.why
    };
    let why = told(
        "os.environ.get('HOST', '0.0.0.0')",
        "os.environ.get('HOST', '0.0.0.0') or '0.0.0.0'",
    );
    let empty = "Run with HOST=\"\", the old worker passes --host \"\", the new one passes the same as without it.";
    assert!(why.starts_with(empty), "{why}");
}

#[test]
fn a_result_in_pieces_is_another_than_one_value() {
    let one = handler("pass", "return {'a': 1}");
    let pieces = handler("pass", "yield {'a': 1}");
    assert!(verified(&pieces, &pieces).iter().all(|item| !item.open));
    let items = verified(&one, &pieces);
    let job = items.iter().find(|item| item.id == "run:job.chat").unwrap();
    let told = "as one value, and gives it as a generator";
    assert!(job.open && job.why.contains(told));
    let others = verified(&one, &handler("pass", "yield {'a': 2}"));
    let job = others
        .iter()
        .find(|item| item.id == "run:job.chat")
        .unwrap();
    let told = "; the handler gave back `{\"a\":1}`, and gives `{\"a\":2}`.";
    assert!(job.why.ends_with(told), "{}", job.why);
    // All jobs show the same thing.
    let entries = super::super::entries::of(&items, None);
    let runs: Vec<_> = entries
        .iter()
        .filter(|entry| entry.id.starts_with("run:"))
        .collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
}

/// A handler that starts the server with this before it, and answers with this.
fn handler(command: &str, answer: &str) -> String {
    format!(
        "import os, subprocess, requests, runpod\ncmd = ['python3', '-m', 'sglang.launch_server']\n{command}\nsubprocess.Popen(cmd)\ndef handler(job):\n    {answer}\nrunpod.serverless.start({{'handler': handler}})\n"
    )
}

#[test]
fn defaults_bodies_results_and_empty_values_are_compared() {
    let open = |old: &str, new: &str| -> Vec<String> {
        let items = verified(old, new).into_iter();
        items.filter(|item| item.open).map(|item| item.id).collect()
    };
    let same = handler(
        "cmd += ['--dtype', os.getenv('DTYPE') or 'half']",
        "return {'a': 1}",
    );
    assert!(open(&same, &same).is_empty());
    // What the reading calls open is not said twice.
    let other = same.replace("'half'", "'float16'");
    assert_eq!(open(&same, &other), ["env:DTYPE"]);
    let result = same.replace("'a': 1", "'a': 2");
    assert!(open(&same, &result).iter().any(|id| id == "run:job.chat"));
    let asks = |body: &str| {
        handler(
            "pass",
            &format!("requests.post('http://127.0.0.1:1/generate', json={body})"),
        )
    };
    let found = verified(&asks("{'n': 1}"), &asks("{'n': 2}"));
    let job = found
        .iter()
        .find(|item| item.id == "run:job.generate")
        .unwrap();
    assert!(
        job.open
            && job
                .why
                .contains("the request's body was `{\"n\":1}`, is `{\"n\":2}`."),
        "{}",
        job.why
    );
}

#[test]
fn what_stand_ins_say_is_in_no_message() {
    let asks = |answer: &str| {
        let post = "response = requests.post('http://127.0.0.1:1/generate', json={})";
        handler("pass", &format!("{post}\n    return {answer}"))
    };
    for old in [
        "[line.decode() for line in response.iter_lines()]",
        "response.json()",
        "response.text",
    ] {
        let items = verified(&asks(old), &asks("{'text': response.text}"));
        let of_run = items.iter().filter(|item| item.id.starts_with("run:"));
        let wrong: Vec<&Item> = of_run.filter(|item| item.open).collect();
        assert!(wrong.is_empty(), "{old}: {wrong:?}");
    }
    let yields = |piece: &str| {
        let post = "response = requests.post('http://127.0.0.1:1/generate', json={})";
        let lines = "for line in response.iter_lines():";
        handler(
            "pass",
            &format!("{post}\n    {lines}\n        if {piece}:\n            yield line.decode()"),
        )
    };
    let items = verified(&yields("line"), &yields("not line"));
    let job = items.iter().find(|item| item.id == "run:job.generate");
    let why = &job.unwrap().why;
    assert!(why.ends_with(", and gives nothing."), "{why}");
    let items = verified(&asks("['a', 'b']"), &asks("{'b': 1}"));
    let job = items.iter().find(|item| item.id == "run:job.generate");
    let why = &job.unwrap().why;
    assert!(
        why.ends_with("gave back `[\"a\",\"b\"]`, and gives `{\"b\":1}`."),
        "{why}"
    );
    // A key that is made up is no difference; one in the place of a value is told as what it is.
    let random = "import secrets\ncmd += ['--api-key', secrets.token_urlsafe(32)]";
    let fixed = "cmd += ['--api-key', 'k' + str(1)]";
    let defaults = |old: &str, new: &str| {
        let items = verified(&handler(old, "return 1"), &handler(new, "return 1"));
        let item = items.into_iter().find(|item| item.id == "run:defaults");
        item.map(|item| item.why)
    };
    assert_eq!(defaults("pass", random), None);
    assert_eq!(defaults(random, random), None);
    let taken = "With nothing set, --api-key was `k1`, is made up at each start.";
    assert_eq!(defaults(fixed, random).as_deref(), Some(taken));
}

#[test]
fn what_takes_the_place_of_the_servers_answer_is_told() {
    let asks = |answer: &str| {
        let post = "r = requests.post('http://127.0.0.1:1/generate', json={})";
        handler("pass", &format!("{post}\n    yield {answer}"))
    };
    let why = |old: &str, new: &str| {
        let items = verified(&asks(old), &asks(new)).into_iter();
        let mut jobs = items.filter(|it| it.id == "run:job.generate" && it.open);
        let why = jobs.next().map(|it| it.why)?;
        Some(why.split_once("gave back ")?.1.to_owned())
    };
    let answer = "r.json()";
    let told = "the server's answer, and gives `{\"error\":\"no\"}`.";
    assert_eq!(why(answer, "{'error': 'no'}").as_deref(), Some(told));
    let with = |word: &str| format!("{{'status': '{word}', 'raw': [r.json()]}}");
    let told = "`{\"status\":\"ok\",\"raw\":[…]}`, and gives `{\"status\":\"off\",\"raw\":[…]}`.";
    assert_eq!(why(&with("ok"), &with("off")).as_deref(), Some(told));
    assert_eq!(why(&with("ok"), &with("ok")), None);
    let items = verified(&asks(answer), &asks("str(r.text)"));
    assert!(items.iter().all(|it| !it.is_unsure));
    // What a stand-in counts as says nothing.
    assert_eq!(why("{'n': 3}", "{'n': r.anything}"), None);
}

#[test]
fn a_worker_that_never_starts_shows_nothing() {
    let works = handler("pass", "return 1");
    let items = verified("import os\nos.getenv('A')\n", &works);
    let side = items.iter().find(|item| item.id == "run:old").unwrap();
    assert!(
        side.open && side.why.contains("never calls runpod.serverless.start"),
        "{}",
        side.why
    );
    let items = verified(
        &works,
        "import os\nos.getenv('A')\nraise SystemExit('no')\n",
    );
    assert!(items.iter().any(|item| item.id == "run:new" && item.open));
}

#[test]
fn any_import_works_and_nothing_gets_out() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("made");
    let handler = format!(
        r#"
import os, signal, socket, subprocess, sys, urllib.request
import torch.nn.functional as F, numpy as np
from vllm.engine import AsyncEngine
class Mine(AsyncEngine): pass
@F.decorator
def fine(): return 1
subprocess.run(["touch", "{made}"]); os.system("touch {made}"); subprocess.Popen("touch {made}", shell=True)
os.kill(os.getppid(), signal.SIGKILL)
try:
    socket.create_connection(("127.0.0.1", 9))
except OSError as error:
    blocked = str(error)
urllib.request.urlopen("http://example.invalid/x")
assert os.environ["HOME"] != "{home}"
def handler(job):
    return blocked
import runpod
runpod.serverless.start({{"handler": handler, "said": blocked}})
"#,
        made = file.display(),
        home = std::env::var("HOME").unwrap_or_default()
    );
    let job = ("j".to_owned(), json!({}));
    let played = one(&handler, scenario("s", &[("A", "1")], vec![job]));
    assert_eq!(played.error, None);
    assert!(!file.exists(), "no process was started");
    assert_eq!(played.commands.len(), 3);
    assert_eq!(played.settings["said"], "there is no network here");
    assert_eq!(played.reads, ["HOME"]);
}

#[test]
fn what_never_ends_or_breaks_is_said() {
    let endless = one_within(1, "while True:\n    pass\n", scenario("s", &[], Vec::new()));
    assert_eq!(endless.error.as_deref(), Some("no end within 1 s"));
    let broken = one("def x(:\n", scenario("s", &[], Vec::new()));
    assert!(broken.error.unwrap().starts_with("SyntaxError"));
    let stopped = one(
        "import sys\nsys.exit('no model')\n",
        scenario("s", &[], Vec::new()),
    );
    assert_eq!(stopped.error.as_deref(), Some("it ended with no model"));
    let nothing = play(&Memory::new(), &Facts::default(), &[]).unwrap_err();
    assert!(nothing.to_string().contains("no handler.py"));
}

/// Variables to be set in one run. Neighbours, whose flags are alike, are in different ones, and
/// what does not start from the same variables is alone.
fn together(all: &[Scenario], base: &Scenario) -> Vec<Vec<Scenario>> {
    const RUNS: usize = 32;
    let is_alone = |one: &&Scenario| base.env.keys().any(|name| !one.env.contains_key(name));
    let (alone, others): (Vec<&Scenario>, Vec<&Scenario>) = all.iter().partition(is_alone);
    let mut runs: Vec<Vec<Scenario>> = alone.into_iter().map(|one| vec![one.clone()]).collect();
    let groups = (0..RUNS).map(|run| others.iter().copied().skip(run).step_by(RUNS));
    runs.extend(groups.map(|group| group.cloned().collect()));
    runs
}

/// A scenario with the variables of all of these.
fn united(group: &[Scenario], base: &Scenario) -> Scenario {
    let [alone] = group else {
        let env = group.iter().flat_map(|one| one.env.clone()).collect();
        return Scenario {
            env,
            ..base.clone()
        };
    };
    alone.clone()
}

/// What this repository's worker declares is true: each variable of a flag sets that flag, or is
/// refused for the value that was tried.
#[test]
fn every_variable_that_the_worker_declares_does_what_the_declaration_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let tree = Directory::open_work_tree(&root).unwrap();
    let facts = Facts::read(&tree).unwrap();
    let table = table_of(&facts);
    let mut singles = scenarios(&facts, &facts, table, &[]);
    singles.retain(|scenario| !scenario.name.contains('='));
    let base = singles.remove(0);
    // With this it waits for another machine: it never comes to an end.
    let waits = ["NODE_RANK"];
    let waiting: Vec<Scenario> = singles
        .extract_if(.., |one| waits.contains(&&*one.name))
        .collect();
    let waited = play_within(&tree, &facts, &waiting, 3).unwrap();
    assert!(
        waited
            .iter()
            .all(|run| run.error.as_deref() == Some("no end within 3 s"))
    );
    let mut left = together(&singles, &base);
    let (mut driven, mut refused, mut without) = (0, Vec::new(), Vec::new());
    let plain = play(&tree, &facts, std::slice::from_ref(&base))
        .unwrap()
        .remove(0);
    assert_eq!((plain.started, &plain.error), (true, &None));
    while !left.is_empty() {
        let runs: Vec<Scenario> = left.iter().map(|group| united(group, &base)).collect();
        let mut next = Vec::new();
        for (group, run) in left.iter().zip(play(&tree, &facts, &runs).unwrap()) {
            if run.error.is_some() && group.len() > 1 {
                // One of them is refused, or two don't go together.
                let (one, other) = group.split_at(group.len() / 2);
                next.extend([one.to_vec(), other.to_vec()]);
                continue;
            }
            for scenario in group {
                let fact = facts.get(&format!("env:{}", scenario.name)).unwrap();
                let effect = verify::effect(&plain, &run, &scenario.name, table);
                match fact.get("flag") {
                    _ if run.error.is_some() => refused.push(scenario.name.clone()),
                    Some(flag) if effect.contains_key(&verify::canonical(flag, table).0) => {
                        driven += 1;
                    }
                    Some(_) if group.len() > 1 => next.push(vec![scenario.clone()]),
                    Some(_) => without.push(scenario.name.clone()),
                    None => {}
                }
            }
        }
        left = next;
    }
    assert!(driven > 480, "{driven}, refused: {refused:?}");
    assert!(refused.len() < 20, "{refused:?}");
    assert!(without.is_empty(), "{without:?}");
}

/// What the image sets holds in its runs, but for paths, which are not those of this machine.
#[test]
fn the_image_sets_variables_in_runs_too() {
    let handler = "import os, subprocess\nimport runpod\nsubprocess.Popen(['python3', '-m', 'sglang.launch_server', '--dtype', os.getenv('DTYPE', 'auto'), '--download-dir', os.getenv('CACHE', 'none'), '--load-format', os.getenv('MODE', 'auto')])\nrunpod.serverless.start({'handler': lambda job: 1})\n";
    let tree = Memory::new()
        .with("handler.py", handler)
        .with("start.sh", "if [ -n \"$FAST\" ]; then export MODE=fast; fi\npython3 /handler.py\n")
        .with("Dockerfile", "FROM python:3.11\nENV DTYPE=half CACHE=/x\nCOPY handler.py start.sh /\nCMD [\"bash\", \"/start.sh\"]\n");
    let facts = Facts::read(&tree).unwrap();
    let plain = [
        scenario("base", &[], Vec::new()),
        scenario("set", &[("DTYPE", "float16")], Vec::new()),
    ];
    let played = play(&tree, &facts, &plain).unwrap();
    let ends = |one: &Played| one.commands[0][3..].join(" ");
    assert_eq!(
        ends(&played[0]),
        "--dtype half --download-dir none --load-format auto"
    );
    assert_eq!(
        ends(&played[1]),
        "--dtype float16 --download-dir none --load-format auto"
    );
}

/// A worker whose program is not named `handler.py`, with a data file beside it and the server
/// started by a program of its own.
fn elsewhere(code: &str) -> Memory {
    let server = "subprocess.Popen(['python3', 'launch.py', '--model-path', 'm', '--dtype', os.getenv('DTYPE', 'auto')])\n";
    Memory::new()
        .with("app/main.py", format!("import os, subprocess, time, runpod\n{server}{code}"))
        .with("app/launch.py", "import runpy\nrunpy.run_module('sglang.launch_server', run_name='__main__')\n")
        .with("app/code.txt", "pass\n")
        .with("Dockerfile", "FROM lmsysorg/sglang:v0.5.2-cu126\nCOPY app/ /app/\nWORKDIR /app\nCMD [\"python3\", \"main.py\"]\n")
}

fn verified_trees(old: &Memory, new: &Memory) -> Vec<Item> {
    let trees = [old, new];
    let facts = trees.map(|tree| Facts::read(tree).unwrap());
    let table = table_of(&facts[1]);
    let mut items = judge_all(&facts[0], None, &facts[1], new).unwrap();
    let scenarios = scenarios(&facts[0], &facts[1], table, &jobs(&[old, new], &facts[0]));
    let runs = Runs {
        scenarios: &scenarios,
        old: &play(old, &facts[0], &scenarios).unwrap(),
        new: &play(new, &facts[1], &scenarios).unwrap(),
    };
    verify(&runs, [&facts[0], &facts[1]], table, &mut items);
    items
}

/// The ids of what is open.
fn open(items: &[Item]) -> Vec<&str> {
    let open = items.iter().filter(|item| item.open);
    open.map(|item| item.id.as_str()).collect()
}

#[test]
fn the_program_that_the_image_starts_is_run() {
    let code = "open('code.txt').read()\ndef handler(job):\n    return {'n': job['input']['prompt'], 'at': int(time.time())}\nrunpod.serverless.start({'handler': handler})\n";
    let items = verified_trees(&elsewhere(code), &elsewhere(code));
    assert_eq!(open(&items), [""; 0]);
    let job = items.iter().find(|item| item.id == "run:job.needed-keys");
    assert!(job.is_some(), "a job has the keys that the handler needs");
    let less = code.replace(
        "'n': job['input']['prompt']",
        "'n': job['input']['prompt'].ljust(5)",
    );
    let items = verified_trees(&elsewhere(code), &elsewhere(&less));
    assert_eq!(open(&items), [""; 0], "`hello` has five letters");
    let other = code.replace(
        "'n': job['input']['prompt']",
        "'n': 'x' + job['input']['prompt']",
    );
    let items = verified_trees(&elsewhere(code), &elsewhere(&other));
    assert!(
        open(&items).contains(&"run:job.needed-keys"),
        "{:?}",
        open(&items)
    );
}

/// What a file of the machine decides on is the same in both workers.
#[test]
fn a_worker_is_the_same_as_itself() {
    let code = "if os.path.exists('/templates/chat.jinja'):\n    subprocess.Popen(['python3', '-m', 'sglang.launch_server', '--chat-template', os.getenv('TEMPLATE_NAME', 'a')])\ndef handler(job):\n    return {'n': job['input']['prompt']}\nrunpod.serverless.start({'handler': handler})\n";
    let one = elsewhere(code);
    assert_eq!(open(&verified_trees(&one, &one)), [""; 0]);
}

#[test]
fn of_several_programs_the_one_with_the_handler_is_run() {
    let start = "python3 app/fetch.py && python3 app/serve.py\n";
    let tree = Memory::new()
        .with("start.sh", start)
        .with("app/fetch.py", "import sys\nsys.exit(3)\n")
        .with(
            "app/serve.py",
            "import runpod\nrunpod.serverless.start({'handler': print})\n",
        )
        .with(
            "app/tests/serve.py",
            "import runpod\nrunpod.serverless.start({'handler': 1})\n",
        )
        .with(
            "Dockerfile",
            "FROM lmsysorg/sglang:v0.5.2-cu126\nCOPY . .\nCMD [\"bash\", \"start.sh\"]\n",
        );
    let facts = Facts::read(&tree).unwrap();
    assert_eq!(program(&tree, &facts).unwrap(), "app/serve.py");
    // Without a Dockerfile the file that registers a handler is taken.
    let alone = Memory::new().with("a.py", "x = 1\n").with(
        "b.py",
        "import runpod\nrunpod.serverless.start({'handler': print})\n",
    );
    assert_eq!(
        program(&alone, &Facts::read(&alone).unwrap()).unwrap(),
        "b.py"
    );
}

#[test]
fn what_was_not_read_is_closed_only_where_it_ran() {
    let code = |test: &str, file: &str| {
        format!(
            "def handler(job):\n    if len(job['input']) {test}:\n        exec(bytes(open('{file}', 'rb').read()[:9]))\n    return 1\nrunpod.serverless.start({{'handler': handler}})\n"
        )
    };
    let with = |code: &str| elsewhere(code).with("app/same.txt", "pass\n");
    let unread = |test: &str| {
        let [old, new] = ["code.txt", "same.txt"].map(|file| with(&code(test, file)));
        let items = verified_trees(&old, &new);
        open(&items)
            .iter()
            .filter(|id| id.starts_with("unread:"))
            .count()
    };
    assert_eq!(unread("> 99"), 1);
    assert_eq!(unread("< 99"), 0);
}

#[test]
fn a_variable_of_the_handler_is_tried_with_jobs() {
    let code = |used: &str| {
        format!(
            "KEY = os.getenv('PREFIX', '')\ndef handler(job):\n    return {{'text': {used}}}\nrunpod.serverless.start({{'handler': handler}})\n"
        )
    };
    let old = elsewhere(&code("KEY + job['input'].get('prompt', '')"));
    let new = elsewhere(&code("(KEY and '') + job['input'].get('prompt', '')"));
    let items = verified_trees(&old, &new);
    let item = items.iter().find(|item| item.id == "env:PREFIX").unwrap();
    assert!(
        item.open && item.why.contains("the new one: "),
        "{}",
        item.why
    );
    let items = verified_trees(&old, &old);
    assert_eq!(open(&items), [""; 0]);
}

#[test]
fn classes_and_comparisons_of_missing_modules_work() {
    let code = "import PIL, vllm\nfrom abc import ABC\nclass Mine(vllm.Params, ABC):\n    pass\nassert vllm.Params.DEFAULT is not None\nassert not PIL.Version('1') >= PIL.Version('2')\ndef handler(job):\n    return 1\nrunpod.serverless.start({'handler': handler})\n";
    let items = verified_trees(&elsewhere(code), &elsewhere(code));
    assert_eq!(open(&items), [""; 0]);
    let engine = "import sglang\nsglang.Engine(model_path='m', tp_size=2, trust_remote_code=True)\ndef handler(job):\n    return 1\nrunpod.serverless.start({'handler': handler})\n";
    let played = one(
        &format!("import runpod\n{engine}"),
        scenario("base", &[], Vec::new()),
    );
    assert_eq!(
        played.commands,
        [[
            "sglang",
            "--model-path",
            "m",
            "--tp-size",
            "2",
            "--trust-remote-code"
        ]]
    );
}
