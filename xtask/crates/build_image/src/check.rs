//! The checks before a build, of the [`BuildInputs`]. A failed check does not stop the others.

use std::collections::BTreeSet;

use anyhow::Result;

use super::labels::SourceRevision;
use super::report::{Check, CheckStatus};
use super::repository::BuildInputs;
use super::token;
use hub_lint::{Finding, Severity};
use worker_files::WorkerInterface;
use worker_files::bake;
use worker_files::dockerfile::{Image, Taken, arguments, is_predefined};
use xtask_core::output::{self, counted};
use xtask_core::tree::{Entries, RepoPath};

pub fn repository(inputs: &BuildInputs) -> Result<Vec<Check>> {
    let mut checks = Vec::new();
    match (&inputs.dockerfile, inputs.image()) {
        (Some((path, bytes)), Some((image, unread))) => {
            if let Some(gap) = unread.first() {
                let words = format!("{}: {}", gap.place, gap.what);
                checks.push(Check::failed("Dockerfile", words));
            } else {
                let base = image.base.as_ref().map_or("nothing", |base| &base.text);
                checks.push(Check::passed("Dockerfile", format!("{path}, on {base}")));
                checks.push(copies(inputs, path));
                checks.push(build_arguments(inputs, path, bytes));
                let (interface, _) = WorkerInterface::read(&*inputs.tree)?.split();
                checks.extend(start(&interface));
                checks.push(base_image(inputs, &image, interface));
            }
        }
        _ => checks.push(Check::failed(
            "Dockerfile",
            "there is none, neither at the root nor in .runpod/: name the worker's repository \
             with `-C DIR`",
        )),
    }
    checks.extend(bake_file(inputs));
    checks.push(hub(inputs)?);
    checks.push(context(inputs));
    checks.push(source(&inputs.origin));
    Ok(checks)
}

/// Every source of a COPY is there, and not left out by `.dockerignore`.
fn copies(inputs: &BuildInputs, file: &str) -> Check {
    const NAME: &str = "copied files";
    let copied = match &inputs.copied {
        Ok(copied) => copied,
        Err(why) => return Check::warning(NAME, format!("{file}: {why}: not looked at")),
    };
    let (mut missing, mut empty) = (Vec::new(), Vec::new());
    for copy in copied {
        if build_context(inputs).any(|(path, _)| copy.covers(path)) || copy.is_everything() {
            continue;
        }
        let (place, path) = (format!("{file}:{}", copy.line), &copy.path);
        let exists = |entries: &Entries| entries.keys().any(|path| copy.covers(path));
        if exists(&inputs.around) || exists(inputs.tree.entries()) {
            missing.push(format!("{place}: {}", left_out(inputs, copy)));
        } else if path.contains(['*', '?', '[']) {
            // BuildKit silently copies nothing then.
            empty.push(format!("{place}: nothing matches `{path}`"));
        } else {
            missing.push(format!(
                "{place}: `{path}` is copied, and is not here: take it out, or write the name that \
                 it has now"
            ));
        }
    }
    let sources = counted(copied.len(), "source");
    let fine = format!("{sources} of COPY, all there and none left out by .dockerignore");
    if missing.is_empty() && !empty.is_empty() {
        return Check::new(NAME, CheckStatus::Warning, empty);
    }
    Check::judged(NAME, missing, "", fine).and(empty)
}

/// The message for a source that a line of `.dockerignore` excludes.
fn left_out(inputs: &BuildInputs, copy: &Taken) -> String {
    let path = &copy.path;
    let Some(file) = &inputs.ignore_path else {
        return format!("`{path}` is not in the build context");
    };
    let mut paths = inputs.around.keys().chain(inputs.tree.entries().keys());
    let file_left_out = paths.find(|path| copy.covers(path));
    let line = file_left_out.and_then(|path| inputs.ignore.line_against(path));
    let line = line.map_or_else(String::new, |line| format!(":{line}"));
    format!("`{path}` is copied, and {file}{line} leaves it out: add `!{path}` below that")
}

