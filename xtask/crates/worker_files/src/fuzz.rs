//! Whatever the bytes are, reading them ends, and neither panics nor leaves the file.
//!
//! The long run, one extractor or all (`FUZZ_TARGET=python`):
//! `FUZZ_SECONDS=1800 cargo test --release --package worker_files fuzz_surface -- --ignored --nocapture`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use testing::Random;
use xtask_core::tree::{Memory, Mode};

const PYTHON: &str = "import os, json\nfrom .a import *\nX = {'A': '--b', **{}}\nclass C(B):\n    x: int = 1\n    def __init__(self, a=os.getenv('H', 1), *args, **kw):\n        self.a = a\n    @property\n    def p(self): return self.a\ndef f(env, job):\n    for k, v in X.items():\n        if env.get(k) in ('1',): yield v, env[k]\n        else: continue\n    xs = [g(i) for i in range(3) if i]\n    xs += ['--c', f'{xs}{X!r:>{3}}']\n    match job['input']:\n        case {'a': b}: pass\n    return lambda q: q\ntry:\n    f(os.environ, 1)\nexcept E as e:\n    raise\nwith open('sglang_flags.json') as h: json.load(h)\nrunpod.serverless.start({'handler': f})\n";
const DOCKERFILE: &str = "# syntax=x\nARG A=1\nFROM lmsysorg/sglang:v${A}-cu129 AS b\nENV X=1 Y=\"a b\" Z=$X\nENV OLD form\nRUN --mount=type=secret,id=T pip install -r r.txt \"a[b]>=1\" && apt-get install -y c \\\n # no\n d\nRUN <<E\npip install x\nE\nCOPY --from=b [\"a\", \"b\"]\nHEALTHCHECK CMD x\nVOLUME [\"/a\"]\nCMD [\"python3\", \"h.py\"]\n";
const SHELL: &str = "#!/bin/bash\nf() { x \"$@\"; }\nB=(a \"$C\")\nB+=(d)\nf \"${B[@]}\" <<E\n$F\nE\ncase $A in a|b) c;; esac\n[ -z \"$A\" ] && A=b\nbash -c \"pip install $X\" | xargs -a f g\nset -- a; exec \"$@\"\nA=1; export B=\"${A:-$C}\"\nfor i in $D; do echo $(cat $i | x) `y`; done\npython3 -m sglang.launch_server --port \"$PORT\" --host=$H\n";
const COMPOSE: &str = "services:\n  a: &a\n    image: x\n    environment: [A=1, B]\n    env_file: .env\n  b:\n    <<: *a\n    environment: {A: 1, B: null}\n";
const BAKE: &str = "variable \"A\" { default = \"x${B}\" }\ntarget \"t\" {\n  inherits = [\"u\"]\n  args = { A = \"1\", \"B\" = A }\n}\n";
const HUB: &str = "{\"config\": {\"env\": [{\"key\": \"A\", \"input\": {\"name\": \"a\", \"options\": [{\"label\": \"x\", \"value\": 1}]}}], \"presets\": [{\"name\": \"p\", \"defaults\": {\"A\": 1}}], \"allowedCudaVersions\": [\"12.4\"]}, \"tests\": [{\"input\": {}}], \"schema\": {\"A\": {\"type\": \"text\"}}, \"versions\": {\"1\": {\"categories\": [{\"title\": \"t\", \"settings\": [\"A\"]}]}}}";
const README: &str = "| A | Default |\n|---|---|\n| `AB_C` | `1` \\| 2 |\n";
const PROJECT: &str = "[project]\ndependencies = [\"foo\", 'b']\n[options]\ninstall_requires =\n  x\n[[package]]\nname = \"foo\"\nversion = '''1'''\nsetup(install_requires=['a', # b\n *c])\n";
const REQUIREMENTS: &str =
    "a==1 ; python_version > '3' # x\n-r b.txt\ngit+https://x\nc @ y \\\n --hash=z\n";

