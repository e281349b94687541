//! Variables that libraries read: pydantic-settings, click, typer, `OmegaConf`.

use super::environment::Asked;
use super::eval::Reader;
use super::models::limits;
use super::syntax::{Node, is_among};
use super::value::{Ctx, Val};
use crate::EnvRead;

/// Libraries that read the environment and are not understood.
pub const FOREIGN: &str =
    "dynaconf hydra prettyconf everett confz goodconf environ_config pydantic_config";

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
            let interpreted = limits(kind, value);
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

    /// An import of such a library is unread.
    pub fn foreign_import(&mut self, node: Node<'t>) {
        let module = node.field("module_name").map(Node::text);
        let names = node.imports().map(|(name, _)| name);
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
            "environ" | "environb" | "getenv" => {
                self.variables(node, "the environment is reached by its name");
            }
            _ => {}
        }
    }

    pub fn omega_text(&mut self, node: Node<'t>, text: &str) {
        for part in text.split("oc.env:").skip(1) {
            let end = part.find('}').unwrap_or(part.len());
            let (name, default) = part[..end].split_once(',').unwrap_or((&part[..end], ""));
            let default = Some(default.trim().to_owned()).filter(|text| !text.is_empty());
            self.plain_read(node, name.trim(), default);
        }
    }

    /// `OmegaConf.create(…)` of what is written there; anything else is loaded.
    pub fn omega(&mut self, node: Node<'t>, given: Option<Node<'t>>) {
        let is_text = given.is_some_and(|given| given.kind() == "string");
        let given = given.map_or(Val::Unknown, |given| self.value(given));
        if node.callee_name() == "load" || !is_text && !matches!(given, Val::Dict(_)) {
            self.variables(node, "OmegaConf may read variables in what it loads");
        }
    }
}
