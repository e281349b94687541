//! `cargo xtask build-image`: build the worker's image, and know that what was built works.
//!
//! The repository is read ([`repository`]) and looked at ([`check`]), docker is called as [`plan`]
//! decided, and what came of it is looked at in turn ([`verify`]).

pub mod args;
mod check;
mod labels;
mod plan;
mod report;
mod repository;
mod run;
mod token;
mod verdict;
mod verify;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use serde_json::json;

use self::plan::{Call, Plan, Way};
use self::report::Report;
use self::repository::Repository;
use crate::args::Args;
use worker_files::bake;
use xtask_core::cli::Format;
use xtask_core::docker::{Engine, NoEngine};
use xtask_core::outcome::{Outcome, UsageError, UserError};
use xtask_core::output;
use xtask_core::progress::Progress;
use xtask_core::{interrupt, tool_repo};

/// How a check came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// Worth a look, no failure.
    Warning,
    Failed,
    /// Not looked at; the words say why.
    Skipped,
}

/// One thing that was looked at, before the build or in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at, in a word or two: the name in text and JSON.
    pub name: &'static str,
    pub verdict: Verdict,
    /// What was seen; where it failed, what was expected and what to do.
    pub words: Vec<String>,
}

/// Runs the task.
pub fn run(repo: Option<&Path>, args: &Args) -> Result<Outcome> {
    let root = tool_repo::chosen(repo)?;
    let repository = Repository::read(root, args)?;
    let engine = Engine::find();
    if let Some(image) = &args.verify {
        return verify_only(&repository, engine, image, args);
    }
    if args.print {
        return print(&repository, &engine.map_err(UsageError::from)?, args.format);
    }
    let mut report = Report::new(args.format);
    let mut before = check::repository(&repository.subject())?;
    before.push(engine_check(&repository, &engine));
    for check in &before {
        report.check("before", check)?;
    }
    if args.check || report::has_failed(&before) {
        report.say(&format!("\n{}", report::summary(&before)))?;
        if report::has_failed(&before) && !args.check {
            report.say("nothing was built")?;
        }
        report.end()?;
        return Ok(outcome(&before));
    }
    let engine = engine.map_err(UsageError::from)?;
    interrupt::listen()?;
    let ended = build_and_verify(&repository, &engine, args, &mut report);
    report.end()?;
    // A program that was interrupted too may have failed for no other reason.
    interrupt::check()?;
    ended
}

fn outcome(checks: &[Check]) -> Outcome {
    if report::has_failed(checks) {
        Outcome::Findings
    } else {
        Outcome::Done
    }
}

/// What would build. Its absence is no fault of the repository.
fn engine_check(repository: &Repository, engine: &Result<Engine, NoEngine>) -> Check {
    let (verdict, words) = match engine {
        Ok(engine) => {
            let how = match way(repository, engine) {
                Way::Bake { .. } => "docker buildx bake",
                Way::Buildx => "docker buildx build",
                Way::Plain => "docker build",
            };
            let words = format!("{}, which builds with `{how}`", engine.program.display());
            (Verdict::Passed, vec![words])
        }
        Err(none) => {
            let lines = none.to_string();
            let lines = lines.lines().map(|line| line.trim().to_owned());
            (Verdict::Warning, lines.collect())
        }
    };
    Check::new("engine", verdict, words)
}

fn way(repository: &Repository, engine: &Engine) -> Way {
    let bake = repository.plan.target.is_some();
    let release = (engine.buildx && bake).then(|| engine.buildx_release());
    Way::of(engine, release.flatten(), bake)
}

