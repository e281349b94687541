//! What two statements, as texts, differ by.

use std::collections::BTreeSet;

use worker_files::is_one_of;
use worker_files::python::tokens;

/// Whether a statement only tells people something.
pub fn is_log(text: &str) -> bool {
    const LOGS: &str = "print log logger logging echo printf pprint sleep";
    const LEVELS: &str = "debug info warning warn error exception critical log";
    let words = tokens(text);
    let call = words.iter().position(|word| *word == "(");
    let method = call.and_then(|at| words.get(at.checked_sub(1)?));
    let is_log = words
        .first()
        .is_some_and(|word| is_one_of(LOGS, &word.to_lowercase()));
    let is_written = text.contains('>') && !text.contains(">&2");
    is_log && !is_written
        || method.is_some_and(|word| is_one_of(LEVELS, word)) && call < Some(5)
        || text.starts_with("set -x")
        || text.starts_with("if __name__")
}

/// The words of the old statement that the new one lacks, where it has no others.
pub fn missing_words<'o>(old: &'o str, new: &str) -> Option<Vec<&'o str>> {
    let new = tokens(new);
    let mut left = new.iter().peekable();
    let mut missing = tokens(old);
    missing.retain(|word| left.next_if_eq(&word).is_none());
    left.peek().is_none().then_some(missing)
}

/// Whether a statement has only some of the words of the old one, and lost something by that. A
/// word that stands elsewhere in the new worker moved there.
pub fn is_shorter(old: &str, new: &str, is_elsewhere: impl Fn(&str) -> bool) -> bool {
    const NOTHING: &str = "( ) [ ] { } . , ; : shell None \"utf-8\" \"r\" encoding = await async";
    let Some(gone) = missing_words(old, new).filter(|_| !old.starts_with("def ")) else {
        return false;
    };
    // `stdout=None`
    let is_none = |at: usize| gone.get(at + 1..at + 3) == Some(&["=", "None"]);
    let has_meaning = |at: &usize| !is_one_of(NOTHING, gone[*at]) && !is_none(*at);
    let first = (0..gone.len()).find(has_meaning);
    // `self.x` as `x`, and a variable's type.
    let [old, after] = [old, new].map(tokens);
    let is_owner = |word: &str| old.windows(2).any(|pair| pair == [word, "."]);
    let is_prefix = gone.iter().all(|word| *word == "." || is_owner(word));
    let is_type = old.get(1) == Some(&":") && after.get(1) == Some(&"=");
    let is_kept = is_prefix || is_type || are_names_of_arguments(&gone);
    first.is_some_and(|at| !is_elsewhere(gone[at])) && !is_kept
}

/// Whether a statement that facts are about lacks something that no fact is about: a method of a
/// text, an argument or an item, or the arguments of the script.
pub fn misses_part(old: &str, new: &str, is_elsewhere: impl Fn(&str) -> bool) -> bool {
    const READERS: &str = "get json encode decode items keys values copy format";
    const JUDGED: &str = "headers shell env le ge lt gt min max None";
    // Errors are told in one way or another.
    let is_lost =
        |word: &str| !is_elsewhere(word) && !is_one_of(JUDGED, word) && !old.contains("\"error\"");
    let gone = missing_words(old, new).filter(|gone| !are_names_of_arguments(gone));
    match gone.as_deref() {
        Some([".", method, "(", ..] | [method, "(", .., "."]) => {
            !asks(old) && !is_one_of(READERS, method)
        }
        Some(["or" | "and", _, _, ..]) => !asks(old),
        Some(["not"] | [">" | "+", ..]) => true,
        Some(["[", key, "]"]) => key.contains('"') && is_lost(key),
        Some([name, "=" | ":", value, ..] | [",", name, "=" | ":", value, ..]) => {
            *value != "None" && is_lost(name)
        }
        Some([word, ","] | [",", word]) => !asks(old) && is_lost(word),
        Some(words) => words == ["\"$@\""] || words == ["$", "@"],
        None => false,
    }
}

