//! A fuzz target that runs for as long as it is told to:
//!
//! ```console
//! FUZZ_SECONDS=1800 cargo test --release --package hub_lint fuzz_hub_lint -- --ignored --nocapture
//! ```
//!
//! It damages and crosses the examples of all rules, and the corpus where there is one. Whatever
//! comes out must not panic, must be JSON here exactly if it is JSON to `serde_json`, must be fixed
//! without breaking, and must print in every format. How long the slowest one took is printed.

use std::time::{Duration, Instant};

use super::*;
use annotate_snippets::Renderer;
use testing::Random;

/// Pieces that mean something in the two files.
const WORDS: &[&str] = &[
    "\"env\": [",
    "\"input\": {",
    "\"key\": \"A\"",
    "\"value\": ",
    "\"default\": ",
    "\"type\": \"number\"",
    "\"options\": [\"a\", 1]",
    "\"presets\": [{\"name\": \"p\", \"defaults\": {\"A\": []}}]",
    "\"gpuIds\": \"-,RTX A4000, \"",
    "\"gpuIds\": \"\\u0041DA_24\"",
    "\"allowedCudaVersions\": [\"1.\", \"12.8\"]",
    "\"tests\": [{\"input\": {\"input\": {}}}]",
    "\"timeout\": 1e1",
    "// c\n",
    "/* c */",
    ",,",
    "\\n",
    "\u{feff}",
    "null",
    "true",
    "1e308",
    "-0.0",
    "\"\u{1f600}\"",
    "\r\n",
    "{\"label\": \"x\", \"value\": null}",
    "\"min\": 5, \"max\": 1",
    "}",
    "]",
    "{",
    "[",
    "\"",
    "'",
];

fn seeds() -> Vec<(Which, Vec<u8>)> {
    let mut seeds = Vec::new();
    for rule in rule::all() {
        let tree = examples::bad_example(rule);
        for which in [Which::Hub, Which::Tests] {
            let path = format!(".runpod/{}", which.name());
            seeds.extend(tree.read_file(&path).unwrap().map(|bytes| (which, bytes)));
        }
    }
    if let Some(folder) = corpus::corpus() {
        for entry in fs_err::read_dir(folder.join("hub-corpus")).unwrap() {
            let folder = entry.unwrap().path();
            for which in [Which::Hub, Which::Tests] {
                let bytes = std::fs::read(folder.join(which.name()));
                seeds.extend(bytes.ok().map(|bytes| (which, bytes)));
            }
        }
    }
    seeds
}

/// One input: a seed that is damaged, grown by words, or crossed with another.
fn input(random: &mut Random, seeds: &[(Which, Vec<u8>)]) -> (Which, Vec<u8>) {
    let (which, mut bytes) = seeds[random.below(seeds.len())].clone();
    for _ in 0..random.below(4) {
        match random.below(3) {
            0 => bytes = random.damaged(&bytes),
            1 => {
                let at = random.below(bytes.len() + 1);
                let word = WORDS[random.below(WORDS.len())].bytes();
                bytes.splice(at..at, word);
            }
            _ => {
                let (_, other) = &seeds[random.below(seeds.len())];
                let (at, from) = (random.below(bytes.len() + 1), random.below(other.len() + 1));
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    (which, bytes)
}

fn one(which: Which, bytes: &[u8]) {
    testing::agrees_with_serde(bytes);
    for safety in [Safety::Safe, Safety::Unsafe] {
        fixes::fixes_for_good(which, bytes, safety);
    }
    let path = format!(".runpod/{}", which.name());
    let tree = repository_of(&listing("", ""), TESTS).with(&path, bytes);
    let report = lint(&tree, true).unwrap();
    let (findings, sources) = (&report.findings, &report.sources);
    let shown = formats::text::render(&Renderer::plain(), findings, sources).len()
        + formats::github::render(findings, sources).len()
        + formats::json::render(findings, sources).to_string().len()
        + formats::sarif::render(&[], findings, sources)
            .to_string()
            .len();
    assert!(shown > 0);
}

#[test]
#[ignore = "runs for as long as FUZZ_SECONDS says"]
fn fuzz_hub_lint() {
    let seconds = std::env::var("FUZZ_SECONDS").map_or(30, |text| text.parse().unwrap());
    let seed =
        std::env::var("FUZZ_SEED").map_or(0x2545_f491_4f6c_dd1d, |text| text.parse().unwrap());
    let (seeds, mut random) = (seeds(), Random(seed));
    let (start, mut count, mut slowest) = (Instant::now(), 0_u64, Duration::ZERO);
    while start.elapsed() < Duration::from_secs(seconds) {
        let (which, bytes) = input(&mut random, &seeds);
        let began = Instant::now();
        let result = std::panic::catch_unwind(|| one(which, &bytes));
        if result.is_err() {
            let file = std::env::temp_dir().join(format!("fuzz-{}", which.name()));
            fs_err::write(&file, &bytes).unwrap();
            panic!("after {count} inputs: {}", file.display());
        }
        count += 1;
        slowest = slowest.max(began.elapsed());
    }
    println!(
        "{count} inputs in {seconds} s from {} seeds; the slowest took {slowest:?}",
        seeds.len()
    );
}
