"""Patches of faces for the training of the close look: `python -m img2pose_train.look.cache --help`.

Decoding photos would take longer than the training's own work; so every face is cut out once, upright, with room around it, into one
mapped file. OUT.npy holds the patches [N, 192, 192, 3] (RGB), OUT.npz a row for each, all in the patch's pixels:

    kind       0 a photo's face, 1 a rendered one, 2 a place without a face, 3 a photo's face of which only the place is known
    points     [68, 2] landmarks; with depth of nothing
    rotation   [3, 3] in the camera of the face's own box; scale, origin [2] as in `fit`
    turn       [3, 136] `fit.turn_of_points`
    centre side angle    the upright square (`crops`)
    weight     0 to 1: how far the label is trusted; of kind 3: its box; of kind 2: how often it is drawn
    row        row of the face in the pack, or number of the render
    held_out   of a photo that training never sees
"""

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch

from .. import checkpoint, geometry
from ..clutter import PHOTO_SUFFIXES, files
from ..detect import network_size
from ..find_and_look import find
from ..finder import train as finder_train
from ..finder.mine import AROUND
from ..metrics import iou
from ..pack import Labels, Photos, whole
from . import crops, fit, landmarks
from .answer import Looker, ready
from .network import LookNetwork
from .presence import judged, pictures_of
from .seen import add_seen

FACE, RENDER, NOTHING, SEEN = 0, 1, 2, 3
KINDS = {"photos": FACE, "renders": RENDER, "nothing": NOTHING, "seen": SEEN}
MAX_RESIDUAL = 0.08
"""Mean distance between a face's landmarks and their fit, in units of the reference points, up to which they are believed."""
MAX_SPREAD = 0.06
"""Spread of the teacher's looks up to which they are believed."""
AGREEMENT = 12.0
"""Degrees between the landmarks' pose and the second opinion up to which a face is trusted fully; at twice as many not at all."""
UNCONFIRMED = 0.3
"""Trust in a face about which nobody else has an opinion."""


def m_scale(matrix):
    """By how much an affine map [2, 3] without shear enlarges."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))


@dataclass
class Patches:
    """What is written, one entry a patch."""

    images: list = field(default_factory=list)
    exact: list = field(default_factory=list)
    rows: dict = field(default_factory=dict)

    def add(self, image, points, exact, square, **more):
        """points [68, 2]: what the network should answer; exact [68, 2]: those that the pose is solved from, both in the image's
        pixels. The pose is that of the upright face: it does not depend on how the photo happened to be turned."""
        patch, m = crops.cut(image, square, crops.PATCH, crops.PATCH_MARGIN)
        entry = {
            "points": crops.apply(m, points).astype(np.float32), "centre": crops.apply(m, square.centre),
            "side": square.side * m_scale(m), "angle": 0.0, "size": square.side, **more,
        }
        self.images.append(patch)
        self.exact.append(crops.apply(m, exact))
        for name, value in entry.items():
            self.rows.setdefault(name, []).append(value)

    def add_empty(self, image, square, weight=1.0):
        """A place without a face. weight: how often it is drawn."""
        # Points of a frontal face, which nobody asks for: every row has the same columns.
        points = square.centre + square.side / 2 * geometry.REFERENCE_68[:, :2] @ crops.turn(square.angle).T
        self.add(image, points, points, square, kind=NOTHING, weight=weight, row=-1, held_out=False)

    def add_seen(self, image, points, square, upright, row):
        """A face of which only the box is known, which is that of `points` [68, 2]. upright: whether that box is the head's own."""
        self.add(image, points, points, square, kind=SEEN, weight=float(upright), row=row, held_out=False)

    def write(self, out):
        # All at once: one by one the fits would take longer than everything else.
        rotation, origin, scale, flatness, lean, _ = fit.solve(np.stack(self.exact))
        turn = fit.turn_of_points(rotation, flatness, lean).astype(np.float32)
        self.rows |= {"rotation": rotation, "origin": origin, "scale": scale, "turn": turn}
        with whole(f"{out}.npy") as path, open(path, "wb") as file:
            np.save(file, np.stack(self.images))
        with whole(f"{out}.npz") as path, open(path, "wb") as file:
            np.savez(file, **{name: np.array(values) for name, values in self.rows.items()})
        kinds = np.array(self.rows["kind"])
        return {name: int((kinds == kind).sum()) for name, kind in KINDS.items()}


