"""Crops for the training of the close look, cut from patches: batch n of a run is the same whenever and wherever it is made.

Every face of a batch comes twice, in two crops that a finder might have given (item 2k and 2k + 1): what the network says about
both must be the same. With a looker, some second crops are those that a second look would have: where the looker's answer to the first
crop says that the face is.
"""

from dataclasses import dataclass
from random import Random

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from .. import geometry
from ..geometry import MIRRORED_68
from ..photometric import vary
from . import crops, fit
from .answer import squares_of
from .cache import FACE, NOTHING, RENDER, SEEN
from .network import POINTS, normalise

LOST = 0.35
"""Sides (and logarithm of the side) by which a second look may miss its face and still be one."""
FLIP = np.diag([-1.0, 1.0, 1.0])


@dataclass
class Samples:
    """images [B, 3, S, S] (normalised); points [B, 68, 2] in parts of the crop's side; rotation [B, 3, 3] in the crop's
    frame; scale [B] in parts of the side; turn [B, 3, 136] and back [B, 2, 2] (`look.losses`); weight [B] of points and pose, boxed
    [B] of the box alone, face [B] whether there is one."""

    images: torch.Tensor
    points: torch.Tensor
    rotation: torch.Tensor
    scale: torch.Tensor
    turn: torch.Tensor
    back: torch.Tensor
    mirrored: torch.Tensor
    weight: torch.Tensor
    boxed: torch.Tensor
    face: torch.Tensor


class Patches:
    """Patches of one or several caches (`look.cache`), mapped, and their rows."""

    def __init__(self, paths, held_out=False):
        self.images = [np.load(f"{path}.npy", mmap_mode="r") for path in paths]
        tables = [dict(np.load(f"{path}.npz")) for path in paths]
        where = [(i, k) for i, table in enumerate(tables) for k in range(len(table["kind"]))]
        rows = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
        chosen = rows["held_out"] == held_out
        self.where = np.array(where)[chosen]
        self.rows = {name: values[chosen] for name, values in rows.items()}

    def __len__(self):
        return len(self.where)

    def image(self, i):
        cache, k = self.where[i]
        return np.asarray(self.images[cache][k])

    def square(self, i):
        return crops.Square(self.rows["centre"][i], float(self.rows["side"][i]), float(self.rows["angle"][i]))


def pitch(rotation):
    """Angle [N] in degrees by which the face's forward axis points up."""
    return np.degrees(np.arcsin(np.clip(rotation[:, 1, 2], -1, 1)))


