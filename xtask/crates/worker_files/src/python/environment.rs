//! Every mention of the environment: a variable that is read, one that is set, or unread.

use std::collections::BTreeSet;

use super::api::normal;
use super::eval::Reader;
use super::scope::{Bound, scope_of};
use super::syntax::Node;
use super::value::{Args, Ctx, Frame, Val};
use crate::{EnvRead, Hides};

/// What a call asks the environment for.
pub struct Asked<'t> {
    pub name: Val<'t>,
    pub default: Option<Val<'t>>,
    pub required: bool,
    interpreted: Option<&'static str>,
}

const READING: [&str; 5] = ["get", "pop", "setdefault", "__getitem__", "__contains__"];
/// Modules that read the environment in ways of their own.
pub const FOREIGN: [&str; 8] = [
    "dynaconf",
    "hydra",
    "prettyconf",
    "everett",
    "confz",
    "goodconf",
    "environ_config",
    "pydantic_config",
];

/// What a call asks the environment for, if it does.
pub fn asked<'t>(callee: &Val<'t>, args: &Args<'t>) -> Option<Asked<'t>> {
    let keys = || {
        args.get(0, "key")
            .or_else(|| args.get(0, "name"))
            .or_else(|| args.get(0, "var"))
    };
    let name = || keys().cloned().unwrap_or(Val::Unknown);
    let plain = |default: Option<&Val<'t>>, required| Asked {
        name: name(),
        default: default.cloned(),
        required,
        interpreted: None,
    };
    match callee {
        Val::Ext(path)
            if matches!(
                &**path,
                "os.getenv" | "os.getenvb" | "environ.get" | "getenv"
            ) =>
        {
            Some(plain(args.get(1, "default"), false))
        }
        Val::Ext(path) if matches!(&**path, "decouple.config" | "decouple.AutoConfig") => {
            let default = args.get(1, "default");
            Some(Asked {
                interpreted: cast(args.get(2, "cast")),
                ..plain(default, default.is_none())
            })
        }
        Val::Ext(path) if &**path == "dotenv.get_key" => Some(Asked {
            name: args.get(1, "key_to_get").cloned().unwrap_or(Val::Unknown),
            default: None,
            required: false,
            interpreted: None,
        }),
        Val::Method(object, method) => match &**object {
            Val::Environ(under) if READING.contains(&&**method) => {
                let under = Val::Dict(under.clone()).entry(&name());
                let required = matches!(&**method, "__getitem__")
                    || &**method == "pop" && args.positional.len() < 2;
                Some(plain(
                    args.get(1, "default").or(under.as_ref()),
                    required && under.is_none(),
                ))
            }
            Val::Made(made) if library(made) => {
                let interpreted = match &**method {
                    "str" | "url" | "path" | "get_value" => None,
                    "int" => Some("int"),
                    "float" => Some("float"),
                    "bool" => Some("bool"),
                    "json" | "dict" => Some("json"),
                    "list" => Some("list"),
                    "prefixed" | "seal" | "dump" | "add_parser" | "parser_for" | "read_envfile"
                    | "read_env" | "export" => return None,
                    // A kind of value of its own.
                    _ => None,
                };
                let default = args.get(1, "default");
                Some(Asked {
                    interpreted,
                    ..plain(default, default.is_none())
                })
            }
            _ => None,
        },
        Val::Made(made) if library(made) => {
            let default = args.get(if made.starts_with("starlette") { 2 } else { 1 }, "default");
            Some(Asked {
                interpreted: cast(args.get(usize::MAX, "cast")),
                ..plain(default, default.is_none())
            })
        }
        Val::Partial(function, first) => {
            let mut all = (**first).clone();
            all.positional.extend(args.positional.iter().cloned());
            all.named.extend(args.named.iter().cloned());
            asked(function, &all)
        }
        _ => None,
    }
}

fn library(made: &str) -> bool {
    matches!(
        made,
        "environs.Env"
            | "environ.Env"
            | "starlette.config.Config"
            | "decouple.Config"
            | "decouple.AutoConfig"
    )
}

fn cast(how: Option<&Val<'_>>) -> Option<&'static str> {
    match how {
        Some(Val::Ext(name)) => ["int", "float", "bool"]
            .into_iter()
            .find(|own| **own == **name),
        _ => None,
    }
}

/// How a value is used.
#[derive(Default)]
struct Use<'t> {
    defaults: Vec<(Val<'t>, Node<'t>)>,
    how: BTreeSet<String>,
    /// Whether it is used as text somewhere.
    plain: bool,
    seen: Vec<Node<'t>>,
}

impl<'t> Reader<'t> {
    /// Accounts for a node, where it speaks of the environment.
    pub fn environment(&mut self, node: Node<'t>) {
        match node.kind() {
            "call" => self.environment_call(node),
            "subscript" => self.environment_item(node),
            "comparison_operator" => self.environment_test(node),
            "class_definition" => self.settings_class(node),
            "keyword_argument" => self.envvar(node),
            "augmented_assignment" => self.environment_joined(node),
            "import_statement" | "import_from_statement" => {
                let module = node.text_of("module_name");
                let names = node
                    .fields("name")
                    .map(|n| n.field("name").unwrap_or(n).text());
                let all: Vec<&str> = if module.is_empty() {
                    names.collect()
                } else {
                    vec![module]
                };
                if all
                    .iter()
                    .any(|name| FOREIGN.contains(&name.split('.').next().unwrap_or(name)))
                {
                    self.not_read(
                        node,
                        "this library reads the environment in its own way",
                        &[Hides::Variables],
                    );
                }
            }
            "string" => self.environment_string(node),
            _ => {}
        }
        if matches!(node.kind(), "identifier" | "attribute" | "call") {
            self.whole_environment(node);
        }
    }

