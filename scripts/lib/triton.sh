# shellcheck shell=bash
# A real NVIDIA Triton, whose program is in the wheel nvidia-pytriton (x86_64), and what it serves.

# triton_ensure: sets TRITON to the folder of Triton, with a Python backend that has ONNX Runtime.
triton_ensure() {
    local python version server stub
    [[ $(uname -m) == x86_64 ]] || die 'nvidia-pytriton has a Triton for x86_64 only'
    # A Python of the version that one of Triton's stubs was built for.
    python=$(python_with_pip)
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    TRITON=$CACHE/triton-$(wheel_version nvidia-pytriton)-$version
    export TRITON
    [[ ! -f $TRITON/done ]] || return 0
    space_ensure "$CACHE" 2 'Triton'
    step 'Fetching Triton from PyPI'
    rm -rf "$TRITON"
    mkdir -p "$TRITON"
    grep -E '^nvidia-pytriton==' "$ROOT/scripts/lib/wheels.txt" >"$TRITON/wanted.txt" || die 'nvidia-pytriton is not in scripts/lib/wheels.txt'
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
        --dest "$TRITON" -r "$TRITON/wanted.txt" </dev/null >&2 || die 'nvidia-pytriton could not be fetched from PyPI; see the lines above'
    "$python" -m zipfile -e "$TRITON"/nvidia_pytriton-*.whl "$TRITON/wheel"
    rm "$TRITON"/nvidia_pytriton-*.whl
    server=$TRITON/wheel/pytriton/tritonserver
    stub=$server/python_backend_stubs/$version/triton_python_backend_stub
    [[ -f $stub ]] || die "Triton has no stub for Python $version, see $server/python_backend_stubs; put another python3 first in PATH"
    cp "$stub" "$server/backends/python/"
    chmod +x "$server/bin/tritonserver" "$server/backends/python/triton_python_backend_stub"
    # Of numpy 2 Triton's stub reads arrays as empty.
    "$python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: --target "$TRITON/packages" \
        'numpy<2' "onnxruntime==$(wheel_version onnxruntime)" </dev/null >&2 || die 'numpy and onnxruntime could not be fetched from PyPI'
    touch "$TRITON/done"
}

# served_model MODEL REPOSITORY [ARGUMENT...]: writes the model file into the repository with img2pose serve-model.
served_model() {
    (cd "$ROOT" && cargo run --locked --quiet -p img2pose-cli --bin img2pose -- serve-model "$@" >&2)
}

# triton_model MODEL REPOSITORY NAME: the same for Triton's Python backend.
triton_model() {
    served_model "$1" "$2" --name "$3"
    cp "$ROOT/examples/servers/model.py" "$2/$3/1/"
    sed -i 's/^backend: .*/backend: "python"/' "$2/$3/config.pbtxt"
}

# triton_start_file FILE REPOSITORY: writes a command that starts Triton with the repository on the port that it is given, and on a second
# one, if it is given, for its numbers. Triton's own words go to .cache/triton.log.
triton_start_file() {
    local server=$TRITON/wheel/pytriton/tritonserver
    cat >"$1" <<START
#!/bin/sh
export LD_LIBRARY_PATH='$server/external_libs:$TRITON/wheel/nvidia_pytriton.libs'
export IMG2POSE_SITE_PACKAGES='$TRITON/packages' IMG2POSE_THREADS=1
numbers='--allow-http=false'
[ -z "\${2:-}" ] || numbers="--allow-http=true --http-address=127.0.0.1 --http-port=\$2"
# shellcheck disable=SC2086
exec '$server/bin/tritonserver' --model-repository='$2' --backend-directory='$server/backends' \$numbers \\
    --allow-metrics=false --allow-gpu-metrics=false --grpc-address=127.0.0.1 --grpc-port="\$1" >>'$CACHE/triton.log' 2>&1
START
    chmod +x "$1"
    : >"$CACHE/triton.log"
}

# free_port: prints a port of this machine that nobody uses now.
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
