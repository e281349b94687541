//! Build arguments that the new Dockerfile does not declare, in bake and compose files.

use super::{File, Form, Hit};
use crate::dockerfile::{Named, is_predefined};
use crate::{Source, bake, compose};

/// `dockerfile` is the path of the Dockerfile; builds of another one are skipped.
pub(super) fn find(file: &File, dockerfile: &str, declared: &[String]) -> Vec<Hit> {
    let passed = match file.form {
        Form::Yaml => in_compose(&file.source, dockerfile),
        Form::Hcl => in_bake(&file.source, dockerfile),
        _ => Vec::new(),
    };
    let instead = match declared {
        [] => "leave it out: the Dockerfile declares no argument".to_owned(),
        all => format!(
            "leave it out, or pass one that is declared: {}",
            all.join(", ")
        ),
    };
    let hit = |arg: Named| {
        let what = format!("the Dockerfile declares no argument `{}`", arg.name);
        (arg.place.start, what, instead.clone())
    };
    undeclared(passed, declared).map(hit).collect()
}

/// The arguments among these that the Dockerfile does not declare.
pub(super) fn undeclared(passed: Vec<Named>, declared: &[String]) -> impl Iterator<Item = Named> {
    let is_declared = |arg: &Named| declared.contains(&arg.name) || is_predefined(&arg.name);
    passed.into_iter().filter(move |arg| !is_declared(arg))
}

/// Whether a build with this context and file builds the worker's Dockerfile.
fn is_ours(context: &str, file: &str, dockerfile: &str) -> bool {
    matches!(context, "." | "./" | "") && file.trim_start_matches("./") == dockerfile
}

fn in_compose(source: &Source, ours: &str) -> Vec<Named> {
    let (services, _) = compose::read(source).split();
    let builds = services.into_iter().filter_map(|service| service.build);
    let builds = builds.filter(|build| is_ours(&build.context, &build.dockerfile, ours));
    builds.flat_map(|build| build.args).collect()
}

pub(super) fn in_bake(source: &Source, ours: &str) -> Vec<Named> {
    let read = bake::read(source, &|_| None);
    let targets = read.map(|read| read.split().0.targets).unwrap_or_default();
    let is_ours = |target: &bake::Target| {
        let text = |key: &str| target.resolved.get(key)?.as_str();
        let both = text("context").zip(text("dockerfile"));
        both.is_some_and(|(context, file)| is_ours(context, file, ours))
    };
    let targets = targets.into_iter().filter(is_ours);
    targets.flat_map(|target| target.args).collect()
}
