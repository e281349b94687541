//! What is known of an expression's value.

use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::rc::Rc;

use super::syntax::Node;

/// What is known of an expression's value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Val<'t> {
    Unknown,
    /// What the reader gave up on.
    Lost,
    None,
    Bool(bool),
    Int(i64),
    Float(Rc<str>),
    /// Text, and where it is written.
    Str(Rc<str>, Option<Node<'t>>),
    /// An open file, by what is in it.
    File(Rc<str>),
    /// Text with parts that are not known, or not fixed.
    Pieces(Shared<Val<'t>>),
    List(Shared<Val<'t>>),
    Dict(Shared<(Val<'t>, Val<'t>)>),
    /// One of several.
    Any(Shared<Val<'t>>),
    /// What a variable of the environment holds; text with what is used when it is unset.
    Env(Rc<str>, Rc<Val<'t>>),
    /// The environment, and what a name has that is not in it.
    Environ(Shared<(Val<'t>, Val<'t>)>),
    /// The job, and what is at a path in its input.
    Job,
    Input(Rc<str>),
    /// A function or lambda, with what is bound around it and the object that it is called on.
    Func(Node<'t>, Ctx<'t>, Option<Rc<Val<'t>>>),
    Class(Node<'t>),
    /// An object of a class, with the arguments that made it.
    Object(Node<'t>, Ctx<'t>),
    /// A module of the program.
    Module(usize),
    /// Something from elsewhere by its full name: `os.getenv`.
    Ext(Rc<str>),
    /// What calling something from elsewhere gives: `requests.Session`.
    Made(Rc<str>),
    /// A method of a value that is no object of the program.
    Method(Rc<Val<'t>>, Rc<str>),
    Partial(Rc<Val<'t>>, Rc<Args<'t>>),
}

/// Values that many others share. They know their hash and how deep they are, so that looking up
/// what holds them does not walk through them each time.
#[derive(Debug)]
pub struct Shared<T>(Rc<Many<T>>);

#[derive(Debug)]
struct Many<T> {
    hash: u64,
    depth: u32,
    items: Vec<T>,
}

/// How many lists, objects and functions are inside of each other in it.
pub trait Deep {
    fn depth(&self) -> u32;
}

impl Deep for Val<'_> {
    fn depth(&self) -> u32 {
        match self {
            Self::Any(items) => items.0.depth,
            Self::List(items) | Self::Pieces(items) => 1 + items.0.depth,
            Self::Dict(items) | Self::Environ(items) => 1 + items.0.depth,
            Self::Object(_, ctx) => 1 + ctx.depth(),
            Self::Func(_, ctx, bound) => {
                1 + ctx
                    .depth()
                    .max(bound.as_ref().map_or(0, |bound| bound.depth()))
            }
            Self::Method(object, _) => 1 + object.depth(),
            Self::Env(_, default) => 1 + default.depth(),
            Self::Partial(function, args) => {
                let args = args.positional.iter().chain(&args.more);
                1 + function
                    .depth()
                    .max(args.map(Self::depth).max().unwrap_or(0))
            }
            _ => 0,
        }
    }
}

impl Deep for (Val<'_>, Val<'_>) {
    fn depth(&self) -> u32 {
        self.0.depth().max(self.1.depth())
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Hash + Deep> From<Vec<T>> for Shared<T> {
    fn from(items: Vec<T>) -> Self {
        Self(Rc::new(Many {
            hash: hash_of(&items),
            depth: items.iter().map(Deep::depth).max().unwrap_or(0),
            items,
        }))
    }
}

impl<T: Hash + Deep, const N: usize> From<[T; N]> for Shared<T> {
    fn from(items: [T; N]) -> Self {
        Vec::from(items).into()
    }
}

impl<T: Hash + Deep> FromIterator<T> for Shared<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        items.into_iter().collect::<Vec<T>>().into()
    }
}

impl<T> Deref for Shared<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0.items
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&self.0, &other.0);
        Rc::ptr_eq(a, b) || a.hash == b.hash && a.items == b.items
    }
}

impl<T: Eq> Eq for Shared<T> {}

impl<T> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = super::quick::Quick::default();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The arguments of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Args<'t> {
    pub positional: Vec<Val<'t>>,
    pub named: Vec<(Rc<str>, Val<'t>)>,
    /// Arguments that are not known: `*x`, `**x`.
    pub more: Vec<Val<'t>>,
}

impl<'t> Args<'t> {
    /// An argument by its place or its name.
    pub fn get(&self, index: usize, name: &str) -> Option<&Val<'t>> {
        self.positional
            .get(index)
            .or_else(|| Some(&self.named.iter().find(|(own, _)| &**own == name)?.1))
    }
}

/// What is bound around an expression: elements of loops and arguments of calls, from the inside
/// out. What is not bound may be any of its values.
#[derive(Debug, Clone, Default)]
pub struct Ctx<'t>(Option<Rc<Link<'t>>>);

#[derive(Debug)]
struct Link<'t> {
    hash: u64,
    depth: u32,
    binder: Node<'t>,
    frame: Frame<'t>,
    up: Ctx<'t>,
}

