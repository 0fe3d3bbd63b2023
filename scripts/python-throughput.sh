#!/usr/bin/env bash
# Usage: scripts/python-throughput.sh [ROUNDS] [--video FILE]
#
# How fast img2pose.faces is beside gst-launch-1.0 on the same video, one after the other, ROUNDS times (default: 5). Prints frames a
# second of each round, and the median of their ratios; ends with an error below 0.95. For a machine that does nothing else.

# shellcheck source=scripts/lib/all.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/all.sh"

video=''
options video= ... -- "$@"
rounds=$(argument 5)
whole_numbers "$rounds"
setup_base
media_ensure
plugin_build
venv=$(venv_ensure python-tests "$ROOT/python/requirements-test.txt")
cd "$ROOT/python"
exec "$venv/bin/python" - "${video:-$MEDIA/WolfgangLanger_Pexels.mp4}" "$rounds" <<'PYTHON'
import statistics, subprocess, sys, tempfile, time
import img2pose

video, rounds = sys.argv[1], int(sys.argv[2])
launch = (
    f"gst-launch-1.0 -q filesrc location={video} ! decodebin ! videoconvert ! img2posedetect batch-size=8 ! img2posejson ! filesink location="
).split()


def by_launch(lines):
    started = time.monotonic()
    subprocess.run([*launch[:-1], launch[-1] + lines], check=True)
    return time.monotonic() - started


def by_python():
    # With a process of its own, as gst-launch-1.0 has one: loading the model counts in both.
    program = f"import img2pose\nprint(sum(1 for frame in img2pose.faces({video!r}, batch_size=8)))"
    started = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return time.monotonic() - started, int(ended.stdout)


ratios = []
with tempfile.NamedTemporaryFile() as file:
    by_launch(file.name)
    for number in range(rounds):
        first = by_launch(file.name)
        seconds, frames = by_python()
        with open(file.name) as lines:
            assert sum(1 for _ in lines) == frames
        ratios.append(first / seconds)
        print(f"round {number}: gst-launch-1.0 {frames / first:.2f}, Python {frames / seconds:.2f} frames/s, {ratios[-1]:.3f} of it", flush=True)
median = statistics.median(ratios)
print(f"median {median:.3f}")
sys.exit(median < 0.95)
PYTHON
