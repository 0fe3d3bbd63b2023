"""What the close look says about faces of a picture, and the pose that follows."""

from dataclasses import dataclass

import numpy as np
import torch

from .. import geometry
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

    def __call__(self, image, squares, pixels=crops.SIDE):
        """`Answers` about the squares of an RGB picture [h, w, 3]."""
        cut = [crops.cut(image, square, pixels) for square in squares]
        if not cut:
            return Answers(np.zeros((0, 68, 2)), np.zeros((0, 3, 3)), np.zeros(0), np.zeros(0))
        return decode(self.raw(np.stack([crop for crop, _ in cut])), [m for _, m in cut], [s.angle for s in squares], pixels)


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


def poses_of(points, width, height):
    """Pose [N, 6] (rotation vector, translation) for the picture's camera (focal length width + height, principal point in the middle), box
    [N, 4] of the projected reference points, and the fit's residual [N], of points [N, 68, 2] in pixels of the picture."""
    if not len(points):
        return np.zeros((0, 6)), np.zeros((0, 4)), np.zeros(0)
    solved = fit.solve(points)
    rvec, translation, box, _ = faces_of(solved, width, height)
    return np.concatenate([rvec, translation], 1), box, solved[-1]
