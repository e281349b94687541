//! Routes, job input and the Python API.

use std::collections::{BTreeMap, BTreeSet};

use super::super::facts::{Fact, Facts, LEFT_OUT};
use super::variables::{env_line, same_value, show};
use super::{Item, Judge, Side, Verdict, api, difference, few};
use worker_files::python::{COMPUTED, FROM, HEADER, NO_BODY, said_of_part};
use xtask_core::output::cut;

impl Judge<'_> {
    /// Routes, job input and the settings of `runpod.serverless.start`.
    pub fn requests(&mut self) {
        self.judge_area("route", |judge, route, id, old, new| match new {
            Some(new) => judge.route_kept(id, old, new),
            None if api::serves(route) && judge.still_reachable(route, old) => {
                Item::new(id, Verdict::Kept, old, None)
                    .why("The worker doesn't ask for it by itself any more; jobs can.")
            }
            None => Item::missing(id, old)
                .why("The new worker never asks the server for it.")
                .help("Let jobs reach it again, or record why not."),
        });
        self.judge_area("input", |judge, path, id, old, new| match new {
            Some(new) => judge.input_kept(path, id, old, new),
            None if old.has("set") => Item::missing(id, old)
                .why("The old handler puts it into the job's input or takes it out; the new one does not.")
                .help("Do that again, or record why not."),
            None if judge.hands_on(path) => judge.handed_on(id, old),
            None => Item::missing(id, old)
                .why("The new handler doesn't look at it: jobs that use it are understood differently.")
                .help("Handle it again, or record what jobs have to say instead."),
        });
        self.sdk_defaults();
        self.offers();
    }

    fn route_kept(&self, id: &str, old: &Fact, new: &Fact) -> Item {
        let mut item = if has_methods(new, old) {
            Item::new(id, Verdict::Kept, old, new)
        } else {
            Self::kept_or_changed(id, old, new, Some(&["method"]))
        };
        if !old.is_reached() {
            return item;
        }
        let mut wholes = lines(old, "body").filter(|part| part.starts_with('{'));
        let lost = wholes.find(|part| !self.sent.contains(*part));
        let lost = lost.map(|lost| {
            let lost = lost.trim_matches(['{', '}']);
            format!("All that jobs gave in `{lost}` was sent; now it is not.")
        });
        item.add_changes(
            lost,
            "Send the whole of it again, or record what jobs may give.",
        );
        let differ = |key: &str, is_same: fn(&str, &str) -> bool| {
            let (was, is) = (old.get(key)?, new.get(key));
            let differ = !is_same(was, is.unwrap_or_default());
            differ.then(|| format!("{}.", difference(key, Some(was), is)))
        };
        let timeout = differ("timeout", |was, is| {
            was == COMPUTED || is == COMPUTED || same_value(was, is)
        });
        item.add_changes(
            timeout,
            "Let requests wait as long as before, or record why not.",
        );
        let server = differ("server", |was, is| is.is_empty() || was == is);
        item.add_changes(server, "Ask the same server, or record why another one.");
        let lost = lost_body(old, new, &self.set_in(new));
        item.add_changes(lost, "Send it again, or record why not.");
        item
    }

    /// What the new handler puts into the parts of the job's input that a request sends as a whole.
    fn set_in(&self, route: &Fact) -> Vec<String> {
        let wholes = lines(route, "body").filter_map(whole_body);
        let within = |whole: String| {
            let set = self.new.area("input").filter(|(_, fact)| fact.has("set"));
            set.filter_map(move |(path, _)| Some(path.strip_prefix(&*whole)?.to_owned()))
        };
        wholes.flat_map(within).collect()
    }

    fn input_kept(&self, path: &str, id: &str, old: &Fact, new: &Fact) -> Item {
        let is_new = |key: &str| !old.has(key) && new.has(key);
        if is_new("needed") {
            return Item::new(id, Verdict::Changed, old, new)
                .why("Jobs without it worked and fail now.")
                .help("Give it a default.");
        }
        let limits = match (old.get("limits"), new.get("limits")) {
            (Some(was), Some(is))
                if is
                    .split(", ")
                    .any(|one| was.split(", ").all(|own| own != one)) =>
            {
                Some(format!("Its value had to be `{was}`, has to be `{is}`."))
            }
            (None, Some(is)) if is.contains(' ') => {
                Some(format!("Any value was taken; now it has to be `{is}`."))
            }
            _ if is_new("refused") => {
                Some("The new schema of the input refuses jobs that give it.".to_owned())
            }
            _ if old.has("text") && !new.has("text") => {
                Some("Jobs could give it as text of JSON; now they can't.".to_owned())
            }
            _ => None,
        };
        // Older readers told less of what is used.
        let is_idle = !self.old.is_older && !new.has("used") && !new.has("set");
        let is_lost = old.has("used") && is_idle && !self.sent.contains(&whole_of(path).0);
        let idle =
            is_lost.then(|| "The new handler takes it, and does nothing with it.".to_owned());
        let words = lost_words(old, new);
        let words = words.map(|lost| format!("The new handler no longer knows {lost}."));
        let mut item = Self::kept_or_changed(id, old, new, Some(&["default", "set"]));
        item.add_changes(limits, "Take what was taken before, or record why not.");
        item.add_changes(idle, "Use it again, or record why not.");
        item.add_changes(
            words,
            "Handle it again, or record what jobs have to say instead.",
        );
        item
    }

    /// What the SDK does by itself: it takes one job at a time, and gives back what the handler
    /// returns.
    fn sdk_defaults(&mut self) {
        for (id, why, help) in [
            (
                "serverless:concurrency_modifier",
                "The old worker took one job at a time; the new one takes more.",
                "Have it take one (this worker: MAX_CONCURRENCY=1), or record that more are right.",
            ),
            (
                "serverless:handler.yields",
                "The old handler returned one result; the new one yields: what jobs get is a list.",
                "Return it again, or record that those who send jobs take a list.",
            ),
        ] {
            let is_new = self.old.has("serverless:handler") && !self.old.has(id);
            if let Some(new) = self.new.get(id).filter(|_| is_new) {
                let item = Item::new(id, Verdict::Changed, None, new)
                    .why(why)
                    .help(help);
                let is_modifier = id.ends_with("modifier");
                let by = is_modifier.then(|| self.jobs_at_a_time(id, "1", None, new));
                let kept = by.flatten().filter(|item| !item.open);
                self.push(kept.unwrap_or(item));
            }
        }
    }

    /// How many jobs the new worker takes at a time, where a variable decides that alone and a number
    /// did. `None` where that is not so.
    fn jobs_at_a_time<'f>(
        &self,
        id: &str,
        was: &str,
        old: impl Into<Side<'f>>,
        new: &'f Fact,
    ) -> Option<Item> {
        let name = new.get("variable")?;
        let fact = self.new.get(&format!("env:{name}"))?;
        if new.has("value") || was.parse::<u32>().is_err() {
            return None;
        }
        let set = self.new.attribute(&format!("image:{name}"), "value");
        let is = set.or(fact.get("default"));
        if is.is_some_and(|is| same_value(was, is)) {
            let kept = Item::new(id, Verdict::Kept, old, new);
            return Some(kept.why(format!("{name} says so now.")));
        }
        let why = format!(
            "It was always `{was}`; now {name} decides, {} by default.",
            show(is)
        );
        let line = env_line(name, was)?;
        let item = Item::new(id, Verdict::Changed, old, new).why(why);
        Some(item.help(format!("{line} sets it as before; or record why not.")))
    }

    /// What results hold, which routes the worker serves itself, and which models it loads.
    fn offers(&mut self) {
        const HELP: &str = "Bring it back, or record why not.";
        for (area, missing) in [
            (
                "serverless",
                "The new worker doesn't give it to runpod.serverless.start.",
            ),
            ("result", "The handler's result doesn't have it any more."),
            ("serves", "The new worker doesn't serve this route."),
        ] {
            self.judge_area(area, |judge, name, id, old, new| match new {
                // What only the new function has takes nothing away.
                Some(new) => {
                    let keys = ["value", "numbers"];
                    let keys = &keys[..if old.has("numbers") { 2 } else { 1 }];
                    let was = old.get("value").filter(|_| name == "concurrency_modifier");
                    let by = was.and_then(|was| judge.jobs_at_a_time(id, was, old, new));
                    by.unwrap_or_else(|| Self::kept_or_changed(id, old, new, Some(keys)))
                }
                None if name.ends_with("()") => Item::missing(id, old)
                    .why("The new worker doesn't call this function of RunPod's SDK.")
                    .help(HELP),
                None => Item::missing(id, old).why(missing).help(HELP),
            });
        }
        self.judge_area("model", |_, name, id, old, new| {
            let Some(new) = new else {
                // One whose name is worked out goes by what loads it.
                let why = if old.has(name) {
                    format!("The new worker loads no model by `{name}`.")
                } else {
                    "The new worker doesn't load this model.".to_owned()
                };
                return Item::missing(id, old).why(why).help(HELP);
            };
            // What else loads it now may be given the same.
            let all = new.value.values().flat_map(|given| given.lines());
            let loaded = old.value.iter().filter(|(by, _)| *by != "reached");
            let lost = loaded.filter_map(|(by, given)| match new.get(by) {
                Some(now) => lost_parts(given.lines(), now.lines()),
                None => lost_parts(given.lines(), all.clone()),
            });
            let lost: Vec<String> = lost.collect();
            let why = format!("It is loaded without {} now.", lost.join(", "));
            let mut item = Item::new(id, Verdict::Kept, old, new);
            let help = "Load it as before, or record why not.";
            item.add_changes((!lost.is_empty()).then_some(why), help);
            item
        });
    }

    /// Whether the new worker gives a parameter of the job's body to `SGLang` without looking at it:
    /// it takes the body as a whole, for a route that the job names, and picks nothing out of it.
    fn hands_on(&self, path: &str) -> bool {
        let (whole, body, name) = whole_of(path);
        let picks = |name: &&str| self.new.has(&format!("input:{body}.{name}"));
        let mut routes = self.new.area("route");
        // What `/generate` takes stands there.
        if body == "sampling_params" && self.sent.contains("{input}") {
            return true;
        }
        api::takes(name)
            && (self.sent.contains(&whole)
                || body == "openai_input"
                    && self.new.has("input:openai_input")
                    && routes.any(|(route, _)| route.contains("{openai_route}"))
                    && !["messages", "prompt", "model"].iter().any(picks))
    }

    /// Whether jobs can name the route of a request that is made with the same method.
    fn reachable(&self, old: &Fact) -> bool {
        let routes = self.new.area("route");
        let open = routes.filter(|(route, fact)| route.starts_with('{') && fact.is_reached());
        let open: Vec<&str> = open.flat_map(|(_, fact)| methods(fact)).collect();
        !open.is_empty() && methods(old).all(|m| open.contains(&m) || open.contains(&"*"))
    }

    /// Whether jobs can still do all that the old worker asked for by itself. Where they could name
    /// any route before, too, its own posts were for jobs that name none.
    fn still_reachable(&self, route: &str, old: &Fact) -> bool {
        let mut before = self.old.area("route");
        let named = before.any(|(route, _)| route.starts_with('{'));
        // Of a route that a job completes, the job says only a part.
        let mut braces = route.match_indices('{');
        let is_completed = braces.any(|(at, _)| at > 0 && !route[at..].starts_with("{}"));
        !is_completed
            && self.reachable(old)
            && !(named && methods(old).any(|method| method == "POST"))
    }

    pub fn python(&mut self) {
        self.judge_area("python", |judge, name, id, old, new| {
            let Some(new) = new else {
                let item = Item::missing(id, old)
                    .closed()
                    .why("The new worker's modules don't have it: code of your own that imports it breaks.");
                // A method goes with its class.
                let class = name.split_once('.').map(|(class, _)| format!("python:{class}"));
                return match class.filter(|class| judge.new.get(class).is_none()) {
                    Some(class) => item.part_of(class),
                    None => item,
                };
            };
            let differences = Self::differences(old, new, Some(&["kind", "signature", "module"]));
            let item = Item::by_differences(id, old, new, &differences);
            let mut item = item.closed().help("");
            if let Some(why) = other_constants(old, new) {
                item.change(why, "Give it back the value that it had, or record why not.");
            }
            item
        });
    }

    /// A parameter of the job's body that the new worker gives to `SGLang` as it is.
    fn handed_on(&self, id: &str, old: &Fact) -> Item {
        // Older records don't say what is used.
        let is_said = !self.old.is_older;
        let name = id.rsplit(['.', ':']).next().unwrap_or_default();
        let changed = Item::new(id, Verdict::Changed, old, None);
        let lost_default = old
            .get("default")
            .filter(|value| !api::is_default(name, value));
        if let Some(lost) = lost_bounds(old) {
            changed
                .why(lost)
                .help("Keep it there again, or record why not.")
        } else if let Some(default) = lost_default {
            changed
                .why(format!(
                    "Jobs without it got `{default}`; the new worker leaves it to SGLang."
                ))
                .help("Set the default again, or record that jobs give it or don't need it.")
        } else if is_said && old.value.is_empty() {
            // A key that is nothing but looked for decides what becomes of the job.
            Item::missing(id, old)
                .why("Jobs that have it were treated otherwise than those that don't; the new handler doesn't look.")
                .help("Tell them apart again, or record what such jobs get.")
        } else {
            Item::new(id, Verdict::Kept, old, None)
                .why("The new worker hands the whole body on to SGLang.")
        }
    }
}

