//! YAML with the place of every value, so that a file can be edited where it needs it and stay as
//! it is elsewhere.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle};

/// The first document of a YAML file.
pub struct Yaml {
    nodes: Vec<Node>,
    root: Option<usize>,
}

/// A value. Collections hold the numbers of their members; an alias is the number of what it
/// stands for.
#[derive(Debug)]
pub enum Node {
    Scalar {
        value: String,
        /// In bytes, with the quotes.
        span: Range<usize>,
        /// The quote that surrounds it, if any; `|` for block scalars.
        style: char,
    },
    Sequence(Vec<usize>),
    Mapping(Vec<(usize, usize)>),
}

/// Why a text is no YAML that can be worked with.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    pub offset: usize,
    pub what: String,
}

impl Yaml {
    pub fn parse(text: &str) -> Result<Self, Fault> {
        // The parser counts characters.
        let mut offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        offsets.push(text.len());
        let offset = |index: usize| offsets.get(index).copied().unwrap_or(text.len());
        let mut yaml = Self {
            nodes: Vec::new(),
            root: None,
        };
        let mut anchors: HashMap<usize, usize> = HashMap::new();
        let mut open: Vec<(usize, Vec<usize>)> = Vec::new();
        let mut documents = 0;
        let mut parser = Parser::new_from_str(text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| Fault {
                offset: offset(error.marker().index()),
                what: error.info().to_owned(),
            })?;
            let start = offset(span.start.index());
            let fault = |what: &str| {
                Err(Fault {
                    offset: start,
                    what: what.to_owned(),
                })
            };
            let (anchor, node) = match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        return fault("a second document");
                    }
                    continue;
                }
                Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                    if open.len() > 200 {
                        return fault("more than 200 levels of nesting");
                    }
                    open.push((anchor, Vec::new()));
                    continue;
                }
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {
                    continue;
                }
                Event::Alias(anchor) => {
                    let Some(&id) = anchors.get(&anchor) else {
                        return fault("an alias inside of what it stands for");
                    };
                    yaml.place(id, &mut open);
                    continue;
                }
                Event::Scalar(value, style, anchor, _) => {
                    let style = match style {
                        ScalarStyle::Plain => ' ',
                        ScalarStyle::SingleQuoted => '\'',
                        ScalarStyle::DoubleQuoted => '"',
                        ScalarStyle::Literal | ScalarStyle::Folded => '|',
                    };
                    let node = Node::Scalar {
                        value: value.into_owned(),
                        span: start..offset(span.end.index()),
                        style,
                    };
                    (anchor, node)
                }
                end @ (Event::SequenceEnd | Event::MappingEnd) => {
                    let Some((anchor, members)) = open.pop() else {
                        continue;
                    };
                    let pairs = members.chunks_exact(2).map(|pair| (pair[0], pair[1]));
                    let node = match end {
                        Event::MappingEnd => Node::Mapping(pairs.collect()),
                        _ => Node::Sequence(members),
                    };
                    (anchor, node)
                }
            };
            yaml.nodes.push(node);
            let id = yaml.nodes.len() - 1;
            anchors.insert(anchor, id);
            yaml.place(id, &mut open);
        }
        Ok(yaml)
    }

    /// A value is a member of what is open, or the root.
    fn place(&mut self, id: usize, open: &mut [(usize, Vec<usize>)]) {
        match open.last_mut() {
            Some((_, members)) => members.push(id),
            None => self.root = Some(id),
        }
    }

    pub fn root(&self) -> Option<usize> {
        self.root
    }

    pub fn node(&self, id: usize) -> &Node {
        &self.nodes[id]
    }

    /// All values, in the order in which they end.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }

    pub fn text(&self, id: usize) -> Option<&str> {
        match self.node(id) {
            Node::Scalar { value, .. } => Some(value),
            _ => None,
        }
    }

    /// Where a scalar stands; the start of the file for anything else.
    pub fn span(&self, id: usize) -> Range<usize> {
        match self.node(id) {
            Node::Scalar { span, .. } => span.clone(),
            _ => 0..0,
        }
    }

    /// Members of a sequence; none for anything else.
    pub fn members(&self, id: usize) -> &[usize] {
        match self.node(id) {
            Node::Sequence(members) => members,
            _ => &[],
        }
    }

    /// Keys and values of a mapping; its own win over those that `<<` merges in. A file may be made
    /// to unfold to any size: where nothing is left of `budget`, more may be to come.
    pub fn merged(&self, id: usize, budget: &mut usize) -> Vec<(usize, usize)> {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        let mut found = Vec::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            let Node::Mapping(pairs) = self.node(id) else {
                continue;
            };
            for &(key, value) in pairs {
                if *budget == 0 {
                    return found;
                }
                *budget -= 1;
                let name = self.text(key);
                if name == Some("<<") {
                    open.push(value);
                    open.extend(self.members(value));
                } else if name.is_none_or(|name| names.insert(name)) {
                    found.push((key, value));
                }
            }
        }
        found
    }

    /// Pairs of a mapping, those merged in with `<<` included; none for anything else.
    pub fn pairs(&self, id: usize) -> Vec<(&str, usize)> {
        let pairs = self.merged(id, &mut 10_000).into_iter();
        pairs
            .filter_map(|(key, value)| Some((self.text(key)?, value)))
            .collect()
    }

    pub fn get(&self, id: usize, key: &str) -> Option<usize> {
        let mut pairs = self.pairs(id).into_iter();
        pairs.find(|(name, _)| *name == key).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bytes_even_behind_other_scripts() {
        let text = "# größe ✓\na: &x\n  b: 'ü'\nc: [\"d\", *x]\n";
        let yaml = Yaml::parse(text).unwrap();
        let root = yaml.root().unwrap();
        let a = yaml.get(root, "a").unwrap();
        let Node::Scalar { span, style, .. } = yaml.node(yaml.get(a, "b").unwrap()) else {
            panic!("no scalar");
        };
        assert_eq!((&text[span.clone()], *style), ("'ü'", '\''));
        let c = yaml.members(yaml.get(root, "c").unwrap());
        assert_eq!(c[1], a);
        let Node::Scalar { span, .. } = yaml.node(c[0]) else {
            panic!("no scalar");
        };
        assert_eq!(&text[span.clone()], "\"d\"");
    }

    #[test]
    fn merged_keys_are_seen() {
        let yaml = Yaml::parse("x: &x {a: 1}\ny:\n  <<: *x\n  b: 2\n").unwrap();
        let y = yaml.get(yaml.root().unwrap(), "y").unwrap();
        assert_eq!(yaml.pairs(y).len(), 2);
    }

    #[test]
    fn faults_are_told_not_guessed() {
        assert!(Yaml::parse("a: [").is_err());
        assert!(Yaml::parse("a: 1\n---\nb: 2\n").is_err());
        assert!(Yaml::parse("a: &a [*a]\n").is_err());
        assert!(Yaml::parse(&"[".repeat(100_000)).is_err());
    }
}
