//! Variables that libraries read: pydantic-settings; any other library is unread.

use crate::EnvRead;
use crate::python::evaluation::contexts::Ctx;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::jobs::models::FieldInfo;
use crate::python::program::node::{Node, is_among, last_part};

/// Libraries that read the environment; only some calls of the last ones are understood.
pub const FOREIGN: &str = "dynaconf hydra omegaconf everett confz goodconf environ_config \
    pydantic_config environ environs decouple starlette.config prettyconf envparse";

/// Those of which some calls are understood.
const READ: &str = "environs decouple starlette.config prettyconf envparse";

/// Their functions that read a variable, and the classes whose objects do when they are called.
const READERS: &str = "decouple.config prettyconf.config environs.env envparse.env";
const READING_CLASSES: &str =
    "environs.Env decouple.AutoConfig decouple.Config starlette.config.Config";

/// Their methods that read a variable, as a value of this type.
const TYPES: &str = "str int bool float list dict json date datetime time timedelta path url uuid decimal enum \
    log_level";

/// What else they call that reads no variable.
const NO_READ: &str = "Env AutoConfig Config RepositoryEnv RepositoryIni RepositoryEmpty Csv Choices Secret \
    CommaSeparatedStrings read_env read_envfile seal";

/// Arguments that name variables: of options of a command line, and of settings.
const ENVVAR: &str = "auto_envvar_prefix envvar env_var auto_env_var_prefix _env_prefix";

/// Why a mention of such a library is unread.
const OWN_WAY: &str = "this library reads the environment in its own way";