/// Parameters that a call leaves out on both sides, which are another number then.
fn other_constants(old: &Fact, new: &Fact) -> Option<String> {
    fn parts(fact: &Fact) -> impl Iterator<Item = (&str, &str)> {
        let all = fact.get(LEFT_OUT).unwrap_or_default().split(", ");
        all.filter_map(|one| one.split_once('='))
    }
    let is: BTreeMap<&str, &str> = parts(new).collect();
    let was: BTreeMap<&str, &str> = parts(old).collect();
    let mut differ = was.iter().filter_map(|(name, was)| {
        let is = is.get(name).filter(|is| !same_value(was, is))?;
        Some(difference(name, Some(was), Some(is)))
    });
    Some(format!("{}, where it is not given.", differ.next()?))
}

/// In what the old handler kept a value that is handed on as it is now.
fn lost_bounds(old: &Fact) -> Option<String> {
    let limits = old.get("limits").unwrap_or_default().split(", ");
    let bounds: Vec<&str> = limits.filter(|limit| limit.starts_with("at ")).collect();
    let lost = Some(bounds.join(", ")).filter(|lost| !lost.is_empty())?;
    Some(format!(
        "The old handler took `{lost}`; the new one hands on what a job gives."
    ))
}

/// Whether what was said of a part of a body still holds, as far as can be told.
fn still_holds(part: &str, is: &BTreeSet<&str>) -> bool {
    let Some((name, mark, rest)) = said_of_part(part).filter(|_| !is.contains(part)) else {
        return true;
    };
    let said = is.iter().filter_map(|line| said_of_part(line));
    let now = || said.clone().filter(|(own, ..)| *own == name);
    let mut froms = now().filter(|(_, own, _)| *own == FROM);
    // Where all that a job gives is sent, its keys keep their names, and nothing is fixed.
    let mut wholes = is.iter().filter_map(|line| whole_body(line)).peekable();
    if wholes.peek().is_some() && !is_said(name, is) {
        let same = |key: &str| wholes.clone().any(|whole| format!("{whole}{name}") == key);
        return rest == COMPUTED || mark == FROM && rest.split(" or ").any(same);
    }
    let of_name = is.iter().filter_map(|line| line.strip_prefix(name));
    let mut fixed = of_name.filter_map(|rest| rest.strip_prefix('='));
    if mark == FROM {
        if fixed.next().is_some() && !is.contains(name) && froms.clone().next().is_none() {
            return false;
        }
        // A variable may have another name now.
        if rest.starts_with('$') {
            return true;
        }
        let taken: BTreeSet<&str> = froms.flat_map(|(.., rest)| rest.split(" or ")).collect();
        return taken.is_empty() || rest.split(" or ").any(|key| taken.contains(key));
    }
    // What `+=` adds to a text is not followed.
    let is_other_text = fixed.any(|text| !rest.starts_with(text));
    let is_more = now().any(|(_, own, longer)| own == mark && longer.starts_with(rest));
    let is_other = is_other_text || froms.next().is_some() || now().any(|(_, own, _)| own == mark);
    rest == COMPUTED || is_more || !is_other
}

