//! The statements of a file, one by one, so that a fork's own code can be looked for elsewhere.

use super::code_text::normal;
use super::node::{Node, is_among};
use super::syntax::{self};
use crate::{Place, Source};

/// A simple statement, or the first line of a compound one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The function that it stands in or defines: `Engine.start`, empty at the file's top level.
    pub function: String,
    /// Its text as a formatter would leave it: see [`normal`].
    pub text: String,
    pub place: Place,
    /// Its last line, from 1.
    pub last_line: usize,
}

/// The statements that do something, functions with their parameters and decorators: no imports,
/// docstrings, classes and `pass`. A file that is not Python has none; the reader says so.
pub fn statements(source: &Source) -> Vec<Statement> {
    let Ok(syntax) = syntax::parse(&source.text) else {
        return Vec::new();
    };
    let statement = |node: Node<'_>| {
        let range = node.range().start..end(node)?;
        let text = source.text.get(range.clone())?;
        Some(Statement {
            function: function(node),
            text: normal(text),
            last_line: source.place(range.start..range.start).line + text.matches('\n').count(),
            place: source.place(range),
        })
    };
    syntax.nodes().filter_map(statement).collect()
}

/// Where a statement ends, or the line of a compound one; `None` for anything else.
fn end(node: Node<'_>) -> Option<usize> {
    const COMPOUND: &str = "if_statement elif_clause for_statement while_statement with_statement \
        except_clause case_clause function_definition";
    const SIMPLE: &str = "expression_statement decorator return_statement raise_statement \
        delete_statement assert_statement break_statement continue_statement";
    match node.kind() {
        kind if is_among(COMPOUND, kind) => {
            let line = node.children().take_while(|child| child.kind() != "block");
            Some(line.last()?.range().end)
        }
        "expression_statement" if node.child(0)?.is("string") => None,
        kind => is_among(SIMPLE, kind).then(|| node.range().end),
    }
}

fn function(node: Node<'_>) -> String {
    let around = std::iter::once(node).chain(node.ancestors());
    let around = around.filter(|above| above.is_any("function_definition class_definition"));
    let mut names: Vec<&str> = around.map(|above| above.text_of("name")).collect();
    names.reverse();
    names.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_told_without_their_format() {
        let text = "import os\n\n\nclass A:\n    '''No.'''\n\n    def go(self, x):\n        # why\n        if x and \\\n                x > 1:\n            return call(\n                x,\n                'a',\n            )\n        for y in x: print(y)\n        while x:\n            break\n        pass\n\n\ntry:\n    A().go(1)\nexcept (ValueError, KeyError) as e:\n    raise\n";
        let found = statements(&Source::new("a.py".into(), text.as_bytes()));
        let told: Vec<String> = found
            .iter()
            .map(|one| {
                let lines = (one.place.line, one.last_line);
                format!("{} {lines:?} {}", one.function, one.text)
            })
            .collect();
        assert_eq!(
            told,
            [
                "A.go (7, 7) def go(self, x)",
                "A.go (9, 10) if x and x > 1",
                "A.go (11, 14) return call(x, \"a\")",
                "A.go (15, 15) for y in x",
                "A.go (15, 15) print(y)",
                "A.go (16, 16) while x",
                "A.go (17, 17) break",
                " (22, 22) A().go(1)",
                " (23, 23) except (ValueError, KeyError) as e",
                " (24, 24) raise",
            ]
        );
    }
}
