//! Values of names: variables, loop variables, parameters and imports.

use std::rc::Rc;

use super::contexts::{Ctx, Frame};
use super::eval::{DEEPEST, Reader, external};
use super::value::Val;
use crate::python::program::node::{Node, is_among};
use crate::python::program::scope::{Binding, Bound, Program};

/// The most bindings of a name that are joined.
const MOST_BINDINGS: usize = 60;
/// The most rounds of a loop whose additions to a dict are told apart.
const MOST_ROUNDS: usize = 100;
/// The most changes of one list or dict that are followed inside one another.
const NESTED_CHANGES: usize = 2;
/// The most bindings of one name that are followed inside one another.
const NESTED: usize = 4;

impl<'t> Reader<'t> {
    /// The value of a name.
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
        let set_at = bindings.iter().map(Binding::start).min().flatten();
        // Otherwise every order in which these values lead to one another would be followed.
        let is_under_way = |one: &&Binding<'t>| match one.what {
            Bound::Value(node) => self.is_under_way(node),
            _ => false,
        };
        if bindings.len() > NESTED && bindings.iter().filter(is_under_way).count() >= NESTED {
            return Val::Unknown;
        }
        let mut values: Vec<Val<'t>> = lost.into_iter().collect();
        for binding in bindings {
            let value = match binding.what {
                Bound::Value(node) => {
                    // Outside of loops, a module's variable is the same in each context.
                    let fixed = scope.is("module") && node.ancestor("for_statement").is_none();
                    let value = self.once(node, |reader| {
                        if fixed {
                            reader.fixed(node)
                        } else {
                            reader.eval(node, ctx)
                        }
                    });
                    value.unwrap_or(Val::Never)
                }
                Bound::Element(owner) => self.element(owner, ctx),
                Bound::Matched(pattern) => self.matched(pattern, ctx),
                Bound::Parameter(function) => self.parameter(function, name, ctx),
                Bound::Function(node) => {
                    let outer = match scope.kind() {
                        "module" => Ctx::default(),
                        _ => self.closure(ctx),
                    };
                    Val::Func(node, outer, None)
                }
                Bound::Class(node) => Val::Class(node),
                Bound::Import(module, item) => self.imported(at.file(), &module, item),
                Bound::Unknown => Val::Unknown,
            };
            values.push(value.item_at(&binding.path));
        }
        let value = match values.len() {
            1 => values.remove(0),
            _ => Val::any(values),
        };
        if !matches!(value, Val::List(_) | Val::Dict(_)) {
            return value;
        }
        let variable = self.program.named(at, name);
        let changes = variable.and_then(|of| self.program.changes.get(&of));
        match changes.cloned() {
            Some(mut changes) => {
                changes.retain(|change| {
                    if !may_be_done_at(*change, at, set_at) {
                        return false;
                    }
                    let is_done = || is_done_at(*change, at) && !self.runs_before(at, *change);
                    !takes_out(*change) || is_done()
                });
                self.with_changes(value, &changes)
            }
            None => value,
        }
    }

    /// Whether a module names the function of a place before it makes a change.
    fn runs_before(&self, at: Node<'t>, change: Node<'t>) -> bool {
        let name = at.function().and_then(|of| of.field("name"));
        let key = name.and_then(|name| self.program.variable(name));
        let uses = key.map(|(scope, name)| self.program.uses_of(scope, name));
        let is_before = |one: &Node<'t>| one.range().end <= change.range().start;
        let is_run = |one: Node<'t>| Some(one) != name && one.function().is_none();
        uses.into_iter().flatten().filter(is_before).any(is_run)
    }

    /// A list or dict with what other statements add to it.
    pub fn with_changes(&mut self, value: Val<'t>, changes: &[Node<'t>]) -> Val<'t> {
        if !matches!(value, Val::List(_) | Val::Dict(_)) || self.unbound.is_some() {
            return value;
        }
        self.steps += changes.len();
        // `options = dict(DEFAULTS); options.update(input)` is the input with defaults.
        let first = changes.first().filter(|one| one.callee_name() == "update");
        if let (Val::Dict(_), Some(update)) = (&value, first) {
            let args = self.once(*update, |reader| {
                reader.settled(|reader| reader.args(*update, &Ctx::default()))
            });
            let given = args.and_then(|args| args.positional.first().cloned());
            if let Some(input) = given.filter(|given| *given == Val::Input("".into())) {
                return input;
            }
        }
        let mut items = value.elements().unwrap_or_default();
        let mut pairs = match &value {
            Val::Dict(pairs) => pairs.to_vec(),
            _ => Vec::new(),
        };
        // Otherwise every order in which these changes lead to one another would be followed.
        let under_way = changes.iter().filter(|one| self.is_under_way(**one));
        let is_nested = under_way.count() >= NESTED_CHANGES;
        let last = changes.last().filter(|_| matches!(value, Val::Dict(_)));
        let is_environ = last.is_some_and(|last| self.gives_environment(*last));
        for change in &changes[..changes.len() - usize::from(is_environ)] {
            if is_nested && !self.is_under_way(*change) {
                continue;
            }
            self.once(*change, |reader| {
                reader.settled(|reader| {
                    for ctx in reader.rounds_around(*change) {
                        reader.add_change(*change, &ctx, &mut items, &mut pairs);
                    }
                });
            });
        }
        match value {
            Val::Dict(_) if is_environ => Val::Environ(Val::as_defaults(&pairs).collect()),
            Val::Dict(_) => Val::Dict(pairs.into()),
            _ => Val::list(items),
        }
    }

    /// Whether a statement adds the environment to a dict: `options.update(os.environ)`.
    fn gives_environment(&mut self, change: Node<'t>) -> bool {
        let given = match change.callee_name() {
            "update" => change.argument(0),
            _ if change.is("augmented_assignment") => change.field("right"),
            _ => None,
        };
        let ask = |reader: &mut Self| {
            let given = given.map(|given| reader.fixed(given));
            given.is_some_and(|given| given.is_environ())
        };
        given.is_some() && self.once(change, ask) == Some(true)
    }

    /// A context for each round of the loops around a statement that sets items of a dict, so that
    /// each key gets its own value.
    fn rounds_around(&mut self, change: Node<'t>) -> Vec<Ctx<'t>> {
        let sets = change.is("assignment") || is_among("setdefault update", change.callee_name());
        let above = change.local_ancestors().filter(|_| sets);
        let mut loops: Vec<Node<'t>> = above.filter(|above| above.is("for_statement")).collect();
        let mut all = vec![Ctx::default()];
        while let Some(owner) = loops.pop() {
            let mut inner = Vec::new();
            for ctx in &all {
                let iter = self.eval_opt(owner.field("right"), ctx);
                let Some(items) = self.loop_items(owner, &iter) else {
                    inner.push(ctx.clone());
                    continue;
                };
                let bind = |item| ctx.with(owner, Frame::Element(item));
                inner.extend(items.into_iter().map(bind));
            }
            // What many rounds add is joined.
            if inner.len() > MOST_ROUNDS {
                return vec![Ctx::default()];
            }
            all = inner;
        }
        self.steps += all.len();
        all
    }

    /// Adds what a statement adds to a list's items or a dict's pairs.
    fn add_change(
        &mut self,
        change: Node<'t>,
        ctx: &Ctx<'t>,
        items: &mut Vec<Val<'t>>,
        pairs: &mut Vec<(Val<'t>, Val<'t>)>,
    ) {
        match change.kind() {
            "call" => {
                let args = self.args(change, ctx);
                let last = args.positional.last().cloned().unwrap_or(Val::Unknown);
                match change.callee_name() {
                    "extend" => items.extend(last.elements_or_unknown()),
                    "update" => {
                        if let Val::List(more) = &last {
                            items.extend(more.iter().cloned());
                        } else if !args.positional.is_empty() {
                            pairs.extend(last.joined_pairs());
                        }
                        pairs.extend(args.named.iter().map(|(k, v)| (Val::text(k), v.clone())));
                    }
                    "setdefault" => {
                        let keys = args.positional.first().into_iter().flat_map(Val::each);
                        pairs.extend(keys.map(|key| (key.clone(), last.clone())));
                    }
                    "clear" => {
                        items.clear();
                        pairs.clear();
                    }
                    "remove" | "discard" | "pop" => {
                        take_out(args.positional.first(), items, pairs);
                    }
                    _ => items.extend(last.each().iter().cloned()),
                }
            }
            "subscript" => {
                let key = self.eval_opt(change.field("subscript"), ctx);
                take_out(Some(&key), items, pairs);
            }
            "assignment" => {
                let left = change.field("left");
                let mut key = self.eval_opt(left.and_then(|left| left.field("subscript")), ctx);
                let mut value = self.eval_opt(change.field("right"), ctx);
                // `NAMES[1:] = […]`
                items.extend(value.elements_or_unknown());
                // `body["params"]["n"] = 1` adds to what the dict holds.
                let mut object = left.and_then(|left| left.field("value"));
                while let Some(of) = object.filter(|of| of.is("subscript")) {
                    let outer = self.eval_opt(of.field("subscript"), ctx);
                    let same = |own: &Val<'t>| own.as_str() == outer.as_str();
                    let at = pairs.iter().rposition(|(own, _)| same(own));
                    let Some((at, Val::Dict(held))) = at.map(|at| (at, &pairs[at].1)) else {
                        return;
                    };
                    let mut held = held.to_vec();
                    for key in key.each() {
                        held.retain(|(own, _)| {
                            own.as_str().is_none() || own.as_str() != key.as_str()
                        });
                        held.push((key.clone(), value.clone()));
                    }
                    value = Val::Dict(held.into());
                    pairs.remove(at);
                    key = outer;
                    object = of.field("value");
                }
                pairs.extend(key.each().iter().map(|key| (key.clone(), value.clone())));
            }
            _ => {
                let more = self.eval_opt(change.field("right"), ctx);
                items.extend(more.elements_or_unknown());
                pairs.extend(more.joined_pairs());
            }
        }
    }

    pub fn element(&mut self, owner: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        if let Some(Frame::Element(value)) = ctx.frame(owner) {
            return value.clone();
        }
        if self.stops_at_unbound {
            self.unbound = self.unbound.or(Some(owner));
            return Val::Unknown;
        }
        match self.once(owner, |reader| reader.eval_opt(owner.field("right"), ctx)) {
            None | Some(Val::Never) => Val::Never,
            Some(Val::Lost) => Val::Lost,
            Some(iter) => self.loop_items(owner, &iter).map_or(Val::Unknown, Val::any),
        }
    }

    /// The elements that a loop takes: the first alone where its body always leaves.
    pub fn loop_items(&mut self, owner: Node<'t>, iter: &Val<'t>) -> Option<Vec<Val<'t>>> {
        let mut items = self.elements(iter)?;
        if matches!(iter, Val::List(_) | Val::Dict(_)) && leaves_at_once(owner) {
            items.truncate(1);
        }
        Some(items)
    }

    /// The part of what is matched that a pattern stands for: its value, or one below a key of it.
    pub fn matched(&mut self, pattern: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        let Some(above) = pattern.parent() else {
            return Val::Unknown;
        };
        match above.kind() {
            "case_clause" => {
                let subject = above.ancestor("match_statement");
                self.eval_opt(subject.and_then(|of| of.field("subject")), ctx)
            }
            "case_pattern" | "as_pattern" | "union_pattern" => self.matched(above, ctx),
            "dict_pattern" => {
                let whole = self.matched(above, ctx);
                let keys = above.fields("key");
                let key = keys
                    .take_while(|key| key.range().end <= pattern.range().start)
                    .last();
                let name = self.eval_opt(key.map(Node::pattern_value), ctx);
                self.item(&whole, &name)
            }
            _ => Val::Unknown,
        }
    }

    pub fn parameter(&mut self, function: Node<'t>, name: &str, ctx: &Ctx<'t>) -> Val<'t> {
        let of = |all: &[(&'t str, Val<'t>)]| {
            let mut named = all.iter().filter(|(own, _)| *own == name);
            let found = named.next();
            found.map_or(Val::Unknown, |(_, value)| value.clone())
        };
        if let Some(Frame::Call(args, _)) = ctx.frame(function) {
            return of(args);
        }
        if let Some(option) = option_of(function, name) {
            return self.option_value(option);
        }
        let all = self.summaries.params(function, &mut self.uses);
        let all = if all.is_empty() { Val::Never } else { of(all) };
        if self.stops_at_unbound && !all.is_definite() {
            self.unbound = self.unbound.or(Some(function));
            return Val::Unknown;
        }
        let exact = Some(function).filter(|_| self.exact && all == Val::Unknown);
        let exact = exact.and_then(|function| self.only_call_value(function, name));
        exact.unwrap_or(all)
    }

    /// What an option of the command line is where it is not given: a variable, or else its default.
    pub fn option_value(&mut self, option: Node<'t>) -> Val<'t> {
        let named = option.keyword("envvar").map(|name| self.fixed(name));
        let default = option.keyword("default").map(|default| self.fixed(default));
        let default = default.unwrap_or(Val::None);
        match named.as_ref().and_then(Val::as_str) {
            Some(name) => Val::Env(name.into(), Rc::new(default)),
            None => Val::Unknown,
        }
    }

    /// A parameter's value in the function's only call, where numbers are not joined.
    fn only_call_value(&mut self, function: Node<'t>, name: &str) -> Option<Val<'t>> {
        let (call, none) = (self.only_call(function)?, Ctx::default());
        self.once_in(function, |reader| {
            let callee = reader.eval_opt(call.field("function"), &none);
            let args = reader.args(call, &none);
            let (own, inner) = reader.bind(&callee, &args, Some(call))?;
            (own == function).then(|| reader.parameter(function, name, &inner))
        })?
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

    /// The value of a module's name.
    pub fn member(&mut self, index: usize, name: &'t str) -> Val<'t> {
        let root = self.program.files[index].syntax.root();
        let is_bound = self.program.bound_in(root, name).is_some();
        let Some(last) = root.children().last().filter(|_| is_bound) else {
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
}

/// Whether a loop's body always ends the loop.
fn leaves_at_once(owner: Node<'_>) -> bool {
    let body = owner
        .field_children("body")
        .filter(|_| owner.is("for_statement"));
    let mut all = body.take_while(|one| one.subtree_of("continue_statement").next().is_none());
    all.any(|one| one.is_any("break_statement return_statement"))
}

/// Whether a change of a list or a dict takes something out of it.
pub fn takes_out(change: Node<'_>) -> bool {
    change.is("subscript") || is_among("remove discard pop clear", change.callee_name())
}

/// What uses a list at once: it starts a process.
const STARTING: &str = "Popen run call check_call check_output execv execvp execve execvpe";

/// Whether a statement may have run before the code at a place does, and after what is there was set.
fn may_be_done_at(change: Node<'_>, at: Node<'_>, set_at: Option<usize>) -> bool {
    let is_loop =
        |above: Node<'_>| above.is_any("for_statement while_statement") && above.contains(at);
    // Elsewhere the list may get another name here, by which it is used later.
    let call = at.parent_of("argument_list").and_then(Node::parent);
    let is_used_here = call.is_some_and(|call| is_among(STARTING, call.callee_name()));
    change.file() != at.file()
        || change.function() != at.function()
        || change.ancestors().any(is_loop)
        || (change.range().start < at.range().end || !is_used_here)
            && set_at.is_none_or(|set| set < change.range().end)
}

/// Whether a statement surely ran before the code at a place does.
fn is_done_at(change: Node<'_>, at: Node<'_>) -> bool {
    let block = change
        .ancestors()
        .find(|above| above.is_any("block module boolean_operator conditional_expression lambda"));
    let elsewhere = at.function().is_some() || at.file() != change.file();
    let is_before = change.range().end <= at.range().start;
    block.is_some_and(|block| {
        block.is("module") && elsewhere || is_before && at.ancestors().any(|above| above == block)
    })
}

/// Takes an item out of a list or a dict: by its value or key, by its number, or the last one.
fn take_out<'t>(
    key: Option<&Val<'t>>,
    items: &mut Vec<Val<'t>>,
    pairs: &mut Vec<(Val<'t>, Val<'t>)>,
) {
    let number = match key {
        None => Some(-1),
        Some(Val::Int(number)) => Some(*number),
        Some(_) => None,
    };
    let count = i64::try_from(items.len()).unwrap_or_default();
    let number = number.and_then(|number| number.checked_rem_euclid(count));
    if let Some(number) = number.and_then(|number| usize::try_from(number).ok()) {
        items.remove(number);
    }
    if let Some(key) = key.and_then(Val::as_str) {
        items.retain(|item| item.as_str() != Some(key));
        pairs.retain(|(own, _)| own.as_str() != Some(key));
    }
}

/// The `@click.option("--name", envvar="NAME")` of a parameter.
fn option_of<'t>(function: Node<'t>, name: &str) -> Option<Node<'t>> {
    let decorated = function.parent_of("decorated_definition")?;
    let decorators = decorated.children_of("decorator");
    let mut options = decorators.filter_map(|one| one.child(0));
    options.find(|option| {
        let mut names = option.arguments().map(Node::unquoted);
        is_among("option argument", option.callee_name())
            && option.keyword("envvar").is_some()
            && names.any(|own| own.trim_start_matches('-').replace('-', "_") == name)
    })
}
