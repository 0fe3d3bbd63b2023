"""The landmark teachers, with networks that always answer the same."""

import json

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from img2pose_train import geometry
from img2pose_train.look import convention
from img2pose_train.teachers import MorphableTeacher


def constant_network(path, answer, side=120):
    """An ONNX file that answers `answer` [1, n] whatever it sees."""
    value = helper.make_node("Constant", [], ["answer"], value=numpy_helper.from_array(answer.astype(np.float32)))
    graph = helper.make_graph(
        [value], "constant", [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("answer", onnx.TensorProto.FLOAT, list(answer.shape))])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.fixture
def teacher(tmp_path):
    """Answers, in each crop of 120 pixels, 68 points that are 30 pixels wide around (70, 60) from the left and the bottom; shape and
    expression add nothing."""
    shape = np.random.default_rng(1).uniform(-1, 1, (68, 3))
    affine = np.array([[15, 0, 0, 70], [0, 15, 0, 60], [0, 0, 15, 0]], float)
    mean = np.full(62, 0.5)
    constant_network(tmp_path / "teacher.onnx", (np.concatenate([affine.ravel(), np.zeros(50)]) - mean)[None] / 2)
    bases = {"mean": mean, "std": np.full(62, 2.0), "u_base": shape.reshape(-1, 1), "w_shp_base": np.ones((204, 40)), "w_exp_base": np.ones((204, 10))}
    (tmp_path / "bases.json").write_text(json.dumps({name: values.tolist() for name, values in bases.items()}))
    return MorphableTeacher(tmp_path / "teacher.onnx", tmp_path / "bases.json"), shape


def test_parameters_become_points_of_the_picture(teacher):
    network, shape = teacher
    points = network._pass(np.zeros((300, 400, 3), np.uint8), (np.array([200.0, 150.0]), 240.0))
    # x from the left, one pixel off; y from the bottom; twice as large in the picture as in the crop.
    wanted = np.array([200, 150]) + 2 * (np.stack([70 + 15 * shape[:, 0] - 1, 120 - (60 + 15 * shape[:, 1])], 1) - 60)
    assert np.allclose(points, wanted, atol=1e-3)


def test_a_mirrored_look_answers_in_the_unmirrored_picture(teacher):
    network, _ = teacher
    region = np.array([200.0, 150.0]), 240.0
    plain, mirrored = (network._pass(np.zeros((300, 400, 3), np.uint8), region, mirrored=m) for m in (False, True))
    # The same answer about the mirrored crop: pixel i of it is pixel 119 - i of the crop, which begins at 80.
    crop = (plain - [80, 30]) / 2
    assert np.allclose(mirrored, 2 * np.stack([119 - crop[:, 0], crop[:, 1]], 1)[geometry.MIRRORED_68] + [80, 30], atol=1e-3)


def test_looks_are_as_many_as_asked_for_and_determined(teacher):
    network, _ = teacher
    image, box = np.zeros((300, 400, 3), np.uint8), np.array([100.0, 80, 220, 230])
    first, second = network.several(image, box, 4), network.several(image, box, 4)
    assert first.shape == (4, 68, 2) and np.array_equal(first, second)
    assert np.ptp(first[::2, 0, 0]) > 0


def test_another_network_is_refused(tmp_path):
    constant_network(tmp_path / "other.onnx", np.zeros((1, 136)))
    with pytest.raises(ValueError, match="an output of 62 values"):
        MorphableTeacher(tmp_path / "other.onnx", tmp_path / "bases.json")


def test_a_constant_turn_is_found_among_noise():
    rng = np.random.default_rng(2)
    exact = geometry.rotation_matrix(rng.normal(0, 0.3, (200, 3)))
    turn = geometry.rotation_matrix(np.radians([1.5, -0.5, 0.3]))[0]
    answered = exact @ turn @ geometry.rotation_matrix(rng.normal(0, 0.03, (200, 3)))
    median, interval = convention.constant_turn(exact, answered)
    assert np.allclose(median, [1.5, -0.5, 0.3], atol=0.5)
    assert (interval[:, 0] < [1.5, -0.5, 0.3]).all() and (interval[:, 1] > [1.5, -0.5, 0.3]).all()
