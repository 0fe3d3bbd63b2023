"""Faces as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import overload

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]

#: Names of the keypoints, in the order of their axis; left and right as in the picture when the head is upright in it.
KEYPOINTS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")


@dataclass(frozen=True, eq=False)
class Face:
    """One face. Numbers are those of one row of :class:`Faces`.

    Attributes:
        box: ``(4,)`` x_min, y_min, x_max, y_max in pixels.
        score: probability that this is a face, 0 to 1.
        rotation_vector: ``(3,)`` axis times angle, radians.
        translation: ``(3,)`` position in head units: x right, y down, z into the scene.
        yaw_pitch_roll: ``(3,)`` degrees, R = Rx(-pitch) Ry(yaw) Rz(roll): face to the left in the picture, face up, head
            tilted clockwise are positive.
        keypoints: ``(5, 2)`` x, y in pixels of :data:`KEYPOINTS`.
        track_id: the same for the same face through time, from 1 on; 0 where nobody follows it.
        track_state: ``new``, ``seen``, ``predicted``, ``interpolated``; empty where nobody follows it.
    """

    box: Floats
    score: float
    rotation_vector: Floats
    translation: Floats
    yaw_pitch_roll: Floats
    keypoints: Floats
    track_id: int = 0
    track_state: str = ""

    @property
    def yaw(self) -> float:
        """Degrees; positive: the face is turned to the left of the picture."""
        return float(self.yaw_pitch_roll[0])

    @property
    def pitch(self) -> float:
        """Degrees; positive: the face looks up."""
        return float(self.yaw_pitch_roll[1])

    @property
    def roll(self) -> float:
        """Degrees; positive: the head is tilted clockwise in the picture."""
        return float(self.yaw_pitch_roll[2])


def _empty(*shape: int) -> Floats:
    return np.empty(shape, np.float32)


@dataclass(frozen=True)
class Faces:
    """The faces of one picture, n of them, in order of falling score. A sequence of :class:`Face`.

    Coordinates are pixels of the picture as it is stored. Poses belong to a camera whose focal length is width + height pixels and
    whose principal point is the middle of the picture.

    Attributes:
        boxes: ``(n, 4)`` float32, x_min, y_min, x_max, y_max in pixels.
        scores: ``(n,)`` float32, 0 to 1.
        rotation_vectors: ``(n, 3)`` float32, axis times angle, radians.
        translations: ``(n, 3)`` float32, head units: x right, y down, z into the scene.
        yaw_pitch_roll: ``(n, 3)`` float32, degrees, R = Rx(-pitch) Ry(yaw) Rz(roll); positive as seen in the picture: face to
            the left, face up, head tilted clockwise.
        keypoints: ``(n, 5, 2)`` float32, x, y in pixels: left eye, right eye, nose, left and right corner of the mouth, left and
            right as in the picture; outside of it where the face is cut.
        track_ids: ``(n,)`` uint64, the same for the same face through time, from 1 on; 0 where nobody follows it.
        track_ages: ``(n,)`` uint64, nanoseconds since it was seen first; 0 where nobody follows it.
        track_states: n texts: ``new`` or ``seen`` in this frame, ``predicted`` or ``interpolated`` where it was not found or nobody
            looked; empty where nobody follows it.
    """

    boxes: Floats = field(default_factory=lambda: _empty(0, 4))
    scores: Floats = field(default_factory=lambda: _empty(0))
    rotation_vectors: Floats = field(default_factory=lambda: _empty(0, 3))
    translations: Floats = field(default_factory=lambda: _empty(0, 3))
    yaw_pitch_roll: Floats = field(default_factory=lambda: _empty(0, 3))
    keypoints: Floats = field(default_factory=lambda: _empty(0, 5, 2))
    track_ids: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    track_ages: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    track_states: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of faces."""
        return len(self.scores)

    @overload
    def __getitem__(self, index: int) -> Face: ...

    @overload
    def __getitem__(self, index: slice | npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Faces: ...

    def __getitem__(self, index: int | slice | npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> Face | Faces:
        """A face by its number; or those that a slice, a mask ``(n,)`` or an array of numbers picks."""
        if isinstance(index, (int, np.integer)):
            return Face(
                box=self.boxes[index],
                score=float(self.scores[index]),
                rotation_vector=self.rotation_vectors[index],
                translation=self.translations[index],
                yaw_pitch_roll=self.yaw_pitch_roll[index],
                keypoints=self.keypoints[index],
                track_id=int(self.track_ids[index]),
                track_state=self.track_states[index],
            )
        picked = np.arange(len(self))[index]
        return Faces(
            boxes=self.boxes[picked],
            scores=self.scores[picked],
            rotation_vectors=self.rotation_vectors[picked],
            translations=self.translations[picked],
            yaw_pitch_roll=self.yaw_pitch_roll[picked],
            keypoints=self.keypoints[picked],
            track_ids=self.track_ids[picked],
            track_ages=self.track_ages[picked],
            track_states=tuple(self.track_states[i] for i in picked),
        )

    def __iter__(self) -> Iterator[Face]:
        """One face after the other."""
        return (self[index] for index in range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Whether all numbers are the same, bit for bit."""
        if not isinstance(other, Faces):
            return NotImplemented
        names = ("boxes", "scores", "rotation_vectors", "translations", "yaw_pitch_roll", "keypoints", "track_ids", "track_ages")
        same = all(
            getattr(self, name).shape == getattr(other, name).shape and getattr(self, name).tobytes() == getattr(other, name).tobytes()
            for name in names
        )
        return same and self.track_states == other.track_states

    __hash__ = None  # type: ignore[assignment]

    @property
    def poses(self) -> Floats:
        """``(n, 6)`` float32: rotation vector (radians) and translation (head units), img2pose's own six numbers."""
        return np.concatenate([self.rotation_vectors, self.translations], axis=1)

    @property
    def yaw(self) -> Floats:
        """``(n,)`` float32, degrees; positive: the face is turned to the left of the picture."""
        return self.yaw_pitch_roll[:, 0]

    @property
    def pitch(self) -> Floats:
        """``(n,)`` float32, degrees; positive: the face looks up."""
        return self.yaw_pitch_roll[:, 1]

    @property
    def roll(self) -> Floats:
        """``(n,)`` float32, degrees; positive: the head is tilted clockwise in the picture."""
        return self.yaw_pitch_roll[:, 2]

    @property
    def rotation_matrices(self) -> npt.NDArray[np.float64]:
        """``(n, 3, 3)`` float64, from the rotation vectors by Rodrigues' formula, R = I + sin(a) K + (1 - cos(a)) K K."""
        vectors = self.rotation_vectors.astype(np.float64)
        angles = np.linalg.norm(vectors, axis=1)
        axes = vectors / np.where(angles > 0, angles, 1)[:, np.newaxis]
        cross = np.zeros((len(self), 3, 3))
        cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -axes[:, 2], axes[:, 1], -axes[:, 0]
        cross -= cross.transpose(0, 2, 1)
        sines, cosines = np.sin(angles)[:, None, None], np.cos(angles)[:, None, None]
        rotations: npt.NDArray[np.float64] = np.eye(3) + sines * cross + (1 - cosines) * (cross @ cross)
        return rotations


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame of a stream and its faces.

    Attributes:
        pts: presentation timestamp, nanoseconds; ``None`` where the stream has none.
        index: number of the frame, from 0 on.
        size: width and height in pixels.
        faces: its faces.
        looked_at: whether the frame has a result at all; without one (``inference-interval``) ``faces`` is empty.
        reused: whether nobody looked at this frame, and its faces are where earlier ones lead to expect them.
        orientation: how the frame was turned to look at it, such as ``90r``; empty where it was not. All numbers are those of
            the pixels as they lie.
        pixel_aspect_ratio: width of a pixel over its height; the camera of the poses depends on it, see :attr:`camera`.
        image: ``(height, width, 3)`` uint8, red, green, blue, where ``image=True`` asked for it, else ``None``. It may be changed.
    """

    pts: int | None
    index: int
    size: tuple[int, int]
    faces: Faces
    looked_at: bool = True
    reused: bool = False
    orientation: str = ""
    pixel_aspect_ratio: float = 1.0
    image: Image | None = None

    @property
    def time(self) -> float | None:
        """The timestamp in seconds."""
        return None if self.pts is None else self.pts / 1e9

    @property
    def camera(self) -> npt.NDArray[np.float64]:
        """``(3, 3)`` float64: the camera matrix of the poses, in pixels."""
        width, height = self.size
        ratio = self.pixel_aspect_ratio
        return np.array([[width + height / ratio, 0, width / 2], [0, width * ratio + height, height / 2], [0, 0, 1]], dtype=np.float64)
