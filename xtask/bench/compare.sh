#!/usr/bin/env bash
# How long compare takes, beside `git diff --no-index` and diffoscope, in one run on one machine.
#
# Usage: xtask/bench/compare.sh [OLD NEW]
#
# Without arguments: the bundled example against its migration. Then trees with 1,000
# and 10,000 files around them. Prints medians of several runs, processor time, peak memory and
# ratios. Needs git and python3; diffoscope is measured where it is installed
# (`pip install diffoscope`, which needs libarchive: `apt-get install libarchive13`). Recorded results stand in xtask/bench/README.md, with how they were made.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
cargo build --quiet --release --package xtask --manifest-path "$root/Cargo.toml"
xtask=${CARGO_TARGET_DIR:-$root/target}/release/xtask
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if [ $# -eq 2 ]; then
    cp -R "$1" "$scratch/old" && cp -R "$2" "$scratch/new"
else
    # The example, and what its migration makes of it.
    cp -R "$root/xtask/example/legacy" "$scratch/old"
    cp -R "$root/xtask/example/upstream/.runpod" "$scratch/new"
    mkdir "$scratch/new/.runpod"
    mv "$scratch/new/hub.json" "$scratch/new/tests.json" "$scratch/new/.runpod"
    for own in README.md LICENSE docker-bake.hcl docs; do
        cp -R "$scratch/old/$own" "$scratch/new"
    done
fi

# Seconds (median of N runs), processor time in seconds (the smallest), and peak memory in kilobytes
# of a command, whatever it exits with.
measure() {
    local runs=$1
    shift
    python3 - "$runs" "$@" <<'PY'
import os, statistics, subprocess, sys, time
runs, command = int(sys.argv[1]), sys.argv[2:]
times, cpu, memory = [], [], 0
for _ in range(runs):
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, used = os.wait4(child.pid, 0)
    times.append(time.perf_counter() - start)
    cpu.append(used.ru_utime + used.ru_stime)
    memory = max(memory, used.ru_maxrss)
print(f"{statistics.median(times):.4f} {min(cpu):.4f} {memory}")
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

# 1,000 files of 4 kB with 40 functions each that call one another in a ring, all of them together.
ring() {
    python3 - "$1" <<'PY'
import pathlib, sys
root = pathlib.Path(sys.argv[1])
root.mkdir()
for number in range(1000):
    text = f"import os\nfrom ring{(number + 1) % 1000} import step_0 as beyond\n\n"
    for at in range(40):
        read = f"    value = os.getenv('RING_{number}', value)\n" if at == 0 else ""
        after = f"step_{at + 1}" if at < 39 else "beyond"
        text += f"def step_{at}(value, more=None):\n{read}    if value:\n"
        text += f"        return {after}(value, more or {at})\n    return [value, {at}]\n\n"
    (root / f"ring{number}.py").write_text(text)
PY
}

times() { python3 -c "print(f'{$1 / $2:.1f}')"; }

row() {
    local name=$1 runs=$2
    read -r ours cpu memory < <(measure "$runs" "$xtask" compare -C "$scratch/new" "$scratch/old" "$scratch/new")
    read -r git git_cpu _ < <(measure "$runs" git diff --no-index --stat "$scratch/old" "$scratch/new")
    printf '%-13s compare %ss, %ss CPU, %s MB   git diff %ss, %ss CPU' \
        "$name" "$ours" "$cpu" "$((memory / 1024))" "$git" "$git_cpu"
    if command -v diffoscope >/dev/null && [ "$name" != "10,000 files" ]; then
        read -r other other_cpu other_memory < <(measure "$((runs > 5 ? 3 : 1))" diffoscope "$scratch/old" "$scratch/new")
        printf '   diffoscope %ss, %ss CPU, %s MB: %s times the time, %s times the CPU' "$other" "$other_cpu" \
            "$((other_memory / 1024))" "$(times "$other" "$ours")" "$(times "$other_cpu" "$cpu")"
    fi
    printf '\n'
    if [ "$name" = "10,000 files" ]; then
        printf '10 times the files: %s times the time, %s times the CPU, %s times the memory\n' \
            "$(times "$ours" "$before")" "$(times "$cpu" "$cpu_before")" "$(times "$memory" "$memory_before")"
    fi
    before=$ours cpu_before=$cpu memory_before=$memory
}

row "the workers" 11
ring "$scratch/ring"
# Another program, so that both are read.
cp -R "$scratch/ring" "$scratch/other-ring" && echo "VALUE = 1" >>"$scratch/other-ring/ring0.py"
for old in other-ring ring; do
    read -r ours cpu memory < <(measure 3 "$xtask" compare -C "$scratch/ring" "$scratch/$old" "$scratch/ring")
    printf '%-13s compare %ss, %ss CPU, %s MB\n' "$old" "$ours" "$cpu" "$((memory / 1024))"
done
grow "$scratch/old" 1000
grow "$scratch/new" 1000
row "1,000 files" 5
grow "$scratch/old" 10000
grow "$scratch/new" 10000
row "10,000 files" 3
