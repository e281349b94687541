//! The call graph: call sites, and a summary of each function.
//!
//! A summary joins the arguments of all calls and all results of a function. The summaries are a
//! fixpoint, computed in a few sweeps over the program; each sweep evaluates again only what
//! depends on a summary that grew. What still grows after the last sweep is widened to "too much to
//! follow". Where a mention needs one calling context, [`Reader::contexts`] lists the contexts,
//! from the mention back to the callers.

use std::rc::Rc;

use super::arguments::Args;
use super::contexts::{Ctx, Frame};
use super::eval::{MOST_CONTEXTS, Reader};
use super::summaries::Uses;
use super::value::Val;
use crate::python::Set;
use crate::python::program::node::{Node, last_part};
use crate::python::program::reachability::registered;

/// The longest chain of calls whose contexts are told apart.
pub const CALLS: usize = 6;
/// The deepest nesting of containers in a summary that is large, or still grows in later sweeps.
const DEEP: usize = 3;
/// Sweeps before summaries that still grow are widened.
const SWEEPS: usize = 6;

/// A function that a call runs, and the context inside of it.
pub type Run<'t> = (Node<'t>, Ctx<'t>);

/// A call site of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Site<'t> {
    Call(Node<'t>),
    /// A library that got the function as a callback; the arguments that it passes.
    Callback(Ctx<'t>),
}

/// A call or a function in the fixpoint: when it was evaluated last, the summaries that this used,
/// and the call sites that it found.
struct Swept<'t> {
    node: Node<'t>,
    at: Option<u32>,
    uses: Uses,
    sites: Vec<(Node<'t>, Site<'t>)>,
}

impl<'t> Swept<'t> {
    fn new(node: Node<'t>) -> Self {
        Self {
            node,
            at: None,
            uses: Uses::default(),
            sites: Vec::new(),
        }
    }
}

