//! What an expression's value is, as far as it is known: asked where a mention needs it, never by
//! running the program.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use super::PythonFacts;
use super::deps::{Deps, Kept, Set};
use super::quick::{self, Map};
use super::scope::{Bound, Program, class_of, is_comprehension};
use super::syntax::Node;
use super::taint::{FUNCTION, Taint};
use super::value::{Args, Ctx, Frame, Val, unescape};
use crate::{Hides, Place, Source, Unread};
use indexmap::{IndexMap, IndexSet};

/// How deep expressions may lead to others.
const DEEPEST: usize = 90;
/// After how many calls that lead to each other the texts that they hand on count as any text.
const LONGEST: usize = 15;
/// After how many calls a function is told apart by fewer arguments.
const FEW_CALLS: usize = 5;
/// How many calls a value is looked up through.
const CALLS: usize = 8;
/// How many calls of one function, or ways through loops, are told apart.
pub const MOST_WAYS: usize = 700;
/// How many values are kept by what is bound around them.
const MOST_KEPT: usize = 20_000;
/// How many places that bind one name are told apart.
const MOST_BINDINGS: usize = 60;
/// How many classes one may be made from.
const MOST_BASES: usize = 40;

/// What calls of a function give it.
#[derive(Default)]
pub struct Frames<'t> {
    pub all: Vec<Ctx<'t>>,
    /// How many calls lead to each.
    seen: Map<Ctx<'t>, usize>,
    /// The calls that were read with these, and have to be read again when there are more.
    asked_by: IndexSet<Node<'t>>,
}

pub struct Reader<'t> {
    pub program: Program<'t>,
    pub data: &'t BTreeMap<String, &'t Source>,
    pub facts: PythonFacts,
    pub unread: Vec<Unread>,
    pub steps: usize,
    pub limit: usize,
    depth: usize,
    /// Whether a loop or function that binds a name has to be known.
    forking: bool,
    need: Option<Node<'t>>,
    /// What is bound where the expression is asked for and out of sight where that is needed.
    settled: quick::Set<Node<'t>>,
    /// Whether the last value depends on what is bound around it, or is not complete.
    touched: bool,
    /// Whether something was given up.
    pub gave_up: bool,
    closed: Map<Node<'t>, Val<'t>>,
    joined: Map<Node<'t>, Kept<Val<'t>>>,
    /// Values by what is bound around them, as far as no circle cut them short.
    bound: Map<(Node<'t>, Ctx<'t>, u8), Kept<Val<'t>>>,
    /// Whether the last value lacks what it was being asked for already.
    cut: bool,
    /// Calls of which it was not found out what they call with what.
    pub given_up: Vec<Node<'t>>,
    /// Calls that lead to others with other arguments each time.
    pub endless: Vec<Node<'t>>,
    /// What was given up before.
    lost: quick::Set<Node<'t>>,
    doing: quick::Set<Node<'t>>,
    pub frames: Map<Node<'t>, Frames<'t>>,
    returns: Map<Node<'t>, Rc<[Node<'t>]>>,
    /// The functions whose calls decided on what was looked at last.
    consulted: Set,
    deps: Deps<'t>,
    pub calls: VecDeque<Node<'t>>,
    queued: quick::Set<Node<'t>>,
    /// How many calls lead to the one that is followed.
    age: usize,
    /// How many calls are being looked into.
    inside: usize,
    pub taint: Taint<'t>,
    results: Map<Ctx<'t>, Kept<Val<'t>>>,
    /// Those that are not complete, for as long as one call is followed, and whether something was
    /// given up.
    parts: Map<Ctx<'t>, (Val<'t>, bool, Set)>,
    /// Whether a call was not followed because there are too many.
    dropped: bool,
    /// Identifiers, by file and name.
    pub names: IndexMap<(usize, &'t str), Vec<Node<'t>>>,
    /// What is written to the environment: name, where, and the value.
    pub written: Vec<(Rc<str>, Node<'t>, Node<'t>)>,
}

impl<'t> Reader<'t> {
    pub fn new(program: Program<'t>, data: &'t BTreeMap<String, &'t Source>) -> Self {
        let bytes: usize = program
            .files
            .iter()
            .map(|file| file.source.text.len())
            .sum();
        let taint = Taint::new(&program);
        Self {
            program,
            data,
            taint,
            facts: PythonFacts::default(),
            unread: Vec::new(),
            steps: 0,
            limit: super::steps_for(bytes),
            depth: 0,
            forking: false,
            need: None,
            settled: quick::Set::default(),
            touched: false,
            gave_up: false,
            closed: Map::default(),
            joined: Map::default(),
            bound: Map::default(),
            cut: false,
            given_up: Vec::new(),
            endless: Vec::new(),
            lost: quick::Set::default(),
            doing: quick::Set::default(),
            frames: Map::default(),
            returns: Map::default(),
            consulted: 0,
            deps: Deps::default(),
            calls: VecDeque::new(),
            queued: quick::Set::default(),
            age: 0,
            inside: 0,
            results: Map::default(),
            parts: Map::default(),
            dropped: false,
            names: IndexMap::new(),
            written: Vec::new(),
        }
    }

    /// Where something is written; of a text, what is between the quotes.
    pub fn place(&self, node: Node<'_>) -> Place {
        let content = node.children().find(|part| part.kind() == "string_content");
        let range = content.unwrap_or(node).range();
        self.program.files[node.file()].source.place(range)
    }

    /// Begins to look into something, unless that is being done already.
    fn enter(&mut self, node: Node<'t>) -> bool {
        let begun = self.doing.insert(node);
        self.cut |= !begun;
        begun
    }

    /// Notes what was not understood, where code that runs says it.
    pub fn not_read(&mut self, node: Node<'t>, why: impl Into<String>, hides: &[Hides]) {
        if self.program.runs(node) {
            let source = self.program.files[node.file()].source;
            self.unread.push(source.unread(node.range(), why, hides));
        }
    }

    /// Notes calls that were not followed, those of one function as one.
    pub fn not_followed(&mut self, calls: Vec<Node<'t>>, why: &str) {
        let mut said: IndexSet<Option<Node<'t>>> = IndexSet::new();
        for call in calls {
            let function = call.ancestors().find(|a| a.kind() == "function_definition");
            if self.program.runs(call) && said.insert(function) {
                let hides = [Hides::Variables, Hides::Flags, Hides::JobInput];
                self.not_read(call, why, &hides);
            }
        }
    }