/// What stands before the keys of a part of the job's input that is sent as a whole.
fn whole_body(line: &str) -> Option<String> {
    let path = line.strip_prefix("{input")?.strip_suffix('}')?;
    let path = path.strip_prefix('.').map(|path| format!("{path}."));
    Some(path.unwrap_or_default())
}

/// Whether anything is said of a part of a body, of what holds it, or of what it holds.
fn is_said(name: &str, is: &BTreeSet<&str>) -> bool {
    let mut owners = std::iter::successors(Some(name), |name| Some(name.rsplit_once('.')?.0));
    owners.any(|owner| {
        let mut rests = is.iter().filter_map(|line| line.strip_prefix(owner));
        rests.any(|rest| rest.is_empty() || rest.starts_with(['=', ' ', '{']))
    }) || is.iter().any(|line| line.starts_with(&format!("{name}.")))
}

pub fn sent(facts: &Facts) -> BTreeSet<String> {
    let routes = facts.area("route");
    let parts = routes.flat_map(|(_, fact)| lines(fact, "body"));
    parts.map(str::to_owned).collect()
}

fn methods(fact: &Fact) -> impl Iterator<Item = &str> {
    fact.get("method").unwrap_or_default().split_whitespace()
}

/// Whether a route takes every method that another one takes.
fn has_methods(new: &Fact, old: &Fact) -> bool {
    methods(old).all(|wanted| methods(new).any(|method| method == wanted || method == "*"))
}

