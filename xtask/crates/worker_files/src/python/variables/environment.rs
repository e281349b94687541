//! Every mention of the environment: a variable that is read, one that is set, or unread.

use super::writes::pairs_of;
use std::rc::Rc;

use super::settings::reads_setting;
use crate::BY_NAME;
use crate::dockerfile::Named;
use crate::python::COMPUTED_NAME;
use crate::python::evaluation::arguments::Args;
use crate::python::evaluation::contexts::Ctx;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::node::{Node, is_among, last_part};
use crate::{EnvRead, Hides};

/// A lookup of a variable.
pub struct EnvLookup<'t> {
    pub name: Val<'t>,
    pub default: Option<Val<'t>>,
    pub required: bool,
}

impl<'t> EnvLookup<'t> {
    pub fn new(name: Val<'t>, default: Option<Val<'t>>, required: bool) -> Self {
        Self {
            name,
            default,
            required,
        }
    }

    pub fn named(name: Val<'t>) -> Self {
        Self::new(name, None, false)
    }
}

/// The value of a variable that is removed.
pub const REMOVED: &str = "(removed)";

/// Why something is unread whose evaluation ran into a limit.
pub const TOO_MUCH: &str = "this is too much to follow to its end";

/// The most calls through which conditions on a write or a flag are looked for.
pub const CALLERS: usize = 3;

pub const READING: &str = "get pop setdefault __getitem__ __contains__";

/// The lookup of a variable that a call makes, if it makes one.
pub fn env_lookup<'t>(callee: &Val<'t>, args: &Args<'t>) -> Option<EnvLookup<'t>> {
    let name = args.get(0, "key").cloned().unwrap_or(Val::Unknown);
    let default = args.get(1, "default").cloned();
    if let Some(at) = reads_setting(callee) {
        let default = args.get(at, "default").cloned();
        let required = default.is_none();
        return Some(EnvLookup::new(name, default, required));
    }
    match callee {
        Val::Ext(path) => match &**path {
            "os.getenv" | "os.getenvb" | "environ.get" | "getenv" => {
                Some(EnvLookup::new(name, default, false))
            }
            "dotenv.get_key" => Some(EnvLookup::named(args.get(1, "key_to_get")?.clone())),
            _ => None,
        },
        Val::Method(object, method) if object.is_environ() && is_among(READING, method) => {
            let fails =
                &**method == "__getitem__" || &**method == "pop" && args.positional.len() < 2;
            if object.always(&name).is_some() {
                return None;
            }
            let default = object.default_of(&name).or(default);
            let required = fails && default.is_none();
            Some(EnvLookup::new(name, default, required))
        }
        Val::Partial(function, first) => env_lookup(function, &first.then(args)),
        _ => None,
    }
}

