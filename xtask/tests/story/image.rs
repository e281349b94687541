//! The image, where there is docker.

use std::process::Command;

use crate::support::Repo;
use crate::terminal::Terminal;

/// What docker builds with.
pub struct Docker {
    /// The program, where somebody chose one.
    pub chosen: Option<String>,
    /// The image that stands in for SGLang's.
    pub base: String,
    /// What everything made carries, to be removed by whoever started this.
    pub label: Option<String>,
}

impl Docker {
    /// What makes the image one that is removed afterwards.
    pub fn label(&self) -> String {
        self.label
            .as_ref()
            .map_or_else(String::new, |label| format!(" -- --label '{label}'"))
    }
}

/// The images go with the story.
impl Drop for Docker {
    fn drop(&mut self) {
        for image in [image("story"), format!("localhost/{}", image("release"))] {
            let _ = Command::new(self.chosen.as_deref().unwrap_or("docker"))
                .args(["image", "rm", "--force", &image])
                .output();
        }
    }
}

/// A name for an image of this run.
pub fn image(tag: &str) -> String {
    format!("worker-sglang-test:{}-{tag}", std::process::id())
}

/// The image, built on the stand-in and checked with jobs.
pub fn builds(terminal: &Terminal<'_>, worker: &Repo<'_>, docker: &Docker) {
    let run = terminal.types(&format!(
        "cargo xtask build-image --tag {} --base-image {}{}",
        image("story"),
        docker.base,
        docker.label()
    ));
    assert_eq!(run.code, Some(0), "{run:?}");
    for check in ["files", "modules", "start", "answers", "stop", "leftovers"] {
        assert!(
            run.stdout.contains(&format!("\npassed  {check} ")),
            "{check}: {run:?}"
        );
    }
    assert_eq!(worker.status(), "", "a build changes nothing here");
}
