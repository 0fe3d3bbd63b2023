import dataclasses
import json
import stat
import sys
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
import torch

from img2pose_train import checkpoint, evaluate, geometry
from img2pose_train.clutter import FONT_SUFFIXES, Clutter, files
from img2pose_train.detect import Faces, detect, faces_of, network_size
from img2pose_train.evaluate import OnnxModel, evaluate_clutter, evaluate_pack, evaluate_video, seen_instead, turn
from img2pose_train.find_and_look import FindAndLook
from img2pose_train.labels import difference_hash, validation_split
from img2pose_train.look import picture
from img2pose_train.metrics import Truth, average_precision, match, median_interval, threshold_for
from img2pose_train.network import TINY, Network


def perfect(labels, rows, image_size, to_image=geometry.to_image):
    """What a detector without faults answers."""
    height, width = image_size
    rotation, translation = to_image(
        labels.rotation[rows], labels.translation[rows], labels.focal[rows], labels.centre[rows],
        float(width + height), np.array([width / 2, height / 2]),
    )
    pose = np.concatenate([geometry.rotation_vector(rotation), translation], 1)
    return Faces(labels.box[rows], np.full(len(pose), 0.9), pose)


def test_a_perfect_detector_gets_perfect_figures(pack):
    photos, labels, _ = pack
    rows = np.nonzero(labels.image == 7)[0]
    summary = evaluate_pack(lambda image: perfect(labels, rows, image.shape[:2]), photos, labels, 480)
    everything = summary["detection"]["by_size"]["all"]
    assert summary["detection"]["images"] == 1 and everything["faces"] == 2
    assert everything["recall_at_0.1_false_per_image"] == 1.0 == everything["average_precision"]
    assert summary["pose"]["all"]["rotation_median"] == pytest.approx(0, abs=0.01)
    assert summary["pose"]["all"]["translation_median_relative"] == pytest.approx(0, abs=1e-4)
    by_size = [figures["faces"] for name, figures in summary["pose"].items() if name.endswith(" pixels")]
    assert sum(by_size) == summary["pose"]["yaw 0-45"]["faces"] > 0


def test_a_model_is_measured_in_its_own_contract(pack):
    """The labels go into the picture by the whole angle for the second, by half of it for img2pose networks."""
    photos, labels, _ = pack
    rows = np.nonzero(labels.image == 7)[0]
    labels = dataclasses.replace(labels, centre=labels.centre + [400, 0])

    class Whole:
        to_image = staticmethod(picture.to_image)

        def __call__(self, image):
            return perfect(labels, rows, image.shape[:2], picture.to_image)

    class Half(Whole):
        to_image = staticmethod(geometry.to_image)

    whole, half = (evaluate_pack(kind(), photos, labels, 480)["pose"]["all"] for kind in (Whole, Half))
    assert whole["rotation_median"] == pytest.approx(0, abs=0.01) and whole["translation_median_relative"] == pytest.approx(0, abs=1e-4)
    assert half["rotation_median"] > 3
    assert FindAndLook.to_image is picture.to_image and OnnxModel.__init__.__defaults__ == (geometry.to_image,)


def test_what_the_training_saw_can_be_measured_instead(pack):
    photos, labels, _ = pack
    seen = seen_instead(labels, photos, 5)
    assert seen.held_out.sum() == labels.held_out.sum() == 1
    assert not (seen.held_out & labels.held_out).any()
    other = {tuple(seen_instead(labels, photos, seed).held_out) for seed in range(20)}
    assert len(other) > 1 and tuple(seen.held_out) in other


def test_photos_are_turned_with_their_labels(pack):
    """A detector that answers the turned label is perfect, and the drawn eyes are where it says."""
    photos, labels, _ = pack
    rows = np.nonzero(labels.image == 7)[0]
    truth = Truth(*(getattr(labels, f)[rows] for f in ("box", "quality", "rotation", "translation", "focal", "centre")))
    image, turned = turn(photos.read(7), truth, 40.0)
    seen = geometry.project(turned.rotation, turned.translation, turned.focal, turned.centre, geometry.REFERENCE_68)
    for face in seen:
        for eye in (slice(36, 42), slice(42, 48)):
            x, y = face[eye].mean(0).astype(int)
            assert image[y, x].max() < 90
    summary = evaluate_pack(
        lambda picture: perfect(turned, slice(None), picture.shape[:2]), photos, labels, 480, degrees=40.0
    )
    assert summary["detection"]["by_size"]["all"]["recall_at_score"]["0.5"] == 1.0
    assert summary["pose"]["all"]["rotation_median"] == pytest.approx(0, abs=0.01)


