//! What comes of a text: values with their places, and what a strict parser refuses.

use super::Span;
use crate::source::{Place, Source, one_line};

#[derive(Debug, Clone, PartialEq)]
pub struct JsonNode {
    pub span: Span,
    pub kind: JsonKind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum JsonKind {
    Null,
    Bool(bool),
    Number(String),
    /// With its escapes resolved.
    String(String),
    Array(Vec<JsonNode>),
    Object(Vec<Member>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    pub key: String,
    /// Where the key stands, quotes included.
    pub key_span: Span,
    pub value: JsonNode,
}

impl Member {
    pub fn new(key: impl Into<String>, key_span: Span, value: JsonNode) -> Self {
        let key = key.into();
        Self {
            key,
            key_span,
            value,
        }
    }

    /// Where the key stands.
    pub fn place(&self, source: &Source) -> Place {
        source.place(self.key_span.clone())
    }
}

impl JsonNode {
    pub fn new(span: Span, kind: JsonKind) -> Self {
        Self { span, kind }
    }

    pub fn place(&self, source: &Source) -> Place {
        source.place(self.span.clone())
    }

    /// As it is written, in one line.
    pub fn written(&self, source: &Source) -> String {
        one_line(&source.text[self.span.clone()])
    }

    /// The value of a key; of several, the last, as every reader takes it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.member(key).map(|member| &member.value)
    }

    pub fn member(&self, key: &str) -> Option<&Member> {
        self.members().iter().rfind(|member| member.key == key)
    }

    pub fn members(&self) -> &[Member] {
        match &self.kind {
            JsonKind::Object(members) => members,
            _ => &[],
        }
    }

    /// The values of an object.
    pub fn values(&self) -> impl Iterator<Item = &Self> {
        self.members().iter().map(|member| &member.value)
    }

    pub fn items(&self) -> &[Self] {
        match &self.kind {
            JsonKind::Array(items) => items,
            _ => &[],
        }
    }

    /// The values at paths of keys: `*` is each value of an object, `[]` each item of an array.
    pub fn all<'n>(&'n self, paths: &str) -> Vec<&'n Self> {
        let inside = |nodes: Vec<&'n Self>, key: &str| match key {
            "*" => nodes.into_iter().flat_map(Self::values).collect(),
            "[]" => nodes.into_iter().flat_map(Self::items).collect(),
            key => nodes.into_iter().filter_map(|node| node.get(key)).collect(),
        };
        let paths = paths.split(", ");
        let found = paths.flat_map(|path| path.split(' ').fold(vec![self], inside));
        found.collect()
    }

    /// The value of a key; `null` where there is none.
    pub fn at(&self, key: &str) -> &Self {
        static NULL: JsonNode = JsonNode {
            span: 0..0,
            kind: JsonKind::Null,
        };
        self.get(key).unwrap_or(&NULL)
    }

    pub fn list(&self, key: &str) -> &[Self] {
        self.at(key).items()
    }

    /// The members of the object at a key; nothing where there is none.
    pub fn object(&self, key: &str) -> &[Member] {
        self.at(key).members()
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.at(key).as_str()
    }

    pub fn is_true(&self, key: &str) -> bool {
        self.at(key).kind == JsonKind::Bool(true)
    }

    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            JsonKind::String(text) => Some(text),
            _ => None,
        }
    }

    /// A string, number or boolean as text; `None` for anything else, `null` included.
    pub fn scalar(&self) -> Option<String> {
        match &self.kind {
            JsonKind::String(text) | JsonKind::Number(text) => Some(text.clone()),
            JsonKind::Bool(value) => Some(value.to_string()),
            _ => None,
        }
    }

    pub fn as_f64(&self) -> Option<f64> {
        match &self.kind {
            JsonKind::Number(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// What it is, with its article: "a string", "an array".
    pub fn what(&self) -> &'static str {
        match &self.kind {
            JsonKind::Null => "null",
            JsonKind::Bool(_) => "a boolean",
            JsonKind::Number(_) => "a number",
            JsonKind::String(_) => "a string",
            JsonKind::Array(_) => "an array",
            JsonKind::Object(_) => "an object",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parsed {
    /// The value, where the text could be read to its end.
    pub root: Option<JsonNode>,
    /// What a strict parser refuses, in the order of the text.
    pub problems: Vec<Problem>,
}

/// Something that a strict parser refuses, or a key that is there twice.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    pub kind: ProblemKind,
    pub span: Span,
    pub message: String,
    /// Another place that explains it, and how.
    pub related: Option<(Span, String)>,
    /// What to write instead. Only of a key that is there twice there is a doubt.
    pub edits: Vec<(Span, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemKind {
    Empty,
    Encoding,
    ByteOrderMark,
    Comment,
    TrailingComma,
    MissingComma,
    LiteralEscape,
    /// A bracket that is not closed, or closed by the other kind.
    Unclosed,
    /// A string: no end, an unknown escape, a raw control character, the wrong quotes.
    BadString,
    /// A number or word that JSON doesn't have: `01`, `NaN`, `True`.
    BadValue,
    /// Anything else in the wrong place.
    Unexpected,
    /// Every reader takes the last one.
    DuplicateKey,
}
