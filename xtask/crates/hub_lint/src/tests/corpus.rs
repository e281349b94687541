//! The real files of published listings, where they are: what facts about them say is found in
//! them, and what must never be an error is none.

use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Where the corpus is: beside the repository, or where `HUB_CORPUS` says.
pub(super) fn corpus() -> Option<PathBuf> {
    let root = xtask_core::tool_repo::repository();
    let named = std::env::var_os("HUB_CORPUS").map(PathBuf::from);
    let places = [
        Some(root.join("../shared/data")),
        Some(root.join("../../shared/data")),
        named,
    ];
    let found = places
        .into_iter()
        .flatten()
        .find(|folder| folder.join("hub-corpus").is_dir());
    if found.is_none() {
        println!("skipped: no hub-corpus beside the repository (HUB_CORPUS names its folder)");
    }
    found
}

/// Each file of the corpus by its repository's name, with its findings.
fn findings(folder: &Path) -> BTreeMap<String, Vec<(String, Finding)>> {
    let mut all = BTreeMap::new();
    for entry in fs_err::read_dir(folder.join("hub-corpus")).unwrap() {
        let entry = entry.unwrap();
        if !entry.path().is_dir() {
            continue;
        }
        let tree = xtask_core::tree::Directory::open(&entry.path(), |_| false).unwrap();
        let report = lint(&tree, false).unwrap();
        let found = report
            .findings
            .into_iter()
            .map(|finding| {
                let source = report.sources.get(&finding.place.path).unwrap();
                let text = source.text.get(finding.place.span.clone());
                (text.unwrap_or_default().to_owned(), finding)
            })
            .collect();
        all.insert(entry.file_name().to_string_lossy().into_owned(), found);
    }
    all
}

#[test]
fn every_known_mistake_is_found() {
    let Some(folder) = corpus() else {
        return;
    };
    let mut files: BTreeMap<&str, BTreeSet<(String, String)>> = BTreeMap::new();
    for (name, found) in findings(&folder) {
        for (_, finding) in found {
            files
                .entry(finding.rule.code)
                .or_default()
                .insert((name.clone(), finding.place.path.to_string()));
        }
    }
    // The rule, and in how many files at least.
    let known: &[(&str, usize)] = &[
        ("HUB008", 2),  // `\n` written out
        ("HUB100", 12), // not the Hub's schema
        ("HUB102", 2),  // gpuIds as a list
        ("HUB103", 5),  // runOn, gpuIds and gpuTypeIds in tests.json, env for defaults
        ("HUB104", 2),  // required, advanced, description beside input
        ("HUB111", 1),  // value and input
        ("HUB114", 1),  // options as bare strings
        ("HUB120", 4),  // a bare list at the root
        ("HUB121", 2),  // no tests
        ("HUB122", 11), // no config
        ("HUB101", 5),  // tests without input (3) or name (1), a preset without defaults
        ("HUB204", 1),  // type LB
        ("HUB206", 3),  // type select
        ("HUB210", 6),  // invented pools
        ("HUB211", 12), // GPU names that are no id: in gpuIds 10, as gpuTypeId 2
        ("HUB213", 2),  // a pool as gpuTypeId
        ("HUB220", 1),  // a numeric string on a number
        ("HUB230", 7),  // a preset of an undeclared key
        ("HUB231", 6),  // a preset of a fixed value
        ("HUB242", 1),  // huggingface on a token
        ("HUB250", 3),  // seconds
        ("HUB251", 7),  // assertions
        ("HUB252", 4),  // wrapped input
        ("HUB260", 6),  // left over from the template
    ];
    for (rule, least) in known {
        let count = files.get(rule).map_or(0, BTreeSet::len);
        assert!(count >= *least, "{rule}: {count} files, not {least}");
    }
    for (rule, files) in &files {
        println!("{rule} {}", files.len());
    }
}

#[test]
fn every_broken_file_says_where_it_breaks() {
    let Some(folder) = corpus() else {
        return;
    };
    let mut words = Vec::new();
    for entry in fs_err::read_dir(folder.join("hub-broken")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let which = if name.starts_with("hub") {
            Which::Hub
        } else {
            Which::Tests
        };
        let bytes = fs_err::read(&path).unwrap();
        let mut findings = Vec::new();
        let document = check_file(&name.as_str().into(), which, &bytes, &mut findings);
        assert!(document.is_none());
        words.push(format!(
            "{name}: {} {}",
            findings[0].rule.name,
            findings.len()
        ));
    }
    words.sort();
    assert_eq!(
        words,
        [
            "hub.4395d0c.json: unbalanced-brackets 1",
            "hub.5864fa6.json: unbalanced-brackets 1",
            "hub.70aa748.json: comment 1",
            "tests.067f0bc.json: trailing-comma 1",
            "tests.0869068.json: comment 4",
            "tests.6d6cbe7.json: empty-file 1",
        ]
    );
}

