"""Processor time of the two parts of a file of `assemble`, on one thread: `python -m img2pose_train.speed --help`.

ONNX Runtime's part of a frame alone, on random pictures: without resizing, cutting crops and fitting. Give several files (32 and 8 bits) to
have them measured in turns.
"""

import argparse
import json
import time

import numpy as np
import torch

from .detect import network_size
from .parts import Part, contract_of


def processor_time(call):
    """Milliseconds of processor time of one call."""
    start = time.process_time()
    call()
    return 1000 * (time.process_time() - start)


def measure(paths, size, faces, rounds):
    """By file and what is run: median and least milliseconds of `rounds`; size: (width, height) of a frame, faces: how many crops at once."""
    calls, rng = {}, np.random.default_rng(1)
    for path in paths:
        contract = contract_of(path)
        height, width = network_size(size[1], size[0], contract["min_size"], contract["max_size"])
        find, look = (Part(path, name, contract) for name in ("find", "look"))
        image = torch.from_numpy(rng.normal(size=(1, 3, -(-height // 32) * 32, -(-width // 32) * 32)).astype(np.float32))
        calls[path, f"find, {image.shape[3]}x{image.shape[2]}"] = lambda part=find, x=image: part(x)
        for n in faces:
            crops = torch.from_numpy(rng.normal(size=(n, 3, contract["crop_side"], contract["crop_side"])).astype(np.float32))
            calls[path, f"look, {n}"] = lambda part=look, x=crops: part(x)
    for call in calls.values():
        call()
    times = {key: [] for key in calls}
    for _ in range(rounds):
        for key, call in calls.items():
            times[key].append(processor_time(call))
    out = {}
    for (path, name), values in times.items():
        out.setdefault(str(path), {})[name] = {"median": round(float(np.median(values)), 2), "least": round(min(values), 2)}
    return out


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("files", nargs="+", help="ONNX files of assemble or of quantize")
    parser.add_argument("--size", default="640x360", help="of a frame, WIDTHxHEIGHT")
    parser.add_argument("--faces", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args(argv)
    width, height = (int(v) for v in options.size.split("x"))
    torch.set_num_threads(1)
    print(json.dumps(measure(options.files, (width, height), options.faces, options.rounds), indent=1))


if __name__ == "__main__":
    main()
