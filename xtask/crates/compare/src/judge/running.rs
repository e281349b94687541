//! Variables, flags, routes, job input and the Python API.

use std::collections::BTreeSet;

use super::super::facts::{ALONE, Fact, STARTED_THROUGH};
use super::{Item, Judge, Verdict, api, difference};
use worker_files::is_inherited;
use xtask_core::sglang;

impl<'a> Judge<'a> {
    /// Variables that the running worker reads.
    pub fn environment(&mut self) {
        for (name, old, new) in self.ids("env") {
            let id = format!("env:{name}");
            let item = match (old, new) {
                (Some(old), Some(new)) => self.variable_kept(&id, old, new),
                (Some(old), None) => self.variable_gone(name, &id, old),
                (None, Some(new)) => {
                    let item = Item::new(&id, Verdict::Added, None, Some(new));
                    match self.refused(new) {
                        Some(why) => item.open().why(why).help(DROP_FLAG),
                        None => item,
                    }
                }
                (None, None) => continue,
            };
            self.push(item);
        }
        self.renamed_fallbacks();
    }

    /// What is tried when a variable is unset may go by another name: that is the other's change.
    fn renamed_fallbacks(&mut self) {
        for (name, old, new) in self.ids("env") {
            let (Some(was), Some(is)) = (
                old.and_then(|fact| fact.get("fallbacks")),
                new.and_then(|fact| fact.get("fallbacks")),
            ) else {
                continue;
            };
            let renamed = &self.renamed;
            let follows = |one: &str| renamed.get(one).map_or(one.to_owned(), String::clone);
            let followed: Vec<String> = was.split(' ').map(follows).collect();
            let Some(owner) = was.split(' ').find(|one| renamed.contains_key(*one)) else {
                continue;
            };
            let owner = format!("env:{owner}");
            let alone = format!("{}.", difference(TRIED, Some(was), Some(is)));
            if followed.join(" ") == is
                && let Some(item) = self.item_mut(&format!("env:{name}"))
                && item.why == alone
            {
                item.part_of = Some(owner);
                item.open = false;
            }
        }
    }

    /// Why the pinned `SGLang` would refuse the flag that a variable drives.
    fn refused(&self, new: &Fact) -> Option<String> {
        let flag = new.get("flag")?;
        (self.takes(flag) == Some(false)).then(|| {
            format!(
                "It still passes {flag}, which {} doesn't take ({}): the server ends with exit \
                 code 2.",
                self.sglang,
                sglang::history(flag)
            )
        })
    }

    fn variable_kept(&self, id: &str, old: &Fact, new: &Fact) -> Item {
        if let Some(why) = self.refused(new) {
            return Item::new(id, Verdict::Retired, Some(old), Some(new))
                .open()
                .why(why)
                .help(DROP_FLAG);
        }
        if old.get("reached").is_none() && new.get("reached").is_some() {
            return Item::new(id, Verdict::Missing, Some(old), Some(new))
                .why("Only code that nothing runs still reads it: endpoints that set it are ignored.")
                .help("Call that code again, or record what to set instead.");
        }
        let mut differences = Vec::new();
        let mut notes = Vec::new();
        match self.unset(id, old, new) {
            Unset::Same => {}
            Unset::SameAsSglangs(default) => notes.push(format!(
                "{} does the same by default: `{default}`.",
                self.sglang
            )),
            Unset::Differs(difference) => differences.push(difference),
        }
        // To drive a flag at all is more than before.
        if old.get("flag").is_some() {
            differences.extend(Self::differences(old, new, Some(&["how"])));
        }
        match (old.get("flag"), new.get("flag")) {
            (Some(was), Some(is)) if was != is && self.same_flag(was, is) => {
                notes.push(format!("It drives {is} now, which is the same as {was}."));
            }
            (Some(was), Some(is)) if was != is && self.succeeds(was, is) => {
                notes.push(format!(
                    "It drives {is} now, which SGLang names instead of {was}."
                ));
            }
            (was, is) if was != is && was.is_some() => {
                differences.push(difference("flag", was, is));
            }
            (None, Some(is)) => notes.push(format!("It drives {is} now.")),
            _ => {}
        }
        if old.get("required").is_none() && new.get("required").is_some() {
            differences.push("the worker fails now where it is not set".to_owned());
        }
        differences.extend(use_changed(old, new));
        let (was, is) = (old.get("fallbacks"), new.get("fallbacks"));
        // What the old worker did not read is set nowhere yet.
        let known = |names: &str| {
            let mut names = names.split(' ');
            names.any(|name| self.old.get(&format!("env:{name}")).is_some())
        };
        if was.is_some_and(|was| !is.unwrap_or_default().starts_with(was))
            || was.is_none() && is.is_some_and(known)
        {
            differences.push(difference(TRIED, was, is));
        }
        if differences.is_empty() {
            Item::new(id, Verdict::Kept, Some(old), Some(new)).why(notes.join(" "))
        } else {
            Item::new(id, Verdict::Changed, Some(old), Some(new))
                .why(format!("{}.", differences.join("; ")))
                .help("Endpoints that leave it unset, or set it as before, behave differently: give it back what it had, or record why not.")
        }
    }

