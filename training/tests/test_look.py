"""The close look: its geometry, its labels, its crops, and that it learns."""

import json

import cv2
import numpy as np
import pytest
import torch

from img2pose_train import geometry
from img2pose_train.labels import pose_in_box
from img2pose_train.pack import Labels
from img2pose_train.look import cache, crops, fit, landmarks, network, reliability, samples, second
from img2pose_train.look import train as look_train
from img2pose_train.look.answer import Looker, decode, mean_with_mirror, poses_of
from img2pose_train.look.picture import to_image
from img2pose_train.look.evaluate import figures, gather, held_out
from img2pose_train.look.losses import fitted_turn, left_over, losses


def random_faces(count, seed=0, spread=(0.3, 0.6, 0.2)):
    """Rotations [N, 3, 3] and landmarks [N, 68, 2] of faces near the middle of a picture."""
    rng = np.random.default_rng(seed)
    rotation = geometry.rotation_matrix(rng.normal(0, spread, (count, 3)))
    translation = np.concatenate([rng.normal(0, 1, (count, 2)), rng.uniform(8, 20, (count, 1))], 1)
    return rotation, geometry.project(rotation, translation, 900.0, np.tile([320.0, 240.0], (count, 1)), geometry.REFERENCE_68)


def test_the_fit_of_many_faces_at_once_is_that_of_each_alone():
    _, points = random_faces(24)
    points += np.random.default_rng(1).normal(0, 0.8, points.shape)
    rotation, origin, scale, flatness, lean, residual = fit.solve(points)
    for k, one in enumerate(points):
        rvec, tvec, camera, _, _ = pose_in_box(one)
        alone = geometry.rotation_matrix(rvec)
        assert geometry.rotation_angle(rotation[k : k + 1], alone)[0] < 0.05
        assert np.allclose(origin[k], camera[1:] + camera[0] * tvec[:2] / tvec[2], atol=0.05)
        assert scale[k] == pytest.approx(camera[0] / tvec[2], rel=2e-3)
        assert flatness[k] == pytest.approx(1 / tvec[2], rel=2e-2)
    assert (residual > 0.005).all()


def test_the_turn_that_points_cause_is_known_without_solving():
    _, points = random_faces(16)
    rotation, _, scale, flatness, lean, _ = fit.solve(points)
    noise = np.random.default_rng(2).normal(0, 0.03, points.shape)
    told = np.einsum("nij,nj->ni", fit.turn_of_points(rotation, flatness, lean), noise.reshape(16, 136))
    solved = fit.solve(points + noise * scale[:, None, None])[0]
    true = geometry.rotation_vector(solved @ np.transpose(rotation, (0, 2, 1)))
    assert np.abs(true).mean() > 4e-3
    assert np.abs(told - true).mean() < 0.1 * np.abs(true).mean()


def test_an_upright_square_does_not_depend_on_the_turn_of_the_picture():
    rotation, points = random_faces(1, spread=(0.1, 0.4, 0.01))
    upright = crops.Square.around(points[0], crops.roll_of(rotation)[0])
    for degrees in (30, 90, 179, -120):
        angle = np.radians(degrees)
        turned = points[0] @ crops.turn(angle).T
        roll = crops.roll_of(geometry.rotation_matrix([0, 0, angle]) @ rotation)[0]
        square = crops.Square.around(turned, roll)
        assert square.side == pytest.approx(upright.side)
        assert np.allclose(square.centre, crops.turn(angle) @ upright.centre)


def test_a_crop_shows_what_its_map_says(tmp_path):
    image = np.zeros((300, 400, 3), np.uint8)
    dot = np.array([230.0, 140.0])
    cv2.circle(image, (230, 140), 3, (255, 255, 255), -1, cv2.LINE_AA)
    for side, mirror in ((60, False), (60, True), (250, False), (700, False)):
        square = crops.Square(np.array([220.3, 150.8]), side, 0.4)
        crop, m = crops.cut(image, square, mirror=mirror)
        y, x = np.mgrid[: crops.SIDE, : crops.SIDE]
        light = crop[:, :, 0].astype(float)
        seen = np.array([(x * light).sum(), (y * light).sum()]) / light.sum()
        assert np.allclose(seen, crops.apply(m, dot), atol=0.12), (side, mirror)


