#!/usr/bin/env bash
# Usage: scripts/fuzz.sh SECONDS [TARGET...]
#
# Feeds random bytes to everything that reads what others have written, each target for so many seconds:
#   checkpoint  torch and safetensors files of any bytes
#   torch       torch files built entry by entry and instruction by instruction, that lie about sizes
#   safetensors safetensors files whose headers lie
#   npy         pose statistics whose headers lie
#   model       ONNX files and their metadata
#   model_graph ONNX files of which single parts are damaged
#   frame       sizes, strides and lengths of frames
#   buffer      what a buffer says of its frame, through the elements that write and cut
#   record      the faces on a buffer
# Needs the nightly Rust toolchain; builds cargo-fuzz into .cache. fuzz/corpus holds the files to start from; what is
# found on the way stays in .cache/fuzz. An input that fails is written to fuzz/artifacts and ends the script.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

CARGO_FUZZ_VERSION=0.13.2
# MiB. A reader that believes a length in a file dies of it.
MOST_MEMORY=1024

options ... -- "$@"
seconds=${ARGUMENTS[0]:-}
[[ -n $seconds ]] || die "expected a number of seconds; see --help"
whole_numbers "$seconds"
targets=("${ARGUMENTS[@]:1}")
if ((${#targets[@]} == 0)); then
    for file in "$ROOT"/fuzz/targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi
for target in "${targets[@]}"; do
    [[ -f $ROOT/fuzz/targets/$target.rs ]] || die "there is no target '$target'; see --help"
done

setup_base
cargo +nightly --version >/dev/null 2>&1 || die "the nightly Rust toolchain is needed: 'rustup toolchain install nightly'"
PATH=$(cargo_tool cargo-fuzz "$CARGO_FUZZ_VERSION"):$PATH
cd "$ROOT"
# Under the address sanitizer GLib's own allocator would hide what is freed.
export G_SLICE=always-malloc
# Leaks are scripts/sanitize.sh's matter, which knows what libraries keep.
export ASAN_OPTIONS=detect_leaks=0
for target in "${targets[@]}"; do
    step "Fuzzing $target for $seconds s"
    mkdir -p "$CACHE/fuzz/$target" "fuzz/corpus/$target"
    # The first folder takes what is found.
    cargo +nightly fuzz run --target-dir "$CACHE/fuzz/target" "$target" "$CACHE/fuzz/$target" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -rss_limit_mb="$MOST_MEMORY" -malloc_limit_mb="$MOST_MEMORY" -timeout=60 \
        -detect_leaks=0 -print_final_stats=1 >"$CACHE/fuzz/$target.log" 2>&1 || {
        tail -n 40 "$CACHE/fuzz/$target.log" >&2
        die "$target failed; the input is in fuzz/artifacts/$target, the whole log is $CACHE/fuzz/$target.log"
    }
    printf '%s: %s runs, no failure\n' "$target" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$CACHE/fuzz/$target.log")"
done
