//! docker-bake.hcl as `docker buildx bake` sees it: variables have values, targets what they
//! inherit. What is not understood (a function, a condition) is reported and left out.

use hcl_edit::Span;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Attribute, Block, Body};
use hcl_edit::template::Element;
use serde_json::{Map, Value};

use crate::Source;

/// So deep may one definition lead to another.
const DEEPEST: usize = 20;

pub type Settings = Map<String, Value>;
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The texts of a list.
pub fn texts<'a>(settings: &'a Settings, key: &str) -> impl Iterator<Item = &'a str> {
    let all = settings.get(key).and_then(Value::as_array);
    all.into_iter().flatten().filter_map(Value::as_str)
}

/// A target's settings with bake's defaults, written as `bake --print` does.
fn with_defaults(mut settings: Settings) -> Settings {
    settings.remove("inherits");
    for (key, value) in [("context", "."), ("dockerfile", "Dockerfile")] {
        settings.entry(key).or_insert_with(|| value.into());
    }
    for key in ["args", "labels"] {
        if let Some(Value::Object(pairs)) = settings.get_mut(key) {
            pairs.retain(|_, value| !value.is_null());
            pairs.sort_keys();
            for value in pairs.values_mut() {
                if let Ok(text) = word(value.clone()) {
                    *value = text.into();
                }
            }
        }
    }
    let field = |text: &str| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.trim().to_owned(), Value::from(value))
    };
    for key in ["secret", "ssh"] {
        let items = settings.get_mut(key).and_then(Value::as_array_mut);
        for item in items.into_iter().flatten() {
            if let Some(text) = item.as_str() {
                // `id=A,env=B` as an object.
                *item = text.split(',').map(field).collect();
            }
        }
    }
    settings
}

pub struct File<'a> {
    pub source: &'a Source,
    pub body: &'a Body,
    pub environment: Environment<'a>,
}

impl File<'_> {
    pub fn target(&self, block: &Block, unresolved: &mut Vec<String>) -> Settings {
        with_defaults(self.inherited(block, unresolved, 0))
    }

    /// A target with what it inherits: of arguments and labels each, of all else the nearest.
    fn inherited(&self, block: &Block, unresolved: &mut Vec<String>, depth: usize) -> Settings {
        let settings = self.settings(block, unresolved);
        let mut all = Map::new();
        for base in texts(&settings, "inherits") {
            let mut blocks = self.body.get_blocks("target");
            if let Some(base) = blocks.find(|block| block.has_labels(&[base]))
                && depth < DEEPEST
            {
                merge(&mut all, self.inherited(base, unresolved, depth + 1));
            }
        }
        merge(&mut all, settings);
        all
    }

    /// The settings of a block that can be resolved.
    pub fn settings(&self, block: &Block, unresolved: &mut Vec<String>) -> Settings {
        let resolve = |item: &Attribute| {
            let key = item.key.as_str();
            let value = self.value(&item.value, 0).map_err(|what| {
                let place = self.source.place(item.value.span().unwrap_or_default());
                unresolved.push(format!("line {}: `{key}`: {what}", place.line));
            });
            Some((key.to_owned(), value.ok()?))
        };
        block.body.attributes().filter_map(resolve).collect()
    }

    fn variable(&self, name: &str, depth: usize) -> Result<Value, String> {
        let mut blocks = self.body.get_blocks("variable");
        let Some(block) = blocks.find(|block| block.has_labels(&[name])) else {
            return Err(format!("there is no variable `{name}`"));
        };
        let default = block.body.get_attribute("default");
        let default = default.map(|attribute| self.value(&attribute.value, depth));
        let default = default.transpose()?.filter(|value| !value.is_null());
        let default = default.unwrap_or_else(|| "".into());
        let Some(given) = (self.environment)(name) else {
            return Ok(default);
        };
        // A value of the environment has the type of the default.
        match default {
            Value::Bool(_) => given.parse().map(Value::Bool).ok(),
            Value::Number(_) => given.parse().map(Value::Number).ok(),
            Value::Array(_) | Value::Object(_) => None,
            Value::Null | Value::String(_) => Some(given.clone().into()),
        }
        .ok_or_else(|| format!("`{name}` is `{given}` in the environment, unlike its default"))
    }

    fn value(&self, expression: &Expression, depth: usize) -> Result<Value, String> {
        if depth > DEEPEST {
            return Err("variables that lead to themselves".to_owned());
        }
        let inside = |expression: &Expression| self.value(expression, depth + 1);
        Ok(match expression {
            Expression::Null(_) => Value::Null,
            Expression::Bool(value) => Value::Bool(*value.value()),
            Expression::Number(number) => {
                let number = number.value().to_string().parse();
                Value::Number(number.map_err(|_| "a number that is none".to_owned())?)
            }
            Expression::String(text) => Value::String(text.as_str().to_owned()),
            Expression::Parenthesis(inner) => inside(inner.inner())?,
            Expression::Variable(name) => self.variable(name.as_str(), depth + 1)?,
            Expression::StringTemplate(template) => {
                let mut text = String::new();
                for element in template {
                    match element {
                        Element::Literal(literal) => text.push_str(literal),
                        Element::Interpolation(part) => text.push_str(&word(inside(&part.expr)?)?),
                        Element::Directive(_) => return Err("a template directive".to_owned()),
                    }
                }
                Value::String(text)
            }
            Expression::Array(items) => {
                Value::Array(items.iter().map(inside).collect::<Result<_, _>>()?)
            }
            Expression::Object(pairs) => {
                let mut object = Map::new();
                for (key, value) in pairs {
                    let key = match (key.as_ident(), key.as_expr()) {
                        (Some(ident), _) => ident.as_str().to_owned(),
                        (None, Some(expression)) => word(inside(expression)?)?,
                        (None, None) => return Err("a key that is no word".to_owned()),
                    };
                    object.insert(key, inside(value.expr())?);
                }
                Value::Object(object)
            }
            Expression::FuncCall(call) => {
                let name = call.name.name.as_str();
                return Err(format!("the function `{name}`, which only docker resolves"));
            }
            _ => return Err("an expression that only docker resolves".to_owned()),
        })
    }
}

