//! The only code that knows of tree-sitter's parser: text in, syntax tree out.
//!
//! tree-sitter reads whatever it is given and marks what it could not make sense of, so that a
//! file with a syntax error still tells most of what it holds. Its trees are walked with cursors
//! and to a limited depth, because source text from outside decides how deep they are.

use std::collections::HashSet;
use std::ops::ControlFlow;

pub use tree_sitter::Node;
use tree_sitter::{ParseOptions, Parser, Tree};

/// How often the parser may report progress before it is stopped. It reports every hundred or so
/// operations, so that this is many times what a file of the largest size takes when it is
/// Python, and ends one that is made to be slow.
const PATIENCE: usize = 200_000;

/// How many levels of indentation the parser's scanner has room for: it keeps its state in 1,024
/// bytes, of which open strings take up to 257 and each level two, and it ends the whole program
/// where they don't suffice.
const MOST_LEVELS: usize = 380;

/// Parses Python, or says why not.
pub fn parse(text: &str) -> Result<Tree, &'static str> {
    if levels(text) > MOST_LEVELS {
        return Err("not read: its lines are indented in more ways than those of a program are");
    }
    tree(text).ok_or("the parser gave up on this file")
}

/// No fewer levels than the scanner can count at once: they grow from one to the next, so that
/// there are no more of them than there are different indentations.
fn levels(text: &str) -> usize {
    let mut widths: HashSet<u16> = HashSet::new();
    let mut continued = 0;
    for line in text.split(['\n', '\0']) {
        let mut width = 0u16;
        for (at, byte) in line.bytes().enumerate() {
            match byte {
                b' ' => width = width.wrapping_add(1),
                b'\t' => width = width.wrapping_add(8),
                b'\r' | b'\x0c' => width = 0,
                // Nothing but a continuation: the next line's indentation adds to this one's.
                b'\\' if line[at + 1..].trim_end_matches('\r').is_empty() => {
                    continued += 1;
                    break;
                }
                _ => break,
            }
        }
        widths.insert(width);
    }
    widths.len() + continued
}

fn tree(text: &str) -> Option<Tree> {
    let mut parser = Parser::new();
    parser
        .set_language(&tree_sitter_python::LANGUAGE.into())
        .ok()?;
    let bytes = text.as_bytes();
    let mut steps = 0usize;
    let mut stop = |_: &tree_sitter::ParseState| {
        steps += 1;
        if steps > PATIENCE {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let options = ParseOptions::new().progress_callback(&mut stop);
    parser.parse_with_options(
        &mut |at, _| bytes.get(at..).unwrap_or_default(),
        None,
        Some(options),
    )
}

/// The named children of a node, comments left out.
pub fn children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor)
        .filter(|child| child.kind() != "comment")
        .collect()
}

/// The child that plays a part in its parent.
pub fn field<'t>(node: Node<'t>, name: &str) -> Option<Node<'t>> {
    node.child_by_field_name(name)
}

/// The first place that is no Python, found without recursion.
pub fn first_error(root: Node<'_>) -> Option<Node<'_>> {
    if !root.has_error() {
        return None;
    }
    let mut cursor = root.walk();
    loop {
        let node = cursor.node();
        if node.is_error() || node.is_missing() {
            return Some(node);
        }
        if node.has_error() && cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return None;
            }
        }
    }
}