def test_errors_show_in_the_figures(pack):
    photos, labels, _ = pack
    rows = np.nonzero(labels.image == 7)[0]

    def wrong(image):
        faces = perfect(labels, rows, image.shape[:2])
        tilt = geometry.rotation_matrix([np.radians(6), 0, 0])
        turned = tilt @ geometry.rotation_matrix(faces.pose[:, :3])
        pose = np.concatenate([geometry.rotation_vector(turned), faces.pose[:, 3:] * 1.1], 1)
        nothing = np.array([[5.0, 5, 40, 40]])
        return Faces(
            np.concatenate([nothing, faces.box[:1]]), np.array([0.95, 0.9]), np.concatenate([pose[:1], pose[:1]])
        )

    summary = evaluate_pack(wrong, photos, labels, 480)
    everything = summary["detection"]["by_size"]["all"]
    assert everything["recall_at_score"]["0.5"] == 0.5
    assert everything["recall_at_0.1_false_per_image"] == 0.0
    assert everything["average_precision"] == pytest.approx(0.25)
    assert summary["pose"]["all"]["signed_mean_xyz"][0] == pytest.approx(6, abs=0.01)
    assert summary["pose"]["all"]["translation_median_relative"] == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize("side", (1, -1))
def test_heads_that_are_not_turned_enough_show_as_such(pack, side):
    photos, labels, _ = pack
    rows = np.nonzero(labels.image == 7)[0]
    about_y = lambda degrees: geometry.rotation_matrix([0, np.radians(degrees), 0])
    labels = dataclasses.replace(labels, rotation=np.repeat(about_y(side * 50.0), len(labels.rotation), 0))

    def timid(image):
        faces = perfect(labels, rows, image.shape[:2])
        turned = geometry.rotation_matrix(faces.pose[:, :3]) @ about_y(side * -7.0)
        return dataclasses.replace(faces, pose=np.concatenate([geometry.rotation_vector(turned), faces.pose[:, 3:]], 1))

    turned = evaluate_pack(timid, photos, labels, 480)["pose"]["yaw 45-90"]
    assert turned["faces"] == 2
    assert turned["rotation_median"] == pytest.approx(7, abs=0.01)
    assert turned["yaw_too_small_median"] == pytest.approx(7, abs=0.5)


def test_the_interval_of_a_median_narrows_with_more_faces():
    values = np.random.default_rng(1).normal(10, 3, 400)
    few, many = median_interval(values[:20]), median_interval(values)
    assert few[0] < np.median(values[:20]) < few[1]
    assert np.ptp(many) < np.ptp(few) / 2
    assert many[0] < 10 < many[1]


def test_average_precision_and_threshold():
    assert average_precision([0.9, 0.8, 0.7], [1, 0, 1], 2) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert np.isnan(average_precision([], [], 0))
    assert threshold_for([0.9, 0.4, 0.7], 10) == 0.7
    assert threshold_for([0.9], 20) == 0.0


def test_a_label_is_taken_once_by_the_best_score():
    labelled = np.array([[0.0, 0, 10, 10]])
    found = np.array([[0.0, 0, 10, 9], [0, 0, 10, 10], [50, 50, 60, 60]])
    assert match(found, labelled).tolist() == [0, -1, -1]


def test_network_size_follows_the_reference():
    assert network_size(360, 640, 480) == (480, 853)
    assert network_size(1080, 1920, 640) == (640, 1137)
    assert network_size(200, 2000, 640) == (140, 1400)


def test_faces_come_back_in_pixels_of_the_image_and_without_doubles():
    proposals = np.array([[100.0, 100, 180, 200], [102, 101, 181, 202], [400, 100, 480, 200]])
    local = np.tile(geometry.POSE_MEAN, (3, 1))
    faces = faces_of(local, proposals, np.array([0.9, 0.8, 0.7]), (480, 640), (240, 320))
    assert faces.score.tolist() == [0.9, 0.7]
    assert faces.box[:, 2].max() <= 320 and 195 < faces.box[1].reshape(2, 2).mean(0)[0] < 245
    # The translation of the second face points to where it is: f = 320 + 240 and the middle of the image.
    x = 560 * faces.pose[1, 3] / faces.pose[1, 5] + 160
    assert 195 < x < 245


def test_an_untrained_network_can_be_run():
    torch.manual_seed(0)
    image = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    faces = detect(Network(TINY).eval(), image, 96)
    assert faces.box.shape == (len(faces.score), 4) and np.isfinite(faces.pose).all()
    assert (np.diff(faces.score) <= 0).all()


