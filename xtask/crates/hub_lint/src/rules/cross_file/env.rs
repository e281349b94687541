//! Variables: the declarations in hub.json against the worker's code, the tests and the README.

use std::collections::BTreeSet;

use super::{Worker, is_foreign, is_sglang, place};
use crate::edit;
use crate::finding::{Finding, Safety};
use crate::model::{self, EnvVariable, short};
use crate::rules::secrets::shown;
use worker_files::{EnvRead, Hides, WorkerInterface};
use xtask_core::sglang::env_name;
use xtask_core::suggest;

pub fn check(worker: &Worker<'_>, findings: &mut Vec<Finding>) {
    let interface = &worker.facts;
    let declared = worker.hub.map(model::variables).unwrap_or_default();
    let variables = declared.iter();
    findings.extend(variables.filter_map(|it| defaults(it, interface)));
    // Without SGLang, unknown programs may read the environment.
    if !is_sglang(interface) || interface.env.is_empty() || reads_unknown(worker) {
        return;
    }
    let args = interface.image.iter().flat_map(|image| &image.args);
    let built = interface.build_reads.iter().map(|(name, _)| name);
    let read = interface.env.iter().map(|read| &read.name);
    let read = read.chain(args.map(|arg| &arg.name)).chain(built);
    let read: BTreeSet<&str> = read.map(String::as_str).collect();
    let names: BTreeSet<&str> = declared.iter().map(|variable| variable.key).collect();
    let is_known = |key: &str| read.contains(key) || is_foreign(key);
    let mut free: Vec<&str> = read.difference(&names).copied().collect();
    let mut guesses = suggest::Guesses::default();
    for variable in declared.iter().filter(|it| !is_known(it.key)) {
        let (key, span) = (variable.key, variable.key_span);
        let right = guesses.nearest(key, free.iter().copied());
        let read = right.and_then(|right| Some((right, interface.reads(right).next()?)));
        findings.push(if let Some((right, read)) = read {
            free.retain(|name| *name != right);
            let what = format!("the worker reads `{right}`, not `{}`", short(key));
            let finding = variable.at("variable-spelt-differently", what);
            let finding = finding.related(place(&read.place), "read here");
            finding.write(Safety::Unsafe, span, right, edit::quote(right))
        } else {
            not_read(variable)
        });
    }
    let mut guesses = suggest::Guesses::default();
    let set = worker.tests.map(model::variables).unwrap_or_default();
    for variable in (set.iter()).filter(|it| !is_known(it.key) && !names.contains(it.key)) {
        let key = variable.key;
        let what = format!("the worker reads no variable `{}`", short(key));
        let mut finding = variable.at("test-variable-unknown", what);
        if let Some(right) = guesses.nearest(key, read.iter().copied()) {
            finding = finding.help(format!("it reads `{right}`"));
        } else if let Some(right) = same_flag(key, interface) {
            finding = finding.help(format!("for that flag it reads `{right}`"));
        }
        findings.push(finding);
    }
}

/// Whether the worker may read unknown variables, so that absence proves nothing.
fn reads_unknown(worker: &Worker<'_>) -> bool {
    let interface = &worker.facts;
    // A loop over the environment may read any variable.
    let has_loop = || {
        let mut sources = interface.sources.iter();
        sources.any(|(path, source)| {
            path.name().ends_with(b".py") && source.text.contains("environ.items()")
        })
    };
    worker.may_hide(Hides::Variables) || interface.flag_table.is_none() && has_loop()
}

/// The variable that sets the flag in a name: `MODEL_PATH` means `--model-path`.
fn same_flag<'a>(name: &str, interface: &'a WorkerInterface) -> Option<&'a str> {
    let sets_flag = |read: &&EnvRead| {
        let drive = read.drives.as_ref();
        drive.is_some_and(|drive| env_name(&drive.flag) == name)
    };
    Some(&interface.env.iter().find(sets_flag)?.name)
}

pub fn not_read(variable: &EnvVariable<'_>) -> Finding {
    let what = format!("nothing in the worker reads `{}`", short(variable.key));
    let finding = variable.at("variable-not-read", what);
    finding.help("users who set it will see no effect")
}

/// A default in a comparable form; `None` where there is none or it is computed.
fn comparable(text: &str) -> Option<String> {
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

/// The same of what the image sets: nothing decides in its place, so that `auto` and an object are
/// values like any other.
fn comparable_set(text: &str) -> Option<String> {
    let plain = || text.split_whitespace().collect::<String>();
    let is_computed = || text.contains(['$', '<']);
    comparable(text).or_else(|| Some(plain()).filter(|text| !text.is_empty() && !is_computed()))
}

fn defaults(variable: &EnvVariable<'_>, interface: &WorkerInterface) -> Option<Finding> {
    let (key, node) = (variable.key, variable.default()?);
    let written = node.scalar()?;
    // What the image sets, the code never has a default for.
    let image = interface.image.iter().flat_map(|image| &image.env);
    let mut image = image.filter(|set| set.name == key && !set.value.contains('$'));
    let image = image.next_back().filter(|set| !set.value.is_empty());
    let is_set = image.is_some();
    let set = image.map(|set| (Some(&set.value), &set.place, "the image's value"));
    let code = interface.reads(key).filter(|_| !is_set);
    let code = code.map(|read| (read.default.as_ref(), &read.place, "the code's default"));
    let rows = interface.readme.iter().filter(|row| row.name == key);
    let rows = rows.map(|row| (row.default.as_ref(), &row.place, "the README's default"));
    type Form = fn(&str) -> Option<String>;
    let set = set.map(|it| (it, comparable_set as Form));
    let others = code.chain(rows).map(|it| (it, comparable as Form));
    let mut all = set.into_iter().chain(others);
    let (text, at, what) = all.find_map(|((text, at, what), form)| {
        let (text, value) = (text?, form(&written)?);
        form(text).filter(|other| *other != value)?;
        Some((text, at, what))
    })?;
    let (here, there) = (shown(key, &written), shown(key, text));
    let message = format!("the default of `{key}` is `{here}` here, and {what} is `{there}`");
    let finding = variable.document.at("defaults-differ", &node.span, message);
    Some(finding.related(place(at), what))
}
