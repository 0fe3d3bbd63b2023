"""The finder: which cells answer for which face, its losses, that it learns, and both networks together."""

import json
import signal
from random import Random

import cv2
import numpy as np
import pytest
import torch

from img2pose_train import evaluate, geometry
from img2pose_train.compose import Composer, Crop
from img2pose_train.find_and_look import FindAndLook, Follow, find
from img2pose_train.finder import mine, network
from img2pose_train.finder import train as finder_train
from img2pose_train.finder.batches import FinderBatches, collate
from img2pose_train.finder.losses import giou_loss, losses, upright_iou
from img2pose_train.finder.negatives import Negatives
from img2pose_train.finder.targets import Upright, assign, upright_faces
from img2pose_train.look import crops
from img2pose_train.look.answer import Answers, look_again
from img2pose_train.look.network import PRESENCE, LookNetwork
from img2pose_train.look.train import save_weights as save_look


def crop_with(rvec, side=256, depth=14.0, weight=1.0):
    """A crop whose only face has the pose rvec, in the middle."""
    rotation, translation = geometry.rotation_matrix(rvec), np.array([[0.0, 0.0, depth]])
    seen = geometry.project(rotation, translation, 2.0 * side, np.full((1, 2), side // 2), geometry.REFERENCE_68)
    box = geometry.face_box(seen, np.asarray(rvec)[None, 2])
    return Crop(np.zeros((side, side, 3), np.uint8), box, rotation, translation, np.array([weight]), np.zeros((0, 4)))


def test_a_turned_face_has_the_size_of_the_upright_one():
    upright = upright_faces(crop_with([0.1, 0.3, 0.0]))
    for degrees in (45, 90, 170, -100):
        turn = geometry.rotation_matrix([0, 0, np.radians(degrees)])[0]
        rvec = geometry.rotation_vector((turn @ geometry.rotation_matrix([0.1, 0.3, 0.0])[0])[None])[0]
        turned = upright_faces(crop_with(rvec))
        assert np.allclose(turned.size, upright.size, rtol=0.02)
        apart = np.degrees(turned.angle[0] - upright.angle[0]) - degrees
        assert abs((apart + 180) % 360 - 180) < 1
    unposed = crop_with([0.1, 0.3, 1.5], weight=0.0)
    flat = upright_faces(unposed)
    assert flat.angle[0] == 0 and not flat.posed[0] and np.allclose(flat.size[0], unposed.box[0, 2:] - unposed.box[0, :2])


@pytest.mark.parametrize("side, levels", [(12, {8}), (40, {8, 16}), (70, {16}), (100, {16, 32}), (200, {32})])
def test_a_face_is_answered_for_on_the_levels_of_its_size(side, levels):
    faces = Upright(np.array([[130.0, 121.0]]), np.array([[side * 0.8, side]]), np.zeros(1), np.ones(1, bool))
    face, counts = assign(faces, np.zeros((0, 4)), 256)
    middles, strides = network.cells(256, 256)
    mine = face == 0
    assert set(strides[mine].int().tolist()) == levels and counts.all()
    distance = (middles[mine] - torch.tensor([130.0, 121.0])).norm(dim=1)
    assert (distance <= torch.maximum(0.22 * torch.tensor(float(side)), strides[mine] * 0.71)).all()


def test_the_nearer_of_two_faces_has_the_cell_and_ignored_places_do_not_count():
    faces = Upright(np.array([[100.0, 100], [116, 100]]), np.full((2, 2), 80.0), np.zeros(2), np.ones(2, bool))
    face, counts = assign(faces, np.array([[0, 0, 256, 60.0]]), 256)
    middles, _ = network.cells(256, 256)
    first, second = middles[face == 0], middles[face == 1]
    assert len(first) and len(second) and first[:, 0].max() <= 108 and second[:, 0].min() >= 108
    assert not counts[middles[:, 1] < 50].any() and counts[middles[:, 1] > 90].all()


def test_output_decodes_to_what_it_means():
    middles, strides = network.cells(64, 96)
    assert len(middles) == 12 * 8 + 6 * 4 + 3 * 2
    output = torch.zeros(1, 7, len(middles))
    output[0, 1:3, 5], output[0, 3:5, 5], output[0, 5:7, 5] = torch.tensor([0.5, -1.0]), torch.log(torch.tensor([0.5, 2.0])), torch.tensor([0.0, 3.0])
    _, centre, size, turn = network.decode(output, middles, strides)
    assert torch.allclose(centre[0, 5], torch.tensor([5.5 * 8 - 0.5 + 4, 3.5 - 8]))
    assert torch.allclose(size[0, 5], torch.tensor([16.0, 64.0])) and torch.allclose(turn[0, 5], torch.tensor([0.0, 1.0]))


def test_the_network_sees_what_the_cells_say():
    net = network.FinderNetwork().eval()
    assert net(torch.zeros(2, 3, 64, 96)).shape == (2, 7, len(network.cells(64, 96)[0]))


def test_overlaps():
    at = lambda *v: torch.tensor([v], dtype=torch.float32)
    assert upright_iou(at(0, 0), at(10, 20), at(5, 0), at(10, 20)) == pytest.approx(1 / 3, abs=1e-4)
    assert giou_loss(at(0, 0), at(10, 20), at(0, 0), at(10, 20)) == pytest.approx(0, abs=1e-4)
    assert giou_loss(at(0, 0), at(10, 10), at(20, 0), at(10, 10)) == pytest.approx(1 + 1 / 3, abs=1e-3)


def test_losses_vanish_for_the_truth_and_not_elsewhere():
    batch = collate([crop_with([0.1, 0.3, 2.0]), crop_with([0.0, -0.5, 0.1])])
    middles, strides = network.cells(256, 256)
    output = torch.zeros(2, 7, len(middles))
    output[:, 0], output[:, 5] = -20, 1
    for image, cell in torch.nonzero(batch.face >= 0):
        k, stride = batch.face[image, cell], strides[cell]
        output[image, 0, cell] = 20
        output[image, 1:3, cell] = (batch.centre[k] - middles[cell]) / stride
        output[image, 3:5, cell] = torch.log(batch.size[k] / (4 * stride))
        output[image, 5:7, cell] = batch.turn[k]
    found, figures = losses(output, batch)
    assert all(float(v) < 1e-3 for v in found.values()) and figures["iou"] > 0.999
    for row, value, name in ((0, -5.0, "score"), (1, 3.0, "box"), (6, 5.0, "roll")):
        wrong = output.clone()
        wrong[:, row] = value
        assert float(losses(wrong, batch)[0][name]) > 0.05, name


def test_a_cell_that_sees_a_face_the_wrong_way_round_is_told_so():
    batch = collate([crop_with([0.0, 0.0, np.pi])])
    output = torch.zeros(1, 7, batch.face.shape[1])
    output[:, 5] = 1
    output.requires_grad_()
    losses(output, batch)[0]["roll"].backward()
    assert (output.grad[:, 5][batch.face >= 0] > 0).all(), "towards the other side, though neither turn is nearer"


def test_a_badly_placed_box_is_still_a_face():
    batch = collate([crop_with([0.0, 0.0, 0.0])])
    output = torch.zeros(1, 7, batch.face.shape[1])
    output[:, 5], output[:, 1] = 1, 100.0
    for logit, sign in ((0.0, -1), (5.0, 1)):
        output[:, 0] = logit
        scored = output.clone().requires_grad_()
        losses(scored, batch)[0]["score"].backward()
        assert (torch.sign(scored.grad[:, 0][batch.face >= 0]) == sign).all()


def test_a_new_finder_begins_with_the_stages_of_the_close_look(tmp_path):
    look = LookNetwork().eval()
    save_look(tmp_path / "look.pth", look)
    finder = finder_train.fresh(str(tmp_path / "look.pth")).eval()
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        mine = finder.high(finder.middle(finder.low(finder.stem(x))))
        assert torch.allclose(mine, look.body[:-1](x), atol=0.02), "but for half precision"
    with pytest.raises(SystemExit):
        finder_train.arguments(["--pack", "p", "--labels", "l", "--out", "o", "--steps", "1", "--body", "a", "--initial", "b"])


def test_any_turn_turns_and_leaves_other_trainings_as_they_were(pack):
    photos, labels, _ = pack
    turned = [Composer(photos, labels, any_turn=1.0)._turn(Random(k)) for k in range(40)]
    assert max(turned) > 120 and min(turned) < -120
    plain, with_none = (Composer(photos, labels, **more).crop(128, Random("x")) for more in ({}, {"any_turn": 0.0}))
    assert np.array_equal(plain.image, with_none.image)


def test_training_learns_resumes_and_is_evaluated(pack, tmp_path, capsys):
    _, _, folder = pack
    run = ["--pack", str(folder), "--labels", str(folder / "refined.npz"), "--crops", "8", "--sides", "128", "--warmup", "3"]
    finder_train.main([*run, "--out", str(tmp_path / "a"), "--steps", "8"])
    finder_train.main([*run, "--out", str(tmp_path / "b"), "--steps", "8", "--until", "3"])
    finder_train.main([*run, "--out", str(tmp_path / "b"), "--steps", "8"])
    a, b = (torch.load(tmp_path / x / "average.pth")["finder"] for x in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a)
    lines = [json.loads(line) for line in (tmp_path / "a/log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 8 and np.isfinite(lines[-1]["score"])
    save_look(tmp_path / "look.pth", LookNetwork())
    weights = ["--finder", str(tmp_path / "a/average.pth"), "--look", str(tmp_path / "look.pth")]
    evaluate.main([*weights, "--pack", str(folder), "--labels", str(folder / "refined.npz"), "--min-size", "192", "--out", str(tmp_path / "figures.json")])
    assert json.loads((tmp_path / "figures.json").read_text())["detection"]["faces"] == 2


def test_training_begins_after_opencv_had_threads(pack, tmp_path):
    """Threads of OpenCV that the forked process of the loader does not have must not be waited for."""
    _, _, folder = pack

    def late(*_):
        raise TimeoutError("the loader's process did not answer")

    before = signal.signal(signal.SIGALRM, late)
    try:
        cv2.setNumThreads(4)
        cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (0, 0), 5)
        signal.alarm(900)
        finder_train.main(["--pack", str(folder), "--labels", str(folder / "refined.npz"), "--crops", "2", "--sides", "64", "--steps", "1",
                           "--out", str(tmp_path)])
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class OneFace(torch.nn.Module):
    """A finder that sees one face of 40 pixels around (84, 60) of its picture, turned by 90 degrees, and a fainter one beside it."""

    def forward(self, x):
        middles, strides = network.cells(*x.shape[2:])
        output = torch.zeros(1, 7, len(middles))
        output[:, 0], output[:, 6] = -20, 1
        for score, at in ((3.0, (84.0, 60.0)), (2.0, (88.0, 62.0))):
            cell = int(((middles - torch.tensor(at)).abs().sum(1) + 1000 * (strides != 8)).argmin())
            output[0, 0, cell] = score
            output[0, 1:3, cell] = (torch.tensor(at) - middles[cell]) / 8
            output[0, 3:5, cell] = torch.log(torch.tensor([40.0, 40.0]) / 32)
        return output


def test_found_squares_are_in_the_pixels_of_the_picture():
    image = np.zeros((192, 320, 3), np.uint8)
    squares, boxes, scores = find(OneFace(), image, (96, 160))
    assert len(squares) == 1 and scores[0] == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-4)
    assert np.allclose(squares[0].centre, [168.5, 120.5]) and squares[0].side == pytest.approx(80)
    assert squares[0].angle == pytest.approx(np.pi / 2)
    assert np.allclose(boxes[0], [128, 80, 208, 160])


def test_both_have_to_see_a_face():
    look = LookNetwork()
    with torch.no_grad():
        look.head.weight.zero_()
    image = np.zeros((192, 320, 3), np.uint8)
    found = {}
    for logit in (8.0, -8.0):
        with torch.no_grad():
            look.head.bias[PRESENCE] = logit
        found[logit] = FindAndLook(OneFace(), look, min_side=96)(image)
    assert found[8.0].score[0] == pytest.approx(np.sqrt(1 / (1 + np.exp(-3))), abs=1e-3)
    assert not len(found[-8.0].score)
    # A frontal face in a crop that was turned upright is one that lies on its side.
    assert abs(np.degrees(found[8.0].pose[0, 2]) - 90) < 3


def test_faces_are_looked_at_again_in_their_own_squares():
    """The second look is taken at the square of what the first one has seen, and left out where that is not wanted or led astray."""
    rotation = geometry.rotation_matrix([[0.0, 0.3, 0.2], [0.0, -1.1, 0.0], [0.1, 0.0, 0.0], [0.0, 0.0, 0.0]])
    translation = np.array([[0, 0, 10.0], [4, 0, 10.0], [-4, 0, 10.0], [0, 4, 10.0]])
    points = geometry.project(rotation, translation, 500.0, np.full((4, 2), 250.0), geometry.REFERENCE_68)
    squares = [crops.Square.around(p, 0.0) for p in points]
    # The last one's points are seen far from where it was looked.
    squares[3] = squares[3].moved([1.5, 0], 1.0, 0.0)
    first = Answers(points, rotation, np.full(4, 0.5), np.full(4, 0.1))
    asked = []

    def looker(image, squares, mirrored):
        asked.append((squares, mirrored))
        count = len(squares)
        return Answers(points[:count] + 1, rotation[:count][::-1], np.full(count, 0.9), np.full(count, 0.05))

    second = look_again(looker, None, squares, first, np.array([True, False, True, True]))
    (again, mirrored), = asked
    assert mirrored and len(again) == 2 and np.abs(again[0].angle - 0.2) < 0.1 and again[1].centre[0] < 100
    assert np.allclose(second.points[[0, 2]], points[:2] + 1) and np.allclose(second.points[[1, 3]], points[[1, 3]])
    # The mean of three logits, of which the first is 0.
    assert np.allclose(np.log(second.presence[[0, 2]] / (1 - second.presence[[0, 2]])), 2 / 3 * np.log(9))
    assert second.presence[[1, 3]].tolist() == [0.5, 0.5] and second.spread.tolist() == [0.05, 0.1, 0.05, 0.1]
    assert np.allclose(second.direct, rotation[[1, 1, 0, 3]]) and first.presence.tolist() == [0.5] * 4
    once = look_again(looker, None, squares, first, np.array([True, False, False, False]), mirrored=False)
    assert np.isclose(np.log(once.presence[0] / (1 - once.presence[0])), 1 / 2 * np.log(9)) and not asked[1][1]
    assert look_again(looker, None, squares, first, np.zeros(4, bool)) is first and len(asked) == 2
    none = Answers(points[:0], rotation[:0], np.zeros(0), np.zeros(0))
    assert look_again(looker, None, [], none) is none and len(asked) == 2


def test_a_face_is_looked_at_twice_where_that_is_asked_for():
    torch.manual_seed(3)
    look = LookNetwork().eval()
    with torch.no_grad():
        look.head.bias[PRESENCE] = 3.0
    image = np.random.default_rng(3).integers(0, 256, (192, 320, 3), np.uint8)
    seen = []
    counted = lambda x: seen.append(len(x)) or look(x)
    faces = [FindAndLook(OneFace(), counted, min_side=96, looks=looks, mirrored=mirrored)(image) for looks, mirrored in ((1, True), (2, True), (2, False))]
    assert seen == [1, 1, 1, 1, 1, 1] and len({tuple(f.pose[0]) for f in faces}) == 3
    with torch.no_grad():
        look.head.bias[PRESENCE] = -12.0
    assert not len(FindAndLook(OneFace(), counted, min_side=96, looks=2)(image).score) and len(seen) == 7


def test_negatives_hold_no_face_and_are_determined(tmp_path):
    for k, shape in enumerate(((90, 150, 3), (400, 500, 3))):
        cv2.imwrite(str(tmp_path / f"{k}.png"), np.random.default_rng(k).integers(0, 256, shape, np.uint8))
    negatives = Negatives([tmp_path])
    for seed in range(12):
        a, b = (negatives.crop(128, Random(seed)) for _ in range(2))
        assert a.image.shape == (128, 128, 3) and np.array_equal(a.image, b.image) and not len(a.box) and not len(a.ignored)
        assert a.image.std() > 5
    with pytest.raises(ValueError, match="no .*jpg"):
        Negatives([tmp_path / "none"])


def test_a_share_of_the_crops_is_empty(pack, tmp_path):
    photos, labels, _ = pack
    cv2.imwrite(str(tmp_path / "a.png"), np.full((64, 64, 3), 200, np.uint8))
    plain, none = (FinderBatches(photos, labels, [128], 32, 1, negatives=n, empty=0.0)[0] for n in (None, Negatives([tmp_path])))
    assert len(plain.centre) == len(none.centre)
    all_empty = FinderBatches(photos, labels, [128], 32, 1, negatives=Negatives([tmp_path]), empty=1.0)[0]
    assert not len(all_empty.centre) and (all_empty.face < 0).all() and all_empty.counts.all()


def test_what_fires_is_mined(tmp_path, capsys):
    # A finder that fires where it is bright.
    finder = network.FinderNetwork()
    with torch.no_grad():
        finder.out.weight.zero_()
        finder.out.bias[0] = 2.0
    finder_train.save_weights(tmp_path / "finder.pth", finder)
    (tmp_path / "in").mkdir()
    for k in range(3):
        cv2.imwrite(str(tmp_path / f"in/{k}.png"), np.random.default_rng(k).integers(0, 256, (120, 160, 3), np.uint8))
    mine.main([str(tmp_path / "finder.pth"), "--pictures", str(tmp_path / "in"), "--each", "2", "--out", str(tmp_path / "out")])
    lines = [json.loads(line) for line in (tmp_path / "out/places.jsonl").read_text().splitlines()]
    assert len(lines) == 6 and {line["source"] for line in lines} == {"0.png", "1.png", "2.png"} and "6 places in 3" in capsys.readouterr().out
    assert all(cv2.imread(str(tmp_path / "out" / line["file"])) is not None for line in lines) and (tmp_path / "out.sheet.jpg").exists()
    mine.main([str(tmp_path / "finder.pth"), "--pictures", str(tmp_path / "in"), "--least", "0.95", "--out", str(tmp_path / "calm")])
    assert not list((tmp_path / "calm").glob("*.jpg")) and len(Negatives([tmp_path / "out"]).paths) == 6


class Counting(OneFace):
    """The same, and how often it was asked."""

    def __init__(self):
        super().__init__()
        self.asked = 0

    def forward(self, x):
        self.asked += 1
        return super().forward(x)


def test_a_face_is_followed_without_the_finder():
    finder, look = Counting(), LookNetwork()
    with torch.no_grad():
        # The same frontal face in every crop.
        look.head.weight.zero_()
        look.head.bias[PRESENCE] = 8.0
    model, image = Follow(finder, look, min_side=96, every=3), np.zeros((192, 320, 3), np.uint8)
    alone = FindAndLook(OneFace(), look, min_side=96)(image)
    assert not len(FindAndLook(OneFace(), look, min_side=96, least=1.0)(image).score)
    boxes = []
    for k in range(5):
        faces = model(image)
        assert len(faces.score) == 1 and faces.score[0] == pytest.approx(alone.score[0])
        assert finder.asked == 1 + k // 3
        boxes.append(faces.box[0])
    # Where the face was first found; from then on where it was looked at, and not found anew beside itself.
    assert np.allclose(boxes[0], alone.box[0]) and np.abs(boxes[4] - boxes[0]).max() < 6
    with torch.no_grad():
        look.head.bias[PRESENCE] = -8.0
    assert not len(model(image).score) and not model.squares
