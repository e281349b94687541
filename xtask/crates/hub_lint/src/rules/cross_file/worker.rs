//! What the Dockerfile starts.

use super::{Worker, place};
use crate::document::short;
use crate::rule::rules;
use worker_files::Hides;
use xtask_core::finding::Finding;

rules! {
    /// The Dockerfile starts a Python file that is nowhere in the repository, so that the worker
    /// ends at once. Said only of images that copy their files from the repository, onto a base that
    /// brings no programs of its own.
    ///
    /// Bad:
    /// ```dockerfile Dockerfile
    /// FROM python:3.12
    /// COPY src /src
    /// CMD ["python3", "-u", "/src/handler.py"]
    /// ```
    /// Good:
    /// ```dockerfile Dockerfile
    /// FROM python:3.12
    /// COPY src /src
    /// CMD ["python3", "-u", "/src/handler.py"]
    /// ```
    /// ```python src/handler.py
    /// import runpod
    /// ```
    NO_HANDLER = "HUB314" "no-handler" Error Never
        "the Dockerfile starts a file that is not in the repository"
        from "the Hub's publishing guide";
}

pub fn check(worker: &Worker<'_>, findings: &mut Vec<Finding>) {
    if worker.hub.is_some() {
        handler(worker, findings);
    }
}

/// The Python file that the image starts has to be in the repository, unless the image may have
/// it from elsewhere.
fn handler(worker: &Worker<'_>, findings: &mut Vec<Finding>) {
    let Some(image) = &worker.facts.image else {
        return;
    };
    let copies = image.copies.iter().any(|copy| copy.from.is_none());
    if !copies || worker.brings_code() || worker.may_hide(Hides::Image) {
        return;
    }
    for start in image.starts() {
        let between = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '[' | ']' | ',');
        let words = start.text.split(between);
        let is_python = |word: &&str| {
            word.strip_suffix(".py")
                .is_some_and(|stem| !stem.is_empty())
        };
        for word in words.filter(is_python) {
            let name = word.rsplit('/').next().unwrap_or(word);
            let mut paths = worker.tree.entries().keys();
            if word.contains(['$', '*', '=']) || paths.any(|path| path.name() == name.as_bytes()) {
                continue;
            }
            // A step of the build may write it.
            let source = worker.facts.sources.get(&start.place.file);
            let mut lines = source.map_or("", |source| source.text.as_str()).lines();
            let written = lines.any(|line| {
                let mut takes = ["COPY", "ADD", "CMD", "ENTRYPOINT"].iter();
                line.contains(name) && !takes.any(|word| line.trim_start().starts_with(word))
            });
            if !written {
                let shown = short(word);
                let what = format!("the image starts `{shown}`, which is not in the repository");
                let help = "the Hub builds from what is committed; is it ignored by git?";
                findings.push(Finding::at(&NO_HANDLER, place(&start.place), what).help(help));
            }
        }
    }
}
