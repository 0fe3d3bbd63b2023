"""Finder and close look of an ONNX file of `assemble` (in 32 or 8 bits) by themselves, in plain ONNX Runtime on the processor."""

import json

import numpy as np
import onnx
import onnxruntime
import torch

from .assemble import METADATA_KEY


def contract_of(path):
    """Metadata of a model file of this project (a dictionary); a `ValueError` where it has none."""
    found = next((json.loads(p.value) for p in onnx.load(path).metadata_props if p.key == METADATA_KEY), None)
    if found is None:
        raise ValueError(f"{path} has no metadata '{METADATA_KEY}'; give a file of img2pose convert or img2pose_train.assemble")
    return found


class Part:
    """A part (`find` or `look`) of the file with this contract, called like a network; `last` is what it answered."""

    def __init__(self, path, name, contract):
        ends = contract["parts"][name]
        model = onnx.utils.Extractor(onnx.load(path)).extract_model([ends["input"]], [ends["output"]])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self.input = ends["input"]

    def __call__(self, x):
        self.last = self.session.run(None, {self.input: np.ascontiguousarray(x.numpy())})[0]
        return torch.from_numpy(self.last)
