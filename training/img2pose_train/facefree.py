"""Details of a pack's photos that hold no labelled face: `python -m img2pose_train.facefree --help`.

Backgrounds for rendered heads, and pictures for `train --backgrounds`. Held-out photos are never opened. Look at them: a
face that nobody labelled is in some.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from .pack import Labels, Photos


def free_square(boxes, width, height, side, rng, margin=0.4, tries=12):
    """Corner (x, y) of a square that keeps its distance from all boxes [N, 4], or None."""
    grown = np.concatenate([boxes[:, :2] - margin * (boxes[:, 2:] - boxes[:, :2]), boxes[:, 2:] + margin * (boxes[:, 2:] - boxes[:, :2])], 1)
    for _ in range(tries):
        x, y = rng.integers(width - side + 1), rng.integers(height - side + 1)
        if not ((grown[:, 0] < x + side) & (grown[:, 2] > x) & (grown[:, 1] < y + side) & (grown[:, 3] > y)).any():
            return x, y
    return None


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pack", required=True)
    parser.add_argument("--labels", required=True, help="refined labels")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--side", type=int, default=200, help="pixels")
    parser.add_argument("--contrast", type=float, default=12, help="least standard deviation of a detail's values")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    photos, labels = Photos(options.pack), Labels.load(options.labels)
    rng, made = np.random.default_rng(options.seed), 0
    options.out.mkdir(parents=True, exist_ok=True)
    faces = labels.faces_of()
    for i in rng.permutation(len(photos)):
        width, height = photos.sizes[i]
        if made == options.count:
            break
        if labels.held_out[i] or min(width, height) < 1.3 * options.side:
            continue
        corner = free_square(labels.box[faces[i]].reshape(-1, 4), width, height, options.side, rng)
        if corner is None:
            continue
        x, y = corner
        detail = photos.read(i)[y : y + options.side, x : x + options.side, ::-1]
        if detail.std() < options.contrast:
            continue
        cv2.imwrite(str(options.out / f"{made:05d}.jpg"), detail)
        made += 1
    print(f"{made} details")


if __name__ == "__main__":
    main()
