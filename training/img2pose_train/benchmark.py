"""Measure a model on the benchmark of rendered frames: `python -m img2pose_train.benchmark --help`.

The set is made by `heads.benchmark`. A model is a finder and a close look, an ONNX file through the detector (as in `evaluate`), or
a file of answers that anything else wrote (`--answers`): a line a frame, `{"file": ..., "focal": pixels, "faces": [{"box": [x0, y0,
x1, y1], "score": s, "rotation": [[...], [...], [...]], "translation": [x, y, z] or null}]}` in the camera of that focal length whose principal
point is the frame's middle (x right, y down, z ahead; without `focal` the rotation is taken as seen along the line to the face).

Cameras differ between tools, so rotations are compared as seen along the line to the face, each in its own camera. Heads differ, too: what
is "straight ahead" is everyone's choice; so a constant turn, measured on the frames of the part `sizes`, is taken off before the
errors of the other parts are counted, and named.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch

from . import evaluate, geometry
from .find_and_look import MIN_SCORE
from .look import picture
from .metrics import median_interval
from .pack import whole

NEAR, TIMES = 0.35, 2.2
"""A found face is a labelled one when their middles are within this many of its sizes, and their sizes within this factor."""
SIZES = ((12, 16), (16, 32), (32, 64), (64, 1000))
CONSTANT_YAW, CONSTANT_PITCH, CONSTANT_SIZE = 35, 20, 32
"""Faces on which the constant turn is measured."""


def along_the_line(rotation, middle, focal, width, height):
    """Rotations [N, 3, 3] in a camera's frame, as seen along the lines to middles [N, 2] (pixels): what the eye sees of a head depends on
    these alone. focal None: they are so already."""
    rotation, middle = np.asarray(rotation, float).reshape(-1, 3, 3), np.asarray(middle, float).reshape(-1, 2)
    if focal is None:
        return rotation
    ray = (middle - [width / 2, height / 2]) / focal
    length = np.linalg.norm(ray, axis=1)
    axis = np.stack([-ray[:, 1], ray[:, 0], np.zeros(len(ray))], 1) / np.maximum(length, 1e-12)[:, None]
    # The turn that brings the camera's axis onto the line; seen from the line, everything is turned back by it.
    return np.transpose(geometry.rotation_matrix(axis * np.arctan(length)[:, None]), (0, 2, 1)) @ rotation


def pair(boxes, faces):
    """For each found box [N, 4], by falling score, the labelled face that it is, or -1."""
    taken, free = np.full(len(boxes), -1), set(range(len(faces)))
    known = np.array([f["box"] for f in faces]).reshape(-1, 4)
    for i, box in enumerate(boxes):
        best = None
        for k in free:
            size, mine = np.sqrt(np.prod(known[k, 2:] - known[k, :2])), np.sqrt(max(np.prod(box[2:] - box[:2]), 1e-9))
            off = np.linalg.norm((box[:2] + box[2:] - known[k, :2] - known[k, 2:]) / 2) / size
            if off < NEAR and 1 / TIMES < mine / size < TIMES and (best is None or off < best[0]):
                best = off, k
        if best:
            taken[i] = best[1]
            free.remove(best[1])
    return taken


def collect(truth, answers, width, height):
    """Tables of what became of every labelled face, and the scores of false ones.

    truth, answers: lines of the set and of the model, by file. Returns dictionary of columns over labelled faces (part, size, angles [3],
    cover, score (0: not found), rotation, found_rotation [3, 3] along the line, distance: relative error, NaN without) and list of
    (score, part, whether on the back of a head) of false ones."""
    columns = {name: [] for name in ("part", "size", "angles", "cover", "score", "rotation", "found_rotation", "distance")}
    false = []
    for line in truth:
        answer = answers.get(line["file"], {"faces": []})
        found = sorted(answer["faces"], key=lambda f: -f["score"])
        boxes = np.array([f["box"] for f in found], float).reshape(-1, 4)
        taken = pair(boxes, line["faces"])
        for i, face in enumerate(found):
            if taken[i] < 0:
                middle = (boxes[i, :2] + boxes[i, 2:]) / 2
                reach = 0.7 * (boxes[i, 2:] - boxes[i, :2]).max()
                back = any(np.abs(middle - b).max() < reach for b in line["backs"])
                false.append((face["score"], line["part"], back))
        for k, face in enumerate(line["faces"]):
            mine = np.nonzero(taken == k)[0]
            middle = np.array(face["landmarks"])
            middle = (middle.min(0) + middle.max(0)) / 2
            known = along_the_line(face["rotation"], middle, line["focal"], width, height)[0]
            score, rotation, distance = 0.0, np.full((3, 3), np.nan), np.nan
            if len(mine):
                f = found[mine[0]]
                score = f["score"]
                if f.get("rotation") is not None:
                    rotation = along_the_line(f["rotation"], middle, answer.get("focal"), width, height)[0]
                if f.get("translation") is not None and answer.get("focal"):
                    distance = abs(f["translation"][2] * line["focal"] / answer["focal"] / face["translation"][2] - 1)
            for name, value in zip(columns, (line["part"], face["size"], face["angles"], face["cover"], score, known, rotation, distance)):
                columns[name].append(value)
    shapes = {"angles": (-1, 3), "rotation": (-1, 3, 3), "found_rotation": (-1, 3, 3)}
    return {name: np.array(values).reshape(shapes.get(name, -1)) for name, values in columns.items()}, false


def constant_turn(columns):
    """Constant turn [3] (rotation vector, degrees, head's frame) from the truth to the answers on the part `sizes`; zero with fewer than
    ten faces to measure it on."""
    angles = columns["angles"]
    chosen = (columns["part"] == "sizes") & (np.abs(angles[:, 0]) < CONSTANT_YAW) & (np.abs(angles[:, 1]) < CONSTANT_PITCH)
    chosen &= (columns["size"] >= CONSTANT_SIZE) & np.isfinite(columns["found_rotation"]).all((1, 2))
    if chosen.sum() < 10:
        return np.zeros(3)
    turn = np.transpose(columns["rotation"][chosen], (0, 2, 1)) @ columns["found_rotation"][chosen]
    return np.median(np.degrees(geometry.rotation_vector(turn)), 0)


def figures(columns, false, frames, threshold):
    """Nested dictionary of plain numbers."""
    found = columns["score"] > threshold
    constant = constant_turn(columns)
    turned = columns["rotation"] @ geometry.rotation_matrix(np.radians(constant))[0]
    posed = found & np.isfinite(columns["found_rotation"]).all((1, 2))
    error = np.full(len(found), np.nan)
    error[posed] = geometry.rotation_angle(columns["found_rotation"][posed], turned[posed])
    yaw, pitch, roll = np.abs(columns["angles"]).T
    part, size, cover = columns["part"], columns["size"], columns["cover"].astype(bool)
    plain = np.isin(part, ("turns", "sizes")) & ~cover
    groups = {"upright, yaw 0-45": plain & (yaw < 45) & (size >= 32) & (pitch < 30)}
    groups |= {f"turns, yaw {a}-{b}": (part == "turns") & (yaw >= a) & (yaw < b) for a, b in ((0, 45), (45, 70), (70, 101))}
    groups |= {"turns, pitch 25 and more": (part == "turns") & (pitch >= 25)}
    groups |= {f"rolls {a}-{b}": (part == "rolls") & (roll >= a) & (roll < b) for a, b in ((0, 60), (60, 120), (120, 181))}
    groups |= {"rolls, all": part == "rolls", "covered": cover, "all from 32 pixels": size >= 32}
    groups |= {f"sizes {a}-{b}": (part == "sizes") & (size >= a) & (size < b) for a, b in SIZES}
    out = {"threshold": threshold, "constant turn": [round(float(v), 2) for v in constant], "faces": {}}
    for name, inside in groups.items():
        if not inside.any():
            continue
        mine = error[inside & posed]
        row = {"faces": int(inside.sum()), "recall": round(float(found[inside].mean()), 3)}
        if len(mine):
            row |= {"median": round(float(np.median(mine)), 2), "mean": round(float(mine.mean()), 2)}
            row["interval"] = [round(float(v), 2) for v in median_interval(mine)]
        out["faces"][name] = row
    distance = columns["distance"][found & (size >= 32) & np.isfinite(columns["distance"])]
    out["distance, median relative error"] = round(float(np.median(distance)), 4) if len(distance) else None
    kept = [(p, back) for score, p, back in false if score > threshold]
    backs = sum(p == "backs" for p in frames)
    out["false faces a frame"] = round(len(kept) / max(1, len(frames)), 4)
    out["false faces on backs of heads, a frame of them"] = round(sum(back for _, back in kept) / max(1, backs), 3)
    return out


def in_own_box(rotation, box, focal, width, height, to_image=geometry.to_image):
    """Rotations [N, 3, 3] in the cameras of boxes [N, 4], of which `to_image` (see `evaluate.way_of`) made rotations in the frame's camera."""
    if to_image is picture.to_image:
        return along_the_line(rotation, (box[:, :2] + box[:, 2:]) / 2, focal, width, height)
    shift = (np.array([width / 2, height / 2]) - (box[:, :2] + box[:, 2:]) / 2) / focal
    return geometry.view_rotation(shift) @ rotation


def answers_of(model, folder, truth, own_box=False):
    """Lines of answers, as `--answers` reads them, of a model that takes RGB pictures and gives `detect.Faces`.

    An img2pose network's way from a face's own box into the picture turns a head by only half of the angle between the line to it and the
    camera's axis. own_box: what the network said in the box is compared, not what became of it."""
    for line in truth:
        image = np.ascontiguousarray(cv2.imread(str(folder / line["file"]))[:, :, ::-1])
        found = model(image)
        height, width = image.shape[:2]
        rotation = geometry.rotation_matrix(found.pose[:, :3]) if len(found.pose) else np.zeros((0, 3, 3))
        if own_box and len(rotation):
            rotation = in_own_box(rotation, found.box, float(width + height), width, height, evaluate.way_of(model))
        yield {
            "file": line["file"], "focal": None if own_box else float(width + height),
            "faces": [
                {"box": b.round(2).tolist(), "score": round(float(s), 4), "rotation": r.round(6).tolist(), "translation": p[3:].round(4).tolist()}
                for b, s, r, p in zip(found.box, found.score, rotation, found.pose)
            ],
        }


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("set", type=Path, help="folder of heads.benchmark")
    parser.add_argument("model", nargs="?", help="ONNX file (with --detector) or checkpoint")
    parser.add_argument("--finder", help="instead of a model: weights of finder.train...")
    parser.add_argument("--look", help="... and of look.train")
    parser.add_argument("--looks", type=int, choices=(1, 2), default=2)
    parser.add_argument("--least", type=float, default=MIN_SCORE, help="as for evaluate")
    parser.add_argument("--answers", help="instead of a model: a file of answers (see above)")
    parser.add_argument("--detector", help="program for ONNX files")
    parser.add_argument("--min-size", type=int, default=480, help="short side of the network's image")
    parser.add_argument("--threshold", type=float, default=0.5, help="score from which on a face is one")
    parser.add_argument("--own-box", action="store_true", help="rotations as the network saw them in the face's own box (see answers_of)")
    parser.add_argument("--save-answers", type=Path)
    parser.add_argument("--out")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    truth = [json.loads(line) for line in (options.set / "truth.jsonl").read_text().splitlines()]
    height, width = cv2.imread(str(options.set / truth[0]["file"])).shape[:2]
    if options.answers:
        lines = [json.loads(line) for line in Path(options.answers).read_text().splitlines()]
    else:
        model = evaluate.open_model(options, parser)
        lines = list(answers_of(model, options.set, truth, options.own_box))
        model.close()
    if options.save_answers:
        with whole(options.save_answers) as path:
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    columns, false = collect(truth, {line["file"]: line for line in lines}, width, height)
    text = json.dumps(figures(columns, false, [line["part"] for line in truth], options.threshold), indent=1)
    print(text)
    if options.out:
        with whole(options.out) as path:
            path.write_text(text + "\n")


if __name__ == "__main__":
    main()
