//! What a fork changed itself, and whether it is found in the new worker.

use super::*;
use xtask_core::tree::Memory;

const BASE: &str =
    "import os\n\n\ndef handler(job):\n    value = os.getenv('A', '1')\n    yield ask(job)\n";

/// What is open of a fork with these lines in its handler, against a new worker.
fn lost(own: &str, new: &str) -> Vec<String> {
    lost_in(own, &Memory::new().with("src/handler.py", new))
}

fn lost_in(own: &str, new: &Memory) -> Vec<String> {
    let fork = BASE.replace("'1'", "'2'") + own;
    let tree = |text: &str| Memory::new().with("src/handler.py", text);
    let [base, fork] = [BASE, &fork].map(tree);
    let facts = [&base, &fork].map(|tree| Facts::read(tree).unwrap());
    let code = [&base, &fork].map(|tree| code_of(tree).unwrap());
    let own = OwnChanges::of(&facts[0], &facts[1], "abc");
    let own = own.with_code((&facts[0], &code[0]), (&facts[1], &code[1]));
    let none = Facts::default();
    let facts = Facts::read(new).unwrap();
    let items = judge_all(&none, Some(&own), &facts, new).unwrap();
    let open = items.iter().filter(|item| item.open);
    open.map(|item| format!("{} {}{}", item.id, item.why, about(&item.help)))
        .collect()
}

/// What the help says of similar code.
fn about(help: &str) -> String {
    let about = help
        .split_once("Write them")
        .map_or(help, |(about, _)| about);
    format!(" {about}").trim_end().to_owned()
}

#[test]
fn a_forks_own_statements_are_looked_for_in_all_of_the_new_worker() {
    let own = "    for part in ask(\n        job,\n    ):\n        yield send({'part': part})\n";
    let moved = "def parts(job):\n    for part in ask(job):\n        x = send({\"part\": part})\n";
    assert_eq!(lost(own, moved), [""; 0]);
    assert_eq!(
        lost(own, BASE),
        [
            "code:src/handler.py:handler The new worker lacks what this fork added here: `for part in ask(job)`, `yield send({\"part\": part})`."
        ]
    );
}

#[test]
fn the_time_that_the_start_may_take_is_a_variables_now() {
    let new = |image: &str| {
        let image = format!("FROM python\nCOPY . .\n{image}CMD [\"python\", \"src/handler.py\"]\n");
        let code = "import os\nint(os.getenv('READY_TIMEOUT', '1200'))\n";
        let new = Memory::new().with("src/handler.py", code);
        new.with("Dockerfile", image)
    };
    let own = "engine.wait_for_server(timeout=1800)\n";
    let told = "code:src/handler.py The new worker lacks what this fork added here: \
                `engine.wait_for_server(timeout=1800)`. READY_TIMEOUT limits the new worker's \
                start: `ENV READY_TIMEOUT=1800` in the Dockerfile. Or record why not.";
    let judged = |own: &str, image: &str| -> Vec<String> { lost_in(own, &new(image)) };
    let of_code = |all: Vec<String>| -> Vec<String> {
        all.into_iter()
            .filter(|one| one.starts_with("code:"))
            .collect()
    };
    assert_eq!(of_code(judged(own, "")), [told]);
    assert_eq!(of_code(judged(own, "ENV READY_TIMEOUT=900\n")), [told]);
    assert_eq!(of_code(judged(own, "ENV READY_TIMEOUT=1800\n")), [""; 0]);
    // What waits for something else is no start.
    let other = of_code(judged(
        "queue.wait_for_job(timeout=1800)\n",
        "ENV READY_TIMEOUT=1800\n",
    ));
    assert_eq!(other.len(), 1);
}

