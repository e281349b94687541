//! `--execute`: proof by running. The Python of both workers runs with stand-ins for everything
//! outside of it, once for each variable, and what it would have started and requested is
//! compared.
//!
//! This runs code of both trees, so it is done only when asked. `driver.py` starts
//! no process, opens no socket and sends no signal. It protects against accidents and not against
//! an attacker: do not run a tree that you doubt, here or anywhere.

mod jobs;
mod plan;
mod results;
mod verify;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

pub use plan::{jobs, scenarios};
pub use verify::{Runs, Summary, verify};

use super::facts::Facts;

use xtask_core::outcome::{UsageError, UserError};
use xtask_core::progress;
use xtask_core::scratch_folder::ScratchFolder;
use xtask_core::tree::{RepoPath, Tree};

#[derive(Debug, Clone, Serialize)]
pub struct Scenario {
    pub name: String,
    pub env: std::collections::BTreeMap<String, String>,
    pub jobs: Vec<RunJob>,
}

/// A job to hand to the handler: its name and its input.
pub type RunJob = (String, serde_json::Value);

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Played {
    pub name: String,
    /// Variables that the worker asked for; `*` for all of them.
    pub reads: Vec<String>,
    pub commands: Vec<Vec<String>>,
    pub settings: serde_json::Map<String, serde_json::Value>,
    pub jobs: Vec<PlayedJob>,
    /// Whether it came as far as `runpod.serverless.start`.
    pub started: bool,
    /// The parts of the Python that were not read and that ran, by their ids.
    pub reached: Vec<String>,
    pub error: Option<String>,
}

/// What a job led to.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PlayedJob {
    pub name: String,
    /// Method, path and body.
    pub requests: Vec<(String, String, serde_json::Value)>,
    /// What the handler gave back; `…` for what came from a stand-in.
    #[serde(default)]
    pub results: Vec<serde_json::Value>,
    /// Whether the handler gave them one by one.
    pub streams: Option<bool>,
    pub error: Option<String>,
}

const DRIVER: &str = include_str!("driver.py");

/// Runs scenarios with a worker's program. The tree's files are copied to a scratch folder, so
/// that nothing the code writes stays.
pub fn play(tree: &dyn Tree, facts: &Facts, scenarios: &[Scenario]) -> Result<Vec<Played>> {
    play_within(tree, facts, &plan::in_image(scenarios, facts), 20)
}

fn play_within(
    tree: &dyn Tree,
    facts: &Facts,
    scenarios: &[Scenario],
    seconds: u32,
) -> Result<Vec<Played>> {
    let python = which::which("python3").map_err(|_| {
        let install = "install python3 (Debian: apt-get install python3)";
        UsageError(format!("--execute needs Python: {install}"))
    })?;
    let scratch = ScratchFolder::new("execute")?;
    let names = ["worker", "home", "driver.py", "plan.json", "errors"];
    let [worker, home, driver, input, errors] = names.map(|name| scratch.path().join(name));
    fs_err::create_dir_all(&home)?;
    let program = program(tree, facts)?;
    lay_out(tree, &worker)?;
    fs_err::write(&driver, DRIVER)?;
    let mut scenarios = scenarios.to_vec();
    let path = std::env::var("PATH").unwrap_or_default();
    for Scenario { env, .. } in &mut scenarios {
        let home = home.display().to_string();
        env.extend([("PATH".into(), path.clone()), ("HOME".into(), home)]);
        // Jobs come from a queue, and the SDK says so.
        let queue = env.entry("RUNPOD_WEBHOOK_GET_JOB".to_owned());
        queue.or_insert_with(|| "http://127.0.0.1/job".to_owned());
    }
    let started = facts.get("image:CMD").and_then(|start| start.get("value"));
    let plan = serde_json::json!({
        // The driver tells the worker's files by this folder's name.
        "folder": fs_err::canonicalize(&worker)?,
        "program": program,
        "module": started.is_some_and(|start| start.contains(" -m ")),
        "watch": watched(facts),
        "scenarios": scenarios,
        "limit": seconds,
    });
    fs_err::write(&input, plan.to_string())?;
    // `-I -S`: no user's settings, and none of the packages that happen to be installed here.
    let mut child = Command::new(python)
        .args(["-I", "-S", "-B"])
        .arg(&driver)
        .current_dir(&home)
        .env_clear()
        .env("LANG", "C.UTF-8")
        .stdin(std::fs::File::open(&input)?)
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&errors)?)
        .spawn()
        .context("starting python3")?;
    let mut played: Vec<Played> = Vec::new();
    let answers = child.stdout.take().into_iter();
    for line in answers.flat_map(|out| BufReader::new(out).lines()) {
        let line = line.context("reading what the driver wrote")?;
        played.push(serde_json::from_str(&line).context("reading what the driver wrote")?);
        progress::done(played.len(), scenarios.len(), "runs of the handler");
    }
    child.wait().context("waiting for python3")?;
    if played.len() != scenarios.len() {
        let said = fs_err::read(&errors)?;
        let said = String::from_utf8_lossy(&said);
        let last = said.lines().last().unwrap_or("it said nothing");
        bail!("the runs of {} ended early: {last}", tree.describe());
    }
    Ok(played)
}

