//! Programs as people write them, and what is read from them.

mod accounting;
mod budget;
mod containers;

use super::*;
use crate::FlagKind;

/// Facts with what was not read.
pub struct Read {
    facts: PythonFacts,
    pub unread: Vec<Unread>,
}

impl std::ops::Deref for Read {
    type Target = PythonFacts;
    fn deref(&self) -> &PythonFacts {
        &self.facts
    }
}

fn read_with(files: &[(&str, &str)], data: &[(&str, &str)], reach: &Reach) -> Read {
    let of = |(path, text): &(&str, &str)| Source::new((*path).into(), text.as_bytes());
    let sources: Vec<Source> = files.iter().map(of).collect();
    let data: Vec<(String, Source)> = data.iter().map(|one| (one.0.to_owned(), of(one))).collect();
    let data = data
        .iter()
        .map(|(name, source)| (name.clone(), source))
        .collect();
    let (facts, unread) = read(&sources.iter().collect::<Vec<_>>(), &data, reach).split();
    Read { facts, unread }
}

/// Steps, bytes and constructs that were not read.
pub fn read_steps(files: &[(String, String)]) -> (usize, usize, usize) {
    let of = |(path, text): &(String, String)| Source::new((&**path).into(), text.as_bytes());
    let sources: Vec<Source> = files.iter().map(of).collect();
    let bytes = sources.iter().map(|source| source.text.len()).sum();
    let sources: Vec<&Source> = sources.iter().collect();
    let (reading, steps) = read_counted(&sources, &BTreeMap::new(), &Reach::default());
    (steps, bytes, reading.split().1.len())
}

pub fn facts(text: &str) -> Read {
    read_with(&[("engine.py", text)], &[], &Reach::default())
}

