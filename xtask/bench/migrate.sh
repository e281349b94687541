#!/usr/bin/env bash
# How long a migration takes, beside a shell script that does the same with git, and beside
# copier's update of an equal template.
#
#   xtask/bench/migrate.sh [ROUNDS]        default: 7 rounds
#
# Three scenes: the bundled example, the example with 10,000 further files elsewhere, and with
# 10,000 files inside of src/. All contenders begin with the same clean clone whose index is
# fresh, and end with the result in the work tree; the tool and the script also stage it.
# Targets: at most 1.5 times the script; at least 10 times faster than copier.
#
# copier comes from PyPI into a virtual environment in the scratch folder; COPIER=skip leaves it
# out. It is slow, so it runs in one round only, and is ended after two minutes: such a time is
# a lower bound.

source "$(dirname "$0")/lib.sh"
rounds=${1:-7}
copier_version=9.19.1
example=$root/xtask/example

build_tool

# --- the contenders -------------------------------------------------------------------------

with_tool() { "$tool" migrate -C "$1" --upstream "$example/upstream"; }

# What one would write by hand for this very upstream. It asks nothing but whether the work tree
# is clean, knows the Dockerfile's line, and can take nothing back.
cat >"$scratch/by-hand.sh" <<'SCRIPT'
set -eu
cd "$1"
upstream=$2/.runpod
test -z "$(git status --porcelain)"
mkdir outdated
git mv src outdated/src
git mv builder outdated/builder
git mv worker-config.json Dockerfile outdated/
mkdir -p .runpod
for file in handler.py engine.py utils.py download_model.py Dockerfile docker-compose.yml \
    requirements.txt test_input.json public; do
    cp -R "$upstream/$file" .
done
cp "$upstream/hub.json" "$upstream/tests.json" .runpod/
sed -i 's#^COPY .runpod/ ./#COPY handler.py engine.py utils.py download_model.py requirements.txt .runpod/hub.json ./#' Dockerfile
sed -i -e 's#context: \.\.#context: .#' -e 's#\.runpod/Dockerfile#Dockerfile#' docker-compose.yml
git add --all
SCRIPT
by_hand() { sh "$scratch/by-hand.sh" "$1" "$example/upstream"; }

with_copier() {
    timeout 120 "$scratch/venv/bin/copier" update --quiet --defaults --vcs-ref v2 "$1" || test $? = 124
}

if [ "${COPIER:-}" != skip ]; then
    python3 -m venv "$scratch/venv"
    "$scratch/venv/bin/pip" install --quiet "copier==$copier_version"
fi

# --- the scenes -----------------------------------------------------------------------------

# many DIR: 10,000 small files, 100 a folder.
many() {
    python3 - "$1" <<'PYTHON'
import pathlib, sys
for i in range(10_000):
    path = pathlib.Path(sys.argv[1], f"part{i // 100:02}", f"file{i % 100:02}.txt")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"file {i}\n" * 20)
PYTHON
}

# legacy SCENE DIR: the legacy worker of the scene.
legacy() {
    mkdir -p "$2"
    cp -R "$example/legacy/." "$2"
    case $1 in
    elsewhere) many "$2/data" ;;
    src) many "$2/src/data" ;;
    esac
}

# template SCENE: a copier template, v1 with the legacy layout and v2 with the modern one.
# Files inside of src/ move, so they are the template's; those elsewhere are the project's own.
template() {
    local dir=$scratch/$1/template
    legacy "${1/elsewhere/example}" "$dir"
    # A workflow's `${{ … }}` must not be read as the template's; only *.jinja files are.
    echo '{{ _copier_answers|to_nice_yaml }}' >"$dir/{{_copier_conf.answers_file}}.jinja"
    git init --quiet "$dir"
    commit "$dir" v1
    git -C "$dir" tag v1
    by_hand "$dir" >/dev/null
    commit "$dir" v2
    git -C "$dir" tag v2
}

# fresh DIR: back to the first commit, with the index fresh.
fresh() {
    git -C "$1" reset --quiet --hard
    git -C "$1" clean --quiet -fdx
    git -C "$1" status >/dev/null
}

echo "# $(machine); median of $rounds rounds (copier $copier_version: 1), milliseconds"
printf '%-12s %8s %8s %8s   %s\n' scene tool by-hand copier "tool/by-hand (≤1.5)  copier/tool (≥10)"
for scene in example elsewhere src; do
    for contender in tool hand; do
        legacy $scene "$scratch/$scene/$contender"
        git init --quiet "$scratch/$scene/$contender"
        commit "$scratch/$scene/$contender" legacy
        # A clone has a pack, not an object a file.
        git -C "$scratch/$scene/$contender" repack -adq
    done
    tool_times=() hand_times=()
    for _ in $(seq "$rounds"); do
        dir=$scratch/$scene/tool
        fresh "$dir"
        tool_times+=("$(timed with_tool "$dir")")
        staged=$(git -C "$dir" diff --cached --name-only | wc -l)
        "$tool" migrate -C "$dir" --abort >/dev/null 2>&1
        dir=$scratch/$scene/hand
        fresh "$dir"
        hand_times+=("$(timed by_hand "$dir")")
    done
    test "$staged" -gt 10
    tool_time=$(median "${tool_times[@]}")
    hand_time=$(median "${hand_times[@]}")
    copier_time=- versus=-
    if [ "${COPIER:-}" != skip ]; then
        template $scene
        project=$scratch/$scene/project
        "$scratch/venv/bin/copier" copy --quiet --defaults --vcs-ref v1 \
            "$scratch/$scene/template" "$project"
        if [ $scene = elsewhere ]; then many "$project/data"; fi
        git init --quiet "$project"
        commit "$project" legacy
        copier_time=$(timed with_copier "$project")
        test -e "$project/handler.py" || test "$copier_time" -ge 120000
        versus=$(ratio "$copier_time" "$tool_time")
    fi
    printf '%-12s %8s %8s %8s   %-20s  %s\n' $scene "$tool_time" "$hand_time" "$copier_time" \
        "$(ratio "$tool_time" "$hand_time")" "$versus"
    rm -rf "${scratch:?}/$scene"
done
