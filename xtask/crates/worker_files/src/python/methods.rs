//! The methods of Python's own lists, dicts and strings.

use std::cell::RefCell;
use std::rc::Rc;

use super::calls::Arguments;
use super::interp::Interp;
use super::server::is_flag;
use super::syntax::Node;
use super::value::Value;

/// Bytes that replacing in a text may lead to.
const LONGEST_TEXT: usize = 1 << 20;

impl<'t> Interp<'t> {
    pub fn list_method(
        &mut self,
        owner: &Value<'t>,
        list: &Rc<RefCell<Vec<Value<'t>>>>,
        name: &str,
        args: &Arguments<'t>,
        node: Node<'t>,
    ) -> Value<'t> {
        const MOST: usize = super::value::MOST_ITEMS;
        match name {
            "append" | "add" => {
                let value = args.get(0);
                let before = list.borrow().last().cloned();
                if let (Some(flag), false) = (before, is_flag(&value)) {
                    self.flag_pair(&flag, Some(&value), node);
                } else {
                    self.flag_pair(&value, None, node);
                }
                if list.borrow().len() < MOST {
                    list.borrow_mut().push(value);
                }
                Value::Unknown
            }
            "extend" | "update" => {
                self.extend(list, &args.get(0), node);
                Value::Unknown
            }
            "insert" => {
                let value = args.get(1);
                self.flag_pair(&value, None, node);
                if list.borrow().len() < MOST {
                    list.borrow_mut().push(value);
                }
                Value::Unknown
            }
            "copy" => Value::list(list.borrow().clone()),
            _ => {
                let _ = owner;
                Value::Unknown
            }
        }
    }

    /// `list.extend(more)` and `list += more`.
    pub fn extend(&mut self, list: &Rc<RefCell<Vec<Value<'t>>>>, more: &Value<'t>, node: Node<'t>) {
        const MOST: usize = super::value::MOST_ITEMS;
        self.flags_in(more, node);
        let items = self.items_or_empty(more);
        if list.borrow().len() < MOST {
            list.borrow_mut().extend(items);
        }
    }

    pub fn text_method(
        &mut self,
        owner: &Value<'t>,
        name: &str,
        args: &Arguments<'t>,
    ) -> Value<'t> {
        let Value::Text(text, origin) = owner else {
            return match (name, owner) {
                ("format" | "encode" | "decode", _) | (_, Value::Env(_) | Value::Pieces(_)) => {
                    owner.clone()
                }
                _ => Value::Unknown,
            };
        };
        let with = |new: String| Value::Text(new.into(), origin.clone());
        let argument = |index: usize| args.get(index).as_text();
        match name {
            "lower" | "casefold" => with(text.to_lowercase()),
            "upper" => with(text.to_uppercase()),
            "strip" => with(strip(text, argument(0).as_deref(), true, true)),
            "lstrip" => with(strip(text, argument(0).as_deref(), true, false)),
            "rstrip" => with(strip(text, argument(0).as_deref(), false, true)),
            "replace" => match (argument(0), argument(1)) {
                (Some(from), Some(to))
                    if !from.is_empty() && text.len() * to.len() < LONGEST_TEXT =>
                {
                    with(text.replace(&*from, &to))
                }
                _ => Value::Unknown,
            },
            "removeprefix" => with(
                argument(0)
                    .and_then(|p| text.strip_prefix(&*p))
                    .unwrap_or(text)
                    .to_owned(),
            ),
            "split" => {
                let parts: Vec<&str> = match argument(0) {
                    Some(by) if !by.is_empty() => text.split(&*by).collect(),
                    _ => text.split_whitespace().collect(),
                };
                Value::list(parts.into_iter().map(|p| with(p.to_owned())).collect())
            }
            "join" => {
                let items = self.items_or_empty(&args.get(0));
                let mut out = Value::text("");
                for (index, item) in items.iter().enumerate().take(64) {
                    if index > 0 {
                        out = super::eval::join(&out, &Value::Text(text.clone(), None));
                    }
                    out = super::eval::join(&out, item);
                }
                out
            }
            "format" => {
                let mut given = args.positional.iter();
                let mut parts = text.split("{}");
                let mut out = with(parts.next().unwrap_or_default().to_owned());
                for part in parts {
                    out = super::eval::join(&out, given.next().unwrap_or(&Value::Unknown));
                    out = super::eval::join(&out, &Value::text(part));
                }
                out
            }
            "encode" | "decode" | "title" | "format_map" => owner.clone(),
            _ => Value::Unknown,
        }
    }
}

pub fn dict_method<'t>(owner: &Value<'t>, name: &str, args: &Arguments<'t>) -> Value<'t> {
    let Value::Dict(items) = owner else {
        return Value::Unknown;
    };
    match name {
        "items" => Value::list(
            items
                .borrow()
                .iter()
                .map(|(k, v)| Value::list(vec![k.clone(), v.clone()]))
                .collect(),
        ),
        "keys" => Value::list(items.borrow().iter().map(|(k, _)| k.clone()).collect()),
        "values" => Value::list(items.borrow().iter().map(|(_, v)| v.clone()).collect()),
        "get" | "pop" => match super::eval::item_of(owner, &args.get(0)) {
            Value::Unknown => args.get(1),
            found => found,
        },
        "update" => {
            if let Value::Dict(more) = args.get(0)
                && !Rc::ptr_eq(items, &more)
            {
                let room = super::value::MOST_ITEMS.saturating_sub(items.borrow().len());
                items
                    .borrow_mut()
                    .extend(more.borrow().iter().take(room).cloned());
            }
            Value::Unknown
        }
        "copy" => Value::dict(items.borrow().clone()),
        _ => Value::Unknown,
    }
}

fn strip(text: &str, set: Option<&str>, left: bool, right: bool) -> String {
    let inside = |c: char| set.map_or_else(|| c.is_whitespace(), |set| set.contains(c));
    let text = if left {
        text.trim_start_matches(inside)
    } else {
        text
    };
    let text = if right {
        text.trim_end_matches(inside)
    } else {
        text
    };
    text.to_owned()
}
