//! The arguments for docker: a pure function of the command line and the bake file, so that
//! `--print` shows what a build would run.

use std::path::Path;

use serde_json::{Map, Value};

use super::token;
use worker_files::is_one_of;
use xtask_core::output::quoted;

/// The tag where none is given.
pub const TAG: &str = "worker-sglang:dev";

/// The default platform; `RunPod` has no other machines.
const PLATFORM: &str = "linux/amd64";

/// The settings of a bake target that `docker build` is handed, or that are meant for bake alone.
const HANDED_ON: &str = "args context dockerfile labels platforms secret tags target";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildPlan {
    pub tag: String,
    pub dockerfile: String,
    /// The bake file's target for it, by its name.
    pub target: Option<(String, Map<String, Value>)>,
    /// The base image of the command line; it overrides the bake file's.
    pub base_image: Option<String>,
    pub labels: Vec<(String, String)>,
    /// Whether there is a token to hand on.
    pub secret: bool,
    pub extra: Vec<String>,
}

impl BuildPlan {
    /// The options among the arguments for docker, each with its value: after its `=`, or the next
    /// word.
    fn options(&self) -> impl Iterator<Item = (&str, &str)> {
        let words = self.extra.iter().enumerate();
        let options = words.filter(|(_, word)| word.starts_with('-'));
        options.map(|(at, word)| match word.split_once('=') {
            Some(pair) if word.starts_with("--") => pair,
            _ => (
                word.as_str(),
                self.extra.get(at + 1).map_or("", String::as_str),
            ),
        })
    }

    /// The build arguments of the command line, without a value where the environment has it.
    pub fn typed(&self) -> Vec<(String, Option<String>)> {
        let base_image = self
            .base_image
            .iter()
            .map(|image| ("BASE_IMAGE", Some(&**image)));
        let options = self
            .options()
            .filter(|(option, _)| *option == "--build-arg");
        let arguments = options.map(|(_, argument)| match argument.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (argument, None),
        });
        let all = base_image.chain(arguments);
        all.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)))
            .collect()
    }

    /// The effective build arguments: the bake file's and the command line's, each name once.
    pub fn arguments(&self) -> Map<String, Value> {
        let mut all = self.table("args");
        let typed = self.typed().into_iter();
        all.extend(typed.filter_map(|(name, value)| Some((name, value?.into()))));
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

    /// What the bake file's target says and `docker build` is not told.
    pub fn not_handed_on(&self) -> Vec<&str> {
        let settings = self.target.iter().flat_map(|(_, settings)| settings.keys());
        let mut left: Vec<&str> = settings.map(String::as_str).collect();
        left.retain(|key| !is_one_of(HANDED_ON, key));
        if self.list("secret").any(|one| one["id"] != token::NAME) {
            left.push("secret");
        }
        left
    }

    /// The call of docker: each option with its value.
    pub fn call(&self) -> Vec<Vec<String>> {
        let mut call = vec![vec!["build".to_owned()]];
        let mut say = |option: &str, value: String| call.push(vec![option.to_owned(), value]);
        say("--file", self.dockerfile.clone());
        say("--tag", self.tag.clone());
        if !self.options().any(|(option, _)| option == "--platform") {
            let platforms: Vec<&str> = self.list("platforms").filter_map(Value::as_str).collect();
            let platforms = Some(platforms.join(",")).filter(|all| !all.is_empty());
            say(
                "--platform",
                platforms.unwrap_or_else(|| PLATFORM.to_owned()),
            );
        }
        if let Some(stage) = self.setting("target").and_then(Value::as_str) {
            say("--target", stage.to_owned());
        }
        let pair = |(name, value): (&String, &Value)| Some(format!("{name}={}", value.as_str()?));
        let mut arguments = self.table("args");
        if let Some(image) = &self.base_image {
            arguments.insert("BASE_IMAGE".to_owned(), image.clone().into());
        }
        for argument in arguments.iter().filter_map(pair) {
            say("--build-arg", argument);
        }
        for label in self.table("labels").iter().filter_map(pair) {
            say("--label", label);
        }
        for (name, value) in &self.labels {
            say("--label", format!("{name}={value}"));
        }
        if self.secret {
            say("--secret", format!("id={0},env={0}", token::NAME));
        }
        // What is said last wins.
        call.extend([self.extra.clone(), vec![".".to_owned()]]);
        call.retain(|words| !words.is_empty());
        call
    }
}

/// A call as shell text, one option per line, in the folder where it has to run.
pub fn shell(program: &Path, call: &[Vec<String>], folder: &Path) -> String {
    let quote = |words: &Vec<String>| words.iter().map(|word| quoted(word)).collect();
    let groups: Vec<Vec<String>> = call.iter().map(quote).collect();
    let groups: Vec<String> = groups.iter().map(|words| words.join(" ")).collect();
    format!(
        "cd {} &&\nDOCKER_BUILDKIT=1 {} {}",
        quoted(&folder.to_string_lossy()),
        quoted(&program.to_string_lossy()),
        groups.join(" \\\n  ")
    )
}

#[cfg(test)]
mod tests;