    /// What both workers do where a variable is not set. What drives a flag is compared as what is
    /// passed to `SGLang`, against `SGLang`'s own default.
    fn unset(&self, id: &str, old: &Fact, new: &Fact) -> Unset {
        let image = self.set_by_image(id);
        let (was, is) = (old.get("default"), image.or(new.get("default")));
        if same_value(was.unwrap_or_default(), is.unwrap_or_default()) {
            return Unset::Same;
        }
        // One more place that has a default takes nothing away from the others.
        if was.is_none() && image.is_none() && new.get("undefaulted").is_some() {
            return Unset::Same;
        }
        let own = new
            .get("flag")
            .or(old.get("flag"))
            .and_then(|flag| self.own_default(flag));
        let Some(own) = own else {
            // A table's default is decided where it can't be followed.
            return match (was, new.get("by")) {
                (None, Some(_)) if image.is_none() => Unset::Same,
                _ => Unset::Differs(difference("default", was, is)),
            };
        };
        let passed =
            |value: Option<&str>| value.filter(|v| !v.is_empty()).unwrap_or(&own).to_owned();
        if same_value(&passed(was), &passed(is)) {
            return Unset::SameAsSglangs(own);
        }
        let sglangs = if own.is_empty() {
            "no value".to_owned()
        } else {
            format!("`{own}`")
        };
        let side = |value: Option<&str>| match value {
            Some(value) => format!("`{value}` was passed"),
            None => format!("nothing was passed ({sglangs} is SGLang's own)"),
        };
        let now = side(is).replace(" was passed", " is");
        Unset::Differs(format!("with it unset, {}, {now} now", side(was)))
    }

