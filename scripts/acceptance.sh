#!/usr/bin/env bash
# Usage: scripts/acceptance.sh [--help]
#
# Runs the demo on videos whose content is known and checks what it found. The last line says how many checks passed.
#
#   WolfgangLanger_Pexels.mp4   472 frames of one woman who talks to the camera
#   no_face.mp4                 96 frames of an animated title
#   face_noface.mov             169 frames: a man in 0 to 71, then a black frame and the title
#   noface_face.mov             169 frames: the title in 0 to 95, the man in 96 to 167, a black frame

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

no_arguments "$@"

mkdir -p "$CACHE"
media_ensure
python=$(python_with_pip)
results=$ROOT/out/acceptance
rm -rf "$results"
faces() { "$python" "$ROOT/scripts/lib/faces.py" "$@"; }
demo() {
    local video=$1 batch_size=$2 name=$3
    shift 3
    "$ROOT/scripts/demo.sh" "$MEDIA/$video" --batch-size "$batch_size" --output "$results/$name" --quiet "$@"
}
# frames_in VIDEO: decodes the file and prints how many frames it has.
frames_in() {
    local raw=$results/frames.raw
    : >"$raw"
    gst-launch-1.0 -q filesrc location="$1" ! decodebin ! videoconvert ! videoscale \
        ! video/x-raw,format=GRAY8,width=16,height=16 ! filesink location="$raw" >&2 </dev/null
    printf '%d' "$(($(stat -c %s "$raw") / 256))"
}
# has_frames VIDEO N: as a test.
has_frames() {
    local found
    found=$(frames_in "$1")
    printf '%s frames' "$found"
    [[ $found == "$2" ]]
}

# The cuts are hard, but a codec may smear one: two frames on each side of them are left out.
woman=$results/woman8/faces.jsonl
check 'clip: runs with batches of 8' demo WolfgangLanger_Pexels.mp4 8 woman8
check 'clip: the annotated video has every frame' has_frames "$results/woman8/annotated.mp4" 472
check 'clip: one line for each frame' faces count "$woman" --exactly 472
check 'clip: the face is found' faces found "$woman" --share 0.99
check 'clip: and nothing else' faces only "$woman"
check 'clip: poses are plausible' faces plausible "$woman"
for batch_size in 1 4; do
    check "clip: runs with batches of $batch_size" demo WolfgangLanger_Pexels.mp4 "$batch_size" "woman$batch_size" --no-video
    check "clip: batches of $batch_size give the same file" cmp "$woman" "$results/woman$batch_size/faces.jsonl"
done

int8=(--no-video --model "$ROOT/models/img2pose-slim-int8.onnx")
check 'clip, 8 bits: runs' demo WolfgangLanger_Pexels.mp4 8 woman_int8 "${int8[@]}"
check 'clip, 8 bits: the face is found' faces found "$results/woman_int8/faces.jsonl" --share 0.99
check 'clip, 8 bits: and nothing else' faces only "$results/woman_int8/faces.jsonl"
check 'no_face, 8 bits: runs' demo no_face.mp4 8 no_face_int8 "${int8[@]}"
check 'no_face, 8 bits: no face' faces none "$results/no_face_int8/faces.jsonl"

# In 8 bits, which is how it is worth most.
pair=(--no-video --model "$ROOT/models/img2pose-pair-int8.onnx")
check 'clip, pair: runs' demo WolfgangLanger_Pexels.mp4 8 woman_pair "${pair[@]}"
check 'clip, pair: the face is found' faces found "$results/woman_pair/faces.jsonl" --share 0.99
check 'clip, pair: and nothing else' faces only "$results/woman_pair/faces.jsonl"
check 'clip, pair: poses are plausible' faces plausible "$results/woman_pair/faces.jsonl"
check 'no_face, pair: runs' demo no_face.mp4 8 no_face_pair "${pair[@]}"
check 'no_face, pair: no face' faces none "$results/no_face_pair/faces.jsonl"

check 'no_face: runs' demo no_face.mp4 8 no_face --no-video
check 'no_face: one line for each frame' faces count "$results/no_face/faces.jsonl" --exactly 96
check 'no_face: no face' faces none "$results/no_face/faces.jsonl"

check 'face_noface: runs' demo face_noface.mov 8 face_noface --no-video
check 'face_noface: one line for each frame' faces count "$results/face_noface/faces.jsonl" --exactly 169
check 'face_noface: the face before the cut' faces found "$results/face_noface/faces.jsonl" --frames 0:69 --share 0.95
check 'face_noface: no face after it' faces none "$results/face_noface/faces.jsonl" --frames 74:168

check 'noface_face: runs' demo noface_face.mov 8 noface_face --no-video
check 'noface_face: one line for each frame' faces count "$results/noface_face/faces.jsonl" --exactly 169
check 'noface_face: no face before the cut' faces none "$results/noface_face/faces.jsonl" --frames 0:93
check 'noface_face: the face after it' faces found "$results/noface_face/faces.jsonl" --frames 98:165 --share 0.95

