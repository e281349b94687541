//! Values in words, when two are the same, and how one is set again.

use super::super::facts::{ALONE, Facts, without_marks};
use worker_files::{ALSO, BY_NAME, COMPUTED, is_one_of};

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

/// What to do about a value that no file can hold.
pub const WORK_OUT: &str =
    "Code worked it out: take that along and set the variable by it, or record why not.";

/// Whether a text is the source of a value that code or a shell works out, which no Dockerfile can.
pub fn is_worked_out(text: &str) -> bool {
    // A line of a Dockerfile would put a variable's value of the build in the place of its name.
    let parts = [
        "$", "`", "\n", " | ", ALSO, COMPUTED, BY_NAME, "\" + ", "' + ", " + \"", " + '", " or \"",
        " or '",
    ];
    // A call, an element, a text with values in it.
    let mut pairs = text.chars().zip(text.chars().skip(1));
    let is_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    let is_called = pairs.any(|(c, next)| "([".contains(next) && is_of_a_name(c));
    let is_choice = text.contains(" if ") && text.contains(" else ");
    let is_filled = text.starts_with("f\"") || text.starts_with("f'");
    // `settings.DEFAULT`
    let is_constant = text.rsplit_once('.').is_some_and(|(owner, name)| {
        let is_name = |text: &str| !text.is_empty() && text.chars().all(is_of_a_name);
        is_name(name)
            && is_name(owner)
            && name.contains(char::is_alphabetic)
            && name == name.to_uppercase()
    });
    is_called
        || is_choice
        || is_filled
        || is_constant
        || parts.iter().any(|part| text.contains(part))
}

/// What ENV says to set a variable; nothing for what is worked out at the start.
pub fn env_assignment(name: &str, value: &str) -> Option<String> {
    if is_worked_out(value) {
        return None;
    }
    let is_plain = |c: char| !c.is_whitespace() && !"\"'\\".contains(c);
    if value.chars().all(is_plain) {
        return Some(format!("{name}={value}"));
    }
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    Some(format!("{name}=\"{value}\""))
}

/// The line of a Dockerfile that does that, in words.
pub fn env_line(name: &str, value: &str) -> Option<String> {
    let assignment = env_assignment(name, value)?;
    let place = match name {
        "MODEL_NAME" | "MODEL_PATH" => {
            " (below the step that downloads a model: set above it, the model is baked in)"
        }
        _ if is_one_of(BUILT_WITH, name) => " (below its own line for that)",
        _ => "",
    };
    Some(format!("`ENV {assignment}` in the Dockerfile{place}"))
}

/// The places that set a variable where no endpoint does: what the form gives new endpoints is
/// stronger than the image.
pub fn set_again(new: &Facts, name: &str, value: &str) -> Option<String> {
    let line = env_line(name, value)?;
    let form = new.attribute(&format!("hub:{name}.default"), "value");
    let is_other = form.is_some_and(|form| !form.is_empty() && !same_value(form, value));
    let too = " (and as its default in .runpod/hub.json, which is stronger)";
    Some(line + if is_other { too } else { "" })
}

pub fn show(value: Option<&str>) -> String {
    match value {
        None => "not known".to_owned(),
        Some("") => "no value".to_owned(),
        Some(value) => format!("`{}`", without_marks(value)),
    }
}

pub const TRIED: &str = "what is tried when it is unset";

pub const ALWAYS_SET: &str = "the worker always sets it now: endpoints that set it are ignored";

/// What the new Dockerfile sets from its build arguments, besides the model.
const BUILT_WITH: &str = "MODEL_REVISION TOKENIZER_NAME TOKENIZER_REVISION BASE_PATH QUANTIZATION";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_dockerfile_sets_what_it_says() {
        let line = |value| env_line("A", value);
        let told = |line: &str| Some(format!("`ENV A={line}` in the Dockerfile"));
        assert_eq!(line("fp8_e5m2"), told("fp8_e5m2"));
        assert_eq!(
            line("--chunked-prefill-size 4096"),
            told(r#""--chunked-prefill-size 4096""#)
        );
        assert_eq!(line(r#"{"a": 1}"#), told(r#""{\"a\": 1}""#));
        assert_eq!(line("$(nvidia-smi -L | wc -l)"), None);
    }
}
