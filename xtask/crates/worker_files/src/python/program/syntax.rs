//! The only code that knows of tree-sitter's parser: text in, syntax tree out.
//!
//! A file with a syntax error still tells most of what it holds. What tree-sitter gives is copied
//! once into a tree of our own, because the same nodes are asked for their kind and their children
//! many times over, and tree-sitter's own take a while to say.

use indexmap::IndexSet;
use std::num::NonZeroU16;
use std::ops::{ControlFlow, Range};
use std::sync::LazyLock;

use tree_sitter::{Language, ParseOptions, Parser, TreeCursor};

use super::node::Node;

/// The grammar; what its kinds and parts are called lives as long as it does.
static PYTHON: LazyLock<Language> = LazyLock::new(|| tree_sitter_python::LANGUAGE.into());

/// How often the parser may report progress before it is stopped. It reports every hundred or so
/// operations, so that this is many times what a file of the largest size takes when it is
/// Python, and ends one that is made to be slow.
const PATIENCE: usize = 200_000;

/// How many levels of indentation the parser's scanner has room for: it keeps its state in 1,024
/// bytes, of which open strings take up to 257 and each level two, and it ends the whole program
/// where they don't suffice.
const MOST_LEVELS: usize = 380;

/// The deepest nesting that is read: code that looks around a node walks this far.
const DEEPEST: usize = 400;

/// A file's syntax tree: named nodes and fields, without comments.
#[derive(Debug, Default)]
pub struct Syntax<'s> {
    /// The file's number among those that are read together.
    pub file: u32,
    pub text: &'s str,
    /// In the order of the text; each node knows its first child and its next sibling.
    pub nodes: Vec<Data>,
    /// Syntax errors.
    pub errors: Vec<Range<usize>>,
    depth: usize,
}

#[derive(Debug)]
pub struct Data {
    pub kind: &'static str,
    /// Its field in the parent, empty for none.
    pub part: &'static str,
    pub is_named: bool,
    pub start: u32,
    pub end: u32,
    pub parent: u32,
    /// The scope in which its names are looked up.
    pub scope: u32,
    pub first_child: u32,
    pub next: u32,
}

/// No node: the root is nobody's child.
pub const NONE: u32 = 0;

