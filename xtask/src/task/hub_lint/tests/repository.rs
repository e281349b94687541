//! Whole repositories, and what `hub-lint.json` says of them.

use super::*;

#[test]
fn the_hubs_own_workers_layout_has_no_error() {
    // A handler in src/, the README in .runpod/, as RunPod's own vLLM worker has it.
    let tree = Memory::new()
        .with(
            "Dockerfile",
            "FROM scratch\nCMD [\"python3\", \"/src/handler.py\"]\n",
        )
        .with("src/handler.py", "import runpod\n")
        .with(".runpod/README.md", "# Worker\n")
        .with(".runpod/hub.json", listing("", ""))
        .with(".runpod/tests.json", TESTS);
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
    assert_eq!(
        ignore(r#"{ "rule": "HUB211", "resaon": "x" }"#),
        [found, "HUB391 an entry has no key `resaon`"]
    );
}

#[test]
fn rules_are_chosen_by_id_name_or_beginning() {
    let rule = registry::find("HUB211").unwrap();
    for pattern in ["HUB211", "hub2", "unknown-gpu", "HUB"] {
        assert!(registry::means(pattern, rule.code, rule.name), "{pattern}");
    }
    for pattern in ["HUB1", "unknown", "HU", ""] {
        assert!(!registry::means(pattern, rule.code, rule.name), "{pattern}");
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
        "hub-lint: 2 errors, 2 warnings in 2 files; 2 to mend with `--unsafe-fixes`; \
         `--explain RULE` tells why"
    );
}
