"""One rendered head a picture, wide in yaw, pitch and distance: `python -m img2pose_train.heads.portraits --help`.

Writes JPEG files and `faces.jsonl`, a line a picture, as `prepare` reads them: the landmarks of a face are the reference points
projected with the exact pose, so the pose that is solved from them is that pose. Beside them a line has `shaped`, the same points
with the head's own shape and expression (what a landmark teacher would answer), and `angles` (yaw, pitch, roll, degrees).
Picture n of a seed is the same whenever it is made; what is there is not made again.
"""

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np

from ..clutter import PHOTO_SUFFIXES, files
from ..labels import pose_in_box
from . import assets, compose, glasses, people, render
from .render import Part

PICTURE = 2.4
"""Side of a picture in units of the longer side of the face's box, about."""
BOX = 1.85
"""The longer side of a frontal face's box in units of the reference points."""


def angles(rng):
    """Yaw, pitch and roll in degrees: profiles and steep pitches are as frequent as frontal views."""
    choice = rng.random()
    if choice < 0.15:
        return np.array([rng.normal(0, 15), rng.normal(0, 12), rng.normal(0, 10)])
    if choice < 0.4:
        return np.array([rng.normal(0, 30), rng.uniform(-60, 60), rng.normal(0, 12)])
    return np.array([rng.uniform(-100, 100), np.clip(rng.normal(0, 22), -60, 60), np.clip(rng.normal(0, 12), -45, 45)])


def background(pictures, side, rng):
    """A detail [side, side, 3] of one of the pictures in [0, 1], mostly out of focus; without pictures two colours that run into each other."""
    if pictures:
        photo = cv2.imread(str(pictures[rng.integers(len(pictures))]))
        cut = max(8, int(min(photo.shape[:2]) * rng.uniform(0.4, 1)))
        y, x = rng.integers(photo.shape[0] - cut + 1), rng.integers(photo.shape[1] - cut + 1)
        b = cv2.resize(photo[y : y + cut, x : x + cut], (side, side), interpolation=cv2.INTER_AREA)[:, :, ::-1] / 255.0
    else:
        b = cv2.resize(rng.uniform(0, 1, (int(rng.integers(2, 9)), int(rng.integers(2, 9)), 3)), (side, side), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.7:
        b = cv2.GaussianBlur(b, (0, 0), rng.uniform(0.5, 5) * side / 256)
    return np.clip(b * rng.uniform(0.5, 1.3), 0, 1)


def with_glasses(person, parts, rng):
    """Adds drawn glasses, a third of them dark, to the parts of a person that stands already."""
    v, frame, lenses = glasses.glasses(person.rest, rng)
    v = people.skin(v, np.tile([0, 0, 0, 0, 1.0], (len(v), 1)), person.bones)
    body, shift = person.place
    v = v @ (body @ people.FLIP).T / person.s + shift
    plain = np.ones((4, 4, 4), np.float32)
    tone = np.full(3, 0.02) if rng.random() < 0.6 else rng.uniform(0.02, 0.5, 3)
    parts.append(Part(frame, v, plain, tone, spec=0.8, gloss=60, cut=0.1, hair=3))
    if rng.random() < 0.35:
        parts.append(Part(lenses, v, plain, np.full(3, 0.01), spec=1.0, gloss=120, cut=0.1, hair=3))


def shaped_points(seen, exact):
    """What the head's own shape does to its points: `exact` [68, 2] plus the residual of the seen points' own fit.

    The vertices stand for landmarks only roughly, and their fit would turn the pose by the shape of the head; the
    residual of their fit does not."""
    rvec, tvec, camera, _, _ = pose_in_box(seen)
    fitted = compose.project(compose.REF @ cv2.Rodrigues(rvec)[0].T + tvec, camera[0], camera[1:])
    return exact + seen - fitted


def portrait(renderer, rng, pictures, side):
    """Picture [side, side, 3] in [0, 1] and its line of `faces.jsonl` without the file's name."""
    yaw, pitch, roll = angles(rng)
    share = rng.uniform(0.1, 0.9)
    neck = (np.clip(yaw * share, -60, 60), np.clip(pitch * share, -30, 30), np.clip(roll * share, -20, 20))
    person = compose.Person(rng, neck=neck)
    # Near heads look wider in the middle: from a selfie's distance to that of a long lens.
    depth = np.exp(rng.uniform(np.log(6), np.log(30)))
    focal = depth * side / PICTURE / BOX * rng.uniform(0.85, 1.1)
    centre = np.full(2, side / 2)
    shift = rng.normal(0, 0.04, 2) * side * depth / focal
    r, t = compose.rotation(yaw, pitch, roll), np.array([*shift, depth])
    exact = compose.project(compose.REF @ r.T + t, focal, centre)
    t[:2] += (centre - (exact.min(0) + exact.max(0)) / 2) * depth / focal
    exact = compose.project(compose.REF @ r.T + t, focal, centre)
    parts = person.parts(r, t)
    if rng.random() < 0.2:
        with_glasses(person, parts, rng)
    head = compose.render(renderer, parts, (side, side), focal, centre, rng, count=24)
    image = compose.over(head, background(pictures, side, rng))
    seen = compose.project(person.seen(), focal, centre)
    line = {
        "faces": [{"landmarks": exact.round(2).tolist(), "score": 1.0}], "shaped": shaped_points(seen, exact).round(2).tolist(),
        "angles": [round(float(a), 2) for a in (yaw, pitch, roll)], "skin": person.look["skin"],
    }
    return compose.photo(image, rng), line


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--assets", help="folder `data` of a MakeHuman tree")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="number of the first picture")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other people: test sets have their own")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--backgrounds", nargs="*", default=[], help="folders with photos that show no face")
    options = parser.parse_args(argv)
    if options.assets:
        assets.use(options.assets)
    options.out.mkdir(parents=True, exist_ok=True)
    pictures = files(options.backgrounds, PHOTO_SUFFIXES) if options.backgrounds else []
    renderer, start = render.Renderer(), time.process_time()
    cv2.setNumThreads(1)
    lines = options.out / "faces.jsonl"
    made = {json.loads(line)["file"] for line in lines.read_text().splitlines()} if lines.exists() else set()
    for n in range(options.first, options.first + options.count):
        name = f"{n:06d}.jpg"
        if name in made:
            continue
        image, line = portrait(renderer, np.random.default_rng([options.seed, n]), pictures, options.side)
        pixels = (np.clip(image, 0, 1) * 255).astype(np.uint8)[:, :, ::-1]
        cv2.imwrite(str(options.out / name), pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])
        with open(lines, "a") as file:
            file.write(json.dumps({"file": name, "group": f"render-{options.seed}-{n}"} | line) + "\n")
    print(f"{options.count} pictures, {time.process_time() - start:.1f} s of CPU")


if __name__ == "__main__":
    main()
