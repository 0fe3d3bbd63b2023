"""The row of the close look that says whether there is a face, fitted to what the finder takes for one."""

import json

import numpy as np
import pytest
import torch

from img2pose_train.finder import train as finder_train
from img2pose_train.finder.network import FinderNetwork
from img2pose_train.look import network, presence
from img2pose_train.look import train as look_train


def test_places_are_faces_none_or_left_out():
    labelled = np.array([[0, 0, 40, 40], [100, 0, 140, 40.0]])
    boxes = np.array([[2, 2, 42, 42], [102, 2, 142, 42], [25, 0, 65, 40], [10, 10, 20, 20], [200, 0, 240, 40.0]])
    assert presence.judged(boxes, labelled, np.array([True, False])).tolist() == [1, -1, -1, -1, 0]
    assert presence.judged(boxes, np.zeros((0, 4)), np.zeros(0, bool)).tolist() == [0] * 5


def test_the_fit_tells_apart_and_is_held():
    torch.manual_seed(1)
    face = (torch.arange(400) % 4 == 0).float()
    feature = torch.randn(400, 8).abs()
    feature[:, 3] += 2 * face
    places = presence.Places(feature, face, torch.arange(400))
    start = torch.zeros(8), torch.zeros(())
    weight, bias = presence.fit(places, *start, 1e-4)
    logit = feature @ weight + bias
    assert presence.told_apart(logit, face) < 0.15 < presence.told_apart(feature @ torch.ones(8), face)
    assert 0.4 < float(torch.sigmoid(logit)[face > 0].mean()), "faces are a quarter of the places and count as much as the others"
    held, _ = presence.fit(places, *start, 1e3)
    assert held.abs().max() < 0.05 < weight.abs().max()


def test_nothing_but_presence_changes(pack, tmp_path, capsys):
    _, labels, folder = pack
    torch.manual_seed(3)
    look = network.LookNetwork()
    look_train.save_weights(tmp_path / "look.pth", look, steps=7)
    finder = FinderNetwork()
    with torch.no_grad():
        finder.out.weight[0].normal_(std=0.5)
        finder.out.bias[0] = 0
    finder_train.save_weights(tmp_path / "finder.pth", finder)
    run = [str(tmp_path / "look.pth"), "--finder", str(tmp_path / "finder.pth"), "--pack", str(folder), "--labels", str(folder / "refined.npz")]
    presence.main([*run, "--min-size", "160", "--out", str(tmp_path / "out.pth")])
    assert json.loads(capsys.readouterr().out)["places"] > 0
    before, after = (look_train.load_weights(tmp_path / f"{name}.pth") for name in ("look", "out"))
    same = torch.ones(network.OUTPUTS, dtype=bool)
    same[network.PRESENCE] = False
    assert torch.equal(before.head.weight[same], after.head.weight[same]) and torch.equal(before.head.bias[same], after.head.bias[same])
    assert not torch.equal(before.head.weight[~same], after.head.weight[~same])
    for name, value in before.state_dict().items():
        assert name.startswith("head.") or torch.equal(value, after.state_dict()[name]), name
    assert torch.load(tmp_path / "out.pth", weights_only=True)["information"]["steps"] == 7
    with pytest.raises(ValueError, match="found nothing"):
        presence.main([*run, "--least", "1", "--min-size", "160", "--out", str(tmp_path / "none.pth")])
