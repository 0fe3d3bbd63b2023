"""Turn a pack's raw labels into training labels: `python -m img2pose_train.refine --help`.

1. Every pose is re-derived for the camera of the face's own box (see `labels`).
2. Held-out photos are chosen, near duplicates kept together.
3. With a checkpoint: faces that have a box only get a pose. Where the teacher left a doubtful
   pose and the network agrees with it, the teacher's is taken; else the network's, if it is the
   same for the mirrored photo and its projected box agrees with the known one. Such poses count
   half. The network may have learnt another camera convention: its mean rotation
   against the trusted poses is measured first and taken off. Held-out photos stay as they are.
"""

import argparse

import cv2
import numpy as np
import torch

from . import checkpoint, geometry
from .labels import FOCAL_PER_BOX, change_camera, difference_hash, validation_split
from .losses import POSE_MEAN, POSE_STDDEV, normalise
from .metrics import iou
from .network import bfloat16
from .pack import Photos, whole
from .roi_align import roi_align

AGREEMENT = 15.0
"""Degrees between teacher and network up to which the teacher's doubtful pose is believed."""
MIRROR_AGREEMENT = 8.0
"""Degrees between the network's poses for a photo and its mirror image."""
MIN_OVERLAP = 0.7
"""IoU of the projected and the known box."""