/// Whether a name belongs to one of these libraries.
fn is_of(libraries: &str, name: &str) -> bool {
    let rest = |own| name.strip_prefix(own);
    let mut all = libraries.split_whitespace().filter_map(rest);
    all.any(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether a library's function or object reads the variable that a call of it names, and where its
/// default stands.
pub fn reads_setting(callee: &Val<'_>) -> Option<usize> {
    let (found, path) = match callee {
        Val::Ext(path) => {
            let whole = path
                .rsplit_once('.')
                .filter(|(_, kind)| is_among(TYPES, kind));
            let is_reader = |name: &str| is_among(READERS, name);
            let found = is_reader(path) || whole.is_some_and(|(of, _)| is_reader(of));
            (found, path)
        }
        Val::Made(path) => (is_among(READING_CLASSES, path), path),
        Val::Method(object, kind) => match &**object {
            Val::Made(path) => (&**path == "environs.Env" && is_among(TYPES, kind), path),
            _ => return None,
        },
        _ => return None,
    };
    // The second one is a type.
    let default = if path.starts_with("starlette") { 2 } else { 1 };
    found.then_some(default)
}

impl<'t> Reader<'t> {
    /// A class of pydantic-settings: each field is a variable.
    pub fn settings_class(&mut self, class: Node<'t>) {
        if !self.is_settings(class) {
            return;
        }
        const OWN: [&str; 2] = ["settings_customise_sources", "env_nested_delimiter"];
        let family = self.family(class);
        let bodies = family.iter().map(|own| own.text_of("body"));
        let has_own = bodies
            .into_iter()
            .any(|body| OWN.iter().any(|word| body.contains(word)));
        let prefix = self.settings_prefix(class);
        if has_own || prefix.is_none() || family.len() > 40 {
            self.variables_unread(class, "these settings are read in a way of their own");
        }
        let file = match self.model_option(class, "env_file") {
            Val::None => Val::None,
            path => Val::Environ(self.file_settings(path.as_str())),
        };
        for (name, value, kind) in self.model_fields(class) {
            let field = self.checked_field(class, (name, value, kind));
            let all = self.setting_names(class, &field, name);
            for (at, name) in all.iter().enumerate() {
                // The names of the file may be in lower case, as those of variables may.
                let cases = [name.clone(), name.to_lowercase()];
                let mut in_file = cases
                    .iter()
                    .filter_map(|name| file.default_of(&Val::text(name)));
                let in_file = in_file.next().and_then(|value| value.display());
                let read = EnvRead {
                    fallbacks: all[at + 1..].to_vec(),
                    required: field.needed && in_file.is_none(),
                    default: in_file
                        .or_else(|| field.default.clone())
                        .filter(|text| !text.is_empty()),
                    interpreted: field.limits.clone(),
                    reached: self.program.reaches(class) && self.program.live.contains(&class),
                    ..self.env_read(class, name, value.unwrap_or(class))
                };
                self.facts.env.push(read);
            }
        }
    }

    fn is_settings(&mut self, class: Node<'t>) -> bool {
        let bases = self.family(class).into_iter();
        let mut bases = bases.flat_map(|own| own.field_children("superclasses"));
        bases.any(|base| {
            base.text().ends_with("BaseSettings")
                || self.value(base).path().ends_with("BaseSettings")
        })
    }

    /// The variables that a field may be set by, the one that wins first.
    fn setting_names(&mut self, class: Node<'t>, field: &FieldInfo, name: &str) -> Vec<String> {
        if let Some(aliases) = &field.aliases {
            return aliases.clone();
        }
        // `class Config: fields = {"model": {"env": "MODEL"}}`
        let fields = self.model_option(class, "fields").item(&Val::text(name));
        let given = fields.item(&Val::text("env")).elements_or_each();
        let given: Option<Vec<&str>> = given.iter().map(Val::as_str).collect();
        if let Some(given) = given {
            return given.into_iter().map(str::to_owned).collect();
        }
        let own = self.settings_prefix(class).unwrap_or_default() + name;
        match self.model_option(class, "case_sensitive") {
            Val::Bool(true) => vec![own],
            _ => vec![own.to_uppercase()],
        }
    }

    /// What the variables of all fields begin with, where it is known.
    fn settings_prefix(&mut self, class: Node<'t>) -> Option<String> {
        match self.model_option(class, "env_prefix") {
            Val::None => Some(String::new()),
            prefix => prefix.as_str().map(str::to_owned),
        }
    }

    /// An option of a class of pydantic; `None` where it is not given.
    pub fn model_option(&mut self, class: Node<'t>, option: &str) -> Val<'t> {
        let mut all = self.family(class);
        // `model_config = CONFIG`
        let fields = self.fields(class).into_iter();
        let config = fields.filter(|(name, ..)| *name == "model_config");
        for named in config.filter_map(|(_, value, _)| value) {
            if named.is_any("identifier attribute") {
                let made = self.definitions_of(named);
                if made.is_empty() {
                    return Val::Unknown;
                }
                all.extend(made);
            }
        }
        let given = |node: Node<'t>| {
            let [name, value] = match node.kind() {
                "keyword_argument" => ["name", "value"],
                "pair" => ["key", "value"],
                "assignment" => ["left", "right"],
                _ => return None,
            };
            let is_same = node.text_of(name).trim_matches(['"', '\'']) == option;
            node.field(value).filter(|_| is_same)
        };
        // What methods do is no option.
        let parts = |one: Node<'t>| {
            let parts = one.subtree();
            parts.filter(move |part| part.function() == one.function())
        };
        let value = all.into_iter().flat_map(parts).find_map(given);
        value.map_or(Val::None, |value| self.value(value))
    }

    /// The variable that a field of settings holds.
    pub fn setting(&mut self, class: Node<'t>, name: &str) -> Option<Val<'t>> {
        if !self.is_settings(class) {
            return None;
        }
        /// Each use of a field looks at all of them: of larger classes only the variables are read.
        const MOST_FIELDS: usize = 100;
        let fields = self.model_fields(class);
        if fields.len() > MOST_FIELDS {
            return None;
        }
        let mut fields = fields.into_iter().rev();
        let (_, value, kind) = fields.find(|(own, ..)| *own == name)?;
        if let Some(given) = self.given_setting(class, name) {
            return Some(given);
        }
        let field = self.field(value, kind);
        let default = value.filter(|_| !field.needed);
        let default = default.map_or(Val::None, |value| self.value(value));
        let all = self.setting_names(class, &field, name).into_iter().rev();
        Some(all.fold(default, |under, name| {
            self.env_value(&Val::text(&name), Some(under))
        }))
    }

    /// The argument that an object of settings is made with wins over the variable. It is known
    /// where one place alone makes the object.
    fn given_setting(&mut self, class: Node<'t>, name: &str) -> Option<Val<'t>> {
        let (scope, own) = self.program.variable(class.field("name")?)?;
        let uses = self.program.uses_of(scope, own).into_iter();
        let calls = uses.filter_map(|one| one.parent_of("call"));
        let calls: Vec<_> = calls.collect();
        let given = calls.iter().find_map(|call| call.keyword(name))?;
        if calls.len() > 1 {
            return Some(Val::Unknown);
        }
        let ask = |reader: &mut Self| reader.eval(given, &Ctx::default());
        self.once(given, |reader| reader.settled(ask))
    }

    /// `envvar="A"` of click and typer, `env_var="A"` of configargparse.
    pub fn envvar(&mut self, node: Node<'t>) {
        const OPTIONS: &str = "option argument Option Argument add add_argument";
        if !is_among(ENVVAR, node.text_of("name")) {
            return;
        }
        let call = node.call_of_arguments();
        let call = call.filter(|call| is_among(OPTIONS, call.callee_name()));
        let names = node
            .field("value")
            .map(|value| self.value(value).elements_or_each());
        let names = names.filter(|names| names.iter().all(|name| name.as_str().is_some()));
        let (Some(call), Some(names)) = (call, names) else {
            return self.variables_unread(node, "this argument names the variables that are read");
        };
        let names: Vec<String> = names.iter().filter_map(Val::display).collect();
        // `name: Annotated[str, Option(envvar="A")] = "d"`, `name: str = Option("d", envvar="A")`
        let is_parameter =
            |above: &Node<'t>| above.is_any("typed_default_parameter default_parameter");
        let parameter = call.ancestors().find(is_parameter);
        let value = parameter.and_then(|of| of.field("value"));
        let within = match value {
            Some(value) if value == call => call.argument(0),
            value => value,
        };
        let within = within.filter(|one| one.role() != "value" || value == Some(*one));
        let given = call.keyword("default").or(within);
        let default = given.filter(|given| !given.is_any("ellipsis none"));
        let needed = call.keyword("required").is_some_and(|one| one.is("true"))
            || given.is_some_and(|given| given.is("ellipsis"));
        let default = default.map(|default| self.display_or_source(default));
        for (at, name) in names.iter().enumerate() {
            let read = EnvRead {
                fallbacks: names[at + 1..].to_vec(),
                required: needed,
                default: default.clone().filter(|text| !text.is_empty()),
                ..self.env_read(node, &**name, node)
            };
            self.facts.env.push(read);
        }
    }

    /// Whether a library's names are read with a prefix: `with env.prefixed("APP_"):`.
    pub fn has_prefixed(&self) -> bool {
        let mut files = 0..self.program.files.len();
        files.any(|file| self.program.uses.contains_key(&(file, "prefixed")))
    }

    /// A call of such a library, or of an object of it.
    pub fn foreign_call(&mut self, node: Node<'t>, callee: &Val<'t>) {
        let is_own = |one: &Val<'t>, name: &str| match one {
            Val::Ext(path) | Val::Made(path) => {
                let is_plain = is_of(READ, path) && is_among(NO_READ, name);
                is_of(FOREIGN, path) && !is_plain
            }
            _ => false,
        };
        let is_foreign = |one: &Val<'t>| match one {
            one if reads_setting(one).is_some() => false,
            Val::Method(object, name) => is_own(object, name),
            one => is_own(one, last_part(one.path())),
        };
        if callee.may_be(is_foreign) {
            self.variables_unread(node, OWN_WAY);
        }
    }

    /// An import of such a library is unread.
    pub fn foreign_import(&mut self, node: Node<'t>) {
        let module = node.field("module_name").map(Node::text);
        let names = node.imports().map(|(name, _)| name);
        let mut all = module.into_iter().chain(names.filter(|_| module.is_none()));
        if all.any(|name| is_of(FOREIGN, name) && !is_of(READ, name)) {
            self.variables_unread(node, OWN_WAY);
        }
    }

    /// Text that names variables: `${oc.env:A,d}`, or the environment itself by name.
    pub fn environment_string(&mut self, node: Node<'t>) {
        match node.unquoted() {
            text if is_among(ENVVAR, text) || text.contains("oc.env:") => {
                let what = "a library reads variables in a way that was not followed";
                self.variables_unread(node, what);
            }
            "environ" | "environb" | "getenv" => {
                let call = node.ancestor("call");
                if call.is_none_or(|call| call.callee_name() != "getattr") {
                    self.variables_unread(node, "the environment is reached by its name");
                }
            }
            _ => {}
        }
    }
}
