//! The image's Python: its version, whether the worker's modules import, whether its packages
//! fit each other, and the versions that count.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::super::{Check, CheckStatus};
use super::containers::Session;
use super::expected_image::ExpectedImage;
use super::flags::{self, TABLE};
use super::{Seen, text};
use worker_files::Source;
use worker_files::packages::{self, Requirement};
use xtask_core::tree::Tree;

const PROBE: &str = include_str!("probe.py");

/// How long it may take: importing the real SGLang takes most of it.
const LIMIT: Duration = Duration::from_mins(5);

/// What Python the worker is written for, where pyproject.toml does not say.
const PYTHON: &str = ">=3.10";

#[derive(Debug, Clone, Default, Deserialize)]
struct Answer {
    python: String,
    /// Why a module can't be imported; `None` for one that can.
    modules: BTreeMap<String, Option<String>>,
    packages: BTreeMap<String, Option<String>>,
    /// Packages, or `python`, whose versions are not what is asked for; `None` where the image has
    /// nothing that can tell.
    unfit: Option<Vec<String>>,
    sglang: Option<String>,
    /// The release that the image's table of flags is of.
    table: Option<String>,
    checker: Option<String>,
    conflicts: Vec<String>,
}

#[derive(Default)]
struct Asked {
    python: String,
    modules: Vec<String>,
    requirements: Vec<Requirement>,
    /// The release that the repository's table of flags is of.
    sglang: Option<String>,
}

impl Answer {
    /// Whether a version is known to be another than what is asked for.
    fn is_unfit(&self, name: &str) -> bool {
        let mut unfit = self.unfit.iter().flatten();
        unfit.any(|unfit| unfit == name)
    }
}

impl Asked {
    fn new(tree: &dyn Tree, made: &ExpectedImage, workdir: &str) -> Result<Self> {
        let project = text(tree, "pyproject.toml")?.unwrap_or_default();
        let mut lines = project.lines();
        let python = lines.find_map(|line| line.strip_prefix("requires-python")?.split_once('='));
        let python = python.map_or(PYTHON, |(_, value)| value.trim().trim_matches(['"', '\'']));
        let requirements = text(tree, "requirements.txt")?.unwrap_or_default();
        let source = Source::new("requirements.txt".into(), requirements.as_bytes());
        Ok(Self {
            python: python.to_owned(),
            modules: modules(made, workdir),
            requirements: packages::requirements(&source).split().0.packages,
            sglang: text(tree, TABLE)?.and_then(|text| flags::version(&text)),
        })
    }
}

/// The modules that are copied into WORKDIR, those of packages included.
fn modules(made: &ExpectedImage, workdir: &str) -> Vec<String> {
    let workdir = match workdir.trim_matches('/') {
        "" => String::new(),
        workdir => format!("{workdir}/"),
    };
    let below = |place: &String| {
        Some(
            place
                .strip_prefix(&workdir)?
                .strip_suffix(".py")?
                .to_owned(),
        )
    };
    let names: BTreeSet<String> = made.files.keys().filter_map(below).collect();
    let is_module = |name: &&String| {
        let package = name.rsplit_once('/').map(|(folder, _)| folder);
        !name.contains(['-', '.'])
            && package.is_none_or(|folder| names.contains(&format!("{folder}/__init__")))
    };
    let dotted = |name: &String| {
        let module = name.strip_suffix("/__init__").unwrap_or(name);
        module.replace('/', ".")
    };
    names.iter().filter(is_module).map(dotted).collect()
}

/// Asks an image, in its folder with the worker; the error is a sentence about why it can't be asked.
fn ask(session: &Session, place: (&str, &str), asked: &Asked) -> Result<Result<Answer, String>> {
    let requirements = asked.requirements.iter();
    let packages: BTreeMap<&str, String> = requirements
        .map(|r| (r.name.as_str(), format!("{}{}", r.name, r.spec)))
        .collect();
    let input = serde_json::json!({
        "modules": asked.modules, "packages": packages, "python": asked.python,
    });
    let said = match session.python(place, PROBE, &input.to_string(), LIMIT)? {
        Ok(said) => said,
        Err(why) => return Ok(Err(why)),
    };
    let line = said.lines().last().unwrap_or_default();
    let answer = serde_json::from_str(line);
    answer
        .with_context(|| format!("reading what Python said in {}", place.0))
        .map(Ok)
}