def trust(labels, found, second, convention):
    """How far each relabelled face is trusted, 0 to 1: what the looks, the fit, the pack's own pose and the second opinion say.

    found: row [N] of the pack, points [N, 68, 2], spread [N]; second: rotation [N, 3, 3] (NaN where there is none).
    Returns weight [N] and the fit of the points (see `fit.solve`)."""
    rows, points = found["row"], found["points"]
    solved = fit.solve(points)
    rotation, residual = solved[0], solved[-1]
    seen = fit.project(*solved[:5])
    box = geometry.face_box(seen, geometry.rotation_vector(rotation)[:, 2])
    known = labels.quality[rows] == 2
    opinions = np.stack([
        np.where(known, geometry.rotation_angle(rotation, labels.rotation[rows]), np.nan),
        geometry.rotation_angle(rotation, second @ convention) if second is not None else np.full(len(rows), np.nan),
    ])
    asked = np.isfinite(opinions)
    agreeing = np.where(asked, np.clip(2 - opinions / AGREEMENT, 0, 1), np.nan)
    weight = np.where(asked, agreeing, 0).sum(0) / np.maximum(asked.sum(0), 1)
    weight = np.where(asked.any(0), weight, UNCONFIRMED)
    weight *= np.clip(2 - residual / MAX_RESIDUAL, 0, 1) * np.clip(2 - found["spread"] / MAX_SPREAD, 0, 1)
    weight *= iou(box, labels.box[rows]) > 0.4
    # The pack's half trust (masks) stays.
    return weight * labels.weight[rows], solved


def add_photos(patches, pack, labels, found, second, convention, smallest):
    """Adds the faces whose landmarks are trusted. Returns the squares of those of the training by their rows."""
    photos, known = Photos(pack), {}
    weight, solved = trust(labels, found, second, convention)
    order = np.argsort(labels.image[found["row"]], kind="stable")
    shown, image, rows, points_of, size = -1, None, found["row"], found["points"], labels.size
    seen_of = fit.project(*solved[:5])
    roll_of = crops.roll_of(solved[0])
    for k in order:
        row = rows[k]
        held_out = bool(labels.held_out[labels.image[row]])
        if (weight[k] < 0.1 and not held_out) or size[row] < smallest:
            continue
        if labels.image[row] != shown:
            shown = labels.image[row]
            image = photos.read(shown)
        square = crops.Square.around(seen_of[k], roll_of[k])
        patches.add(image, points_of[k], points_of[k], square, kind=FACE, weight=weight[k], row=row, held_out=held_out)
        if not held_out:
            known[row] = square
    return known


def add_nothing(patches, pack, labels, count, seed=1):
    """Places of the training's photos without a labelled face, of any size, and half of them beside faces."""
    photos, rng, faces = Photos(pack), np.random.default_rng(seed), labels.faces_of()
    made = 0
    for i in rng.permutation(len(photos)):
        if made >= count:
            return
        if labels.held_out[i] or min(photos.sizes[i]) < 300:
            continue
        width, height = photos.sizes[i]
        image, box = photos.read(i), labels.box[faces[i]].reshape(-1, 4)
        for _ in range(min(6, count - made)):
            side = np.exp(rng.uniform(np.log(20), np.log(200)))
            c = rng.uniform([0, 0], [width, height])
            if (np.minimum(box[:, 2:], c + side) - np.maximum(box[:, :2], c - side) > 0).all(1).any():
                continue
            patches.add_empty(image, crops.Square(c, side, rng.uniform(-np.pi, np.pi)))
            made += 1


def add_mined(patches, folder, seed=1):
    """The places in which a finder saw a face that is none (`finder.mine`): the middles of its pictures."""
    rng = np.random.default_rng(seed)
    for path in files([folder], PHOTO_SUFFIXES):
        image = cv2.imread(str(path))
        height, width = image.shape[:2]
        square = crops.Square(np.array([width - 1, height - 1]) / 2, min(height, width) / AROUND, rng.uniform(-np.pi, np.pi))
        patches.add_empty(np.ascontiguousarray(image[:, :, ::-1]), square)


def add_false(patches, finder, pictures, min_side, least, looker=None):
    """The places in which this finder sees a face where no label is near, of pictures as `presence.pictures_of` gives them: photos with
    faces, too, whose hands, ears and collars no picture without a face shows. With a looker those are drawn most often that it takes for a
    face, too: a low `least` lets very many through, of which few are hard."""
    for image, labelled, trusted in pictures:
        squares, boxes, _ = find(finder, image, network_size(*image.shape[:2], min_side), least)
        places = [squares[k] for k in np.nonzero(judged(boxes, labelled, trusted) == 0)[0]]
        weight = np.sqrt(looker(image, places).presence) if looker else np.ones(len(places))
        for square, often in zip(places, weight):
            patches.add_empty(image, square, float(often))


