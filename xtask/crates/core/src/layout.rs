//! The two layouts: which files retire, which are core, what `.runpod/` may contain, and how paths
//! map between them. Every other module uses these definitions.
//!
//! Legacy: `builder/`, `src/`, `worker-config.json`. Upstream: everything below `.runpod/` of the
//! SGLang repository. Modern: the upstream's files at the root, only the two Hub files in `.runpod/`,
//! and retired files below `outdated/`.

use crate::fold;
use crate::tree::{Entries, RepoPath};

/// The folder for files that have no place in the modern layout.
pub const OUTDATED: &str = "outdated";

/// The folder that RunPod's Hub reads, and upstream's home in the SGLang repository.
pub const RUNPOD: &str = ".runpod";

/// The only files that `.runpod/` may contain.
pub const HUB_FILES: &[&str] = &[".runpod/hub.json", ".runpod/tests.json"];

/// Folders and files of the legacy layout that move below `outdated/`.
pub const RETIRED: &[&str] = &["builder", "src", "worker-config.json"];

/// Files that come from upstream to the root. Every upstream has all of them.
pub const CORE_FILES: &[&str] = &[
    "handler.py",
    "engine.py",
    "utils.py",
    "download_model.py",
    "Dockerfile",
    "docker-compose.yml",
    "requirements.txt",
    "test_input.json",
];

/// Files and folders that come from upstream where it has them.
pub const CORE_OPTIONAL: &[&str] = &["public", ".dockerignore"];

/// The repository's own files, which upstream never replaces.
pub const OWN: &[&str] = &[
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    ".git",
    ".gitattributes",
    ".gitignore",
    ".gitmodules",
    ".github",
    "docker-bake.hcl",
    "docs",
    KEPT,
    "upstream.lock.json",
    "compare.baseline.json",
    "compare.accepted.json",
    OUTDATED,
];

pub const TOOL: &[&str] = &["xtask", "Cargo.toml", "Cargo.lock", ".cargo"];

/// The record of upstream's files; see [`crate::lock`].
pub const LOCK: &str = ".xtask/upstream.lock.json";
/// The record of the old worker's interface.
pub const BASELINE: &str = ".xtask/baseline.json";
/// The record of accepted losses, each with a reason.
pub const ACCEPTED: &str = ".xtask/accepted.json";

pub const KEPT: &str = ".xtask";

/// Each record, with its place at the root in older versions.
pub const RECORDS: &[(&str, &str)] = &[
    (LOCK, "upstream.lock.json"),
    (BASELINE, "compare.baseline.json"),
    (ACCEPTED, "compare.accepted.json"),
];

/// The findings that `hub-lint` ignores here.
pub const LINT: &str = "hub-lint.json";

/// Names that programs on a maintainer's machine or hosting services read automatically, so that an
/// upstream's file would take effect here.
const AUTOMATICALLY_READ: &str = "\
    agents.md appveyor.yml azure-pipelines.yml bitbucket-pipelines.yml build.rs claude.md \
    clippy.toml cloudbuild.json cloudbuild.yaml codecov.yml codeowners compose.override.yaml \
    compose.override.yml compose.yaml compose.yml conftest.py default.nix devbox.json \
    docker-bake.json docker-bake.override.hcl docker-bake.override.json \
    docker-compose.override.yaml docker-compose.override.yml docker-compose.yaml \
    dockerfile.dockerignore dodo.py flake.nix gemini.md gnumakefile hatch.toml jenkinsfile \
    justfile lefthook.json lefthook.toml lefthook.yaml lefthook.yml makefile mise.toml mypy.ini \
    netlify.toml noxfile.py package.json poetry.toml procfile pylintrc pyproject.toml pytest.ini \
    renovate.json renovate.json5 ruff.toml rust-toolchain rust-toolchain.toml rustfmt.toml \
    setup.cfg setup.py shell.nix sitecustomize.py skaffold.yaml taskfile.yaml taskfile.yml \
    tiltfile tox.ini usercustomize.py uv.toml vagrantfile vercel.json";

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    Legacy,
    Modern,
    /// No worker that this tool knows.
    Unknown,
}