/// Whether a statement has another constant or operator, or calls something else than its own
/// functions, and is as before otherwise.
pub fn is_other(old: &str, new: &str, is_own: impl Fn(&str) -> bool) -> bool {
    const OPERATORS: &str = "< > == != <= >= + - * / // % ** and or in not is += -=";
    // Functions list the defaults of their parameters.
    if old.starts_with("def ") || is_log(old) {
        return false;
    }
    let is_message = old.starts_with("raise ") || old.starts_with("assert ");
    let both = |start: &str| old.starts_with(start) && new.starts_with(start);
    if both("except") || ends(old) && !ends(new) || is_stricter(old, new) || is_fixed(old, new) {
        return true;
    }
    let is_constant = |word: &str| {
        let is_number = word.starts_with(|c: char| c.is_ascii_digit());
        let is_text = word.contains('"') && !is_message;
        is_number || is_text || is_one_of("True False None", word)
    };
    let [old, new] = [old, new].map(tokens);
    let sorted = |words: &[&str]| -> BTreeSet<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    };
    // A set has no order.
    if old.contains(&"{") && !old.contains(&":") && sorted(&old) == sorted(&new) {
        return false;
    }
    if (1..old.len()).any(|at| is_same_limit(old.get(at - 1..=at), new.get(at - 1..=at))) {
        return false;
    }
    differ_by(&old, &new, |at| {
        let words = [old[at], new[at]];
        let before = at.checked_sub(1).map_or("", |at| old[at]);
        let is_called = before == "." && old[at - 2] != "self" || old.get(at + 1) == Some(&"(");
        let is_outside = |word: &&str| is_name(word) && !is_one_of("if and or not in", word);
        words.iter().all(|word| is_constant(word))
            || words.iter().all(|word| is_one_of(OPERATORS, word))
            || is_called && words.iter().all(|word| is_outside(word) && !is_own(word))
    })
}

/// Whether a value is cut where it was whole, or a condition asks for `None` alone where it asked
/// for nothing of any kind; whether two arguments changed places, or what ran beside the event loop
/// blocks it now.
pub fn is_weaker(old: &str, new: &str) -> bool {
    const CUTS: &str = "round int min max abs";
    const METHODS: &str = "lower upper strip lstrip rstrip split replace";
    const BESIDE: &str = "to_thread run_in_executor wait_for shield";
    let is_cut = match missing_words(new, old).as_deref() {
        Some([".", method, "(", ..] | [method, "(", .., "."]) => is_one_of(METHODS, method),
        Some([name, "(", ..]) => is_one_of(CUTS, name),
        Some(["[", part @ .., "]"]) => part.contains(&":"),
        _ => false,
    };
    let asks_none = |text: &str| text.contains(" is None") || text.contains(" is not None");
    let [was, is] = [old, new].map(tokens);
    let names = |all: &[&str]| -> BTreeSet<String> {
        let names = all.iter().filter(|word| is_name(word));
        let names = names.filter(|word| !is_one_of("None True False not in is", word));
        names.map(|name| (*name).to_owned()).collect()
    };
    let is_condition = ["if ", "elif ", "while "]
        .iter()
        .any(|word| old.starts_with(word));
    let is_other_test =
        is_condition && asks_none(old) != asks_none(new) && names(&was) == names(&is);
    let lost = |word: &&str| is_one_of(BESIDE, word) && !is.contains(word);
    is_cut || is_other_test || are_swapped(&was, &is) || was.iter().any(lost)
}

/// Whether two arguments, given by their places, changed them.
fn are_swapped(old: &[&str], new: &[&str]) -> bool {
    let differing = |at: &usize| old[*at] != new[*at];
    let at: Vec<usize> = (0..old.len().min(new.len())).filter(differing).collect();
    let is_argument = |at: usize| {
        let before = at.checked_sub(1).and_then(|at| old.get(at));
        let is_between = matches!(before, Some(&("(" | ",")));
        is_name(old[at]) && is_between && matches!(old.get(at + 1), Some(&("," | ")")))
    };
    match at[..] {
        [a, b] => {
            let is_other_way = old.len() == new.len() && old[a] == new[b] && old[b] == new[a];
            is_other_way && is_argument(a) && is_argument(b)
        }
        _ => false,
    }
}

