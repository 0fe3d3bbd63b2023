#!/usr/bin/env bash
# Usage: scripts/test-broker.sh [--lines N] [--help]
#
# Publishes numbered lines with img2posemqtt to a real mosquitto (Debian's), which is ended and started again on the way, and checks that every
# line has arrived, in order, or was counted as dropped. Installs mosquitto and builds the plugin with the feature mqtt.
#
#   --lines N  default: 10000, of which 1000 a second are made

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"
lines=10000
options lines= -- "$@"
whole_numbers "$lines"

setup_base
apt_ensure mosquitto python3-gi gir1.2-gst-plugins-base-1.0
step 'Building the plugin with the feature mqtt'
(cd "$ROOT" && cargo build --locked --quiet --features mqtt >&2)
export GST_PLUGIN_PATH=$ROOT/target/debug GST_REGISTRY=$CACHE/gst-registry-broker.bin
exec /usr/bin/python3 "$ROOT/scripts/lib/broker.py" "$lines"