# As phones write them: the pixels lie on their side, and players are told how to turn them.
turned_clip() {
    gst-launch-1.0 -q filesrc location="$MEDIA/WolfgangLanger_Pexels.mp4" ! decodebin ! identity eos-after=48 ! videoconvert \
        ! videoflip video-direction=90l ! jpegenc ! qtmux ! filesink location="$1" >&2 </dev/null &&
        "$python" "$ROOT/scripts/lib/mp4_orientation.py" "$1" 90r
}
says_orientation() {
    local lines
    lines=$(grep -c "\"orientation\":\"$2\"" "$1") && printf '%s lines' "$lines" && ((lines == $(wc -l <"$1")))
}
# Everything is read: a grep that ends early would kill the pipeline, and with it the test.
is_tagged() {
    local tags
    tags=$(LC_ALL=C gst-launch-1.0 -t filesrc location="$1" ! decodebin ! fakesink 2>&1 </dev/null)
    [[ $tags == *"image orientation: $2"* ]]
}
turned=$results/turned.mov
check 'turned clip: can be made' turned_clip "$turned"
check 'turned clip: is marked' is_tagged "$turned" rotate-90
check 'turned clip: runs' "$ROOT/scripts/demo.sh" "$turned" --output "$results/turned" --quiet
check 'turned clip: is looked at upright' says_orientation "$results/turned/faces.jsonl" 90r
check 'turned clip: the face is found' faces found "$results/turned/faces.jsonl" --share 0.95
check 'turned clip: the annotated video is marked, too' is_tagged "$results/turned/annotated.mp4" rotate-90

# ensured: every set-up function that a script calls is there; bash would say so only when a machine needs it.
ensured() {
    local name found=0 undefined=0
    while read -r name; do
        found=1
        declare -F "$name" >/dev/null || {
            printf '%s is not defined\n' "$name"
            undefined=1
        }
    done < <(grep -ohE '\b[a-z_]+_ensure\b' "$ROOT"/.ci/run "$ROOT"/scripts/*.sh "$ROOT"/scripts/lib/*.sh | sort -u)
    ((found && !undefined))
}
check 'scripts: every set-up function that is called is defined' ensured

# What a user gets wrong ends with one clear line.
refused() {
    local expected=$1 message
    shift
    if message=$("$ROOT/scripts/demo.sh" "$@" --output "$results/refused" 2>&1); then
        printf 'it was accepted'
        return 1
    fi
    message=$(tail -n 1 <<<"$message")
    printf '%s' "$message"
    [[ $message == "error: "*$expected* ]]
}
check 'demo: a missing video' refused 'no such video: nowhere.mp4' nowhere.mp4
check 'demo: a file that is no video' refused 'holds no video that GStreamer can decode' "$ROOT/Cargo.toml"
check 'demo: a missing model' refused 'no such model: nowhere.onnx' --model nowhere.onnx
check 'demo: a model of another kind' refused 'a model is an .onnx file' --model "$ROOT/Cargo.toml"
unset DISPLAY WAYLAND_DISPLAY
with_display() { DISPLAY=:0 "$@"; }
check 'demo: a camera without a display' refused 'no display to show the camera on' --camera
check 'demo: a missing camera' with_display refused 'no camera at /dev/nowhere' --camera /dev/nowhere
check 'demo: a camera that is a file' with_display refused 'is no device' --camera "$ROOT/Cargo.toml"
check 'demo: a camera that is none' with_display refused 'gives no picture' --camera /dev/zero
# Where Rust is missing, the first line says what mends it, before anything is installed. Stand-ins for all that would be fetched.
bare=$results/bare
mkdir -p "$bare/bin" "$bare/cargo/bin"
for program in bash sh sed head awk sort grep dirname cat mkdir chmod cp rm env tail; do
    ln -s "$(command -v "$program")" "$bare/bin/$program"
done
for program in apt-get dpkg-query; do
    printf '#!/bin/sh\necho "%s was called" >>%q\nexit 1\n' "$program" "$bare/called" >"$bare/bin/$program"
done
without_rust() { env -i HOME="$bare" CARGO_HOME="$bare/cargo" PATH="$bare/bin" "$ROOT/scripts/setup.sh" "$@" 2>&1 </dev/null; }
no_rust() {
    local message
    ! message=$(without_rust) && [[ $message == 'error: Rust was not found'*'--install-rust'*'https://sh.rustup.rs'* && ! -e $bare/called ]]
}
# What curl fetches is run, and the cargo that comes of it is too old here.
install_rust() {
    local message
    printf '#!/bin/sh\necho cargo 1.2.3\n' >"$bare/old-cargo"
    printf '#!/bin/sh\necho "cp %q %q"\n' "$bare/old-cargo" "$bare/cargo/bin/cargo" >"$bare/bin/curl"
    chmod +x "$bare/old-cargo" "$bare/bin/curl"
    message=$(without_rust --install-rust) && return 1
    [[ $message == *'Rust was installed, but still: Rust is 1.2.3'* ]] || { printf '%s' "$message"; return 1; }
}
chmod +x "$bare/bin/apt-get" "$bare/bin/dpkg-query"
check 'setup: without Rust, the command that installs it' no_rust
check 'setup: --install-rust runs it' install_rust
check 'demo: a batch of nothing' refused "it is a number from 1 to 64" --batch-size 0

# As the README says: the lines of setup.sh make a shell in which everything is found.
set_up() (
    unset GST_PLUGIN_PATH ORT_DYLIB_PATH
    export GST_REGISTRY=$results/registry.bin
    eval "$("$ROOT/scripts/setup.sh")" && [[ $(command -v img2pose) == "$GST_PLUGIN_PATH"/* ]] &&
        gst-inspect-1.0 img2posedetect >/dev/null && img2pose doctor >&2
)
check 'setup: its shell finds the tool, which finds no fault' set_up

checks_end acceptance
