"""What the class head sees: pooled proposals of a network over many pictures, kept in files.

    python -m img2pose_train.regions --help

With everything before the class head fixed, its input for a picture never changes, and one pass
over the pictures serves any number of trainings of that head (`harden`). The pictures are training photos whole
and as crops, parts of photos away from every face, and drawn ones without a face (`clutter`).
Of each picture are kept: proposals that overlap a labelled face by 0.5 and more, and of those that
overlap none by 0.3 the ones the network takes for faces most, with a few others.
"""

import argparse
import multiprocessing
import os
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random

import cv2
import numpy as np
import torch

from . import checkpoint
from .clutter import Clutter
from .compose import Composer
from .detect import network_input, network_size, proposals
from .metrics import box_iou, covered
from .network import bfloat16
from .pack import Labels, Photos, whole
from .photometric import vary
from .roi_align import roi_align

PHOTO, CROP, DETAIL, CLUTTER = range(4)
SHARES = {PHOTO: 0.2, CROP: 0.3, DETAIL: 0.1, CLUTTER: 0.4}
"""Kinds of pictures and how often each is taken."""
PRE_NMS = 1500
"""Proposals per level before suppression: fewer than at inference, to save time."""
FACES, HARDEST, OTHERS = 40, 18, 6
"""Proposals kept of each picture."""
ATTEMPTS = 200
"""Photos that are looked at for one detail."""
PER_FILE = 20
"""Pictures per file."""


@dataclass
class Regions:
    """Proposals: features [N, C * 49] float16 (flattened as the heads do), logits [N, 2] of the network's own class
    head, is_face [N], size [N] in pixels, kind [N] and number [N] of the picture."""

    features: np.ndarray
    logits: np.ndarray
    is_face: np.ndarray
    size: np.ndarray
    kind: np.ndarray
    picture: np.ndarray

    @classmethod
    def join(cls, parts):
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    @classmethod
    def load(cls, folder):
        """All files of a folder."""
        paths = sorted(Path(folder).glob("regions-*.npz"))
        if not paths:
            raise ValueError(f"{folder}: no regions-*.npz; make them with img2pose_train.regions")
        return cls.join([cls(**np.load(path)) for path in paths])

    def save(self, path):
        with whole(path) as unfinished:
            np.savez(unfinished, **{f.name: getattr(self, f.name) for f in fields(self)})


class Pictures:
    """Picture `i` of an endless series: (kind, image, labelled boxes [G, 4], ignored boxes [I, 4]).

    The same seed gives the same series. Photos that are held out are never opened.
    """

    def __init__(self, photos, labels, clutter, seed):
        self.photos, self.labels, self.clutter, self.seed = photos, labels, clutter, seed
        self.composer, self.rows = Composer(photos, labels), labels.faces_of()

    def __getitem__(self, i):
        random = Random(f"{self.seed}/{i}")
        kind = random.choices(list(SHARES), list(SHARES.values()))[0]
        none = np.zeros((0, 4))
        if kind == CLUTTER:
            height = random.choice((240, 320, 416, 480, 544, 640))
            width = int(height * random.choice((1.0, 4 / 3, 4 / 3, 16 / 9, 9 / 16 if height < 480 else 16 / 9)))
            return kind, self.clutter.picture((width, height), random), none, none
        if kind == CROP:
            crop = self.composer.crop(random.choice((320, 416, 512, 640)), random)
            return kind, crop.image, crop.box, crop.ignored
        for _ in range(ATTEMPTS):
            photo = random.choice(self.composer.scenes)
            boxes, faces = self._boxes(photo)
            image = self.photos.read(photo)
            if kind == PHOTO:
                return kind, *self._photo(image, boxes, faces, random)
            if (part := self._detail(image, boxes, random)) is not None:
                return kind, part, none, none
        raise ValueError(f"none of {ATTEMPTS} photos has room beside its faces; the pack needs photos with background")

    def _boxes(self, photo):
        """All boxes of a photo and which of them are faces."""
        rows = np.array(self.rows[photo], int)
        return self.labels.box[rows], self.labels.quality[rows] >= 1

    def _photo(self, image, boxes, faces, random):
        if random.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
            boxes = boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [image.shape[1], 0, image.shape[1], 0]
        # Faces must stay faces when there is text beside them.
        if random.random() < 0.35:
            draw = random.choice((self.clutter.title, self.clutter.text, self.clutter.shapes))
            painted = draw(image, random)
            changed = np.abs(painted.astype(int) - image).max(2) > 12
            if all(self._part(changed, box).mean() < 0.05 for box in boxes):
                image = painted
        if random.random() < 0.6:
            image = vary(image, random)
        height, width = network_size(*image.shape[:2], random.choice((256, 320, 400, 480, 480, 560, 640)))
        boxes = boxes * ([width / image.shape[1], height / image.shape[0]] * 2)
        shrinks = height < image.shape[0]
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        return image, boxes[faces], boxes[~faces]

    @staticmethod
    def _part(mask, box):
        x0, y0, x1, y1 = np.clip(box, 0, None).astype(int)
        part = mask[y0 : y1 + 1, x0 : x1 + 1]
        return part if part.size else np.zeros(1)

    @staticmethod
    def _detail(image, boxes, random):
        """A part of a photo that touches no box, enlarged or shrunk; None when none was found."""
        height, width = image.shape[:2]
        margin = 0.2 * (boxes[:, 2:] - boxes[:, :2])
        low, high = boxes[:, :2] - margin, boxes[:, 2:] + margin
        for _ in range(20):
            side = np.exp(random.uniform(np.log(40), np.log(400)))
            size = np.array([side * random.uniform(0.8, 1.6), side])
            if (size >= [width, height]).any():
                continue
            corner = np.array([random.uniform(0, width - size[0]), random.uniform(0, height - size[1])])
            if ((corner < high) & (corner + size > low)).all(1).any():
                continue
            (x0, y0), (x1, y1) = corner.astype(int), (corner + size).astype(int)
            rows = random.choice((240, 320, 416, 480))
            part = cv2.resize(image[y0:y1, x0:x1], (int(rows * size[0] / size[1]), rows))
            return vary(part, random) if random.random() < 0.5 else part
        return None


