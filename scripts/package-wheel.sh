#!/usr/bin/env bash
# Usage: scripts/package-wheel.sh [--output DIR]
#
# Builds the wheel of the Python package img2pose: the package, the plugin, its models, the program img2pose (with img2pose-run, which
# does `img2pose run`, its page in the browser included), and licences.
# Prints its path, in out/ by default. It runs with any Python 3.10 or newer on Linux with glibc 2.28 or newer (Debian 10, Ubuntu 18.10,
# RHEL 8), whatever it was built on: cargo-zigbuild links against symbols of that age. GStreamer comes with the system, and
# ONNX Runtime from PyPI; scripts/test-wheel.sh tries that.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

output=$ROOT/out
options output= -- "$@"

GLIBC=2.28
# What the plugin and img2pose-run link to, and a wheel may not bring: it has to be the GStreamer that loads the plugin.
LIBRARIES=(gstvideo-1.0 gstapp-1.0 gstbase-1.0 gstreamer-1.0 gobject-2.0 glib-2.0 gio-2.0 gmodule-2.0)

mkdir -p "$CACHE" "$output"
rust_ensure
apt_ensure_base
tools=$(venv_ensure wheel-tools "$ROOT/python/requirements-wheel.txt")
export PATH=$tools/bin:$PATH
machine=$(uname -m)
target=$machine-unknown-linux-gnu
# Zig brings its own C library, and would take the system's for every other too; so it gets these and no more.
links=$CACHE/wheel-libraries
rm -rf "$links"
mkdir -p "$links"
folder=$(pkg-config --variable=libdir gstreamer-1.0) || die 'pkg-config knows no GStreamer'
for library in "${LIBRARIES[@]}"; do
    [[ -e $folder/lib$library.so ]] || die "there is no lib$library.so in $folder"
    ln -s "$folder/lib$library.so" "$links/"
done

# For both builds, so that the second takes from the first what they share.
flags=CARGO_TARGET_${target^^}_RUSTFLAGS
export "${flags//-/_}=-L native=$links"

cd "$ROOT"
step "Building the plugin for glibc $GLIBC (release)"
cargo-zigbuild rustc --release --locked -p gst-plugin-img2pose --lib --crate-type cdylib --target "$target.$GLIBC" >&2 || die 'the build failed; see the lines above'
built=${CARGO_TARGET_DIR:-$ROOT/target}/$target/release/libgstimg2pose.so
[[ -f $built ]] || die "the build has left no $built"

step 'Packaging'
# The tree of the package is left as it was.
work=$CACHE/wheel
rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work" "$WHEEL_PLUGIN"' EXIT
rm -rf "$WHEEL_PLUGIN"
mkdir -p "$WHEEL_PLUGIN"
strip --strip-unneeded -o "$WHEEL_PLUGIN/libgstimg2pose.so" "$built"
cp models/img2pose-slim.onnx models/img2pose-slim-int8.onnx models/img2pose-slim.md models/img2pose-slim.licence.txt \
    LICENSE-MIT LICENSE-APACHE "$WHEEL_PLUGIN/"
cp src/overlay/font/LICENSE "$WHEEL_PLUGIN/LICENSE-font"
"$(python_with_pip)" scripts/lib/notices.py img2pose-cli/view gst-plugin-img2pose img2pose-cli >"$WHEEL_PLUGIN/third-party.txt"
# maturin builds the programs itself, in the same way. Its own look at what they link to would follow GStreamer into the system; auditwheel's,
# below, is told not to.
(cd python && maturin build --quiet --release --locked --strip --zig --compatibility "manylinux_${GLIBC/./_}" --auditwheel skip \
    --out "$work" >&2) || die 'maturin could not make the wheel; see the lines above'
made=("$work"/*.whl)
[[ -f ${made[0]} && ${#made[@]} == 1 ]] || die "maturin has not made one wheel: ${made[*]}"

step 'auditwheel'
exclude=()
for library in "${LIBRARIES[@]}"; do exclude+=(--exclude "lib$library.so.0"); done
# It names the wheel after the oldest system that it runs on, and would copy libraries into it: none but GStreamer's may be missing.
"$tools/bin/python" -m auditwheel repair --plat "manylinux_${GLIBC/./_}_$machine" "${exclude[@]}" --wheel-dir "$work/repaired" "${made[0]}" >&2 ||
    die "the wheel does not run on every system with glibc $GLIBC; see the lines above"
wheel=("$work"/repaired/*.whl)
"$tools/bin/python" - "${wheel[0]}" <<'PYTHON'
import sys, zipfile

names = zipfile.ZipFile(sys.argv[1]).namelist()
wanted = ["img2pose/__init__.py", "img2pose/py.typed", *(f"img2pose/plugin/{name}" for name in (
    "libgstimg2pose.so", "img2pose-slim.onnx", "img2pose-slim-int8.onnx", "third-party.txt", "img2pose-slim.licence.txt"))]
missing = [name for name in wanted if name not in names]
missing += [f"the program {program}" for program in ("img2pose", "img2pose-run", "img2pose-env") if not any(name.endswith(f"/scripts/{program}") for name in names)]
foreign = [name for name in names if ".libs/" in name or "/tests/" in name or name.startswith("tests")]
if missing or foreign:
    sys.exit(f"error: the wheel lacks {missing} and has {foreign}")
PYTHON
mv "${wheel[0]}" "$output/"
printf '%s\n' "$output/$(basename "${wheel[0]}")"
