"""What is counted when faces are compared with labels."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from . import geometry
from .labels import solve_pose

MIN_IOU = 0.5
SIZE_BUCKETS = ((0, 16), (16, 32), (32, 64), (64, 128), (128, 10_000))
YAW_BUCKETS = ((0, 30), (30, 45), (45, 90))
FALSE_PER_IMAGE = 0.1
SCORES = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Least scores for which false positives are counted."""


def iou(a, b):
    """IoU of boxes [..., 4] and [..., 4], one by one."""
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    area = lambda boxes: (boxes[..., 2:] - boxes[..., :2]).prod(-1)
    return shared / np.maximum(area(a) + area(b) - shared, 1e-9)


def box_iou(a, b):
    """[N, 4] and [M, 4] to IoU [N, M]."""
    return iou(a[:, None], b[None])


def covered(boxes, regions):
    """Largest share [N] of each box inside one of the regions."""
    if not len(regions):
        return np.zeros(len(boxes))
    low = np.maximum(boxes[:, None, :2], regions[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], regions[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    return (shared / np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(-1)[:, None], 1e-9)).max(1)


def match(found, labelled):
    """For each detection (by falling score) the label it takes, or -1: the free one of highest IoU, at least 0.5."""
    taken = np.full(len(found), -1)
    if not len(labelled):
        return taken
    overlap = box_iou(found, labelled)
    for i in range(len(found)):
        j = int(overlap[i].argmax())
        if overlap[i, j] >= MIN_IOU:
            taken[i] = j
            overlap[:, j] = -1
    return taken


def average_precision(score, is_true, labelled):
    """Area under the precision-recall curve (precision made monotonous, all points)."""
    if not labelled:
        return float("nan")
    order = np.argsort(-np.asarray(score), kind="stable")
    true = np.cumsum(np.asarray(is_true, float)[order])
    recall = true / labelled
    precision = true / np.arange(1, len(true) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0) * precision))


def threshold_for(false_scores, images, rate=FALSE_PER_IMAGE):
    """Lowest score threshold that leaves at most `rate` false positives per image."""
    allowed = int(rate * images)
    falling = np.sort(np.asarray(false_scores, float))[::-1]
    return float(falling[allowed]) if len(falling) > allowed else 0.0


def median_interval(values, share=0.95, draws=2000):
    """Between what two values the median of as many others of the kind would lie: bootstrap over `values` [N]."""
    drawn = np.random.default_rng(0).choice(values, (draws, len(values)))
    return np.quantile(np.median(drawn, 1), [(1 - share) / 2, (1 + share) / 2])


@dataclass
class Truth:
    """The labelled faces of one image: box [G, 4], quality [G] (see `pack`), and their poses, rotation
    [G, 3, 3] and translation [G, 3], in the cameras focal [G] and centre [G, 2]."""

    box: np.ndarray
    quality: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    focal: np.ndarray
    centre: np.ndarray


