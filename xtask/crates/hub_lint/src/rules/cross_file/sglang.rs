//! What the two files give to SGLang, against the release that the worker runs.

use super::{Worker, is_sglang, place};
use crate::document::{HubDocument, short};
use crate::edit;
use crate::model;
use crate::rule::{Rule, rules};
use worker_files::json::Node;
use worker_files::{EnvRead, WorkerInterface};
use xtask_core::finding::{Finding, Safety, Severity};
use xtask_core::sglang::{self, Exactness, Flag, Table};
use xtask_core::suggest;

rules! {
    /// SGLang ends at start with "invalid choice" when this option is chosen. The list is that of
    /// the release that the Dockerfile pins. Of a release that is not known here, only what the known
    /// releases before and after it both refuse is told, as a warning.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "MODEL_NAME", "input": { "name": "Model", "type": "string" } },
    /// { "key": "REASONING_PARSER", "input": { "name": "Parser", "type": "string",
    ///   "options": [{ "label": "DeepSeek", "value": "deepseekv3" }] } }
    /// ```
    /// ```sglang v0.5.2
    /// --model-path $MODEL_NAME
    /// --reasoning-parser $REASONING_PARSER
    /// ```
    OPTION = "HUB330" "option-not-of-flag" Error Unsafely
        "an option that SGLang doesn't take"
        from "SGLang's own command lines; the official worker's REASONING_PARSER, TOOL_CALL_PARSER and QUANTIZATION";
    /// A default, a fixed value, a preset's or a test's value that SGLang refuses, so that the
    /// worker ends at start.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "DTYPE", "input": { "name": "Type", "type": "string", "default": "fp16" } }
    /// ```
    /// ```sglang v0.5.10
    /// --dtype $DTYPE
    /// ```
    VALUE = "HUB331" "value-not-of-flag" Error Never
        "a value that SGLang doesn't take"
        from "SGLang's own command lines";
    /// The variable drives a flag that the pinned release does not have. SGLang ends with exit
    /// code 2 when it is set.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "ENABLE_MLA", "input": { "name": "MLA", "type": "boolean", "default": false } }
    /// ```
    /// ```sglang v0.5.10
    /// --enable-mla if $ENABLE_MLA
    /// ```
    FLAG_GONE = "HUB332" "flag-gone" Error Never
        "a variable drives a flag that SGLang no longer has"
        from "SGLang's own command lines";
}

pub fn check(worker: &Worker<'_>, findings: &mut Vec<Finding>) {
    let (hub, tests, interface) = (worker.hub, worker.tests, &worker.facts);
    let version = interface.sglang().filter(|_| is_sglang(interface));
    let Some((version, _)) = version else {
        return;
    };
    let release = Release::of(&version);
    if release.judges.is_empty() {
        return;
    }
    for setting in settings(hub, tests) {
        if let Some((_, Driven::Flag(name, flags))) = release.driven(setting.key, interface) {
            findings.extend(release.judge(&setting, name, &flags));
        }
    }
    for (hub, variable) in hub.iter().flat_map(|hub| {
        let variables = model::variables(&hub.root).into_iter();
        variables.map(move |variable| (hub, variable))
    }) {
        if let Some((read, Driven::Gone(flag))) = release.driven(variable.key, interface) {
            let (key, words) = (variable.key, &release.words);
            let what = format!("`{key}` drives `{flag}`, which {words} does not have");
            let finding = hub.at(&FLAG_GONE, variable.key_span, what);
            let finding = finding.help(format!("`{flag}` is {}", sglang::history(flag)));
            let finding = finding.related(place(&read.place), "it is passed on here");
            findings.push(release.told(finding));
        }
    }
}

/// One value that a variable may have.
struct Setting<'a> {
    document: &'a HubDocument,
    rule: &'static Rule,
    key: &'a str,
    verb: &'static str,
    node: &'a Node,
}

