//! Facts of the running worker: variables, flags, requests, job input and results.

use super::{ALONE, Facts, LAST, MOST_BYTES, NEEDS, PASSED, STARTED_THROUGH, WHEN};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use worker_files::python::{FlagGiven, FlagValue, InputKey, PythonFacts, Requested};
use worker_files::{EnvRead, FlagKind, WorkerInterface};
use xtask_core::secret::masked;
use xtask_core::sglang;

impl Facts {
    pub fn add_running(&mut self, interface: &WorkerInterface) {
        let mut variables: BTreeMap<&str, Vec<&EnvRead>> = BTreeMap::new();
        for read in &interface.env {
            variables.entry(&read.name).or_default().push(read);
        }
        for (name, reads) in variables {
            self.add_variable(interface, name, &reads);
        }
        // What the server inherits of the worker is as if the image set it.
        let assigned = &interface.python.assigned;
        // The program's own variables tell what they are set to by their default.
        let read = interface.env.iter().filter(|read| !only_asks(read));
        let own: BTreeSet<&str> = read.map(|read| &*read.name).collect();
        let outside = |name: &str| sglang::reads(name) || !own.contains(name);
        let assigned = assigned.iter().filter(|(name, ..)| outside(name));
        for (name, value, place) in assigned.chain(&interface.exports) {
            self.add_value(format!("image:{name}"), place, value);
        }
        let written = interface.python.written.iter();
        for (name, when, place) in written.filter(|(name, ..)| outside(name)) {
            let when = when.as_deref().map(|when| (WHEN, when));
            let (key, text) = when.unwrap_or(("set", "always"));
            self.add_text(format!("image:{name}"), place, key, text);
        }
        for (name, ..) in &interface.exports {
            if let Some((_, place)) = interface.always_set.get(name) {
                self.add_text(format!("image:{name}"), place, "set", "always");
            }
        }
        self.add_routes(&interface.python.routes);
        self.add_inputs(&interface.python.inputs);
        self.add_offers(&interface.python);
    }

    fn add_routes(&mut self, routes: &[Requested]) {
        for requested in without_dead(routes, |it| (&it.route, it.reached)) {
            let unreached = (!requested.reached).then_some("no");
            let id = format!("route:{}", requested.route);
            let timeout = ("timeout", requested.timeout.as_deref());
            let tries = ("tries", requested.tries.as_deref());
            self.add(
                &id,
                &requested.place,
                &[("reached", unreached), timeout, tries],
            );
            if let Some(fact) = self.all.get_mut(&id) {
                fact.add_word("method", &requested.method);
                if let Some(server) = &requested.server {
                    fact.add_word("server", server);
                }
                for part in &requested.body {
                    fact.add_line("body", &masked(part), MOST_BYTES);
                }
            }
        }
    }

    /// What the handler takes from a job.
    fn add_inputs(&mut self, inputs: &[InputKey]) {
        for input in without_dead(inputs, |it| (&it.path, it.reached)) {
            let yes = |is: bool| is.then_some("yes");
            let value = [
                ("needed", need(input.needed, input.ends)),
                ("default", input.default.as_deref()),
                ("set", Some(&*joined(&input.set, " | "))),
                ("words", Some(&*joined(&input.words, " | "))),
                ("made", Some(&*joined(&input.made, ", "))),
                ("limits", input.limits.as_deref()),
                ("text", yes(input.from_text)),
                ("refused", yes(input.refused)),
                ("listed", yes(input.listed)),
                ("used", yes(input.used)),
                ("reached", (!input.reached).then_some("no")),
            ];
            self.add(format!("input:{}", input.path), &input.place, &value);
        }
    }

    /// What the program offers, and what RunPod's SDK is started with.
    fn add_offers(&mut self, python: &PythonFacts) {
        for offer in &python.offers {
            let unreached = (!offer.reached).then_some("no");
            self.add(&offer.id, &offer.place, &[("reached", unreached)]);
            let value = self.all.get_mut(masked(&offer.id).as_ref());
            if let (Some((by, with)), Some(fact)) = (&offer.how, value) {
                fact.value.entry(by.clone()).or_default();
                for line in with {
                    fact.add_line(by, &masked(line), MOST_BYTES);
                }
            }
        }
        for setting in &python.serverless {
            let id = format!("serverless:{}", setting.name);
            let text = Some(&*setting.value);
            // The name of a function is the worker's own business.
            let numbers = Some(&*setting.numbers).filter(|_| !setting.is_constant);
            let value = [
                (numbers.map_or("value", |_| "label"), text),
                ("numbers", numbers),
                (WHEN, Some(&*setting.when)),
                ("variable", setting.variable.as_deref()),
            ];
            self.add(&id, &setting.place, &value);
        }
    }

