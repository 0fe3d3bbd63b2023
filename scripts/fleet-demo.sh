#!/usr/bin/env bash
# Usage: scripts/fleet-demo.sh [--check] [--help]
#
# The whole way of docs/fleet.md on one machine: a camera (a clip that is played in real time) -> img2posedetect, whose network runs at an NVIDIA
# Triton -> img2posejson -> img2posemqtt -> mosquitto -> mosquitto_sub, which prints each line with its topic. Installs mosquitto and Triton
# (x86_64) and builds the plugin with the features mqtt and remote. The lines that it runs stand in docs/fleet.md, with other ports.
#
#   --check  prints no lines, but checks that each frame that was looked at has one, in order, with its camera, its time, and faces

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"
check=''
options check -- "$@"

# What stands in docs/fleet.md; CLIP, GRPC and MQTT are a file and two ports.
# shellcheck disable=SC2016
lines=(
    'img2pose serve-model models/img2pose-slim.onnx repository'
    "mosquitto_sub -p MQTT -t 'cameras/+/faces' -q 1 -v"
    'gst-launch-1.0 filesrc location=CLIP ! decodebin ! clocksync ! videoconvert'
    '! img2posedetect server-url=grpc://127.0.0.1:GRPC server-model=img2pose inference-interval=12'
    '! img2posejson source=gate-2 time=arrival'
    '! img2posemqtt uri=mqtt://127.0.0.1:MQTT qos=1 status-topic=cameras/gate-2/status'
)
for line in "${lines[@]}"; do
    said=${line//CLIP/clip.mp4}
    said=${said//GRPC/8001}
    grep -qF -- "${said//MQTT/1883}" "$ROOT/docs/fleet.md" || die "docs/fleet.md does not have the line '${said//MQTT/1883}'"
done

setup_base
apt_ensure mosquitto mosquitto-clients python3
media_ensure
triton_ensure
step 'Building the plugin with the features mqtt and remote'
(cd "$ROOT" && cargo build --locked --quiet -p gst-plugin-img2pose --features mqtt,remote >&2)
export GST_PLUGIN_PATH=$ROOT/target/debug GST_REGISTRY=$CACHE/gst-registry-fleet.bin
export PATH=$PATH:/usr/sbin

work=$(mktemp -d "$CACHE/fleet.XXXXXX")
# What this script has started, ended in the order in which it was started.
started=()
finish() {
    local process
    for process in "${started[@]}"; do
        kill "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap finish EXIT
# wait_for WHAT COMMAND...: until the command ends well.
wait_for() {
    local what=$1 tries
    shift
    for ((tries = 0; tries < 600; tries++)); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.2
    done
    die "$what does not come; see $CACHE/triton.log"
}
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1"); }

step "What Triton serves: ${lines[0]}"
repository=$work/repository
triton_model models/img2pose-slim.onnx "$repository" img2pose
triton_start_file "$work/triton" "$repository"
grpc=$(free_port)
step "Triton on port $grpc"
"$work/triton" "$grpc" &
started+=($!)

mqtt=$(free_port)
step "mosquitto on port $mqtt"
printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$mqtt" >"$work/mosquitto.conf"
mosquitto -c "$work/mosquitto.conf" >"$work/mosquitto.log" 2>&1 &
started+=($!)
wait_for mosquitto listens "$mqtt"
wait_for Triton listens "$grpc"

# ports LINE: the line with this run's ports and clip.
ports() {
    local line=${1//CLIP/$MEDIA/WolfgangLanger_Pexels.mp4}
    line=${line//GRPC/$grpc}
    printf '%s\n' "${line//MQTT/$mqtt}"
}
# -d says when the subscription is there.
subscriber=$(ports "${lines[1]}")
step "$subscriber"
seen=$work/seen
if [[ $check ]]; then
    bash -c "exec stdbuf -oL $subscriber -d" >"$seen" 2>&1 &
else
    bash -c "exec stdbuf -oL $subscriber -d" 2>&1 | tee "$seen" | sed -u '/^Client /d' &
fi
started+=($!)
wait_for 'the subscription' grep -q SUBACK "$seen"

line=$(ports "${lines[*]:2}")
step "$line"
(cd "$ROOT" && bash -c "exec ${line/gst-launch-1.0/gst-launch-1.0 -q}") </dev/null >&2
[[ $check ]] || exit 0

# Every twelfth of 472 frames is looked at, the first among them.
wanted=40
# A line can be on its way when the pipeline has ended.
arrived() { (($(grep -c '^cameras/gate-2/faces ' "$seen") >= wanted)); }
wait_for "each of $wanted lines" arrived
grep '^cameras/gate-2/faces ' "$seen" | cut -d ' ' -f 2- | python3 "$ROOT/scripts/lib/fleet_lines.py" "$wanted" 12
