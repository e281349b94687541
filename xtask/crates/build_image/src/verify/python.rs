//! The image's Python: its version, whether the worker's modules import, whether its packages
//! fit each other, and the versions that count.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::super::{Check, Verdict};
use super::containers::Session;
use super::expected_image::ExpectedImage;
use super::files::TABLE;
use super::text;
use worker_files::Source;
use worker_files::packages::{self, Requirement};
use xtask_core::tree::Tree;

const PROBE: &str = include_str!("probe.py");

/// How long it may take: importing the real SGLang takes most of it.
const LIMIT: Duration = Duration::from_mins(5);

/// What Python the worker is written for, where pyproject.toml does not say.
const PYTHON: &str = ">=3.10";

/// What an image says of its Python.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Answer {
    pub python: String,
    /// Why a module can't be imported; `None` for one that can.
    pub modules: BTreeMap<String, Option<String>>,
    pub packages: BTreeMap<String, Option<String>>,
    /// Packages, or `python`, whose versions are not what is asked for; `None` where the image has
    /// nothing that can tell.
    pub unfit: Option<Vec<String>>,
    pub sglang: Option<String>,
    /// The release that the image's table of flags is of.
    pub table: Option<String>,
    /// `pip` or `uv`.
    pub checker: Option<String>,
    pub conflicts: Vec<String>,
}

/// What the repository asks of it.
pub struct Asked {
    pub python: String,
    pub modules: Vec<String>,
    pub requirements: Vec<Requirement>,
    /// The release that the repository's table of flags is of.
    pub sglang: Option<String>,
}

impl Answer {
    /// Whether a version is known to be another than what is asked for.
    fn is_unfit(&self, name: &str) -> bool {
        let mut unfit = self.unfit.iter().flatten();
        unfit.any(|unfit| unfit == name)
    }
}

impl Asked {
    pub fn new(tree: &dyn Tree, made: &ExpectedImage, workdir: &str) -> Result<Self> {
        let project = text(tree, "pyproject.toml")?;
        let python = project.as_deref().and_then(|text| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("requires-python"))?;
            let (_, value) = line.split_once('=')?;
            Some(value.trim().trim_matches(['"', '\'']).to_owned())
        });
        let requirements = text(tree, "requirements.txt")?.map(|text| {
            let source = Source::new("requirements.txt".into(), text.as_bytes());
            packages::requirements(&source).split().0.packages
        });
        Ok(Self {
            python: python.unwrap_or_else(|| PYTHON.to_owned()),
            modules: modules(made, workdir),
            requirements: requirements.unwrap_or_default(),
            sglang: text(tree, TABLE)?.and_then(|text| super::flags::version(&text)),
        })
    }
}

