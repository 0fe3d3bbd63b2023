"""What contract.md says, checked against what the programs do, and the numbers for other implementations."""

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from img2pose_train import assemble, geometry, golden
from img2pose_train.finder import network as finder_network
from img2pose_train.finder.network import FinderNetwork
from img2pose_train.look import fit
from img2pose_train.look import network as look_network
from img2pose_train.look.network import LookNetwork
from img2pose_train.look.picture import picture_pose

CONTRACT = (Path(__file__).parents[1] / "contract.md").read_text()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(1)
    finder, look = FinderNetwork(), LookNetwork()
    with torch.no_grad():
        finder.out.weight.normal_(std=0.25)
        look.head.weight.normal_(std=0.01)
    path = tmp_path_factory.mktemp("contract") / "pair.onnx"
    onnx.save(assemble.assemble(finder.eval(), look.eval(), {"min_size": 360, "max_size": 1400, "licence": "for tests", "source_sha256": {}}, (0.3, 0.8)), path)
    return path


def test_every_field_of_the_metadata_is_described(model):
    told = json.loads(onnx.load(model).metadata_props[0].value)
    described = set(re.findall(r"^\| `(\w+)` \|", CONTRACT, re.M))
    assert set(told) <= described, set(told) - described


def test_tensors_and_places_of_the_answers_are_as_described(model):
    graph = onnx.load(model).graph
    for value in [*graph.input, *graph.output]:
        assert f"| `{value.name}`" in CONTRACT
    for part in (look_network.POINTS, look_network.ROTATION):
        assert f"| {part.start} to {part.stop - 1} |" in CONTRACT
    for place in (look_network.PRESENCE, look_network.SPREAD):
        assert f"| {place} |" in CONTRACT
    assert f"[batch, {finder_network.OUTPUTS}, cells]" in CONTRACT


def test_the_whole_angle_to_a_face_lies_between_its_box_and_the_picture():
    rng, focal, middle = np.random.default_rng(1), 1000.0, np.array([320.0, 180.0])
    for place, most, depth_off in (((320, 180), 1.5, 0.02), ((608, 180), 2.0, 0.02), ((608, 324), 2.0, 0.02)):
        rotation = geometry.rotation_matrix(rng.normal(0, 0.35, (50, 3)))
        depth = rng.uniform(8, 30, 50)
        translation = np.concatenate([(np.array(place) - middle) / focal * depth[:, None], depth[:, None]], 1)
        points = geometry.project(rotation, translation, focal, np.tile(middle, (50, 1)), geometry.REFERENCE_68)
        solved = fit.solve(points)
        box = geometry.face_box(fit.project(*solved[:5]), geometry.rotation_vector(solved[0])[:, 2])
        got, at = picture_pose(solved[0], solved[1], solved[2], box, focal, middle)
        assert np.median(geometry.rotation_angle(got, rotation)) < most
        assert abs(np.median(at[:, 2] / depth) - 1) < depth_off
        seen = geometry.project(got, at, focal, np.tile(middle, (50, 1)), np.zeros((1, 3)))[:, 0]
        assert np.allclose(seen, solved[1]), "the origin is seen where it was fitted"


def test_golden_numbers_fit_together(model, tmp_path, capsys):
    golden.main([str(model), "--faces", "3", "--out", str(tmp_path)])
    told = json.loads((tmp_path / "golden.json").read_text())
    cells, cut, answers = (np.load(tmp_path / f"{name}.npy") for name in ("cells", "crops", "answers"))
    width, height = told["padded"]
    assert cells.shape == (1, 7, sum(width * height // s**2 for s in (8, 16, 32)))
    assert len(told["faces"]) == 3 == len(cut) == len(answers) and told["network"] == [480, 360] and told["padded"] == [480, 384]
    assert (tmp_path / "picture.ppm").read_bytes()[15:] == golden.drawn().tobytes()
    for face, answered in zip(told["faces"], answers):
        # By contract.md alone.
        square, points = face["place"]["square"], np.array(face["points"])
        parts = answered[:136].reshape(68, 2) * 1.3 * square["side"]
        c, s = np.cos(square["angle"]), np.sin(square["angle"])
        assert np.allclose(points, np.array(square["centre"]) + parts @ np.array([[c, s], [-s, c]]), atol=1e-3)
        assert face["presence"] == pytest.approx(1 / (1 + np.exp(-answered[142])), abs=1e-5)
        assert face["sigma"] == pytest.approx(np.exp(0.3 + 0.8 * np.log(np.degrees(np.exp(answered[143])))), rel=1e-4)
        assert face["score"] == pytest.approx((face["place"]["found"] * face["presence"]) ** 0.5, abs=1e-5)
    x, y = (int(v) for v in told["faces"][0]["place"]["square"]["centre"])
    assert 0 <= x < 320 and 0 <= y < 240
