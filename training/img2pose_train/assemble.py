"""Finder and close look in one ONNX file: `python -m img2pose_train.assemble --help`.

The file runs end to end in plain ONNX Runtime: a picture in, faces out; the crops are sampled from the network's image
inside the graph. A detector that has the original frame runs the parts by themselves, between the tensors named here, and
cuts better crops from the frame.

| tensor | type, shape | what |
|---|---|---|
| `images` (input) | f32 [batch, 3, height, width] | RGB frames, (value - 127.5) / 64, sides multiples of 32, padded with 0 right and bottom |
| `cells` | f32 [batch, 7, cells] | the finder's answers (`finder.network`) |
| `crops` | f32 [n, 3, 112, 112] | upright crops of the faces found, as `images` |
| `answers` | f32 [n, 144] | the close look's answers (`look.network`) |
| `frames` (output) | i64 [n] | index in the batch of each face |
| `found` (output) | f32 [n] | the finder's score |
| `squares` (output) | f32 [n, 4] | upright squares in pixels of the image: middle, side, angle (radians, clockwise) |
| `points` (output) | f32 [n, 68, 2] | landmarks in pixels of the image |
| `rotations` (output) | f32 [n, 3, 3] | the direct answer, in the camera of the face's own box |
| `presence` (output) | f32 [n] | whether the close look sees a face |
| `sigma` (output) | f32 [n] | degrees: the rotation of the points is off by no more than this in 68.3 % of the cases (`look.reliability`) |

`images -> cells` is the finder, `crops -> answers` the close look; nothing of one depends on the other's inside. The whole contract
stands in `training/contract.md`.
"""

import argparse
import io
import json
import math
from pathlib import Path

import onnx
import torch
from onnx import compose
from torch import nn
from torchvision.ops import nms

from . import geometry
from .checkpoint import fingerprint
from .finder import network as finder_network
from .finder import train as finder_train
from .look import crops
from .look import network as look_network
from .look import reliability
from .look import train as look_train
from .pack import whole

CONTRACT_VERSION = 2
METADATA_KEY = "img2pose"
OPSET = 17
SCORE_FLOOR = 0.2
"""Of the finder, in the outputs of the whole file."""
NMS = 0.5


class Crops(nn.Module):
    """From `images` and `cells` to the crops of the faces found, and where they are."""

    def forward(self, images, cells):
        batch, height, width = images.shape[0], images.shape[2], images.shape[3]
        middles, strides = grid_of(height, width, images)
        logits, centre, size, turn = finder_network.decode(cells, middles, strides)
        score = torch.sigmoid(logits)
        index = torch.nonzero(score > SCORE_FLOOR)
        frame, cell = index[:, 0], index[:, 1]
        score, centre, size, turn = score[frame, cell], centre[frame, cell], size[frame, cell], turn[frame, cell]
        c, s = turn[:, 0].abs(), turn[:, 1].abs()
        half = torch.stack([c * size[:, 0] + s * size[:, 1], s * size[:, 0] + c * size[:, 1]], 1) / 2
        # Faces of different frames never meet.
        apart = (frame.to(centre.dtype) * 100_000)[:, None]
        kept = nms(torch.cat([centre - half, centre + half], 1) + apart, score, NMS)
        frame, score, centre, turn = frame[kept], score[kept], centre[kept], turn[kept]
        side = size[kept].max(1)[0]
        step = (torch.arange(crops.SIDE, dtype=images.dtype) - (crops.SIDE - 1) / 2) * (crops.MARGIN / crops.SIDE)
        x, y = step[None, None, :] * side[:, None, None], step[None, :, None] * side[:, None, None]
        cos, sin = turn[:, 0, None, None], turn[:, 1, None, None]
        px, py = centre[:, 0, None, None] + cos * x - sin * y, centre[:, 1, None, None] + sin * x + cos * y
        grid = torch.stack([(2 * px + 1) / width - 1, (2 * py + 1) / height - 1], -1)
        cut = nn.functional.grid_sample(images[frame], grid, mode="bilinear", padding_mode="border", align_corners=False)
        angle = torch.atan(turn[:, 1] / turn[:, 0]) + math.pi * (turn[:, 0] < 0).to(side.dtype) * torch.where(turn[:, 1] < 0, -1.0, 1.0)
        return cut, frame, score, torch.cat([centre, side[:, None], angle[:, None]], 1)


