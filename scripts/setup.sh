#!/usr/bin/env bash
# Usage: scripts/setup.sh [--help]
#
# Installs what is missing to build and run the plugin (Debian and Ubuntu packages with apt, ONNX Runtime from PyPI
# into .cache/), builds it in release, and prints the environment that GStreamer needs on stdout:
#
#   eval "$(scripts/setup.sh)"
#   gst-inspect-1.0 img2posedetect
#   img2pose doctor

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

no_arguments "$@"

setup_base
plugin_build
printf 'export GST_PLUGIN_PATH=%q\nexport ORT_DYLIB_PATH=%q\n' "$TARGET" "$ORT_DYLIB_PATH"
printf 'export ORT_DISABLE_TELEMETRY=%q\n' "$ORT_DISABLE_TELEMETRY"
# For img2pose; once, however often it is called.
[[ :$PATH: == *:"$TARGET":* ]] || printf 'export PATH=%q:"%s"\n' "$TARGET" "\$PATH"
