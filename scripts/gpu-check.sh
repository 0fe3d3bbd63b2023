#!/usr/bin/env bash
# Usage: scripts/gpu-check.sh [--model FILE] [--provider cuda|tensorrt] [--video FILE] [--check-only]
#
# On a machine with an NVIDIA GPU: fetches ONNX Runtime's GPU build and the CUDA libraries from PyPI into
# .cache/onnxruntime-gpu (about 3 GB), builds, checks that the provider is really used, compares its faces with the
# processor's, and prints the bench table.
#
#   --model FILE     default: the model that the project ships
#   --provider NAME  cuda (default) or tensorrt
#   --video FILE     default: the demo's clip
#   --check-only     says whether this machine has what is needed, and ends
#
# At fp32 every face must have its partner, boxes within 1 px and confidences within 0.001; at fp16 99 % must have one.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

model=$ROOT/models/img2pose-slim.onnx provider=cuda video='' check_only=''
while (($#)); do
    case $1 in
    --model | --provider | --video)
        (($# > 1)) || die "$1 needs a value; see --help"
        printf -v "${1#--}" '%s' "$2"
        shift 2
        ;;
    --check-only)
        check_only=yes
        shift
        ;;
    -h | --help)
        usage "$0"
        exit
        ;;
    *) die "unknown argument '$1'; see --help" ;;
    esac
done
[[ -f $model ]] || die "no such model: $model"
case $provider in
cuda) places=cpu,cuda,cuda:fp16 ;;
tensorrt) places=cpu,tensorrt,tensorrt:fp16 ;;
*) die "--provider is '$provider'; expected cuda or tensorrt" ;;
esac

# What pip cannot bring: the device and its driver.
proc=${IMG2POSE_NVIDIA_PROC:-/proc/driver/nvidia}
[[ $(uname -m) == x86_64 ]] || die "onnxruntime-gpu exists for x86_64 only; this machine is $(uname -m)"
[[ -f $proc/version ]] ||
    die "no NVIDIA driver: there is no $proc/version. Install the driver (Debian: nvidia-driver), reboot, and start again"
compgen -G "$proc/gpus/*/information" >/dev/null ||
    die "the NVIDIA driver is loaded but sees no GPU: $proc/gpus is empty"
PATH=$PATH:/sbin:/usr/sbin ldconfig -p | grep -q 'libcuda\.so\.1' ||
    die "libcuda.so.1, the driver's library, was not found (Debian: libcuda1)"
sed -n 's/^Model:[[:space:]]*/GPU: /p' "$proc"/gpus/*/information >&2
head -n 1 "$proc/version" >&2
[[ -z $check_only ]] || exit 0

mkdir -p "$CACHE"
apt_ensure_base
rust_ensure

gpu=$CACHE/onnxruntime-gpu
if [[ ! -x $gpu/bin/python ]]; then
    step 'Fetching onnxruntime-gpu and the CUDA libraries from PyPI into .cache/onnxruntime-gpu'
    python=$(python_with_pip)
    "$python" -m venv "$gpu.new" 2>/dev/null || {
        apt_ensure python3-venv
        /usr/bin/python3 -m venv "$gpu.new"
    }
    packages=('onnxruntime-gpu[cuda,cudnn]')
    [[ $provider != tensorrt ]] || packages+=(tensorrt-cu12)
    "$gpu.new/bin/python" -m pip install --quiet --disable-pip-version-check "${packages[@]}" </dev/null >&2 ||
        die "pip could not install ${packages[*]}; see the lines above"
    mv "$gpu.new" "$gpu"
fi
ORT_DYLIB_PATH=$(find "$gpu/lib" -name 'libonnxruntime.so.*' | head -n 1)
[[ -n $ORT_DYLIB_PATH ]] || die "$gpu holds no libonnxruntime.so; delete that folder and start again"
export ORT_DYLIB_PATH
# The wheels put each CUDA library into a folder of its own.
LD_LIBRARY_PATH=$(find "$gpu/lib" -name '*.so*' -path '*nvidia*' -printf '%h\n' -o -name 'libnvinfer*.so*' -printf '%h\n' |
    sort -u | paste -sd:)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH

plugin_build
(cd "$ROOT" && cargo build --release --locked --quiet -p img2pose-bench >&2) || die "the build failed; see the lines above"
if [[ -z $video ]]; then
    media_ensure
    video=$MEDIA/WolfgangLanger_Pexels.mp4
fi
result=$ROOT/out/gpu-check.json
mkdir -p "$ROOT/out"
step "Measuring at $places"
# Named providers are never replaced in silence: when one cannot be had, this ends with its error.
"$TARGET/img2pose-bench" --model "$model" --video "$video" --size 640x480 --min-size 480 --format NV12 --provider "$places" \
    --frames 32 --every 10 --save "$result" </dev/null
"$gpu/bin/python" "$ROOT/scripts/lib/gpu_check.py" "$result"
