import json
import subprocess
import sys
from pathlib import Path
from random import Random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from img2pose_train import checkpoint, geometry, losses, train
from img2pose_train.batches import Batches, collate
from img2pose_train.compose import INGREDIENTS, Composer
from img2pose_train.losses import POSE_MEAN, POSE_STDDEV
from img2pose_train.network import TINY, Network


def test_crops_are_reproducible_and_their_labels_lie_inside(pack):
    photos, labels, _ = pack
    composer = Composer(photos, labels)
    faces = 0
    for i in range(30):
        crop, again = composer.crop(256, Random(i)), composer.crop(256, Random(i))
        assert np.array_equal(crop.image, again.image) and np.array_equal(crop.box, again.box)
        assert crop.image.shape == (256, 256, 3)
        assert (crop.box >= 0).all() and (crop.box <= 256).all()
        assert (crop.box[:, 2:] > crop.box[:, :2]).all()
        faces += len(crop.box)
    assert faces > 30


def test_held_out_photos_are_never_used(pack):
    photos, labels, _ = pack
    composer = Composer(photos, labels)
    used = {*composer.scenes, *composer.portraits, *labels.image[composer.large]}
    assert used == set(range(7))


def test_ingredients_can_be_left_out(pack):
    photos, labels, _ = pack
    plain = Composer(photos, labels)
    for ingredient in INGREDIENTS:
        composer = Composer(photos, labels, without=[ingredient])
        changed = [
            not np.array_equal(composer.crop(256, Random(i)).image, plain.crop(256, Random(i)).image) for i in range(40)
        ]
        assert any(changed), ingredient
    whole = Composer(photos, labels, without=INGREDIENTS)
    assert whole._turn(Random(1)) == 0
    # One photo of two faces fills each crop.
    assert max(len(whole.crop(256, Random(i)).box) for i in range(40)) <= 2


def test_the_hardest_negatives_are_a_share_of_them():
    proposals = [torch.tensor([[0.0, 0, 10 + i, 10] for i in range(100)])]
    batch = SimpleNamespace(
        face_image=torch.zeros(0, dtype=torch.long), box=torch.zeros(0, 4), side=320,
        ignored_image=torch.zeros(0, dtype=torch.long), ignored=torch.zeros(0, 4),
    )
    for hard, least in ((0.5, 16), (0.0, 0), (1.0, 32)):
        rois, is_face, _ = losses.sample(proposals, batch, losses.Sampling(hard=hard))
        widths = rois[:, 3] - 10
        assert len(rois) == 32 and not is_face.any()
        assert torch.equal(widths[:least], torch.arange(float(least)))
        assert (widths[least:] >= least).all()


def test_a_turned_and_flipped_face_keeps_pose_and_pixels_together(pack):
    """The pose must land where the pixels did: the eyes, drawn black, are dark in the crop."""
    photos, labels, _ = pack
    composer = Composer(photos, labels)
    composer._fill = (0, 0, 0)
    for degrees, seed in ((0, 1), (40, 2), (-40, 3), (20, 4)):
        image, pasted = np.zeros((400, 400, 3), np.uint8), []
        middle = (labels.box[0, :2] + labels.box[0, 2:]) / 2
        composer._paste(image, (0, 0, 400, 400), 0, 2.0, degrees, middle, (200, 200), pasted, Random(seed))
        crop = composer._label(image, pasted, 400)
        nearest = np.abs(crop.box.reshape(-1, 2, 2).mean(1) - 200).sum(1).argmin()
        seen = geometry.project(
            crop.rotation[[nearest]], crop.translation[[nearest]], 800.0, np.array([[200.0, 200]]),
            geometry.REFERENCE_68,
        )[0]
        for eye in (slice(36, 42), slice(42, 48)):
            x, y = seen[eye].mean(0).astype(int)
            assert image[y, x].max() < 90, (degrees, x, y)


def test_batches_keep_faces_with_their_images(pack):
    photos, labels, _ = pack
    batch = Batches(photos, labels, [256], 4, seed=5)[3]
    assert batch.images.shape == (6, 3, 256, 256)
    positive = torch.nonzero(batch.label == 1)
    assert len(positive)
    for image, anchor in positive:
        assert batch.face_image[batch.matched[image, anchor]] == image
    other = Batches(photos, labels, [256], 4, seed=5, rank=1)[3]
    assert not torch.equal(batch.images, other.images)


def test_the_right_pose_costs_nothing():
    poses = torch.tensor([[0.1, -0.3, 0.05, 0.0, 0.2, 3.4], [0.0, 0.9, -0.2, 0.1, 0.1, 3.0]])
    pose, points = losses.pose_losses((poses - POSE_MEAN) / POSE_STDDEV, poses, torch.ones(2))
    assert pose < 1e-10 and points < 1e-6
    off = (poses - POSE_MEAN) / POSE_STDDEV
    off[0, 1] += 4
    pose, _ = losses.pose_losses(off, poses, torch.tensor([1.0, 1.0]))
    assert torch.isclose(pose, torch.tensor((2 * 1.5 * 4 - 1.5**2) / 2))
    pose, _ = losses.pose_losses(off, poses, torch.tensor([0.0, 1.0]))
    assert pose < 1e-10


def test_pose_targets_invert_what_inference_does():
    box = torch.tensor([[40.0, 50, 141, 170]])
    local = geometry.POSE_MEAN[None] + 0.1
    focal, centre = geometry.box_camera(box.double().numpy())
    rotation, translation = geometry.to_image(
        geometry.rotation_matrix(local[:, :3]), local[:, 3:], focal, centre, 640.0, [160, 160]
    )
    target = losses.pose_targets(box, torch.tensor(rotation), torch.tensor(translation), 320)
    assert np.allclose(target.numpy(), local, atol=1e-5)


