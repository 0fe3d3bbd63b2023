"""The pose of a looked-at face in the camera of the whole picture, as contract version 2 has it (`contract.md`)."""

import numpy as np

from .. import geometry
from . import fit


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
    return _turned_to(rotation, origin, scale, (box[:, :2] + box[:, 2:]) / 2, focal, middle)


def _turned_to(rotation, origin, scale, looked_at, focal, middle):
    """`picture_pose` of cameras that look at pixels looked_at [N, 2]."""
    shift = (looked_at - middle) / focal
    cosine = 1 / np.sqrt(1 + (shift**2).sum(1))
    depth = focal / (scale * np.sqrt(cosine))
    translation = np.concatenate([(origin - middle) / focal * depth[:, None], depth[:, None]], 1)
    return towards(shift) @ rotation, translation


def to_image(rotation, translation, focal, centre, image_focal, image_centre):
    """`geometry.to_image` by the whole angle: what a pose for the camera (focal, centre) of a face's own box is in the
    camera (image_focal, image_centre). Labels that answers of this contract are compared with go this way, too."""
    depth = translation[:, 2]
    origin = centre + translation[:, :2] * (focal / depth)[:, None]
    return _turned_to(rotation, origin, focal / depth, centre, image_focal, np.asarray(image_centre))


def faces_of(solved, width, height):
    """Poses and boxes in a picture's camera (focal length width + height, principal point in the middle) of what `fit.solve` found.

    Returns rotation vectors [N, 3], translations [N, 3], boxes [N, 4] of the reference points seen from there, and the boxes
    [N, 4] that made the faces' own cameras."""
    rotation, origin, scale, *_ = solved
    own = geometry.face_box(fit.project(*solved[:5]), geometry.rotation_vector(rotation)[:, 2])
    focal, middle = float(width + height), np.array([width / 2, height / 2])
    turned, translation = picture_pose(rotation, origin, scale, own, focal, middle)
    rvec = geometry.rotation_vector(turned)
    seen = geometry.project(turned, translation, focal, np.tile(middle, (len(rvec), 1)), geometry.REFERENCE_68)
    return rvec, translation, geometry.face_box(seen, rvec[:, 2]), own