impl<'t> Reader<'t> {
    /// Computes all summaries and call sites. `nodes` are the calls and functions.
    pub fn sweep_all(&mut self, nodes: &[Node<'t>]) {
        let mut all: Vec<Swept<'t>> = nodes.iter().copied().map(Swept::new).collect();
        let functions = nodes.iter().copied();
        let functions = functions.filter(|node| node.is_any("function_definition lambda"));
        let functions: Vec<Node<'t>> = functions.collect();
        // A decorator may pass the function on, and its caller may give any arguments.
        let decorated = functions.iter().filter(|node| registered(**node));
        self.uncalled.extend(decorated);
        let mut settled = self.sweep_until_settled(&mut all);
        // A function without a call site may be called by a library.
        let called: Set<&str> = nodes.iter().map(|node| node.callee_name()).collect();
        for by_name in [false, true] {
            let uncalled = functions.iter().filter(|node| {
                called.contains(node.text_of("name")) == by_name && !self.sites.contains_key(*node)
            });
            let before = self.uncalled.len();
            self.uncalled.extend(uncalled);
            if self.uncalled.len() > before {
                settled = self.sweep_until_settled(&mut all);
            }
        }
        if !settled {
            self.widening = true;
            self.sweep_until_settled(&mut all);
        }
    }

    /// Sweeps until no summary grows, or the limit is reached. Returns whether it is a fixpoint.
    fn sweep_until_settled(&mut self, all: &mut [Swept<'t>]) -> bool {
        let mut settled = false;
        self.late = false;
        self.sites.clear();
        for function in self.uncalled.clone() {
            self.call_from_elsewhere(function);
        }
        let elsewhere = std::mem::take(&mut self.sites);
        for turn in 0..SWEEPS {
            let before = self.summaries.clock;
            self.late = turn > SWEEPS / 2;
            self.by_context.clear();
            self.call_results.clear();
            for at in 0..all.len() {
                let at = if turn % 2 == 0 {
                    at
                } else {
                    all.len() - 1 - at
                };
                self.sweep(&mut all[at]);
            }
            settled = self.summaries.clock == before;
            if settled || self.steps > self.limit {
                break;
            }
        }
        self.sites = elsewhere;
        for (function, found) in all.iter().flat_map(|one| &one.sites) {
            let sites = self.sites.entry(*function).or_default();
            if sites.len() < 2 * MOST_CONTEXTS && sites.last() != Some(found) {
                sites.push(found.clone());
            }
        }
        settled
    }

    fn sweep(&mut self, one: &mut Swept<'t>) {
        let is_same = |at| self.summaries.same_since(at, &one.uses);
        if one.at.is_some_and(is_same) {
            return;
        }
        one.at = Some(self.summaries.clock);
        self.uses = Uses::default();
        match one.node.kind() {
            "call" => self.sweep_call(one.node),
            _ => self.sweep_function(one.node),
        }
        one.uses = std::mem::take(&mut self.uses);
        let sites = self.sites.drain(..);
        let each = sites.flat_map(|(of, sites)| sites.into_iter().map(move |site| (of, site)));
        one.sites = each.collect();
    }

    /// Adds a call by unknown code. A parameter named `job` is taken for the job: the program may
    /// start its handler in a way that is not understood.
    fn call_from_elsewhere(&mut self, function: Node<'t>) {
        let is_job = function.parameters().any(|of| of == ("job", None, 0));
        let job = Some(("job".into(), Val::Job)).filter(|_| is_job);
        let args = Args {
            named: job.into_iter().collect(),
            ..Args::default()
        };
        self.add_call(&Val::Func(function, Ctx::default(), None), &args, None);
    }

    fn sweep_function(&mut self, function: Node<'t>) {
        let value = self.result_in(function, &Ctx::default());
        let mut unrecorded = Uses::default();
        // What was found before the results of others were known is found again, and more.
        let known = self.summaries.result(function, &mut unrecorded).clone();
        let none = Val::Never;
        let old = if known.is_partial() { &none } else { &known };
        let new = self.grown(old, &value);
        if let Some(new) = new.filter(|new| *new != known) {
            *self.summaries.result(function, &mut unrecorded) = new;
            self.summaries.grew(function, true);
        }
    }

    /// The joined and, where needed, widened value of a summary; `None` where it stays the same.
    pub fn grown(&mut self, old: &Val<'t>, new: &Val<'t>) -> Option<Val<'t>> {
        const FEW: usize = 24;
        let known = |one: &Val<'t>| matches!(one, Val::Never) || old.each().contains(one);
        let new = new.without_numbers();
        self.steps += old.each().len() / 8;
        if new.each().iter().all(known) || old.is_lost() {
            return None;
        }
        let mut all = Val::any([old.clone(), new]);
        // Otherwise texts that are built up from call to call would grow without end.
        let envs = all.each().iter().filter(|one| matches!(one, Val::Env(..)));
        if self.late || envs.count() > FEW / 8 || all.each().len() > FEW {
            all = all.widened();
        }
        let tells = |function| self.may_lead_to_fact(function);
        let mut is_heavy = all.is_heavy();
        for depth in (1..=DEEP).rev() {
            if is_heavy || self.late && depth == DEEP {
                all = all.cut(depth, &tells);
                is_heavy = all.is_heavy();
            }
        }
        if self.widening || is_heavy {
            all = all.widest(&tells);
        }
        (all != *old).then_some(all)
    }

    fn sweep_call(&mut self, call: Node<'t>) {
        if call.field("function").is_none() {
            return;
        }
        let callee = self.callee(call);
        let none = Ctx::default();
        if callee.is_own() {
            let args = self.args(call, &none);
            return self.add_call(&callee, &args, Some(call));
        }
        if callee.path().ends_with("serverless.start") {
            let config = call.argument(0);
            let config = config.map_or(Val::Unknown, |config| self.value(config));
            let handler = config.item(&Val::text("handler"));
            let around = self.decorated(&handler);
            for handler in [Some(handler), around].into_iter().flatten() {
                self.add_call(&handler, &Args::of(vec![Val::Job]), None);
            }
            return;
        }
        let mut values = call.argument_values().into_iter();
        let has_callback = values.any(|value| match value.kind() {
            "lambda" => true,
            "string" | "integer" | "float" | "true" | "false" | "none" => false,
            _ => self.value(value).is_own(),
        });
        if has_callback && !callee.path().ends_with("partial") {
            let args = self.args(call, &none);
            self.add_callbacks(&callee, &args);
        }
    }

    /// Adds the calls that a library makes of a callback: with the arguments after it, with
    /// `args=`, or with each element.
    fn add_callbacks(&mut self, callee: &Val<'t>, args: &Args<'t>) {
        let name = match callee {
            Val::Ext(name) | Val::Method(_, name) => last_part(name),
            _ => "",
        };
        let is_function =
            |value: &Val<'t>| value.may_be(|v| matches!(v, Val::Func(..) | Val::Partial(..)));
        if let Some(at) = args.positional.iter().position(is_function) {
            let (callback, rest) = (&args.positional[at], &args.positional[at + 1..]);
            let elements = rest.first().and_then(Val::elements).unwrap_or_default();
            match name {
                "map" | "filter" | "filterfalse" | "takewhile" | "dropwhile" => {
                    for item in elements {
                        self.add_call(callback, &Args::of(vec![item]), None);
                    }
                }
                // What the function returned before is its first argument the next time.
                "reduce" => {
                    let before = rest.get(1).or(elements.first());
                    let before = before.cloned().unwrap_or(Val::Unknown);
                    for item in elements {
                        let before = Val::any([before.clone(), Val::Unknown]);
                        self.add_call(callback, &Args::of(vec![before, item]), None);
                    }
                }
                _ if rest.is_empty() => {}
                _ => self.add_call(callback, &Args::of(rest.to_vec()), None),
            }
        }
        // `sorted(names, key=…)`, `names.sort(key=…)`
        if let Some(key) = args.named("key") {
            let of = match callee {
                Val::Method(object, _) => Some(&**object),
                _ => args.positional.first(),
            };
            for item in of.and_then(Val::elements).unwrap_or_default() {
                self.add_call(key, &Args::of(vec![item]), None);
            }
        }
        if let Some(target) = args.named("target") {
            let mut passed = Args::default();
            let more = ["args", "kwargs"].map(|name| args.named(name));
            for more in more.into_iter().flatten() {
                passed.spread(more);
            }
            self.add_call(target, &passed, None);
        }
    }

    /// Adds a call to the summaries of the functions that it may call. Without a node, a library
    /// calls.
    fn add_call(&mut self, callee: &Val<'t>, args: &Args<'t>, call: Option<Node<'t>>) {
        let mut unrecorded = Uses::default();
        for one in callee.each() {
            let Some((function, ctx)) = self.bind(one, args, call) else {
                continue;
            };
            let Some(Frame::Call(frame, _)) = ctx.frame(function) else {
                continue;
            };
            let mut known = std::mem::take(self.summaries.params(function, &mut unrecorded));
            let mut grew = known.is_empty() && !frame.is_empty();
            known.resize(frame.len(), ("", Val::Never));
            for ((own, old), (name, new)) in known.iter_mut().zip(frame.iter()) {
                *own = name;
                if let Some(grown) = self.grown(old, new) {
                    *old = grown;
                    grew = true;
                }
            }
            *self.summaries.params(function, &mut unrecorded) = known;
            if grew {
                self.summaries.grew(function, false);
            }
            let site = call.map_or_else(|| Site::Callback(ctx.clone()), Site::Call);
            self.sites.entry(function).or_default().push(site);
        }
    }

    /// The function that a call runs, with its parameters bound. A class without `__init__` gets
    /// its annotated fields as parameters.
    pub fn bind(
        &mut self,
        callee: &Val<'t>,
        args: &Args<'t>,
        call: Option<Node<'t>>,
    ) -> Option<Run<'t>> {
        match callee {
            Val::Func(function, outer, bound) => {
                let mut positional = args.positional.clone();
                let is_free = function.is("lambda") || function.is_decorated("staticmethod");
                if let Some(class) = function.class().filter(|_| !is_free) {
                    let made = match function.is_decorated("classmethod") {
                        true => Val::Class(class),
                        false => Val::Object(class, Ctx::default()),
                    };
                    let object = bound.as_ref().map_or(made, |bound| (**bound).clone());
                    positional.insert(0, object);
                }
                let frame = self.frame(function.parameters(), positional, args);
                let frame = Frame::Call(frame.into(), call);
                Some((*function, outer.with(*function, frame)))
            }
            Val::Class(class) => {
                let bound = Some(Rc::new(Val::Object(*class, Ctx::default())));
                if let Val::Func(init, outer, _) = self.class_member(*class, "__init__") {
                    return self.bind(&Val::Func(init, outer, bound), args, call);
                }
                let fields = self.annotated_fields(*class).into_iter();
                let fields = fields.map(|(name, value, _)| (name, value, 0));
                let frame = self.frame(fields, args.positional.clone(), args);
                let frame = Frame::Call(frame.into(), call);
                Some((*class, Ctx::default().with(*class, frame)))
            }
            Val::Partial(function, first) => self.bind(function, &first.then(args), call),
            callee => {
                let method = self.called_object(callee)?;
                self.bind(&method, args, call)
            }
        }
    }