    /// A variable, with what all of its reads say of it. Only code that runs has a say, where any
    /// does.
    pub fn add_variable(&mut self, interface: &WorkerInterface, name: &str, reads: &[&EnvRead]) {
        let reached = reads.iter().any(|read| read.reached);
        let reads = reads.iter().filter(|read| read.reached == reached);
        let reads: Vec<&EnvRead> = reads.copied().collect();
        let drive = reads.iter().find_map(|read| read.drives.as_ref());
        let flag = drive.map(|drive| drive.flag.as_str());
        let (how, words) = drive.map_or((None, String::new()), |drive| match &drive.how {
            FlagKind::Value => (Some("value"), String::new()),
            FlagKind::Switch { words } => (Some("switch"), words.join(" ")),
        });
        // The worker's own fixed value for a flag is what holds when the variable is unset.
        let fixed = || {
            let given = interface.python.flags.iter();
            let mut own = given.filter(|given| given.runs && given.from.is_empty());
            own.find_map(|given| match &given.value {
                _ if Some(given.flag.as_str()) != flag => None,
                FlagValue::Fixed(value) => Some(value.clone()),
                FlagValue::Alone => Some("true".to_owned()),
                _ => None,
            })
        };
        let all = |one: &dyn Fn(&EnvRead) -> Option<String>| -> Option<String> {
            let all: BTreeSet<String> = reads.iter().filter_map(|read| one(read)).collect();
            (!all.is_empty()).then(|| joined(&all, " | "))
        };
        let default = all(&|read| read.default.clone()).or_else(|| reached.then(fixed)?);
        let interpreted = all(&|read| read.interpreted.clone());
        let fallbacks = all(&|read| (!read.fallbacks.is_empty()).then(|| read.fallbacks.join(" ")));
        // Elsewhere it is read without a default, and not to ask if it is there.
        let any = |one: fn(&EnvRead) -> bool| reads.iter().any(|read| one(read));
        let is_bare = default.is_some() && any(|read| read.default.is_none() && !only_asks(read));
        let required = need(any(|read| read.required), any(|read| read.ends));
        let is_used = any(|read| read.idle == Some(false));
        let is_idle = reads.iter().all(|read| read.idle == Some(true));
        let used = is_used.then_some("yes").or(is_idle.then_some("no"));
        let passed = flag.is_none() && interface.python.passed.contains(name);
        let effects = effects(&interface.python.flags, name);
        let gives = all(&|read| (!read.gives.is_empty()).then(|| read.gives.join(" | ")));
        // What a script read before it sets the variable is the endpoint's.
        let always = interface.always_set.get(name).filter(|(_, place)| {
            let mut others = reads.iter().map(|read| &read.place.file);
            others.any(|file| *file != place.file)
        });
        let yes = |is: bool| is.then_some("yes");
        let value = [
            ("flag", flag),
            ("how", how),
            ("on", Some(words.as_str())),
            ("by", any(|read| read.by_table).then_some("table")),
            ("default", default.as_deref()),
            ("undefaulted", yes(is_bare)),
            ("required", required),
            ("at_start", yes(any(|read| read.at_start))),
            ("interpreted", interpreted.as_deref()),
            ("fallbacks", fallbacks.as_deref()),
            (PASSED, passed.then_some("as arguments")),
            ("effects", effects.as_deref()),
            ("gives", gives.as_deref()),
            (
                "set",
                always.map(|(value, _)| if value.is_empty() { "nothing" } else { value }),
            ),
            ("reached", (!reached).then_some("no")),
            ("used", used),
        ];
        for (at, read) in reads.iter().enumerate() {
            let value = if at == 0 { &value[..] } else { &[] };
            self.add(format!("env:{name}"), &read.place, value);
        }
    }

