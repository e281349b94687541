//! The variables of a Dockerfile, as far as their values stand in it.

use std::collections::BTreeMap;

/// What a variable holds: a literal, or something that only the build knows.
type Value = Option<String>;

/// The variables that an instruction sees.
#[derive(Debug, Default)]
pub struct Scope {
    global: BTreeMap<String, Value>,
    args: BTreeMap<String, Value>,
    env: BTreeMap<String, Value>,
    in_stage: bool,
}

impl Scope {
    /// A new stage: only what it declares itself is visible in it.
    pub fn enter_stage(&mut self) {
        self.args.clear();
        self.env.clear();
        self.in_stage = true;
    }

    /// `ARG NAME`, `ARG NAME=default`.
    pub fn declare(&mut self, arguments: &str) {
        for (name, value) in assignments(arguments) {
            let value = match value {
                Some(raw) => self.literal(&raw),
                None => self.global.get(&name).cloned().flatten(),
            };
            if self.in_stage {
                self.args.insert(name, value);
            } else {
                self.global.insert(name, value);
            }
        }
    }

    /// `ENV NAME=value`, `ENV NAME value`.
    pub fn set(&mut self, arguments: &str) {
        let first = arguments.split_whitespace().next().unwrap_or_default();
        if first.contains('=') {
            let values: Vec<_> = assignments(arguments)
                .map(|(name, raw)| (name, raw.and_then(|raw| self.literal(&raw))))
                .collect();
            self.env.extend(values);
        } else {
            let value = self.literal(arguments.trim_start()[first.len()..].trim());
            self.env.insert(first.to_owned(), value);
        }
    }

    /// The word with its variables filled in; the name of the first that has no literal value
    /// otherwise.
    pub fn expand(&self, word: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = word;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            let (name, remainder) = match after.strip_prefix('{') {
                Some(inner) => inner.split_once('}').ok_or_else(|| word.to_owned())?,
                None => after.split_at(
                    after
                        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                        .unwrap_or(after.len()),
                ),
            };
            let value = self.env.get(name).or_else(|| self.args.get(name));
            out.push_str(value.cloned().flatten().ok_or(name)?.as_str());
            rest = remainder;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn literal(&self, raw: &str) -> Value {
        let (text, verbatim) = match raw.as_bytes() {
            [b'\'', .., b'\''] => (&raw[1..raw.len() - 1], true),
            [b'"', .., b'"'] => (&raw[1..raw.len() - 1], false),
            _ => (raw, false),
        };
        if text.contains(['\'', '"', '\\']) || (verbatim && text.contains('$')) {
            return None;
        }
        self.expand(text).ok()
    }
}

/// `A=1 B="2 3" C`: names with the raw text of their values.
pub fn assignments(arguments: &str) -> impl Iterator<Item = (String, Option<String>)> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for c in arguments.chars().chain([' ']) {
        if c.is_whitespace() && quote.is_none() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        word.push(c);
        if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && (c == '"' || c == '\'') {
            quote = Some(c);
        }
    }
    words.push(word);
    words
        .into_iter()
        .filter(|word| !word.is_empty())
        .map(|word| match word.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (word, None),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_filled_in_and_anything_else_is_named() {
        let mut scope = Scope::default();
        scope.declare("DIR=.runpod");
        scope.enter_stage();
        assert_eq!(scope.expand("$DIR/x"), Err("DIR".to_owned()));
        scope.declare("DIR OTHER=\"a b\" LATE=$UNKNOWN");
        assert_eq!(scope.expand("$DIR/x").unwrap(), ".runpod/x");
        assert_eq!(scope.expand("${OTHER}").unwrap(), "a b");
        assert_eq!(scope.expand("$LATE"), Err("LATE".to_owned()));
        assert_eq!(scope.expand("${DIR:-x}"), Err("DIR:-x".to_owned()));
        scope.set("DIR somewhere");
        assert_eq!(scope.expand("${DIR}/x").unwrap(), "somewhere/x");
        scope.set("DIR=a E=$DIR/b");
        assert_eq!(scope.expand("$E").unwrap(), "somewhere/b");
    }
}
