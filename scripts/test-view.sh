#!/usr/bin/env bash
# Usage: scripts/test-view.sh [--help]
#
# Tests the page of `img2pose run --view` in a browser: Debian's chromium without a window, which it installs. That the page shows the faces
# where the JSON lines have them, that it survives being loaded again, a run that ends and one that fails, and that it asks nobody else for
# anything. Ends with 'acceptance: N passed, N failed'. What the browser showed is kept in out/view/.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

no_arguments "$@"

setup_base
media_ensure
plugin_build
apt_ensure chromium fonts-dejavu-core python3
rm -rf "$ROOT/out/view"
mkdir -p "$ROOT/out/view"
python3 "$ROOT/scripts/lib/view_test.py" "$TARGET/img2pose" "$MEDIA" "$ROOT/out/view"
