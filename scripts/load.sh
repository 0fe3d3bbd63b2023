#!/usr/bin/env bash
# Usage: scripts/load.sh [SECONDS]
#
# Prints, as tables for the README, what becomes of a live stream that is slower and faster than the default model, in
# each of the ways to deal with too many frames (each runs for SECONDS, 20 unless given), and what elements cost that
# share a model. Builds in release first. Measure on a machine that does nothing else.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

options ... -- "$@"
seconds=$(argument 20)
whole_numbers "$seconds"

setup_base
cd "$ROOT"
cargo build --release --locked --example load </dev/null >&2
# The runtime's warnings would stand in the tables.
"${CARGO_TARGET_DIR:-target}/release/examples/load" models/img2pose-slim.onnx "$seconds"