def chances(rows, shares):
    """Chance [N] of each row to be drawn: `shares` of photos, renders, places without a face and, if there is a fourth, faces of which only
    the box is known; within the first two flatter in yaw and pitch than they are (by the root of how many there are in cells of 12
    degrees), and by trust."""
    yaw, up = geometry.yaw(rows["rotation"]), pitch(rows["rotation"])
    cell = (np.clip(np.abs(yaw) // 12, 0, 8) * 20 + np.clip(up // 12, -7, 7) + 7).astype(int)
    chance = np.zeros(len(yaw))
    for kind, share in zip((FACE, RENDER, NOTHING, SEEN), shares):
        mine = rows["kind"] == kind
        if not mine.any() or not share:
            continue
        weight = np.ones(mine.sum()) if kind == SEEN else rows["weight"][mine].copy()
        if kind in (FACE, RENDER):
            count = np.bincount(cell[mine], minlength=200)
            # A face that stands for a rare turn is not drawn more than 12 times as often as a common one.
            weight *= np.minimum(1 / np.sqrt(count[cell[mine]]), 12 / np.sqrt(count.max()))
        chance[mine] = share * weight / weight.sum()
    return chance / chance.sum()


def place(rng, wild, off=None):
    """Shift [2] in sides, scale and angle by which a crop misses its face: as a finder does, or wildly. off: `seen.off` [E, 4] of a finder."""
    if rng.random() < wild:
        return np.clip(rng.normal(0, 0.12, 2), -0.25, 0.25), np.exp(rng.uniform(-0.35, 0.35)), rng.uniform(-np.pi / 3, np.pi / 3)
    if off is not None:
        x, y, size, angle = off[rng.integers(len(off))] + rng.normal(0, (0.02, 0.02, 0.03, 0.05))
        return np.array([x, y]), np.exp(size), angle
    return np.clip(rng.normal(0, 0.05, 2), -0.15, 0.15), np.exp(np.clip(rng.normal(0, 0.08), -0.25, 0.25)), np.radians(rng.normal(0, 8))


def colour(rng):
    if rng.random() < 0.4:  # skin
        return np.clip(rng.uniform(50, 250) * np.array([1.0, 0.78, 0.66]) * rng.uniform(0.93, 1.07, 3), 0, 255)
    return rng.uniform(0, 256, 3)


def cover(image, points, rng, other):
    """Something in front of the face, drawn into the crop: a mask, dark glasses, a hand, another piece of a picture."""
    choice, size = rng.random(), len(image)
    if choice < 0.3:  # a mask, from the nose down; its edge follows the jaw
        top = points[28] + rng.uniform(-0.3, 1.0) * (points[30] - points[28])
        hull = cv2.convexHull(np.vstack([points[2:15], top]).astype(np.float32)).reshape(-1, 2)
        cv2.fillPoly(image, [np.round(hull * 8).astype(np.int32)], colour(rng).tolist(), cv2.LINE_AA, 3)
    elif choice < 0.42:
        dark = (rng.uniform(0, 70) * np.ones(3)).tolist()
        for eye in (points[36:42], points[42:48]):
            reach = np.maximum(np.ptp(eye, 0) * rng.uniform(0.8, 1.2), 0.12 * np.ptp(points, 0).max())
            cv2.ellipse(image, (eye.mean(0) * 8).astype(int), (reach * 8).astype(int), 0, 0, 360, dark, -1, cv2.LINE_AA, 3)
    elif choice < 0.62:  # fingers
        start, angle = points[rng.integers(68)] + rng.normal(0, 0.1, 2) * size, rng.uniform(0, 2 * np.pi)
        tone, thick = colour(rng) if rng.random() < 0.3 else np.clip(rng.uniform(60, 240) * np.array([1, 0.76, 0.64]), 0, 255), rng.uniform(0.04, 0.09) * size
        across = np.array([-np.sin(angle), np.cos(angle)]) * thick
        for k in range(int(rng.integers(1, 5))):
            a = start + k * across
            b = a + np.array([np.cos(angle), np.sin(angle)]) * size
            cv2.line(image, (a * 8).astype(int), (b * 8).astype(int), (tone * rng.uniform(0.85, 1.1)).clip(0, 255).tolist(), int(thick) + 1, cv2.LINE_AA, 3)
    else:
        w, h = rng.integers(size // 8, size // 2, 2)
        x, y = rng.integers(-size // 10, size - size // 10, 2)
        area = image[max(y, 0) : y + h, max(x, 0) : x + w]
        if rng.random() < 0.5:
            area[:] = colour(rng)
        else:
            area[:] = other[: area.shape[0], : area.shape[1]]


class SampleBatches(Dataset):
    """Item n is batch n; see the module."""

    def __init__(self, patches, count, seed, shares=(0.62, 0.28, 0.1), wild=0.12, side=crops.SIDE, looker=None, second_looks=0.0, off=None):
        """off: by how much a finder's squares are off (`seen.off` [E, 4]). looker: `answer.Looker` that makes the share `second_looks` of the second crops of faces."""
        if count % 2:
            raise ValueError("a batch has an even number of crops, two of each face")
        self.patches, self.count, self.seed, self.wild, self.side = patches, count, seed, wild, side
        self.looker, self.second_looks, self.off = looker, second_looks if looker else 0.0, off
        self.cumulative = np.cumsum(chances(patches.rows, shares))

    def __len__(self):
        return 2**31

    def draw(self, rng):
        return min(int(np.searchsorted(self.cumulative, rng.random())), len(self.patches) - 1)

    def square(self, i, rng, beside):
        """A square that a finder might give for patch i."""
        shift, scale, angle = place(rng, self.wild, self.off)
        if beside is not None:
            shift = beside + rng.normal(0, 0.05, 2)
        return self.patches.square(i).moved(shift, scale, angle)

    def second_square(self, first, i, square, mirrored):
        """The square in which a second look would see patch i after the crop `first` of `square`; None where it would lose the face."""
        points = crops.to_pixels(self.looker.raw(first[None])[0, POINTS].reshape(68, 2), self.side)
        points = crops.apply(crops.invert(square.matrix(self.side, mirror=mirrored)), points)
        next_square = squares_of(*fit.solve(points[MIRRORED_68 if mirrored else slice(None)][None])[:5])[0]
        known = self.patches.square(i)
        off = np.linalg.norm(next_square.centre - known.centre) / known.side
        return next_square if off < LOST and abs(np.log(next_square.side / known.side)) < LOST else None

    def crop(self, i, square, rng, random, mirrored, covered):
        """One crop of patch i as uint8, and what the network should say about it."""
        rows, side = self.patches.rows, self.side
        angle = square.angle - float(rows["angle"][i])
        image, m = crops.cut(self.patches.image(i), square, side, mirror=mirrored)
        points = crops.apply(m, rows["points"][i].astype(float))
        rotation = rows["rotation"][i]
        if mirrored:
            points, rotation = points[MIRRORED_68], FLIP @ rotation @ FLIP @ fit.MIRROR_TURN
        # The crop is turned by -angle: so is the head in it, and the other way round in the mirror.
        turned = geometry.rotation_matrix(np.array([0, 0, angle if mirrored else -angle]))[0] @ rotation
        image = vary(image, random)
        if rng.random() < 0.2:  # a small face
            small = int(rng.integers(14, 64))
            image = cv2.resize(cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA), (side, side), interpolation=cv2.INTER_LINEAR)
        if covered is not None:
            image = np.ascontiguousarray(image)
            cover(image, points, np.random.default_rng(covered), self.patches.image(self.draw(rng)))
        k = float(np.sqrt(abs(np.linalg.det(m[:, :2]))))
        back = np.linalg.inv(m[:, :2]) * side / rows["scale"][i]
        return image, crops.to_parts(points, side), turned, rows["scale"][i] * k / side, back

    def __getitem__(self, n):
        rng, random = np.random.default_rng([self.seed, n]), Random(f"{self.seed} {n}")
        columns = {name: [] for name in ("images", "points", "rotation", "scale", "turn", "back", "mirrored", "weight", "boxed", "face")}
        for _ in range(self.count // 2):
            i = self.draw(rng)
            kind, weight = self.patches.rows["kind"][i], self.patches.rows["weight"][i]
            face = kind != NOTHING
            beside, covered = None, None
            if face and rng.random() < 0.06:  # beside the face: nothing there
                turn = rng.uniform(-np.pi, np.pi)
                beside, face = np.array([np.cos(turn), np.sin(turn)]) * rng.uniform(0.7, 1.0), False
            if face and rng.random() < 0.15:
                covered = int(rng.integers(2**31))
            mirrored = bool(rng.random() < 0.5)
            image = None
            for k in range(2):
                square = self.square(i, rng, beside)
                if k and face and kind != SEEN and self.second_looks and rng.random() < self.second_looks:
                    square = self.second_square(image, i, square_before, mirrored) or square
                square_before = square
                image, points, rotation, scale, back = self.crop(i, square, rng, random, mirrored, covered)
                for name, value in (("images", image), ("points", points), ("rotation", rotation), ("scale", scale), ("back", back),
                                    ("turn", self.patches.rows["turn"][i]), ("mirrored", mirrored), ("weight", weight if face and kind != SEEN else 0.0),
                                    ("boxed", weight if face and kind == SEEN else 0.0),
                                    ("face", float(face))):
                    columns[name].append(value)
        images = normalise(torch.from_numpy(np.stack(columns.pop("images"))))
        single = {name: torch.from_numpy(np.array(values, bool if name == "mirrored" else np.float32)) for name, values in columns.items()}
        return Samples(images=images, **single)
