//! Variables that the program sets.

use super::environment::{CALLERS, REMOVED, returned_before};
use crate::Hides;
use crate::python::evaluation::contexts::Ctx;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::code_text::normal;
use crate::python::program::node::Node;
use crate::python::server::conditions::conditions;
use std::rc::Rc;

impl<'t> Reader<'t> {
    /// `putenv(name, value)` or `environ.update(…)`.
    pub fn write_variables(&mut self, node: Node<'t>, args: &[Node<'t>]) {
        if args.len() == 2 && node.callee_name() != "update" {
            return self.write_variable(node, args[0], Some(args[1]));
        }
        let all = self.args(node, &Ctx::default());
        // A copy that gets the environment: `options.update(os.environ)`.
        if all.positional.first().is_some_and(Val::is_environ) {
            return;
        }
        let named = all.named.iter();
        let named = named.map(|(name, value)| (Val::Str(name.clone(), None), value.clone()));
        let more = all.positional.first().into_iter().flat_map(pairs_of);
        self.set_pairs(node, &named.chain(more).collect::<Vec<_>>());
    }

    pub fn set_pairs(&mut self, node: Node<'t>, pairs: &[(Val<'t>, Val<'t>)]) {
        if pairs.is_empty() {
            self.variables_unread(node, "which variables are set here is computed");
        }
        for (name, value) in pairs {
            self.note_env_write(node, name, (value, node), &Ctx::default());
        }
    }

    /// Notes a variable that is set, with its value, and where and how that is written.
    pub fn note_env_write(
        &mut self,
        node: Node<'t>,
        name: &Val<'t>,
        (value, at): (&Val<'t>, Node<'t>),
        ctx: &Ctx<'t>,
    ) {
        match name {
            Val::Str(name, _) => {
                self.note_assignment(node, name, value, at);
                let place = self.place(node);
                self.facts.set.push((name.to_string(), place));
                self.note_written(node, name, value);
                let text = value.display().unwrap_or_else(|| at.text().to_owned());
                self.written.push((name.clone(), node, text.into()));
                self.note_write_default(node, name, (value, at), ctx);
            }
            Val::Input(_) => {
                let what = "the job's input sets variables of the environment";
                self.not_read(node, what, &[Hides::JobInput, Hides::Variables]);
            }
            _ => self.variables_unread(node, "the name of the variable that is set is computed"),
        }
    }

    /// Notes a variable that the program sets whatever it was before, and under which conditions.
    fn note_written(&mut self, node: Node<'t>, name: &str, value: &Val<'t>) {
        if !self.program.reaches(node) || value.envs().iter().any(|own| **own == *name) {
            return;
        }
        let left = returned_before(node).into_iter();
        let left = left.map(|test| (test, false));
        let tests = conditions(node).into_iter().chain(left);
        let tests = tests.map(|(test, holds)| {
            let pattern = test.children_of("case_pattern").next();
            let text = normal(pattern.unwrap_or(test).text());
            if holds { text } else { format!("not ({text})") }
        });
        let tests: Vec<String> = tests.filter(|test| !test.contains("__name__")).collect();
        let when = (!tests.is_empty()).then(|| tests.join(" and "));
        // Only running tells what a local variable holds, and where a function is called. What a
        // child process gets is set before the child runs.
        let asks = ["getenv", "environ", "exists", "isdir", "isfile"];
        let is_told = |test: &String| asks.iter().any(|word| test.contains(word));
        let is_child = node.is("call") && node.keyword("env").is_some();
        if tests.iter().all(is_told) && (is_child || node.function().is_none()) {
            let write = (name.to_owned(), when, self.place(node));
            self.facts.written.push(write);
        }
    }

    /// What a child process gets besides the environment that it inherits: `env={…}`. What stands
    /// before `**os.environ` is only a default.
    pub fn child_environment(&mut self, node: Node<'t>, child: &Val<'t>, given: Node<'t>) {
        let (Val::Environ(more) | Val::Dict(more)) = child else {
            return;
        };
        for (key, value) in more.iter() {
            let Some(name) = key.as_str().filter(|name| *name != "*") else {
                continue;
            };
            let default = child.default_of(key).filter(|_| child.is_environ());
            self.note_assignment(node, name, default.as_ref().unwrap_or(value), given);
            if default.is_some() && self.program.reaches(node) {
                let when = Some(format!("{name} is not set"));
                let write = (name.to_owned(), when, self.place(node));
                self.facts.written.push(write);
            } else {
                self.note_written(node, name, value);
            }
        }
    }

    /// Notes what reached code sets a variable to. A value that is not known is shown as the source
    /// text `at`.
    pub fn note_assignment(&mut self, node: Node<'t>, name: &str, value: &Val<'t>, at: Node<'t>) {
        if self.program.reaches(node) {
            self.note_copied_from(name, value);
            let made = || format!("$({})", self.fingerprinted(at));
            let value = value.display().unwrap_or_else(made);
            let place = self.place(node);
            self.facts.assigned.push((name.to_owned(), value, place));
        }
    }

    /// Notes the variables whose value is copied to another one.
    pub fn note_copied_from(&mut self, name: &str, value: &Val<'t>) {
        // A value that is only part of a text is not copied as it is.
        let whole = value.each().iter();
        let whole = whole.filter(|one| matches!(one, Val::Env(..)));
        let others = whole.flat_map(Val::envs).filter(|other| &**other != name);
        let copied = others.map(|other| (other.to_string(), name.to_owned()));
        self.facts.handed.extend(copied);
    }

    pub fn write_variable(&mut self, node: Node<'t>, key: Node<'t>, value: Option<Node<'t>>) {
        let of: Vec<_> = std::iter::once(key).chain(value).collect();
        for ctx in self.each_context(node, &of, Hides::Variables) {
            let removed = || Val::text(REMOVED);
            let written = value.map_or_else(removed, |value| self.at(value, &ctx));
            for name in self.at(key, &ctx).each() {
                self.note_env_write(node, name, (&written, value.unwrap_or(node)), &ctx);
            }
        }
    }

    /// Notes a write as the default of later reads, unless it needs the variable to be set already.
    fn note_write_default(
        &mut self,
        node: Node<'t>,
        name: &Rc<str>,
        (value, at): (&Val<'t>, Node<'t>),
        ctx: &Ctx<'t>,
    ) {
        let is_own = value.envs().contains(name) || value.as_str() == Some(REMOVED);
        if !is_own && self.may_write(node, name, ctx, CALLERS) {
            let mut read = self.env_read(node, &**name, node);
            let mut found = Vec::new();
            self.add_default(value, at, &mut read, &mut found);
            read.default = found.into_iter().next();
            self.facts.write_defaults.push(read);
        }
    }
}

/// The items of a dict; of any other collection, its elements as names without values.
pub fn pairs_of<'t>(all: &Val<'t>) -> Vec<(Val<'t>, Val<'t>)> {
    if let Val::Dict(more) = all {
        return more.to_vec();
    }
    let names = all.elements_or_unknown().into_iter();
    names.map(|name| (name, Val::Unknown)).collect()
}