fn names(text: &str) -> Vec<String> {
    let mut names: Vec<_> = facts(text)
        .env
        .iter()
        .map(|read| read.name.clone())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// `NAME->--flag` for what drives a flag by value, `NAME=>--flag` for a switch.
fn drives(text: &str) -> Vec<String> {
    let mut out: Vec<_> = facts(text)
        .env
        .iter()
        .filter_map(|read| {
            let drive = read.drives.clone()?;
            let arrow = if drive.how == FlagKind::Value {
                "->"
            } else {
                "=>"
            };
            Some(format!("{}{arrow}{}", read.name, drive.flag))
        })
        .collect();
    out.dedup();
    out
}

#[test]
fn every_way_to_read_a_literal_name() {
    let text = r#"
import os
from os import environ, getenv
import os as system
a = os.getenv("A")
b = os.environ["B"]
c = os.environ.get("C", "x")
d = "D" in os.environ
e = environ.get("E")
f = getenv("F", 3)
g = system.environ["G"]
h = os.environ.pop("H", None)
i = os.environ.setdefault("I", "1")
"#;
    assert_eq!(names(text), ["A", "B", "C", "D", "E", "F", "G", "H", "I"]);
}

#[test]
fn names_through_constants_loops_comprehensions_and_helpers() {
    let text = r#"
import os
NAME = "A"
PREFIX = "B_"
os.getenv(NAME)
os.getenv(PREFIX + "ONE")
os.getenv(f"{PREFIX}TWO")
for name in ["C", "D"]:
    os.getenv(name)
for name in ("E",):
    os.environ[name]
for name in {"F"}:
    os.environ.get(name)
for key, value in {"G": 1}.items():
    os.getenv(key)
found = {k: os.getenv(k) for k in ("H", "I")}
both = [os.getenv(k) for k in ("J",) if k]
def read(name, default=None):
    return os.getenv(name, default)
read("K")
class Settings:
    def get(self, name):
        return read(name)
    def all(self):
        return [self.get(n) for n in sorted(["L"])]
"#;
    let expected = [
        "A", "B_ONE", "B_TWO", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L",
    ];
    assert_eq!(names(text), expected);
    assert!(facts(text).unread.is_empty(), "{:?}", facts(text).unread);
}

#[test]
fn a_name_that_is_computed_is_reported_with_its_place() {
    let text = "import os\nimport sys\nprint(os.getenv(sys.argv[1]))\n";
    let unread = facts(text).unread;
    assert_eq!(unread.len(), 1);
    assert!(unread[0].what.contains("computed"), "{unread:?}");
    assert_eq!((unread[0].place.line, unread[0].place.column), (3, 7));
}

#[test]
fn tables_of_options_and_switches_drive_their_flags() {
    let text = r#"
import os, subprocess
class Engine:
    def __init__(self, host=os.getenv("HOST", "0.0.0.0"), port=int(os.getenv("PORT", 30000))):
        self.host = host
        self.port = port
    def start(self):
        command = ["python3", "-m", "sglang.launch_server", "--host", self.host, "--port", str(self.port)]
        options = {"MODEL_NAME": "--model-path", "API_KEY": "--api-key"}
        switches = ["TRUST_REMOTE_CODE", "ENABLE_MLA"]
        for env_var, option in options.items():
            value = os.getenv(env_var)
            if value is not None and value != "":
                command.extend([option, value])
        for flag in switches:
            if os.getenv(flag, '').lower() in ('true', '1', 'yes'):
                command.append(f"--{flag.lower().replace('_', '-')}")
        subprocess.Popen(command)
"#;
    assert_eq!(
        drives(text),
        [
            "API_KEY->--api-key",
            "ENABLE_MLA=>--enable-mla",
            "HOST->--host",
            "MODEL_NAME->--model-path",
            "PORT->--port",
            "TRUST_REMOTE_CODE=>--trust-remote-code",
        ]
    );
    let facts = facts(text);
    let host = facts.env.iter().find(|read| read.name == "HOST").unwrap();
    assert_eq!(host.default.as_deref(), Some("0.0.0.0"));
    let switch = facts
        .env
        .iter()
        .find(|read| read.name == "ENABLE_MLA")
        .unwrap();
    let words = vec!["true".to_owned(), "1".to_owned(), "yes".to_owned()];
    assert_eq!(
        switch.drives.as_ref().unwrap().how,
        FlagKind::Switch { words }
    );
    assert_eq!(
        switch.place.line, 10,
        "the place is the table's, not the loop's"
    );
    assert!(facts.launches);
}

#[test]
fn a_skipped_rest_of_a_loop_is_guarded_by_its_condition() {
    let text = r#"
import os, subprocess
def arguments(env):
    args = []
    for name in ("DISABLE_RADIX_CACHE", "LOG_REQUESTS"):
        if env.get(name) != "1":
            continue
        args.append("--" + name.lower().replace("_", "-"))
    key = env.get("API_KEY")
    args += ["--api-key", key] if key else []
    return args
subprocess.Popen(["python3", "-m", "sglang.launch_server", *arguments(os.environ)])
"#;
    assert_eq!(
        drives(text),
        [
            "API_KEY->--api-key",
            "DISABLE_RADIX_CACHE=>--disable-radix-cache",
            "LOG_REQUESTS=>--log-requests",
        ]
    );
}

#[test]
fn a_table_of_flags_in_json_is_followed_like_one_in_the_source() {
    let text = r#"
import json, os
from pathlib import Path
FLAGS = json.loads((Path(__file__).parent / "sglang_flags.json").read_text())["flags"]
def arguments(env):
    for flag, known in FLAGS.items():
        value = env.get(flag[2:].replace("-", "_").upper()) or env.get(flag.lstrip("-").replace("-", "_").upper())
        if value:
            yield flag
            yield value
print(list(arguments(os.environ)))
"#;
    let flags = r#"{"flags": {"--tp-size": {}, "--api-key": {}}}"#;
    let facts = read_with(
        &[("engine.py", text)],
        &[("sglang_flags.json", flags)],
        &Reach::default(),
    );
    let names: BTreeSet<_> = facts.env.iter().map(|read| read.name.as_str()).collect();
    assert_eq!(
        names.into_iter().collect::<Vec<_>>(),
        ["API_KEY", "TP_SIZE"]
    );
}

#[test]
fn the_handler_tells_its_input_apart_and_asks_for_routes() {
    let text = r#"
import requests, runpod
from engine import Engine
engine = Engine()
def concurrency(default=300):
    return default
async def handler(job):
    job_input = job["input"]
    if job_input.get("openai_route"):
        route, body = job_input.get("openai_route"), job_input.get("openai_input")
        response = requests.post(f"{engine.base_url}" + route, json=body)
        if body.get("stream", False):
            yield response
    elif "messages" in job_input:
        requests.post(f"{engine.base_url}/v1/chat/completions", json=job_input)
    else:
        requests.post(f"{engine.base_url}/generate", json=job_input)
runpod.serverless.start({"handler": handler, "concurrency_modifier": concurrency, "return_aggregate_stream": True})
"#;
    let facts = facts(text);
    let routes: Vec<_> = facts
        .routes
        .iter()
        .map(|r| format!("{} {}", r.method, r.route))
        .collect();
    assert_eq!(
        routes,
        [
            "POST {openai_route}",
            "POST /v1/chat/completions",
            "POST /generate"
        ]
    );
    let inputs: Vec<_> = facts.inputs.iter().map(|i| i.path.as_str()).collect();
    assert_eq!(
        inputs,
        [
            "openai_route",
            "openai_input",
            "openai_input.stream",
            "messages"
        ]
    );
    let settings: Vec<_> = facts
        .serverless
        .iter()
        .map(|s| format!("{}={}", s.name, s.value))
        .collect();
    assert_eq!(
        settings,
        [
            "handler.yields=True",
            "handler=handler",
            "concurrency_modifier=concurrency",
            "return_aggregate_stream=True"
        ]
    );
}

#[test]
fn classes_functions_and_signatures_are_the_api() {
    let text = "class A(Base):\n    def __init__(self, x='1' ):\n        pass\n    async def go(self): pass\n    def _own(self): pass\ndef f(a, b=2): pass\n";
    let api: Vec<_> = facts(text)
        .api
        .iter()
        .map(|item| format!("{} {}{}", item.kind.word(), item.name, item.signature))
        .collect();
    assert_eq!(
        api,
        [
            "class A(Base)",
            "def A.__init__(self, x=\"1\")",
            "async def A.go(self)",
            "def f(a, b=2)"
        ]
    );
}

#[test]
fn broken_files_tell_what_they_hold_and_where_they_break() {
    let text =
        "import os\r\nA = os.getenv(\"A\")\r\ndef broken(:\r\n\tpass\r\nB = os.getenv('B')\r\n";
    assert_eq!(names(text), ["A", "B"]);
    assert!(facts(text).unread.is_empty(), "{:?}", facts(text).unread);
    let text = "import os\nA = os.getenv('A')\nx = $ os.environ [\n";
    let facts = facts(text);
    assert!(facts.env.iter().any(|read| read.name == "A"));
    assert!(
        facts
            .unread
            .iter()
            .any(|gap| gap.what.contains("no Python"))
    );
}

#[test]
fn what_is_formatted_with_percent_is_known_or_reported() {
    let text = "import os\nfor kind in ('A', 'B'):\n    os.getenv('%s_%d' % (kind, 1))\nos.getenv('X_%s' % 'Y')\n";
    assert_eq!(names(text), ["A_1", "B_1", "X_Y"]);
    for unknown in [
        "'X_%d' % number()",
        "'X_%04d' % 7",
        "'X_%s' % ()",
        "'X_%'",
        "'X%%'",
        "'X_%(name)s' % {'name': 'Y'}",
    ] {
        let facts = facts(&format!("import os\nos.getenv({unknown} % 1)\n"));
        assert_eq!(facts.env.len(), 0, "{unknown}: {:?}", facts.env);
        assert!(!facts.unread.is_empty(), "{unknown}");
    }
}

/// The parser's scanner ends the program when it runs out of room for levels.
#[test]
fn more_levels_than_the_parser_has_room_for_are_a_gap() {
    let nested = |line: &dyn Fn(usize) -> String| -> String {
        let mut all: String = (0..2000).map(|depth| line(depth) + "if 1:\n").collect();
        all += &" ".repeat(2000);
        all + "os.getenv('A')\nf'{f\"{x}\"}'\n"
    };
    let spaces = nested(&|depth| " ".repeat(depth));
    let continued = nested(&|depth| " \\\n".repeat(depth / 30) + &" ".repeat(depth % 30));
    let nul = nested(&|depth| format!("#\0{}", " ".repeat(depth)));
    let tabs = nested(&|depth| "\t".repeat(depth));
    for text in [spaces, continued, nul, tabs] {
        let facts = facts(&text);
        let said = facts.unread.iter().any(|gap| gap.what.contains("indented"));
        assert!(said, "{:?}", facts.unread);
    }
    let some: String = (0..60).map(|d| " ".repeat(d) + "if 1:\n").collect();
    assert_eq!(
        names(&("import os\n".to_owned() + &some + &" ".repeat(60) + "os.getenv('A')\n")),
        ["A"]
    );
}

#[test]
fn a_loop_through_what_it_binds_comes_to_an_end() {
    for text in [
        "for k in k:\n    os.getenv(k)\n",
        "for k in k.items():\n    x = [os.getenv(k) for k in k]\n",
        "for a in b:\n    for b in a:\n        os.getenv(b)\n",
        "b = 'A'\na = [b]\nfor b in a:\n    os.getenv(b)\n",
    ] {
        let facts = facts(&format!("import os\n{text}"));
        assert_eq!(facts.unread.is_empty(), !facts.env.is_empty(), "{text}");
    }
}

#[test]
fn deep_nesting_and_endless_programs_end() {
    let deep = format!("x = {}1{}\n", "(".repeat(20_000), ")".repeat(20_000));
    let _ = facts(&deep);
    let lists = format!("x = {}{}\n", "[".repeat(5_000), "]".repeat(5_000));
    let _ = facts(&lists);
    let ifs: String = (0..400).fold(String::new(), |mut all, depth| {
        all.push_str(&" ".repeat(depth));
        all.push_str("if x:\n");
        all
    });
    let _ = facts(&ifs);
    let doubling = "x = ['--a']\ny = {}\nz = 'a'\nfor i in [1,2,3,4,5,6,7,8,9,10]:\n for j in [1,2,3,4,5,6,7,8,9,10]:\n  x = x + x\n  x += x\n  y.update({k: [y] for k in x})\n  z = z.replace('a', 'aaaaaaaaaaaaaaaa')\n  q = f'{q}{q}' if q else q or r or s or x\n";
    let _ = facts(doubling);
    let nested = "xs = [1,2,3,4,5,6,7,8,9,10]\nfor a in xs:\n for b in xs:\n  for c in xs:\n   for d in xs:\n    for e in xs:\n     x = [x, f'{x}{y}']\n     y = (x or y, {1: y})\n";
    let _ = facts(nested);
    let recursive = "def f(x):\n    return g(x) + g(x)\ndef g(x):\n    return f(x) + f(x)\nf(1)\n";
    let _ = facts(recursive);
    let loops = "xs = [1,2,3,4,5,6,7,8,9,10]\n".to_owned()
        + &"for a in xs:\n for b in xs:\n  for c in xs:\n   for d in xs:\n    for e in xs:\n     for f in xs:\n      for g in xs:\n       x = a + b\n".repeat(2);
    let _ = facts(&loops);
}

#[test]
fn reading_one_variable_over_and_over_comes_to_an_end() {
    let many = "import os\n".to_owned() + &"os.getenv('A')\n".repeat(5_000);
    let facts = facts(&many);
    assert_eq!(facts.env.len(), 5_000);
}

#[test]
fn a_route_that_a_function_picks_is_one_of_those_it_returns() {
    let text = r#"
import requests
def pick(job_input):
    if job_input.get("openai_route"):
        return job_input["openai_route"], job_input.get("openai_input") or {}
    return "/generate", job_input
def handler(job):
    route, body = pick(job["input"])
    requests.post(base_url + route, json=body)
"#;
    let facts = facts(text);
    let mut routes: Vec<_> = facts.routes.iter().map(|r| r.route.as_str()).collect();
    routes.sort_unstable();
    assert_eq!(routes, ["/generate", "{openai_route}"]);
    assert!(
        !facts.inputs.iter().any(|input| input.needed),
        "asked for before"
    );
}

#[test]
fn options_of_what_the_server_is_started_through_are_none_of_its_own() {
    let read = facts(
        "import subprocess\nsubprocess.Popen(['numactl', '--interleave=all', 'python3', '-m', 'sglang.launch_server', '--tp', '2'])\n",
    );
    let flags: Vec<&str> = read.facts.flags.iter().map(|one| &*one.flag).collect();
    assert_eq!(flags, ["--tp"]);
    assert_eq!(read.facts.started_through[0].0, "numactl --interleave=all");
}

#[test]
fn a_word_that_is_searched_in_the_text_of_an_input_is_no_key() {
    let read = facts(
        "import runpod\n\n\ndef handler(job):\n    given = job['input']\n    if any(word in str(given).lower() for word in ('a', 'b')):\n        return 'no'\n    return 'c' in given\n\n\nrunpod.serverless.start({'handler': handler})\n",
    );
    let keys: Vec<&str> = read.facts.inputs.iter().map(|one| &*one.path).collect();
    assert_eq!(keys, ["c"]);
}

/// The last programs are kept: each gives what it gave, and one that differs in anything its own.
#[test]
fn a_program_that_is_read_again_gives_the_same_and_another_its_own() {
    let read = |name: &str, held: bool| {
        let text = format!("import os\nos.getenv('{name}')\n");
        let path: RepoPath = "engine.py".into();
        let reach = Reach {
            held: (!held).then(BTreeSet::new),
            ..Reach::default()
        };
        let source = Source::new(path, text.as_bytes());
        let facts = super::read(&[&source], &BTreeMap::new(), &reach).split().0;
        let reached = facts.env.iter().filter(|read| read.reached);
        reached.map(|read| read.name.clone()).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        assert_eq!(read("A", true), ["A"]);
        assert_eq!(read("B", true), ["B"]);
        assert_eq!(read("A", false), [""; 0]);
    }
}
