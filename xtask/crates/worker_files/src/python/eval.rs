//! What an expression's value is, as far as it is known: asked where a mention needs it, never by
//! running the program.
//!
//! There are two ways to ask. [`Reader::value`] joins whatever an expression may be: parameters are
//! any of what calls give them, calls are any of what the function gives, both from the tables of
//! `calls`. [`Reader::at`] is exact for one way through loops and calls, which `ways` finds.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::PythonFacts;
use super::calls::Site;
use super::quick::{Map, Set};
use super::scope::{Bound, Program};
use super::syntax::Node;
use super::value::{Args, Ctx, Frame, Val, unescape};
use crate::{Hides, Place, Source, Unread};

/// How deep expressions may lead to others.
const DEEPEST: usize = 80;
/// How many ways through loops, or calls of one function, are told apart.
pub const MOST_WAYS: usize = 700;
/// How many places that bind one name are told apart.
const MOST_BINDINGS: usize = 60;

pub struct Reader<'t> {
    pub program: Program<'t>,
    pub data: &'t BTreeMap<String, &'t Source>,
    pub facts: PythonFacts,
    pub unread: Vec<Unread>,
    /// How many steps were taken, and how many may be.
    pub steps: usize,
    pub limit: usize,
    depth: usize,
    /// Whether one way is asked for, instead of all that may be.
    pub exact: bool,
    /// Whether a loop or function that binds a name has to be known, and the first such one.
    pub forking: bool,
    pub need: Option<Node<'t>>,
    /// Whether something was too much to follow.
    pub gave_up: bool,
    /// Whether the last value lacks what it was being asked for already.
    cut: bool,
    doing: Set<(Node<'t>, bool)>,
    /// How many calls are being looked into.
    pub inside: usize,
    joined: Map<(Node<'t>, bool), Val<'t>>,
    /// Values by what is bound around them; the bindings are kept so that their number is.
    bound: Map<(Node<'t>, usize, bool), (Ctx<'t>, Val<'t>)>,
    pub given: Map<Ctx<'t>, Val<'t>>,
    /// What all calls give to parameters, what functions give back, and who calls them.
    pub params: Map<Node<'t>, Vec<(&'t str, Val<'t>)>>,
    pub results: Map<Node<'t>, Val<'t>>,
    pub sites: Map<Node<'t>, Vec<Site<'t>>>,
    /// The ways to call functions that do not depend on what is bound around the calls.
    pub frames: Map<Node<'t>, Rc<[Ctx<'t>]>>,
    /// Whether calls were too many to tell apart.
    pub blurred: bool,
    pub returns: Map<Node<'t>, Rc<[Node<'t>]>>,
    /// Functions that nothing is seen to call.
    pub silent: Vec<Node<'t>>,
    /// Whether one of these tables grew, and whether that is too much by now.
    pub grew: bool,
    pub widening: bool,
    /// Whether most is found by now.
    pub late: bool,
    /// What is written to the environment: name, where, and the value.
    pub written: Vec<(Rc<str>, Node<'t>, Node<'t>)>,
}

impl<'t> Reader<'t> {
    pub fn new(program: Program<'t>, data: &'t BTreeMap<String, &'t Source>) -> Self {
        let sources = program.files.iter().map(|file| file.source.text.len());
        let limit = super::steps_for(sources.sum());
        Self {
            program,
            data,
            facts: PythonFacts::default(),
            unread: Vec::new(),
            steps: 0,
            limit,
            depth: 0,
            exact: false,
            forking: false,
            need: None,
            gave_up: false,
            cut: false,
            doing: Set::default(),
            inside: 0,
            joined: Map::default(),
            bound: Map::default(),
            given: Map::default(),
            params: Map::default(),
            results: Map::default(),
            sites: Map::default(),
            frames: Map::default(),
            blurred: false,
            returns: Map::default(),
            silent: Vec::new(),
            grew: false,
            widening: false,
            late: false,
            written: Vec::new(),
        }
    }

    /// Where something is written; of a text, what is between the quotes.
    pub fn place(&self, node: Node<'_>) -> Place {
        let content = node.children().find(|part| part.kind() == "string_content");
        let range = content.unwrap_or(node).range();
        self.program.files[node.file()].source.place(range)
    }

    /// Notes what was not understood, where code that runs says it.
    pub fn not_read(&mut self, node: Node<'t>, why: impl Into<String>, hides: &[Hides]) {
        if self.program.runs(node) {
            let source = self.program.files[node.file()].source;
            self.unread.push(source.unread(node.range(), why, hides));
        }
    }

