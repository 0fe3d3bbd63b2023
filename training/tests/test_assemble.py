"""Both networks in one ONNX file: it finds what they find, whole and in parts."""

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from img2pose_train import assemble, deviation, evaluate, geometry, parts, speed
from img2pose_train.find_and_look import find
from img2pose_train.finder.network import FinderNetwork, cells
from img2pose_train.finder.train import save_weights as save_finder
from img2pose_train.look import reliability
from img2pose_train.look.answer import Looker
from img2pose_train.look.network import LookNetwork
from img2pose_train.look.train import save_weights as save_look
from img2pose_train.quantize import quantize


ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def networks():
    """A finder that answers at random, rarely, and a close look that does, too."""
    torch.manual_seed(1)
    finder, look = FinderNetwork(), LookNetwork()
    with torch.no_grad():
        finder.out.weight.normal_(std=0.25)
        finder.out.bias[0] = -0.5
        look.head.weight.normal_(std=0.05)
    # As they are stored.
    return finder.half().float().eval(), look.half().float().eval()


@pytest.fixture(scope="module")
def model(networks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    save_finder(folder / "finder.pth", networks[0])
    save_look(folder / "look.pth", networks[1])
    (folder / "licence.txt").write_text("for tests")
    assemble.main(["--sigma", "0.3", "0.8", "--finder", str(folder / "finder.pth"), "--look", str(folder / "look.pth"), "--licence", str(folder / "licence.txt"),
                   "--out", str(folder / "pair.onnx")])
    return folder / "pair.onnx"


def picture(seed, height=128, width=192):
    image = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)


def fed(images):
    return np.stack([(i.transpose(2, 0, 1).astype(np.float32) - 127.5) / 64 for i in images])


def test_the_whole_file_answers_as_the_networks_do(networks, model):
    images = [picture(1), picture(2)]
    session = onnxruntime.InferenceSession(str(model))
    names = [o.name for o in session.get_outputs()]
    out = dict(zip(names, session.run(names, {"images": fed(images)})))
    assert len(out["frames"]) > 4
    looker = Looker(networks[1])
    for i, image in enumerate(images):
        mine = out["frames"] == i
        squares, _, score = find(networks[0], image, image.shape[:2], min_score=assemble.SCORE_FLOOR)
        centres = np.array([s.centre for s in squares])
        apart = np.linalg.norm(out["squares"][mine][None, :, :2] - centres[:, None], axis=2)
        order = apart.argmin(1)
        assert sorted(order) == list(range(mine.sum())) and apart.min(1).max() < 0.1
        assert np.allclose(out["found"][mine][order], score, atol=2e-3)
        found = out["squares"][mine][order]
        assert np.allclose(found[:, 2], [s.side for s in squares], rtol=0.01)
        apart = found[:, 3] - np.array([s.angle for s in squares])
        assert np.abs((apart + np.pi) % (2 * np.pi) - np.pi).max() < 0.02
        # Crops that lie within the picture and are not much finer or coarser than it are the same in both.
        inside = np.array([
            (np.abs(s.centre - np.array(image.shape[1::-1]) / 2) + 0.95 * s.side < np.array(image.shape[1::-1]) / 2).all() and s.side < 120
            for s in squares])
        if inside.any():
            answers = looker(image, [s for s, k in zip(squares, inside) if k])
            points = out["points"][mine][order][inside]
            side = np.array([s.side for s in squares])[inside]
            assert (np.abs(points - answers.points).max((1, 2)) / side < 0.03).all()
            assert np.abs(geometry.rotation_angle(out["rotations"][mine][order][inside].astype(float), answers.direct)).max() < 3
            assert np.allclose(out["presence"][mine][order][inside], answers.presence, atol=0.03)
            sigma = reliability.sigma_of(np.degrees(answers.spread), (0.3, 0.8))
            assert np.allclose(out["sigma"][mine][order][inside], sigma, rtol=0.1)


def test_the_parts_stand_alone(networks, model, tmp_path):
    file = onnx.load(model)
    contract = json.loads(file.metadata_props[0].value)
    # Equal weights of fresh networks stand as what they are.
    weights = {t.name for t in file.graph.initializer}
    assert not any(n.op_type == "Identity" and n.input[0] in weights for n in file.graph.node)
    assert contract["sigma"] == {"a": 0.3, "b": 0.8, "share": 0.683}
    assert contract["contract_version"] == 2 and len(contract["reference_points"]) == 68 and contract["licence"] == "for tests"
    x = fed([picture(3)])
    for name, feed in (("find", x), ("look", fed([picture(4, 112, 112), picture(5, 112, 112)]))):
        part = contract["parts"][name]
        onnx.utils.extract_model(str(model), str(tmp_path / f"{name}.onnx"), [part["input"]], [part["output"]])
        out = onnxruntime.InferenceSession(str(tmp_path / f"{name}.onnx")).run(None, {part["input"]: feed})[0]
        with torch.no_grad():
            wanted = networks[("find", "look").index(name)](torch.from_numpy(feed)).numpy()
        assert np.allclose(out, wanted, atol=0.02, rtol=0.02)


def test_a_picture_without_a_face_gives_none(networks, tmp_path):
    finder = FinderNetwork()
    with torch.no_grad():
        finder.out.weight.zero_()
    onnx.save(assemble.assemble(finder, networks[1], {}), tmp_path / "none.onnx")
    out = onnxruntime.InferenceSession(str(tmp_path / "none.onnx")).run(["points", "frames"], {"images": fed([picture(6)])})
    assert out[0].shape == (0, 68, 2) and out[1].shape == (0,)


