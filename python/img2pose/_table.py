"""Faces as a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ._faces import KEYPOINTS, Faces, Frame

if TYPE_CHECKING:
    import pandas


def to_dataframe(frames: Frame | Faces | Iterable[Frame | Faces]) -> pandas.DataFrame:
    """A table with a row for each face, for pandas (which is imported here only: ``pip install pandas``).

    ::

        table = img2pose.to_dataframe(img2pose.faces("clip.mp4"))
        table.plot(x="time", y=["yaw", "pitch", "roll"])

    Args:
        frames: frames, as :func:`img2pose.faces` gives them; or faces, as :func:`img2pose.detect` gives them, a picture each. One
            or many.

    Returns:
        A :class:`pandas.DataFrame` with the columns ``frame`` (number of the frame or picture), ``time`` (seconds; NaN where
        unknown), ``face`` (number of the face), ``x_min, y_min, x_max, y_max`` (pixels), ``score``, ``yaw, pitch, roll`` (degrees),
        ``rx, ry, rz`` (rotation vector, radians), ``tx, ty, tz`` (head units), ``left_eye_x``, ``left_eye_y`` and so on for
        ``right_eye, nose, mouth_left, mouth_right`` (pixels), ``track_id`` (0: not followed). Without faces it has these columns
        and no rows.
    """
    import pandas

    several: Iterable[Frame | Faces] = [frames] if isinstance(frames, (Frame, Faces)) else frames
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for number, item in enumerate(several):
        frame, time, faces = (item.index, item.time, item.faces) if isinstance(item, Frame) else (number, None, item)
        count = len(faces)
        columns["frame"] += [frame] * count
        columns["time"] += [float("nan") if time is None else time] * count
        columns["face"] += range(count)
        for names, numbers in (
            (("x_min", "y_min", "x_max", "y_max"), faces.boxes),
            (("score",), faces.scores[:, None]),
            (("yaw", "pitch", "roll"), faces.yaw_pitch_roll),
            (("rx", "ry", "rz"), faces.rotation_vectors),
            (("tx", "ty", "tz"), faces.translations),
            (POINT_COLUMNS, faces.keypoints.reshape(count, 10)),
        ):
            for column, name in enumerate(names):
                columns[name] += list(numbers[:, column])
        columns["track_id"] += list(faces.track_ids)
    kinds = dict.fromkeys(COLUMNS, "float32") | {"frame": "int64", "time": "float64", "face": "int64", "track_id": "uint64"}
    table: pandas.DataFrame = pandas.DataFrame({name: pandas.Series(values, dtype=kinds[name]) for name, values in columns.items()})
    return table


POINT_COLUMNS = tuple(f"{point}_{axis}" for point in KEYPOINTS for axis in "xy")
COLUMNS = (
    *("frame", "time", "face", "x_min", "y_min", "x_max", "y_max", "score", "yaw", "pitch", "roll"),
    *("rx", "ry", "rz", "tx", "ty", "tz"),
    *POINT_COLUMNS,
    "track_id",
)