impl<'s> Syntax<'s> {
    pub fn node(&'s self, at: usize) -> Node<'s> {
        let at = u32::try_from(at).unwrap_or_default();
        Node { syntax: self, at }
    }

    pub fn root(&'s self) -> Node<'s> {
        self.node(0)
    }

    /// Every node, in the order of the text.
    pub fn nodes(&'s self) -> impl Iterator<Item = Node<'s>> {
        (0..self.nodes.len()).map(|at| self.node(at))
    }

    /// Copies the tree below the cursor.
    fn copied(mut cursor: TreeCursor<'_>, text: &'s str) -> Self {
        let mut syntax = Self {
            text,
            ..Self::default()
        };
        syntax.look_for_error(cursor.node());
        syntax.push(cursor.node(), None, NONE);
        // The parents of the present node, each with the last child that was seen.
        let mut above: Vec<(u32, u32)> = vec![(0, NONE)];
        if !cursor.goto_first_child() {
            return syntax;
        }
        loop {
            let node = cursor.node();
            syntax.look_for_error(node);
            let field = cursor.field_id();
            if field.is_some() || node.is_named() && node.kind() != "comment" {
                let parent = above.last().map_or(NONE, |(parent, _)| *parent);
                let at = syntax.push(node, field, parent);
                if let Some((parent, last)) = above.last_mut() {
                    let link = if *last == NONE {
                        &mut syntax.nodes[*parent as usize].first_child
                    } else {
                        &mut syntax.nodes[*last as usize].next
                    };
                    *link = at;
                    *last = at;
                }
                if cursor.goto_first_child() {
                    above.push((at, NONE));
                    syntax.depth = syntax.depth.max(above.len());
                    continue;
                }
            }
            while !cursor.goto_next_sibling() {
                above.pop();
                if above.is_empty() || !cursor.goto_parent() {
                    return syntax;
                }
            }
        }
    }

    fn look_for_error(&mut self, node: tree_sitter::Node<'_>) {
        const MOST: usize = 100;
        if self.errors.len() < MOST && (node.is_error() || node.is_missing()) {
            self.errors.push(node.byte_range());
        }
    }

    fn push(&mut self, node: tree_sitter::Node<'_>, field: Option<NonZeroU16>, parent: u32) -> u32 {
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let part = field.and_then(|id| PYTHON.field_name_for_id(id.get()));
        let part = part.unwrap_or_default();
        let scope = match self.nodes.get(parent as usize) {
            // Defaults, annotations and base classes are what is around a definition.
            Some(above) if is_scope(above.kind, part) => parent,
            Some(above) => above.scope,
            None => NONE,
        };
        self.nodes.push(Data {
            kind: PYTHON.node_kind_for_id(node.kind_id()).unwrap_or_default(),
            part,
            is_named: node.is_named(),
            start: small(node.start_byte()),
            end: small(node.end_byte()),
            parent,
            scope,
            first_child: NONE,
            next: NONE,
        });
        small(self.nodes.len() - 1)
    }
}

/// Whether a node of this kind is a scope for that field.
fn is_scope(kind: &str, part: &str) -> bool {
    match kind {
        "function_definition" | "class_definition" => part == "body",
        "lambda" | "module" | "generator_expression" => true,
        kind => kind.ends_with("_comprehension"),
    }
}

/// Parses files on all cores: parsing is half of the time that reading takes.
pub fn parse_all<'s>(texts: &[&'s str]) -> Vec<Result<Syntax<'s>, &'static str>> {
    const FEW: usize = 32;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = texts.len().div_ceil(cores).max(FEW);
    let some = |texts: &[&'s str]| texts.iter().map(|text| parse(text)).collect::<Vec<_>>();
    std::thread::scope(|scope| {
        let parts: Vec<_> = texts
            .chunks(share)
            .map(|part| scope.spawn(move || some(part)))
            .collect();
        let parts = parts.into_iter().map(std::thread::ScopedJoinHandle::join);
        parts
            .flat_map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// Parses Python, or says why not.
pub fn parse(text: &str) -> Result<Syntax<'_>, &'static str> {
    // Counting is slow, and a line adds two levels at most: short files need no count.
    let mut lines = memchr::memchr2_iter(b'\n', 0, text.as_bytes());
    if lines.nth(MOST_LEVELS / 2 - 1).is_some() && levels(text) > MOST_LEVELS {
        return Err("not read: its lines are indented in more ways than those of a program are");
    }
    let syntax = tree(text).ok_or("the parser gave up on this file")?;
    if syntax.depth > DEEPEST {
        return Err("not read: it is nested deeper than programs are");
    }
    Ok(syntax)
}

/// An upper bound of the levels that the scanner counts at once: each level is wider than the one
/// around it, so there are at most as many as there are different indentations.
fn levels(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut widths: IndexSet<u16> = IndexSet::new();
    let mut continued = 0;
    let ends = memchr::memchr2_iter(b'\n', 0, bytes).map(|end| end + 1);
    for start in std::iter::once(0).chain(ends) {
        let mut width = 0u16;
        for (at, byte) in bytes[start..].iter().enumerate() {
            match byte {
                b' ' => width = width.wrapping_add(1),
                b'\t' => width = width.wrapping_add(8),
                b'\r' | b'\x0c' => width = 0,
                // Nothing but a continuation: the next line's indentation adds to this one's.
                b'\\' => {
                    let rest = &bytes[start + at + 1..];
                    let rest = rest.strip_prefix(b"\r").unwrap_or(rest);
                    continued += usize::from(matches!(rest.first(), None | Some(b'\n' | 0)));
                    break;
                }
                _ => break,
            }
        }
        widths.insert(width);
    }
    widths.len() + continued
}

fn tree(text: &str) -> Option<Syntax<'_>> {
    let mut parser = Parser::new();
    parser.set_language(&PYTHON).ok()?;
    let bytes = text.as_bytes();
    let mut steps = 0usize;
    let mut stop = |_: &tree_sitter::ParseState| {
        steps += 1;
        match steps > PATIENCE {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    };
    let options = ParseOptions::new().progress_callback(&mut stop);
    let tree = parser.parse_with_options(
        &mut |at, _| bytes.get(at..).unwrap_or_default(),
        None,
        Some(options),
    )?;
    Some(Syntax::copied(tree.walk(), text))
}