    /// What the new image sets a variable to, unless the old one did the same.
    fn set_by_image(&self, id: &str) -> Option<&'a str> {
        let id = format!("image:{}", id.strip_prefix("env:")?);
        // `ENV NAME=` sets it to nothing.
        let set = |fact: &'a Fact| fact.get("value").unwrap_or_default();
        let new = set(self.new.get(&id)?);
        let is_news = self.old.get(&id).map(set) != Some(new);
        (is_news && !new.contains('$')).then_some(new)
    }

    fn variable_gone(&mut self, name: &str, id: &str, old: &Fact) -> Item {
        let gone = Item::new(id, Verdict::Missing, Some(old), None);
        if old.get("reached").is_some() {
            return gone.note().why("Only code that nothing ran read it.");
        }
        // What the worker looks for by the beginning of its name is its own business.
        if !name.contains('*') && is_inherited(name) {
            return match old.get("default") {
                None => Item::new(id, Verdict::Kept, Some(old), None)
                    .why("SGLang inherits it from the worker's environment."),
                Some(default) if self.set_by_image(id) == Some(default) => {
                    Item::new(id, Verdict::Kept, Some(old), None).why("The new image sets it.")
                }
                Some(default) => gone
                    .why(format!(
                        "SGLang still inherits it, but its default `{default}` is gone."
                    ))
                    .help(format!("Set {name} in the image, or record why not.")),
            };
        }
        let Some(flag) = old.get("flag") else {
            return gone
                .why("The new worker doesn't read it: endpoints that set it are ignored.")
                .help(format!("Read {name} again, or record what to set instead."));
        };
        let same_role = self
            .new
            .area("env")
            .filter(|(_, fact)| fact.get("flag").is_some_and(|f| self.same_flag(flag, f)))
            .map(|(other, fact)| (other.to_owned(), fact))
            .min_by_key(|(other, _)| {
                // Of several names for one flag, the one that nobody had yet is the new name.
                (self.old.get(&format!("env:{other}")).is_some(), other.len())
            });
        if let Some((other, fact)) = same_role {
            let driven = fact.get("flag").unwrap_or(flag);
            let role = if driven == flag {
                format!("Both drive {flag}")
            } else {
                format!("It drove {flag}, which SGLang calls {driven} now")
            };
            self.renamed.insert(name.to_owned(), other.clone());
            return Item::new(id, Verdict::Renamed, Some(old), Some(fact))
                .now(format!("env:{other}"))
                .why(format!(
                    "{role}, but endpoints that set {name} are ignored: the new worker reads only {other}."
                ))
                .help(format!("Let the worker read {name} too, where {other} is not set."));
        }
        if let Some(item) = self.flag_retired(flag, id, old) {
            return item;
        }
        gone.why(format!(
            "It drove {flag}{}; nothing sets it now.",
            self.still(flag)
        ))
        .help(format!(
            "Read {name} again and pass {flag}, or record why not."
        ))
    }

    /// `, which SGLang X still takes`, where that is so.
    fn still(&self, flag: &str) -> String {
        match self.takes(flag) {
            Some(true) => format!(", which {} still takes", self.sglang),
            _ => String::new(),
        }
    }

    /// A flag that the pinned release surely lacks.
    fn flag_retired(&self, flag: &str, id: &str, old: &Fact) -> Option<Item> {
        if self.takes(flag) != Some(false) {
            return None;
        }
        let history = sglang::history(flag);
        if history.seen.is_none() {
            let known = sglang::known_releases();
            return Some(
                Item::new(id, Verdict::Missing, Some(old), None)
                    .why(format!(
                        "It was passed as {flag}, which is unknown to SGLang {} to {}: a build of SGLang of its own may take it.",
                        known.0, known.1
                    ))
                    .help("Install that build again and pass the flag, or record why not."),
            );
        }
        Some(
            Item::new(id, Verdict::Retired, Some(old), None)
                .why(format!("{flag} is not in {}: {history}.", self.sglang))
                .help(self.instead(&history)),
        )
    }

    /// What a user sets instead of a flag that is gone.
    fn instead(&self, history: &sglang::History) -> String {
        let Some(successor) = history.successor.or(history.nearest) else {
            return "Nothing to set instead.".to_owned();
        };
        let (flag, value) = successor.split_once([' ', '=']).unwrap_or((successor, ""));
        match self.driver(flag) {
            Some(name) if value.is_empty() => format!("Set {name} instead."),
            Some(name) => format!("Set {name}={value} instead."),
            None => format!("SGLang names {successor}; no variable of the new worker sets it."),
        }
    }

    /// Flags of the server's command line. Those that a variable decides on belong to it.
    pub fn flags(&mut self) {
        for (flag, old, new) in self.ids("flag") {
            let id = format!("flag:{flag}");
            let item = match (old, new) {
                _ if id == STARTED_THROUGH => started_through(old, new),
                (Some(old), Some(new)) => self.flag_kept(flag, &id, old, new),
                (None, Some(new)) => self.flag_added(flag, &id, new),
                (Some(old), None) => self.flag_gone(flag, &id, old),
                (None, None) => continue,
            };
            self.push(item);
        }
    }

    /// A flag that both pass: what the old one fixed must be what holds with nothing set.
    fn flag_kept(&self, flag: &str, id: &str, old: &Fact, new: &Fact) -> Item {
        let kept = Item::new(id, Verdict::Kept, Some(old), Some(new));
        if old.get("computed").is_some() && new.get("computed").is_none() {
            return Item::new(id, Verdict::Changed, Some(old), Some(new))
                .why("The old worker works its value out by itself; the new one does not.")
                .help("Work it out again, set it where it is needed, or record why not.");
        }
        // What a variable decides on is judged with that, but for a value that it only lets through.
        let Some(was) = old.get("value") else {
            return kept;
        };
        if let Some(from) = old.get("from") {
            let own = self.own_default(flag);
            let is = new.get("value").or(own.as_deref());
            if old.get("through") != Some(was) || is.is_some_and(|is| same_value(was, is)) {
                return kept;
            }
            let why = format!(
                "`{was}` was passed where {from} says so; nothing passes it by itself now."
            );
            return Item::new(id, Verdict::Changed, Some(old), Some(new))
                .why(why)
                .help("Pass it there again, set it where it is needed, or record why not.");
        }
        let variable = new
            .get("from")
            .and_then(|from| from.split_whitespace().next());
        let default = variable
            .map(|name| format!("env:{name}"))
            .and_then(|id| {
                let default = || self.new.get(&id).and_then(|fact| fact.get("default"));
                self.set_by_image(&id).or_else(default)
            })
            .map(|value| match value {
                "1" | "yes" if was == ALONE => ALONE,
                value => value,
            });
        let own = self.own_default(flag);
        let is = new.get("value").or(default).or(own.as_deref());
        if is.is_some_and(|is| same_value(was, is)) || is.is_none() && variable.is_none() {
            return kept;
        }
        let by = variable
            .map(|name| format!(", unless {name} says otherwise"))
            .unwrap_or_default();
        Item::new(id, Verdict::Changed, Some(old), Some(new))
            .why(format!(
                "`{was}` was passed always; now it is {}{by}.",
                show(is)
            ))
            .help("Pass the old value by default, or record why not.")
    }

    /// A flag that only the new worker passes, by itself.
    fn flag_added(&self, flag: &str, id: &str, new: &Fact) -> Item {
        let added = Item::new(id, Verdict::Added, None, Some(new));
        let (Some(value), Some(own)) = (new.get("value"), self.own_default(flag)) else {
            return added;
        };
        // Under another name it is compared with that.
        if self
            .old
            .area("flag")
            .any(|(other, _)| self.same_flag(other, flag))
        {
            return added;
        }
        let driven = self
            .old
            .area("env")
            .any(|(_, fact)| fact.get("flag").is_some_and(|f| self.same_flag(f, flag)));
        if same_value(value, &own) || driven || new.get("from").is_some() {
            return added;
        }
        added
            .open()
            .why(format!(
                "It is always passed as `{value}` now; before, SGLang's own {} held.",
                show(Some(&own))
            ))
            .help("Pass it only where a variable asks for it, or record why.")
    }

    fn flag_gone(&self, flag: &str, id: &str, old: &Fact) -> Item {
        let other = self
            .new
            .area("flag")
            .find(|(other, _)| self.same_flag(flag, other));
        let item = if let Some((other, fact)) = other {
            let verdict = if self.canonical(flag) == self.canonical(other) {
                Verdict::Kept
            } else {
                Verdict::Renamed
            };
            let mut item = self.flag_kept(flag, id, old, fact);
            if item.verdict == Verdict::Kept {
                item.verdict = verdict;
                item.why = format!("{other} is the same flag in {}.", self.sglang);
            }
            item.now(format!("flag:{other}"))
        } else if let Some(item) = self.flag_retired(flag, id, old) {
            item
        } else if old.get("value").is_some_and(|was| {
            self.own_default(flag)
                .is_some_and(|own| same_value(was, &own))
        }) {
            Item::new(id, Verdict::Kept, Some(old), None)
                .why(format!("{} does the same by default.", self.sglang))
        } else {
            Item::new(id, Verdict::Missing, Some(old), None)
                .why(format!(
                    "The new worker never passes it{}.",
                    self.still(flag)
                ))
                .help("Pass it again, or record why not.")
        };
        let owner = old
            .get("from")
            .and_then(|from| from.split_whitespace().next());
        let owner = owner.map(|owner| format!("env:{owner}"));
        match owner.filter(|owner| self.item(owner).is_some()) {
            Some(owner) if item.verdict != Verdict::Kept => item.part_of(owner),
            // A plain rename of the flag itself asks nothing of anybody.
            _ if item.verdict == Verdict::Renamed => item.note(),
            _ => item,
        }
    }

    /// Routes, job input and the settings of `runpod.serverless.start`.
    pub fn requests(&mut self) {
        self.each("route", |judge, route, id, old, new| match new {
            Some(new) if has_methods(new, old) => {
                Item::new(id, Verdict::Kept, Some(old), Some(new))
            }
            Some(new) => Self::kept_or_changed(id, old, new, Some(&["method"])),
            None if api::serves(route) && judge.reachable(old) => {
                Item::new(id, Verdict::Kept, Some(old), None)
                    .why("The worker doesn't ask for it by itself any more; jobs can.")
            }
            None => Item::new(id, Verdict::Missing, Some(old), None)
                .why("The new worker never asks the server for it.")
                .help("Let jobs reach it again, or record why not."),
        });
        self.each("input", |judge, path, id, old, new| match new {
            Some(new) if old.get("needed").is_none() && new.get("needed").is_some() => {
                Item::new(id, Verdict::Changed, Some(old), Some(new))
                    .why("Jobs without it worked and fail now.")
                    .help("Give it a default.")
            }
            Some(new) => match lost_words(old, new) {
                Some(lost) => Item::new(id, Verdict::Changed, Some(old), Some(new))
                    .why(format!("The new handler no longer knows {lost}."))
                    .help("Handle it again, or record what jobs have to say instead."),
                None => Self::kept_or_changed(id, old, new, Some(&["default", "set"])),
            },
            None if old.get("set").is_some() => Item::new(id, Verdict::Missing, Some(old), None)
                .why("The old handler puts it into the job's input or takes it out; the new one does not.")
                .help("Do that again, or record why not."),
            None if judge.hands_on(path) => handed_on(id, old),
            None => Item::new(id, Verdict::Missing, Some(old), None)
                .why("The new handler doesn't look at it: jobs that use it are understood differently.")
                .help("Handle it again, or record what jobs have to say instead."),
        });
        // Without one the SDK takes one job at a time.
        let concurrency = "serverless:concurrency_modifier";
        if self.old.get(concurrency).is_none()
            && self.old.get("serverless:handler").is_some()
            && let Some(new) = self.new.get(concurrency)
        {
            let item = Item::new(concurrency, Verdict::Changed, None, Some(new))
                .why("The old worker took one job at a time; the new one takes more.")
                .help("Have it take one (this worker: MAX_CONCURRENCY=1), or record that more are right.");
            self.push(item);
        }
        self.simple(
            "serverless",
            "The new worker doesn't hand it to runpod.serverless.start.",
            "Hand it over again, or record why not.",
        );
    }

    /// Whether the new worker gives a parameter of the job's body to `SGLang` without looking at it:
    /// it takes the body as a whole, for a route that the job names, and picks nothing out of it.
    fn hands_on(&self, path: &str) -> bool {
        let Some((body, name)) = path.rsplit_once('.') else {
            return false;
        };
        let has = |id: String| self.new.get(&id).is_some();
        let picks = |name: &str| has(format!("input:{body}.{name}"));
        let named = |(route, _): (&str, &Fact)| route.contains("{openai_route}");
        body == "openai_input"
            && api::takes(name)
            && has(format!("input:{body}"))
            && self.new.area("route").any(named)
            && !["messages", "prompt", "model"].into_iter().any(picks)
    }

    /// Whether jobs can name the route of a request that is made with the same method.
    fn reachable(&self, old: &Fact) -> bool {
        let routes = self.new.area("route");
        let open = routes.filter(|(route, _)| route.starts_with('{'));
        let open: Vec<&str> = open.flat_map(|(_, fact)| methods(fact)).collect();
        !open.is_empty() && methods(old).all(|m| open.contains(&m) || open.contains(&"*"))
    }

    /// Classes, functions and signatures.
    pub fn python(&mut self) {
        self.each("python", |judge, name, id, old, new| {
            let Some(new) = new else {
                let item = Item::new(id, Verdict::Missing, Some(old), None)
                    .note()
                    .why("The new worker's modules don't have it: code of your own that imports it breaks.");
                // A method goes with its class.
                let class = name.split_once('.').map(|(class, _)| format!("python:{class}"));
                return match class.filter(|class| judge.new.get(class).is_none()) {
                    Some(class) => item.part_of(class),
                    None => item,
                };
            };
            let differences = Self::differences(old, new, Some(&["kind", "signature", "module"]));
            let same = |key: &str| old.get(key) == new.get(key);
            let (was, is) = (old.get("signature"), new.get("signature"));
            let is_extended = same("kind")
                && same("module")
                && extends(was.unwrap_or_default(), is.unwrap_or_default());
            let why = differences.join("; ");
            if why.is_empty() || is_extended {
                return Item::new(id, Verdict::Kept, Some(old), Some(new)).why(why);
            }
            Item::new(id, Verdict::Changed, Some(old), Some(new))
                .note()
                .why(format!("{why}. Code that imports it may break."))
        });
    }
}

