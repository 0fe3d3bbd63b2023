"""The benchmark of rendered frames: what its frames show, when a set is the published one, and what is measured on it."""

import json
import sys
import types

import cv2
import numpy as np
import pytest

from img2pose_train import benchmark, geometry
from img2pose_train.detect import Faces
from img2pose_train.heads import backs
from img2pose_train.heads import benchmark as making
from img2pose_train.heads import compose, frames, people, render
from img2pose_train.look import picture


def test_frames_show_what_their_parts_are_for():
    rng = np.random.default_rng(1)
    scenes = {part: [making.scene(part, rng) for _ in range(300)] for part in set(making.PARTS)}
    angles = {part: np.array([a for people in scenes[part] for a, _, _ in people]) for part in scenes}
    sizes = {part: np.array([s for people in scenes[part] for _, s, _ in people]) for part in scenes}
    assert np.abs(angles["turns"]).max(0) == pytest.approx([100, 60, 30], abs=3)
    assert (np.abs(angles["turns"][:, 0]) > 70).mean() > 0.2 and (np.abs(angles["turns"][:, 1]) > 30).mean() > 0.2
    assert np.histogram(angles["rolls"][:, 2], 6, (-180, 180))[0].min() > 25
    assert np.abs(angles["backs"][:, 0]).min() >= 140
    assert sizes["sizes"].min() < 15 and sizes["sizes"].max() > 300 and (sizes["sizes"] < 32).mean() > 0.3
    assert {kind for people in scenes["backs"] for _, _, kind in people} == {"back"}
    assert {kind for people in scenes["covers"] for _, _, kind in people} == {"cover"}


def test_people_stand_apart_and_in_the_frame():
    rng = np.random.default_rng(2)
    taken = []
    for size in (30, 60, 90):
        middle = frames.place(size, taken, 640, 480, rng)
        assert (middle > 0.5 * size).all() and (middle < np.array([640, 480]) - 0.5 * size).all()
        taken.append([*middle, size])
    for a in range(3):
        for b in range(a):
            assert np.abs(np.subtract(taken[a][:2], taken[b][:2])).max() > (taken[a][2] + taken[b][2]) / 2
    # The largest faces fill the frame; there is no place beside them.
    assert frames.place(400, [], 640, 480, rng) is not None
    assert frames.place(300, [[320, 240, 400]], 640, 480, rng) is None


def test_backdrops_are_the_same_whenever_they_are_made():
    a, b = (frames.backdrop(160, 120, np.random.default_rng(3)) for _ in range(2))
    assert a.shape == (120, 160, 3) and 0 <= a.min() and a.max() <= 1 and (a == b).all()
    assert a.std() > 0.02 and (a != frames.backdrop(160, 120, np.random.default_rng(4))).any()


def test_a_cover_lies_on_its_face_and_nowhere_else():
    points = np.array([320, 240]) + 40 * geometry.REFERENCE_68[:, :2]
    changed = 0
    for seed in range(12):
        image = np.full((480, 640, 3), 0.5)
        frames.covered(image, points, np.random.default_rng(seed))
        rows, columns = np.nonzero((np.abs(image - 0.5) > 0.02).any(2))
        if len(rows):
            changed += 1
            assert columns.min() > 320 - 120 and columns.max() < 320 + 120 and rows.min() > 240 - 120 and rows.max() < 240 + 120
    assert changed > 6
    # A face at the edge of the frame.
    image = np.full((480, 640, 3), 0.5)
    for seed in range(6):
        frames.covered(image, points - [320, 240], np.random.default_rng(seed))
    assert image.shape == (480, 640, 3)


class Cube:
    """Stands for a person: a cube of side 2 where the head is."""

    def __init__(self):
        corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
        self.posed = corners
        quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
        self.surface = people.Surface([[(v, 0) for v in q] for q in quads], np.zeros((1, 2)))

    def parts(self, r, t, lowest):
        return [render.Part(self.surface, self.posed @ r.T + t, np.ones((4, 4, 4), np.float32), (0.5, 0.5, 0.5), hair=3)]


