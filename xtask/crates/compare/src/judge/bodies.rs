//! Bodies of requests: what was said of a part of one, and whether it still holds.

use super::super::facts::Fact;
use super::few;
use std::collections::BTreeSet;
use worker_files::python::{COMPUTED, FORM, FROM, HEADER, NO_BODY, said_of_part};
use xtask_core::output::cut;

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
    let mut fixed = rests(is, name).filter_map(|rest| rest.strip_prefix('='));
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
pub fn whole_body(line: &str) -> Option<String> {
    let path = line.strip_prefix("{input")?.strip_suffix('}')?;
    let path = path.strip_prefix('.').map(|path| format!("{path}."));
    Some(path.unwrap_or_default())
}

/// Whether anything is said of a part of a body, of what holds it, or of what it holds.
fn is_said(name: &str, is: &BTreeSet<&str>) -> bool {
    let mut owners = std::iter::successors(Some(name), |name| Some(name.rsplit_once('.')?.0));
    let is_end = |rest: &str| rest.is_empty() || rest.starts_with(['=', ' ', '{']);
    owners.any(|owner| rests(is, owner).any(is_end)) || holds_parts(is, name)
}

/// What the parts of a body that begin with a name say beyond it.
fn rests<'b>(body: &BTreeSet<&'b str>, name: &str) -> impl Iterator<Item = &'b str> {
    body.iter().filter_map(move |line| line.strip_prefix(name))
}

fn holds_parts(body: &BTreeSet<&str>, name: &str) -> bool {
    rests(body, name).any(|rest| rest.starts_with('.'))
}

/// What the requests of a route hold.
pub fn body(route: &Fact) -> impl Iterator<Item = &str> {
    route.get("body").unwrap_or_default().lines()
}

/// What the requests of a route held and hold no longer, where both are known.
pub fn lost_body(old: &Fact, new: &Fact, set: &[String]) -> Option<String> {
    let has = |fact: &Fact, part| body(fact).any(|line| line == part);
    for (part, does) in [(NO_BODY, "has no body"), (FORM, "sends a form, not JSON")] {
        if old.has("body") && !has(old, part) && has(new, part) {
            return Some(format!("A request of the new worker {does}."));
        }
    }
    new.get("body")?;
    let is_header = |line: &&str| line.starts_with(HEADER);
    let unknown = format!("{HEADER}{COMPUTED}");
    if !has(new, &unknown) {
        let mut headers = body(old).filter(is_header);
        if let Some(lost) = headers.find(|line| *line != unknown && !has(new, line)) {
            return Some(format!("Its requests no longer hold the {lost}."));
        }
    }
    let parts = |fact| body(fact).filter(|line| !is_header(line));
    let is = parts(new).chain(set.iter().map(String::as_str));
    let lost = lost_parts(&parts(old).collect(), &is.collect());
    lost.map(|lost| format!("Its requests no longer hold {lost}."))
}

/// What a list of `name` and `name=value` lacks now. A value may be worked out instead, and what
/// is all worked out may hold anything.
pub fn lost_parts(was: &BTreeSet<&str>, is: &BTreeSet<&str>) -> Option<String> {
    const LONGEST: usize = 100;
    // What jobs give may be sent as a whole instead.
    let has_whole = is.iter().any(|one| one.starts_with('{'));
    // Fixed parts of it are not what a job may give, unless it had fixed parts before.
    let has_name = |name: &str| {
        rests(is, name).any(|rest| rest.is_empty() || rest.starts_with('='))
            || holds_parts(was, name) && holds_parts(is, name)
    };
    let is_known = |part: &str| match part.split_once('=') {
        _ if said_of_part(part).is_some() => still_holds(part, is),
        // An empty part that is filled now.
        Some((name, "{}")) if holds_parts(is, name) => true,
        Some((name, _)) => is.contains(part) || is.contains(name),
        None => has_whole || has_name(part) || part == COMPUTED,
    };
    let is_lost = |part: &&&str| !is_known(part) && !part.starts_with('{') && **part != FORM;
    let lost = was.iter().filter(is_lost);
    let lost: Vec<String> = lost.map(|it| format!("`{}`", cut(it, LONGEST))).collect();
    (!lost.is_empty() && !is.contains(COMPUTED)).then(|| few(&lost, 4))
}
