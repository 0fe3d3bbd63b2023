"""Answers of MediaPipe for the benchmark: `python training/img2pose_train/rival_mediapipe.py SET OUT.jsonl`.

Runs in an environment of its own, with nothing of this project (`look/second.py` says how to make it), and writes what `img2pose_train.benchmark
--answers` reads. Frames are looked at one by one (`static_image_mode`). The rotation is that of each mesh against the mean of all of them
(its canonical face is not in the wheel), as seen along the line to the face; which way that mean looks is a constant turn, which the benchmark takes off.
"""

import argparse
import json
from pathlib import Path

import cv2
import mediapipe
import numpy as np

def rotation_onto(points, template):
    """Rotation [3, 3] that turns the template [P, 3] onto the points [P, 3] (Kabsch; shift and size do not matter)."""
    a, b = template - template.mean(0), points - points.mean(0)
    u, _, vt = np.linalg.svd(b.T @ a)
    return u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt


def mean_mesh(meshes, rounds=5):
    """Template [P, 3] of meshes [N, P, 3]: their mean after each was turned back (generalised Procrustes analysis)."""
    centred = [m - m.mean(0) for m in meshes]
    centred = [m / np.linalg.norm(m) for m in centred]
    template = centred[0]
    for _ in range(rounds):
        template = np.mean([m @ rotation_onto(m, template) for m in centred], 0)
    return template


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--least", type=float, default=0.3, help="min_detection_confidence")
    options = parser.parse_args()
    answers = []
    with mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=True, max_num_faces=5, min_detection_confidence=options.least
    ) as mesh:
        for line in (options.set / "truth.jsonl").read_text().splitlines():
            name = json.loads(line)["file"]
            image = cv2.cvtColor(cv2.imread(str(options.set / name)), cv2.COLOR_BGR2RGB)
            height, width = image.shape[:2]
            found = mesh.process(image).multi_face_landmarks or []
            answers.append((name, [np.array([[p.x * width, p.y * height, p.z * width] for p in f.landmark]) for f in found]))
    everything = [points for _, faces in answers for points in faces]
    template = mean_mesh(everything) if everything else None
    lines = []
    for name, faces in answers:
        line = {"file": name, "focal": None, "faces": []}
        for points in faces:
            box = np.concatenate([points[:, :2].min(0), points[:, :2].max(0)]).round(2).tolist()
            # It gives no score of a face: one that it answers for is one.
            line["faces"].append({"box": box, "score": 1.0, "rotation": rotation_onto(points, template).tolist(), "translation": None})
        lines.append(json.dumps(line))
    options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
