//! Expressions as text: a constant as it is, a computed value as its source text with a fingerprint
//! of the definitions and data that it depends on.

use std::ops::Range;

use super::eval::Reader;
use super::value::Val;
use crate::COMPUTED;
use crate::python::program::code_text::normal;
use crate::python::program::node::{Node, is_among};
use crate::python::program::scope::{Binding, Bound};

impl<'t> Reader<'t> {
    /// The value of an expression as text.
    pub fn display_or_source(&mut self, node: Node<'t>) -> String {
        let value = self.value(node);
        value.display().unwrap_or_else(|| self.fingerprinted(node))
    }

    /// The source text of a computed value, with a hash of what it depends on: functions and values
    /// of the program, and data files.
    pub fn fingerprinted(&self, at: Node<'t>) -> String {
        let at = self.written(at);
        let text = self.canonical(at);
        let from = self.depends_on(at);
        if from.is_empty() {
            return text;
        }
        let mark = self.mark_of(at, &from);
        format!("{text}{COMPUTED}{mark})")
    }

    /// The source text of code, without what says nothing of what it does: its format, comments,
    /// types, and how functions name what is theirs alone.
    fn canonical(&self, at: Node<'t>) -> String {
        let mut names: Vec<(&str, String)> = Vec::new();
        let mut edits: Vec<(Range<usize>, String)> = Vec::new();
        for node in at.subtree() {
            let range = node.range();
            let free = edits.last().map_or(at.range().start, |(last, _)| last.end);
            if range.start < free {
                continue;
            }
            if let Some(start) = left_out_from(node) {
                // A damaged tree may have a type before what it is the type of.
                edits.push((start.clamp(free, range.end)..range.end, String::new()));
            } else if node.is("identifier")
                && let Some(word) = self.local_name(node)
            {
                let of_word = names.iter().filter(|(_, own)| *own == word);
                let (known, count) = (
                    of_word.clone().position(|(name, _)| *name == node.text()),
                    of_word.count(),
                );
                if known.is_none() {
                    names.push((node.text(), word.clone()));
                }
                // Several variables of one kind are told apart.
                let number = known.unwrap_or(count);
                let word = match number {
                    0 => word,
                    number => format!("{word}__{number}"),
                };
                edits.push((range, word));
            }
        }
        let mut text = at.text().to_owned();
        let start = at.range().start;
        for (range, new) in edits.into_iter().rev() {
            text.replace_range(range.start - start..range.end - start, &new);
        }
        normal(&text).replace("os.environ.get(", "os.getenv(")
    }

