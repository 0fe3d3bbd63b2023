"""The pose of a looked-at face in the camera of the whole picture, as contract version 2 has it (`contract.md`)."""

import numpy as np

from .. import geometry


def towards(shift):
    """Rotation [N, 3, 3] that takes the optical axis to the direction of pixels `shift` [N, 2] (in focal lengths) off the middle."""
    length = np.linalg.norm(shift, axis=1)
    axis = np.stack([-shift[:, 1], shift[:, 0], np.zeros(len(shift))], 1) / np.maximum(length, 1e-12)[:, None]
    return geometry.rotation_matrix(axis * np.arctan(length)[:, None])


def picture_pose(rotation, origin, scale, box, focal, middle):
    """Rotation [N, 3, 3] and translation [N, 3] in the picture's camera (focal length and principal point [2] in pixels) of fitted faces
    (`fit.solve`) with boxes [N, 4].

    The camera of a face's own box looks at the middle of the box: between it and the picture's lies the whole angle to that middle.
    (img2pose networks turn by half of it, as their reference does.) The scale is seen across the ray and along it, where the picture's
    plane stretches by one more cosine; the root of it lies between."""
    shift = ((box[:, :2] + box[:, 2:]) / 2 - middle) / focal
    cosine = 1 / np.sqrt(1 + (shift**2).sum(1))
    depth = focal / (scale * np.sqrt(cosine))
    translation = np.concatenate([(origin - middle) / focal * depth[:, None], depth[:, None]], 1)
    return towards(shift) @ rotation, translation
