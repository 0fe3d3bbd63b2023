"""A small drawn pack: ellipses with eyes for faces, so that no photo is needed."""

import random

import cv2
import numpy as np
import pytest
import torch

from img2pose_train import geometry
from img2pose_train.labels import pose_in_box
from img2pose_train.pack import Labels, PackWriter, Photos


@pytest.fixture(autouse=True)
def same_chances():
    """What a test draws by lot is the same in every run, and does not depend on the tests before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def draw_face(image, rvec, tvec, focal, centre):
    """Paint a face with the given pose; returns its landmarks [68, 2]."""
    landmarks = geometry.project(
        geometry.rotation_matrix(rvec), np.array([tvec]), focal, np.array([centre]), geometry.REFERENCE_68
    )[0]
    hull = cv2.convexHull(landmarks.astype(np.float32)).astype(np.int32)
    cv2.fillPoly(image, [hull], (140, 170, 220))
    for eye in (slice(36, 42), slice(42, 48)):
        cv2.fillPoly(image, [landmarks[eye].astype(np.int32)], (20, 20, 20))
    return landmarks


@pytest.fixture(scope="session")
def pack(tmp_path_factory):
    """(Photos, Labels, folder): eight drawn photos with two faces each, the last one held out (as `refine` would, by its name)."""
    folder = tmp_path_factory.mktemp("pack")
    chance = np.random.default_rng(3)
    writer = PackWriter(folder)
    rows = {name: [] for name in ("image", "quality", "weight", "rvec", "tvec", "cam", "box")}
    for i in range(8):
        image = chance.integers(0, 255, (480, 640, 3), np.uint8)
        image = cv2.GaussianBlur(image, (0, 0), 5)
        faces = []
        for x in (180, 460):
            rvec = chance.normal(0, [0.2, 0.4, 0.1])
            landmarks = draw_face(image, rvec, [0, 0, 9.0], 700.0, [x, 240.0])
            rvec, tvec, camera, box, error = pose_in_box(landmarks)
            assert error < 0.01
            faces.append({
                "q": 2, "mask": False, "score": 0.9, "rvec": rvec, "tvec": tvec,
                "cam": camera, "det": box, "pb": box,
            })
            for name, value in zip(rows, (i, 2, 1.0, rvec, tvec, camera, box)):
                rows[name].append(value)
        writer.add(f"desk/{i}.jpg", image, faces)
    writer.close()
    held_out = np.arange(8) == 7
    path = folder / "refined.npz"
    np.savez(path, held_out=held_out, **{name: np.array(v) for name, v in rows.items()})
    return Photos(folder), Labels.load(path), folder