/// Asks the image, and the base image where that makes a difference.
pub fn check(
    session: &Session,
    seen: &Seen,
    (image, base): (&str, &str),
    tree: &dyn Tree,
) -> Result<Vec<Check>> {
    let asked = Asked::new(tree, &seen.made, seen.workdir())?;
    let answer = match ask(session, (image, seen.workdir()), &asked)? {
        Ok(answer) => answer,
        Err(why) => {
            let words = format!(
                "python3 can't be run in the image: {why}: take a base image with Python, and \
                 keep it on PATH"
            );
            let skipped = |name| Check::skipped(name, "python3 can't be run in the image");
            let mut checks = vec![Check::failed("python", words)];
            checks.extend(["modules", "packages", "versions"].map(skipped));
            return Ok(checks);
        }
    };
    let base = if answer.conflicts.is_empty() || seen.base.is_none() {
        None
    } else {
        ask(session, (base, "/"), &Asked::default())?.ok()
    };
    let base = base.filter(|base| base.checker.is_some());
    Ok(vec![
        interpreter(&answer, &asked),
        imports(&answer),
        packages(&answer, base.as_ref().map(|base| base.conflicts.as_slice())),
        versions(&answer, &asked),
    ])
}

fn interpreter(answer: &Answer, asked: &Asked) -> Check {
    let (is, wanted) = (&answer.python, &asked.python);
    if answer.is_unfit("python") {
        let words = format!(
            "Python is {is}, and the worker is written for {wanted}: take a base image with another \
             Python"
        );
        return Check::failed("python", words);
    }
    Check::passed("python", format!("Python {is}"))
}

fn imports(answer: &Answer) -> Check {
    const NAME: &str = "modules";
    if answer.modules.is_empty() {
        let why = "the Dockerfile copies no Python module into WORKDIR";
        return Check::skipped(NAME, why);
    }
    let modules = answer.modules.iter();
    let trouble = modules.filter_map(|(name, why)| Some((name, why.as_ref()?)));
    let wrong = trouble.map(|(name, why)| format!("{name} can't be imported: {why}"));
    Check::judged(
        NAME,
        wrong.collect(),
        "a module or package is missing in the image: see what the Dockerfile copies and what \
         requirements.txt names",
        format!("{} modules import", answer.modules.len()),
    )
}

/// Whether the packages fit each other. `base` is what the base image says of its own, where it
/// was asked.
fn packages(answer: &Answer, base: Option<&[String]>) -> Check {
    const NAME: &str = "packages";
    let Some(checker) = &answer.checker else {
        return Check::skipped(
            NAME,
            "the image has neither pip nor uv to check its packages with",
        );
    };
    let conflicts = answer.conflicts.iter().cloned();
    let (own, new): (Vec<_>, Vec<_>) =
        conflicts.partition(|line| base.is_some_and(|base| base.contains(line)));
    let check = if new.is_empty() {
        let words = format!("{checker} check finds no conflict that the worker brings");
        Check::passed(NAME, words)
    } else if base.is_none() {
        Check::new(NAME, CheckStatus::Warning, new).and([format!(
            "{checker} check found these, and the base image, which may have had them before, could \
             not be asked: pull it, and run this again"
        )])
    } else {
        Check::new(NAME, CheckStatus::Failed, new).and([format!(
            "{checker} check finds these in the image and not in its base image: choose versions in \
             requirements.txt that fit what the base image has"
        )])
    };
    let more = Some(own.len()).filter(|count| *count > 0);
    check.and(more.map(|count| format!("the base image itself has {count} more")))
}