def test_cells_known_only_in_the_graph_are_the_same():
    middles, strides = assemble.grid_of(64, 96, torch.zeros(1))
    wanted = cells(64, 96)
    assert torch.equal(middles, wanted[0]) and torch.equal(strides, wanted[1])


def test_the_file_is_measured_part_by_part_without_a_detector(pack, networks, model, tmp_path, capsys):
    photos, labels, folder = pack
    measured = []
    at = ["--pack", str(folder), "--labels", str(folder / "refined.npz"), "--min-size", "256"]
    pair = ["--finder", str(model.parent / "finder.pth"), "--look", str(model.parent / "look.pth")]
    for source in ([str(model)], pair):
        evaluate.main([*source, *at])
        measured.append(json.loads(capsys.readouterr().out))
    file, wanted = (m["detection"] for m in measured)
    # Both look twice, which the file says itself.
    assert parts.contract_of(model)["second_look"] == {"mirrored": True}
    assert file["images"] == wanted["images"] == 1 and file["faces"] == wanted["faces"] == 2
    # As many places, however false.
    apart = [abs(file["false_positives_per_image"][s] - n) for s, n in wanted["false_positives_per_image"].items()]
    assert wanted["false_positives_per_image"]["0.3"] > 10 and max(apart) <= 0.05 * wanted["false_positives_per_image"]["0.3"]
    with pytest.raises(SystemExit):
        evaluate.main([str(ROOT / "models/img2pose-slim.onnx"), *at])
    assert "needs --detector" in capsys.readouterr().err
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "none", [], [])), tmp_path / "other.onnx")
    with pytest.raises(ValueError, match="img2pose_train.assemble"):
        parts.contract_of(tmp_path / "other.onnx")


def test_the_processor_time_of_both_parts_is_measured(model, capsys):
    speed.main([str(model), "--size", "160x90", "--faces", "1", "3", "--rounds", "3"])
    told = json.loads(capsys.readouterr().out)[str(model)]
    assert set(told) == {"find, 640x384", "look, 1", "look, 3"}
    assert all(0 < row["least"] <= row["median"] for row in told.values()) and told["look, 3"]["median"] > 1.5 * told["look, 1"]["least"]


def test_in_8_bits_the_file_answers_nearly_the_same(networks, model, tmp_path):
    photos = [picture(seed) for seed in (11, 12)]
    whole = onnx.load(model)
    contract = json.loads(whole.metadata_props[0].value)
    contract |= {"min_size": 128, "max_size": 1400}
    onnx.helper.set_model_props(whole, {"img2pose": json.dumps(contract)})
    eight = quantize(whole, photos, tmp_path)
    kinds = {node.op_type for node in eight.graph.node if node.name.startswith(("find//out", "look//head"))}
    assert any(node.op_type == "QuantizeLinear" for node in eight.graph.node) and kinds & {"Conv", "Gemm"}
    # What is small, first and last, stays in 32 bits; everything else does not.
    made_by = {output: node for node in eight.graph.node for output in node.output}
    stays = {
        node.name for node in eight.graph.node
        if node.op_type in ("Conv", "Gemm") and node.name.startswith("look//") and getattr(made_by.get(node.input[1]), "op_type", "") != "DequantizeLinear"
    }
    assert {name.split("/")[3] if "body" in name else name.split("/")[2] for name in stays} == {"body.0", "body.1", "body.7", "pool", "head"}
    sessions = [onnxruntime.InferenceSession(m.SerializeToString()) for m in (whole, eight)]
    x = fed([picture(11)])
    cells, rough = (s.run(None, {"images": x})[1] for s in sessions)
    assert len(rough) > 0.5 * len(cells)
    assert len(eight.SerializeToString()) < 0.45 * len(whole.SerializeToString())
    # Part by part: what is found, and what is said about it.
    onnx.save(whole, tmp_path / "whole.onnx")
    onnx.save(eight, tmp_path / "eight.onnx")
    seen = torch.from_numpy(fed([picture(13, 112, 112), picture(14, 112, 112)]))
    for name, feed in (("find", torch.from_numpy(x)), ("look", seen)):
        exact, rough = (parts.Part(tmp_path / f"{kind}.onnx", name, contract)(feed).numpy() for kind in ("whole", "eight"))
        assert exact.shape == rough.shape and not np.array_equal(exact, rough)
        assert np.abs(exact - rough).mean() < 0.2 * exact.std(), name
    with pytest.raises(ValueError, match="quantized already"):
        quantize(eight, photos, tmp_path)


def test_the_deviation_of_the_graphs_own_crops_is_measured(pack, networks, model, tmp_path, capsys):
    _, _, folder = pack
    run = [str(model), "--finder", str(model.parent / "finder.pth"), "--look", str(model.parent / "look.pth"), "--pack", str(folder),
           "--labels", str(folder / "refined.npz")]
    deviation.main(run)
    result = json.loads(capsys.readouterr().out)
    assert result["faces that both find"] > 0
    median, _ = result["degrees apart, all: median, 95 %"]
    assert median < 0.1  # these networks answer much the same to anything
    # A picture of the network's own size, and faces that lie within: both cut nearly the same crops.
    file = deviation.WholeFile(model)
    file.min_size = 256
    image = picture(21, 256, 320)
    apart, size, _ = deviation.compare(file, networks[0].to(memory_format=torch.channels_last), Looker(networks[1]), image)
    assert len(apart) == len(size) > 0 and np.median(apart[size < 100]) < 0.02
    # Weights that the file was not made from.
    torch.manual_seed(5)
    other = LookNetwork().half().float().eval()
    with torch.no_grad():
        other.head.weight.normal_(std=0.05)
    wrong, _, _ = deviation.compare(file, networks[0], Looker(other), image)
    assert np.median(wrong) > 20 * np.median(apart)