/// What the server is started through: `numactl`, `nice`, …
fn started_through(old: Option<&Fact>, new: Option<&Fact>) -> Item {
    let program = |fact: Option<&Fact>| {
        let value = fact.and_then(|fact| fact.get("value"));
        value.map_or("nothing".to_owned(), |value| format!("`{value}`"))
    };
    let (was, is) = (program(old), program(new));
    let verdict = match (old, new) {
        _ if was == is => Verdict::Kept,
        (Some(_), None) => Verdict::Missing,
        _ => Verdict::Changed,
    };
    let item = Item::new(STARTED_THROUGH, verdict, old, new);
    if verdict == Verdict::Kept {
        return item;
    }
    item.why(format!(
        "SGLang was started through {was}, and is started through {is}."
    ))
    .help("Start it as before, or record why not.")
}

/// The methods of a route.
fn methods(fact: &Fact) -> impl Iterator<Item = &str> {
    fact.get("method").unwrap_or_default().split_whitespace()
}

/// Whether a route takes every method that another one takes.
fn has_methods(new: &Fact, old: &Fact) -> bool {
    methods(old).all(|wanted| methods(new).any(|method| method == wanted || method == "*"))
}

/// A parameter of the job's body that the new worker gives to `SGLang` as it is.
fn handed_on(id: &str, old: &Fact) -> Item {
    let name = id.rsplit('.').next().unwrap_or_default();
    match old.get("default") {
        Some(default) if !api::is_default(name, default) => {
            Item::new(id, Verdict::Changed, Some(old), None)
                .why(format!(
                    "Jobs without it got `{default}`; the new worker leaves it to SGLang."
                ))
                .help("Set the default again, or record that jobs give it or don't need it.")
        }
        _ => Item::new(id, Verdict::Kept, Some(old), None)
            .why("The new worker hands the whole body on to SGLang."),
    }
}

