# shellcheck shell=bash
# Building the plugin, and making GStreamer find it.

# setup_base: what every script needs before it can build and run.
setup_base() {
    mkdir -p "$CACHE"
    # First: nobody should wait for apt to learn that Rust is missing.
    rust_ensure
    apt_ensure_base
    onnxruntime_ensure
}

# plugin_build: builds the plugin and the tool img2pose in release, its `run` included, and points GStreamer at them. Sets TARGET.
plugin_build() {
    step "Building the plugin (release)"
    (cd "$ROOT" && cargo build --release --locked -p gst-plugin-img2pose -p img2pose-cli --features img2pose-cli/run \
        --lib --bin img2pose --bin img2pose-run >&2) ||
        die "the build failed; see the lines above"
    TARGET=${CARGO_TARGET_DIR:-$ROOT/target}/release
    export TARGET
    export GST_PLUGIN_PATH=$TARGET${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH}
    # Our own registry: the user's is left alone, and a plugin that failed to load once is not remembered as broken.
    export GST_REGISTRY=$CACHE/gst-registry.bin
    plugin_check
}

# plugin_check: the elements must load; if not, says what GStreamer said.
plugin_check() {
    local element
    for element in img2posedetect img2posetrack img2posejson img2poseoverlay img2posealign; do
        gst-inspect-1.0 "$element" >/dev/null 2>&1 && continue
        rm -f "$GST_REGISTRY"
        gst-inspect-1.0 "$element" >"$CACHE/gst-inspect.log" 2>&1 && continue
        GST_DEBUG=GST_PLUGIN_LOADING:4 gst-inspect-1.0 "$TARGET/libgstimg2pose.so" 2>&1 |
            grep -i -E 'warn|error|could not|failed' >&2 || true
        die "GStreamer does not find the element $element in $TARGET/libgstimg2pose.so"
    done
}