fn settings<'a>(hub: Option<&'a HubDocument>, tests: Option<&'a HubDocument>) -> Vec<Setting<'a>> {
    let mut settings = Vec::new();
    let mut add = |document, rule, key, verb, node: Option<&'a Node>| {
        settings.extend(node.map(|node| Setting {
            document,
            rule,
            key,
            verb,
            node,
        }));
    };
    if let Some(hub) = hub {
        for variable in model::variables(&hub.root) {
            let key = variable.key;
            add(hub, &VALUE, key, "is set to", variable.value);
            let Some(input) = variable.input else {
                continue;
            };
            for option in &input.options {
                add(hub, &OPTION, key, "offers", Some(option));
            }
            // A default that is an option has been told as that.
            let listed = |node: &&Node| {
                let text = node.scalar();
                input.options.iter().any(|option| option.scalar() == text)
            };
            let default = input.default.filter(|node| !listed(node));
            add(hub, &VALUE, key, "has as its default", default);
        }
        let presets = model::list(&hub.root, "presets").iter();
        for member in presets.flat_map(|preset| preset.object("defaults")) {
            add(hub, &VALUE, &member.key, "is set to", Some(&member.value));
        }
    }
    if let Some(tests) = tests {
        for own in model::variables(&tests.root) {
            add(tests, &VALUE, own.key, "is set to", own.value);
        }
    }
    settings
}

/// What a variable drives, in all releases that judge.
enum Driven<'a> {
    Flag(&'static str, Vec<&'static Flag>),
    Gone(&'a str),
}

/// The release that the worker runs.
struct Release {
    words: String,
    exact: bool,
    /// Its own flags; of a release that is not known, those of the known ones before and after it.
    judges: Vec<Table>,
}

impl Release {
    fn of(version: &str) -> Self {
        let (table, exactness) = Table::for_version(version);
        let Exactness::Nearest { asked } = exactness else {
            return Self {
                words: format!("SGLang {}", table.release()),
                exact: true,
                judges: vec![table],
            };
        };
        let number = asked.starts_with(|c: char| c.is_ascii_digit());
        let after = number && sglang::order(table.release(), &asked).is_lt();
        let next = table.newer().filter(|_| after);
        let (first, second) = (table.release(), next.map_or("", Table::release));
        Self {
            words: format!("SGLang {asked} (not known here; judged by {first} and {second})"),
            exact: false,
            judges: next.map(|next| vec![table, next]).unwrap_or_default(),
        }
    }

    /// What a variable drives, and the place that passes it on.
    fn driven<'a>(
        &self,
        name: &'a str,
        interface: &'a WorkerInterface,
    ) -> Option<(&'a EnvRead, Driven<'a>)> {
        let mut reads = interface.reads(name);
        let (read, drive) = reads.find_map(|read| Some((read, read.drives.as_ref()?)))?;
        let judges = self.judges.iter();
        let known: Vec<_> = judges.filter_map(|table| table.flag(&drive.flag)).collect();
        let driven = match known.first() {
            Some((name, _)) if known.len() == self.judges.len() => {
                Driven::Flag(name, known.into_iter().map(|(_, flag)| flag).collect())
            }
            // Of a flag that no release ever had, nothing is known.
            None if sglang::history(&drive.flag).seen.is_some() => Driven::Gone(&drive.flag),
            _ => return None,
        };
        Some((read, driven))
    }

    fn told(&self, mut finding: Finding) -> Finding {
        if !self.exact {
            finding.severity = Severity::Warning;
        }
        finding
    }

    fn judge(&self, setting: &Setting<'_>, name: &str, flags: &[&Flag]) -> Option<Finding> {
        let node = setting.node;
        let text = model::said(node)?.scalar()?;
        if flags.iter().any(|flag| takes(flag, &text)) {
            return None;
        }
        let (key, verb, shown) = (short(setting.key), setting.verb, short(&text));
        let words = &self.words;
        let what = format!("`{key}` {verb} `{shown}`, which `{name}` of {words} does not take");
        let mut finding = setting.document.at(setting.rule, &node.span, what);
        if !self.exact {
            return Some(self.told(finding));
        }
        let choices = flags.iter().flat_map(|flag| flag.choices.iter().flatten());
        let choices: Vec<&str> = choices.filter_map(|choice| choice.as_str()).collect();
        finding = finding.help(format!("it takes {}", suggest::one_of(&choices)));
        if let Some((right, _)) = suggest::nearest(&text, choices.iter().copied()) {
            finding = finding.help(format!("did you mean `{right}`?"));
            if setting.rule.code == OPTION.code {
                finding = finding.write(Safety::Unsafe, &node.span, right, edit::quote(right));
            }
        }
        Some(finding)
    }
}

/// Whether a flag takes a value; one that takes a list has them separated by spaces or commas.
fn takes(flag: &Flag, text: &str) -> bool {
    let all = |separator: char| text.split(separator).all(|part| flag.accepts(part.trim()));
    flag.is_switch() || flag.accepts(text) || (flag.kind == "list" && (all(' ') || all(',')))
}
