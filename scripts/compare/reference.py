"""Runs the reference Python implementation on picture files and prints what it found and how long it took, as JSON.

The network is put together from the checkout's own parts (its detector, proposal network and post-processing), with the
widths that the checkpoint's shapes say, so that slim checkpoints run through the same code as the published ones.
"""

import argparse
import json
import pathlib
import platform
import re
import sys
import time

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import TwoMLPHead
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from torchvision.ops.misc import FrozenBatchNorm2d


def read_checkpoint(path):
    """The tensors by the names that this torchvision uses: without `module.`, each FPN convolution in a block."""
    tensors = torch.load(path, map_location="cpu", weights_only=True)["fpn_model"]
    names = ((name.removeprefix("module."), tensor) for name, tensor in tensors.items())
    spelling = re.compile(r"(fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$")
    return {spelling.sub(r"\1.0.\2", name): tensor for name, tensor in names}


class Body(ResNet):
    """A ResNet whose depth and widths are those of the tensors."""

    def __init__(self, tensors, eps):
        prefix = "backbone.body."
        stem = tensors[f"{prefix}conv1.weight"].shape[0]
        blocks = [len({n.split(".")[3] for n in tensors if n.startswith(f"{prefix}layer{i}.")}) for i in range(1, 5)]
        self.stem = stem
        self.widths = [tensors[f"{prefix}layer{i}.0.conv1.weight"].shape[0] for i in range(1, 5)]
        block = Bottleneck if f"{prefix}layer1.0.conv3.weight" in tensors else BasicBlock
        super().__init__(block, blocks, norm_layer=lambda width: FrozenBatchNorm2d(width, eps=eps))
        self.conv1 = nn.Conv2d(3, stem, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = FrozenBatchNorm2d(stem, eps=eps)
        self.level_widths = [width * block.expansion for width in self.widths]

    def _make_layer(self, block, planes, blocks, stride=1, dilate=False):
        level = {64: 0, 128: 1, 256: 2, 512: 3}[planes]
        if level == 0:
            self.inplanes = self.stem
        return super()._make_layer(block, self.widths[level], blocks, stride, dilate)


class PosePredictor(nn.Module):
    """Linear, batch norm, ReLU, linear, under the name that the checkpoint has."""

    def __init__(self, inputs, hidden, outputs):
        super().__init__()
        self.dof_pred = nn.Sequential(
            nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, outputs)
        )

    def forward(self, features):
        return self.dof_pred(features)


def build(checkout, options):
    sys.path.insert(0, str(checkout))
    import models  # from the checkout

    tensors = read_checkpoint(options.checkpoint)
    body = Body(tensors, options.bn_eps)
    channels = tensors["backbone.fpn.layer_blocks.0.0.weight"].shape[0]
    layers = {f"layer{i}": str(i - 1) for i in range(1, 5)}
    backbone = BackboneWithFPN(body, layers, body.level_widths, channels)
    wide = {
        head: tensors[f"roi_heads.{head}.fc6.weight"].shape[0] for head in ("box_head", "class_head")
    }
    hidden = tensors["roi_heads.box_predictor.dof_pred.0.weight"].shape[0]

    statistics = [np.load(next(options.pose_stats.glob(f"*{kind}*.npy"))) for kind in ("pose_mean", "pose_stddev")]
    points = np.load(checkout / "pose_references" / "reference_3d_68_points_trans.npy")
    network = models.FasterDoFRCNN(
        backbone,
        min_size=options.min_size,
        max_size=options.max_size,
        box_head=TwoMLPHead(channels * 49, wide["box_head"]),
        box_predictor=PosePredictor(wide["box_head"], hidden, 12),
        pose_mean=torch.tensor(statistics[0]),
        pose_stddev=torch.tensor(statistics[1]),
        threed_68_points=torch.tensor(points),
    )
    # The checkout fixes these two at the published width.
    network.roi_heads.class_head = TwoMLPHead(channels * 49, wide["class_head"])
    network.roi_heads.class_predictor = models.FastRCNNClassPredictor(wide["class_head"], 2)
    network.load_state_dict(tensors)
    return network.eval()


def detect(network, picture, threshold):
    """Faces of one RGB picture, best first."""
    tensor = torch.from_numpy(picture).permute(2, 0, 1).float().div(255)
    with torch.no_grad():
        found = network([tensor])[0]
    order = torch.argsort(found["scores"], descending=True, stable=True)
    return [
        {
            "box": found["boxes"][i].tolist(),
            "confidence": found["scores"][i].item(),
            "pose": found["dofs"][i].tolist(),
        }
        for i in order
        if found["scores"][i] >= threshold
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--img2pose", type=pathlib.Path, required=True, help="checkout of the img2pose repository")
    parser.add_argument("--checkpoint", type=pathlib.Path, required=True)
    parser.add_argument("--pose-stats", type=pathlib.Path, required=True, help="folder of pose_mean.npy, pose_stddev.npy")
    parser.add_argument("--min-size", type=int, required=True)
    parser.add_argument("--max-size", type=int, required=True)
    parser.add_argument("--bn-eps", type=float, default=1e-5)
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("pictures", type=pathlib.Path, nargs="+")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    network = build(options.img2pose, options)
    pictures = [np.array(Image.open(path).convert("RGB")) for path in options.pictures]
    detect(network, pictures[0], options.threshold)  # the first run allocates and tunes

    milliseconds, faces = [], []
    for picture in pictures:
        started = time.perf_counter()
        faces.append(detect(network, picture, options.threshold))
        milliseconds.append((time.perf_counter() - started) * 1000)
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
    }
    json.dump({"versions": versions, "milliseconds": milliseconds, "faces": faces}, sys.stdout)


if __name__ == "__main__":
    main()
