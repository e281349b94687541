//! Suggests the known word that is nearest to an unknown one.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sure {
    /// The same letters, with another case or other separators.
    Same,
    /// A few typing mistakes away.
    Near,
}

/// The letters and digits of a name in lower case.
pub fn letters(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// Longer lists are cut, to limit the time.
const MOST_NAMES: usize = 2000;

/// A word with more typing mistakes is another word.
const MOST_MISTAKES: usize = 3;

/// A limited number of guesses for the names of a long list, so that the work does not grow with
/// both lists.
pub struct Guesses(usize);

impl Default for Guesses {
    fn default() -> Self {
        Self(100)
    }
}

impl Guesses {
    /// The nearest of some names, as long as there are guesses left.
    pub fn nearest<'a>(
        &mut self,
        text: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Option<&'a str> {
        self.0 = self.0.checked_sub(1)?;
        nearest(text, names).map(|(name, _)| name)
    }
}

/// The nearest of some names, if one is near enough to be meant.
pub fn nearest<'a>(
    text: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<(&'a str, Sure)> {
    let wanted = letters(text);
    let mut best: Option<(usize, &str)> = None;
    for name in names.into_iter().take(MOST_NAMES) {
        if name.len().abs_diff(text.len()) > MOST_MISTAKES + name.len() / 2 {
            continue;
        }
        let have = letters(name);
        if have == wanted {
            return Some((name, Sure::Same));
        }
        // Names with other numbers are different: llama3 is not llama4.
        if wanted.len().abs_diff(have.len()) > MOST_MISTAKES || !digits(&wanted).eq(digits(&have)) {
            continue;
        }
        let distance = strsim::damerau_levenshtein(&wanted, &have);
        if best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, name));
        }
    }
    let (distance, name) = best?;
    // One mistake in a short word, two in a longer one, but never half of the word.
    let allowed = match letters(name).len() {
        0..=3 => 0,
        4..=6 => 1,
        7..=14 => 2,
        _ => MOST_MISTAKES,
    };
    (distance <= allowed).then_some((name, Sure::Near))
}

fn digits(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(char::is_ascii_digit)
}

/// "`a`, `b` or `c`".
pub fn one_of(names: &[&str]) -> String {
    list(names, "or")
}

/// "`a`, `b` and `c`".
pub fn all_of(names: &[&str]) -> String {
    list(names, "and")
}

fn list(names: &[&str], word: &str) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} {word} {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_seen_and_other_words_are_not() {
        let keys = ["runsOn", "gpuIds", "env", "type"];
        assert_eq!(nearest("runOn", keys), Some(("runsOn", Sure::Near)));
        assert_eq!(nearest("runs_on", keys), Some(("runsOn", Sure::Same)));
        assert_eq!(nearest("GPUIDS", keys), Some(("gpuIds", Sure::Same)));
        assert_eq!(nearest("end", keys), None);
        assert_eq!(nearest("llama4", ["llama3"]), None);
        assert_eq!(
            nearest("deepseekv3", ["deepseek-v3"]),
            Some(("deepseek-v3", Sure::Same))
        );
        assert_eq!(nearest("volumeInGb", keys), None);
    }

    #[test]
    fn long_lists_are_cut() {
        let mut list = vec!["other"; MOST_NAMES - 1];
        list.push("wanted");
        assert_eq!(nearest("wantd", list.clone()).unwrap().0, "wanted");
        list.insert(0, "other");
        assert_eq!(nearest("wantd", list), None);
    }

    #[test]
    fn names_are_listed_as_one_says_them() {
        assert_eq!(one_of(&["a"]), "`a`");
        assert_eq!(all_of(&["a", "b", "c"]), "`a`, `b` and `c`");
    }
}