    fn environment_call(&mut self, node: Node<'t>) {
        let Some(function) = node.field("function") else {
            return;
        };
        let callee = self.value(function);
        let args: Vec<Node<'t>> = argument_values(node);
        if let Val::Ext(path) = &callee {
            let name = path.rsplit('.').next().unwrap_or(path).to_owned();
            match name.as_str() {
                "exec" | "eval" if !path.contains('.') => {
                    return self.executed(node, args.first().copied());
                }
                "expandvars" => return self.expanded(node, args.first().copied()),
                "getattr"
                    if self.first_is_os(&args)
                        && args.get(1).is_none_or(|name| name.kind() != "string") =>
                {
                    return self.not_read(
                        node,
                        "what is taken from `os` is computed",
                        &[Hides::Variables],
                    );
                }
                "putenv" => return self.writes(node, &args),
                "unsetenv" if args.len() == 1 => return self.write(node, args[0], None),
                "load" | "create" if path.contains("OmegaConf") => {
                    return self.omega(node, args.first().copied());
                }
                _ => {}
            }
        }
        if let Val::Method(object, method) = &callee
            && matches!(**object, Val::Environ(_))
            && matches!(&**method, "update" | "__setitem__")
        {
            return self.writes(node, &args);
        }
        let joined = self.args(node, &Ctx::default());
        // What a program is started with, beside what it inherits.
        let given = joined.named.iter().find(|(name, _)| &**name == "env");
        if let Some((_, Val::Environ(more))) = given {
            let more = more.clone();
            for (name, value) in more.iter() {
                self.assigns(node, name, value);
            }
        }
        let own = |one: &Val<'t>| asked(one, &joined).is_some();
        let mapped = matches!(&callee, Val::Ext(name) if matches!(&**name, "map" | "filter"))
            && joined
                .positional
                .first()
                .is_some_and(|f| asked(f, &Args::default()).is_some());
        if mapped {
            let items = joined
                .positional
                .get(1)
                .and_then(Val::elements)
                .unwrap_or_else(|| vec![Val::Unknown]);
            for item in items {
                let asked = Asked {
                    name: item,
                    default: None,
                    required: false,
                    interpreted: None,
                };
                self.read(node, &asked, &Ctx::default());
            }
            return;
        }
        if !callee.each().iter().any(own) {
            return;
        }
        let mut of = vec![function];
        of.extend(args);
        for way in self.ways(&of, &Ctx::default()) {
            let callee = self.eval(function, &way);
            let args = self.args(node, &way);
            for one in callee.each() {
                if let Some(asked) = asked(one, &args) {
                    self.read(node, &asked, &way);
                    if matches!(one, Val::Method(_, name) if &**name == "setdefault") {
                        let place = self.place(node);
                        let names: Vec<_> =
                            asked.name.each().iter().filter_map(Val::as_str).collect();
                        self.facts.set.extend(
                            names
                                .into_iter()
                                .map(|name| (name.to_owned(), place.clone())),
                        );
                    }
                }
            }
        }
    }

    /// `os.environ |= {…}`.
    fn environment_joined(&mut self, node: Node<'t>) {
        let Some((left, right)) = node.field("left").zip(node.field("right")) else {
            return;
        };
        if matches!(self.value(left), Val::Environ(_)) {
            let names = self.value(right).elements();
            self.sets(node, names.unwrap_or_else(|| vec![Val::Unknown]));
        }
    }

    fn first_is_os(&mut self, args: &[Node<'t>]) -> bool {
        args.first()
            .is_some_and(|first| self.value(*first) == Val::Ext("os".into()))
    }

    fn environment_item(&mut self, node: Node<'t>) {
        let (Some(object), Some(key)) = (node.field("value"), node.field("subscript")) else {
            return;
        };
        let whole = self.value(object);
        if !whole
            .each()
            .iter()
            .any(|one| matches!(one, Val::Environ(_)))
        {
            return;
        }
        if let Some(parent) = node.parent()
            && (parent.kind() == "assignment" && node.part() == "left"
                || parent.kind() == "delete_statement")
        {
            return self.write(node, key, parent.field("right"));
        }
        for way in self.ways(&[object, key], &Ctx::default()) {
            let name = self.eval(key, &way);
            let whole = self.eval(object, &way);
            for one in whole.each() {
                let Val::Environ(under) = one else { continue };
                let default = Val::Dict(under.clone()).entry(&name);
                let required = default.is_none();
                self.read(
                    node,
                    &Asked {
                        name: name.clone(),
                        default,
                        required,
                        interpreted: None,
                    },
                    &way,
                );
            }
        }
    }

    fn environment_test(&mut self, node: Node<'t>) {
        let Some((left, right)) = node.child(0).zip(node.child(1)) else {
            return;
        };
        let whole = self.value(right);
        if !node.text_of("operators").contains("in")
            || !whole
                .each()
                .iter()
                .any(|one| matches!(one, Val::Environ(_)))
        {
            return;
        }
        for way in self.ways(&[left, right], &Ctx::default()) {
            let name = self.eval(left, &way);
            self.read(
                node,
                &Asked {
                    name,
                    default: None,
                    required: false,
                    interpreted: None,
                },
                &way,
            );
        }
    }

    fn writes(&mut self, node: Node<'t>, args: &[Node<'t>]) {
        let all = self.args(node, &Ctx::default());
        let mut names: Vec<Val<'t>> = all
            .named
            .iter()
            .map(|(name, _)| Val::Str(name.clone(), None))
            .collect();
        if args.len() == 2 {
            return self.write(node, args[0], Some(args[1]));
        }
        for (name, value) in &all.named {
            self.assigns(node, &Val::Str(name.clone(), None), value);
        }
        if let Some(first) = all.positional.first() {
            if let Val::Dict(pairs) = first {
                for (name, value) in pairs.iter() {
                    self.assigns(node, name, value);
                }
            }
            names.extend(first.elements().unwrap_or_else(|| vec![Val::Unknown]));
        }
        self.sets(node, names);
    }

