#!/usr/bin/env bash
# Usage: scripts/gpu-check.sh [--model FILE] [--provider cuda|tensorrt|webgpu] [--video FILE] [--check-only]
#
# On a machine with a GPU: fetches what runs on it into .cache, builds, checks that the provider is really used, compares
# its faces with the processor's, and prints the bench table. With cuda and tensorrt also: whether frames that are in CUDA memory already
# are copied to the network on the GPU, and have the same faces. All that it says is kept in out/gpu-check.txt.
#
# cuda and tensorrt are for NVIDIA GPUs: ONNX Runtime's GPU build and the CUDA libraries that the driver can run, about 3 GB
# from PyPI (TensorRT's come from NVIDIA's index); needs Rust and Python 3.11 or newer. webgpu is for GPUs of any maker with a Vulkan
# driver, 25 MB; needs Rust.
#
#   --model FILE     default: the model that the project ships
#   --provider NAME  cuda (default), tensorrt or webgpu
#   --video FILE     default: the demo's clip
#   --check-only     says whether this machine has what is needed, and ends
#
# At fp32 every face must have its partner, boxes within 1 px and confidences within 0.001; at fp16 99 % must have one.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

model=$ROOT/models/img2pose-slim.onnx provider=cuda video='' check_only=''
options model= provider= video= check-only -- "$@"
[[ -f $model ]] || die "no such model: $model"
case $provider in
cuda) places=cpu,cuda,cuda:fp16 ;;
tensorrt) places=cpu,tensorrt,tensorrt:fp16 ;;
webgpu) places=cpu,webgpu,webgpu:fp16 ;;
*) die "--provider is '$provider'; expected cuda, tensorrt or webgpu" ;;
esac
[[ $(uname -m) == x86_64 ]] || die "this check is for x86_64; this machine is $(uname -m)"

# Where the check ends is where its report ends.
if [[ -z $check_only ]]; then
    mkdir -p "$ROOT/out"
    exec > >(tee "$ROOT/out/gpu-check.txt") 2>&1
    say "$(git -C "$ROOT" describe --always --dirty 2>/dev/null || true) $provider, $(uname -srm), $(sed -n 's/^PRETTY_NAME=//p' /etc/os-release)"
    sed -n 's/^model name[^:]*: /processor: /p' /proc/cpuinfo | sort | uniq -c >&2
fi

# webgpu_set_up: finds a GPU with a Vulkan driver, and sets ORT_DYLIB_PATH to the ONNX Runtime that runs on it.
webgpu_set_up() {
    local devices
    mkdir -p "$CACHE"
    [[ -n $check_only ]] || have vulkaninfo || apt_ensure vulkan-tools
    have vulkaninfo || die "vulkaninfo, which lists the GPUs with a Vulkan driver, was not found (Debian: vulkan-tools)"
    devices=$(vulkaninfo --summary 2>/dev/null | grep -E 'deviceType|deviceName|driverInfo|driverName' || true)
    grep -q -E 'deviceType.*(DISCRETE|INTEGRATED|VIRTUAL)_GPU' <<<"$devices" ||
        die "Vulkan has no GPU${devices:+, only:
$devices
}; install the GPU's driver (NVIDIA's own; for AMD and Intel mesa-vulkan-drivers, 25 or newer), and start again"
    printf '%s\n' "$devices" >&2
    [[ -z $check_only ]] || exit 0
    apt_ensure_base
    rust_ensure
    onnxruntime_webgpu_ensure
    judge=/usr/bin/python3
}

