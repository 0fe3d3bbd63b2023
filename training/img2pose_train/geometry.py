"""Pose geometry of img2pose, vectorised over faces (NumPy, float64).

Frame of the reference points and of every pose: x right, y down, z into the scene.
A pose is a rotation R (or rotation vector) and a translation t, in units of the
reference points, for a pinhole camera with focal length f and principal point c in
pixels: a point X projects to f * (R X + t)_xy / (R X + t)_z + c.

The conversions between a camera centred on a box and the camera of the whole image
are those of the reference implementation of img2pose (Albiero et al., CVPR 2021).
It multiplies rotations by a shear, K^-1 K_box, and orthonormalises the product; the
closed form used here, a rotation by atan(|a| / 2), equals its polar factor.
"""

from pathlib import Path

import numpy as np

POSE_MEAN = np.array([-0.0238, 0.0275, -0.0144, 0.0664, 0.2380, 3.4813])
POSE_STDDEV = np.array([0.2353, 0.5395, 0.1767, 0.1320, 0.1358, 0.3663])
"""Statistics of box-local poses (rx ry rz tx ty tz) published for WIDER FACE."""


def _reference_points():
    blocks, rows = [], []
    for line in (Path(__file__).parent / "reference_points.txt").read_text().splitlines():
        if line.startswith("#"):
            if rows:
                blocks.append(np.array(rows))
            rows = []
        elif line.strip():
            rows.append([float(value) for value in line.split()[1:4]])
    blocks.append(np.array(rows))
    by_count = {len(block): block for block in blocks}
    return by_count[68], by_count[5]


REFERENCE_68, REFERENCE_5 = _reference_points()
"""Three-dimensional reference points: 68 landmarks (iBUG order) and 5 key points."""

MIRRORED_68 = np.array([
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
])
"""Which of the 68 points stands at the place of each in the mirrored picture."""


def rotation_matrix(rvec):
    """Rotation vectors [N, 3] in radians to matrices [N, 3, 3] (Rodrigues)."""
    rvec = np.asarray(rvec, np.float64).reshape(-1, 3)
    angle = np.linalg.norm(rvec, axis=1)
    axis = rvec / np.maximum(angle, 1e-9)[:, None]
    cross = np.zeros((len(rvec), 3, 3))
    cross[:, 0, 1], cross[:, 0, 2] = -axis[:, 2], axis[:, 1]
    cross[:, 1, 0], cross[:, 1, 2] = axis[:, 2], -axis[:, 0]
    cross[:, 2, 0], cross[:, 2, 1] = -axis[:, 1], axis[:, 0]
    sine, versine = np.sin(angle)[:, None, None], (1 - np.cos(angle))[:, None, None]
    return np.eye(3) + sine * cross + versine * (cross @ cross)


def rotation_vector(rotation):
    """Matrices [N, 3, 3] to rotation vectors [N, 3] in radians (angle below pi)."""
    cosine = np.clip((np.trace(rotation, axis1=1, axis2=2) - 1) / 2, -1, 1)
    axis = 0.5 * np.stack(
        [
            rotation[:, 2, 1] - rotation[:, 1, 2],
            rotation[:, 0, 2] - rotation[:, 2, 0],
            rotation[:, 1, 0] - rotation[:, 0, 1],
        ],
        1,
    )
    sine = np.linalg.norm(axis, axis=1)
    factor = np.where(sine < 1e-6, 1.0, np.arctan2(sine, cosine) / np.maximum(sine, 1e-9))
    return axis * factor[:, None]


def rotation_angle(first, second):
    """Geodesic distance in degrees between matrices [N, 3, 3] and [N, 3, 3]."""
    trace = np.einsum("nij,nij->n", first, second)
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def yaw(rotation):
    """Signed angle [N] in degrees between the face's forward axis and the image's normal plane of x = 0, of matrices
    [N, 3, 3]: 0 frontal, 90 or -90 profile, independent of roll and pitch order."""
    return np.degrees(np.arctan2(-rotation[:, 0, 2], rotation[:, 2, 2]))


def view_rotation(shift):
    """Polar factor [N, 3, 3] of the shear [[1, 0, a0], [0, 1, a1], [0, 0, 1]], a = shift [N, 2]."""
    shift = np.asarray(shift, np.float64).reshape(-1, 2)
    length = np.linalg.norm(shift, axis=1)
    axis = np.stack([-shift[:, 1], shift[:, 0], np.zeros(len(shift))], 1)
    axis /= np.maximum(length, 1e-12)[:, None]
    return rotation_matrix(axis * np.arctan(length / 2)[:, None])


def project(rotation, translation, focal, centre, points):
    """Pixels [N, P, 2] of points [P, 3] seen by N cameras (focal [N] or scalar, centre [N, 2])."""
    seen = np.einsum("nij,pj->npi", rotation, points) + np.asarray(translation)[:, None]
    focal = np.asarray(focal, np.float64).reshape(-1, 1, 1)
    return focal * seen[..., :2] / seen[..., 2:] + np.asarray(centre)[:, None]


def face_box(landmarks, roll):
    """Box xyxy [N, 4] of projected landmarks [N, P, 2]: their extent times 1.1, plus 0.3 of
    its height or width for the forehead, on the side that `roll` (third component of the
    rotation vector, [N]) says. Neither truncated to integers nor clipped."""
    low, high = landmarks.min(1), landmarks.max(1)
    size, middle = high - low, (low + high) / 2
    box = np.concatenate([middle - 0.55 * size, middle + 0.55 * size], 1)
    roll = np.broadcast_to(roll, len(box))
    below, right, left = np.abs(roll) > 2.5, roll > 1, roll < -1
    right, left = right & ~below, left & ~below
    above = ~(below | right | left)
    box[above, 1] -= 0.3 * size[above, 1]
    box[below, 3] += 0.3 * size[below, 1]
    box[right, 2] += 0.3 * size[right, 0]
    box[left, 0] -= 0.3 * size[left, 0]
    return box


def box_camera(box):
    """Focal length [N] and principal point [N, 2] of the cameras of boxes [N, 4], with the
    truncation to integers that the reference implementation applies to the centre."""
    size = box[:, 2:] - box[:, :2]
    return size.sum(1), np.trunc(box[:, :2] + np.floor(size / 2))


def to_image(rotation, translation, focal, centre, image_focal, image_centre):
    """Pose for the camera (focal, centre), as seen by the camera (image_focal, image_centre)."""
    depth = translation[:, 2] * image_focal / focal
    shift = (np.asarray(image_centre) - centre) / image_focal
    moved = np.concatenate([translation[:, :2] - shift * depth[:, None], depth[:, None]], 1)
    return np.transpose(view_rotation(shift), (0, 2, 1)) @ rotation, moved


def to_box(rotation, translation, image_focal, image_centre, box):
    """Inverse of `to_image` for the cameras of boxes [N, 4]: what the pose head regresses."""
    focal, centre = box_camera(box)
    shift = (np.asarray(image_centre) - centre) / image_focal
    moved = np.concatenate(
        [
            translation[:, :2] + shift * translation[:, 2:],
            (translation[:, 2] * focal / image_focal)[:, None],
        ],
        1,
    )
    return view_rotation(shift) @ rotation, moved


def mirror(rotation, translation):
    """The pose of a face in the mirrored image (x -> -x)."""
    flip = np.diag([-1.0, 1.0, 1.0])
    return flip @ rotation @ flip, translation @ flip
