//! Files of all kinds that name what has moved, and files that only seem to.

mod links;

use super::*;
use xtask_core::tree::{Mode, TreeEntry};

fn moved() -> Vec<(RepoPath, RepoPath)> {
    [
        "builder/requirements.txt",
        "builder/setup.sh",
        "src/__init__.py",
        "src/engine.py",
        "src/handler.py",
        "src/prompts/chat.py",
        "src/tools.py",
        "worker-config.json",
        "Dockerfile",
        ".runpod/notes.md",
    ]
    .map(|path| {
        (
            RepoPath::from(path),
            RepoPath::from(path).inside("outdated"),
        )
    })
    .into()
}

fn result() -> Entries {
    let stay = [
        "handler.py",
        "engine.py",
        "requirements.txt",
        "Dockerfile",
        ".runpod/hub.json",
        ".runpod/tests.json",
        "docs/a.md",
        "mysrc/handler.py",
    ];
    let entry = TreeEntry {
        mode: Mode::File,
        size: None,
        oid: None,
    };
    let moved = moved().into_iter().map(|(_, to)| to);
    let paths = stay.map(RepoPath::from).into_iter().chain(moved);
    paths.map(|path| (path, entry.clone())).collect()
}

fn find(path: &str, text: &str) -> Vec<Dangling> {
    let moved = moved();
    let result = result();
    let after = After {
        moved: &moved,
        result: &result,
        arguments: &["MODEL_PATH".to_owned()],
    };
    dangling(&[(path.into(), text.as_bytes().to_vec())], &after)
}

/// What is found, as `line:column instead`.
fn seen(path: &str, text: &str) -> Vec<String> {
    find(path, text)
        .into_iter()
        .map(|found| format!("{}:{} {}", found.line, found.column, found.instead))
        .collect()
}

#[test]
fn a_workflow_is_told_its_new_paths() {
    let text = "\
on:
  push:
    paths: ['src/**', \"builder/requirements.txt\", 'mysrc/handler.py', Dockerfile]
jobs:
  image:
    steps:
      - run: |
          cd src && python -m compileall .
          ruff check src tests
          pip install -r ./builder/requirements.txt
          docker buildx create --name builder
          cat ${{ github.workspace }}/src/handler.py $HOME/src/handler.py
";
    assert_eq!(
        seen(".github/workflows/a.yml", text),
        [
            "3:14 *.py",
            "3:24 requirements.txt",
            "8:14 .",
            "9:22 .",
            "10:26 ./requirements.txt",
            "12:38 handler.py",
            "12:55 handler.py",
        ]
    );
}

#[test]
fn a_bake_file_is_told_which_arguments_are_gone() {
    let text = "\
target \"base\" {
  dockerfile = \"Dockerfile.dev\"
  args = { OLD = 1 }
}
target \"worker\" {
  context = \".\"
  args = {
    CUDA = \"12\"
    \"QUOTED\" = 1
    MODEL_PATH = \"\"
  }
}
target \"more\" {
  inherits = [\"base\"]
  args = { OLD = 1 }
}
";
    let found = find("docker-bake.hcl", text);
    let places: Vec<_> = found.iter().map(|f| (f.line, f.column)).collect();
    assert_eq!(places, [(8, 5), (9, 5)]);
    assert_eq!(found[0].what, "the Dockerfile declares no argument `CUDA`");
}

#[test]
fn a_compose_file_is_told_too() {
    let text = "services:\n  w:\n    build:\n      context: .\n      args: {CUDA: 1, MODEL_PATH: x}\n  o:\n    build: {context: o, args: [B=1]}\n";
    let found = find("docker-compose.yml", text);
    let places: Vec<_> = found.iter().map(|f| (f.line, f.column)).collect();
    assert_eq!(places, [(5, 14)]);
}

