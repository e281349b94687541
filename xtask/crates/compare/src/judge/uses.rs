//! What the program makes of a variable's value: the words that it knows, and its limits.

use super::super::facts::Fact;
use super::difference;
use super::values::show;
use std::collections::BTreeSet;
use worker_files::{ALSO, is_one_of};

/// The words that switch a variable on; `None` where its use is of another kind.
fn words_of(fact: &Fact) -> Option<BTreeSet<String>> {
    let words = |text: &str, by: char| -> BTreeSet<String> {
        let words = text.trim_end_matches(" any case").split(by);
        let words = words.map(|word| word.trim().to_lowercase());
        words.filter(|word| !word.is_empty()).collect()
    };
    let Some(text) = fact.get("interpreted") else {
        return fact.get("on").map(|on| words(on, ' '));
    };
    // Each of several comparisons may hold it against other words.
    let text = text.replace(ALSO, " | ").replace(", == ", " | == ");
    let text = text.replace(", in [", " | in [");
    let each = text.split(" | ").map(|one| {
        if let Some(word) = one.strip_prefix("== ") {
            return Some(words(word, '|'));
        }
        let lists = one.strip_prefix("in [")?.split('[');
        let lists = lists.filter_map(|list| list.split(']').next());
        Some(lists.flat_map(|list| words(list, ',')).collect())
    });
    let each: Option<Vec<BTreeSet<String>>> = each.collect();
    Some(each?.into_iter().flatten().collect())
}

/// The words of a value that leave its flag out: `not in [none,off]`, `!= auto`.
fn words_that_omit(text: &str) -> Vec<&str> {
    let text = text.trim_end_matches(" any case");
    let list = text
        .strip_prefix("not in [")
        .and_then(|list| list.strip_suffix(']'));
    let words = list.or_else(|| text.strip_prefix("!= "));
    let words = words.into_iter().flat_map(|words| words.split(','));
    words
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .collect()
}

/// A word that stands for something else in the table that it is looked up in.
pub fn word_changed(old: &Fact, new: &Fact) -> Option<String> {
    let mut was = old.parts("gives", " | ");
    was.find_map(|before| {
        let (word, meant) = before.split_once(": ")?;
        let mut is = new.parts("gives", " | ");
        let is_known = is.clone().any(|one| one == before);
        let is_word = |(own, _): &(&str, &str)| *own == word;
        let now = is.find_map(|one| one.split_once(": ").filter(is_word));
        let (_, means) = now.filter(|_| !is_known)?;
        let what = format!("what `{word}` stands for");
        Some(difference(&what, Some(meant), Some(means)))
    })
}

/// How the use of a variable's value changed: words that no longer switch it on, another type.
pub fn use_changed(old: &Fact, new: &Fact) -> Option<String> {
    let (was, is) = (old.get("interpreted"), new.get("interpreted"));
    if let (Some(before), Some(after)) = (words_of(old), words_of(new)) {
        // Where words for both are known, those for off switch nothing on.
        let is_off = |word: &str| is_one_of("0 false no off", word);
        let tells_both = before.iter().any(|word| is_one_of("1 true yes on", word));
        let lost = before.difference(&after).map(String::as_str);
        let lost: Vec<&str> = lost.filter(|word| !(tells_both && is_off(word))).collect();
        let any_case = |text: Option<&str>| text.is_none_or(|text| text.contains("any case"));
        if !lost.is_empty() {
            let words = lost.join("` or `");
            return Some(format!("`{words}` no longer switches it on"));
        }
        if any_case(was) && !any_case(is) {
            return Some("it is switched on in lower case only now".to_owned());
        }
        // Words of several cases, each with its own effect.
        let grouped = |text: Option<&str>| text.is_some_and(|text| text.contains("] ["));
        let regrouped = grouped(was) && grouped(is) && was != is;
        return regrouped.then(|| difference("what its words do", was, is));
    }
    // What the program sets itself is what counts, whatever the endpoint says.
    let is_always_set = was.is_some_and(|was| was.contains("always "));
    // Text that is passed on may be put to any use; a table decides where it can't be followed.
    let free = |text: Option<&str>| text.is_none_or(|text| text == "truthy");
    // A number's text and the number come out as the same argument.
    let number = |text: Option<&str>| free(text) || matches!(text, Some("int" | "float"));
    // `split("/")` gives another text, which nothing decides on later.
    let is_made = was.is_some_and(|was| was.contains('(')) && !new.has("by");
    let one_flag = old.has("flag") && old.get("flag") == new.get("flag");
    let omitted = was.filter(|_| is.is_none() && old.get("how") == Some("value"));
    let omitted = omitted.map(words_that_omit).unwrap_or_default();
    if !omitted.is_empty() && (new.has("by") || new.has("flag")) {
        let words = omitted.join("` or `");
        return Some(format!("`{words}` left the flag out, and is passed on now"));
    }
    // `if "A" not in os.environ: …` gives a default like `setdefault`.
    let one_default = old.has("default") && old.get("default") == new.get("default");
    let asks = Some("not truthy");
    let for_default = (was, is) == (None, asks) || (was, is) == (asks, None);
    let is_same = one_flag && number(was) && number(is)
        || for_default && one_default
        || is.is_none() && !is_made && (new.has("by") || new.has("flag"))
        || free(was) && free(is);
    let set = is_always_set.then_some("as it is set");
    let (before, now) = (was.or(Some("text")), is.or(set).or(Some("text")));
    let differs = was != is && (is_always_set || !is_same);
    if let Some(bounds) = added_bounds(was, is).filter(|_| differs) {
        return Some(bounds);
    }
    let [before, now] = [before, now].map(show);
    differs.then(|| format!("its value was taken as {before}, and is taken as {now} now"))
}

/// What a number may be now, where nothing else was added to what is made of a value: `int` and
/// `int, min 50`, as `min(50, …)` is written.
fn added_bounds(was: Option<&str>, is: Option<&str>) -> Option<String> {
    let mut added = is?.strip_prefix(was?)?.split(", ");
    added.next().filter(|first| first.is_empty())?;
    let bound = |one: &str| match one.split_once(' ')? {
        ("min", most) => Some(format!("at most {most}")),
        ("max", least) => Some(format!("at least {least}")),
        _ => None,
    };
    let bounds: Option<Vec<String>> = added.map(bound).collect();
    Some(format!(
        "its value is taken as {} now",
        bounds?.join(" and ")
    ))
}
