"""The record of faces on a buffer (docs/metadata.md): read from what the elements attach, and written for the overlay."""

from __future__ import annotations

import ctypes
from ctypes import byref
from dataclasses import dataclass

import numpy as np

from . import _gst
from ._faces import Faces, Floats

NAME = b"Img2PoseFacesMeta"
VERSION = 1

BOX = (b"x_min", b"y_min", b"x_max", b"y_max")
POSE = (b"rx", b"ry", b"rz", b"tx", b"ty", b"tz")
ANGLES = (b"yaw", b"pitch", b"roll")
POINTS = tuple(point + axis for point in (b"left-eye", b"right-eye", b"nose", b"mouth-left", b"mouth-right") for axis in (b"-x", b"-y"))
#: Numbers of a face, in the order of the columns that they are read into.
FIELDS = (*BOX, b"confidence", *POSE, *ANGLES, *POINTS)


@dataclass(frozen=True)
class Record:
    """What the record of a frame says."""

    size: tuple[int, int]
    faces: Faces
    reused: bool
    orientation: str
    pixel_aspect_ratio: float


def read(g: _gst.Gst, buffer: int) -> Record | None:
    """The record on a buffer; ``None`` where nobody has looked at the frame.

    Raises:
        ValueError: it has another layout than this package knows, so that package and plugin do not belong together.
    """
    meta = g.gst_buffer_get_custom_meta(buffer, NAME)
    if not meta:
        return None
    structure = g.gst_custom_meta_get_structure(meta)
    version, count = ctypes.c_uint(), ctypes.c_uint()
    width, height = ctypes.c_int(), ctypes.c_int()
    if not g.gst_structure_get_uint(structure, b"version", byref(version)) or version.value != VERSION:
        raise ValueError(f"the plugin's record has version {version.value}, this package reads {VERSION}; install both anew")
    complete = (
        g.gst_structure_get_int(structure, b"frame-width", byref(width))
        and g.gst_structure_get_int(structure, b"frame-height", byref(height))
        and g.gst_structure_get_uint(structure, b"n-faces", byref(count))
    )
    if not complete:
        raise ValueError("the record of a frame lacks its size or its number of faces")
    reused = ctypes.c_int(0)
    g.gst_structure_get_boolean(structure, b"reused", byref(reused))
    orientation = g.gst_structure_get_string(structure, b"orientation")
    numerator, denominator = ctypes.c_int(1), ctypes.c_int(1)
    g.gst_structure_get_fraction(structure, b"pixel-aspect-ratio", byref(numerator), byref(denominator))
    size = width.value, height.value
    return Record(
        size=size,
        faces=_faces(g, structure, count.value, size),
        reused=bool(reused.value),
        orientation=orientation.decode() if orientation else "",
        pixel_aspect_ratio=numerator.value / denominator.value,
    )


def _faces(g: _gst.Gst, structure: int, count: int, size: tuple[int, int]) -> Faces:
    if count == 0:
        return Faces()
    numbers = np.empty((count, len(FIELDS)), np.float64)
    ids, ages = np.zeros(count, np.uint64), np.zeros(count, np.uint64)
    states: list[str] = []
    number, whole = ctypes.c_double(), ctypes.c_uint64()
    get, reference = g.gst_structure_get_double, byref(number)
    for index in range(count):
        value = g.gst_structure_get_value(structure, b"face-%d" % index)
        face = g.gst_value_get_structure(value) if value else None
        if not face:
            raise ValueError(f"the record of a frame lacks face {index} of {count}")
        row = numbers[index]
        for column, name in enumerate(FIELDS):
            if not get(face, name, reference):
                raise ValueError(f"face {index} of a record has no number '{name.decode()}'")
            row[column] = number.value
        if g.gst_structure_get_uint64(face, b"track-id", byref(whole)):
            ids[index] = whole.value
            g.gst_structure_get_uint64(face, b"track-age", byref(whole))
            ages[index] = whole.value
        state = g.gst_structure_get_string(face, b"track-state")
        states.append(state.decode() if state else "")
    # A box is a share of the frame, kept in 64 bits so that its pixels come back as the 32-bit numbers that they were.
    numbers[:, 0:4] *= np.array([*size, *size], np.float64)
    exact = numbers.astype(np.float32)
    return Faces(
        boxes=exact[:, 0:4],
        scores=exact[:, 4],
        rotation_vectors=exact[:, 5:8],
        translations=exact[:, 8:11],
        yaw_pitch_roll=exact[:, 11:14],
        keypoints=exact[:, 14:24].reshape(count, 5, 2),
        track_ids=ids,
        track_ages=ages,
        track_states=tuple(states),
    )