/// What two workers do where a variable is not set.
enum Unset {
    Same,
    /// The one passes what the other leaves to `SGLang`.
    SameAsSglangs(String),
    Differs(String),
}

/// Whether two texts are one value: `0.9` and `0.90`, `true` and `True`.
pub fn same_value(a: &str, b: &str) -> bool {
    let is_on = |text: &str| text == ALONE || text.eq_ignore_ascii_case("true");
    let is_off = |text: &str| {
        text.is_empty() || text.eq_ignore_ascii_case("false") || text.eq_ignore_ascii_case("none")
    };
    let number = |text: &str| text.trim().parse::<f64>().ok();
    a == b
        || is_on(a) && is_on(b)
        || is_off(a) && is_off(b)
        || number(a)
            .zip(number(b))
            .is_some_and(|(a, b)| a.total_cmp(&b).is_eq())
}

pub fn show(value: Option<&str>) -> String {
    match value {
        None => "not known".to_owned(),
        Some("") => "no value".to_owned(),
        Some(value) => format!("`{value}`"),
    }
}

/// The words that the old handler held a value of the job's input against, and the new one, which
/// has words for it, too, does not.
fn lost_words(old: &Fact, new: &Fact) -> Option<String> {
    let is: BTreeSet<&str> = new.get("words")?.split(" | ").collect();
    let was = old.get("words")?.split(" | ");
    let lost: Vec<String> = was
        .filter(|word| !is.contains(word))
        .map(|word| format!("`{word}`"))
        .collect();
    (!lost.is_empty()).then(|| lost.join(" or "))
}

