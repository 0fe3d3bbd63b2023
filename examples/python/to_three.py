#!/usr/bin/env python3
"""Head poses of a clip as a scene for three.js, which Blender can read, too.

    to_three.py clip.mp4 heads.json

The file is a scene as THREE.ObjectLoader reads it: a camera, a light, a head (with a nose) for each person, and an animation that moves
them and hides those that are not in the picture. To look at it, open https://threejs.org/editor, choose File > Import and the file, and
play the animation of the Scene in the sidebar. In a page of your own:

    const scene = await new THREE.ObjectLoader().loadAsync("heads.json");
    const camera = scene.getObjectByName("camera");
    const mixer = new THREE.AnimationMixer(scene);
    mixer.clipAction(scene.animations[0]).play();
    const clock = new THREE.Clock();
    renderer.setAnimationLoop(() => { mixer.update(clock.getDelta()); renderer.render(scene, camera); });

Axes are those of three.js, and of a camera's own space in Blender: x right, y up, z towards whoever looks. A head without a turn looks
along z into the camera, which is at the origin. Lengths are head units (1.5 from ear to ear). In Blender, in the tab Scripting, this
makes an object for each person and parents it to the scene's camera, which shares its space:

    import bpy, json, math
    data = json.load(open("/path/to/heads.json"))
    camera = bpy.context.scene.camera
    view = next(child for child in data["object"]["children"] if child["type"] == "PerspectiveCamera")
    camera.data.sensor_fit, camera.data.angle = "VERTICAL", math.radians(view["fov"])
    rate, heads = bpy.context.scene.render.fps, {}
    for track in data["animations"][0]["tracks"]:
        name, what = track["name"].split(".")
        if name not in heads:
            bpy.ops.mesh.primitive_monkey_add(rotation=(0, 0, 0))
            heads[name] = bpy.context.object
            heads[name].name, heads[name].parent, heads[name].rotation_mode = name, camera, "QUATERNION"
        head, values = heads[name], track["values"]
        for i, time in enumerate(track["times"]):
            if what == "position":
                head.location, channel = values[3 * i : 3 * i + 3], "location"
            elif what == "quaternion":
                x, y, z, w = values[4 * i : 4 * i + 4]
                head.rotation_quaternion, channel = (w, x, y, z), "rotation_quaternion"
            else:
                head.hide_render, channel = not values[i], "hide_render"
            head.keyframe_insert(channel, frame=time * rate)

Needs the Python package img2pose.
"""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np

import img2pose

# From x right, y down, z into the scene.
AXES = np.diag([1.0, -1.0, -1.0])
# Of THREE.AnimationClip: poses are taken as they are, not added to others.
NORMAL = 2500
# Radius of a head, of 1.5 from ear to ear; how far its nose is in front of its middle.
RADIUS, NOSE = 0.75, 1.0
COLORS = [0x3B82F6, 0xF59E0B, 0x10B981, 0xEF4444, 0x8B5CF6, 0xEC4899]


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


