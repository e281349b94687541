//! What the reader knows of a Python value without running the program.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use super::syntax::Node;

/// The names of a module, class or call with what they stand for.
pub type Scope<'t> = Rc<RefCell<HashMap<String, Value<'t>>>>;

/// Parts of a value that are looked at: values share parts, and a program can be made to share
/// them so often that looking at all of them would not end.
const VISITS: usize = 2_000;
/// Items of a list or dict that are remembered.
pub const MOST_ITEMS: usize = 5_000;

/// Where a constant was written, so that a fact made from it points there and not at the loop
/// that used it.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    pub module: usize,
    pub range: Range<usize>,
}

/// A value as far as it is known. Lists and dicts are shared, as in Python.
#[derive(Clone)]
pub enum Value<'t> {
    Unknown,
    /// A string constant.
    Text(Rc<str>, Option<Origin>),
    /// Another constant, as Python writes it: a number, `True`, `None`.
    Plain(Rc<str>),
    /// A string joined from parts, some of which are no constants.
    Pieces(Rc<Vec<Value<'t>>>),
    List(Rc<RefCell<Vec<Value<'t>>>>),
    Dict(Rc<RefCell<Vec<(Value<'t>, Value<'t>)>>>),
    /// What an environment variable holds, or something made from it.
    Env(Rc<EnvRef>),
    /// Something from outside of these files, by its dotted name: `os.environ`.
    Outside(Rc<str>),
    Function(Rc<Function<'t>>),
    Class(Rc<Class<'t>>),
    Object(Rc<Object<'t>>),
    /// An argument that no call gives a value.
    Param(Rc<str>),
    /// The job that `RunPod` hands to the handler.
    Job,
    /// Part of the job's input, by its path; empty for the whole.
    Input(Rc<str>),
    /// One of these.
    Any(Rc<Vec<Value<'t>>>),
}

/// An environment variable that was read.
#[derive(Debug)]
pub struct EnvRef {
    pub name: String,
    /// The words it is compared with: what counts as "on".
    pub words: RefCell<Vec<String>>,
}

pub struct Function<'t> {
    pub module: usize,
    pub node: Node<'t>,
    /// The object a method belongs to.
    pub receiver: Option<Value<'t>>,
    pub defaults: HashMap<String, Value<'t>>,
    pub is_property: bool,
    pub is_static: bool,
    /// The scope around it, for functions inside functions.
    pub outer: Vec<Scope<'t>>,
}

pub struct Class<'t> {
    pub scope: Scope<'t>,
    pub bases: Vec<Value<'t>>,
    /// Annotated names in order: the arguments of a dataclass.
    pub fields: Vec<String>,
}

pub struct Object<'t> {
    pub class: Rc<Class<'t>>,
    pub attributes: Scope<'t>,
}

impl Value<'_> {
    pub fn text(text: &str) -> Self {
        Self::Text(text.into(), None)
    }

    pub fn list(mut items: Vec<Self>) -> Self {
        items.truncate(MOST_ITEMS);
        Self::List(Rc::new(RefCell::new(items)))
    }

    pub fn dict(mut items: Vec<(Self, Self)>) -> Self {
        items.truncate(MOST_ITEMS);
        Self::Dict(Rc::new(RefCell::new(items)))
    }

    /// One of several: nothing twice, nothing unknown beside something known.
    pub fn any(values: Vec<Self>) -> Self {
        const MOST: usize = 32;
        let mut all: Vec<Self> = Vec::new();
        for value in values {
            for value in value.alternatives() {
                let known = all.iter().any(|old| old.same(&value));
                if !known && !matches!(value, Self::Unknown) && all.len() < MOST {
                    all.push(value);
                }
            }
        }
        match all.len() {
            0 => Self::Unknown,
            1 => all.swap_remove(0),
            _ => Self::Any(Rc::new(all)),
        }
    }

    /// Everything this may be.
    pub fn alternatives(&self) -> Vec<Self> {
        match self {
            Self::Any(all) => all.as_ref().clone(),
            one => vec![one.clone()],
        }
    }

    /// The string constant this is, or one of them.
    pub fn as_text(&self) -> Option<Rc<str>> {
        match self {
            Self::Text(text, _) => Some(text.clone()),
            Self::Any(all) => all.iter().find_map(Self::as_text),
            _ => None,
        }
    }

    /// Environment variables that this was made from.
    pub fn envs(&self) -> Vec<Rc<EnvRef>> {
        let mut found = Vec::new();
        self.collect_envs(&mut found, &mut { VISITS });
        found
    }

    fn collect_envs(&self, found: &mut Vec<Rc<EnvRef>>, visits: &mut usize) {
        if *visits == 0 {
            return;
        }
        *visits -= 1;
        match self {
            Self::Env(env) => found.push(env.clone()),
            Self::Any(all) | Self::Pieces(all) => {
                for one in all.iter() {
                    one.collect_envs(found, visits);
                }
            }
            _ => {}
        }
    }

    #[allow(clippy::match_same_arms, reason = "one line a kind")]
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a, _), Self::Text(b, _)) => a == b,
            (Self::Plain(a), Self::Plain(b))
            | (Self::Outside(a), Self::Outside(b))
            | (Self::Param(a), Self::Param(b))
            | (Self::Input(a), Self::Input(b)) => a == b,
            (Self::Env(a), Self::Env(b)) => a.name == b.name,
            (Self::List(a), Self::List(b)) => Rc::ptr_eq(a, b),
            (Self::Dict(a), Self::Dict(b)) => Rc::ptr_eq(a, b),
            (Self::Object(a), Self::Object(b)) => Rc::ptr_eq(a, b),
            (Self::Function(a), Self::Function(b)) => a.node.is(b.node),
            (Self::Class(a), Self::Class(b)) => Rc::ptr_eq(a, b),
            (Self::Job, Self::Job) => true,
            _ => false,
        }
    }

    /// The constant as a person would write it; `None` for what is no constant.
    pub fn display(&self) -> Option<String> {
        match self {
            Self::Text(text, _) | Self::Plain(text) => Some(text.to_string()),
            Self::Any(all) => all.iter().find_map(Self::display),
            _ => None,
        }
    }

    /// The text with each unknown part as `\0`, for URLs.
    pub fn pattern(&self, names: &dyn Fn(&Self) -> Option<String>) -> String {
        self.pattern_within(names, &mut { VISITS })
    }

    fn pattern_within(
        &self,
        names: &dyn Fn(&Self) -> Option<String>,
        visits: &mut usize,
    ) -> String {
        if *visits == 0 {
            return "\0".to_owned();
        }
        *visits -= 1;
        match self {
            Self::Text(text, _) | Self::Plain(text) => text.to_string(),
            Self::Pieces(parts) => {
                let parts = parts.iter();
                parts
                    .map(|part| part.pattern_within(names, visits))
                    .collect()
            }
            Self::Any(all) => all
                .iter()
                .map(|one| one.pattern_within(names, visits))
                .find(|text| text != "\0")
                .unwrap_or_else(|| "\0".to_owned()),
            other => names(other).unwrap_or_else(|| "\0".to_owned()),
        }
    }
}

/// What a string constant in the source stands for: escapes undone.
pub fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('\n') | None => {}
            Some(c @ ('\\' | '\'' | '"')) => out.push(c),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
        }
    }
    out
}
