//! Variables that libraries read: pydantic-settings; any other library is unread.

use super::eval::Reader;
use super::models::FieldInfo;
use super::syntax::{Node, is_among};
use super::value::{Ctx, Val};
use crate::EnvRead;

/// Libraries that read the environment and are not understood.
pub const FOREIGN: &str = "dynaconf hydra omegaconf prettyconf everett confz goodconf \
    environ_config pydantic_config environs environ decouple starlette.config";

/// Arguments that name variables: of options of a command line, and of settings.
const ENVVAR: &str = "auto_envvar_prefix envvar env_var auto_env_var_prefix _env_prefix";

/// Why a mention of such a library is unread.
const OWN_WAY: &str = "this library reads the environment in its own way";

/// Whether a name belongs to such a library.
fn is_foreign(name: &str) -> bool {
    let rest = |own| name.strip_prefix(own);
    let mut all = FOREIGN.split(' ').filter_map(rest);
    all.any(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The variables that a field may be set by, the one that wins first.
fn names(field: &FieldInfo, prefix: Option<&str>, name: &str) -> Vec<String> {
    let own = || vec![format!("{}{name}", prefix.unwrap_or_default()).to_uppercase()];
    field.aliases.clone().unwrap_or_else(own)
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
            let field = self.field(value, kind);
            let all = names(&field, prefix.as_deref(), name);
            for (at, name) in all.iter().enumerate() {
                // The names of the file may be in lower case, as those of variables may.
                let cases = [name.clone(), name.to_lowercase()];
                let mut in_file = cases.iter().filter_map(|name| file.entry(&Val::text(name)));
                let in_file = in_file.next().and_then(|value| value.display());
                let read = EnvRead {
                    fallbacks: all[at + 1..].to_vec(),
                    required: field.needed && in_file.is_none(),
                    default: in_file
                        .or_else(|| field.default.clone())
                        .filter(|text| !text.is_empty()),
                    interpreted: field.limits.clone(),
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
        let prefix = self.settings_prefix(class);
        let default = value.filter(|_| !field.needed);
        let default = default.map_or(Val::None, |value| self.value(value));
        let all = names(&field, prefix.as_deref(), name).into_iter().rev();
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
        if is_among(ENVVAR, node.text_of("name")) {
            self.variables_unread(node, "this argument names the variables that are read");
        }
    }

    /// A call of such a library, or of an object of it.
    pub fn foreign_call(&mut self, node: Node<'t>, callee: &Val<'t>) {
        let is_own = |one: &Val<'t>| match one {
            Val::Ext(path) | Val::Made(path) => is_foreign(path),
            _ => false,
        };
        let is_foreign = |one: &Val<'t>| match one {
            Val::Method(object, _) => is_own(object),
            one => is_own(one),
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
        if all.any(is_foreign) {
            self.variables_unread(node, OWN_WAY);
        }
    }

    /// Text that names variables: `${oc.env:A,d}`, or the environment itself by name.
    pub fn environment_string(&mut self, node: Node<'t>) {
        match node.unquoted() {
            text if text == "envvar" || text.contains("oc.env:") => {
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