/// Files that identify a legacy worker. `src/` alone does not.
const LEGACY: &[&str] = &[
    "src/handler.py",
    "worker-config.json",
    "builder/requirements.txt",
    "builder/setup.sh",
];

impl Layout {
    /// A modern worker may still have unused files of the old layout.
    pub fn of(entries: &Entries) -> Self {
        let has = |path: &str| entries.contains_key(&RepoPath::from(path));
        if has("handler.py") && has(".runpod/hub.json") {
            Self::Modern
        } else if LEGACY.iter().any(|path| has(path)) {
            Self::Legacy
        } else {
            Self::Unknown
        }
    }
}

/// How an upstream arranges its files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Shape {
    /// Everything below `.runpod/`, as in the SGLang repository.
    #[default]
    #[serde(rename = ".runpod")]
    Runpod,
    /// The root of a modern worker.
    #[serde(rename = "root")]
    Root,
}

impl Shape {
    /// The shape of an upstream by the files it has. `.runpod/` takes precedence over the root,
    /// as it does at RunPod's Hub.
    pub fn of(entries: &Entries) -> Option<Self> {
        let has = |path: &str| entries.contains_key(&RepoPath::from(path));
        if has(".runpod/handler.py") {
            Some(Self::Runpod)
        } else if has("handler.py") && has(".runpod/hub.json") {
            Some(Self::Root)
        } else {
            None
        }
    }

    /// The path in upstream of the file that a modern worker has at `path`.
    pub fn source(self, path: &str) -> RepoPath {
        match self {
            Self::Runpod if !HUB_FILES.contains(&path) => RepoPath::from(path).inside(RUNPOD),
            _ => path.into(),
        }
    }

    /// The path in a modern worker of the file that upstream has at `source`; `None` for files outside
    /// of the upstream's part of its repository.
    pub fn destination(self, source: &RepoPath) -> Option<RepoPath> {
        match self {
            _ if is_hub_file(source) => Some(source.clone()),
            Self::Runpod => {
                let below = source.strip_prefix(RUNPOD).filter(|path| !path.is_empty());
                below.map(RepoPath::new)
            }
            Self::Root => (!source.is_within(RUNPOD)).then(|| source.clone()),
        }
    }
}

fn is_hub_file(path: &RepoPath) -> bool {
    HUB_FILES.iter().any(|file| path == file)
}

/// Whether a path belongs to the legacy layout alone.
pub fn is_retired(path: &RepoPath) -> bool {
    RETIRED.iter().any(|retired| path.is_within(retired))
}

pub fn is_stray_in_runpod(path: &RepoPath) -> bool {
    path.is_within(RUNPOD) && !is_hub_file(path)
}

/// Whether a path is the repository's own, so that upstream never replaces it.
pub fn is_own(path: &RepoPath) -> bool {
    OWN.iter().any(|own| path.is_within(own))
        || path.name().starts_with(b"LICENSE") && path.parent().is_none()
}

/// Whether a file comes from every upstream that has it, by its place in the modern layout.
pub fn is_core(path: &RepoPath) -> bool {
    is_hub_file(path)
        || CORE_FILES.iter().any(|core| path == core)
        || CORE_OPTIONAL.iter().any(|core| path.is_within(core))
}

/// Whether a path is one of this tool's records, in either place.
pub fn is_record(path: &RepoPath) -> bool {
    let mut records = RECORDS.iter();
    records.any(|(place, older)| path == place || path == older)
}

pub fn is_tool(path: &RepoPath) -> bool {
    TOOL.iter().any(|tool| path.is_within(tool))
}

