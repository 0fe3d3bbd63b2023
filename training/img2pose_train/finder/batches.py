"""Batches of crops for the finder. Batch n of a run is the same whenever and wherever it is made."""

from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from torch.utils.data import Dataset

from ..compose import Composer
from .targets import assign, upright_faces

BASE_SIDE = 256


@dataclass
class FinderBatch:
    """images [B, 3, S, S] uint8; face [B, A]: row of the face that a cell answers for, -1 none; counts [B, A]: whether its score
    counts; of all faces one after the other centre and size [G, 2], turn [G, 2] (cosine, sine), posed [G]."""

    images: torch.Tensor
    face: torch.Tensor
    counts: torch.Tensor
    centre: torch.Tensor
    size: torch.Tensor
    turn: torch.Tensor
    posed: torch.Tensor


def collate(crops):
    """One `FinderBatch` of crops of equal side."""
    faces, columns, first = [], [], 0
    assigned = []
    for crop in crops:
        upright = upright_faces(crop)
        face, counts = assign(upright, crop.ignored, len(crop.image))
        assigned.append((torch.where(face >= 0, face + first, face), counts))
        faces.append(upright)
        first += len(upright.centre)
    joined = lambda name: np.concatenate([getattr(f, name) for f in faces])
    single = lambda values: torch.from_numpy(np.ascontiguousarray(values, np.float32))
    angle = joined("angle")
    return FinderBatch(
        torch.stack([torch.from_numpy(c.image.transpose(2, 0, 1).copy()) for c in crops]),
        torch.stack([face for face, _ in assigned]), torch.stack([counts for _, counts in assigned]),
        single(joined("centre")), single(joined("size")), single(np.stack([np.cos(angle), np.sin(angle)], 1)), single(joined("posed")),
    )


class FinderBatches(Dataset):
    """Item n is batch n. The side of the crops changes from batch to batch, and their number falls with their area.
    negatives (`negatives.Negatives`): pictures without a face, which the share `empty` of the crops show."""

    def __init__(self, photos, labels, sides, crops, seed, clutter=None, any_turn=0.3, negatives=None, empty=0.1):
        self.composer = Composer(photos, labels, clutter, any_turn=any_turn)
        self.sides, self.crops, self.seed, self.negatives, self.empty = sides, crops, seed, negatives, empty if negatives else 0

    def __len__(self):
        return 2**31

    def __getitem__(self, n):
        side = Random(f"{self.seed} {n} side").choice(self.sides)
        random = Random(f"{self.seed} {n} finder")
        count = max(2, round(self.crops * (BASE_SIDE / side) ** 2))
        return collate([self._crop(side, random) for _ in range(count)])

    def _crop(self, side, random):
        if self.empty and random.random() < self.empty:
            return self.negatives.crop(side, random)
        return self.composer.crop(side, random)
