#!/usr/bin/env bash
# Usage: scripts/test-wheel.sh SUITE [WHEEL]
#
# Tries the wheel on a fresh, minimal Debian: bookworm (12) or trixie (13), as a new user would: GStreamer's packages with apt, the
# wheel with pip into a virtual environment, then Python, the program img2pose, and gst-launch-1.0. WHEEL is made by
# scripts/package-wheel.sh when none is given. What it depends on is fetched from PyPI here, for that Debian's Python.
#
# The Debian lies in .cache/debian/SUITE; the copy that is tried (1 GB) is deleted. Needs root or sudo.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"
# shellcheck source=scripts/lib/debian.sh
source "$ROOT/scripts/lib/debian.sh"

options ... -- "$@"
suite=${ARGUMENTS[0]:-}
case $suite in
bookworm) version=3.11 ;;
trixie) version=3.13 ;;
*) die "the suite is '$suite'; it is bookworm or trixie" ;;
esac
mkdir -p "$CACHE"
media_ensure
wheel=${ARGUMENTS[1]:-$("$ROOT/scripts/package-wheel.sh")}
[[ -f $wheel ]] || die "no such wheel: $wheel"

work=$DEBIAN/$suite/wheel-work
rm -rf "$work"
mkdir -p "$work/wheels"
cp "$wheel" "$work/wheels/"
cp "$MEDIA/single_face.mp4" "$MEDIA/multi_face.jpg" "$work/"
step "Fetching what the wheel depends on, for Python $version"
machine=$(uname -m)
"$(python_with_pip)" -m pip download --quiet --disable-pip-version-check --only-binary=:all: --python-version "$version" --implementation cp --abi "cp${version/./}" \
    --abi abi3 --abi none --platform "manylinux_2_28_$machine" --platform "manylinux_2_27_$machine" --platform "manylinux_2_17_$machine" --platform "manylinux2014_$machine" \
    --platform any --dest "$work/wheels" "$wheel" </dev/null >&2 || die 'pip could not fetch what the wheel depends on; see the lines above'
cat >"$work/three.py" <<'PYTHON'
import img2pose

for frame in img2pose.faces("single_face.mp4"):
    print(frame.index, *frame.faces.yaw_pitch_roll.flatten())
PYTHON
cat >"$work/same.py" <<'PYTHON'
import json, sys
import img2pose, numpy

frames = [(frame.pts, frame.faces) for frame in img2pose.faces(sys.argv[1])]
lines = [json.loads(line) for line in open(sys.argv[2])]
assert len(frames) == len(lines) > 0, (len(frames), len(lines))
for (pts, faces), line in zip(frames, lines):
    assert pts == line["pts"]
    boxes = numpy.array([face["box"] for face in line["faces"]], numpy.float32).reshape(-1, 4)
    poses = numpy.array([face["pose"] for face in line["faces"]], numpy.float32).reshape(-1, 6)
    assert faces.boxes.tobytes() == boxes.tobytes() and faces.poses.tobytes() == poses.tobytes(), line
assert all(len(faces) == 1 for _, faces in frames), [len(faces) for _, faces in frames]
print(f"{len(frames)} frames, the same numbers")
PYTHON
cat >"$work/picture.py" <<'PYTHON'
import img2pose

(frame,) = img2pose.faces("multi_face.jpg", image=True)
faces = img2pose.detect([frame.image, frame.image[:300]])
assert len(faces[0]) == 5, faces
drawn = img2pose.draw(frame.image, faces[0])
assert (drawn != frame.image).any()
assert len(img2pose.detect(frame.image, precision="int8")) == 5
print(img2pose.__file__)
PYTHON
cat >"$work/view.py" <<'PYTHON'
import re, signal, subprocess, sys, urllib.request

run = subprocess.Popen([sys.prefix + "/bin/img2pose", "run", "multi_face.jpg", "--view", "0"], stderr=subprocess.PIPE, text=True)
url = re.match(r"page: (\S+)", run.stderr.readline())[1]
assert b"<title>img2pose</title>" in urllib.request.urlopen(url).read()
with urllib.request.urlopen(url + "events") as events:
    while b'"state":"ended"' not in next(events):
        pass
with urllib.request.urlopen(url + "events") as events:
    while not (faces := next(events).count(b'"box"')):
        pass
assert urllib.request.urlopen(url + "picture.jpg").read(2) == b"\xff\xd8"
run.send_signal(signal.SIGINT)
assert run.wait() == 0 and faces == 5, (faces, run.stderr.read())
print(url, faces, "faces")
PYTHON
chmod -R a+rX "$work"