#[test]
fn a_statement_is_not_found_in_a_part_of_another() {
    for (own, new) in [
        ("    retries = 3\n", "port = 30000\n"),
        ("    return None\n", "x = None\n"),
        ("    if stream:\n        pass\n", "upstream = 1\n"),
        ("    clean(job)\n", "unclean(job)\n"),
        ("    prepare_environment(job)\n", "x = 1\n"),
        ("    limit(3)\n", "limit(30)\n"),
        ("\n\n@retry(3)\ndef ask(job): ...\n", "def ask(job): ...\n"),
        ("\n\ndef ask(job, most=3): ...\n", "def ask(job): ...\n"),
    ] {
        assert_eq!(lost(own, new).len(), 1, "{own}");
        let same = format!("def handler(job):\n{own}");
        assert_eq!(lost(own, &same), [""; 0], "{own}");
    }
    // These are judged with the variable that they read.
    assert_eq!(
        lost("    more = os.environ\n    x = {'A': 1}\n", ""),
        [""; 0]
    );
}

#[test]
fn what_holds_a_fact_that_is_kept_elsewhere_is_looked_for() {
    let base = "import os, requests, runpod\n\n\ndef handler(job):\n    key = os.getenv('KEY')\n    return requests.post(URL, json=job['input'])\n\n\nrunpod.serverless.start({'handler': handler})\n";
    let fork = base.replace(
        "    return",
        "    if os.getenv('KEY'):\n        headers['X'] = f\"Bearer {os.getenv('KEY')}\"\n    requests.post(f'{HOST}/flush_cache')\n    if job['input'].get('fast'):\n        pass\n    return",
    );
    let new = "import os, requests, runpod\n\n\ndef handler(job):\n    key = os.getenv('KEY')\n    if admin:\n        return requests.post(f'{HOST}/flush_cache', json=job['input'].get('fast'))\n    return requests.post(URL, json=job['input'])\n\n\nrunpod.serverless.start({'handler': handler})\n";
    let [base, fork, new] =
        [base, &*fork, new].map(|text| Memory::new().with("src/handler.py", text));
    let open = |new: &Memory| -> Vec<String> {
        let read = |tree: &Memory| (Facts::read(tree).unwrap(), code_of(tree).unwrap());
        let (was, is) = (read(&base), read(&fork));
        let own = OwnChanges::of(&was.0, &is.0, "abc");
        let own = own.with_code((&was.0, &was.1), (&is.0, &is.1));
        let items = judge_all(&is.0, Some(&own), &Facts::read(new).unwrap(), new).unwrap();
        let open = items.iter().filter(|item| item.open);
        open.map(|item| format!("{} {}", item.id, item.why))
            .collect()
    };
    assert_eq!(
        open(&new),
        [
            "code:src/handler.py:handler The new worker lacks what this fork added here: `headers[\"X\"]=f\"Bearer {os.getenv(\"KEY\")}\"`, `requests.post(f\"{HOST}/flush_cache\")`."
        ]
    );
    assert_eq!(open(&fork), [""; 0]);
    // What is gone is told as that, and once.
    let told = open(&base);
    assert!(
        told.iter().any(|one| one.starts_with("input:fast ")),
        "{told:?}"
    );
    assert!(
        told.iter().all(|one| !one.contains("get(\\\"fast")),
        "{told:?}"
    );
}

#[test]
fn what_any_code_may_say_counts_in_its_function_alone() {
    let own = "    if not job:\n        return ''\n";
    let elsewhere = "def other(job):\n    if not job:\n        return ''\n";
    assert_eq!(lost(own, elsewhere).len(), 1);
    let here = elsewhere.replace("other", "handler");
    assert_eq!(lost(own, &here), [""; 0]);
    // It may go by another name with the code around it.
    let denied = "    if not allowed(job):\n        return ''\n";
    assert_eq!(lost(denied, &format!("def other(job):\n{denied}")), [""; 0]);
}

#[test]
fn a_call_that_code_of_another_purpose_makes_is_no_proof() {
    for own in [
        "    yield json.dumps(job, ensure_ascii=False)\n",
        "    text = json.dumps(job, ensure_ascii=False)\n",
    ] {
        let call = own.trim_start().replace("text =", "body =");
        let new = format!("def ask(job):\n    log(1)\n    {call}");
        let told = lost(own, &new);
        assert_eq!(told.len(), 1, "{own}");
        let place = "src/handler.py:3:5 has `json.dumps(job, ensure_ascii=False)` too: see";
        assert!(told[0].contains(place), "{told:?}");
        let here = new.replace("ask", "handler");
        assert_eq!(lost(own, &here), [""; 0], "{own}");
    }
}