def grid_of(height, width, like):
    """`finder.network.cells` for sides that are only known when the graph runs."""
    middles, strides = [], []
    for stride in finder_network.STRIDES:
        rows, columns = torch.arange(height // stride), torch.arange(width // stride)
        y = rows[:, None] * torch.ones_like(columns)[None]
        x = torch.ones_like(rows)[:, None] * columns[None]
        middle = (torch.stack([x, y], -1).reshape(-1, 2).to(like.dtype) + 0.5) * stride - 0.5
        middles.append(middle)
        strides.append(torch.zeros_like(middle[:, 0]) + stride)
    return torch.cat(middles), torch.cat(strides)


class Meaning(nn.Module):
    """From `answers` and `squares` to what they mean in the picture; sigma: (a, b) of `look.reliability`."""

    def __init__(self, sigma):
        super().__init__()
        self.a, self.b = sigma

    def forward(self, answers, squares):
        parts = answers[:, look_network.POINTS].reshape(-1, 68, 2) * (crops.MARGIN * squares[:, 2, None, None])
        cos, sin = torch.cos(squares[:, 3, None]), torch.sin(squares[:, 3, None])
        x = squares[:, 0, None] + cos * parts[..., 0] - sin * parts[..., 1]
        y = squares[:, 1, None] + sin * parts[..., 0] + cos * parts[..., 1]
        six = answers[:, look_network.ROTATION]
        a = six[:, :3] / six[:, :3].norm(dim=1, keepdim=True)
        b = six[:, 3:] - (a * six[:, 3:]).sum(1, keepdim=True) * a
        b = b / b.norm(dim=1, keepdim=True)
        third = torch.stack([a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1], a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2], a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]], 1)
        upright = torch.stack([a, b, third], 2)
        zero, one = torch.zeros_like(cos[:, 0]), torch.ones_like(cos[:, 0])
        turn = torch.stack([cos[:, 0], -sin[:, 0], zero, sin[:, 0], cos[:, 0], zero, zero, zero, one], 1).reshape(-1, 3, 3)
        spread = answers[:, look_network.SPREAD] + math.log(180 / math.pi)
        sigma = torch.exp(self.a + self.b * spread)
        return torch.stack([x, y], 2), torch.matmul(turn, upright), torch.sigmoid(answers[:, look_network.PRESENCE]), sigma


def graph_of(module, inputs, names, outputs, dynamic):
    """The ONNX model of a module."""
    buffer = io.BytesIO()
    torch.onnx.export(
        module.eval(), inputs, buffer, input_names=names, output_names=outputs, dynamic_axes=dynamic, opset_version=OPSET, dynamo=False
    )
    return _with_own_weights(onnx.load_from_string(buffer.getvalue()))


