//! Routes, job input and the Python API.

use super::bodies::{body, lost_body, lost_parts, whole_body};
use std::collections::{BTreeMap, BTreeSet};

use super::super::facts::{Fact, Facts, LEFT_OUT, WHEN};
use super::values::{same_value, set_again, show};
use super::{Item, Judge, Side, Verdict, api, difference, judged_keys};
use worker_files::python::{ADDED, COMPUTED, REMOVED};

/// The variable that says by its name how many jobs a worker takes at a time.
const AT_A_TIME: &str = "MAX_CONCURRENCY";

impl Judge<'_> {
    /// Routes, job input and the settings of `runpod.serverless.start`.
    pub fn requests(&mut self) {
        self.judge_area("route", |judge, route, id, old, new| match new {
            Some(new) => Some(judge.route_kept(id, old, new)),
            None if api::serves(route) && judge.still_reachable(route, old) => {
                let why = "The worker doesn't ask for it by itself any more; jobs can.";
                Some(Item::new(id, Verdict::Kept, old, None).why(why))
            }
            None => None,
        });
        self.left_out();
        self.judge_area("input", |judge, path, id, old, new| match new {
            Some(new) => Some(judge.input_kept(path, id, old, new)),
            None if judge.is_refused(path) => Some(Item::missing(id, old).why(REFUSED)),
            None if old.has("set") => Some(Item::missing(id, old)
                .why("The old handler puts it into the job's input or takes it out; the new one does not.")),
            None if judge.hands_on(path) => Some(judge.handed_on(id, old)),
            None => judge.sent_unseen(path, id, old),
        });
        self.sdk_defaults();
        self.offers();
    }

    /// Keys that went on with all of the job's input, and that the new handler takes out or sets.
    fn left_out(&mut self) {
        let sent = sent(self.old);
        for (path, new) in self.new.area("input") {
            let id = format!("input:{path}");
            let set = new.get("set").filter(|set| !set.contains(ADDED));
            let is_known = new.has("used") || self.old.has(&id);
            if let Some(set) = set.filter(|_| !is_known && sent.contains(&whole_of(path).0)) {
                let does = match set {
                    REMOVED => "takes it out".to_owned(),
                    set => format!("sets it to {}", show(Some(set))),
                };
                let why =
                    format!("Jobs could give it, and it was sent on; the new handler {does}.");
                self.push(Item::new(&id, Verdict::Changed, None, new).why(why));
            }
        }
    }

    /// Whether the new worker's schema lists keys beside this one, and refuses all others.
    fn is_refused(&self, path: &str) -> bool {
        let mut listed = self.new.area("input").filter(|(_, it)| it.has("listed"));
        listed.any(|(own, _)| whole_of(own).1 == whole_of(path).1)
    }

    fn route_kept(&self, id: &str, old: &Fact, new: &Fact) -> Item {
        let has = |wanted| methods(new).any(|method| method == wanted || method == "*");
        let keys: &[&str] = if methods(old).all(has) {
            &[]
        } else {
            &["method"]
        };
        let mut item = Self::kept_or_changed(id, old, new, Some(keys));
        if !old.is_reached() {
            return item;
        }
        let mut wholes = body(old).filter(|part| part.starts_with('{'));
        let lost = wholes.find(|part| !self.sent.contains(*part));
        item.change(lost.map(|lost| {
            let lost = lost.trim_matches(['{', '}']);
            format!("All that jobs gave in `{lost}` was sent; now it is not.")
        }));
        let differ = |key: &str, is_same: fn(&str, &str) -> bool| {
            let (was, is) = (old.get(key)?, new.get(key));
            let differ = !is_same(was, is.unwrap_or_default());
            differ.then(|| format!("{}.", difference(key, Some(was), is)))
        };
        if let Some((why, help)) = self.request_limit(old, new) {
            let is_alone = !item.open;
            item.change(why);
            item.help = help.filter(|_| is_alone).unwrap_or(item.help);
        }
        item.change(differ("server", |was, is| is.is_empty() || was == is));
        let again = old.get("tries").filter(|was| new.get("tries") != Some(was));
        item.change(again.map(|was| match new.get("tries") {
            Some(is) => {
                format!("Where it failed it was tried again (`{was}`), and is now by `{is}`.")
            }
            None => format!("Where it failed it was tried again (`{was}`); now it is not."),
        }));
        // A job that names the route has its body sent as it is.
        let named = self.new.get("route:{openai_route}").into_iter();
        let whole = named
            .flat_map(body)
            .filter(|part| *part == "{input.openai_input}");
        let set = self.set_in(new).into_iter();
        let set: Vec<String> = set.chain(whole.map(str::to_owned)).collect();
        item.change(lost_body(old, new, &set));
        item
    }

    /// What the new handler puts into the parts of the job's input that a request sends as a whole.
    fn set_in(&self, route: &Fact) -> Vec<String> {
        let within = |whole: String| {
            let set = self.new.area("input").filter(|(_, fact)| fact.has("set"));
            set.filter_map(move |(path, _)| Some(path.strip_prefix(&*whole)?.to_owned()))
        };
        let wholes = body(route).filter_map(whole_body);
        wholes.flat_map(within).collect()
    }

    fn input_kept(&self, path: &str, id: &str, old: &Fact, new: &Fact) -> Item {
        let is_new = |key: &str| !old.has(key) && new.has(key);
        if is_new("needed") {
            let changed = Item::new(id, Verdict::Changed, old, new);
            return changed.why("Jobs without it worked and fail now.");
        }
        let mut is = new.parts("limits", ", ");
        let is_limited = is.any(|one| old.parts("limits", ", ").all(|own| own != one));
        let limits = match (old.get("limits"), new.get("limits")) {
            (Some(was), Some(is)) if is_limited => {
                Some(format!("Its value had to be `{was}`, has to be `{is}`."))
            }
            (None, Some(is)) if is.contains(' ') => {
                Some(format!("Any value was taken; now it has to be `{is}`."))
            }
            _ if !lost_checks(old, new).is_empty() => Some(format!(
                "It was {}; the new worker takes it as it is.",
                lost_checks(old, new)
            )),
            _ if is_new("refused") => Some(REFUSED.to_owned()),
            _ if old.has("text") && !new.has("text") => {
                Some("Jobs could give it as text of JSON; now they can't.".to_owned())
            }
            _ => None,
        };
        let is_idle = !new.has("used") && !new.has("set");
        let is_lost = old.has("used") && is_idle && !self.sent.contains(&whole_of(path).0);
        let words = lost_words(old, new);
        let other = |fact: &Fact| Some(fact.get("default")?.strip_prefix("input.")?.to_owned());
        // Two keys may be tried in a loop as well, which names no default.
        let keys = match (other(old), other(new)) {
            (Some(key), None) if !new.has("default") && self.new.has(&format!("input:{key}")) => {
                Some(&["set"][..])
            }
            (None, Some(_)) if !old.has("default") => Some(&["set"][..]),
            _ => judged_keys("input"),
        };
        let mut item = Self::kept_or_changed(id, old, new, keys);
        let before = other(old).filter(|key| {
            let now = self.new.get(&format!("input:{key}")).and_then(other);
            other(new).as_ref() != Some(key) && now.as_deref() == Some(path)
        });
        // A key of which nothing is made any more, or is made where none was before.
        let [was, is] = [old, new].map(|fact| fact.get("made").or(Some("nothing")));
        let differs = was != is && old.has("used") && new.has("used");
        let differ = difference("what is made of its value", was, is);
        item.change(differs.then(|| format!("{differ}.")));
        item.change(before.map(|key| format!("It was taken before `{key}`, and now after it.")));
        item.change(limits);
        item.change(is_lost.then(|| "The new handler takes it, and does nothing with it.".into()));
        item.change(words.map(|lost| format!("The new handler no longer knows {lost}.")));
        item
    }

    /// What the SDK does by itself: it takes one job at a time, and gives back what the handler
    /// returns.
    fn sdk_defaults(&mut self) {
        let many = "The old worker took one job at a time; the new one takes more.";
        let yields =
            "The old handler returned one result; the new one yields: what jobs get is a list.";
        let added = [("concurrency_modifier", many), ("handler.yields", yields)];
        for (name, why) in added {
            let id = &format!("serverless:{name}");
            let is_new = self.old.has("serverless:handler") && !self.old.has(id);
            if let Some(new) = self.new.get(id).filter(|_| is_new) {
                let is_count = name == "concurrency_modifier";
                let by_variable = is_count.then(|| self.jobs_at_a_time(id, "1", None, new));
                let item = Item::new(id, Verdict::Changed, None, new).why(why);
                self.push(by_variable.flatten().unwrap_or(item));
            }
        }
    }

    /// How many jobs the new worker takes at a time, where a number did and a variable decides that
    /// now: one that the function is seen to read, or that is named for it. `None` where that is not
    /// so.
    fn jobs_at_a_time(&self, id: &str, was: &str, old: Side, new: &Fact) -> Option<Item> {
        let name = new.get("variable").unwrap_or(AT_A_TIME);
        let fact = self.new.variable(name)?;
        // A function with numbers of its own makes more of the variable.
        if new.has("value") || new.has("numbers") || was.parse::<u32>().is_err() {
            return None;
        }
        let form = self.new.attribute(&format!("hub:{name}.default"), "value");
        let set = self.new.in_image(name).or(fact.get("default"));
        let mut all = form.into_iter().chain(set);
        let is_same = all.clone().next().is_some() && all.all(|is| same_value(was, is));
        if is_same {
            let kept = Item::new(id, Verdict::Kept, old, new);
            return Some(kept.why(format!("{name} says so now.")));
        }
        let before = match old {
            Some(_) => format!("It was always `{was}`"),
            None => "The old worker took one job at a time".to_owned(),
        };
        let now = match form.filter(|form| set.is_none_or(|set| !same_value(form, set))) {
            Some(form) => format!("{} by default and `{form}` by the form", show(set)),
            None => format!("{} by default", show(set)),
        };
        let why = format!("{before}; now {name} decides, {now}.");
        let line = set_again(self.new, name, was)?;
        let item = Item::new(id, Verdict::Changed, old, new).why(why);
        Some(item.help(format!("{line} sets it as before; or record why not.")))
    }

    /// What results hold, which routes the worker serves itself, and which models it loads.
    fn offers(&mut self) {
        self.judge_area("serverless", |judge, name, id, old, new| {
            let Some(new) = new else {
                let why = "The new worker doesn't call this function of RunPod's SDK.";
                let is_call = name.ends_with("()");
                return is_call.then(|| Item::missing(id, old).why(why));
            };
            let was = old.get("value").filter(|_| name == "concurrency_modifier");
            let by = was.and_then(|was| judge.jobs_at_a_time(id, was, Some(old), new));
            // What only the new function has takes nothing away.
            let keys: &[&str] = &["value", "numbers"];
            let keys = old.has("numbers").then_some(keys);
            let when = new.get(WHEN).filter(|when| old.get(WHEN) != Some(when));
            let kept = Self::kept_or_changed(id, old, new, keys.or(judged_keys("serverless")));
            let mut item = by.unwrap_or(kept);
            item.change(when.map(|when| format!("It is given only where `{when}` holds now.")));
            Some(item)
        });
        self.judge_area("result", |judge, name, id, old, new| {
            if name == STATUS && new.is_none() {
                let why = "The new worker gives the server's answer back without a look at whether it is an error.";
                let mut results = judge.new.area("result");
                let gives = results.any(|(name, _)| name.contains(ANSWER));
                let kept = Item::new(id, Verdict::Kept, old, None);
                let unsure = "Whether the new worker looks for errors of the server was not followed.";
                return Some(if gives { Item::missing(id, old).why(why) } else { kept.unsure(unsure) });
            }
            if let Some(new) = new {
                let lost = lost_constants(old, new);
                let mut item = Item::new(id, Verdict::Kept, old, new);
                item.change(lost.map(|lost| format!("It could be {lost}, and never is now.")));
                return Some(item);
            }
            if let Some(by) = name.strip_prefix("changed by ") {
                let why = format!("The old handler changed the server's answer by `{by}`; no code of the new worker does.");
                return Some(Item::missing(id, old).why(why));
            }
            let what = [ANSWER, LIST].iter().find(|what| name.contains(**what))?;
            let (at, _) = name.split_once(what)?;
            // Code that is not followed may give it back.
            let mut loose = judge.new.loose_results.iter();
            let item = Item::new(id, Verdict::Kept, old, None);
            if loose.any(|loose| at.starts_with(&**loose)) {
                let of = if *what == LIST { "a list" } else { "the server's answer" };
                let why = "was not followed; --execute compares results.";
                return Some(item.unsure(format!("Whether {of} is still given back {why}")));
            }
            let why = match *what {
                LIST => "The result was a list, and is none now.",
                _ => "The server's answer was given back here, and is not now.",
            };
            Some(Item::missing(id, old).why(why))
        });
        self.judge_area("serves", |_, _, _, _, _| None);
        self.judge_area("model", |_, name, id, old, new| {
            let Some(new) = new else {
                // One whose name is worked out goes by what loads it.
                let by = format!("The new worker loads no model by `{name}`.");
                return old.has(name).then(|| Item::missing(id, old).why(by));
            };
            // What else loads it now may be given the same.
            let all = new.value.values().flat_map(|given| given.lines()).collect();
            let loaded = old.value.iter().filter(|(by, _)| *by != "reached");
            let lost = loaded.filter_map(|(by, given)| {
                let now = new.get(by).map(|now| now.lines().collect());
                lost_parts(&given.lines().collect(), now.as_ref().unwrap_or(&all))
            });
            let lost: Vec<String> = lost.collect();
            let why = format!("It is loaded without {} now.", lost.join(", "));
            let mut item = Item::new(id, Verdict::Kept, old, new);
            item.change((!lost.is_empty()).then_some(why));
            Some(item)
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

    /// Whether jobs can still do all that the old worker asked for by itself: name the route of a
    /// request that is made with the same method. Where they could name any route before, too, its
    /// own posts were for jobs that name none.
    fn still_reachable(&self, route: &str, old: &Fact) -> bool {
        let is_open = |(route, _): &(&str, &Fact)| route.starts_with('{');
        let was_open = self.old.area("route").any(|one| is_open(&one));
        let open = self.new.area("route").filter(is_open);
        let open = open.filter(|(_, fact)| fact.is_reached());
        let open: BTreeSet<&str> = open.flat_map(|(_, fact)| methods(fact)).collect();
        let is_taken = |method: &str| open.contains(method) || open.contains("*");
        // Of a route that a job completes, the job says only a part.
        let mut braces = route.match_indices('{');
        let is_completed = braces.any(|(at, _)| at > 0 && !route[at..].starts_with("{}"));
        let is_own = was_open && methods(old).any(|method| method == "POST");
        !(is_completed || open.is_empty() || is_own) && methods(old).all(is_taken)
    }

    pub fn python(&mut self) {
        self.judge_area("python", |judge, name, id, old, new| {
            let Some(new) = new else {
                // A method goes with its class.
                let class = name.split_once('.').map(|(class, _)| class);
                let class = class.map(|class| format!("python:{class}"));
                let mut item = Item::missing(id, old).closed();
                item.part_of = class.filter(|class| !judge.new.has(class));
                return Some(item);
            };
            let mut item = Self::kept_or_changed(id, old, new, judged_keys("python")).closed();
            item.change(other_constants(old, new));
            Some(item)
        });
    }

    /// What the new worker sends on with all of the input, and `SGLang` may not know.
    fn sent_unseen(&self, path: &str, id: &str, old: &Fact) -> Option<Item> {
        let (whole, _, name) = whole_of(path);
        let item = self.sent.contains(&whole).then(|| Item::missing(id, old))?;
        let why = "The new handler doesn't look at it, and sends the whole input on with it.";
        let help = if api::is_native(name) {
            "SGLang's own /generate takes it: see whether its answer is what these jobs want, and record that, or make it as before."
        } else {
            "SGLang may know nothing of it: do in the new handler what was done with it, or record why not."
        };
        Some(item.why(why).help(help))
    }

    /// A parameter of the job's body that the new worker gives to `SGLang` as it is.
    fn handed_on(&self, id: &str, old: &Fact) -> Item {
        let name = id.rsplit(['.', ':']).next().unwrap_or_default();
        let changed = Item::new(id, Verdict::Changed, old, None);
        let default = old.get("default");
        let default = default.filter(|value| !api::is_default(name, value));
        if let Some(lost) = lost_bounds(old) {
            changed.why(lost)
        } else if let Some(default) = default {
            let why =
                format!("Jobs without it got `{default}`; the new worker leaves it to SGLang.");
            changed.why(why)
        } else if !self.old.is_older && old.value.is_empty() {
            // A key that is nothing but looked for decides what becomes of the job. Older records
            // don't say what is used.
            let why = "Jobs that have it were treated otherwise than those that don't; the new handler doesn't look.";
            Item::missing(id, old).why(why)
        } else {
            let why = "The new worker hands the whole body on to SGLang.";
            Item::new(id, Verdict::Kept, old, None).why(why)
        }
    }
}

const REFUSED: &str = "The new schema of the input refuses jobs that give it.";

/// Ends the name of a result that is the server's answer as it is.
const ANSWER: &str = "{answer}";
/// Stands for a result that is a list of others.
const LIST: &str = "{list}";
/// Stands for whether the server answered with an error.
const STATUS: &str = "{status}";

/// Parameters that a call leaves out on both sides, which are another number then.
fn other_constants(old: &Fact, new: &Fact) -> Option<String> {
    fn parts(fact: &Fact) -> BTreeMap<&str, &str> {
        let all = fact.parts(LEFT_OUT, ", ");
        all.filter_map(|one| one.split_once('=')).collect()
    }
    let (was, is) = (parts(old), parts(new));
    let mut differ = was.iter().filter_map(|(name, was)| {
        let is = is.get(name).filter(|is| !same_value(was, is))?;
        Some(difference(name, Some(was), Some(is)))
    });
    Some(format!("{}, where it is not given.", differ.next()?))
}

/// The constants that a key of a result had and no longer has, where all that it has is known.
fn lost_constants(old: &Fact, new: &Fact) -> Option<String> {
    let is: BTreeSet<&str> = new.get("value")?.lines().collect();
    let was = old.get("value")?.lines().filter(|word| *word != COMPUTED);
    let lost = was.filter(|word| !is.contains(word) && !is.contains(COMPUTED));
    let lost: Vec<String> = lost.map(|word| format!("`{word}`")).collect();
    (!lost.is_empty()).then(|| lost.join(" or "))
}

/// The functions that checked or changed a value and no longer do.
fn lost_checks(old: &Fact, new: &Fact) -> String {
    let is_lost = |one: &&str| new.parts("limits", ", ").all(|own| own != *one);
    let checks = old.parts("limits", ", ").filter(is_check);
    checks.filter(is_lost).collect::<Vec<_>>().join(", ")
}

fn is_check(limit: &&str) -> bool {
    limit.starts_with("checked by ")
}

/// In what the old handler kept a value that is handed on as it is now.
fn lost_bounds(old: &Fact) -> Option<String> {
    let limits = old.parts("limits", ", ");
    let bounds: Vec<&str> = limits
        .filter(|limit| limit.starts_with("at ") || is_check(limit))
        .collect();
    let lost = bounds.join(", ");
    let why = format!("The old handler took `{lost}`; the new one hands on what a job gives.");
    (!lost.is_empty()).then_some(why)
}

pub fn sent(facts: &Facts) -> BTreeSet<String> {
    let parts = facts.area("route").flat_map(|(_, fact)| body(fact));
    parts.map(str::to_owned).collect()
}

fn methods(fact: &Fact) -> impl Iterator<Item = &str> {
    fact.get("method").unwrap_or_default().split_whitespace()
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
    let lost = old.parts("words", " | ").filter(|word| !is.contains(word));
    let lost: Vec<String> = lost.map(|word| format!("`{word}`")).collect();
    (!lost.is_empty()).then(|| lost.join(" or "))
}
