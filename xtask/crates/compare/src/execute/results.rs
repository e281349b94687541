//! Whether two runs gave the same results.

use super::super::judge::few;
use super::PlayedJob;
use serde_json::Value;
use xtask_core::output::cut;

/// What the driver's stand-ins say, where they say anything.
pub const STAND_IN: &str = "stand-in";

/// What the server seems to answer.
const ANSWER: &str = r#"{"stand-in":true}"#;

/// Values in words: `nothing`, one, or several with how many there are.
pub fn describe(values: &[Value]) -> String {
    const LONGEST: usize = 120;
    let one = |value: &Value| match value {
        Value::String(text) => format!("the text `{}`", cut(text, LONGEST)),
        Value::Null => "no value".to_owned(),
        made if made.get(STAND_IN).is_some() => "the server's answer".to_owned(),
        other => {
            let text = other.to_string().replace(ANSWER, "…");
            format!("`{}`", cut(&text, LONGEST))
        }
    };
    let all: Vec<String> = values.iter().map(one).collect();
    match all.len() {
        0 => "nothing".to_owned(),
        1 => all.concat(),
        several => format!("{several} pieces: {}", few(&all, 3)),
    }
}

/// Whether two handlers gave back the same, as far as that didn't come from stand-ins.
pub fn same_results(was: &PlayedJob, is: &PlayedJob) -> bool {
    let made = |job: &PlayedJob| job.results.iter().any(is_made);
    let gives = |job: &PlayedJob| job.results.iter().any(|result| !result.is_null());
    match &was.error {
        Some(_) => made(is) || was.results == is.results,
        None => gives(was) == gives(is) && same_lists(&was.results, &is.results),
    }
}

fn same_lists(was: &[Value], is: &[Value]) -> bool {
    let mut both = was.iter().zip(is);
    if was.len() == is.len() {
        return both.all(|(was, is)| same_result(was, is));
    }
    was.iter().any(is_made) && is.iter().any(is_made)
}

/// Whether two results are one, but for what stand-ins say, which has no form of its own. As a number
/// it says nothing.
fn same_result(was: &Value, is: &Value) -> bool {
    let is_whole = |value: &Value| value.get(STAND_IN).is_none();
    match (was, is) {
        (Value::Object(before), Value::Object(after)) if is_whole(was) && is_whole(is) => {
            let mut both = before.iter().map(|(key, was)| Some((was, after.get(key)?)));
            let same = |both: Option<_>| both.is_some_and(|(was, is)| same_result(was, is));
            before.len() == after.len() && both.all(same)
        }
        (Value::Array(was), Value::Array(is)) => same_lists(was, is),
        _ => {
            let may_be = |value: &Value| is_made(value) || value.is_number() || value.is_boolean();
            was == is || may_be(was) && is_made(is) || is_made(was) && may_be(is)
        }
    }
}

/// Whether something in a result comes from a stand-in.
pub fn is_made(value: &Value) -> bool {
    let text = value.to_string();
    text.contains('…') || text.contains(STAND_IN)
}
