//! Every mention of the environment: a variable that is read, one that is set, or unread.

use std::rc::Rc;

use super::COMPUTED_NAME;
use super::eval::Reader;
use super::syntax::{Node, is_among};
use super::value::{Args, Ctx, Val};
use crate::{EnvRead, Hides};

/// What a call asks the environment for.
pub struct Asked<'t> {
    pub name: Val<'t>,
    pub default: Option<Val<'t>>,
    pub required: bool,
    pub interpreted: Option<&'static str>,
}

impl<'t> Asked<'t> {
    fn named(name: Val<'t>) -> Self {
        Self {
            name,
            default: None,
            required: false,
            interpreted: None,
        }
    }
}

const READING: &str = "get pop setdefault __getitem__ __contains__";
/// Modules that read the environment in ways of their own.
pub const FOREIGN: &str =
    "dynaconf hydra prettyconf everett confz goodconf environ_config pydantic_config";
/// What is called with the whole environment and lets none of it go.
const HARMLESS: &str = "dict copy deepcopy ChainMap len isinstance type bool MappingProxyType partial map filter \
    OrderedDict cast id hash";
/// Objects that are called with a variable's name, or have a method for each kind of value.
const LIBRARIES: &str =
    "environs.Env environ.Env starlette.config.Config decouple.Config decouple.AutoConfig";

/// What a call asks the environment for, if it does.
pub fn asked<'t>(callee: &Val<'t>, args: &Args<'t>) -> Option<Asked<'t>> {
    let keys = || {
        args.get(0, "key")
            .or_else(|| args.get(0, "name"))
            .or_else(|| args.get(0, "var"))
    };
    let name = keys().cloned().unwrap_or(Val::Unknown);
    let default = args.get(1, "default").cloned();
    let required = default.is_none();
    let interpreted = args.get(2, "cast").and_then(|how| cast(how));
    match callee {
        Val::Ext(path) => match &**path {
            "os.getenv" | "os.getenvb" | "environ.get" | "getenv" => Some(Asked {
                default,
                ..Asked::named(name)
            }),
            "decouple.config" | "decouple.AutoConfig" => Some(Asked {
                name,
                default,
                required,
                interpreted,
            }),
            "dotenv.get_key" => Some(Asked::named(
                args.get(1, "key_to_get").cloned().unwrap_or(Val::Unknown),
            )),
            _ => None,
        },
        Val::Method(object, method) => match &**object {
            Val::Environ(_) if is_among(READING, method) => {
                let default = default.or_else(|| object.entry(&name));
                let fails =
                    &**method == "__getitem__" || &**method == "pop" && args.positional.len() < 2;
                let required = fails && default.is_none();
                Some(Asked {
                    default,
                    required,
                    ..Asked::named(name)
                })
            }
            Val::Made(made) if is_among(LIBRARIES, made) => {
                let interpreted = match &**method {
                    "prefixed" | "seal" | "dump" | "add_parser" | "parser_for" | "read_envfile"
                    | "read_env" | "export" => return None,
                    "json" | "dict" => Some("json"),
                    method => ["int", "float", "bool", "list"]
                        .into_iter()
                        .find(|own| *own == method),
                };
                Some(Asked {
                    name,
                    default,
                    required,
                    interpreted,
                })
            }
            _ => None,
        },
        Val::Made(made) if is_among(LIBRARIES, made) => {
            let at = if made.starts_with("starlette") { 2 } else { 1 };
            let default = args.get(at, "default").cloned();
            let interpreted = args.named("cast").and_then(|how| cast(how));
            Some(Asked {
                name,
                required: default.is_none(),
                default,
                interpreted,
            })
        }
        Val::Partial(function, first) => asked(function, &first.then(args)),
        _ => None,
    }
}

