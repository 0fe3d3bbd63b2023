"""Checkpoints in the official layout, and the state a run resumes from.

A checkpoint is `{"fpn_model": {"module." + name: tensor}}` with the 141 names of the official
img2pose layout. Older torchvision called the pyramid's layers `inner_blocks.0.weight` where
it is `inner_blocks.0.0.weight` now; both spellings are read, the newer one is written.

An ONNX file of `img2pose convert` can be read, too. Its batch norms are folded into the layers before them, so
what comes back computes the same, but with batch norms that do nothing: train it with frozen statistics.
"""

import copy
import hashlib
import re
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import nn

from .network import Network, Widths
from .pack import whole

_COUNTER = "num_batches_tracked"


def _torchvision(name):
    return re.sub(r"(fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$", r"\1.0.\2", name)


def official_state(network):
    """The network's tensors on the CPU under the official names.

    Batch norm counters stay out, but for the pose head's, which the layout has."""
    state = {}
    for name, tensor in network.state_dict().items():
        if name.endswith(_COUNTER) and "dof_pred" not in name:
            continue
        tensor = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        state["module." + name] = tensor.float() if tensor.is_floating_point() else tensor
    return state


def _replace(path, value):
    with whole(path) as unfinished:
        torch.save(value, unfinished)


def save(path, network, **information):
    """Write a checkpoint; `information` (steps, commit...) is stored beside the weights."""
    _replace(path, {"fpn_model": official_state(network), "information": information})


def read_state(path):
    """State dictionary of a checkpoint file under torchvision's names. Executes nothing from the file."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    if "fpn_model" not in content:
        raise ValueError(f"{path}: no `fpn_model` in the file, found {sorted(content)}")
    return {_torchvision(name.removeprefix("module.")): t for name, t in content["fpn_model"].items()}


def _batch_norm_of(layer):
    """Name of the batch norm behind a convolution or linear layer, if it has one."""
    changed = re.sub(r"(downsample|dof_pred)\.0$", r"\1.1", re.sub(r"(layer\d\.\d|body)\.conv(\d)$", r"\1.bn\2", layer))
    return changed if changed != layer else None


def unfolded_state(path):
    """State dictionary of an ONNX file of `img2pose convert`, under torchvision's names."""
    stored = {t.name: t for t in onnx.load(path).graph.initializer if t.name.startswith(("backbone.", "rpn.", "roi_heads."))}
    state = {name: torch.from_numpy(numpy_helper.to_array(t).copy()).float() for name, t in stored.items()}
    try:
        network = Network(Widths.of(state))
    except KeyError as error:
        raise ValueError(f"{path}: no weights {error} in it; give a file of img2pose convert, not quantized") from None
    modules = dict(network.named_modules())
    for layer, module in modules.items():
        if isinstance(module, (nn.Conv2d, nn.Linear)) and (norm := _batch_norm_of(layer)):
            if module.bias is None:
                bias = state.pop(layer + ".bias")
            else:  # the layer's own bias and the norm's shift were summed
                bias = torch.zeros(len(module.bias))
            state |= {
                f"{norm}.weight": torch.ones(len(bias)), f"{norm}.bias": bias, f"{norm}.running_mean": torch.zeros(len(bias)),
                f"{norm}.running_var": torch.full([len(bias)], 1 - modules[norm].eps),
            }
    for part in ("weight", "bias"):  # only the six rows of the class "face" are stored
        name = f"roi_heads.box_predictor.dof_pred.3.{part}"
        state[name] = torch.cat([torch.zeros_like(state[name]), state[name]])
    return state


def load(path):
    """Network with the weights and the widths of a checkpoint file or of an ONNX file (see above)."""
    state = unfolded_state(path) if Path(path).suffix == ".onnx" else read_state(path)
    network = Network(Widths.of(state))
    missing, unexpected = network.load_state_dict(state, strict=False)
    missing = [name for name in missing if not name.endswith(_COUNTER)]
    if missing or unexpected:
        raise ValueError(f"{path}: missing {missing[:5]}, unexpected {list(unexpected)[:5]}")
    return network


def fingerprint(path):
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_run(path, network, average, optimizer, step, initial=None):
    """Everything that `load_run` needs to go on after `step` steps; `initial`: fingerprint of the file that the run began with."""
    _replace(path, {
        "network": network.state_dict(), "average": average.state_dict(),
        "optimizer": optimizer.state_dict(), "step": step,
        "initial": initial,
    })


def load_run(path, network, average, optimizer, initial=None):
    """Restore a run; returns the number of steps done. Fails when it is one that began elsewhere than `initial` (a fingerprint)."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    began = content.get("initial")
    if began != initial:
        told = lambda start: f"another file (SHA-256 {start[:12]}...)" if start else "random weights"
        raise ValueError(f"{path} is of a run that began with {told(began)}; give another --out")
    network.load_state_dict(content["network"])
    average.load_state_dict(content["average"])
    optimizer.load_state_dict(content["optimizer"])
    return content["step"]


class MovingAverage:
    """Exponential moving average of a network's parameters and statistics.

    Early on the decay is (1 + n) / (10 + n), so that the start is forgotten."""

    def __init__(self, network, decay):
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self, network):
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for mine, theirs in zip(self.network.state_dict().values(), network.state_dict().values()):
            if mine.is_floating_point():
                mine.lerp_(theirs, 1 - decay)
            else:
                mine.copy_(theirs)

    def state_dict(self):
        return {"network": self.network.state_dict(), "updates": self.updates}

    def load_state_dict(self, state):
        self.network.load_state_dict(state["network"])
        self.updates = state["updates"]


def save_half(path, kind, network, **information):
    """Weights in half precision under the name `kind`, which is all that is needed to go on or to export, and what made them."""
    state = {name: t.half() if t.is_floating_point() else t for name, t in network.state_dict().items()}
    with whole(path) as unfinished:
        torch.save({kind: state, "information": information}, unfinished)


def load_half(path, kind, network):
    """`network` with the weights of `save_half`."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    if kind not in content:
        raise ValueError(f"{path}: no `{kind}` in the file, found {sorted(content)}; give a file of img2pose_train.{kind}.train")
    network.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in content[kind].items()})
    return network