    /// The value of an expression with what is bound around it.
    pub fn eval(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        self.steps += 1;
        if let Some(known) = self.closed.get(&node) {
            return known.clone();
        }
        let plain = ctx.is_empty() && !self.forking;
        if plain && let Some((known, of)) = self.deps.fresh(self.joined.get(&node)) {
            let known = known.clone();
            self.consulted = self.deps.union(self.consulted, of);
            self.touched = true;
            return known;
        }
        if self.need.is_some() {
            return Val::Unknown;
        }
        // Inside of a call, loops are not told apart.
        let apart = u8::from(self.forking);
        let mode = apart * (1 + u8::from(self.inside > 0) + 2 * u8::from(!self.settled.is_empty()));
        let key = (node, ctx.clone(), mode);
        if let Some((known, of)) = self.deps.fresh(self.bound.get(&key)) {
            let known = known.clone();
            self.consulted = self.deps.union(self.consulted, of);
            self.touched = true;
            return known;
        }
        let again = plain && self.depth > 0 && self.lost.contains(&node);
        if again || self.depth >= DEEPEST || self.steps > self.limit {
            self.touched = true;
            self.gave_up = true;
            return Val::Lost;
        }
        self.depth += 1;
        let before = std::mem::take(&mut self.touched);
        let gave_up = std::mem::take(&mut self.gave_up);
        let cut = std::mem::take(&mut self.cut);
        let consulted = std::mem::take(&mut self.consulted);
        let value = self.eval_kind(node, ctx);
        self.depth -= 1;
        self.gave_up |= value == Val::Lost;
        self.steps += value.size() / 8;
        if self.gave_up && plain && self.need.is_none() {
            self.lost.insert(node);
        }
        if !self.gave_up && self.need.is_none() {
            if !self.touched {
                self.closed.insert(node, value.clone());
            } else if plain && self.doing.is_empty() {
                let kept = self.deps.keep(value.clone(), self.consulted);
                self.joined.insert(node, kept);
            } else if !self.cut {
                let kept = self.deps.keep(value.clone(), self.consulted);
                self.bound.insert(key, kept);
            }
        }
        self.cut = !self.doing.is_empty() && (self.cut || cut);
        self.touched |= before;
        self.gave_up |= gave_up;
        self.consulted = self.deps.union(self.consulted, consulted);
        value
    }