    /// What a name is called that a function gives itself: a parameter by its place, any other by
    /// what it takes of its definition, which the fingerprint holds. Without a definition a name is
    /// all that tells one variable from another.
    fn local_name(&self, node: Node<'t>) -> Option<String> {
        let is_part = node.role() == "attribute"
            || node.role() == "name" && node.parent().is_some_and(|it| !it.is("named_expression"));
        let name = node.text();
        if is_part || is_among("self cls", name) {
            return None;
        }
        let (scope, bindings) = self.program.lookup(node, name)?;
        if let [only] = bindings
            && matches!(only.what, Bound::Parameter(_))
        {
            let mut all = scope.field_children("parameters");
            let is_it = |one: Node<'t>| one.subtree().any(|part| part.text() == name);
            return all.position(is_it).map(|place| format!("argument_{place}"));
        }
        let is_local = scope.is_any("function_definition lambda") || scope.is_comprehension();
        let is_element = |one: &Binding<'t>| matches!(one.what, Bound::Element(_));
        let is_defined = |one: &Binding<'t>| {
            !matches!(one.what, Bound::Function(_) | Bound::Class(_))
                && node_of(&one.what).is_some()
        };
        if !(is_local || bindings.iter().all(is_element)) || !bindings.iter().all(is_defined) {
            return None;
        }
        let mut word = "value".to_owned();
        for part in bindings.iter().flat_map(|one| &one.path) {
            word += &format!("_{part}");
        }
        Some(word)
    }

    /// A hash of a part of the program and what it depends on.
    pub fn mark(&self, at: Node<'t>) -> String {
        let mut all = self.depends_on(at);
        all.push(at);
        self.mark_of(at, &all)
    }

    /// The functions and values of the program that an expression depends on.
    fn depends_on(&self, at: Node<'t>) -> Vec<Node<'t>> {
        const MOST: usize = 40;
        let mut todo = vec![at];
        let mut from: Vec<Node<'t>> = Vec::new();
        while let Some(node) = todo.pop() {
            let is_name = |n: &Node<'t>| n.is("identifier") && n.role() != "attribute";
            let names = node.subtree().filter(is_name);
            let members = node.subtree_of("attribute");
            let members = members.flat_map(|member| self.bound_in_module(member));
            let bound = names.flat_map(|name| self.bound_nodes(name)).chain(members);
            let bound = bound.flat_map(|bound| self.relevant_parts(bound, at));
            for bound in bound.collect::<Vec<_>>() {
                if from.len() < MOST && bound != at && !from.contains(&bound) {
                    from.push(bound);
                    todo.push(bound);
                }
            }
        }
        from
    }

    fn mark_of(&self, at: Node<'t>, from: &[Node<'t>]) -> String {
        let source = &self.program.files[at.file()].source.text;
        let named = |path: &String| source.contains(path.rsplit('/').next().unwrap_or(path));
        let data = self.data.iter().filter(|(path, _)| named(path));
        let data = data.map(|(_, source)| source.text.clone());
        let all = from.iter().map(|node| self.canonical(*node)).chain(data);
        // FNV-1a, which is the same in every version of this tool.
        let all = all.collect::<Vec<_>>().join("\n");
        let mark = all.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        format!("{:04x}", mark & 0xffff)
    }

    /// An expression without its parentheses; of a variable that is set once in its function, what it
    /// is set to.
    pub fn written(&self, at: Node<'t>) -> Node<'t> {
        const MOST: usize = 8;
        let set = |at: &Node<'t>| {
            let (scope, bindings) = self
                .program
                .lookup(*at, at.text())
                .filter(|_| at.is("identifier"))?;
            match bindings {
                [only] if scope.is("function_definition") => only.whole_value(),
                _ => None,
            }
        };
        let mut all = std::iter::successors(Some(at.without_parentheses()), |at| {
            set(at).map(Node::without_parentheses)
        });
        all.by_ref().take(MOST).last().unwrap_or(at)
    }

    /// Of a class only what sets the attributes that an expression mentions, where that is known.
    fn relevant_parts(&self, bound: Node<'t>, at: Node<'t>) -> Vec<Node<'t>> {
        let attributes = at.subtree_of("attribute");
        let names = attributes.map(|node| node.text_of("attribute"));
        let sets = names.flat_map(|name| self.program.attribute(&[bound], name).0);
        let sets: Vec<Node<'t>> = sets.map(|(value, _)| value).collect();
        if bound.is("class_definition") && !sets.is_empty() {
            return sets;
        }
        vec![bound]
    }

    /// The expressions and definitions that a name is bound to.
    fn bound_nodes(&self, name: Node<'t>) -> Vec<Node<'t>> {
        let Some((scope, name)) = self.program.variable(name) else {
            return Vec::new();
        };
        let bindings = self.program.bound_in(scope, name).unwrap_or_default();
        let bindings = bindings.iter();
        bindings.filter_map(|one| node_of(&one.what)).collect()
    }

    /// What a name of a module is bound to: `config.NAME`.
    fn bound_in_module(&self, attribute: Node<'t>) -> Vec<Node<'t>> {
        let module = self
            .program
            .owner(attribute)
            .filter(|of| !of.is("class_definition"));
        let name = attribute.text_of("attribute");
        let bindings = module.and_then(|module| self.program.bound_in(module, name));
        let bindings = bindings.into_iter().flatten();
        bindings.filter_map(|one| node_of(&one.what)).collect()
    }

    /// What a name or an attribute is set to.
    pub fn definitions_of(&mut self, name: Node<'t>) -> Vec<Node<'t>> {
        if name.is("identifier") && name.role() != "attribute" {
            return self.bound_nodes(name);
        }
        let owners = match name.field("object").map(|own| self.value(own)) {
            Some(Val::Module(file)) => vec![self.program.files[file].syntax.root()],
            Some(Val::Class(class) | Val::Object(class, _)) => self.family(class),
            _ => return Vec::new(),
        };
        let name = name.text_of("attribute");
        let (sets, _) = self.program.attribute(&owners, name);
        let owners = owners.iter();
        let bindings = owners.filter_map(|own| self.program.bound_in(*own, name));
        let bound = bindings.flatten().filter_map(|one| node_of(&one.what));
        let sets = sets.into_iter().map(|(value, _)| value);
        sets.chain(bound).collect()
    }
}

/// Where a type or the text about a function begins.
fn left_out_from(node: Node<'_>) -> Option<usize> {
    let parent = node.parent();
    let is_text = node.is("expression_statement") && node.child(0)?.is("string");
    match node.kind() {
        "type" if node.role() == "return_type" => Some(parent?.field("parameters")?.range().end),
        "type" => Some(parent?.child(0)?.range().end),
        _ => (is_text && node.child(1).is_none()).then(|| node.range().start),
    }
}

fn node_of<'t>(what: &Bound<'t>) -> Option<Node<'t>> {
    match what {
        Bound::Value(node) | Bound::Function(node) | Bound::Class(node) => Some(*node),
        Bound::Element(owner) => owner.field("right"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::WorkerInterface;
    use xtask_core::tree::Memory;

    /// Fuzzing found it: in a damaged tree a type ends before what it belongs to.
    #[test]
    fn a_damaged_tree_is_told_without_leaving_the_text() {
        let text = "class B''os.getenv(',f()*w)def f(e job):s=[g in job:a";
        let tree = Memory::new().with("x.py", text);
        assert!(WorkerInterface::read(&tree).is_ok());
    }
}