/// Whether two comparisons are one: `> 8` and `>= 9`.
fn is_same_limit(old: Option<&[&str]>, new: Option<&[&str]>) -> bool {
    let (Some([old, a]), Some([new, b])) = (old, new) else {
        return false;
    };
    let more = match [*old, *new] {
        [">", ">="] | ["<=", "<"] => 1,
        [">=", ">"] | ["<", "<="] => -1,
        _ => return false,
    };
    let [a, b] = [a, b].map(|number| number.parse::<i64>().ok());
    a.and_then(|a| a.checked_add(more))
        .is_some_and(|a| Some(a) == b)
}

/// Whether a statement ends the loop, the function or the program.
fn ends(text: &str) -> bool {
    let ways = ["break", "raise", "sys.exit(", "os._exit("];
    ways.iter().any(|way| text.starts_with(way))
}

/// Whether a condition asks for more than it did.
fn is_stricter(old: &str, new: &str) -> bool {
    let is_condition = ["if ", "elif ", "while "]
        .iter()
        .any(|word| old.starts_with(word));
    is_condition
        && !asks(new)
        && missing_words(new, old).is_some_and(|more| more.first() == Some(&"and"))
}

/// Whether a constant stands where something was worked out.
fn is_fixed(old: &str, new: &str) -> bool {
    let [old, new] = [old, new].map(tokens);
    let alike =
        |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| pairs.take_while(|(a, b)| a == b).count();
    let start = alike(&mut old.iter().zip(&new));
    let most = old.len().min(new.len()) - start;
    let end = alike(&mut old.iter().rev().zip(new.iter().rev())).min(most);
    let [was, is] = [&old, &new].map(|words| &words[start..words.len() - end]);
    let is_constant = |word: &&str| {
        let is_value = word.contains('"') || word.starts_with(|c: char| c.is_ascii_digit());
        is_value || is_one_of("True False None { } [ ]", word)
    };
    start > 0 && was.len() > 1 && matches!(is.len(), 1 | 2) && is.iter().all(is_constant)
        && was.iter().any(|word| is_name(word))
        // A text around names is no constant.
        && !is.iter().any(|word| word.contains('{') && word.len() > 1)
}

/// The same of a statement that facts are about: they tell of flags, the environment's defaults and
/// words that are taken, in whatever order.
pub fn is_other_constant(old: &str, new: &str, is_own: impl Fn(&str) -> bool) -> bool {
    let sorted = |text: &str| {
        let mut words: Vec<String> = tokens(text).into_iter().map(str::to_owned).collect();
        words.sort_unstable();
        words
    };
    let is_condition = ["if ", "elif "].iter().any(|word| old.starts_with(word));
    if asks(old) && (is_condition || old.contains(" else ")) {
        return false;
    }
    let is_flag = |word: &String| word.starts_with("\"-");
    let [old, new] = [old, new].map(without_reads);
    let [was, is] = [&old, &new].map(|text| sorted(text));
    let differing = was.iter().filter(|word| !is.contains(word));
    let has_flag = differing.clone().any(is_flag);
    was != is && !has_flag && is_other(&old, &new, is_own)
}

/// A statement without what it reads from the environment: facts tell of that.
fn without_reads(text: &str) -> String {
    let mut text = text.to_owned();
    for start in ["getenv(", "environ.get(", "environ["] {
        while let Some(at) = text.find(start) {
            let mut depth = 0;
            let end = text[at..].find(|c| {
                depth += i32::from(matches!(c, '(' | '[')) - i32::from(matches!(c, ')' | ']'));
                depth == 0 && matches!(c, ')' | ']')
            });
            text.replace_range(at..end.map_or(text.len(), |end| at + end + 1), "read");
        }
    }
    text
}

/// Whether a line of a script goes on after a failure that ended it: an option of `set`, or an `exit`
/// that is gone.
fn goes_on(old: &str, new: &str) -> bool {
    let options = |text: &str| -> BTreeSet<String> {
        let words = text.split_whitespace().skip(1).flat_map(|word| {
            let letters = word
                .strip_prefix('-')
                .map(|all| all.chars().map(String::from).collect());
            letters.unwrap_or_else(|| vec![word.to_owned()])
        });
        words.filter(|word| !is_one_of("o x v", word)).collect()
    };
    let is_set = |text: &str| text.starts_with("set -");
    let has_exit = |text: &str| text.split_whitespace().any(|word| word == "exit");
    is_set(old) && is_set(new) && !options(old).is_subset(&options(new))
        || has_exit(old) && !has_exit(new)
}

