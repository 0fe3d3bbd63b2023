#!/usr/bin/env bash
# Usage: scripts/test-deb.sh SUITE [PACKAGE]
#
# Tries the Debian package on a fresh, minimal Debian: bookworm (12) or trixie (13). Installs it with apt, looks at the
# elements, runs img2pose doctor, finds the faces in frames of a video as a user without rights, reads them in Python with
# the example that comes along and with the guide's program, and removes it: nothing of it may be left. PACKAGE is made by scripts/package-deb.sh when none is given.
#
# Debian 13 has a package of ONNX Runtime, which is installed with it. Debian 12 has none: doctor must say so, and is then given
# the library that these scripts have fetched.
#
# The Debian lies in .cache/debian/SUITE; the copy that is tried (1 GB) is deleted. Needs root or sudo.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"
# shellcheck source=scripts/lib/debian.sh
source "$ROOT/scripts/lib/debian.sh"

options ... -- "$@"
suite=${ARGUMENTS[0]:-}
[[ $suite == bookworm || $suite == trixie ]] || die "the suite is '$suite'; it is bookworm or trixie"
setup_base
media_ensure
package=${ARGUMENTS[1]:-$("$ROOT/scripts/package-deb.sh")}
[[ -f $package ]] || die "no such package: $package"

work=$DEBIAN/$suite/work
rm -rf "$work"
mkdir -p "$work"
cp "$package" "$work/img2pose.deb"
cp "$ORT_DYLIB_PATH" "$work/libonnxruntime.so"
chmod -R a+rX "$work"
# Decoded here: a codec would be half the Debian.
step 'Decoding 12 frames or so'
gst-launch-1.0 -q filesrc location="$MEDIA/WolfgangLanger_Pexels.mp4" ! decodebin ! identity eos-after=13 ! videoconvert \
    ! videoscale ! video/x-raw,format=RGB,width=640,height=360 ! filesink location="$work/frames.rgb" </dev/null >&2
cat >"$work/guide.py" <<'PYTHON'
import sys

with open(sys.argv[1], encoding="utf-8") as document:
    program = document.read().split("```python\n")[1].split("```")[0]
video = "filesrc location=video.mp4 ! decodebin"
assert program.count(video) == 1, program
exec(program.replace(video, sys.argv[2]))
PYTHON
# A decoder with threads lets some more through.
frames=$(($(stat --format=%s "$work/frames.rgb") / (640 * 360 * 3)))

tree=$(tree_copy "$suite" try)
trap 'as_root rm -rf "$tree" "$tree.apt.log" "$work"' EXIT
mkdir -p "$ROOT/out"
CHECK_LOG=$ROOT/out/test-deb-$suite.log
: >"$CHECK_LOG"
# Files with the name of the project, but for what apt keeps for itself.
files() { tree_run "$tree" -- find /usr /etc /var /opt -path /var/lib/apt -prune -o -path /var/cache -prune -o -iname '*img2pose*' -print; }
root() { tree_run "$tree" --bind "$work" -- "$@"; }
# As somebody, whose home is empty.
user() { tree_run "$tree" --bind "$work" --user 65534:65534 --env "GST_REGISTRY=/tmp/registry.bin" "$@"; }
install() {
    root apt-get update -qq
    root apt-get install -y -qq "$work/img2pose.deb" gstreamer1.0-tools gstreamer1.0-plugins-base
}
doctor() { user "$@" -- img2pose doctor; }
# sick WORDS [--env NAME=VALUE]: doctor finds a fault, and its text has the words.
sick() {
    local words=$1 text
    shift
    if text=$(doctor "$@"); then
        printf '%s\n(it found no fault)\n' "$text"
        return 1
    fi
    printf '%s\n' "$text"
    grep -q "$words" <<<"$text"
}
pipeline() {
    user "$@" -- gst-launch-1.0 -q filesrc location="$work/frames.rgb" ! rawvideoparse format=rgb width=640 height=360 framerate=24/1 \
        ! videoconvert ! img2posedetect ! img2posejson ! filesink location=/tmp/faces.jsonl
}
documents=/usr/share/doc/gstreamer1.0-img2pose
source="filesrc location=$work/frames.rgb ! rawvideoparse format=rgb width=640 height=360 framerate=24/1"
python_comes() { root apt-get install -y -qq --no-install-recommends python3-gi gir1.2-gst-plugins-base-1.0; }
# The example, as it is installed.
example() {
    user "$@" -- python3 "$documents/examples/python/read_faces.py" "$source ! videoconvert ! img2posedetect" >"$work/example.txt"
}
# The guide's program, as it is installed, with these frames in the place of its video: a line for each face.
guide() {
    local lines
    user "$@" -- python3 "$work/guide.py" "$documents/docs/guide.md" "$source" >"$work/guide.txt"
    lines=$(wc -l <"$work/guide.txt")
    printf '%s lines, %s expected; the first: %s\n' "$lines" "$frames" "$(head -n 1 "$work/guide.txt")"
    [[ $lines == "$frames" ]] && ! grep -v -E '^(-?[0-9]+\.[0-9] ?){3}$' "$work/guide.txt"
}
faces() { "$(python_with_pip)" "$ROOT/scripts/lib/faces.py" "$@"; }
gone() {
    local left
    left=$(files)
    printf '%s\n' "$left"
    [[ -z $left ]]
}

check 'installs' install
for element in img2posedetect img2posetrack img2posejson img2poseoverlay img2posealign; do
    check "$element is there" user -- gst-inspect-1.0 "$element"
done
check 'the tool is there' user -- img2pose --version
check 'and the one that runs' user -- img2pose-run --version
check 'licences are there' root sh -e -c 'cd /usr/share/doc/gstreamer1.0-img2pose; grep -q "Research, tests and demonstrations only" copyright; zcat third-party.txt.gz | grep -q ort'
if [[ $suite == bookworm ]]; then
    check 'doctor misses ONNX Runtime' sick 'FAULT *ONNX Runtime'
    # Debian 12 has none; this is how its users name theirs.
    named=(--env "ORT_DYLIB_PATH=$work/libonnxruntime.so")
else
    check "Debian's ONNX Runtime came along" root sh -c 'ls /usr/lib/*/libonnxruntime.so*'
    named=()
fi
check 'doctor finds no fault' doctor "${named[@]}"
check 'doctor finds a library that is none' sick 'FAULT *ONNX Runtime.*/etc/hostname' --env ORT_DYLIB_PATH=/etc/hostname
check 'the pipeline runs' pipeline "${named[@]}"
check 'a line for each frame' faces count "$tree/tmp/faces.jsonl" --exactly "$frames"
check 'the face in each' faces found "$tree/tmp/faces.jsonl" --share 1
check 'the faces are plausible' faces plausible "$tree/tmp/faces.jsonl"
check "Python's GStreamer installs" python_comes
check 'Python reads the faces' example "${named[@]}"
check 'those of the JSON lines' faces printed "$tree/tmp/faces.jsonl" --text "$work/example.txt"
check "the guide's program prints the angles" guide "${named[@]}"
check 'is removed' root apt-get purge -y -qq gstreamer1.0-img2pose
check 'nothing of it is left' gone
check 'the elements are gone' user -- sh -c '! gst-inspect-1.0 img2posedetect'

checks_end "package on $suite"
