"""Pose labels: PnP of 68 landmarks in the camera that inference assumes, and the split.

At inference the network sees a face only inside its box, and its answer is taken for the pose
in a camera whose principal point is the centre of that box. A label must be made the same
way: its principal point is the centre of the projected box (forehead included), not the
centre of the landmarks and not the centre of the photo. With the latter the label would
depend on where the face stands in the photo, which the pose head cannot see; with the former
every pitch is off by about two degrees.
"""

import hashlib
import re

import cv2
import numpy as np

from . import geometry

FOCAL_PER_BOX = 4.0
"""Focal length of a label's camera in units of box width + height.

Inference uses image width + height; for a head and shoulders shot that is some 2, for a person
in a room 10. Between those ends the pitch of a label moves by half a degree."""


def solve_pose(landmarks, focal, centre, guess=None):
    """Rotation vector [3] and translation [3] of one face from landmarks [68, 2] (PnP).

    `guess` is an (rvec, tvec) to start from; without it EPnP finds one.
    """
    camera = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1.0]])
    points = np.ascontiguousarray(landmarks, np.float64)
    if guess is None:
        _, rvec, tvec = cv2.solvePnP(
            geometry.REFERENCE_68, points, camera, None, flags=cv2.SOLVEPNP_EPNP
        )
    else:
        rvec, tvec = (np.array(v, np.float64).reshape(3, 1) for v in guess)
    _, rvec, tvec = cv2.solvePnP(
        geometry.REFERENCE_68, points, camera, None, rvec, tvec, True,
        flags=cv2.SOLVEPNP_ITERATIVE,
    )
    return rvec.ravel(), tvec.ravel()


def pose_in_box(landmarks, guess=None):
    """Pose of one face for the camera of its own projected box.

    Returns rvec [3], tvec [3], camera (focal, cx, cy), box [4] and the mean reprojection
    error relative to the face's size. The box follows from the pose and the camera from the
    box, hence two rounds.
    """
    landmarks = np.asarray(landmarks, np.float64)
    roll = guess[0][2] if guess is not None else 0.0
    box = geometry.face_box(landmarks[None], np.array([roll]))[0]
    for _ in range(2):
        focal = FOCAL_PER_BOX * (box[2:] - box[:2]).sum()
        centre = (box[:2] + box[2:]) / 2
        rvec, tvec = solve_pose(landmarks, focal, centre, guess)
        seen = geometry.project(
            geometry.rotation_matrix(rvec), tvec[None], focal, centre[None], geometry.REFERENCE_68
        )
        box = geometry.face_box(seen, rvec[2:])[0]
        guess = (rvec, tvec)
    size = np.sqrt(np.prod(landmarks.max(0) - landmarks.min(0)))
    error = np.linalg.norm(seen[0] - landmarks, axis=1).mean() / size
    return rvec, tvec, np.array([focal, *centre]), box, error


def change_camera(rvec, tvec, camera):
    """Re-derive labels [N] solved in another camera (focal, cx, cy) with `pose_in_box`.

    Stands in for the landmarks with their fit, the projection of the reference points.
    Returns rvec [N, 3], tvec [N, 3], camera [N, 3], box [N, 4].
    """
    landmarks = geometry.project(
        geometry.rotation_matrix(rvec), tvec, camera[:, 0], camera[:, 1:], geometry.REFERENCE_68
    )
    out = []
    for points, r, t, old in zip(landmarks, rvec, tvec, camera):
        box = geometry.face_box(points[None], r[2:])[0]
        ratio = FOCAL_PER_BOX * (box[2:] - box[:2]).sum() / old[0]
        out.append(pose_in_box(points, (r, t * [1, 1, ratio]))[:4])
    return tuple(np.array(column) for column in zip(*out))


def difference_hash(image):
    """64-bit perceptual hash of a grey image: brighter than the right neighbour, on 9x8."""
    small = cv2.resize(image, (9, 8), interpolation=cv2.INTER_AREA)
    return np.packbits(small[:, 1:] > small[:, :-1]).view(np.uint64)[0]


def validation_split(names, hashes, groups=None, share=0.08, distance=6):
    """Which images [N] are held out: a function of their names alone, the same on every machine.

    Images that belong together stay on one side: near duplicates (hashes at most `distance` bits apart), those of one group
    (`groups` [N], "" for none), and those that are named after one person or clip: two words and a number,
    `Jane_Doe_07.jpg`. One word and a number, `IMG_0007.jpg` or `clip_0007.jpg`, may be anything and says nothing.
    """
    group = np.arange(len(names))

    def root(i):
        while group[i] != i:
            group[i] = group[group[i]]
            i = group[i]
        return i

    first = {}
    for i, name in enumerate(names):
        stem = re.sub(r"[_-]?\d+\.\w+$", "", name)
        if re.search(r"[A-Za-z]{2}_[A-Za-z]", stem.rsplit("/", 1)[-1]):
            group[root(i)] = root(first.setdefault(stem, i))
        if groups is not None and groups[i]:
            group[root(i)] = root(first.setdefault(("group", groups[i]), i))
    hashes = np.asarray(hashes, np.uint64)
    for i in range(len(hashes)):
        differing = np.bitwise_count(hashes[i + 1 :] ^ hashes[i])
        for j in np.nonzero(differing <= distance)[0]:
            group[root(i)] = root(i + 1 + j)
    members = {}
    for i, name in enumerate(names):
        members.setdefault(root(i), []).append(name)
    held_out = np.zeros(len(names), bool)
    for i in range(len(names)):
        digest = hashlib.sha256(min(members[root(i)]).encode()).digest()
        held_out[i] = int.from_bytes(digest[:4], "big") < share * 2**32
    return held_out
