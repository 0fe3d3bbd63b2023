#!/usr/bin/env bash
# Usage: scripts/test-servers.sh [--help]
#
# Tries the remote engine with a real inference server: NVIDIA Triton, whose program is in the wheel nvidia-pytriton (x86_64; fetched into .cache). It
# serves what img2pose serve-model has written, in ONNX Runtime (examples/servers/model.py). Faces must be those of this machine, and the
# server is stopped, killed and started again.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"
no_arguments "$@"

setup_base
[[ $(uname -m) == x86_64 ]] || die 'nvidia-pytriton has a Triton for x86_64 only'
space_ensure "$CACHE" 2 'Triton'

# A Python of the version that one of Triton's stubs was built for, with a venv for what the model needs.
python=$(python_with_pip)
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
triton=$CACHE/triton-$(wheel_version nvidia-pytriton)-$version
if [[ ! -f $triton/done ]]; then
    step 'Fetching Triton from PyPI'
    rm -rf "$triton"
    mkdir -p "$triton"
    grep -E '^nvidia-pytriton==' "$ROOT/scripts/lib/wheels.txt" >"$triton/wanted.txt" || die 'nvidia-pytriton is not in scripts/lib/wheels.txt'
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
        --dest "$triton" -r "$triton/wanted.txt" </dev/null >&2 || die 'nvidia-pytriton could not be fetched from PyPI; see the lines above'
    "$python" -m zipfile -e "$triton"/nvidia_pytriton-*.whl "$triton/wheel"
    rm "$triton"/nvidia_pytriton-*.whl
    server=$triton/wheel/pytriton/tritonserver
    stub=$server/python_backend_stubs/$version/triton_python_backend_stub
    [[ -f $stub ]] || die "Triton has no stub for Python $version, see $server/python_backend_stubs; put another python3 first in PATH"
    cp "$stub" "$server/backends/python/"
    chmod +x "$server/bin/tritonserver" "$server/backends/python/triton_python_backend_stub"
    # Of numpy 2 Triton's stub reads arrays as empty.
    "$python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: --target "$triton/packages" \
        'numpy<2' "onnxruntime==$(wheel_version onnxruntime)" </dev/null >&2 || die 'numpy and onnxruntime could not be fetched from PyPI'
    touch "$triton/done"
fi
server=$triton/wheel/pytriton/tritonserver

step 'Writing the model repository'
repository=$CACHE/triton-models
rm -rf "$repository"
(cd "$ROOT" && cargo run --locked --quiet -p img2pose-cli --bin img2pose -- serve-model models/img2pose-slim.onnx "$repository" >&2)
cp "$ROOT/examples/servers/model.py" "$repository/img2pose/1/"
sed -i 's/^backend: .*/backend: "python"/' "$repository/img2pose/config.pbtxt"

# What the test starts, with a port.
start=$CACHE/triton-start
cat >"$start" <<START
#!/bin/sh
export LD_LIBRARY_PATH='$server/external_libs:$triton/wheel/nvidia_pytriton.libs'
export IMG2POSE_SITE_PACKAGES='$triton/packages' IMG2POSE_THREADS=1
exec '$server/bin/tritonserver' --model-repository='$repository' --backend-directory='$server/backends' --allow-http=false \\
    --allow-metrics=false --allow-gpu-metrics=false --grpc-address=127.0.0.1 --grpc-port="\$1" >>'$CACHE/triton.log' 2>&1
START
chmod +x "$start"
: >"$CACHE/triton.log"
step "Testing (Triton's own words are in $CACHE/triton.log)"
cd "$ROOT"
IMG2POSE_TEST_SERVER=$start cargo test --locked -p server-tests --features run --test real -- --nocapture </dev/null
