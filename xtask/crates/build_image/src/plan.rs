//! The arguments for docker, by the command line and the bake file. A build runs what `--print`
//! shows.

use std::path::Path;

use serde_json::{Map, Value};

use super::token;
use worker_files::is_one_of;
use xtask_core::output::quoted;

/// The tag where none is given.
pub const TAG: &str = "worker-sglang:dev";

/// The default platform; `RunPod` has no other machines.
const PLATFORM: &str = "linux/amd64";

/// The settings of a bake target that `docker build` gets, or that only bake needs.
const SUPPORTED: &str = "args context dockerfile labels platforms secret tags target";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildPlan {
    pub tag: String,
    pub dockerfile: String,
    /// The bake file's target for the Dockerfile, with its name.
    pub target: Option<(String, Map<String, Value>)>,
    /// The base image of the command line; it overrides the bake file's.
    pub base_image: Option<String>,
    pub labels: Vec<(String, String)>,
    pub secret: bool,
    pub extra: Vec<String>,
}

impl BuildPlan {
    /// The options among the arguments for docker, each with its value: after its `=`, or the next
    /// word.
    fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        let next = self.extra.iter().skip(1).map(String::as_str).chain([""]);
        let words = self.extra.iter().map(String::as_str).zip(next);
        let options = words.filter(|(word, _)| word.starts_with('-'));
        options.map(|(word, next)| match word.split_once('=') {
            Some(pair) if word.starts_with("--") => pair,
            _ => (word, next),
        })
    }

    /// The build arguments of the command line. One without a value comes from the environment.
    pub fn typed_arguments(&self) -> Vec<(&str, Option<&str>)> {
        let base_image = self.base_image.iter();
        let base_image = base_image.map(|image| ("BASE_IMAGE", Some(&**image)));
        let options = self.options();
        let options = options.filter(|(option, _)| *option == "--build-arg");
        let arguments = options.map(|(_, argument)| match argument.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (argument, None),
        });
        base_image.chain(arguments).collect()
    }

    /// The effective build arguments of the bake file and the command line.
    pub fn arguments(&self) -> Map<String, Value> {
        let mut all = self.table("args");
        let typed = self.typed_arguments().into_iter();
        all.extend(typed.filter_map(|(name, value)| Some((name.to_owned(), value?.into()))));
        all
    }

    fn setting(&self, name: &str) -> Option<&Value> {
        self.target.as_ref()?.1.get(name)
    }

    fn list(&self, setting: &str) -> impl Iterator<Item = &Value> {
        let all = self.setting(setting).and_then(Value::as_array);
        all.into_iter().flatten()
    }

    fn table(&self, setting: &str) -> Map<String, Value> {
        let table = self.setting(setting).and_then(Value::as_object);
        table.cloned().unwrap_or_default()
    }

    /// The settings of the bake file's target that `docker build` does not get.
    pub fn unsupported(&self) -> Vec<&str> {
        let settings = self.target.iter().flat_map(|(_, settings)| settings.keys());
        let mut left: Vec<&str> = settings.map(String::as_str).collect();
        left.retain(|key| !is_one_of(SUPPORTED, key));
        if self.list("secret").any(|it| it["id"] != token::NAME) {
            left.push("secret");
        }
        left
    }

    /// The arguments of docker, each option with its value.
    pub fn call(&self) -> Vec<Vec<String>> {
        let mut call = vec![vec!["build".to_owned()]];
        let mut add = |option: &str, value: String| call.push(vec![option.to_owned(), value]);
        add("--file", self.dockerfile.clone());
        add("--tag", self.tag.clone());
        if !self.options().any(|(option, _)| option == "--platform") {
            let platforms: Vec<&str> = self.list("platforms").filter_map(Value::as_str).collect();
            let platforms = Some(platforms.join(",")).filter(|all| !all.is_empty());
            add("--platform", platforms.unwrap_or_else(|| PLATFORM.into()));
        }
        if let Some(stage) = self.setting("target").and_then(Value::as_str) {
            add("--target", stage.to_owned());
        }
        let pair = |(name, value): (&String, &Value)| Some(format!("{name}={}", value.as_str()?));
        let mut arguments = self.table("args");
        if let Some(image) = &self.base_image {
            arguments.insert("BASE_IMAGE".to_owned(), image.clone().into());
        }
        for argument in arguments.iter().filter_map(pair) {
            add("--build-arg", argument);
        }
        for label in self.table("labels").iter().filter_map(pair) {
            add("--label", label);
        }
        for (name, value) in &self.labels {
            add("--label", format!("{name}={value}"));
        }
        if self.secret {
            add("--secret", format!("id={0},env={0}", token::NAME));
        }
        // The last value of an option wins.
        call.extend([self.extra.clone(), vec![".".to_owned()]]);
        call.retain(|words| !words.is_empty());
        call
    }
}

/// A call as shell text, one option per line, with the folder where it has to run.
pub fn shell(program: &Path, call: &[Vec<String>], folder: &Path) -> String {
    let line = |words: &Vec<String>| {
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        words.join(" ")
    };
    let lines: Vec<String> = call.iter().map(line).collect();
    format!(
        "cd {} &&\nDOCKER_BUILDKIT=1 {} {}",
        quoted(&folder.to_string_lossy()),
        quoted(&program.to_string_lossy()),
        lines.join(" \\\n  ")
    )
}

#[cfg(test)]
mod tests;
