//! The conditions of a script, and the flags that it writes below them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::{Script, Word, variables};
use crate::{FlagKind, is_one_of};

/// A flag in the text of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFlag {
    pub flag: String,
    /// The plain word behind it.
    pub value: Option<String>,
    pub guard: Guard,
}

/// The conditions that a part of a script stands below, the outermost first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard(Arc<[Condition]>);

/// A test of one variable: `[ "$NAME" = true ]`, or of something else: `[ -f /model ]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Empty where no variable is tested. The word is the test's text then.
    pub variable: String,
    /// The word that it is compared with, with the operator unless that is `=`. The words of a
    /// pattern of `case` have `|` between them.
    pub word: Option<String>,
    /// Whether the condition is true if the variable is empty.
    pub if_empty: bool,
    /// Whether it suffices if the condition before it is true.
    pub is_alternative: bool,
}

/// What stands around the parts of a test.
const AROUND: &str = "[ [[ test ] ]] ! && || -a -o";
/// Stands before the word of a negated condition.
pub const NOT: &str = "not ";
/// Operators of tests that compare with a number or a pattern.
pub const COMPARING: &str = "=~ -eq -ne -gt -ge -lt -le";
pub const NOT_SET: &str = "not set";
/// Stands before the word of a condition that is an alternative to the one before it.
pub const OR: &str = "or ";
/// Stands between a word and the other variables of its condition.
pub const AND: &str = " and ";

impl Guard {
    /// How many conditions it has.
    pub fn depth(&self) -> usize {
        self.0.len()
    }

    pub fn last(&self) -> Option<&Condition> {
        self.0.last()
    }

    /// The variables of which one has to be empty, if that alone decides.
    pub fn any_empty(&self) -> impl Iterator<Item = &str> {
        let is_any = self.0.iter().skip(1).all(|one| one.is_alternative);
        let is_empty = move |one: &&Condition| is_any && one.if_empty && one.word.is_none();
        let all = self.0.iter().filter(is_empty);
        all.map(|one| one.variable.as_str())
    }

    /// Whether a condition asks for this variable.
    pub fn asks_for(&self, name: &str) -> bool {
        self.0.iter().any(|condition| condition.variable == name)
    }

    /// The guard with further conditions. What people write is short; more is not kept.
    pub fn and(&self, more: impl IntoIterator<Item = Condition>) -> Self {
        const MOST: usize = 8;
        let mut all = self.0.to_vec();
        for condition in more {
            match all.last_mut() {
                Some(last) if condition.extends(last) => last.add_word(condition),
                _ => all.push(condition),
            }
        }
        all.truncate(MOST);
        Self(all.into())
    }

    /// The values for which a condition is true, with the other variables that have to fit, too.
    fn values_of(&self, condition: &Condition) -> Vec<String> {
        let others = self
            .0
            .iter()
            .filter(|other| other.variable != condition.variable && !other.is_alternative)
            .filter(|other| !other.variable.is_empty());
        let others: BTreeSet<&str> = others.map(|other| other.variable.as_str()).collect();
        let values = condition.values();
        if others.is_empty() || condition.is_alternative {
            return values;
        }
        let others = others.into_iter().collect::<Vec<_>>().join(" and ");
        let values = if values.is_empty() {
            vec!["set".to_owned()]
        } else {
            values
        };
        values
            .iter()
            .map(|value| format!("{value}{AND}{others}"))
            .collect()
    }

