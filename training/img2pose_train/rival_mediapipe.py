"""Answers of MediaPipe for the benchmark: `python training/img2pose_train/rival_mediapipe.py SET OUT.jsonl`.

Runs in an environment of its own, with nothing of this project (`look/second.py` says how to make it), and writes what `img2pose_train.benchmark
--answers` reads. Frames are looked at one by one (`static_image_mode`). The rotation is that of MediaPipe's mesh against its own canonical face
(the weighted points of its geometry module), as seen along the line to the face.
"""

import argparse
import json
from pathlib import Path

import cv2
import mediapipe
import numpy as np
from mediapipe.modules.face_geometry.protos import geometry_pipeline_metadata_pb2

UPRIGHT = np.diag([1.0, -1.0, -1.0])
"""From the canonical face's axes (y up, z to the camera) to the picture's (y down, z away)."""


def canonical_face():
    """Points [468, 3] in the picture's axes, and their weights [468]."""
    folder = Path(mediapipe.__file__).parent / "modules/face_geometry/data"
    metadata = geometry_pipeline_metadata_pb2.GeometryPipelineMetadata()
    metadata.ParseFromString((folder / "geometry_pipeline_metadata_landmarks.binarypb").read_bytes())
    points = np.array(metadata.canonical_mesh.vertex_buffer).reshape(468, 5)[:, :3]
    weights = np.zeros(468)
    for landmark in metadata.procrustes_landmark_basis:
        weights[landmark.landmark_id] = landmark.weight
    return points @ UPRIGHT, weights


def rotation_onto(points, canonical, weights):
    """Rotation [3, 3] that turns the canonical face onto the points [468, 3] (weighted Kabsch)."""
    w = (weights / weights.sum())[:, None]
    a, b = canonical - (w * canonical).sum(0), points - (w * points).sum(0)
    u, _, vt = np.linalg.svd(b.T @ (w * a))
    return u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--least", type=float, default=0.3, help="min_detection_confidence")
    options = parser.parse_args()
    canonical, weights = canonical_face()
    lines = []
    with mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=True, max_num_faces=5, min_detection_confidence=options.least
    ) as mesh:
        for line in (options.set / "truth.jsonl").read_text().splitlines():
            name = json.loads(line)["file"]
            image = cv2.cvtColor(cv2.imread(str(options.set / name)), cv2.COLOR_BGR2RGB)
            height, width = image.shape[:2]
            faces = []
            for found in mesh.process(image).multi_face_landmarks or []:
                points = np.array([[p.x * width, p.y * height, p.z * width] for p in found.landmark])[:468]
                rotation = rotation_onto(points, canonical, weights)
                low, high = points[:, :2].min(0), points[:, :2].max(0)
                # It gives no score of a face: one that it answers for is one.
                faces.append({"box": [*low.round(2), *high.round(2)], "score": 1.0, "rotation": rotation.round(6).tolist(), "translation": None})
            lines.append(json.dumps({"file": name, "focal": None, "faces": faces}))
    options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
