"""How far the whole ONNX file is from finder and look with the detector's crops: `python -m img2pose_train.deviation --help`.

The file of `assemble`, run by plain ONNX Runtime, cuts its crops from the network's image inside the graph; a detector cuts them from the
original picture (here: `find_and_look` in PyTorch). Both see the held-out photos of a pack. Printed are how many faces both
find, and by how many degrees their fitted poses differ.
"""

import argparse
import json

import cv2
import numpy as np
import onnxruntime
import torch

from . import geometry
from .detect import network_size
from .find_and_look import NMS, find
from .finder import network as finder_network
from .finder import train as finder_train
from .look import fit
from .look import train as look_train
from .look.answer import Looker
from .metrics import iou
from .pack import Labels, Photos, whole


class WholeFile:
    """The file of `assemble` in plain ONNX Runtime."""

    def __init__(self, path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        contract = json.loads(self.session.get_modelmeta().custom_metadata_map["img2pose"])
        self.min_size, self.floor = contract["min_size"], contract["score_floor"]
        self.names = [o.name for o in self.session.get_outputs()]

    def __call__(self, image):
        """Dictionary of the outputs for one RGB picture, points and squares in its pixels."""
        height, width = network_size(*image.shape[:2], self.min_size)
        # Resized as `find` does it, so that nothing but the crops differs.
        x = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))[None]).float()
        x = torch.nn.functional.interpolate(x, size=(height, width), mode="bilinear", align_corners=False, antialias=True)
        padded = np.full((1, 3, -(-height // 32) * 32, -(-width // 32) * 32), finder_network.MEAN, np.float32)
        padded[:, :, :height, :width] = x.numpy()
        out = dict(zip(self.names, self.session.run(self.names, {"images": (padded - finder_network.MEAN) / finder_network.SCALE})))
        k = np.array([image.shape[1] / width, image.shape[0] / height])
        out["points"] = (out["points"].astype(float) + 0.5) * k - 0.5
        return out


def compare(whole_file, finder, looker, image):
    """Of one picture: degrees between the poses of the faces that both find [N], sizes of these [N] in pixels, number of those found by
    one alone."""
    theirs = whole_file(image)
    squares, _, _ = find(finder, image, network_size(*image.shape[:2], whole_file.min_size), min_score=whole_file.floor)
    mine = looker(image, squares).points
    if not len(mine) or not len(theirs["points"]):
        return np.zeros(0), np.zeros(0), len(mine) + len(theirs["points"])
    box = lambda points: np.concatenate([points.min(1), points.max(1)], 1)
    overlap = iou(box(mine)[:, None], box(theirs["points"])[None])
    partner = overlap.argmax(1)
    both = overlap.max(1) > NMS
    if not both.any():
        return np.zeros(0), np.zeros(0), len(mine) + len(theirs["points"])
    apart = geometry.rotation_angle(fit.solve(mine[both])[0], fit.solve(theirs["points"][partner[both]])[0])
    return apart, np.array([s.side for s, b in zip(squares, both) if b]), int((~both).sum()) + len(theirs["points"]) - len(set(partner[both]))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", help="ONNX file of assemble")
    parser.add_argument("--finder", required=True, help="the weights that it was assembled from")
    parser.add_argument("--look", required=True)
    parser.add_argument("--pack", required=True)
    parser.add_argument("--labels", required=True)
    parser.add_argument("--most", type=int, default=150, help="photos")
    parser.add_argument("--out")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    finder = finder_train.load_weights(options.finder).eval().to(memory_format=torch.channels_last)
    file, looker = WholeFile(options.file), Looker(look_train.load_weights(options.look))
    photos, labels = Photos(options.pack), Labels.load(options.labels)
    apart, size, alone = [], [], 0
    for i in np.nonzero(labels.held_out)[0][: options.most]:
        a, s, n = compare(file, finder, looker, photos.read(i))
        apart, size, alone = [*apart, *a], [*size, *s], alone + n
    apart, size = np.array(apart), np.array(size)
    result = {"faces that both find": len(apart), "found by one alone": alone}
    for name, inside in {"all": size > 0, "below 32 pixels": size < 32, "32 to 100": (size >= 32) & (size < 100), "100 and more": size >= 100}.items():
        if inside.any():
            result[f"degrees apart, {name}: median, 95 %"] = [round(float(v), 2) for v in np.percentile(apart[inside], (50, 95))]
    text = json.dumps(result, indent=1)
    print(text)
    if options.out:
        with whole(options.out) as path:
            path.write_text(text + "\n")


if __name__ == "__main__":
    main()