impl PartialEq for Ctx<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(a), Some(b)) => {
                let same = |a: &Link<'_>, b: &Link<'_>| {
                    a.hash == b.hash && a.binder == b.binder && a.frame == b.frame && a.up == b.up
                };
                Rc::ptr_eq(a, b) || same(a, b)
            }
            _ => false,
        }
    }
}

impl Eq for Ctx<'_> {}

impl Hash for Ctx<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.as_ref().map_or(0, |link| link.hash));
    }
}

/// What a loop or a call binds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Frame<'t> {
    Element(Val<'t>),
    /// Parameters by name, and the call, where there is one.
    Call(Rc<[(&'t str, Val<'t>)]>, Option<Node<'t>>),
}

impl<'t> Ctx<'t> {
    pub fn with(&self, binder: Node<'t>, frame: Frame<'t>) -> Self {
        let up = self.clone();
        let hash = hash_of(&(&binder, &frame, &up));
        let depth = match &frame {
            Frame::Element(value) => value.depth(),
            Frame::Call(args, _) => args.iter().map(|(_, v)| v.depth()).max().unwrap_or(0),
        };
        Self(Some(Rc::new(Link {
            hash,
            depth: depth.max(up.depth()),
            binder,
            frame,
            up,
        })))
    }

    pub fn frame(&self, binder: Node<'t>) -> Option<&Frame<'t>> {
        let links = std::iter::successors(self.0.as_deref(), |link| link.up.0.as_deref());
        links
            .take(64)
            .find(|link| link.binder == binder)
            .map(|link| &link.frame)
    }

    fn depth(&self) -> u32 {
        self.0.as_ref().map_or(0, |link| link.depth)
    }

    /// The same with another innermost frame.
    pub fn instead(&self, binder: Node<'t>, frame: Frame<'t>) -> Self {
        match &self.0 {
            Some(link) if link.binder == binder => link.up.with(binder, frame),
            _ => self.with(binder, frame),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl<'t> Val<'t> {
    pub fn text(text: &str) -> Self {
        Self::Str(text.into(), None)
    }

    pub fn list(items: Vec<Self>) -> Self {
        Self::List(items.into())
    }

    /// One of these; what is nested is taken apart, and what is said twice counts once.
    pub fn any(values: impl IntoIterator<Item = Self>) -> Self {
        const MOST: usize = 400;
        let mut all: Vec<Self> = Vec::new();
        let mut seen = indexmap::IndexSet::new();
        for value in values {
            for one in value.each() {
                if seen.insert(one.clone()) {
                    all.push(one.clone());
                }
            }
        }
        match all.len() {
            0 => Self::Unknown,
            1 => all.remove(0),
            2..MOST => Self::Any(all.into()),
            _ => Self::Lost,
        }
    }

    /// How much there is to copy.
    pub fn size(&self) -> usize {
        match self {
            Self::List(items) | Self::Any(items) | Self::Pieces(items) => items.len(),
            Self::Dict(items) => items.len(),
            _ => 0,
        }
    }

    /// The same, where it is too deep without what made the object that it is: any of its class.
    pub fn shallow(self) -> Self {
        const DEEPEST: u32 = 12;
        if self.depth() <= DEEPEST {
            return self;
        }
        match self {
            Self::Object(class, _) => Self::Object(class, Ctx::default()),
            Self::Func(function, ..) => Self::Func(function, Ctx::default(), None),
            Self::Any(items) => Self::any(items.iter().cloned().map(Self::shallow)),
            _ => Self::Lost,
        }
    }

    /// Any text or number where it is one.
    pub fn widened(&self) -> Self {
        match self {
            Self::Str(..) | Self::Int(_) | Self::Float(_) | Self::Bool(_) | Self::None => {
                Self::Unknown
            }
            Self::Pieces(parts) if parts.iter().all(|part| part.widened() == Self::Unknown) => {
                Self::Unknown
            }
            Self::Any(all) => Self::any(all.iter().map(Self::widened)),
            Self::List(items) => Self::list(vec![Self::any(items.iter().map(Self::widened))]),
            Self::Method(object, _) if object.widened() == Self::Unknown => Self::Unknown,
            value => value.clone(),
        }
    }

    /// Each value that it may be.
    pub fn each(&self) -> &[Self] {
        match self {
            Self::Any(values) => values,
            one => std::slice::from_ref(one),
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text, _) => Some(text),
            _ => None,
        }
    }

    /// The text that the program sees, where the value is fixed.
    pub fn display(&self) -> Option<String> {
        match self {
            Self::Str(text, _) => Some(text.to_string()),
            Self::Int(number) => Some(number.to_string()),
            Self::Float(text) => Some(text.to_string()),
            Self::Bool(true) => Some("True".into()),
            Self::Bool(false) => Some("False".into()),
            Self::None => Some("None".into()),
            Self::List(items) => {
                let items: Option<Vec<_>> = items.iter().map(Self::display).collect();
                Some(format!("[{}]", items?.join(", ")))
            }
            Self::Dict(items) => {
                let each =
                    |(k, v): &(Self, Self)| Some(format!("{}: {}", k.display()?, v.display()?));
                let items: Option<Vec<_>> = items.iter().map(each).collect();
                Some(format!("{{{}}}", items?.join(", ")))
            }
            _ => None,
        }
    }

    /// The variables of the environment in it.
    pub fn envs(&self) -> Vec<Rc<str>> {
        match self {
            Self::Env(name, default) => {
                let mut all = vec![name.clone()];
                all.extend(default.envs());
                all
            }
            Self::Any(items) | Self::Pieces(items) | Self::List(items) => {
                let mut all: Vec<_> = items.iter().flat_map(Self::envs).collect();
                all.dedup();
                all
            }
            _ => Vec::new(),
        }
    }

    /// Text that follows text.
    pub fn join(&self, other: &Self) -> Self {
        if let (Self::Str(a, at), Self::Str(b, other)) = (self, other) {
            return Self::Str(format!("{a}{b}").into(), at.or(*other));
        }
        if let (Self::Int(number), Self::Str(..)) | (Self::Str(..), Self::Int(number)) =
            (self, other)
        {
            let number = Self::text(&number.to_string());
            return if matches!(self, Self::Int(_)) {
                number.join(other)
            } else {
                self.join(&number)
            };
        }
        let parts = |value: &Self| match value {
            Self::Pieces(parts) => parts.to_vec(),
            one => vec![one.clone()],
        };
        let mut all = parts(self);
        for part in parts(other) {
            match (all.last_mut(), &part) {
                (Some(last @ Self::Str(..)), Self::Str(..)) => *last = last.join(&part),
                _ => all.push(part),
            }
        }
        const LONGEST: usize = 200;
        if all.len() > LONGEST {
            Self::Lost
        } else {
            Self::Pieces(all.into())
        }
    }

    /// The element at a key or index.
    pub fn item(&self, key: &Self) -> Self {
        match (self, key) {
            (Self::List(items), Self::Int(at)) => {
                let len = i64::try_from(items.len()).unwrap_or(i64::MAX);
                let at = if *at < 0 { at + len } else { *at };
                usize::try_from(at)
                    .ok()
                    .and_then(|at| items.get(at))
                    .cloned()
                    .unwrap_or(Self::Unknown)
            }
            (Self::Dict(items), Self::Unknown | Self::Input(_) | Self::Env(..) | Self::Any(_)) => {
                Self::any(items.iter().map(|(_, value)| value.clone()))
            }
            (Self::Dict(_), key) => self.entry(key).unwrap_or(Self::Unknown),
            (Self::Any(all), key) => Self::any(all.iter().map(|one| one.item(key))),
            (Self::Input(path), Self::Str(key, _)) => match path.rsplit('.').next() {
                // What holds itself, like a job that is wrapped twice, is taken apart once.
                Some(last) if last == &**key => Self::Input(path.clone()),
                Some("") | None => Self::Input(key.clone()),
                Some(_) => Self::Input(format!("{path}.{key}").into()),
            },
            (Self::Input(path), _) => Self::Input(path.clone()),
            (Self::Job, Self::Str(key, _)) if &**key == "input" => Self::Input("".into()),
            (Self::List(items), _) => Self::any(items.iter().cloned()),
            _ => Self::Unknown,
        }
    }

    /// A dict's value of a key that it has.
    pub fn entry(&self, key: &Self) -> Option<Self> {
        let Self::Dict(items) = self else { return None };
        let same = |own: &Self| match (own, key) {
            (Self::Str(a, _), Self::Str(b, _)) => a == b,
            (a, b) => a == b,
        };
        items
            .iter()
            .rev()
            .find(|(own, _)| same(own))
            .map(|(_, value)| value.clone())
    }

    /// What a loop over it takes, one after the other; none where that is not known.
    pub fn elements(&self) -> Option<Vec<Self>> {
        match self {
            Self::List(items) => Some(items.to_vec()),
            Self::File(text) => Some(text.split_inclusive('\n').map(Self::text).collect()),
            Self::Dict(items) => Some(items.iter().map(|(key, _)| key.clone()).collect()),
            Self::Any(all) => {
                let all: Option<Vec<_>> = all
                    .iter()
                    .filter(|one| !matches!(one, Self::None))
                    .map(Self::elements)
                    .collect();
                Some(all?.concat())
            }
            _ => None,
        }
    }

    /// `text % right`.
    pub fn percent(&self, right: &Self) -> Self {
        let Some(text) = self.as_str() else {
            return Self::Unknown;
        };
        let mut values = match right {
            Self::List(items) => items.to_vec(),
            one => vec![one.clone()],
        }
        .into_iter();
        let mut out = Self::text("");
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            out = out.join(&Self::text(before));
            if let Some(after) = after.strip_prefix('%') {
                out = out.join(&Self::text("%"));
                rest = after;
                continue;
            }
            let named = after.strip_prefix('(').and_then(|a| a.split_once(')'));
            let (value, after) = match named {
                Some((name, after)) => (Some(right.item(&Self::text(name))), after),
                None => (values.next(), after),
            };
            let end = after.find(|c: char| c.is_ascii_alphabetic());
            let (kind, after) = after.split_at(end.map_or(after.len(), |end| end + 1));
            // With a width or another base it would have to be computed.
            let plain = matches!(kind, "s" | "d" | "i");
            out = out.join(&value.filter(|_| plain).unwrap_or(Self::Unknown));
            rest = after;
        }
        out.join(&Self::text(rest))
    }

    /// `text.format(…)`.
    pub fn format(&self, args: &Args<'t>) -> Self {
        let Some(text) = self.as_str() else {
            return Self::Unknown;
        };
        let mut out = Self::text("");
        let mut rest = text;
        let mut next = 0;
        while let Some((before, after)) = rest.split_once('{') {
            out = out.join(&Self::text(before));
            let Some((name, after)) = after.split_once('}') else {
                return Self::Unknown;
            };
            let value = match name.parse::<usize>() {
                Ok(at) => args.positional.get(at),
                Err(_) if name.is_empty() => {
                    next += 1;
                    args.positional.get(next - 1)
                }
                Err(_) => args.get(usize::MAX, name),
            };
            out = out.join(value.unwrap_or(&Self::Unknown));
            rest = after;
        }
        out.join(&Self::text(rest))
    }

    /// A value from a JSON file.
    pub fn from_json(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::None,
            Json::Bool(truth) => Self::Bool(*truth),
            Json::Number(number) => number
                .as_i64()
                .map_or_else(|| Self::Float(number.to_string().into()), Self::Int),
            Json::String(text) => Self::text(text),
            Json::Array(items) => Self::list(items.iter().map(Self::from_json).collect()),
            Json::Object(items) => Self::Dict(
                items
                    .iter()
                    .map(|(key, item)| (Self::text(key), Self::from_json(item)))
                    .collect(),
            ),
        }
    }
}

/// The text of a string as it stands between its quotes.
pub fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('0') => out.push('\0'),
            Some('\n') => {}
            Some(digits @ ('x' | 'u')) => {
                let count = if digits == 'x' { 2 } else { 4 };
                let code: String = rest.by_ref().take(count).collect();
                out.extend(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32));
            }
            Some(c @ ('\\' | '\'' | '"')) => out.push(c),
            Some(c) => out.extend(['\\', c]),
            None => out.push('\\'),
        }
    }
    out
}