# nvidia_set_up: finds an NVIDIA GPU and the libraries that its driver can run, and sets ORT_DYLIB_PATH and LD_LIBRARY_PATH.
nvidia_set_up() {
    local proc driver version cuda gpu python packages
    # What pip cannot bring: the device and its driver.
    proc=${IMG2POSE_NVIDIA_PROC:-/proc/driver/nvidia}
    [[ -f $proc/version ]] ||
        die "no NVIDIA driver: there is no $proc/version. Install the driver (Debian: nvidia-driver), reboot, and start again"
    compgen -G "$proc/gpus/*/information" >/dev/null ||
        die "the NVIDIA driver is loaded but sees no GPU: $proc/gpus is empty"
    # Each build is for one major version of CUDA, and each of those needs a driver of its time.
    driver=$(grep -o -m 1 -E '[0-9]{3}\.[0-9]+(\.[0-9]+)?' "$proc/version" | head -n 1 || true)
    if [[ -z $driver ]]; then
        die "$proc/version does not tell the driver's version"
    elif ((${driver%%.*} >= 580)); then
        version=1.31.1 cuda=13
    elif ((${driver%%.*} >= 525)); then
        version=1.26.0 cuda=12
    else
        die "the NVIDIA driver is $driver; 525 or newer is needed (CUDA 12), better 580 (CUDA 13)"
    fi
    # Not through a pipe: grep would end first, and pipefail take that for a failure.
    [[ $(PATH=$PATH:/sbin:/usr/sbin ldconfig -p) == *libcuda.so.1* ]] ||
        die "libcuda.so.1, the driver's library, was not found (Debian: libcuda1)"
    sed -n 's/^Model:[[:space:]]*/GPU: /p' "$proc"/gpus/*/information >&2
    say "driver $driver: CUDA $cuda, onnxruntime-gpu $version"
    [[ -z $check_only ]] || exit 0

    mkdir -p "$CACHE"
    apt_ensure_base
    rust_ensure

    gpu=$CACHE/onnxruntime-gpu-$version-$provider
    if [[ ! -x $gpu/bin/python ]]; then
        step "Fetching onnxruntime-gpu $version and the libraries of CUDA $cuda from PyPI into ${gpu#"$ROOT"/}"
        python=$(python_with_pip)
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
            die "onnxruntime-gpu $version needs Python 3.11 or newer; $python is $("$python" --version)"
        rm -rf "$gpu.new"
        "$python" -m venv "$gpu.new" 2>/dev/null || {
            apt_ensure python3-venv
            "$python" -m venv "$gpu.new" || die "$python cannot make a virtual environment; see the lines above"
        }
        packages=("onnxruntime-gpu[cuda,cudnn]==$version")
        # Both builds are linked against TensorRT 10.
        [[ $provider != tensorrt ]] || packages+=("tensorrt-cu$cuda==10.*")
        pip_install "$gpu.new" "${packages[@]}" || die "pip could not install ${packages[*]}; see the lines above"
        mv "$gpu.new" "$gpu"
    fi
    ORT_DYLIB_PATH=$(find "$gpu/lib" -name 'libonnxruntime.so.*' | head -n 1)
    [[ -n $ORT_DYLIB_PATH ]] || die "$gpu holds no libonnxruntime.so; delete that folder and start again"
    export ORT_DYLIB_PATH
    # The wheels put each CUDA library into a folder of its own.
    LD_LIBRARY_PATH=$(find "$gpu/lib" -name '*.so*' -path '*nvidia*' -printf '%h\n' -o -name 'libnvinfer*.so*' -printf '%h\n' |
        sort -u | paste -sd:)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export LD_LIBRARY_PATH
    judge=$gpu/bin/python
}

judge=''
case $provider in
webgpu) webgpu_set_up ;;
*) nvidia_set_up ;;
esac

plugin_build
(cd "$ROOT" && cargo build --release --locked --quiet -p img2pose-bench >&2) || die "the build failed; see the lines above"
if [[ -z $video ]]; then
    media_ensure
    video=$MEDIA/WolfgangLanger_Pexels.mp4
fi
result=$ROOT/out/gpu-check.json resized=$ROOT/out/gpu-check-resized.json
mkdir -p "$ROOT/out"
step "Measuring at $places"
# How busy the GPU is, once a second, where the driver's tool is installed.
busy=$CACHE/gpu-busy.txt
: >"$busy"
watch=''
if have nvidia-smi; then
    nvidia-smi --query-gpu=utilization.gpu --format=csv,noheader,nounits -l 1 >"$busy" 2>/dev/null &
    watch=$!
    trap 'kill "$watch" 2>/dev/null || true' EXIT
fi
# Named providers are never replaced in silence: when one cannot be had, this ends with its error.
"$TARGET/img2pose-bench" --model "$model" --video "$video" --size 640x480 --min-size 480 --format NV12 --provider "$places" \
    --frames 32 --every 10 --save "$result" </dev/null
# Frames that the GPU has to resize and pad.
"$TARGET/img2pose-bench" --model "$model" --video "$video" --size 1280x720 --min-size 480 --format I420 --provider "$places" \
    --frames 8 --every 40 --batch-size 8 --rounds 1 --subject detector --save "$resized" </dev/null
[[ -z $watch ]] || kill "$watch" 2>/dev/null || true
[[ ! -s $busy ]] || say "GPU busy: at most $(sort -n "$busy" | tail -n 1) %"
for figures in "$result" "$resized"; do
    "$judge" "$ROOT/scripts/lib/gpu_check.py" "$figures"
done
if [[ $provider != webgpu ]]; then
    step 'Frames in CUDA memory'
    cuda_frames "$provider" "$model" "$video" ||
        die "frames in CUDA memory do not come to the network as they should; see the lines above. cudadownload before img2posedetect goes around it"
fi
