"""Bring an ONNX file to 8-bit integers: `python -m img2pose_train.quantize --help`.

The convolutions (backbone, pyramid, the shared layer of the proposals) and the class head compute in 8 bits with a scale for each
output channel of a weight; what decides the last digits stays in 32 bits: logits and box deltas of the proposals, the last
matrix of the class head, and the pose head, which only sees the few regions with a face (of finder and close look: their
last layers, and what is small at the close look's beginning and end). The ranges of the activations
are those seen on calibration photos: ordinary ones, best a few hundred. Names, outputs and metadata stay, so the file runs
wherever the original did; it is faster where the runtime has 8-bit kernels.
"""

import argparse
import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from .clutter import PHOTO_SUFFIXES, files
from .pack import Labels, Photos, whole

METADATA_KEY = "img2pose"
DENSE_OUTPUTS = [f"features_{i}" for i in range(4)] + [f"{n}_{i}" for n in ("objectness", "deltas") for i in range(5)]
IN_8_BITS = ("Conv", "Relu", "Add", "MaxPool", "Resize", "Gemm")
IN_32_BITS = (
    "rpn.head.cls_logits", "rpn.head.bbox_pred", "class_score", "find//out",
    # Of the close look what is small, first and last: it halves how far poses are off, and takes no more time.
    "look//body/body.0/", "look//body/body.1/", "look//body/body.7/", "look//pool/", "look//head",
)
"""Starts of the names of nodes that are left alone."""


class Feeds(CalibrationDataReader):
    """Hands the quantizer one input after the other."""

    def __init__(self, feeds):
        self.feeds = iter(feeds)

    def get_next(self):
        return next(self.feeds, None)