/// `--print`: the command as it can be typed, and the bake file as docker would see it.
fn print(repository: &Repository, engine: &Engine, format: Format) -> Result<Outcome> {
    let plan = &repository.plan;
    // What would hand it on in the open fails the check, and is no reason to show it here.
    let say = |text: &str| {
        let token = repository.token.as_ref();
        output::print_plain(&token.map_or_else(|| text.to_owned(), |token| token.hidden(text)))
    };
    let way = way(repository, engine);
    let call = plan.call(&engine.program, way);
    let folder = elsewhere(&repository.root);
    let shell = call.shell(folder.as_deref());
    let resolved = plan.resolved().or_else(|| {
        let bake = repository.bake.as_ref()?;
        bake.as_ref().ok().map(bake::Resolved::json)
    });
    if matches!(format, Format::Json) {
        let arguments: Vec<_> = call.arguments().map(|a| a.to_string_lossy()).collect();
        let all = json!({
            "program": engine.program.to_string_lossy(),
            "arguments": arguments,
            "environment": { "DOCKER_BUILDKIT": "1" },
            "folder": repository.root.to_string_lossy(),
            "token": repository.token.as_ref().map(|token| token.from),
            "shell": shell,
            "bake": resolved,
        });
        say(&format!("{all:#}\n"))?;
        return Ok(Outcome::Done);
    }
    let mut text = String::new();
    if let Some(token) = &repository.token
        && token.from == token::FILE
    {
        let (name, file) = (token::NAME, token::FILE);
        text += &format!("# {name} stands in {file}: export it before you run this\n");
    }
    text += &format!("{shell}\n");
    if let Some(resolved) = resolved {
        let used = if matches!(way, Way::Bake { .. }) {
            ""
        } else if plan.target.is_some() {
            ", which this client can't read: all that it says stands above"
        } else {
            ", which has no single target for this Dockerfile and is not used"
        };
        text += &format!("\n# {}{used}\n{resolved:#}\n", bake::FILE);
    }
    say(&text)?;
    Ok(Outcome::Done)
}

/// The folder, where it is not the current one.
fn elsewhere(root: &Path) -> Option<PathBuf> {
    let root = std::fs::canonicalize(root).ok()?;
    let here = std::env::current_dir().ok()?;
    (root != std::fs::canonicalize(here).ok()?).then_some(root)
}

/// `--verify`: looks at an image that is there.
fn verify_only(
    repository: &Repository,
    engine: Result<Engine, NoEngine>,
    image: &str,
    args: &Args,
) -> Result<Outcome> {
    let engine = engine.map_err(UsageError::from)?;
    interrupt::listen()?;
    let mut report = Report::new(args.format);
    report.set("image", image);
    let after = verified(repository, &engine, args, (image, None), &mut report);
    if let Ok(after) = &after {
        report.say(&format!("\n{}", report::summary(after)))?;
    }
    report.end()?;
    // A program that was interrupted too may have failed for no other reason.
    interrupt::check()?;
    Ok(outcome(&after?))
}

/// Looks at an image, and tells what is found as it goes. `before` had its tag.
fn verified(
    repository: &Repository,
    engine: &Engine,
    args: &Args,
    (image, before): (&str, Option<&str>),
    report: &mut Report,
) -> Result<Vec<Check>> {
    let subject = verify::Subject {
        tree: &repository.tree,
        dockerfile: repository.dockerfile(),
        ignore: &repository.ignore,
        image,
        base: &repository.base(),
        token: repository.token.as_ref().map(|token| token.value.as_str()),
        before,
        budget: args.size_budget.saturating_mul(1_000_000),
        update_flags: args.update_flags.then_some(repository.root.as_path()),
    };
    let mut unsaid = Ok(());
    let progress = Progress::begin("checking the image");
    let after = verify::image(engine, &subject, &mut |check| {
        if unsaid.is_ok() {
            unsaid = report.check("after", check);
        }
    })?;
    drop(progress);
    unsaid?;
    interrupt::check()?;
    Ok(after)
}