/// Why an upstream's file may not be written to `path` in the modern layout, although the upstream's
/// Dockerfile copies it; `None` where it may. Names are compared as the least exact file system would
/// compare them.
pub fn kept_out(path: &RepoPath) -> Option<&'static str> {
    if is_hub_file(path) || CORE_FILES.iter().any(|core| path == core) || *path == ".dockerignore" {
        return None;
    }
    let folded = fold::folded(&String::from_utf8_lossy(path.as_bytes()));
    let is_read = |part: &str| AUTOMATICALLY_READ.split(' ').any(|name| name == part);
    let within = |names: &[&str]| {
        let is_within = |name: &&str| RepoPath::from(&*folded).is_within(&fold::folded(name));
        names.iter().any(is_within)
    };
    if within(RETIRED) || within(&[OUTDATED]) {
        Some("nothing comes to a place of the old layout")
    } else if within(&[LINT, KEPT]) || RECORDS.iter().any(|(_, older)| within(&[older])) {
        Some("it is a record of this tool's")
    } else if within(TOOL) {
        Some("it is a file of this tool's")
    } else if within(OWN) || folded.starts_with("license") && !folded.contains('/') {
        Some("it is the repository's own")
    } else if folded.split('/').any(|part| part.starts_with('.')) {
        Some("its name begins with a dot")
    } else if folded.split('/').any(is_read) {
        Some("programs on a maintainer's machine read it by its name")
    } else {
        None
    }
}

/// The path below `outdated/` of a file without a place in the modern layout.
pub fn outdated(path: &RepoPath) -> RepoPath {
    path.inside(OUTDATED)
}

/// The path in the modern layout of a legacy file, so that a fork's changes can be merged there. `None`
/// for files without a counterpart (`builder/setup.sh`, `worker-config.json`, whose settings are
/// written differently in hub.json).
pub fn counterpart(path: &RepoPath) -> Option<RepoPath> {
    if *path == "builder/requirements.txt" {
        return Some("requirements.txt".into());
    }
    match path.strip_prefix("src")? {
        [] | b"__init__.py" => None,
        below => Some(RepoPath::new(below)),
    }
}