    /// The values of parameters in a call.
    fn frame(
        &mut self,
        parameters: impl Iterator<Item = (&'t str, Option<Node<'t>>, usize)>,
        positional: Vec<Val<'t>>,
        args: &Args<'t>,
    ) -> Vec<(&'t str, Val<'t>)> {
        let mut positional = positional.into_iter();
        let mut named = args.named.clone();
        let is_whole = |one: &&Val<'t>| matches!(one, Val::Input(_) | Val::Environ(_) | Val::Job);
        let input = args.more.iter().find(is_whole);
        let value = |(name, default, stars): (&'t str, Option<Node<'t>>, usize)| {
            let value = match stars {
                1 => Val::list(positional.by_ref().collect()),
                2 => {
                    let rest = std::mem::take(&mut named).into_iter();
                    let rest = rest.map(|(name, value)| (Val::Str(name, None), value));
                    input.cloned().unwrap_or_else(|| Val::Dict(rest.collect()))
                }
                _ => {
                    let by_name = named.iter().position(|(own, _)| &**own == name);
                    match (by_name, positional.next(), input) {
                        (Some(at), ..) => named.remove(at).1,
                        (_, Some(value), _) => value,
                        (.., Some(Val::Environ(_))) => {
                            let default = default.map(|node| self.fixed(node));
                            self.env_value(&Val::text(name), default)
                        }
                        (.., Some(input)) => input.item(&Val::text(name)),
                        _ if !args.more.is_empty() => Val::Unknown,
                        _ => default.map_or(Val::Unknown, |node| self.fixed(node)),
                    }
                }
            };
            (name, value)
        };
        parameters.map(value).collect()
    }

