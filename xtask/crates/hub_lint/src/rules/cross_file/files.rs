//! The two files against each other and against the repository's files.

use std::collections::{HashMap, HashSet};

use crate::finding::{Finding, Location};
use crate::model::{self, EnvVariable, HubDocument, begin, short};
use crate::rule;
use anyhow::Result;
use xtask_core::secret::is_secret;
use xtask_core::suggest;
use xtask_core::tree::{RepoPath, Tree};

fn cuda(hub: &HubDocument, tests: &HubDocument) -> Option<Finding> {
    let allowed = model::cuda_versions(hub);
    let is_allowed = |version| allowed.iter().any(|(own, _)| *own == version);
    let mut extra = model::cuda_versions(tests);
    extra.retain(|(version, _)| !is_allowed(*version));
    let (_, first) = extra.first().filter(|_| !allowed.is_empty())?;
    let names: Vec<&str> = extra.iter().filter_map(|(_, node)| node.as_str()).collect();
    let names = suggest::all_of(&names);
    let what = format!("the tests allow CUDA {names}, which the listing does not");
    let list = hub.config().at("allowedCudaVersions");
    let finding = tests.at("cuda-lists-differ", &first.span, what);
    Some(finding.related(hub.place(&begin(list)), "the listing's versions"))
}

pub fn check_files(hub: &HubDocument, tests: &HubDocument, findings: &mut Vec<Finding>) {
    findings.extend(cuda(hub, tests));
    let declared = model::variables(hub);
    let set = model::variables(tests);
    let names: HashSet<&str> = set.iter().map(|variable| variable.key).collect();
    if !tests.root.list("tests").is_empty() {
        let required = declared.iter().filter(|it| it.input.is_true("required"));
        for variable in required.filter(|it| !names.contains(it.key)) {
            let help = if is_secret(variable.key) {
                "the Hub's test run takes nothing from hub.json, and a secret must not be in \
                 tests.json: let the tests do without it"
            } else {
                "the Hub's test run takes no default from hub.json: put it into `config.env`"
            };
            let what = format!("`{}` is required, and the tests don't set it", variable.key);
            let finding = tests.at("required-not-in-tests", &tests.env(), what);
            let finding = finding.help(help);
            findings.push(finding.related(variable.place(), "required here"));
        }
    }
    // The letters must be equal, because a similar name may be another variable.
    let unset = declared.iter().rev().filter(|it| !names.contains(it.key));
    let by_letters = unset.map(|variable| (suggest::letters(variable.key), variable));
    let by_letters: HashMap<String, &EnvVariable<'_>> = by_letters.collect();
    let declares: HashSet<&str> = declared.iter().map(|variable| variable.key).collect();
    for test in set.iter().filter(|test| !declares.contains(test.key)) {
        if let Some(variable) = by_letters.get(&suggest::letters(test.key)) {
            let what = format!(
                "hub.json spells `{}` as `{}`",
                short(test.key),
                variable.key
            );
            let finding = test.at("test-variable-misspelt", what);
            findings.push(finding.related(variable.place(), "declared here"));
        }
    }
}

/// Checks the files that the Hub needs beside hub.json.
pub fn check_tree(tree: &dyn Tree, hub: &HubDocument, findings: &mut Vec<Finding>) -> Result<()> {
    let entries = tree.entries();
    let has = |path: &str| entries.contains_key(&path.into());
    let has_either = |name: &str| has(name) || has(&format!(".runpod/{name}"));
    let missing = |name| {
        let rule = rule::named(name);
        rule.at(hub.place(&begin(&hub.root)), rule.summary)
    };
    for (rule, name, does) in [
        ("no-dockerfile", "Dockerfile", "builds"),
        ("no-readme", "README.md", "shows"),
    ] {
        if !has_either(name) {
            let help = format!("the Hub {does} the one at the root or in `.runpod/`");
            findings.push(missing(rule).help(help));
        }
    }
    let mut renamed = entries.keys().filter(|path| is_renamed_tests(path));
    match renamed.next() {
        _ if has_either("tests.json") => {}
        Some(path) => {
            let what = format!("the Hub does not read `{path}`: its tests are switched off");
            let finding = rule::named("tests-renamed").at(Location::new(path.clone(), 0..1), what);
            findings.push(finding.help("name it `tests.json`, beside hub.json"));
        }
        None => findings.push(missing("no-tests-file")),
    }
    for name in ["Dockerfile", "hub.json", "tests.json"] {
        let inner = tree.read_file(&format!(".runpod/{name}"))?;
        let both = tree.read_file(name)?.zip(inner);
        let is_shadowed = |(root, inner)| match name {
            "Dockerfile" => root != inner,
            // A tests.json at the root belongs to the Hub if a hub.json is there too.
            _ => has("hub.json"),
        };
        if both.is_some_and(is_shadowed) {
            let what = format!("`.runpod/{name}` takes precedence over this file");
            let finding = rule::named("shadowed-file").at(Location::new(name, 0..1), what);
            findings.push(finding.help("keep the one that is meant"));
        }
    }
    Ok(())
}

/// `tests_.json`, `tests.disabled.json`, `tests.json.bak` where the Hub would look for tests.json.
fn is_renamed_tests(path: &RepoPath) -> bool {
    let text = path.as_str().unwrap_or_default();
    let name = text.strip_prefix(".runpod/").unwrap_or(text);
    let letters = suggest::letters(name);
    let is_in_runpod = name != text;
    let is_like_tests = if is_in_runpod {
        letters.starts_with("test") || letters.contains("tests")
    } else {
        letters.starts_with("tests") && (letters.len() > "testsjson".len() || name.starts_with('_'))
    };
    is_like_tests && name.contains(".json") && !name.contains('/') && letters != "testinputjson"
}
