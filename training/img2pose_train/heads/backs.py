"""Pictures of people who are turned away, for the finder: `python -m img2pose_train.heads.backs --help`.

Backs and tops of heads, necks, hands and clothes without any face. Picture n of a seed is the same whenever it is made; what is there
is not made again. `finder.train --negatives OUT` learns from them.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from ..clutter import PHOTO_SUFFIXES, files
from . import assets, compose, frames, portraits, render

SIDE = 320
"""Pixels of a picture."""
LEAST_YAW = 125
"""Degrees from which on nothing of a face is seen, whatever the pitch."""


def away(rng):
    """Yaw, pitch and roll in degrees of a head that shows no face."""
    yaw = rng.choice([-1, 1]) * rng.uniform(LEAST_YAW, 180)
    return np.array([yaw, np.clip(rng.normal(0, 20), -45, 35), np.clip(rng.normal(0, 12), -40, 40)])


def picture(renderer, rng, backgrounds):
    """Picture [SIDE, SIDE, 3] in [0, 1] of one or two people from behind."""
    image = portraits.background(backgrounds, SIDE, rng) if backgrounds and rng.random() < 0.8 else frames.backdrop(SIDE, SIDE, rng)
    taken = []
    for _ in range(1 if rng.random() < 0.7 else 2):
        size = float(np.exp(rng.uniform(np.log(40), np.log(190))))
        middle = frames.place(size, taken, SIDE, SIDE, rng)
        if middle is not None:
            taken.append([*middle, size])
            image = frames.stand(renderer, image, away(rng), size, middle, rng, SIDE * rng.uniform(0.9, 3))[0]
    return compose.photo(image, rng)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--assets", help="folder `data` of a MakeHuman tree")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--backgrounds", nargs="*", default=[], help="folders with photos that show no face")
    options = parser.parse_args(argv)
    if options.assets:
        assets.use(options.assets)
    options.out.mkdir(parents=True, exist_ok=True)
    backgrounds = files(options.backgrounds, PHOTO_SUFFIXES) if options.backgrounds else []
    cv2.setNumThreads(1)
    renderer = None
    for n in range(options.count):
        path = options.out / f"{options.seed}-{n:05d}.jpg"
        if path.exists():
            continue
        renderer = renderer or render.Renderer()
        image = picture(renderer, np.random.default_rng([4_071, options.seed, n]), backgrounds)
        cv2.imwrite(str(path), (np.clip(image, 0, 1) * 255).astype(np.uint8)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])


if __name__ == "__main__":
    main()
