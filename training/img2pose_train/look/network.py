"""The network of the close look: a plain residual one, as dense 3x3 convolutions are what processors are best at.

Input [N, 3, S, S]: crop in RGB, normalised. Output [N, 144]: 68 points (x, y in parts of the crop's side from its middle), six
numbers of the rotation (two columns of its matrix, before they are made orthonormal), logit of the presence of a face, and the logarithm of
the spread (radians): how far the rotation that follows from the points is off, in the mean.
"""

import numpy as np
import torch
from torch import nn

from .. import geometry
from . import crops

POINTS, ROTATION, PRESENCE, SPREAD = slice(0, 136), slice(136, 142), 142, 143
OUTPUTS = 144
MEAN, SCALE = 127.5, 64.0
"""Of the pixels' values."""


def mean_points():
    """Points [68, 2] of a frontal face that fills its square, in parts of the crop's side."""
    points = geometry.REFERENCE_68[:, :2] / (1 + geometry.REFERENCE_68[:, 2:] / 14)
    square = crops.Square.around(points, 0.0)
    return torch.from_numpy(((points - square.centre) / (crops.MARGIN * square.side)).astype(np.float32))


def convolution(inputs, outputs, size=3, stride=1, groups=1, active=True):
    """Convolution, batch norm and, if `active`, a rectifier; padded so that the stride alone changes the size."""
    layers = [nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if active else []))


class Residual(nn.Module):
    """Two 3x3 convolutions and a way past them."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.a = convolution(inputs, outputs, 3, stride)
        self.b = convolution(outputs, outputs, 3, 1, active=False)
        plain = stride == 1 and inputs == outputs
        self.short = nn.Identity() if plain else convolution(inputs, outputs, 1, stride, active=False)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.act(self.b(self.a(x)) + self.short(x))


STAGES = ((24, 2, 1), (48, 2, 2), (96, 2, 2), (160, 2, 1))
"""Channels, stride, blocks."""


class LookNetwork(nn.Module):
    """stem, residual stages, and a full-size depthwise layer in place of a mean: it keeps where things are."""

    def __init__(self, stem=16, stages=STAGES, last=384, side=crops.SIDE, dropout=0.05):
        super().__init__()
        layers, channels, grid = [convolution(3, stem, 3, 2)], stem, -(-side // 2)
        for outputs, stride, blocks in stages:
            for k in range(blocks):
                layers.append(Residual(channels, outputs, stride if k == 0 else 1))
                channels = outputs
            grid = -(-grid // stride)
        layers.append(convolution(channels, last, 1))
        self.body = nn.Sequential(*layers)
        self.pool = nn.Sequential(
            nn.Conv2d(last, last, grid, groups=last, bias=False), nn.BatchNorm2d(last), nn.ReLU(inplace=True)
        )
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(last, OUTPUTS)
        nn.init.normal_(self.head.weight, std=0.01)
        with torch.no_grad():
            self.head.bias.zero_()
            self.head.bias[POINTS] = mean_points().reshape(-1)
            self.head.bias[136] = self.head.bias[140] = 1
            self.head.bias[SPREAD] = -2.3

    def answer(self, seen):
        """Output [N, 144] for what the stages see in the crops."""
        return self.head(self.drop(self.pool(seen).flatten(1)))

    def forward(self, x):
        return self.answer(self.body(x))


def normalise(images):
    """Crops [N, S, S, 3] uint8 (RGB) to the network's input."""
    return images.permute(0, 3, 1, 2).float().sub_(MEAN).div_(SCALE).contiguous(memory_format=torch.channels_last)


def rotation_of(six):
    """Matrices [N, 3, 3] whose first two columns are the six numbers [N, 6], made orthonormal."""
    a = nn.functional.normalize(six[:, :3], dim=1)
    b = six[:, 3:]
    b = nn.functional.normalize(b - (a * b).sum(1, keepdim=True) * a, dim=1)
    return torch.stack([a, b, torch.linalg.cross(a, b)], 2)
