#!/usr/bin/env python3
"""The best picture of each person in a clip: upright, cut out.

    best_crops.py clip.mp4 FOLDER [--size PIXELS]

Leaves FOLDER/person-ID.png for each person that is followed. The best is large, sharp, sure, and looks straight ahead. For
crops of every face as the stream goes on, aligned for face recognition, there is the element img2posealign.

Needs the Python package img2pose, and Pillow.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import img2pose

# Side of the crop, in sides of the face's box.
MARGIN = 1.5


def upright(image: np.ndarray, face: img2pose.Face, size: int) -> np.ndarray:
    """The surroundings of a face, turned so that it is upright: (size, size, 3) uint8; black outside of the picture."""
    x_min, y_min, x_max, y_max = face.box
    side = MARGIN * max(x_max - x_min, y_max - y_min)
    turn = np.radians(face.roll)
    # Where each pixel of the crop lies in the picture: roll is clockwise as seen there.
    steps = (np.arange(size) + 0.5) / size - 0.5
    across, down = np.meshgrid(steps * side, steps * side)
    x = (x_min + x_max) / 2 + across * np.cos(turn) - down * np.sin(turn)
    y = (y_min + y_max) / 2 + across * np.sin(turn) + down * np.cos(turn)
    return bilinear(image, x - 0.5, y - 0.5)


def bilinear(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The picture at places between its pixels."""
    height, width = image.shape[:2]
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    result = np.zeros((*x.shape, 3))
    for column, row in ((0, 0), (1, 0), (0, 1), (1, 1)):
        at_x, at_y = left + column, top + row
        weight = (1 - abs(x - at_x)) * (1 - abs(y - at_y))
        inside = (at_x >= 0) & (at_x < width) & (at_y >= 0) & (at_y < height)
        result += np.where(inside, weight, 0)[..., None] * image[at_y.clip(0, height - 1), at_x.clip(0, width - 1)]
    return result.round().astype(np.uint8)


def quality(crop: np.ndarray, face: img2pose.Face) -> float:
    """How good a crop is; only for comparing."""
    straight = np.cos(np.radians(face.yaw)) * np.cos(np.radians(face.pitch))
    pixels = min(face.box[2] - face.box[0], len(crop)) / len(crop)
    grey = crop.mean(axis=2)
    # Steps between pixels: blurred pictures have small ones.
    sharp = np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()
    return float(face.score * max(straight, 0) ** 4 * np.sqrt(pixels) * np.sqrt(sharp))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=256, help="width and height of the crops in pixels (256)")
    options = parser.parse_args()
    best: dict[int, tuple[float, int, np.ndarray]] = {}
    for frame in img2pose.faces(options.clip, track=True, image=True):
        for face in frame.faces:
            crop = upright(frame.image, face, options.size)
            found = (quality(crop, face), frame.index, crop)
            if face.track_id not in best or found[0] > best[face.track_id][0]:
                best[face.track_id] = found
    if not best:
        sys.exit(f"no face in {options.clip}")
    options.folder.mkdir(parents=True, exist_ok=True)
    for person, (_, index, crop) in best.items():
        path = options.folder / f"person-{person}.png"
        Image.fromarray(crop).save(path)
        print(f"{path}: frame {index}")


if __name__ == "__main__":
    main()