def test_a_person_stands_where_the_truth_says():
    renderer, rng = render.Renderer(), np.random.default_rng(5)
    background = np.zeros((240, 320, 3))
    for size, middle in ((60, (200, 150)), (14, (40, 30)), (150, (160, 120))):
        image, r, t, exact = frames.stand(renderer, background, (20, -10, 5), size, np.array(middle, float), rng, 300.0, person=Cube())
        assert not background.any()
        assert np.allclose((exact.min(0) + exact.max(0)) / 2, middle, atol=0.6)
        box = geometry.face_box(exact[None], geometry.rotation_vector(r[None])[:, 2])[0]
        assert (box[2:] - box[:2]).max() == pytest.approx(size, rel=0.2)
        assert np.allclose(exact, compose.project(compose.REF @ r.T + t, 300.0, np.array([160, 120])))
        corners = compose.project(Cube().posed @ r.T + t, 300.0, np.array([160, 120]))
        rows, columns = np.nonzero(image.max(2) > 0.05)
        # Pixel k covers k to k + 1 of the projection.
        assert np.allclose([columns.min(), rows.min()], np.maximum(corners.min(0), 0), atol=1.6)
        assert np.allclose([columns.max() + 1, rows.max() + 1], np.minimum(corners.max(0), [320, 240]), atol=1.6)


