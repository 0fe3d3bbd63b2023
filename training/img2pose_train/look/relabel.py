"""68 landmarks of every face of a pack, by a teacher that looks several times: `python -m img2pose_train.look.relabel --help`.

Photos and faces are those of the pack; all faces of quality 1 and 2 are looked at, also those that have a box only. A
face's label is the mean of several looks (crops moved a little, every second one mirrored). What is trusted is decided
later (`look.cache`) by how far the looks agree with each other, with the pack's own pose and with a second teacher.
"""

import argparse
import time

import cv2
import numpy as np

from ..pack import Photos, whole
from ..teachers import MorphableTeacher
from .landmarks import packed


def spread_of(looks):
    """Mean distance [] of the looks [L, 68, 2] from their mean, in parts of the face's size."""
    mean = looks.mean(0)
    size = np.sqrt(max(1e-6, np.ptp(mean, 0).prod()))
    return np.linalg.norm(looks - mean, axis=2).mean() / size


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pack", required=True)
    parser.add_argument("--teacher", required=True, help="ONNX file of 3DDFA_V2 (62 parameters)")
    parser.add_argument("--bases", required=True, help="JSON file with the bases of its 68 points")
    parser.add_argument("--out", required=True, help="landmarks.npz")
    parser.add_argument("--looks", type=int, default=8)
    parser.add_argument("--smallest", type=float, default=14, help="square root of the area of the smallest box to look at")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    photos, raw = Photos(options.pack), np.load(f"{options.pack}/labels.npz")
    teacher = MorphableTeacher(options.teacher, options.bases)
    box = raw["pb"].astype(float)
    size = np.sqrt(np.clip(box[:, 2:] - box[:, :2], 0, None).prod(1))
    rows = np.nonzero((raw["q"] >= 1) & (size >= options.smallest))[0]
    points, spread = np.zeros((len(rows), 68, 2)), np.zeros(len(rows), np.float32)
    start, shown, image = time.time(), -1, None
    for k, row in enumerate(rows):
        if raw["img"][row] != shown:
            shown = raw["img"][row]
            image = np.ascontiguousarray(photos.read(shown)[:, :, ::-1])
        looks = teacher.several(image, box[row], options.looks)
        points[k], spread[k] = looks.mean(0), spread_of(looks)
        if k % 1000 == 0:
            print(f"{k} of {len(rows)} faces, {time.time() - start:.0f} s", flush=True)
    with whole(options.out) as path, open(path, "wb") as file:
        np.savez_compressed(file, row=rows.astype(np.int32), spread=spread, **packed(points))
    print(f"{len(rows)} faces; spread of the looks, quartiles {np.percentile(spread, [25, 50, 75, 95]).round(4)}")


if __name__ == "__main__":
    main()