const PIECES: &[&str] = &[
    "\n",
    "\r\n",
    "\\\n",
    "\0",
    "\t",
    " ",
    "    ",
    "\"",
    "'",
    "\"\"\"",
    "f'{",
    "}",
    "{",
    "[",
    "]",
    "(",
    ")",
    ",",
    ":",
    "=",
    "$",
    "${",
    "$(",
    "`",
    "#",
    "|",
    "&&",
    "<<E\n",
    "\u{feff}",
    "é",
    "\u{10ffff}",
    "os.getenv(",
    "os.environ[",
    "def f(x):\n",
    "class A(A):\n",
    "for x in x:\n",
    "if ",
    "else:\n",
    "yield ",
    "lambda: ",
    "x = x + x\n",
    "x += x\n",
    "[x for x in x]",
    "*",
    "&a ",
    "*a",
    "- ",
    "FROM ",
    "RUN ",
    "ENV ",
    "ARG ",
    "${A:-",
    "{\"",
    "\\u",
    "1e999",
    "--a",
    "-",
];

/// One kind of file: its name, what to begin from, and its reader.
type Target = (&'static str, &'static str, fn(&Source));

const TARGETS: &[Target] = &[
    ("python", PYTHON, |source| {
        drop(python::read(
            &[source],
            &BTreeMap::new(),
            &python::Reach::default(),
        ));
    }),
    ("dockerfile", DOCKERFILE, |source| {
        drop(dockerfile::read(source));
    }),
    ("shell", SHELL, |source| drop(shell::parse(&source.text))),
    ("compose", COMPOSE, |source| {
        drop((compose::read(source), compose::env_file(source)));
    }),
    ("bake", BAKE, |source| drop(bake::read(source, &|_| None))),
    ("hub", HUB, |source| {
        drop((
            hub::read(source),
            tests_json::read(source),
            worker_config::read(source),
        ));
    }),
    ("readme", README, |source| drop(readme::read(source))),
    ("requirements", REQUIREMENTS, |source| {
        drop(packages::requirements(source));
        drop(packages::environment(source));
    }),
    ("projects", PROJECT, |source| {
        for name in ["pyproject.toml", "setup.py", "setup.cfg", "uv.lock"] {
            let source = Source::new(name.into(), source.text.as_bytes());
            drop(packages::project(&[&source], &packages::Chosen::default()));
        }
    }),
    ("worker", DOCKERFILE, |source| {
        let tree = Memory::new()
            .with("Dockerfile", source.text.clone())
            .with("r.txt", "a\n")
            .with("h.py", "import os\n")
            .with("start.sh", source.text.clone());
        drop(WorkerInterface::read(&tree));
    }),
];

fn mutated(random: &mut Random, seed: &str) -> Vec<u8> {
    let mut bytes = seed.as_bytes().to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        match random.below(7) {
            0 => bytes.truncate(at),
            1 => {
                let end = (at + random.below(40)).min(bytes.len());
                bytes.drain(at..end);
            }
            2 => {
                let end = (at + random.below(80)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            3 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = u8::try_from(random.below(256)).unwrap();
                }
            }
            4 => {
                let piece = PIECES[random.below(PIECES.len())].repeat(1 + random.below(200));
                bytes.splice(at..at, piece.into_bytes());
            }
            5 => {
                let steps = (0..random.below(600)).map(|depth| " ".repeat(depth) + "if x:\n");
                bytes.splice(at..at, steps.collect::<String>().into_bytes());
            }
            _ => {
                let piece = PIECES[random.below(PIECES.len())];
                bytes.splice(at..at, piece.bytes());
            }
        }
    }
    bytes
}

fn round(random: &mut Random, target: &Target) {
    let bytes = mutated(random, target.1);
    read(target, &bytes);
}

fn read((name, _, read): &Target, bytes: &[u8]) {
    let source = Source::new("some/file".into(), bytes);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(&source)));
    assert!(
        outcome.is_ok(),
        "{name} panicked on {:?}",
        String::from_utf8_lossy(bytes)
    );
}

#[test]
fn any_bytes_can_be_read() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for target in TARGETS {
        for _ in 0..60 {
            round(&mut random, target);
        }
    }
}