/// The same of a script's line: what no variable says is constant.
pub fn is_other_line(old: &str, new: &str) -> bool {
    if goes_on(old, new) && old.split(' ').next() == new.split(' ').next() {
        return true;
    }
    let target = |word: &str| word.split_once('=').map(|(name, _)| name.to_owned());
    let [old, new] = [old, new].map(|text| text.replace("2>&1", "").replace("> /", ">/"));
    let [old, new] = [&old, &new].map(|text| text.split_whitespace().collect::<Vec<_>>());
    let is_assignment = old.first().is_some_and(|word| target(word).is_some());
    (is_assignment || old.first() == new.first())
        && differ_by(&old, &new, |at| {
            let [old, new] = [old[at], new[at]];
            !old.contains('$') && !new.contains('$') && target(old) == target(new)
        })
}

/// Whether two statements have as many words, and those that differ are of this kind, by place.
fn differ_by(old: &[&str], new: &[&str], is: impl Fn(usize) -> bool) -> bool {
    // The same file may lie elsewhere in the image, of which other facts tell.
    let file = |word: &str| word.rsplit('/').next().map(|file| file.replace('"', ""));
    let is_place = |word: &str| word.trim_start_matches('"').starts_with('/');
    let is_moved =
        |old: &str, new: &str| (is_place(old) || is_place(new)) && file(old) == file(new);
    // What stands in the braces of a text are names.
    let written = |text: &str| {
        let parts = text.split('{').enumerate();
        let parts = parts.map(|(at, part)| {
            part.split_once('}')
                .filter(|_| at > 0)
                .map_or(part, |(_, rest)| rest)
        });
        parts.collect::<Vec<_>>().join("{}")
    };
    let all = 0..old.len().min(new.len());
    // A part of a text may be a name now.
    let holds = |whole: &str, parts: &str| {
        let parts = written(parts);
        let mut parts = parts.split("{}").filter(|part| part.len() > 3).peekable();
        !whole.contains('{') && parts.peek().is_some() && parts.all(|part| whole.contains(part))
    };
    let is_same = |old: &str, new: &str| {
        let is_text = new.contains('{') && holds(old, new) || old.contains('{') && holds(new, old);
        let is_one_text = old.contains('"') && new.contains('"') && content(old) == content(new);
        let is_one_number = number(old).is_some_and(|value| number(new) == Some(value));
        let is_one_value = is_one_text || is_one_number;
        is_moved(old, new) || written(old) == written(new) || is_text || is_one_value
    };
    let mut differing = all.filter(|at| !is_same(old[*at], new[*at]));
    let first = differing.next();
    old.len() == new.len() && first.into_iter().chain(differing).all(is) && first.is_some()
}

/// A number, whatever way it is written, and also as a text.
fn number(word: &str) -> Option<f64> {
    word.trim_matches('"').replace('_', "").parse().ok()
}

/// What a text holds, whatever its quotes and escapes are.
fn content(text: &str) -> String {
    let start = text.find(['"', '\'']).unwrap_or(0);
    let is_raw = text[..start].contains(['r', 'R']);
    let inside = text[start..].trim_matches(['"', '\'']);
    if is_raw {
        return inside.to_owned();
    }
    let mut out = String::new();
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' { chars.next() } else { Some(c) };
        out.extend(match escaped {
            Some('n') if c == '\\' => Some('\n'),
            Some('t') if c == '\\' => Some('\t'),
            other => other,
        });
    }
    out
}

/// Whether arguments are given by their places now.
fn are_names_of_arguments(gone: &[&str]) -> bool {
    let mut pairs = gone.chunks(2);
    pairs.all(|pair| is_name(pair[0]) && pair.get(1) == Some(&"="))
}