/// The modules that are copied into WORKDIR, those of packages included.
fn modules(made: &ExpectedImage, workdir: &str) -> Vec<String> {
    let workdir = workdir.trim_matches('/');
    let below = |place: &str| -> Option<String> {
        let below = match workdir {
            "" => place,
            workdir => place.strip_prefix(workdir)?.strip_prefix('/')?,
        };
        below.strip_suffix(".py").map(str::to_owned)
    };
    let names: BTreeSet<String> = made.files.keys().filter_map(|place| below(place)).collect();
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
pub fn ask(
    session: &Session,
    place: (&str, &str),
    asked: &Asked,
) -> Result<Result<Answer, String>> {
    let requirements = asked.requirements.iter();
    let packages: BTreeMap<&str, String> = requirements
        .map(|r| (r.name.as_str(), format!("{}{}", r.name, r.spec)))
        .collect();
    let input = serde_json::json!({
        "modules": asked.modules, "packages": packages, "python": asked.python,
    });
    run(session, place, &input)
}

/// Asks an image only for what its packages lack.
pub fn ask_conflicts(session: &Session, image: &str) -> Result<Result<Answer, String>> {
    let input = serde_json::json!({"modules": [], "packages": {}, "python": ""});
    run(session, (image, "/"), &input)
}

fn run(
    session: &Session,
    place: (&str, &str),
    input: &serde_json::Value,
) -> Result<Result<Answer, String>> {
    let ended = session.python(place, PROBE, &input.to_string(), LIMIT)?;
    if ended.code != Some(0) {
        return Ok(Err(ended.why()));
    }
    let line = ended.output.lines().last().unwrap_or_default();
    serde_json::from_str(line)
        .with_context(|| format!("reading what Python said in {}", place.0))
        .map(Ok)
}

/// The Python itself.
pub fn interpreter(answer: &Answer, asked: &Asked) -> Check {
    let mut wrong = Vec::new();
    if answer.is_unfit("python") {
        wrong.push(format!(
            "Python is {}, and the worker is written for {}: take a base image with another Python",
            answer.python, asked.python
        ));
    }
    Check::judged("python", wrong, format!("Python {}", answer.python))
}

/// Whether every module of the worker imports.
pub fn imports(answer: &Answer) -> Check {
    let mut wrong: Vec<String> = answer
        .modules
        .iter()
        .filter_map(|(name, trouble)| {
            Some(format!("{name} can't be imported: {}", trouble.as_ref()?))
        })
        .collect();
    if !wrong.is_empty() {
        wrong.push(
            "a module or package is missing in the image: see what the Dockerfile copies and what \
             requirements.txt names"
                .to_owned(),
        );
    }
    let count = answer.modules.len();
    if count == 0 {
        return Check::skipped(
            "modules",
            "the Dockerfile copies no Python module into WORKDIR",
        );
    }
    Check::judged("modules", wrong, format!("{count} modules import"))
}

/// Whether the packages fit each other. `base` is what the base image says of its own, where it
/// was asked.
pub fn packages(answer: &Answer, base: Option<&[String]>) -> Check {
    let name = "packages";
    let Some(checker) = &answer.checker else {
        return Check::skipped(
            name,
            "the image has neither pip nor uv to check its packages with",
        );
    };
    let (own, new): (Vec<_>, Vec<_>) = answer
        .conflicts
        .iter()
        .cloned()
        .partition(|line| base.is_some_and(|base| base.contains(line)));
    let check = if new.is_empty() {
        Check::passed(
            name,
            format!("{checker} check finds no conflict that the worker brings"),
        )
    } else if base.is_none() {
        Check::new(name, Verdict::Warning, new).and([format!(
            "{checker} check found these, and the base image, which may have had them before, could \
             not be asked: pull it, and run this again"
        )])
    } else {
        Check::new(name, Verdict::Failed, new).and([format!(
            "{checker} check finds these in the image and not in its base image: choose versions in \
             requirements.txt that fit what the base image has"
        )])
    };
    match own.len() {
        0 => check,
        count => check.and([format!("the base image itself has {count} more")]),
    }
}

/// What is installed against requirements.txt, and SGLang against the tables of its flags.
pub fn versions(answer: &Answer, asked: &Asked) -> Check {
    let mut wrong = Vec::new();
    let mut seen = Vec::new();
    for requirement in &asked.requirements {
        let Requirement { name, spec, .. } = requirement;
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
    let mut notes = Vec::new();
    if answer.unfit.is_none() {
        let note = "not held against what is asked for: the image has neither packaging nor pip";
        notes.push(note.to_owned());
    }
    match &answer.sglang {
        None => wrong.push(
            "SGLang is not installed: take one of SGLang's own images as the base image".to_owned(),
        ),
        Some(sglang) => {
            seen.push(format!("SGLang {sglang}"));
            if let Some(table) = answer.table.as_ref().filter(|table| *table != sglang) {
                wrong.push(format!(
                    "SGLang is {sglang}, and the image's sglang_flags.json is {table}'s: run \
                     scripts/sglang_flags.py in the Dockerfile, behind whatever installs SGLang"
                ));
            }
            if let Some(here) = asked.sglang.as_ref().filter(|here| *here != sglang) {
                notes.push(format!(
                    "the repository's sglang_flags.json is SGLang {here}'s; --update-flags writes \
                     {sglang}'s"
                ));
            }
        }
    }
    Check::judged("versions", wrong, seen.join(", ")).and(notes)
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
            assert_eq!(check.verdict, Verdict::Passed, "{check:?}");
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
        assert_eq!(check.verdict, Verdict::Failed);
        assert!(check.words[0].contains("Python is 3.9.1, and the worker is written for >=3.10"));
        let check = imports(&answer);
        assert_eq!(check.verdict, Verdict::Failed);
        assert!(check.words[0].contains("relay can't be imported: ModuleNotFoundError"));
    }

    #[test]
    fn only_conflicts_that_the_worker_brings_fail() {
        let mut answer = answer();
        let (old, new) = ("a 1 requires b, which is not installed.", "c 1 requires d.");
        answer.conflicts = vec![old.into(), new.into()];
        let check = packages(&answer, Some(&[old.to_owned()]));
        assert_eq!(check.verdict, Verdict::Failed);
        assert_eq!(check.words[0], new);
        assert_eq!(check.words[2], "the base image itself has 1 more");
        assert_eq!(packages(&answer, None).verdict, Verdict::Warning);
        answer.conflicts.pop();
        let check = packages(&answer, Some(&[old.to_owned()]));
        assert_eq!(check.verdict, Verdict::Passed);
        answer.checker = None;
        assert_eq!(packages(&answer, None).verdict, Verdict::Skipped);
    }

    #[test]
    fn versions_other_than_those_asked_for_fail() {
        let mut answer = answer();
        answer.packages.insert("runpod".into(), Some("1.9".into()));
        answer.packages.insert("aiohttp".into(), None);
        answer.unfit = Some(vec!["runpod".into()]);
        answer.table = Some("0.5.2".into());
        let check = versions(&answer, &asked());
        assert_eq!(check.verdict, Verdict::Failed);
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
        assert_eq!(check.verdict, Verdict::Passed);
        assert!(check.words[1].contains("--update-flags writes 0.5.21's"));
        other.unfit = None;
        assert!(versions(&other, &asked()).words[1].starts_with("not held against"));
        other.sglang = None;
        assert_eq!(versions(&other, &asked()).verdict, Verdict::Failed);
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
