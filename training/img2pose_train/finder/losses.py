"""Losses of the finder: quality focal loss of the score (Li et al. 2020), overlap of the boxes, turn in the plane."""

import torch
from torch.nn import functional

from .network import cells, decode

BETA = 2.0
LEAST = 0.6
"""Score that a cell which answers for a face is to give, whatever its box is worth."""


def upright_iou(centre, size, other_centre, other_size):
    """IoU [M] of boxes given by middle and size, both upright: in the frame of the face."""
    low = torch.maximum(centre - size / 2, other_centre - other_size / 2)
    high = torch.minimum(centre + size / 2, other_centre + other_size / 2)
    shared = (high - low).clamp(min=0).prod(-1)
    return shared / (size.prod(-1) + other_size.prod(-1) - shared + 1e-6)


def giou_loss(centre, size, other_centre, other_size):
    """1 - GIoU [M] (Rezatofighi et al. 2019) of boxes as in `upright_iou`."""
    iou = upright_iou(centre, size, other_centre, other_size)
    low = torch.minimum(centre - size / 2, other_centre - other_size / 2)
    high = torch.maximum(centre + size / 2, other_centre + other_size / 2)
    hull = (high - low).prod(-1) + 1e-6
    shared = iou / (1 + iou) * (size.prod(-1) + other_size.prod(-1))
    union = size.prod(-1) + other_size.prod(-1) - shared
    return 1 - iou + (hull - union) / hull


def losses(output, batch):
    """Dictionary of the losses for a `batches.FinderBatch`, and figures for the log."""
    side = batch.images.shape[-1]
    middles, strides = cells(side, side)
    logits, centre, size, _ = decode(output, middles, strides)
    image, cell = torch.nonzero(batch.face >= 0, as_tuple=True)
    face = batch.face[image, cell]
    count = max(1, len(face))
    target = torch.zeros_like(logits)
    zero = logits.sum() * 0
    box = roll = zero
    figures = {}
    if len(face):
        # In the face's own frame both boxes are upright: its turn is the label's.
        wanted = batch.turn[face]
        c, s = wanted[:, 0], wanted[:, 1]
        off = centre[image, cell] - batch.centre[face]
        off = torch.stack([c * off[:, 0] + s * off[:, 1], -s * off[:, 0] + c * off[:, 1]], 1)
        here, there = batch.size[face], torch.zeros_like(off)
        iou = upright_iou(off, size[image, cell], there, here)
        # The close look judges the place anew: what counts is that a face is there, and among its cells the better one.
        target[image, cell] = LEAST + (1 - LEAST) * iou.detach()
        box = giou_loss(off, size[image, cell], there, here).mean()
        posed = batch.posed[face]
        # Not of the turn made one long: that has no gradient where cell and label point in opposite directions.
        apart = (output[image, 5:7, cell] - wanted).square().sum(1)
        roll = (apart * posed).sum() / posed.sum().clamp(min=1)
        figures = {"iou": float(iou.detach().mean()), "positives": len(face) / len(batch.images)}
    distance = (torch.sigmoid(logits.detach()) - target).abs() ** BETA
    bce = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    score = (bce * distance * batch.counts).sum() / count
    return {"score": score, "box": box, "roll": roll}, figures