/// The file of the modern layout to show beside `path`: for `worker-config.json` that is hub.json.
pub fn successor(path: &RepoPath) -> RepoPath {
    if *path == "worker-config.json" {
        return HUB_FILES[0].into();
    }
    let modern = counterpart(path).or_else(|| Shape::Runpod.destination(path));
    let modern = modern.filter(|modern| !is_own(modern));
    modern.unwrap_or_else(|| path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Memory, Tree};

    #[test]
    fn a_layout_is_known_by_its_files() {
        let of = |paths: &[&str]| {
            let tree = paths
                .iter()
                .fold(Memory::new(), |tree, path| tree.with(path, ""));
            Layout::of(tree.entries())
        };
        assert_eq!(of(&["src/handler.py", "Dockerfile"]), Layout::Legacy);
        assert_eq!(of(&["handler.py", ".runpod/hub.json"]), Layout::Modern);
        let hybrid = ["handler.py", ".runpod/hub.json", "worker-config.json"];
        assert_eq!(of(&hybrid), Layout::Modern);
        assert_eq!(of(&["src/main.rs", "README.md"]), Layout::Unknown);
        assert_eq!(of(&[]), Layout::Unknown);
    }

    #[test]
    fn both_shapes_lead_to_the_same_places() {
        for path in CORE_FILES.iter().chain(HUB_FILES) {
            for shape in [Shape::Runpod, Shape::Root] {
                let source = shape.source(path);
                assert_eq!(shape.destination(&source), Some((*path).into()));
            }
        }
        assert_eq!(Shape::Runpod.source("engine.py"), ".runpod/engine.py");
        assert_eq!(Shape::Runpod.source(".runpod/hub.json"), ".runpod/hub.json");
    }

    #[test]
    fn the_rest_of_an_upstream_repository_is_out_of_reach() {
        assert_eq!(Shape::Runpod.destination(&"python/x.py".into()), None);
        assert_eq!(Shape::Runpod.destination(&".runpod".into()), None);
        assert_eq!(Shape::Root.destination(&".runpod/extra".into()), None);
    }

    #[test]
    fn a_shape_is_known_by_its_files() {
        let runpod = Memory::new().with(".runpod/handler.py", "");
        let root = Memory::new()
            .with("handler.py", "")
            .with(".runpod/hub.json", "");
        let neither = Memory::new().with("src/handler.py", "");
        assert_eq!(Shape::of(runpod.entries()), Some(Shape::Runpod));
        assert_eq!(Shape::of(root.entries()), Some(Shape::Root));
        assert_eq!(Shape::of(neither.entries()), None);
    }

    #[test]
    fn a_legacy_file_has_the_counterpart_of_its_role() {
        let to = |path: &str| counterpart(&path.into()).map(|path| path.to_string());
        assert_eq!(to("src/engine.py").as_deref(), Some("engine.py"));
        assert_eq!(to("src/lib/x.py").as_deref(), Some("lib/x.py"));
        assert_eq!(
            to("builder/requirements.txt").as_deref(),
            Some("requirements.txt")
        );
        assert_eq!(to("src/__init__.py"), None);
        assert_eq!(to("builder/setup.sh"), None);
        assert_eq!(to("worker-config.json"), None);
        assert_eq!(to("Dockerfile"), None);
    }

    #[test]
    fn files_of_every_layout_are_read_beside_their_successors() {
        for (path, modern) in [
            ("src/engine.py", "engine.py"),
            (".runpod/engine.py", "engine.py"),
            ("engine.py", "engine.py"),
            ("builder/requirements.txt", "requirements.txt"),
            ("worker-config.json", ".runpod/hub.json"),
            (".runpod/hub.json", ".runpod/hub.json"),
            (".runpod/README.md", ".runpod/README.md"),
            ("docker-bake.hcl", "docker-bake.hcl"),
            ("builder/setup.sh", "builder/setup.sh"),
        ] {
            assert_eq!(successor(&path.into()), modern, "{path}");
        }
    }

    #[test]
    fn what_rules_or_runs_here_is_kept_out_in_every_spelling() {
        for (path, why) in [
            (".vscode/tasks.json", "dot"),
            (".devcontainer/devcontainer.json", "dot"),
            (".envrc", "dot"),
            ("lib/.env", "dot"),
            (".pre-commit-config.yaml", "dot"),
            ("public/.htaccess", "dot"),
            (".dockerignore/x", "dot"),
            (".Cargo/config.toml", "file of this tool"),
            ("Xtask/src/main.rs", "file of this tool"),
            ("cargo.TOML", "file of this tool"),
            ("hub-lint.json", "record"),
            ("Hub-Lint.json", "record"),
            ("hub\u{2060}-lint.json", "record"),
            ("compare.accepted.json. ", "record"),
            ("Compare.accepted.json", "record"),
            (".xtask/accepted.json", "record"),
            (".Xtask/accepted.json", "record"),
            ("upstream.loc\u{212a}.json", "record"),
            ("Outdated/x", "old layout"),
            ("\u{17f}rc/handler.py", "old layout"),
            ("worker-config.json", "old layout"),
            ("readme.md", "own"),
            ("Docs/x.md", "own"),
            ("Licence-is-not-it.md", ""),
            ("license.txt", "own"),
            ("conftest.py", "by its name"),
            ("docker-bake.json", "by its name"),
            ("tests/ConfTest.py", "by its name"),
            ("rust-toolchain.toml", "by its name"),
            ("compose.yaml", "by its name"),
            ("CODEOWNERS", "by its name"),
            ("lefthook.yml", "by its name"),
            ("uv.toml", "by its name"),
            ("renovate.json", "by its name"),
            ("uv.lock", ""),
            ("tasks.py", ""),
            ("helper.py", ""),
            ("extra/flags.json", ""),
            ("public/banner.png", ""),
            (".dockerignore", ""),
            (".runpod/hub.json", ""),
            ("engine.py", ""),
        ] {
            let found = kept_out(&path.into()).unwrap_or_default();
            assert!(
                found.contains(why) && found.is_empty() == why.is_empty(),
                "{path}: {found}"
            );
        }
    }

    #[test]
    fn what_is_the_repositorys_own_is_never_core() {
        for path in [
            "README.md",
            "LICENSE",
            "LICENSE.txt",
            ".github/x.yml",
            "docs/a.md",
        ] {
            assert!(is_own(&path.into()), "{path}");
            assert!(!is_core(&path.into()), "{path}");
        }
        assert!(is_core(&"public/banner.png".into()));
        assert!(is_stray_in_runpod(&".runpod/README.md".into()));
        assert!(!is_stray_in_runpod(&".runpod/hub.json".into()));
    }
}
