#!/usr/bin/env bash
# Usage: scripts/check-packages.sh [--build] [--offline] [--help]
#
# Checks what the crates would publish, without publishing: each package has its licences, its README and its metadata, no weights, no
# tests of files that are not in it, and stays small. And no crate names a dependency that it does not use, or uses in tests
# only (cargo-shear, fetched once into .cache).
#
# The packages are made and not built: that they build from what is in them, as cargo publish tries before it uploads, takes
# minutes.
#
#   --build    builds every package, too
#   --offline  does not ask crates.io; cargo must have fetched the dependencies

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

build='' offline=''
options build offline -- "$@"

MOST_BYTES=1500000
# In the order in which they are published.
PACKAGES=(img2pose-onnx img2pose img2pose-track img2pose-export img2pose-view img2pose-cli gst-plugin-img2pose)

mkdir -p "$CACHE"
rust_ensure
cd "$ROOT"
step 'Unused dependencies'
cargo_shear_ensure
# It reads Cargo.lock, whose crates need not be there.
"$CARGO_SHEAR" --deny-warnings . >&2 || die 'a dependency is not used, or stands in the wrong place; see the lines above'

step 'Packages'
# Those of this workspace are not on crates.io; cargo finds one where another needs it.
if [[ $offline ]]; then make=(package --offline); else make=(publish --dry-run); fi
[[ $build ]] || make+=(--no-verify)
for package in "${PACKAGES[@]}"; do make+=(-p "$package"); done
target=${CARGO_TARGET_DIR:-$ROOT/target}
rm -rf "$target/package"
cargo "${make[@]}" --locked --allow-dirty </dev/null >"$CACHE/packages.log" 2>&1 ||
    die "cargo ${make[0]} failed: $(tail -n 20 "$CACHE/packages.log")"
for package in "${PACKAGES[@]}"; do
    # cargo publish keeps them in a folder of its own.
    archive=$(find "$target/package" "$target/package/tmp-crate" -maxdepth 1 -name "$package-[0-9]*.crate" | head -n 1)
    [[ -f $archive ]] || die "$package: cargo package made no archive"
    files=$(tar -tzf "$archive" | cut -d/ -f2-)
    root=src/lib.rs
    [[ $package != img2pose-cli ]] || root=src/main.rs
    for wanted in Cargo.toml README.md LICENSE-MIT LICENSE-APACHE "$root"; do
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
