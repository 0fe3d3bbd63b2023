"""A video frame with rendered people in it, and the exact pose of every face: what `heads.benchmark` is made of."""

import cv2
import numpy as np

from ..look.samples import cover
from . import compose
from .portraits import BOX, with_glasses

HEAD = 2.4
"""Height of a head in the meshes' units (decimetres), about."""
REACH = 1.1
"""Of its size: what of the frame around a face's middle is within it."""


def backdrop(width, height, rng):
    """A room that is nowhere, [h, w, 3] in [0, 1]: a sloping light, things with edges, and texture, all somewhat out of focus."""
    image = cv2.resize(rng.uniform(0.05, 0.95, (int(rng.integers(2, 5)), int(rng.integers(2, 5)), 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(int(rng.integers(4, 22))):
        tone = rng.uniform(0, 1, 3) if rng.random() < 0.5 else rng.uniform(0, 1) * np.array([1, 0.85, 0.72])
        x, y = rng.uniform(-0.1, 1.1, 2) * [width, height]
        w, h = np.exp(rng.uniform(np.log(8), np.log(0.6 * width), 2))
        kind, angle = rng.random(), rng.uniform(0, 180)
        if kind < 0.55:
            corners = cv2.boxPoints(((x, y), (w, h), angle if rng.random() < 0.4 else 0))
            cv2.fillConvexPoly(image, np.round(corners * 8).astype(np.int32), tone.tolist(), cv2.LINE_AA, 3)
        elif kind < 0.8:
            cv2.ellipse(image, (int(x), int(y)), (int(w / 2) + 1, int(h / 2) + 1), angle, 0, 360, tone.tolist(), -1, cv2.LINE_AA)
        else:
            end = rng.uniform(0, 1, 2) * [width, height]
            cv2.line(image, (int(x), int(y)), (int(end[0]), int(end[1])), tone.tolist(), int(rng.integers(1, 12)), cv2.LINE_AA)
    grey = image.mean(2, keepdims=True)
    image = grey + (image - grey) * rng.uniform(0.05, 0.6)
    for cells in (6, 24, 96):
        noise = rng.normal(0, rng.uniform(0, 0.06), (cells * height // width + 1, cells, 1))
        image = image + cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)[:, :, None]
    if rng.random() < 0.8:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.6, 5))
    return np.clip(image, 0, 1)


def place(size, taken, width, height, rng, tries=40):
    """Middle [2] of a face of `size` pixels within the frame and away from those that are `taken` ([x, y, size] each), or None."""
    margin = np.minimum(REACH * size / 2, [0.45 * width, 0.45 * height])
    for _ in range(tries):
        middle = rng.uniform(margin, np.array([width, height]) - margin)
        if all(np.abs(middle - t[:2]).max() > 0.9 * (size + t[2]) for t in taken):
            return middle
    return None


def covered(image, points, rng):
    """Something drawn in front of the face whose landmarks are `points`, into a picture [h, w, 3] in [0, 1]."""
    low, high = points.min(0), points.max(0)
    side = 1.3 * (high - low).max()
    x0, y0 = np.maximum(0, (low + high - side) / 2).astype(int)
    x1, y1 = (np.minimum(image.shape[1::-1], (low + high + side) / 2)).astype(int)
    part = np.ascontiguousarray((image[y0:y1, x0:x1] * 255).astype(np.uint8))
    # What is put before it may be a piece of the picture from elsewhere.
    other = (image[: image.shape[0] // 2, : image.shape[1] // 2] * 255).astype(np.uint8)
    square = np.zeros((max(part.shape[:2]),) * 2 + (3,), np.uint8)
    square[: part.shape[0], : part.shape[1]] = part
    cover(square, points - [x0, y0], rng, other)
    image[y0:y1, x0:x1] = square[: part.shape[0], : part.shape[1]] / 255


def stand(renderer, image, angles, size, middle, rng, focal, glasses=False, person=None):
    """Draws a person into the picture [h, w, 3], whose face is `size` pixels large around `middle`, as the picture's own camera (focal length
    in pixels, principal point in the middle) sees it. Returns the new picture, rotation [3, 3], translation [3] and landmarks [68, 2]."""
    height, width = image.shape[:2]
    yaw, pitch, roll = angles
    share = rng.uniform(0.1, 0.9)
    neck = (np.clip(yaw * share, -60, 60), np.clip(pitch * share, -30, 30), np.clip(roll * share, -20, 20))
    person = person or compose.Person(rng, neck=neck)
    centre = np.array([width / 2, height / 2])
    r, depth = compose.rotation(*angles), focal * BOX / size
    t = np.array([*((middle - centre) * depth / focal), depth])
    for _ in range(3):  # the middle of the landmarks comes to the middle, their size to the size
        exact = compose.project(compose.REF @ r.T + t, focal, centre)
        low, high = exact.min(0), exact.max(0)
        t[:2] += (middle - (low + high) / 2) * t[2] / focal
    # No more of the body is lit than can be seen.
    lowest = person.posed[:, 1].max() - max(8.0, 1.3 * HEAD * np.hypot(width, height) / size)
    parts = person.parts(r, t, lowest)
    if glasses:
        with_glasses(person, parts, rng)
    seen = np.concatenate([compose.project(p.v[np.unique(p.surface.vertex[p.tris])], focal, centre) for p in parts])
    x0, y0 = np.clip(np.floor(seen.min(0)).astype(int) - 2, 0, [width, height])
    x1, y1 = np.clip(np.ceil(seen.max(0)).astype(int) + 3, 0, [width, height])
    scale = int(np.clip(700 // max(x1 - x0, y1 - y0, 1), 1, 4))
    head = compose.render(renderer, parts, (int(x1 - x0), int(y1 - y0)), focal, centre - [x0, y0], rng, count=24, scale=scale)
    image = image.copy()
    image[y0:y1, x0:x1] = compose.over(head, image[y0:y1, x0:x1])
    return image, r, t, compose.project(compose.REF @ r.T + t, focal, centre)
