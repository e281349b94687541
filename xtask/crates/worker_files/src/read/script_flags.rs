//! The flags that scripts give to `SGLang`, and the variables that decide on them.

use std::collections::BTreeMap;

use super::run::{Job, When};
use super::{EnvRead, FlagGiven, FlagKind, FlagMapping, FlagValue, Hides, Place, Reader, shell};
use crate::shell::{AND, Command, NOT, NOT_SET, OR};

impl Reader<'_> {
    /// A script may set what another one passes on.
    pub fn link_reads(&mut self) {
        for read in &mut self.interface.env {
            if read.reached && read.drives.is_none() {
                read.drives = self.drives.get(&read.name).cloned();
                read.interpreted = interpreted(read.interpreted.take(), read.drives.as_ref());
            }
        }
    }

    /// The words of the server's command that come from variables, or from where is not known.
    fn take_filled_in(&mut self, job: &Job, command: &Command) {
        for word in command.filled_in() {
            let names = shell::variables(&word.text).into_iter();
            let names: Vec<String> = names.map(|(name, _)| name).collect();
            let reads = &job.run.script.reads;
            let is_read = |name: &String| reads.iter().any(|read| read.name == *name);
            let is_call = matches!(&*word.text, "$@" | "$*");
            if !is_call && (names.is_empty() || !names.iter().all(is_read)) {
                let what = "what the server is given here is not known";
                let unread = job.unread(&word.range, what, &[Hides::Flags]);
                self.unread.push(unread);
            }
            if !word.quoted {
                self.interface.python.passed.extend(names);
            }
        }
    }

    /// The flags that a script gives to `SGLang`, and the variables that it reads.
    pub fn take_flags_and_reads(&mut self, job: &Job) {
        let runs = job.when == When::Start;
        /// A fact keeps no more places, and a place no more conditions.
        const MOST: usize = 8;
        let mut drives: BTreeMap<String, FlagMapping> = BTreeMap::new();
        let mut places: BTreeMap<(String, Option<String>), usize> = BTreeMap::new();
        let switches = job.run.script.switches();
        let mut switched: Vec<(String, FlagMapping)> = Vec::new();
        for command in &job.run.script.commands {
            let Some(given) = command.server_flags() else {
                continue;
            };
            self.interface.python.launches |= runs;
            if runs {
                self.take_filled_in(job, command);
                let through = command.started_through();
                if !through.is_empty() {
                    let place = job.place(&command.run()[0].range);
                    self.interface.started_through.push((through, place));
                }
            }
            let mut flags: Vec<FlagGiven> = Vec::new();
            for given in given {
                for name in &given.from {
                    drives.entry(name.clone()).or_insert_with(|| FlagMapping {
                        flag: given.flag.clone(),
                        how: FlagKind::Value,
                    });
                }
                let written = given.value.clone();
                let has_variable = !given.from.is_empty();
                let form = written.as_deref().filter(|_| has_variable);
                let form = form.and_then(form_of);
                let value = value_of(given.value, has_variable);
                let from = given.from.into_iter().map(|name| (name, FlagKind::Value));
                let mut from: Vec<_> = from.collect();
                // Of the same words below the same conditions, more places say nothing new.
                let places = places.entry((given.flag.clone(), written.clone()));
                let places: &mut usize = places.or_default();
                if *places == MOST {
                    continue;
                }
                let own = written.as_deref().filter(|_| from.is_empty());
                let mut decide = switches.of(&given.flag, own);
                // No place stands below more conditions: some are those of others.
                if !from.is_empty() && decide.len() > MOST {
                    decide.clear();
                }
                let when = switches.when(&given.flag, own);
                *places += usize::from(!decide.is_empty());
                switched.extend(decide.iter().cloned().map(|(name, how)| {
                    let flag = given.flag.clone();
                    (name, FlagMapping { flag, how })
                }));
                from.extend(decide);
                let given = FlagGiven {
                    wins: false,
                    value,
                    form,
                    flag: given.flag,
                    from,
                    when,
                    needs: None,
                    place: job.place(&given.range),
                    runs,
                    reached: true,
                };
                flags.push(given);
            }
            self.interface.python.flags.extend(in_order(flags));
        }
        for (name, mapping) in switched {
            drives.entry(name).or_insert(mapping);
        }
        if runs {
            let earlier = std::mem::take(&mut self.drives);
            self.drives = drives.clone().into_iter().chain(earlier).collect();
        }
        self.take_reads(job, &drives);
    }

    /// Takes the variables that a script reads, with the flags that they drive.
    fn take_reads(&mut self, job: &Job, drives: &BTreeMap<String, FlagMapping>) {
        let runs = job.when == When::Start;
        for read in &job.run.script.reads {
            let place = job.place(&read.range);
            let drives = drives.get(&read.name).cloned();
            self.interface.env.push(EnvRead {
                required: read.required,
                keeps_empty: read.keeps_empty,
                ends: read.checked,
                at_start: runs
                    && (read.checked && self.first.contains(&job.source.path)
                        || read.required && self.is_passed(job, &read.range)),
                interpreted: interpreted(read.compared.clone(), drives.as_ref()),
                reached: runs,
                drives,
                ..EnvRead::new(&read.name, read.default.clone(), place)
            });
        }
    }
}