    /// The result of a call.
    pub fn result(&mut self, callee: &Val<'t>, args: &Args<'t>, call: Option<Node<'t>>) -> Val<'t> {
        match callee {
            Val::Never | Val::Lost => callee.clone(),
            Val::Any(all) => Val::any(all.iter().map(|one| self.result(one, args, call))),
            Val::Func(function, ..) => {
                let joined = self.summaries.result(*function, &mut self.uses).clone();
                if !self.exact || self.call_depth >= CALLS {
                    return joined;
                }
                match self.bind(callee, args, call) {
                    Some((_, ctx)) => self.result_of_call(*function, ctx, joined),
                    None => joined,
                }
            }
            Val::Class(class) => self.made(*class, args, call),
            Val::Partial(function, first) => self.result(function, &first.then(args), call),
            callee => match self.called_object(callee) {
                Some(method) => self.result(&method, args, call),
                None => self.known_call(callee, args),
            },
        }
    }

    /// What the program's own decorators make of a function.
    pub fn decorated(&mut self, function: &Val<'t>) -> Option<Val<'t>> {
        let Val::Func(own, ..) = function else {
            return None;
        };
        let decorators: Vec<Node<'t>> = own.decorators().collect();
        decorators.into_iter().rev().fold(None, |inner, decorator| {
            let decorator = self.value(decorator);
            let given = inner.as_ref().unwrap_or(function).clone();
            let args = Args::of(vec![given]);
            let outer = self.exactly(|reader| reader.result(&decorator, &args, None));
            Some(outer).filter(Val::is_own).or(inner)
        })
    }

    /// The method that a call of an object runs.
    pub fn called_object(&mut self, callee: &Val<'t>) -> Option<Val<'t>> {
        let Val::Object(class, made) = callee else {
            return None;
        };
        let method = self.object_member(*class, made, "__call__");
        matches!(method, Val::Func(..)).then_some(method)
    }

    /// The result of a function in one context; the joined result in a cycle of calls.
    fn result_of_call(&mut self, function: Node<'t>, ctx: Ctx<'t>, joined: Val<'t>) -> Val<'t> {
        // A result that was found at this depth of calls, or deeper, holds here too.
        if let Some((depth, known)) = self.call_results.get(&ctx)
            && *depth <= self.call_depth
        {
            return known.clone();
        }
        let cycles = std::mem::take(&mut self.cycles);
        self.call_depth += 1;
        let ask = |reader: &mut Self| reader.settled(|reader| reader.result_in(function, &ctx));
        let value = self.once_in(function, ask).unwrap_or(joined);
        self.call_depth -= 1;
        if self.call_depth == 0 || self.cycles == 0 {
            let known = (self.call_depth, value.clone());
            self.call_results.insert(ctx, known);
        }
        self.cycles |= cycles;
        value
    }

    pub fn result_in(&mut self, function: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        let returned = self.return_values(function);
        let values: Vec<_> = returned.iter().map(|node| self.eval(*node, ctx)).collect();
        let is_yield = |node: &Node<'t>| node.parent_of("yield").is_some();
        if function.kind() != "lambda" && returned.iter().any(is_yield) {
            Val::list(values)
        } else if values.is_empty() {
            Val::None
        } else {
            Val::any(values)
        }
    }

    /// The expressions that a function returns or yields.
    pub fn return_values(&mut self, function: Node<'t>) -> Rc<[Node<'t>]> {
        if let Some(known) = self.returns.get(&function) {
            return known.clone();
        }
        let body = function.field("body");
        let found: Rc<[Node<'t>]> = if function.is("lambda") {
            body.into_iter().collect()
        } else {
            self.steps += function.range().len() / 16;
            let all = body.into_iter().flat_map(Node::subtree);
            let all = all.filter(|node| matches!(node.kind(), "return_statement" | "yield"));
            let returns = all.filter(|node| node.function() == Some(function));
            returns.filter_map(|node| node.child(0)).collect()
        };
        self.returns.insert(function, found.clone());
        found
    }
}