@dataclass
class Evaluation:
    """Collects images one by one; `summary` gives the figures. to_image: the model's way from the camera of a face's own box, which
    the labels are in, into the picture's (`geometry.to_image` or `look.picture.to_image`)."""

    images: int = 0
    score: list = field(default_factory=list)
    true_size: list = field(default_factory=list)  # network pixels of the matched label; 0: false
    label_size: list = field(default_factory=list)
    poses: list = field(default_factory=list)  # rows of `_pose`
    to_image: Callable = geometry.to_image

    def add(self, faces, truth, image_size, scale):
        """One image: detected `Faces`, its `Truth`, its (height, width), and the scale to network pixels."""
        self.images += 1
        face = truth.quality >= 1
        size = np.sqrt((truth.box[:, 2:] - truth.box[:, :2]).prod(1)) * scale
        taken = match(faces.box, truth.box[face])
        counted = (taken >= 0) | (covered(faces.box, truth.box[~face]) < 0.5)
        rows = np.nonzero(face)[0]
        for i in np.nonzero(counted)[0]:
            self.score.append(float(faces.score[i]))
            self.true_size.append(float(size[rows[taken[i]]]) if taken[i] >= 0 else 0.0)
        self.label_size += [float(s) for s in size[face]]
        for i in np.nonzero(taken >= 0)[0]:
            k = rows[taken[i]]
            if truth.quality[k] == 2:
                self.poses.append(self._pose(faces.pose[i], size[k], truth, k, image_size))

    def _pose(self, pose, size, truth, k, image_size):
        """Size, yaw of the label, angle to the label, angle to a PnP in the photo's camera, the two
        errors as rotation vectors, relative error of the translation, by how much the yaw is too small. Angles in degrees."""
        height, width = image_size
        focal, middle = float(width + height), np.array([width / 2, height / 2])
        one = slice(k, k + 1)
        wanted, translation = self.to_image(
            truth.rotation[one], truth.translation[one], truth.focal[one], truth.centre[one], focal, middle
        )
        landmarks = geometry.project(
            truth.rotation[one], truth.translation[one], truth.focal[one], truth.centre[one], geometry.REFERENCE_68
        )
        start = (geometry.rotation_vector(wanted)[0], translation[0])
        in_photo = geometry.rotation_matrix(solve_pose(landmarks[0], focal, middle, start)[0])
        got = geometry.rotation_matrix(pose[:3])
        yaw_wanted, yaw_got = geometry.yaw(wanted)[0], geometry.yaw(got)[0]
        error = lambda to: np.degrees(geometry.rotation_vector(got @ np.transpose(to, (0, 2, 1)))[0])
        return (
            size, abs(geometry.yaw(truth.rotation[one])[0]),
            geometry.rotation_angle(got, wanted)[0], geometry.rotation_angle(got, in_photo)[0],
            *error(wanted), *error(in_photo),
            np.linalg.norm(pose[3:] - translation[0]) / np.linalg.norm(translation[0]),
            np.sign(yaw_wanted) * (yaw_wanted - yaw_got),
        )

    def summary(self):
        """Nested dictionary of plain numbers, ready for JSON."""
        score, true_size = np.array(self.score), np.array(self.true_size)
        label_size = np.array(self.label_size)
        is_true = true_size > 0
        threshold = threshold_for(score[~is_true], self.images)
        detection = {
            "images": self.images,
            "faces": len(label_size),
            "threshold": round(threshold, 4),
            "false_positives_per_image": {
                str(t): round(float((score[~is_true] > t).sum()) / max(1, self.images), 3) for t in SCORES
            },
            "by_size": {},
        }
        for low, high in (*SIZE_BUCKETS, (32, 10_000), (0, 10_000)):
            labelled = int(((label_size >= low) & (label_size < high)).sum())
            inside = is_true & (true_size >= low) & (true_size < high)
            # False positives have no size of their own: each bucket is charged all of them.
            relevant = inside | ~is_true
            recall = lambda t: round(float((inside & (score > t)).sum()) / labelled, 4) if labelled else None
            name = f"{low}-{high}" if high < 10_000 else ("all" if low == 0 else f"{low}+")
            detection["by_size"][name] = {
                "faces": labelled,
                "recall_at_0.1_false_per_image": recall(threshold),
                "recall_at_score": {str(t): recall(t) for t in SCORES},
                "average_precision": round(average_precision(score[relevant], inside[relevant], labelled), 4) if labelled else None,
            }
        return {"detection": detection, "pose": self._pose_summary()}

    def _pose_summary(self):
        table = np.array(self.poses).reshape(-1, 12)
        size, yaw = table[:, 0], table[:, 1]
        yaws = {f"yaw {low}-{high}": (low, high) for low, high in (*YAW_BUCKETS, (0, 45))} | {"all": (0, 181)}
        buckets = {name: (size >= 32) & (yaw >= low) & (yaw < high) for name, (low, high) in yaws.items()}
        for low, high in SIZE_BUCKETS:
            name = f"yaw 0-45, {low}-{high} pixels" if high < 10_000 else f"yaw 0-45, {low}+ pixels"
            buckets[name] = (size >= low) & (size < high) & (yaw < 45)
        out = {}
        for name, inside in buckets.items():
            rows = table[inside]
            if not len(rows):
                continue
            median = lambda column: round(float(np.median(rows[:, column])), 2)
            out[name] = {
                "faces": len(rows),
                "rotation_median": median(2),
                "rotation_median_interval": [round(float(v), 2) for v in median_interval(rows[:, 2])],
                "rotation_mean": round(float(rows[:, 2].mean()), 2),
                "rotation_median_to_photo_pnp": median(3),
                "signed_mean_xyz": [round(float(v), 2) for v in rows[:, 4:7].mean(0)],
                "signed_mean_xyz_to_photo_pnp": [round(float(v), 2) for v in rows[:, 7:10].mean(0)],
                "translation_median_relative": round(float(np.median(rows[:, 10])), 4),
                "yaw_too_small_median": median(11),
            }
        return out
