"""A second opinion about the pose of a pack's faces, by MediaPipe's face mesh: `python -m img2pose_train.look.second --help`.

Needs `mediapipe` 0.10.14 or a neighbour of it with `solutions.face_mesh`, in an environment of its own, as it wants an older NumPy:
`pip install --no-deps mediapipe==0.10.14 && pip install "numpy<2" "protobuf<5" absl-py attrs flatbuffers matplotlib opencv-contrib-python-headless`.
The pose is the turn of the answered mesh against the mean mesh of all faces; by which constant turn the mean mesh differs from the
reference points is measured on the faces whose landmarks are sure.
"""

import argparse

import cv2
import numpy as np

from .. import geometry
from ..pack import Photos, whole
from . import fit, landmarks

EVERY = 4
"""Every so many of the mesh's 468 points are enough."""
SURE = 0.02
"""Spread of the landmark teacher up to which a face helps to measure the constant turn."""
FRONTAL = 30


def rotations_onto(meshes, template):
    """Rotations [N, 3, 3] that turn the template [P, 3] onto the meshes [N, P, 3] (Kabsch; shift and size do not matter)."""
    a = template - template.mean(0)
    b = meshes - meshes.mean(1, keepdims=True)
    u, _, vt = np.linalg.svd(np.einsum("npi,pj->nij", b, a))
    sign = np.linalg.det(u @ vt)
    u[:, :, 2] *= sign[:, None]
    return u @ vt


def mean_mesh(meshes, rounds=5):
    """Template [P, 3] of meshes [N, P, 3]: their mean after each was turned back (generalised Procrustes analysis)."""
    centred = meshes - meshes.mean(1, keepdims=True)
    centred = centred / np.sqrt((centred**2).sum((1, 2), keepdims=True))
    template = centred[0]
    for _ in range(rounds):
        template = np.einsum("nji,npj->npi", rotations_onto(centred, template), centred).mean(0)
    return template


def mean_rotation(rotations):
    """The rotation [3, 3] nearest to the mean of rotations [N, 3, 3]."""
    u, _, vt = np.linalg.svd(rotations.mean(0))
    return u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt


def opinion(meshes, found):
    """rotation [N, 3, 3] (NaN where there is no mesh) and the constant turn `convention` [3, 3] that takes it to the landmarks' pose: the
    pose by the second teacher is rotation @ convention. meshes [N, P, 3], NaN where none was found."""
    there = np.isfinite(meshes[:, 0, 0])
    rotation = np.full((len(meshes), 3, 3), np.nan)
    rotation[there] = rotations_onto(meshes[there], mean_mesh(meshes[there]))
    first = fit.solve(found["points"])[0]
    sure = there & (found["spread"] < SURE) & (np.abs(geometry.yaw(first)) < FRONTAL)
    convention = mean_rotation(np.transpose(rotation[sure], (0, 2, 1)) @ first[sure])
    return rotation, convention


def meshes_of(photos, images, points, asked, progress=print):
    """Meshes [N, P, 3] in pixels, NaN where none was asked for or found."""
    import mediapipe

    teacher = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=True, max_num_faces=1, min_detection_confidence=0.3)
    out = np.full((len(points), -(-468 // EVERY), 3), np.nan, np.float32)
    shown, image, side = -1, None, 256
    for count, k in enumerate(np.nonzero(asked)[0]):
        if images[k] != shown:
            shown, image = images[k], photos.read(images[k])
        middle, reach = (points[k].min(0) + points[k].max(0)) / 2, 1.15 * max(np.ptp(points[k], 0).max(), 8)
        scale = side / (2 * reach)
        m = np.array([[scale, 0, side / 2 - middle[0] * scale], [0, scale, side / 2 - middle[1] * scale]])
        crop = cv2.warpAffine(image, m, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        answer = teacher.process(crop).multi_face_landmarks
        if answer:
            mesh = np.array([[p.x, p.y, p.z] for p in answer[0].landmark])[::EVERY] * side
            out[k] = np.column_stack([(mesh[:, :2] - m[:, 2]) / scale, mesh[:, 2] / scale])
        if count % 500 == 0:
            progress(f"{count} of {asked.sum()} faces")
    return out


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pack", required=True)
    parser.add_argument("--landmarks", required=True, help="landmarks.npz of look.relabel")
    parser.add_argument("--out", required=True)
    parser.add_argument("--posed-share", type=float, default=1.0, help="share of the faces that have a pose in the pack to ask about, too")
    options = parser.parse_args(argv)
    raw, found = np.load(f"{options.pack}/labels.npz"), landmarks.load(options.landmarks)
    rows = found["row"]
    asked = (raw["q"][rows] == 1) | (np.random.default_rng(1).random(len(rows)) < options.posed_share)
    meshes = meshes_of(Photos(options.pack), raw["img"][rows], found["points"], asked)
    rotation, convention = opinion(meshes, found)
    apart = geometry.rotation_angle(rotation @ convention, fit.solve(found["points"])[0])
    there = np.isfinite(apart)
    print(f"{there.sum()} of {asked.sum()} faces found; apart from the landmarks' pose, quartiles {np.percentile(apart[there], [25, 50, 75, 95]).round(1)}")
    with whole(options.out) as path, open(path, "wb") as file:
        np.savez_compressed(file, rotation=rotation.astype(np.float32), convention=convention)


if __name__ == "__main__":
    main()