impl<'t> Reader<'t> {
    /// The contexts in which a mention is evaluated. Where there are too many, the mention is
    /// unread as well.
    pub fn each_context(&mut self, node: Node<'t>, of: &[Node<'t>], hides: Hides) -> Vec<Ctx<'t>> {
        let before = std::mem::take(&mut self.gave_up);
        let contexts = self.contexts(of, &Ctx::default());
        if std::mem::replace(&mut self.gave_up, before) {
            self.not_read(node, TOO_MUCH, &[hides]);
        }
        contexts
    }

    /// A call that reads or sets variables, or may do so in a way that is not understood.
    pub fn environment_call(&mut self, node: Node<'t>, callee: &Val<'t>) {
        let args = node.argument_values();
        let first = args.first().copied();
        let path = callee.path();
        match last_part(path) {
            "exec" | "eval" if !path.contains('.') => {
                return self.check_executed_text(node, first);
            }
            "expandvars" => return first.map_or((), |text| self.shell_text(node, text)),
            "getattr"
                if first.is_some_and(|first| self.value(first).path() == "os")
                    && args.get(1).is_none_or(|name| name.kind() != "string") =>
            {
                return self.variables_unread(node, "what is taken from `os` is computed");
            }
            "putenv" => return self.write_variables(node, &args),
            "unsetenv" if args.len() == 1 => return self.write_variable(node, args[0], None),
            _ => {}
        }
        if let Val::Method(object, method) = callee
            && object.is_environ()
            && matches!(&**method, "update" | "__setitem__")
        {
            return self.write_variables(node, &args);
        }
        if path == "dotenv.load_dotenv" && self.program.reaches(node) {
            self.load_env_file(node, first);
        }
        self.foreign_call(node, callee);
        let joined = self.args(node, &Ctx::default());
        if let Some(child) = joined.named("env")
            && let Some(given) = node.keyword("env")
        {
            self.child_environment(node, child, given);
        }
        let reads = |one: &Val<'t>| env_lookup(one, &Args::default()).is_some();
        if matches!(path, "map" | "filter") && joined.get(0, "").is_some_and(reads) {
            let names = joined.positional.get(1).unwrap_or(&Val::Unknown);
            for name in names.elements_or_unknown() {
                self.add_reads(node, &EnvLookup::named(name), &Ctx::default());
            }
            return;
        }
        if callee.may_be(|one| env_lookup(one, &joined).is_some()) {
            self.lookup_call(node, &args);
        }
    }

    /// A call that looks up a variable, in each context.
    fn lookup_call(&mut self, node: Node<'t>, args: &[Node<'t>]) {
        let function = node.field("function");
        let of: Vec<_> = function.into_iter().chain(args.iter().copied()).collect();
        for ctx in self.each_context(node, &of, Hides::Variables) {
            let callee = self.exactly(|reader| reader.eval_opt(function, &ctx));
            let args = self.exactly(|reader| reader.args(node, &ctx));
            let callees = callee.each().iter();
            for lookup in callees.filter_map(|one| env_lookup(one, &args)) {
                // `os.environ.pop("A", None)`
                if node.callee_name() == "pop" && node.parent_of("expression_statement").is_some() {
                    for name in lookup.name.each() {
                        self.note_env_write(node, name, (&Val::text(REMOVED), node), &ctx);
                    }
                    continue;
                }
                self.add_reads(node, &lookup, &ctx);
                if node.callee_name() == "setdefault" {
                    let names = lookup.name.each().iter().filter_map(Val::as_str);
                    for (name, value) in names.clone().zip(lookup.default.iter().cycle()) {
                        self.note_copied_from(name, value);
                        let text = value.display();
                        let text = text.unwrap_or_else(|| self.fingerprinted(node));
                        self.defaulted.push((name.into(), node, text));
                    }
                    let place = self.place(node);
                    let set = names.map(|name| (name.to_owned(), place.clone()));
                    self.facts.set.extend(set);
                }
            }
        }
    }

    /// What the file of `load_dotenv()` sets where it is not set already.
    fn load_env_file(&mut self, node: Node<'t>, path: Option<Node<'t>>) {
        let path = path.map(|path| self.value(path));
        let path = path.as_ref().map_or(Some(".env"), Val::as_str);
        let Some(source) = path.and_then(|path| self.data_file(path)) else {
            return;
        };
        // A file that is loaded twice is noted once.
        let is_known = |one: &EnvRead| one.place.file == source.path;
        if self.facts.write_defaults.iter().any(is_known) {
            return;
        }
        for Named { name, value, place } in crate::compose::env_file(source) {
            let assigned = (name.clone(), value.clone(), self.place(node));
            self.facts.assigned.push(assigned);
            let read = EnvRead::new(name, Some(value), place);
            self.facts.write_defaults.push(read);
        }
    }

    /// `os.environ |= {…}`.
    pub fn environment_joined(&mut self, node: Node<'t>) {
        if let Some((left, right)) = node.field("left").zip(node.field("right"))
            && self.value(left).is_environ()
        {
            let more = self.value(right);
            if more.is_environ() {
                return;
            }
            self.set_pairs(node, &pairs_of(&more));
        }
    }

    /// `environ[key]`, read, set or removed.
    pub fn environment_item(&mut self, node: Node<'t>, whole: &Val<'t>) {
        let (Some(object), Some(key)) = (node.field("value"), node.field("subscript")) else {
            return;
        };
        if !whole.is_environ() {
            return;
        }
        if let Some(parent) = node.parent()
            && (parent.is("assignment") && node.role() == "left" || parent.is("delete_statement"))
        {
            return self.write_variable(node, key, parent.field("right"));
        }
        for ctx in self.each_context(node, &[object, key], Hides::Variables) {
            let name = self.at(key, &ctx);
            let object = self.at(object, &ctx);
            let read = |one: &&Val<'t>| one.is_environ() && one.always(&name).is_none();
            for environ in object.each().iter().filter(read) {
                let default = environ.default_of(&name);
                let required = default.is_none();
                let lookup = EnvLookup::new(name.clone(), default, required);
                self.add_reads(node, &lookup, &ctx);
            }
        }
    }

    /// `name in environ`.
    pub fn environment_test(&mut self, node: Node<'t>, left: Node<'t>, right: Node<'t>) {
        if self.value(right).is_environ() {
            for ctx in self.each_context(node, &[left, right], Hides::Variables) {
                let name = self.at(left, &ctx);
                self.add_reads(node, &EnvLookup::named(name), &ctx);
            }
        }
    }

    /// `match environ: case {"A": value}`
    pub fn environment_match(&mut self, node: Node<'t>) {
        let subject = node.field("subject");
        if !subject.is_some_and(|subject| self.value(subject).is_environ()) {
            return;
        }
        let patterns = node.subtree_of("dict_pattern");
        for key in patterns.flat_map(|pattern| pattern.fields("key")) {
            let inner = key.child(0).filter(|_| key.kind() != "string");
            let name = self.value(inner.unwrap_or(key));
            self.add_reads(key, &EnvLookup::named(name), &Ctx::default());
        }
    }

    /// A read by the code at `node`, of a variable whose name is written at a place.
    pub fn env_read(&self, node: Node<'t>, name: impl Into<String>, at: Node<'t>) -> EnvRead {
        EnvRead {
            reached: self.program.reaches(node),
            ..EnvRead::new(name, None, self.place(at))
        }
    }

    /// Notes a read of which only the name and default are known.
    pub fn add_plain_read(&mut self, node: Node<'t>, name: &str, default: Option<String>) {
        let read = self.env_read(node, name, node);
        self.facts.env.push(EnvRead { default, ..read });
    }

    fn check_executed_text(&mut self, node: Node<'t>, code: Option<Node<'t>>) {
        let text = code.map_or(Val::Unknown, |code| self.value(code));
        let words = ["environ", "getenv", "sglang", "input"];
        let matters = |text: &str| words.iter().any(|word| text.contains(word));
        if text.as_str().is_none_or(matters) {
            self.all_unread(node, "the program runs text as code");
        }
    }

    /// The variables that the text of an expression names, in each context.
    pub fn shell_text(&mut self, node: Node<'t>, text: Node<'t>) {
        for ctx in self.each_context(node, &[text], Hides::Variables) {
            for value in self.at(text, &ctx).each() {
                self.shell_reads(node, value);
            }
        }
    }

    /// The variables that a text names as a shell does.
    pub fn shell_reads(&mut self, node: Node<'t>, text: &Val<'t>) {
        if matches!(text, Val::Unknown | Val::Ext(_) | Val::Lost) {
            let what = "the text whose variables are filled in is computed";
            return self.variables_unread(node, what);
        }
        let texts = text.pieces().iter();
        let text: String = texts.map(|part| part.as_str().unwrap_or("x")).collect();
        for variable in crate::shell::parse(&text).reads {
            self.add_plain_read(node, &variable.name, variable.default);
        }
    }

    /// Notes a read of each variable that is looked up.
    pub fn add_reads(&mut self, node: Node<'t>, lookup: &EnvLookup<'t>, ctx: &Ctx<'t>) {
        // Conditions may choose among the names that a loop goes through.
        let mut key = node.key_of_read().into_iter().flat_map(Node::subtree);
        if key.any(|one| one.is("identifier")) && !self.may_run(node, ctx) {
            return;
        }
        for name in lookup.name.each() {
            match name {
                // A name from a file may have its line's end.
                Val::Str(text, at) if !text.contains(['\n', '=']) => {
                    self.add_read(node, (text, at.unwrap_or(node)), lookup, ctx);
                }
                Val::Never => {}
                Val::Input(_) => {
                    self.variables_unread(node, "the job's input names the variable that is read");
                }
                _ => self.variables_unread(node, COMPUTED_NAME),
            }
        }
    }

    fn add_read(
        &mut self,
        node: Node<'t>,
        (name, at): (&Rc<str>, Node<'t>),
        lookup: &EnvLookup<'t>,
        ctx: &Ctx<'t>,
    ) {
        if self.facts.env.len() > self.limit / 100 {
            return;
        }
        let own = Val::Env(name.clone(), Rc::new(Val::None));
        let usage = self.usage(node, &own, lookup.required, ctx);
        // How a helper reads its own variables says nothing of each name that it is given.
        let is_named_here = at.file() == node.file() && node.contains(at);
        let list = at.parent_of("argument_list");
        let call = list.and_then(Node::parent);
        let value = if is_named_here { Some(node) } else { call };
        let idle = value.and_then(|value| self.is_unused(value));
        let has_default = !usage.defaults.is_empty();
        let is_converted = lookup.default.is_none() && is_converted(node) && !usage.caught;
        let fails = (lookup.required || is_converted) && !has_default;
        // `USE_CACHE = False`, `if USE_CACHE:`
        let reached = self.program.reaches(node) && self.may_run(node, ctx);
        let mut read = EnvRead {
            reached,
            required: fails && !Self::is_guarded(node, name),
            ends: usage.ends && !has_default && lookup.default.is_none(),
            asked: node.is("comparison_operator"),
            idle,
            ..self.env_read(node, &**name, at)
        };
        read.at_start = (read.required || read.ends) && read.reached && runs_at_start(node);
        let is_number = usage.how.contains("int") || usage.how.contains("float");
        // `int(os.getenv("A", 0)) or 8`
        let is_zero = |value: &Val<'_>| {
            matches!(value, Val::Int(0)) || is_number && value.as_str() == Some("0")
        };
        let is_fallen = |value: &Val<'_>| {
            has_default && (is_zero(value) || is_number && usage.no_number && usage.caught)
        };
        let is_set = |value: &&Val<'_>| {
            !matches!(value, Val::None) && value.as_str() != Some("") && !is_fallen(value)
        };
        let written = node.keyword("default").or_else(|| node.argument(1));
        let default = lookup.default.as_ref().filter(is_set);
        let default = default.map(|value| (value.clone(), written.unwrap_or(node)));
        // `self.count = int(os.getenv("COUNT", self.count))`
        let unknown = default
            .as_ref()
            .filter(|(value, _)| value.display().is_none());
        let in_class = unknown.and_then(|(_, at)| self.class_default(*at));
        let in_class = in_class.map(|at| (self.at(at, ctx), at));
        let default = in_class.or(default);
        read.keeps_empty = !has_default;
        let mut found: Vec<String> = Vec::new();
        for (value, at) in default.iter().chain(&usage.defaults) {
            let test = self.chosen_by_name(node, *at);
            let test = test.filter(|one| {
                let condition = one.condition();
                condition.is_none_or(|of| self.static_truth(of, ctx).is_none())
            });
            match test {
                Some(test) => found.push(self.fingerprinted(test) + BY_NAME),
                None if self.may_run(*at, ctx) => {
                    self.add_default(value, *at, &mut read, &mut found);
                }
                None => {}
            }
        }
        read.fallbacks.retain(|own| **own != **name);
        read.default = found.into_iter().next();
        let always = self.value_set_before(name, node);
        let always = always.map(|value| format!("always {value}"));
        read.interpreted = always.or_else(|| usage.interpreted());
        if read.required
            && let Some(default) = self.defaulted_before(name, node)
        {
            (read.required, read.at_start, read.default) = (false, false, Some(default));
        }
        read.gives = usage.gives.into_iter().collect();
        self.facts.env.push(read);
    }

    /// What tests the name that is read, of what a default stands under or holds.
    /// `name in os.environ` looks at the variable.
    fn chosen_by_name(&mut self, read: Node<'t>, default: Node<'t>) -> Option<Node<'t>> {
        let key = read.key_of_read().filter(|key| key.is("identifier"));
        let key = key.map(Node::text)?;
        let mut all = default.local_ancestors().chain(default.subtree());
        all.find(|one| {
            let condition = one.condition().filter(|of| !of.contains(read));
            let parts = condition.into_iter().flat_map(Node::subtree);
            let mut names = parts.filter(|one| one.is("identifier") && one.text() == key);
            names.any(|name| {
                let test = name.parent().and_then(Node::membership);
                let whole = test.filter(|(left, _)| *left == name);
                !whole.is_some_and(|(_, whole)| self.value(whole).is_environ())
            })
        })
    }
}

/// The conditions under which a function returned before it comes to a node.
pub fn returned_before(node: Node<'_>) -> Vec<Node<'_>> {
    let mut all = Vec::new();
    for (child, above) in node.steps_up().filter(|(_, above)| above.is("block")) {
        let before = above.children().take_while(|other| *other != child);
        let returns = before.filter(|one| {
            let last = one.field_children("consequence").last();
            one.is("if_statement") && last.is_some_and(|last| last.is("return_statement"))
        });
        all.extend(returns.filter_map(|one| one.field("condition")));
    }
    all
}

/// Whether a value becomes a number as it is, which fails where it is unset: `int(os.getenv("A"))`.
fn is_converted(node: Node<'_>) -> bool {
    let list = node.parent_of("argument_list");
    let call = list.and_then(Node::parent);
    call.is_some_and(|call| is_among("int float", call.text_of("function")))
}

/// Whether an expression is evaluated whenever its module is imported.
fn runs_at_start(node: Node<'_>) -> bool {
    const CONDITIONAL: &str = "function_definition lambda if_statement conditional_expression \
        boolean_operator match_statement for_statement while_statement try_statement";
    let mut around = node.ancestors();
    around.all(|above| !above.is_any(CONDITIONAL) && !above.is_comprehension())
}
