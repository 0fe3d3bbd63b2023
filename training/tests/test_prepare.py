import json
import sys

import cv2
import numpy as np
import pytest

from conftest import draw_face
from img2pose_train import geometry, prepare, refine
from img2pose_train.labels import pose_in_box
from img2pose_train.pack import Labels, Photos


@pytest.fixture
def photos(tmp_path):
    """Three large photos with one face each, annotated; the second face has a box only, the third is ignored."""
    folder, lines = tmp_path / "photos", []
    folder.mkdir()
    for i in range(3):
        image = np.full((960, 1280, 3), 90, np.uint8)
        landmarks = draw_face(image, [0.0, 0.3 * i, 0], [0, 0, 9.0], 1500.0, [640.0, 480.0])
        cv2.imwrite(str(folder / f"{i}.png"), image)
        box = [*landmarks.min(0), *landmarks.max(0)]
        face = [{"landmarks": landmarks.tolist()}, {"box": box}, {"box": box, "ignore": True}][i]
        lines.append(json.dumps({"file": f"{i}.png", "faces": [face]}))
    (tmp_path / "faces.jsonl").write_text("\n".join(lines))
    (folder / "notes.txt").write_text("not a picture")
    return tmp_path


def call(module, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["program", *map(str, arguments)])
    module.main()


def test_from_a_folder_to_training_labels(photos, monkeypatch, capsys):
    call(prepare, monkeypatch, photos / "photos", "--out", photos / "pack", "--annotations", photos / "faces.jsonl")
    assert "faces with pose 1, box only 1, ignored 1" in capsys.readouterr().out
    pack = Photos(photos / "pack")
    assert [str(n) for n in pack.names] == ["0.png", "1.png", "2.png"]
    assert pack.read(0).shape == (480, 640, 3) and pack.read(0, 2).shape == (240, 320, 3)
    call(refine, monkeypatch, "--pack", photos / "pack", "--out", photos / "refined.npz")
    labels = Labels.load(photos / "refined.npz")
    assert labels.quality.tolist() == [2, 1, 0]
    # The face was drawn at (640, 480) of 1280 x 960; the pack has half of that.
    origin = geometry.project(
        labels.rotation[:1], labels.translation[:1], labels.focal[0], labels.centre[:1], np.zeros((1, 3))
    )
    assert np.allclose(origin, [320, 240], atol=2)
    assert labels.yaw[0] < 3


def test_groups_reach_the_pack(photos, monkeypatch):
    annotations = photos / "faces.jsonl"
    lines = [json.loads(line) for line in annotations.read_text().splitlines()]
    annotations.write_text("\n".join(json.dumps(line | {"group": "party"} if i else line) for i, line in enumerate(lines)))
    call(prepare, monkeypatch, photos / "photos", "--out", photos / "pack", "--annotations", annotations)
    assert np.load(photos / "pack/labels.npz")["groups"].tolist() == ["", "party", "party"]


def test_annotations_of_files_that_are_not_there_are_refused_and_the_old_pack_stays(photos, monkeypatch, capsys):
    """With a detector, its faces would silently take the place of the user's."""
    call(prepare, monkeypatch, photos / "photos", "--out", photos / "pack", "--annotations", photos / "faces.jsonl")
    (photos / "other.jsonl").write_text('{"file": "photos/0.png", "faces": []}')
    with pytest.raises(SystemExit):
        call(prepare, monkeypatch, photos / "photos", "--out", photos / "pack", "--annotations", photos / "other.jsonl")
    assert "no such file in" in (told := capsys.readouterr().err) and "photos/0.png (1 in all)" in told
    (photos / "empty.jsonl").write_text("")
    with pytest.raises(SystemExit):
        call(prepare, monkeypatch, photos / "photos", "--out", photos / "pack", "--annotations", photos / "empty.jsonl")
    assert "no photo to pack" in capsys.readouterr().err
    assert Photos(photos / "pack").read(2).shape == (480, 640, 3)
    assert sorted(path.name for path in (photos / "pack").iterdir()) == ["images.bin", "labels.npz"]


def test_a_pose_that_contradicts_its_box_is_not_trusted():
    points = geometry.project(
        np.eye(3)[None], np.array([[0, 0, 9.0]]), 700.0, np.array([[320.0, 240]]), geometry.REFERENCE_68
    )[0]
    _, _, _, box, _ = pose_in_box(points)
    assert prepare.label_face({"landmarks": points, "box": box}, 1.0)["q"] == 2
    assert prepare.label_face({"landmarks": points, "box": box + 60}, 1.0)["q"] == 1
    assert prepare.label_face({"landmarks": points, "shift": 0.2}, 1.0)["q"] == 1
    scrambled = points[np.random.default_rng(0).permutation(68)]
    assert prepare.label_face({"landmarks": scrambled}, 1.0)["q"] == 1


def test_faulty_annotations_are_named(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"file": "a.png", "faces": []}\n{"file": 3')
    with pytest.raises(ValueError, match="line 2"):
        prepare.annotations_of(tmp_path / "a.jsonl")
    with pytest.raises(ValueError, match="neither"):
        prepare.label_face({}, 1.0)
    with pytest.raises(ValueError, match=r"\(5, 2\)"):
        prepare.label_face({"landmarks": np.zeros((5, 2))}, 1.0)


def test_the_relation_between_boxes_is_measured():
    box = np.array([10.0, 20, 50, 80])
    wanted = prepare.with_forehead(box, np.array([0.1, -0.2]), np.array([1.5, 1.25]))
    shift, scale = prepare.box_relation([{"q": 2, "det": box, "pb": wanted}] * 60)
    assert np.allclose(shift, [0.1, -0.2]) and np.allclose(scale, [1.5, 1.25])


def test_landmarks_come_back_in_photo_pixels():
    """The teacher's arithmetic, with a network that always answers the same points of its crop."""
    from img2pose_train.teachers import LandmarkTeacher

    class Session:
        def run(self, _names, feeds):
            assert next(iter(feeds.values())).shape == (1, 3, 120, 120)
            x, y = np.linspace(-0.5, 0.5, 68), np.full(68, 0.25)
            return [np.concatenate([x, y])[None]]

    class Input:
        name = "input"

    teacher = LandmarkTeacher.__new__(LandmarkTeacher)
    teacher.session, teacher.input, teacher.side, teacher.output = Session(), Input(), 120, "points"
    first = teacher._pass(np.zeros((400, 400, 3), np.uint8), (np.array([200.0, 100]), 80.0))
    assert np.allclose(first[0], [180, 110]) and np.allclose(first[-1], [220, 110])
    points, shift = teacher(np.zeros((400, 400, 3), np.uint8), np.array([100.0, 100, 200, 200]))
    assert points.shape == (68, 2) and shift > 0
