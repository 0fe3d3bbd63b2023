"""The network, in the key layout of the official checkpoints, with every width a parameter.

ResNet-18 body, feature pyramid, region proposal head with three anchors per location, and
two heads on 7x7 pooled features: face or not, and the pose. The pose head's twelve outputs
are six per class; only the last six, those of the class "face", are used.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from torchvision.models.detection.faster_rcnn import TwoMLPHead
from torchvision.models.resnet import BasicBlock
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

POOLED = 7
"""Side of the pooled feature map of a proposal."""


@dataclass(frozen=True)
class Widths:
    """Channels of the body's four stages, of the pyramid, of the heads, of the pose head's middle."""

    body: tuple = (32, 64, 128, 256)
    pyramid: int = 64
    head: int = 256
    pose: int = 128

    @classmethod
    def of(cls, state):
        """Widths of a state dictionary (keys without `module.`)."""
        return cls(
            tuple(len(state[f"backbone.body.layer{i}.0.conv1.weight"]) for i in range(1, 5)),
            len(state["rpn.head.conv.weight"]),
            len(state["roi_heads.class_head.fc6.weight"]),
            len(state["roi_heads.box_predictor.dof_pred.0.weight"]),
        )


SLIM = Widths()
TINY = Widths((16, 24, 48, 96), 32, 96, 64)
OFFICIAL = Widths((64, 128, 256, 512), 256, 1024, 256)
PRESETS = {"slim": SLIM, "tiny": TINY, "official": OFFICIAL}


def bfloat16(device="cpu"):
    """Context in which convolutions and linear layers compute in bfloat16, if that is faster: a processor before AVX-512
    has no instructions for it and takes many times as long."""
    slow = device == "cpu" and not torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return torch.autocast(device, torch.bfloat16, enabled=not slow)


class Body(nn.Module):
    """ResNet-18 without its classifier; forward returns the four stages' outputs."""

    def __init__(self, widths):
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        before = widths[0]
        for stage, width in enumerate(widths, 1):
            stride = 1 if stage == 1 else 2
            shortcut = None
            if stride != 1 or before != width:
                shortcut = nn.Sequential(
                    nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width)
                )
            blocks = nn.Sequential(
                BasicBlock(before, width, stride, shortcut), BasicBlock(width, width)
            )
            setattr(self, f"layer{stage}", blocks)
            before = width
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images):
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        stages = {}
        for i in range(4):
            x = getattr(self, f"layer{i + 1}")(x)
            stages[str(i)] = x
        return stages


class Backbone(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.body = Body(widths.body)
        self.fpn = FeaturePyramidNetwork(list(widths.body), widths.pyramid, LastLevelMaxPool())

    def forward(self, images):
        return list(self.fpn(self.body(images)).values())


class ProposalHead(nn.Module):
    """Objectness and box deltas of every anchor, in the order (row, column, ratio)."""

    def __init__(self, width, anchors=3):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, 1, 1)
        self.cls_logits = nn.Conv2d(width, anchors, 1)
        self.bbox_pred = nn.Conv2d(width, 4 * anchors, 1)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        for layer in (self.cls_logits, self.bbox_pred):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        # Faces are rare among anchors: start near their share, as focal loss wants.
        nn.init.constant_(self.cls_logits.bias, -4.0)

    def forward(self, levels):
        """Levels [B, C, h, w] to logits [B, A] and deltas [B, A, 4] over all levels."""
        logits, deltas = [], []
        for level in levels:
            hidden = functional.relu(self.conv(level))
            logits.append(self.cls_logits(hidden).permute(0, 2, 3, 1).flatten(1))
            deltas.append(
                self.bbox_pred(hidden).permute(0, 2, 3, 1).reshape(len(level), -1, 4)
            )
        return torch.cat(logits, 1).float(), torch.cat(deltas, 1).float()


class PosePredictor(nn.Module):
    def __init__(self, head, middle):
        super().__init__()
        self.dof_pred = nn.Sequential(
            nn.Linear(head, middle), nn.BatchNorm1d(middle), nn.ReLU(), nn.Linear(middle, 12)
        )

    def forward(self, features):
        """Normalised poses [N, 6] of the class "face"."""
        return self.dof_pred(features)[:, 6:]


class ClassPredictor(nn.Module):
    def __init__(self, head):
        super().__init__()
        self.cls_score = nn.Linear(head, 2)

    def forward(self, features):
        return self.cls_score(features)


class RoiHeads(nn.Module):
    def __init__(self, widths):
        super().__init__()
        pooled = widths.pyramid * POOLED * POOLED
        self.box_head = TwoMLPHead(pooled, widths.head)
        self.box_predictor = PosePredictor(widths.head, widths.pose)
        self.class_head = TwoMLPHead(pooled, widths.head)
        self.class_predictor = ClassPredictor(widths.head)


class Network(nn.Module):
    """All modules under the official names; the training loop and the detector call them in turn."""

    def __init__(self, widths=SLIM):
        super().__init__()
        self.widths = widths
        self.backbone = Backbone(widths)
        self.rpn = nn.Module()
        self.rpn.head = ProposalHead(widths.pyramid)
        self.roi_heads = RoiHeads(widths)

    def freeze_statistics(self):
        """Batch norms use their running statistics and leave them alone; scale and shift still learn."""
        for module in self.modules():
            if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm1d)):
                module.eval()
