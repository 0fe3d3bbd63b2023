#!/usr/bin/env bash
# Called by meson.build:
#   meson-cargo.sh version                prints the workspace's version
#   meson-cargo.sh build PROFILE DIR      builds plugin and tools, target directory and copies in DIR

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

case ${1:-} in
version) sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1 ;;
build)
    profile=$2 dir=$3
    cd "$root"
    cargo build --locked --profile "$profile" --target-dir "$dir/target" -p gst-plugin-img2pose -p img2pose-cli
    built=$dir/target/$profile
    [[ $profile != dev ]] || built=$dir/target/debug
    cp -f "$built/libgstimg2pose.so" "$built/img2pose" "$dir"
    ;;
*)
    echo "error: meson-cargo.sh ${1:-}: unknown command" >&2
    exit 1
    ;;
esac