    /// The guard with all but the outermost conditions negated.
    pub fn negated_from(&self, outermost: usize) -> Self {
        let mut all = self.0.to_vec();
        for (index, condition) in all.iter_mut().skip(outermost).enumerate() {
            condition.if_empty = !condition.if_empty;
            // Not both is: not the one, or not the other.
            condition.is_alternative ^= index > 0;
        }
        Self(all.into())
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |condition: &Condition| {
            let (name, not) = (
                &condition.variable,
                if condition.if_empty { NOT } else { "" },
            );
            let word = condition.word.as_deref().unwrap_or("set");
            let is = if name.is_empty() { "" } else { " is " };
            format!("{name}{is}{not}{word}")
        };
        let mut all: Vec<String> = self.0.iter().map(text).collect();
        let is_or = |condition: &Condition| condition.is_alternative;
        if !self.0.iter().skip(1).any(is_or) {
            // In whatever order all of them are asked.
            all.sort();
            return f.write_str(&all.join(AND));
        }
        for (at, (condition, text)) in self.0.iter().zip(&all).enumerate() {
            let joint = match (at, condition.is_alternative) {
                (0, _) => "",
                (_, true) => " or ",
                (_, false) => AND,
            };
            write!(f, "{joint}{text}")?;
        }
        Ok(())
    }
}

impl Condition {
    /// What people write is short; the rest is not kept for each flag below it.
    pub fn new(variable: String, word: Option<String>, if_empty: bool) -> Option<Self> {
        const LONGEST: usize = 200;
        let length = variable.len() + word.as_ref().map_or(0, String::len);
        (length <= LONGEST).then_some(Self {
            variable,
            word,
            if_empty,
            is_alternative: false,
        })
    }

    /// The conditions of `[ … ]`, `[[ … ]]` or `test …`.
    pub fn of_test(words: &[Word]) -> Vec<Self> {
        let mut conditions = Vec::new();
        let mut is_alternative = false;
        for part in words.split_inclusive(|word| is_one_of("&& || -a -o", &word.text)) {
            let condition = Self::of_part(part);
            conditions.extend(condition.map(|it| Self {
                is_alternative,
                ..it
            }));
            is_alternative = part
                .last()
                .is_some_and(|word| is_one_of("|| -o", &word.text));
        }
        conditions
    }

    fn of_part(words: &[Word]) -> Option<Self> {
        let texts = || words.iter().map(|word| word.text.as_str());
        let empty = texts().any(|text| matches!(text, "-z" | ""));
        let negated = texts().any(|text| matches!(text, "!" | "!="));
        let inner = texts().filter(|text| !is_one_of(AROUND, text));
        let asks = empty || inner.count() == 1 || texts().any(|text| text == "-n");
        let word = compared_words(words).find_map(|(_, operator, right)| match operator {
            "=" | "==" | "!=" => Some(right.to_owned()),
            _ => is_one_of(COMPARING, operator).then(|| format!("{operator} {right}")),
        });
        let word = word.filter(|_| !asks);
        let asked = words.windows(2).find(|pair| pair[0].text == "-v");
        let mut names = words.iter().flat_map(|word| variables(&word.text));
        let named = names.next().map(|(name, _)| name);
        let named = named.filter(|_| asks || word.is_some());
        let Some(name) = asked.map(|pair| pair[1].text.clone()).or(named) else {
            // Words alone are values that the build knows.
            let is_known = compared_words(words).any(|(left, operator, _)| {
                let compares = is_one_of("= == !=", operator) || is_one_of(COMPARING, operator);
                compares && !left.contains(['$', '`'])
            });
            let words = texts().filter(|text| !is_known && !is_one_of(AROUND, text));
            let words: Vec<&str> = words.collect();
            let text = (!words.is_empty()).then(|| super::without_braces(&words.join(" ")));
            return Self::new(String::new(), Some(text?), negated);
        };
        // `[ ! ... ]`, or a word that is another one.
        Self::new(name, word, empty != negated)
    }

    /// Whether it names one more word of the same variable.
    fn extends(&self, before: &Self) -> bool {
        let has_word = |condition: &Self| condition.word.is_some() && !condition.if_empty;
        self.is_alternative
            && self.variable == before.variable
            && has_word(self)
            && has_word(before)
    }

    fn add_word(&mut self, other: Self) {
        let words = self.word.take().into_iter().chain(other.word);
        self.word = Some(words.collect::<Vec<_>>().join("|"));
    }

