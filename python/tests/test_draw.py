"""img2pose.draw and img2pose.to_dataframe."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas
import pytest
from conftest import QUICK

import img2pose

Image = npt.NDArray[np.uint8]


def test_draws_what_the_overlay_draws(media: Path, tmp_path: Path) -> None:
    raw = tmp_path / "drawn.rgb"
    decoded = f"filesrc location={media / 'multi_face.jpg'} ! decodebin ! videoconvert ! video/x-raw,format=RGB"
    pipeline = f"{decoded} ! img2posedetect min-size={QUICK} ! img2poseoverlay label=score+angles ! video/x-raw ! filesink location={raw}"
    subprocess.run(["gst-launch-1.0", "-q", *pipeline.split()], check=True)
    (frame,) = img2pose.faces(img2pose.Launch(decoded), image=True, min_size=QUICK)
    assert frame.image is not None
    before = frame.image.copy()
    drawn = img2pose.draw(frame.image, frame.faces)
    assert (frame.image == before).all()
    assert (drawn != before).any()
    assert drawn.tobytes() == raw.read_bytes()


@pytest.mark.parametrize("shape", [(61, 67, 3), (61, 67, 4), (61, 67), (61, 67, 1)])
def test_any_picture(shape: tuple[int, ...]) -> None:
    """Rows whose length is no multiple of four."""
    face = img2pose.Faces(
        boxes=np.array([[10, 10, 50, 50]], np.float32),
        scores=np.array([0.9], np.float32),
        rotation_vectors=np.zeros((1, 3), np.float32),
        translations=np.array([[0, 0, 5]], np.float32),
        yaw_pitch_roll=np.zeros((1, 3), np.float32),
        keypoints=np.full((1, 5, 2), 30, np.float32),
        track_ids=np.array([7], np.uint64),
        track_ages=np.array([10**9], np.uint64),
        track_states=("seen",),
    )
    black = np.zeros(shape, np.uint8)
    drawn = img2pose.draw(black, face, label="track", draw_axes=False, draw_points="none")
    assert drawn.shape == shape
    assert not black.any()
    rows, columns = np.nonzero(drawn.reshape(61, 67, -1)[:, :, 0])
    assert 0 < len(rows) < 61 * 67 / 2
    assert columns.min() >= 8
    assert (img2pose.draw(black, img2pose.Faces()) == black).all()


def test_nonsense(group: Image) -> None:
    faces = img2pose.Faces()
    with pytest.raises(ValueError, match="'no_such' is no value of 'label'"):
        img2pose.draw(group, faces, label="no_such")
    with pytest.raises(ValueError, match="'wings' is no property of img2poseoverlay"):
        img2pose.draw(group, faces, wings=True)
    with pytest.raises(TypeError, match="faces are a list"):
        img2pose.draw(group, [])  # type: ignore[arg-type]
    odd = img2pose.detect(group, min_size=QUICK)[:1]
    odd.boxes[0, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        img2pose.draw(group, odd)
    odd.boxes[0] = [-1e30, -5, 1e30, 5]
    img2pose.draw(group, odd)


def test_a_row_for_each_face(clip: Path, group: Image) -> None:
    frames = list(img2pose.faces(clip, min_size=QUICK))
    table = img2pose.to_dataframe(frames)
    assert len(table) == sum(len(frame.faces) for frame in frames)
    assert table["time"].iloc[0] == frames[0].time
    assert table["yaw"].iloc[3] == frames[3].faces.yaw[0]
    assert table["mouth_right_y"].iloc[3] == frames[3].faces.keypoints[0, 4, 1]
    pandas.testing.assert_frame_equal(img2pose.to_dataframe(iter(frames)), table)
    several = img2pose.to_dataframe(img2pose.detect([np.zeros((64, 64), np.uint8), group], min_size=QUICK))
    assert list(several["frame"]) == [1] * 5
    assert list(several["face"]) == list(range(5))
    assert several["time"].isna().all()
    assert len(img2pose.to_dataframe(frames[0])) == len(frames[0].faces)
    empty = img2pose.to_dataframe([])
    assert list(empty.columns) == list(table.columns)
    assert (empty.dtypes == table.dtypes).all()
