//! `cargo xtask build-image`: build the worker's image, and know that what was built works.

mod bake;
mod check;
mod failure;
mod labels;
mod plan;
mod run;
mod token;
mod verify;

use std::path::Path;

use anyhow::{Context, Result, bail};

use self::verify::Subject;
use crate::cli;
use crate::docker::Engine;
use crate::outcome::{Outcome, Refusal};
use crate::surface::{Source, dockerfile};
use crate::tree::{Directory, Tree};
use crate::{interrupt, output};

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
pub fn run(repo: Option<&Path>, args: &cli::BuildImage) -> Result<Outcome> {
    let root = repo.map_or_else(crate::own::repository, Path::to_owned);
    interrupt::listen()?;
    let Some(image) = &args.verify else {
        bail!("not there yet");
    };
    verify_only(&root, image, args)
}

/// Looks at an image that is there.
fn verify_only(root: &Path, image: &str, args: &cli::BuildImage) -> Result<Outcome> {
    let tree = Directory::open_work_tree(root)?;
    let engine = Engine::find()?;
    let base = match &args.base_image {
        Some(base) => base.clone(),
        None => base_of(&tree)?,
    };
    let token = std::env::var("HF_TOKEN").ok();
    let subject = Subject {
        tree: &tree,
        image,
        base: &base,
        token: token.as_deref(),
        before: None,
        budget: args.size_budget.saturating_mul(1_000_000),
        update_flags: args.update_flags.then_some(root),
    };
    let is_text = matches!(args.format, cli::Format::Text);
    let checks = verify::image(&engine, &subject, &mut |check| {
        if is_text {
            let _ = output::print(&text(check));
        }
    })?;
    if !is_text {
        let all: Vec<_> = checks.iter().map(json).collect();
        output::print_plain(&format!("{:#}\n", serde_json::json!({ "checks": all })))?;
    }
    Ok(if checks.iter().any(|check| check.verdict == Verdict::Failed) {
        Outcome::Findings
    } else {
        Outcome::Done
    })
}

/// The base image that the Dockerfile names.
fn base_of(tree: &dyn Tree) -> Result<String> {
    let bytes = tree.read_file("Dockerfile")?.context("no Dockerfile")?;
    let source = Source::new("Dockerfile".into(), &bytes);
    let base = dockerfile::read(&source).ok().and_then(|image| image.base);
    match base {
        Some(base) => Ok(base.text),
        None => bail!(Refusal::new(
            "the Dockerfile names no base image",
            "name it with --base-image"
        )),
    }
}

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Warning => "warning",
        Verdict::Failed => "failed",
        Verdict::Skipped => "skipped",
    }
}

fn text(check: &Check) -> String {
    let words = check.words.join("\n    ");
    format!("{:<8} {}: {words}\n", word(&check.verdict), check.name)
}

fn json(check: &Check) -> serde_json::Value {
    serde_json::json!({
        "name": check.name,
        "verdict": word(&check.verdict),
        "words": check.words,
    })
}
