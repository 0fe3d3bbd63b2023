#!/usr/bin/env bash
# Usage: scripts/compare-trackers.sh [--seeds N] [--help]
#
# Follows faces through simulated scenes (crossings, occlusions, people who leave and come back, cuts, varying framerates, crowds; a
# detector with noise, misses and false alarms) with img2posetrack's tracker and with some of Python's, ByteTrack and OC-SORT of trackers and norfair,
# on the same detections, and prints IDF1, HOTA and id switches (trackeval). The others get an environment of their own in
# .cache/trackers (600 MB).
#
#   --seeds N  scenes of each kind (default: 8)

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"
seeds=8
options seeds= -- "$@"
whole_numbers "$seeds"

mkdir -p "$CACHE"
rust_ensure
venv=$CACHE/trackers
if ! "$venv/bin/python" -c 'import trackers, trackeval, norfair' 2>/dev/null; then
    step "Installing trackers into ${venv#"$ROOT"/}"
    space_ensure "$CACHE" 1 'trackers'
    python=$(python_with_pip)
    "$python" -m venv "$venv" 2>/dev/null || {
        apt_ensure python3-venv
        /usr/bin/python3 -m venv "$venv"
    }
    # norfair asks for an old NumPy, and runs with the one that the others need.
    { pip_install "$venv" trackers==2.6.1 trackeval==1.3.0 filterpy==1.4.5 &&
        pip_install "$venv" --no-deps norfair==2.3.0; } ||
        die 'pip could not install the trackers; see the lines above'
fi
scenes=$ROOT/out/trackers
rm -rf "$scenes"
mkdir -p "$scenes"
step 'Simulating scenes (release)'
(cd "$ROOT" && cargo run --release --locked --quiet -p img2pose-track --example simulate_scenes -- "$scenes" "$seeds") >"$scenes/ours.log"
step 'Following faces'
"$venv/bin/python" "$ROOT/scripts/compare/tracking.py" "$scenes"
