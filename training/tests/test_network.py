import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torchvision.ops import MultiScaleRoIAlign

from img2pose_train import checkpoint
from img2pose_train.anchors import decode, encode, image_anchors, match
from img2pose_train.detect import detect
from img2pose_train.network import OFFICIAL, SLIM, TINY, Network
from img2pose_train.quantize import network_inputs
from img2pose_train.roi_align import roi_align

ROOT = Path(__file__).parents[2]


def test_the_official_widths_give_the_official_layout():
    state = checkpoint.official_state(Network(OFFICIAL))
    assert len(state) == 141
    assert state["module.backbone.body.layer4.1.conv2.weight"].shape == (512, 512, 3, 3)
    assert state["module.backbone.fpn.inner_blocks.3.0.weight"].shape == (256, 512, 1, 1)
    assert state["module.roi_heads.box_head.fc6.weight"].shape == (1024, 256 * 49)
    assert state["module.roi_heads.box_predictor.dof_pred.3.weight"].shape == (12, 256)
    assert state["module.rpn.head.bbox_pred.weight"].shape == (12, 256, 1, 1)


def test_checkpoints_keep_weights_and_widths(tmp_path):
    network = Network(TINY)
    checkpoint.save(tmp_path / "a.pth", network, steps=3)
    loaded = checkpoint.load(tmp_path / "a.pth")
    assert loaded.widths == TINY
    for mine, theirs in zip(network.parameters(), loaded.parameters()):
        assert torch.equal(mine, theirs)


def test_the_old_spelling_of_the_pyramid_is_read(tmp_path):
    network = Network(TINY)
    state = checkpoint.official_state(network)
    old = {name.replace("_blocks.0.0.", "_blocks.0."): t for name, t in state.items()}
    assert old.keys() != state.keys()
    torch.save({"fpn_model": old}, tmp_path / "old.pth")
    loaded = checkpoint.load(tmp_path / "old.pth")
    assert torch.equal(
        loaded.backbone.fpn.inner_blocks[0][0].weight, network.backbone.fpn.inner_blocks[0][0].weight
    )


def test_an_onnx_file_gives_back_the_network_it_was_made_of():
    model = ROOT / "models/img2pose-slim.onnx"
    image = cv2.imread(str(ROOT / "docs/pictures/faces-group.jpg"))[:, :, ::-1]
    found = detect(checkpoint.load(model).eval(), image)
    contract = json.loads({p.key: p.value for p in onnx.load(model).metadata_props}["img2pose"])
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    boxes, scores, poses, _ = session.run(None, network_inputs(image, contract))
    order, expected = np.argsort(-found.score), np.argsort(-scores)
    count = int((scores > 0.3).sum())
    assert count >= 5
    order, expected = order[:count], expected[:count]
    np.testing.assert_allclose(found.score[order], scores[expected], atol=5e-3)
    np.testing.assert_allclose(found.pose[order], poses[expected], atol=2e-2)


def test_a_quantized_file_is_no_start_for_training():
    with pytest.raises(ValueError, match="not quantized"):
        checkpoint.load(ROOT / "models/img2pose-slim-int8.onnx")


def test_the_average_follows_the_network():
    network = Network(TINY)
    average = checkpoint.MovingAverage(network, 0.5)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(1.0)
    for _ in range(30):
        average.update(network)
    for mine, theirs in zip(average.network.parameters(), network.parameters()):
        assert torch.allclose(mine, theirs, atol=1e-3)


def test_roi_align_equals_torchvision_in_values_and_gradients():
    torch.manual_seed(0)
    height, width = 192, 320
    levels = [torch.randn(2, 8, height // s, width // s, requires_grad=True) for s in (4, 8, 16, 32)]
    centre = torch.rand(80, 2) * torch.tensor([width, height])
    size = torch.exp(torch.rand(80, 2) * 4.5 + 1)
    boxes = torch.cat([centre - size / 2, centre + size / 2], 1)
    boxes = torch.minimum(boxes.clamp(min=0), torch.tensor([width, height, width, height]).float())
    boxes[:, 2:] = torch.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    rois = torch.cat([(torch.arange(80) % 2).float()[:, None], boxes], 1)
    order = rois[:, 0].argsort(stable=True)
    reference = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, 2)(
        dict(zip("0123", levels)), [boxes[rois[:, 0] == i] for i in (0, 1)], [(height, width)] * 2
    )
    pooled = roi_align(levels, rois[order], (height, width))
    assert torch.allclose(pooled, reference, atol=1e-4)
    upstream = torch.randn_like(reference)
    mine = torch.autograd.grad(pooled, levels, upstream)
    theirs = torch.autograd.grad(reference, levels, upstream)
    for a, b in zip(mine, theirs):
        assert torch.allclose(a, b, atol=1e-3)


def test_box_coding_is_invertible():
    anchors, counts = image_anchors(128, 192)
    assert len(anchors) == sum(counts) == 3 * (32 * 48 + 16 * 24 + 8 * 12 + 4 * 6 + 2 * 3)
    boxes = torch.tensor([[10.0, 20, 50, 90]]).repeat(len(anchors), 1)
    # The clamp on the scale only bites for boxes 62 times their anchor.
    assert torch.allclose(decode(encode(boxes, anchors), anchors), boxes, atol=1e-2)


def test_matching_finds_faces_background_and_what_to_leave_out():
    anchors = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 20], [50, 50, 60, 60], [80, 80, 90, 90]])
    faces, ignored = torch.tensor([[0.0, 0, 10, 11]]), torch.tensor([[48.0, 48, 62, 62]])
    label, matched = match(anchors, faces, ignored)
    assert label.tolist() == [1, 1, -1, 0]
    assert matched[0] == 0
    # A face that no anchor fits well still gets its best one.
    label, _ = match(anchors[2:], torch.tensor([[52.0, 52, 57, 57]]), torch.zeros(0, 4))
    assert label.tolist() == [1, 0]


def test_frozen_statistics_do_not_move():
    network = Network(TINY).train()
    network.freeze_statistics()
    before = network.backbone.body.bn1.running_mean.clone()
    network.backbone(torch.randn(2, 3, 64, 64))
    assert torch.equal(before, network.backbone.body.bn1.running_mean)
    assert network.backbone.body.bn1.weight.requires_grad and SLIM != TINY