    /// The value of an expression, whatever is bound around it.
    pub fn value(&mut self, node: Node<'t>) -> Val<'t> {
        let forking = std::mem::replace(&mut self.forking, false);
        let value = self.eval(node, &Ctx::default());
        self.forking = forking;
        value
    }

    fn field(&mut self, node: Node<'t>, part: &'static str, ctx: &Ctx<'t>) -> Val<'t> {
        node.field(part)
            .map_or(Val::Unknown, |child| self.eval(child, ctx))
    }

    fn eval_kind(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        match node.kind() {
            "identifier" => self.name(node, node.text(), ctx),
            "string" => self.string(node, ctx),
            "concatenated_string" => {
                let parts: Vec<_> = node.children().map(|n| self.eval(n, ctx)).collect();
                parts
                    .into_iter()
                    .reduce(|a, b| a.join(&b))
                    .unwrap_or(Val::Unknown)
            }
            "integer" => integer(node.text()),
            "float" => Val::Float(node.text().into()),
            "true" => Val::Bool(true),
            "false" => Val::Bool(false),
            "none" => Val::None,
            "parenthesized_expression" | "await" | "as_pattern" | "expression_statement" => node
                .child(0)
                .map_or(Val::Unknown, |inner| self.eval(inner, ctx)),
            "named_expression" => self.field(node, "value", ctx),
            "assignment" => self.field(node, "right", ctx),
            "list" | "tuple" | "set" | "expression_list" => self.sequence(node, ctx),
            "dictionary" => self.dictionary(node, ctx),
            kind if kind.ends_with("_comprehension") || kind == "generator_expression" => {
                self.comprehension(node, ctx)
            }
            "attribute" => {
                let object = self.field(node, "object", ctx);
                self.attribute(&object, node.text_of("attribute"))
            }
            "subscript" => self.subscript(node, ctx),
            "call" => self.call(node, ctx),
            "lambda" => Val::Func(node, ctx.clone(), None),
            "boolean_operator" => {
                let (left, right) = (
                    self.field(node, "left", ctx),
                    self.field(node, "right", ctx),
                );
                match (node.text_of("operator"), left) {
                    ("or", Val::Env(name, _)) => Val::Env(name, Rc::new(right)),
                    ("or", Val::None | Val::Bool(false)) | ("and", Val::Bool(true)) => right,
                    ("or", Val::Str(text, _)) if text.is_empty() => right,
                    ("or", Val::Dict(_) | Val::List(_)) if matches!(right, Val::Input(_)) => right,
                    ("and", Val::Unknown) => right,
                    (_, left) => Val::any([left, right]),
                }
            }
            "conditional_expression" => {
                let both: Vec<_> = [0, 2]
                    .iter()
                    .filter_map(|at| node.child(*at))
                    .map(|n| self.eval(n, ctx))
                    .collect();
                Val::any(both)
            }
            "binary_operator" => {
                let (left, right) = (
                    self.field(node, "left", ctx),
                    self.field(node, "right", ctx),
                );
                binary(node.text_of("operator"), &left, &right)
            }
            "unary_operator" => match (node.text_of("operator"), self.field(node, "argument", ctx))
            {
                ("-", Val::Int(number)) => Val::Int(-number),
                ("-", Val::Float(text)) => Val::Float(format!("-{text}").into()),
                _ => Val::Unknown,
            },
            _ => Val::Unknown,
        }
    }

    fn string(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        let start = node.child(0).map_or("", Node::text);
        let raw = start.contains(['r', 'R']);
        let mut out = Val::Str("".into(), Some(node));
        for part in node.children() {
            match part.kind() {
                "string_content" if raw => out = out.join(&Val::text(part.text())),
                "string_content" => {
                    out = out.join(&Val::text(
                        &unescape(part.text())
                            .replace(
                                "{{",
                                if start.contains(['f', 'F']) {
                                    "{"
                                } else {
                                    "{{"
                                },
                            )
                            .replace(
                                "}}",
                                if start.contains(['f', 'F']) {
                                    "}"
                                } else {
                                    "}}"
                                },
                            ),
                    ));
                }
                "interpolation" => {
                    let value = part
                        .child(0)
                        .map_or(Val::Unknown, |inner| self.eval(inner, ctx));
                    let plain = part.children().all(|c| c.kind() != "format_specifier");
                    out = out.join(if plain { &value } else { &Val::Unknown });
                }
                _ => {}
            }
        }
        out
    }

    fn sequence(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        let mut items = Vec::new();
        for child in node.children() {
            if child.kind() == "list_splat" {
                let inner = child.child(0).map_or(Val::Unknown, |n| self.eval(n, ctx));
                match inner.elements() {
                    Some(more) => items.extend(more),
                    None => items.push(Val::Unknown),
                }
            } else {
                items.push(self.eval(child, ctx));
            }
        }
        Val::list(items)
    }

    fn dictionary(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        let mut items = Vec::new();
        let mut whole = None;
        for child in node.children() {
            if child.kind() == "pair" {
                items.push((
                    self.field(child, "key", ctx),
                    self.field(child, "value", ctx),
                ));
            } else if child.kind() == "dictionary_splat" {
                match child.child(0).map_or(Val::Unknown, |n| self.eval(n, ctx)) {
                    Val::Dict(more) => items.extend(more.iter().cloned()),
                    Val::Environ(more) => {
                        items.extend(more.iter().cloned());
                        whole = Some(Val::Environ(Vec::new().into()));
                    }
                    input @ Val::Input(_) => whole = Some(input),
                    _ => items.push((Val::Unknown, Val::Unknown)),
                }
            }
        }
        match whole {
            Some(Val::Environ(_)) => Val::Environ(items.into()),
            Some(input) => input,
            None => Val::Dict(items.into()),
        }
    }

    /// All that a comprehension makes; where its loops are bound, what it makes of that.
    fn comprehension(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        let Some(body) = node.field("body") else {
            return Val::Unknown;
        };
        let clauses: Vec<_> = node
            .children()
            .filter(|c| c.kind() == "for_in_clause")
            .collect();
        let mut ways = vec![ctx.clone()];
        for clause in clauses {
            let Some(iter) = clause.field("right") else {
                return Val::Unknown;
            };
            let mut next = Vec::new();
            for way in ways {
                match self.eval(iter, &way) {
                    input @ Val::Input(_) => return input,
                    // A dict made of it is a copy; a list is names or values.
                    whole @ Val::Environ(_) if body.kind() == "pair" => return whole,
                    _ => {}
                }
                let Some(items) = self.eval(iter, &way).elements() else {
                    return Val::Unknown;
                };
                next.extend(
                    items
                        .into_iter()
                        .map(|item| way.with(clause, Frame::Element(item))),
                );
            }
            ways = next;
            self.steps += ways.len();
            if ways.len() > MOST_WAYS {
                self.gave_up = true;
                return Val::Lost;
            }
        }
        let touched = self.touched;
        let pair = body.kind() == "pair";
        let mut items = Vec::new();
        let mut pairs = Vec::new();
        for way in &ways {
            if pair {
                pairs.push((self.field(body, "key", way), self.field(body, "value", way)));
            } else {
                items.push(self.eval(body, way));
            }
        }
        // What its own loops bind is no concern of what is around it.
        if ctx.is_empty() && !self.forking {
            self.touched = touched || self.touched;
        }
        if pair {
            Val::Dict(pairs.into())
        } else {
            Val::list(items)
        }
    }

    /// What a name stands for.
    pub fn name(&mut self, at: Node<'t>, name: &'t str, ctx: &Ctx<'t>) -> Val<'t> {
        let Some((scope, bindings)) = self.program.lookup(at, name) else {
            let stars = self.program.files[at.file()].stars.clone();
            for star in stars {
                if let Some(index) = self.program.module(at.file(), &star) {
                    let found = self.member(index, name);
                    if found != Val::Unknown {
                        return found;
                    }
                } else if star == "os" && matches!(name, "environ" | "getenv") {
                    return external(&format!("os.{name}"));
                }
            }
            return Val::Ext(name.into());
        };
        self.steps += bindings.len();
        self.gave_up |= bindings.len() > MOST_BINDINGS;
        let first = bindings.len().saturating_sub(MOST_BINDINGS);
        let bindings = Program::reaching(at, scope, &bindings[first..]);
        let mut values = Vec::new();
        for binding in bindings {
            let mut value = match binding.what {
                Bound::Value(node) => {
                    if !self.enter(node) {
                        self.touched = true;
                        continue;
                    }
                    let value = self.eval(node, ctx);
                    self.doing.swap_remove(&node);
                    value
                }
                Bound::Element(owner) => self.element(owner, ctx),
                Bound::Parameter(function) => self.parameter(function, name, ctx),
                Bound::Function(node) => {
                    let is_property = node
                        .parent()
                        .is_some_and(|p| p.text().starts_with("@property"));
                    let _ = is_property;
                    let outer = if scope.kind() == "module" {
                        Ctx::default()
                    } else {
                        ctx.clone()
                    };
                    self.touched |= !outer.is_empty();
                    Val::Func(node, outer, None)
                }
                Bound::Class(node) => Val::Class(node),
                Bound::Import(module, item) => self.imported(at.file(), &module, item),
                Bound::Unknown => Val::Unknown,
            };
            for step in binding.path {
                value = value.item(&Val::Int(step));
            }
            values.push(value);
        }
        let value = Val::any(values);
        self.changed(value, scope, name, false)
    }

    /// A list or dict with what is added to it elsewhere.
    fn changed(
        &mut self,
        value: Val<'t>,
        scope: Node<'t>,
        name: &'t str,
        attribute: bool,
    ) -> Val<'t> {
        if !matches!(value, Val::List(_) | Val::Dict(_)) || self.need.is_some() {
            return value;
        }
        let Some(changes) = self.program.changes.get(name).cloned() else {
            return value;
        };
        self.steps += changes.len();
        let mut items = value.elements().unwrap_or_default();
        let mut pairs = match &value {
            Val::Dict(pairs) => pairs.to_vec(),
            _ => Vec::new(),
        };
        let forking = std::mem::replace(&mut self.forking, false);
        for change in changes {
            let object = match change.kind() {
                "call" => change.field("function").and_then(|f| f.field("object")),
                "assignment" => change.field("left").and_then(|left| left.field("value")),
                _ => change.field("left"),
            };
            let Some(object) = object else { continue };
            let same = match object.kind() {
                "identifier" if !attribute => self.same_variable(object, scope, name),
                "attribute" => attribute,
                _ => false,
            };
            if !same || !self.enter(change) {
                continue;
            }
            self.touched = true;
            match change.kind() {
                "call" => {
                    let method = change
                        .field("function")
                        .map_or("", |f| f.text_of("attribute"));
                    let args = self.args(change, &Ctx::default());
                    let last = args.positional.last().cloned().unwrap_or(Val::Unknown);
                    match method {
                        "extend" => items.extend(last.elements().unwrap_or_default()),
                        "update" => {
                            if let Val::Dict(more) = &last {
                                pairs.extend(more.iter().cloned());
                            }
                            pairs.extend(args.named.iter().map(|(k, v)| (Val::text(k), v.clone())));
                        }
                        "setdefault" => pairs.push((args.positional[0].clone(), last)),
                        _ => items.extend(last.each().iter().cloned()),
                    }
                }
                "assignment" => {
                    let key = change
                        .field("left")
                        .and_then(|left| left.field("subscript"));
                    let key = key.map_or(Val::Unknown, |key| self.eval(key, &Ctx::default()));
                    let value = self.field(change, "right", &Ctx::default());
                    pairs.extend(key.each().iter().map(|key| (key.clone(), value.clone())));
                }
                _ => {
                    let more = self.field(change, "right", &Ctx::default());
                    items.extend(more.elements().unwrap_or_default());
                }
            }
            self.doing.swap_remove(&change);
        }
        self.forking = forking;
        if matches!(value, Val::Dict(_)) {
            Val::Dict(pairs.into())
        } else {
            Val::list(items)
        }
    }

    /// Whether a name, where it stands, is the variable of a scope, be it imported.
    fn same_variable(&self, at: Node<'t>, scope: Node<'t>, name: &str) -> bool {
        match self.program.lookup(at, name) {
            Some((own, _)) if own == scope => true,
            Some((_, bindings)) => bindings.iter().any(|binding| match &binding.what {
                Bound::Import(module, Some(_)) => {
                    self.program.module(at.file(), module) == Some(scope.file())
                        && scope.kind() == "module"
                }
                _ => false,
            }),
            None => false,
        }
    }

    fn element(&mut self, owner: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        self.touched = true;
        if let Some(Frame::Element(value)) = ctx.frame(owner) {
            return value.clone();
        }
        if self.forking && !self.is_out_of_sight(owner) {
            self.need = self.need.or(Some(owner));
            return Val::Unknown;
        }
        if !self.enter(owner) {
            return Val::Unknown;
        }
        let iter = self.field(owner, "right", ctx);
        self.doing.swap_remove(&owner);
        match iter {
            Val::Input(path) => Val::Input(path),
            iter => iter.elements().map_or(Val::Unknown, Val::any),
        }
    }

    /// Whether a loop is inside of a function that is being looked into: what is bound around the
    /// call says nothing of it, so that it gives all of its elements.
    fn is_out_of_sight(&mut self, owner: Node<'t>) -> bool {
        let function = |node: &Node<'t>| matches!(node.kind(), "function_definition" | "lambda");
        self.steps += 1;
        self.settled.contains(&owner)
            || owner
                .ancestors()
                .filter(function)
                .any(|above| self.doing.contains(&above))
    }

    fn parameter(&mut self, function: Node<'t>, name: &str, ctx: &Ctx<'t>) -> Val<'t> {
        self.touched = true;
        let of = |frame: &Frame<'t>| match frame {
            Frame::Call(args, _) => args
                .iter()
                .find(|(own, _)| *own == name)
                .map_or(Val::Unknown, |(_, v)| v.clone()),
            Frame::Element(_) => Val::Unknown,
        };
        if let Some(frame) = ctx.frame(function) {
            return of(frame);
        }
        let own = self.deps.of(function);
        self.consulted = self.deps.union(self.consulted, own);
        if self.forking && !self.settled.contains(&function) {
            self.need = self.need.or(Some(function));
            return Val::Unknown;
        }
        let frames = self
            .frames
            .get(&function)
            .map(|frames| frames.all.clone())
            .unwrap_or_default();
        self.steps += frames.len();
        Val::any(frames.iter().filter_map(|ctx| ctx.frame(function)).map(of))
    }