def test_focal_loss_counts_faces_and_skips_what_is_left_out():
    logits = torch.tensor([[4.0, -4.0, 9.0]])
    easy = losses.focal_loss(logits, torch.tensor([[1, 0, -1]]))
    wrong = losses.focal_loss(logits, torch.tensor([[1, 0, 0]]))
    assert easy < 1e-3 < 1 < wrong


def test_hard_negatives_are_the_best_scored_ones(pack):
    photos, labels, _ = pack
    batch = collate([Composer(photos, labels).crop(256, Random(1))])
    corner = torch.arange(60).float()[:, None] * 0.01
    found = torch.cat([corner, corner, corner + 9, corner + 9], 1)
    batch.box, batch.face_image = torch.tensor([[100.0, 100, 200, 200]]), torch.tensor([0])
    batch.ignored, batch.ignored_image = torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)
    rois, is_face, _ = losses.sample([found], batch, losses.Sampling(positives=4, negatives=10))
    assert is_face.sum() == 4 and (~is_face).sum() == 10
    assert torch.equal(rois[4:9, 1:], found[:5])


def test_the_learning_rate_rises_stays_and_falls():
    factor = [train.rate_factor(s, 1000, 100, 0.5) for s in range(1000)]
    assert factor[0] == pytest.approx(0.01) and factor[300] == 1.0
    assert factor[999] == pytest.approx(0.01, abs=1e-3) and factor[750] == pytest.approx(0.505, abs=0.01)


def test_a_network_learns_a_batch_by_heart(pack):
    photos, labels, _ = pack
    torch.manual_seed(0)
    network = Network(TINY).train().to(memory_format=torch.channels_last)
    batch = Batches(photos, labels, [160], 1, seed=2)[1]
    optimizer = train.optimizer_of(network, 2e-3, 0.0)
    history = []
    for _ in range(25):
        values, _ = losses.training_losses(network, batch)
        total = sum(values.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append(total.item())
    assert np.mean(history[-5:]) < 0.6 * np.mean(history[:3]), history


def test_a_run_goes_on_where_it_stopped(pack, tmp_path):
    _, _, folder = pack

    def run(steps):
        # A process of its own: forking its loader out of this one, with its threads, could hang.
        subprocess.run(
            [
                sys.executable, "-m", "img2pose_train.train", "--pack", folder, "--labels", folder / "refined.npz",
                "--out", tmp_path, "--widths", "tiny", "--steps", str(steps), "--decay", "0", "--warmup", "1",
                "--processes", "1", "--crops", "1", "--sides", "128", "--save-every", "2",
            ],
            check=True, timeout=300, cwd=Path(train.__file__).parent.parent,
        )
        return torch.load(tmp_path / "run.pt", weights_only=True)

    first, second = run(2), run(4)
    assert first["step"] == 2 and second["step"] == 4
    assert second["average"]["updates"] == 4
    moved = [not torch.equal(a, b) for a, b in zip(first["network"].values(), second["network"].values())]
    assert sum(moved) > len(moved) / 2
    content = torch.load(tmp_path / "average.pth", weights_only=True)
    assert content["information"]["steps"] == 4 and len(content["fpn_model"]) == 141


def test_two_trainings_run_side_by_side(pack, tmp_path):
    """They used to meet at one port, and the second one failed."""
    _, _, folder = pack
    runs = [
        subprocess.Popen(
            [
                sys.executable, "-m", "img2pose_train.train", "--pack", folder, "--labels", folder / "refined.npz",
                "--out", tmp_path / name, "--widths", "tiny", "--steps", "2", "--processes", "2", "--crops", "1",
                "--sides", "128",
            ],
            cwd=Path(train.__file__).parent.parent,
        )
        for name in ("first", "second")
    ]
    assert [run.wait(timeout=300) for run in runs] == [0, 0]
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("first", "second")]
    assert [json.loads(log[-1])["step"] for log in logs] == [2, 2]


def test_a_run_is_not_taken_for_one_that_began_elsewhere(tmp_path):
    network = Network(TINY)
    average, optimizer = checkpoint.MovingAverage(network, 0.9), train.optimizer_of(network, 1e-3, 0)
    for name, content in (("first.pth", b"1"), ("moved.pth", b"1"), ("other.pth", b"2")):
        (tmp_path / name).write_bytes(content)
    first, moved, other = (checkpoint.fingerprint(tmp_path / name) for name in ("first.pth", "moved.pth", "other.pth"))
    checkpoint.save_run(tmp_path / "run.pt", network, average, optimizer, 7, first)
    assert checkpoint.load_run(tmp_path / "run.pt", network, average, optimizer, moved) == 7
    for start in (other, None):
        with pytest.raises(ValueError, match=rf"began with another file \(SHA-256 {first[:12]}...\); give another --out"):
            checkpoint.load_run(tmp_path / "run.pt", network, average, optimizer, start)


def test_a_pack_of_portraits_alone_is_refused(pack):
    photos, labels, _ = pack
    small = SimpleNamespace(sizes=np.full_like(photos.sizes, 100))
    with pytest.raises(ValueError, match="photos with background are needed"):
        Composer(small, labels)


def test_an_onnx_file_is_trained_with_frozen_statistics_only(capsys):
    given = ["--pack", "p", "--labels", "l", "--out", "o", "--steps", "1", "--initial", "model.onnx"]
    assert train.arguments([*given, "--norm", "frozen"]).initial == "model.onnx"
    with pytest.raises(SystemExit):
        train.arguments(given)
    assert "add --norm frozen" in capsys.readouterr().err
