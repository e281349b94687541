//! The words of a script: quotes, variables and what is known of them, assignments.

use std::ops::Range;

use super::super::value::{ARGUMENTS, ShellValue};
use super::super::{Condition, is_name, variables};
use super::{Parser, Variable, Word, ends_word, is_blank};

/// A part of a word: text, or a variable with its name.
pub(super) struct WordPart {
    /// Empty where the text is plain, or where only running shows what it becomes.
    pub name: String,
    pub text: String,
    pub quoted: bool,
}

#[derive(Default)]
pub(super) struct Parts(pub Vec<WordPart>);

impl Parts {
    pub fn push(&mut self, name: &str, text: &str, quoted: bool) {
        self.0.push(WordPart {
            name: name.to_owned(),
            text: text.to_owned(),
            quoted,
        });
    }

    /// Text in which nothing is filled in. It joins such text in front of it.
    pub fn text(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(last) if last.name.is_empty() => last.text.push_str(text),
            _ if text.is_empty() => {}
            _ => self.push("", text, true),
        }
    }
}

/// Variables that the shell itself sets.
fn is_set_by_shell(name: &str) -> bool {
    const OWN: &str = "BASH_SOURCE BASH_VERSION BASHPID RANDOM SECONDS LINENO IFS OPTARG OPTIND PPID \
                       REPLY FUNCNAME PIPESTATUS PWD OLDPWD UID EUID _";
    crate::is_one_of(OWN, name)
}

