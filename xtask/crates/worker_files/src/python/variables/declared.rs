//! What a file declares in plain lists. A table names itself as the environment's interface:
//! `ENVIRONMENT_INTERFACE = TABLE`, where `TABLE` holds `Setting("NAME", "default", …)` or
//! `("NAME", "default", …)` for each variable. A third text `command line` says that its words are
//! arguments of the server's command.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::python::program::node::Node;
use crate::python::program::syntax::{self, Syntax};
use crate::{EnvRead, Hides, Source, Unread};

const MARK: &str = "ENVIRONMENT_INTERFACE";
const PASSED: &str = "command line";

/// The variables that a module declares in this way, as the worker reads them, and into `passed`
/// those whose words the server gets.
pub fn reads(
    source: &Source,
    syntax: &Syntax<'_>,
    passed: &mut BTreeSet<String>,
    unread: &mut Vec<Unread>,
) -> Vec<EnvRead> {
    let Some(mut table) = assigned(syntax, MARK) else {
        return Vec::new();
    };
    if table.is("identifier") {
        table = assigned(syntax, table.text()).unwrap_or(table);
    }
    if !table.is_any("tuple list") {
        let what = "the environment's interface is declared here in a form that is not known";
        unread.push(source.unread(table.range(), what, &[Hides::Variables]));
        return Vec::new();
    }
    let mut found = Vec::new();
    for row in table.children().filter(|node| node.kind() != "comment") {
        let cells = row.field("arguments").unwrap_or(row);
        let mut texts = cells.children().map_while(plain_text);
        match texts.next() {
            Some((name, range)) => {
                let default = texts.next().map(|(text, _)| text);
                if texts.next().is_some_and(|(kind, _)| kind == PASSED) {
                    passed.insert(name.clone());
                }
                found.push(EnvRead {
                    by_table: true,
                    ..EnvRead::new(name, default, source.place(range))
                });
            }
            None => unread.push(source.unread(
                row.range(),
                "the name of this environment variable is not a plain text",
                &[Hides::Variables],
            )),
        }
    }
    found
}

/// What the module assigns to a name at its top level.
fn assigned<'t>(syntax: &'t Syntax<'t>, name: &str) -> Option<Node<'t>> {
    let statements = syntax.root().children();
    let nodes = statements.filter_map(|statement| statement.child(0));
    let mut sets = nodes.filter(|node| node.is("assignment") && node.text_of("left") == name);
    sets.find_map(|node| node.field("right"))
}

/// The content of a string literal without anything computed, and where it stands.
fn plain_text(node: Node<'_>) -> Option<(String, Range<usize>)> {
    let computed = node.children().any(|part| part.is("interpolation"));
    let content = node.string_content();
    (node.is("string") && !computed).then(|| {
        let text = content.map_or("", Node::text).to_owned();
        (text, content.unwrap_or(node).range())
    })
}

/// A list of strings that a call takes under a name, as `install_requires=[…]` is one.
pub struct StringList {
    pub range: Range<usize>,
    /// Each with the place of its content.
    pub strings: Vec<(String, Range<usize>)>,
    /// Whether it holds nothing else.
    pub is_whole: bool,
}

/// What a file's calls and dictionaries give for a name. A value that is a name itself is looked
/// up at the file's top level.
pub fn string_lists(text: &str, name: &str) -> Vec<StringList> {
    let Ok(syntax) = syntax::parse(text) else {
        return Vec::new();
    };
    let holders = syntax.nodes().filter(|node| match node.kind() {
        "keyword_argument" => node.text_of("name") == name,
        "pair" => node.field("key").is_some_and(|key| key.unquoted() == name),
        _ => false,
    });
    let lists = holders.filter_map(|node| {
        let value = node.field("value")?;
        let named = (value.is("identifier")).then(|| assigned(&syntax, value.text()));
        let value = named.flatten().unwrap_or(value);
        let is_list = value.is_any("list tuple");
        let items: Vec<Node> = value.children().filter(|_| is_list).collect();
        let strings: Vec<_> = items.iter().filter_map(|item| plain_text(*item)).collect();
        Some(StringList {
            range: node.range(),
            is_whole: is_list && strings.len() == items.len(),
            strings,
        })
    });
    lists.collect()
}
