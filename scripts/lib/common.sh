# shellcheck shell=bash
# Sourced by every script: strict mode, where the checkout is, and how to talk to the user.

set -euo pipefail
shopt -s inherit_errexit

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Everything that the scripts fetch or build for themselves; safe to delete.
CACHE=$ROOT/.cache
export ROOT CACHE
# ONNX Runtime's builds on PyPI report their use and leave a device id in the user's cache unless this is set.
export ORT_DISABLE_TELEMETRY=${ORT_DISABLE_TELEMETRY:-1}

# Messages go to stderr, so that a script's stdout is its result.
say() { printf '%s\n' "$*" >&2; }
step() { printf '==> %s\n' "$*" >&2; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# space_ensure FOLDER GB WHAT: ends the script when WHAT, which needs so much there, would fill the disk.
space_ensure() {
    local free
    free=$(df --output=avail --block-size=1M "$1" | tail -n 1)
    ((free >= $2 * 1000)) || die "$3 needs $2 GB of disk in $1, where $((free / 1000)) GB are free; make room there"
}