/// The part of the job's input that holds a parameter, as a request's body has it as a whole, its
/// path, and the parameter's own name.
fn whole_of(path: &str) -> (String, &str, &str) {
    match path.rsplit_once('.') {
        Some((body, name)) => (format!("{{input.{body}}}"), body, name),
        None => ("{input}".to_owned(), "", path),
    }
}

/// The words that the old handler compared a value of the job's input with, and the new one, which
/// has words for it, too, does not.
fn lost_words(old: &Fact, new: &Fact) -> Option<String> {
    let is: BTreeSet<&str> = new.get("words")?.split(" | ").collect();
    let lost = old.get("words")?.split(" | ");
    let lost = lost.filter(|word| !is.contains(word));
    let lost: Vec<String> = lost.map(|word| format!("`{word}`")).collect();
    (!lost.is_empty()).then(|| lost.join(" or "))
}

/// What the requests of a route held and hold no longer, where both are known.
fn lost_body(old: &Fact, new: &Fact, set: &[String]) -> Option<String> {
    let has = |fact: &Fact, part| lines(fact, "body").any(|line| line == part);
    if old.has("body") && !has(old, NO_BODY) && has(new, NO_BODY) {
        return Some("A request of the new worker has no body.".to_owned());
    }
    new.get("body")?;
    let is_header = |line: &&str| line.starts_with(HEADER);
    let unknown = format!("{HEADER}{COMPUTED}");
    if !has(new, &unknown) {
        let mut headers = lines(old, "body").filter(is_header);
        if let Some(lost) = headers.find(|line| *line != unknown && !has(new, line)) {
            return Some(format!("Its requests no longer hold the {lost}."));
        }
    }
    let parts = |fact| lines(fact, "body").filter(|line| !is_header(line));
    let set = set.iter().map(String::as_str);
    let lost = lost_parts(parts(old), parts(new).chain(set));
    lost.map(|lost| format!("Its requests no longer hold {lost}."))
}