fn cast(how: &Val<'_>) -> Option<&'static str> {
    ["int", "float", "bool"]
        .into_iter()
        .find(|own| *own == how.path())
}

impl<'t> Reader<'t> {
    /// The ways in which a mention is come to, or some of them and that it is too much.
    pub fn each_way(&mut self, node: Node<'t>, of: &[Node<'t>], hides: Hides) -> Vec<Ctx<'t>> {
        let before = std::mem::take(&mut self.gave_up);
        let ways = self.ways(of, &Ctx::default());
        if std::mem::replace(&mut self.gave_up, before) {
            self.not_read(node, "this is too much to follow to its end", &[hides]);
        }
        ways
    }

    /// A call that reads a variable, sets some, or does either in a way of its own.
    pub fn environment_call(&mut self, node: Node<'t>, callee: &Val<'t>) {
        let Some(function) = node.field("function") else {
            return;
        };
        let args = node.values();
        let first = args.first().copied();
        let path = callee.path();
        match path.rsplit('.').next().unwrap_or(path) {
            "exec" | "eval" if !path.contains('.') => return self.executed(node, first),
            "expandvars" => {
                let Some(text) = first else { return };
                for way in self.each_way(node, &[text], Hides::Variables) {
                    let value = self.at(text, &way);
                    self.shell_reads(node, &value);
                }
                return;
            }
            "getattr"
                if first.is_some_and(|first| self.value(first).path() == "os")
                    && args.get(1).is_none_or(|name| name.kind() != "string") =>
            {
                return self.variables(node, "what is taken from `os` is computed");
            }
            "putenv" => return self.writes(node, &args),
            "unsetenv" if args.len() == 1 => return self.write(node, args[0], None),
            "load" | "create" if path.contains("OmegaConf") => return self.omega(node, first),
            _ => {}
        }
        if let Val::Method(object, method) = callee
            && object.is_environ()
            && matches!(&**method, "update" | "__setitem__")
        {
            return self.writes(node, &args);
        }
        let joined = self.args(node, &Ctx::default());
        // What a program is started with, beside what it inherits.
        if let Some(Val::Environ(more)) = joined.named("env") {
            for (name, value) in more.iter() {
                self.assigns(node, name, value);
            }
        }
        let none = Args::default();
        let maps = matches!(path, "map" | "filter");
        if maps
            && joined
                .get(0, "")
                .is_some_and(|one| asked(one, &none).is_some())
        {
            let items = joined.positional.get(1).and_then(Val::elements);
            for item in items.unwrap_or_else(|| vec![Val::Unknown]) {
                self.read(node, &Asked::named(item), &Ctx::default());
            }
            return;
        }
        if !callee.may_be(|one| asked(one, &joined).is_some()) {
            return;
        }
        let of: Vec<_> = std::iter::once(function).chain(args).collect();
        for way in self.each_way(node, &of, Hides::Variables) {
            let callee = self.at(function, &way);
            let args = self.exactly(|reader| reader.args(node, &way));
            for one in callee.each() {
                let Some(asked) = asked(one, &args) else {
                    continue;
                };
                self.read(node, &asked, &way);
                if matches!(one, Val::Method(_, name) if &**name == "setdefault") {
                    let place = self.place(node);
                    let names = asked.name.each().iter().filter_map(Val::as_str);
                    let set = names.map(|name| (name.to_owned(), place.clone()));
                    self.facts.set.extend(set);
                }
            }
        }
    }

    fn variables(&mut self, node: Node<'t>, why: &str) {
        self.not_read(node, why, &[Hides::Variables]);
    }

    /// `os.environ |= {…}`.
    pub fn environment_joined(&mut self, node: Node<'t>) {
        if let Some((left, right)) = node.field("left").zip(node.field("right"))
            && self.value(left).is_environ()
        {
            let names = self.value(right).elements();
            self.sets(node, &names.unwrap_or_else(|| vec![Val::Unknown]));
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
            && (parent.kind() == "assignment" && node.part() == "left"
                || parent.kind() == "delete_statement")
        {
            return self.write(node, key, parent.field("right"));
        }
        for way in self.each_way(node, &[object, key], Hides::Variables) {
            let name = self.at(key, &way);
            for one in self.at(object, &way).each() {
                if let Val::Environ(_) = one {
                    let default = one.entry(&name);
                    let required = default.is_none();
                    let name = name.clone();
                    self.read(
                        node,
                        &Asked {
                            default,
                            required,
                            ..Asked::named(name)
                        },
                        &way,
                    );
                }
            }
        }
    }

    /// `name in environ`.
    pub fn environment_test(&mut self, node: Node<'t>, left: Node<'t>, right: Node<'t>) {
        if self.value(right).is_environ() {
            for way in self.each_way(node, &[left, right], Hides::Variables) {
                let name = self.at(left, &way);
                self.read(node, &Asked::named(name), &way);
            }
        }
    }

    /// `putenv(name, value)` or `environ.update(…)`.
    fn writes(&mut self, node: Node<'t>, args: &[Node<'t>]) {
        if args.len() == 2 && node.callee_name() != "update" {
            return self.write(node, args[0], Some(args[1]));
        }
        let all = self.args(node, &Ctx::default());
        let named = all
            .named
            .iter()
            .map(|(name, value)| (Val::Str(name.clone(), None), value));
        let mut pairs: Vec<_> = named.map(|(name, value)| (name, value.clone())).collect();
        match all.positional.first() {
            Some(Val::Dict(more)) => pairs.extend(more.iter().cloned()),
            Some(other) => {
                let names = other.elements().unwrap_or_else(|| vec![Val::Unknown]);
                pairs.extend(names.into_iter().map(|name| (name, Val::Unknown)));
            }
            None => {}
        }
        for (name, value) in &pairs {
            self.assigns(node, name, value);
        }
        let names: Vec<_> = pairs.into_iter().map(|(name, _)| name).collect();
        self.sets(node, &names);
    }

    /// Notes what is set, all at once.
    fn sets(&mut self, node: Node<'t>, names: &[Val<'t>]) {
        if names.is_empty() || names.iter().any(|name| name.as_str().is_none()) {
            self.variables(node, "which variables are set here is computed");
        }
        let place = self.place(node);
        let names = names.iter().filter_map(Val::as_str);
        self.facts
            .set
            .extend(names.map(|name| (name.to_owned(), place.clone())));
    }

    /// Notes a variable that code which runs sets to a fixed value, whatever is set outside.
    fn assigns(&mut self, node: Node<'t>, name: &Val<'t>, value: &Val<'t>) {
        let mut around = node
            .ancestors()
            .take_while(|above| !matches!(above.kind(), "module" | "function_definition"));
        let depends = around.any(|above| {
            above.kind() == "if_statement" && !above.text_of("condition").contains("__name__")
        });
        if let (Val::Str(name, _), Val::Str(value, _)) = (name, value)
            && (!depends || crate::is_inherited(name))
            && self.program.runs(node)
        {
            let place = self.place(node);
            self.facts
                .assigned
                .push((name.to_string(), value.to_string(), place));
        }
    }

    fn write(&mut self, node: Node<'t>, key: Node<'t>, value: Option<Node<'t>>) {
        for way in self.each_way(node, &[key], Hides::Variables) {
            let key = self.at(key, &way);
            for name in key.each() {
                match name {
                    Val::Str(text, _) => {
                        let fixed = value.map_or(Val::Unknown, |value| self.value(value));
                        self.assigns(node, name, &fixed);
                        let place = self.place(node);
                        self.facts.set.push((text.to_string(), place));
                        self.written
                            .push((text.clone(), node, value.unwrap_or(node)));
                    }
                    Val::Input(_) => self.not_read(
                        node,
                        "the job's input sets variables of the environment",
                        &[Hides::JobInput, Hides::Variables],
                    ),
                    _ => self.variables(node, "the name of the variable that is set is computed"),
                }
            }
        }
    }

    /// A class of pydantic-settings: each field is a variable.
    pub fn settings_class(&mut self, class: Node<'t>) {
        let family = self.family(class);
        let bases = family.iter().filter_map(|own| own.field("superclasses"));
        let bases: Vec<_> = bases.flat_map(Node::children).collect();
        let is_settings = bases.into_iter().any(|base| {
            base.text().ends_with("BaseSettings")
                || self.value(base).path().ends_with("BaseSettings")
        });
        if !is_settings {
            return;
        }
        let bodies = family.iter().map(|own| own.text_of("body"));
        let config = bodies.collect::<Vec<_>>().join("\n");
        let prefix = config.split_once("env_prefix");
        let prefix = prefix.and_then(|(_, rest)| rest.split(['"', '\'']).nth(1));
        let own = ["settings_customise_sources", "env_nested_delimiter"];
        if own.iter().any(|word| config.contains(word)) || family.len() > 40 {
            self.variables(class, "these settings are read in a way of their own");
        }
        for (name, value, kind) in self.fields(class) {
            if name == "model_config"
                || kind.starts_with("ClassVar")
                || kind.is_empty() && value.is_none()
            {
                continue;
            }
            let field = self.field(value);
            let own = format!("{}{name}", prefix.unwrap_or_default()).to_uppercase();
            let names = field.aliases.unwrap_or_else(|| vec![own]);
            let kind = kind.split(['|', '[']).next().unwrap_or_default().trim();
            let interpreted = matches!(kind, "int" | "float" | "bool").then(|| kind.to_owned());
            let default = field.default.filter(|text| !text.is_empty());
            let place = self.place(value.unwrap_or(class));
            let reached = self.program.runs(class);
            for name in names {
                self.facts.env.push(EnvRead {
                    required: field.needed,
                    interpreted: interpreted.clone(),
                    reached,
                    ..EnvRead::new(name, default.clone(), place.clone())
                });
            }
        }
    }

    /// `envvar="A"` of click and typer.
    pub fn envvar(&mut self, node: Node<'t>) {
        let Some(value) = node.field("value") else {
            return;
        };
        match node.text_of("name") {
            "auto_envvar_prefix" => {
                self.variables(node, "click makes the names of these variables");
            }
            "envvar" => {
                let call = node.above("call");
                let default = call.and_then(|call| call.keyword("default"));
                let default = default.map(|node| self.value(node));
                let names = self.value(value);
                for name in names.elements().unwrap_or_else(|| vec![names.clone()]) {
                    let default = default.clone();
                    self.read(
                        value,
                        &Asked {
                            default,
                            ..Asked::named(name)
                        },
                        &Ctx::default(),
                    );
                }
            }
            _ => {}
        }
    }

    /// A library that reads the environment in its own way.
    pub fn foreign_import(&mut self, node: Node<'t>) {
        let module = node.field("module_name").map(Node::text);
        let names = node
            .fields("name")
            .map(|name| name.field("name").unwrap_or(name).text());
        let mut all = module.into_iter().chain(names.filter(|_| module.is_none()));
        if all.any(|name| is_among(FOREIGN, name.split('.').next().unwrap_or(name))) {
            self.variables(node, "this library reads the environment in its own way");
        }
    }

    /// Text that names variables: `${oc.env:A,d}`, or the environment itself by name.
    pub fn environment_string(&mut self, node: Node<'t>) {
        self.omega_text(node, node.text());
        match node.bare() {
            "envvar" => self.variables(
                node,
                "a command line option reads a variable in a way that was not followed",
            ),
            "environ" | "environb" | "getenv"
                if node
                    .above("call")
                    .is_none_or(|call| call.callee_name() != "getattr") =>
            {
                self.variables(node, "the environment is come by through its name");
            }
            _ => {}
        }
    }

    fn omega_text(&mut self, node: Node<'t>, text: &str) {
        for part in text.split("oc.env:").skip(1) {
            let end = part.find('}').unwrap_or(part.len());
            let (name, default) = part[..end].split_once(',').unwrap_or((&part[..end], ""));
            let default = Some(default.trim().to_owned()).filter(|text| !text.is_empty());
            self.plain_read(node, name.trim(), default);
        }
    }

    /// Notes a read of which no more is known.
    pub fn plain_read(&mut self, node: Node<'t>, name: &str, default: Option<String>) {
        let reached = self.program.runs(node);
        let place = self.place(node);
        self.facts.env.push(EnvRead {
            reached,
            ..EnvRead::new(name, default, place)
        });
    }

    fn omega(&mut self, node: Node<'t>, path: Option<Node<'t>>) {
        let path = path.map_or(Val::Unknown, |path| self.value(path));
        match path.as_str().and_then(|path| self.data_file(path)) {
            Some(source) => self.omega_text(node, &source.text),
            None if matches!(path, Val::Dict(_)) => {}
            None => self.variables(node, "OmegaConf may read variables in what it loads"),
        }
    }

    fn executed(&mut self, node: Node<'t>, code: Option<Node<'t>>) {
        let text = code.map_or(Val::Unknown, |code| self.value(code));
        let words = ["environ", "getenv", "sglang", "input"];
        if text
            .as_str()
            .is_none_or(|text| words.iter().any(|word| text.contains(word)))
        {
            let hides = [Hides::Variables, Hides::Flags, Hides::JobInput];
            self.not_read(node, "the program runs text as code", &hides);
        }
    }

    /// The variables that a text names as a shell does.
    pub fn shell_reads(&mut self, node: Node<'t>, text: &Val<'t>) {
        if matches!(text, Val::Unknown | Val::Ext(_) | Val::Lost) {
            return self.variables(node, "the text whose variables are filled in is computed");
        }
        let texts = text
            .pieces()
            .iter()
            .map(|part| part.as_str().unwrap_or("x"));
        for variable in crate::shell::parse(&texts.collect::<String>()).reads {
            self.plain_read(node, &variable.name, variable.default);
        }
    }

    /// The environment as a whole has to be followed wherever it goes.
    pub fn whole_environment(&mut self, node: Node<'t>) {
        let Some(parent) = node.parent() else { return };
        let mentioned = matches!(node.text(), "environ" | "environb" | "getenv");
        if node.part() == "attribute" {
            // `x.environ` where `x` is nothing known.
            let is_known = |value: &Val<'t>| match value {
                Val::Environ(_) | Val::Func(..) => true,
                Val::Ext(path) => path.starts_with("os.getenv"),
                Val::Method(object, _) => object.is_environ(),
                _ => false,
            };
            if mentioned && !self.value(parent).may_be(is_known) {
                self.variables(parent, "this mention of the environment is not understood");
            }
            return;
        }
        if is_target(node, parent) {
            return;
        }
        let value = self.value(node);
        let is_whole = value.is_environ();
        let function = matches!(value.path(), "os.getenv" | "os.getenvb");
        if !is_whole && !function {
            return;
        }
        let mut inner = node;
        let mut outer = parent;
        while outer.kind() == "parenthesized_expression" {
            inner = outer;
            let Some(next) = outer.parent() else { return };
            outer = next;
        }
        match outer.kind() {
            "attribute" => {
                let method = outer.text_of("attribute");
                let own = [
                    "copy",
                    "update",
                    "__setitem__",
                    "__delitem__",
                    "clear",
                    "__len__",
                ];
                if matches!(method, "items" | "keys" | "values" | "__iter__") {
                    self.scanned(outer);
                } else if !is_among(READING, method) && !own.contains(&method) {
                    let what = "what is done with the whole environment is not understood";
                    self.variables(outer, what);
                }
            }
            "for_statement" | "for_in_clause" if is_whole => self.scanned(inner),
            "argument_list" | "keyword_argument" => {
                self.environment_argument(inner, outer, is_whole);
            }
            "dictionary_splat" if is_whole => {
                if let Some(list) = outer.parent().filter(|list| list.kind() == "argument_list") {
                    self.environment_argument(outer, list, is_whole);
                }
            }
            "list" | "tuple" | "interpolation" | "list_splat" | "binary_operator"
                if is_whole && !outer.text_of("operator").starts_with('|') =>
            {
                let what = "the whole environment goes somewhere that was not followed";
                self.variables(outer, what);
            }
            _ => {}
        }
    }

    fn environment_argument(&mut self, node: Node<'t>, outer: Node<'t>, is_whole: bool) {
        let call = match outer.kind() {
            "keyword_argument" => outer.above("call"),
            _ => outer.parent(),
        };
        let Some(function) = call.and_then(|call| call.field("function")) else {
            return;
        };
        let callee = self.value(function);
        let own =
            callee.may_be(|one| matches!(one, Val::Func(..) | Val::Class(_) | Val::Partial(..)));
        let child = outer.kind() == "keyword_argument"
            && matches!(outer.text_of("name"), "env" | "environ" | "default_factory");
        let name = function.text().rsplit('.').next().unwrap_or_default();
        if own || is_among(HARMLESS, name) || child && is_whole || super::command::starts(&callee) {
            return;
        }
        self.variables(
            node,
            &format!("the environment goes into `{}`", function.text()),
        );
    }

    /// A loop over the whole environment: what it looks for is known by how the names begin, or by
    /// the names that it is held against.
    fn scanned(&mut self, node: Node<'t>) {
        let mut above = node.ancestors();
        let owner = above.find(|node| matches!(node.kind(), "for_statement" | "for_in_clause"));
        let scope = owner.and_then(|owner| match owner.kind() {
            "for_in_clause" => owner.parent(),
            _ => Some(owner),
        });
        let (Some(owner), Some(scope)) = (owner, scope) else {
            return self.variables(node, "the whole environment is listed");
        };
        let left = owner.field("left");
        let key = left.map_or("", |left| left.child(0).unwrap_or(left).text());
        // A copy: what is read of it is followed.
        let pair = scope.field("body").filter(|body| body.kind() == "pair");
        if pair.is_some_and(|pair| pair.text_of("key") == key)
            && left.is_some_and(|l| l.child(0).is_some())
        {
            return;
        }
        let mut names: Vec<Val<'t>> = Vec::new();
        for inner in scope.below() {
            if inner.kind() == "call" && inner.text_of("function") == format!("{key}.startswith") {
                let begin = inner
                    .values()
                    .first()
                    .map_or(Val::Unknown, |node| self.value(*node));
                let each = begin.elements().unwrap_or_else(|| begin.each().to_vec());
                names.extend(each.iter().map(|one| one.join(&Val::text("*"))));
            } else if inner.kind() == "comparison_operator"
                && let Some((left, right)) = inner.child(0).zip(inner.child(1))
                && left.text() == key
            {
                let value = self.value(right);
                names.extend(value.elements().unwrap_or_else(|| value.each().to_vec()));
            }
        }
        if names.is_empty() {
            names.push(Val::Unknown);
        }
        for name in names {
            self.read(node, &Asked::named(name), &Ctx::default());
        }
    }

    /// Notes a read of each variable that is asked for.
    fn read(&mut self, node: Node<'t>, asked: &Asked<'t>, way: &Ctx<'t>) {
        for name in asked.name.each() {
            match name {
                // A name from a file may have its line's end.
                Val::Str(text, at) if !text.contains(['\n', '=']) => {
                    self.read_one(node, (&text.clone(), at.unwrap_or(node)), asked, way);
                }
                Val::Never => {}
                Val::Input(_) => {
                    self.variables(node, "the job's input names the variable that is read");
                }
                _ => self.variables(node, COMPUTED_NAME),
            }
        }
    }

    fn read_one(
        &mut self,
        node: Node<'t>,
        (name, at): (&Rc<str>, Node<'t>),
        asked: &Asked<'t>,
        way: &Ctx<'t>,
    ) {
        if self.facts.env.len() > self.limit / 100 {
            return;
        }
        let usage = self.usage(node, asked, way);
        let place = self.place(at);
        let mut read = EnvRead {
            required: asked.required && usage.defaults.is_empty() && !Self::guarded(node, name),
            reached: self.program.runs(node),
            ..EnvRead::new(&**name, None, place)
        };
        let is_set = |value: &Val<'_>| {
            !matches!(value, Val::None) && value.as_str().is_none_or(|text| !text.is_empty())
        };
        let written = node
            .keyword("default")
            .or_else(|| node.values().get(1).copied());
        let given = asked.default.clone().filter(is_set);
        let given = given.map(|value| (value, written.unwrap_or(node)));
        let mut found: Vec<String> = Vec::new();
        for (value, at) in given.iter().chain(&usage.defaults) {
            self.add_default(value, *at, &mut read, &mut found);
        }
        read.fallbacks.retain(|own| **own != **name);
        read.default = found.into_iter().next();
        read.interpreted = usage.interpreted();
        if let Some(fixed) = self.overwritten(name, node) {
            read.interpreted = Some(format!("always {fixed}"));
        }
        self.facts.env.push(read);
    }
}

/// Whether a name stands where it gets a value, and gives none.
fn is_target(node: Node<'_>, parent: Node<'_>) -> bool {
    const BINDING: &str = "parameters pattern_list dotted_name aliased_import lambda_parameters keyword_argument \
    typed_parameter for_statement for_in_clause";
    let set = matches!(
        parent.kind(),
        "assignment" | "augmented_assignment" | "named_expression"
    );
    set && matches!(node.part(), "left" | "name")
        || is_among(BINDING, parent.kind()) && !matches!(node.part(), "value" | "right")
        || matches!(node.part(), "name" | "alias" | "attribute")
        || parent.kind() == "type"
}
