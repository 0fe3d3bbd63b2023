"""Measure the constant turn between the labels of rendered heads and those of a landmark teacher: `python -m
img2pose_train.look.convention --help`.

The teacher puts its 68 points where annotators do, the renders' labels where the geometry of the mesh has the reference points; a
network that learns from both must be told the same. The constant is the median, over frontal heads, of the turn
(rotation vector in the head's frame, degrees) from the exact pose to that of the teacher's landmarks: what `look.cache --convention` takes.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

from .. import geometry
from ..metrics import median_interval
from ..teachers import MorphableTeacher
from . import fit

FRONTAL_YAW, FRONTAL_PITCH = 30, 20


def constant_turn(exact, answered):
    """Median [3] and its 95 % interval [3, 2] of the turn (degrees, head's frame) from rotations [N, 3, 3] to others [N, 3, 3]."""
    turn = np.degrees(geometry.rotation_vector(np.transpose(exact, (0, 2, 1)) @ answered))
    return np.median(turn, 0), np.array([median_interval(column) for column in turn.T])


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("renders", nargs="+", help="folders of heads.portraits")
    parser.add_argument("--teacher", required=True, help="as for look.relabel")
    parser.add_argument("--bases", required=True)
    parser.add_argument("--looks", type=int, default=4)
    options = parser.parse_args(argv)
    cv2.setNumThreads(1)
    teacher, exact, answered = MorphableTeacher(options.teacher, options.bases), [], []
    for folder in map(Path, options.renders):
        for line in (folder / "faces.jsonl").read_text().splitlines():
            entry = json.loads(line)
            yaw, pitch, _ = entry["angles"]
            if abs(yaw) > FRONTAL_YAW or abs(pitch) > FRONTAL_PITCH:
                continue
            points = np.array(entry["faces"][0]["landmarks"])
            box = geometry.face_box(points[None], np.zeros(1))[0]
            exact.append(points)
            answered.append(teacher.several(cv2.imread(str(folder / entry["file"])), box, options.looks).mean(0))
    if len(exact) < 20:
        parser.exit(1, f"only {len(exact)} frontal heads; render more\n")
    median, interval = constant_turn(fit.solve(np.array(exact))[0], fit.solve(np.array(answered))[0])
    print(f"{len(exact)} heads; --convention {' '.join(f'{v:.2f}' for v in median)}")
    print("95 % intervals:", ", ".join(f"{low:.2f} to {high:.2f}" for low, high in interval))


if __name__ == "__main__":
    main()