def write(g: _gst.Gst, buffer: int, faces: Faces, size: tuple[int, int]) -> None:
    """Puts a record on a buffer that is writable."""
    meta = g.gst_buffer_add_custom_meta(buffer, NAME)
    record = g.gst_custom_meta_get_structure(meta)
    writer = _Writer(g)
    writer.put_uint(record, b"version", VERSION)
    writer.put_int(record, b"frame-width", size[0])
    writer.put_int(record, b"frame-height", size[1])
    writer.put_uint(record, b"n-faces", len(faces))
    columns = np.concatenate(
        [
            faces.boxes.astype(np.float64) / np.array([*size, *size], np.float64),
            faces.scores.astype(np.float64)[:, np.newaxis],
            faces.poses,
            faces.yaw_pitch_roll,
            faces.keypoints.reshape(len(faces), 10),
        ],
        axis=1,
    )
    for index, row in enumerate(columns):
        face = g.gst_structure_new_empty(b"face")
        for name, number in zip(FIELDS, row, strict=True):
            writer.put_double(face, name, float(number))
        writer.put_int(face, b"label_id", 0)
        if faces.track_ids[index]:
            writer.put_uint64(face, b"track-id", int(faces.track_ids[index]))
            writer.put_uint64(face, b"track-age", int(faces.track_ages[index]))
            writer.put_uint64(face, b"track-unseen", 0)
            writer.put_string(face, b"track-state", faces.track_states[index].encode())
        writer.put_structure(record, b"face-%d" % index, face)
        _add_region(g, buffer, index, faces.boxes[index], size)


def _add_region(g: _gst.Gst, buffer: int, index: int, box: Floats, size: tuple[int, int]) -> None:
    """Where the face is now: without its region the readers of a record take the picture for one that was cropped."""
    limits = np.array([*size, *size])
    low, high = np.clip(np.split(np.concatenate([np.floor(box[:2]), np.ceil(box[2:])]), 2), 0, limits.reshape(2, 2))
    x, y, width, height = (int(number) for number in (*low, *np.maximum(high - low, 0)))
    region = g.gst_buffer_add_video_region_of_interest_meta(buffer, b"face", x, y, width, height).contents
    region.id, region.parent_id = index, -1


class _Writer:
    """Fields of a structure."""

    def __init__(self, g: _gst.Gst) -> None:
        self._g = g

    def _set(self, structure: int, name: bytes, kind: int, setter: _gst.Function, value: object) -> None:
        holder = _gst.Value()
        self._g.g_value_init(byref(holder), kind)
        setter(byref(holder), value)
        self._g.gst_structure_set_value(structure, name, byref(holder))
        self._g.g_value_unset(byref(holder))

    def put_int(self, structure: int, name: bytes, value: int) -> None:
        self._set(structure, name, _gst.TYPE_INT, self._g.g_value_set_int, value)

    def put_uint(self, structure: int, name: bytes, value: int) -> None:
        self._set(structure, name, _gst.TYPE_UINT, self._g.g_value_set_uint, value)

    def put_uint64(self, structure: int, name: bytes, value: int) -> None:
        self._set(structure, name, _gst.TYPE_UINT64, self._g.g_value_set_uint64, value)

    def put_double(self, structure: int, name: bytes, value: float) -> None:
        self._set(structure, name, _gst.TYPE_DOUBLE, self._g.g_value_set_double, value)

    def put_string(self, structure: int, name: bytes, value: bytes) -> None:
        self._set(structure, name, _gst.TYPE_STRING, self._g.g_value_set_string, value)

    def put_structure(self, structure: int, name: bytes, value: int) -> None:
        """The inner structure is copied, and freed."""
        self._set(structure, name, self._g.gst_structure_get_type(), self._g.gst_value_set_structure, value)
        self._g.gst_structure_free(value)
