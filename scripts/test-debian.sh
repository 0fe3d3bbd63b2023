#!/usr/bin/env bash
# Usage: scripts/test-debian.sh SUITE [--analytics] [--delete]
#
# Builds and tests the plugin in a Debian with a newer GStreamer, with the analytics metadata that this GStreamer has,
# and with that Debian's own ONNX Runtime:
#
#   trixie   Debian 13: GStreamer 1.26, cargo feature v1_26 (the analytics tests with v1_24 too), libonnxruntime1.21
#   sid      unstable: GStreamer 1.28, cargo feature v1_28, libonnxruntime1.23
#
# Runs every test of the plugin and of the detector, with GStreamer's readers of the metadata, then the detector in
# front of them on a video. No Debian has a converter from relation meta to ONVIF: it is built from crates.io
# (gst-plugin-analytics, MPL-2.0) into a plugin of its own.
#
#   --analytics  only the tests of the metadata, and the video
#   --delete     delete the Debian at the end
#
# The Debian lies in .cache/debian/SUITE (about 4 GB with what is built). Needs root or sudo. Rust is this machine's.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"
# shellcheck source=scripts/lib/debian.sh
source "$ROOT/scripts/lib/debian.sh"

analytics='' delete=''
options analytics delete ... -- "$@"
suite=$(argument '')
packages=(gcc libc6-dev pkg-config libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev
    libgstreamer-plugins-bad1.0-dev gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good
    gstreamer1.0-plugins-bad gstreamer1.0-libav python3-gi gir1.2-gst-plugins-base-1.0 gir1.2-gst-plugins-bad-1.0)
case $suite in
trixie)
    levels=(v1_26 v1_24)
    packages+=(libonnxruntime1.21)
    # ioutracker came with 1.28.
    readers='objectdetectionoverlay relationmeta2onvifmeta'
    ;;
sid)
    levels=(v1_28)
    packages+=(libonnxruntime1.23)
    readers='objectdetectionoverlay relationmeta2onvifmeta ioutracker'
    ;;
*) die "the suite is '$suite'; it is trixie or sid" ;;
esac

mkdir -p "$CACHE"
rust_ensure
media_ensure
tree=$DEBIAN/$suite/build
if [[ ! -f $DEBIAN/$suite/build.packages ]] || ! cmp -s "$DEBIAN/$suite/build.packages" <(printf '%s\n' "${packages[@]}"); then
    tree=$(tree_copy "$suite" build)
    step "Installing into it: ${packages[*]}"
    tree_install "$tree" "${packages[@]}"
    printf '%s\n' "${packages[@]}" >"$DEBIAN/$suite/build.packages"
fi

# What cargo needs is fetched here: the Debian inside has no network of cargo's kind, no proxy and no certificates.
step 'Fetching crates'
cd "$ROOT"
cargo fetch --locked >&2
converter=$DEBIAN/$suite/converter
converter_version=0.15.4
if [[ ! -f $converter/Cargo.lock ]]; then
    # A package that needs the converter makes cargo fetch its source; the copy of that builds as a plugin.
    work=$(mktemp -d "$DEBIAN/fetch.XXXXXX")
    mkdir "$work/src"
    : >"$work/src/lib.rs"
    printf '%s\n' '[package]' 'name = "fetch"' 'edition = "2024"' '[dependencies]' \
        "gst-plugin-analytics = \"=$converter_version\"" '[workspace]' >"$work/Cargo.toml"
    manifest=$(cd "$work" && cargo metadata --format-version 1 |
        grep -o '"manifest_path":"[^"]*/gst-plugin-analytics-[^"]*"' | cut -d '"' -f 4 | head -n 1)
    [[ -n $manifest ]] || die "cargo did not fetch gst-plugin-analytics $converter_version"
    rm -rf "$converter"
    cp -r "$(dirname "$manifest")" "$converter"
    chmod -R u+w "$converter"
    printf '[workspace]\n' >>"$converter/Cargo.toml"
    rm -rf "$work" "$converter/Cargo.lock"
    (cd "$converter" && cargo fetch >&2)
