"""Make a pack from a folder of photos: `python -m img2pose_train.prepare --help`.

The annotations are lines of JSON, one per photo:

    {"file": "a.jpg", "faces": [{"box": [x0, y0, x1, y1], "landmarks": [[x, y], ...68],
                                 "score": 0.9, "mask": false, "ignore": false}, ...], "group": "party"}

`file` is the path below the folder. `box` (in pixels of the photo) or 68 `landmarks` (iBUG order) or both; the rest may be
missing. Photos of one `group` (frames of one clip, photos of one person) are held out together or not at all. A
face with landmarks gets a pose and counts as trusted when the fit is good and, where there is a
box, agrees with it. Without annotations the teachers find faces and landmarks: `--detector`
(YuNet, an OpenCV face detector in ONNX) and `--landmarks` (an ONNX network that answers 68
points for a face crop); see the README for both.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

from .labels import pose_in_box
from .metrics import iou
from .pack import PackWriter
from .teachers import LandmarkTeacher, YuNet

MAX_FIT_ERROR = 0.055
"""Reprojection error, relative to the face's size, up to which a pose is trusted."""
MAX_TEACHER_SHIFT = 0.07
"""How far the teacher's landmarks may move between its two passes, relative to the face's size."""
MIN_OVERLAP = 0.45
"""IoU between the given box and that of the projected landmarks for a pose to be trusted."""
MIN_FACE = 7
"""Faces below this size (square root of the area, pack pixels) are ignored unless trusted."""
BOX_SHIFT, BOX_SCALE = np.array([0.0, -0.03]), np.array([1.08, 1.06])
"""From a detector's tight box to one that includes the forehead: shift and scale, in parts of its size.
Used until enough faces with both boxes are known to measure it (`box_relation`)."""


def label_face(face, scale):
    """Row of the pack for one annotated face (dictionary of the annotations), scaled to pack pixels."""
    box = np.array(face["box"], float) * scale if "box" in face else None
    row = {
        "q": 1, "mask": bool(face.get("mask", False)), "score": float(face.get("score", 1.0)),
        "rvec": np.zeros(3), "tvec": np.array([0, 0, 7.0]), "cam": np.array([1.0, 0, 0]),
    }
    if "landmarks" in face:
        points = np.array(face["landmarks"], float)
        if points.shape != (68, 2):
            raise ValueError(f"a face has landmarks of shape {points.shape}, expected 68 points x, y")
        rvec, tvec, camera, projected, error = pose_in_box(points * scale)
        row |= {"rvec": rvec, "tvec": tvec, "cam": camera, "pb": projected}
        agrees = box is None or iou(box, projected) > MIN_OVERLAP
        steady = face.get("shift", 0.0) < MAX_TEACHER_SHIFT
        row["q"] = 2 if error < MAX_FIT_ERROR and agrees and steady else 1
        box = projected if box is None else box
    if box is None:
        raise ValueError("a face has neither a box nor landmarks")
    row["det"] = box
    if row["q"] < 2:
        row["pb"] = with_forehead(box, BOX_SHIFT, BOX_SCALE)
        if np.sqrt(np.clip(box[2:] - box[:2], 0, None).prod()) < MIN_FACE:
            row["q"] = 0
    if face.get("ignore", False):
        row["q"] = 0
    return row


def with_forehead(box, shift, scale):
    """A detector's box moved by `shift` and stretched by `scale`, both in parts of its sides."""
    size = box[2:] - box[:2]
    centre = (box[:2] + box[2:]) / 2 + shift * size
    return np.concatenate([centre - scale * size / 2, centre + scale * size / 2])


def box_relation(rows):
    """Median shift and scale from detector boxes to projected boxes, over the trusted faces."""
    both = [(r["det"], r["pb"]) for r in rows if r["q"] == 2 and not np.array_equal(r["det"], r["pb"])]
    if len(both) < 50:
        return BOX_SHIFT, BOX_SCALE
    box, wanted = (np.array(v) for v in zip(*both))
    size = box[:, 2:] - box[:, :2]
    shift = ((wanted[:, :2] + wanted[:, 2:]) - (box[:, :2] + box[:, 2:])) / 2 / size
    return np.median(shift, 0), np.median((wanted[:, 2:] - wanted[:, :2]) / size, 0)


def annotations_of(path):
    """file -> (faces, group) from a file of JSON lines."""
    found = {}
    for number, line in enumerate(Path(path).read_text().splitlines(), 1):
        if line.strip():
            try:
                entry = json.loads(line)
                found[entry["file"]] = entry["faces"], str(entry.get("group", ""))
            except (json.JSONDecodeError, KeyError) as error:
                raise ValueError(f"{path}, line {number}: {error!r}; expected {{\"file\": ..., \"faces\": [...]}}") from error
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("photos", help="folder")
    parser.add_argument("--out", required=True, help="folder of the pack")
    parser.add_argument("--annotations", help="file of JSON lines; faces without landmarks get the teacher's if it is given")
    parser.add_argument("--detector", help="YuNet ONNX file, for photos that have no annotations")
    parser.add_argument("--landmarks", help="ONNX file of the landmark teacher")
    parser.add_argument("--longest-side", type=int, default=640)
    parser.add_argument("--quality", type=int, default=85, help="JPEG quality")
    options = parser.parse_args()
    if not options.annotations and not options.detector:
        parser.error("give --annotations or --detector")
    detector = YuNet(options.detector) if options.detector else None
    teacher = LandmarkTeacher(options.landmarks) if options.landmarks else None
    annotations = annotations_of(options.annotations) if options.annotations else {}

    folder = Path(options.photos)
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    if lost := sorted(annotations.keys() - set(files)):
        parser.exit(1, f"{options.annotations}: no such file in {folder}: {', '.join(lost[:3])} ({len(lost)} in all)\n")
    writer = PackWriter(options.out, options.longest_side, options.quality)
    rows = []
    for name in files:
        image = cv2.imread(str(folder / name))
        if image is None:
            print(f"{name}: not a picture, left out")
            continue
        faces, group = annotations.get(name, (None, ""))
        if faces is None:
            if detector is None:
                print(f"{name}: no annotation, left out")
                continue
            faces = detector(image)
        if teacher:
            for face in faces:
                if "landmarks" not in face:
                    face["landmarks"], face["shift"] = teacher(image, np.array(face["box"], float))
        photo_rows = [label_face(face, writer.scale_of(image)) for face in faces]
        writer.add(name, image, photo_rows, group)
        rows += photo_rows
    if not writer.names:
        writer.abandon()
        parser.exit(1, f"{folder}: no photo to pack; see the lines above\n")
    shift, scale = box_relation(rows)
    for row in writer.rows:
        if row["q"] < 2:
            row["pb"] = with_forehead(row["det"], shift, scale)
    writer.close()
    count = lambda q: sum(r["q"] == q for r in rows)
    print(f"{len(writer.names)} photos; faces with pose {count(2)}, box only {count(1)}, ignored {count(0)}")


if __name__ == "__main__":
    main()
