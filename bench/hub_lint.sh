#!/usr/bin/env bash
# hub-lint beside check-jsonschema with the generated schema, on one file and on a corpus.
#
#   bench/hub_lint.sh [CORPUS]
#
# CORPUS is a folder of folders that hold hub.json and tests.json; without one, a corpus of 115
# copies of this repository's own files (or of a small listing) is made. Needs check-jsonschema
# (`pip install check-jsonschema`). Both run over the same files, one after the other, in the same
# run; each time is the best of five, since the rest is what else the machine did.
set -euo pipefail
cd "$(dirname "$0")/.."

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

# The milliseconds of a command's best run. Findings are no failure here.
best() {
    python3 - "$runs" "$@" <<'PY'
import subprocess, sys, time
runs, command = int(sys.argv[1]), sys.argv[2:]
times = []
for _ in range(runs):
    start = time.perf_counter()
    code = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    times.append(time.perf_counter() - start)
    if code not in (0, 1):
        sys.exit(f"{command[0]} ended with {code}")
print(f"{min(times) * 1000:.1f}")
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

echo "files: ${#hubs[@]} hub.json, ${#tests[@]} tests.json; times in ms, best of $runs"
printf '%-22s %10s %18s %8s\n' '' hub-lint check-jsonschema ratio
row() { python3 -c 'import sys; n, a, b = sys.argv[1], *map(float, sys.argv[2:]); print(f"{n:<22} {a:>10.1f} {b:>18.1f} {b / a:>8.1f}")' "$@"; }
row "one file" "$(best "$lint" hub-lint "$one")" \
    "$(best "$checker" --schemafile schemas/hub.schema.json "$one")"
row "every hub.json" "$(best "$lint" hub-lint "${hubs[@]}")" \
    "$(best "$checker" --schemafile schemas/hub.schema.json "${hubs[@]}")"
row "a file of 1 MB" "$(best "$lint" hub-lint "$mb")" \
    "$(best "$checker" --schemafile schemas/hub.schema.json "$mb")"
printf '%-22s %10.1f\n' "the whole corpus" "$(best "$lint" hub-lint "${hubs[@]}" "${tests[@]}")"