@pytest.fixture
def folder(tmp_path):
    """A set of three small frames."""
    rng, lines = np.random.default_rng(6), []
    for n, part in enumerate(("sizes", "turns", "backs")):
        cv2.imwrite(str(tmp_path / f"{n}.png"), rng.integers(0, 256, (48, 64, 3), np.uint8))
        lines.append(json.dumps({"file": f"{n}.png", "part": part, "focal": 60.0, "faces": [], "backs": []}))
    (tmp_path / "truth.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_a_set_is_the_published_one_or_nearly_or_not(folder):
    published = making.manifest(folder)
    assert published["frames"] == 3 and making.compare(making.manifest(folder), published) == (True, "the published set, bit for bit")
    picture = cv2.imread(str(folder / "1.png"))
    cv2.imwrite(str(folder / "1.png"), picture ^ 1)
    good, text = making.compare(making.manifest(folder), published)
    assert good and "but for rounding" in text
    cv2.imwrite(str(folder / "1.png"), picture // 2)
    good, text = making.compare(making.manifest(folder), published)
    assert not good and "pictures differ: 1" in text
    (folder / "truth.jsonl").write_text((folder / "truth.jsonl").read_text().replace("60.0", "61.0"))
    good, text = making.compare(making.manifest(folder), published)
    assert not good and "another set" in text


def test_the_published_set_is_described_whole():
    published = json.loads(making.MANIFEST.read_text())
    assert published["frames"] == making.COUNT and len(published["truth_sha256"]) == 64


def face(rotation, x, size=40.0, focal=600.0, part_angles=(0, 0, 0), cover=False):
    """A labelled face whose middle lies about `x` pixels right of that of a frame of 640x480."""
    depth = focal * 1.85 / size
    t = np.array([x * depth / focal, 0, depth])
    exact = compose.project(compose.REF @ rotation.T + t, focal, np.array([320, 240]))
    box = geometry.face_box(exact[None], geometry.rotation_vector(rotation[None])[:, 2])[0]
    return {"rotation": rotation.tolist(), "translation": t.tolist(), "landmarks": exact.tolist(), "box": box.tolist(),
            "angles": list(part_angles), "size": float((box[2:] - box[:2]).max()), "cover": cover}


def test_rotations_are_compared_along_the_line_to_the_face():
    # A head beside the axis that looks the same in a wide and in a long lens: its turn against the axis differs.
    seen = geometry.rotation_matrix([0.1, 0.4, 0.05])
    wide, long = (geometry.rotation_matrix([0, np.arctan(200 / f), 0])[0] @ seen[0] for f in (500.0, 2000.0))
    assert geometry.rotation_angle(wide[None], long[None])[0] > 15
    for rotation, focal in ((wide, 500.0), (long, 2000.0), (seen[0], None)):
        assert np.allclose(benchmark.along_the_line(rotation, [[520, 240]], focal, 640, 480)[0], seen[0])


def answered(known, turn=(0, 0, 0), score=0.9, focal=600.0):
    """The answer that is right but for a turn in the head's frame (degrees), in another camera."""
    rotation = np.array(known["rotation"]) @ geometry.rotation_matrix(np.radians(turn))[0]
    points = np.array(known["landmarks"])
    line = benchmark.along_the_line(rotation, [(points.min(0) + points.max(0)) / 2], focal, 640, 480)[0]
    return {"box": known["box"], "score": score, "rotation": line.tolist(), "translation": None}


def test_figures_tell_recall_errors_and_false_faces():
    rng, truth, answers = np.random.default_rng(9), [], {}
    for n in range(40):
        part = "sizes" if n % 2 else "turns"
        angles = (rng.uniform(-30, 30), rng.uniform(-15, 15), 0)
        known = face(compose.rotation(*angles), rng.uniform(-200, 200), 50.0, part_angles=angles)
        truth.append({"file": f"{n}", "part": part, "focal": 600.0, "faces": [known], "backs": []})
        # Heads that are made otherwise (a constant turn), and on the part `turns` 4 degrees off.
        turn = np.array([2.0, -1.0, 0.5]) + (np.array([0, 4.0, 0]) if part == "turns" else 0)
        answers[f"{n}"] = {"file": f"{n}", "faces": [answered(known, turn)] if n >= 4 else []}
    # One frame with the back of a head, taken for a face, and a face elsewhere that nobody has.
    truth.append({"file": "back", "part": "backs", "focal": 600.0, "faces": [], "backs": [[320, 240]]})
    wrong = [{"box": [300, 220, 340, 260], "score": 0.8, "rotation": np.eye(3).tolist(), "translation": None},
             {"box": [10, 10, 40, 40], "score": 0.7, "rotation": np.eye(3).tolist(), "translation": None},
             {"box": [10, 400, 40, 430], "score": 0.2, "rotation": np.eye(3).tolist(), "translation": None}]
    answers["back"] = {"file": "back", "faces": wrong}
    columns, false = benchmark.collect(truth, answers, 640, 480)
    result = benchmark.figures(columns, false, [line["part"] for line in truth], 0.5)
    assert result["constant turn"] == pytest.approx([2, -1, 0.5], abs=0.01)
    turns = result["faces"]["turns, yaw 0-45"]
    assert turns["faces"] == 20 and turns["recall"] == 0.9 and turns["median"] == pytest.approx(4, abs=0.1)
    assert result["faces"]["sizes 32-64"]["median"] == pytest.approx(0, abs=0.1)
    assert result["false faces a frame"] == pytest.approx(2 / 41, abs=1e-3)
    assert result["false faces on backs of heads, a frame of them"] == 1


def test_the_distance_is_compared_in_one_camera():
    known = face(np.eye(3), 0)
    answer = answered(known) | {"translation": [0, 0, 2.2 * known["translation"][2]]}
    line = {"file": "a", "part": "sizes", "focal": 600.0, "faces": [known], "backs": []}
    columns, _ = benchmark.collect([line], {"a": {"file": "a", "focal": 1200.0, "faces": [answer]}}, 640, 480)
    # Twice the focal length, twice the distance: 10 % too far.
    assert columns["distance"][0] == pytest.approx(0.1, abs=1e-6)


class Knowing:
    """A model that knows the face of a frame in the camera of its own box, and brings it into the frame's as img2pose does."""

    def __init__(self, known, seen):
        self.known, self.seen = known, seen

    def __call__(self, image):
        box = np.array(self.known["box"])[None]
        focal, centre = (box[:, 2:] - box[:, :2]).sum(1), (box[:, :2] + box[:, 2:]) / 2
        rotation, moved = geometry.to_image(self.seen, np.array([[0, 0, 10.0]]), focal, centre, 112.0, np.array([32.0, 24.0]))
        return Faces(box, np.array([0.9]), np.concatenate([geometry.rotation_vector(rotation), moved], 1))


def test_what_the_network_saw_in_its_box_is_recovered(folder):
    seen = geometry.rotation_matrix([0.2, -0.5, 0.1])
    known = {"box": [50.0, 4, 62, 20]}
    truth = [{"file": "0.png"}]
    lines = {own: list(benchmark.answers_of(Knowing(known, seen), folder, truth, own))[0] for own in (False, True)}
    rotation = {own: np.array(line["faces"][0]["rotation"])[None] for own, line in lines.items()}
    assert lines[True]["focal"] is None and np.allclose(rotation[True], seen, atol=1e-5)
    # Half of the angle between the line to the face and the axis is missing in the frame's camera.
    assert lines[False]["focal"] == 112
    angle = np.degrees(np.arctan(np.hypot(24, -12) / 112))
    line = benchmark.along_the_line(rotation[False], [[56, 12]], 112, 64, 48)
    assert geometry.rotation_angle(line, seen)[0] == pytest.approx(angle / 2, rel=0.05)


def test_the_own_box_of_the_whole_angle_is_the_line():
    rng, box = np.random.default_rng(5), np.array([[50.0, 4, 62, 20]])
    seen = geometry.rotation_matrix(rng.normal(0, 0.4, (1, 3)))
    rotation, _ = picture.to_image(seen, np.array([[0, 0, 10.0]]), np.array([28.0]), (box[:, :2] + box[:, 2:]) / 2, 112.0, [32, 24])
    assert np.allclose(benchmark.in_own_box(rotation, box, 112.0, 64, 48, picture.to_image), seen)
    assert geometry.rotation_angle(benchmark.in_own_box(rotation, box, 112.0, 64, 48), seen)[0] > 3


def test_a_face_is_found_once():
    known = [face(np.eye(3), 0), face(np.eye(3), 15)]
    box = np.array(known[0]["box"])
    assert benchmark.pair(np.array([box, box + 3, box + [200, 0, 200, 0], [0, 0, 640, 480]]), known).tolist() == [0, 1, -1, -1]
    assert benchmark.pair(np.array([box]), []).tolist() == [-1]


def test_answers_of_anything_else_are_measured(folder, tmp_path, capsys):
    answers = tmp_path / "answers.jsonl"
    answers.write_text(json.dumps({"file": "0.png", "faces": [{"box": [1, 1, 20, 20], "score": 0.9, "rotation": np.eye(3).tolist()}]}) + "\n")
    benchmark.main([str(folder), "--answers", str(answers)])
    assert json.loads(capsys.readouterr().out)["false faces a frame"] == pytest.approx(1 / 3, abs=1e-3)


def test_meshes_say_how_they_are_turned(monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", types.ModuleType("mediapipe"))
    from img2pose_train import rival_mediapipe

    rng = np.random.default_rng(11)
    shape, turns = rng.normal(size=(468, 3)), geometry.rotation_matrix(rng.normal(0, 0.4, (30, 3)))
    meshes = [rng.uniform(20, 90) * shape @ r.T + rng.normal(0, 50, 3) for r in turns]
    template = rival_mediapipe.mean_mesh(meshes)
    found = np.stack([rival_mediapipe.rotation_onto(m, template) for m in meshes])
    # But for the constant turn of the mean.
    constant = np.transpose(turns, (0, 2, 1)) @ found
    assert geometry.rotation_angle(constant, np.repeat(constant[:1], 30, 0)).max() < 1e-3


def test_heads_from_behind_show_no_face(tmp_path, monkeypatch):
    rng = np.random.default_rng(12)
    angles = np.array([backs.away(rng) for _ in range(500)])
    assert np.abs(angles[:, 0]).min() >= backs.LEAST_YAW and np.abs(angles[:, 1]).max() <= 45
    shown = []
    monkeypatch.setattr(render, "Renderer", lambda: None)
    monkeypatch.setattr(frames, "stand", lambda renderer, image, angles, *rest: (shown.append(angles[0]), (image,))[1])
    backs.main([str(tmp_path), "--count", "3"])
    first = [path.read_bytes() for path in sorted(tmp_path.glob("*.jpg"))]
    assert len(first) == 3 and len(shown) >= 3
    (tmp_path / "1-00001.jpg").unlink()
    backs.main([str(tmp_path), "--count", "3"])
    assert [path.read_bytes() for path in sorted(tmp_path.glob("*.jpg"))] == first