    /// Looks into an expression, unless that is being done already.
    pub fn once<T>(&mut self, node: Node<'t>, look: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.once_as((node, false), look)
    }

    /// Looks into a function, or who calls it, unless that is being done already.
    pub fn once_in<T>(&mut self, of: Node<'t>, look: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.once_as((of, true), look)
    }

    fn once_as<T>(
        &mut self,
        node: (Node<'t>, bool),
        look: impl FnOnce(&mut Self) -> T,
    ) -> Option<T> {
        if !self.doing.insert(node) {
            self.cut = true;
            return None;
        }
        let found = look(self);
        self.doing.swap_remove(&node);
        Some(found)
    }

    /// Everything that an expression may be.
    pub fn value(&mut self, node: Node<'t>) -> Val<'t> {
        let (exact, forking) = (self.exact, self.forking);
        (self.exact, self.forking) = (false, false);
        let value = self.eval(node, &Ctx::default());
        (self.exact, self.forking) = (exact, forking);
        value
    }

    /// What an expression is in one way through loops and calls.
    pub fn at(&mut self, node: Node<'t>, way: &Ctx<'t>) -> Val<'t> {
        self.exactly(|reader| reader.eval(node, way))
    }

    pub fn exactly<T>(&mut self, ask: impl FnOnce(&mut Self) -> T) -> T {
        let exact = std::mem::replace(&mut self.exact, true);
        let answer = ask(self);
        self.exact = exact;
        answer
    }

    /// Asks for what no loop or call around the mention decides on.
    pub fn settled<T>(&mut self, ask: impl FnOnce(&mut Self) -> T) -> T {
        let forking = std::mem::replace(&mut self.forking, false);
        let answer = ask(self);
        self.forking = forking;
        answer
    }

    /// Forgets values, because the tables that they were made from grew.
    pub fn forget(&mut self) {
        self.bound.clear();
        self.given.clear();
        self.joined.clear();
    }

    /// Forgets values of single ways, where they are many.
    pub fn forget_ways(&mut self) {
        const MOST: usize = 50_000;
        if self.bound.len() > MOST {
            self.bound.clear();
            self.given.clear();
        }
    }

    pub fn eval(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        self.steps += 1;
        if self.need.is_some() {
            return Val::Unknown;
        }
        let plain = ctx.number() == 0 && !self.forking;
        let key = (node, ctx.number(), self.forking);
        let known = match plain {
            true => self.joined.get(&(node, self.exact)),
            false => self.bound.get(&key).map(|(_, value)| value),
        };
        if let Some(known) = known {
            return known.clone();
        }
        if self.depth >= DEEPEST || self.steps > self.limit {
            self.gave_up = true;
            self.cut = true;
            return Val::Lost;
        }
        let cut = std::mem::take(&mut self.cut);
        self.depth += 1;
        let value = self.expression(node, ctx);
        self.depth -= 1;
        if let Val::List(items) | Val::Any(items) | Val::Pieces(items) = &value {
            self.steps += items.len() / 8;
        }
        if self.need.is_none() && (!self.cut || self.depth == 0) {
            match plain {
                true => drop(self.joined.insert((node, self.exact), value.clone())),
                false => drop(self.bound.insert(key, (ctx.clone(), value.clone()))),
            }
        }
        self.cut = self.depth > 0 && (self.cut || cut);
        value
    }

    /// The value of a part, which is not known where there is no such part.
    pub fn part(&mut self, node: Option<Node<'t>>, ctx: &Ctx<'t>) -> Val<'t> {
        node.map_or(Val::Unknown, |node| self.eval(node, ctx))
    }