def name_of(what: str) -> str:
    """A UUID, the same whenever the program runs."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"img2pose/to_three/{what}"))


class Head:
    """The keys of one person."""

    def __init__(self, person: int) -> None:
        self.person = person
        self.name = f"person_{person}"
        self.times: list[float] = []
        self.positions: list[float] = []
        self.turns: list[float] = []
        self.visible: dict[float, bool] = {0.0: False}
        self.last = np.array([0.0, 0.0, 0.0, 1.0])

    def add(self, time: float, face: img2pose.Face, rotation: np.ndarray) -> None:
        turn = quaternion(AXES @ rotation @ AXES)
        # A turn has two quaternions; between two keys the nearer ones are wanted.
        if turn @ self.last < 0:
            turn = -turn
        self.last = turn
        self.times.append(time)
        self.positions += [round(float(value), 6) for value in AXES @ face.translation]
        self.turns += [round(float(value), 6) for value in turn]
        self.show(time, True)

    def show(self, time: float, visible: bool) -> None:
        if list(self.visible.values())[-1] != visible:
            self.visible[time] = visible

    def tracks(self) -> list[dict[str, Any]]:
        """As THREE.KeyframeTrack.toJSON: what moves is named by its object."""
        return [
            {"name": f"{self.name}.position", "type": "vector", "times": self.times, "values": self.positions},
            {"name": f"{self.name}.quaternion", "type": "quaternion", "times": self.times, "values": self.turns},
            {"name": f"{self.name}.visible", "type": "bool", "times": list(self.visible), "values": list(self.visible.values())},
        ]

    def material(self) -> dict[str, Any]:
        color = COLORS[self.person % len(COLORS)]
        return {"uuid": name_of(f"material {self.name}"), "type": "MeshStandardMaterial", "color": color, "roughness": 0.8}

    def group(self) -> dict[str, Any]:
        """As THREE.Object3D.toJSON: where it is first, and what is to be seen."""
        # Columns below each other. The head is longer than wide; the cone of the nose points along y, and is turned to z.
        place = [0, 0, NOSE - 0.2]
        parts = {
            "face": [1, 0, 0, 0, 0, 1.35, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
            "nose": [1, 0, 0, 0, 0, 0, 1, 0, 0, -1, 0, 0, *place, 1],
        }
        children = [
            {
                "uuid": name_of(f"{part} {self.name}"),
                "type": "Mesh",
                "name": f"{part}_{self.person}",
                "geometry": name_of(part),
                "material": name_of(f"material {self.name}"),
                "matrix": matrix,
            }
            for part, matrix in parts.items()
        ]
        x, y, z = self.positions[:3]
        matrix = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, x, y, z, 1]
        return {"uuid": name_of(self.name), "type": "Group", "name": self.name, "matrix": matrix, "children": children}


def scene(heads: list[Head], camera: dict[str, float], duration: float) -> dict[str, Any]:
    """As THREE.Object3D.toJSON: https://github.com/mrdoob/three.js/wiki/JSON-Object-Scene-format-4."""
    geometries = [
        {"uuid": name_of("face"), "type": "SphereGeometry", "radius": RADIUS, "widthSegments": 32, "heightSegments": 16},
        {"uuid": name_of("nose"), "type": "ConeGeometry", "radius": 0.2, "height": 0.4, "radialSegments": 16},
    ]
    tracks = [track for head in heads for track in head.tracks()]
    clip = {"uuid": name_of("clip"), "name": "heads", "duration": duration, "blendMode": NORMAL, "tracks": tracks}
    light = {
        "uuid": name_of("light"),
        "type": "HemisphereLight",
        "name": "light",
        "color": 0xFFFFFF,
        "groundColor": 0x404040,
        "intensity": 3,
    }
    view = {"uuid": name_of("camera"), "type": "PerspectiveCamera", "name": "camera", "near": 0.1, "far": 1000, **camera}
    return {
        "metadata": {"version": 4.5, "type": "Object", "generator": "to_three.py"},
        "geometries": geometries,
        "materials": [head.material() for head in heads],
        "animations": [clip],
        "object": {
            "uuid": name_of("scene"),
            "type": "Scene",
            "name": "Scene",
            "animations": [clip["uuid"]],
            "children": [view, light, *(head.group() for head in heads)],
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip")
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    heads: dict[int, Head] = {}
    camera, time = {}, 0.0
    for frame in img2pose.faces(options.clip, track=True):
        time = round(frame.time or 0.0, 6)
        width, height = frame.size[0] * frame.pixel_aspect_ratio, frame.size[1]
        # Degrees from the top to the bottom of the picture; the camera's focal length is width + height.
        camera = {"fov": float(np.degrees(2 * np.arctan(height / 2 / (width + height)))), "aspect": width / height}
        for face, rotation in zip(frame.faces, frame.faces.rotation_matrices):
            # 0 is a face that is not followed (yet).
            if face.track_id:
                heads.setdefault(face.track_id, Head(face.track_id)).add(time, face, rotation)
        for head in heads.values():
            if head.times[-1] != time:
                head.show(time, False)
    if not heads:
        sys.exit(f"no face in {options.clip}")
    options.file.write_text(json.dumps(scene(list(heads.values()), camera, time)), encoding="utf-8")
    print(f"{options.file}: {len(heads)} heads, {sum(len(head.times) for head in heads.values())} keys")


if __name__ == "__main__":
    main()
