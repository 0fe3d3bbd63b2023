#!/usr/bin/env bash
# Usage: scripts/fleet-load.sh [--rounds N] [--help]
#
# Measures img2posedetect with its network here and at an NVIDIA Triton on the same machine, in turns, fp32 and int8, one thread for the network in
# either case: frames a second, processor time of both processes, and which part of a batch's time is the way to the server and back (what the
# element waits, less what Triton says that it has computed). Prints a table for docs/fleet.md. On a machine that does other things, too, compare what
# stands side by side only. Builds in release; x86_64.
#
#   --rounds N  how often each way runs; default: 5

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"
rounds=5
options rounds= -- "$@"
whole_numbers "$rounds"

setup_base
apt_ensure python3-gi gir1.2-gst-plugins-base-1.0
media_ensure
triton_ensure
step 'Building the plugin with the feature remote (release)'
(cd "$ROOT" && cargo build --release --locked --quiet -p gst-plugin-img2pose --features remote >&2)
repository=$CACHE/triton-load-models
rm -rf "$repository"
triton_model models/img2pose-slim.onnx "$repository" fp32
triton_model models/img2pose-slim-int8.onnx "$repository" int8
start=$CACHE/triton-load-start
triton_start_file "$start" "$repository"
export GST_PLUGIN_PATH=${CARGO_TARGET_DIR:-$ROOT/target}/release GST_REGISTRY=$CACHE/gst-registry-load.bin
exec /usr/bin/python3 "$ROOT/scripts/lib/fleet_load.py" "$start" "$(free_port)" "$(free_port)" "$MEDIA/WolfgangLanger_Pexels.mp4" "$ROOT/models" "$rounds"