pub fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Whether a statement asks the environment, of which facts and unread parts tell.
pub fn asks(text: &str) -> bool {
    text.contains("getenv") || text.contains("environ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_lost(old: &str, new: &str) -> bool {
        let is_own = |word: &str| word == "own";
        is_shorter(old, new, |_| false) || is_other(old, new, is_own) || is_weaker(old, new)
    }

    #[test]
    fn less_and_other_constants_are_losses() {
        for (old, new) in [
            ("x=f(a).strip()", "x=f(a)"),
            ("if a is not None", "if a"),
            ("if a and b", "if a"),
            ("if a", "if a and b"),
            ("time.sleep(5)", "time.sleep(50)"),
            ("x=f(\"a\")", "x=f(\"b\")"),
            ("if a==200", "if a < 500"),
            ("x=max(all)", "x=min(all)"),
            ("raise Full(503, \"full\")", "raise Full(500, \"full\")"),
            ("raise Full()", "return None"),
            ("break", "continue"),
            ("x=base * 2 + jitter()", "x=0.1"),
            ("except OSError", "except ValueError"),
            ("f(x, acl=\"private\")", "f(x)"),
            ("x=now - then", "x=round(now - then, 1)"),
            ("x=f(text)", "x=f(text[:40])"),
            ("if a in (None, \"\")", "if a is None"),
            ("if not a", "if a is None"),
            ("f(a, b)", "f(b, a)"),
            ("x=await asyncio.to_thread(f, a)", "x=f(a)"),
        ] {
            assert!(is_lost(old, new), "{old} → {new}");
        }
    }

    #[test]
    fn other_words_for_the_same_are_none() {
        for (old, new) in [
            ("x: int=5", "x=5"),
            ("self.model.load()", "model.load()"),
            ("run(c, stdout=None)", "run(c)"),
            ("f(a=x, b=y)", "f(x, y)"),
            ("if n > 8", "if n>=9"),
            ("x=PATIENCE", "x=2"),
            ("own(x)", "other(x)"),
            ("raise Full(\"full\")", "raise Full(\"no room\")"),
            ("print(\"a\")", "print(\"b\")"),
            ("x=re.compile(r\"\\d\")", "x=re.compile(\"\\\\d\")"),
            ("post(\"https://a.example/done\")", "post(f\"{BASE}/done\")"),
            ("x=f\"{a} b\"", "x=f\"{c} b\""),
            ("run([\"serve\"])", "run([\"/usr/bin/serve\"])"),
            ("def f(a, b=1)", "def f(a)"),
            ("x={1, 2}", "x={2, 1}"),
            ("x=420.0", "x=420"),
        ] {
            assert!(!is_lost(old, new), "{old} → {new}");
        }
    }

    #[test]
    fn beside_facts_only_parts_without_a_fact_count() {
        let is_lost =
            |old, new| misses_part(old, new, |_| false) || is_other_constant(old, new, |_| false);
        assert!(is_lost("x=job[\"a\"].strip()", "x=job[\"a\"]"));
        assert!(is_lost(
            "f(x, key=os.getenv(\"A\"), n=3)",
            "f(x, key=os.getenv(\"A\"), n=4)"
        ));
        assert!(is_lost("python3 a.py \"$@\"", "python3 a.py"));
        assert!(!is_lost(
            "x=os.getenv(\"A\", \"1\")",
            "x=os.getenv(\"A\", \"2\")"
        ));
        assert!(!is_lost(
            "x=os.getenv(\"A\") or \"b\"",
            "x=os.getenv(\"A\")"
        ));
        assert!(!is_lost(
            "c+=[\"--tp\", \"2\"]",
            "c+=[\"--tensor-parallel-size\", \"2\"]"
        ));
    }

    #[test]
    fn lines_of_scripts_differ_by_what_no_variable_says() {
        assert!(is_other_line("sleep 5", "sleep 50"));
        assert!(is_other_line("N=5", "N=8"));
        assert!(is_other_line("set -euo pipefail", "set -eu"));
        assert!(is_other_line("a || { b; exit 1; }", "a || true"));
        assert!(!is_other_line("set -eu -o pipefail", "set -euo pipefail"));
        assert!(!is_other_line("N=5", "N=$X"));
        assert!(!is_other_line(
            "exec python3 /src/a.py",
            "exec python3 /worker/a.py"
        ));
        assert!(!is_other_line("run 2>&1 > /dev/null", "run >/dev/null"));
    }
}
