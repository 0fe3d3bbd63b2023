#!/usr/bin/env bash
# Usage: scripts/setup.sh [--help]
#
# Installs what is missing to build and run the plugin (Debian and Ubuntu packages with apt, ONNX Runtime from PyPI
# into .cache/), builds it in release, and prints the environment that GStreamer needs on stdout:
#
#   eval "$(scripts/setup.sh)"
#   gst-inspect-1.0 img2posedetect

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

no_arguments "$@"

setup_base
plugin_build
printf 'export GST_PLUGIN_PATH=%q\nexport ORT_DYLIB_PATH=%q\n' "$TARGET" "$ORT_DYLIB_PATH"
