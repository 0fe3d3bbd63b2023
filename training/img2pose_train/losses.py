"""The losses of img2pose (Albiero et al., CVPR 2021, section 3), over whole batches.

proposals   objectness and box deltas of the region proposal network
class       face or not, of sampled proposals
pose        the six numbers of the box-local pose, normalised
points      projection of the five calibration points with that pose, relative to the box

Departures, each for pseudo-labels of mixed quality: focal loss instead of sampled anchors for
objectness, a linear tail for pose errors, weights per face, hard negatives, and proposals
between 0.4 and 0.5 IoU are neither faces nor background.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional
from torchvision.ops import box_iou, nms

from . import geometry
from .anchors import covered, decode, encode, image_anchors
from .network import bfloat16
from .roi_align import roi_align

IMAGE_MEAN = torch.tensor([123.675, 116.28, 103.53]).view(1, 3, 1, 1)
IMAGE_STDDEV = torch.tensor([58.395, 57.12, 57.375]).view(1, 3, 1, 1)
POSE_MEAN = torch.tensor(geometry.POSE_MEAN, dtype=torch.float32)
POSE_STDDEV = torch.tensor(geometry.POSE_STDDEV, dtype=torch.float32)
CALIBRATION_POINTS = torch.tensor(geometry.REFERENCE_5, dtype=torch.float32)

PER_LEVEL = (220, 120, 80, 50, 30)
PROPOSALS = 220
PROPOSAL_NMS = 0.7
TAIL = 1.5
"""Pose errors (in standard deviations) beyond which the loss grows linearly."""


@dataclass(frozen=True)
class LossWeights:
    objectness: float = 1.0
    deltas: float = 1.0
    classes: float = 1.0
    pose: float = 0.4
    points: float = 6.0


@dataclass(frozen=True)
class Sampling:
    """Proposals per image that the heads are trained on, and how large a share of the negatives are the hardest."""

    positives: int = 14
    negatives: int = 32
    hard: float = 0.5


def normalise(images):
    """uint8 RGB [B, 3, h, w] to the network's input."""
    x = (images.float() - IMAGE_MEAN) / IMAGE_STDDEV
    return x.contiguous(memory_format=torch.channels_last)


def focal_loss(logits, label, alpha=0.25, gamma=2.0):
    """Sum over anchors with label 0 or 1, divided by the number of faces among them."""
    target = (label == 1).float()
    probability = torch.sigmoid(logits)
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    right = probability * target + (1 - probability) * (1 - target)
    balance = alpha * target + (1 - alpha) * (1 - target)
    loss = balance * (1 - right) ** gamma * entropy * (label >= 0)
    return loss.sum() / target.sum().clamp(min=1)


def proposal_losses(logits, deltas, batch, anchors):
    """Objectness and smooth-L1 delta loss."""
    image, anchor = torch.nonzero(batch.label == 1, as_tuple=True)
    objectness = focal_loss(logits, batch.label)
    if not len(image):
        return objectness, deltas.sum() * 0
    wanted = encode(batch.box[batch.matched[image, anchor]], anchors[anchor])
    error = functional.smooth_l1_loss(
        deltas[image, anchor], wanted, beta=1 / 9, reduction="sum"
    )
    return objectness, error / len(image)


@torch.no_grad()
def propose(logits, deltas, side):
    """Boxes [N, 4] of one image that the proposal network thinks likeliest, best first."""
    anchors, counts = image_anchors(side, side)
    chosen, first = [], 0
    for limit, count in zip(PER_LEVEL, counts):
        chosen.append(logits[first : first + count].topk(min(limit, count))[1] + first)
        first += count
    chosen = torch.cat(chosen)
    boxes = decode(deltas[chosen], anchors[chosen]).clamp(0, side)
    large = (boxes[:, 2:] - boxes[:, :2]).min(1)[0] > 2
    boxes, scores = boxes[large], logits[chosen][large]
    return boxes[nms(boxes, scores, PROPOSAL_NMS)[:PROPOSALS]]


def _jittered(boxes, copies, side):
    size = (boxes[:, 2:] - boxes[:, :2]).repeat(copies, 1)
    centre = ((boxes[:, 2:] + boxes[:, :2]) / 2).repeat(copies, 1)
    centre = centre + size * torch.randn_like(centre) * 0.09
    size = size * torch.exp(torch.randn_like(size) * 0.12)
    return torch.cat([centre - size / 2, centre + size / 2], 1).clamp(0, side)


def _some(index, count):
    return index[torch.randperm(len(index))[:count]] if len(index) > count else index


