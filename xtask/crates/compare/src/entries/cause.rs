//! What made a fact open, so that facts with one cause are one entry.

use std::collections::HashMap;

use super::super::facts::value;
use super::super::judge::{Item, Verdict, own_build};
use worker_files::is_one_of;

/// What a fact is open because of, as a name that its siblings share.
pub fn cause(item: &Item, all: &HashMap<&str, &Item>) -> String {
    let is_open = |id: &str| all.get(id).is_some_and(|item| item.open);
    let (area, name) = item.id.split_once(':').unwrap_or((&item.id, ""));
    let first = |separator: char| name.split(separator).next().unwrap_or(name);
    // What another base image brings comes and goes with it; a build of the fork's own does not.
    let is_changed = item.verdict == Verdict::Changed && item.new.is_none();
    let is_brought = match area {
        "pip" => is_changed && item.old.as_ref().and_then(own_build).is_none(),
        "apt" => is_python(name),
        _ => false,
    };
    let base = "image:FROM image:cuda image:sglang hub:cuda tests:cuda";
    if is_brought && is_open("image:FROM") || is_one_of(base, &item.id) {
        return "image:FROM".to_owned();
    }
    if let Some(whole) = whole(item, all) {
        return cause(whole, all);
    }
    let sides = [&item.old, &item.new].map(Option::as_ref);
    match area {
        // A form that got limits, whatever they are of.
        "hub" if is_limited(item) => "hub: limits".to_owned(),
        // One word that switches nothing on any more, or one word less for all of them.
        "env" if differs_by(item, &|key| matches!(key, "interpreted" | "on")) => {
            format!("env: {:?}", sides.map(|fact| fact?.get("interpreted")))
        }
        // One option of pip's says where all packages come from.
        "pip" | "constraint" if differs_by(item, &|key| key == "index") => {
            format!("pip: {:?}", sides.map(|fact| fact?.get("index")))
        }
        "hub" | "tests" | "readme" | "image" | "arg" => of_variable(item, all),
        // A variable that gives it, or gave it, says why.
        "flag" => {
            let names = sides.into_iter().flatten();
            let mut names = names.flat_map(|fact| fact.parts("from", " "));
            let owner = names.find_map(|name| Some(format!("env:{name}")).filter(|id| is_open(id)));
            owner.unwrap_or_else(|| item.id.clone())
        }
        // Jobs that lead to other requests in one way.
        "run" if name.starts_with("job.") => {
            let sides = sides.map(|fact| fact.map(value));
            format!("run:{sides:?}{:?}", item.why.split('`').next())
        }
        "bake" if item.verdict == Verdict::Missing => "bake:".to_owned(),
        "compose" => format!("compose:{}", first('.')),
        // What one instruction copied, or one function returned.
        "copy" | "result" => match sides[0].and_then(|fact| fact.places.first()) {
            Some(place) => format!("{area}:{}:{}", place.file, place.line),
            None => item.id.clone(),
        },
        "code" => format!("code:{}", first(':')),
        "unread" => {
            let file = name.rsplit_once(':').map_or(name, |(file, _)| file);
            format!("unread:{file}")
        }
        _ => item.id.clone(),
    }
}

/// The same of what the form, the tests, the README and the image say of a variable.
fn of_variable(item: &Item, all: &HashMap<&str, &Item>) -> String {
    let is_open = |id: &str| all.get(id).is_some_and(|item| item.open);
    let (_, name) = item.id.split_once(':').unwrap_or((&item.id, ""));
    let variable = name.split('.').next().unwrap_or(name);
    let owners = ["env", "hub"].map(|area| format!("{area}:{variable}"));
    // What the variable itself is a part of is the cause of both.
    let read = all.get(&*owners[0]);
    let whole = read.and_then(|owner| owner.part_of.clone());
    let owner = whole.into_iter().chain(owners).find(|owner| is_open(owner));
    let facts = read.into_iter().flat_map(|read| [&read.new, &read.old]);
    let mut flags = facts.flatten().filter_map(|fact| fact.get("flag"));
    let by_name = || format!("--{}", variable.to_lowercase().replace('_', "-"));
    let flag = flags.next().map_or_else(by_name, str::to_owned);
    let flag = all.get(&*format!("flag:{flag}")).filter(|flag| flag.open);
    // The form's value of a variable, the image's and that of the tests are decided on
    // together.
    let is_variable = !variable.contains(|c: char| c.is_ascii_lowercase());
    let is_images = [
        "FROM",
        "CMD",
        "ENTRYPOINT",
        "WORKDIR",
        "USER",
        "HEALTHCHECK",
    ];
    let is_variable = is_variable && !is_images.contains(&variable);
    let alone = || is_variable.then(|| format!("value of {variable}"));
    let owner = owner.or_else(|| takes_its_place(variable, all));
    let owner = owner.or_else(|| Some(cause(flag.filter(|_| is_variable)?, all)));
    owner.or_else(alone).unwrap_or_else(|| item.id.clone())
}

/// What is open of a variable that took the name of this one, or of a flag with a fixed value that it
/// gives now.
fn takes_its_place(variable: &str, all: &HashMap<&str, &Item>) -> Option<String> {
    let is_other = |item: &&&Item| {
        let from = item.new.as_ref().filter(|_| item.area() == "flag");
        let mut from = from.into_iter().flat_map(|fact| fact.parts("from", " "));
        let now = item.now.as_ref().and_then(|now| now.strip_prefix("env:"));
        item.open && (now == Some(variable) || from.any(|name| name == variable))
    };
    let others = all.values().filter(is_other).map(|item| &item.id);
    others.min().cloned()
}

/// The key of a result or of a job's input that holds this one, where both are gone.
fn whole<'a>(item: &Item, all: &HashMap<&str, &'a Item>) -> Option<&'a Item> {
    let (path, _) = item.id.rsplit_once('.')?;
    let whole = all.get(path).copied()?;
    let is_key = ["result", "input"].contains(&item.area());
    (is_key
        && whole.open
        && [item, whole]
            .iter()
            .all(|it| it.verdict == Verdict::Missing))
    .then_some(whole)
}

/// Whether a variable in the form has a new limit, and is otherwise as before.
fn is_limited(item: &Item) -> bool {
    let had = |key: &str| item.old.as_ref().is_some_and(|old| old.get(key).is_some());
    differs_by(item, &|key| matches!(key, "min" | "max") && !had(key))
}

/// Whether a fact differs by these parts of its value alone.
fn differs_by(item: &Item, is: &dyn Fn(&str) -> bool) -> bool {
    let (Some(old), Some(new)) = (&item.old, &item.new) else {
        return false;
    };
    let mut differing = old.differing(new).peekable();
    item.verdict == Verdict::Changed && differing.peek().is_some() && differing.all(is)
}

/// Whether a package of the distribution is its Python, which another base image replaces.
fn is_python(package: &str) -> bool {
    let rest = package.strip_prefix("python3");
    rest.is_some_and(|rest| {
        let rest = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
        ["", "-dev", "-distutils", "-minimal", "-venv", "-pip"].contains(&rest)
    })
}
