"""The programs in examples/python that use this package run, and what they leave is right."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from itertools import pairwise
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


# What three.js reads of each, besides uuid, type and name: https://github.com/mrdoob/three.js/wiki/JSON-Object-Scene-format-4,
# and the properties that https://threejs.org/docs has of the class.
FIELDS = {
    "SphereGeometry": {"radius", "widthSegments", "heightSegments"},
    "ConeGeometry": {"radius", "height", "radialSegments"},
    "MeshStandardMaterial": {"color", "roughness"},
    "Scene": {"children", "animations"},
    "PerspectiveCamera": {"fov", "aspect", "near", "far"},
    "HemisphereLight": {"color", "groundColor", "intensity"},
    "Group": {"matrix", "children"},
    "Mesh": {"matrix", "geometry", "material"},
}
# Numbers for each time.
SIZES = {"vector": 3, "quaternion": 4, "bool": 1}


def objects(parent: dict[str, Any]) -> list[dict[str, Any]]:
    """An object of a scene and all in it."""
    return [parent, *(found for child in parent.get("children", []) for found in objects(child))]


def is_scene(read: dict[str, Any]) -> None:
    """Whether THREE.ObjectLoader finds all that it looks for, and nothing that it does not know."""
    assert set(read) == {"metadata", "geometries", "materials", "animations", "object"}
    assert read["metadata"]["type"] == "Object"
    assert 4 <= read["metadata"]["version"] < 5
    everything = objects(read["object"])
    for thing in [*read["geometries"], *read["materials"], *everything]:
        assert set(thing) - {"uuid", "type", "name"} == FIELDS[thing["type"]]
        assert len(thing.get("matrix", [0] * 16)) == 16
        for color in ("color", "groundColor"):
            assert 0 <= thing.get(color, 0) <= 0xFFFFFF
    uuids = [thing["uuid"] for thing in [*read["geometries"], *read["materials"], *read["animations"], *everything]]
    assert len(set(uuids)) == len(uuids)
    for mesh in (thing for thing in everything if thing["type"] == "Mesh"):
        assert mesh["geometry"] in [geometry["uuid"] for geometry in read["geometries"]]
        assert mesh["material"] in [material["uuid"] for material in read["materials"]]
    (clip,) = read["animations"]
    assert set(clip) == {"uuid", "name", "duration", "blendMode", "tracks"}
    assert read["object"]["animations"] == [clip["uuid"]]
    names = [thing["name"] for thing in everything]
    for track in clip["tracks"]:
        assert set(track) == {"name", "type", "times", "values"}
        node, what = track["name"].split(".")
        assert names.count(node) == 1
        assert {"position": "vector", "quaternion": "quaternion", "visible": "bool"}[what] == track["type"]
        assert len(track["values"]) == SIZES[track["type"]] * len(track["times"]) > 0
        assert all(before < after for before, after in pairwise([*track["times"], clip["duration"] + 1e-6]))
        assert track["times"][0] >= 0
        if what == "quaternion":
            turns = np.reshape(track["values"], (-1, 4))
            assert np.linalg.norm(turns, axis=1) == pytest.approx(1, abs=1e-5)


def test_to_three(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "heads.json"
    # In this process, so that its frames can be looked at.
    frames = list(img2pose.faces(clip, track=True))
    nobody = [replace(frame, faces=frame.faces[frame.faces.scores > 1]) for frame in frames[5:8]]
    frames[5:8] = nobody
    monkeypatch.setattr(sys, "argv", ["to_three.py", str(clip), str(path)])
    monkeypatch.setattr(img2pose, "faces", lambda *_, **__: iter(frames))
    runpy.run_path(str(EXAMPLES / "to_three.py"), run_name="__main__")
    read = json.loads(path.read_text())
    is_scene(read)
    position, turn, visible = read["animations"][0]["tracks"]
    seen_at = [frame.time for frame in frames if len(frame.faces)]
    assert position["times"] == turn["times"] == pytest.approx(seen_at, abs=1e-6)
    # She is hidden where nobody was found.
    hidden = [frames[5].time, frames[8].time]
    changes = [0.0] * (frames[0].time != 0) + [frames[0].time]
    assert visible["times"] == pytest.approx([*changes, *hidden], abs=1e-6)
    assert visible["values"] == [*[False] * (len(changes) - 1), True, False, True]
    camera, _, head = read["object"]["children"]
    assert head["matrix"][12:15] == position["values"][:3]
    for index, frame in enumerate(frame for frame in frames if len(frame.faces)):
        place = np.array(position["values"][3 * index : 3 * index + 3])
        rotation = matrix(*turn["values"][4 * index : 4 * index + 4])
        # The nose, 1 in front of the face: where it is for us, and for them with y and z the other way round.
        nose = frame.faces.rotation_matrices[0] @ [0, 0, -1] + frame.faces.translations[0]
        assert rotation @ [0, 0, 1] + place == pytest.approx(nose * [1, -1, -1], abs=1e-4)
        # Its place in the picture by the camera of the file is that by the camera of the frame.
        half = np.tan(np.radians(camera["fov"]) / 2)
        x, y = place[:2] / -place[2] / half / [camera["aspect"], 1]
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