def _with_own_weights(model):
    """The model without names for names: the exporter keeps one of several equal weights and calls it by the others' names, and a
    quantized weight is not recognised behind such a name."""
    weights = {t.name for t in model.graph.initializer}
    alias = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "Identity" and n.input[0] in weights}
    nodes = [n for n in model.graph.node if n.output[0] not in alias]
    for node in nodes:
        node.input[:] = [alias.get(name, name) for name in node.input]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def assemble(finder, look, facts, sigma=(0.0, 1.0)):
    """The file (`onnx.ModelProto`) of both networks; facts: what the metadata say beside what is known here; sigma: (a, b) of
    `look.reliability`."""
    image = {0: "batch", 2: "height", 3: "width"}
    frames, faces = torch.zeros(2, 3, 96, 128), torch.zeros(3, 3, crops.SIDE, crops.SIDE)
    # Something must be found while the graph is recorded.
    cells = torch.zeros(2, finder_network.OUTPUTS, len(finder_network.cells(96, 128)[0]))
    cells[:, 0], cells[:, 5] = 1, 1
    n = lambda *names: {name: {0: "n"} for name in names}
    parts = [
        ("find", graph_of(finder, (frames,), ["images"], ["cells"], {"images": image, "cells": {0: "batch", 2: "cells"}})),
        ("cut", graph_of(Crops(), (frames, cells), ["images", "cells"], ["crops", "frames", "found", "squares"],
                         {"images": image, "cells": {0: "batch", 2: "cells"}} | n("crops", "frames", "found", "squares"))),
        ("look", graph_of(look, (faces,), ["crops"], ["answers"], n("crops", "answers"))),
        ("mean", graph_of(Meaning(sigma), (torch.randn(3, look_network.OUTPUTS), torch.rand(3, 4)), ["answers", "squares"],
                          ["points", "rotations", "presence", "sigma"],
                          n("answers", "squares", "points", "rotations", "presence", "sigma"))),
    ]
    cut_points = {"images", "cells", "crops", "answers", "frames", "found", "squares", "points", "rotations", "presence", "sigma"}
    model, seen = onnx.ModelProto(), set()
    model.CopyFrom(parts[0][1])
    del model.graph.node[:], model.graph.initializer[:], model.graph.output[:], model.graph.value_info[:]
    for prefix, part in parts:
        part = compose.add_prefix(part, f"{prefix}/")
        renamed = {f"{prefix}/{name}": name for name in cut_points}
        for node in part.graph.node:
            node.input[:] = [renamed.get(name, name) for name in node.input]
            node.output[:] = [renamed.get(name, name) for name in node.output]
        model.graph.node.extend(part.graph.node)
        model.graph.initializer.extend(part.graph.initializer)
        for value in part.graph.output:
            value.name = renamed[value.name]
            target = model.graph.value_info if value.name in ("cells", "crops", "answers") else model.graph.output
            if value.name not in seen:
                seen.add(value.name)
                target.append(value)
    model.graph.name = "img2pose-find-and-look"
    contract = {
        "contract_version": CONTRACT_VERSION, "architecture": "find-and-look", "size_divisor": 32,
        "image_mean": [finder_network.MEAN / 255] * 3, "image_std": [finder_network.SCALE / 255] * 3,
        "parts": {"find": {"input": "images", "output": "cells"}, "look": {"input": "crops", "output": "answers"}},
        "strides": list(finder_network.STRIDES), "unit": finder_network.UNIT, "crop_side": crops.SIDE, "crop_margin": crops.MARGIN,
        "sigma": {"a": sigma[0], "b": sigma[1], "share": reliability.SHARE}, "score_floor": SCORE_FLOOR, "nms_threshold": NMS, "bbox_x_factor": 1.1, "bbox_y_factor": 1.1, "expand_forehead": 0.3,
        "reference_points": geometry.REFERENCE_68.round(7).tolist(), **facts,
    }
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(contract)})
    onnx.checker.check_model(model)
    return model


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--finder", required=True)
    parser.add_argument("--look", required=True)
    parser.add_argument("--min-size", type=int, default=360, help="short side of the network's image")
    parser.add_argument("--max-size", type=int, default=1400)
    parser.add_argument("--sigma", type=float, nargs=2, default=[0.0, 1.0], metavar=("A", "B"),
                        help="log(sigma) = A + B log(spread), as look.reliability finds them")
    parser.add_argument("--looks", type=int, choices=(1, 2), default=2,
                        help="how often a detector looks at each face; the second time at its own square and that one's mirror image")
    parser.add_argument("--licence", required=True, type=Path, help="file with the licence of the weights")
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args(argv)
    facts = {
        "min_size": options.min_size, "max_size": options.max_size, "licence": options.licence.read_text(),
        "source_sha256": {"finder": fingerprint(options.finder), "look": fingerprint(options.look)},
    }
    if options.looks > 1:
        facts["second_look"] = {"mirrored": True}
    model = assemble(finder_train.load_weights(options.finder), look_train.load_weights(options.look), facts, tuple(options.sigma))
    with whole(options.out) as path:
        onnx.save(model, path)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