/// What a flag is given in a script.
fn value_of(text: Option<String>, has_variable: bool) -> FlagValue {
    match text {
        None => FlagValue::Alone,
        Some(_) if has_variable => FlagValue::Env,
        // The output of a command and the script's arguments count as text.
        Some(value) if ["$(", "${1", "${2"].iter().any(|own| value.contains(own)) => {
            FlagValue::Fixed(value)
        }
        Some(value) if value.contains('$') => FlagValue::Computed(value),
        Some(value) => FlagValue::Fixed(value),
    }
}

/// The flags of one command: of a flag that is given twice, `SGLang` takes the last.
fn in_order(mut flags: Vec<FlagGiven>) -> Vec<FlagGiven> {
    let fixed = flags.iter().filter(|one| one.is_fixed());
    let last = fixed.map(|one| (one.flag.clone(), one.place.clone()));
    let last: BTreeMap<String, Place> = last.collect();
    flags.retain(|one| !one.is_fixed() || one.place >= last[&one.flag]);
    let values = flags.iter().filter(|one| one.value == FlagValue::Env);
    let values: Vec<(String, Place)> = values
        .map(|one| (one.flag.clone(), one.place.clone()))
        .collect();
    for one in &mut flags {
        let mut before = values
            .iter()
            .filter(|(flag, at)| *flag == one.flag && *at < one.place);
        one.wins = before.next().is_some() && one.is_fixed() && one.when.is_none();
    }
    flags
}

/// The text around the variables of a value, where there is any: `/models/{}`.
fn form_of(value: &str) -> Option<String> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    if value.contains("$(") {
        // A default is told with its variable.
        let parts = value.split("${").map(|part| match part.split_once('}') {
            Some((name, after)) => name.split(':').next().unwrap_or_default().to_owned() + after,
            None => part.to_owned(),
        });
        let parts = parts.collect::<String>();
        return Some(parts.replace([' ', '"', '$'], ""));
    }
    let mut parts = value.split('$');
    let mut form = parts.next()?.to_owned();
    for part in parts {
        let inner = part.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let after = inner.map_or(part.trim_start_matches(is_name), |(_, after)| after);
        // What the shell makes of the value: `${NAME,,}`, `${NAME##*/}`.
        let change = inner.map_or("", |(inner, _)| inner.trim_start_matches(is_name));
        let change = Some(change).filter(|it| it.starts_with([',', '^', '#', '%', '/']));
        form += &format!("{{{}}}{after}", change.unwrap_or_default());
    }
    (form != "{}").then_some(form)
}

/// The words that a variable is compared with, and whether they switch its flag off.
fn interpreted(compared: Option<String>, drives: Option<&FlagMapping>) -> Option<String> {
    let words = match drives.map(|drives| &drives.how) {
        Some(FlagKind::Switch { words }) => words.as_slice(),
        _ => &[],
    };
    let is_switch = drives.is_some_and(|drives| drives.how != FlagKind::Value);
    match words {
        [] if is_switch => compared.or(Some("truthy".to_owned())),
        [word] if word == NOT_SET => compared.or(Some("not truthy".to_owned())),
        [word] if word.starts_with(NOT) => match compared {
            Some(one) if one.contains(", ") => Some(one),
            Some(one) if one.starts_with("== ") => Some(one.replace("== ", "!= ")),
            _ => Some(word.clone()),
        },
        [] => compared,
        words
            if words
                .iter()
                .any(|word| word.starts_with(OR) || word.contains(AND)) =>
        {
            Some(words.join(", "))
        }
        words => {
            let is_own = |one: &str| {
                let one = one.trim_start_matches("== ").trim_start_matches("in [");
                let mut parts = one.trim_end_matches(']').split(',');
                parts.all(|part| words.iter().any(|word| word == part))
            };
            let is_other = |all: &String| !all.split(", ").all(is_own);
            let plain = |word: &String| match word.split_once(' ') {
                Some(_) => word.clone(),
                None => format!("== {word}"),
            };
            let words: Vec<String> = words.iter().map(plain).collect();
            compared.filter(is_other).or(Some(words.join(", ")))
        }
    }
}
