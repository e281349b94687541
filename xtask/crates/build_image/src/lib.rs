//! `cargo xtask build-image`: builds the worker's image and checks it.
//!
//! Reads the repository ([`repository`]), checks it ([`check`]), runs docker by the [`plan`], and
//! checks the image ([`verify`]).

pub mod args;
mod check;
mod labels;
mod plan;
mod report;
mod repository;
mod token;
mod verify;

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use self::report::{Check, CheckReport, CheckStatus};
use self::repository::BuildInputs;
use crate::args::Args;
use xtask_core::docker::Engine;
use xtask_core::outcome::{Outcome, UsageError, UserError};
use xtask_core::output;
use xtask_core::progress::Progress;
use xtask_core::scratch_folder::ScratchFolder;
use xtask_core::{interrupt, tool_repo};

pub fn run(repo: Option<&Path>, args: &Args) -> Result<Outcome> {
    let repository = BuildInputs::read(tool_repo::chosen(repo)?, args)?;
    let engine = Engine::find();
    if args.print {
        return print(&repository, &engine?);
    }
    let mut report = CheckReport::new(args.format);
    if args.verify.is_none() {
        let mut checks = check::repository(&repository)?;
        checks.push(engine_check(&engine));
        for check in &checks {
            report.check("before", check)?;
        }
        let outcome = outcome(&checks);
        if args.check || outcome == Outcome::Findings {
            report.say(&format!("\n{}", report::summary(&checks)))?;
            if !args.check {
                report.say("nothing was built")?;
            }
            report.end()?;
            return Ok(outcome);
        }
    }
    let engine = engine?;
    interrupt::listen()?;
    let mut run = Run {
        repository: &repository,
        engine: &engine,
        args,
        report,
    };
    let outcome = match &args.verify {
        Some(image) => {
            run.report.set("image", image.as_str());
            run.verify(image)
        }
        None => run.build_and_verify(),
    };
    run.report.end()?;
    // An interrupt explains a child's failure.
    interrupt::check()?;
    outcome
}

fn outcome(checks: &[Check]) -> Outcome {
    let failed = |check: &Check| check.verdict == CheckStatus::Failed;
    if checks.iter().any(failed) {
        Outcome::Findings
    } else {
        Outcome::Done
    }
}

/// The engine that would build. That there is none is not the repository's fault.
fn engine_check(engine: &Result<Engine, UsageError>) -> Check {
    const NAME: &str = "engine";
    match engine {
        Ok(engine) => {
            let program = engine.program.display();
            Check::passed(NAME, format!("{program}, which builds with `docker build`"))
        }
        Err(UsageError(text)) => {
            let lines = text.lines().map(|line| line.trim().to_owned());
            Check::new(NAME, CheckStatus::Warning, lines.collect())
        }
    }
}

/// `--print`: the command as it can be typed.
fn print(repository: &BuildInputs, engine: &Engine) -> Result<Outcome> {
    let call = repository.plan.call();
    let mut text = plan::shell(&engine.program, &call, &repository.root) + "\n";
    if let Some(token) = &repository.token {
        // Never show the token, even where the build would leak it.
        text = token.hide_in(&text);
        let (name, file) = (token::NAME, token::FILE);
        if token.from == file {
            text = format!("# {name} stands in {file}: export it before you run this\n{text}");
        }
    }
    output::print_plain(&text)?;
    Ok(Outcome::Done)
}

struct Run<'a> {
    repository: &'a BuildInputs,
    engine: &'a Engine,
    args: &'a Args,
    report: CheckReport,
}

impl Run<'_> {
    fn verify(&mut self, image: &str) -> Result<Outcome> {
        let budget = self.args.size_budget.saturating_mul(1_000_000);
        let progress = Progress::begin("checking the image");
        let report = &mut self.report;
        let checks = verify::image(self.engine, self.repository, image, budget, report)?;
        drop(progress);
        interrupt::check()?;
        self.report
            .say(&format!("\n{}", report::summary(&checks)))?;
        Ok(outcome(&checks))
    }

    fn build_and_verify(&mut self) -> Result<Outcome> {
        let tag = &self.repository.plan.tag;
        self.report
            .say(&format!("\nbuilding {tag}; `--print` shows the command"))?;
        let id = self.build()?;
        self.report.set("image", tag.as_str());
        self.report.set("id", id.as_str());
        self.report.say(&format!("\nbuilt {tag} ({id})\n"))?;
        let outcome = self.verify(&id)?;
        if outcome != Outcome::Done {
            self.report
                .say(&format!("{tag} is there to be looked at"))?;
        }
        Ok(outcome)
    }

    /// Builds the image, and returns its id.
    fn build(&self) -> Result<String> {
        let BuildInputs { plan, token, .. } = self.repository;
        let folder = ScratchFolder::new("build")?;
        let file = folder.path().join("id");
        let (id, call) = (file.to_string_lossy(), plan.call().concat());
        let mut words = vec!["build", "--iidfile", &id];
        words.extend(call.iter().skip(1).map(String::as_str));
        let mut command = self.engine.command(&words)?;
        command.current_dir(&self.repository.root);
        match token {
            Some(token) => command.env(token::NAME, &token.value),
            None => command.env_remove(token::NAME),
        };
        if !self.report.is_text() {
            command.stdout(std::io::stderr());
        }
        let child = command.stdin(Stdio::null()).spawn();
        let program = self.engine.program.display();
        let mut child = child.with_context(|| format!("running {program}"))?;
        let status = interrupt::wait(&mut child)?;
        interrupt::check()?;
        if !status.success() {
            bail!(UserError::new(
                "the build failed; docker's last lines above say why",
                "fix what docker names, and build again: the steps before it are kept; `--check` looks at \
                 the Dockerfile without building, `--base-image IMAGE` builds on another base image",
            ));
        }
        let id = fs_err::read_to_string(&file)?;
        let id = id.trim();
        if id.is_empty() || verify::inspect(self.engine, id)?.is_none() {
            bail!(UserError::new(
                format!(
                    "docker built, and kept no image {}: nothing was checked",
                    plan.tag
                ),
                "leave what sends the image elsewhere out of what follows `--`, and push it with \
                 `docker push` once all checks have passed; a builder of your own needs `-- --load`",
            ));
        }
        Ok(id.to_owned())
    }
}
