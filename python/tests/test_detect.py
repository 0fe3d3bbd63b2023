"""img2pose.detect: pictures that are arrays."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
from conftest import QUICK, Lines, same_as_lines

import img2pose
from img2pose import _pixels

Image = npt.NDArray[np.uint8]


def test_no_picture_one_picture_many_pictures(group: Image, portrait: Image) -> None:
    assert img2pose.detect([]) == []
    assert img2pose.detect(()) == []
    alone = img2pose.detect(group, min_size=QUICK)
    assert isinstance(alone, img2pose.Faces)
    assert len(alone) == 5
    # Sizes as they come; the second and the last share a run with others of their size.
    pictures = [group, portrait, group[:300], np.ascontiguousarray(group[:, ::-1]), group, np.zeros((37, 53, 3), np.uint8)]
    together = img2pose.detect(pictures, min_size=QUICK, batch_size=4)
    one_by_one = [img2pose.detect(picture, min_size=QUICK, batch_size=4) for picture in pictures]
    assert together == one_by_one
    assert together[0] == together[4] == alone
    assert [len(faces) for faces in together][:2] == [5, 1]
    assert len(together[5]) == 0


def test_the_elements_numbers(media: Path, lines: Lines) -> None:
    """Behind the same decoder, so that the pixels are the same."""
    file = media / "multi_face.jpg"
    decoded = f"filesrc location={file} ! decodebin ! videoconvert ! video/x-raw,format=RGB"
    (frame,) = img2pose.faces(img2pose.Launch(decoded), image=True, min_size=QUICK)
    assert frame.image is not None
    faces = img2pose.detect(frame.image, min_size=QUICK)
    assert faces == frame.faces
    wanted = lines(*decoded.split(), "!", "img2posedetect", f"min-size={QUICK}")
    same_as_lines([frame], wanted)


def test_views_are_read_where_they_lie(group: Image) -> None:
    view = group[100:, 200:600]
    assert not view.flags.c_contiguous
    assert img2pose.detect(view, min_size=QUICK) == img2pose.detect(view.copy(), min_size=QUICK)
    mirrored = group[:, ::-1]
    assert img2pose.detect(mirrored, min_size=QUICK) == img2pose.detect(mirrored.copy(), min_size=QUICK)
    every_second = group[::2, ::2]
    assert img2pose.detect(every_second, min_size=QUICK) == img2pose.detect(every_second.copy(), min_size=QUICK)


def test_only_rows_that_are_not_contiguous_are_copied(group: Image) -> None:
    for image in (group, group[100:, 200:600], group[::2], group[:, :, 1].copy(), group[:, :, 1:2].copy()):
        checked, _ = _pixels.check(image, "the picture", "RGB")
        assert np.shares_memory(checked, image)
    for image in (group[:, ::-1], group[::-1], group[:, ::2], group[:, :, ::-1], group[:, :, 1]):
        checked, _ = _pixels.check(image, "the picture", "RGB")
        assert checked.flags.c_contiguous
        assert not np.shares_memory(checked, image)


def test_channels(group: Image) -> None:
    wanted = img2pose.detect(group, min_size=QUICK)
    swapped = np.ascontiguousarray(group[:, :, ::-1])
    assert img2pose.detect(swapped, channels="BGR", min_size=QUICK) == wanted
    opaque = np.dstack([group, np.full(group.shape[:2], 255, np.uint8)])
    assert img2pose.detect(opaque, min_size=QUICK) == wanted
    grey = group[:, :, 1].copy()
    assert len(img2pose.detect(grey, min_size=QUICK)) >= 4
    assert img2pose.detect(grey[:, :, np.newaxis], min_size=QUICK) == img2pose.detect(grey, min_size=QUICK)


def test_pictures_stay_as_they_are(group: Image) -> None:
    before = group.copy()
    before.flags.writeable = False
    img2pose.detect([before, before], min_size=QUICK)
    assert (before == group).all()


def test_threads_share_a_detector(group: Image, portrait: Image) -> None:
    found: dict[int, list[img2pose.Faces]] = {}
    with img2pose.Detector(min_size=QUICK) as detector:
        wanted = detector.detect([group, portrait])

        def run(number: int) -> None:
            found[number] = detector.detect([group, portrait])

        workers = [threading.Thread(target=run, args=(number,)) for number in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert found == dict.fromkeys(range(3), wanted)
        detector.close()
        # It loads anew.
        assert detector.detect([portrait]) == wanted[1:]


def test_faces_are_a_sequence(group: Image) -> None:
    faces = img2pose.detect(group, min_size=QUICK)
    assert [face.score for face in faces] == sorted(faces.scores.tolist(), reverse=True)
    last = faces[-1]
    assert (last.yaw, last.pitch, last.roll) == (faces.yaw[4], faces.pitch[4], faces.roll[4])
    left = faces[faces.boxes[:, 0] < 400]
    assert 0 < len(left) < 5
    assert all(face.box[0] < 400 for face in left)
    assert faces[:2] == faces[np.array([0, 1])]
    assert faces[:2] != faces[1:3]
    assert faces.poses.shape == (5, 6)
    assert len(img2pose.Faces()) == 0
    assert img2pose.Faces().rotation_matrices.shape == (0, 3, 3)


def test_rotation_matrices_are_those_of_the_angles(group: Image) -> None:
    """R = Rx(-pitch) Ry(yaw) Rz(roll), as docs/pose.md has it."""
    faces = img2pose.detect(group, min_size=QUICK)
    for matrix, (yaw, pitch, roll) in zip(faces.rotation_matrices, np.radians(faces.yaw_pitch_roll), strict=True):
        x, y, z = -pitch, yaw, roll
        rx = [[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]]
        ry = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
        rz = [[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]]
        np.testing.assert_allclose(matrix, np.array(rx) @ np.array(ry) @ np.array(rz), atol=1e-5)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-9)