    pub fn imported(&mut self, from: usize, module: &str, item: Option<&'t str>) -> Val<'t> {
        let found = self.program.module(from, module);
        let Some(item) = item else {
            return found.map_or_else(|| external(module), Val::Module);
        };
        if let Some(index) = found {
            let value = self.member(index, item);
            if value != Val::Unknown {
                return value;
            }
        }
        let joint = if module.starts_with('/') { "/" } else { "." };
        match self.program.module(from, &format!("{module}{joint}{item}")) {
            Some(index) => Val::Module(index),
            None if found.is_some() => Val::Unknown,
            None => external(&format!("{module}.{item}")),
        }
    }

    /// What a module of the program calls by a name.
    fn member(&mut self, index: usize, name: &'t str) -> Val<'t> {
        let root = self.program.files[index].syntax.root();
        if self.program.bound_in(root, name).is_none() || !self.enter(root) {
            return Val::Unknown;
        }
        self.doing.swap_remove(&root);
        let Some(first) = root.child(0) else {
            return Val::Unknown;
        };
        if self.depth >= DEEPEST {
            self.gave_up = true;
            return Val::Lost;
        }
        self.depth += 1;
        let value = self.name(first, name, &Ctx::default());
        self.depth -= 1;
        value
    }

    fn subscript(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        let object = self.field(node, "value", ctx);
        let Some(key) = node.field("subscript") else {
            return Val::Unknown;
        };
        if key.kind() == "slice" {
            return match object {
                Val::Str(text, at) => {
                    slice(key.text(), &text).map_or(Val::Unknown, |cut| Val::Str(cut.into(), at))
                }
                list @ (Val::List(_) | Val::Input(_)) => list,
                _ => Val::Unknown,
            };
        }
        let key = self.eval(key, ctx);
        self.item(&object, &key)
    }

    /// The element at a key, of the environment too.
    pub fn item(&mut self, object: &Val<'t>, key: &Val<'t>) -> Val<'t> {
        match object {
            Val::Environ(under) => env_value(
                key,
                &Val::Dict(under.clone()).entry(key).unwrap_or(Val::None),
            ),
            Val::Any(all) => Val::any(all.to_vec().iter().map(|one| self.item(one, key))),
            Val::Ext(path) if &**path == "sys.modules" => {
                key.as_str().map_or(Val::Unknown, external)
            }
            Val::Class(class) => key
                .as_str()
                .map_or(Val::Unknown, |name| self.class_member(*class, name)),
            object => object.item(key),
        }
    }

    /// `object.name`.
    pub fn attribute(&mut self, object: &Val<'t>, name: &'t str) -> Val<'t> {
        match object {
            Val::Any(all) => Val::any(all.to_vec().iter().map(|one| self.attribute(one, name))),
            Val::Ext(path) => external(&format!("{path}.{name}")),
            Val::Module(index) => {
                let found = self.member(*index, name);
                if found != Val::Unknown {
                    return found;
                }
                let path = self.program.files[*index].source.path.to_string();
                let folder = path.strip_suffix("/__init__.py").unwrap_or_default();
                self.program
                    .module(*index, &format!("/{folder}/{name}"))
                    .map_or(Val::Unknown, Val::Module)
            }
            Val::Class(class) => {
                let value = self.class_member(*class, name);
                match (&value, name) {
                    (Val::Unknown, "__members__") => self.members(*class),
                    (Val::Unknown, "__annotations__" | "__dataclass_fields__" | "model_fields") => {
                        self.annotated(*class)
                    }
                    (Val::Unknown, _) => Val::Method(Rc::new(object.clone()), name.into()),
                    _ => value,
                }
            }
            Val::Object(class, _) if name == "__annotations__" => self.annotated(*class),
            Val::Object(class, made) => self.object_member(object, *class, made, name),
            // A field of a dataclass, or a namespace.
            Val::Dict(_) => object
                .entry(&Val::text(name))
                .unwrap_or_else(|| Val::Method(Rc::new(object.clone()), name.into())),
            Val::Str(..) | Val::Int(_) if matches!(name, "value") => object.clone(),
            // What has something that is not known is not known either, however far that goes.
            Val::Method(inner, _) if **inner == Val::Unknown => {
                Val::Method(inner.clone(), name.into())
            }
            // A model made of the job's input, or a namespace.
            object => Val::Method(Rc::new(object.clone()), name.into()),
        }
    }

