"""68 landmarks of every face of a pack, by a teacher that looks several times: `python -m img2pose_train.look.relabel --help`.

Photos and faces are those of the pack; all faces of quality 1 and 2 are looked at, also those that have a box only. A
face's label is the mean of several looks (crops moved a little, every second one mirrored). What is trusted is decided
later (`look.cache`) by how far the looks agree with each other, with the pack's own pose and with a second teacher.
"""

import argparse
import time

import cv2
import numpy as np

from .. import geometry
from ..pack import Photos, whole
from ..teachers import MorphableTeacher
from . import fit


def spread_of(looks):
    """Mean distance [] of the looks [L, 68, 2] from their mean, in parts of the face's size."""
    mean = looks.mean(0)
    size = np.sqrt(max(1e-6, np.ptp(mean, 0).prod()))
    return np.linalg.norm(looks - mean, axis=2).mean() / size


STEPS = 250
"""Steps of a unit of the reference points in which landmarks are stored, as distances from their fit: 0.1 pixels on a face of 50."""


def packed(points):
    """Columns that stand for landmarks [N, 68, 2] in a quarter of the space: their fit, and what is left over, in 8 bits."""
    rotation, origin, scale, flatness, lean, _ = fit.solve(points)
    left = (points - fit.project(rotation, origin, scale, flatness, lean)) / scale[:, None, None]
    single = {"origin": origin, "scale": scale, "flatness": flatness, "lean": lean, "rvec": geometry.rotation_vector(rotation)}
    return {name: values.astype(np.float32) for name, values in single.items()} | {
        "left": np.round(left * STEPS).clip(-127, 127).astype(np.int8)
    }


def load(path):
    """row [N] of the pack, points [N, 68, 2] and spread [N] of a file that this program wrote."""
    z = {name: values.astype(float) if values.dtype == np.float32 else values for name, values in np.load(path).items()}
    seen = fit.project(geometry.rotation_matrix(z["rvec"]), z["origin"], z["scale"], z["flatness"], z["lean"])
    return {"row": z["row"], "points": seen + z["left"] / STEPS * z["scale"][:, None, None], "spread": z["spread"]}


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
