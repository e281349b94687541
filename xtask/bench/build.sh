#!/usr/bin/env bash
# A cold build of the tool: what a contributor waits for once. Crates are downloaded before.
#
#   xtask/bench/build.sh
#
# Targets: at most 45 s on two idle cores, at most 90 crates.

source "$(dirname "$0")/lib.sh"
cd "$root"
cargo fetch --quiet --locked
jobs=2
start=$(now)
CARGO_TARGET_DIR=$scratch/target cargo build --quiet --locked --package xtask --jobs $jobs 2>"$scratch/output" ||
    { cat "$scratch/output" >&2; exit 1; }
time=$((($(now) - start) / 1000000))
# The seconds of processor time tell a slow build from a busy machine.
times >"$scratch/times"
processor=$(sed -n 2p "$scratch/times")
crates=$(cargo tree --locked --package xtask --edges normal,build --prefix none --target all \
    --format '{p}' | sed 's/ (.*//' | sort -u | wc -l)
here=$(cargo tree --locked --package xtask --edges normal,build --prefix none \
    --format '{p}' | sed 's/ (.*//' | sort -u | wc -l)
echo "# $(cargo --version), $jobs jobs, $(machine)"
echo "cold build: $((time / 1000)).$(printf '%03d' $((time % 1000))) s (≤45 s); processor time, user and system: $processor"
echo "crates built here: $here (≤90); in the lock for all platforms: $crates"