/// How the use of a variable's value changed: words that no longer switch it on, another type.
fn use_changed(old: &Fact, new: &Fact) -> Option<String> {
    let (was, is) = (old.get("interpreted"), new.get("interpreted"));
    let words = |fact: &Fact| -> Option<BTreeSet<String>> {
        let words = |text: &str, by: char| -> BTreeSet<String> {
            text.split(by)
                .map(|word| word.trim().to_lowercase())
                .filter(|w| !w.is_empty())
                .collect()
        };
        match fact.get("interpreted") {
            None => fact.get("on").map(|on| words(on, ' ')),
            Some(text) => {
                let list = text
                    .strip_prefix("in [")
                    .and_then(|rest| rest.split(']').next());
                list.map(|list| words(list, ','))
                    .or_else(|| text.strip_prefix("== ").map(|word| words(word, '|')))
            }
        }
    };
    if let (Some(before), Some(after)) = (words(old), words(new)) {
        let lost: Vec<&str> = before.difference(&after).map(String::as_str).collect();
        let any_case = |text: Option<&str>| text.is_none_or(|text| text.contains("any case"));
        if !lost.is_empty() {
            return Some(format!("{} no longer switches it on", lost.join(" or ")));
        }
        return (any_case(was) && !any_case(is))
            .then(|| "it is switched on in lower case only now".to_owned());
    }
    // What the program sets itself is what counts, whatever the endpoint says.
    let always = |text: Option<&str>| text.is_some_and(|text| text.contains("always "));
    if always(was) && was != is {
        return Some(difference(
            "how its value is taken",
            was,
            is.or(Some("as it is set")),
        ));
    }
    // Text that is passed on may be put to any use; a table decides where it can't be followed.
    let free = |text: Option<&str>| text.is_none_or(|text| text == "truthy");
    // A number's text and the number come out as the same argument.
    let number = |text: Option<&str>| free(text) || matches!(text, Some("int" | "float"));
    let one_flag = old.get("flag").is_some() && old.get("flag") == new.get("flag");
    let same = was == is
        || one_flag && number(was) && number(is)
        || is.is_none() && (new.get("by").is_some() || new.get("flag").is_some())
        || free(was) && free(is);
    (!same).then(|| {
        difference(
            "how its value is taken",
            was.or(Some("text")),
            is.or(Some("text")),
        )
    })
}

const TRIED: &str = "what is tried when it is unset";
const DROP_FLAG: &str = "Don't pass it to this SGLang, or pin one that takes it.";

/// Whether a signature only got more parameters that have defaults.
fn extends(old: &str, new: &str) -> bool {
    let (old, new) = (old.trim_end_matches(')'), new.trim_end_matches(')'));
    let Some(rest) = new.strip_prefix(old) else {
        return false;
    };
    let rest = rest.trim_start_matches(',');
    rest.starts_with(' ') && rest.split(',').all(|parameter| parameter.contains('='))
}
