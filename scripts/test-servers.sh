#!/usr/bin/env bash
# Usage: scripts/test-servers.sh [--all] [--help]
#
# Tries the remote engine with a real inference server: NVIDIA Triton, whose program is in the wheel nvidia-pytriton (x86_64; fetched into .cache). It
# serves what img2pose serve-model has written, in ONNX Runtime (examples/servers/model.py). Faces must be those of this machine, and the
# server is stopped, killed and started again. Then scripts/fleet-demo.sh brings a camera's faces through it to a mosquitto and out again.
#
#   --all  MLServer and KServe, too, where they can be installed (some hundred packages from PyPI)

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"
all=''
options all -- "$@"

setup_base
triton_ensure
step 'Writing the model repository'
repository=$CACHE/triton-models
rm -rf "$repository"
triton_model models/img2pose-slim.onnx "$repository" img2pose
start=$CACHE/triton-start
triton_start_file "$start" "$repository"
# As scripts/test.sh builds it.
tests=(cargo test --locked -p gst-plugin-img2pose -p server-tests
    --features 'gst-plugin-img2pose/mqtt,gst-plugin-img2pose/remote,server-tests/run' --test real)
# real NAME COMMAND [WRAPPER...]: tries the server that COMMAND starts on the port that it is given.
real() {
    step "Testing $1"
    (cd "$ROOT" && IMG2POSE_TEST_SERVER=$2 "${@:3}" "${tests[@]}" -- --nocapture </dev/null)
}
say "Triton's own words are in $CACHE/triton.log"
real Triton "$start"
check 'a camera through Triton and mosquitto' "$ROOT/scripts/fleet-demo.sh" --check

# other NAME REQUIREMENTS COMMAND...: tries a server of PyPI, in a network of its own, as KServe listens on all addresses.
other() {
    local name=$1 requirements=$ROOT/examples/servers/$2 venv
    shift 2
    # In a shell of its own: an installation that fails ends that.
    if ! venv=$(venv_ensure "${name,,}" "$requirements"); then
        say "note: $name is not tried, as it could not be installed"
        return
    fi
    cat >"$CACHE/server-start" <<START
#!/bin/sh
export IMG2POSE_THREADS=1 PATH='$venv/bin':"\$PATH"
$*
START
    chmod +x "$CACHE/server-start"
    real "$name" "$CACHE/server-start" unshare --map-root-user --net sh -c 'ip link set lo up && exec "$@"' network
}
if [[ $all ]]; then
    apt_ensure iproute2 python3-venv
    folder=$CACHE/server-models
    rm -rf "$folder"
    served_model models/img2pose-slim.onnx "$folder" --name img2pose
    version=$folder/img2pose/1
    cp "$ROOT"/examples/servers/mlserver/*.{py,json} "$version/"
    # shellcheck disable=SC2016
    other MLServer mlserver/requirements.txt "cd '$version' && MLSERVER_GRPC_PORT=\$1 exec mlserver start . >>'$CACHE/mlserver.log' 2>&1"
    # shellcheck disable=SC2016
    other KServe kserve_requirements.txt \
        "exec python '$ROOT/examples/servers/kserve_model.py' '$version/model.onnx' --model_name img2pose --grpc_port \$1 >>'$CACHE/kserve.log' 2>&1"
fi
checks_end servers
