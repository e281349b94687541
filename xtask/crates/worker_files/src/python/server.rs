//! The server's command line: the flags that a program gives it, and what decides on them.

use super::calls::Arguments;
use super::interp::Interp;
use super::syntax::Node;
use super::value::Value;
use super::{FlagGiven, FlagValue, Start};
use crate::How;

impl<'t> Interp<'t> {
    /// A list that names the server's module is its command line, whatever is done with it.
    pub fn command_literal(&mut self, node: Node<'t>, value: &Value<'t>) {
        let Value::List(items) = value else {
            return;
        };
        let server = items.borrow().iter().any(|item| {
            item.as_text()
                .is_some_and(|text| text.starts_with("sglang.launch_server"))
        });
        if server {
            self.facts.launches = true;
            self.flags_of(&items.borrow().clone(), node, true);
        }
    }

    pub fn flags_in(&mut self, value: &Value<'t>, node: Node<'t>) {
        for one in value.alternatives() {
            if let Value::List(items) = one {
                self.flags_of(&items.borrow().clone(), node, false);
            }
        }
    }

    /// Flags in what is returned or yielded: only where it is written out there, because a table
    /// of flag names is no command line.
    pub fn flags_in_literal(&mut self, node: Node<'t>, value: &Value<'t>) {
        match (node.kind(), value) {
            ("list" | "tuple" | "expression_list", value) => self.flags_in(value, node),
            ("string", value) => self.flag_pair(value, None, node),
            _ => {}
        }
    }

    pub fn flags_of(&mut self, items: &[Value<'t>], node: Node<'t>, launch: bool) {
        for (index, item) in items.iter().enumerate() {
            if is_flag(item) {
                let value = items.get(index + 1).filter(|next| !is_flag(next));
                self.flag_value(item, value, node, launch);
            }
        }
    }

    pub fn flag_pair(&mut self, flag: &Value<'t>, value: Option<&Value<'t>>, node: Node<'t>) {
        if is_flag(flag) {
            self.flag_value(flag, value, node, false);
        }
    }

    fn flag_value(
        &mut self,
        flag: &Value<'t>,
        value: Option<&Value<'t>>,
        node: Node<'t>,
        launch: bool,
    ) {
        let (name, inline) = match flag {
            Value::Pieces(parts) => {
                let first = parts.first().and_then(Value::as_text).unwrap_or_default();
                match first.split_once('=') {
                    Some((name, _)) => (name.to_owned(), Some(flag.clone())),
                    None => return,
                }
            }
            other => match other.as_text() {
                Some(text) => match text.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(Value::text(value))),
                    None => (text.to_string(), None),
                },
                None => return,
            },
        };
        let value = inline.as_ref().or(value);
        let guards = self.guarding();
        let envs = value.map(Value::envs).unwrap_or_default();
        let driven = !envs.is_empty() || !guards.is_empty();
        if !launch && !xtask_core::sglang::is_known(&name) && !driven {
            return;
        }
        let place = self.place_of_value(flag, node);
        let (value, sources) = match value {
            Some(_) if !envs.is_empty() => (FlagValue::Env, envs),
            Some(value) => match value.display() {
                Some(text) => (FlagValue::Fixed(text), guards),
                None => (FlagValue::Computed, guards),
            },
            None => (FlagValue::Alone, guards),
        };
        let mut names: Vec<(String, How)> = Vec::new();
        for env in sources {
            if names.iter().any(|(known, _)| *known == env.name) {
                continue;
            }
            let how = match &value {
                FlagValue::Env => How::Value,
                _ => How::Switch {
                    words: env.words.borrow().clone(),
                },
            };
            names.push((env.name.clone(), how));
        }
        self.flag(FlagGiven {
            flag: name,
            value,
            from: names,
            place,
        });
    }

    pub fn start_process(&mut self, node: Node<'t>, args: &Arguments<'t>) {
        let place = self.place(node);
        self.facts.starts.push(Start { place });
        for argument in &args.positional {
            if let Value::List(items) = argument {
                let items = items.borrow().clone();
                self.flags_of(&items, node, false);
            }
        }
    }
}

/// Whether a value is a flag: text that begins with two dashes.
pub fn is_flag(value: &Value<'_>) -> bool {
    let flag = |text: &str| {
        text.strip_prefix("--")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()))
    };
    match value {
        Value::Pieces(parts) => parts
            .first()
            .and_then(Value::as_text)
            .is_some_and(|t| flag(&t)),
        other => other.as_text().is_some_and(|text| flag(&text)),
    }
}

pub fn starts_process(path: &str) -> bool {
    path.starts_with("subprocess.")
        || path.starts_with("os.exec")
        || path.starts_with("os.posix_spawn")
        || path.ends_with("create_subprocess_exec")
        || path.ends_with("create_subprocess_shell")
        || path == "os.system"
        || path == "Popen"
}
