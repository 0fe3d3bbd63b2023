#!/usr/bin/env bash
# Usage: scripts/test-install.sh [meson] [cargo-c]
#
# Installs plugin and model into a folder of their own, with meson (under a DESTDIR, as packagers do) and with cargo cinstall
# (under a prefix), or with the one that is named. Each time GStreamer must find every element there, img2pose doctor
# no fault, and a pipeline the model; after removing it nothing may be left. Both build from scratch; cargo-c itself is built
# into .cache when it is not installed (20 minutes or so on two cores).

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

options ... -- "$@"
ways=("${ARGUMENTS[@]}")
((${#ways[@]})) || ways=(meson cargo-c)
for way in "${ways[@]}"; do
    [[ $way == meson || $way == cargo-c ]] || die "unknown argument '$way'; see --help"
done

setup_base
work=$(mktemp -d "$CACHE/install.XXXXXX")
trap 'rm -rf "$work"' EXIT
# Elsewhere, so that nothing is found by way of the checkout.
cd "$work"

# found WAY PREFIX TOOL: what was installed under the prefix is whole, and is what is used.
found() {
    local way=$1 prefix=$2 tool=$3 plugin model element seen
    plugin=$(find "$prefix" -name libgstimg2pose.so)
    model=$prefix/share/gst-plugin-img2pose/img2pose-slim.onnx
    [[ -f $plugin ]] || die "$way: there is no plugin under $prefix"
    [[ $plugin == */gstreamer-1.0/libgstimg2pose.so ]] || die "$way: GStreamer does not look where $plugin is"
    [[ -f $model && -f ${model%.onnx}-int8.onnx ]] || die "$way: there is no $model, or not its quantized twin"
    # Its own registry and path, which must not outlive it.
    local -x GST_REGISTRY=$work/$way.registry GST_PLUGIN_PATH
    GST_PLUGIN_PATH=$(dirname "$plugin")
    for element in img2posedetect img2posetrack img2posejson img2poseoverlay img2posealign; do
        seen=$(gst-inspect-1.0 "$element") || die "$way: GStreamer finds no $element"
        grep -q -F "$plugin" <<<"$seen" || die "$way: $element comes from elsewhere: $(grep Filename <<<"$seen")"
    done
    seen=$("$tool" doctor) || die "$way: doctor finds a fault:"$'\n'"$seen"
    gst-launch-1.0 -q videotestsrc num-buffers=3 ! video/x-raw,width=320,height=240 ! img2posedetect ! img2posejson \
        ! filesink location="$work/lines" </dev/null >&2 || die "$way: a pipeline fails"
    [[ $(wc -l <"$work/lines") == 3 ]] || die "$way: 3 frames gave $(wc -l <"$work/lines") lines"
    # It is the installed model: without it the element does not start.
    mv "$model" "$model.away"
    if gst-launch-1.0 -q videotestsrc num-buffers=1 ! img2posedetect ! fakesink </dev/null >"$work/log" 2>&1; then
        die "$way: a pipeline runs without $model"
    fi
    grep -q 'model' "$work/log" || die "$way: without the model: $(cat "$work/log")"
    mv "$model.away" "$model"
    say "$way: installed and found"
}

# gone WAY PREFIX: nothing is left but folders.
gone() {
    local left
    left=$([[ ! -d $2 ]] || find "$2" ! -type d)
    [[ -z $left ]] || die "$1: left after removing:"$'\n'"$left"
    say "$1: removed"
}

for way in "${ways[@]}"; do
    case $way in
    meson)
        apt_ensure meson ninja-build
        step 'meson, under a DESTDIR'
        meson setup build "$ROOT" >&2 # Below /usr/local, where GStreamer does not look.
        grep -q 'GStreamer looks for plugins in' build/meson-logs/meson-log.txt || die 'meson: the wrong prefix gives no warning'
        rm -rf build
        meson setup build "$ROOT" --prefix /usr >&2
        ! grep -q 'GStreamer looks for plugins in' build/meson-logs/meson-log.txt || die 'meson: the right prefix gives a warning'
        meson compile -C build >&2
        DESTDIR=$work/destdir meson install -C build --quiet >&2
        found meson "$work/destdir/usr" "$work/destdir/usr/bin/img2pose"
        ninja -C build uninstall >&2
        gone meson "$work/destdir"
        rm -rf build
        ;;
    cargo-c)
        if ! have cargo-cinstall; then
            apt_ensure libssl-dev
            PATH=$(cargo_tool cargo-c 0.10.24+cargo-0.98.0 cargo-cinstall):$PATH
        fi
        step 'cargo cinstall, under a prefix'
        options=(--locked --release --manifest-path "$ROOT/Cargo.toml" -p gst-plugin-img2pose --prefix "$work/prefix" --libdir lib
            --library-type cdylib --target-dir "$work/target")
        cargo cinstall "${options[@]}" >&2
        cargo install --locked --path "$ROOT/crates/img2pose-cli" --root "$work/tools" --target-dir "$work/target" >&2
        found cargo-c "$work/prefix" "$work/tools/bin/img2pose"
        # cargo-c has no uninstall: these, and what pkg-config reads, are all that there is to remove.
        rm -f "$work"/prefix/lib/{gstreamer-1.0/libgstimg2pose.so,pkgconfig/gstimg2pose.pc} \
            "$work"/prefix/share/gst-plugin-img2pose/img2pose-slim{.onnx,-int8.onnx,.md}
        gone cargo-c "$work/prefix"
        ;;
    esac
done
