//! Abstract evaluation of expressions. The program is never run.
//!
//! [`Reader::value`] joins all values that an expression may have: parameters and results come from
//! the summaries in `summaries`. [`Reader::at`] evaluates in one context, a [`Ctx`] that binds
//! loops and calls; `contexts` finds the contexts.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::arguments::Args;
use super::calls::Site;
use super::contexts::Ctx;
use super::summaries::{Joined, Known, Summaries, Uses};
use super::text::{binary, float, integer, unescape};
use super::value::Val;
use crate::python::PythonFacts;
use crate::python::program::node::Node;
use crate::python::program::scope::Program;
use crate::python::{Map, Set};
use crate::{Hides, Place, Source, Unread};

/// The deepest nesting of evaluations.
pub const DEEPEST: usize = 80;
/// The most values that one value may hold.
const HEAVIEST: usize = 20_000;
/// All kinds of facts that a place may hide.
pub const ALL_KINDS: [Hides; 3] = [Hides::Variables, Hides::Flags, Hides::JobInput];
/// The most contexts of one mention.
pub const MOST_CONTEXTS: usize = 700;

/// Set in [`Reader::cut`] where a limit was reached.
pub const LIMIT: u128 = 1 << 127;

/// A function, a list in it, and a flag that is added to that.
type AddedTo<'t> = (Option<Node<'t>>, &'t str, String);

