"""Measure a model on the held-out photos of a pack: `python -m img2pose_train.evaluate --help`.

The model is a checkpoint (run by `detect`, the reference's post-processing in PyTorch), finder and close look (`--finder`, `--look`), or an ONNX
file. One of `assemble` is run part by part in ONNX Runtime, where no `--detector` is given; other ONNX files are measured through the detector that ships: `--detector` names a program that
reads frames from its standard input, each a line "WIDTH HEIGHT" and the RGB pixels, and answers each with
one line of JSON, `[{"box": [x0, y0, x1, y1], "score": s, "pose": [rx, ry, rz, tx, ty, tz]}, ...]`
(`cargo build --release -p img2pose --example detect_stdin`). With `--video` clips are measured, too:
the share of frames with a face, the highest score, and the jitter of the most confident face's pose. With `--clutter`
drawn pictures without faces are shown, and those counted that have one all the same.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import cv2
import numpy as np
import torch

from . import checkpoint, geometry, parts
from .clutter import Clutter
from .detect import Faces, detect, network_size
from .find_and_look import MIN_SCORE, FindAndLook, Follow
from .finder import train as finder
from .look import picture
from .look import train as look
from .metrics import Evaluation, Truth
from .pack import Labels, Photos, is_portrait, whole


class CheckpointModel:
    """Detections of a checkpoint file, with PyTorch."""

    def __init__(self, path, min_side):
        self.network = checkpoint.load(path).eval().to(memory_format=torch.channels_last)
        self.min_side = min_side

    def __call__(self, image):
        return detect(self.network, image, self.min_side)

    def close(self):
        pass


class OnnxModel:
    """Detections of an ONNX file, through the program that `--detector` names."""

    def __init__(self, path, min_side, program, to_image=geometry.to_image):
        self.to_image = to_image
        self.process = subprocess.Popen(
            [program, str(path), str(min_side)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __call__(self, image):
        height, width = image.shape[:2]
        self.process.stdin.write(f"{width} {height}\n".encode() + np.ascontiguousarray(image).tobytes())
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the detector ended with status {self.process.wait()}; see its message above")
        faces = json.loads(line)
        column = lambda name, size: np.array([f[name] for f in faces], float).reshape(-1, *size)
        return Faces(column("box", (4,)), column("score", ()), column("pose", (6,)))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def turn(image, truth, degrees):
    """A photo and its `Truth` turned about the middle, clockwise; the canvas grows. Faces without a
    pose are ignored from then on, as their boxes cannot be turned."""
    height, width = image.shape[:2]
    angle = np.radians(degrees)
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    size = np.ceil(np.abs(linear) @ [width, height]).astype(int)
    offset = size / 2 - linear @ [width / 2, height / 2]
    turned = cv2.warpAffine(image, np.column_stack([linear, offset]), tuple(int(v) for v in size))
    roll = geometry.rotation_matrix([0, 0, angle])[0]
    rotation, translation = roll @ truth.rotation, truth.translation @ roll.T
    centre = truth.centre @ linear.T + offset
    seen = geometry.project(rotation, translation, truth.focal, centre, geometry.REFERENCE_68)
    posed = (truth.quality == 2)[:, None]
    corners = truth.box[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2) @ linear.T + offset
    around = np.concatenate([corners.min(1), corners.max(1)], 1)
    box = np.where(posed, geometry.face_box(seen, geometry.rotation_vector(rotation)[:, 2]), around)
    quality = np.where(truth.quality == 2, 2, 0)
    return turned, Truth(box, quality, rotation, translation, truth.focal, centre)


def way_of(model):
    """How a model brings poses from the camera of a face's own box into the picture's: by the whole angle in contract version 2."""
    return getattr(model, "to_image", geometry.to_image)


def evaluate_pack(model, photos, labels, min_side, portraits=False, degrees=0.0, progress=None):
    """`Evaluation.summary` over the held-out photos, turned by `degrees`: scenes, or (`portraits`)
    crops of a single face."""
    rows, evaluation = labels.faces_of(), Evaluation(to_image=way_of(model))
    size = labels.size
    for i in np.nonzero(labels.held_out)[0]:
        width, height = photos.sizes[i]
        faces = rows[i]
        if is_portrait(width, height, size[faces]) != portraits:
            continue
        k = np.array(faces, int)
        image, truth = photos.read(i), Truth(
            labels.box[k], labels.quality[k], labels.rotation[k], labels.translation[k],
            labels.focal[k], labels.centre[k],
        )
        if degrees and faces:
            image, truth = turn(image, truth, degrees)
        scale = network_size(*image.shape[:2], min_side)[0] / image.shape[0]
        evaluation.add(model(image), truth, image.shape[:2], scale)
        if progress and evaluation.images % 50 == 0:
            progress(f"{evaluation.images} photos")
    return evaluation.summary()


def seen_instead(labels, photos, seed):
    """Labels whose held-out photos are others: as many scenes of the training, to see what a network knows by heart."""
    rows, size = labels.faces_of(), labels.size
    scene = np.array([not is_portrait(*photos.sizes[i], size[rows[i]]) for i in range(len(photos.sizes))])
    trained, held_out = np.nonzero(scene & ~labels.held_out)[0], int((scene & labels.held_out).sum())
    chosen = np.zeros(len(scene), bool)
    chosen[np.random.default_rng(seed).choice(trained, min(held_out, len(trained)), replace=False)] = True
    return replace(labels, held_out=chosen)


def frames_of(path):
    """RGB frames of a video file."""
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise ValueError(f"{path}: cannot be opened as a video")
    while True:
        good, frame = video.read()
        if not good:
            return
        yield np.ascontiguousarray(frame[:, :, ::-1])


def evaluate_video(model, path, score=0.5, every=1):
    """Share of the frames with a face, faces per frame, and jitter of the first face: the angle between the rotations
    of successive frames, and the deviation from the mean of both neighbours, which motion does not cause."""
    frames = faces = 0
    highest = 0.0
    poses = []
    for n, image in enumerate(frames_of(path)):
        if n % every:
            continue
        found = model(image)
        kept = found.score > score
        highest = max(highest, float(found.score.max(initial=0)))
        frames += 1
        faces += int(kept.sum())
        poses.append(found.pose[kept][0] if kept.any() else None)
    rotations = [None if p is None else geometry.rotation_matrix(p[:3]) for p in poses]
    steps = [
        geometry.rotation_angle(a, b)[0] for a, b in zip(rotations, rotations[1:]) if a is not None and b is not None
    ]
    noise = []
    for a, b, c in zip(rotations, rotations[1:], rotations[2:]):
        if a is not None and b is not None and c is not None:
            turn = geometry.rotation_vector(np.transpose(a, (0, 2, 1)) @ c) / 2
            noise.append(geometry.rotation_angle(a @ geometry.rotation_matrix(turn), b)[0])
    median = lambda values: round(float(np.median(values)), 3) if values else None
    return {
        "frames": frames,
        "frames_with_face": round(sum(p is not None for p in poses) / max(1, frames), 4),
        "highest_score": round(highest, 4),
        "faces_per_frame": round(faces / max(1, frames), 3),
        "step_median_degrees": median(steps),
        "jitter_median_degrees": median(noise),
    }


def evaluate_clutter(model, clutter, count, seed, scores=(0.3, 0.5, 0.7)):
    """Share of `count` drawn pictures of 640x480 without a face in which one is found, by least score."""
    highest = []
    for i in range(count):
        found = model(clutter.picture((640, 480), Random(f"{seed}/{i}")))
        highest.append(float(found.score.max()) if len(found.score) else 0.0)
    shares = {str(score): round(float((np.array(highest) > score).mean()), 4) for score in scores}
    return {"pictures": count, "seed": seed, "with_a_face": shares}


def open_model(options, parser):
    """The model that the options name: `model`, or `finder` and `look`."""
    if bool(options.model) == bool(options.finder and options.look):
        parser.error("give a model, or --finder and --look")
    if options.finder:
        return FindAndLook(finder.load_weights(options.finder), look.load_weights(options.look), options.min_size, options.looks, options.least)
    if options.model.endswith(".onnx"):
        contract = parts.contract_of(options.model)
        pair = contract["contract_version"] == 2
        if options.detector:
            way = picture.to_image if pair else geometry.to_image
            return OnnxModel(options.model, options.min_size, options.detector, way)
        if not pair:
            parser.error("an ONNX file of img2pose convert needs --detector")
        finder_part, look_part = (parts.Part(options.model, name, contract) for name in ("find", "look"))
        second = contract.get("second_look")
        mirrored = bool(second and second["mirrored"])
        return FindAndLook(finder_part, look_part, options.min_size, 2 if second else 1, options.least, mirrored)
    return CheckpointModel(options.model, options.min_size)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", nargs="?", help="checkpoint (.pth) or ONNX file")
    parser.add_argument("--finder", help="instead of a model: weights of finder.train...")
    parser.add_argument("--look", help="... and of look.train")
    parser.add_argument("--looks", type=int, choices=(1, 2), default=2,
                        help="how often the close look sees each face, the second time with the mirror image; an ONNX file says that itself")
    parser.add_argument("--least", type=float, default=MIN_SCORE, help="the finder's score from which on a face is looked at")
    parser.add_argument("--follow", type=int, default=0, metavar="N",
                        help="in clips the close look follows faces, and the finder runs in every N-th frame only")
    parser.add_argument("--pack", help="folder of the pack")
    parser.add_argument("--labels", help="refined labels")
    parser.add_argument("--portraits", action="store_true", help="the held-out crops of single faces instead of the scenes")
    parser.add_argument("--seen", action="store_true", help="as many scenes of the training instead (by --seed)")
    parser.add_argument("--every-photo", type=int, default=1, help="only every n-th of the held-out photos")
    parser.add_argument("--turn", type=float, default=0.0, help="turn the photos by this many degrees first")
    parser.add_argument("--video", nargs="+", default=[], help="clips to measure")
    parser.add_argument("--clutter", type=int, default=0, help="number of drawn pictures without a face to measure")
    parser.add_argument("--fonts", nargs="+", default=[], help="folders with fonts for --clutter")
    parser.add_argument("--backgrounds", nargs="+", default=[], help="folders with photos without faces for --clutter")
    parser.add_argument("--seed", type=int, default=1000, help="for --clutter and --seen; trainings use small numbers")
    parser.add_argument("--every", type=int, default=1, help="only every n-th frame of the clips")
    parser.add_argument("--min-size", type=int, default=480, help="short side of the network's image")
    parser.add_argument("--detector", help="program for ONNX files; those of assemble do without")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", help="JSON file to write")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    model = open_model(options, parser)
    if options.follow and not options.finder:
        parser.error("--follow needs --finder and --look")
    result = {"model": Path(options.model or options.look).name, "min_size": options.min_size, "turn": options.turn}
    if options.pack:
        photos, labels = Photos(options.pack), Labels.load(options.labels)
        if options.seen:
            labels = seen_instead(labels, photos, options.seed)
        if options.every_photo > 1:
            chosen = np.zeros_like(labels.held_out)
            chosen[np.nonzero(labels.held_out)[0][:: options.every_photo]] = True
            labels = replace(labels, held_out=chosen)
        result |= evaluate_pack(
            model, photos, labels, options.min_size, options.portraits,
            options.turn, lambda text: print(text, file=sys.stderr, flush=True),
        )
        if not result["detection"]["images"]:
            kind = "crop of a single face" if options.portraits else "scene"
            print(f"no {kind} to measure: the pack holds out 8 % of its photos, and these are too few", file=sys.stderr)
    for clip in options.video:
        if options.follow:
            model = Follow(finder.load_weights(options.finder), look.load_weights(options.look), options.min_size, options.follow)
        result.setdefault("video", {})[Path(clip).name] = evaluate_video(model, clip, every=options.every)
    if options.clutter:
        clutter = Clutter.below(options.fonts, options.backgrounds)
        result["clutter"] = evaluate_clutter(model, clutter, options.clutter, options.seed)
    model.close()
    text = json.dumps(result, indent=1)
    print(text)
    if options.out:
        with whole(options.out) as path:
            path.write_text(text + "\n")


if __name__ == "__main__":
    main()
