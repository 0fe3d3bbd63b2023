"""Losses of the close look.

points       distance of the points from the label's, in units of the reference points (half a face is about one)
fitted       by how much the pose that is fitted to the points is turned (radians): the part of their error that matters, and
             linear in the points (`fit.turn_of_points`), so that no solver stands between
direct       angle (radians) of the pose that is answered directly
agreement    difference between the two crops of a face: of the points, and of the fitted pose
presence     whether a face is there
box          of faces of which only the box is known: by how much middle and size of the points are off, in the units of the points
spread       the answered spread against the true error of the fitted pose (negative logarithm of a Laplace density)
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

from ..geometry import MIRRORED_68
from . import network

_MIRRORED = torch.from_numpy(MIRRORED_68)


@dataclass(frozen=True)
class Weights:
    points: float = 2.0
    fitted: float = 2.0
    direct: float = 0.7
    agreement: float = 0.5
    presence: float = 0.1
    spread: float = 0.02
    box: float = 1.0


def left_over(points, samples):
    """Difference [B, 68, 2] of answered points (parts of the side) from the label's, in the patch's axes and in units of the
    scale, in the order of the unmirrored face: comparable between the crops of a face."""
    difference = torch.einsum("bij,bpj->bpi", samples.back, points - samples.points)
    return torch.where(samples.mirrored[:, None, None], difference[:, _MIRRORED], difference)


def fitted_turn(difference, samples):
    """Rotation vector [B, 3] (radians) by which the fit of the points is off."""
    return torch.einsum("bij,bj->bi", samples.turn, difference.reshape(len(difference), 136))


def middle_and_size(points, samples):
    """Middle and size [B, 4] of what points [B, 68, 2] (parts of the side) span in the patch's axes, in units of the scale.

    Only the outermost points make them; so that these alone do not give way, all points share in the gradient: as if they were
    shifted and grew together."""
    seen = torch.einsum("bij,bpj->bpi", samples.back, points)
    low, high = seen.detach().amin(1), seen.detach().amax(1)
    mean = seen.mean(1)
    reach = ((seen - mean[:, None]).square().mean(1) + 1e-6).sqrt()
    middle = mean + ((low + high) / 2 - mean.detach())
    return torch.cat([middle, reach * ((high - low) / reach.detach())], 1)


def angle_between(a, b):
    """Angle [B] in radians between matrices, smooth at 0."""
    chord = ((a - b).square().sum((1, 2)) + 1e-7).sqrt() / 8**0.5
    return 2 * torch.asin(chord.clamp(max=0.9999))


def _length(vector):
    return (vector.square().sum(-1) + 1e-8).sqrt()


def losses(output, samples):
    """Dictionary of the losses (see above), and figures in degrees for the log."""
    weight = samples.weight
    total = weight.sum().clamp(min=1)
    mean = lambda values: (values * weight).sum() / total
    points = output[:, network.POINTS].view(-1, 68, 2)
    difference = left_over(points, samples)
    turn = fitted_turn(difference, samples)
    off = _length(turn)
    direct = angle_between(network.rotation_of(output[:, network.ROTATION]), samples.rotation)
    pair = weight[::2] / total
    between = _length(turn[::2] - turn[1::2]) + _length(difference[::2] - difference[1::2]).mean(1)
    spread = output[:, network.SPREAD].clamp(-5, 1)
    box = (middle_and_size(points, samples) - middle_and_size(samples.points, samples)).abs().mean(1)
    found = {
        "points": mean(_length(difference).mean(1)),
        "fitted": mean(off.clamp(max=3)),
        "direct": mean(direct),
        "agreement": (between * pair).sum(),
        "presence": functional.binary_cross_entropy_with_logits(output[:, network.PRESENCE], samples.face),
        "spread": mean(off.detach() * torch.exp(-spread) + spread),
        "box": (box * samples.boxed).sum() / total,
    }
    degrees = 180 / torch.pi
    figures = {"fitted_degrees": float(mean(off.detach())) * degrees, "direct_degrees": float(mean(direct.detach())) * degrees,
               "shake_degrees": float((_length(turn[::2] - turn[1::2]).detach() * pair).sum()) * degrees}
    return found, figures