#[derive(Default)]
pub struct Reader<'t> {
    pub program: Program<'t>,
    pub data: BTreeMap<String, &'t Source>,
    pub facts: PythonFacts,
    pub unread: Vec<Unread>,
    /// Steps taken, and the most that may be taken.
    pub steps: usize,
    pub limit: usize,
    /// After so many steps all contexts are joined. Otherwise one place could take all steps.
    pub exact_until: usize,
    pub depth: usize,
    /// Whether one context is evaluated, not the join of all.
    pub exact: bool,
    /// Whether evaluation stops at a loop or function that the context does not bind, and the first
    /// one where it did.
    pub stops_at_unbound: bool,
    pub unbound: Option<Node<'t>>,
    /// Whether a limit was reached.
    pub gave_up: bool,
    /// The evaluations under way that the last value ran into, a bit for each place in `doing`: it
    /// lacks a part until they are done. [`LIMIT`] stands for a limit that was reached.
    pub cycles: u128,
    in_progress: Set<(Node<'t>, bool)>,
    /// Depth of calls in `call_contexts`.
    pub call_depth: usize,
    joined: Joined<'t>,
    /// Values by context. The context is kept, so that its address, the key, is not used again.
    pub by_context: Map<(Node<'t>, usize, bool), (Ctx<'t>, Known<'t>)>,
    /// Results of functions in one context, with the depth of calls at that time.
    pub call_results: Map<Ctx<'t>, (usize, Val<'t>)>,
    /// The summaries of functions, and those that the present evaluation uses.
    pub summaries: Summaries<'t>,
    pub uses: Uses,
    /// Call sites by function; during a sweep, only those that the present call or function adds.
    pub sites: Map<Node<'t>, Vec<Site<'t>>>,
    pub returns: Map<Node<'t>, Rc<[Node<'t>]>>,
    /// Fixed flags by the list of words in which they stand, with their number among the facts.
    pub fixed_flags: Map<(Node<'t>, String), usize>,
    /// Flags that statements add to a list, by function, list and flag: where, and their numbers.
    pub added: Map<AddedTo<'t>, Vec<(usize, usize, bool)>>,
    /// Functions and files in which a value was too much to follow.
    pub lost_in: Set<Node<'t>>,
    /// Calls that start a program that is not known, each with a flag that it takes.
    pub unknown_programs: Vec<(Node<'t>, Val<'t>)>,
    /// Functions without a call site.
    pub uncalled: Vec<Node<'t>>,
    /// Whether summaries that still grow are widened to "too much to follow".
    pub widening: bool,
    /// Whether texts in summaries are widened, in the later sweeps.
    pub late: bool,
    /// Functions and classes that may lead to a fact. Computed when it is needed first.
    pub leads_to_fact: OnceCell<Set<Node<'t>>>,
    /// Writes to the environment: name, place, and value.
    pub written: Vec<(Rc<str>, Node<'t>, Rc<str>)>,
    /// Defaults that the program gives to variables of the environment, by `setdefault`.
    pub defaulted: Vec<(Rc<str>, Node<'t>, String)>,
    /// Expressions that are tested, by the variables whose values they may hold, each with what a
    /// dict has in its place.
    pub tested: Map<Rc<str>, Vec<(Node<'t>, Option<Val<'t>>)>>,
    /// The words that keys of the job's input are compared with, by path.
    pub words: BTreeMap<String, BTreeSet<String>>,
    /// The keys that schemas of the job's input allow, by the path that they are for.
    pub schemas: BTreeMap<String, BTreeSet<String>>,
}

impl<'t> Reader<'t> {
    pub fn new(program: Program<'t>, data: &BTreeMap<String, &'t Source>) -> Self {
        let sources = program.files.iter().map(|file| file.source.text.len());
        Self {
            exact_until: usize::MAX,
            limit: crate::python::steps_for(sources.sum()),
            data: data.clone(),
            program,
            ..Default::default()
        }
    }

    /// The place of a node; of a string, the place of its content.
    pub fn place(&self, node: Node<'_>) -> Place {
        let range = node.string_content().unwrap_or(node).range();
        self.program.files[node.file()].source.place(range)
    }

    /// Notes what was not understood, in reached code only.
    pub fn not_read(&mut self, node: Node<'t>, why: &str, hides: &[Hides]) {
        if self.program.reaches(node) {
            let source = self.program.files[node.file()].source;
            self.unread.push(source.unread(node.range(), why, hides));
        }
    }

    pub fn variables_unread(&mut self, node: Node<'t>, why: &str) {
        self.not_read(node, why, &[Hides::Variables]);
    }

    pub fn flags_unread(&mut self, node: Node<'t>, why: &str) {
        self.not_read(node, why, &[Hides::Flags]);
    }

    pub fn input_unread(&mut self, node: Node<'t>, why: &str) {
        self.not_read(node, why, &[Hides::JobInput]);
    }

    /// Notes that a place may hide facts of every kind.
    pub fn all_unread(&mut self, node: Node<'t>, why: &str) {
        self.not_read(node, why, &ALL_KINDS);
    }

    /// The value of what a call calls.
    pub fn callee(&mut self, call: Node<'t>) -> Val<'t> {
        let function = call.field("function");
        let value = function.map_or(Val::Unknown, |function| self.value(function));
        self.called_object(&value).unwrap_or(value)
    }

    /// Evaluates an expression, unless that is under way already.
    pub fn once<T>(&mut self, node: Node<'t>, look: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.once_as((node, false), look)
    }

    /// Whether an expression is being evaluated.
    pub fn is_under_way(&self, node: Node<'t>) -> bool {
        self.in_progress.contains(&(node, false))
    }

    /// The same of a function or a loop.
    pub fn once_in<T>(&mut self, of: Node<'t>, look: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.once_as((of, true), look)
    }

    fn once_as<T>(
        &mut self,
        node: (Node<'t>, bool),
        look: impl FnOnce(&mut Self) -> T,
    ) -> Option<T> {
        let (at, is_new) = self.in_progress.insert_full(node);
        let bit = 1 << at.min(126);
        if !is_new {
            self.cycles |= bit;
            return None;
        }
        let found = look(self);
        self.in_progress.pop();
        // What ran into this one alone is whole now.
        if at < 126 {
            self.cycles &= (bit - 1) | LIMIT;
        }
        Some(found)
    }

    /// The join of all values that an expression may have.
    pub fn value(&mut self, node: Node<'t>) -> Val<'t> {
        let (exact, stops) = (self.exact, self.stops_at_unbound);
        (self.exact, self.stops_at_unbound) = (false, false);
        let value = self.eval(node, &Ctx::default());
        (self.exact, self.stops_at_unbound) = (exact, stops);
        value
    }

    /// The value of an expression in one context.
    pub fn at(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        self.exactly(|reader| reader.eval(node, ctx))
    }

    pub fn exactly<T>(&mut self, ask: impl FnOnce(&mut Self) -> T) -> T {
        let exact = std::mem::replace(&mut self.exact, true);
        let answer = ask(self);
        self.exact = exact;
        answer
    }

    /// Evaluates what no context decides on.
    pub fn settled<T>(&mut self, ask: impl FnOnce(&mut Self) -> T) -> T {
        let stops = std::mem::replace(&mut self.stops_at_unbound, false);
        let answer = ask(self);
        self.stops_at_unbound = stops;
        answer
    }

    /// The value of an expression that is the same in each context.
    pub fn fixed(&mut self, node: Node<'t>) -> Val<'t> {
        self.settled(|reader| reader.eval(node, &Ctx::default()))
    }

    /// Drops the cached values of single contexts, where they are many.
    pub fn drop_many_contexts(&mut self) {
        const MOST: usize = 50_000;
        if self.by_context.len() > MOST {
            self.by_context.clear();
            self.call_results.clear();
        }
    }

    /// The value of an expression: in the context, or joined over what the context does not bind.
    pub fn eval(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        self.steps += 1;
        if self.unbound.is_some() {
            return Val::Unknown;
        }
        if let Some(value) = self.cached(node, ctx) {
            return value;
        }
        if self.exact && self.steps > self.exact_until {
            self.exact = false;
            let value = self.eval(node, ctx);
            self.exact = true;
            return value;
        }
        if self.depth >= DEEPEST || self.steps > self.limit {
            self.gave_up = true;
            self.cycles |= LIMIT;
            return Val::Lost;
        }
        let cycles = std::mem::take(&mut self.cycles);
        let around = std::mem::take(&mut self.uses);
        self.depth += 1;
        let value = self.expression(node, ctx);
        self.depth -= 1;
        let weight = value.weight(HEAVIEST);
        // One that is made of two of itself again and again grows without end.
        let value = if weight < HEAVIEST { value } else { Val::Lost };
        self.steps += weight / 8;
        let uses = std::mem::replace(&mut self.uses, around);
        self.uses.and(&uses);
        if self.unbound.is_none() {
            self.cache(node, ctx, value.clone(), uses);
        }
        self.cycles |= cycles;
        if self.depth == 0 {
            self.cycles = 0;
        }
        value
    }

    /// A value that was found before and still holds.
    fn cached(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Option<Val<'t>> {
        let (number, stops) = (ctx.number(), self.stops_at_unbound);
        let known = if number == 0 && !stops {
            self.joined.get(node, self.exact)
        } else {
            let known = self.by_context.get_mut(&(node, number, stops));
            known.map(|(_, known)| known)
        };
        if let Some(known) = known
            && self.summaries.same_since(known.at, &known.uses)
        {
            known.at = self.summaries.clock;
            self.uses.and(&known.uses);
            return Some(known.value.clone());
        }
        None
    }

    /// Keeps a value, unless it ran into an evaluation that is under way.
    fn cache(&mut self, node: Node<'t>, ctx: &Ctx<'t>, value: Val<'t>, uses: Uses) {
        let (number, stops, at) = (ctx.number(), self.stops_at_unbound, self.summaries.clock);
        if self.cycles == 0 || self.depth == 0 {
            let known = Known { value, at, uses };
            if number == 0 && !stops {
                self.joined.insert(node, self.exact, known);
            } else {
                let known = (ctx.clone(), known);
                self.by_context.insert((node, number, stops), known);
            }
        }
    }

    /// The value of a child, unknown where there is no such child.
    pub fn eval_opt(&mut self, node: Option<Node<'t>>, ctx: &Ctx<'t>) -> Val<'t> {
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
            "float" => float(node.text()),
            "true" => Val::Bool(true),
            "false" => Val::Bool(false),
            "none" => Val::None,
            "parenthesized_expression" | "await" | "as_pattern" | "expression_statement" => {
                self.eval_opt(node.child(0), ctx)
            }
            "named_expression" => self.eval_opt(node.field("value"), ctx),
            "assignment" => self.eval_opt(node.field("right"), ctx),
            "list" | "tuple" | "set" | "expression_list" => self.sequence(node, ctx),
            "dictionary" => self.dictionary(node, ctx),
            _ if node.is_comprehension() => self.comprehension(node, ctx),
            "attribute" => {
                if let Some(method) = self.of_base(node) {
                    return method;
                }
                let object = self.eval_opt(node.field("object"), ctx);
                self.attribute(&object, node.text_of("attribute"))
            }
            "subscript" => self.subscript(node, ctx),
            "call" => {
                let callee = self.eval_opt(node.field("function"), ctx);
                // The summary of a function holds for all calls, whatever they pass.
                let is_own = |one: &Val<'t>| matches!(one, Val::Func(..));
                let args = match !self.exact && callee.each().iter().all(is_own) {
                    true => Args::default(),
                    false => self.args(node, ctx),
                };
                match self.unbound {
                    Some(_) => Val::Unknown,
                    None => self.result(&callee, &args, Some(node)),
                }
            }
            "lambda" => Val::Func(node, self.closure(ctx), None),
            "boolean_operator" | "binary_operator" => {
                let left = self.eval_opt(node.field("left"), ctx);
                let right = self.eval_opt(node.field("right"), ctx);
                match (node.text_of("operator"), left) {
                    ("or", Val::Env(name, _)) if self.exact => Val::Env(name, Rc::new(right)),
                    ("or", Val::None) => right,
                    ("or", Val::Dict(_) | Val::List(_)) if matches!(right, Val::Input(_)) => right,
                    ("and", Val::Unknown) => right,
                    ("and" | "or", left) => Val::any([left, right]),
                    (operator, left) => binary(operator, &left, &right),
                }
            }
            "conditional_expression" => {
                let test = node.condition();
                match test.and_then(|test| self.truth_in(test, ctx)) {
                    Some(holds) => self.eval_opt(node.child(if holds { 0 } else { 2 }), ctx),
                    None => Val::any([0, 2].map(|branch| self.eval_opt(node.child(branch), ctx))),
                }
            }
            "comparison_operator" | "not_operator" if self.exact && self.unbound.is_none() => {
                self.static_truth(node, ctx).map_or(Val::Unknown, Val::Bool)
            }
            "unary_operator" => {
                let argument = self.eval_opt(node.field("argument"), ctx);
                match (node.text_of("operator"), argument) {
                    ("-", Val::Int(number)) => Val::Int(-number),
                    ("-", Val::Float(text)) => Val::Float(format!("-{text}").into()),
                    _ => Val::Unknown,
                }
            }
            _ => Val::Unknown,
        }
    }

    /// The context that a function captures. The join needs none: the summaries hold it.
    pub fn closure(&self, ctx: &Ctx<'t>) -> Ctx<'t> {
        let captured = Some(ctx.clone()).filter(|_| self.exact);
        captured.unwrap_or_default()
    }

    fn string(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        if let Some(inner) = node.only_part() {
            let value = self.eval(inner, ctx);
            return match value {
                Val::Int(_) | Val::Float(_) | Val::Bool(_) | Val::None => {
                    Val::text(&value.display().unwrap_or_default())
                }
                value => value,
            };
        }
        let start = node.child(0).map_or("", Node::text);
        let mut out = Val::Str("".into(), Some(node));
        for part in node.children() {
            let text = part.text();
            match part.kind() {
                "string_content" if start.contains(['r', 'R']) => out = out.join(&Val::text(text)),
                "string_content" if start.contains(['f', 'F']) => {
                    let text = unescape(text).replace("{{", "{").replace("}}", "}");
                    out = out.join(&Val::text(&text));
                }
                "string_content" => out = out.join(&Val::text(&unescape(text))),
                "interpolation" => {
                    let value = self.eval_opt(part.child(0), ctx);
                    let is_plain = part.children_of("format_specifier").next().is_none();
                    out = out.join(if is_plain { &value } else { &Val::Unknown });
                }
                _ => {}
            }
        }
        out
    }

    /// The arguments of a call.
    pub fn args(&mut self, call: Node<'t>, ctx: &Ctx<'t>) -> Args<'t> {
        let mut args = Args::default();
        for argument in call.arguments() {
            match argument.kind() {
                "keyword_argument" => {
                    let value = self.eval_opt(argument.field("value"), ctx);
                    args.named.push((argument.text_of("name").into(), value));
                }
                "list_splat" | "dictionary_splat" => {
                    args.spread(&self.eval_opt(argument.child(0), ctx));
                }
                _ => args.positional.push(self.eval(argument, ctx)),
            }
        }
        args
    }
}

/// A name of a library; all names of the environment are one value.
pub fn external<'t>(path: &str) -> Val<'t> {
    match path {
        "os.environ" | "os.environb" | "posix.environ" | "starlette.config.environ" => {
            Val::Environ(Rc::from([]))
        }
        path => Val::Ext(path.into()),
    }
}
