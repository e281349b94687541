//! Contexts: what the loops and calls around an expression bind, and the contexts of a mention.

use std::rc::Rc;

use super::calls::{CALLS, Run, Site};
use super::eval::{MOST_CONTEXTS, Reader};
use super::value::Val;
use crate::python::program::node::Node;

/// A context: the elements of loops and the arguments of calls around an expression, from the
/// inside out. What it does not bind is joined.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Ctx<'t>(Option<Rc<Link<'t>>>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Link<'t> {
    binder: Node<'t>,
    frame: Frame<'t>,
    up: Ctx<'t>,
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
        Self(Some(Rc::new(Link { binder, frame, up })))
    }

    fn links(&self) -> impl Iterator<Item = &Link<'t>> {
        std::iter::successors(self.0.as_deref(), |link| link.up.0.as_deref())
    }

    pub fn frame(&self, binder: Node<'t>) -> Option<&Frame<'t>> {
        let mut links = self.links();
        Some(&links.find(|link| link.binder == binder)?.frame)
    }

    /// Adds the bindings of another context that this one lacks.
    pub fn and(&self, other: &Self) -> Self {
        let links = other.links();
        let new = links.filter(|link| self.frame(link.binder).is_none());
        new.fold(self.clone(), |all, link| {
            all.with(link.binder, link.frame.clone())
        })
    }

    /// Only the bindings of loops and functions around a node.
    pub fn around(&self, node: Node<'t>) -> Self {
        let within = |link: &&Link<'t>| {
            let binder = link.binder;
            binder.file() == node.file() && binder.range().contains(&node.range().start)
        };
        let all = self.links().filter(within);
        all.fold(Self::default(), |all, link| {
            all.with(link.binder, link.frame.clone())
        })
    }

    /// A number that no other living context has.
    pub fn number(&self) -> usize {
        self.0.as_ref().map_or(0, |link| Rc::as_ptr(link) as usize)
    }
}

impl<'t> Reader<'t> {
    /// The contexts that bind whatever some expressions need. Sets `gave_up` where there are too
    /// many.
    pub fn contexts(&mut self, of: &[Node<'t>], ctx: &Ctx<'t>) -> Vec<Ctx<'t>> {
        let mut done = Vec::new();
        let mut todo = vec![ctx.clone()];
        while let Some(ctx) = todo.pop() {
            if done.len() + todo.len() > MOST_CONTEXTS || self.steps > self.limit {
                self.gave_up = true;
                break;
            }
            match self.first_unbound(of, &ctx) {
                None => done.push(ctx),
                Some(binder) => todo.extend(self.bound_contexts(binder, &ctx).into_iter().rev()),
            }
        }
        done
    }

    /// The first loop or function that has to be bound to evaluate these.
    pub fn first_unbound(&mut self, of: &[Node<'t>], ctx: &Ctx<'t>) -> Option<Node<'t>> {
        let stops = std::mem::replace(&mut self.stops_at_unbound, true);
        let need = self.unbound.take();
        for node in of {
            self.at(*node, ctx);
        }
        self.stops_at_unbound = stops;
        std::mem::replace(&mut self.unbound, need)
    }

    fn bound_contexts(&mut self, binder: Node<'t>, ctx: &Ctx<'t>) -> Vec<Ctx<'t>> {
        if binder.is_any("function_definition lambda") {
            return self.call_contexts(binder, ctx);
        }
        let Some(iter) = binder.field("right") else {
            return Vec::new();
        };
        // The iterable of a loop may depend on the loop variable.
        let around = self.once_in(binder, |reader| reader.contexts(&[iter], ctx));
        let Some(around) = around else {
            return vec![ctx.with(binder, Frame::Element(Val::Unknown))];
        };
        let mut all = Vec::new();
        for ctx in around {
            let items = match self.at(iter, &ctx) {
                value if value.is_lost() => vec![Val::Lost],
                value => self
                    .loop_items(binder, &value)
                    .unwrap_or_else(|| vec![Val::Unknown]),
            };
            let bind = |item| ctx.with(binder, Frame::Element(item));
            all.extend(items.into_iter().map(bind));
        }
        all
    }

    /// The contexts in which a function is called.
    fn call_contexts(&mut self, function: Node<'t>, ctx: &Ctx<'t>) -> Vec<Ctx<'t>> {
        let sites = self.sites.get(&function).cloned().unwrap_or_default();
        let is_call = |site: &Site<'t>| matches!(site, Site::Call(_));
        let too_deep = self.call_depth >= CALLS && sites.iter().any(is_call);
        let found = self.once_in(function, |reader| {
            reader.call_depth += 1;
            let sites = sites.iter().filter(|_| !too_deep);
            let all = sites.flat_map(|site| reader.site_contexts(function, site, ctx));
            let all: Vec<_> = all.collect();
            reader.call_depth -= 1;
            all
        });
        // In a circle, or after too many calls: the joined arguments.
        let found = found.filter(|_| !too_deep).unwrap_or_else(|| {
            let all = self.summaries.params(function, &mut self.uses).clone();
            vec![Ctx::default().with(function, Frame::Call(all.into(), None))]
        });
        found.iter().map(|given| ctx.and(given)).collect()
    }

    fn site_contexts(&mut self, of: Node<'t>, site: &Site<'t>, ctx: &Ctx<'t>) -> Vec<Ctx<'t>> {
        let call = match site {
            Site::Callback(given) => return vec![given.clone()],
            Site::Call(call) => *call,
        };
        let mut parts: Vec<Node<'t>> = call.field("function").into_iter().collect();
        parts.extend(call.argument_values());
        let mut all = Vec::new();
        for ctx in self.contexts(&parts, &ctx.around(call)) {
            self.exactly(|reader| {
                let callee = reader.eval_opt(call.field("function"), &ctx);
                let args = reader.args(call, &ctx);
                let callees = callee.each().iter();
                let bound = callees.filter_map(|one| reader.bind(one, &args, Some(call)));
                let bound = bound.filter(|(own, _)| *own == of);
                all.extend(bound.map(|(_, inner)| inner));
            });
        }
        all
    }

    /// The function that a call runs in a context, and the context inside of it.
    pub fn bind_in(&mut self, callee: &Val<'t>, call: Node<'t>, ctx: &Ctx<'t>) -> Option<Run<'t>> {
        self.exactly(|reader| {
            let args = reader.args(call, ctx);
            reader.bind(callee, &args, Some(call))
        })
    }
}
