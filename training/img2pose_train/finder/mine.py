"""Collect pictures without a face in which the finder sees one: `python -m img2pose_train.finder.mine --help`.

They are what `finder.train --negatives OUT` learns from next. Each is the surroundings of a place that fired; `places.jsonl` names its
source and score. Look at them (`OUT.sheet.jpg` shows all): where a photo does hold a face that nobody labelled, delete the file.
"""

import argparse
import json
from pathlib import Path
from random import Random

import cv2
import numpy as np
import torch

from ..clutter import PHOTO_SUFFIXES, Clutter, files
from ..find_and_look import find
from .train import load_weights

AROUND = 3.0
"""Sides of the place that are kept around it."""
SMALLEST, LARGEST = 64, 480
"""Pixels of a kept picture."""
TILE, COLUMNS = 96, 16


def surroundings(image, square):
    """The upright detail of a picture around a place that fired."""
    height, width = image.shape[:2]
    half = int(np.clip(AROUND * square.side / 2, SMALLEST / 2, max(height, width)))
    x, y = (int(v) for v in square.centre)
    x0, x1, y0, y1 = max(0, x - half), min(width, x + half), max(0, y - half), min(height, y + half)
    detail = image[y0:y1, x0:x1]
    if max(detail.shape[:2]) > LARGEST:
        scale = LARGEST / max(detail.shape[:2])
        detail = cv2.resize(detail, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return detail


def pictures(folders, drawn, fonts, backgrounds, seed):
    """Yields (name, RGB picture): those of the folders, and `drawn` ones of `clutter`."""
    for path in files(folders, PHOTO_SUFFIXES) if folders else []:
        image = cv2.imread(str(path))
        if image is not None and min(image.shape[:2]) >= 32:
            yield path.name, np.ascontiguousarray(image[:, :, ::-1])
    if drawn:
        clutter = Clutter.below(fonts, backgrounds)
        for k in range(drawn):
            yield f"drawn {seed}/{k}", clutter.picture((640, 480), Random(f"{seed}/{k}"))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("weights", help="average.pth of finder.train")
    parser.add_argument("--pictures", nargs="*", default=[], help="folders with pictures without a face")
    parser.add_argument("--drawn", type=int, default=0, help="how many drawn pictures (clutter) to look at")
    parser.add_argument("--fonts", nargs="+", default=[])
    parser.add_argument("--backgrounds", nargs="*", default=[])
    parser.add_argument("--least", type=float, default=0.3, help="score from which on a place is kept")
    parser.add_argument("--each", type=int, default=3, help="places of a picture at most")
    parser.add_argument("--min-size", type=int, default=240, help="short side that smaller pictures are enlarged to")
    parser.add_argument("--seed", type=int, default=1, help="of the drawn pictures; evaluation uses 1000")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    finder = load_weights(options.weights).eval().to(memory_format=torch.channels_last)
    options.out.mkdir(parents=True, exist_ok=True)
    seen, tiles = 0, []
    with open(options.out / "places.jsonl", "w") as places:
        for name, image in pictures(options.pictures, options.drawn, options.fonts, options.backgrounds, options.seed):
            seen += 1
            height, width = image.shape[:2]
            scale = max(1.0, options.min_size / min(height, width))
            squares, _, score = find(finder, image, (round(scale * height), round(scale * width)), min_score=options.least)
            for square, s in list(zip(squares, score))[: options.each]:
                detail = surroundings(image, square)
                cv2.imwrite(str(options.out / f"{len(tiles):05d}.jpg"), detail[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
                places.write(json.dumps({"file": f"{len(tiles):05d}.jpg", "source": name, "score": round(float(s), 3)}) + "\n")
                tile = cv2.resize(detail, (TILE, TILE), interpolation=cv2.INTER_AREA)
                tiles.append(cv2.putText(tile.copy(), str(len(tiles)), (2, 12), cv2.FONT_HERSHEY_PLAIN, 0.9, (255, 255, 0)))
    print(f"{len(tiles)} places in {seen} pictures")
    if tiles:
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
        sheet = np.vstack([np.hstack(tiles[k : k + COLUMNS]) for k in range(0, len(tiles), COLUMNS)])
        # Beside the folder, so that nobody trains on it.
        cv2.imwrite(f"{options.out}.sheet.jpg", sheet[:, :, ::-1])


if __name__ == "__main__":
    main()