tree=$(tree_copy "$suite" wheel)
trap 'as_root rm -rf "$tree" "$tree.apt.log" "$work"' EXIT
mkdir -p "$ROOT/out"
CHECK_LOG=$ROOT/out/test-wheel-$suite.log
: >"$CHECK_LOG"
root() { tree_run "$tree" --bind "$work" -- "$@"; }
# As somebody, whose home is /tmp.
user() { tree_run "$tree" --bind "$work" --chdir "$work" --user 65534:65534 "$@"; }
# Names of packages as docs/python.md has them; gstreamer1.0-tools is for gst-launch-1.0 below.
apt_installs() {
    root apt-get update -qq
    root apt-get install -y -qq --no-install-recommends python3-venv gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-libav
}
pip_installs() {
    user -- python3 -m venv /tmp/faces
    user -- /tmp/faces/bin/pip install --quiet --no-index --find-links "$work/wheels" img2pose
}
python() { user -- /tmp/faces/bin/python "$@"; }
# A line for each frame, three angles in each.
three() {
    python three.py >"$work/three.txt"
    head -n 2 "$work/three.txt"
    [[ $(grep -c -E '^[0-9]+( -?[0-9.e-]+){3}$' "$work/three.txt") == 72 ]]
}
missing_gstreamer() {
    local text
    text=$(python -c 'import img2pose
try: img2pose.faces("single_face.mp4")
except img2pose.SetupError as error: print(error)')
    printf '%s\n' "$text"
    grep -q 'apt install gstreamer1.0' <<<"$text"
}
launch() {
    # shellcheck disable=SC2016
    user -- sh -e -c 'eval "$(/tmp/faces/bin/img2pose-env)"
        gst-launch-1.0 -q filesrc location=single_face.mp4 ! decodebin ! videoconvert ! img2posedetect batch-size=8 ! img2posejson ! filesink location=/tmp/faces.jsonl'
}
# shellcheck disable=SC2016
doctor() { user -- sh -e -c 'eval "$(/tmp/faces/bin/img2pose-env)"; exec /tmp/faces/bin/img2pose doctor'; }
# Without ORT_DYLIB_PATH: the plugin finds the Python package beside it.
beside() {
    user --env "GST_PLUGIN_PATH=$(user -- /tmp/faces/bin/python -c 'import img2pose._setup as s; print(s.PLUGIN_FOLDER)')" -- sh -e -c '
        gst-launch-1.0 -q videotestsrc num-buffers=1 ! video/x-raw,width=320,height=240 ! img2posedetect ! img2posejson ! fdsink' | tee "$work/line"
    grep -q '"faces":\[' "$work/line"
}

runs() {
    user -- sh -e -c '/tmp/faces/bin/img2pose run single_face.mp4 --json /tmp/run.jsonl; cmp /tmp/faces.jsonl /tmp/run.jsonl'
}

began=$SECONDS
check "Python's virtual environments install" root sh -e -c 'apt-get update -qq; apt-get install -y -qq --no-install-recommends python3-venv'
check 'pip installs the wheel' pip_installs
check 'without GStreamer it says what to install' missing_gstreamer
check 'GStreamer installs' apt_installs
check 'three lines print poses' three
say "        $((SECONDS - began)) s from the first apt-get to the poses, without what pip downloads"
check 'arrays are looked at and drawn' python picture.py
check "Debian's tools install" root apt-get install -y -qq --no-install-recommends gstreamer1.0-tools
check 'gst-launch-1.0 finds the plugin' launch
check 'Python has its numbers' python same.py single_face.mp4 /tmp/faces.jsonl
check 'ONNX Runtime is found beside the plugin' beside
check 'the program img2pose is there' user -- /tmp/faces/bin/img2pose --version
check 'doctor finds no fault' doctor
check 'img2pose run finds the same' runs
check 'and shows it in a page' python view.py
check 'licences are there' user -- sh -e -c 'cd /tmp/faces/lib/python3*/site-packages/img2pose/plugin; grep -q ort third-party.txt; test -s LICENSE-MIT; test -s img2pose-slim.licence.txt'
check 'pip removes it' user -- sh -e -c '/tmp/faces/bin/pip uninstall --quiet --yes img2pose; test ! -e /tmp/faces/bin/img2pose; ! ls -d /tmp/faces/lib/python3*/site-packages/img2pose'

checks_end "wheel on $suite"
