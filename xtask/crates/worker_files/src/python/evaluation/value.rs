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
pub fn join_pairs<'t>(known: &mut Vec<(Val<'t>, Val<'t>)>, more: &[(Val<'t>, Val<'t>)]) {
    for (key, value) in more {
        match known.iter_mut().find(|(own, _)| own == key) {
            Some((_, own)) => *own = Val::any([own.clone(), value.clone()]),
            None => known.push((key.clone(), value.clone())),
        }
    }
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
