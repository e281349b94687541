//! Whatever comes in, nothing panics, and what comes out takes only files that the result has.

use super::*;
use crate::glob::Glob;
use crate::ignore::Ignore;
use crate::{compose, dockerfile, yaml};
use testing::Random;

impl PathMap {
    /// For tests: the files `names` of `.runpod` come to the root, `left` stay behind.
    pub(crate) fn of_worker(names: &[&str], left: &[&str]) -> Self {
        let inside = |name: &str| RepoPath::from(name).inside(".runpod");
        let moved = names.iter().map(|name| (inside(name), (*name).into()));
        let hub = inside("hub.json");
        Self::new(
            ".runpod",
            moved.chain([(hub.clone(), hub)]),
            left.iter().map(|name| inside(name)),
        )
    }
}

const DOCKERFILES: &[&str] = &[
    "# escape=`\r\nFROM a\r\nCOPY .runpod/ ./\r\nRUN x `\r\n  y\r\n",
    "\u{feff}FROM a AS b\nARG D=.runpod\nCOPY --link --chown=1 [\".runpod/\", \"./ü\"]\nCOPY $D/*.py ${D}/public /x\n",
    "FROM a\nCOPY \\\n # c\n .runpod/handler.py \\\n\n .runpod/engine.py ./\nADD .runpod /y\n",
    "FROM a\nRUN --mount=type=bind,source=.runpod,target=/x --mount=type=cache,target=/c <<E cat\nCOPY .runpod /\nE\n",
    "FROM a\nCOPY <<A <<-\"B\" /x\nü\nA\n\tB\nRUN cat <<C; COPY .runpod ./\nC\nONBUILD ADD .runpod /z\n",
];

const COMPOSE: &[&str] = &[
    "services:\n  a: &x\n    build: {context: .., dockerfile: .runpod/Dockerfile}\n    volumes: ['../a:/b', \"./c:/d\"]\n  b:\n    <<: *x\n    env_file: >-\n      ../ü\n",
    "\u{feff}include: [../a, {path: ../b}]\r\nsecrets: {s: {file: ../t}}\r\n",
];

const PIECES: &[&str] = &[
    "\n",
    "\r\n",
    "\\\n",
    "`\n",
    " ",
    "\t",
    "\"",
    "'",
    "[",
    "]",
    ",",
    "{",
    "}",
    ":",
    "- ",
    "#",
    "$D",
    "${",
    "<<E",
    "E\n",
    "COPY ",
    "ADD ",
    "RUN ",
    "FROM x\n",
    "ONBUILD ",
    "--mount=",
    "--from=",
    ".runpod",
    ".runpod/",
    "..",
    "/",
    "*",
    "**",
    "ü",
    "\u{feff}",
    "&a ",
    "*a",
    "<<: ",
    "| \n",
    "handler.py",
    "public/",
];

fn mutated(random: &mut Random, text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        match random.below(4) {
            0 => {
                bytes.truncate(at);
            }
            1 if at < bytes.len() => {
                bytes.remove(at);
            }
            2 if at < bytes.len() => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            _ => {
                let piece = PIECES[random.below(PIECES.len())];
                bytes.splice(at..at, piece.bytes());
            }
        }
    }
    bytes
}

fn map() -> PathMap {
    let names = [
        "Dockerfile",
        "engine.py",
        "handler.py",
        "public/a.png",
        "public/b/c.png",
        "x y.py",
    ];
    PathMap::of_worker(&names, &["README.md"])
}

fn rounds() -> usize {
    let set = std::env::var("REWRITE_ROUNDS").ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(3_000)
}

#[test]
fn a_dockerfile_is_rewritten_soundly_or_refused() {
    let map = map();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut understood = 0;
    for round in 0..rounds() {
        let bytes = mutated(&mut random, DOCKERFILES[round % DOCKERFILES.len()]);
        let shown = || String::from_utf8_lossy(&bytes).into_owned();
        match dockerfile::rewrite(&bytes, &map) {
            Ok(result) => {
                understood += 1;
                let copied = dockerfile::taken(&result.bytes)
                    .unwrap_or_else(|fault| panic!("{fault}\n{}", shown()));
                for copied in copied {
                    assert!(
                        map.moved.values().any(|path| copied.covers(path)),
                        "{copied:?} after\n{}",
                        shown()
                    );
                }
                if result.changes.is_empty() {
                    assert_eq!(result.bytes, bytes, "{}", shown());
                }
            }
            Err(fault) => assert!(fault.line > 0 && fault.column > 0, "{fault:?}"),
        }
    }
    assert!(understood > rounds() / 20, "only {understood}");
}

#[test]
fn a_compose_file_is_rewritten_or_refused() {
    let map = map();
    let mut random = Random(0x1234_5678_9abc_def1);
    for round in 0..rounds() {
        let bytes = mutated(&mut random, COMPOSE[round % COMPOSE.len()]);
        match compose::rewrite(&bytes, &map) {
            Ok(result) => {
                let text = String::from_utf8(result.bytes).unwrap();
                let body = text.trim_start_matches('\u{feff}');
                assert!(
                    yaml::parse(body).is_ok(),
                    "{}",
                    String::from_utf8_lossy(&bytes)
                );
            }
            Err(fault) => assert!(fault.line > 0 && fault.column > 0, "{fault:?}"),
        }
    }
}

#[test]
fn the_rest_never_panics() {
    let mut random = Random(42);
    for round in 0..rounds() {
        let bytes = mutated(&mut random, PIECES[round % PIECES.len()]);
        let text = String::from_utf8_lossy(&bytes);
        let ignore = Ignore::read(&bytes);
        let _ = (
            ignore.excludes(&"a/b.py".into()),
            ignore.excludes_all_of(&"a/b".into()),
        );
        let _ = Glob::new(&text, true).map(|glob| glob.matches("a/b"));
        let _ = dockerfile::arguments(&bytes);
        let _ = yaml::parse(&text);
    }
}
