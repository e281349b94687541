//! Variables: what hub.json declares, what the worker reads, what the tests set, and what the
//! README says of them.

use std::collections::BTreeSet;

use super::{Worker, is_foreign, is_sglang, place};
use crate::document::{Document, short};
use crate::edit;
use crate::model::{self, Variable};
use crate::rule::rules;
use worker_files::{Hides, WorkerInterface};
use xtask_core::finding::{Finding, Safety};
use xtask_core::suggest;
use xtask_core::tree::RepoPath;

rules! { Agreement;
    /// Users set a variable that nothing in the worker reads, and nothing happens. Variables of
    /// libraries (`HF_…`, `NCCL_…`) and of RunPod itself are not meant. In a worker for SGLang its code
    /// is read; in any other, the name has to stand nowhere but in hub.json, tests.json and prose, on
    /// a base image without a worker of its own, and nothing may compute names of variables.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "MODEL_NAME", "input": { "name": "Model", "type": "string" } },
    /// { "key": "SHOW_COSTS", "input": { "name": "Costs", "type": "boolean" } }
    /// ```
    /// ```sglang v0.5.19-cu129
    /// --model-path $MODEL_NAME
    /// ```
    NOT_READ = "HUB320" "variable-not-read" Warning Never
        "a declared variable that nothing reads"
        from "the move of the official worker to its modern layout";

    /// Users can't set what hub.json does not declare, short of adding the variable by hand. Flags
    /// that a table of all of SGLang's flags makes settable are not meant.
    ///
    /// Bad:
    /// ```sglang v0.5.19-cu129
    /// --model-path $MODEL_NAME
    /// ```
    NOT_DECLARED = "HUB321" "variable-not-declared" Info Never
        "the worker reads variables that hub.json doesn't declare"
        from "the official worker, whose hub.json lost six variables of worker-config.json";

    /// hub.json and the worker spell a variable in two ways, so that setting it does nothing.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "MODELNAME", "input": { "name": "Model", "type": "string" } }
    /// ```
    /// ```sglang v0.5.19-cu129
    /// --model-path $MODEL_NAME
    /// ```
    SPELLING = "HUB322" "variable-spelt-differently" Error Unsafely
        "hub.json spells a variable differently from the worker"
        from "the Hub's publishing guide";

    /// The tests set a variable that the worker neither reads nor declares: most likely it has
    /// another name by now, and the tests run without it. In the official worker, a stale
    /// `MODEL_PATH` made the Hub's own test run without a model.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "MODEL_NAME", "input": { "name": "Model", "type": "string", "default": "" } }
    /// ```
    /// ```json tests
    /// { "tests": [{ "name": "one", "input": { "text": "Hi" } }],
    ///   "config": { "env": [{ "key": "MODEL_PATH", "value": "a/b" }] } }
    /// ```
    /// ```sglang v0.5.19-cu129
    /// --model-path $MODEL_NAME
    /// ```
    TEST_UNKNOWN = "HUB323" "test-variable-unknown" Warning Never
        "the tests set a variable that the worker doesn't know"
        from "the official worker's tests.json after its revert";

    /// hub.json, the worker's code and the README give three answers to what happens if nobody
    /// sets the variable. The Hub fills in hub.json's; a deployment by hand gets the code's.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "MODEL_NAME", "input": { "name": "Model", "type": "string", "default": "a/small" } }
    /// ```
    /// ```sglang v0.5.19-cu129
    /// --model-path ${MODEL_NAME:-a/large}
    /// ```
    DEFAULTS = "HUB324" "defaults-differ" Warning Never
        "hub.json's default is not the code's or the README's"
        from "the official worker, whose handler and forms disagreed on MAX_CONCURRENCY";
}

/// Compares variables over files.
pub fn check(
    hub: Option<&Document>,
    tests: Option<&Document>,
    worker: &Worker<'_>,
    findings: &mut Vec<Finding>,
) {
    let interface = &worker.facts;
    let declared = hub
        .map(|hub| model::variables(&hub.root))
        .unwrap_or_default();
    if let Some(hub) = hub {
        defaults(hub, &declared, interface, findings);
    }
    // Without SGLang there is no saying what else reads the environment.
    if !is_sglang(interface) || interface.env.is_empty() || reads_beyond(worker) {
        return;
    }
    let mut read: BTreeSet<&str> = interface
        .env
        .iter()
        .map(|read| read.name.as_str())
        .collect();
    if let Some(image) = &interface.image {
        read.extend(image.args.iter().map(|arg| arg.name.as_str()));
    }
    read.extend(interface.build_reads.iter().map(|(name, _)| name.as_str()));
    if let Some(hub) = hub {
        unread(hub, &declared, &read, interface, findings);
        undeclared(hub, &declared, &read, interface, findings);
    }
    if let Some(tests) = tests {
        let names: BTreeSet<&str> = declared.iter().map(|variable| variable.key).collect();
        let mut guesses = suggest::Guesses::default();
        for own in model::test_variables(&tests.root) {
            let known = read.contains(own.key) || names.contains(own.key) || is_foreign(own.key);
            if known {
                continue;
            }
            let mut finding = tests.at(
                &TEST_UNKNOWN,
                own.key_span,
                format!("the worker reads no variable `{}`", short(own.key)),
            );
            if let Some(right) = guesses.nearest(own.key, read.iter().copied()) {
                finding = finding.help(format!("it reads `{right}`"));
            } else if let Some(right) = same_flag(own.key, interface) {
                finding = finding.help(format!("for that flag it reads `{right}`"));
            }
            findings.push(finding);
        }
    }
}