    fn expression(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        match node.kind() {
            "identifier" => self.name(node, node.text(), ctx),
            "string" => self.string(node, ctx),
            "concatenated_string" => {
                let parts: Vec<_> = node.children().map(|n| self.eval(n, ctx)).collect();
                let whole = parts.into_iter().reduce(|a, b| a.join(&b));
                whole.unwrap_or(Val::Unknown)
            }
            "integer" => integer(node.text()),
            "float" => Val::Float(node.text().into()),
            "true" => Val::Bool(true),
            "false" => Val::Bool(false),
            "none" => Val::None,
            "parenthesized_expression" | "await" | "as_pattern" | "expression_statement" => {
                self.part(node.child(0), ctx)
            }
            "named_expression" => self.part(node.field("value"), ctx),
            "assignment" => self.part(node.field("right"), ctx),
            "list" | "tuple" | "set" | "expression_list" => self.sequence(node, ctx),
            "dictionary" => self.dictionary(node, ctx),
            _ if node.is_comprehension() => self.comprehension(node, ctx),
            "attribute" => {
                let object = self.part(node.field("object"), ctx);
                self.attribute(&object, node.text_of("attribute"))
            }
            "subscript" => self.subscript(node, ctx),
            "call" => {
                let callee = self.part(node.field("function"), ctx);
                let args = self.args(node, ctx);
                match self.need {
                    Some(_) => Val::Unknown,
                    None => self.result(&callee, &args, Some(node)),
                }
            }
            "lambda" => Val::Func(node, self.closure(ctx), None),
            "boolean_operator" => {
                let left = self.part(node.field("left"), ctx);
                let right = self.part(node.field("right"), ctx);
                match (node.text_of("operator"), left) {
                    ("or", Val::Env(name, _)) if self.exact => Val::Env(name, Rc::new(right)),
                    ("or", Val::None | Val::Bool(false)) | ("and", Val::Bool(true)) => right,
                    ("or", Val::Str(text, _)) if text.is_empty() => right,
                    ("or", Val::Dict(_) | Val::List(_)) if matches!(right, Val::Input(_)) => right,
                    ("and", Val::Unknown) => right,
                    (_, left) => Val::any([left, right]),
                }
            }
            "conditional_expression" => {
                let both = [self.part(node.child(0), ctx), self.part(node.child(2), ctx)];
                Val::any(both)
            }
            "binary_operator" => {
                let left = self.part(node.field("left"), ctx);
                let right = self.part(node.field("right"), ctx);
                binary(node.text_of("operator"), &left, &right)
            }
            "unary_operator" => {
                match (
                    node.text_of("operator"),
                    self.part(node.field("argument"), ctx),
                ) {
                    ("-", Val::Int(number)) => Val::Int(-number),
                    ("-", Val::Float(text)) => Val::Float(format!("-{text}").into()),
                    _ => Val::Unknown,
                }
            }
            _ => Val::Unknown,
        }
    }