/// A job's input goes by many names.
#[test]
fn a_call_with_the_jobs_input_counts_by_whatever_name() {
    let own = "    problem = checked(job_input)\n    if problem:\n        yield {'error': problem, 'code': 'REFUSED'}\n    rule = job_input.pop('rule', 'none')\n    yield answer\n";
    let new = "def run(job):\n    problem = checked(job['input'])\n    if problem:\n        yield {'error': problem, 'code': 'REFUSED'}\n    rule = job.get('input').pop('rule', 'none')\n    yield output\n";
    assert_eq!(lost(own, new), [""; 0]);
    let other = new.replace("'rule', 'none'", "'rule', 'all'");
    assert_eq!(lost(own, &other).len(), 1);
}

#[test]
fn statements_hold_no_secret() {
    let secret = "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3z";
    let told = lost(&format!("    login('hf_{secret}')\n"), "");
    assert_eq!(told.len(), 1);
    assert!(!told[0].contains(secret), "{told:?}");
}

#[test]
fn what_a_fork_moved_is_compared_with_what_it_was() {
    let base = "import os\n\n\ndef handler(job):\n    check(job)\n    value = os.getenv('A')\n    yield ask(job)\n";
    let fork = base.replace("    yield", "    refuse(job, ALLOWED)\n    yield");
    let facts = Facts::default();
    for (path, count) in [("src/main.py", 1), ("lib/app/run.py", 1)] {
        let base = Memory::new().with("src/handler.py", base);
        let others = "def other(): ...\nother(1)\n";
        let fork = Memory::new().with(path, &*fork).with("other.py", others);
        let code = [&base, &fork].map(|tree| code_of(tree).unwrap());
        let own = OwnChanges::default().with_code((&facts, &code[0]), (&facts, &code[1]));
        let statements = &own.code[&format!("code:{path}:handler")].statements;
        assert_eq!(statements, &["refuse(job, ALLOWED)"]);
        assert_eq!(own.code.len(), count);
    }
}

#[test]
fn a_listing_that_a_fork_named_is_its_own() {
    let listing = |title: &str, icon: &str| {
        let text = format!(
            "{{\"title\": \"{title}\", \"description\": \"{title}\"{icon}, \"category\": \"language\"}}"
        );
        Memory::new().with(".runpod/hub.json", text)
    };
    let icon = ", \"iconUrl\": \"https://example.com/a.png\"";
    let [base, fork, new] = [("SGLang", ""), ("Ours, Inc", icon), ("SGLang 2", "")]
        .map(|(title, icon)| listing(title, icon));
    let facts = [&base, &fork].map(|tree| Facts::read(tree).unwrap());
    let open = |old: &Facts, own: Option<&OwnChanges>, new: &Memory| -> Vec<String> {
        let items = judge_all(old, own, &Facts::read(new).unwrap(), new).unwrap();
        let open = items.iter().filter(|item| item.open);
        open.map(|item| format!("{} {}", item.id, item.why))
            .collect()
    };
    let own = OwnChanges::of(&facts[0], &facts[1], "abc");
    assert_eq!(
        open(&facts[1], Some(&own), &new),
        [
            "hub:iconUrl The new listing doesn't have it.",
            "hub:title value was `Ours,Inc`, is `SGLang 2`.",
        ]
    );
    assert_eq!(open(&facts[1], Some(&own), &fork), [""; 0]);
    // Otherwise each worker has its own.
    assert_eq!(open(&facts[1], None, &new), [""; 0]);
}