/// Whether the worker may read variables that are not seen: then absence proves nothing.
fn reads_beyond(worker: &Worker<'_>) -> bool {
    let interface = &worker.facts;
    let unseen = worker.may_hide(Hides::Variables);
    // A loop over the whole environment takes whatever has a certain form.
    let looping = interface.sources.iter().any(|(path, source)| {
        path.name().ends_with(b".py") && source.text.contains("environ.items()")
    });
    unseen || (looping && interface.flag_table.is_none())
}

/// The variable that drives the flag which a name spells: `MODEL_PATH` means `--model-path`.
fn same_flag<'a>(name: &str, interface: &'a WorkerInterface) -> Option<&'a str> {
    interface
        .env
        .iter()
        .find(|read| {
            read.drives
                .as_ref()
                .is_some_and(|drive| xtask_core::sglang::env_name(&drive.flag) == name)
        })
        .map(|read| read.name.as_str())
}

fn unread(
    hub: &Document,
    declared: &[Variable<'_>],
    read: &BTreeSet<&str>,
    interface: &WorkerInterface,
    findings: &mut Vec<Finding>,
) {
    let mut meant: BTreeSet<&str> = BTreeSet::new();
    let names: BTreeSet<&str> = declared.iter().map(|variable| variable.key).collect();
    let free: Vec<&str> = read.difference(&names).copied().collect();
    let mut guesses = suggest::Guesses::default();
    for variable in declared {
        if read.contains(variable.key) || is_foreign(variable.key) {
            continue;
        }
        let others = free.iter().copied().filter(|name| !meant.contains(name));
        let other = guesses.nearest(variable.key, others);
        let reader = other.and_then(|name| interface.reads(name).next());
        if let (Some(right), Some(reader)) = (other, reader) {
            meant.insert(right);
            findings.push(
                hub.at(
                    &SPELLING,
                    variable.key_span,
                    format!("the worker reads `{right}`, not `{}`", short(variable.key)),
                )
                .related(place(&reader.place), "read here")
                .write(
                    Safety::Unsafe,
                    variable.key_span,
                    right,
                    edit::quote(right),
                ),
            );
            continue;
        }
        findings.push(
            hub.at(
                &NOT_READ,
                variable.key_span,
                format!("nothing in the worker reads `{}`", short(variable.key)),
            )
            .help("users who set it will see no effect"),
        );
    }
}

fn undeclared(
    hub: &Document,
    declared: &[Variable<'_>],
    read: &BTreeSet<&str>,
    interface: &WorkerInterface,
    findings: &mut Vec<Finding>,
) {
    let baked = |name: &str| {
        interface
            .image
            .as_ref()
            .is_some_and(|image| image.env.iter().chain(&image.args).any(|e| e.name == name))
    };
    let names: BTreeSet<&str> = declared.iter().map(|variable| variable.key).collect();
    let free: Vec<&str> = names.difference(read).copied().collect();
    let mut missing: Vec<&worker_files::EnvRead> = Vec::new();
    let built: BTreeSet<&RepoPath> = build_scripts(interface);
    for own in &interface.env {
        let name = own.name.as_str();
        let settled = names.contains(name)
            || is_foreign(name)
            || baked(name)
            || own.place.file.name() == b"sglang_flags.json"
            || interface.reads(name).all(|read| built.contains(&read.place.file))
            || is_left_by_the_build(interface, name, &built)
            || !read.contains(name)
            // The other spelling has its own finding.
            || suggest::nearest(name, free.iter().copied()).is_some();
        if !settled && !missing.iter().any(|other| other.name == own.name) {
            missing.push(own);
        }
    }
    let Some(first) = missing.first() else {
        return;
    };
    let names: Vec<&str> = missing
        .iter()
        .map(|own| own.name.as_str())
        .take(6)
        .collect();
    let more = match missing.len() - names.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let span = hub
        .root
        .get("config")
        .and_then(|config| config.member("env"))
        .map_or_else(
            || crate::document::begin(&hub.root),
            |env| env.key_span.clone(),
        );
    findings.push(
        hub.at(
            &NOT_DECLARED,
            &span,
            format!(
                "the worker reads {}{more}, not declared here",
                suggest::all_of(&names)
            ),
        )
        .related(
            place(&first.place),
            format!("`{}` is read here", first.name),
        ),
    );
}

/// Whether a variable names the file that the image's build writes and the worker reads: both know
/// it by its default, and no endpoint has a reason to set it.
fn is_left_by_the_build(
    interface: &WorkerInterface,
    name: &str,
    built: &BTreeSet<&RepoPath>,
) -> bool {
    let is_path = |read: &worker_files::EnvRead| {
        let default = read.default.as_deref();
        default.is_some_and(|default| default.starts_with('/'))
    };
    let in_build = |read: &worker_files::EnvRead| built.contains(&read.place.file);
    interface.reads(name).any(in_build) && interface.reads(name).any(is_path)
}

/// The scripts that the image's build runs and the worker doesn't: nobody sets their variables in
/// an endpoint.
fn build_scripts(interface: &WorkerInterface) -> BTreeSet<&RepoPath> {
    let Some(image) = &interface.image else {
        return BTreeSet::new();
    };
    let dockerfile = image.base.as_ref().map(|base| &base.place.file);
    let Some(dockerfile) = dockerfile.and_then(|path| interface.sources.get(path)) else {
        return BTreeSet::new();
    };
    let python = interface.sources.iter().filter_map(|(path, source)| {
        let stem = path.as_str()?.rsplit('/').next()?.strip_suffix(".py")?;
        Some((path, stem, source))
    });
    python
        .clone()
        .filter(|(_, stem, _)| {
            let name = format!("{stem}.py");
            // Most are not even named there, which is sooner seen than who imports them.
            let runs = |(program, script): (&str, &str)| {
                let script = script.trim_matches(|c: char| "\"',;])".contains(c));
                program.contains("python") && script.rsplit('/').next() == Some(&*name)
            };
            let words = || dockerfile.text.split_whitespace();
            if !dockerfile.text.contains(&name) || !words().zip(words().skip(1)).any(runs) {
                return false;
            }
            let imports = [format!("import {stem}"), format!("from {stem} ")];
            let imported = python
                .clone()
                .any(|(_, _, other)| imports.iter().any(|words| other.text.contains(words)));
            let started = image.starts().any(|start| start.text.contains(&name));
            !started && !imported
        })
        .map(|(path, ..)| path)
        .collect()
}

/// A default in a form that can be compared; nothing where it says nothing or is computed.
fn plain(text: &str) -> Option<String> {
    let text = text.trim().trim_matches(['"', '\'', '`']).trim();
    let lower = text.to_lowercase();
    match lower.as_str() {
        "" | "none" | "null" | "-" | "auto" | "unset" | "n/a" | "not set" | "empty" => None,
        "true" | "1" | "on" | "yes" => Some("1".to_owned()),
        "false" | "0" | "off" | "no" => Some("0".to_owned()),
        // A sentence or an expression is no value.
        _ if lower.contains([' ', '(', '{', '<', '$']) => None,
        _ => match lower.parse::<f64>() {
            Ok(number) => Some(number.to_string()),
            Err(_) => Some(text.to_owned()),
        },
    }
}

fn defaults(
    hub: &Document,
    declared: &[Variable<'_>],
    interface: &WorkerInterface,
    findings: &mut Vec<Finding>,
) {
    for variable in declared {
        let node = variable.input.as_ref().and_then(|input| input.default);
        let Some(node) = node else {
            continue;
        };
        let Some(written) = model::text_of(node) else {
            continue;
        };
        let Some(own) = plain(&written) else {
            continue;
        };
        let code = interface
            .reads(variable.key)
            .filter_map(|read| Some((read.default.as_ref()?, &read.place, "the code's default")));
        let readme = interface
            .readme
            .iter()
            .filter(|row| row.name == variable.key)
            .filter_map(|row| Some((row.default.as_ref()?, &row.place, "the README's default")));
        for (text, there, what) in code.chain(readme) {
            if plain(text).is_none_or(|other| other == own) {
                continue;
            }
            findings.push(
                hub.at(
                    &DEFAULTS,
                    &node.span,
                    format!(
                        "the default of `{}` is `{}` here, and {what} is `{}`",
                        variable.key,
                        crate::rules::secrets::shown(variable.key, &written),
                        crate::rules::secrets::shown(variable.key, text)
                    ),
                )
                .related(place(there), what),
            );
            break;
        }
    }
}
