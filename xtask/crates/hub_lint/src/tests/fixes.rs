//! Fixes: they fix what they say, break nothing, and leave nothing for a second run.

use super::*;
use testing::Random;
use worker_files::json;

fn look(which: Which, bytes: &[u8]) -> Vec<Finding> {
    let mut findings = Vec::new();
    check_file(&which.name().into(), which, bytes, &mut findings);
    crate::finding::sort(&mut findings);
    findings
}

/// The text with everything fixed that may be.
fn fixed(old: &[u8], findings: &[Finding], allowed: Safety) -> Vec<u8> {
    let fixes = findings.iter().filter_map(|finding| finding.fix.as_ref());
    let fixes = fixes.filter(|fix| fix.safety <= allowed);
    let fixes: Vec<_> = fixes.map(|fix| fix.edits.as_slice()).collect();
    fix::apply(old, &fixes).0
}

/// Fixes a text until nothing is left to fix, which is after a few rounds.
pub(super) fn fixes_for_good(which: Which, bytes: &[u8], safety: Safety) -> Vec<u8> {
    let mut text = bytes.to_vec();
    for _ in 0..20 {
        let findings = look(which, &text);
        let next = fixed(&text, &findings, safety);
        let problems = |bytes: &[u8]| json::parse(bytes).problems.len();
        assert!(
            problems(&next) <= problems(&text),
            "{}\n{}",
            String::from_utf8_lossy(&text),
            String::from_utf8_lossy(&next)
        );
        if next == text {
            return text;
        }
        text = next;
    }
    panic!("never at an end: {}", String::from_utf8_lossy(bytes));
}

#[test]
fn each_rule_with_a_fix_fixes_its_bad_example() {
    for rule in rule::all() {
        if examples::fix_of(rule) == "none" {
            continue;
        }
        let tree = examples::bad_example(rule);
        let report = lint(&tree, true).unwrap();
        let Some(finding) = report.findings.iter().find(|f| f.fix.is_some()) else {
            // Some fix only where the case is plain; then another example shows it.
            assert!(
                ["HUB010", "HUB203", "HUB204", "HUB205", "HUB210"].contains(&rule.code),
                "{}",
                rule.code
            );
            continue;
        };
        let path = &finding.place.path;
        let is_it = |which: &Which| path.name() == which.name().as_bytes();
        let which = [Which::Hub, Which::Tests].into_iter().find(is_it).unwrap();
        let after = fixes_for_good(which, &tree.read(path).unwrap(), Safety::Unsafe);
        let left = look(which, &after);
        let same: Vec<_> = left.iter().filter(|f| f.rule.code == rule.code).collect();
        assert_eq!(
            same,
            Vec::<&Finding>::new(),
            "{}",
            String::from_utf8_lossy(&after)
        );
    }
}

#[test]
fn the_rest_of_the_text_stays_as_it_is() {
    let old = "{\r\n\t\"title\": \"W\",   \"description\": \"D\",\r\n\t\"type\": \"Serverless\",\r\n\t\"category\": \"language\",\r\n\t\"config\": {\"runsOn\":\"gpu\", \"containerDiskInGb\": \"20\",\r\n\t\t\"gpuIds\": [\"ADA_24\",\r\n\t\t\t\"AMPERE_24\"] }\r\n}";
    let new = fixes_for_good(Which::Hub, old.as_bytes(), Safety::Safe);
    assert_eq!(
        String::from_utf8(new).unwrap(),
        "{\r\n\t\"title\": \"W\",   \"description\": \"D\",\r\n\t\"type\": \"serverless\",\r\n\t\"category\": \"language\",\r\n\t\"config\": {\"runsOn\":\"GPU\", \"containerDiskInGb\": 20,\r\n\t\t\"gpuIds\": \"ADA_24,AMPERE_24\" }\r\n}"
    );
}

