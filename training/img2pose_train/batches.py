"""Batches of crops as tensors. Batch n of a run is the same whenever and wherever it is made."""

from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from torch.utils.data import Dataset

from .anchors import image_anchors, match
from .compose import Composer

BASE_SIDE = 320


@dataclass
class Batch:
    """images [B, 3, S, S] uint8; label [B, A] int8 and matched [B, A] (row of the face) of the anchors;
    the faces of all images one after the other: image [G], box [G, 4], rotation [G, 3, 3],
    translation [G, 3], weight [G]; ignored regions [I, 4] and their images [I]."""

    images: torch.Tensor
    label: torch.Tensor
    matched: torch.Tensor
    face_image: torch.Tensor
    box: torch.Tensor
    rotation: torch.Tensor
    translation: torch.Tensor
    weight: torch.Tensor
    ignored_image: torch.Tensor
    ignored: torch.Tensor

    @property
    def side(self):
        return self.images.shape[-1]


def _single(array):
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def collate(crops):
    """One `Batch` of crops of equal side."""
    anchors, _ = image_anchors(*crops[0].image.shape[:2])
    labels, matches, first = [], [], 0
    for crop in crops:
        label, matched = match(anchors, _single(crop.box), _single(crop.ignored))
        labels.append(label)
        matches.append(matched + first)
        first += len(crop.box)
    count = lambda name: torch.tensor([len(getattr(c, name)) for c in crops])
    index = torch.arange(len(crops))
    joined = lambda name: torch.cat([_single(getattr(c, name)) for c in crops])
    return Batch(
        torch.stack([torch.from_numpy(c.image.transpose(2, 0, 1).copy()) for c in crops]),
        torch.stack(labels), torch.stack(matches),
        index.repeat_interleave(count("box")), joined("box"), joined("rotation"),
        joined("translation"), joined("weight"),
        index.repeat_interleave(count("ignored")), joined("ignored"),
    )


class Batches(Dataset):
    """Item n is batch n of one worker process out of several (`rank`).

    The side of the crops changes from batch to batch, the same for all ranks; the number of
    crops falls with their area, so that batches cost alike.
    """

    def __init__(self, photos, labels, sides, crops, seed, rank=0, clutter=None, without=()):
        self.composer = Composer(photos, labels, clutter, without)
        self.sides, self.crops, self.seed, self.rank = sides, crops, seed, rank

    def __len__(self):
        return 2**31

    def __getitem__(self, n):
        side = Random(f"{self.seed} {n} side").choice(self.sides)
        random = Random(f"{self.seed} {n} {self.rank}")
        crops = max(2, round(self.crops * (BASE_SIDE / side) ** 2))
        return collate([self.composer.crop(side, random) for _ in range(crops)])
