//! To the modern layout: migrated, compared, linted, and fixed until nothing is open.

use snapbox::str;

use crate::shows;
use crate::support::Repo;
use crate::terminal::Terminal;

/// A legacy worker becomes a modern one that carries the tool.
pub fn migrates(terminal: &Terminal<'_>, worker: &Repo<'_>) {
    shows(
        &terminal.types("cargo xtask status -C .").done(),
        str![[r"
.: main at [OID]

  layout    legacy
  upstream  none recorded: there is no .xtask/upstream.lock.json
  outdated/ not there
  compare   nothing to compare with: neither outdated/ nor .xtask/baseline.json
  hub-lint  no file of the Hub's is here

Next: shows what moving to the modern layout would do

    cargo xtask migrate -C . --dry-run

"]],
    );
    let before = worker.everything();
    let dry_run = "cargo xtask migrate -C . --dry-run --upstream ../upstream --embed";
    shows(
        &terminal.types(dry_run).done(),
        str![[r"
Upstream ../upstream at [OID]

Moves
  Dockerfile                 → outdated/Dockerfile                replaced by upstream's
  builder/                   → outdated/builder/                  2 files
  src/                       → outdated/src/                      5 files
  worker-config.json         → outdated/worker-config.json        1 file

Comes from upstream
...
  + xtask                              the tool, [..] files
...
To fix by hand: these no longer find what they name
...
Nothing was changed. What to type next:

    cargo xtask migrate -C . --upstream ../upstream --embed    # does this

"]],
    );
    worker.everything().expect_same(&before, "a dry run");

    let run = terminal.types("cargo xtask migrate -C . --upstream ../upstream --embed");
    shows(
        &run.done(),
        str![[r"
Upstream ../upstream at [OID]
...
Done. The result is staged, HEAD has not moved. Next:

    git status                          # what has moved and what is new
    git diff --cached                   # the content
    git commit                          # keeps it
    cargo xtask migrate -C . --abort    # or takes it back

Side by side in a browser: [..]/.git/compare.html

"]],
    );
    let status = terminal.types("git status --short -- . ':!xtask'").done();
    shows(
        &status,
        str![[r"
A  .cargo/config.toml
M  .github/workflows/docker_buildandpush.yml
A  .runpod/hub.json
A  .runpod/tests.json
A  .xtask/baseline.json
A  .xtask/upstream.lock.json
A  Cargo.lock
A  Cargo.toml
M  Dockerfile
M  docker-bake.hcl
A  docker-compose.yml
A  download_model.py
A  engine.py
A  handler.py
A  outdated/Dockerfile
R  builder/requirements.txt -> outdated/builder/requirements.txt
R  builder/setup.sh -> outdated/builder/setup.sh
R  src/__init__.py -> outdated/src/__init__.py
R  src/download_model.py -> outdated/src/download_model.py
R  src/engine.py -> outdated/src/engine.py
R  src/handler.py -> outdated/src/handler.py
R  src/utils.py -> outdated/src/utils.py
R  worker-config.json -> outdated/worker-config.json
A  public/worker-sglang_banner.png
A  requirements.txt
A  test_input.json
A  utils.py

"]],
    );
    // From here on the repository carries the tool: no `-C` any more.
    terminal.next_is("git commit");
    terminal
        .types("git commit --quiet -m 'feat: the modern layout'")
        .done();
    terminal.next_is("cargo xtask compare");
}

/// What `compare` and `hub-lint` find is fixed, or a reason for it goes on record.
pub fn settles(terminal: &Terminal<'_>, worker: &Repo<'_>) {
    shows(
        &terminal.types("cargo xtask compare").finds(),
        str![[r#"
[LAB]/my-worker/outdated → [LAB]/my-worker
...
renamed env:MODEL_NAME → env:MODEL_PATH
  old      --model-path, required yes  src/engine.py:11:6, and 1 more
  upstream not there
  new      --model-path, required yes  engine.py:11:6, and 2 more
...
  help: Let the worker read MODEL_NAME too, where MODEL_PATH is not set:
...
  with it: arg:MODEL_NAME, hub:MODEL_NAME, image:MODEL_NAME and 1 more
...
[..] open in [..] entries.
Fix them, or record why one is intended:
  cargo xtask compare --accept env:MODEL_NAME --reason "…"
Why each of the short lines is open:
  cargo xtask compare --all

"#]],
    );
    fixes_the_code(terminal);
    terminal
        .types("cargo xtask compare")
        .finds()
        .says_not("renamed env:MODEL_NAME")
        .says_not("changed env:MAX_CONCURRENCY");

    // The Hub's form gets back what people could set, with two mistakes.
    terminal.edits(
        ".runpod/hub.json",
        &[
            (r#""default": "fcfs""#, r#""default": "lpm""#),
            (
                "\"env\": [\n",
                r#""env": [
      {"key": "HF_TOKEN", "input": {"name": "Token", "type": "password", "advanced": true}},
      {"key": "MAX_CONCURRENCY", "input": {"name": "Jobs", "type": "number", "default": "300"}},
"#,
            ),
        ],
    );
    for (facts, reason) in [
        ("pip:*", "SGLang brings it; the worker does not import it"),
        ("arg:*", "builds pass MODEL_PATH and BASE_IMAGE"),
        ("env:DISABLE_DISK_CACHE", "nobody set it"),
        ("step:ldconfig *", "the new base image does it"),
        ("hub:HOST", "a worker of this kind has no use for another"),
        ("hub:PORT", "a worker of this kind has no use for another"),
        ("hub:NNODES", "no code ever read it"),
        ("hub:LOAD_BALANCE_METHOD", "SGLang chooses"),
        ("hub:cuda", "the base image needs it"),
        ("image:*", "it stands on the image that SGLang makes"),
        ("result:*", "clients read JSON"),
    ] {
        let command = format!("cargo xtask compare --accept '{facts}' --reason '{reason}'");
        terminal
            .types(&command)
            .done()
            .says(&format!("{facts}: accepted ("));
    }
    shows(
        &terminal.types("cargo xtask compare").done(),
        str![[r"
...
Nothing is open.
Once that is committed, see whether outdated/ can go:
  cargo xtask cleanup --dry-run

"]],
    );

    terminal.next_is("cargo xtask hub-lint");
    shows(
        &terminal.types("cargo xtask hub-lint").finds(),
        str![[r"
...
error[HUB206 unknown-input-type]: `type` is `password`; the Hub knows `string`, `number`, `boolean` or `huggingface`
  --> .runpod/hub.json:25:62
...
   = help: `--fix` will write `string`
...
hub-lint: 1 error, 1 warning in 2 files; 2 to fix with `--fix`; `--explain RULE` says why

"]],
    );
    shows(
        &terminal.types("cargo xtask hub-lint --fix").done(),
        str![[r"
...
hub-lint: nothing found in 2 files
hub-lint: fixed 2 findings

"]],
    );
    // Reasons are kept beside the code that they speak of: both are committed.
    terminal.next_is("git status");
    terminal
        .types("cargo xtask cleanup --dry-run")
        .finds()
        .says(
            " changed since HEAD\n    git commit --all\n\noutdated/ stays: 7 things are in the way",
        );
    terminal
        .types("git add --all && git commit --quiet -m 'fix: keep what endpoints set'")
        .done();
    assert_eq!(worker.status(), "");
}

/// What the plan of the migration left to a person, and two of compare's findings.
fn fixes_the_code(terminal: &Terminal<'_>) {
    terminal.edits(
        "engine.py",
        &[
            (
                "# Environment variable -> flag",
                "# What a variable was called before: endpoints still set that.\n\
                 FORMER = {\"MODEL_PATH\": \"MODEL_NAME\", \"FILE_STORAGE_PATH\": \"FILE_STORAGE_PTH\"}\n\n\
                 # Environment variable -> flag",
            ),
            (
                "            value = os.getenv(name)\n",
                "            value = os.getenv(name) or os.getenv(FORMER.get(name, name))\n",
            ),
            (
                "self.model = os.getenv(\"MODEL_PATH\")",
                "self.model = os.getenv(\"MODEL_PATH\") or os.getenv(\"MODEL_NAME\")",
            ),
        ],
    );
    terminal.edits(
        "handler.py",
        &[(
            "\"MAX_CONCURRENCY\", \"100\"",
            "\"MAX_CONCURRENCY\", \"300\"",
        )],
    );
    terminal.edits(
        "docker-bake.hcl",
        &[("  args = {\n", "  args = {\n    MODEL_PATH = \"\"\n")],
    );
    terminal.edits(
        ".github/workflows/docker_buildandpush.yml",
        &[
            ("            WORKER_CUDA_VERSION=12.1.0\n", ""),
            ("src/**", "*.py"),
            ("compileall src", "compileall ."),
        ],
    );
    terminal.edits("tests/test_utils.py", &[("from src.utils", "from utils")]);
    terminal.edits(".gitignore", &[("", "/target/\n")]);
}
