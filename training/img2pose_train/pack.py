"""The pack: photos and labels of a training set in two files.

images.bin   the photos' JPEG files, one after the other
labels.npz   offsets [n + 1] of the photos in images.bin, names [n], wh [n, 2], groups [n] ("" for none), and one row
             per face:
             img    index of the photo
             q      2: box and pose are trusted; 1: box only; 0: ignore this region
             mask   the face wears a mask (its pose counts half)
             score  confidence of the detectors that found it
             rvec, tvec, cam (focal, cx, cy)   the pose and the camera it was solved in
             det    box of the detector or the annotator
             pb     box of the projected landmarks; for q < 2 a guess at it from `det`

A refined label file (`refine`) has the photos' held-out flags and, per face, `image quality
weight rvec tvec cam box`, all in the camera of the face's own box (see `labels`).
"""

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from . import geometry

_REDUCED = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}


@contextmanager
def whole(path):
    """Path to write to in place of `path`; moved there at the end, so that no half of a file is ever taken for it."""
    path = Path(path)
    unfinished = path.with_name(f"unfinished-{path.name}")
    yield unfinished
    os.replace(unfinished, path)


def is_portrait(width, height, faces):
    """Whether a photo is the small crop of one face; `faces`: sizes of its faces."""
    return max(width, height) < 400 and any(size > 0.45 * np.sqrt(width * height) for size in faces)


class Photos:
    """Random access to a pack's photos; the file is mapped, so processes share it."""

    def __init__(self, folder):
        folder = Path(folder)
        index = np.load(folder / "labels.npz")
        self.offsets, self.names, self.sizes = index["offsets"], index["names"], index["wh"]
        self._bytes = np.memmap(folder / "images.bin", np.uint8, "r")

    def __len__(self):
        return len(self.names)

    def read(self, i, reduction=1):
        """Photo i as RGB [h, w, 3], its sides divided by `reduction` (1, 2 or 4) on decoding."""
        data = self._bytes[self.offsets[i] : self.offsets[i + 1]]
        image = cv2.imdecode(data, _REDUCED[reduction])
        if image is None:
            raise ValueError(f"photo {i} ({self.names[i]}) of the pack cannot be decoded")
        return np.ascontiguousarray(image[:, :, ::-1])


@dataclass
class Labels:
    """Refined labels, one row per face, and the held-out flag of every photo."""

    image: np.ndarray
    quality: np.ndarray
    weight: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    focal: np.ndarray
    centre: np.ndarray
    box: np.ndarray
    held_out: np.ndarray

    @classmethod
    def load(cls, path):
        z = np.load(path)
        return cls(
            z["image"], z["quality"].astype(int), z["weight"],
            geometry.rotation_matrix(z["rvec"]), z["tvec"].astype(float),
            z["cam"][:, 0].astype(float), z["cam"][:, 1:].astype(float),
            z["box"].astype(float), z["held_out"],
        )

    def faces_of(self):
        """For every photo the list of its rows."""
        rows = [[] for _ in self.held_out]
        for row, image in enumerate(self.image):
            rows[image].append(row)
        return rows

    @property
    def size(self):
        """Square root of the boxes' areas [N], in pixels of the photo."""
        return np.sqrt(np.clip((self.box[:, 2:] - self.box[:, :2]).prod(1), 1, None))

    @property
    def yaw(self):
        """Unsigned `geometry.yaw` [N] in degrees."""
        return np.abs(geometry.yaw(self.rotation))


class PackWriter:
    """Writes a pack photo by photo; `close` writes the labels."""

    COLUMNS = ("img", "q", "mask", "score", "rvec", "tvec", "cam", "det", "pb")

    def __init__(self, folder, longest_side=640, jpeg_quality=85):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.longest_side, self.jpeg_quality = longest_side, jpeg_quality
        self._file = open(self.folder / "unfinished-images.bin", "wb")
        self._offsets, self._sizes, self._groups = [0], [], []
        self.names, self.rows = [], []
        """What has been added so far; the rows may still be changed before `close`."""

    def scale_of(self, image):
        """Factor from the photo's pixels to the pack's."""
        return min(1.0, self.longest_side / max(image.shape[:2]))

    def add(self, name, image, faces, group=""):
        """Store a BGR photo. faces: dictionaries with the columns but `img`, in the pixels of the pack."""
        scale = self.scale_of(image)
        if scale < 1:
            size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        parameters = [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality]
        data = cv2.imencode(".jpg", image, parameters)[1].tobytes()
        self._file.write(data)
        self._offsets.append(self._offsets[-1] + len(data))
        self.rows += [{"img": len(self.names), **face} for face in faces]
        self.names.append(name)
        self._groups.append(group)
        self._sizes.append(image.shape[1::-1])

    def abandon(self):
        """End without a pack; one that was there stays."""
        self._file.close()
        os.remove(self._file.name)

    def close(self):
        self._file.close()
        exact = ("img", "q", "mask")
        columns = {
            key: np.array([row[key] for row in self.rows], None if key in exact else np.float32)
            for key in self.COLUMNS
        }
        with whole(self.folder / "labels.npz") as path:
            np.savez_compressed(
                path, offsets=np.array(self._offsets), names=np.array(self.names), wh=np.array(self._sizes),
                groups=np.array(self._groups), **columns,
            )
            # The labels of another pack would point anywhere in these photos.
            (self.folder / "labels.npz").unlink(missing_ok=True)
            os.replace(self._file.name, self.folder / "images.bin")
