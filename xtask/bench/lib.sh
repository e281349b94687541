# Shared by the benchmarks: sourced, not run.
#
# Every benchmark measures all contenders side by side in one run, takes the median of the rounds,
# and says on what machine. Nothing outside of a scratch folder is written, but for the build.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Git does the same whoever runs it: no settings of the user or the machine, and no housekeeping
# in the background and no waiting for the disk while something is measured.
printf '[core]\n\tfsync = none\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[init]\n\tdefaultBranch = main\n' \
    >"$scratch/gitconfig"
export GIT_CONFIG_GLOBAL=$scratch/gitconfig GIT_CONFIG_SYSTEM=/dev/null
export GIT_AUTHOR_NAME=bench GIT_AUTHOR_EMAIL=bench@example.org
export GIT_COMMITTER_NAME=bench GIT_COMMITTER_EMAIL=bench@example.org

# now: nanoseconds.
now() { date +%s%N; }

# timed COMMAND…: runs it quietly and prints the milliseconds it took; on failure its output.
timed() {
    local start end
    start=$(now)
    "$@" >"$scratch/output" 2>&1 || { cat "$scratch/output" >&2; return 1; }
    end=$(now)
    echo $(((end - start) / 1000000))
}

# median NUMBER…
median() { printf '%s\n' "$@" | sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }

# ratio A B: A / B with two digits.
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / (b > 0 ? b : 1) }'; }

machine() {
    echo "$(git --version), $(nproc) cores, $(uname -sr), load $(cut -d' ' -f1 /proc/loadavg 2>/dev/null || echo unknown), $(date -u +%Y-%m-%d)"
}

# Builds the tool as `cargo xtask` does and sets `tool` to the program.
build_tool() {
    (cd "$root" && cargo build --quiet --package xtask) 2>"$scratch/output" ||
        { cat "$scratch/output" >&2; return 1; }
    local target
    target=$(cd "$root" && cargo metadata --format-version 1 --no-deps |
        sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
    tool=$target/debug/xtask
}

# commit DIR MESSAGE: everything in DIR.
commit() {
    git -C "$1" add --all
    git -C "$1" commit --quiet --message "$2"
}
