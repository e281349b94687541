#!/usr/bin/env bash
# Tries what docs/hub-lint.md says of pre-commit and GitHub Actions, in a scratch repository of
# another worker: both forms of the hook, and the lines of action.yml. Needs Rust, a C compiler,
# PyPI and a few minutes; the everyday tests leave it out. Only what is committed is tried.
set -euo pipefail

root=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# What is built already need not be built again in the clones that pip and pre-commit make, nor
# optimized: how fast it is doesn't matter here.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target} MATURIN_PEP517_ARGS="--profile dev"
export PRE_COMMIT_HOME=$scratch/pre-commit

python3 -m venv "$scratch/tools"
"$scratch/tools/bin/pip" install --quiet "pre-commit>=4,<5"

worker=$scratch/worker
mkdir -p "$worker/.runpod"
cd "$worker"
git init --quiet
git config user.name Worker
git config user.email worker@example.org
echo 'FROM scratch' > Dockerfile
echo '# Worker' > README.md
cat > .runpod/tests.json << 'END'
{ "tests": [{ "name": "one", "input": { "prompt": "Hi" } }], "config": { "gpuCount": 1 } }
END
listing() {
  cat > .runpod/hub.json << END
{
  "title": "Worker", "description": "Does things.", "type": "serverless", "category": "language",
  "config": { "runsOn": "GPU", "containerDiskInGb": 20, "gpuIds": "$1" }
}
END
}
mistake='error[HUB211 unknown-gpu]'

# The output of a command that has to end with that exit code and to say those words.
expect() {
  local code=$1 words=$2 said=0
  shift 2
  "$@" > "$scratch/said" 2>&1 || said=$?
  if [ "$said" != "$code" ] || { [ -n "$words" ] && ! grep --quiet --fixed-strings -- "$words" "$scratch/said"; }; then
    echo "expected exit code $code and \"$words\", got $said from: $*" >&2
    cat "$scratch/said" >&2
    exit 1
  fi
}

# The hook refuses the mistake, passes the right file, and looks only where the Hub does.
hook() {
  git add --all
  listing 'RTX A4000' && git add --all
  expect 1 "$mistake" "$scratch/tools/bin/pre-commit" run
  listing 'NVIDIA RTX A4000' && git add --all
  expect 0 Passed "$scratch/tools/bin/pre-commit" run
  git commit --quiet --message "$1"
  echo 'FROM scratch AS other' > Dockerfile && git add --all
  expect 0 Passed "$scratch/tools/bin/pre-commit" run
  mkdir -p .github && echo '{ "suites": [] }' > .github/tests.json
  git commit --quiet --message dockerfile && git add --all
  expect 0 Skipped "$scratch/tools/bin/pre-commit" run
  git commit --quiet --message others
  rm -r .github
  echo "ok      $1"
}

cat > .pre-commit-config.yaml << END
repos:
  - repo: $root
    rev: $(git -C "$root" rev-parse HEAD)
    hooks:
      - id: hub-lint
END
hook "pre-commit, built from this repository"

# The lines of action.yml, with what GitHub gives them.
lines() {
  python3 - "$root/action.yml" "$1" << 'END'
import pathlib, sys, textwrap

step = pathlib.Path(sys.argv[1]).read_text().split(f"- name: {sys.argv[2]}\n")[1]
print(textwrap.dedent(step.split("run: |\n")[1].split("    - name:")[0]))
END
}
export RUNNER_TEMP=$scratch/runner SOURCE=$root WORKER=. ARGUMENTS=$'--min-severity\nerror'
mkdir "$RUNNER_TEMP"
expect 0 '' bash -eo pipefail -c "$(lines 'Install hub-lint')"
listing 'RTX A4000'
expect 1 '::error file=.runpod/hub.json,line=3' bash -eo pipefail -c "$(lines "Lint the Hub's files")"
listing 'NVIDIA RTX A4000'
expect 0 '' bash -eo pipefail -c "$(lines "Lint the Hub's files")"
echo "ok      action.yml"

# A wheel by its address, without a build: cargo can't be found.
"$scratch/tools/bin/pip" wheel --quiet --no-deps --wheel-dir "$scratch" "$root"
wheel=$(echo "$scratch"/*.whl)
sed -n '/^  - repo: local/,/^```/p' "$root/docs/hub-lint.md" | grep -v '^```' \
  | sed "s|https://WHEEL|file://$wheel|; 1i repos:" > .pre-commit-config.yaml
cargo() { return 127; } && export -f cargo
PATH=$(echo "$PATH" | tr : '\n' | grep -v cargo | paste -sd:)
hook "pre-commit, with a wheel's address"
