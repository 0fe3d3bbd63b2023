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
# launch NAME PIPELINE...: runs it behind the video; what GStreamer says goes to out/gpu-NAME.log.
launch() {
    local log=$ROOT/out/gpu-$1.log
    shift
    gst-launch-1.0 -v filesrc location="$MEDIA/WolfgangLanger_Pexels.mp4" ! decodebin ! videoconvert ! 'video/x-raw,format=I420' \
        ! identity eos-after=12 ! "$@" </dev/null >"$log" 2>&1 || {
        cat "$log"
        return 1
    }
}
# faces NAME PROVIDER [PROPERTY...]: what img2posedetect finds there in eight frames, as JSON lines in out/gpu-NAME.jsonl.
detect=(img2posedetect model="$ROOT/models/img2pose-slim.onnx" min-size=128)
faces() {
    local name=$1 provider=$2
    shift 2
    launch "$name" "${detect[@]}" execution-provider="$provider" "$@" ! img2posejson ! filesink location="$ROOT/out/gpu-$name.jsonl" || return
    grep -q "active-provider = $provider" "$ROOT/out/gpu-$name.log" || {
        echo "active-provider does not say $provider"
        return 1
    }
    # The frame that ends the stream is not always the same one.
    sed -i '9,$d' "$ROOT/out/gpu-$name.jsonl"
}
# two PROVIDER [PROPERTY...]: the same by two elements at once, in batches of 2 and of 3; in out/gpu-one.jsonl and gpu-other.jsonl.
two() {
    local provider=$1 name
    shift
    launch two tee name=t ! queue ! "${detect[@]}" batch-size=2 execution-provider="$provider" "$@" ! img2posejson \
        ! filesink location="$ROOT/out/gpu-one.jsonl" t. ! queue ! "${detect[@]}" batch-size=3 execution-provider="$provider" "$@" ! img2posejson \
        ! filesink location="$ROOT/out/gpu-other.jsonl" || return
    for name in one other; do
        sed -i '9,$d' "$ROOT/out/gpu-$name.jsonl"
    done
}
# no_device PROVIDER [PROPERTY...]: where there is none nothing takes its place, so what else runs here is computed on it.
no_device() {
    ! VK_DRIVER_FILES=/nonexistent faces none "$@" && grep 'no GPU with a Vulkan driver' "$ROOT/out/gpu-none.log"
}
same() { python3 "$ROOT/scripts/lib/faces.py" same "$ROOT/out/gpu-$1.jsonl" --as "$ROOT/out/gpu-cpu.jsonl"; }
rm -f "$ROOT"/out/gpu-*.jsonl "$ROOT"/out/gpu-*.log
export ORT_DYLIB_PATH=$processor
check 'on the processor' faces cpu cpu batch-size=3
check 'on the plugin' faces plugin plugin batch-size=3 provider-library="$WEBGPU_PLUGIN"
check 'the faces of the plugin' same plugin
# It offers a device even so.
check 'the plugin without a device: an error that says so' no_device plugin provider-library="$WEBGPU_PLUGIN"
if [[ $webgpu ]]; then
    export ORT_DYLIB_PATH=$webgpu
    for batch_size in 1 4; do
        check "on webgpu in batches of $batch_size" faces "webgpu-$batch_size" webgpu batch-size="$batch_size"
        check "the faces of webgpu in batches of $batch_size" same "webgpu-$batch_size"
    done
    check 'two elements on webgpu' two webgpu
    check 'the faces of the one' same one
    check 'the faces of the other' same other
    check 'webgpu without a device: an error that says so' no_device webgpu
fi
# What scripts/gpu-check.sh does with them on a GPU of NVIDIA's: here with a stand-in for its driver, and the network on the processor, which
# builds for tests let read the stand-in's memory.
on_stand_in() {
    local driver=$CACHE/stand-in-for-nvidia library
    mkdir -p "$driver"
    for library in libcuda libnvcuvid; do
        cc -O1 -fPIC -shared -pthread -o "$driver/$library.so.1" "crates/test-support/cuda/$library.c" || return
    done
    export LD_LIBRARY_PATH=$driver${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} GST_REGISTRY=$driver/registry.bin IMG2POSE_TEST_CUDA_MEMORY=yes
    export ORT_DYLIB_PATH=$processor
    cuda_frames cpu "$ROOT/models/img2pose-slim.onnx" "$MEDIA/WolfgangLanger_Pexels.mp4"
}
# not_copied: without the copies the check must fail, and say why.
not_copied() {
    local said
    ! said=$(IMG2POSE_STAND_IN_REFUSES=yes on_stand_in 2>&1) && grep -F ' 0 copied on the GPU' <<<"$said" && grep -F 'cuMemcpy2DAsync' <<<"$said"
}
check 'frames in CUDA memory, as gpu-check tries them' on_stand_in
if gst-inspect-1.0 nvcodec >/dev/null 2>&1 && [[ $(gst-inspect-1.0 --version) == *' 1.22.'* ]]; then
    check 'gpu-check fails where they are not copied' not_copied
fi
checks_end pipelines