def test_an_onnx_model_is_asked_through_the_detector_program(tmp_path):
    program = tmp_path / "detector"
    program.write_text(f"""#!{sys.executable}
import json, sys
while line := sys.stdin.buffer.readline():
    width, height = map(int, line.split())
    pixels = sys.stdin.buffer.read(width * height * 3)
    faces = [] if not pixels[0] else [{{"box": [0, 0, width, height], "score": 0.5, "pose": [0] * 6}}]
    print(json.dumps(faces), flush=True)
""")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    model = OnnxModel("model.onnx", 480, str(program))
    assert len(model(np.zeros((4, 6, 3), np.uint8)).score) == 0
    assert model(np.ones((4, 6, 3), np.uint8)).box.tolist() == [[0, 0, 6, 4]]
    model.close()
    assert model.process.returncode == 0
    with pytest.raises((RuntimeError, BrokenPipeError)):
        OnnxModel("model.onnx", 480, "/bin/false")(np.ones((4, 6, 3), np.uint8))


def test_steady_motion_is_no_jitter(tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(6):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    count = iter(range(6))

    def model(_image):
        n = next(count)
        if n == 5:
            return Faces(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 6)))
        return Faces(np.zeros((1, 4)), np.array([0.9]), np.array([[0, np.radians(2 * n), 0, 0, 0, 5.0]]))

    figures = evaluate_video(model, path)
    assert figures["frames"] == 6 and figures["frames_with_face"] == pytest.approx(5 / 6, abs=1e-3)
    assert figures["step_median_degrees"] == pytest.approx(2)
    assert figures["jitter_median_degrees"] == pytest.approx(0, abs=1e-3)


def test_what_belongs_together_is_held_out_together():
    random = np.random.default_rng(0)
    images = [cv2.GaussianBlur(random.integers(0, 255, (60, 80), np.uint8), (0, 0), 4) for _ in range(300)]
    names = [f"set/{i}.jpg" for i in range(300)]
    names += [f"films/Some_Person_{i:02}.jpg" for i in range(20)] + ["set/copy.jpg"]
    images += [cv2.GaussianBlur(random.integers(0, 255, (60, 80), np.uint8), (0, 0), 4) for _ in range(20)]
    images.append(np.clip(images[3].astype(int) + 9, 0, 255).astype(np.uint8))
    hashes = [difference_hash(image) for image in images]
    held_out = validation_split(names, hashes, share=0.3)
    assert 0.2 < held_out[:300].mean() < 0.4
    assert len(set(held_out[300:320])) == 1
    assert held_out[3] == held_out[-1]
    order = random.permutation(len(names))
    again = validation_split([names[i] for i in order], [hashes[i] for i in order], share=0.3)
    assert (again == held_out[order]).all()


def test_photos_of_a_group_are_held_out_together():
    random = np.random.default_rng(8)
    names = [f"clip_{i:03}.jpg" for i in range(400)]
    hashes = random.integers(0, 2**63, 400).astype(np.uint64)
    groups = [f"clip {i // 20}" if i < 200 else "" for i in range(400)]
    apart = validation_split(names, hashes, share=0.3)
    together = validation_split(names, hashes, groups, share=0.3)
    clips = together[:200].reshape(10, 20)
    assert (clips.all(1) | ~clips.any(1)).all() and clips.any() and not clips.all()
    assert (together[200:] == apart[200:]).all()


def test_clutter_counts_pictures_with_a_face():
    fonts = files([Path(matplotlib.get_data_path()) / "fonts/ttf"], FONT_SUFFIXES)[:3]
    scores = iter([[], [0.2], [0.4, 0.3], [0.6], [0.9], [0.95]])
    shown = []

    def model(image):
        shown.append(image)
        score = np.array(next(scores))
        return Faces(np.zeros((len(score), 4)), score, np.zeros((len(score), 6)))

    result = evaluate_clutter(model, Clutter(fonts, []), 6, 1000)
    assert result == {"pictures": 6, "seed": 1000, "with_a_face": {"0.3": 0.6667, "0.5": 0.5, "0.7": 0.3333}}
    assert all(image.shape == (480, 640, 3) for image in shown)


def test_a_pack_with_nothing_to_measure_says_so(pack, tmp_path, monkeypatch, capsys):
    _, _, folder = pack
    checkpoint.save(tmp_path / "network.pth", Network(TINY))
    monkeypatch.setattr(sys, "argv", ["evaluate", str(tmp_path / "network.pth"), "--pack", str(folder), "--labels",
                                      str(folder / "refined.npz"), "--portraits"])
    evaluate.main()
    printed = capsys.readouterr()
    assert json.loads(printed.out)["detection"]["images"] == 0
    assert printed.err.startswith("no crop of a single face to measure")