    pub fn add_flags(&mut self, interface: &WorkerInterface) {
        let flags = &interface.python.flags;
        let live = flags.iter().filter(|given| given.runs && given.reached);
        let live: HashSet<&str> = live.map(|given| &*given.flag).collect();
        // What only dead code says of a flag that is passed is no part of it.
        let is_dead = |flag: &str, reached: bool| !reached && live.contains(flag);
        let given = flags
            .iter()
            .filter(|given| given.runs && !is_dead(&given.flag, given.reached));
        let key = |given: &'_ FlagGiven| (given.flag.clone(), given.place.to_string());
        let fixed = given.clone().filter(|given| given.is_fixed());
        let fixed: HashSet<_> = fixed.map(key).collect();
        for given in given {
            // In a context that could not be followed the same words come to nothing.
            let is_computed = matches!(given.value, FlagValue::Computed(_));
            if is_computed && fixed.contains(&key(given)) {
                continue;
            }
            // What decides whether a variable's value is passed is told with that variable.
            let is_own = |how: &FlagKind| given.value != FlagValue::Env || *how == FlagKind::Value;
            let from = given.from.iter().filter(|(_, how)| is_own(how));
            let from: Vec<&str> = from.map(|(name, _)| name.as_str()).collect();
            let (value, from) = match &given.value {
                FlagValue::Fixed(value) => (Some(value.as_str()), from.join(" ")),
                FlagValue::Alone if from.is_empty() => (Some(ALONE), String::new()),
                _ => (None, from.join(" ")),
            };
            // A value that variables only let through is not that of those variables.
            let through = value.filter(|_| !from.is_empty());
            // What no variable decides on and no text says.
            let computed = match &given.value {
                FlagValue::Computed(how) if from.is_empty() => Some(how.as_str()),
                _ => None,
            };
            let computed = computed.map(|how| if how.is_empty() { "yes" } else { how });
            let value = [
                ("value", value),
                ("from", Some(&*from)),
                ("through", through),
                ("computed", computed),
                ("form", given.form.as_deref()),
                (WHEN, given.when.as_deref()),
                (NEEDS, given.needs.as_deref()),
                (LAST, value.filter(|_| given.wins)),
                ("reached", (!given.reached).then_some("no")),
            ];
            self.add(format!("flag:{}", given.flag), &given.place, &value);
        }
        let through = &interface.python.started_through;
        for (through, place) in interface.started_through.iter().chain(through) {
            self.add_value(STARTED_THROUGH, place, through);
        }
        for read in &interface.env {
            if let Some(drive) = &read.drives
                && !is_dead(&drive.flag, read.reached)
            {
                let id = format!("flag:{}", drive.flag);
                self.add_text(id, &read.place, "from", &read.name);
            }
        }
    }
}

/// What each word of a variable does, where its words do different things: `a: --enable-metrics`.
fn effects(flags: &[FlagGiven], name: &str) -> Option<String> {
    let mut effects = BTreeSet::new();
    let mut all_words = BTreeSet::new();
    let mut is_value = false;
    for given in flags.iter().filter(|given| given.runs && given.reached) {
        for (_, how) in given.from.iter().filter(|(own, _)| own == name) {
            let FlagKind::Switch { words } = how else {
                is_value = true;
                continue;
            };
            let value = match &given.value {
                FlagValue::Fixed(value) => format!(" {value}"),
                FlagValue::Env => " as given".to_owned(),
                _ => String::new(),
            };
            let effect = |word: &String| format!("{word}: {}{value}", given.flag);
            effects.extend(words.iter().map(effect));
            all_words.insert(words);
        }
    }
    (all_words.len() > 1 || is_value).then(|| joined(&effects, " | "))
}

/// Whether a variable is read to see if it is set, and not for its value.
fn only_asks(read: &EnvRead) -> bool {
    let how = read.interpreted.as_deref();
    read.asked || matches!(how, Some("truthy" | "not truthy"))
}

/// How something is needed: the program fails without it, or looks for it and gives up.
fn need(fails: bool, gives_up: bool) -> Option<&'static str> {
    let checked = gives_up.then_some("checked");
    if fails { Some("yes") } else { checked }
}

/// All of some findings but those of dead code where code that runs has the same: what only dead code
/// does besides is no part of what the worker does.
fn without_dead<T>(all: &[T], of: fn(&T) -> (&str, bool)) -> impl Iterator<Item = &T> {
    let live: HashSet<&str> = all
        .iter()
        .map(of)
        .filter(|it| it.1)
        .map(|it| it.0)
        .collect();
    all.iter().filter(move |one| {
        let (name, reached) = of(one);
        reached || !live.contains(name)
    })
}

fn joined(all: &BTreeSet<String>, by: &str) -> String {
    all.iter().map(String::as_str).collect::<Vec<_>>().join(by)
}
