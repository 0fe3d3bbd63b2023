#!/usr/bin/env bash
# Usage: scripts/test-gpu-software.sh [--help]
#
# Runs the network on a GPU made of software: Mesa's lavapipe, through ONNX Runtime's WebGPU. Sets both up in .cache (50 MB to
# download), then runs the detector's tests of devices and those of img2posedetect there, some of them with WebGPU as a
# library of its own (execution-provider=plugin), too, then pipelines with gst-launch-1.0: they must find the faces that they
# find on the processor, and fail where there is no device. Shaders are compiled in the first run, which takes minutes more; they are kept in .cache/mesa-shaders.
#
# Shows what a device's memory, shaders and queues do. Speed, and the driver of a real GPU, it cannot show: scripts/gpu-check.sh.
#
# A part of scripts/test.sh. VK_DRIVER_FILES in the environment takes another Vulkan device than lavapipe.

# Functions are called through check:
# shellcheck disable=SC2317
# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"
no_arguments "$@"

setup_base
processor=$ORT_DYLIB_PATH
[[ -n ${VK_DRIVER_FILES:-} ]] || lavapipe_ensure
webgpu_plugin_ensure
# What the library offers without a GPU.
export ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1
export GST_REGISTRY=$CACHE/gst-registry-test.bin
webgpu=''
if [[ $(uname -m) == x86_64 ]]; then
    onnxruntime_webgpu_ensure
    webgpu=$ORT_DYLIB_PATH
else
    say "skipped: PyPI has ONNX Runtime with WebGPU built in for x86_64 only"
    [[ -z ${IMG2POSE_SKIPPED:-} ]] || printf 'test-gpu-software: webgpu, not on %s\n' "$(uname -m)" >>"$IMG2POSE_SKIPPED"
fi
cd "$ROOT"

# on PROVIDER COMMAND...: runs tests there.
on() {
    local provider=$1 library=$processor
    [[ $provider != webgpu ]] || library=$webgpu
    shift
    # One at a time: they would wait for each other, and count the wait as their own time.
    ORT_DYLIB_PATH=$library IMG2POSE_TEST_DEVICE=$provider IMG2POSE_TEST_PLUGIN=$WEBGPU_PLUGIN "$@" -- --test-threads 1 </dev/null
}
step "Tests on $VK_DRIVER_FILES"
if [[ $webgpu ]]; then
    on webgpu cargo test --locked -p img2pose --lib engine::bound
    on webgpu cargo test --locked -p gst-plugin-img2pose --test detect device::
fi
on plugin cargo test --locked -p img2pose --lib bound::tests::the_device
on plugin cargo test --locked -p img2pose --test detector providers::plugin

step 'gst-launch-1.0'
media_ensure
cargo build --locked -p gst-plugin-img2pose --lib </dev/null
export GST_PLUGIN_PATH=${CARGO_TARGET_DIR:-$ROOT/target}/debug
mkdir -p "$ROOT/out"
# faces PROVIDER [PROPERTY...]: what img2posedetect finds there in eight frames of a video, as JSON lines in out/gpu-PROVIDER.jsonl.
faces() {
    local decoder provider=$1
    shift
    decoder=(filesrc location="$MEDIA/WolfgangLanger_Pexels.mp4" ! decodebin ! videoconvert ! 'video/x-raw,format=I420')
    gst-launch-1.0 -q "${decoder[@]}" ! identity eos-after=12 ! img2posedetect model="$ROOT/models/img2pose-slim.onnx" \
        min-size=128 batch-size=3 execution-provider="$provider" "$@" ! img2posejson ! filesink location="$ROOT/out/gpu-$provider.jsonl" \
        </dev/null || return
    # The frame that ends the stream is not always the same one.
    sed -i '9,$d' "$ROOT/out/gpu-$provider.jsonl"
}
same() { python3 "$ROOT/scripts/lib/faces.py" same "$ROOT/out/gpu-$1.jsonl" --as "$ROOT/out/gpu-cpu.jsonl"; }
rm -f "$ROOT"/out/gpu-*.jsonl
export ORT_DYLIB_PATH=$processor
check 'on the processor' faces cpu
check 'on the plugin' faces plugin provider-library="$WEBGPU_PLUGIN"
check 'the faces of the plugin' same plugin
if [[ $webgpu ]]; then
    export ORT_DYLIB_PATH=$webgpu
    check 'on webgpu' faces webgpu
    check 'the faces of webgpu' same webgpu
    # Where there is no device nothing takes its place: what ran above was computed on it.
    no_device() {
        ! VK_DRIVER_FILES=/nonexistent faces webgpu >"$ROOT/out/gpu-none.log" 2>&1 &&
            grep -q 'no GPU with a Vulkan driver' "$ROOT/out/gpu-none.log"
    }
    check 'without a device: an error that says so (out/gpu-none.log)' no_device
fi
checks_end pipelines