    /// What a function keeps of what is bound around it. All that may be is in the tables already.
    fn closure(&self, ctx: &Ctx<'t>) -> Ctx<'t> {
        if self.exact {
            ctx.clone()
        } else {
            Ctx::default()
        }
    }

    fn string(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        let start = node.child(0).map_or("", Node::text);
        let mut out = Val::Str("".into(), Some(node));
        for part in node.children() {
            match part.kind() {
                "string_content" if start.contains(['r', 'R']) => {
                    out = out.join(&Val::text(part.text()));
                }
                "string_content" if start.contains(['f', 'F']) => {
                    let text = unescape(part.text()).replace("{{", "{").replace("}}", "}");
                    out = out.join(&Val::text(&text));
                }
                "string_content" => out = out.join(&Val::text(&unescape(part.text()))),
                "interpolation" => {
                    let value = self.part(part.child(0), ctx);
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
                let inner = self.part(child.child(0), ctx);
                items.extend(inner.elements().unwrap_or_else(|| vec![Val::Unknown]));
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
                let key = self.part(child.field("key"), ctx);
                items.push((key, self.part(child.field("value"), ctx)));
            } else if child.kind() == "dictionary_splat" {
                match self.part(child.child(0), ctx) {
                    Val::Dict(more) => items.extend(more.iter().cloned()),
                    Val::Environ(more) => {
                        items.extend(more.iter().cloned());
                        whole = Some(Val::Environ(Rc::from([])));
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
        let pair = body.kind() == "pair";
        let mut ways = vec![ctx.clone()];
        for clause in node.children().filter(|c| c.kind() == "for_in_clause") {
            let mut next = Vec::new();
            for way in ways {
                let iter = self.part(clause.field("right"), &way);
                // A dict made of the environment is a copy; a list is names or values.
                if matches!(iter, Val::Input(_)) || pair && iter.is_environ() {
                    return iter;
                }
                let Some(items) = self.elements(&iter) else {
                    return if iter.is_lost() {
                        Val::Lost
                    } else {
                        Val::Unknown
                    };
                };
                let bind = |item| way.with(clause, Frame::Element(item));
                next.extend(items.into_iter().map(bind));
            }
            ways = next;
            self.steps += ways.len();
            if ways.len() > MOST_WAYS {
                self.gave_up = true;
                return Val::Lost;
            }
        }
        if pair {
            let one = |way: &Ctx<'t>| {
                let key = self.part(body.field("key"), way);
                (key, self.part(body.field("value"), way))
            };
            Val::Dict(ways.iter().map(one).collect())
        } else {
            Val::list(ways.iter().map(|way| self.eval(body, way)).collect())
        }
    }

    /// What a name stands for.
    pub fn name(&mut self, at: Node<'t>, name: &'t str, ctx: &Ctx<'t>) -> Val<'t> {
        let Some((scope, bindings)) = self.program.lookup(at, name) else {
            for star in self.program.files[at.file()].stars.clone() {
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
        let lost = (bindings.len() > MOST_BINDINGS).then_some(Val::Lost);
        let first = bindings.len().saturating_sub(MOST_BINDINGS);
        let bindings = Program::reaching(at, scope, &bindings[first..]);
        let mut values: Vec<Val<'t>> = lost.into_iter().collect();
        for binding in bindings {
            let mut value = match binding.what {
                Bound::Value(node) => {
                    // What no loop stands around is the same wherever it is asked for.
                    let fixed = scope.kind() == "module" && node.above("for_statement").is_none();
                    let value = self.once(node, |reader| match fixed {
                        true => reader.settled(|reader| reader.eval(node, &Ctx::default())),
                        false => reader.eval(node, ctx),
                    });
                    value.unwrap_or(Val::Never)
                }
                Bound::Element(owner) => self.element(owner, ctx),
                Bound::Parameter(function) => self.parameter(function, name, ctx),
                Bound::Function(node) => {
                    let outer = match scope.kind() {
                        "module" => Ctx::default(),
                        _ => self.closure(ctx),
                    };
                    self.decorated(node, Val::Func(node, outer, None))
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
        let value = match values.len() {
            1 => values.remove(0),
            _ => Val::any(values),
        };
        if !matches!(value, Val::List(_) | Val::Dict(_)) {
            return value;
        }
        let variable = self.program.variable(at);
        let changes = variable.and_then(|of| self.program.changes.get(&of));
        match changes.cloned() {
            Some(changes) => self.changed(value, &changes),
            None => value,
        }
    }

    /// A list or dict with what is added to it elsewhere.
    pub fn changed(&mut self, value: Val<'t>, changes: &[Node<'t>]) -> Val<'t> {
        if !matches!(value, Val::List(_) | Val::Dict(_)) || self.need.is_some() {
            return value;
        }
        self.steps += changes.len();
        let mut items = value.elements().unwrap_or_default();
        let mut pairs = match &value {
            Val::Dict(pairs) => pairs.to_vec(),
            _ => Vec::new(),
        };
        let none = Ctx::default();
        for change in changes {
            let change = *change;
            let add = |reader: &mut Self| match change.kind() {
                "call" => {
                    let args = reader.args(change, &none);
                    let last = args.positional.last().cloned().unwrap_or(Val::Unknown);
                    match change.callee_name() {
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
                    let left = change.field("left");
                    let key = reader.part(left.and_then(|left| left.field("subscript")), &none);
                    let value = reader.part(change.field("right"), &none);
                    pairs.extend(key.each().iter().map(|key| (key.clone(), value.clone())));
                }
                _ => {
                    let more = reader.part(change.field("right"), &none);
                    items.extend(more.elements().unwrap_or_default());
                }
            };
            self.once(change, |reader| reader.settled(add));
        }
        match value {
            Val::Dict(_) => Val::Dict(pairs.into()),
            _ => Val::list(items),
        }
    }

    fn element(&mut self, owner: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        if let Some(Frame::Element(value)) = ctx.frame(owner) {
            return value.clone();
        }
        if self.forking {
            self.need = self.need.or(Some(owner));
            return Val::Unknown;
        }
        match self.once(owner, |reader| reader.part(owner.field("right"), ctx)) {
            None | Some(Val::Never) => Val::Never,
            Some(Val::Input(path)) => Val::Input(path),
            Some(Val::Lost) => Val::Lost,
            Some(iter) => self.elements(&iter).map_or(Val::Unknown, Val::any),
        }
    }

    fn parameter(&mut self, function: Node<'t>, name: &str, ctx: &Ctx<'t>) -> Val<'t> {
        let of = |all: &[(&'t str, Val<'t>)]| {
            let mut named = all.iter().filter(|(own, _)| *own == name);
            named
                .next()
                .map_or(Val::Unknown, |(_, value)| value.clone())
        };
        if let Some(Frame::Call(args, _)) = ctx.frame(function) {
            return of(args);
        }
        let all = self.params.get(&function).map_or(Val::Never, |all| of(all));
        if self.forking && !all.is_definite() {
            self.need = self.need.or(Some(function));
            return Val::Unknown;
        }
        all
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
    pub fn member(&mut self, index: usize, name: &'t str) -> Val<'t> {
        let root = self.program.files[index].syntax.root();
        let last = root
            .children()
            .last()
            .filter(|_| self.program.bound_in(root, name).is_some());
        let Some(last) = last else {
            return Val::Unknown;
        };
        if self.depth >= DEEPEST {
            self.gave_up = true;
            return Val::Lost;
        }
        self.depth += 1;
        let value = self.settled(|reader| reader.name(last, name, &Ctx::default()));
        self.depth -= 1;
        value
    }

    fn subscript(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        let object = self.part(node.field("value"), ctx);
        let Some(key) = node.field("subscript") else {
            return Val::Unknown;
        };
        if key.kind() == "slice" {
            return match object {
                Val::Str(text, at) => {
                    slice(key.text(), &text).map_or(Val::Unknown, |cut| Val::Str(cut.into(), at))
                }
                list @ (Val::List(_) | Val::Input(_) | Val::Lost) => list,
                _ => Val::Unknown,
            };
        }
        let key = self.eval(key, ctx);
        self.item(&object, &key)
    }

    /// The arguments of a call.
    pub fn args(&mut self, call: Node<'t>, ctx: &Ctx<'t>) -> Args<'t> {
        let mut args = Args::default();
        for argument in call.arguments() {
            match argument.kind() {
                "keyword_argument" => {
                    let value = self.part(argument.field("value"), ctx);
                    args.named.push((argument.text_of("name").into(), value));
                }
                "list_splat" => match self.part(argument.child(0), ctx) {
                    Val::List(items) => args.positional.extend(items.iter().cloned()),
                    other => args.more.push(other),
                },
                "dictionary_splat" => match self.part(argument.child(0), ctx) {
                    Val::Dict(items) => {
                        let named = items.iter();
                        let named =
                            named.filter_map(|(k, v)| Some((k.as_str()?.into(), v.clone())));
                        args.named.extend(named);
                    }
                    other => args.more.push(other),
                },
                _ => args.positional.push(self.eval(argument, ctx)),
            }
        }
        args
    }
}

/// Something from elsewhere; the environment is one thing, however it is come by.
pub fn external<'t>(path: &str) -> Val<'t> {
    match path {
        "os.environ" | "os.environb" | "posix.environ" | "starlette.config.environ" => {
            Val::Environ(Rc::from([]))
        }
        "environs.env" => Val::Made("environs.Env".into()),
        path => Val::Ext(path.into()),
    }
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
    let both = |a: &[Val<'t>], b: &[Val<'t>]| Val::list([a, b].concat());
    match (operator, left, right) {
        (_, Val::Never, _) | (_, _, Val::Never) => Val::Never,
        ("+" | "|", Val::List(a), Val::List(b)) => both(a, b),
        ("+", Val::List(a), _) | ("+", _, Val::List(a)) => both(a, &[Val::Unknown]),
        ("*", Val::List(a), _) => Val::List(a.clone()),
        ("%", Val::Str(..), right) => left.percent(right),
        ("/", left, right) => left.join(&Val::text("/")).join(right),
        ("|", Val::Environ(under), Val::Dict(_)) => Val::Environ(under.clone()),
        ("|", Val::Dict(under), Val::Environ(_)) => Val::Environ(under.clone()),
        ("|", Val::Dict(a), Val::Dict(b)) => Val::Dict([&a[..], &b[..]].concat().into()),
        ("|", input @ Val::Input(_), _) | ("|", _, input @ Val::Input(_)) => input.clone(),
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
        let number: i64 = match text.trim() {
            "" => default,
            text => text.parse().ok()?,
        };
        let from_end = if number < 0 {
            (number + len).max(0)
        } else {
            number.min(len)
        };
        usize::try_from(from_end).ok()
    };
    let part = chars.get(at(from, 0)?..at(to, len)?)?;
    Some(part.iter().collect())
}
