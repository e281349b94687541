//! Who calls which function with what, and what comes back.
//!
//! Two tables say for every function what all its calls give to its parameters, and what it gives
//! back. They are filled in a few sweeps over the program, each of which uses what the one before
//! found, so that no chain of calls is followed by going deeper and deeper. What still grows after
//! that is too much to follow. Where a mention needs one way through the calls that lead to it,
//! [`Reader::ways`] lists them, from the mention back to the callers.

use std::rc::Rc;

use super::eval::{MOST_WAYS, Reader};
use super::quick::Set;
use super::runs::HARMLESS;
use super::syntax::{Node, is_among};
use super::value::{Args, Ctx, Frame, Val};

/// How many calls that lead to each other are told apart.
pub const CALLS: usize = 6;
/// How often the program is swept before what still grows is too much.
const SWEEPS: usize = 6;

/// What calls a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Site<'t> {
    Call(Node<'t>),
    /// Code from elsewhere, which the function was given to, with what it gives it.
    Handed(Ctx<'t>),
}

impl<'t> Reader<'t> {
    /// Fills the tables.
    pub fn sweep_all(&mut self, nodes: &[Node<'t>]) {
        self.sweep_until_settled(nodes, SWEEPS);
        // What nothing is seen to call is called from elsewhere, if at all.
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
                self.silent.extend(silent);
                self.sweep_until_settled(nodes, SWEEPS);
            }
        }
        if self.grew {
            self.widening = true;
            self.sweep_until_settled(nodes, SWEEPS);
        }
        self.forget();
    }

    pub fn sweep_until_settled(&mut self, nodes: &[Node<'t>], most: usize) {
        for turn in 0..most {
            self.grew = false;
            self.late = turn >= SWEEPS / 2;
            self.sites.clear();
            self.forget();
            for function in self.silent.clone() {
                self.call_from_elsewhere(function);
            }
            for at in 0..nodes.len() {
                let at = if turn % 2 == 0 {
                    at
                } else {
                    nodes.len() - 1 - at
                };
                match nodes[at].kind() {
                    "call" => self.follow(nodes[at]),
                    _ => self.note_function(nodes[at]),
                }
            }
            if !self.grew || self.steps > self.limit {
                break;
            }
        }
    }

    /// One named `job` is a job: the program starts the handler in a way of its own.
    pub fn call_from_elsewhere(&mut self, function: Node<'t>) {
        let jobs = function.parameters();
        let jobs = jobs
            .filter(|(name, default, stars)| *name == "job" && default.is_none() && *stars == 0);
        let named = jobs.map(|(name, ..)| (name.into(), Val::Job)).collect();
        let args = Args {
            named,
            ..Args::default()
        };
        self.called(&Val::Func(function, Ctx::default(), None), &args, None);
    }

    pub fn note_function(&mut self, function: Node<'t>) {
        let value = self.returned_value(function, &Ctx::default());
        let old = self.results.get(&function).cloned().unwrap_or(Val::Never);
        let new = self.grown(&old, &value);
        if let Some(new) = new {
            self.results.insert(function, new);
        }
        for decorator in function.decorators() {
            let value = self.value(decorator);
            if value.may_be(|one| matches!(one, Val::Func(..) | Val::Class(_))) {
                let args = Args::of(vec![Val::Func(function, Ctx::default(), None)]);
                self.called(&value, &args, None);
            }
        }
    }

    /// What a table's entry becomes, where it changes.
    pub fn grown(&mut self, old: &Val<'t>, new: &Val<'t>) -> Option<Val<'t>> {
        const FEW: usize = 24;
        let known = |one: &Val<'t>| matches!(one, Val::Never) || old.each().contains(one);
        let new = new.without_numbers();
        self.steps += old.each().len() / 8;
        if new.each().iter().all(known) || old.is_lost() {
            return None;
        }
        let mut all = Val::any([old.clone(), new]);
        // Texts that still come in then would go on from call to call.
        let envs = all.each().iter().filter(|one| matches!(one, Val::Env(..)));
        if self.late || envs.count() > FEW / 8 || all.each().len() > FEW {
            all = all.widened();
        }
        if self.widening || all.is_heavy() {
            all = all.widest(&|function| self.tells(function));
        }
        self.grew |= all != *old;
        (all != *old).then_some(all)
    }

    pub fn follow(&mut self, call: Node<'t>) {
        let Some(function) = call.field("function") else {
            return;
        };
        let callee = self.value(function);
        let own = |one: &Val<'t>| {
            matches!(
                one,
                Val::Func(..) | Val::Class(_) | Val::Partial(..) | Val::Object(..)
            )
        };
        let none = Ctx::default();
        if callee.may_be(own) {
            let args = self.args(call, &none);
            return self.called(&callee, &args, Some(call));
        }
        if callee.path().ends_with("serverless.start") {
            let config = call
                .values()
                .first()
                .map_or(Val::Unknown, |config| self.value(*config));
            let handler = config.item(&Val::text("handler"));
            return self.called(&handler, &Args::of(vec![Val::Job]), None);
        }
        let handed = call.values().into_iter().any(|value| match value.kind() {
            "lambda" => true,
            "string" | "integer" | "float" | "true" | "false" | "none" => false,
            _ => self.value(value).may_be(own),
        });
        if handed && !callee.path().ends_with("partial") {
            let args = self.args(call, &none);
            self.handed_on(&callee, &args);
        }
    }

    /// A function that is given to somebody else, who calls it: with what comes after it, with
    /// `args=`, or with each element.
    pub fn handed_on(&mut self, callee: &Val<'t>, args: &Args<'t>) {
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
                    self.called(&given, &Args::of(vec![item]), None);
                }
            } else if !rest.is_empty() {
                self.called(&given, &Args::of(rest), None);
            }
        }
        if let Some(target) = args.named("target").cloned()
            && let Some(Val::List(items)) = args.named("args")
        {
            self.called(&target, &Args::of(items.to_vec()), None);
        }
    }

    /// Notes a call of what may be functions of the program; without a node it is made elsewhere.
    pub fn called(&mut self, callee: &Val<'t>, args: &Args<'t>, call: Option<Node<'t>>) {
        for one in callee.each() {
            let Some((function, ctx)) = self.bind(one, args, call) else {
                continue;
            };
            let Some(Frame::Call(frame, _)) = ctx.frame(function) else {
                continue;
            };
            let mut known = std::mem::take(self.params.entry(function).or_default());
            known.resize(frame.len(), ("", Val::Never));
            for ((own, old), (name, new)) in known.iter_mut().zip(frame.iter()) {
                *own = name;
                if let Some(grown) = self.grown(old, new) {
                    *old = grown;
                }
            }
            self.params.insert(function, known);
            let site = call.map_or_else(|| Site::Handed(ctx.clone()), Site::Call);
            let sites = self.sites.entry(function).or_default();
            if sites.len() < 2 * MOST_WAYS && sites.last() != Some(&site) {
                sites.push(site);
            }
        }
    }

    /// The function that a call runs, and what its parameters are then; of a class without a
    /// function that makes its objects, its fields.
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
            Val::Object(class, _) => match self.class_member(*class, "__call__") {
                Val::Func(function, outer, _) => {
                    let bound = Some(Rc::new(callee.clone()));
                    self.bind(&Val::Func(function, outer, bound), args, call)
                }
                _ => None,
            },
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
                            (None, true) => default.map_or(Val::Unknown, |node| {
                                self.settled(|reader| reader.eval(node, &Ctx::default()))
                            }),
                            (None, false) => Val::Unknown,
                        }
                    }
                },
            };
            values.push((name, value));
        }
        values
    }

    /// A function with what its decorators make of it.
    pub fn decorated(&mut self, function: Node<'t>, value: Val<'t>) -> Val<'t> {
        let decorators: Vec<_> = function.decorators().collect();
        decorators
            .into_iter()
            .rev()
            .fold(value, |value, decorator| {
                if is_among(HARMLESS, decorator.last_name()) {
                    return value;
                }
                let asked = self.once(decorator, |reader| {
                    reader.settled(|reader| reader.eval(decorator, &Ctx::default()))
                });
                match asked {
                    Some(maker @ (Val::Func(..) | Val::Class(_))) => {
                        self.result(&maker, &Args::of(vec![value]), None)
                    }
                    _ => value,
                }
            })
    }

    /// What a call gives.
    pub fn result(&mut self, callee: &Val<'t>, args: &Args<'t>, call: Option<Node<'t>>) -> Val<'t> {
        match callee {
            Val::Never | Val::Lost => callee.clone(),
            Val::Any(all) => Val::any(all.iter().map(|one| self.result(one, args, call))),
            Val::Func(function, ..) => {
                let all = self.results.get(function).cloned().unwrap_or(Val::Never);
                if !self.exact || self.inside >= CALLS {
                    return all;
                }
                let Some((_, ctx)) = self.bind(callee, args, call) else {
                    return all;
                };
                if let Some(known) = self.given.get(&ctx) {
                    return known.clone();
                }
                self.inside += 1;
                let ask = |reader: &mut Self| reader.returned_value(*function, &ctx);
                let value = self
                    .once_in(*function, |reader| reader.settled(ask))
                    .unwrap_or(all);
                self.inside -= 1;
                if self.inside == 0 {
                    self.given.insert(ctx, value.clone());
                }
                value
            }
            Val::Class(class) => self.made(*class, args, call),
            Val::Partial(function, first) => self.result(function, &first.then(args), call),
            Val::Object(class, _) => match self.class_member(*class, "__call__") {
                Val::Func(function, outer, _) => {
                    let bound = Some(Rc::new(callee.clone()));
                    self.result(&Val::Func(function, outer, bound), args, call)
                }
                _ => Val::Unknown,
            },
            callee => self.known_call(callee, args),
        }
    }

    pub fn returned_value(&mut self, function: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        let returned = self.returned(function);
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

    /// What a function gives back: the values of `return` and `yield`.
    pub fn returned(&mut self, function: Node<'t>) -> Rc<[Node<'t>]> {
        if let Some(known) = self.returns.get(&function) {
            return known.clone();
        }
        let body = function.field("body");
        let found: Rc<[Node<'t>]> = if function.kind() == "lambda" {
            body.into_iter().collect()
        } else {
            self.steps += function.range().len() / 16;
            let all = body.into_iter().flat_map(Node::below);
            let all = all.filter(|node| matches!(node.kind(), "return_statement" | "yield"));
            let own = all.filter(|node| node.function() == Some(function));
            own.filter_map(|node| node.child(0)).collect()
        };
        self.returns.insert(function, found.clone());
        found
    }
}
