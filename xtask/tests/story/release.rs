//! A release: a tag, and `.github/workflows/release.yml` on it, as far as it runs on any machine.

use std::path::Path;

use crate::image::{Docker, image};
use crate::support::Repo;
use crate::terminal::Terminal;

/// What becomes of a step of release.yml here.
enum Here {
    /// It runs as it stands.
    Runs,
    /// It runs as far as there is docker, on the stand-in, without what only buildx records.
    Builds,
    /// It doesn't, for this reason.
    Not(#[allow(dead_code, reason = "for whoever reads the table")] &'static str),
}

/// The steps of release.yml, in its order.
const RELEASE: &[(&str, &str, Here)] = &[
    (
        "check",
        "The changelog tells what is in this version",
        Here::Runs,
    ),
    ("check", "The Hub's files are sound", Here::Runs),
    ("check", "Nothing of the old worker is lost", Here::Runs),
    (
        "check",
        "Run the one test command",
        Here::Not("this test is part of it"),
    ),
    (
        "image",
        "The image can be pushed in the end",
        Here::Not("asks for the registry's secrets"),
    ),
    (
        "image",
        "Make room for the base image",
        Here::Not("removes what a runner of GitHub comes with"),
    ),
    (
        "image",
        "Have docker keep what says how an image was made",
        Here::Not("changes the machine's docker"),
    ),
    (
        "image",
        "Build with provenance and a list of what is in it, and check",
        Here::Builds,
    ),
    ("image", "Push", Here::Not("needs a registry")),
    ("release", "Publish", Here::Not("needs GitHub")),
    (
        "wheels",
        "Build the wheel",
        Here::Not("the stage `wheel` of `cargo xtask test` builds one"),
    ),
    (
        "wheels",
        "It runs from an environment of its own",
        Here::Not("the stage `wheel` runs its own there, in another worker's folder"),
    ),
    ("wheels", "Add it to the release", Here::Not("needs GitHub")),
];

/// A tag, and what the release workflow does on it.
pub fn releases(terminal: &mut Terminal<'_>, worker: &Repo<'_>, docker: Option<&Docker>) {
    let clone = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for file in [".github/workflows/release.yml", ".github/release_notes.py"] {
        worker.write(file, std::fs::read(clone.join(file)).unwrap());
    }
    worker.write(
        "CHANGELOG.md",
        "# Changelog\n\n## Unreleased\n\n## 1.0.0 - 2024-05-06\n\n- The modern layout.\n",
    );
    terminal.types("git add --all").done();
    terminal.next_is("git status");
    terminal
        .types("git commit --quiet -m 'chore: release 1.0.0' && git tag -a v1.0.0 -m v1.0.0")
        .done();

    // What actions/checkout gives the workflow: the tag's commit and nothing before it.
    let url = format!("file://{}", worker.path.display());
    terminal.cd(".");
    terminal
        .types(&format!(
            "git clone --quiet --depth 1 --branch v1.0.0 '{url}' checkout"
        ))
        .done();
    terminal.cd("checkout");
    terminal.set("GITHUB_REF_NAME", "v1.0.0");
    let tag = image("release");
    let (name, version) = tag.split_once(':').unwrap();
    terminal.set("REPOSITORY", "localhost");
    terminal.set("IMAGE", name);
    terminal.set("VERSION", version);

    let steps = steps(&worker.file(".github/workflows/release.yml"));
    let named = steps.iter().map(|step| (&*step.job, &*step.name));
    let expected = RELEASE.iter().map(|(job, name, _)| (*job, *name));
    assert_eq!(
        named.collect::<Vec<_>>(),
        expected.collect::<Vec<_>>(),
        "release.yml has other steps: say in this table what becomes of each here"
    );
    for (step, (_, _, here)) in steps.iter().zip(RELEASE) {
        let run = match (here, docker) {
            (Here::Runs, _) => step.run.clone(),
            (Here::Builds, Some(docker)) => step.run.replace(
                " -- --provenance=mode=max --sbom=true",
                &format!(" --base-image '{}'{}", docker.base, docker.label()),
            ),
            // Looks at what a build depends on, and at what docker would be told.
            (Here::Builds, None) => step.run.replace("build-image", "build-image --check"),
            (Here::Not(_), _) => continue,
        };
        let run = terminal.types(&run);
        assert_eq!(run.code, Some(0), "{}: {run:?}", step.name);
        match step.name.as_str() {
            "The changelog tells what is in this version" => {
                assert_eq!(run.stdout, "- The modern layout.\n");
            }
            "Build with provenance and a list of what is in it, and check" => {
                run.says("\npassed  copied files ")
                    .says("\npassed  bake file ");
            }
            "Nothing of the old worker is lost" => {
                run.says(".xtask/baseline.json → ").says("Nothing is open.");
            }
            _ => {}
        }
    }
    // A tag that the changelog doesn't know stops it at the first step.
    terminal.set("GITHUB_REF_NAME", "v1.0.1");
    let run = terminal.types(&steps[0].run);
    assert_eq!(run.code, Some(1), "{run:?}");
}

/// A step with a command of its own.
struct Step {
    job: String,
    name: String,
    run: String,
}

/// The steps of a workflow that run something, in its order. Reads the YAML that the workflow is
/// written in and no more: `run:` with a command behind it, `run: |` and `run: >-`.
fn steps(workflow: &Path) -> Vec<Step> {
    let text = std::fs::read_to_string(workflow).unwrap();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let (mut job, mut name) = (String::new(), String::new());
    let mut steps = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let word = line.trim_start().trim_start_matches("- ");
        if indent(line) == 2 && word.ends_with(':') && !word.starts_with('#') {
            word.trim_end_matches(':').clone_into(&mut job);
        } else if let Some(found) = word.strip_prefix("name: ") {
            found.clone_into(&mut name);
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