@torch.no_grad()
def regions_of(network, picture, number, random):
    """`Regions` of one picture, as `Pictures` gives it."""
    kind, image, boxes, ignored = picture
    x = network_input(image, image.shape[:2])
    with bfloat16():
        levels = network.backbone(x)
        logits, deltas = network.rpn.head(levels)
    found = proposals(logits[0], deltas[0], x.shape[2:], image.shape[:2], PRE_NMS)
    pooled = roi_align(levels, torch.cat([torch.zeros(len(found), 1), found], 1), x.shape[2:])
    heads = network.roi_heads
    logits = heads.class_predictor(heads.class_head(pooled)).numpy()
    found, margin = found.numpy().astype(float), logits[:, 1] - logits[:, 0]
    overlap = box_iou(found, boxes).max(1) if len(boxes) else np.zeros(len(found))
    faces = np.nonzero(overlap >= 0.5)[0]
    clear = np.nonzero((overlap < 0.3) & (covered(found, ignored) < 0.35))[0]
    clear = clear[np.argsort(-margin[clear], kind="stable")]
    kept = np.array(
        random.sample(faces.tolist(), min(FACES, len(faces)))
        + clear[:HARDEST].tolist()
        + random.sample(clear[HARDEST:].tolist(), min(OTHERS, len(clear[HARDEST:]))),
        int,
    )
    count = len(kept)
    return Regions(
        pooled[kept].flatten(1).half().numpy(), logits[kept].astype(np.float32), overlap[kept] >= 0.5,
        np.sqrt((found[kept, 2:] - found[kept, :2]).prod(1)).astype(np.float32),
        np.full(count, kind, np.uint8), np.full(count, number, np.int32),
    )


def _collect(options, rank):
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    network = checkpoint.load(options.initial).eval().to(memory_format=torch.channels_last)
    clutter = Clutter.below(options.fonts, options.backgrounds)
    pictures = Pictures(Photos(options.pack), Labels.load(options.labels), clutter, options.seed)
    for part in range(rank, -(-options.pictures // PER_FILE), options.processes):
        path = Path(options.out) / f"regions-{part:04}.npz"
        if path.exists():
            continue
        numbers = range(part * PER_FILE, min(options.pictures, (part + 1) * PER_FILE))
        random = Random(f"{options.seed}/kept/{part}")
        Regions.join([regions_of(network, pictures[i], i, random) for i in numbers]).save(path)
        print(path, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pack", required=True, help="folder with images.bin and labels.npz")
    parser.add_argument("--labels", required=True, help="refined labels (from img2pose_train.refine)")
    parser.add_argument("--initial", required=True, help="checkpoint or ONNX file")
    parser.add_argument("--fonts", nargs="+", required=True, help="folders with .ttf and .otf files")
    parser.add_argument("--backgrounds", nargs="+", default=[], help="folders with photos that show no face")
    parser.add_argument("--out", required=True, help="folder for regions-*.npz; what is there is kept")
    parser.add_argument("--pictures", type=int, default=9000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="one thread each")
    options = parser.parse_args()
    Path(options.out).mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_collect, args=(options, rank)) for rank in range(options.processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit(f"a process failed: {[worker.exitcode for worker in workers]}")


if __name__ == "__main__":
    main()
