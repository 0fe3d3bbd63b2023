"""Numbers that another implementation of the contract must reach: `python -m img2pose_train.golden --help`.

A drawn picture goes through the file of `assemble`, part by part, and what comes out of each part is kept, so that each can be
checked by itself: OUT/picture.ppm, cells.npy [1, 7, A], crops.npy [N, 112, 112, 3] (uint8), answers.npy [N, 144] and golden.json.
What the numbers mean stands in `contract.md`.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch

from .checkpoint import fingerprint
from .detect import network_size
from .find_and_look import find
from .look import answer, crops, fit, network
from .look.picture import faces_of
from .look.reliability import sigma_of
from .parts import Part, contract_of

WIDTH, HEIGHT = 320, 240


def drawn():
    """The picture [240, 320, 3] (RGB): heads of ellipses, one upright and near, one on its side, one small and turned a little."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = np.stack([90 + x // 4, 110 + y // 4, 150 - (x + y) // 8], 2).astype(np.uint8)
    for (cx, cy), size, degrees, skin in (((90, 110), 74, 0, (224, 180, 150)), ((220, 90), 46, 90, (150, 105, 80)), ((255, 195), 24, -20, (240, 200, 180))):
        turn = crops.turn(np.radians(degrees))
        at = lambda u, v: tuple(int(round(c)) for c in np.array([cx, cy]) + size * (turn @ [u, v]))
        length = lambda *parts: tuple(max(1, round(size * part)) for part in parts)
        ellipse = lambda place, axes, colour: cv2.ellipse(image, place, axes, degrees, 0, 360, colour, -1)
        ellipse(at(0, -0.12), length(0.46, 0.56), (60, 42, 30))
        ellipse(at(0, 0), length(0.4, 0.52), skin)
        for side in (-1, 1):
            ellipse(at(side * 0.16, -0.1), length(0.07, 0.04), (250, 250, 250))
            ellipse(at(side * 0.16, -0.1), length(0.03, 0.035), (40, 30, 20))
            cv2.line(image, at(side * 0.08, -0.2), at(side * 0.25, -0.21), (60, 42, 30), max(1, size // 24))
        cv2.line(image, at(0, -0.08), at(0.03, 0.1), tuple(int(0.75 * c) for c in skin), max(1, size // 24))
        ellipse(at(0, 0.25), length(0.14, 0.045), (180, 70, 70))
    return image


def numbers(path, image, most):
    """(arrays by name, what golden.json says) for the `most` best places of an RGB picture, however low they score."""
    contract = contract_of(path)
    height, width = image.shape[:2]
    size = network_size(height, width, contract["min_size"])
    finder, look = Part(path, "find", contract), Part(path, "look", contract)
    squares, boxes, found = find(finder, image, size, min_score=0.0, most=most)
    cut, maps = zip(*(crops.cut(image, square) for square in squares))
    answers = look(network.normalise(torch.from_numpy(np.stack(cut)))).double().numpy()
    seen = answer.decode(answers, maps, [s.angle for s in squares])
    solved = rotation, origin, scale, flatness, lean, residual = fit.solve(seen.points)
    again = answer.squares_of(*solved[:5])
    rvec, translation, in_picture, box = faces_of(solved, width, height)
    sigma = sigma_of(np.degrees(seen.spread), (contract["sigma"]["a"], contract["sigma"]["b"]))
    plain = lambda value: np.round(np.asarray(value, float), 6).tolist()
    faces = [{
        "place": {"box": plain(boxes[k]), "found": plain(found[k]), "square": {
            "centre": plain(s.centre), "side": plain(s.side), "angle": plain(s.angle)}, "map": plain(maps[k])},
        "points": plain(seen.points[k]), "presence": plain(seen.presence[k]), "spread": plain(seen.spread[k]), "sigma": plain(sigma[k]),
        "direct": plain(seen.direct[k]),
        "fit": {"rotation": plain(rotation[k]), "origin": plain(origin[k]), "scale": plain(scale[k]), "flatness": plain(flatness[k]),
                "lean": plain(lean[k]), "residual": plain(residual[k]), "box": plain(box[k])},
        "again": {"centre": plain(again[k].centre), "side": plain(again[k].side), "angle": plain(again[k].angle)},
        "pose": {"rotation_vector": plain(rvec[k]), "translation": plain(translation[k])},
        "box": plain(in_picture[k]),
        "score": plain(np.sqrt(found[k] * seen.presence[k])),
    } for k, s in enumerate(squares)]
    told = {
        "model_sha256": fingerprint(path), "picture": [width, height], "network": [size[1], size[0]],
        "padded": [-(-size[1] // 32) * 32, -(-size[0] // 32) * 32], "camera": {"focal": float(width + height), "middle": [width / 2, height / 2]}, "faces": faces,
    }
    return {"cells": finder.last, "crops": np.stack(cut), "answers": answers.astype(np.float32)}, told


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", help="ONNX file of assemble")
    parser.add_argument("--faces", type=int, default=4, help="how many places are kept")
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    image = drawn()
    arrays, told = numbers(options.model, image, options.faces)
    (options.out / "picture.ppm").write_bytes(b"P6\n%d %d\n255\n" % (WIDTH, HEIGHT) + image.tobytes())
    for name, values in arrays.items():
        np.save(options.out / f"{name}.npy", values)
    (options.out / "golden.json").write_text(json.dumps(told, indent=1) + "\n")
    print(f"{len(told['faces'])} places of {options.model} in {options.out}")


if __name__ == "__main__":
    main()