#[test]
fn the_variable_of_the_model_follows_its_new_name() {
    let worker = |name: &str| {
        let text = format!(
            "import os, subprocess\nsubprocess.Popen(['python3', '-m', 'sglang.launch_server', '--model-path', os.environ['{name}']])\n"
        );
        Memory::new().with("engine.py", text)
    };
    let form = r#"{"versions": {"1.0": {"modelEnvVarKey": "MODEL_PATH"}}, "schema": {}}"#;
    let old = worker("MODEL_PATH").with("worker-config.json", form);
    let old = Facts::read(&old).unwrap();
    let own = OwnChanges {
        own: [MODEL_VARIABLE.to_owned()].into(),
        ..OwnChanges::default()
    };
    let why = |offered: &str| {
        let input = r#"{"name": "M", "type": "string"}"#;
        let hub = format!(r#"{{"config": {{"env": [{{"key": "{offered}", "input": {input}}}]}}}}"#);
        let new = worker("MODEL_NAME").with(".runpod/hub.json", hub);
        let items = judge_all(&old, Some(&own), &Facts::read(&new).unwrap(), &new).unwrap();
        let open = items.into_iter().filter(|item| item.open);
        let mut open = open.filter(|item| item.id == MODEL_VARIABLE);
        open.next().map(|item| item.why)
    };
    assert_eq!(why("MODEL_NAME"), None);
    let told = "The new form does not offer MODEL_NAME.";
    assert_eq!(why("OTHER").as_deref(), Some(told));
}

#[test]
fn an_option_for_all_packages_is_one_change() {
    let worker = |list: &str| {
        let docker = "FROM python:3.11\nCOPY . /\nRUN pip install -r requirements.txt\n";
        let tree = Memory::new().with("Dockerfile", docker);
        Facts::read(&tree.with("requirements.txt", list)).unwrap()
    };
    let base = worker("pandas\nray\nruff==1\n");
    let index = "--extra-index-url https://example.com/whl";
    let fork = worker(&format!("{index}\npandas\nray\nruff==2\n"));
    let own = OwnChanges::of(&base, &fork, "abc").own;
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let id = format!("pip:all with {index}");
    assert_eq!(own, [&*id, "pip:ruff"]);
    assert!(list_judged(&id, &base).is_some_and(|item| item.open));
    assert!(list_judged(&id, &fork).is_some_and(|item| !item.open));
    let own = OwnChanges::of(&fork, &base, "abc").own;
    assert_eq!(own.len(), 1, "what it took away is no change of its own");
}

#[test]
fn what_a_request_says_beside_a_variable_is_looked_for() {
    let base = "import os, requests, runpod\n\n\ndef handler(job):\n    key = os.getenv('KEY')\n    return requests.get('http://127.0.0.1:30000/v1/models')\n\n\nrunpod.serverless.start({'handler': handler})\n";
    let fork = base.replace(
        "/v1/models'",
        "/v1/models', headers={'Authorization': os.getenv('KEY', 'a')}, timeout=3",
    );
    let trees = [base, &fork].map(|text| Memory::new().with("src/handler.py", text));
    let facts = [&trees[0], &trees[1]].map(|tree| Facts::read(tree).unwrap());
    let code = [&trees[0], &trees[1]].map(|tree| code_of(tree).unwrap());
    let own = OwnChanges::of(&facts[0], &facts[1], "abc");
    let own = own.with_code((&facts[0], &code[0]), (&facts[1], &code[1]));
    assert_eq!(own.code["code:src/handler.py:handler"].behind.len(), 1);
}

#[test]
fn a_request_that_is_made_otherwise_does_not_hide_what_the_fork_says_in_it() {
    let base = "import requests, runpod\n\n\ndef handler(job):\n    return requests.post('http://127.0.0.1:30000/generate', json=job['input'])\n\n\nrunpod.serverless.start({'handler': handler})\n";
    let fork = base.replace(
        "job['input'])",
        "job['input'], timeout=3, headers={'X': 'a'})",
    );
    let [base, fork] = [base, &fork].map(|text| Memory::new().with("src/handler.py", text));
    let read = |tree: &Memory| (Facts::read(tree).unwrap(), code_of(tree).unwrap());
    let (was, is) = (read(&base), read(&fork));
    let own = OwnChanges::of(&was.0, &is.0, "abc");
    let own = own.with_code((&was.0, &was.1), (&is.0, &is.1));
    let items = judge_all(&is.0, Some(&own), &was.0, &base).unwrap();
    let open = items.iter().filter(|item| item.open);
    let open: Vec<&str> = open.map(|item| &*item.id).collect();
    assert_eq!(open, ["route:/generate", "code:src/handler.py:handler"]);
}
