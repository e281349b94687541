//! Abstract values and contexts.

use super::arguments::Args;
use super::contexts::Ctx;
use std::rc::Rc;

use super::text::integer;
use crate::json::{JsonKind, JsonNode, Member};
use crate::python::program::node::Node;

/// An abstract value: what is known of an expression.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Val<'t> {
    /// No value yet (bottom): evaluation is in a circle, or no call passes one.
    Never,
    Unknown,
    /// Too much to follow.
    Lost,
    None,
    Bool(bool),
    Int(i64),
    Float(Rc<str>),
    /// Text, and where it is written.
    Str(Rc<str>, Option<Node<'t>>),
    /// Text with parts that are not known, or not fixed.
    Pieces(Rc<[Val<'t>]>),
    List(Rc<[Val<'t>]>),
    Dict(Rc<[(Val<'t>, Val<'t>)]>),
    /// One of several (a join).
    Any(Rc<[Val<'t>]>),
    /// The value of an environment variable, with its default.
    Env(Rc<str>, Rc<Val<'t>>),
    /// The environment, with defaults for names that it lacks.
    Environ(Rc<[(Val<'t>, Val<'t>)]>),
    /// The job, and the value at a path in its input.
    Job,
    Input(Rc<str>),
    /// A function or lambda, with the context that it captures and the object that it is bound to.
    Func(Node<'t>, Ctx<'t>, Option<Rc<Val<'t>>>),
    Class(Node<'t>),
    /// An object of a class, with the arguments that made it, where they are known.
    Object(Node<'t>, Ctx<'t>),
    /// A module of the program.
    Module(usize),
    /// A name of a library: `os.getenv`.
    Ext(Rc<str>),
    /// The result of calling a name of a library: `requests.Session`.
    Made(Rc<str>),
    /// A method of a value that is no object of the program.
    Method(Rc<Val<'t>>, Rc<str>),
    Partial(Rc<Val<'t>>, Rc<Args<'t>>),
}

/// Adds the items of a dict to those of another, where a key may have either value.
fn join_pairs<'t>(known: &mut Vec<(Val<'t>, Val<'t>)>, more: &[(Val<'t>, Val<'t>)]) {
    for (key, value) in more {
        match known.iter_mut().find(|(own, _)| own == key) {
            Some((_, own)) => *own = Val::any([own.clone(), value.clone()]),
            None => known.push((key.clone(), value.clone())),
        }
    }
}

/// The longest key that is told of what a request is answered with, and how often it is gone into.
const LONGEST_KEY: usize = 40;
const DEEPEST_KEY: usize = 6;

/// Whether a pseudo-path is what a request is answered with, or a part of that.
fn is_answer(path: &str) -> bool {
    path.rsplit('.').next() == Some("json")
        || path.ends_with(']') && path.contains(".json[") && path.matches('[').count() < DEEPEST_KEY
}

impl<'t> Val<'t> {
    pub fn text(text: &str) -> Self {
        Self::Str(text.into(), None)
    }

    pub fn list(items: Vec<Self>) -> Self {
        Self::List(items.into())
    }

    /// The join of values, flat and without repetitions.
    pub fn any(values: impl IntoIterator<Item = Self>) -> Self {
        const MOST: usize = 400;
        let mut all: Vec<Self> = Vec::new();
        let mut none = Self::Unknown;
        for value in values {
            // Those of one value differ from one another.
            let others = all.len();
            for one in value.each() {
                match one {
                    Self::Never => none = Self::Never,
                    one if all[..others].contains(one) => {}
                    _ if all.len() > MOST => return Self::Lost,
                    one => all.push(one.clone()),
                }
            }
        }
        match all.len() {
            0 => none,
            1 => all.remove(0),
            _ => Self::Any(all.into()),
        }
    }

    /// Each value that it may be.
    pub fn each(&self) -> &[Self] {
        match self {
            Self::Any(values) => values,
            one => std::slice::from_ref(one),
        }
    }

    pub fn may_be(&self, is: impl Fn(&Self) -> bool) -> bool {
        self.each().iter().any(is)
    }

    /// Whether it may be a value of the job's input.
    pub fn is_input(&self) -> bool {
        self.may_be(|one| matches!(one, Self::Input(_)))
    }

    /// Whether it may be the job or all of its input, or holds that.
    pub fn holds_whole_input(&self) -> bool {
        match self {
            Self::Input(path) => path.is_empty(),
            Self::Job => true,
            Self::List(_) | Self::Dict(_) | Self::Any(_) => {
                self.any_inner(&mut Self::holds_whole_input)
            }
            _ => false,
        }
    }

    /// Whether it is a text, of which parts may not be known.
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Str(..) | Self::Pieces(_))
    }

    /// Whether it may be a module, class or object of the program.
    pub fn has_members(&self) -> bool {
        let has = |one: &Self| matches!(one, Self::Module(_) | Self::Class(_) | Self::Object(..));
        self.is_lost() || self.may_be(has)
    }

    /// Whether it may be something of the program that can be called.
    pub fn is_own(&self) -> bool {
        self.may_be(|one| matches!(one, Self::Func(..) | Self::Class(_) | Self::Partial(..)))
    }

    /// Whether a copy of it is as good as itself: the environment, the job and its input.
    pub fn is_given(&self) -> bool {
        self.may_be(|one| matches!(one, Self::Environ(_) | Self::Input(_) | Self::Job))
    }

    pub fn is_environ(&self) -> bool {
        self.may_be(|one| matches!(one, Self::Environ(_)))
    }

    /// Variables that a comprehension picked by their names, which are read there.
    pub fn picked_environ() -> Self {
        Self::Environ(Rc::from([(Self::text("*"), Self::Unknown)]))
    }

    pub fn is_picked_environ(&self) -> bool {
        self.may_be(|one| *one == Self::picked_environ())
    }

    pub fn is_lost(&self) -> bool {
        self.may_be(|one| matches!(one, Self::Lost))
    }

    /// Widens numbers to unknown, also in lists.
    pub fn without_numbers(&self) -> Self {
        match self {
            value if !value.has_number() => value.clone(),
            // Neighbours without a number stay as they are, and differ from one another.
            Self::Any(all) => {
                let runs = all.chunk_by(|a, b| !a.has_number() && !b.has_number());
                Self::any(runs.map(|run| match run {
                    [one] => one.without_numbers(),
                    run => Self::Any(run.into()),
                }))
            }
            Self::List(_) => self.map_inner(&Self::without_numbers),
            _ => Self::Unknown,
        }
    }

    fn has_number(&self) -> bool {
        match self {
            Self::Int(_) | Self::Float(_) | Self::Bool(_) => true,
            Self::Any(_) | Self::List(_) => self.any_inner(&mut Self::has_number),
            _ => false,
        }
    }

    /// The same value with each value directly inside it replaced; the keys of a dict stay.
    fn map_inner(&self, replace: &dyn Fn(&Self) -> Self) -> Self {
        match self {
            Self::Any(all) => Self::any(all.iter().map(replace)),
            Self::List(items) => Self::List(items.iter().map(replace).collect()),
            Self::Pieces(items) => Self::Pieces(items.iter().map(replace).collect()),
            Self::Method(object, name) => Self::Method(Rc::new(replace(object)), name.clone()),
            Self::Dict(items) => {
                let pair = |(key, value): &(Self, Self)| (key.clone(), replace(value));
                Self::Dict(items.iter().map(pair).collect())
            }
            value => value.clone(),
        }
    }

    /// Whether it is one word of a command, or one name.
    pub fn is_word(&self) -> bool {
        matches!(self, Self::Env(..) | Self::Pieces(_)) || self.display().is_some()
    }

    /// Whether it is the same in each context.
    pub fn is_definite(&self) -> bool {
        match self {
            Self::Environ(under) => under.is_empty(),
            Self::Str(..)
            | Self::Job
            | Self::Input(_)
            | Self::Class(_)
            | Self::Module(_)
            | Self::Ext(_)
            | Self::None => true,
            _ => false,
        }
    }

    /// Widens texts to unknown, joins all lists to one, and joins dicts of which one has all keys
    /// of the other: the dicts of an error and of a result stay separate.
    pub fn widened(&self) -> Self {
        let (mut lists, mut dicts, mut rest) =
            (Vec::new(), Vec::<Vec<(Self, Self)>>::new(), vec![]);
        for one in self.each() {
            match one {
                Self::List(items) => lists.push(Self::any(items.iter().map(Self::widened))),
                Self::Dict(items) => {
                    let holds = |all: &[(Self, Self)], part: &[(Self, Self)]| {
                        let has = |key: &Self| all.iter().any(|(own, _)| own == key);
                        part.iter().all(|(key, _)| has(key))
                    };
                    let mut known = dicts.iter_mut();
                    match known.find(|known| holds(known, items) || holds(items, known)) {
                        Some(known) => join_pairs(known, items),
                        None => dicts.push(items.to_vec()),
                    }
                }
                Self::Str(..) | Self::Pieces(_) | Self::None | Self::Env(..) => {
                    rest.push(Self::Unknown);
                }
                value => rest.push(value.clone()),
            }
        }
        if !lists.is_empty() {
            rest.push(Self::list(vec![Self::any(lists)]));
        }
        rest.extend(dicts.into_iter().map(|items| Self::Dict(items.into())));
        Self::any(rest)
    }

    /// The items of a dict, or of several that it may be.
    pub fn joined_pairs(&self) -> Vec<(Self, Self)> {
        let mut known = Vec::new();
        for one in self.each() {
            match one {
                Self::Dict(items) => join_pairs(&mut known, items),
                Self::Never => {}
                _ => known.push((Self::Unknown, Self::Unknown)),
            }
        }
        known
    }

    /// Whether a value directly inside satisfies a test.
    fn any_inner(&self, is: &mut dyn FnMut(&Self) -> bool) -> bool {
        match self {
            Self::List(items) | Self::Any(items) | Self::Pieces(items) => items.iter().any(is),
            Self::Dict(items) | Self::Environ(items) => {
                items.iter().any(|(key, value)| is(key) || is(value))
            }
            Self::Env(_, inner) | Self::Method(inner, _) => is(inner),
            Self::Partial(inner, args) => {
                let args = args.positional.iter().chain(&args.more);
                args.chain([&**inner]).any(is)
            }
            _ => false,
        }
    }

    /// Whether a value in it is not known yet.
    pub fn is_partial(&self) -> bool {
        *self == Self::Never || self.any_inner(&mut Self::is_partial)
    }

    /// How many values it holds, itself among them, counted up to `most`; shared values count each
    /// time, as comparing them does. A value that is nested too deep counts as `most`.
    pub fn weight(&self, most: usize) -> usize {
        const DEEPEST: usize = 100;
        self.weight_within(most, DEEPEST)
    }

    fn weight_within(&self, most: usize, levels: usize) -> usize {
        if levels == 0 {
            return most;
        }
        let mut count = 1;
        self.any_inner(&mut |inner| {
            count += inner.weight_within(most.saturating_sub(count), levels - 1);
            count >= most
        });
        count
    }

    /// Whether it holds too many values to be followed.
    pub fn is_heavy(&self) -> bool {
        const MOST: usize = 1_000;
        self.weight(MOST) >= MOST
    }

    /// The widest value that keeps accounting sound: functions, classes, the environment and the
    /// job stay; a container that holds one that `tells` becomes `Lost`; anything else is unknown.
    pub fn widest(&self, tells: &dyn Fn(Node<'t>) -> bool) -> Self {
        match self {
            Self::Any(_) => self.map_inner(&|one| one.widest(tells)),
            Self::Environ(_) => Self::Environ(Rc::from([])),
            Self::Func(function, _, object) => {
                Self::Func(*function, Ctx::default(), object.clone())
            }
            Self::Class(_) | Self::Object(..) | Self::Module(_) | Self::Ext(_) | Self::Never => {
                self.clone()
            }
            Self::Job | Self::Input(_) | Self::Lost => self.clone(),
            other if other.holds(tells) => Self::Lost,
            _ => Self::Unknown,
        }
    }

    /// Widens values that are nested more than `depth` deep, as a recursive function builds them.
    pub fn cut(&self, depth: usize, tells: &dyn Fn(Node<'t>) -> bool) -> Self {
        match self {
            Self::Any(_) => self.map_inner(&|one| one.cut(depth, tells)),
            Self::List(_) | Self::Dict(_) | Self::Pieces(_) | Self::Method(..) if depth == 0 => {
                self.widest(tells)
            }
            value => value.map_inner(&|one| one.cut(depth - 1, tells)),
        }
    }

    fn holds(&self, tells: &dyn Fn(Node<'t>) -> bool) -> bool {
        let may_tell = match self {
            Self::Environ(_) | Self::Job | Self::Input(_) | Self::Lost => true,
            Self::Func(node, ..) | Self::Class(node) | Self::Object(node, _) => tells(*node),
            value => matches!(value.path(), "os" | "os.getenv"),
        };
        may_tell || self.any_inner(&mut |inner| inner.holds(tells))
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text, _) => Some(text),
            _ => None,
        }
    }

    /// The full name of something from elsewhere, empty for anything else.
    pub fn path(&self) -> &str {
        match self {
            Self::Ext(path) => path,
            _ => "",
        }
    }

    /// The text of a constant.
    pub fn display(&self) -> Option<String> {
        Some(match self {
            Self::Str(text, _) | Self::Float(text) => text.to_string(),
            Self::Int(number) => number.to_string(),
            Self::Bool(true) => "True".into(),
            Self::Bool(false) => "False".into(),
            Self::None => "None".into(),
            Self::List(items) => {
                let items: Option<Vec<_>> = items.iter().map(Self::display).collect();
                format!("[{}]", items?.join(", "))
            }
            Self::Dict(items) => {
                let each =
                    |(k, v): &(Self, Self)| Some(format!("{}: {}", k.display()?, v.display()?));
                let items: Option<Vec<_>> = items.iter().map(each).collect();
                format!("{{{}}}", items?.join(", "))
            }
            _ => return None,
        })
    }

    /// The text of a default; `None` counts as none.
    pub fn default_text(&self) -> Option<String> {
        self.display().filter(|text| text != "None")
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

    /// The parts of a text, or the value alone.
    pub fn pieces(&self) -> &[Self] {
        match self {
            Self::Pieces(parts) => parts,
            one => std::slice::from_ref(one),
        }
    }

    /// Concatenation of texts.
    pub fn join(&self, other: &Self) -> Self {
        const LONGEST: usize = 200;
        match (self, other) {
            (Self::Never, _) | (_, Self::Never) => return Self::Never,
            (Self::Str(a, at), Self::Str(b, other)) => {
                return Self::Str(format!("{a}{b}").into(), at.or(*other));
            }
            (number @ (Self::Int(_) | Self::Float(_)), Self::Str(..)) => {
                return Self::text(&number.display().unwrap_or_default()).join(other);
            }
            (Self::Str(..), number @ (Self::Int(_) | Self::Float(_))) => {
                return self.join(&Self::text(&number.display().unwrap_or_default()));
            }
            _ => {}
        }
        let mut all = self.pieces().to_vec();
        for part in other.pieces() {
            match (all.last_mut(), part) {
                (Some(last @ Self::Str(..)), Self::Str(..)) => *last = last.join(part),
                _ => all.push(part.clone()),
            }
        }
        match all.len() {
            0..LONGEST => Self::Pieces(all.into()),
            _ => Self::Lost,
        }
    }

    /// `self[key]`.
    pub fn item(&self, key: &Self) -> Self {
        match (self, key) {
            (Self::Never | Self::Lost, _) => self.clone(),
            (_, Self::Never) => Self::Never,
            (Self::Any(all), key) => Self::any(all.iter().map(|one| one.item(key))),
            (Self::List(items), Self::Int(at)) => {
                let len = i64::try_from(items.len()).unwrap_or(i64::MAX);
                let at = usize::try_from(if *at < 0 { at + len } else { *at });
                let item = at.ok().and_then(|at| items.get(at));
                item.cloned().unwrap_or(Self::Unknown)
            }
            (Self::List(items), _) => Self::any(items.iter().cloned()),
            (Self::Dict(_), Self::Str(..) | Self::Int(_) | Self::Bool(_) | Self::None) => {
                self.entry(key).unwrap_or(Self::Unknown)
            }
            (Self::Dict(items), key) => {
                let all = || Self::any(items.iter().map(|(_, value)| value.clone()));
                self.entry(key).unwrap_or_else(all)
            }
            (Self::Input(path), Self::Str(key, _)) => match path.rsplit('.').next() {
                // `input.input` is the same as `input`.
                Some(last) if last == &**key => Self::Input(path.clone()),
                Some("") | None => Self::Input(key.clone()),
                Some(_) => Self::Input(format!("{path}.{key}").into()),
            },
            (Self::Input(path), _) => Self::Input(path.clone()),
            // A part of what a request is answered with.
            (Self::Made(path), key) if is_answer(path) => {
                let key = key.display().filter(|key| key.len() < LONGEST_KEY);
                let part = key.map(|key| Self::Made(format!("{path}[{key}]").into()));
                part.unwrap_or(Self::Unknown)
            }
            (Self::Job, Self::Any(keys)) => Self::any(keys.iter().map(|key| self.item(key))),
            (Self::Job, Self::Str(key, _)) if &**key == "input" => Self::Input("".into()),
            _ => Self::Unknown,
        }
    }

    /// The value at a path of numbers: `x[1][0]`.
    pub fn item_at(self, path: &[i64]) -> Self {
        let steps = path.iter().map(|step| Self::Int(*step));
        steps.fold(self, |value, step| value.item(&step))
    }

    /// The entries of a dict that hold only where the environment does not set the name:
    /// `{**defaults, **os.environ}`.
    pub fn as_defaults(items: &[(Self, Self)]) -> impl Iterator<Item = (Self, Self)> {
        items.iter().map(|(key, value)| match key {
            Self::Str(name, _) if !matches!(value, Self::Env(own, _) if own == name) => {
                let default = Self::Env(name.clone(), Rc::new(value.clone()));
                (key.clone(), default)
            }
            _ => (key.clone(), value.clone()),
        })
    }

    /// The default that a copy of the environment has for a name.
    pub fn default_of(&self, key: &Self) -> Option<Self> {
        let Self::Env(_, default) = self.entry(key)? else {
            return None;
        };
        Some(default.as_ref().clone()).filter(|default| *default != Self::None)
    }

    /// What a copy of the environment holds under a name whatever the environment sets:
    /// `{**os.environ, "A": "1"}`.
    pub fn always(&self, key: &Self) -> Option<Self> {
        let value = self.entry(key)?;
        let own = key.as_str();
        let is_default = matches!(&value, Self::Env(name, _) if Some(&**name) == own);
        (own.is_some_and(|own| own != "*") && !is_default).then_some(value)
    }

    /// A dict's value of a key that it has.
    pub fn entry(&self, key: &Self) -> Option<Self> {
        let (Self::Dict(items) | Self::Environ(items)) = self else {
            return None;
        };
        let same = |own: &Self| match (own, key) {
            (Self::Str(a, _), Self::Str(b, _)) => a == b,
            (a, b) => a == b,
        };
        let found = items.iter().rev().find(|(own, _)| same(own));
        found.map(|(_, value)| value.clone())
    }

    /// The elements that a loop takes, where they are known.
    pub fn elements(&self) -> Option<Vec<Self>> {
        match self {
            Self::List(items) => Some(items.to_vec()),
            Self::Dict(items) => Some(items.iter().map(|(key, _)| key.clone()).collect()),
            // An element has the same path as the list.
            Self::Input(_) => Some(vec![self.clone()]),
            Self::Any(all) => {
                let some = all.iter().filter(|one| !matches!(one, Self::None));
                // Unknown alternatives must not hide the job's input.
                let other = self.is_input().then(|| vec![Self::Unknown]);
                let each = some.map(|one| one.elements().or_else(|| other.clone()));
                Some(each.collect::<Option<Vec<_>>>()?.concat())
            }
            _ => None,
        }
    }

    /// The elements of a collection, or each value that it may be.
    pub fn elements_or_each(&self) -> Vec<Self> {
        self.elements().unwrap_or_else(|| self.each().to_vec())
    }

    /// The elements of a collection, or one that is not known.
    pub fn elements_or_unknown(&self) -> Vec<Self> {
        self.elements().unwrap_or_else(|| vec![Self::Unknown])
    }

    /// A value from a file of data.
    pub fn from_node(node: &JsonNode) -> Self {
        match &node.kind {
            JsonKind::Null => Self::None,
            JsonKind::Bool(truth) => Self::Bool(*truth),
            JsonKind::Number(number) => integer(number),
            JsonKind::String(text) => Self::text(text),
            JsonKind::Array(items) => Self::list(items.iter().map(Self::from_node).collect()),
            JsonKind::Object(members) => {
                let pair = |one: &Member| (Self::text(&one.key), Self::from_node(&one.value));
                Self::Dict(members.iter().map(pair).collect())
            }
        }
    }
}
