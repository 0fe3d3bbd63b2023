"""Faces of which only the place is known, and how far off a finder is."""

import numpy as np
import pytest
import torch

from img2pose_train import geometry
from img2pose_train.look import cache, crops, network, samples, seen
from img2pose_train.look.losses import losses, middle_and_size


def test_a_known_square_moved_by_how_far_off_a_finder_is_is_the_finders():
    known, found = crops.Square(np.array([50.0, 70.0]), 40.0, 3.0), crops.Square(np.array([55.0, 62.0]), 50.0, -3.1)
    x, y, size, angle = seen.off(found, known)
    again = known.moved([x, y], np.exp(size), angle)
    assert np.allclose(again.centre, found.centre) and again.side == pytest.approx(50) and abs(angle) < 0.2
    assert np.cos(again.angle - found.angle) == pytest.approx(1)


def test_points_in_a_box_have_that_box():
    box = np.array([10.0, 20.0, 70.0, 100.0])
    for angle in (0.0, 0.3):
        upright = seen.points_in_box(box, angle) @ crops.turn(angle)
        mine = geometry.face_box(upright[None], np.zeros(1))[0]
        assert np.allclose(crops.turn(angle) @ (mine[:2] + mine[2:]) / 2, [40, 60]) and np.allclose(mine[2:] - mine[:2], [60, 80])


@pytest.fixture
def found(pack, tmp_path, monkeypatch):
    """A cache of the faces that a finder gives which turns all by 0.1 and shifts those of photo 0 out of sight; every second face's landmarks are known."""
    photos, labels, folder = pack
    squares = [crops.Square.of_box(box) for box in labels.box]
    known = {row: square for row, square in enumerate(squares) if row % 2}
    monkeypatch.setattr(seen, "OTHERS", 1)
    where = {photos.read(i).tobytes(): i for i in range(len(photos))}

    def find(_finder, image, _size, _least):
        i = where[image.tobytes()]
        mine = np.nonzero(labels.image == i)[0]
        moved = [squares[k].moved([0.1, 0], 1.0, 0.1) for k in mine]
        return moved, labels.box[mine] + (1000 if i == 0 else 0), np.ones(len(mine))

    monkeypatch.setattr(seen, "find", find)
    patches = cache.Patches()
    errors = seen.add_seen(patches, None, folder, labels, known, 160, 0.2, 0)
    patches.write(tmp_path / "seen")
    rows = ~labels.held_out[labels.image] & (labels.image != 0)
    return tmp_path / "seen", errors, labels, rows


def test_found_faces_without_landmarks_become_patches_and_the_others_say_how_far_off_the_finder_is(found):
    out, errors, labels, rows = found
    table = np.load(f"{out}.npz")
    unknown = [row for row in np.nonzero(rows)[0] if row % 2 == 0]
    assert sorted(table["row"]) == unknown and (table["kind"] == cache.SEEN).all() and (table["weight"] == 1).all() and len(unknown)
    assert len(errors) == rows.sum() - len(unknown) and np.allclose(errors, [0.1, 0, 0, 0.1])


def test_of_such_faces_the_presence_and_the_box_are_learned_and_nothing_else(found):
    out, errors, _, _ = found
    batch = samples.SampleBatches(samples.Patches([out]), 16, seed=1, shares=(0, 0, 0, 1), wild=0.0, off=errors)[0]
    faces = batch.face.bool()
    assert (batch.weight == 0).all() and torch.equal(batch.boxed, batch.face) and faces.sum() >= 12
    output = torch.zeros(16, network.OUTPUTS)
    output[:, network.POINTS] = batch.points.reshape(16, 136)
    assert float(losses(output, batch)[0]["box"]) < 1e-4
    output.requires_grad_()
    moved = output + 0
    moved[:, network.POINTS] = (batch.points * 1.1 + 0.05).reshape(16, 136) + 0 * output[:, network.POINTS]
    values, _ = losses(moved, batch)
    assert float(values["box"].detach()) > 0.05
    assert all(float(values[name].detach()) == 0 for name in ("points", "fitted", "direct", "agreement", "spread"))


def test_all_points_move_towards_the_box(found):
    out, errors, _, _ = found
    batch = samples.SampleBatches(samples.Patches([out]), 4, seed=2, shares=(0, 0, 0, 1), wild=0.0, off=errors)[0]
    points = (batch.points * 0.8 + 0.1).requires_grad_()
    wanted = middle_and_size(batch.points, batch)
    before = (middle_and_size(points, batch) - wanted).abs().sum()
    before.backward()
    assert (points.grad.norm(dim=2) > 0).float().mean() > 0.95
    with torch.no_grad():
        after = (middle_and_size(points - 1e-3 * points.grad, batch) - wanted).abs().sum()
    assert after < before


def test_the_share_of_seen_faces_is_drawn_evenly():
    rows = {"rotation": np.tile(np.eye(3), (4, 1, 1)), "kind": np.array([0, 3, 3, 2]), "weight": np.array([1, 0, 1, 1.0])}
    assert np.allclose(samples.chances(rows, (0.6, 0, 0.1, 0.3)), [0.6, 0.15, 0.15, 0.1])
    assert samples.chances(rows, (0.9, 0, 0.1))[1:3].sum() == 0