def test_the_mirrored_label_is_the_fit_of_the_mirrored_points():
    _, points = random_faces(12, spread=(0.1, 0.2, 0.1))
    rotation = fit.solve(points)[0]
    mirrored = fit.solve((points * [-1, 1])[:, geometry.MIRRORED_68])[0]
    plain = samples.FLIP @ rotation @ samples.FLIP
    assert np.median(geometry.rotation_angle(mirrored, plain @ fit.MIRROR_TURN)) < 0.2
    assert np.median(geometry.rotation_angle(mirrored, plain)) > 0.5


def test_packed_landmarks_come_back(tmp_path):
    _, points = random_faces(20)
    points += np.random.default_rng(3).normal(0, 1.5, points.shape)
    np.savez(tmp_path / "landmarks.npz", row=np.arange(20), spread=np.full(20, 0.02, np.float32), **landmarks.packed(points))
    found = landmarks.load(tmp_path / "landmarks.npz")
    scale = np.ptp(points, axis=1).max(1)
    assert (np.abs(found["points"] - points).max((1, 2)) < 0.003 * scale).all()
    assert (found["row"] == np.arange(20)).all() and found["spread"] == pytest.approx(0.02)


@pytest.fixture(scope="module")
def patches(pack, tmp_path_factory):
    """A cache of the drawn pack's faces, labelled by their own landmarks, and of places without one."""
    _, labels, folder = pack
    out = tmp_path_factory.mktemp("cache") / "faces"
    points = geometry.project(labels.rotation, labels.translation, labels.focal, labels.centre, geometry.REFERENCE_68)
    found = tmp_path_factory.mktemp("cache") / "landmarks.npz"
    np.savez(found, row=np.arange(len(points)), spread=np.full(len(points), 0.01, np.float32), **landmarks.packed(points))
    arguments = ["--out", str(out), "--pack", str(folder), "--labels", str(folder / "refined.npz"), "--landmarks", str(found)]
    cache.main([*arguments, "--nothing", "6"])
    return out


def test_the_cache_keeps_the_photos_labels_and_their_split(pack, patches):
    _, labels, _ = pack
    seen, held = samples.Patches([patches]), samples.Patches([patches], held_out=True)
    assert (seen.rows["kind"] == cache.FACE).sum() == 14 and (held.rows["kind"] == cache.FACE).sum() == 2
    assert (seen.rows["kind"] == cache.NOTHING).sum() == 6 and (held.rows["kind"] == cache.NOTHING).sum() == 0
    assert set(held.rows["row"]) == {14, 15}
    faces = seen.rows["kind"] == cache.FACE
    assert (seen.rows["weight"][faces] > 0.9).all()
    # The label is the photo's, turned upright.
    known = labels.rotation[seen.rows["row"][faces]]
    roll = crops.roll_of(known)
    upright = geometry.rotation_matrix(np.stack([0 * roll, 0 * roll, -roll], 1)) @ known
    assert geometry.rotation_angle(seen.rows["rotation"][faces], upright).max() < 1.5
    assert np.abs(crops.roll_of(seen.rows["rotation"][faces])).max() < np.radians(1)


