#!/usr/bin/env bash
# Usage: scripts/repeat.sh TIMES [NAME]
#
# Runs all tests of img2posedetect (tests/detect*), or those of one file (such as detect), so many times in a row, to find
# what fails only now and then, and stops at the first failure. 100 times take about an hour on two cores, those of
# detect alone a quarter of that. The random ones run 100 sequences each time
# (IMG2POSE_RANDOM_CASES), other ones every time. The output of the last run is kept in out/repeat.log.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

options ... -- "$@"
((${#ARGUMENTS[@]} == 1 || ${#ARGUMENTS[@]} == 2)) || die "expected a number of times, and at most one name; see --help"
times=${ARGUMENTS[0]}
whole_numbers "$times"
only=${ARGUMENTS[1]:-}
[[ -z $only || -e $ROOT/tests/$only.rs || -e $ROOT/tests/$only/main.rs ]] || die "there is no tests/$only; see --help"
cases=${IMG2POSE_RANDOM_CASES:-100}
export IMG2POSE_RANDOM_CASES=$cases

setup_base
cd "$ROOT"
mkdir -p out
export GST_REGISTRY=$CACHE/gst-registry-test.bin
log=$ROOT/out/repeat.log

step 'Building the tests'
# Copies, so that a build in the meantime does not change what is tested.
programs=$(mktemp -d)
trap 'rm -rf "$programs"' EXIT
cargo test --locked -p gst-plugin-img2pose --no-run --message-format=json </dev/null |
    sed -n 's/.*"name":"\(detect[a-z_]*\)".*"executable":"\([^"]*\)".*/\1 \2/p' |
    while read -r name file; do
        [[ -n $only && $name != "$only" ]] || cp "$file" "$programs/$name"
    done
[[ -e $programs/${only:-detect} ]] || die "tests/${only:-detect} is not among what cargo has built"

export CARGO_MANIFEST_DIR=$ROOT
began=$SECONDS
for ((run = 1; run <= times; run++)); do
    for program in "$programs"/*; do
        IMG2POSE_RANDOM_SEED=$((run * 1000000)) "$program" >"$log" 2>&1 || {
            tail -n 60 "$log" >&2
            die "$(basename "$program") failed in run $run of $times; its output is in $log"
        }
    done
    ((run % 10)) || printf 'run %d of %d, %d s\n' "$run" "$times" $((SECONDS - began))
done
printf 'all tests of img2posedetect (%s) passed %d times in a row in %d s\n' \
    "$(basename -a "$programs"/* | paste -sd' ')" "$times" $((SECONDS - began))
