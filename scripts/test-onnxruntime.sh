#!/usr/bin/env bash
# Usage: scripts/test-onnxruntime.sh [VERSION]... [--help]
#
# Runs the detector and the plugin, as they are built for every version of ONNX Runtime, with several: the oldest that they load, that
# of Debian 13, and the newest that is tested. With each (but the newest, which cargo test runs with) the detector's tests of models, providers and numbers; then
# gst-launch-1.0 with a video, in fp32 and in 8 bits, which must find the faces that it finds with the newest: to 0.001 pixels in
# fp32. In 8 bits versions have kernels of their own, 1.21 the least exact, so that boxes may be 6 pixels off in a picture of 640x360. VERSION chooses
# among those in scripts/lib/wheels.txt. The libraries lie in .cache (20 MB each).
#
# A part of scripts/test.sh.

# Functions are called through check:
# shellcheck disable=SC2317
# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"
options ... -- "$@"

setup_base
media_ensure
cd "$ROOT"
newest=$(wheel_version onnxruntime)
versions=("${ARGUMENTS[@]}")
if ((${#versions[@]} == 0)); then
    mapfile -t versions < <(sed -n 's/^onnxruntime==\([0-9.]*\) .*/\1/p' scripts/lib/wheels.txt)
fi
cargo build --locked -p gst-plugin-img2pose --lib </dev/null
export GST_PLUGIN_PATH=${CARGO_TARGET_DIR:-$ROOT/target}/debug
export GST_REGISTRY=$CACHE/gst-registry-test.bin
results=$ROOT/out/onnxruntime
rm -rf "$results"
mkdir -p "$results"

# faces VERSION PRECISION: what img2posedetect finds in eight frames of a video, as JSON lines.
faces() {
    local lines=$results/$1-$2.jsonl
    gst-launch-1.0 -q filesrc location="$MEDIA/WolfgangLanger_Pexels.mp4" ! decodebin ! videoconvert ! 'video/x-raw,format=I420' \
        ! identity eos-after=12 ! img2posedetect model="$ROOT/models/img2pose-slim.onnx" min-size=128 batch-size=3 \
        execution-provider=cpu precision="$2" ! img2posejson ! filesink location="$lines" </dev/null || return
    # The frame that ends the stream is not always the same one.
    sed -i '9,$d' "$lines"
}
# The newest comes first: its faces are those that the others must find.
for version in "$newest" "${versions[@]}"; do
    ORT_DYLIB_PATH=$(onnxruntime_of "$version")
    export ORT_DYLIB_PATH
    for precision in fp32 int8; do
        within=()
        [[ $precision == fp32 ]] || within=(--pixels 6 --score 0.01)
        [[ -f $results/$version-$precision.jsonl ]] || check "ONNX Runtime $version: a video in $precision" faces "$version" "$precision"
        [[ $version == "$newest" ]] || check "ONNX Runtime $version: the faces of $newest in $precision" python3 scripts/lib/faces.py \
            same "$results/$version-$precision.jsonl" --as "$results/$newest-$precision.jsonl" "${within[@]}"
    done
done
broken=''
for version in "${versions[@]}"; do
    # `cargo test` runs with the newest.
    [[ $version != "$newest" || ${#ARGUMENTS[@]} -gt 0 ]] || continue
    step "The detector's tests with ONNX Runtime $version"
    ORT_DYLIB_PATH=$(onnxruntime_of "$version")
    export ORT_DYLIB_PATH
    IMG2POSE_TEST_ONNXRUNTIME=$version cargo test --locked -p img2pose --test detector -- \
        golden::faces golden::batch precision:: providers:: views:: </dev/null || broken=yes
done
checks_end 'versions of ONNX Runtime' && [[ -z $broken ]]
