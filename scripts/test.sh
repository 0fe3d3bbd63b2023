#!/usr/bin/env bash
# Usage: scripts/test.sh [--training] [--help]
#
# Sets up what is missing, builds, and runs every test: cargo's, scripts/test-gpu-software.sh, scripts/test-onnxruntime.sh, scripts/test-servers.sh, a minute of scripts/soak.sh, scripts/acceptance.sh and
# scripts/test-python.sh. The last line is 'N passed, N failed, N skipped'; the whole output is kept in out/test.log.
#
# Those of training/ run with --training, which sets up PyTorch for them (3 GB to download; 11 GB of disk, 7 afterwards),
# or when it is there already.
#
# Tests against the reference implementation's output read it from the folder IMG2POSE_GOLDEN, or from
# ../shared/golden; without it they count as skipped. What was skipped and why stands above the last line.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

training=''
options training -- "$@"

setup_base
# For the tests of the Python examples, which are skipped without them.
apt_ensure python3-gi gir1.2-gst-plugins-base-1.0 gir1.2-gst-rtsp-server-1.0
# For the test of frames in GL memory; on GL made of software, without a display.
apt_ensure gstreamer1.0-gl libgl1-mesa-dri libegl1
export GST_GL_PLATFORM=egl GST_GL_WINDOW=egl-device
# For the tests of hidden faces; acceptance needs them, too.
media_ensure
# First, as it may have no room or no network: nobody should learn that after the other tests.
if [[ $training || -f $CACHE/training/done ]]; then
    training=yes
    training_ensure
fi
log=$ROOT/out/test.log
mkdir -p "$ROOT/out"
: >"$log"

# Tests that need what is not there add a line.
export IMG2POSE_SKIPPED=$ROOT/out/skipped.txt
: >"$IMG2POSE_SKIPPED"

status=0
cd "$ROOT"
# Our own registry, so that elements of another installation of the plugin are not remembered.
export GST_REGISTRY=$CACHE/gst-registry-test.bin
step 'cargo test'
cargo test --workspace --locked --no-fail-fast </dev/null 2>&1 | tee -a "$log" || status=1
step 'On a GPU made of software'
scripts/test-gpu-software.sh </dev/null 2>&1 | tee -a "$log" || status=1
# Behind it: what it builds is used again.
step 'Other versions of ONNX Runtime'
scripts/test-onnxruntime.sh </dev/null 2>&1 | tee -a "$log" || status=1
# What the default build leaves out. Alone, as features change what is built.
step 'cargo test, features'
# In one call: they are built together.
cargo test -p gst-plugin-img2pose -p server-tests --features gst-plugin-img2pose/mqtt,gst-plugin-img2pose/remote,server-tests/run \
    --locked --no-fail-fast --lib --test mqtt --test documents_features --test remote --test element --test storm </dev/null 2>&1 | tee -a "$log" || status=1
cargo test -p img2pose-cli --features view --locked --no-fail-fast --test run --bin img2pose-run </dev/null 2>&1 | tee -a "$log" || status=1
# There is no Triton for other processors that comes as a wheel.
if [[ $(uname -m) == x86_64 ]]; then
    step 'A real inference server, and a broker'
    scripts/test-servers.sh </dev/null 2>&1 | tee -a "$log" || status=1
fi
step 'The page in the browser'
scripts/test-view.sh </dev/null 2>&1 | tee -a "$log" || status=1
step 'Soak'
scripts/soak.sh 1 </dev/null 2>&1 | tee -a "$log" || status=1
step 'Acceptance'
scripts/acceptance.sh </dev/null 2>&1 | tee -a "$log" || status=1
step 'Python package'
scripts/test-python.sh </dev/null 2>&1 | tee -a "$log" || status=1

untried=0
if [[ $training ]]; then
    step 'Training'
    (cd training && "$TRAINING_PYTHON" -m pytest -q -rs </dev/null) 2>&1 | tee -a "$log" || status=1
else
    untried=1
fi

# 'test result: ok. 12 passed; 0 failed; 1 ignored; ...' of each test program, and of scripts that check.
read -r passed failed skipped < <(awk '
    /^test result: / { passed += $4; failed += $6; skipped += $8 }
    # The last line of pytest: 1 failed, 3 passed in 2.10s
    /^([0-9]+ [a-z]+, )*[0-9]+ [a-z]+ in [0-9.]+s/ {
        for (i = 2; i <= NF; i++) {
            if ($i ~ /^passed/) passed += $(i - 1)
            if ($i ~ /^(failed|errors?)/) failed += $(i - 1)
            if ($i ~ /^skipped/) skipped += $(i - 1)
        }
    }
    END { print passed + 0, failed + 0, skipped + 0 }' "$log")
# Cargo takes them for passed.
sort -u -o "$IMG2POSE_SKIPPED" "$IMG2POSE_SKIPPED"
idle=$(wc -l <"$IMG2POSE_SKIPPED")
passed=$((passed - idle))
skipped=$((skipped + idle + untried))
((untried == 0)) || printf 'skipped: the tests of training/; scripts/test.sh --training sets up PyTorch for them\n'
sed 's/^/skipped: /' "$IMG2POSE_SKIPPED"
sed -n 's/^test \(.*\) \.\.\. ignored/skipped: \1/p' "$log"

if ((status == 0 && passed == 0)); then
    say 'error: no test ran'
    status=1
elif ((status != 0 && failed == 0)); then
    say "error: something failed outside a test (a build, or a test program that died); see $log"
fi
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
exit "$status"
