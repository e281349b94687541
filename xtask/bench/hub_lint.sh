#!/usr/bin/env bash
# hub-lint beside check-jsonschema with the generated schema, on one file and on a corpus.
#
#   xtask/bench/hub_lint.sh [CORPUS]
#
# CORPUS is a folder of folders that hold hub.json and tests.json; without one, a corpus of 115
# copies of this repository's own files (or of a small listing) is made. Needs check-jsonschema
# (`pip install check-jsonschema`). Both run over the same files, one after the other, in the same
# run; each time is the best of five, since the rest is what else the machine did.
set -euo pipefail
cd "$(dirname "$0")/../.."

runs=5
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

checker=${CHECK_JSONSCHEMA:-check-jsonschema}
command -v "$checker" >/dev/null || {
    echo "check-jsonschema is missing: pip install check-jsonschema" >&2
    exit 2
}
cargo build --quiet --package xtask
lint=$(cargo metadata --format-version 1 --no-deps |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')/debug/xtask

# The best run of a command in milliseconds: on the clock, and of the processor. On a machine that
# does other things too, the second is the fairer figure. Findings are no failure here.
best() {
    python3 - "$runs" "$@" <<'PY'
import os, subprocess, sys, time
runs, command = int(sys.argv[1]), sys.argv[2:]
walls, cpus = [], []
for _ in range(runs):
    start, before = time.perf_counter(), os.times()
    code = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    walls.append(time.perf_counter() - start)
    after = os.times()
    cpus.append(after.children_user - before.children_user
                + after.children_system - before.children_system)
    if code not in (0, 1):
        sys.exit(f"{command[0]} ended with {code}")
print(f"{min(walls) * 1000:.0f} {min(cpus) * 1000:.0f}")
PY
}

corpus=${1:-}
if [[ -z $corpus ]]; then
    corpus=$scratch/corpus
    for i in $(seq 115); do
        mkdir -p "$corpus/$i"
        if [[ -f .runpod/hub.json ]]; then
            cp .runpod/hub.json .runpod/tests.json "$corpus/$i/"
        else
            cat > "$corpus/$i/hub.json" <<'JSON'
{ "title": "W", "description": "D", "type": "serverless", "category": "language",
  "config": { "runsOn": "GPU", "containerDiskInGb": 20 } }
JSON
            echo '{ "tests": [{ "name": "t", "input": {} }], "config": {} }' > "$corpus/$i/tests.json"
        fi
    done
fi
mapfile -t hubs < <(find "$corpus" -name hub.json | sort)
mapfile -t tests < <(find "$corpus" -name tests.json | sort)

# The biggest, so that the figure is no flattery.
one=$(python3 -c 'import os, sys; print(max(sys.argv[1:], key=os.path.getsize))' "${hubs[@]}")
mb=$scratch/hub.json
python3 - "$mb" <<'PY'
import json, sys
entry = {"key": "A", "input": {"name": "A", "type": "string", "default": "x" * 40}}
env = [dict(entry, key=f"A{i}") for i in range(8200)]
listing = {"title": "W", "description": "D", "type": "serverless", "category": "language",
           "config": {"runsOn": "GPU", "containerDiskInGb": 20, "env": env}}
open(sys.argv[1], "w").write(json.dumps(listing))
PY

echo "files: ${#hubs[@]} hub.json, ${#tests[@]} tests.json; ms on the clock / of the processor, best of $runs"
printf '%-22s %14s %18s %16s\n' '' hub-lint check-jsonschema ratio
row() {
    python3 - "$1" $2 $3 <<'PY'
import sys
name, wall, cpu, other_wall, other_cpu = sys.argv[1], *map(float, sys.argv[2:])
ratio = f"{other_wall / max(wall, 1):.1f} / {other_cpu / max(cpu, 1):.1f}"
print(f"{name:<22} {wall:>6.0f} / {cpu:<5.0f} {other_wall:>9.0f} / {other_cpu:<6.0f} {ratio:>16}")
PY
}
schema=xtask/schemas/hub.schema.json
row "one file" "$(best "$lint" hub-lint "$one")" "$(best "$checker" --schemafile "$schema" "$one")"
row "every hub.json" "$(best "$lint" hub-lint "${hubs[@]}")" \
    "$(best "$checker" --schemafile "$schema" "${hubs[@]}")"
row "a file of 1 MB" "$(best "$lint" hub-lint "$mb")" "$(best "$checker" --schemafile "$schema" "$mb")"
# It takes one schema a call, so the corpus is two of them.
printf '%s\n' "$checker" "${#hubs[@]}" "${hubs[@]}" "${tests[@]}" > "$scratch/corpus.list"
cat > "$scratch/both.sh" <<'SH'
mapfile -t words < "$1"
hubs=("${words[@]:2:${words[1]}}")
tests=("${words[@]:$((2 + ${words[1]}))}")
"${words[0]}" --schemafile xtask/schemas/hub.schema.json "${hubs[@]}"
"${words[0]}" --schemafile xtask/schemas/tests.schema.json "${tests[@]}"
SH
row "the whole corpus" "$(best "$lint" hub-lint "${hubs[@]}" "${tests[@]}")" \
    "$(best bash "$scratch/both.sh" "$scratch/corpus.list")"

# The bundled worker in its modern layout, about as large as most, and this one, which is large.
worker=$scratch/worker
cp -R xtask/example/upstream/.runpod "$worker"
mkdir "$worker/.runpod"
mv "$worker/hub.json" "$worker/tests.json" "$worker/.runpod"
echo "hub-lint alone, code and all: the bundled worker $(best "$lint" hub-lint -C "$worker")," \
    "this repository $(best "$lint" hub-lint)"
