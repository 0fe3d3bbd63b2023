#!/usr/bin/env bash
# Usage: scripts/compare-mediapipe.sh [--task FILE] [--video FILE] [--faces N] [--frames N] [--rounds N] [--interval N] [--threads N]
#
# Follows the faces of a clip with img2posedetect's network (img2pose-bench follow, int8) and with MediaPipe in its video mode, in turns, on the
# same frames, and prints for each: processor time and wall time a frame, and the faces found. Without --video twice: the demo's clip (one face), and a
# mosaic of it (five faces, 1280x720). MediaPipe gets an environment of its own in .cache/mediapipe (600 MB).
#
#   --task FILE    model of MediaPipe's FaceLandmarker; default: the face mesh that its wheel holds
#   --faces N      the most faces that MediaPipe looks for (default: 1 for the clip, 5 for the mosaic and --video)
#   --frames N     from the first one on (default: 120)
#   --rounds N     default: 3
#   --interval N   every so many frames we look at the whole frame (default: 15)
#   --threads N    threads of ours (default: one for each core)

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

task='' video='' faces='' frames=120 rounds=3 interval=15 threads=$(nproc)
options task= video= faces= frames= rounds= interval= threads= -- "$@"
whole_numbers "${faces:-1}" "$frames" "$rounds" "$interval" "$threads"
[[ -z $task || -f $task ]] || die "no such file: $task"
[[ -z $video || -f $video ]] || die "no such video: $video"

setup_base
step 'Building img2pose-bench (release)'
(cd "$ROOT" && cargo build --release --locked --quiet -p img2pose-bench >&2)
venv=$CACHE/mediapipe
if ! "$venv/bin/python" -c 'import mediapipe' 2>/dev/null; then
    step "Installing MediaPipe into ${venv#"$ROOT"/}"
    space_ensure "$CACHE" 1 'MediaPipe'
    python=$(python_with_pip)
    "$python" -m venv "$venv" 2>/dev/null || {
        apt_ensure python3-venv
        /usr/bin/python3 -m venv "$venv"
    }
    # Without what it needs for training (JAX), which is most of its size.
    { pip_install "$venv" --no-deps mediapipe==0.10.14 &&
        pip_install "$venv" 'numpy<2' 'protobuf<5' absl-py attrs flatbuffers matplotlib 'opencv-contrib-python-headless<4.12'; } ||
        die 'pip could not install MediaPipe; see the lines above'
fi
results=$ROOT/out/mediapipe
mkdir -p "$results"

# mosaic CLIP FILE: five small copies of the clip in one picture, every other one mirrored.
mosaic() {
    local clip=$1 file=$2 index=0 flip=none pads=() tiles=() place
    for place in 0,0 427,0 854,0 213,360 640,360; do
        pads+=("sink_$index::xpos=${place%,*}" "sink_$index::ypos=${place#*,}")
        tiles+=(filesrc "location=$clip" ! decodebin ! videoconvert ! videoscale ! 'video/x-raw,width=426,height=240,pixel-aspect-ratio=1/1'
            ! videoflip "method=$flip" ! queue ! "m.sink_$index")
        [[ $flip == none ]] && flip=horizontal-flip || flip=none
        index=$((index + 1))
    done
    gst-launch-1.0 -q compositor name=m background=black "${pads[@]}" ! video/x-raw,width=1280,height=720 ! videoconvert \
        ! video/x-raw,format=I420 ! jpegenc quality=95 ! matroskamux ! filesink location="$file" "${tiles[@]}" </dev/null >&2
}

# compare VIDEO FACES
compare() {
    step "Following faces in ${1##*/}"
    "$venv/bin/python" -W ignore "$ROOT/scripts/compare/mediapipe_turns.py" "$1" --faces "$2" --frames "$frames" --rounds "$rounds" \
        --interval "$interval" --threads "$threads" --bench "$ROOT/target/release/img2pose-bench" \
        --model "$ROOT/models/img2pose-slim-int8.onnx" --work "$results" ${task:+--task "$task"}
}

if [[ -n $video ]]; then
    compare "$video" "${faces:-5}"
else
    media_ensure
    compare "$MEDIA/WolfgangLanger_Pexels.mp4" "${faces:-1}"
    [[ -f $results/mosaic.mkv ]] || mosaic "$MEDIA/WolfgangLanger_Pexels.mp4" "$results/mosaic.mkv"
    compare "$results/mosaic.mkv" "${faces:-5}"
fi
