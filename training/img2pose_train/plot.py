"""Draw a run's log: `python -m img2pose_train.plot RUN_FOLDER OUT.png`."""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend must be chosen first)

PANELS = ("objectness", "deltas", "classes", "pose", "points", "rotation", "recall", "false_positives", "rate")


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: python -m img2pose_train.plot RUN_FOLDER OUT.png")
    lines = (Path(sys.argv[1]) / "log.jsonl").read_text().splitlines()
    log = [json.loads(line) for line in lines]
    figure, axes = plt.subplots(3, 3, figsize=(13, 9), layout="constrained")
    for axis, name in zip(axes.flat, PANELS):
        points = [(line["step"], line[name]) for line in log if name in line]
        axis.plot(*zip(*points))
        axis.set_title(name)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
    figure.savefig(sys.argv[2], dpi=110)


if __name__ == "__main__":
    main()
