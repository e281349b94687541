#!/usr/bin/env bash
# How long compare takes, beside `git diff --no-index` and diffoscope, in one run on one machine.
#
# Usage: bench/compare.sh [OLD NEW]
#
# Without arguments: the bundled example against this repository's own worker. Then trees with
# 1,000 and 10,000 files around it. Prints medians of several runs, ratios, and peak memory.
# Needs git, python3 and GNU time; diffoscope is measured where it is installed
# (`pip install diffoscope`, which needs libarchive: `apt-get install libarchive13`). Recorded results stand in bench/README.md, with how they were made.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cargo build --quiet --release --package xtask --manifest-path "$root/Cargo.toml"
xtask=${CARGO_TARGET_DIR:-$root/target}/release/xtask
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if [ $# -eq 2 ]; then
    cp -R "$1" "$scratch/old" && cp -R "$2" "$scratch/new"
else
    cp -R "$root/xtask/example/legacy" "$scratch/old"
    mkdir "$scratch/new"
    git -C "$root" archive HEAD | tar x -C "$scratch/new" --exclude=xtask --exclude=tests --exclude=docs
fi

# Seconds (median of N runs) and peak memory in kilobytes of a command, whatever it exits with.
measure() {
    local runs=$1
    shift
    python3 - "$runs" "$@" <<'PY'
import resource, statistics, subprocess, sys, time
runs, command = int(sys.argv[1]), sys.argv[2:]
times = []
for _ in range(runs):
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    times.append(time.perf_counter() - start)
print(f"{statistics.median(times):.4f} {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}")
PY
}

# Adds files that a repository may have around its worker.
grow() {
    python3 - "$1" "$2" <<'PY'
import pathlib, sys
root, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
for number in range(count):
    file = root / "data" / f"d{number % 100}" / f"f{number}.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"import os\nVALUE_{number} = os.getenv('VARIABLE_{number}', '{number}')\n")
PY
}

row() {
    local name=$1 runs=$2
    read -r ours memory < <(measure "$runs" "$xtask" compare -C "$scratch/new" "$scratch/old" "$scratch/new")
    read -r git _ < <(measure "$runs" git diff --no-index --stat "$scratch/old" "$scratch/new")
    printf '%-14s compare %ss, %s MB   git diff %ss' "$name" "$ours" "$((memory / 1024))" "$git"
    if command -v diffoscope >/dev/null && [ "$name" != "10,000 files" ]; then
        read -r other _ < <(measure "$((runs > 5 ? 3 : 1))" diffoscope "$scratch/old" "$scratch/new")
        printf '   diffoscope %ss (%s times compare)' "$other" \
            "$(python3 -c "print(round($other / $ours, 1))")"
    fi
    printf '\n'
}

row "the workers" 11
grow "$scratch/old" 1000
grow "$scratch/new" 1000
row "1,000 files" 5
grow "$scratch/old" 10000
grow "$scratch/new" 10000
row "10,000 files" 3