    fn object_member(
        &mut self,
        object: &Val<'t>,
        class: Node<'t>,
        made: &Ctx<'t>,
        name: &'t str,
    ) -> Val<'t> {
        if let Some(Frame::Call(fields, _)) = made.frame(class)
            && let Some((_, value)) = fields.iter().find(|(own, _)| *own == name)
        {
            self.touched = true;
            return value.clone();
        }
        match self.class_member(class, name) {
            Val::Func(node, ctx, _) => {
                let bound = Val::Func(node, ctx, Some(Rc::new(object.clone())));
                let decorated = node.parent().filter(|p| p.kind() == "decorated_definition");
                let decorators = decorated.map_or("", Node::text);
                let decorators = decorators.split("def ").next().unwrap_or_default();
                if decorators.contains("@property")
                    || decorators.contains("@cached_property")
                    || decorators.contains("@functools.cached_property")
                {
                    return self.result(&bound, &Args::default(), None);
                }
                return bound;
            }
            Val::Unknown => {}
            value => return value,
        }
        let mut values = Vec::new();
        let family = self.family(class);
        for (target, value, path) in self
            .program
            .attributes
            .get(name)
            .cloned()
            .unwrap_or_default()
        {
            let method = target
                .ancestors()
                .find(|node| node.kind() == "function_definition");
            let within = method
                .and_then(class_of)
                .is_some_and(|own| family.contains(&own));
            if !within || !self.enter(value) {
                continue;
            }
            self.touched = true;
            // The arguments that made the object are those of its `__init__`.
            let known = method.is_some_and(|method| made.frame(method).is_some());
            let whole = if known {
                self.eval(value, made)
            } else {
                self.value(value)
            };
            let into = path.iter();
            values.push(into.fold(whole, |value, step| value.item(&Val::Int(*step))));
            self.doing.swap_remove(&value);
        }
        let value = Val::any(values);
        let value = self.changed(value, class, name, true);
        match value {
            Val::Unknown if self.need.is_none() => {
                Val::Method(Rc::new(object.clone()), name.into())
            }
            value => value,
        }
    }

    /// A class and those that it is made from, the nearest first.
    pub fn family(&mut self, class: Node<'t>) -> Vec<Node<'t>> {
        let mut all = vec![class];
        let mut at = 0;
        while at < all.len() {
            if all.len() > MOST_BASES {
                self.gave_up = true;
                break;
            }
            let bases: Vec<_> = all[at]
                .field("superclasses")
                .into_iter()
                .flat_map(Node::children)
                .collect();
            for base in bases {
                if let Val::Class(base) = self.value(base)
                    && !all.contains(&base)
                {
                    all.push(base);
                }
            }
            at += 1;
        }
        all
    }

    pub fn class_member(&mut self, class: Node<'t>, name: &str) -> Val<'t> {
        for own in self.family(class) {
            let Some(bindings) = self.program.bound_in(own, name) else {
                continue;
            };
            let found: Vec<_> = bindings
                .iter()
                .map(|binding| binding.what.clone())
                .collect();
            let values = found.into_iter().map(|what| match what {
                Bound::Value(node) => self.eval(node, &Ctx::default()),
                Bound::Function(node) => Val::Func(node, Ctx::default(), None),
                Bound::Class(node) => Val::Class(node),
                _ => Val::Unknown,
            });
            return Val::any(values.collect::<Vec<_>>());
        }
        Val::Unknown
    }

    /// The fields of a class that are written in its body: name, value, annotation.
    pub fn fields(&mut self, class: Node<'t>) -> Vec<(&'t str, Option<Node<'t>>, &'t str)> {
        let mut all = Vec::new();
        for own in self.family(class).into_iter().rev() {
            let body = own.field("body").into_iter().flat_map(Node::children);
            for statement in body
                .filter_map(|s| s.child(0))
                .filter(|s| s.kind() == "assignment")
            {
                if let Some(left) = statement
                    .field("left")
                    .filter(|left| left.kind() == "identifier")
                {
                    all.retain(|(name, _, _)| *name != left.text());
                    all.push((
                        left.text(),
                        statement.field("right"),
                        statement.text_of("type"),
                    ));
                }
            }
        }
        all
    }

    /// A class's fields by their names.
    pub fn annotated(&mut self, class: Node<'t>) -> Val<'t> {
        let fields = self.fields(class).into_iter();
        let fields = fields.filter(|(_, _, kind)| !kind.is_empty());
        Val::Dict(
            fields
                .map(|(name, ..)| (Val::text(name), Val::Unknown))
                .collect(),
        )
    }

    /// The members of an enumeration.
    fn members(&mut self, class: Node<'t>) -> Val<'t> {
        let fields = self.fields(class);
        Val::Dict(
            fields
                .into_iter()
                .filter_map(|(name, value, _)| Some((Val::text(name), self.value(value?))))
                .collect(),
        )
    }

    /// What a loop goes through, where it can be an enumeration.
    pub fn elements(&mut self, value: &Val<'t>) -> Option<Vec<Val<'t>>> {
        match value {
            Val::Class(class) => match self.members(*class) {
                Val::Dict(items) => Some(items.iter().map(|(_, value)| value.clone()).collect()),
                _ => None,
            },
            value => value.elements(),
        }
    }

    /// The arguments of a call.
    pub fn args(&mut self, call: Node<'t>, ctx: &Ctx<'t>) -> Args<'t> {
        let mut args = Args::default();
        let Some(list) = call.field("arguments") else {
            return args;
        };
        if is_comprehension(list) {
            args.positional.push(self.eval(list, ctx));
            return args;
        }
        for argument in list.children() {
            match argument.kind() {
                "keyword_argument" => {
                    let value = self.field(argument, "value", ctx);
                    args.named.push((argument.text_of("name").into(), value));
                }
                "list_splat" => match argument
                    .child(0)
                    .map_or(Val::Unknown, |n| self.eval(n, ctx))
                {
                    Val::List(items) => args.positional.extend(items.iter().cloned()),
                    other => args.more.push(other),
                },
                "dictionary_splat" => match argument
                    .child(0)
                    .map_or(Val::Unknown, |n| self.eval(n, ctx))
                {
                    Val::Dict(items) => {
                        args.named.extend(items.iter().filter_map(|(key, value)| {
                            Some((Rc::from(key.as_str()?), value.clone()))
                        }));
                    }
                    other => args.more.push(other),
                },
                _ => args.positional.push(self.eval(argument, ctx)),
            }
        }
        args
    }

    fn call(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        let callee = self.field(node, "function", ctx);
        if self.need.is_some() {
            return Val::Unknown;
        }
        let args = self.args(node, ctx);
        if self.need.is_some() {
            return Val::Unknown;
        }
        self.result(&callee, &args, Some(node))
    }

    /// What a call gives.
    pub fn result(&mut self, callee: &Val<'t>, args: &Args<'t>, call: Option<Node<'t>>) -> Val<'t> {
        match callee {
            Val::Any(all) => {
                let all = all.to_vec();
                Val::any(
                    all.iter()
                        .map(|one| self.result(one, args, call))
                        .collect::<Vec<_>>(),
                )
            }
            Val::Func(function, ctx, bound) => {
                let inner = self.bind(*function, ctx, bound.as_deref(), args, call);
                self.touched = true;
                self.steps += 2 + args.positional.len();
                if let Some((known, of)) = self.deps.fresh(self.results.get(&inner)) {
                    let known = known.clone();
                    self.consulted = self.deps.union(self.consulted, of);
                    return known;
                }
                if let Some((known, gave_up, of)) = self.parts.get(&inner) {
                    self.gave_up |= gave_up;
                    let known = known.clone();
                    self.consulted = self.deps.union(self.consulted, *of);
                    return known;
                }
                if self.inside >= CALLS || !self.enter(*function) {
                    self.gave_up |= self.inside >= CALLS;
                    return if self.inside >= CALLS {
                        Val::Lost
                    } else {
                        Val::Unknown
                    };
                }
                self.inside += 1;
                let before = std::mem::take(&mut self.gave_up);
                let cut = std::mem::take(&mut self.cut);
                let consulted = std::mem::take(&mut self.consulted);
                let value = self.returned_value(*function, &inner);
                self.inside -= 1;
                self.doing.swap_remove(function);
                if self.need.is_none() && (self.gave_up || self.cut) {
                    let part = (value.clone(), self.gave_up, self.consulted);
                    self.parts.insert(inner, part);
                } else if self.need.is_none() {
                    let kept = self.deps.keep(value.clone(), self.consulted);
                    self.results.insert(inner, kept);
                }
                self.gave_up |= before;
                self.cut |= cut;
                self.consulted = self.deps.union(self.consulted, consulted);
                value
            }
            Val::Class(class) => self.made(*class, args, call),
            Val::Partial(function, first) => {
                let args = merged(first, args);
                self.result(function, &args, call)
            }
            callee => self.known_call(callee, args),
        }
    }

    fn returned_value(&mut self, function: Node<'t>, inner: &Ctx<'t>) -> Val<'t> {
        let returned = self.returned(function);
        let values: Vec<_> = returned
            .iter()
            .map(|node| self.eval(*node, inner))
            .collect();
        let yields = function.kind() != "lambda"
            && returned
                .iter()
                .any(|n| n.parent().is_some_and(|p| p.kind() == "yield"));
        if yields {
            Val::list(values)
        } else {
            Val::any(values)
        }
    }

    /// An object of a class.
    fn made(&mut self, class: Node<'t>, args: &Args<'t>, call: Option<Node<'t>>) -> Val<'t> {
        if let Val::Func(init, _, _) = self.class_member(class, "__init__") {
            let bound = Val::Object(class, Ctx::default());
            return Val::Object(
                class,
                self.bind(init, &Ctx::default(), Some(&bound), args, call),
            );
        }
        let mut values = Vec::new();
        for (at, (name, default, _)) in self.fields(class).into_iter().enumerate() {
            let value = match args.get(at, name) {
                Some(value) => value.clone(),
                None => default.map_or(Val::Unknown, |node| self.value(node)),
            };
            values.push((name, value.shallow()));
        }
        // An enumeration's member by its value.
        if args.positional.len() == 1
            && values.iter().all(|(_, value)| value.as_str().is_some())
            && class.text_of("superclasses").contains("Enum")
        {
            return args.positional[0].clone();
        }
        Val::Object(
            class,
            Ctx::default().with(class, Frame::Call(values.into(), call)),
        )
    }

    /// What a function's parameters are in a call.
    pub fn bind(
        &mut self,
        function: Node<'t>,
        outer: &Ctx<'t>,
        bound: Option<&Val<'t>>,
        args: &Args<'t>,
        call: Option<Node<'t>>,
    ) -> Ctx<'t> {
        let mut positional = args.positional.clone();
        let decorators = function
            .parent()
            .filter(|p| p.kind() == "decorated_definition")
            .map_or("", Node::text);
        let decorators = decorators.split("def ").next().unwrap_or_default();
        if !decorators.contains("@staticmethod")
            && function.kind() != "lambda"
            && let Some(class) = class_of(function)
        {
            positional.insert(
                0,
                bound.cloned().unwrap_or(Val::Object(class, Ctx::default())),
            );
        }
        let mut positional = positional.into_iter();
        let mut named = args.named.clone();
        let mut values = Vec::new();
        for (name, default, stars) in super::scope::parameters(function) {
            let value = match stars {
                1 => Val::list(positional.by_ref().collect()),
                2 => Val::Dict(
                    std::mem::take(&mut named)
                        .into_iter()
                        .map(|(k, v)| (Val::Str(k, None), v))
                        .collect(),
                ),
                _ => {
                    let by_name = named.iter().position(|(own, _)| &**own == name);
                    match (by_name, positional.next()) {
                        (Some(at), _) => named.remove(at).1,
                        (None, Some(value)) => value,
                        (None, None) => match args.more.iter().find_map(|more| match more {
                            Val::Input(_) => Some(more.item(&Val::text(name))),
                            _ => None,
                        }) {
                            Some(value) => value,
                            None if args.more.is_empty() => {
                                default.map_or(Val::Unknown, |node| self.value(node))
                            }
                            None => Val::Unknown,
                        },
                    }
                }
            };
            values.push((name, value.shallow()));
        }
        outer.with(function, Frame::Call(values.into(), call))
    }

    /// What a function gives back: the values of `return` and `yield`.
    pub fn returned(&mut self, function: Node<'t>) -> Rc<[Node<'t>]> {
        if let Some(known) = self.returns.get(&function) {
            return known.clone();
        }
        let Some(body) = function.field("body") else {
            return Rc::from([]);
        };
        let found: Rc<[Node<'t>]> = if function.kind() == "lambda" {
            Rc::from([body])
        } else {
            let own = |node: &Node<'t>| {
                node.ancestors()
                    .find(|n| matches!(n.kind(), "function_definition" | "lambda"))
                    == Some(function)
            };
            body.below()
                .filter(|node| matches!(node.kind(), "return_statement" | "yield"))
                .filter(own)
                .filter_map(|node| node.child(0))
                .collect()
        };
        self.steps += body.range().len() / 16;
        self.returns.insert(function, found.clone());
        found
    }

    /// The ways in which loops and calls bind what some expressions need.
    pub fn ways(&mut self, of: &[Node<'t>], ctx: &Ctx<'t>) -> Vec<Ctx<'t>> {
        let mut done = Vec::new();
        let mut todo = vec![(ctx.clone(), 0)];
        let settled = self.settled.len();
        while let Some((ctx, depth)) = todo.pop() {
            if done.len() + todo.len() > MOST_WAYS || self.steps > self.limit || depth > 12 {
                self.gave_up = true;
                break;
            }
            let forking = std::mem::replace(&mut self.forking, true);
            let need = self.need.take();
            for node in of {
                self.eval(*node, &ctx);
                if self.need.is_some() {
                    break;
                }
            }
            let binder = std::mem::replace(&mut self.need, need);
            self.forking = forking;
            // What is bound already and asked for all the same is asked for where it can't be bound:
            // that is answered with all that is known of it, as long as there is room for that.
            let room = self.steps < self.limit / 4;
            let again = |binder: &Node<'t>| room && ctx.frame(*binder).is_some();
            let Some(binder) = binder.filter(|binder| !again(binder)) else {
                done.push(ctx);
                continue;
            };
            if ctx.frame(binder).is_some() {
                self.settled.insert(binder);
                todo.push((ctx, depth + 1));
                continue;
            }
            let more = self.bound_ways(binder, &ctx);
            todo.extend(more.into_iter().rev().map(|ctx| (ctx, depth + 1)));
        }
        self.settled.truncate(settled);
        done
    }

    fn bound_ways(&mut self, binder: Node<'t>, ctx: &Ctx<'t>) -> Vec<Ctx<'t>> {
        if matches!(binder.kind(), "function_definition" | "lambda") {
            let frames = self
                .frames
                .get(&binder)
                .map(|frames| frames.all.clone())
                .unwrap_or_default();
            // What a call binds joins what is bound here already.
            return frames
                .iter()
                .filter_map(|own| Some(ctx.with(binder, own.frame(binder)?.clone())))
                .collect();
        }
        let Some(iter) = binder.field("right") else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for way in self.ways(&[iter], ctx) {
            let value = self.eval(iter, &way);
            let items = match value {
                Val::Input(path) => vec![Val::Input(path)],
                value => self.elements(&value).unwrap_or_else(|| vec![Val::Unknown]),
            };
            all.extend(
                items
                    .into_iter()
                    .map(|item| way.with(binder, Frame::Element(item))),
            );
        }
        all
    }

    /// Notes a call of a function of the program.
    pub fn called(&mut self, callee: &Val<'t>, args: &Args<'t>, call: Node<'t>) {
        for one in callee.each() {
            match one {
                Val::Func(function, outer, bound) => {
                    let ctx = self.bind(*function, outer, bound.as_deref(), args, Some(call));
                    self.frame(*function, ctx);
                }
                Val::Class(class) => {
                    if let Val::Func(init, outer, _) = self.class_member(*class, "__init__") {
                        let object = Val::Object(*class, Ctx::default());
                        let ctx = self.bind(init, &outer, Some(&object), args, Some(call));
                        self.frame(init, ctx);
                    }
                }
                Val::Partial(function, first) => {
                    let args = merged(first, args);
                    self.called(function, &args, call);
                }
                Val::Object(class, _) => {
                    if let Val::Func(node, outer, _) = self.class_member(*class, "__call__") {
                        let ctx = self.bind(node, &outer, Some(one), args, Some(call));
                        self.frame(node, ctx);
                    }
                }
                other => self.handed_on(other, args, call),
            }
        }
    }

    /// A function that is given to somebody else, who calls it: with what comes after it, with
    /// `args=`, or with each element.
    fn handed_on(&mut self, callee: &Val<'t>, args: &Args<'t>, call: Node<'t>) {
        let is_map = match callee {
            Val::Ext(name) | Val::Method(_, name) => matches!(&**name, "map" | "filter"),
            _ => false,
        };
        let function = |value: &Val<'t>| matches!(value, Val::Func(..) | Val::Partial(..));
        if let Some(at) = args.positional.iter().position(function) {
            let given = args.positional[at].clone();
            let rest = &args.positional[at + 1..];
            if is_map {
                for item in rest.first().and_then(Val::elements).unwrap_or_default() {
                    let one = Args {
                        positional: vec![item],
                        ..Args::default()
                    };
                    self.called(&given, &one, call);
                }
            } else if !matches!(callee, Val::Ext(name) if name.ends_with("partial"))
                && !rest.is_empty()
            {
                let rest = Args {
                    positional: rest.to_vec(),
                    ..Args::default()
                };
                self.called(&given, &rest, call);
            }
        }
        if let Some(target) = args
            .get(usize::MAX, "target")
            .filter(|target| function(target))
            .cloned()
            && let Some(Val::List(items)) = args.get(usize::MAX, "args")
        {
            let given = Args {
                positional: items.to_vec(),
                ..Args::default()
            };
            self.called(&target, &given, call);
        }
    }

    pub fn frame(&mut self, function: Node<'t>, mut ctx: Ctx<'t>) {
        if !self.taint.leads(function) {
            return;
        }
        let frames = self.frames.entry(function).or_default();
        if frames.seen.contains_key(&ctx) {
            return;
        }
        // A function that calls itself does so with other texts and numbers each time: what
        // depends on them is not known from then on.
        let most = MOST_WAYS / if self.age > FEW_CALLS { 16 } else { 2 };
        let is_full = frames.all.len() >= most || self.age > LONGEST;
        if let Some(Frame::Call(args, call)) = ctx.frame(function)
            && (is_full || self.age > FEW_CALLS)
        {
            let wide = |value: &Val<'t>| match value {
                Val::Int(_) | Val::Float(_) => Val::Unknown,
                Val::Env(..) if is_full => Val::Unknown,
                value if is_full => value.widened(),
                value => value.clone(),
            };
            let args = args.iter().map(|(name, value)| (*name, wide(value)));
            // Which of the calls it is makes no difference then.
            let call = call.filter(|_| !is_full);
            let frame = Frame::Call(args.collect(), call);
            ctx = ctx.instead(function, frame);
            if frames.seen.contains_key(&ctx) {
                return;
            }
        }
        if frames.all.len() >= most + MOST_WAYS / 16 {
            self.dropped = true;
            return;
        }
        frames.seen.insert(ctx.clone(), self.age);
        frames.all.push(ctx);
        self.deps.called(function);
        let again: Vec<_> = frames.asked_by.iter().copied().collect();
        for call in again {
            self.queue(call);
        }
    }

    pub fn queue(&mut self, call: Node<'t>) {
        if self.queued.insert(call) {
            self.calls.push_back(call);
        }
    }

    /// Follows the calls of the program's functions until there is nothing new.
    pub fn follow_calls(&mut self) {
        self.parts.clear();
        self.lost.clear();
        while let Some(call) = self.calls.pop_front() {
            self.queued.swap_remove(&call);
            if self.steps > self.limit {
                break;
            }
            self.consulted = 0;
            self.gave_up = false;
            let mut of: Vec<Node<'t>> = call.field("function").into_iter().collect();
            if let Some(list) = call.field("arguments") {
                of.extend(
                    list.children()
                        .filter_map(|argument| match argument.kind() {
                            "keyword_argument" => argument.field("value"),
                            "list_splat" | "dictionary_splat" => argument.child(0),
                            _ => (!is_comprehension(list)).then_some(argument),
                        }),
                );
            }
            for way in self.ways(&of, &Ctx::default()) {
                let Some(callee) = call.field("function") else {
                    continue;
                };
                let callee = self.eval(callee, &way);
                let args = self.args(call, &way);
                let function = call.ancestors().find(|a| a.kind() == "function_definition");
                let from = function.and_then(|function| {
                    let own = Ctx::default().with(function, way.frame(function)?.clone());
                    self.frames.get(&function)?.seen.get(&own).copied()
                });
                self.age = from.map_or(0, |age| age + 1);
                self.called(&callee, &args, call);
            }
            let matters = self.taint.of(call) & !FUNCTION > 0;
            if std::mem::take(&mut self.gave_up) && matters {
                self.given_up.push(call);
            }
            if std::mem::take(&mut self.dropped) {
                self.endless.push(call);
            }
            self.parts.clear();
            self.lost.clear();
            // Most of what was kept long ago is not asked for again.
            if self.bound.len() > MOST_KEPT {
                self.bound.clear();
                self.results.clear();
            }
            for function in self.deps.functions(self.consulted) {
                self.frames
                    .entry(function)
                    .or_default()
                    .asked_by
                    .insert(call);
            }
        }
        self.lost.clear();
        // What is called next is called from outside.
        self.age = 0;
    }
}