#[test]
fn what_is_fixed_stays_json_and_stays_fixed() {
    let Some(folder) = corpus() else {
        return;
    };
    for entry in fs_err::read_dir(folder.join("hub-corpus")).unwrap() {
        let folder = entry.unwrap().path();
        for which in [Which::Hub, Which::Tests] {
            let Ok(bytes) = std::fs::read(folder.join(which.name())) else {
                continue;
            };
            for safety in [Safety::Safe, Safety::Unsafe] {
                fixes::fixes_for_good(which, &bytes, safety);
            }
        }
    }
}

/// What published listings have and what works must not be an error.
#[test]
fn nothing_that_works_is_an_error() {
    let fine = [
        // Defaults that say nothing.
        r#"{ "key": "A", "input": { "name": "A", "type": "number", "default": "" } }"#,
        r#"{ "key": "A", "input": { "name": "A", "type": "number", "default": null } }"#,
        r#"{ "key": "A", "input": { "name": "A", "type": "boolean", "default": "" } }"#,
        r#"{ "key": "A", "input": { "name": "A", "type": "string", "default": "",
             "options": [{ "label": "x", "value": "x" }] } }"#,
        // Switches with and without words of their own.
        r#"{ "key": "A", "input": { "name": "A", "type": "boolean", "default": true } }"#,
        r#"{ "key": "A", "input": { "name": "A", "type": "boolean", "default": false,
             "trueValue": "1", "falseValue": "0" } }"#,
        // Keys that are in no guide.
        r#"{ "key": "A", "input": { "name": "A", "type": "string", "secret": true } }"#,
        r#"{ "key": "A", "input": { "name": "A", "type": "string", "sensitive": true } }"#,
        r#"{ "key": "A", "input": { "name": "A", "type": "number", "step": 0.1 } }"#,
        r#"{ "key": "RUNPOD_INIT_TIMEOUT", "value": "800" }"#,
    ];
    for entry in fine {
        let tree = repository_of(&listing("", entry), TESTS);
        assert_eq!(said(&tree), [""; 0], "{entry}");
    }
    let variables = r#""env": [
        { "key": "ON", "input": { "name": "On", "type": "boolean" } },
        { "key": "MANY", "input": { "name": "Many", "type": "number" } },
        { "key": "NAME", "input": { "name": "Name", "type": "string" } }
    ]"#;
    for config in [
        r#""presets": [], "env": []"#.to_owned(),
        format!(
            r#"{variables}, "presets": [{{ "name": "P", "description": "d", "defaults":
            {{ "ON": "true", "MANY": "3", "NAME": 4, "RUNPOD_INIT_TIMEOUT": "800" }} }}]"#
        ),
        r#""gpuIds": "ADA_24, AMPERE_24, -NVIDIA L4""#.to_owned(),
        r#""gpuIds": "NVIDIA GeForce RTX 4090,NVIDIA L40S""#.to_owned(),
        r#""gpuIds": "BLACKWELL_96,BLACKWELL_180,ADA_32_PRO""#.to_owned(),
        r#""allowedCudaVersions": []"#.to_owned(),
    ] {
        // No gpuTypeId: which GPU the tests get is not the matter here.
        let tests = TESTS.replace("\"gpuTypeId\": \"NVIDIA RTX A4000\", ", "");
        assert_eq!(
            said(&repository_of(&listing(&config, ""), &tests)),
            [""; 0],
            "{config}"
        );
    }
    let bare = r#"{ "title": "W", "description": "D", "type": "serverless", "category": "audio",
        "config": { "runsOn": "GPU", "containerDiskInGb": 5 } }"#;
    for tests in [
        r#"{ "tests": [{ "name": "t", "input": {} }], "config": {} }"#,
        r#"{ "tests": [{ "name": "t", "input": {}, "timeout": 7200000 }],
             "config": { "containerDiskInGb": 30 } }"#,
    ] {
        assert_eq!(said(&repository_of(bare, tests)), [""; 0], "{tests}");
    }
}
