"""Faces as a finder gives them: those of which only the place is known, and by how much its squares are off.

Faces that have a box only are the hard ones (masks, profiles, half behind others). The close look learns from them that there is a face,
and where its box is. Where landmarks are trusted, the finder's square is compared with theirs: crops of the training are to be as far off.
"""

import numpy as np

from .. import geometry
from ..detect import network_size
from ..find_and_look import find
from ..metrics import box_iou
from ..pack import Photos
from . import crops
from .presence import SAME

UPRIGHT = np.radians(20)
"""Turn in the plane up to which a label's box, which has none, is believed to be the head's own."""
OTHERS = 8
"""Of the photos on which all landmarks are known every so many-th is enough to know how far off the finder is."""


def off(found, known):
    """By how much a square misses a known one: shift along its axes in sides, logarithm of the side, angle (radians). `known.moved` with
    these numbers (the side's as a factor) is the square that was found."""
    shift = crops.turn(-known.angle) @ (found.centre - known.centre) / known.side
    angle = (found.angle - known.angle + np.pi) % (2 * np.pi) - np.pi
    return np.array([*shift, np.log(found.side / known.side), angle])


def points_in_box(box, angle):
    """Points [68, 2] of a frontal face, turned by `angle`, whose box in the head's own frame has the middle and size of `box` [4]."""
    points = geometry.REFERENCE_68[:, :2]
    low, high = np.split(geometry.face_box(points[None], np.zeros(1))[0], 2)
    inside = (points - (low + high) / 2) / (high - low) * (box[2:] - box[:2])
    return (box[:2] + box[2:]) / 2 + inside @ crops.turn(angle).T


def add_seen(patches, finder, pack, labels, known, min_side, least, smallest):
    """Adds the faces of the training's photos that this finder finds and of which no landmarks are known. known: squares of the others by
    their row. Returns `off` [E, 4] of the finder's squares of these."""
    photos, rows, errors = Photos(pack), labels.faces_of(), []
    for i in np.nonzero(~labels.held_out)[0]:
        k = np.array(rows[i], int)
        k = k[(labels.quality[k] >= 1) & (labels.size[k] >= smallest)]
        if not len(k) or (i % OTHERS and all(row in known for row in k)):
            continue
        image = photos.read(i)
        squares, boxes, _ = find(finder, image, network_size(*image.shape[:2], min_side), least)
        if not len(boxes):
            continue
        for row, overlap in zip(k, box_iou(labels.box[k], boxes)):
            if overlap.max() < SAME:
                continue
            square = squares[int(overlap.argmax())]
            if row in known:
                errors.append(off(square, known[row]))
            else:
                there = crops.Square.of_box(labels.box[row], square.angle)
                patches.add_seen(image, points_in_box(labels.box[row], square.angle), there, abs(square.angle) < UPRIGHT, row)
    return np.array(errors).reshape(-1, 4)
