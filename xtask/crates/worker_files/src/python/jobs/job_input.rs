//! What the program reads from a job's input, and what it writes there.
//!
//! The input and its parts are [`Val::Input`] with the path from its root. Models that are made of
//! it are read in `models`.

use crate::python::InputKey;
use crate::python::evaluation::contexts::Ctx;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::code_text::normal;
use crate::python::program::node::{Node, is_among};
use crate::python::uses::defaults::other_key;
use crate::python::variables::environment::EnvLookup;
use crate::{Hides, add_value};

/// Why a key that is read is unread.
pub const COMPUTED_KEY: &str = "the name of what is taken from the job's input is computed";

/// Begins what is added to a list of the input.
pub const ADDED: &str = "with ";

/// What a key is set to that is taken out.
pub const REMOVED: &str = "removed";

/// Functions that make one text of a value.
pub const TEXTS: &str = "str repr dumps";

impl<'t> Reader<'t> {
    /// The parts of the job's input that an expression may be.
    pub fn input_paths(&mut self, node: Node<'t>) -> Vec<Val<'t>> {
        let value = self.value(node);
        let inputs = value.each().iter().filter(|one| one.is_input());
        inputs.cloned().collect()
    }

    /// `input[key]`.
    pub fn input_item(&mut self, node: Node<'t>, whole: &Val<'t>) {
        let (Some(object), Some(key)) = (node.field("value"), node.field("subscript")) else {
            return;
        };
        if matches!(whole, Val::Dict(_)) {
            self.note_compared_words(key, object);
        }
        if key.is("slice") || !whole.is_input() {
            return;
        }
        let is_deleted = || node.ancestors().take(2).any(|a| a.is("delete_statement"));
        let target_of = node.parent().filter(|_| node.role() == "left");
        match target_of.map_or("", Node::kind) {
            "augmented_assignment" => self.note_key_reads(node, object, key, None, true),
            "assignment" => {}
            _ if is_deleted() => return self.note_key_write(node, object, key, None),
            _ => return self.note_key_reads(node, object, key, None, true),
        }
        let value = target_of.and_then(|assignment| assignment.field("right"));
        if value.is_some() && is_where_missing(node, object, key) {
            return self.note_key_reads(node, object, key, value, false);
        }
        self.note_key_write(node, object, key, value);
    }

    /// `key in input`.
    pub fn input_test(&mut self, node: Node<'t>, left: Node<'t>, right: Node<'t>) {
        // A sign or a file's ending is searched in a text, and is no key.
        let is_sign = |c: char| c != '_' && !c.is_alphanumeric();
        let is_sign = left.is("string") && left.unquoted().starts_with(is_sign);
        let value = self.value(right);
        // A word that is searched in the text of the whole input is no key.
        let makes_text = |one: Node<'t>| is_among(TEXTS, one.callee_name());
        if !is_sign && value.is_input() && !right.subtree().any(makes_text) {
            self.note_key_reads(node, right, left, None, false);
        }
    }

    /// A test of the key in a loop over the input: `key in KEYS`, `key != "stream"`.
    pub fn input_key_test(&mut self, node: Node<'t>, left: Node<'t>, right: Node<'t>) {
        let mut above = node.ancestors();
        let owner = above.find(|a| a.is_comprehension() || a.is("for_statement"));
        let clause = owner.and_then(|owner| match owner.kind() {
            "for_statement" => Some(owner),
            _ => owner.children_of("for_in_clause").next(),
        });
        let Some((bound, iter)) = clause.and_then(|c| c.field("left").zip(c.field("right"))) else {
            return;
        };
        if bound.child(0).unwrap_or(bound).text() != left.text() {
            return;
        }
        let is_left_out = leaves_out(node);
        for path in self.input_paths(iter.callee_object().unwrap_or(iter)) {
            for name in self.value(right).elements_or_each() {
                let key = path.item(&name);
                if !is_left_out && name == Val::Unknown {
                    self.input_unread(node, COMPUTED_KEY);
                } else if !is_left_out {
                    self.note_key(node, &key, None, false);
                } else if let Some(entry) = self.input_entry(node, &key) {
                    entry.set.insert(REMOVED.to_owned());
                }
            }
        }
    }

    /// Notes that keys of the input are read, in each context.
    pub fn note_key_reads(
        &mut self,
        node: Node<'t>,
        object: Node<'t>,
        key: Node<'t>,
        default: Option<Node<'t>>,
        needed: bool,
    ) {
        let of: Vec<_> = [object, key].into_iter().chain(default).collect();
        for ctx in self.each_context(node, &of, Hides::JobInput) {
            let name = self.at(key, &ctx);
            let whole = self.at(object, &ctx);
            let inputs = whole.each().iter().filter(|one| one.is_input());
            for (input, name) in inputs.flat_map(|one| name.each().iter().map(move |n| (one, n))) {
                if let Val::Str(..) = name {
                    let text = default.and_then(|default| {
                        let value = self.at(default, &ctx);
                        let text = value.display().or_else(|| other_key(&value));
                        let text = text.unwrap_or_else(|| self.fingerprinted(default));
                        Some(text).filter(|text| text != "None")
                    });
                    let path = input.item(name);
                    let usage = self.usage(node, &path, needed, &ctx);
                    let text = text.or_else(|| Self::default_beside(node, needed, &usage));
                    let ends = usage.ends && text.is_none();
                    self.note_key(node, &path, text, needed && !usage.caught);
                    if let Some(entry) = self.input_entry(node, &path) {
                        entry.ends |= ends;
                        entry.made.extend(usage.made());
                    }
                    self.limit(&path, usage.bounds());
                } else if !matches!(name, Val::Int(_) | Val::Never) {
                    self.input_unread(node, COMPUTED_KEY);
                }
            }
        }
    }

    /// Notes a read of a key, which is optional unless it is `needed`.
    pub fn note_key(&mut self, at: Node<'t>, key: &Val<'t>, default: Option<String>, needed: bool) {
        let is_statement = at.parent_of("expression_statement").is_some();
        let is_dropped = is_statement && at.callee_name() == "pop";
        let used = self.is_unused(at) != Some(true) && !is_dropped && !self.is_only_default(at);
        self.add_key(at, key, default, needed);
        if let Some(entry) = self.input_entry(at, key) {
            entry.used |= used;
        }
    }

    /// Whether a place only gives a default, in a dict that is asked for its keys one by one: each of
    /// these is a read of its own.
    fn is_only_default(&self, at: Node<'t>) -> bool {
        const PARTS: &str = "pair dictionary dictionary_splat argument_list call";
        let is_update = at.is("call") && at.callee_name() == "update";
        let above = at.ancestors().find(|above| !above.is_any(PARTS));
        let is_part = !at.is_any("subscript call") && at.parent_of(PARTS).is_some();
        let set = above.filter(|above| is_part && above.is("assignment"));
        let set = set.and_then(|set| set.field("left"));
        let holder = at.callee_object().filter(|_| is_update).or(set);
        let variable = holder.and_then(|holder| self.program.variable(holder));
        variable.is_some_and(|(scope, name)| {
            let mut uses = self.program.uses_of(scope, name).into_iter();
            uses.all(|one| match one.parent() {
                Some(of) if of.is("subscript") => one.role() == "value",
                Some(of) if of.is("attribute") => {
                    is_among("get update setdefault", of.text_of("attribute"))
                }
                Some(of) => of.is_any("assignment comparison_operator") && one.role() != "right",
                None => false,
            })
        })
    }

    /// Notes a key that is only declared.
    pub fn add_key(&mut self, at: Node<'t>, key: &Val<'t>, default: Option<String>, needed: bool) {
        if let Some(entry) = self.input_entry(at, key) {
            entry.needed |= needed;
            entry.asked |= !needed;
            if let Some(default) = default {
                add_value(entry.default.get_or_insert_default(), &default);
            }
        }
    }

    /// The entry of a key, made where there is none.
    pub fn input_entry(&mut self, node: Node<'t>, path: &Val<'t>) -> Option<&mut InputKey> {
        let Val::Input(path) = path else { return None };
        if path.is_empty() || path.len() >= 200 {
            return None;
        }
        let reached = self.program.reaches(node);
        let mut all = self.facts.inputs.iter();
        let at = all.position(|input| *input.path == **path);
        let at = at.unwrap_or_else(|| {
            self.facts.inputs.push(InputKey {
                path: path.to_string(),
                place: self.place(node),
                ..InputKey::default()
            });
            self.facts.inputs.len() - 1
        });
        let entry = self.facts.inputs.get_mut(at)?;
        entry.reached |= reached;
        Some(entry)
    }

    /// Notes the words that a value of the input is compared with, or the keys of a dict that it is
    /// looked up in.
    pub fn note_compared_words(&mut self, node: Node<'t>, against: Node<'t>) {
        let paths = self.input_paths(node);
        if !paths.is_empty() {
            let words = self.value(against).elements_or_each();
            self.note_words(&paths, &words);
        }
    }

    fn note_words(&mut self, paths: &[Val<'t>], words: &[Val<'t>]) {
        for path in paths {
            let Val::Input(path) = path else { continue };
            let texts = words.iter().filter_map(Val::as_str);
            for text in texts.filter(|text| !path.is_empty() && !text.is_empty()) {
                let known = self.words.entry(path.to_string()).or_default();
                known.insert(text.to_owned());
            }
        }
    }

    /// `match input:` with the keys of its cases, or the words. The environment may be matched, too.
    pub fn note_match(&mut self, node: Node<'t>) {
        let subject = node.field("subject");
        let paths = subject.map_or_else(Vec::new, |subject| self.input_paths(subject));
        for pattern in node.subtree_of("case_pattern") {
            let texts = pattern.subtree_of("string");
            let plain = texts.filter(|text| text.ancestor("dict_pattern").is_none());
            let words: Vec<_> = plain.map(|text| Val::text(text.unquoted())).collect();
            self.note_words(&paths, &words);
        }
        for pattern in node.subtree_of("dict_pattern") {
            let whole = self.matched(pattern, &Ctx::default());
            for key in pattern.fields("key") {
                let name = self.value(key.pattern_value());
                if whole.is_environ() {
                    self.add_reads(key, &EnvLookup::named(name), &Ctx::default());
                } else if name.as_str().is_some() {
                    self.note_key(key, &whole.item(&name), None, false);
                }
            }
        }
    }
}

/// Whether a test of a loop's key leaves out the keys that it names.
fn leaves_out(test: Node<'_>) -> bool {
    let operator = test.operators();
    let is_in = matches!(&*operator, "in" | "==");
    let is_joined = |above: &Node<'_>| {
        above.is("parenthesized_expression") || above.text_of("operator") == "and"
    };
    match test.ancestors().find(|above| !is_joined(above)) {
        Some(holder) if holder.is("if_clause") => matches!(&*operator, "not in" | "!="),
        // `if key in NAMES: continue`
        Some(holder) if holder.is("if_statement") => {
            let last = holder.field_children("consequence").last();
            is_in && last.is_some_and(|last| last.is("continue_statement"))
        }
        _ => false,
    }
}

/// Whether an assignment to a key stands where the key is missing: `if key not in input: …`.
fn is_where_missing(item: Node<'_>, object: Node<'_>, key: Node<'_>) -> bool {
    let (object, key) = (object.text(), normal(key.text()));
    let tests = [
        format!("{key} not in {object}"),
        format!("not {object}.get({key})"),
        format!("{object}.get({key}) is None"),
    ];
    item.steps_up().any(|(child, above)| {
        let condition = above.condition().filter(|_| above.is("if_statement"));
        let test = condition.map(|one| normal(one.without_parentheses().text()));
        child.role() == "consequence" && test.is_some_and(|test| tests.contains(&test))
    })
}