def add_renders(patches, folder, convention):
    for line in (Path(folder) / "faces.jsonl").read_text().splitlines():
        entry = json.loads(line)
        image = cv2.imread(str(Path(folder) / entry["file"]))
        if image is None:
            raise ValueError(f"{folder}/{entry['file']} cannot be read")
        exact, shaped = np.array(entry["faces"][0]["landmarks"]), np.array(entry["shaped"])
        rotation, origin, scale, flatness, lean, _ = (v[0] for v in fit.solve(exact[None]))
        # Annotators' points lie elsewhere on a head than the mesh's; a constant turn in the head's frame is the difference.
        rotation = rotation @ convention
        turned = fit.project(rotation[None], origin[None], scale[None], flatness[None], lean[None])[0]
        square = crops.Square.around(turned, crops.roll_of(rotation[None])[0])
        patches.add(
            np.ascontiguousarray(image[:, :, ::-1]), turned + shaped - exact, turned, square,
            kind=RENDER, weight=1.0, row=int(Path(entry["file"]).stem), held_out=False,
        )


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", required=True, help="path without ending")
    parser.add_argument("--pack")
    parser.add_argument("--labels", help="refined labels")
    parser.add_argument("--landmarks", help="landmarks.npz of look.relabel")
    parser.add_argument("--second", help="second opinion: npz with `rotation` [N, 3, 3] for the same rows, NaN for none")
    parser.add_argument("--smallest", type=float, default=16, help="size of the smallest face, pixels")
    parser.add_argument("--nothing", type=int, default=0, help="how many places without a face")
    parser.add_argument("--mined", nargs="*", default=[], help="folders of finder.mine: places that only look like a face")
    parser.add_argument("--finder", help="weights of finder.train: places of the pack's photos and of --pictures that it takes for a face")
    parser.add_argument("--look", help="with --finder: weights of look.train; those places are drawn most often that they take for a face, too")
    parser.add_argument("--pictures", nargs="*", default=[], help="with --finder: folders with pictures without a face")
    parser.add_argument("--every", type=int, default=3, help="with --finder: every n-th photo of the pack")
    parser.add_argument("--least", type=float, default=0.2, help="with --finder: score from which on a place counts")
    parser.add_argument("--min-size", type=int, default=360, help="with --finder: short side of its image")
    parser.add_argument("--seen", action="store_true", help="with --finder and --landmarks: the faces, too, of which only the box is known; OUT-off.npy says by\n"
                        "how much the finder's squares of the others are off (look.train --off)")
    parser.add_argument("--renders", nargs="*", default=[], help="folders of heads.portraits")
    parser.add_argument("--convention", type=float, nargs=3, default=[0, 0, 0],
                        help="rotation vector (degrees, head's frame) from the renders' labels to the photos'")
    options = parser.parse_args(argv)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if options.seen and not (options.finder and options.landmarks):
        parser.error("--seen needs --finder and --landmarks")
    patches, known = Patches(), {}
    if options.pack:
        labels = Labels.load(options.labels)
        if options.landmarks:
            found, second, turn = landmarks.load(options.landmarks), None, np.eye(3)
            if options.second:
                opinion = np.load(options.second)
                second, turn = opinion["rotation"], opinion["convention"]
            known = add_photos(patches, options.pack, labels, found, second, turn, options.smallest)
        add_nothing(patches, options.pack, labels, options.nothing)
    if options.finder:
        if not options.pack:
            parser.error("--finder needs --pack and --labels")
        finder = ready(finder_train.load_weights(options.finder))
        if options.seen:
            off = add_seen(patches, finder, options.pack, labels, known, options.min_size, options.least, options.smallest)
            with whole(f"{options.out}-off.npy") as path, open(path, "wb") as file:
                np.save(file, off.astype(np.float32))
        looker = Looker(checkpoint.load_half(options.look, "look", LookNetwork())) if options.look else None
        add_false(patches, finder, pictures_of(options), options.min_size, options.least, looker)
    convention = geometry.rotation_matrix(np.radians(options.convention))[0]
    for folder in options.mined:
        add_mined(patches, folder)
    for folder in options.renders:
        add_renders(patches, folder, convention)
    print(patches.write(options.out))


if __name__ == "__main__":
    main()
