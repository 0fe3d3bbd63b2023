"""The network of the finder: plain convolutions, a pyramid of three levels, one head for all of them.

Input [N, 3, H, W] (multiples of 32): RGB, normalised as that of the close look. Output [N, 7, A] for the A cells of the levels of stride 8, 16
and 32, one after the other, row by row. A cell's seven numbers: logit of the score; where the middle of the face is, in strides from
the cell's own middle (x, y); logarithms of its width and height in units of four strides, as they are when the
head stands upright; cosine and sine of its turn in the plane (not normalised).
"""

from functools import lru_cache

import torch
from torch import nn

from ..look.network import MEAN, SCALE, Residual, convolution

STRIDES = (8, 16, 32)
OUTPUTS = 7
UNIT = 4
"""Strides that a box of logarithm 0 is wide."""
PRIOR = 0.01
"""Score that an untrained network gives."""


class FinderNetwork(nn.Module):
    """The close look's stem and stages (so that a finder can begin with what that has learned of faces), a top-down pyramid of equal
    widths, and one head."""

    def __init__(self, stem=16, widths=(24, 48, 96, 160), pyramid=32):
        super().__init__()
        w = widths
        self.stem = nn.Sequential(convolution(3, stem, 3, 2), Residual(stem, w[0], 2))
        self.low = nn.Sequential(Residual(w[0], w[1], 2), Residual(w[1], w[1], 1))
        self.middle = nn.Sequential(Residual(w[1], w[2], 2), Residual(w[2], w[2], 1))
        self.high = nn.Sequential(Residual(w[2], w[3], 2))
        self.lateral = nn.ModuleList([convolution(c, pyramid, 1) for c in w[1:]])
        self.smooth = nn.ModuleList([convolution(pyramid, pyramid) for _ in STRIDES])
        self.head = convolution(pyramid, pyramid)
        self.out = nn.Conv2d(pyramid, OUTPUTS, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        with torch.no_grad():
            self.out.bias.zero_()
            self.out.bias[0] = torch.tensor(PRIOR / (1 - PRIOR)).log()
            self.out.bias[5] = 1

    def begin_with(self, look):
        """Takes stem and stages of a `look.network.LookNetwork` over."""
        mine = [*self.stem, *self.low, *self.middle, *self.high]
        for layer, learned in zip(mine, look.body):
            layer.load_state_dict(learned.state_dict())
        return self

    def forward(self, x):
        low = self.low(self.stem(x))
        middle = self.middle(low)
        high = self.high(middle)
        levels = [lateral(level) for lateral, level in zip(self.lateral, (low, middle, high))]
        for k in (1, 0):
            levels[k] = levels[k] + nn.functional.interpolate(levels[k + 1], scale_factor=2.0, mode="nearest")
        return torch.cat([self.out(self.head(smooth(level))).flatten(2) for smooth, level in zip(self.smooth, levels)], 2)


def normalise(images):
    """Pictures [N, 3, H, W] uint8 (RGB) to the network's input."""
    return images.float().sub_(MEAN).div_(SCALE).contiguous(memory_format=torch.channels_last)


@lru_cache(maxsize=64)
def cells(height, width):
    """Middles [A, 2] of the cells in pixels, and their strides [A]. Kept; not to be written into."""
    middles, strides = [], []
    for stride in STRIDES:
        y, x = torch.meshgrid(torch.arange(height // stride), torch.arange(width // stride), indexing="ij")
        middle = (torch.stack([x, y], -1).reshape(-1, 2).float() + 0.5) * stride - 0.5
        middles.append(middle)
        strides.append(torch.full((len(middle),), float(stride)))
    return torch.cat(middles), torch.cat(strides)


def decode(output, middles, strides):
    """Output [N, 7, A] to score logits [N, A], middles [N, A, 2] and sizes [N, A, 2] in pixels, and (cos, sin) [N, A, 2], of length 1."""
    values = output.transpose(1, 2)
    centre = middles + values[..., 1:3] * strides[:, None]
    size = torch.exp(values[..., 3:5].clamp(-4, 4)) * (UNIT * strides[:, None])
    return values[..., 0], centre, size, nn.functional.normalize(values[..., 5:7], dim=-1)
