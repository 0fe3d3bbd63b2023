"""The programs in examples/python that use this package run, and what they leave is right."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import img2pose

EXAMPLES = Path(__file__).parents[2] / "examples/python"


def run(name: str, *arguments: object) -> str:
    """What an example prints."""
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_attention(clip: Path, tmp_path: Path) -> None:
    picture = tmp_path / "attention.svg"
    printed = run("attention.py", clip, picture, "--within", 90)
    frames = len(list(img2pose.faces(clip)))
    # She faces the camera all the time, as far as a face can be seen at all.
    assert printed == f"id 1: seen in {frames} frames, looks at the camera in 100 % of them\n"
    assert "in 0 %" in run("attention.py", clip, picture, "--within", 0)
    root = ElementTree.parse(picture).getroot()  # noqa: S314
    line = root.findall("{http://www.w3.org/2000/svg}path")[-1].get("d")
    assert line is not None
    points = re.findall(r"[ML](\S+) (\S+?)(?=[ML]|$)", line)
    assert len(points) == frames
    assert [float(x) for x, _ in points] == sorted(float(x) for x, _ in points)


def test_best_crops(media: Path, tmp_path: Path) -> None:
    # Clockwise.
    picture = Image.open(media / "single_face.jpg").convert("RGB").rotate(-25, Image.Resampling.BICUBIC)
    picture.save(tmp_path / "turned.png")
    (turned,) = img2pose.detect(np.asarray(picture))
    assert turned.roll > 15
    printed = run("best_crops.py", tmp_path / "turned.png", tmp_path / "crops", "--size", 160)
    (path,) = (tmp_path / "crops").iterdir()
    assert printed == f"{path}: frame 0\n"
    crop = np.asarray(Image.open(path))
    assert crop.shape == (160, 160, 3)
    # The face is in the middle, and upright.
    (face,) = img2pose.detect(crop)
    assert abs(face.box[[0, 2]].mean() - 80) < 20
    assert abs(face.box[[1, 3]].mean() - 80) < 20
    assert abs(face.roll) < 8


def matrix(x: float, y: float, z: float, w: float) -> Any:
    """The rotation matrix of a quaternion, written down another way than the example does."""
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def test_to_three(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "heads.json"
    # In this process, so that its frames can be looked at.
    frames = list(img2pose.faces(clip, track=True))
    monkeypatch.setattr(sys, "argv", ["to_three.py", str(clip), str(path)])
    monkeypatch.setattr(img2pose, "faces", lambda *_, **__: iter(frames))
    runpy.run_path(str(EXAMPLES / "to_three.py"), run_name="__main__")
    read = json.loads(path.read_text())
    (head,) = read["heads"]
    position, turn = head["clip"]["tracks"]
    assert len(position["times"]) == len(turn["times"]) == len(frames)
    for index, frame in enumerate(frames):
        assert position["times"][index] == pytest.approx(frame.time, abs=1e-6)
        place = np.array(position["values"][3 * index : 3 * index + 3])
        rotation = matrix(*turn["values"][4 * index : 4 * index + 4])
        # The nose, 1 in front of the face: where it is for us, and for them with y and z the other way round.
        nose = frame.faces.rotation_matrices[0] @ [0, 0, -1] + frame.faces.translations[0]
        assert rotation @ [0, 0, 1] + place == pytest.approx(nose * [1, -1, -1], abs=1e-4)
        # Its place in the picture by the camera of the file is that by the camera of the frame.
        half = np.tan(np.radians(read["camera"]["fov"]) / 2)
        x, y = place[:2] / -place[2] / half / [read["camera"]["aspect"], 1]
        seen = frame.camera @ frame.faces.translations[0]
        width, height = frame.size
        assert [(x + 1) * width / 2, (1 - y) * height / 2] == pytest.approx(seen[:2] / seen[2], abs=1e-2)


@pytest.mark.parametrize("name", ["attention.py", "best_crops.py", "to_three.py"])
def test_no_face_is_said(name: str, tmp_path: Path) -> None:
    # A picture is a clip of one frame.
    picture = tmp_path / "grey.png"
    Image.new("RGB", (160, 120), "grey").save(picture)
    failed = subprocess.run([sys.executable, str(EXAMPLES / name), str(picture), str(tmp_path / "out")], capture_output=True, text=True)
    assert failed.returncode == 1
    assert f"no face in {picture}" in failed.stderr
