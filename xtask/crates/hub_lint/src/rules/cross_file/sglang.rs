//! What the two files give to SGLang, against the release that the worker runs.

use super::{is_sglang, place};
use crate::document::{Document, short};
use crate::edit;
use crate::model;
use crate::rule::{Rule, rules};
use worker_files::WorkerInterface;
use worker_files::json::Node;
use xtask_core::finding::{Finding, Safety, Severity};
use xtask_core::sglang::{self, Exactness, Flag, Table};
use xtask_core::suggest;

rules! { Agreement;
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

/// Compares the two files with the release.
pub fn check(
    hub: Option<&Document>,
    tests: Option<&Document>,
    interface: &WorkerInterface,
    findings: &mut Vec<Finding>,
) {
    if !is_sglang(interface) {
        return;
    }
    let Some((version, _)) = interface.sglang() else {
        return;
    };
    let release = Release::of(&version);
    if release.judges.is_empty() {
        return;
    }
    for setting in settings(hub, tests) {
        if let Some(Driven::Flag(name, flags)) = release.driven(setting.key, interface) {
            findings.extend(release.judge(&setting, name, &flags));
        }
    }
    if let Some(hub) = hub {
        for variable in model::variables(&hub.root) {
            if let Some(Driven::Gone) = release.driven(variable.key, interface) {
                findings.push(release.gone(hub, &variable, interface));
            }
        }
    }
}

/// One value that a variable may have.
struct Setting<'a> {
    document: &'a Document,
    rule: &'static Rule,
    key: &'a str,
    verb: &'static str,
    node: &'a Node,
}

fn settings<'a>(hub: Option<&'a Document>, tests: Option<&'a Document>) -> Vec<Setting<'a>> {
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
            let listed = |node: &Node| {
                let text = model::text_of(node);
                input
                    .options
                    .iter()
                    .any(|option| model::text_of(option) == text)
            };
            let default = input.default.filter(|node| !listed(node));
            add(hub, &VALUE, key, "has as its default", default);
        }
        for member in model::presets(&hub.root)
            .iter()
            .flat_map(|preset| preset.defaults)
        {
            add(hub, &VALUE, &member.key, "is set to", Some(&member.value));
        }
    }
    if let Some(tests) = tests {
        for own in model::test_variables(&tests.root) {
            add(tests, &VALUE, own.key, "is set to", own.value);
        }
    }
    settings
}

/// What a variable drives, in all releases that judge.
enum Driven {
    Flag(&'static str, Vec<&'static Flag>),
    Gone,
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
        Self {
            words: format!(
                "SGLang {asked} (not known here; judged by {} and {})",
                table.release(),
                next.map_or("", Table::release)
            ),
            exact: false,
            judges: next.map(|next| vec![table, next]).unwrap_or_default(),
        }
    }

    fn driven(&self, name: &str, interface: &WorkerInterface) -> Option<Driven> {
        let drive = interface
            .reads(name)
            .find_map(|read| read.drives.as_ref())?;
        let known: Vec<_> = self
            .judges
            .iter()
            .filter_map(|table| table.flag(&drive.flag))
            .collect();
        match known.first() {
            Some((name, _)) if known.len() == self.judges.len() => Some(Driven::Flag(
                name,
                known.into_iter().map(|(_, flag)| flag).collect(),
            )),
            // Of a flag that no release ever had, nothing is known.
            None if sglang::history(&drive.flag).seen.is_some() => Some(Driven::Gone),
            _ => None,
        }
    }

    fn told(&self, finding: Finding) -> Finding {
        let severity = if self.exact {
            finding.severity
        } else {
            Severity::Warning
        };
        Finding {
            severity,
            ..finding
        }
    }

    fn gone(
        &self,
        hub: &Document,
        variable: &model::Variable<'_>,
        interface: &WorkerInterface,
    ) -> Finding {
        let read = interface
            .reads(variable.key)
            .find(|read| read.drives.is_some());
        let flag = read
            .and_then(|read| read.drives.as_ref())
            .map_or("", |drive| drive.flag.as_str());
        let words = &self.words;
        let mut finding = hub
            .at(
                &FLAG_GONE,
                variable.key_span,
                format!(
                    "`{}` drives `{flag}`, which {words} does not have",
                    variable.key
                ),
            )
            .help(format!("`{flag}` is {}", sglang::history(flag)));
        if let Some(read) = read {
            finding = finding.related(place(&read.place), "it is passed on here");
        }
        self.told(finding)
    }

    fn judge(&self, setting: &Setting<'_>, name: &str, flags: &[&Flag]) -> Option<Finding> {
        let node = setting.node;
        let text = model::text_of(model::said(node)?)?;
        if flags.iter().any(|flag| takes(flag, &text)) {
            return None;
        }
        let mut finding = setting.document.at(
            setting.rule,
            &node.span,
            format!(
                "`{}` {} `{}`, which `{name}` of {} does not take",
                short(setting.key),
                setting.verb,
                short(&text),
                self.words
            ),
        );
        if !self.exact {
            return Some(self.told(finding));
        }
        let choices: Vec<&str> = flags
            .iter()
            .flat_map(|flag| flag.choices.iter().flatten())
            .filter_map(|choice| choice.as_str())
            .collect();
        finding = finding.help(format!("it takes {}", suggest::one_of(&choices)));
        if let Some((right, _)) = suggest::nearest(&text, choices.iter().copied()) {
            finding = finding.help(format!("did you mean `{right}`?"));
            if std::ptr::eq(setting.rule, &raw const OPTION) {
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
