"""Which cells of the finder answer for which face, and with what."""

from dataclasses import dataclass

import numpy as np
import torch

from .. import geometry
from ..anchors import covered
from ..look import crops
from .network import STRIDES, cells

REACH = 0.22
"""Cells whose middle is as near to a face's as this share of its side answer for it; at least the nearest one does."""
LEVELS = ((0, 48), (36, 110), (84, 10_000))
"""Sides of faces in pixels that the levels answer for; in between both do."""


@dataclass
class Upright:
    """Faces of a crop as the finder sees them: centre [G, 2], size [G, 2] of the upright box, angle [G] (radians), posed [G]:
    whether the angle is known."""

    centre: np.ndarray
    size: np.ndarray
    angle: np.ndarray
    posed: np.ndarray


def upright_faces(crop):
    """`Upright` of a `compose.Crop`. A face without a pose stands upright, as far as anyone knows."""
    count, side = len(crop.box), len(crop.image)
    centre = (crop.box[:, :2] + crop.box[:, 2:]) / 2
    size, angle, posed = crop.box[:, 2:] - crop.box[:, :2], np.zeros(count), crop.weight > 0
    if posed.any():
        middle = np.tile(np.full(2, side // 2, float), (count, 1))
        seen = geometry.project(crop.rotation, crop.translation, 2.0 * side, middle, geometry.REFERENCE_68)
        for k in np.nonzero(posed)[0]:
            angle[k] = crops.roll_of(crop.rotation[k : k + 1])[0]
            turn = crops.turn(angle[k])
            box = geometry.face_box((seen[k] @ turn)[None], np.zeros(1))[0]
            centre[k], size[k] = turn @ (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    return Upright(centre, size, angle, posed)


def assign(faces, ignored, side):
    """For the cells of a square crop: face [A] they answer for (-1 none), and whether they count at all [A]."""
    middles, strides = cells(side, side)
    face = torch.full((len(middles),), -1, dtype=torch.long)
    nearest = torch.full((len(middles),), torch.inf)
    for k in range(len(faces.centre)):
        centre, longest = torch.from_numpy(faces.centre[k]).float(), float(faces.size[k].max())
        distance = (middles - centre).norm(dim=1)
        for stride, (low, high) in zip(STRIDES, LEVELS):
            if not low <= longest < high:
                continue
            level = strides == stride
            mine = level & (distance <= REACH * longest)
            # The cell in which the face's middle lies, whatever the reach.
            mine |= level & ((middles - centre).abs().max(1)[0] <= stride / 2)
            relative = distance / longest
            better = mine & (relative < nearest)
            face[better], nearest[better] = k, relative[better]
    counts = torch.ones(len(middles), dtype=torch.bool)
    if len(ignored):
        half = strides[:, None] / 2
        boxes = torch.cat([middles - half, middles + half], 1)
        counts = (covered(boxes, torch.from_numpy(np.ascontiguousarray(ignored, np.float32))) < 0.5) | (face >= 0)
    return face, counts