#[test]
fn python_finds_its_modules() {
    let text = "\
import sys
sys.path.insert(0, os.path.join(ROOT, \"src\"))
from src.engine import Engine
from src import handler, engine
import src.prompts.chat as chat
patch('src.handler.run')
image.src.engine = resrc.engine
from mysrc.engine import x
open('src/prompts/chat.py')
element = {\"src\": url}
";
    assert_eq!(
        seen("tests/test_a.py", text),
        [
            "2:40 .",
            "3:6 engine",
            "4:6 import the modules by their own names",
            "5:8 outdated.src.prompts.chat",
            "6:8 handler",
            "9:7 outdated/src/prompts/chat.py",
        ]
    );
}

#[test]
fn modules_of_the_forks_own_and_places_in_other_images() {
    let found = seen(
        "tests/test_a.py",
        "import tools\nfrom tools import f\nimport engine\nimport toolsy\n",
    );
    let to = "move `outdated/src/tools.py` to the root, or import what takes its place";
    assert_eq!(found, [format!("1:8 {to}"), format!("2:6 {to}")]);
    assert!(candidates(&moved(), &result()).contains(&"tools".to_owned()));
    for (path, line) in [
        ("Dockerfile.dev", "CMD [\"python3\", \"/src/handler.py\"]\n"),
        (
            "Makefile",
            "run:\n\tdocker run img python3 /src/handler.py\n",
        ),
        (
            "scripts/a.sh",
            "exec python3 /src/handler.py\nls /src /app/src/handler.py\n",
        ),
    ] {
        let found = find(path, line);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0]
                .instead
                .starts_with("the place of `handler.py` in the image")
        );
    }
}

#[test]
fn docs_are_prose_and_their_links_stay_relative() {
    let text = "\
See [the list](../builder/requirements.txt), **src/handler.py** and `worker-config.json`.
Not https://github.com/o/r/blob/main/src/handler.py, nor lib/src/handler.py, nor the src of it.
Files lie in src/ and src/new.py; git@host:o/src/handler.py, a-src/handler.py.
";
    let found = find("docs/guide.md", text);
    assert!(found.iter().all(|f| f.kind == MentionKind::Prose));
    assert_eq!(
        seen("docs/guide.md", text),
        [
            "1:16 ../requirements.txt",
            "1:48 handler.py",
            "1:70 .runpod/hub.json",
            "3:14 outdated/src",
            "3:23 new.py",
        ]
    );
    assert_eq!(seen("CHANGELOG.md", text), [""; 0]);
    assert_eq!(seen("outdated/docs/guide.md", text), [""; 0]);
}

#[test]
fn lists_of_paths_count_from_the_root() {
    assert_eq!(
        seen(
            ".gitignore",
            "/src/__pycache__/\nsrc\n/build/\nbuilder/*.log\n"
        ),
        ["1:1 /__pycache__", "2:1 .", "4:1 *.log"]
    );
    assert_eq!(
        seen(
            "CODEOWNERS",
            "/src/ @team\n/worker-config.json @team\n*.py @src/team\n"
        ),
        ["1:1 /", "2:1 /.runpod/hub.json"]
    );
    assert_eq!(
        seen(
            ".github/dependabot.yml",
            "updates:\n  - directory: \"/builder\"\n  - directory: /src/\n"
        ),
        ["2:17 /", "3:16 /"]
    );
}

#[test]
fn settings_makefiles_and_other_dockerfiles() {
    assert_eq!(
        seen(
            "pyproject.toml",
            "[tool.ruff]\nsrc = [\"src\"]\n[tool.pytest.ini_options]\npythonpath = 'src'\nname = \"srcs\"\n"
        ),
        ["2:9 .", "4:15 ."]
    );
    assert_eq!(
        seen(
            "Makefile",
            "SRC := src\nlint:\n\t@ruff check src/ mysrc\n\tbash builder/setup.sh\n\tdocker builder prune\n"
        ),
        ["1:8 .", "3:14 .", "4:7 outdated/builder/setup.sh"]
    );
    assert_eq!(
        seen(
            "Dockerfile.dev",
            "FROM a AS builder\nCOPY src /src\nCOPY --from=builder /src /x\nCOPY builder/requirements.txt /\nRUN python3 /src/handler.py\n"
        ),
        ["2:6 .", "4:6 requirements.txt"]
    );
}

#[test]
fn what_still_exists_does_not_dangle() {
    assert_eq!(seen("a.sh", "cat Dockerfile .runpod/hub.json\n"), [""; 0]);
    assert_eq!(
        seen("a.sh", "cat .runpod/notes.md\n"),
        ["1:5 outdated/.runpod/notes.md"]
    );
    assert_eq!(seen("a.bin", "src/handler.py\0"), [""; 0]);
}

#[test]
fn whatever_names_a_folder_that_is_to_go() {
    let of = |path: &str, text: &str| -> Vec<(usize, MentionKind)> {
        let files = [(path.into(), text.as_bytes().to_vec())];
        removed(&files, "outdated")
            .into_iter()
            .map(|found| (found.line, found.kind))
            .collect()
    };
    use MentionKind::{Code, Prose};
    assert_eq!(
        of(
            "run.sh",
            "#!/bin/sh\n# see outdated/src\ncd outdated\ndocker build -t x outdated\n\
             docker build \\\n  --file $HERE/outdated/Dockerfile\npip list --outdated\nnpm outdated\n"
        ),
        [(2, Prose), (3, Code), (4, Code), (6, Code)]
    );
    assert_eq!(
        of(
            "tests/a.py",
            "import os\nfrom outdated.src import engine\nos.listdir('outdated')\nx = 'outdated news'\n"
        ),
        [(2, Code), (3, Code)]
    );
    assert_eq!(
        of(
            ".github/workflows/a.yml",
            "paths:\n  - outdated/**\n  - notoutdated/x\n"
        ),
        [(2, Code)]
    );
    assert_eq!(
        of(
            "README.md",
            "The old worker is in `outdated/src/engine.py`; the word outdated is not.\n"
        ),
        [(1, Prose)]
    );
    assert_eq!(of(".dockerignore", "*.md\noutdated/\n"), [(2, Prose)]);
    assert_eq!(of("CHANGELOG.md", "moved to outdated/\n"), []);
    assert_eq!(of("outdated/src/engine.py", "'outdated/src'"), []);
}

/// Many files that moved, and a mention of each in files of every kind.
#[test]
fn the_work_grows_with_the_files_and_their_mentions_not_with_their_product() {
    let lookups = |count: usize| {
        let name = |number: usize| format!("src/many/part{}/f{number}.py", number % 7);
        let moved: Vec<_> = (0..count)
            .map(|number| RepoPath::from(name(number).as_str()))
            .map(|path| (path.clone(), path.inside("outdated")))
            .collect();
        let after = After {
            moved: &moved,
            result: &result(),
            arguments: &[],
        };
        let mentions = |line: &dyn Fn(&str) -> String| -> Vec<u8> {
            let lines = (0..count).map(|number| line(&name(number)));
            lines.collect::<String>().into_bytes()
        };
        let files = [
            (
                "run.sh".into(),
                mentions(&|file| format!("python3 {file}\nls src/many\n")),
            ),
            (
                "docs/a.md".into(),
                mentions(&|file| format!("See [it](../{file}).\n")),
            ),
            (
                "Makefile".into(),
                mentions(&|file| format!("all:\n\tcat {file}\n")),
            ),
            (
                "tests/test_a.py".into(),
                mentions(&|file| format!("import {}\n", file[..file.len() - 3].replace('/', "."))),
            ),
        ];
        let before = LOOKUPS.get();
        let found = dangling(&files, &after);
        assert!(found.len() >= 4 * count, "{} of {count}", found.len());
        LOOKUPS.get() - before
    };
    let (few, many) = (lookups(100), lookups(400));
    assert!(few > 100, "nothing was looked up");
    assert!(many < 5 * few, "{few} lookups became {many}");
}
