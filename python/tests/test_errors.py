"""Nonsense in: what Python says."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import img2pose
from img2pose import Launch, _gst, _setup

SMALL = "videotestsrc num-buffers=20 ! video/x-raw,width=64,height=64"


@pytest.mark.parametrize(
    ("source", "kind", "text"),
    [
        ("/no/such.mp4", FileNotFoundError, "no such file: /no/such.mp4"),
        ("", FileNotFoundError, "no such file"),
        ("/tmp", IsADirectoryError, "is a folder"),  # noqa: S108
        (4711, FileNotFoundError, "no camera /dev/video4711"),
        (-1, ValueError, "no camera -1"),
        (True, TypeError, "the source is a bool"),
        (None, TypeError, "the source is a NoneType"),
        (b"clip.mp4", TypeError, "the source is a bytes"),
    ],
)
def test_sources_that_are_none(source: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        img2pose.faces(source)


@pytest.mark.parametrize(
    ("source", "element", "text"),
    [
        ("/etc/hostname", "typefind", "type of stream"),
        ("nope://camera", "source", "No URI handler"),
        ("http://127.0.0.1:1/clip.mp4", "source", None),
        ("rtsp://127.0.0.1:1/camera", "source", "Could not open resource"),
        (Launch("nonsense"), "pipeline", 'no element "nonsense".*apt install'),
        (Launch(f"{SMALL} ! audioconvert"), "pipeline", "could not link"),
    ],
)
def test_sources_that_fail(source: str, element: str, text: str | None) -> None:
    with pytest.raises(img2pose.PipelineError, match=text) as caught:
        list(img2pose.faces(source))
    assert caught.value.element == element
    assert str(caught.value) == f"{element}: {caught.value.message}"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"batch_size": 0}, "0 is no value of 'batch-size'"),
        ({"batch_size": 65}, "65 is no value"),
        ({"batch_size": -1}, "-1 is no value"),
        ({"batch_size": 2.5}, "2.5 is no value"),
        ({"batch_size": "many"}, "'many' is no value"),
        ({"score_threshold": 1.5}, "1.5 is no value"),
        ({"score_threshold": float("nan")}, "nan is no value"),
        ({"precision": "int9"}, "'int9' is no value"),
        ({"execution_provider": "abacus"}, "'abacus' is no value"),
        ({"whole_frame_interval": 0}, "0 is no value"),
        ({"properties": {"zoom": 2}}, "'zoom' is no property of img2posedetect"),
        ({"properties": {"model": 2}}, "2 is no value of 'model'"),
    ],
)
def test_options_that_the_element_does_not_take(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        img2pose.faces(Launch(SMALL), **options)


def test_models_that_are_none() -> None:
    with pytest.raises(FileNotFoundError, match=r"no such model: /no/such\.onnx"):
        img2pose.faces(Launch(SMALL), model="/no/such.onnx")
    with pytest.raises(img2pose.PipelineError, match="img2posedetect: /etc/hostname is not an ONNX model"):
        img2pose.faces(Launch(SMALL), model="/etc/hostname")
    detector = img2pose.Detector(model="/etc/hostname")
    for _ in range(2):
        with pytest.raises(img2pose.PipelineError, match="not an ONNX model"):
            detector.detect(np.zeros((64, 64, 3), np.uint8))


@pytest.mark.parametrize("number", [2, 3, 9, 20])
def test_an_error_loses_no_frame_before_it(number: int) -> None:
    stream = img2pose.faces(Launch(f"{SMALL} ! identity error-after={number}"), min_size=64)
    frames, error = _all_of(stream)
    assert [frame.index for frame in frames] == list(range(number - 1))
    assert error is not None
    assert error.message == "Failed after iterations as requested."
    assert list(stream) == []


def _all_of(stream: img2pose.Stream) -> tuple[list[img2pose.Frame], img2pose.PipelineError | None]:
    """The frames of a stream, and the error at its end."""
    frames: list[img2pose.Frame] = []
    try:
        for frame in stream:
            frames.append(frame)  # noqa: PERF402
    except img2pose.PipelineError as error:
        return frames, error
    return frames, None


def test_a_truncated_file(clip: Path, tmp_path: Path) -> None:
    whole = clip.read_bytes()
    part = tmp_path / "part.mkv"
    part.write_bytes(whole[: len(whole) // 2])
    frames, _ = _all_of(img2pose.faces(part, min_size=224))
    assert 3 <= len(frames) < 12


@pytest.mark.parametrize(
    ("images", "kind", "text"),
    [
        ("clip.mp4", TypeError, "the picture is a str"),
        (None, TypeError, "the picture is a NoneType"),
        ([[[0]]], TypeError, "picture 0 is a list"),
        ([np.zeros((8, 8, 3))], TypeError, "picture 0 has numbers of type float64"),
        (np.zeros((8, 8, 2), np.uint8), ValueError, r"shape \(8, 8, 2\)"),
        (np.zeros((2, 8, 8, 3), np.uint8), ValueError, r"shape \(2, 8, 8, 3\)"),
        (np.zeros((0, 8, 3), np.uint8), ValueError, "8x0"),
        (np.zeros((1, 40000, 3), np.uint8), ValueError, "40000x1"),
    ],
)
def test_pictures_that_are_none(images: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        img2pose.detect(images)


def test_a_wrong_picture_in_a_list_stops_before_anything_is_looked_at() -> None:
    good: npt.NDArray[np.uint8] = np.zeros((64, 64, 3), np.uint8)
    with img2pose.Detector(min_size=64) as detector:
        with pytest.raises(TypeError, match="picture 1 is a int"):
            detector.detect([good, 3])  # type: ignore[list-item]
        assert [len(faces) for faces in detector.detect([good])] == [0]
    with pytest.raises(ValueError, match="'HSV'; it is 'RGB' or 'BGR'"):
        img2pose.detect(good, channels="HSV")


def test_errors_survive_pickling() -> None:
    error = pickle.loads(pickle.dumps(img2pose.PipelineError("source", "no signal", "gst.c(1)")))  # noqa: S301
    assert (error.element, error.message, error.debug) == ("source", "no signal", "gst.c(1)")
    assert isinstance(error, img2pose.Img2PoseError)


def test_without_gstreamer_importing_works_and_using_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gst, "FUNCTIONS", {"libnosuch-1.0.so.0": {}})
    monkeypatch.setattr(_gst, "_gst", None)
    with pytest.raises(img2pose.SetupError, match=r"libnosuch-1.0.so.0 was not found .*apt install gstreamer1.0"):
        img2pose.faces(Launch(SMALL))
    monkeypatch.setattr(_gst, "FUNCTIONS", {"libgstreamer-1.0.so.0": {"gst_no_such": (None,)}})
    with pytest.raises(img2pose.SetupError, match="has no gst_no_such, it is too old"):
        img2pose.faces(Launch(SMALL))


def test_without_the_plugin() -> None:
    program = (
        "import img2pose, numpy\ntry: img2pose.detect([numpy.zeros((8, 8), 'uint8')])\nexcept img2pose.SetupError as error: print(error)\n"
    )
    nowhere = {name: value for name, value in os.environ.items() if not name.startswith("GST_PLUGIN_PATH")}
    registry = {"GST_REGISTRY": "/dev/null", "GST_PLUGIN_SYSTEM_PATH_1_0": "/nowhere"}
    if _setup.PLUGIN_FILE.is_file():
        pytest.skip("the package has its own plugin")
    ended = subprocess.run([sys.executable, "-c", program], env=nowhere | registry, capture_output=True, text=True, check=True)
    assert "the plugin img2pose was not found" in ended.stdout


def _used_in_a_child(queue: Any) -> None:
    try:
        img2pose.detect(np.zeros((64, 64, 3), np.uint8), min_size=64)
    except img2pose.SetupError as error:
        queue.put(str(error))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_is_told_instead_of_hanging() -> None:
    img2pose.detect(np.zeros((64, 64, 3), np.uint8), min_size=64)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_used_in_a_child, args=(queue,))
    child.start()
    assert "start workers with multiprocessing.get_context('spawn')" in queue.get(timeout=30)
    child.join(30)
    assert child.exitcode == 0
    queue.close()
    queue.join_thread()
