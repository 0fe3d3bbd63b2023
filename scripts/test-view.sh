#!/usr/bin/env bash
# Usage: scripts/test-view.sh [--firefox] [--help]
#
# Tests the page of `img2pose run --view` in a browser: Debian's chromium without a window, or firefox-esr, which it installs. That the page shows the faces
# where the JSON lines have them, that it survives being loaded again, a run that ends and one that fails, and that it asks nobody else for
# anything. Ends with 'acceptance: N passed, N failed'. What the browser showed is kept in out/view/.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

firefox=''
options firefox -- "$@"
browser=chromium
[[ ! $firefox ]] || browser=firefox

setup_base
media_ensure
# The program of Debian's firefox-esr is called firefox, too.
apt_ensure "${browser/firefox/firefox-esr}" fonts-dejavu-core python3
# Not in release: that takes minutes, and the page is the same.
step 'Building the plugin and img2pose'
(cd "$ROOT" && cargo build --locked -p gst-plugin-img2pose -p img2pose-cli --features img2pose-cli/view >&2) ||
    die "the build failed; see the lines above"
export GST_REGISTRY=$CACHE/gst-registry-test.bin
rm -rf "$ROOT/out/view"
mkdir -p "$ROOT/out/view"
python3 "$ROOT/scripts/lib/view_test.py" "${CARGO_TARGET_DIR:-$ROOT/target}/debug/img2pose" "$MEDIA" "$ROOT/out/view" "$browser"
