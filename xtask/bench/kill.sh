#!/usr/bin/env bash
# Kills migrate at random moments and sees that nothing is lost.
#
#   xtask/bench/kill.sh [KILLS] [SEED] [files|reftable]     default: 200 kills; refs kept in files
#
# Each round takes the bundled legacy worker, kills `migrate` (in turn: staged, with --commit, and
# with the whole process group, git included) after a random time, up to twice what it takes, then
# in one copy finishes with --resume and in another takes back with --abort. What must come out is
# the tree of an undisturbed run, and the work tree and index from before. Prints where the kills
# fell and ends with 1 at the first repository that is neither.

source "$(dirname "$0")/lib.sh"
kills=${1:-200}
seed=${2:-$RANDOM}
RANDOM=$seed
refs=${3:-files}
format=(); [ "$refs" = files ] || format=("--ref-format=$refs")
export GIT_AUTHOR_DATE='2024-05-06T07:08:09 +0000' GIT_COMMITTER_DATE='2024-05-06T07:08:09 +0000'

build_tool
example=$root/xtask/example
cp -R "$example/upstream" "$scratch/upstream"
cp -R "$example/legacy" "$scratch/start"
for repository in upstream start; do
    git init --quiet "${format[@]}" "$scratch/$repository"
    commit "$scratch/$repository" "$repository"
done

# What a repository is: every file that git may see, the index, and HEAD.
state() {
    (cd "$1" && git ls-files --stage && git rev-parse HEAD &&
        find . -name .git -prune -o \( -type f -o -type l \) -print0 | sort -z | xargs -0 sha256sum)
}

fail() {
    echo "kill $number ($how after $delay ms, seed $seed): $1" >&2
    trap - EXIT
    echo "the repository is left in $scratch/$2" >&2
    exit 1
}

migrate() {
    "$tool" -C "$scratch/$1" migrate "${@:2}" >"$scratch/output" 2>&1 && return
    # A git that was killed with the tool left it, and it says of nobody whose it is: a person
    # removes it, as they are told.
    local lock=$scratch/$1/.git/reftable/tables.list.lock
    grep -qF "$lock is there" "$scratch/output" || return
    rm "$lock"
    "$tool" -C "$scratch/$1" migrate "${@:2}" >"$scratch/output" 2>&1
}

state "$scratch/start" >"$scratch/before"
whole=1000000
for round in 1 2 3 4; do
    way=$([ $((round % 2)) = 0 ] && echo commit || echo staged)
    [ $way = commit ] && options=(--commit) || options=()
    cp -a "$scratch/start" "$scratch/undisturbed"
    begun=$(now)
    migrate undisturbed --upstream "$scratch/upstream" "${options[@]}"
    took=$((($(now) - begun) / 1000000))
    whole=$((took < whole ? took : whole))
    state "$scratch/undisturbed" >"$scratch/after-$way"
    rm -rf "$scratch/undisturbed"
done

untouched=0 between=0 finished=0
for ((number = 1; number <= kills; number++)); do
    case $((number % 3)) in
    0) how=staged options=() target=after-staged ;;
    1) how=commit options=(--commit) target=after-commit ;;
    2) how=group options=() target=after-staged ;;
    esac
    delay=$((RANDOM % (whole * 2 + 1)))
    rm -rf "$scratch/killed" "$scratch/copy"
    cp -a "$scratch/start" "$scratch/killed"
    # A session of its own, so that a kill can mean the process alone or git as well.
    setsid "$tool" -C "$scratch/killed" migrate --upstream "$scratch/upstream" \
        "${options[@]}" >/dev/null 2>&1 &
    process=$!
    sleep "$(awk -v ms=$delay 'BEGIN { print ms / 1000 }')"
    if [ $how = group ]; then kill -KILL -- "-$process" 2>/dev/null || true
    else kill -KILL "$process" 2>/dev/null || true; fi
    wait "$process" 2>/dev/null || true

    # A copy would not be held by a git that goes on, so the one in place is finished first.
    [ $how = group ] && cp -a "$scratch/killed" "$scratch/copy"
    if migrate killed --resume; then between=$((between + 1))
    elif grep -q 'no migration to' "$scratch/output"; then
        if state "$scratch/killed" | cmp -s - "$scratch/$target"; then finished=$((finished + 1))
        else
            state "$scratch/killed" | cmp -s - "$scratch/before" || fail 'neither before nor after' killed
            untouched=$((untouched + 1))
            migrate killed --upstream "$scratch/upstream" "${options[@]}" ||
                fail 'untouched, and a new run does not work' killed
        fi
    elif grep -q 'staged here and not committed yet' "$scratch/output"; then finished=$((finished + 1))
    else
        cat "$scratch/output" >&2
        fail '--resume does not work' killed
    fi
    state "$scratch/killed" | cmp -s - "$scratch/$target" || fail 'not the tree of an undisturbed run' killed

    # What is finished and staged can be taken back as well.
    if [ $how = group ]; then aborted=copy; else aborted=killed; fi
    if [ $how != commit ]; then
        migrate $aborted --abort || grep -q 'no migration to' "$scratch/output" || {
            cat "$scratch/output" >&2
            fail '--abort does not work' $aborted
        }
        state "$scratch/$aborted" | cmp -s - "$scratch/before" || fail 'not the tree from before' $aborted
    fi
done
echo "# $(machine), refs in $refs, seed $seed, an undisturbed run takes $whole ms"
echo "$kills kills: $untouched before anything was written, $between in between, $finished after the last step; nothing was lost"