@torch.no_grad()
def sample(proposals, batch, sampling):
    """Proposals for the heads: rois [N, 5], is_face [N] and the row of the matched face [N].

    The faces themselves and jittered copies join the proposals as positives.
    """
    rois, is_face, matched = [], [], []
    for image, found in enumerate(proposals):
        rows = torch.nonzero(batch.face_image == image)[:, 0]
        faces = batch.box[rows]
        if len(faces):
            copies = 3 if len(faces) < 10 else 2
            boxes = torch.cat([found, faces, _jittered(faces, copies, batch.side)])
            overlap, best = box_iou(boxes, faces).max(1)
            best = rows[best]
        else:
            boxes = found
            overlap = torch.zeros(len(boxes))
            best = torch.zeros(len(boxes), dtype=torch.long)
        ignored = batch.ignored[batch.ignored_image == image]
        background = (overlap[: len(found)] < 0.4) & (covered(found, ignored) < 0.35)
        background = torch.nonzero(background)[:, 0]
        hard = int(sampling.hard * sampling.negatives)
        positive = _some(torch.nonzero(overlap >= 0.5)[:, 0], sampling.positives)
        negative = torch.cat(
            [background[:hard], _some(background[hard:], sampling.negatives - hard)]
        )
        chosen = torch.cat([positive, negative])
        index = torch.full((len(chosen), 1), float(image))
        rois.append(torch.cat([index, boxes[chosen]], 1))
        is_face.append(torch.arange(len(chosen)) < len(positive))
        matched.append(best[chosen])
    return torch.cat(rois), torch.cat(is_face), torch.cat(matched)


def pose_targets(boxes, rotation, translation, side):
    """Box-local poses [N, 6], not normalised, of faces seen by a crop's camera."""
    rotation, translation = geometry.to_box(
        rotation.double().numpy(), translation.double().numpy(), 2.0 * side,
        [side // 2, side // 2], boxes.double().numpy(),
    )
    poses = torch.from_numpy(
        geometry.np.concatenate([geometry.rotation_vector(rotation), translation], 1)
    )
    return poses.float()


def rotation_matrix(rvec):
    """Differentiable Rodrigues formula: [N, 3] to [N, 3, 3]."""
    angle = torch.sqrt((rvec * rvec).sum(1) + 1e-12)
    x, y, z = (rvec / angle[:, None]).unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).view(-1, 3, 3)
    sine, versine = torch.sin(angle)[:, None, None], (1 - torch.cos(angle))[:, None, None]
    return torch.eye(3) + sine * cross + versine * (cross @ cross)


def project_points(poses):
    """The calibration points [N, 5, 2] under box-local poses, in units of box width + height."""
    seen = torch.einsum("nij,pj->npi", rotation_matrix(poses[:, :3]), CALIBRATION_POINTS)
    seen = seen + poses[:, None, 3:]
    return seen[..., :2] / seen[..., 2:].clamp(min=0.5)


def pose_losses(predicted, target, weight):
    """Pose and calibration-point loss of normalised predictions [N, 6] for poses [N, 6]."""
    error = (predicted - (target - POSE_MEAN) / POSE_STDDEV).abs()
    robust = torch.where(error < TAIL, error * error, 2 * TAIL * error - TAIL * TAIL)
    points = project_points(predicted * POSE_STDDEV + POSE_MEAN) - project_points(target)
    total = weight.sum()
    return (robust.sum(1) * weight).sum() / total, (points.abs().mean((1, 2)) * weight).sum() / total


def training_losses(network, batch, sampling=Sampling()):
    """The five losses (keys of `LossWeights`) and figures to watch, for one batch."""
    side, device = batch.side, batch.images.device.type
    anchors, _ = image_anchors(side, side)
    with bfloat16(device):
        levels = network.backbone(normalise(batch.images))
        logits, deltas = network.rpn.head(levels)
    objectness, delta_loss = proposal_losses(logits, deltas, batch, anchors)
    proposals = [propose(o, d, side) for o, d in zip(logits.detach(), deltas.detach())]
    rois, is_face, matched = sample(proposals, batch, sampling)
    pooled = roi_align(levels, rois, (side, side))
    posed = torch.nonzero(is_face & (batch.weight[matched] > 0 if len(batch.weight) else is_face))[:, 0]
    heads = network.roi_heads
    with bfloat16(device):
        class_features = heads.class_head(pooled)
        pose_features = heads.box_head(pooled[posed]) if len(posed) > 1 else None
    class_logits = heads.class_predictor(class_features.float())
    pose = points = class_logits.sum() * 0
    figures = {}
    if pose_features is not None:
        predicted = heads.box_predictor(pose_features.float())
        faces = matched[posed]
        target = pose_targets(rois[posed, 1:], batch.rotation[faces], batch.translation[faces], side)
        pose, points = pose_losses(predicted, target, batch.weight[faces])
        with torch.no_grad():
            error = (predicted * POSE_STDDEV + POSE_MEAN - target)[:, :3]
            figures["rotation"] = float(error.norm(dim=1).median().rad2deg())
    with torch.no_grad():
        score = class_logits.softmax(1)[:, 1]
        if is_face.any():
            figures["recall"] = float((score[is_face] > 0.5).float().mean())
        if (~is_face).any():
            figures["false_positives"] = float((score[~is_face] > 0.5).float().mean())
    losses = {
        "objectness": objectness,
        "deltas": delta_loss,
        "classes": functional.cross_entropy(class_logits, is_face.long()),
        "pose": pose,
        "points": points,
    }
    return losses, figures