    /// Notes what is set, all at once.
    fn sets(&mut self, node: Node<'t>, names: Vec<Val<'t>>) {
        let place = self.place(node);
        if names.is_empty() || names.iter().any(|name| name.as_str().is_none()) {
            self.not_read(
                node,
                "which variables are set here is computed",
                &[Hides::Variables],
            );
        }
        let names = names
            .iter()
            .filter_map(Val::as_str)
            .map(|name| (name.to_owned(), place.clone()));
        self.facts.set.extend(names);
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
            let fixed = (name.to_string(), value.to_string(), place);
            self.facts.assigned.push(fixed);
        }
    }

    fn write(&mut self, node: Node<'t>, key: Node<'t>, value: Option<Node<'t>>) {
        for way in self.ways(&[key], &Ctx::default()) {
            match self.eval(key, &way) {
                Val::Str(name, _) => {
                    let place = self.place(node);
                    if let Some(value) = value {
                        let value = self.value(value);
                        self.assigns(node, &Val::Str(name.clone(), None), &value);
                    }
                    self.facts.set.push((name.to_string(), place));
                    self.written.push((name, node, value.unwrap_or(node)));
                }
                Val::Input(_) => self.not_read(
                    node,
                    "the job's input sets variables of the environment",
                    &[Hides::JobInput, Hides::Variables],
                ),
                _ => self.not_read(
                    node,
                    "the name of the variable that is set is computed",
                    &[Hides::Variables],
                ),
            }
        }
    }

    /// A class of pydantic-settings: each field is a variable.
    fn settings_class(&mut self, class: Node<'t>) {
        let family = self.family(class);
        let bases: Vec<Node<'t>> = family
            .iter()
            .filter_map(|own| own.field("superclasses"))
            .flat_map(Node::children)
            .collect();
        let is_settings = bases.into_iter().any(|base| {
            base.text().ends_with("BaseSettings")
                || matches!(self.value(base), Val::Ext(path) if path.ends_with("BaseSettings"))
        });
        if !is_settings {
            return;
        }
        let config = family
            .iter()
            .filter_map(|own| own.field("body"))
            .map(Node::text)
            .collect::<Vec<_>>()
            .join("\n");
        let prefix = config
            .split_once("env_prefix")
            .and_then(|(_, rest)| rest.split(['"', '\'']).nth(1))
            .unwrap_or_default();
        if config.contains("settings_customise_sources") || config.contains("env_nested_delimiter")
        {
            self.not_read(
                class,
                "these settings are read in a way of their own",
                &[Hides::Variables],
            );
        }
        for (name, value, kind) in self.fields(class) {
            if matches!(name, "model_config")
                || kind.starts_with("ClassVar")
                || kind.is_empty() && value.is_none()
            {
                continue;
            }
            let (mut names, mut default) =
                (vec![format!("{prefix}{name}").to_uppercase()], Val::Unknown);
            let mut required = value.is_none();
            if let Some(value) = value {
                let field = value.kind() == "call" && value.text_of("function").ends_with("Field");
                default = self.value(value);
                if field {
                    let args = self.args(value, &Ctx::default());
                    let alias = ["validation_alias", "alias", "env"]
                        .iter()
                        .find_map(|key| args.get(usize::MAX, key));
                    if let Some(alias) = alias {
                        let choices = value
                            .text()
                            .split("AliasChoices(")
                            .nth(1)
                            .and_then(|rest| rest.split(')').next());
                        names = match (alias, choices) {
                            (_, Some(choices)) => choices
                                .split(',')
                                .map(|one| one.trim().trim_matches(['"', '\'']).to_owned())
                                .collect(),
                            (alias, None) => alias
                                .elements()
                                .unwrap_or_else(|| vec![alias.clone()])
                                .iter()
                                .filter_map(|a| a.as_str().map(str::to_owned))
                                .collect(),
                        };
                    }
                    let factory = args.get(usize::MAX, "default_factory").is_some();
                    required = args.get(0, "default").is_none() && !factory
                        || value.text().contains("(...");
                }
            }
            let place = self.place(value.unwrap_or(class));
            for name in names {
                let interpreted = kind
                    .split(['|', '['])
                    .next()
                    .map(str::trim)
                    .filter(|k| matches!(*k, "int" | "float" | "bool"));
                let known = default
                    .display()
                    .filter(|text| text != "None" && !text.is_empty());
                self.facts.env.push(EnvRead {
                    required,
                    interpreted: interpreted.map(str::to_owned),
                    reached: self.program.runs(class),
                    ..EnvRead::new(name, known, place.clone())
                });
            }
        }
    }

    /// `envvar="A"` of click and typer.
    fn envvar(&mut self, node: Node<'t>) {
        let Some(value) = node.field("value") else {
            return;
        };
        match node.text_of("name") {
            "auto_envvar_prefix" => self.not_read(
                node,
                "click makes the names of these variables",
                &[Hides::Variables],
            ),
            "envvar" => {
                let default = node.parent().and_then(|list| {
                    list.children()
                        .find(|other| {
                            other.kind() == "keyword_argument" && other.text_of("name") == "default"
                        })?
                        .field("value")
                });
                let default = default.map(|node| self.value(node));
                let names = self.value(value);
                for name in names.elements().unwrap_or_else(|| vec![names.clone()]) {
                    self.read(
                        value,
                        &Asked {
                            name,
                            default: default.clone(),
                            required: false,
                            interpreted: None,
                        },
                        &Ctx::default(),
                    );
                }
            }
            _ => {}
        }
    }

    /// Text that names variables: `${oc.env:A,d}`, or the environment itself by name.
    fn environment_string(&mut self, node: Node<'t>) {
        let text = node.text();
        self.omega_text(node, text);
        let word = bare(text);
        if word == "envvar" {
            let what = "a command line option reads a variable in a way that was not followed";
            self.not_read(node, what, &[Hides::Variables]);
        }
        if matches!(word, "environ" | "environb" | "getenv") {
            let known = node
                .ancestors()
                .nth(1)
                .is_some_and(|call| call.text_of("function") == "getattr");
            if !known {
                self.not_read(
                    node,
                    "the environment is come by through its name",
                    &[Hides::Variables],
                );
            }
        }
    }

    fn omega_text(&mut self, node: Node<'t>, text: &str) {
        for part in text.split("oc.env:").skip(1) {
            let end = part.find('}').unwrap_or(part.len());
            let (name, default) = part[..end].split_once(',').unwrap_or((&part[..end], ""));
            let default = Some(default.trim().to_owned()).filter(|text| !text.is_empty());
            let place = self.place(node);
            let read = EnvRead {
                reached: self.program.runs(node),
                ..EnvRead::new(name.trim(), default, place)
            };
            self.facts.env.push(read);
        }
    }

    fn omega(&mut self, node: Node<'t>, path: Option<Node<'t>>) {
        let path = path.map_or(Val::Unknown, |path| self.value(path));
        match path.as_str().and_then(|path| self.data_file(path)) {
            Some(source) => self.omega_text(node, &source.text),
            None if matches!(path, Val::Dict(_)) => {}
            None => self.not_read(
                node,
                "OmegaConf may read variables in what it loads",
                &[Hides::Variables],
            ),
        }
    }

    fn executed(&mut self, node: Node<'t>, code: Option<Node<'t>>) {
        let text = code.map_or(Val::Unknown, |code| self.value(code));
        let harmless = text.as_str().is_some_and(|text| {
            !["environ", "getenv", "sglang", "input"]
                .iter()
                .any(|word| text.contains(word))
        });
        if !harmless {
            self.not_read(
                node,
                "the program runs text as code",
                &[Hides::Variables, Hides::Flags, Hides::JobInput],
            );
        }
    }

    fn expanded(&mut self, node: Node<'t>, text: Option<Node<'t>>) {
        let Some(text) = text else { return };
        for way in self.ways(&[text], &Ctx::default()) {
            let value = self.eval(text, &way);
            self.shell_reads(node, &value);
        }
    }

    /// The variables that a text names as a shell does.
    pub fn shell_reads(&mut self, node: Node<'t>, text: &Val<'t>) {
        let parts = match text {
            Val::Pieces(parts) => parts.to_vec(),
            one => vec![one.clone()],
        };
        if matches!(text, Val::Unknown | Val::Ext(_)) {
            let what = "the text whose variables are filled in is computed";
            return self.not_read(node, what, &[Hides::Variables]);
        }
        let texts: Vec<&str> = parts
            .iter()
            .map(|part| part.as_str().unwrap_or("x"))
            .collect();
        for variable in crate::shell::parse(&texts.concat()).reads {
            let place = self.place(node);
            self.facts.env.push(EnvRead {
                reached: self.program.runs(node),
                ..EnvRead::new(variable.name, variable.default, place)
            });
        }
    }

    /// The environment as a whole has to be followed wherever it goes.
    fn whole_environment(&mut self, node: Node<'t>) {
        let mentioned = matches!(node.text(), "environ" | "environb" | "getenv");
        let Some(parent) = node.parent() else { return };
        let target = matches!(
            parent.kind(),
            "assignment" | "augmented_assignment" | "named_expression"
        ) && matches!(node.part(), "left" | "name")
            || matches!(
                parent.kind(),
                "parameters"
                    | "pattern_list"
                    | "dotted_name"
                    | "aliased_import"
                    | "lambda_parameters"
                    | "keyword_argument"
                    | "typed_parameter"
                    | "for_statement"
                    | "for_in_clause"
            ) && node.part() != "value"
                && node.part() != "right"
            || matches!(node.part(), "name" | "alias" | "attribute")
            || node.ancestors().any(|a| {
                matches!(
                    a.kind(),
                    "import_statement" | "import_from_statement" | "type"
                )
            });
        if target && !(node.kind() == "identifier" && node.part() == "attribute") {
            return;
        }
        if node.part() == "attribute" {
            // `x.environ` where `x` is nothing known.
            let is_known = |value: &Val<'t>| match value {
                Val::Environ(_) | Val::Func(..) => true,
                Val::Ext(path) => path.starts_with("os.getenv"),
                Val::Method(object, _) => matches!(**object, Val::Environ(_)),
                _ => false,
            };
            if mentioned && !self.value(parent).each().iter().any(is_known) {
                self.not_read(
                    parent,
                    "this mention of the environment is not understood",
                    &[Hides::Variables],
                );
            }
            return;
        }
        let value = self.value(node);
        let is_whole = value
            .each()
            .iter()
            .any(|one| matches!(one, Val::Environ(_)));
        let is_function =
            matches!(&value, Val::Ext(path) if matches!(&**path, "os.getenv" | "os.getenvb"));
        if !is_whole && !is_function {
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
                if matches!(method, "items" | "keys" | "values" | "__iter__") {
                    self.scanned(outer);
                } else if !READING.contains(&method)
                    && !matches!(
                        method,
                        "copy" | "update" | "__setitem__" | "__delitem__" | "clear" | "__len__"
                    )
                {
                    self.not_read(
                        outer,
                        "what is done with the whole environment is not understood",
                        &[Hides::Variables],
                    );
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
                self.not_read(
                    outer,
                    "the whole environment goes somewhere that was not followed",
                    &[Hides::Variables],
                );
            }
            _ => {}
        }
    }

    fn environment_argument(&mut self, node: Node<'t>, outer: Node<'t>, is_whole: bool) {
        const HARMLESS: [&str; 16] = [
            "dict",
            "copy",
            "deepcopy",
            "ChainMap",
            "len",
            "isinstance",
            "type",
            "bool",
            "MappingProxyType",
            "partial",
            "map",
            "filter",
            "OrderedDict",
            "cast",
            "id",
            "hash",
        ];
        let Some(call) = outer
            .ancestors()
            .find(|node| node.kind() == "call")
            .filter(|_| outer.kind() == "keyword_argument")
            .or_else(|| outer.parent())
        else {
            return;
        };
        let name = call
            .text_of("function")
            .rsplit('.')
            .next()
            .unwrap_or_default();
        let callee = call
            .field("function")
            .map_or(Val::Unknown, |f| self.value(f));
        let own = callee
            .each()
            .iter()
            .any(|one| matches!(one, Val::Func(..) | Val::Class(_) | Val::Partial(..)));
        let child = outer.kind() == "keyword_argument"
            && matches!(outer.text_of("name"), "env" | "environ" | "default_factory");
        if own || HARMLESS.contains(&name) || child && is_whole || super::command::starts(&callee) {
            return;
        }
        self.not_read(
            node,
            format!("the environment goes into `{}`", call.text_of("function")),
            &[Hides::Variables],
        );
    }

    /// A loop over the whole environment: what it looks for is known by how the names begin, or by
    /// the names that it is held against.
    fn scanned(&mut self, node: Node<'t>) {
        let owner = node
            .ancestors()
            .find(|node| matches!(node.kind(), "for_statement" | "for_in_clause"));
        let scope = owner.map(|owner| {
            if owner.kind() == "for_in_clause" {
                owner.parent().unwrap_or(owner)
            } else {
                owner
            }
        });
        let (Some(owner), Some(scope)) = (owner, scope) else {
            return self.not_read(node, "the whole environment is listed", &[Hides::Variables]);
        };
        // A copy: what is read of it is followed.
        let pair = scope.field("body").filter(|body| body.kind() == "pair");
        let first = owner.field("left").and_then(|left| left.child(0));
        if let (Some(pair), Some(first)) = (pair, first)
            && pair.text_of("key") == first.text()
        {
            return;
        }
        let mut names: Vec<Val<'t>> = Vec::new();
        let key = owner
            .field("left")
            .map_or("", |left| left.child(0).unwrap_or(left).text());
        for inner in scope.below() {
            if inner.kind() == "call" && inner.text_of("function") == format!("{key}.startswith") {
                let begin = argument_values(inner)
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
            self.read(
                node,
                &Asked {
                    name,
                    default: None,
                    required: false,
                    interpreted: None,
                },
                &Ctx::default(),
            );
        }
    }

    /// Notes a read.
    fn read(&mut self, node: Node<'t>, asked: &Asked<'t>, ctx: &Ctx<'t>) {
        let mut usage = Use::default();
        if let Some(how) = asked.interpreted {
            usage.how.insert(how.to_owned());
        }
        for name in asked.name.each() {
            // A name from a file may have its line's end.
            let text = name.as_str().map(|text| !text.contains(['\n', '=']));
            let (Val::Str(text, at), Some(true)) = (name, text) else {
                let what = if matches!(name, Val::Input(_)) {
                    "the job's input names the variable that is read"
                } else {
                    super::COMPUTED_NAME
                };
                self.not_read(node, what, &[Hides::Variables]);
                continue;
            };
            if usage.seen.is_empty() {
                self.used(node, ctx, &mut usage, false);
                // Whether it is there has no default.
                if node.kind() == "comparison_operator" {
                    usage.defaults.clear();
                }
                if asked.required {
                    self.caught(node, ctx, &mut usage);
                }
            }
            let required = asked.required && usage.defaults.is_empty() && !self.guarded(node, text);
            if self.facts.env.len() > self.limit / 100 {
                return;
            }
            let place = match at {
                Some(at) => self.place(*at),
                None => self.place(node),
            };
            let mut read = EnvRead {
                required,
                reached: self.program.runs(node),
                ..EnvRead::new(&**text, None, place)
            };
            let given = asked
                .default
                .clone()
                .map(|value| (value, default_node(node).unwrap_or(node)));
            let empty = |value: &Val<'_>| {
                matches!(value, Val::None) || value.as_str().is_some_and(str::is_empty)
            };
            let defaults = given
                .into_iter()
                .filter(|(value, _)| !empty(value))
                .chain(usage.defaults.iter().cloned());
            let mut found: Vec<String> = Vec::new();
            for (value, at) in defaults {
                self.add_default(&value, at, &mut read, &mut found);
            }
            read.fallbacks.retain(|name| **name != **text);
            read.default = found.into_iter().next();
            read.interpreted = interpreted(&usage);
            if let Some(fixed) = self.overwritten(text, node) {
                read.interpreted = Some(format!("always {fixed}"));
            }
            self.facts.env.push(read);
        }
    }

    fn add_default(
        &self,
        value: &Val<'t>,
        at: Node<'t>,
        read: &mut EnvRead,
        found: &mut Vec<String>,
    ) {
        match value {
            Val::Env(name, under) => {
                if !read.fallbacks.iter().any(|own| **own == **name) {
                    read.fallbacks.push(name.to_string());
                }
                self.add_default(under, at, read, found);
            }
            Val::Any(all) => {
                let mut texts = Vec::new();
                for one in all.iter() {
                    self.add_default(one, at, read, &mut texts);
                }
                if !texts.is_empty() {
                    found.push(texts.join(" | "));
                }
            }
            Val::None => {}
            Val::Str(text, _) if text.is_empty() => {}
            value => found.push(value.display().unwrap_or_else(|| self.computed(at))),
        }
    }

    /// A default that is not known, as it is written, with a mark of what the program makes it from:
    /// its own functions and values, and the files that it names.
    fn computed(&self, at: Node<'t>) -> String {
        const MOST: usize = 40;
        let mut todo = vec![at];
        let mut from: Vec<Node<'t>> = Vec::new();
        while let Some(node) = todo.pop() {
            let names = std::iter::once(node).chain(node.below());
            for name in names.filter(|n| n.kind() == "identifier" && n.part() != "attribute") {
                for bound in self.bound_to(name) {
                    if from.len() < MOST && bound != at && !from.contains(&bound) {
                        from.push(bound);
                        todo.push(bound);
                    }
                }
            }
        }
        let text = normal(at.text());
        let own = &self.program.files[at.file()].source.text;
        let named = |path: &String| own.contains(path.rsplit('/').next().unwrap_or(path));
        let data = self.data.iter().filter(|(path, _)| named(path));
        let data: Vec<&str> = data.map(|(_, source)| &*source.text).collect();
        if from.is_empty() {
            return text;
        }
        let parts = from.iter().map(|node| normal(node.text()));
        let all = parts.chain(data.into_iter().map(str::to_owned));
        // FNV-1a, which is the same in every version of this tool.
        let all = all.collect::<Vec<_>>().join("\n");
        let mark = all.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        format!("{text}, made in the way {:04x}", mark & 0xffff)
    }

    /// What a name is bound to in the program: values, functions, and what loops go through.
    fn bound_to(&self, name: Node<'t>) -> Vec<Node<'t>> {
        let Some((_, bindings)) = self.program.lookup(name, name.text()) else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for binding in bindings {
            match &binding.what {
                Bound::Value(node) | Bound::Function(node) | Bound::Class(node) => all.push(*node),
                Bound::Element(owner) => all.extend(owner.field("right")),
                Bound::Import(module, Some(item)) => {
                    let file = self.program.module(name.file(), module);
                    let root = file.map(|file| self.program.files[file].syntax.root());
                    let there = root.and_then(|root| self.program.bound_in(root, item));
                    all.extend(there.into_iter().flatten().filter_map(|b| match &b.what {
                        Bound::Value(node) | Bound::Function(node) | Bound::Class(node) => {
                            Some(*node)
                        }
                        _ => None,
                    }));
                }
                _ => {}
            }
        }
        all
    }

    /// What a variable is set to before it is read here, if it is.
    fn overwritten(&self, name: &str, read: Node<'t>) -> Option<String> {
        let written = self
            .written
            .iter()
            .filter(|(own, node, _)| **own == *name && node.file() == read.file());
        let mut before = written.filter(|(_, node, _)| {
            let plain = node
                .ancestors()
                .take_while(|a| !matches!(a.kind(), "module" | "function_definition"));
            let always = plain
                .into_iter()
                .all(|a| matches!(a.kind(), "assignment" | "expression_statement" | "block"));
            let scope = scope_of(*node);
            always
                && node.range().start < read.range().start
                && (scope.kind() == "module" || scope == scope_of(read))
        });
        before
            .next()
            .map(|(_, _, value)| normal(value.text()).trim_matches('"').to_owned())
    }

    /// Whether a condition around a read asks for the same variable first.
    fn guarded(&self, node: Node<'t>, name: &str) -> bool {
        let key = node
            .field("subscript")
            .or_else(|| argument_values(node).first().copied());
        let says = |condition: Option<Node<'t>>| {
            condition.is_some_and(|c| {
                let text = c.text();
                let env = ["environ", "getenv", "env"]
                    .iter()
                    .any(|word| text.contains(word))
                    || text.contains(" in ");
                env && !c.range().contains(&node.range().start)
                    && (text.contains(name) || key.is_some_and(|key| text.contains(key.text())))
            })
        };
        node.ancestors()
            .take_while(|a| a.kind() != "function_definition")
            .any(|above| match above.kind() {
                "conditional_expression" => says(above.child(1)),
                "boolean_operator" => says(above.field("left")),
                "if_statement" | "elif_clause" | "while_statement" => {
                    says(above.field("condition"))
                }
                kind if kind.ends_with("comprehension") || kind == "generator_expression" => above
                    .children()
                    .filter(|c| c.kind() == "if_clause")
                    .any(|c| says(c.child(0))),
                _ => false,
            })
    }

    /// What `except KeyError` makes of a variable that is not there.
    fn caught(&mut self, node: Node<'t>, ctx: &Ctx<'t>, usage: &mut Use<'t>) {
        let mut inner = node;
        for above in node
            .ancestors()
            .take_while(|a| a.kind() != "function_definition")
        {
            if above.kind() == "try_statement" && inner.part() == "body" {
                for clause in above.children().filter(|c| c.kind() == "except_clause") {
                    let target = node
                        .ancestors()
                        .find(|a| a.kind() == "assignment")
                        .map_or("", |a| a.text_of("left"));
                    let sets = clause.below().find(|n| {
                        n.kind() == "assignment"
                            && n.text_of("left") == target
                            && !target.is_empty()
                    });
                    let returns = || clause.below().find(|n| n.kind() == "return_statement");
                    let value = sets
                        .and_then(|n| n.field("right"))
                        .or_else(|| returns().and_then(|n| n.child(0)));
                    let raises = clause.below().any(|n| n.kind() == "raise_statement");
                    if let Some(value) = value {
                        let default = self.eval(value, ctx);
                        usage.defaults.push((default, value));
                    } else if !raises {
                        usage.defaults.push((Val::None, clause));
                    }
                }
            }
            inner = above;
        }
    }

    /// How the value of an expression is used, followed through names, calls and returns.
    fn used(&mut self, node: Node<'t>, ctx: &Ctx<'t>, usage: &mut Use<'t>, any_case: bool) {
        const MOST: usize = 24;
        if usage.seen.len() >= MOST || usage.seen.contains(&node) || self.steps > self.limit {
            return;
        }
        usage.seen.push(node);
        self.steps += 1;
        let Some(parent) = node.parent() else { return };
        match parent.kind() {
            "parenthesized_expression" | "await" => self.used(parent, ctx, usage, any_case),
            "boolean_operator" => {
                let is_left = parent.field("left") == Some(node);
                if is_left && parent.text_of("operator") == "or" {
                    if let Some(right) = parent.field("right") {
                        let default = self.eval(right, ctx);
                        usage.defaults.push((default, right));
                    }
                } else if is_left {
                    usage.how.insert("truthy".to_owned());
                    return;
                }
                self.used(parent, ctx, usage, any_case);
            }
            "conditional_expression" => {
                let branches = [parent.child(0), parent.child(2)];
                if !branches.contains(&Some(node)) {
                    usage.how.insert("truthy".to_owned());
                    return;
                }
                if let Some(other) = branches
                    .into_iter()
                    .flatten()
                    .find(|branch| *branch != node)
                {
                    let default = self.eval(other, ctx);
                    usage.defaults.push((default, other));
                }
                self.used(parent, ctx, usage, any_case);
            }
            "not_operator" => {
                usage.how.insert("not truthy".to_owned());
            }
            "if_statement" | "elif_clause" | "while_statement" | "assert_statement"
            | "if_clause" => {
                usage.how.insert("truthy".to_owned());
            }
            "comparison_operator" => self.compared(node, parent, ctx, usage, any_case),
            "match_statement" if node.part() == "subject" => {
                let words = cases(parent);
                if !words.is_empty() {
                    let case = if any_case { " any case" } else { "" };
                    usage.how.insert(format!("in {words}{case}"));
                }
            }
            "attribute" => {
                let Some(call) = parent.parent().filter(|call| call.kind() == "call") else {
                    return;
                };
                match parent.text_of("attribute") {
                    "lower" | "upper" | "casefold" => self.used(call, ctx, usage, true),
                    "strip" | "rstrip" | "lstrip" => self.used(call, ctx, usage, any_case),
                    method => {
                        usage
                            .how
                            .insert(normal(&format!("{method}{}", call.text_of("arguments"))));
                    }
                }
            }
            "argument_list" | "keyword_argument" => self.passed(node, parent, ctx, usage, any_case),
            "assignment" | "named_expression" => {
                let target = parent.field("left").or(parent.field("name"));
                if let Some(target) =
                    target.filter(|target| target.kind() == "identifier" && *target != node)
                {
                    self.used_name(target, ctx, usage, any_case);
                } else {
                    usage.plain = true;
                }
                if parent.kind() == "named_expression" {
                    self.used(parent, ctx, usage, any_case);
                }
            }
            "default_parameter" | "typed_default_parameter" => usage.plain = true,
            "return_statement" | "lambda" | "yield" => {
                let function = std::iter::once(parent)
                    .chain(parent.ancestors())
                    .find(|n| matches!(n.kind(), "function_definition" | "lambda"));
                let call = function.and_then(|function| {
                    if let Some(Frame::Call(_, call)) = ctx.frame(function) {
                        *call
                    } else {
                        let all = &self.frames.get(&function)?.all;
                        match all.as_slice() {
                            [one] => match one.frame(function) {
                                Some(Frame::Call(_, call)) => *call,
                                _ => None,
                            },
                            _ => None,
                        }
                    }
                });
                match call {
                    Some(call) => self.used(call, &Ctx::default(), usage, any_case),
                    None => usage.plain = true,
                }
            }
            "expression_statement" => {}
            _ => usage.plain = true,
        }
    }

    fn compared(
        &mut self,
        node: Node<'t>,
        parent: Node<'t>,
        ctx: &Ctx<'t>,
        usage: &mut Use<'t>,
        any_case: bool,
    ) {
        let Some(other) = parent.children().find(|child| *child != node) else {
            return;
        };
        if parent.child(0) != Some(node) && parent.text_of("operators").contains("in") {
            usage.plain = true;
            return;
        }
        let value = self.eval(other, ctx);
        let operator = parent
            .fields("operators")
            .map(Node::text)
            .collect::<Vec<_>>()
            .join(" ");
        let case = if any_case { " any case" } else { "" };
        let unset = matches!(value, Val::None) || value.as_str().is_some_and(str::is_empty);
        if unset {
            return;
        }
        let shown = match value.elements() {
            Some(mut items) if operator.ends_with("in") => {
                items.sort_by_key(Val::display);
                let words: Vec<_> = items
                    .iter()
                    .map(|item| item.display().unwrap_or_else(|| "?".to_owned()))
                    .collect();
                format!("[{}]", words.join(","))
            }
            _ => value.display().unwrap_or_else(|| normal(other.text())),
        };
        usage.how.insert(format!("{operator} {shown}{case}"));
    }

    fn passed(
        &mut self,
        node: Node<'t>,
        parent: Node<'t>,
        ctx: &Ctx<'t>,
        usage: &mut Use<'t>,
        any_case: bool,
    ) {
        let Some(call) = parent
            .ancestors()
            .find(|a| a.kind() == "call")
            .filter(|_| parent.kind() == "keyword_argument")
            .or_else(|| parent.parent())
        else {
            return;
        };
        let Some(function) = call.field("function") else {
            return;
        };
        let text = function.text();
        match text.rsplit('.').next().unwrap_or(text) {
            "int" => {
                usage.how.insert("int".to_owned());
                self.used(call, ctx, usage, any_case);
            }
            "float" => {
                usage.how.insert("float".to_owned());
                self.used(call, ctx, usage, any_case);
            }
            "loads" => {
                usage.how.insert("json".to_owned());
            }
            "bool" => {
                usage.how.insert("truthy".to_owned());
            }
            "str" => self.used(call, ctx, usage, any_case),
            _ => {
                usage.plain = true;
                let Val::Func(own, outer, bound) = self.eval(function, ctx) else {
                    return;
                };
                let args = self.args(call, ctx);
                let inner = self.bind(own, &outer, bound.as_deref(), &args, Some(call));
                let at = argument_values(call)
                    .iter()
                    .position(|a| *a == node)
                    .unwrap_or_default();
                let skip = usize::from(bound.is_some());
                let by_name = parent.kind() == "keyword_argument";
                let name = if by_name {
                    Some(parent.text_of("name"))
                } else {
                    super::scope::parameters(own)
                        .nth(at + skip)
                        .map(|(name, _, _)| name)
                };
                if let (Some(name), Some(body)) = (name, own.field("body")) {
                    usage.plain = false;
                    let refs: Vec<_> = body
                        .below()
                        .filter(|n| n.kind() == "identifier" && n.text() == name)
                        .collect();
                    self.steps += body.range().len() / 16;
                    for one in refs {
                        self.used(one, &inner, usage, any_case);
                    }
                }
            }
        }
    }

    /// How what a name holds is used, and what it is set to where it holds nothing.
    fn used_name(&mut self, target: Node<'t>, ctx: &Ctx<'t>, usage: &mut Use<'t>, any_case: bool) {
        let scope = scope_of(target);
        let name = target.text();
        let all = self
            .names
            .get(&(target.file(), name))
            .cloned()
            .unwrap_or_default();
        self.steps += all.len();
        for one in all {
            if one == target
                || scope_of(one) != scope
                    && self
                        .program
                        .lookup(one, name)
                        .is_none_or(|(own, _)| own != scope)
            {
                continue;
            }
            let parent = one.parent();
            let sets = parent.filter(|p| p.kind() == "assignment" && one.part() == "left");
            if let Some(sets) = sets {
                let condition = one
                    .ancestors()
                    .take_while(|a| *a != scope)
                    .find(|a| a.kind() == "if_statement")
                    .and_then(|a| a.field("condition"));
                let says_so = condition.is_some_and(|c| {
                    let text = c.text();
                    text.contains(&format!("{name} is None"))
                        || text.contains(&format!("not {name}"))
                        || text.contains(&format!("{name} == \"\""))
                        || text.contains(&format!("{name} == ''"))
                });
                if let (true, Some(value)) = (says_so, sets.field("right")) {
                    let default = self.eval(value, ctx);
                    usage.defaults.push((default, value));
                }
                continue;
            }
            if one.range().start < target.range().start {
                continue;
            }
            let tests_none = parent.is_some_and(|p| p.kind() == "not_operator")
                && one.ancestors().any(|a| {
                    a.kind() == "if_statement"
                        && a.field("consequence").is_some_and(|body| {
                            body.below()
                                .any(|n| n.kind() == "assignment" && n.text_of("left") == name)
                        })
                });
            if !tests_none {
                self.used(one, ctx, usage, any_case);
            }
        }
    }
}