@torch.no_grad()
def poses_in_boxes(network, image, boxes):
    """The network's box-local poses (rotations [N, 3, 3], translations [N, 3]) for given boxes of a photo."""
    height, width = image.shape[:2]
    padded = np.zeros((-(-height // 32) * 32, -(-width // 32) * 32, 3), np.uint8)
    padded[:height, :width] = image
    x = normalise(torch.from_numpy(padded.transpose(2, 0, 1)[None].copy()))
    # Padding is zero after normalisation, as at inference.
    x[:, :, height:] = 0
    x[:, :, :, width:] = 0
    with bfloat16():
        levels = network.backbone(x)
    rois = torch.cat([torch.zeros(len(boxes), 1), torch.from_numpy(boxes).float()], 1)
    pooled = roi_align(levels, rois, padded.shape[:2])
    heads = network.roi_heads
    poses = heads.box_predictor(heads.box_head(pooled)) * POSE_STDDEV + POSE_MEAN
    poses = poses.double().numpy()
    return geometry.rotation_matrix(poses[:, :3]), poses[:, 3:]


def mean_offset(network, photos, labels, count=200):
    """Rotation [3, 3] that takes the network's poses to the trusted ones, a robust mean over `count` photos."""
    trusted = (labels["quality"] == 2) & (labels["weight"] == 1)
    trusted &= ~labels["held_out"][labels["image"]] & (labels["box"][:, 2] - labels["box"][:, 0] > 40)
    images = np.unique(labels["image"][trusted])
    offsets = []
    for i in images[:: max(1, len(images) // count)]:
        rows = np.nonzero(trusted & (labels["image"] == i))[0]
        rotation, _ = poses_in_boxes(network, photos.read(i), labels["box"][rows])
        wanted = geometry.rotation_matrix(labels["rvec"][rows])
        offsets.append(geometry.rotation_vector(wanted @ np.transpose(rotation, (0, 2, 1))))
    return geometry.rotation_matrix(np.median(np.concatenate(offsets), 0))[0]


def relabel(network, photos, labels, progress=print):
    """Promote box-only faces in place. Returns how many got the teacher's and the network's pose."""
    teachers = networks = 0
    offset = mean_offset(network, photos, labels)
    degrees = np.degrees(geometry.rotation_vector(offset[None])[0])
    progress(f"network against trusted poses: {degrees.round(2)} degrees about x, y, z")
    candidate = (labels["quality"] == 1) & ~labels["held_out"][labels["image"]]
    size = np.sqrt(np.clip((labels["box"][:, 2:] - labels["box"][:, :2]).prod(1), 0, None))
    candidate &= size >= 20
    images = np.unique(labels["image"][candidate])
    for count, i in enumerate(images):
        if count % 250 == 0:
            progress(f"{count} of {len(images)} photos, {teachers} + {networks} poses")
        rows = np.nonzero(candidate & (labels["image"] == i))[0]
        image, box = photos.read(i), labels["box"][rows]
        mirrored = box.copy()
        mirrored[:, [0, 2]] = image.shape[1] - box[:, [2, 0]]
        first, translation = poses_in_boxes(network, image, box)
        second, _ = poses_in_boxes(network, np.ascontiguousarray(image[:, ::-1]), mirrored)
        second, _ = geometry.mirror(second, np.zeros((len(rows), 3)))
        focal, centre = (box[:, 2:] - box[:, :2]).sum(1), (box[:, :2] + box[:, 2:]) / 2
        mean = geometry.rotation_vector(first @ _half(np.transpose(first, (0, 2, 1)) @ second))
        rotation = offset @ geometry.rotation_matrix(mean)
        mean = geometry.rotation_vector(rotation)
        seen = geometry.project(rotation, translation, focal, centre, geometry.REFERENCE_68)
        overlap = iou(geometry.face_box(seen, mean[:, 2]), box)
        steady = geometry.rotation_angle(first, second) < MIRROR_AGREEMENT
        has_teacher = (labels["teacher_rvec"][rows] != 0).any(1)
        teacher = geometry.rotation_matrix(labels["teacher_rvec"][rows])
        agrees = has_teacher & (geometry.rotation_angle(teacher, rotation) < AGREEMENT)
        agrees &= iou(labels["teacher_box"][rows], box) > 0.5
        for k, row in enumerate(rows):
            if agrees[k]:
                teachers += 1
                for name in ("rvec", "tvec", "cam", "box"):
                    labels[name][row] = labels["teacher_" + name][row]
            elif steady[k] and overlap[k] > MIN_OVERLAP:
                networks += 1
                labels["rvec"][row] = mean[k]
                labels["tvec"][row] = translation[k] * [1, 1, FOCAL_PER_BOX]
                labels["cam"][row] = [FOCAL_PER_BOX * focal[k], *centre[k]]
            else:
                continue
            labels["quality"][row], labels["weight"][row] = 2, 0.5
    return teachers, networks


def _half(rotation):
    return geometry.rotation_matrix(geometry.rotation_vector(rotation) / 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pack", required=True)
    parser.add_argument("--out", required=True, help="label file to write (.npz)")
    parser.add_argument("--checkpoint", help="network (checkpoint or ONNX file) that relabels box-only faces")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)

    photos = Photos(options.pack)
    raw = np.load(f"{options.pack}/labels.npz")
    hashes = [
        difference_hash(cv2.cvtColor(photos.read(i, 4), cv2.COLOR_RGB2GRAY)) for i in range(len(photos))
    ]
    groups = [str(group) for group in raw["groups"]] if "groups" in raw else None
    held_out = validation_split([str(name) for name in photos.names], hashes, groups)
    print(f"{held_out.sum()} of {len(photos)} photos held out", flush=True)

    known = raw["cam"][:, 0] > 1  # a row without any pose has the camera (1, 0, 0)
    teacher = {
        "rvec": np.zeros((len(known), 3)), "tvec": np.zeros((len(known), 3)),
        "cam": np.tile([1.0, 0.0, 0.0], (len(known), 1)), "box": raw["pb"].astype(float),
    }
    if known.any():
        moved = change_camera(
            *(raw[name][known].astype(float) for name in ("rvec", "tvec", "cam"))
        )
        for name, values in zip(("rvec", "tvec", "cam", "box"), moved):
            teacher[name][known] = values
    trusted = raw["q"] == 2
    box = np.where(trusted[:, None], teacher["box"], raw["pb"])
    labels = {
        "image": raw["img"], "quality": raw["q"].astype(int), "held_out": held_out,
        "weight": np.where(raw["mask"], 0.5, 1.0), "box": box,
        **{name: teacher[name].copy() for name in ("rvec", "tvec", "cam")},
        **{"teacher_" + name: values for name, values in teacher.items()},
    }
    if options.checkpoint:
        network = checkpoint.load(options.checkpoint).eval().to(memory_format=torch.channels_last)
        teachers, networks = relabel(network, photos, labels)
        print(f"box-only faces: {teachers} got the teacher's pose, {networks} the network's")
    with whole(options.out) as path, open(path, "wb") as file:
        np.savez_compressed(file, **{name: v for name, v in labels.items() if not name.startswith("teacher_")})


if __name__ == "__main__":
    main()
