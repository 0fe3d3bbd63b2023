#!/usr/bin/env bash
# Usage: scripts/test-gpu-software.sh [--help]
#
# Runs the network on a GPU made of software: Mesa's lavapipe, through ONNX Runtime's WebGPU. Sets both up in .cache (40 MB to
# download), then runs the detector's tests of devices and those of img2posedetect there, then two pipelines with
# gst-launch-1.0: one that must find the faces that it finds on the processor, one that must fail because there is no
# device. Shaders are compiled in the first run, which takes minutes more; they are kept in .cache/mesa-shaders.
#
# Shows what a device's memory, shaders and queues do. Speed, and the driver of a real GPU, it cannot show: scripts/gpu-check.sh.
#
# A part of scripts/test.sh. VK_DRIVER_FILES in the environment takes another Vulkan device than lavapipe.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"
# shellcheck source=scripts/lib/software-gpu.sh
source "$ROOT/scripts/lib/software-gpu.sh"
no_arguments "$@"

setup_base
if [[ $(uname -m) != x86_64 ]]; then
    say "skipped: PyPI has ONNX Runtime with WebGPU for x86_64 only"
    [[ -z ${IMG2POSE_SKIPPED:-} ]] || printf 'test-gpu-software: not on %s\n' "$(uname -m)" >>"$IMG2POSE_SKIPPED"
    exit
fi
processor=$ORT_DYLIB_PATH
[[ -n ${VK_DRIVER_FILES:-} ]] || lavapipe_ensure
onnxruntime_webgpu_ensure
export GST_REGISTRY=$CACHE/gst-registry-test.bin IMG2POSE_TEST_DEVICE=webgpu
cd "$ROOT"

step "Tests on $VK_DRIVER_FILES"
# One at a time: they would wait for each other, and count the wait as their own time.
cargo test --locked -p img2pose --lib -- --test-threads 1 engine::bound </dev/null
cargo test --locked -p gst-plugin-img2pose --test detect -- --test-threads 1 device:: </dev/null

step 'gst-launch-1.0'
media_ensure
cargo build --locked -p gst-plugin-img2pose --lib </dev/null
export GST_PLUGIN_PATH=${CARGO_TARGET_DIR:-$ROOT/target}/debug
mkdir -p "$ROOT/out"
# faces PROVIDER: what img2posedetect finds there in eight frames of a video, as JSON lines in out/gpu-PROVIDER.jsonl.
faces() {
    local decoder
    decoder=(filesrc location="$MEDIA/WolfgangLanger_Pexels.mp4" ! decodebin ! videoconvert ! 'video/x-raw,format=I420')
    gst-launch-1.0 -q "${decoder[@]}" ! identity eos-after=9 ! img2posedetect model="$ROOT/models/img2pose-slim.onnx" \
        min-size=160 batch-size=3 execution-provider="$1" ! img2posejson ! filesink location="$ROOT/out/gpu-$1.jsonl" </dev/null
}
failed=0
rm -f "$ROOT"/out/gpu-*.jsonl
if ORT_DYLIB_PATH=$processor faces cpu && faces webgpu &&
    /usr/bin/python3 "$ROOT/scripts/lib/faces.py" same "$ROOT/out/gpu-webgpu.jsonl" --as "$ROOT/out/gpu-cpu.jsonl"; then
    passed=1
else
    passed=0 failed=1
fi
# Where there is no device nothing takes its place: what passed above was computed on it.
if VK_DRIVER_FILES=/nonexistent faces webgpu >"$ROOT/out/gpu-none.log" 2>&1; then
    say 'error: webgpu ran although Vulkan has no device'
    failed=$((failed + 1))
elif ! grep -q 'no GPU with a Vulkan driver' "$ROOT/out/gpu-none.log"; then
    cat "$ROOT/out/gpu-none.log" >&2
    say 'error: without a device the message does not say so'
    failed=$((failed + 1))
else
    passed=$((passed + 1))
fi
printf 'test result: pipelines. %d passed; %d failed; 0 ignored\n' "$passed" "$failed"
exit $((failed > 0))
