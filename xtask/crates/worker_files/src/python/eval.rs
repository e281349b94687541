//! What an expression's value is, as far as it is known: asked where a mention needs it, never by
//! running the program.
//!
//! There are two ways to ask. [`Reader::value`] joins whatever an expression may be: parameters are
//! any of what calls give them, calls are any of what the function gives, both from the tables of
//! `calls`. [`Reader::at`] is exact for one way through loops and calls, which `ways` finds.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::PythonFacts;
use super::calls::Site;
use super::scope::Program;
use super::syntax::Node;
use super::tables::{Known, Tables, Uses};
use super::text::{binary, integer, slice, unescape};
use super::value::{Args, Ctx, Frame, Val};
use super::{Map, Set};
use crate::{Hides, Place, Source, Unread};

/// How deep expressions may lead to others.
pub const DEEPEST: usize = 80;
/// How many ways through loops, or calls of one function, are told apart.
pub const MOST_WAYS: usize = 700;

pub struct Reader<'t> {
    pub program: Program<'t>,
    pub data: &'t BTreeMap<String, &'t Source>,
    pub facts: PythonFacts,
    pub unread: Vec<Unread>,
    /// How many steps were taken, and how many may be.
    pub steps: usize,
    pub limit: usize,
    pub depth: usize,
    /// Whether one way is asked for, instead of all that may be.
    pub exact: bool,
    /// Whether a loop or function that binds a name has to be known, and the first such one.
    pub forking: bool,
    pub need: Option<Node<'t>>,
    /// Whether something was too much to follow.
    pub gave_up: bool,
    /// Whether the last value lacks what it was being asked for already.
    pub cut: bool,
    doing: Set<(Node<'t>, bool)>,
    /// How many calls are being looked into.
    pub inside: usize,
    joined: Map<(Node<'t>, bool), Known<'t>>,
    /// Values by what is bound around them; the bindings are kept so that their number is.
    bound: Map<(Node<'t>, usize, bool), (Ctx<'t>, Known<'t>)>,
    /// What functions give in one way, and how many calls were being looked into.
    pub given: Map<Ctx<'t>, (usize, Val<'t>)>,
    /// What calls give to functions and what these give back, and which of that what is being
    /// looked at was made from.
    pub tables: Tables<'t>,
    pub uses: Uses,
    /// Who calls a function; while the program is swept, what one call or function says of that.
    pub sites: Map<Node<'t>, Vec<Site<'t>>>,
    /// The ways to call functions that do not depend on what is bound around the calls.
    pub frames: Map<Node<'t>, Rc<[Ctx<'t>]>>,
    /// Whether calls were too many to tell apart.
    pub blurred: bool,
    pub returns: Map<Node<'t>, Rc<[Node<'t>]>>,
    /// Functions that nothing is seen to call.
    pub silent: Vec<Node<'t>>,
    /// Whether it is too much by now that the tables still grow.
    pub widening: bool,
    /// Whether most is found by now.
    pub late: bool,
    /// What speaks of the environment, a job or a command; found when first asked for.
    pub telling: OnceCell<Set<Node<'t>>>,
    /// What is written to the environment: name, where, and the value.
    pub written: Vec<(Rc<str>, Node<'t>, Rc<str>)>,
    /// The words that keys of the job's input are held against, by the key's path.
    pub words: BTreeMap<String, BTreeSet<String>>,
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
            tables: Tables::default(),
            uses: Uses::default(),
            sites: Map::default(),
            frames: Map::default(),
            blurred: false,
            returns: Map::default(),
            silent: Vec::new(),
            widening: false,
            late: false,
            telling: OnceCell::new(),
            written: Vec::new(),
            words: BTreeMap::new(),
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

    pub fn once_as<T>(
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

    /// Forgets values of single ways, where they are many.
    pub fn forget_ways(&mut self) {
        const MOST: usize = 50_000;
        if self.bound.len() > MOST {
            self.forget_bound();
        }
    }

    /// Forgets values of single ways.
    pub fn forget_bound(&mut self) {
        self.bound.clear();
        self.given.clear();
    }

    pub fn eval(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        self.steps += 1;
        if self.need.is_some() {
            return Val::Unknown;
        }
        let plain = ctx.number() == 0 && !self.forking;
        let key = (node, ctx.number(), self.forking);
        let known = match plain {
            true => self.joined.get_mut(&(node, self.exact)),
            false => self.bound.get_mut(&key).map(|(_, known)| known),
        };
        if let Some(known) = known
            && self.tables.same_since(known.at, &known.uses)
        {
            known.at = self.tables.clock;
            self.uses.and(&known.uses);
            return known.value.clone();
        }
        if self.depth >= DEEPEST || self.steps > self.limit {
            self.gave_up = true;
            self.cut = true;
            return Val::Lost;
        }
        let cut = std::mem::take(&mut self.cut);
        let around = std::mem::take(&mut self.uses);
        self.depth += 1;
        let value = self.expression(node, ctx);
        self.depth -= 1;
        let uses = std::mem::replace(&mut self.uses, around);
        self.uses.and(&uses);
        if let Val::List(items) | Val::Any(items) | Val::Pieces(items) = &value {
            self.steps += items.len() / 8;
        }
        if self.need.is_none() && (!self.cut || self.depth == 0) {
            let known = Known {
                value: value.clone(),
                at: self.tables.clock,
                uses,
            };
            match plain {
                true => drop(self.joined.insert((node, self.exact), known)),
                false => drop(self.bound.insert(key, (ctx.clone(), known))),
            }
        }
        self.cut = self.depth > 0 && (self.cut || cut);
        value
    }

    /// The value of a part, which is not known where there is no such part.
    pub fn part(&mut self, node: Option<Node<'t>>, ctx: &Ctx<'t>) -> Val<'t> {
        node.map_or(Val::Unknown, |node| self.eval(node, ctx))
    }

    pub fn expression(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
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
                if self.exact
                    && let Some(condition) = node.child(1)
                    && let Some(holds) = self.always(condition, ctx)
                {
                    return self.part(node.child(if holds { 0 } else { 2 }), ctx);
                }
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
    pub fn closure(&self, ctx: &Ctx<'t>) -> Ctx<'t> {
        if self.exact {
            ctx.clone()
        } else {
            Ctx::default()
        }
    }

    pub fn string(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
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

    pub fn sequence(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
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

    pub fn dictionary(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
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
    pub fn comprehension(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
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

    pub fn subscript(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
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
        if object.path() == "sys.modules" && key.path() == "__name__" {
            return Val::Module(node.file());
        }
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