/// The files of the build context, with their sizes.
fn build_context(inputs: &BuildInputs) -> impl Iterator<Item = (&RepoPath, u64)> {
    let files = inputs.around.iter();
    let files = files.filter(|(path, _)| !inputs.ignore.excludes(path));
    files.map(|(path, entry)| (path, entry.size.unwrap_or_default()))
}

/// Every build argument that is passed is declared, and none holds the token.
fn build_arguments(inputs: &BuildInputs, file: &str, bytes: &[u8]) -> Check {
    const NAME: &str = "build arguments";
    let declared = match arguments(bytes) {
        Ok(declared) => declared,
        Err(why) => return Check::warning(NAME, format!("{file}: {why}: not looked at")),
    };
    let (in_all, typed) = (inputs.plan.arguments(), inputs.plan.typed_arguments());
    let mut passed: BTreeSet<&str> = in_all.keys().map(String::as_str).collect();
    passed.extend(typed.iter().map(|(name, _)| *name));
    let is_declared = |name: &str| declared.iter().any(|it| it == name) || is_predefined(name);
    let unknown = passed.iter().filter(|name| !is_declared(name));
    let has = declared.join(", ");
    let wrong = unknown.map(|name| {
        format!("`{name}` is passed, and {file} does not declare it: leave it out; it has {has}")
    });
    let wrong = wrong.chain(exposed_token(inputs)).collect();
    let declared = counted(declared.len(), "argument");
    let fine = format!("{declared} declared; no other is passed");
    Check::judged(NAME, wrong, "", fine)
}

/// Whether docker would get the token other than as a secret: in its command line, or as an argument
/// from the environment.
fn exposed_token(inputs: &BuildInputs) -> Option<String> {
    let (token, name) = (inputs.token.as_ref()?, token::NAME);
    let call = inputs.plan.call().concat();
    let word = call.iter().find(|word| token.is_in(word));
    let is_inherited = || inputs.plan.typed_arguments().contains(&(name, None));
    let place = match word.map(|word| word.trim_start_matches("--build-arg=").split_once('=')) {
        Some(Some((place, _))) => place,
        Some(None) => "an argument",
        None if is_inherited() => name,
        None => return None,
    };
    Some(format!(
        "`{place}` would hold the value of {name}, which everybody reads in the image's history: \
         the build has it as a secret already, for `RUN --mount=type=secret,id={name}`"
    ))
}

/// What the image starts by a path at which COPY puts nothing. Only the base image may hold it.
fn start(interface: &WorkerInterface) -> Option<Check> {
    let absent = interface.misplaced.iter();
    let words =
        absent.map(|(path, place)| format!("{place}: {path} starts, and COPY puts no file there"));
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| Check::new("start", CheckStatus::Warning, words))
}

/// The SGLang of the base image against the flag table's.
fn base_image(inputs: &BuildInputs, image: &Image, interface: WorkerInterface) -> Check {
    const NAME: &str = "base image";
    let Some(base) = image.base.as_ref().map(|base| &base.text) else {
        return Check::skipped(NAME, "the Dockerfile names none");
    };
    let Some(version) = image.sglang() else {
        let words = format!("{base}: its tag does not tell SGLang's version");
        return Check::passed(NAME, words);
    };
    let table = interface.flag_table.and_then(|table| table.version);
    let words = format!("{base}: SGLang {version}");
    let Some(table) = table.filter(|table| *table != version) else {
        return Check::passed(NAME, words);
    };
    let words = |then| format!("{words}, and sglang_flags.json is for {table}: {then}");
    if inputs.update_flags {
        Check::passed(NAME, words("it is written anew"))
    } else if inputs.plan.base_image.is_some() {
        Check::warning(NAME, words("the image asks its own SGLang for the flags"))
    } else {
        let then = "`cargo xtask build-image --update-flags` writes it anew";
        Check::failed(NAME, words(then))
    }
}

