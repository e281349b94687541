//! `.github/workflows/release.yml`, as far as it runs on any machine.

use std::path::Path;

/// A step with a command of its own.
#[derive(Debug)]
pub struct Step {
    pub job: String,
    pub name: String,
    pub run: String,
}

/// The steps of a workflow that run something, in its order. Reads the YAML that the workflow is
/// written in and no more: `run:` with a command behind it, `run: |` and `run: >-`.
pub fn steps(workflow: &Path) -> Vec<Step> {
    let text = std::fs::read_to_string(workflow).unwrap();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let (mut job, mut name) = (String::new(), String::new());
    let mut steps = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let word = line.trim_start().trim_start_matches("- ");
        if indent(line) == 2 && word.ends_with(':') && !word.starts_with('#') {
            job = word.trim_end_matches(':').to_owned();
        } else if let Some(found) = word.strip_prefix("name: ") {
            name = found.to_owned();
        } else if let Some(first) = word.strip_prefix("run:") {
            let mut block = Vec::new();
            while let Some(next) = lines.peek() {
                if indent(next) <= indent(line) && !next.trim().is_empty() {
                    break;
                }
                block.extend(lines.next().map(str::trim));
            }
            let run = match first.trim() {
                "|" => block.join("\n"),
                ">-" => block.join(" "),
                command => command.to_owned(),
            };
            steps.push(Step {
                job: job.clone(),
                name: name.clone(),
                run: run.trim().to_owned(),
            });
        }
    }
    steps
}
