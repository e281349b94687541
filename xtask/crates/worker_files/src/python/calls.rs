//! The call graph: call sites, and a summary of each function.
//!
//! A summary joins the arguments of all calls and all results of a function. The summaries are a
//! fixpoint, computed in a few sweeps over the program; each sweep evaluates again only what
//! depends on a summary that grew. What still grows after the last sweep is widened to "too much to
//! follow". Where a mention needs one calling context, [`Reader::contexts`] lists the contexts,
//! from the mention back to the callers.

use std::rc::Rc;

use super::Set;
use super::eval::{MOST_CONTEXTS, Reader};
use super::reachability::registered;
use super::summaries::Uses;
use super::syntax::Node;
use super::value::{Args, Ctx, Frame, Val};

/// The longest chain of calls whose contexts are told apart.
pub const CALLS: usize = 6;
/// The most containers inside one another in a summary that is large, or that still grows after half
/// of the sweeps.
const DEEP: usize = 3;
/// Sweeps before summaries that still grow are widened.
const SWEEPS: usize = 6;

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
    /// Computes all summaries and call sites.
    pub fn sweep_all(&mut self, nodes: &[Node<'t>]) {
        let mut all: Vec<Swept<'t>> = nodes.iter().copied().map(Swept::new).collect();
        // A decorator may pass the function on, and its caller may give any arguments.
        let functions = nodes
            .iter()
            .filter(|node| node.kind() == "function_definition");
        self.uncalled
            .extend(functions.filter(|node| registered(**node)));
        let mut settled = self.sweep_until_settled(&mut all);
        // A function without a call site may be called by a library.
        let spoken: Set<&str> = nodes.iter().map(|node| node.callee_name()).collect();
        for by_name in [false, true] {
            let functions = nodes
                .iter()
                .filter(|node| node.kind() == "function_definition");
            let silent = functions.filter(|node| {
                spoken.contains(node.text_of("name")) == by_name && !self.sites.contains_key(*node)
            });
            let silent: Vec<_> = silent.copied().collect();
            if !silent.is_empty() {
                self.uncalled.extend(silent);
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
            self.late = turn >= SWEEPS / 2;
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
        if one
            .at
            .is_some_and(|at| self.summaries.same_since(at, &one.uses))
        {
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
        let each =
            sites.flat_map(|(function, sites)| sites.into_iter().map(move |site| (function, site)));
        one.sites = each.collect();
    }

    /// Nothing is seen to call this function. A parameter named `job` is taken for the job: the
    /// program may start its handler in a way that is not understood.
    pub fn call_from_elsewhere(&mut self, function: Node<'t>) {
        let jobs = function.parameters();
        let jobs = jobs
            .filter(|(name, default, stars)| *name == "job" && default.is_none() && *stars == 0);
        let named = jobs.map(|(name, ..)| (name.into(), Val::Job)).collect();
        let args = Args {
            named,
            ..Args::default()
        };
        self.add_call(&Val::Func(function, Ctx::default(), None), &args, None);
    }

    pub fn sweep_function(&mut self, function: Node<'t>) {
        let value = self.result_in(function, &Ctx::default());
        let old = self
            .summaries
            .result(function, &mut Uses::default())
            .clone();
        if let Some(new) = self.grown(&old, &value) {
            *self.summaries.result(function, &mut Uses::default()) = new;
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
        for depth in (1..=DEEP).rev() {
            if all.is_heavy() || self.late && depth == DEEP {
                all = all.cut(depth, &tells);
            }
        }
        if self.widening || all.is_heavy() {
            all = all.widest(&tells);
        }
        (all != *old).then_some(all)
    }

    pub fn sweep_call(&mut self, call: Node<'t>) {
        let Some(function) = call.field("function") else {
            return;
        };
        let callee = self.value(function);
        let none = Ctx::default();
        if callee.is_own() {
            let args = self.args(call, &none);
            return self.add_call(&callee, &args, Some(call));
        }
        if callee.path().ends_with("serverless.start") {
            let first = call.argument_values().first().copied();
            let config = first.map_or(Val::Unknown, |config| self.value(config));
            let handler = config.item(&Val::text("handler"));
            return self.add_call(&handler, &Args::of(vec![Val::Job]), None);
        }
        let handed = call
            .argument_values()
            .into_iter()
            .any(|value| match value.kind() {
                "lambda" => true,
                "string" | "integer" | "float" | "true" | "false" | "none" => false,
                _ => self.value(value).is_own(),
            });
        if handed && !callee.path().ends_with("partial") {
            let args = self.args(call, &none);
            self.add_callbacks(&callee, &args);
        }
    }

    /// A callback: the library calls it with the arguments after it, with `args=`, or with each
    /// element.
    pub fn add_callbacks(&mut self, callee: &Val<'t>, args: &Args<'t>) {
        let name = match callee {
            Val::Ext(name) | Val::Method(_, name) => name.rsplit('.').next().unwrap_or(name),
            _ => "",
        };
        let is_function =
            |value: &Val<'t>| value.may_be(|v| matches!(v, Val::Func(..) | Val::Partial(..)));
        if let Some(at) = args.positional.iter().position(is_function) {
            let given = args.positional[at].clone();
            let rest = args.positional[at + 1..].to_vec();
            if matches!(name, "map" | "filter") {
                for item in rest.first().and_then(Val::elements).unwrap_or_default() {
                    self.add_call(&given, &Args::of(vec![item]), None);
                }
            } else if !rest.is_empty() {
                self.add_call(&given, &Args::of(rest), None);
            }
        }
        if let Some(target) = args.named("target").cloned() {
            let mut given = Args::default();
            args.named("args")
                .into_iter()
                .for_each(|list| given.spread(list));
            args.named("kwargs")
                .into_iter()
                .for_each(|dict| given.spread(dict));
            self.add_call(&target, &given, None);
        }
    }

    /// Adds a call to the summaries of the functions that it may call. Without a node a library
    /// calls.
    pub fn add_call(&mut self, callee: &Val<'t>, args: &Args<'t>, call: Option<Node<'t>>) {
        for one in callee.each() {
            let Some((function, ctx)) = self.bind(one, args, call) else {
                continue;
            };
            let Some(Frame::Call(frame, _)) = ctx.frame(function) else {
                continue;
            };
            let mut known = std::mem::take(self.summaries.params(function, &mut Uses::default()));
            let mut grew = known.is_empty() && !frame.is_empty();
            known.resize(frame.len(), ("", Val::Never));
            for ((own, old), (name, new)) in known.iter_mut().zip(frame.iter()) {
                *own = name;
                if let Some(grown) = self.grown(old, new) {
                    *old = grown;
                    grew = true;
                }
            }
            *self.summaries.params(function, &mut Uses::default()) = known;
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
    ) -> Option<(Node<'t>, Ctx<'t>)> {
        match callee {
            Val::Func(function, outer, bound) => {
                let mut positional = args.positional.clone();
                let class = function
                    .class()
                    .filter(|_| !function.is_decorated("staticmethod"));
                if let Some(class) = class.filter(|_| function.kind() != "lambda") {
                    let made = match function.is_decorated("classmethod") {
                        true => Val::Class(class),
                        false => Val::Object(class, Ctx::default()),
                    };
                    let object = bound.as_ref().map_or(made, |bound| (**bound).clone());
                    positional.insert(0, object);
                }
                let frame = self.frame(function.parameters(), positional, args);
                Some((
                    *function,
                    outer.with(*function, Frame::Call(frame.into(), call)),
                ))
            }
            Val::Class(class) => {
                let bound = Some(Rc::new(Val::Object(*class, Ctx::default())));
                if let Val::Func(init, outer, _) = self.class_member(*class, "__init__") {
                    return self.bind(&Val::Func(init, outer, bound), args, call);
                }
                let fields = self.fields(*class).into_iter();
                let fields = fields.filter(|(_, _, kind)| !kind.is_empty());
                let fields = fields.map(|(name, value, _)| (name, value, 0));
                let frame = self.frame(fields, args.positional.clone(), args);
                let frame = Frame::Call(frame.into(), call);
                Some((*class, Ctx::default().with(*class, frame)))
            }
            Val::Partial(function, first) => self.bind(function, &first.then(args), call),
            _ => None,
        }
    }

    pub fn frame(
        &mut self,
        parameters: impl Iterator<Item = (&'t str, Option<Node<'t>>, usize)>,
        positional: Vec<Val<'t>>,
        args: &Args<'t>,
    ) -> Vec<(&'t str, Val<'t>)> {
        let mut positional = positional.into_iter();
        let mut named = args.named.clone();
        let mut values = Vec::new();
        for (name, default, stars) in parameters {
            let by_name = named.iter().position(|(own, _)| &**own == name);
            let value = match stars {
                1 => Val::list(positional.by_ref().collect()),
                2 => {
                    let rest = std::mem::take(&mut named).into_iter();
                    let input = args.more.iter().find(|one| matches!(one, Val::Input(_)));
                    let rest = rest.map(|(name, value)| (Val::Str(name, None), value));
                    input.cloned().unwrap_or_else(|| Val::Dict(rest.collect()))
                }
                _ => match (by_name, positional.next()) {
                    (Some(at), _) => named.remove(at).1,
                    (None, Some(value)) => value,
                    (None, None) => {
                        let mut inputs = args.more.iter().filter(|m| matches!(m, Val::Input(_)));
                        match (inputs.next(), args.more.is_empty()) {
                            (Some(input), _) => input.item(&Val::text(name)),
                            (None, true) => default.map_or(Val::Unknown, |node| self.fixed(node)),
                            (None, false) => Val::Unknown,
                        }
                    }
                },
            };
            values.push((name, value));
        }
        values
    }

    /// The result of a call.
    pub fn result(&mut self, callee: &Val<'t>, args: &Args<'t>, call: Option<Node<'t>>) -> Val<'t> {
        match callee {
            Val::Never | Val::Lost => callee.clone(),
            Val::Any(all) => Val::any(all.iter().map(|one| self.result(one, args, call))),
            Val::Func(function, ..) => {
                let all = self.summaries.result(*function, &mut self.uses).clone();
                if !self.exact || self.call_depth >= CALLS {
                    return all;
                }
                let Some((_, ctx)) = self.bind(callee, args, call) else {
                    return all;
                };
                // A result that was found at this depth of calls, or deeper, holds here too.
                if let Some((inside, known)) = self.call_results.get(&ctx)
                    && *inside <= self.call_depth
                {
                    return known.clone();
                }
                let cut = std::mem::take(&mut self.cycles);
                self.call_depth += 1;
                let ask = |reader: &mut Self| reader.result_in(*function, &ctx);
                let value = self
                    .once_in(*function, |reader| reader.settled(ask))
                    .unwrap_or(all);
                self.call_depth -= 1;
                if self.call_depth == 0 || self.cycles == 0 {
                    self.call_results
                        .insert(ctx, (self.call_depth, value.clone()));
                }
                self.cycles |= cut;
                value
            }
            Val::Class(class) => self.made(*class, args, call),
            Val::Partial(function, first) => self.result(function, &first.then(args), call),
            callee => self.known_call(callee, args),
        }
    }

    pub fn result_in(&mut self, function: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        let returned = self.return_values(function);
        let values: Vec<_> = returned.iter().map(|node| self.eval(*node, ctx)).collect();
        let is_yield = |node: &Node<'t>| node.parent().is_some_and(|p| p.kind() == "yield");
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
        let found: Rc<[Node<'t>]> = if function.kind() == "lambda" {
            body.into_iter().collect()
        } else {
            self.steps += function.range().len() / 16;
            let all = body.into_iter().flat_map(Node::subtree);
            let all = all.filter(|node| matches!(node.kind(), "return_statement" | "yield"));
            let own = all.filter(|node| node.function() == Some(function));
            own.filter_map(|node| node.child(0)).collect()
        };
        self.returns.insert(function, found.clone());
        found
    }
}
