# shellcheck shell=bash
# A GPU made of software: lavapipe, Mesa's Vulkan device that computes on the processor, and an ONNX Runtime that runs networks on
# Vulkan. It has memory of its own, shaders and queues as GPUs have them; of their speed it shows nothing.

# shellcheck source=scripts/lib/debian.sh
source "$ROOT/scripts/lib/debian.sh"

# ONNX Runtime's WebGPU refuses the Vulkan devices of older ones.
MESA_AT_LEAST=25

# deb_unpack NAME PATTERN DIR: fetches the pinned package NAME of scripts/lib/debs.txt, checks its hash, and leaves the files
# that match the shell PATTERN in DIR, without their folders. Installs nothing and needs no root.
deb_unpack() {
    local name=$1 pattern=$2 dir=$3 architecture version release hash work file options
    architecture=$(dpkg --print-architecture)
    read -r version release hash < <(awk -v name="$name" -v architecture="$architecture" \
        '$1 == name && $4 == architecture { print $2, $3, $5 }' "$ROOT/scripts/lib/debs.txt") ||
        die "scripts/lib/debs.txt has no $name for $architecture"
    work=$(mktemp -d "$CACHE/deb.XXXXXX")
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/package" "$work/out"
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$MIRROR" "$release" >"$work/sources.list"
    options=(-qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$work/lists"
        -o Dir::Cache="$work/cache" -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none)
    step "Fetching $name $version from $release"
    (cd "$work" && apt-get "${options[@]}" update && apt-get "${options[@]}" download "$name=$version") \
        </dev/null >"$work.log" 2>&1 || {
        tail -n 5 "$work.log" >&2
        rm -rf "$work"
        die "$name $version could not be fetched; the whole log is $work.log"
    }
    file=$(find "$work" -maxdepth 1 -name '*.deb')
    printf '%s  %s\n' "$hash" "$file" | sha256sum --check --status ||
        die "$file does not have the hash that scripts/lib/debs.txt says: $hash"
    dpkg-deb --extract "$file" "$work/package"
    find "$work/package" -type f -path "$pattern" -exec mv -t "$work/out" {} +
    mkdir -p "$(dirname "$dir")"
    rm -rf "$dir" "$work.log"
    # The folder appears whole or not at all.
    mv "$work/out" "$dir"
    rm -rf "$work"
}

# lavapipe_ensure: makes lavapipe the only Vulkan device, through VK_DRIVER_FILES, and keeps its shaders in .cache: compiling
# them takes most of the time of a first run.
lavapipe_ensure() {
    local candidate driver dir
    have apt-get || die "a Vulkan device made of software is set up on Debian and Ubuntu only; elsewhere install Mesa \
$MESA_AT_LEAST or newer with lavapipe, and name its lvp_icd.json in VK_DRIVER_FILES"
    apt_ensure libvulkan1
    candidate=$(apt-cache policy mesa-vulkan-drivers | sed -n 's/^ *Candidate: //p')
    if dpkg --compare-versions "${candidate:-0}" ge "$MESA_AT_LEAST"; then
        apt_ensure mesa-vulkan-drivers
        driver=$(find /usr/share/vulkan/icd.d -name 'lvp_icd*.json' | sort | head -n 1)
        [[ -n $driver ]] || die "mesa-vulkan-drivers $candidate has no lavapipe (lvp_icd.json)"
    else
        # Debian 12's is too old; that of its backports would replace parts of the system's graphics, so it lies beside. What it
        # needs is the system's.
        apt_ensure libdrm2 libexpat1 libllvm15 libwayland-client0 libx11-xcb1 libxcb-dri3-0 libxcb-present0 libxcb-randr0 \
            libxcb-shm0 libxcb-sync1 libxcb-xfixes0 libxcb1 libxshmfence1 libzstd1
        dir=$CACHE/lavapipe-$(awk '$1 == "mesa-vulkan-drivers" { sub(/-.*/, "", $2); print $2; exit }' "$ROOT/scripts/lib/debs.txt")
        driver=$dir/lvp_icd.json
        if [[ ! -f $dir/done ]]; then
            deb_unpack mesa-vulkan-drivers '*lvp*' "$dir"
            # It names its library for the loader's folders to be searched.
            # Beside it, wherever the checkout is moved to.
            sed -i 's|"library_path": *"[^"]*"|"library_path": "./libvulkan_lvp.so"|' "$driver"
            touch "$dir/done"
        fi
    fi
    export VK_DRIVER_FILES=$driver
    export MESA_SHADER_CACHE_DIR=$CACHE/mesa-shaders
}

# onnxruntime_webgpu_ensure: sets ORT_DYLIB_PATH to the pinned ONNX Runtime that has WebGPU.
onnxruntime_webgpu_ensure() {
    local version dir
    version=$(wheel_version onnxruntime-webgpu)
    dir=$CACHE/onnxruntime-webgpu-$version
    export ORT_DYLIB_PATH=$dir/libonnxruntime.so.$version
    [[ -f $ORT_DYLIB_PATH ]] || wheel_unpack onnxruntime-webgpu 'onnxruntime/capi/libonnxruntime*' "$dir"
}

# webgpu_plugin_ensure: sets WEBGPU_PLUGIN to the pinned library with WebGPU as a provider of its own, for an ONNX Runtime that has none.
webgpu_plugin_ensure() {
    local version dir
    version=$(wheel_version onnxruntime-ep-webgpu)
    dir=$CACHE/onnxruntime-ep-webgpu-$version
    export WEBGPU_PLUGIN=$dir/libonnxruntime_providers_webgpu.so
    [[ -f $WEBGPU_PLUGIN ]] || wheel_unpack onnxruntime-ep-webgpu 'onnxruntime_ep_webgpu/*.so' "$dir"
}
