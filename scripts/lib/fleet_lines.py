"""Checks the JSON lines that have come through a broker. Called by scripts/fleet-demo.sh."""

import json
import sys


def main():
    wanted, interval = map(int, sys.argv[1:])
    lines = [json.loads(line) for line in sys.stdin]
    frames = [line["frame"] for line in lines]
    # Lines come twice only after an outage; there was none.
    assert frames == [interval * number for number in range(wanted)], f"lines of frames {frames}"
    assert all(line["source"] == "gate-2" and line["time"] for line in lines), "a line without source or time"
    faces = sum(len(line["faces"]) for line in lines)
    # The clip shows at least one in each frame.
    assert faces >= wanted, f"{faces} faces in {wanted} frames"
    print(f"{wanted} lines in order with {faces} faces")


if __name__ == "__main__":
    main()
