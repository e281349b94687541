//! Variables that libraries read: pydantic-settings; any other library is unread.

use super::eval::Reader;
use super::models::limits;
use super::syntax::{Node, is_among};
use super::value::Val;
use crate::EnvRead;

/// Libraries that read the environment and are not understood.
pub const FOREIGN: &str = "dynaconf hydra omegaconf prettyconf everett confz goodconf \
    environ_config pydantic_config environs environ decouple starlette.config";

/// Arguments of options of a command line that name variables.
const ENVVAR: &str = "auto_envvar_prefix envvar env_var auto_env_var_prefix";

/// Why a mention of such a library is unread.
const OWN_WAY: &str = "this library reads the environment in its own way";

/// Whether a name belongs to such a library.
fn is_foreign(name: &str) -> bool {
    let rest = |own| name.strip_prefix(own);
    let mut all = FOREIGN.split(' ').filter_map(rest);
    all.any(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl<'t> Reader<'t> {
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
            self.variables_unread(class, "these settings are read in a way of their own");
        }
        for (name, value, kind) in self.fields(class) {
            let is_empty = kind.is_empty() && value.is_none();
            if name == "model_config" || kind.starts_with("ClassVar") || is_empty {
                continue;
            }
            let field = self.field(value);
            let own = format!("{}{name}", prefix.unwrap_or_default()).to_uppercase();
            for name in field.aliases.unwrap_or_else(|| vec![own]) {
                let read = EnvRead {
                    default: field.default.clone().filter(|text| !text.is_empty()),
                    required: field.needed,
                    interpreted: limits(kind, value),
                    ..self.env_read(class, name, value.unwrap_or(class))
                };
                self.facts.env.push(read);
            }
        }
    }

    /// `envvar="A"` of click and typer, `env_var="A"` of configargparse.
    pub fn envvar(&mut self, node: Node<'t>) {
        if is_among(ENVVAR, node.text_of("name")) {
            self.variables_unread(node, "a command line option reads a variable here");
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
