"""RoIAlign over the pyramid as one weighted gather.

The same numbers as torchvision's MultiScaleRoIAlign(7, sampling_ratio=2, aligned=False), but
forward and backward run as a single `embedding_bag` over channels-last features, which on a
CPU is several times faster when it must be differentiated.
"""

import torch
from torch.nn import functional

from .network import POOLED

SAMPLES = 2


def level_of(boxes):
    """Pyramid level 0..3 of each box [N, 4]: the canonical 224 px on level 4 of the paper."""
    side = torch.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1))
    return torch.floor(4 + torch.log2(side / 224) + 1e-6).clamp(2, 5).long() - 2


def _axis(start, bin_size, length):
    """Neighbours and weights of the sample positions along one axis.

    start, bin_size, length: [N]. Returns indices and weights [N, POOLED, 2 * SAMPLES].
    """
    position = (torch.arange(POOLED * SAMPLES) + 0.5) / SAMPLES
    value = start[:, None] + position * bin_size[:, None]
    last = length[:, None] - 1
    inside = ((value >= -1) & (value <= length[:, None])).float()
    value = value.clamp(min=0)
    low = torch.minimum(value.floor().long(), last)
    high = torch.minimum(low + 1, last)
    fraction = (torch.minimum(value, last.float()) - low).clamp(min=0)
    index = torch.stack([low, high], 2).view(-1, POOLED, 2 * SAMPLES)
    weight = torch.stack([(1 - fraction) * inside, fraction * inside], 2)
    return index, weight.view(-1, POOLED, 2 * SAMPLES)


def roi_align(levels, rois, image_size):
    """Pool rois from the four finest levels.

    levels: [B, C, h, w] each; rois: [N, 5], image index and box in image pixels;
    image_size: (height, width) of the padded image. Returns [N, C, 7, 7], float32.
    """
    levels = levels[:4]
    channels = levels[0].shape[1]
    table = torch.cat([f.permute(0, 2, 3, 1).reshape(-1, channels) for f in levels]).float()
    rows = torch.tensor([f.shape[2] for f in levels])
    columns = torch.tensor([f.shape[3] for f in levels])
    sizes = torch.tensor([f.shape[0] * f.shape[2] * f.shape[3] for f in levels])
    first = torch.cat([torch.zeros(1, dtype=torch.long), sizes.cumsum(0)[:-1]])

    level = level_of(rois[:, 1:])
    height, width = rows[level], columns[level]
    scale_y, scale_x = height / image_size[0], width / image_size[1]
    x0, y0 = rois[:, 1] * scale_x, rois[:, 2] * scale_y
    bin_x = (rois[:, 3] * scale_x - x0).clamp(min=1) / POOLED
    bin_y = (rois[:, 4] * scale_y - y0).clamp(min=1) / POOLED
    x, weight_x = _axis(x0, bin_x, width)
    y, weight_y = _axis(y0, bin_y, height)

    base = first[level] + rois[:, 0].long() * height * width
    index = (
        base[:, None, None, None, None]
        + y[:, :, None, :, None] * width[:, None, None, None, None]
        + x[:, None, :, None, :]
    )
    weight = weight_y[:, :, None, :, None] * weight_x[:, None, :, None, :] / SAMPLES**2
    taps = (2 * SAMPLES) ** 2
    pooled = functional.embedding_bag(
        index.reshape(-1, taps), table, mode="sum", per_sample_weights=weight.reshape(-1, taps)
    )
    return pooled.view(-1, POOLED, POOLED, channels).permute(0, 3, 1, 2)
