"""What the tests share: media, and what the element itself says of them."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import img2pose

#: Small, so that a test takes a second where nothing else runs.
QUICK = 224

Lines = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of test videos and pictures."""
    return Path(os.environ["MEDIA"])


@pytest.fixture(scope="session")
def group(media: Path) -> npt.NDArray[np.uint8]:
    """A picture of five people."""
    return np.asarray(Image.open(media / "multi_face.jpg").convert("RGB"))


@pytest.fixture(scope="session")
def portrait(media: Path) -> npt.NDArray[np.uint8]:
    """A picture of one."""
    return np.asarray(Image.open(media / "single_face.jpg").convert("RGB"))


@pytest.fixture(scope="session")
def clip(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dozen frames of one face, small; in a file whose name is none of a tidy mind."""
    path = tmp_path_factory.mktemp("clip") / 'clip ! of, "twelve" frames.mkv'
    subprocess.run(
        [
            "gst-launch-1.0", "-q", "filesrc", f"location={media / 'WolfgangLanger_Pexels.mp4'}", "!", "decodebin", "!",
            "identity", "eos-after=13", "!", "videoconvert", "!", "videoscale", "!", "video/x-raw,width=320,height=180", "!",
            "jpegenc", "!", "matroskamux", "!", "filesink", "name=to", f'location="{_quoted(path)}"',
        ],
        check=True,
    )  # fmt: skip
    return path


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


@pytest.fixture(scope="session")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """What img2posejson writes for a pipeline of gst-launch-1.0: one object for each line."""

    def run(*pipeline: str) -> list[dict[str, Any]]:
        path = tmp_path_factory.mktemp("lines") / "faces.jsonl"
        command = ["gst-launch-1.0", "-q", *pipeline, "!", "img2posejson", "!", "filesink", f"location={path}"]
        subprocess.run(command, check=True)
        return [json.loads(line) for line in path.read_text().splitlines()]

    return run


def same_as_lines(frames: list[img2pose.Frame], lines: list[dict[str, Any]]) -> None:
    """Asserts that each number is the element's, bit for bit: the shortest decimals read back as the same 32-bit floats."""
    assert len(frames) == len(lines)
    for frame, line in zip(frames, lines, strict=True):
        assert (frame.pts, frame.index) == (line["pts"], line["frame"])
        assert frame.size == (line["width"], line["height"])
        assert frame.reused == line.get("reused", False)
        assert len(frame.faces) == len(line["faces"])
        for face, wanted in zip(frame.faces, line["faces"], strict=True):
            for found, numbers in (
                (face.box, wanted["box"]),
                ([face.score], [wanted["confidence"]]),
                ([*face.rotation_vector, *face.translation], wanted["pose"]),
                (face.yaw_pitch_roll, wanted["yaw_pitch_roll_deg"]),
                (face.keypoints, [wanted["keypoints"][name] for name in img2pose.KEYPOINTS]),
            ):
                assert np.asarray(found, np.float32).tobytes() == np.asarray(numbers, np.float32).tobytes()
            track = wanted.get("track", {"id": 0, "state": ""})
            assert (face.track_id, face.track_state) == (track["id"], track["state"])


def threads() -> int:
    """Threads of this process, those of C libraries included."""
    return len(os.listdir("/proc/self/task"))


@pytest.fixture(autouse=True)
def _no_python_thread_stays() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before