    /// The values for which it is true, in words; nothing where any value will do.
    fn values(&self) -> Vec<String> {
        let values = match (&self.word, self.if_empty) {
            (Some(word), false) => word.split('|').map(str::to_owned).collect(),
            (Some(word), true) => vec![format!("{NOT}{word}")],
            (None, false) if self.is_alternative => vec!["set".to_owned()],
            (None, false) => Vec::new(),
            (None, true) => vec![NOT_SET.to_owned()],
        };
        let or = if self.is_alternative { OR } else { "" };
        values.iter().map(|value| format!("{or}{value}")).collect()
    }
}

/// What a test compares: the left side, the operator and the plain word on the right.
pub fn compared_words(words: &[Word]) -> impl Iterator<Item = (&str, &str, &str)> {
    words.windows(3).filter_map(|three| {
        let [left, operator, right] = three else {
            return None;
        };
        let is_filled_in = right.text.contains("$(") || !variables(&right.text).is_empty();
        let is_plain = !right.text.is_empty() && !is_filled_in;
        is_plain.then_some((&*left.text, &*operator.text, &*right.text))
    })
}

/// `"x$NAME" = xword` without the letters in front.
pub fn without_prefix(words: &[Word]) -> Vec<Word> {
    let mut words = words.to_vec();
    for at in 2..words.len() {
        let [left, operator, right] = [at - 2, at - 1, at].map(|at| &words[at].text);
        let prefix = left.find('$').map_or("", |end| &left[..end]);
        if is_one_of("= == !=", operator)
            && let Some(rest) = right.strip_prefix(prefix)
        {
            let (left, right) = (left[prefix.len()..].to_owned(), rest.to_owned());
            words[at - 2].text = left;
            words[at].text = right;
        }
    }
    words
}

type Words<'s> = BTreeMap<&'s str, BTreeSet<String>>;

/// The variables that decide on the flags of a script, with the words for which a flag is written.
#[derive(Default)]
pub struct Switches<'s> {
    /// Nothing where the script writes it without a condition, too.
    by_flag: BTreeMap<&'s str, Option<Words<'s>>>,
    by_value: BTreeMap<(&'s str, Option<&'s str>), Option<Words<'s>>>,
}

impl Script {
    pub fn switches(&self) -> Switches<'_> {
        let mut found = Switches::default();
        for WrittenFlag { flag, value, guard } in &self.flags {
            let by_flag = found.by_flag.entry(flag);
            let by_value = found.by_value.entry((flag, value.as_deref()));
            let none = || Some(Words::new());
            for known in [by_flag.or_insert_with(none), by_value.or_insert_with(none)] {
                if guard.depth() == 0 {
                    *known = None;
                }
                for condition in &*guard.0 {
                    let Some(words) = known else { break };
                    let words = words.entry(&condition.variable).or_default();
                    words.extend(guard.values_of(condition));
                }
            }
        }
        found
    }
}

impl Switches<'_> {
    fn words<'a>(&'a self, flag: &'a str, value: Option<&'a str>) -> Option<&'a Words<'a>> {
        let by_value = self.by_value.get(&(flag, value));
        by_value.or_else(|| self.by_flag.get(flag))?.as_ref()
    }

    /// What besides variables decides whether a flag is written with this value.
    pub fn when(&self, flag: &str, value: Option<&str>) -> Option<String> {
        let words = self.words(flag, value)?.get("")?;
        Some(words.iter().cloned().collect::<Vec<_>>().join(", "))
    }

    /// The variables that decide whether a flag is written with this value.
    pub fn of(&self, flag: &str, value: Option<&str>) -> Vec<(String, FlagKind)> {
        let words = self.words(flag, value).into_iter().flatten();
        let words = words.filter(|(name, _)| !name.is_empty());
        let switch = |(name, words): (&&str, &BTreeSet<String>)| {
            let words = words.iter().cloned().collect();
            ((*name).to_owned(), FlagKind::Switch { words })
        };
        words.map(switch).collect()
    }
}