/// docker-bake.hcl can be read, has one target for this Dockerfile, and has no settings that
/// `docker build` lacks.
fn bake_file(inputs: &BuildInputs) -> Option<Check> {
    const NAME: &str = "bake file";
    let file = bake::FILE;
    let resolved = match inputs.bake.as_ref()? {
        Ok(resolved) => resolved,
        Err(why) => {
            let words = format!("{file}: line {}: {}", why.place.line, why.what);
            return Some(Check::failed(NAME, words));
        }
    };
    let Some((name, _)) = &inputs.plan.target else {
        let words = "is not used: it has no single default target for this Dockerfile";
        return Some(Check::warning(NAME, format!("{file} {words}")));
    };
    let unresolved = resolved.unresolved.iter();
    let mut left: Vec<String> = unresolved.map(|what| format!("{file}: {what}")).collect();
    let settings = inputs.plan.unsupported().into_iter();
    left.extend(settings.map(|setting| format!("{file}: `{setting}` of target `{name}`")));
    if left.is_empty() {
        return Some(Check::passed(NAME, format!("{file}: target `{name}`")));
    }
    let help = "`docker build` is not told these: say what it needs of them behind `--`";
    left.push(help.to_owned());
    Some(Check::new(NAME, CheckStatus::Warning, left))
}

fn hub(inputs: &BuildInputs) -> Result<Check> {
    const NAME: &str = "hub-lint";
    let report = hub_lint::lint(&*inputs.tree, true)?;
    let summary = hub_lint::summary(&report);
    let details = format!("{summary}; see `cargo xtask hub-lint`");
    let is_error = |finding: &Finding| finding.severity == Severity::Error;
    Ok(if report.files == 0 {
        Check::skipped(NAME, "there is no hub.json and no tests.json")
    } else if report.findings.iter().any(is_error) {
        Check::failed(NAME, details)
    } else if !report.findings.is_empty() {
        Check::warning(NAME, details)
    } else {
        Check::passed(NAME, summary)
    })
}

/// The size of the build context, and files that must not be in it.
fn context(inputs: &BuildInputs) -> Check {
    let files: Vec<(&RepoPath, u64)> = build_context(inputs).collect();
    let total: u64 = files.iter().map(|(_, size)| size).sum();
    let size = output::bytes(total);
    let mut words = vec![format!("{size} in {}", counted(files.len(), "file"))];
    if files.is_empty() {
        words = vec!["nothing: .dockerignore leaves everything out".to_owned()];
    }
    let mut verdict = CheckStatus::Passed;
    let mut secrets = files.iter().map(|(path, _)| path);
    if let Some(path) = secrets.find(|path| path.name() == token::FILE.as_bytes()) {
        let mut copied = inputs.copied.iter().flatten();
        let what = if copied.any(|copy| copy.covers(path)) {
            verdict = CheckStatus::Failed;
            "would be copied into the image, with the secrets in it"
        } else {
            verdict = CheckStatus::Warning;
            "is in it, which no image needs"
        };
        words.push(format!("{path} {what}: add it to .dockerignore"));
    }
    for (line, text) in &inputs.ignore.bad {
        verdict = CheckStatus::Failed;
        words.push(format!(
            "{}:{line}: `{text}` is no pattern, and docker builds nothing then: fix it, or take it \
             out",
            inputs.ignore_path.as_deref().unwrap_or_default()
        ));
    }
    Check::new("build context", verdict, words)
}

/// The commit that the image's labels will name.
fn source(origin: &SourceRevision) -> Check {
    const NAME: &str = "source";
    let Some(revision) = &origin.revision else {
        let words = "no git commit: the image will not say what it was made from";
        return Check::warning(NAME, words);
    };
    let short = revision.get(..12).unwrap_or(revision);
    if origin.changed.is_empty() {
        return Check::passed(NAME, format!("commit {short}"));
    }
    let names: Vec<String> = origin.changed.iter().map(ToString::to_string).collect();
    let names = names.join(", ");
    Check::warning(
        NAME,
        format!("commit {short}-dirty: not committed: {names}"),
    )
}

#[cfg(test)]
mod tests;
