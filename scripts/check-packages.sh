#!/usr/bin/env bash
# Usage: scripts/check-packages.sh [--build] [--help]
#
# Checks what the crates would publish, without publishing: each package has its licences, its README and its metadata, no weights, no
# tests of files that are not in it, and stays small. And no crate names a dependency that it does not use (cargo-machete, built once
# into .cache).
#
#   --build  builds every package from what is in it, too, as cargo publish does before it uploads (some minutes)

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

build=''
options build -- "$@"

MOST_BYTES=1500000
PACKAGES=(img2pose-onnx img2pose img2pose-track img2pose-export img2pose-cli gst-plugin-img2pose)

mkdir -p "$CACHE"
rust_ensure
machete=$(cargo_tool cargo-machete 0.9.2)/cargo-machete
cd "$ROOT"
step 'Unused dependencies'
"$machete" .

step 'Packages'
if [[ $build ]]; then verify=(); else verify=(--no-verify); fi
selected=()
for package in "${PACKAGES[@]}"; do selected+=(-p "$package"); done
target=${CARGO_TARGET_DIR:-$ROOT/target}
rm -rf "$target/package"
cargo package --quiet --locked --allow-dirty "${verify[@]}" "${selected[@]}" </dev/null >&2
for package in "${PACKAGES[@]}"; do
    archive=$(find "$target/package" -maxdepth 1 -name "$package-[0-9]*.crate")
    [[ -f $archive ]] || die "$package: cargo package made no archive"
    files=$(tar -tzf "$archive" | cut -d/ -f2-)
    for wanted in Cargo.toml README.md LICENSE-MIT LICENSE-APACHE src/lib.rs; do
        grep -qx "$wanted" <<<"$files" || die "$package: its package lacks $wanted"
    done
    # A link would arrive as a link to nowhere.
    [[ -z $(tar -tvzf "$archive" | grep '^l' || true) ]] || die "$package: its package holds symbolic links"
    ! unwanted=$(grep -E '\.(onnx|pth|safetensors|npz|npy)$|^(models|tests|training|fuzz)/' <<<"$files") ||
        die "$package: its package holds what should not be in it: $(head -n 3 <<<"$unwanted" | tr '\n' ' ')"
    manifest=$(tar -xzOf "$archive" --wildcards '*/Cargo.toml')
    for key in description license readme keywords categories rust-version; do
        grep -q "^$key = " <<<"$manifest" || die "$package: its manifest names no $key"
    done
    size=$(stat -c %s "$archive")
    ((size <= MOST_BYTES)) || die "$package: its package has $size bytes, more than $MOST_BYTES"
    say "$package: $(wc -l <<<"$files") files, $size bytes"
done
