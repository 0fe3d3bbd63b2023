"""The row of the close look that says whether there is a face, fitted to what the finder takes for one."""

import json

import numpy as np
import pytest
import torch

from img2pose_train.detect import network_size
from img2pose_train.find_and_look import find
from img2pose_train.finder import train as finder_train
from img2pose_train.finder.network import FinderNetwork, cells
from img2pose_train.look import cache, crops, network, presence
from img2pose_train.look import train as look_train
from img2pose_train.look.answer import Looker


def test_places_are_faces_none_or_left_out():
    labelled = np.array([[0, 0, 40, 40], [100, 0, 140, 40.0]])
    boxes = np.array([[2, 2, 42, 42], [102, 2, 142, 42], [25, 0, 65, 40], [10, 10, 20, 20], [200, 0, 240, 40.0]])
    assert presence.judged(boxes, labelled, np.array([True, False])).tolist() == [1, -1, -1, -1, 0]
    assert presence.judged(boxes, np.zeros((0, 4)), np.zeros(0, bool)).tolist() == presence.judged(boxes, None, None).tolist() == [0] * 5


def test_the_fit_tells_apart_and_is_held():
    torch.manual_seed(1)
    face = (torch.arange(400) % 4 == 0).float()
    feature = torch.randn(400, 8).abs()
    feature[:, 3] += 2 * face
    places = presence.Places(feature, face, torch.arange(400), torch.ones(400), 400)
    start = torch.zeros(8), torch.zeros(())
    weight, bias = presence.fit(places, *start, 1e-4)
    logit = feature @ weight + bias
    assert presence.told_apart(logit, face) < 0.15 < presence.told_apart(feature @ torch.ones(8), face)
    assert 0.4 < float(torch.sigmoid(logit)[face > 0].mean()), "faces are a quarter of the places and count as much as the others"
    held, _ = presence.fit(places, *start, 1e3)
    assert held.abs().max() < 0.05 < weight.abs().max()


def test_a_score_of_a_half_lets_as_many_false_ones_through_as_asked():
    torch.manual_seed(2)
    logit, found = 3 * torch.randn(1000), 0.2 + 0.8 * torch.rand(1000)
    face = (torch.arange(1000) % 3 == 0).float()
    # The last 300 places are of pictures without faces, which say nothing about photos.
    places = presence.Places(torch.zeros(1000, 1), face, torch.arange(1000) // 5, found, 140)
    for rate in (0.0, 0.05, 0.5):
        score = (found * torch.sigmoid(logit - presence.shift_for(logit, places, rate))).sqrt()
        passed = (score > 0.5) & (face == 0) & (places.photo < 140)
        assert int(passed.sum()) == int(rate * 140)
    # More than there are.
    assert presence.shift_for(logit, places, 50) == 0.0


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


class Everywhere:
    """Sees faces of 40 pixels in a row of places, whatever it is shown."""

    def __call__(self, x):
        out = torch.zeros(len(x), 7, len(cells(*x.shape[2:])[0]))
        out[:, 0], out[:, 5] = -8, 1
        out[:, 3:5] = float(np.log(40 / 32))
        row = x.shape[3] // 8
        out[:, 0, 6 * row + 4 : 7 * row - 2 : 6] = 4
        return out


def test_false_places_of_photos_with_faces_become_patches(pack, tmp_path, capsys, monkeypatch):
    """Those of the photos of the training alone, and none where a label is near."""
    photos, labels, folder = pack
    monkeypatch.setattr(cache.finder_train, "load_weights", lambda _: Everywhere())
    monkeypatch.setattr(cache, "ready", lambda network: network)
    run = ["--out", str(tmp_path / "false"), "--pack", str(folder), "--labels", str(folder / "refined.npz"), "--finder", "x", "--every", "1"]
    cache.main([*run, "--min-size", "256"])
    capsys.readouterr()
    table, wanted = np.load(tmp_path / "false.npz"), 0
    for i in np.nonzero(~labels.held_out)[0]:
        image, mine = photos.read(i), labels.image == i
        _, boxes, _ = find(Everywhere(), image, network_size(*image.shape[:2], 256), 0.2)
        wanted += int((presence.judged(boxes, labels.box[mine].reshape(-1, 4), labels.quality[mine] >= 1) == 0).sum())
    assert 0 < wanted == len(table["kind"]) and (table["kind"] == cache.NOTHING).all() and not table["held_out"].any()
    assert np.load(tmp_path / "false.npy").shape == (wanted, crops.PATCH, crops.PATCH, 3)
    # Those that a close look takes for a face, too, are drawn most often.
    torch.manual_seed(3)
    look = network.LookNetwork()
    with torch.no_grad():
        look.head.weight[network.PRESENCE].normal_(std=300)
    look_train.save_weights(tmp_path / "look.pth", look)
    cache.main([*run, "--min-size", "256", "--look", str(tmp_path / "look.pth")])
    capsys.readouterr()
    again, images = np.load(tmp_path / "false.npz"), np.load(tmp_path / "false.npy")
    squares = [crops.Square(c, side, 0.0) for c, side in zip(again["centre"], again["side"])]
    asked = np.array([Looker(look)(image, [square]).presence[0] for image, square in zip(images, squares)])
    assert (table["weight"] == 1).all() and np.ptp(again["weight"]) > 0.01
    assert np.corrcoef(again["weight"], np.sqrt(asked))[0, 1] > 0.8
    with pytest.raises(SystemExit):
        cache.main(["--out", str(tmp_path / "none"), "--finder", "x"])
    assert "--pack" in capsys.readouterr().err