#[test]
fn a_guess_is_made_only_when_asked_for() {
    let hub = listing(r#""gpuIds": "RTX A4000""#, "");
    let safe = fixes_for_good(Which::Hub, hub.as_bytes(), Safety::Safe);
    assert_eq!(String::from_utf8(safe).unwrap(), hub);
    let guessed = fixes_for_good(Which::Hub, hub.as_bytes(), Safety::Unsafe);
    assert!(
        String::from_utf8(guessed)
            .unwrap()
            .contains("\"gpuIds\": \"NVIDIA RTX A4000\"")
    );
}

#[test]
fn a_key_beside_input_moves_into_it() {
    let entry = r#"{ "key": "A", "required": true, "advanced": false,
      "input": { "name": "A", "type": "string" } }"#;
    let hub = listing("", entry);
    let new = fixes_for_good(Which::Hub, hub.as_bytes(), Safety::Unsafe);
    let new = String::from_utf8(new).unwrap();
    assert!(
        new.contains(
            r#"{ "key": "A", "input": { "name": "A", "type": "string", "required": true, "advanced": false } }"#
        ),
        "{new}"
    );
}

#[test]
fn two_keys_are_not_fixed_into_one() {
    let tests = TESTS.replace("\"gpuTypeId\"", "\"gpuIds\": \"NVIDIA L4\", \"gpuTypeIds\"");
    let new = fixes_for_good(Which::Tests, tests.as_bytes(), Safety::Unsafe);
    let new = String::from_utf8(new).unwrap();
    assert_eq!(new.matches("\"gpuTypeId\"").count(), 1, "{new}");
    let config = r#""env": [{ "key": "MODEL_NAME", "input": { "name": "M", "type": "string" } }],
        "presets": [{ "name": "P", "defaults": { "MODEL_NAMES": "a", "MODELNAME": "b" } }]"#;
    let new = fixes_for_good(Which::Hub, listing(config, "").as_bytes(), Safety::Unsafe);
    let new = String::from_utf8(new).unwrap();
    assert_eq!(new.matches("\"MODEL_NAME\": ").count(), 1, "{new}");
}

#[test]
fn edits_that_touch_wait_for_the_next_pass() {
    let edit = |start: usize, end: usize, with: &str| (start..end, with.to_owned());
    let (one, two, three) = ([edit(0, 2, "x")], [edit(1, 3, "y")], [edit(4, 4, "z")]);
    let also = [edit(4, 4, "w")];
    let (new, made) = fix::apply(b"abcdef", &[&one, &two, &three, &also]);
    assert_eq!((new.as_slice(), made), (&b"xcdzef"[..], 2));
}

#[test]
fn nothing_panics_and_nothing_breaks_whatever_the_bytes_are() {
    let mut random = Random(0x5851_f42d_4c95_7f2d);
    let seeds: Vec<(Which, Vec<u8>)> = rule::all()
        .iter()
        .flat_map(|rule| {
            let tree = examples::bad_example(rule);
            [Which::Hub, Which::Tests].map(|which| {
                let path = format!(".runpod/{}", which.name());
                (which, tree.read_file(&path).unwrap().unwrap_or_default())
            })
        })
        .collect();
    for round in 0..4 {
        for (which, seed) in &seeds {
            let bytes = random.damaged(seed);
            testing::agrees_with_serde(&bytes);
            let safety = if round % 2 == 0 {
                Safety::Safe
            } else {
                Safety::Unsafe
            };
            fixes_for_good(*which, &bytes, safety);
        }
    }
}

#[test]
fn many_of_a_kind_are_counted_not_listed() {
    let entries = vec![r#"{ "key": "A B", "value": "1" }"#; 80].join(",\n");
    let report = lint(&repository_of(&listing("", &entries), TESTS), true).unwrap();
    let names: Vec<_> = report
        .findings
        .iter()
        .filter(|f| f.rule.code == "HUB112")
        .collect();
    assert_eq!(names.len(), 50);
    assert_eq!(names[49].help[1], "and 30 more of this kind in this file");
}
