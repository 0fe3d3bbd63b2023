"""Measure a close look on held-out faces, in the squares of their labels: `python -m img2pose_train.look.evaluate --help`.

Photos: rotation against the refined labels, of the pose that is fitted to the points and of the direct one. Rendered heads (`--renders`,
a folder of `heads.portraits` with a seed that no training had): the same against exact truth. The finder has no part in this; see
`img2pose_train.evaluate --finder` for both together.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch

from .. import geometry
from ..metrics import median_interval
from ..pack import Labels, Photos, is_portrait, whole
from . import crops, fit
from .answer import Looker, look_again
from .samples import pitch
from .train import load_weights

MOVED = 0.05
"""Sides by which a crop is moved to see how much the answer moves."""


def photo_faces(pack, labels, smallest, scenes=False):
    """Yields image, rows of its held-out faces with a trusted pose, one photo after the other; `scenes`: crops of a single face left out."""
    photos, size = Photos(pack), labels.size
    for i, rows in enumerate(labels.faces_of()):
        portrait = is_portrait(*photos.sizes[i], size[rows])
        rows = [k for k in rows if labels.quality[k] == 2 and size[k] >= smallest]
        if labels.held_out[i] and rows and not (scenes and portrait):
            yield photos.read(i), rows


def square_of(rotation, seen):
    return crops.Square.around(seen, crops.roll_of(rotation[None])[0])


def measure(looker, image, squares, looks, rng):
    """Columns for the faces of one picture: fitted rotation, direct rotation, spread, presence, residual, moved (degrees): by how
    much the last look's answer turns when the first look's crop is moved."""
    def look(squares):
        answers = looker(image, squares)
        return look_again(looker, image, squares, answers) if looks > 1 else answers

    answers = look(squares)
    fitted = fit.solve(answers.points)
    angle = rng.uniform(-np.pi, np.pi, len(squares))
    moved = [s.moved(MOVED * np.array([np.cos(a), np.sin(a)]), 1.0, 0.0) for s, a in zip(squares, angle)]
    again = fit.solve(look(moved).points)[0]
    return fitted[0], answers.direct, answers.spread, answers.presence, fitted[-1], geometry.rotation_angle(fitted[0], again)


def midway(a, b):
    """Rotations [N, 3, 3] half of the way from a [N, 3, 3] to b [N, 3, 3]."""
    return a @ geometry.rotation_matrix(geometry.rotation_vector(np.transpose(a, (0, 2, 1)) @ b) / 2)


def figures(truth, columns, size):
    """Nested dictionary of plain numbers; truth [N, 3, 3], columns as `measure` gives them, size [N] of the faces in pixels."""
    fitted, direct, spread, presence, residual, moved = columns
    error, error_direct = geometry.rotation_angle(fitted, truth), geometry.rotation_angle(direct, truth)
    error_both = geometry.rotation_angle(midway(fitted, direct), truth)
    yaw, up = geometry.yaw(truth), pitch(truth)
    answered_yaw, answered_up = geometry.yaw(fitted), pitch(fitted)
    out = {}
    groups = {
        "yaw 0-45": np.abs(yaw) < 45, "yaw 45-90": (np.abs(yaw) >= 45) & (np.abs(yaw) < 100), "all": np.ones(len(yaw), bool),
        "yaw 0-45, 0-32 pixels": (np.abs(yaw) < 45) & (size < 32), "yaw 0-45, 32-100 pixels": (np.abs(yaw) < 45) & (size >= 32) & (size < 100),
        "yaw 0-45, 100+ pixels": (np.abs(yaw) < 45) & (size >= 100), "up or down 25+": np.abs(up) >= 25,
    }
    for name, inside in groups.items():
        if inside.sum() < 3:
            continue
        out[name] = {
            "faces": int(inside.sum()), "median": round(float(np.median(error[inside])), 2),
            "interval": [round(float(v), 2) for v in median_interval(error[inside])], "mean": round(float(error[inside].mean()), 2),
            "direct_median": round(float(np.median(error_direct[inside])), 2), "both_median": round(float(np.median(error_both[inside])), 2),
            "moved_median": round(float(np.median(moved[inside])), 2),
            "moved_95": round(float(np.percentile(moved[inside], 95)), 2),
        }
    front = np.abs(yaw) < 45
    level = float(np.median((answered_up - up)[front & (np.abs(up) < 10)])) if (front & (np.abs(up) < 10)).any() else 0.0
    slope = lambda inside: round(float((up * (answered_up - level))[inside].sum() / (up**2)[inside].sum()), 3) if inside.sum() > 5 else None
    beyond = (np.abs(yaw) >= 45) & (np.abs(yaw) < 100)
    vector = np.degrees(geometry.rotation_vector(fitted @ np.transpose(truth, (0, 2, 1))))
    out["pitch slope up / down"] = [slope(front & (up > 5)), slope(front & (up < -5))]
    out["pitch offset"] = round(level, 2)
    out["signed mean xyz, yaw 0-45"] = [round(float(v), 2) for v in vector[front].mean(0)]
    if beyond.sum() > 2:
        out["yaw beyond 45, answered - true, median"] = round(float(np.median((np.abs(answered_yaw) - np.abs(yaw))[beyond])), 2)
    degrees = np.degrees(spread)
    out["share within spread x 0.5 1 1.5 2 3"] = [round(float((error < k * degrees).mean()), 3) for k in (0.5, 1, 1.5, 2, 3)]
    out["presence above 0.5"] = round(float((presence > 0.5).mean()), 4)
    return out


def gather(looker, faces, looks, misplaced):
    """Measures faces: an iterable of (image, rotations [n, 3, 3], squares, sizes). Returns truth, columns, sizes.

    misplaced: deviation of the crops' place (sides) and of the logarithm of their scale, as a finder's would be."""
    rng, truth, columns, sizes = np.random.default_rng(1), [], [], []
    for image, rotation, squares, size in faces:
        if misplaced:
            squares = [
                s.moved(rng.normal(0, misplaced, 2), np.exp(rng.normal(0, misplaced)), np.radians(rng.normal(0, 100 * misplaced)))
                for s in squares
            ]
        truth.append(rotation)
        sizes.append(size)
        columns.append(measure(looker, image, squares, looks, rng))
    if not truth:
        raise ValueError("no face to measure: the pack holds out 8 % of its photos, and these show none with a pose, of this size")
    return np.concatenate(truth), [np.concatenate(c) for c in zip(*columns)], np.concatenate(sizes)


def held_out(pack, labels, smallest, scenes=False):
    for image, rows in photo_faces(pack, labels, smallest, scenes):
        seen = geometry.project(labels.rotation[rows], labels.translation[rows], labels.focal[rows], labels.centre[rows], geometry.REFERENCE_68)
        yield image, labels.rotation[rows], [square_of(r, p) for r, p in zip(labels.rotation[rows], seen)], labels.size[rows]


def rendered(folder, convention, most):
    for line in (Path(folder) / "faces.jsonl").read_text().splitlines()[:most]:
        entry = json.loads(line)
        image = np.ascontiguousarray(cv2.imread(str(Path(folder) / entry["file"]))[:, :, ::-1])
        exact = np.array(entry["faces"][0]["landmarks"])
        solved = fit.solve(exact[None])
        rotation = solved[0] @ convention
        seen = fit.project(rotation, *solved[1:5])
        yield image, rotation, [square_of(rotation[0], seen[0])], np.array([np.ptp(exact, 0).max()])


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("weights", help="average.pth of look.train")
    parser.add_argument("--pack")
    parser.add_argument("--labels")
    parser.add_argument("--renders", nargs="*", default=[], help="folders of rendered heads")
    parser.add_argument("--most", type=int, default=400, help="renders of a folder")
    parser.add_argument("--convention", type=float, nargs=3, default=[0, 0, 0], help="as for look.cache")
    parser.add_argument("--smallest", type=float, default=16, help="size of the smallest face of the photos, pixels")
    parser.add_argument("--scenes", action="store_true", help="without crops of a single face, as img2pose_train.evaluate has it")
    parser.add_argument("--looks", type=int, choices=(1, 2), default=1)
    parser.add_argument("--misplaced", type=float, default=0.04, help="how far the crops are off, in sides")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    looker, result = Looker(load_weights(options.weights)), {"weights": options.weights, "looks": options.looks}
    if options.pack:
        labels = Labels.load(options.labels)
        result["photos"] = figures(*gather(looker, held_out(options.pack, labels, options.smallest, options.scenes), options.looks, options.misplaced))
    convention = geometry.rotation_matrix(np.radians(options.convention))[0]
    for folder in options.renders:
        result[Path(folder).name] = figures(*gather(looker, rendered(folder, convention, options.most), options.looks, options.misplaced))
    text = json.dumps(result, indent=1)
    print(text)
    if options.out:
        with whole(options.out) as path:
            path.write_text(text + "\n")


if __name__ == "__main__":
    main()