/// Ends the program when one file is read for a minute, so that a loop is noticed.
fn watch(reading: Arc<AtomicU64>, file: PathBuf) {
    std::thread::spawn(move || {
        let mut last = None;
        loop {
            std::thread::sleep(std::time::Duration::from_mins(1));
            let round = reading.load(Ordering::Relaxed);
            if last == Some(round) {
                eprintln!("round {round} doesn't end; it reads {}", file.display());
                std::process::exit(1);
            }
            last = Some(round);
        }
    });
}

#[test]
#[ignore = "runs for as long as FUZZ_SECONDS says"]
fn fuzz_surface() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let only = std::env::var("FUZZ_TARGET").ok();
    let seconds = number("FUZZ_SECONDS").unwrap_or(30);
    let mut random = Random(number("FUZZ_SEED").unwrap_or(0x2545_f491_4f6c_dd1d));
    let start = std::time::Instant::now();
    let file = std::env::temp_dir().join("xtask-fuzz-interface");
    let reading = Arc::new(AtomicU64::new(0));
    watch(reading.clone(), file.clone());
    let mut rounds = 0u64;
    let mut slowest = std::time::Duration::ZERO;
    while start.elapsed().as_secs() < seconds {
        for target in TARGETS
            .iter()
            .filter(|t| only.as_deref().is_none_or(|o| o == t.0))
        {
            let bytes = mutated(&mut random, target.1);
            // What a run that is killed was reading.
            fs_err::write(&file, &bytes).unwrap();
            reading.store(rounds, Ordering::Relaxed);
            let before = std::time::Instant::now();
            read(target, &bytes);
            let took = before.elapsed();
            if took > slowest {
                slowest = took;
                let kept = file.with_extension(target.0);
                fs_err::copy(&file, &kept).unwrap();
                println!("{} took {took:?} for {}", target.0, kept.display());
            }
            rounds += 1;
        }
    }
    println!("{rounds} rounds, the slowest {slowest:?}");
}

#[test]
fn a_tree_of_odd_files_is_read_and_says_what_it_could_not() {
    let tree = Memory::new()
        .with("big.py", vec![b'x'; 5 * 1024 * 1024])
        .with(
            "latin.py",
            b"# \xe9\nimport os\nos.getenv('LATIN')\n".to_vec(),
        )
        .with("nul.py", b"import os\n\0\nos.getenv('NUL')\n".to_vec())
        .with(
            "tabs.py",
            b"\xef\xbb\xbfimport os\r\nif 1:\r\n\tos.getenv('TABS')\r\n".to_vec(),
        )
        .with("deep.py", format!("x = {}\n", "[".repeat(100_000)))
        .with_mode("link.py", Mode::Symlink, "nowhere")
        .with(
            "tests/helper.py",
            "import os\nos.getenv('NOT_THE_WORKERS')\n",
        )
        .with("Dockerfile", "FROM\nCOPY . /\n")
        .with(".runpod/hub.json", "{")
        .with("docker-compose.yml", "a: [")
        .with("docker-bake.hcl", "a =");
    let (interface, gaps) = WorkerInterface::read(&tree).unwrap().split();
    let names: Vec<&str> = interface
        .env
        .iter()
        .map(|read| read.name.as_str())
        .collect();
    assert!(
        names.contains(&"LATIN") && names.contains(&"TABS"),
        "{names:?}"
    );
    assert!(!names.contains(&"NOT_THE_WORKERS"));
    let unread: Vec<String> = gaps
        .iter()
        .map(|gap| format!("{}: {}", gap.place, gap.what))
        .collect();
    for (file, what) in [
        ("big.py", "bytes are more than"),
        ("latin.py", "UTF-8"),
        ("deep.py", "no Python"),
        ("Dockerfile", "FROM lacks"),
        (".runpod/hub.json", "not JSON"),
        ("docker-compose.yml", "not YAML"),
        ("docker-bake.hcl", "not HCL"),
    ] {
        let said = unread
            .iter()
            .any(|gap| gap.starts_with(file) && gap.contains(what));
        assert!(said, "{file}: {unread:#?}");
    }
}
