"""Faces in an image with a PyTorch network: the post-processing of the reference implementation.

For evaluating checkpoints. Slow and plain on purpose; the detector that ships is the Rust one.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional
from torchvision.ops import nms

from . import geometry
from .anchors import decode, image_anchors
from .losses import POSE_MEAN, POSE_STDDEV, normalise
from .roi_align import roi_align

PRE_NMS, POST_NMS = 6000, 1000
PROPOSAL_NMS, FACE_NMS = 0.4, 0.5
MIN_SCORE = 0.05
MAX_SIDE = 1400


@dataclass
class Faces:
    """box [N, 4] in pixels of the image, score [N], pose [N, 6] for the image's camera (focal length
    width + height, principal point in the middle); by falling score."""

    box: np.ndarray
    score: np.ndarray
    pose: np.ndarray


def network_size(height, width, min_side, max_side=MAX_SIDE):
    """(height, width) the network sees: short side `min_side`, unless the long one would pass `max_side`."""
    scale = min(min_side / min(height, width), max_side / max(height, width))
    return int(height * scale), int(width * scale)


def network_input(image, size):
    """RGB uint8 [h, w, 3] to [1, 3, H, W], resized to size (height, width), normalised and padded to 32."""
    height, width = size
    x = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))[None])
    x = functional.interpolate(x.float(), size=size, mode="bilinear", align_corners=False)
    padded = torch.zeros(1, 3, -(-height // 32) * 32, -(-width // 32) * 32)
    padded[:, :, :height, :width] = normalise(x)
    return padded.contiguous(memory_format=torch.channels_last)


def proposals(logits, deltas, padded, size, pre_nms=PRE_NMS):
    """Boxes [N, 4] of one image from logits [A] and deltas [A, 4], best first; padded and size: (height, width)
    of the network's image with and without its padding."""
    anchors, counts = image_anchors(*padded)
    height, width = size
    boxes, scores, first = [], [], 0
    for count in counts:
        score, index = logits[first : first + count].topk(min(pre_nms, count))
        box = decode(deltas[first : first + count][index], anchors[first : first + count][index])
        box[:, 0::2].clamp_(0, width)
        box[:, 1::2].clamp_(0, height)
        kept = (box[:, 2:] - box[:, :2]).min(1)[0] >= 1e-3
        box, score = box[kept], score[kept]
        kept = nms(box, score, PROPOSAL_NMS)[:POST_NMS]
        boxes.append(box[kept])
        scores.append(score[kept])
        first += count
    boxes, scores = torch.cat(boxes), torch.cat(scores)
    return boxes[scores.argsort(descending=True, stable=True)[:POST_NMS]]


@torch.no_grad()
def detect(network, image, min_side=480):
    """`Faces` with a score above 0.05 in an RGB uint8 image [h, w, 3]. The network is in eval mode."""
    size = network_size(*image.shape[:2], min_side)
    x = network_input(image, size)
    levels = network.backbone(x)
    logits, deltas = network.rpn.head(levels)
    boxes = proposals(logits[0], deltas[0], x.shape[2:], size)
    heads = network.roi_heads
    pooled = roi_align(levels, torch.cat([torch.zeros(len(boxes), 1), boxes], 1), x.shape[2:])
    score = heads.class_predictor(heads.class_head(pooled)).softmax(1)[:, 1]
    side = (boxes[:, 2:] - boxes[:, :2]).min(1)[0]
    kept = torch.nonzero((score > MIN_SCORE) & (side >= 1e-2))[:, 0]
    if not len(kept):
        return Faces(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 6)))
    local = heads.box_predictor(heads.box_head(pooled[kept])) * POSE_STDDEV + POSE_MEAN
    return faces_of(
        local.double().numpy(), boxes[kept].double().numpy(), score[kept].numpy(), size,
        image.shape[:2],
    )


def faces_of(local, proposals, score, size, original):
    """Poses for the image's camera and boxes by projection, then suppression of doubles.

    local: box-local poses [N, 6]; proposals [N, 4] in network pixels; size and original:
    (height, width) of the network's and of the caller's image.
    """
    height, width = size
    focal, centre = geometry.box_camera(proposals)
    middle = np.array([width // 2, height // 2], float)
    rotation, translation = geometry.to_image(
        geometry.rotation_matrix(local[:, :3]), local[:, 3:], focal, centre, float(width + height), middle
    )
    seen = geometry.project(
        rotation, translation, float(width + height), np.tile(middle, (len(local), 1)), geometry.REFERENCE_68
    )
    rvec = geometry.rotation_vector(rotation)
    box = np.trunc(geometry.face_box(seen, rvec[:, 2])).clip(0, [width, height, width, height])
    kept = nms(torch.from_numpy(box), torch.from_numpy(score).double(), FACE_NMS).numpy()
    scale = np.array([original[1] / width, original[0] / height] * 2)
    pose = np.concatenate([rvec, translation], 1)
    return Faces(box[kept] * scale, score[kept], pose[kept])
