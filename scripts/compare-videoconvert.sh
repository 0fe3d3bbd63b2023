#!/usr/bin/env bash
# Usage: scripts/compare-videoconvert.sh [VIDEO]
#
# Compares the detector's own conversion of NV12 and I420 to the network image with GStreamer's videoconvert to RGB
# followed by the conversion of RGB, and prints the difference in gray levels (crates/img2pose/examples/frame_deviation.rs). Takes the first 60
# frames or so of VIDEO, scaled to 1280x720, and 10 frames of videotestsrc's color bars and snow.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

options ... -- "$@"
have gst-launch-1.0 || die "gst-launch-1.0 was not found; install gstreamer1.0-tools"
video=$(argument '')
[[ -z $video || -f $video ]] || die "$video is not a file"
mkdir -p "$CACHE"
cd "$ROOT"
cargo build --quiet --release --locked -p img2pose --example frame_deviation
tool=${CARGO_TARGET_DIR:-$ROOT/target}/release/examples/frame_deviation
work=$(mktemp -d "$CACHE/videoconvert.XXXXXX")
trap 'rm -rf "$work"' EXIT

# measure NAME FORMAT MATRIX SOURCE...: SOURCE is a part of a pipeline.
measure() {
    local name=$1 format=$2 matrix=$3
    shift 3
    gst-launch-1.0 --quiet "$@" ! videoconvert ! videoscale ! \
        "video/x-raw,format=$format,width=1280,height=720,pixel-aspect-ratio=1/1,colorimetry=$matrix" ! tee name=t \
        t. ! queue ! filesink location="$work/video.yuv" \
        t. ! queue ! videoconvert ! video/x-raw,format=RGB ! filesink location="$work/video.rgb" >&2
    printf '%s %s %s\n' "$name" "$format" "$matrix"
    "$tool" "${format,,}" "$matrix" 1280 720 "$work/video.yuv" "$work/video.rgb" | sed 's/^/  /'
}

for format in NV12 I420; do
    for matrix in bt601 bt709; do
        if [[ -n $video ]]; then
            measure "$(basename "$video")" $format $matrix filesrc "location=$video" ! decodebin ! \
                identity eos-after=61
        fi
        measure "color bars" $format $matrix videotestsrc num-buffers=10
        measure "snow" $format $matrix videotestsrc num-buffers=10 pattern=snow
    done
done
