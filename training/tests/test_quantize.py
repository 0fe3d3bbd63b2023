from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest

from img2pose_train.quantize import network_inputs, quantize

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "models/img2pose-slim.onnx"
CONTRACT = {"min_size": 480, "max_size": 1400, "size_divisor": 32, "image_mean": [0.5] * 3, "image_std": [0.25] * 3}


@pytest.fixture(scope="module")
def group():
    """A picture of five faces."""
    return cv2.imread(str(ROOT / "docs/pictures/faces-group.jpg"))[:, :, ::-1]


@pytest.fixture(scope="module")
def quantized(group, tmp_path_factory):
    return quantize(onnx.load(MODEL), [group, group[:, ::-1]], tmp_path_factory.mktemp("quantize"))


def faces(model, feed):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    boxes, scores, poses, _ = session.run(None, feed)
    sure = scores > 0.5
    return boxes[sure], scores[sure], poses[sure]


def test_the_input_is_resized_normalised_and_padded():
    feed = network_inputs(np.full((100, 300, 3), 255, np.uint8), CONTRACT)
    assert feed["image_size"].tolist() == [466, 1400]
    image = feed["images"]
    assert image.shape == (1, 3, 480, 1408) and image.dtype == np.float32
    assert (image[:, :, :466, :1400] == 2).all() and (image[:, :, 466:] == 0).all() and (image[..., 1400:] == 0).all()


def test_the_same_faces_in_8_bits(quantized, group):
    model = onnx.load(MODEL)
    contract = CONTRACT | {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    feed = network_inputs(group, contract)
    (boxes, scores, poses), (boxes8, scores8, poses8) = faces(model, feed), faces(quantized, feed)
    assert len(boxes) == len(boxes8) == 5
    order, order8 = np.argsort(boxes[:, 0]), np.argsort(boxes8[:, 0])
    assert np.abs(boxes[order] - boxes8[order8]).max() < 4
    assert np.abs(scores[order] - scores8[order8]).max() < 0.05
    assert np.abs(poses[order, :3] - poses8[order8, :3]).max() < np.radians(5)


def test_weights_keep_clear_of_the_overflow_of_older_processors(quantized):
    weights = [onnx.numpy_helper.to_array(t) for t in quantized.graph.initializer if t.name.endswith("_quantized")]
    weights = [w for w in weights if w.dtype == np.int8]
    assert len(weights) > 30 and max(np.abs(w.astype(int)).max() for w in weights) <= 64


def test_what_decides_the_last_digits_stays_in_32_bits(quantized):
    made_by = {output: node for node in quantized.graph.node for output in node.output}
    for node in quantized.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            stays = node.name.startswith(("rpn.head.predictor", "class_score", "pose_head"))
            weight = made_by.get(node.input[1])
            assert stays == (weight is None or weight.op_type != "DequantizeLinear"), node.name


def test_the_joined_predictor_gives_what_the_two_gave(quantized):
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(MODEL).graph.initializer}
    joined = {t.name: onnx.numpy_helper.to_array(t) for t in quantized.graph.initializer}
    for part in ("weight", "bias"):
        both = joined[f"rpn.head.predictor.{part}"]
        assert np.array_equal(both[:3], weights[f"rpn.head.cls_logits.{part}"])
        assert np.array_equal(both[3:], weights[f"rpn.head.bbox_pred.{part}"])
    outputs = {output for node in quantized.graph.node if node.op_type == "Split" for output in node.output}
    assert {f"{name}_{level}" for name in ("objectness", "deltas") for level in range(5)} <= outputs


def test_names_outputs_and_metadata_stay(quantized):
    model = onnx.load(MODEL)
    assert quantized.metadata_props == model.metadata_props
    assert list(quantized.graph.output) == list(model.graph.output) and list(quantized.graph.input) == list(model.graph.input)


def test_nonsense_is_refused(quantized, group, tmp_path):
    with pytest.raises(ValueError, match="quantized already"):
        quantize(quantized, [group], tmp_path)
    with pytest.raises(ValueError, match="no photo"):
        quantize(onnx.load(MODEL), [], tmp_path)
    stripped = onnx.load(MODEL)
    del stripped.metadata_props[:]
    with pytest.raises(ValueError, match="img2pose convert"):
        quantize(stripped, [group], tmp_path)