fn word(value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err("a list, an object or nothing inside a text".to_owned()),
    }
}

fn merge(into: &mut Settings, over: Settings) {
    for (key, value) in over {
        match (key.as_str(), into.get_mut(&key), value) {
            ("args" | "labels", Some(Value::Object(below)), Value::Object(above)) => {
                below.extend(above);
            }
            (_, _, value) => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bake::{Bake, FILE, read};

    fn resolved(text: &str, environment: &[(&str, &str)]) -> Bake {
        let source = Source::new(FILE.into(), text.as_bytes());
        let of = |name: &str| {
            let mut all = environment.iter();
            all.find(|(key, _)| *key == name)
                .map(|(_, v)| (*v).to_owned())
        };
        read(&source, &of).unwrap().split().0
    }

    /// What `docker buildx bake --print` (v0.30) says of the same file and environment.
    #[test]
    fn a_file_is_resolved_as_bake_resolves_it() {
        let text = r#"
variable "NAME" { default = "worker" }
variable "TAG" {}
variable "FAST" { default = false }
variable "FULL" { default = "${NAME}:${TAG}" }
group "default" { targets = ["worker"] }
target "base" {
  args = { A = "base", B = "base", GONE = null }
  platforms = ["linux/amd64"]
}
target "worker" {
  inherits = ["base"]
  args = { B = NAME, C = FAST }
  tags = [FULL, "x/${NAME}"]
  secret = ["id=HF_TOKEN,env=HF_TOKEN"]
}
"#;
        let said = resolved(text, &[("TAG", "v1"), ("FAST", "true")]);
        assert_eq!(said.unresolved, [""; 0]);
        let target = said.default_target().unwrap();
        assert_eq!(target.name, "worker");
        assert_eq!(
            Value::Object(target.resolved.clone()),
            serde_json::json!({
                "context": ".",
                "dockerfile": "Dockerfile",
                "args": { "A": "base", "B": "worker", "C": "true" },
                "tags": ["worker:v1", "x/worker"],
                "secret": [{ "id": "HF_TOKEN", "env": "HF_TOKEN" }],
                "platforms": ["linux/amd64"],
            })
        );
    }

    #[test]
    fn what_only_docker_resolves_is_told_and_left_out() {
        let said = resolved(
            "variable \"A\" { default = \"${A}\" }\ntarget \"t\" {\n  args = { X = upper(\"x\") }\n  labels = { A = true ? 1 : 2 }\n  tags = [A]\n  context = \".\"\n  target = NONE\n}\n",
            &[],
        );
        assert_eq!(
            said.unresolved,
            [
                "line 3: `args`: the function `upper`, which only docker resolves",
                "line 4: `labels`: an expression that only docker resolves",
                "line 5: `tags`: variables that lead to themselves",
                "line 7: `target`: there is no variable `NONE`",
            ]
        );
        let target = said.default_target().unwrap();
        assert!(!target.resolved.contains_key("args"));
    }

    #[test]
    fn a_variable_keeps_the_kind_of_its_default() {
        let text = "variable \"N\" { default = 3 }\ntarget \"t\" { args = { N = N } }\n";
        assert_eq!(
            resolved(text, &[("N", "4")]).targets[0].resolved["args"]["N"],
            "4"
        );
        assert_eq!(
            resolved(text, &[("N", "four")]).unresolved,
            ["line 2: `args`: `N` is `four` in the environment, unlike its default"]
        );
    }

    #[test]
    fn one_target_is_built_or_none_is_chosen() {
        let target = |text: &str| {
            resolved(text, &[])
                .default_target()
                .map(|target| target.name.clone())
        };
        assert_eq!(target("target \"a\" {}").as_deref(), Some("a"));
        assert_eq!(target("target \"a\" {}\ntarget \"b\" {}"), None);
        assert_eq!(
            target("target \"a\" {}\ntarget \"default\" {}").as_deref(),
            Some("default")
        );
        assert_eq!(
            target(
                "group \"default\" { targets = [\"a\", \"b\"] }\ntarget \"a\" {}\ntarget \"b\" {}"
            ),
            None
        );
        assert_eq!(target(""), None);
        let broken = Source::new(FILE.into(), b"target \"a\" {\n");
        assert!(read(&broken, &|_| None).is_err());
    }

    #[test]
    fn targets_that_inherit_from_each_other_end() {
        let said = resolved(
            "target \"a\" { inherits = [\"b\"] }\ntarget \"b\" { inherits = [\"a\"] }\n",
            &[],
        );
        assert_eq!(said.targets.len(), 2);
    }
}