fn lines<'a>(fact: &'a Fact, key: &str) -> impl Iterator<Item = &'a str> {
    fact.get(key).unwrap_or_default().lines()
}

/// What a list of `name` and `name=value` lacks now. A value may be worked out instead, and what
/// is all worked out may hold anything.
fn lost_parts<'a>(
    was: impl Iterator<Item = &'a str>,
    is: impl Iterator<Item = &'a str>,
) -> Option<String> {
    const LONGEST: usize = 100;
    let [was, is]: [BTreeSet<&str>; 2] = [was.collect(), is.collect()];
    // What jobs give may be sent as a whole instead.
    let has_whole = is.iter().any(|one| one.starts_with('{'));
    // Fixed parts of it are not what a job may give, unless it had fixed parts before.
    let within = |side: &BTreeSet<&str>, name: &str| {
        let mut rests = side.iter().filter_map(|one| one.strip_prefix(name));
        rests.any(|rest| rest.starts_with('.'))
    };
    let has_name = |name: &str| {
        let mut rests = is.iter().filter_map(|one| one.strip_prefix(name));
        rests.any(|rest| rest.is_empty() || rest.starts_with('='))
            || within(&was, name) && within(&is, name)
    };
    let is_known = |part: &str| match part.split_once('=') {
        _ if said_of_part(part).is_some() => still_holds(part, &is),
        // An empty part that is filled now.
        Some((name, "{}")) if within(&is, name) => true,
        Some((name, _)) => is.contains(part) || is.contains(name),
        None => has_whole || has_name(part) || part == COMPUTED,
    };
    let lost = was
        .iter()
        .filter(|part| !is_known(part) && !part.starts_with('{'));
    let lost: Vec<String> = lost
        .map(|part| format!("`{}`", cut(part, LONGEST)))
        .collect();
    (!lost.is_empty() && !is.contains(COMPUTED)).then(|| few(&lost, 4))
}
