//! Variables of the new worker that say how long something may take, as the old worker's code did.

use super::super::facts::{Fact, Facts};
use super::Judge;
use super::values::{same_value, set_again, show};
use worker_files::is_one_of;
use worker_files::python::COMPUTED;

/// Words of a variable's name that say what it limits the time of.
pub const START: &str = "START STARTUP READY READINESS BOOT LAUNCH";
const REQUEST: &str = "REQUEST REQUESTS JOB";

/// Whether a variable says by its name how long something may take.
fn limits(name: &str, what: &str) -> bool {
    let mut words = name.split('_');
    let mut limits = words.clone();
    limits.any(|word| is_one_of("TIMEOUT WAIT DEADLINE", word))
        && !name.ends_with("_MS")
        && words.any(|word| is_one_of(what, word))
}

/// The only variable of a worker that limits the time of something.
pub fn limiter<'f>(facts: &'f Facts, what: &str) -> Option<&'f str> {
    let all = facts.area("env");
    let all =
        all.filter(|(name, fact)| fact.is_reached() && !fact.has("flag") && limits(name, what));
    let mut names = all.map(|(name, _)| name);
    names.next().filter(|_| names.next().is_none())
}

/// What a variable is where no endpoint sets it.
fn unset<'f>(facts: &'f Facts, name: &str) -> Option<&'f str> {
    let default = || facts.variable(name)?.get("default");
    facts.in_image(name).or_else(default)
}

/// Whether a worker's start may take that many seconds, where nobody sets a variable or the form
/// does.
pub fn may_start_in(facts: &Facts, seconds: f64) -> bool {
    let Some(name) = limiter(facts, START) else {
        return false;
    };
    let form = facts.attribute(&format!("hub:{name}.default"), "value");
    let mut all = [unset(facts, name), form].into_iter().flatten();
    all.any(|text| text.parse::<f64>().is_ok_and(|is| is >= seconds))
}

/// What to do about a limit of the start that the old worker's code set.
pub fn start_again(facts: &Facts, seconds: &str) -> Option<String> {
    let name = limiter(facts, START)?;
    let line = set_again(facts, name, seconds)?;
    Some(format!("{name} limits the new worker's start: {line}."))
}

impl Judge<'_> {
    /// The only variable of the new worker that limits the time of its start, as this one did.
    pub fn start_limit(&self, name: &str, old: &Fact) -> Option<String> {
        let other = limiter(self.new, START).filter(|_| limits(name, START))?;
        let line = match old.get("default") {
            // What is shorter is no limit, but a pause.
            Some(text) if text.parse::<f64>().is_ok_and(|seconds| seconds < 30.0) => return None,
            default => default.and_then(|default| set_again(self.new, other, default)),
        };
        let line = line.map_or_else(String::new, |line| format!(": {line}"));
        Some(format!(
            "{other} limits the new worker's start{line}. Or record why not."
        ))
    }

    /// How long a job's request may take: what differs, and what to do about it.
    pub fn request_limit(&self, old: &Fact, new: &Fact) -> Option<(String, Option<String>)> {
        let (was, is) = (old.get("timeout")?, new.get("timeout"));
        let is_unknown = was == COMPUTED || is == Some(COMPUTED);
        if is_unknown || same_value(was, is.unwrap_or_default()) {
            return None;
        }
        // Of the time to connect and to read the second one counts.
        let seconds = was.trim_matches(['[', ']']).rsplit(", ").next()?;
        let before = match seconds.strip_prefix('$') {
            Some(name) => format!("{name} limited a job's request"),
            None => format!("A job's request could take `{seconds}` seconds"),
        };
        if let Some(is) = is {
            let now = match is.strip_prefix('$') {
                Some(name) => format!("{name} limits it now"),
                None => format!("now it can take `{is}`"),
            };
            return Some((format!("{before}; {now}."), None));
        }
        let Some(name) = limiter(self.new, REQUEST) else {
            let why = format!("{before}; no limit was found in the new worker.");
            return Some((why, None));
        };
        let now = unset(self.new, name);
        if now.is_some_and(|now| same_value(seconds, now)) {
            return None;
        }
        let why = format!("{before}; {name} limits it now, which is {}.", show(now));
        let help = match seconds.parse::<f64>() {
            Ok(_) => format!("{} sets it as before;", set_again(self.new, name, seconds)?),
            Err(_) => format!("Set {name} to what your longest jobs need,"),
        };
        Some((why, Some(format!("{help} or record why not."))))
    }
}