fn build_and_verify(
    repository: &Repository,
    engine: &Engine,
    args: &Args,
    report: &mut Report,
) -> Result<Outcome> {
    let plan = &repository.plan;
    let tag = &plan.tag;
    let earlier = image_id(engine, tag);
    let call = plan.call(&engine.program, way(repository, engine));
    report.say(&format!("\nbuilding {tag}; `--print` shows the command"))?;
    let built = build(repository, engine, &call, report)?;
    report.set("image", tag.as_str());
    report.set("id", built.as_str());
    report.say(&format!("\nbuilt {tag} ({built})\n"))?;
    let before = earlier.as_deref().filter(|earlier| *earlier != built);
    let after = verified(repository, engine, args, (&built, before), report)?;
    report.say(&format!("\n{}", report::summary(&after)))?;
    if report::has_failed(&after) {
        let not = if args.push { " and was not pushed" } else { "" };
        report.say(&format!("{tag} is there to be looked at{not}"))?;
        return Ok(Outcome::Findings);
    }
    if args.push {
        push(engine, tag, report)?;
    }
    report.set("pushed", args.push);
    Ok(Outcome::Done)
}

/// Builds, and gives the id of what was built.
fn build(
    repository: &Repository,
    engine: &Engine,
    call: &Call,
    report: &mut Report,
) -> Result<String> {
    let tag = &repository.plan.tag;
    let mut command = engine.command(&[])?;
    command.args(call.arguments()).current_dir(&repository.root);
    match &repository.token {
        Some(token) => command.env(token::NAME, &token.value),
        None => command.env_remove(token::NAME),
    };
    to_the_right_place(&mut command, report);
    let ended = run::through(command)?;
    interrupt::check()?;
    if !ended.status.success() {
        report.set("failure", json!({ "lines": ended.last }));
        bail!(UserError::new(
            told("the build failed", &ended.last),
            "fix what docker names, and build again: the steps before it are kept; `--check` looks at \
             the Dockerfile without building, `--base-image IMAGE` builds on another base image",
        ));
    }
    let what = match image_id(engine, tag) {
        Some(id) if is_new(engine, &id, &repository.plan) => return Ok(id),
        Some(_) => format!("docker built, and {tag} is still an earlier image"),
        None => format!("docker built, and kept no image {tag}"),
    };
    bail!(UserError::new(
        format!("{what}: nothing was checked"),
        "leave what sends the image elsewhere out of what follows `--`; `--push` in front of \
         that pushes once all checks have passed",
    ))
}

/// Whether an image is what this plan builds, by the time that it says of itself. What is for docker
/// itself may say another one.
fn is_new(engine: &Engine, id: &str, plan: &Plan) -> bool {
    let name = labels::CREATED;
    let Some((_, created)) = plan.labels.iter().find(|(label, _)| label == name) else {
        return true;
    };
    let of = |word: &std::ffi::OsString| word.to_string_lossy().contains(name);
    let format = format!("{{{{index .Config.Labels \"{name}\"}}}}");
    let args = ["image", "inspect", "--format", &format, "--", id];
    plan.extra.iter().any(of)
        || engine
            .output(&args)
            .is_ok_and(|said| String::from_utf8_lossy(&said).trim() == created)
}

/// What docker prints on standard output is not what programs read there.
fn to_the_right_place(command: &mut Command, report: &Report) {
    if !report.is_text() {
        command.stdout(std::io::stderr());
    }
}

/// The image that carries a tag.
fn image_id(engine: &Engine, tag: &str) -> Option<String> {
    let args = ["image", "inspect", "--format", "{{.Id}}", "--", tag];
    let id = engine.output(&args).ok()?;
    let id = String::from_utf8_lossy(&id).trim().to_owned();
    (!id.is_empty()).then_some(id)
}

fn push(engine: &Engine, tag: &str, report: &Report) -> Result<()> {
    report.say(&format!("\npushing {tag}"))?;
    let mut command = engine.command(&["push", "--", tag])?;
    to_the_right_place(&mut command, report);
    let ended = run::through(command)?;
    interrupt::check()?;
    if ended.status.success() {
        return Ok(());
    }
    bail!(UserError::new(
        told(&format!("{tag} was not pushed"), &ended.last),
        "log in with `docker login`, and name the registry in `--tag`, as in \
         `--tag registry.example/worker-sglang:dev`"
    ))
}

/// What failed, with the last lines that docker printed.
fn told(what: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return format!("{what}, and docker did not say why");
    }
    let lines = lines.iter().map(|line| format!("\n  {line}"));
    format!(
        "{what}; the last that docker said:{}",
        lines.collect::<String>()
    )
}