/// The Python file that the image starts, in the tree: of several the one that registers a handler.
fn program(tree: &dyn Tree, facts: &Facts) -> Result<String> {
    const REGISTERS: &str = "serverless.start";
    let started = facts.all.keys();
    let started = started.filter_map(|id| id.strip_prefix("step:start "));
    let names: Vec<&str> = std::iter::once("handler.py").chain(started).collect();
    let paths = tree.entries().keys().filter_map(RepoPath::as_str);
    let folders = ["", "src/", ".runpod/"];
    let mut all: Vec<(usize, &str)> = Vec::new();
    for path in paths.filter(|path| is_python(path)) {
        let (folder, name) = path.split_at(path.rfind('/').map_or(0, |at| at + 1));
        let text = tree.read_file(path)?.unwrap_or_default();
        let is_started = names[1..].contains(&name);
        let rank = match String::from_utf8_lossy(&text).contains(REGISTERS) {
            true if is_started => 0,
            _ if is_started && name == names[0] => 1,
            _ if is_started => 2,
            _ if name == names[0] => 3,
            true => 4,
            false => continue,
        };
        let place = folders.iter().position(|own| *own == folder);
        all.push((10 * rank + place.unwrap_or(folders.len()), path));
    }
    all.sort_by_key(|(rank, path)| (*rank, path.len()));
    match all.first() {
        Some((_, path)) => Ok((*path).to_owned()),
        None => bail!(UserError::new(
            format!("{} has no handler.py to run", tree.describe()),
            "leave --execute out, or name a tree with the worker's Python"
        )),
    }
}

fn is_python(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|it| it == "py")
}

/// The lines of what was not read: with the id, the file, and the first and the last line.
fn watched(facts: &Facts) -> Vec<(&str, &str, usize, usize)> {
    let places = facts.unread.iter().filter_map(|gap| {
        let place = &gap.unread.place;
        let lines = gap.unread.text.lines().count().max(1);
        let file = place.file.as_str()?;
        is_python(file).then_some((gap.id.as_str(), file, place.line, place.line + lines - 1))
    });
    places.collect()
}

/// Writes a tree's files, but for what is large: weights, pictures.
fn lay_out(tree: &dyn Tree, to: &Path) -> Result<()> {
    const LARGEST: u64 = 8 * 1024 * 1024;
    for (path, entry) in tree.entries() {
        let Some(text) = path.as_str() else { continue };
        let inside = !text.split('/').any(|part| part == ".." || part.is_empty());
        let small = entry.size.is_none_or(|size| size <= LARGEST);
        if inside && small && entry.mode.is_file() {
            let file = path.below(to);
            if let Some(folder) = file.parent() {
                fs_err::create_dir_all(folder)?;
            }
            fs_err::write(file, tree.read(path)?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