/// What is installed against requirements.txt, and SGLang against the tables of its flags.
fn versions(answer: &Answer, asked: &Asked) -> Check {
    let (mut wrong, mut seen, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for Requirement { name, spec, .. } in &asked.requirements {
        match answer.packages.get(name).and_then(Option::as_deref) {
            None if spec.contains(';') => {}
            None => wrong.push(format!(
                "{name} is not installed, and requirements.txt asks for it: see the build's `pip \
                 install`"
            )),
            Some(version) => {
                if answer.is_unfit(name) {
                    wrong.push(format!(
                        "{name} is {version}, and requirements.txt asks for {spec}: something later in \
                         the build replaces it"
                    ));
                }
                seen.push(format!("{name} {version}"));
            }
        }
    }
    if answer.unfit.is_none() {
        let note = "not compared with what is asked for: the image has neither packaging nor pip";
        notes.push(note.to_owned());
    }
    if let Some(sglang) = &answer.sglang {
        seen.push(format!("SGLang {sglang}"));
        let other = |table: &&String| *table != sglang;
        wrong.extend(answer.table.as_ref().filter(other).map(|table| {
            format!(
                "SGLang is {sglang}, and the image's sglang_flags.json is {table}'s: run \
                 scripts/sglang_flags.py in the Dockerfile, behind whatever installs SGLang"
            )
        }));
        notes.extend(asked.sglang.as_ref().filter(other).map(|here| {
            format!(
                "the repository's sglang_flags.json is SGLang {here}'s; --update-flags writes \
                 {sglang}'s"
            )
        }));
    } else {
        let what = "SGLang is not installed: take one of SGLang's own images as the base image";
        wrong.push(what.to_owned());
    }
    Check::judged("versions", wrong, "", seen.join(", ")).and(notes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use xtask_core::tree::Memory;

    fn asked() -> Asked {
        let tree = Memory::new()
            .with(
                "pyproject.toml",
                "[project]\nrequires-python = \">=3.10\"\n",
            )
            .with("requirements.txt", "runpod>=1.12,<2\naiohttp\n")
            .with(TABLE, "{\"version\": \"0.5.19\"}");
        let made = ExpectedImage {
            files: [
                "worker/handler.py",
                "worker/lib/__init__.py",
                "worker/lib/a.py",
                "worker/scripts/x.py",
                "worker/a-b.py",
                "other.py",
            ]
            .iter()
            .map(|path| ((*path).to_owned(), "x".into()))
            .collect(),
            ..ExpectedImage::default()
        };
        Asked::new(&tree, &made, "/worker").unwrap()
    }

    fn answer() -> Answer {
        let text = r#"{"python": "3.11.2", "modules": {"handler": null},
            "packages": {"runpod": "1.12.1", "aiohttp": "3.9"}, "unfit": [],
            "sglang": "0.5.19", "table": "0.5.19", "checker": "pip", "conflicts": []}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_repository_says_what_to_ask_for() {
        let asked = asked();
        assert_eq!(asked.python, ">=3.10");
        assert_eq!(asked.modules, ["handler", "lib", "lib.a"]);
        assert_eq!(asked.requirements.len(), 2);
        assert_eq!(asked.sglang.as_deref(), Some("0.5.19"));
        let none = Asked::new(&Memory::new(), &ExpectedImage::default(), "/").unwrap();
        assert_eq!(none.python, PYTHON);
    }

    #[test]
    fn everything_in_order_passes() {
        let (answer, asked) = (answer(), asked());
        for check in [
            interpreter(&answer, &asked),
            imports(&answer),
            packages(&answer, None),
            versions(&answer, &asked),
        ] {
            assert_eq!(check.verdict, CheckStatus::Passed, "{check:?}");
        }
    }

    #[test]
    fn an_old_python_and_modules_that_do_not_import_fail() {
        let mut answer = answer();
        answer.python = "3.9.1".into();
        answer.unfit = Some(vec!["python".into()]);
        answer.modules.insert(
            "relay".into(),
            Some("ModuleNotFoundError: No module named 'x'".into()),
        );
        let check = interpreter(&answer, &asked());
        assert_eq!(check.verdict, CheckStatus::Failed);
        assert!(check.words[0].contains("Python is 3.9.1, and the worker is written for >=3.10"));
        let check = imports(&answer);
        assert_eq!(check.verdict, CheckStatus::Failed);
        assert!(check.words[0].contains("relay can't be imported: ModuleNotFoundError"));
    }

    #[test]
    fn only_conflicts_that_the_worker_brings_fail() {
        let mut answer = answer();
        let (old, new) = ("a 1 requires b, which is not installed.", "c 1 requires d.");
        answer.conflicts = vec![old.into(), new.into()];
        let check = packages(&answer, Some(&[old.to_owned()]));
        assert_eq!(check.verdict, CheckStatus::Failed);
        assert_eq!(check.words[0], new);
        assert_eq!(check.words[2], "the base image itself has 1 more");
        assert_eq!(packages(&answer, None).verdict, CheckStatus::Warning);
        answer.conflicts.pop();
        let check = packages(&answer, Some(&[old.to_owned()]));
        assert_eq!(check.verdict, CheckStatus::Passed);
        answer.checker = None;
        assert_eq!(packages(&answer, None).verdict, CheckStatus::Skipped);
    }

    #[test]
    fn versions_other_than_those_asked_for_fail() {
        let mut answer = answer();
        answer.packages.insert("runpod".into(), Some("1.9".into()));
        answer.packages.insert("aiohttp".into(), None);
        answer.unfit = Some(vec!["runpod".into()]);
        answer.table = Some("0.5.2".into());
        let check = versions(&answer, &asked());
        assert_eq!(check.verdict, CheckStatus::Failed);
        let all = check.words.join("\n");
        for part in [
            "runpod is 1.9, and requirements.txt asks for >=1.12,<2",
            "aiohttp is not installed",
            "SGLang is 0.5.19, and the image's sglang_flags.json is 0.5.2's",
        ] {
            assert!(all.contains(part), "{part}\n{all}");
        }
        let mut other = self::answer();
        (other.sglang, other.table) = (Some("0.5.21".into()), Some("0.5.21".into()));
        let check = versions(&other, &asked());
        assert_eq!(check.verdict, CheckStatus::Passed);
        assert!(check.words[1].contains("--update-flags writes 0.5.21's"));
        other.unfit = None;
        assert!(versions(&other, &asked()).words[1].starts_with("not compared with"));
        other.sglang = None;
        assert_eq!(versions(&other, &asked()).verdict, CheckStatus::Failed);
    }

    /// Held by the probe itself, with the pip of an environment: Python alone may have none.
    #[test]
    fn specifiers_hold_or_do_not() {
        const JUDGE: &str = "import json, sys\n\
            versions, wanted = json.load(sys.stdin)\n\
            print(json.dumps(unfit(wanted, versions)))\n";
        let cases = [
            ("1.12.0", ">=1.12,<2", true),
            ("1.9.3", ">=1.12,<2", false),
            ("2.0", ">=1.12,<2", false),
            ("1.12.0rc1+local", ">=1.12,<2", true),
            ("1.13.0.post1", "[all]>=1.12", true),
            ("1.7.4", "~=1.7.0", true),
            ("1.8.0", "~=1.7.0", false),
            ("1.8", "~=1.7", true),
            ("0.5.19", "==0.5.19", true),
            ("0.5.19", "==0.5.*", true),
            ("0.6", "!=0.5.*", true),
            ("3.11.2", ">=3.10", true),
            ("1.0", "", true),
            ("1.0", ">=1 ; python_version > '3'", true),
            // What can't be told is no fault.
            ("1.0", "@git+https://x", true),
            ("unknown", ">=1", true),
        ];
        let name = |at: usize| format!("p{at:02}");
        let cases_by = |part: &dyn Fn(usize) -> String| -> BTreeMap<String, String> {
            (0..cases.len()).map(|at| (name(at), part(at))).collect()
        };
        let versions = cases_by(&|at| cases[at].0.to_owned());
        let wanted = cases_by(&|at| format!("{}{}", name(at), cases[at].1));
        let input = serde_json::to_vec(&(versions, wanted)).unwrap();
        let (probe, _) = PROBE.split_once("if __name__").unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("python3")
            .args(["-m", "venv"])
            .arg(scratch.path())
            .status();
        assert!(made.unwrap().success(), "python3 -m venv");
        let mut child = std::process::Command::new(scratch.path().join("bin/python"))
            .args(["-c", &format!("{probe}\n{JUDGE}")])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), &input).unwrap();
        let output = child.wait_with_output().unwrap();
        let unfit: Vec<String> = serde_json::from_slice(&output.stdout).unwrap();
        let expected = (0..cases.len()).filter(|&at| !cases[at].2).map(name);
        assert_eq!(unfit, expected.collect::<Vec<_>>());
    }
}