fi

sysroot=$(rustc --print sysroot)
cargo_home=${CARGO_HOME:-$HOME/.cargo}
target=$DEBIAN/$suite/target
mkdir -p "$target" "$ROOT/out"
options=(--user "$(id -u):$(id -g)" --chdir "$ROOT" --bind "$sysroot" --bind "$cargo_home" --bind "$ROOT"
    --env "PATH=$sysroot/bin:/usr/bin:/bin" --env "CARGO_HOME=$cargo_home" --env CARGO_NET_OFFLINE=true
    --env CARGO_TARGET_DIR="$target"
    --env "GST_REGISTRY=$DEBIAN/$suite/registry.bin" --env "IMG2POSE_READERS=$readers")
golden=${IMG2POSE_GOLDEN:-$ROOT/../shared/golden}
if [[ -d $golden ]]; then
    golden=$(cd "$golden" && pwd)
    options+=(--bind "$golden" --env "IMG2POSE_GOLDEN=$golden")
fi
# inside COMMAND...: runs it there, in the checkout.
inside() { tree_run "$tree" "${options[@]}" -- "$@"; }

step "GStreamer there: $(inside gst-inspect-1.0 --version | tail -n +2 | head -n 1)"
step 'Building the converter to ONVIF'
inside cargo build --quiet --manifest-path "$converter/Cargo.toml"
mkdir -p "$target/readers" "$target/plugin" "$target/models"
# The target directory lies deeper in the checkout than the plugin looks for its model.
cp "$ROOT"/models/img2pose-slim*.onnx "$target/models"
cp "$target/debug/libgstrsanalytics.so" "$target/readers"
options+=(--env "GST_PLUGIN_PATH=$target/readers")

log=$ROOT/out/test-$suite.log
: >"$log"
failed=0
# Debian's ONNX Runtime writes hundreds of these when it starts, from Python too: it comes with ONNX linked twice.
seen() { sed '/^Schema error: Trying to register schema/,/^$/d' | tee -a "$log" >&2; }
# tests ARGUMENT...: cargo test there.
tests() {
    step "cargo test $*"
    inside cargo test --locked --no-fail-fast "$@" 2>&1 | seen || failed=1
}
for level in "${levels[@]}"; do
    if [[ -n $analytics || $level != "${levels[0]}" ]]; then
        tests -p gst-plugin-img2pose --features "$level" --test elements analytics::
    else
        tests -p gst-plugin-img2pose -p img2pose --features "gst-plugin-img2pose/$level"
    fi
done

step 'The detector in front of the readers, on 50 frames or so of a video'
inside cargo build --quiet --locked --lib --features "${levels[0]}"
cp "$target/debug/libgstimg2pose.so" "$target/plugin"
options+=(--env "GST_PLUGIN_PATH=$target/readers:$target/plugin")
pipeline=(filesrc location="$MEDIA/WolfgangLanger_Pexels.mp4" ! decodebin ! identity eos-after=51 ! videoconvert
    ! img2posedetect model="$ROOT/models/img2pose-slim.onnx")
for reader in $readers; do
    pipeline+=(! "$reader")
done
rm -f "$target/faces.jsonl"
inside gst-launch-1.0 -q "${pipeline[@]}" ! img2posejson ! filesink location="$target/faces.jsonl" 2>&1 | seen || failed=1
# A decoder with threads lets some more through.
(($(wc -l <"$target/faces.jsonl") >= 50)) || failed=1
"$(python_with_pip)" "$ROOT/scripts/lib/faces.py" found "$target/faces.jsonl" --share 0.99 >&2 || failed=1

((failed == 0)) || say "error: something failed; see $log"
if [[ -n $delete ]]; then
    step "Deleting .cache/debian/$suite"
    as_root rm -rf "$DEBIAN/${suite:?}"
fi
awk -v failed="$failed" -v suite="$suite" '
    /^test result: / { passed += $4; broken += $6 }
    END { printf "%s: %d passed, %d failed\n", suite, passed, broken; exit failed || broken || !passed }' "$log"
