"""What the points say about the pose: how a fit of the reference points answers small changes of them.

A face is stated as in refined labels: rotation R in the camera of its own box, projected origin u (pixels) and scale s (pixels per unit of
the reference points at the origin's depth); `flatness` is 1 / tz, how strong the perspective is, and `lean` [2] how far the origin
lies off the camera's axis, (u - middle of the box) / focal length. A point X, turned to R X = (x, y, z), is seen at
u + s ((x, y) - lean z) / (1 + flatness z).
"""

import numpy as np

from .. import geometry
from ..labels import FOCAL_PER_BOX


def project(rotation, origin, scale, flatness, lean):
    """Reference points [N, 68, 2] in pixels; rotation [N, 3, 3], origin [N, 2], scale [N], flatness [N], lean [N, 2]."""
    seen = np.einsum("nij,pj->npi", rotation, geometry.REFERENCE_68)
    flat = (seen[..., :2] - lean[:, None] * seen[..., 2:]) / (1 + flatness[:, None, None] * seen[..., 2:])
    return origin[:, None] + scale[:, None, None] * flat


def camera_of(origin, scale, box):
    """Flatness [N] and lean [N, 2] of faces whose boxes [N, 4] make their cameras (`labels.FOCAL_PER_BOX`)."""
    focal = FOCAL_PER_BOX * (box[:, 2:] - box[:, :2]).sum(1)
    return scale / focal, (origin - (box[:, :2] + box[:, 2:]) / 2) / focal[:, None]


def jacobian(rotation, flatness, lean):
    """Change [N, 136, 6] of the points, in units of the scale, by a small turn (rotation vector in the camera's frame,
    radians), a shift of the origin and a change of the logarithm of the scale."""
    seen = np.einsum("nij,pj->npi", rotation, geometry.REFERENCE_68)
    x, y, z = np.moveaxis(seen, 2, 0)
    k = flatness[:, None]
    depth = 1 / (1 + k * z)
    zero, one = np.zeros_like(x), np.ones_like(x)
    # d(x, y, z) = turn x (x, y, z)
    moved = np.stack([
        np.stack([zero, -z, y], -1), np.stack([z, zero, -x], -1), np.stack([-y, x, zero], -1),
    ], -1)  # [N, 68, 3 components, 3 axes]
    position = np.stack([x, y], -1) - lean[:, None] * z[..., None]
    drawn = lean[:, None, :, None] + (k * depth)[..., None, None] * position[..., None]
    flat = depth[..., None, None] * (moved[:, :, :2] - drawn * moved[:, :, 2:])
    shift = np.broadcast_to(np.eye(2), (*x.shape, 2, 2))
    grow = (position * depth[..., None])[..., None]
    return np.concatenate([flat, shift, grow], -1).reshape(len(rotation), 136, 6)


def turn_of_points(rotation, flatness, lean):
    """Matrix [N, 3, 136]: by which rotation vector (camera's frame, radians) the least-squares fit turns when the points
    change a little, in units of the scale. Exact to first order where the fit's residual is small."""
    j = jacobian(rotation, flatness, lean)
    square = np.einsum("npi,npj->nij", j, j)
    return np.linalg.solve(square, np.transpose(j, (0, 2, 1)))[:, :3]


def solve(points, rounds=8, rotation=None):
    """Fit of the reference points to points [N, 68, 2] in pixels, in the camera of each face's own box: the pose that
    `labels.pose_in_box` finds, for many faces at once (Gauss-Newton from a weak-perspective start).

    Returns rotation [N, 3, 3], origin [N, 2], scale [N], flatness [N], lean [N, 2] and the residual [N]: the mean distance
    of the points in units of the scale."""
    points = np.asarray(points, float)
    reference = geometry.REFERENCE_68
    centred = reference - reference.mean(0)
    affine = np.einsum("ip,npj->nji", np.linalg.pinv(centred), points - points.mean(1, keepdims=True))
    u, s, vt = np.linalg.svd(affine, full_matrices=False)
    scale, rows = s.mean(1), u @ vt
    if rotation is None:
        rotation = np.stack([rows[:, 0], rows[:, 1], np.cross(rows[:, 0], rows[:, 1])], 1)
    flatness, lean = np.full(len(points), 1 / 14), np.zeros((len(points), 2))
    origin = points.mean(1) - scale[:, None] * np.einsum("nij,j->ni", rotation, reference.mean(0))[:, :2]
    for _ in range(rounds):
        seen = project(rotation, origin, scale, flatness, lean)
        box = geometry.face_box(seen, geometry.rotation_vector(rotation)[:, 2])
        flatness, lean = camera_of(origin, scale, box)
        seen = project(rotation, origin, scale, flatness, lean)
        left = ((points - seen) / scale[:, None, None]).reshape(len(points), 136)
        j = jacobian(rotation, flatness, lean)
        square = np.einsum("npi,npj->nij", j, j) + 1e-9 * np.eye(6)
        step = np.linalg.solve(square, np.einsum("npi,np->ni", j, left)[..., None])[..., 0]
        angle = np.linalg.norm(step[:, :3], axis=1)
        step *= np.minimum(1, 0.5 / np.maximum(angle, 1e-9))[:, None]
        rotation = geometry.rotation_matrix(step[:, :3]) @ rotation
        origin = origin + step[:, 3:5] * scale[:, None]
        scale = scale * np.exp(np.clip(step[:, 5], -0.5, 0.5))
    seen = project(rotation, origin, scale, flatness, lean)
    residual = np.linalg.norm(points - seen, axis=2).mean(1) / scale
    return rotation, origin, scale, flatness, lean, residual


def _mirror_turn():
    flip, front = np.array([-1.0, 1.0]), np.eye(3)[None]
    seen = project(front, np.zeros((1, 2)), np.ones(1), np.full(1, 1 / 14), np.zeros((1, 2)))
    return solve((seen * flip)[:, geometry.MIRRORED_68])[0][0] @ solve(seen)[0][0].T


MIRROR_TURN = _mirror_turn()
"""Rotation [3, 3], in the head's frame: the reference points are not quite symmetric, so the fit of a mirrored face is turned
by this (0.7 degrees, mostly in the plane) against the mirror image of the face's fit."""