fn merged<'t>(first: &Args<'t>, then: &Args<'t>) -> Args<'t> {
    let mut all = first.clone();
    all.positional.extend(then.positional.iter().cloned());
    all.named
        .retain(|(name, _)| then.get(usize::MAX, name).is_none());
    all.named.extend(then.named.iter().cloned());
    all.more.extend(then.more.iter().cloned());
    all
}

/// Something from elsewhere; the environment is one thing, however it is come by.
pub fn external<'t>(path: &str) -> Val<'t> {
    match path {
        "os.environ" | "os.environb" | "posix.environ" | "starlette.config.environ" => {
            Val::Environ(Vec::new().into())
        }
        "environs.env" => Val::Made("environs.Env".into()),
        path => Val::Ext(path.into()),
    }
}

/// What a variable of the environment holds; each of several names is one.
pub fn env_value<'t>(name: &Val<'t>, default: &Val<'t>) -> Val<'t> {
    let each = name.each().iter().map(|name| match name {
        Val::Str(text, _) => Val::Env(text.clone(), Rc::new(default.clone())),
        _ => Val::Unknown,
    });
    Val::any(each.collect::<Vec<_>>())
}

fn integer<'t>(text: &str) -> Val<'t> {
    let plain = text.replace('_', "").to_lowercase();
    let number = match plain.get(..2) {
        Some("0x") => i64::from_str_radix(&plain[2..], 16),
        Some("0o") => i64::from_str_radix(&plain[2..], 8),
        Some("0b") => i64::from_str_radix(&plain[2..], 2),
        _ => plain.parse(),
    };
    number.map_or_else(|_| Val::Float(text.into()), Val::Int)
}

