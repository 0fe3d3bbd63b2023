#!/usr/bin/env bash
# Usage: scripts/load.sh [SECONDS]
#
# Measures a live stream that is slower than the default model and one that is faster, with each of the ways to deal with
# too many frames (SECONDS each, default: 20), and the cost of elements that share a model. Prints tables for the
# documentation. Builds in release first. Measure on a machine that does nothing else.

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