fn interpreted(usage: &Use<'_>) -> Option<String> {
    let mut how = usage.how.clone();
    if usage.plain || how.len() > 1 {
        how.remove("truthy");
        how.remove("not truthy");
    }
    (!how.is_empty()).then(|| how.into_iter().collect::<Vec<_>>().join(", "))
}

/// A string without its quotes.
pub fn bare(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_ascii_alphabetic())
        .trim_matches(['"', '\''])
}

/// The values of a call's arguments.
pub fn argument_values(call: Node<'_>) -> Vec<Node<'_>> {
    let Some(list) = call
        .field("arguments")
        .filter(|list| list.kind() == "argument_list")
    else {
        return Vec::new();
    };
    let value = |argument: Node<'static>| argument;
    let _ = value;
    list.children()
        .filter_map(|argument| match argument.kind() {
            "keyword_argument" => argument.field("value"),
            "list_splat" | "dictionary_splat" => argument.child(0),
            _ => Some(argument),
        })
        .collect()
}

/// The words of each case that holds a value against texts: `[1,true] [auto]`.
fn cases(of: Node<'_>) -> String {
    let clauses = of.below().filter(|node| node.kind() == "case_clause");
    let each = clauses.filter_map(|clause| {
        let patterns = clause
            .children()
            .filter(|part| part.kind() == "case_pattern");
        let strings = patterns.flat_map(Node::below);
        let strings = strings.filter(|node| node.kind() == "string");
        let words: BTreeSet<&str> = strings.map(|node| bare(node.text())).collect();
        let words: Vec<&str> = words.into_iter().collect();
        (!words.is_empty()).then(|| format!("[{}]", words.join(",")))
    });
    each.collect::<Vec<_>>().join(" ")
}

/// The default that a call is given, as it is written.
fn default_node(call: Node<'_>) -> Option<Node<'_>> {
    let list = call
        .field("arguments")
        .filter(|list| list.kind() == "argument_list")?;
    let named = list
        .children()
        .find(|a| a.kind() == "keyword_argument" && a.text_of("name") == "default");
    named
        .and_then(|a| a.field("value"))
        .or_else(|| list.child(1))
}
