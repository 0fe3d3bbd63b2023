"""Anchors, box coding and matching, as in torchvision's region proposal network."""

import math
from functools import lru_cache

import torch
from torchvision.ops import box_iou

SIZES = (16, 32, 64, 128, 256)
RATIOS = (0.5, 1.0, 2.0)
MAX_LOG_SCALE = math.log(1000 / 16)


def cell_anchors(size):
    """Anchors [3, 4] of one size around the origin, rounded to whole pixels."""
    root = torch.sqrt(torch.tensor(RATIOS))
    width, height = size / root, size * root
    return (torch.stack([-width, -height, width, height], 1) / 2).round()


def level_sides(side):
    """Sides of the five pyramid levels for a padded image side (a multiple of 32)."""
    sides = [side // stride for stride in (4, 8, 16, 32)]
    return [*sides, (sides[-1] + 1) // 2]


@lru_cache(maxsize=16)
def image_anchors(height, width):
    """Anchors [A, 4] of a padded image and how many each level has (tuple)."""
    anchors, counts = [], []
    for size, rows, columns in zip(SIZES, level_sides(height), level_sides(width)):
        ys = torch.arange(rows) * (height // rows)
        xs = torch.arange(columns) * (width // columns)
        y, x = torch.meshgrid(ys, xs, indexing="ij")
        offsets = torch.stack([x, y, x, y], -1).reshape(-1, 1, 4).float()
        anchors.append((offsets + cell_anchors(size)).reshape(-1, 4))
        counts.append(len(anchors[-1]))
    return torch.cat(anchors), tuple(counts)


def _centre_size(boxes):
    size = boxes[:, 2:] - boxes[:, :2]
    return boxes[:, :2] + size / 2, size


def encode(boxes, anchors):
    """Deltas [N, 4] that turn anchors into boxes."""
    centre, size = _centre_size(boxes)
    anchor_centre, anchor_size = _centre_size(anchors)
    return torch.cat([(centre - anchor_centre) / anchor_size, torch.log(size / anchor_size)], 1)


def decode(deltas, anchors):
    """Boxes [N, 4] from deltas and anchors: the inverse of `encode`."""
    anchor_centre, anchor_size = _centre_size(anchors)
    centre = deltas[:, :2] * anchor_size + anchor_centre
    size = torch.exp(deltas[:, 2:].clamp(max=MAX_LOG_SCALE)) * anchor_size
    return torch.cat([centre - size / 2, centre + size / 2], 1)


def covered(boxes, regions):
    """Largest share [N] of each box that lies in one of the regions; 0 without regions."""
    if not len(regions):
        return torch.zeros(len(boxes))
    low = torch.maximum(boxes[:, None, :2], regions[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], regions[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    return (shared / (area[:, None] + 1e-6)).max(1)[0]


def match(anchors, faces, ignored):
    """Label of every anchor (1 face, 0 background, -1 left out) and the face it stands for.

    IoU of 0.5 and more is a face, 0.3 to 0.5 is left out; the best anchors of a face are
    faces whatever their IoU, down to 0.15. Background inside an ignored region is left out.
    """
    label = torch.zeros(len(anchors), dtype=torch.int8)
    matched = torch.zeros(len(anchors), dtype=torch.long)
    if len(faces):
        overlap = box_iou(anchors, faces)
        best, matched = overlap.max(1)
        label[best >= 0.3] = -1
        label[best >= 0.5] = 1
        best_of_face = overlap.max(0)[0]
        rescued = (overlap >= best_of_face - 1e-6) & (best_of_face > 0.15)
        any_rescued = rescued.any(1)
        label[any_rescued] = 1
        matched = torch.where(
            any_rescued & (best < 0.5), (rescued * overlap).max(1)[1], matched
        )
    label[(covered(anchors, ignored) > 0.35) & (label == 0)] = -1
    return label, matched