def network_inputs(photo, contract):
    """`images` and `image_size` of an RGB photo [h, w, 3] of uint8, as the model's contract (a dict) has them."""
    height, width = photo.shape[:2]
    scale = min(contract["min_size"] / min(height, width), contract["max_size"] / max(height, width))
    size = int(height * scale), int(width * scale)
    resized = cv2.resize(photo, size[::-1], interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255
    step = contract["size_divisor"]
    padded = np.zeros((-(-size[0] // step) * step, -(-size[1] // step) * step, 3), np.float32)
    padded[: size[0], : size[1]] = (resized - np.float32(contract["image_mean"])) / np.float32(contract["image_std"])
    return {"images": padded.transpose(2, 0, 1)[None].copy(), "image_size": np.array(size, np.int64)}


def quantize(model, photos, folder):
    """The ONNX model (a `ModelProto` that keeps the contract) in 8 bits.

    `photos`: a list of RGB arrays [h, w, 3] of uint8 to calibrate on. `folder`: for files in between. Fails with a `ValueError`
    when the model is none of ours or quantized already.
    """
    contract = next((json.loads(p.value) for p in model.metadata_props if p.key == METADATA_KEY), None)
    if contract is None:
        raise ValueError(f"the model has no metadata '{METADATA_KEY}'; make it with img2pose convert")
    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise ValueError("the model is quantized already; start from the one in 32 bits")
    if not photos:
        raise ValueError("there is no photo to calibrate on")
    inputs = [network_inputs(photo, contract) for photo in photos]
    if contract.get("architecture") == "find-and-look":
        return _quantized_pair(model, contract["parts"], [feed["images"] for feed in inputs], folder)
    pooled = _pooled(model, inputs)
    dense = _quantized_part(
        model, ["images"], DENSE_OUTPUTS, ({"images": feed["images"]} for feed in inputs), folder / "dense.onnx")
    head = _quantized_part(
        model, ["roi_features"], ["class_scores"], ({"roi_features": p} for p in pooled), folder / "head.onnx")
    return _with_one_predictor(_put_back(model, [dense, head]))


def _quantized_pair(model, parts, images, folder):
    """Finder and close look in 8 bits but for their last layers; the close look is calibrated on the crops that the finder finds."""
    cut = [crop[None] for crops in _watched(model, parts["look"]["input"], ({"images": x} for x in images)) for crop in crops]
    if not cut:
        raise ValueError("the finder finds no face in the photos to calibrate on; give photos of people")
    feeds = {"find": images, "look": cut}
    return _put_back(model, [
        _quantized_part(model, [part["input"]], [part["output"]], ({part["input"]: x} for x in feeds[name]), folder / f"{name}.onnx")
        for name, part in parts.items()
    ])


def _watched(model, name, feeds):
    """The tensor `name` for each of the feeds."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = onnxruntime.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    for feed in feeds:
        yield session.run([name], feed)[0]


def _pooled(model, inputs):
    """Pooled features of the proposals [p, channels, 7, 7], one array a photo."""
    return _watched(model, "roi_features", inputs)


def _quantized_part(model, inputs, outputs, feeds, path):
    """The part of the model from `inputs` to `outputs`, and itself in 8 bits."""
    # The extraction wants types of the tensors that it cuts at.
    typed = onnx.ModelProto()
    typed.CopyFrom(model)
    known = {value.name for value in [*typed.graph.input, *typed.graph.output, *typed.graph.value_info]}
    for name in {*inputs, *outputs} - known:
        typed.graph.value_info.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    part = onnx.utils.Extractor(typed).extract_model(inputs, outputs)
    onnx.save(part, path)
    nodes = [n.name for n in part.graph.node if n.op_type in IN_8_BITS and not n.name.startswith(IN_32_BITS)]
    eight = path.with_suffix(".int8.onnx")
    # Weights take 7 of the 8 bits: processors without 8-bit dot products (before AVX-512 VNNI) add products in 16 bits,
    # where two full ones overflow.
    quantize_static(
        path, eight, Feeds(feeds), quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True,
        nodes_to_quantize=nodes, op_types_to_quantize=list(IN_8_BITS), activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8)
    return part, onnx.load(eight)


def _with_graph(model, nodes, weights):
    """The model with other nodes and weights, checked."""
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    for field, values in ((whole.graph.node, nodes), (whole.graph.initializer, weights)):
        values = list(values)
        del field[:]
        field.extend(values)
    onnx.checker.check_model(whole)
    return whole


def _put_back(model, parts):
    """The model with each part (old, new) exchanged, at the place of its first node."""
    part_of = {node.name: i for i, (old, _) in enumerate(parts) for node in old.graph.node}
    nodes, done = [], set()
    for node in model.graph.node:
        part = part_of.get(node.name)
        if part is None:
            nodes.append(node)
        elif part not in done:
            done.add(part)
            nodes.extend(parts[part][1].graph.node)
    # A quantized weight is made by a node, under the name that the weight had.
    used = {name for node in nodes for name in node.input} - {name for node in nodes for name in node.output}
    weights = {t.name: t for _, new in parts for t in new.graph.initializer}
    weights |= {t.name: t for t in model.graph.initializer if t.name in used and t.name not in weights}
    return _with_graph(model, nodes, weights.values())


def _with_one_predictor(model):
    """The model with logits and box deltas of a level made by one convolution.

    They are in 32 bits; two of them would each bring the level's features back from 8 bits. The numbers are the same.
    """
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    logits, deltas = "rpn.head.cls_logits", "rpn.head.bbox_pred"
    joined = {
        f"rpn.head.predictor.{part}": np.concatenate([weights[f"{logits}.{part}"], weights[f"{deltas}.{part}"]])
        for part in ("weight", "bias")
    } | {"constant_predictor_split": np.array([len(weights[f"{logits}.bias"]), len(weights[f"{deltas}.bias"])])}
    second = {node.name: node for node in model.graph.node if node.name.startswith(deltas)}
    nodes = []
    for node in model.graph.node:
        if node.name in second:
            continue
        if node.name.startswith(logits):
            level = node.name.removeprefix(logits)
            outputs = [node.output[0], second[deltas + level].output[0]]
            node.name, node.output[0] = f"rpn.head.predictor{level}", f"rpn.head.predictor{level}:0"
            node.input[1:] = ["rpn.head.predictor.weight", "rpn.head.predictor.bias"]
            split = [node.output[0], "constant_predictor_split"]
            nodes += [node, onnx.helper.make_node("Split", split, outputs, f"rpn.head.split{level}", axis=1)]
        else:
            nodes.append(node)
    kept = [t for t in model.graph.initializer if not t.name.startswith((logits, deltas))]
    kept += [onnx.numpy_helper.from_array(values, name) for name, values in joined.items()]
    return _with_graph(model, nodes, kept)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", help="ONNX file in 32 or 16 bits (from img2pose convert)")
    parser.add_argument("--out", required=True, type=Path, help="ONNX file to write")
    parser.add_argument("--photos", nargs="+", help="folders with photos to calibrate on")
    parser.add_argument("--pack", help="a pack in place of photos (from img2pose_train.prepare)")
    parser.add_argument("--labels", help="its labels (from img2pose_train.refine); held-out photos are left out")
    parser.add_argument("--count", type=int, default=256, help="photos to use, at most")
    parser.add_argument("--seed", type=int, default=1, help="which are chosen")
    options = parser.parse_args()
    if not options.photos and not (options.pack and options.labels):
        parser.error("give --photos, or --pack with --labels")
    try:
        photos = _photos(options)
        with tempfile.TemporaryDirectory() as folder:
            model = quantize(onnx.load(options.model), photos, Path(folder))
    except (ValueError, OSError, DecodeError) as reason:
        parser.exit(1, f"{options.model} was not quantized: {reason}\n")
    with whole(options.out) as path:
        onnx.save(model, path)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB, calibrated on {len(photos)} photos")


def _photos(options):
    """The photos to calibrate on, RGB [h, w, 3]."""
    random = np.random.default_rng(options.seed)
    if not options.photos:
        usable = np.flatnonzero(~Labels.load(options.labels).held_out)
        pack = Photos(options.pack)
        return [pack.read(i) for i in random.permutation(usable)[: options.count]]
    photos = []
    for path in random.permutation(files(options.photos, PHOTO_SUFFIXES))[: options.count]:
        photo = cv2.imread(str(path))
        if photo is None:
            raise ValueError(f"{path} is no photo that can be read")
        photos.append(photo[:, :, ::-1])
    return photos


if __name__ == "__main__":
    main()
