//! The values that the two files pass to SGLang, against the worker's release.

use super::{Worker, is_sglang, place};
use crate::edit;
use crate::finding::{Finding, Safety};
use crate::model::{self, EnvVariable, HubDocument, Which, short};
use worker_files::json::JsonNode;
use worker_files::{EnvRead, WorkerInterface};
use xtask_core::sglang::{self, Flag, Table};
use xtask_core::suggest;

pub fn check(worker: &Worker<'_>, findings: &mut Vec<Finding>) {
    let interface = &worker.facts;
    let version = interface.sglang().filter(|_| is_sglang(interface));
    let Some((version, _)) = version else {
        return;
    };
    let release = Release::of(&version, interface);
    for document in worker.documents() {
        let mut values: Vec<(&str, &JsonNode)> = Vec::new();
        for variable in model::variables(document) {
            let (key, options) = (variable.key, variable.options());
            // A default that is an option is reported as an option.
            let is_option =
                |node: &&JsonNode| options.iter().any(|it| it.scalar() == node.scalar());
            let default = variable.default().filter(|node| !is_option(node));
            let nodes = variable.value.iter().chain(&options).chain(&default);
            values.extend(nodes.map(|node| (key, *node)));
            if document.which == Which::Hub {
                findings.extend(release.gone(&variable));
            }
        }
        let presets = document.config().list("presets").iter();
        let defaults = presets.flat_map(|preset| preset.object("defaults"));
        values.extend(defaults.map(|member| (member.key.as_str(), &member.value)));
        for (key, node) in values {
            findings.extend(release.judge(document, key, node));
        }
    }
}

/// The release that the worker runs.
struct Release<'a> {
    interface: &'a WorkerInterface,
    /// Its name in messages.
    name: String,
    is_exact: bool,
    /// Its own flags, or those of the known releases before and after an unknown one.
    tables: Vec<Table>,
}

impl<'a> Release<'a> {
    fn of(version: &str, interface: &'a WorkerInterface) -> Self {
        let (_, is_exact) = Table::for_version(version);
        let version = version.strip_prefix('v').unwrap_or(version);
        let mut tables = Table::around(version);
        let mut name = format!("SGLang {version}");
        if let [first, second] = tables[..]
            && sglang::order(first.release(), version).is_lt()
        {
            let (first, second) = (first.release(), second.release());
            name += &format!(" (not known here; judged by {first} and {second})");
        } else if !is_exact {
            tables.clear();
        }
        Self {
            interface,
            name,
            is_exact,
            tables,
        }
    }

    /// The flag that a variable sets, and the place that passes it on.
    fn drives(&self, key: &str) -> Option<(&'a str, &'a EnvRead)> {
        let mut reads = self.interface.env.iter().filter(|read| read.name == key);
        reads.find_map(|read| Some((read.drives.as_ref()?.flag.as_str(), read)))
    }

    /// A flag in all tables; `None` where one does not have it.
    fn flag(&self, flag: &str) -> Option<(&'static str, Vec<&'static Flag>)> {
        let all = self.tables.iter().map(|table| table.flag(flag));
        let (names, flags): (Vec<_>, _) = all.collect::<Option<Vec<_>>>()?.into_iter().unzip();
        Some((names.first()?, flags))
    }

    /// The finding for a variable whose flag is gone. A flag that no release ever had is not known.
    fn gone(&self, variable: &EnvVariable<'_>) -> Option<Finding> {
        let (flag, read) = self.drives(variable.key)?;
        let has = self.tables.iter().any(|table| table.flag(flag).is_some());
        if has || self.tables.is_empty() || sglang::history(flag).seen.is_none() {
            return None;
        }
        let (key, words) = (variable.key, &self.name);
        let what = format!("`{key}` drives `{flag}`, which {words} does not have");
        let finding = variable.at("flag-gone", what).warn_unless(self.is_exact);
        let finding = finding.help(format!("`{flag}` is {}", sglang::history(flag)));
        Some(finding.related(place(&read.place), "it is passed on here"))
    }

    fn judge(&self, document: &HubDocument, key: &str, node: &JsonNode) -> Option<Finding> {
        let (name, flags) = self.flag(self.drives(key)?.0)?;
        let text = model::non_empty(node)?.scalar()?;
        if flags.iter().any(|flag| takes(flag, &text)) {
            return None;
        }
        let (key, shown, words) = (short(key), short(&text), &self.name);
        let what = format!("`{key}` may be `{shown}`, which `{name}` of {words} does not take");
        let finding = document.at("value-not-of-flag", &node.span, what);
        if !self.is_exact {
            return Some(finding.warn_unless(false));
        }
        let choices = flags.iter().flat_map(|flag| flag.choices.iter().flatten());
        let choices: Vec<&str> = choices.filter_map(|choice| choice.as_str()).collect();
        let finding = finding.help(format!("it takes {}", suggest::one_of(&choices)));
        Some(match suggest::nearest(&text, choices.iter().copied()) {
            Some((right, _)) => edit::did_you_mean(finding, Safety::Unsafe, &node.span, right),
            None => finding,
        })
    }
}

/// Whether a flag takes a value. The values of a list are separated by spaces or commas.
fn takes(flag: &Flag, text: &str) -> bool {
    let all = |separator: char| text.split(separator).all(|part| flag.accepts(part.trim()));
    flag.is_switch() || flag.accepts(text) || (flag.kind == "list" && (all(' ') || all(',')))
}