def test_mined_places_are_places_without_a_face(tmp_path):
    (tmp_path / "mined").mkdir()
    for k, shape in enumerate(((96, 96, 3), (60, 180, 3))):
        picture = np.zeros(shape, np.uint8)
        cv2.circle(picture, (shape[1] // 2, shape[0] // 2), shape[0] // 12, (255, 255, 255), -1)
        cv2.imwrite(str(tmp_path / f"mined/{k}.png"), picture)
    cache.main(["--out", str(tmp_path / "cache"), "--mined", str(tmp_path / "mined")])
    mined = samples.Patches([tmp_path / "cache"])
    assert (mined.rows["kind"] == cache.NOTHING).all() and mined.rows["size"] == pytest.approx([32, 20])
    # What fired is in the middle of the crop.
    crop, _ = crops.cut(mined.image(0), mined.square(0))
    assert crop[crops.SIDE // 2, crops.SIDE // 2].min() > 200 and crop[4, 4].max() < 50


def test_doubtful_landmarks_are_not_trusted(pack):
    _, labels, _ = pack
    points = geometry.project(labels.rotation, labels.translation, labels.focal, labels.centre, geometry.REFERENCE_68)
    spread = np.full(len(points), 0.01)
    points[1] = points[1, geometry.MIRRORED_68]  # a face looked at from behind, so to say
    spread[2] = 0.2
    weight, _ = cache.trust(labels, {"row": np.arange(len(points)), "points": points, "spread": spread}, None, np.eye(3))
    assert weight[0] > 0.9 and weight[3] > 0.9
    assert weight[1] == 0 and weight[2] == 0


def test_samples_say_what_their_crops_show(patches):
    batch = samples.SampleBatches(samples.Patches([patches]), 32, seed=4, shares=(1, 0, 0), wild=0.0)[0]
    faces = batch.face.numpy() > 0
    assert faces.sum() >= 24
    fitted = fit.solve(crops.to_pixels(batch.points.numpy()[faces].astype(float)))
    assert np.median(geometry.rotation_angle(fitted[0], batch.rotation.numpy()[faces].astype(float))) < 0.6
    assert np.allclose(fitted[2] / crops.SIDE, batch.scale.numpy()[faces], rtol=0.02)
    # Both crops of a face show it the same way round, and its points are the same points.
    assert (batch.mirrored[::2] == batch.mirrored[1::2]).all()
    moved = batch.points + 0.01 * torch.randn_like(batch.points)
    difference = left_over(moved, batch)
    told = fitted_turn(difference, batch)[faces].norm(dim=1).numpy()
    again = fit.solve(crops.to_pixels(moved.numpy()[faces].astype(float)))[0]
    assert np.allclose(np.degrees(told), geometry.rotation_angle(fitted[0], again), atol=0.5, rtol=0.2)


def test_a_batch_is_determined_by_its_number(patches):
    data = samples.SampleBatches(samples.Patches([patches]), 8, seed=5)
    first, second, other = data[3], data[3], data[4]
    assert torch.equal(first.images, second.images) and torch.equal(first.points, second.points)
    assert not torch.equal(first.images, other.images)
    with pytest.raises(ValueError, match="even"):
        samples.SampleBatches(samples.Patches([patches]), 7, seed=5)


class Knowing:
    """A looker that knows the face of a patch, and misplaces it by `off` parts of the crop's side."""

    def __init__(self, patches, off):
        self.patches, self.off, self.asked = patches, off, 0

    def raw(self, images):
        self.asked += 1
        output = np.zeros((1, network.OUTPUTS))
        output[0, network.POINTS] = (self.answer + [self.off, 0]).reshape(-1)
        return output


@pytest.mark.parametrize("mirrored", (False, True))
def test_a_second_look_is_where_the_first_one_says_that_the_face_is(patches, mirrored):
    rows = samples.Patches([patches])
    i = int(np.nonzero(rows.rows["kind"] == cache.FACE)[0][0])
    known, first = rows.square(i), rows.square(i).moved([0.1, -0.08], 1.2, 0.3)
    looker = Knowing(rows, 0.0)
    data = samples.SampleBatches(rows, 4, seed=1, looker=looker, second_looks=1.0)
    seen = crops.apply(first.matrix(mirror=mirrored), rows.rows["points"][i].astype(float))
    looker.answer = crops.to_parts(seen[geometry.MIRRORED_68] if mirrored else seen)
    crop, _ = crops.cut(rows.image(i), first, mirror=mirrored)
    second = data.second_square(crop, i, first, mirrored)
    assert np.linalg.norm(second.centre - known.centre) < 0.03 * known.side and second.side == pytest.approx(known.side, rel=0.03)
    assert second.angle == pytest.approx(known.angle, abs=0.03)
    # Where the answer is far off, the face would be lost: no second look.
    looker.off = 0.5
    assert data.second_square(crop, i, first, mirrored) is None


def test_second_looks_are_a_share_of_the_second_crops(patches):
    rows = samples.Patches([patches])
    options = dict(patches=rows, count=32, seed=4, shares=(1, 0, 0))
    looker = Knowing(rows, 0.0)
    looker.answer = network.mean_points().numpy().astype(float)
    plain, none = samples.SampleBatches(**options)[0], samples.SampleBatches(**options, looker=looker, second_looks=0.0)[0]
    assert torch.equal(plain.images, none.images) and looker.asked == 0
    some = samples.SampleBatches(**options, looker=looker, second_looks=1.0)[0]
    assert looker.asked == int(some.face[::2].sum()) > 8
    assert not torch.equal(some.images, plain.images)
    # What is to be answered follows the crop.
    faces = some.face.numpy() > 0
    fitted = fit.solve(crops.to_pixels(some.points.numpy()[faces].astype(float)))
    assert np.median(geometry.rotation_angle(fitted[0], some.rotation.numpy()[faces].astype(float))) < 0.6


def test_a_second_opinion_is_brought_to_the_first_ones_convention():
    """Meshes of another shape and orientation than the reference points: turned as the faces are, they say the same pose."""
    rng = np.random.default_rng(5)
    rotation, points = random_faces(60, spread=(0.2, 0.4, 0.2))
    first = fit.solve(points)[0]
    other = geometry.rotation_matrix([0.3, -0.2, 0.1])[0]
    shape = rng.normal(size=(40, 3)) @ other.T
    meshes = np.einsum("nij,pj->npi", first, shape) * rng.uniform(20, 90, (60, 1, 1)) + rng.normal(0, 50, (60, 1, 3))
    meshes[7] = np.nan
    found = {"points": points, "spread": np.full(60, 0.01)}
    opinion, convention = second.opinion(meshes, found)
    apart = geometry.rotation_angle(opinion @ convention, first)
    assert np.isnan(apart[7]) and np.nanmax(apart) < 0.1


def test_rare_turns_are_drawn_more_often_and_distrusted_faces_less():
    rotation = geometry.rotation_matrix(np.array([[0, 0, 0]] * 90 + [[0, 1.2, 0]] * 10))
    rows = {"rotation": rotation, "kind": np.zeros(100, int), "weight": np.ones(100)}
    chance = samples.chances(rows, (1, 0, 0))
    assert chance[95] == pytest.approx(3 * chance[0]) and chance.sum() == pytest.approx(1)
    rows["weight"][0] = 0.25
    chance = samples.chances(rows, (1, 0, 0))
    assert chance[0] == pytest.approx(chance[1] / 4)


def test_losses_vanish_for_the_truth_and_not_elsewhere(patches):
    batch = samples.SampleBatches(samples.Patches([patches]), 16, seed=6, shares=(1, 0, 0))[0]
    output = torch.zeros(16, network.OUTPUTS)
    output[:, network.POINTS] = batch.points.reshape(16, 136)
    output[:, network.ROTATION] = torch.cat([batch.rotation[:, :, 0], batch.rotation[:, :, 1]], 1)
    output[:, network.PRESENCE] = batch.face * 20 - 10
    found, shown = losses(output, batch)
    assert all(float(found[name]) < 2e-3 for name in ("points", "fitted", "direct", "agreement", "presence"))
    output[0, :136] += 0.05 * torch.randn(136)
    worse, _ = losses(output, batch)
    assert all(float(worse[name]) > float(found[name]) + 1e-3 for name in ("points", "fitted", "agreement"))


def test_the_true_points_give_the_pose_of_the_pictures_camera():
    rvec, tvec = np.array([0.2, -0.7, 0.5]), np.array([0.1, -0.05, 12.0])
    points = geometry.project(geometry.rotation_matrix(rvec), tvec[None], 1120.0, np.array([[320.0, 240.0]]), geometry.REFERENCE_68)
    pose, box, residual = poses_of(points, 640, 480)
    off = geometry.rotation_angle(geometry.rotation_matrix(pose[:, :3]), geometry.rotation_matrix(rvec))[0]
    assert off < 1 and np.allclose(pose[0, 3:], tvec, rtol=0.03, atol=0.05)
    assert np.allclose(box, geometry.face_box(points, rvec[2:]), atol=8)
    assert residual[0] < 0.01


@pytest.mark.parametrize("x, y, most", [(320, 240, 1.0), (560, 240, 1.5), (620, 460, 2.0), (-200, 240, 2.5)])
def test_a_face_off_the_axis_is_turned_by_the_whole_angle(x, y, most):
    """Half of it, as img2pose networks turn, would be 6, 9 and 12 degrees off."""
    rng, focal, middle = np.random.default_rng(3), 1120.0, np.array([[320.0, 240.0]])
    rotation = geometry.rotation_matrix(rng.normal(0, 0.3, (40, 3)))
    depth = rng.uniform(8, 30, 40)
    translation = np.concatenate([(np.array([x, y]) - middle) / focal * depth[:, None], depth[:, None]], 1)
    points = geometry.project(rotation, translation, focal, np.repeat(middle, 40, 0), geometry.REFERENCE_68)
    pose, box, _ = poses_of(points, 640, 480)
    assert np.median(geometry.rotation_angle(geometry.rotation_matrix(pose[:, :3]), rotation)) < most
    assert np.median(np.linalg.norm(pose[:, 3:] - translation, axis=1) / depth) < 0.03
    assert np.median(np.abs(box - geometry.face_box(points, geometry.rotation_vector(rotation)[:, 2])).max(1)) < 3


def test_labels_go_the_same_way_into_the_picture():
    rng = np.random.default_rng(4)
    rotation = geometry.rotation_matrix(rng.normal(0, 0.3, (20, 3)))
    translation = np.concatenate([rng.normal(0, 0.3, (20, 2)), rng.uniform(10, 20, (20, 1))], 1)
    focal, centre = rng.uniform(300, 900, 20), rng.uniform(0, 400, (20, 2))
    points = geometry.project(rotation, translation, focal, centre, geometry.REFERENCE_68)
    turned, moved = to_image(rotation, translation, focal, centre, 1120.0, [320, 240])
    pose, _, _ = poses_of(points, 640, 480)
    assert np.median(geometry.rotation_angle(geometry.rotation_matrix(pose[:, :3]), turned)) < 1.5
    assert np.median(np.linalg.norm(pose[:, 3:] - moved, axis=1) / moved[:, 2]) < 0.03


def test_points_come_back_to_the_picture():
    square = crops.Square(np.array([200.0, 150.0]), 80.0, 0.7)
    _, m = crops.cut(np.zeros((300, 400, 3), np.uint8), square)
    true = np.array([[210.0, 140.0]] * 68)
    output = np.zeros((1, network.OUTPUTS))
    output[0, network.POINTS] = crops.to_parts(crops.apply(m, true)).reshape(-1)
    output[0, 136] = output[0, 140] = 1
    answers = decode(output, [m], [square.angle])
    assert np.allclose(answers.points[0], true)
    assert np.allclose(answers.direct[0], geometry.rotation_matrix([0, 0, 0.7])[0])


def test_a_mirror_image_is_read_from_the_other_side():
    rng = np.random.default_rng(2)
    output = rng.normal(size=(3, network.OUTPUTS))
    image = rng.normal(size=(3, network.OUTPUTS))
    image[:, network.POINTS] = (output[:, network.POINTS].reshape(3, 68, 2)[:, geometry.MIRRORED_68] * [-1, 1]).reshape(3, 136)
    mean = mean_with_mirror(output, image)
    assert np.allclose(mean[:, network.POINTS], output[:, network.POINTS]) and np.array_equal(mean[:, network.ROTATION], output[:, network.ROTATION])
    assert np.allclose(mean[:, 142:], (output[:, 142:] + image[:, 142:]) / 2)
    # The network is asked about the picture and its mirror image.
    asked = []
    looker = Looker(lambda x: asked.append(x) or torch.from_numpy(output[:1]))
    looker(rng.integers(0, 256, (200, 200, 3), np.uint8), [crops.Square(np.array([100.0, 90.0]), 60.0, 0.4)], mirrored=True)
    assert torch.equal(asked[0].flip(3), asked[1]) and not torch.equal(asked[0], asked[1])


def test_training_learns_resumes_and_evaluates(pack, patches, tmp_path):
    _, labels, folder = pack
    run = ["--patches", str(patches), "--batch", "16", "--save-every", "1000", "--warmup", "3", "--seed", "3"]
    look_train.main([*run, "--out", str(tmp_path / "a"), "--steps", "12"])
    lines = [json.loads(line) for line in (tmp_path / "a/log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 12 and lines[-1]["points"] < 0.6
    # Stopped and gone on with: the same weights.
    look_train.main([*run, "--out", str(tmp_path / "b"), "--steps", "12", "--until", "5"])
    look_train.main([*run, "--out", str(tmp_path / "b"), "--steps", "12"])
    a, b = (torch.load(tmp_path / x / "average.pth")["look"] for x in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a)
    looker = Looker(look_train.load_weights(tmp_path / "a/average.pth"))
    truth, columns, size = gather(looker, held_out(folder, labels, 16), looks=2, misplaced=0.02)
    assert len(truth) == len(size) == 2 and all(len(column) == 2 for column in columns)


def test_figures_tell_errors_slopes_and_spreads():
    rng = np.random.default_rng(7)
    vector = np.stack([rng.uniform(-0.6, 0.6, 400), rng.uniform(-1.3, 1.3, 400), np.zeros(400)], 1)
    truth = geometry.rotation_matrix(vector)
    # Every head is answered as turned by 0.8 of what it is: pitch and yaw come out too small.
    answered = geometry.rotation_matrix(0.8 * vector)
    error = np.radians(geometry.rotation_angle(truth, answered))
    columns = answered, truth, error * 1.001, np.ones(400), np.zeros(400), np.full(400, 0.3)
    result = figures(truth, columns, np.full(400, 50.0))
    assert result["all"]["median"] == pytest.approx(np.degrees(np.median(error)), abs=0.01) and result["all"]["direct_median"] == 0
    # Fitted 0.2 too small, direct right: half of the error midway.
    assert result["all"]["both_median"] == pytest.approx(result["all"]["median"] / 2, abs=0.02)
    assert all(0.7 < slope < 0.9 for slope in result["pitch slope up / down"])
    assert result["yaw beyond 45, answered - true, median"] < -8
    assert result["share within spread x 0.5 1 1.5 2 3"] == [0, 1, 1, 1, 1]
    assert result["yaw 0-45"]["faces"] + result["yaw 45-90"]["faces"] == 400


def test_weights_of_something_else_are_refused(tmp_path):
    torch.save({"finder": {}}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match="no `look` in the file"):
        look_train.load_weights(tmp_path / "x.pth")


def test_sigma_holds_what_it_claims_and_the_table_tells_when_it_does_not():
    rng = np.random.default_rng(8)
    spread = np.exp(rng.normal(1, 0.7, 4000))
    # Errors grow with the root of the spread, and are three times what it says where it is 1.
    error = 3 * np.sqrt(spread) * rng.exponential(size=4000)
    a, b = reliability.calibrate(spread, error)
    assert b == pytest.approx(0.5, abs=0.06)
    rows = reliability.table(reliability.cross_checked(spread, error, np.arange(4000) % 2), error)
    assert len(rows) == 6 and rows[-1]["faces"] == 4000
    assert all(abs(row["within_1"] - reliability.SHARE) < 0.05 for row in rows)
    assert rows[0]["sigma"] < rows[4]["sigma"] and rows[0]["error_median"] < rows[4]["error_median"]
    plain = reliability.table(spread, error)
    assert abs(plain[0]["within_1"] - plain[4]["within_1"]) > 0.2
    # One that says nothing is given a constant.
    a, b = reliability.calibrate(spread, rng.exponential(size=4000))
    assert b <= 0.06 and np.exp(a) == pytest.approx(-np.log(1 - reliability.SHARE), rel=0.1)


def test_reliability_is_measured_photo_by_photo(pack, tmp_path, capsys):
    _, _, folder = pack
    torch.manual_seed(2)
    look_train.save_weights(tmp_path / "look.pth", network.LookNetwork())
    run = [str(tmp_path / "look.pth"), "--pack", str(folder), "--labels", str(folder / "refined.npz")]
    with pytest.raises(ValueError, match="no face to measure"):
        reliability.main([*run, "--smallest", "9999"])
    with pytest.raises(SystemExit):  # this pack holds out a single photo
        reliability.main(run)
    assert "too few faces" in capsys.readouterr().err
    labels = Labels.load(folder / "refined.npz")
    spread, error, picture = reliability.spread_and_error(Looker(network.LookNetwork()), held_out(folder, labels, 16), 1, 0.0)
    assert len(spread) == len(error) == len(picture) == 2 and (spread > 0).all() and (error >= 0).all()
