"""What the close look says about faces of a picture, and the pose that follows."""

from dataclasses import dataclass

import numpy as np
import torch

from .. import geometry
from ..geometry import MIRRORED_68
from . import crops, fit, network
from .picture import faces_of


@dataclass
class Answers:
    """points [N, 68, 2] in pixels of the picture; direct [N, 3, 3]: the pose that was answered directly, in the crop's frame turned
    back by its angle; presence [N] and spread [N] (radians)."""

    points: np.ndarray
    direct: np.ndarray
    presence: np.ndarray
    spread: np.ndarray


def ready(network):
    """A network to ask: PyTorch's in the layout that is fastest, anything else as it is."""
    return network.eval().to(memory_format=torch.channels_last) if isinstance(network, torch.nn.Module) else network


class Looker:
    """Runs a network on the crops of squares."""

    def __init__(self, look, batch=64):
        self.look, self.batch = ready(look), batch

    @torch.no_grad()
    def raw(self, images):
        """Output [N, 144] for crops [N, S, S, 3] uint8."""
        parts = [
            self.look(network.normalise(torch.from_numpy(images[k : k + self.batch]))).double().numpy()
            for k in range(0, len(images), self.batch)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, network.OUTPUTS))

    def __call__(self, image, squares, pixels=crops.SIDE, mirrored=False):
        """`Answers` about the squares of an RGB picture [h, w, 3]; `mirrored`: the mean over crops and their mirror images."""
        cut = [crops.cut(image, square, pixels) for square in squares]
        if not cut:
            return Answers(np.zeros((0, 68, 2)), np.zeros((0, 3, 3)), np.zeros(0), np.zeros(0))
        images = np.stack([crop for crop, _ in cut])
        output = self.raw(images)
        if mirrored:
            output = mean_with_mirror(output, self.raw(np.ascontiguousarray(images[:, :, ::-1])))
        return decode(output, [m for _, m in cut], [s.angle for s in squares], pixels)


def mean_with_mirror(output, mirrored):
    """What crops and their mirror images [N, 144] say together: the mean of points, presence (its logit) and spread (its logarithm); the direct
    pose is that of the crops."""
    mean = output.copy()
    points = mirrored[:, network.POINTS].reshape(-1, 68, 2)[:, MIRRORED_68] * [-1, 1]
    mean[:, network.POINTS] = (output[:, network.POINTS] + points.reshape(-1, 136)) / 2
    for column in (network.PRESENCE, network.SPREAD):
        mean[:, column] = (output[:, column] + mirrored[:, column]) / 2
    return mean


def decode(output, matrices, angles, pixels=crops.SIDE):
    """`Answers` from output [N, 144], the maps [2, 3] that the crops were cut with, and the angles by which they were turned upright."""
    parts = output[:, network.POINTS].reshape(-1, 68, 2)
    points = np.stack([crops.apply(crops.invert(m), crops.to_pixels(p, pixels)) for p, m in zip(parts, matrices)])
    direct = network.rotation_of(torch.from_numpy(output[:, network.ROTATION])).numpy()
    turned = geometry.rotation_matrix(np.stack([np.zeros(len(angles)), np.zeros(len(angles)), np.array(angles)], 1))
    return Answers(points, turned @ direct, 1 / (1 + np.exp(-output[:, network.PRESENCE])), np.exp(output[:, network.SPREAD]))


def squares_of(rotation, origin, scale, flatness, lean):
    """The upright squares of fitted faces: where the next look goes."""
    seen = fit.project(rotation, origin, scale, flatness, lean)
    return [crops.Square.around(points, angle) for points, angle in zip(seen, crops.roll_of(rotation))]


LARGEST_CHANGE = 4.0
"""Largest ratio between the sides of the squares of both looks."""


def is_near(first, square):
    """Whether a face that was seen in the square `first`, and whose own is `square`, is one to be looked at again."""
    away = np.linalg.norm(square.centre - first.centre)
    return bool(away <= first.side and 1 / LARGEST_CHANGE <= square.side / first.side <= LARGEST_CHANGE)


def _logit(chance):
    chance = np.clip(chance, 1e-9, 1 - 1e-9)
    return np.log(chance / (1 - chance))


def look_again(looker, image, squares, first, chosen=None, mirrored=True):
    """`Answers` of both looks: `first` says what was seen in `squares`, and where that is a face, it is looked at again in its own square.

    Points, direct pose and spread are those of the second look; the logit of the presence is the mean over all crops (the first one, the second one and, with
    `mirrored`, its mirror image). chosen [N]: which are looked at again."""
    chosen = np.ones(len(squares), bool) if chosen is None else chosen
    rows = np.nonzero(chosen)[0]
    if not len(rows):
        return first
    again = squares_of(*fit.solve(first.points[rows])[:5])
    near = [k for k, row in enumerate(rows) if is_near(squares[row], again[k])]
    if not near:
        return first
    second, rows = looker(image, [again[k] for k in near], mirrored=mirrored), rows[near]
    merged = Answers(*(values.copy() for values in (first.points, first.direct, first.presence, first.spread)))
    merged.points[rows], merged.direct[rows], merged.spread[rows] = second.points, second.direct, second.spread
    crops_of_second = 2 if mirrored else 1
    logit = (_logit(first.presence[rows]) + crops_of_second * _logit(second.presence)) / (1 + crops_of_second)
    merged.presence[rows] = 1 / (1 + np.exp(-logit))
    return merged


def poses_of(points, width, height):
    """Pose [N, 6] (rotation vector, translation) for the picture's camera (focal length width + height, principal point in the middle), box
    [N, 4] of the projected reference points, and the fit's residual [N], of points [N, 68, 2] in pixels of the picture."""
    if not len(points):
        return np.zeros((0, 6)), np.zeros((0, 4)), np.zeros(0)
    solved = fit.solve(points)
    rvec, translation, box, _ = faces_of(solved, width, height)
    return np.concatenate([rvec, translation], 1), box, solved[-1]
