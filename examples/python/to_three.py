#!/usr/bin/env python3
"""Head poses of a clip for three.js and Blender, as JSON.

    to_three.py clip.mp4 heads.json

The file has the camera, and for each person an AnimationClip as three.js writes it, with the tracks .position and .quaternion:

    const { camera, heads } = await (await fetch("heads.json")).json();
    const view = new THREE.PerspectiveCamera(camera.fov, camera.aspect, 0.1, 1000);   // at the origin, as it is made
    const clip = THREE.AnimationClip.parse(heads[0].clip);
    new THREE.AnimationMixer(head).clipAction(clip).play();

Axes are those of three.js, and of a camera's own space in Blender: x right, y up, z towards whoever looks. A head without a turn looks
along z into the camera. Lengths are head units (1.5 from ear to ear). In Blender, parent the heads to the camera, which shares its space:

    import bpy, json, math
    data = json.load(open("heads.json"))
    camera = bpy.context.scene.camera
    camera.data.sensor_fit, camera.data.angle = "VERTICAL", math.radians(data["camera"]["fov"])
    head = bpy.data.objects["Head"]
    head.parent, head.rotation_mode = camera, "QUATERNION"
    position, turn = data["heads"][0]["clip"]["tracks"]
    for i, time in enumerate(position["times"]):
        x, y, z, w = turn["values"][4 * i : 4 * i + 4]
        head.location, head.rotation_quaternion = position["values"][3 * i : 3 * i + 3], (w, x, y, z)
        for what in ("location", "rotation_quaternion"):
            head.keyframe_insert(what, frame=time * bpy.context.scene.render.fps)

Needs the Python package img2pose.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import img2pose

# From x right, y down, z into the scene.
AXES = np.diag([1.0, -1.0, -1.0])


def quaternion(matrix: np.ndarray) -> np.ndarray:
    """x, y, z, w of a rotation matrix."""
    # The eigenvector of the largest eigenvalue: https://en.wikipedia.org/wiki/Rotation_matrix#Quaternion (Bar-Itzhack).
    m = matrix
    k = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[2, 1] - m[1, 2]],
            [m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], m[1, 2] + m[2, 1], m[0, 2] - m[2, 0]],
            [m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m[0, 0] + m[1, 1] + m[2, 2]],
        ]
    )
    return np.linalg.eigh(k)[1][:, -1]


class Head:
    """The keys of one person."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.positions: list[float] = []
        self.turns: list[float] = []
        self.last = np.array([0.0, 0.0, 0.0, 1.0])

    def add(self, time: float, face: img2pose.Face, rotation: np.ndarray) -> None:
        turn = quaternion(AXES @ rotation @ AXES)
        # A turn has two quaternions; between two keys the nearer ones are wanted.
        if turn @ self.last < 0:
            turn = -turn
        self.last = turn
        self.times.append(round(time, 6))
        self.positions += [round(float(value), 6) for value in AXES @ face.translation]
        self.turns += [round(float(value), 6) for value in turn]

    def clip(self, name: str) -> dict[str, Any]:
        """As THREE.AnimationClip.toJSON."""
        tracks = [
            {"name": ".position", "type": "vector", "times": self.times, "values": self.positions},
            {"name": ".quaternion", "type": "quaternion", "times": self.times, "values": self.turns},
        ]
        return {"name": name, "duration": self.times[-1], "tracks": tracks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip")
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    heads: dict[int, Head] = {}
    camera = {}
    for frame in img2pose.faces(options.clip, track=True):
        width, height = frame.size[0] * frame.pixel_aspect_ratio, frame.size[1]
        # Degrees from the top to the bottom of the picture; the camera's focal length is width + height.
        camera = {"fov": float(np.degrees(2 * np.arctan(height / 2 / (width + height)))), "aspect": width / height}
        for face, rotation in zip(frame.faces, frame.faces.rotation_matrices):
            heads.setdefault(face.track_id, Head()).add(frame.time or 0.0, face, rotation)
    if not heads:
        sys.exit(f"no face in {options.clip}")
    found = [{"id": person, "clip": head.clip(f"person {person}")} for person, head in heads.items()]
    options.file.write_text(json.dumps({"camera": camera, "heads": found}), encoding="utf-8")
    print(f"{options.file}: {len(found)} heads, {sum(len(head.times) for head in heads.values())} keys")


if __name__ == "__main__":
    main()