impl Parser<'_> {
    /// `NAME=word`, `NAME+=word`, `NAME=(words)`, `NAME[0]=word`.
    pub(super) fn assignment(&mut self) -> bool {
        let start = self.at;
        let rest = self.slice(start..self.bytes.len());
        let mut after = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let name = &rest[..rest.len() - after.len()];
        // A subscript is short.
        let mut subscript = after.bytes().take(200);
        let close = subscript.position(|b| b == b']');
        let behind = close.and_then(|close| after.get(close + 1..));
        let behind = behind.filter(|_| after.starts_with('['));
        let element = behind.is_some();
        after = behind.unwrap_or(after);
        let appends = after.starts_with("+=");
        if !is_name(name) || !(appends || after.starts_with('=')) {
            return false;
        }
        let name = name.to_owned();
        self.at = self.bytes.len() - after.len() + 1 + usize::from(appends);
        if self.peek() == Some(b'(') {
            self.at += 1;
            let words = self.array();
            if appends || self.is_conditional() {
                self.values.extend(&name, words);
            } else {
                self.values.put(&name, ShellValue::Array(words));
            }
        } else {
            let words = self.word_values();
            let texts: Vec<&str> = words.iter().map(|word| &*word.text).collect();
            let value = texts.join(" ");
            let set = (name.clone(), value.clone(), start..self.at);
            if self.exports() && !self.is_default_of(&name) {
                self.script.exports.push(set.clone());
                self.note_guarded_export(&name);
            }
            if self.command.words.is_empty() {
                self.command.sets.push((name.clone(), value.clone()));
            }
            self.script.sets.push(set);
            let written = self.slice(start..self.at);
            let is_longer = [format!("${name} "), format!("${{{name}}}")];
            let is_longer = is_longer.iter().any(|own| written.contains(own.as_str()));
            let is_plain = !appends && !element;
            if (is_longer || is_plain)
                && words.len() > 1
                && words[1..].iter().all(|word| word.choice)
            {
                // `NAME="$NAME more"` makes each of its values longer. Behind a condition, what it
                // was before may stay.
                let mut texts: Vec<String> = words.into_iter().map(|word| word.text).collect();
                if let Some(ShellValue::Any(before)) = self.values.get(&name)
                    && !is_longer
                    && self.is_conditional()
                {
                    let before = before.iter().filter(|old| !texts.contains(old));
                    let before: Vec<String> = before.cloned().collect();
                    texts.extend(before);
                }
                self.values.put(&name, ShellValue::Any(texts));
            } else if is_longer && !element && self.values.get(&name).is_some() {
                self.values.put(&name, ShellValue::one(value));
            } else {
                self.assign(&name, value, appends, element);
            }
        }
        true
    }

    /// Notes a variable that is exported below conditions, other than on itself.
    pub(super) fn note_guarded_export(&mut self, name: &str) {
        let guard = Some(&self.guard).filter(|it| it.depth() > 0 && !it.asks_for(name));
        let guarded = guard.map(|guard| (name.to_owned(), guard.clone()));
        self.script.guarded_exports.extend(guarded);
    }

    /// `export "NAME=$VALUE"`, or names that only running shows.
    pub(super) fn exported(&mut self, words: &[Word], range: Range<usize>) {
        for word in words {
            match word.text.split_once('=') {
                Some((name, value)) if is_name(name) => {
                    let export = (name.to_owned(), value.to_owned(), range.clone());
                    self.script.exports.push(export);
                    self.assign(name, value.to_owned(), false, false);
                }
                _ if word.text.contains(['$', '`']) => {
                    let what = "the names of what this exports are computed";
                    self.unread(range.clone(), what);
                }
                _ => {}
            }
        }
    }

    /// Whether what is being declared is for the programs that the script starts.
    fn exports(&self) -> bool {
        let word = |at: usize| self.command.words.get(at).map_or("", |word| &word.text);
        let option = word(1);
        self.exports_all || word(0) == "export" || option.starts_with('-') && option.contains('x')
    }

    /// Whether a variable of the environment is empty here: what it is set to is its default.
    fn is_default_of(&self, name: &str) -> bool {
        let is_empty = |condition: &Condition| {
            condition.variable == name && condition.if_empty && condition.word.is_none()
        };
        self.guard.last().is_some_and(is_empty) && !self.values.is_set(name)
    }

    /// Whether what follows may be skipped when the script runs.
    pub(super) fn is_conditional(&self) -> bool {
        !self.blocks.is_empty() || self.in_list
    }

    fn assign(&mut self, name: &str, text: String, appends: bool, element: bool) {
        if element {
            let word = Word::new(text, &(self.at..self.at));
            self.values.extend(name, vec![word]);
        } else if appends {
            self.values.append(name, &text);
        } else if self.is_default_of(name) {
            // `[ -z "$NAME" ] && NAME=default`: it is the environment's all the same.
            for index in self.seen.remove(name).unwrap_or_default() {
                self.script.reads[index].default.get_or_insert(text.clone());
            }
            self.seen.insert(name.to_owned(), Vec::new());
        } else if self.is_conditional() && variables(&text).iter().all(|(used, _)| used != name) {
            let from_outside = self.seen.contains_key(name) && !self.values.is_set(name);
            let before = from_outside.then(|| format!("${name}"));
            self.values.put_conditionally(name, text, before);
        } else {
            self.values.put(name, ShellValue::one(text));
        }
    }

    /// The words of an array, up to its bracket.
    fn array(&mut self) -> Vec<Word> {
        let mut words = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b')' => {
                    self.at += 1;
                    break;
                }
                _ if is_blank(byte) || byte == b'\n' => self.at += 1,
                b'#' => self.skip_line(),
                b'\\' if self.continues() => {}
                _ => {
                    let before = self.at;
                    words.extend(self.word_values());
                    self.at = self.at.max(before + 1);
                }
            }
        }
        words
    }

    /// Reads one word; known variables may make it many or none.
    pub(super) fn word_values(&mut self) -> Vec<Word> {
        let start = self.at;
        let mut parts = Parts::default();
        let mut quoted = false;
        while let Some(byte) = self.peek().filter(|byte| !ends_word(*byte)) {
            match byte {
                0 => self.at += 1,
                b'\\' if self.continues() => {}
                b'\\' => {
                    self.at += 1;
                    parts.text(self.character());
                }
                b'\'' => {
                    parts.text(&self.single_quoted());
                    quoted = true;
                }
                b'"' => {
                    self.double_quoted(&mut parts);
                    quoted = true;
                }
                b'`' if self.ticks => break,
                b'`' => self.backticks(&mut parts),
                b'$' => self.expansion(&mut parts, false),
                _ => parts.text(self.character()),
            }
        }
        self.at = self.at.min(self.bytes.len());
        let guard = self.guard.clone();
        for part in parts.0.iter().filter(|part| part.name.is_empty()) {
            self.note_flags(&part.text, &guard);
        }
        // What a function is called with it writes below its own conditions.
        let arguments = parts
            .0
            .iter()
            .filter(|part| crate::is_one_of(ARGUMENTS, &part.name));
        let given = arguments.filter_map(|part| self.values.get(&part.name));
        let given = given
            .flat_map(ShellValue::texts)
            .collect::<Vec<_>>()
            .join(" ");
        self.note_flags(&given, &guard);
        let words = self.filled_in(&parts.0, start..self.at, quoted);
        let length: usize = words.iter().map(|word| word.text.len()).sum();
        self.budget = self.budget.saturating_sub(length);
        self.values.exhausted |= self.budget == 0;
        words
    }

    fn backticks(&mut self, parts: &mut Parts) {
        self.at += 1;
        let from = self.at;
        let rest = self.slice(from..self.bytes.len());
        if let (true, Some(end)) = (rest.trim_start().starts_with('#'), rest.find('`')) {
            // A comment between the lines of a command.
            self.at += end + 1;
            return;
        }
        self.commands(Some(b'`'));
        self.at = self.at.min(self.bytes.len());
        let inside = self.slice(from..self.at);
        parts.text(&format!(
            "$({})",
            inside.strip_suffix('`').unwrap_or(inside)
        ));
    }

    pub(super) fn single_quoted(&mut self) -> String {
        let from = self.at + 1;
        let rest = self.bytes.get(from..).unwrap_or_default();
        let end = rest.iter().position(|&b| b == b'\'');
        if end.is_none() {
            self.unread(self.at..self.bytes.len(), "this quote never ends");
        }
        let end = from + end.unwrap_or(rest.len());
        self.at = (end + 1).min(self.bytes.len());
        self.slice(from..end).replace('\0', "")
    }

    pub(super) fn double_quoted(&mut self, parts: &mut Parts) {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.at += 1;
                    return;
                }
                0 => self.at += 1,
                b'\\' if self.continues() => {}
                b'\\' => {
                    self.at += 1;
                    if !matches!(self.peek(), Some(b'"' | b'\\' | b'$' | b'`')) {
                        parts.text("\\");
                    }
                    parts.text(self.character());
                }
                b'$' => self.expansion(parts, true),
                b'`' => self.backticks(parts),
                _ => parts.text(self.character()),
            }
        }
        self.unread(start..self.bytes.len(), "this quote never ends");
    }

    pub(super) fn note_read(&mut self, name: &str, default: Option<String>, range: Range<usize>) {
        if is_name(name) && !self.values.is_set(name) && !is_set_by_shell(name) {
            let index = self.script.reads.len();
            self.seen.entry(name.to_owned()).or_default().push(index);
            self.script.reads.push(Variable {
                name: name.to_owned(),
                default,
                range,
                ..Variable::default()
            });
        }
    }
}