fn number(value: &Val<'_>) -> Option<f64> {
    match value {
        #[allow(
            clippy::cast_precision_loss,
            reason = "shown as text, where the digits suffice"
        )]
        Val::Int(number) => Some(*number as f64),
        Val::Float(text) => text.replace('_', "").parse().ok(),
        _ => None,
    }
}

/// `left operator right`.
fn binary<'t>(operator: &str, left: &Val<'t>, right: &Val<'t>) -> Val<'t> {
    if let (Val::Int(a), Val::Int(b)) = (left, right) {
        let small = u32::try_from(*b).ok();
        let whole = match operator {
            "+" => a.checked_add(*b),
            "-" => a.checked_sub(*b),
            "*" => a.checked_mul(*b),
            "//" if *b != 0 => Some(a.div_euclid(*b)),
            "%" if *b != 0 => Some(a.rem_euclid(*b)),
            "**" => small.and_then(|b| a.checked_pow(b)),
            "<<" => small
                .filter(|b| *b < 62)
                .and_then(|b| a.checked_mul(1 << b)),
            ">>" => small.and_then(|b| a.checked_shr(b)),
            "|" => Some(a | b),
            "&" => Some(a & b),
            _ => None,
        };
        if let Some(whole) = whole {
            return Val::Int(whole);
        }
    }
    if let (Some(a), Some(b)) = (number(left), number(right)) {
        let result = match operator {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            "/" => a / b,
            "**" => a.powf(b),
            _ => return Val::Unknown,
        };
        return Val::Float(format!("{result:?}").into());
    }
    match (operator, left, right) {
        ("+", Val::List(a), Val::List(b)) => Val::list(a.iter().chain(b.iter()).cloned().collect()),
        ("+", Val::List(a), _) | ("+", _, Val::List(a)) => {
            Val::list(a.iter().cloned().chain([Val::Unknown]).collect())
        }
        ("*", Val::List(a), _) => Val::List(a.clone()),
        ("%", Val::Str(..), right) => left.percent(right),
        ("/", left, right) => left.join(&Val::text("/")).join(right),
        ("|", Val::Environ(under), Val::Dict(_)) => Val::Environ(under.clone()),
        ("|", Val::Dict(under), Val::Environ(_)) => Val::Environ(under.clone()),
        ("|", Val::Dict(a), Val::Dict(b)) => Val::Dict(a.iter().chain(b.iter()).cloned().collect()),
        ("|", input @ Val::Input(_), _) | ("|", _, input @ Val::Input(_)) => input.clone(),
        ("|", Val::List(a), Val::List(b)) => Val::list(a.iter().chain(b.iter()).cloned().collect()),
        ("+", left, right) => left.join(right),
        _ => Val::Unknown,
    }
}

/// A part of a text: `[a:b]`.
fn slice(range: &str, text: &str) -> Option<String> {
    let chars: Vec<char> = text.chars().collect();
    let (from, to) = range.split_once(':')?;
    let len = i64::try_from(chars.len()).ok()?;
    let at = |text: &str, default: i64| -> Option<usize> {
        let text = text.trim();
        let number: i64 = if text.is_empty() {
            default
        } else {
            text.parse().ok()?
        };
        usize::try_from(if number < 0 {
            (number + len).max(0)
        } else {
            number.min(len)
        })
        .ok()
    };
    chars
        .get(at(from, 0)?..at(to, len)?)
        .map(|part| part.iter().collect())
}
