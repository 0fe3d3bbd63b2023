#!/usr/bin/env bash
# Usage: scripts/view-cost.sh [ROUNDS] [--video FILE]
#
# What viewers of the page of `img2pose run --view` cost: the program's processor time for each frame without a viewer, with one, with five
# and with a slow one, in turn, ROUNDS times (default: 3). For a machine that does nothing else.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

video=''
options video= ... -- "$@"
rounds=$(argument 3)
whole_numbers "$rounds"
setup_base
media_ensure
step 'Building the plugin and img2pose (release)'
(cd "$ROOT" && cargo build --release --locked -p gst-plugin-img2pose -p img2pose-cli --features img2pose-cli/view >&2) ||
    die 'the build failed; see the lines above'
export GST_REGISTRY=$CACHE/gst-registry.bin
python3 "$ROOT/scripts/lib/view_cost.py" "${CARGO_TARGET_DIR:-$ROOT/target}/release/img2pose" "${video:-$MEDIA/single_face.mp4}" "$rounds"
