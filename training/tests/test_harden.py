import dataclasses
import subprocess
import sys
from pathlib import Path
from random import Random

import matplotlib
import numpy as np
import pytest
import torch

from img2pose_train import checkpoint
from img2pose_train.clutter import FONT_SUFFIXES, SYMBOLS_WITH_FACES, Clutter, characters, files
from img2pose_train.compose import Composer
from img2pose_train.harden import MIXTURE, harden, pools, targets
from img2pose_train.network import TINY, Network
from img2pose_train.regions import CLUTTER, CROP, DETAIL, PHOTO, Pictures, Regions, regions_of

FONTS = Path(matplotlib.get_data_path()) / "fonts/ttf"


@pytest.fixture(scope="module")
def clutter():
    return Clutter(files([FONTS], FONT_SUFFIXES)[:6], [])


def test_crops_show_drawn_pictures_without_faces(pack, clutter):
    photos, labels, _ = pack
    drawn = []
    clutter = Clutter(clutter.fonts, [])
    picture = clutter.picture
    clutter.picture = lambda size, random: drawn.append(size) or picture(size, random)
    composer = Composer(photos, labels, clutter)
    whole = cells = 0
    for i in range(200):
        drawn.clear()
        crop = composer.crop(256, Random(i))
        if drawn == [(256, 256)]:
            whole += 1
            assert not len(crop.box) and not len(crop.ignored)
        elif drawn:
            cells += 1
            assert max(drawn[0]) < 256 and len(drawn) == 1
        assert np.array_equal(crop.image, composer.crop(256, Random(i)).image)
    assert 3 < whole < 25 and 3 < cells < 40


def test_clutter_is_reproducible_and_varied(clutter):
    pictures = [clutter.picture((320, 240), Random(i)) for i in range(12)]
    for i, picture in enumerate(pictures):
        assert picture.shape == (240, 320, 3) and picture.dtype == np.uint8
        assert np.array_equal(picture, clutter.picture((320, 240), Random(i)))
    assert len({picture.tobytes() for picture in pictures}) == 12
    assert sum(picture.std() > 5 for picture in pictures) > 8


def test_lettering_has_light_and_shade_on_its_letters(clutter):
    ground, shades, drawn = np.full((240, 320, 3), 120, np.uint8), [], 0
    for i in range(12):
        picture = clutter.lettering(ground, Random(i))
        assert np.array_equal(picture, clutter.lettering(ground, Random(i))) and (ground == 120).all()
        inked = picture[(picture != ground).any(2)]
        drawn += len(inked) > 100
        shades.append(len(np.unique(inked, axis=0)))
    # A title in a flat colour has some 20: ink, and its blends with the ground at the edges.
    assert drawn == 12 and np.median(shades) > 200, shades


def test_fonts_give_letters_and_no_drawn_faces():
    known = characters(FONTS / "DejaVuSans.ttf")
    assert set("AZaz09?") <= set(known)
    assert not {chr(code) for code in SYMBOLS_WITH_FACES} & set(known)
    with pytest.raises(ValueError, match=".ttf"):
        files(["/nowhere"], FONT_SUFFIXES)


def test_pictures_are_reproducible_and_keep_held_out_photos_closed(pack, clutter):
    photos, labels, _ = pack
    opened, read = set(), photos.read
    watched = type("Watched", (), {
        "sizes": photos.sizes, "__len__": lambda self: len(photos),
        "read": lambda self, i, *rest: (opened.add(int(i)), read(i, *rest))[1],
    })()
    pictures, again = Pictures(watched, labels, clutter, 1), Pictures(photos, labels, clutter, 1)
    kinds = set()
    for i in range(60):
        kind, image, boxes, _ = pictures[i]
        kinds.add(kind)
        assert np.array_equal(image, again[i][1])
        assert (kind in (PHOTO, CROP)) or not len(boxes)
    assert kinds == {PHOTO, CROP, DETAIL, CLUTTER}
    assert opened == set(range(7))


def test_a_detail_shows_no_part_of_a_face():
    image = np.zeros((480, 640, 3), np.uint8)
    image[100:300, 200:400] = 255
    boxes, found = np.array([[200.0, 100, 400, 300]]), 0
    for i in range(40):
        part = Pictures._detail(image, boxes, Random(i))
        if part is not None:
            found += 1
            # Brightness varies, contrast does not appear from nowhere but as noise.
            assert np.ptp(part.astype(int).mean(2)) < 120
    assert found > 20


def test_regions_hold_faces_and_background(pack, clutter):
    photos, labels, _ = pack
    torch.manual_seed(0)
    network = Network(TINY).eval()
    boxes = labels.box[labels.image == 0]
    found = regions_of(network, (PHOTO, photos.read(0), boxes, np.zeros((0, 4))), 5, Random(1))
    count = len(found.features)
    assert all(len(getattr(found, field.name)) == count for field in dataclasses.fields(found))
    assert found.features.shape[1] == TINY.pyramid * 49 and set(found.picture) == {5}
    with torch.no_grad():
        logits = network.roi_heads.class_predictor(
            network.roi_heads.class_head(torch.from_numpy(found.features).float())
        )
    assert np.abs(logits.numpy() - found.logits).max() < 0.02
    # What lies in an ignored region counts as nothing.
    everything = np.array([[0.0, 0, 640, 480]])
    hidden = regions_of(network, (PHOTO, photos.read(0), np.zeros((0, 4)), everything), 5, Random(1))
    assert not len(hidden.features)


def drawn_regions(width, count=1200):
    """Regions whose first feature tells faces, and whose second tells clutter that an untrained head takes for faces."""
    random = np.random.default_rng(0)
    kind = np.repeat([PHOTO, CROP, DETAIL, CLUTTER], count // 4).astype(np.uint8)
    is_face = (kind < DETAIL) & (np.arange(count) % 2 == 0)
    features = np.abs(random.normal(0, 0.1, (count, width)))
    features[:, 0] += 3 * is_face
    features[:, 1] += 3 * (kind == CLUTTER)
    margin = np.where(is_face | (kind == CLUTTER), 2.0, -6.0)
    return Regions(
        features.astype(np.float16), np.stack([-margin / 2, margin / 2], 1).astype(np.float32), is_face,
        np.full(count, 50, np.float32), kind, np.arange(count, dtype=np.int32) % 300,
    )


def test_only_the_class_head_changes_and_learns_what_is_no_face():
    torch.manual_seed(0)
    network, lines = Network(TINY), []
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    regions = drawn_regions(TINY.pyramid * 49)
    harden(network, regions, 120, 3e-3, 128, 1, report=lines.append)
    assert lines[-1]["recall"] > 0.95 and lines[-1]["false, clutter"] < 0.05
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed and all(".class_head." in name or ".class_predictor." in name for name in changed)

    network.load_state_dict(before)
    harden(network, regions, 3, 3e-3, 128, 1, last_layer=True, report=lines.append)
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"roi_heads.class_predictor.cls_score.weight", "roi_heads.class_predictor.cls_score.bias"}


def test_the_same_seed_gives_the_same_weights():
    regions, states = drawn_regions(TINY.pyramid * 49), []
    for _ in range(2):
        torch.manual_seed(0)
        states.append(harden(Network(TINY), regions, 5, 1e-3, 64, 1, report=lambda line: None).state_dict())
    assert all(torch.equal(a, b) for a, b in zip(states[0].values(), states[1].values()))


def test_targets_and_pools():
    regions = drawn_regions(4)
    regions.logits[:, 1] = regions.logits[:, 0] + np.where(regions.picture < 150, 3, 0.5)
    wanted, score = targets(regions), 1 / (1 + np.exp(-(regions.logits[:, 1] - regions.logits[:, 0])))
    photo, detail = regions.kind < DETAIL, regions.kind == DETAIL
    assert np.allclose(wanted[photo], score[photo]), "what the network knows of photos stays"
    likely = detail & (score >= 0.7)
    assert likely.any() and np.allclose(wanted[likely], score[likely]), "likely a face without a label"
    assert (detail & ~likely).any() and not wanted[detail & ~likely].any()
    assert not wanted[regions.kind == CLUTTER].any()
    sources = pools(regions)
    assert list(sources) == list(MIXTURE)
    assert all((regions.picture[rows] % 20 != 0).all() for rows in sources.values())
    with pytest.raises(ValueError, match="faces and background"):
        harden(Network(TINY), dataclasses.replace(regions, is_face=np.zeros(len(regions.is_face), bool),
               kind=np.full(len(regions.kind), 9, np.uint8), picture=regions.picture * 0), 1, 1e-3, 8, 1)


def test_from_pack_to_checkpoint(pack, tmp_path):
    _, _, folder = pack
    torch.manual_seed(0)
    checkpoint.save(tmp_path / "initial.pth", Network(TINY))
    run = lambda module, *rest: subprocess.run(
        [sys.executable, "-m", f"img2pose_train.{module}", "--initial", tmp_path / "initial.pth", *map(str, rest)],
        check=True, cwd=Path(__file__).parents[1],
    )
    run("regions", "--pack", folder, "--labels", folder / "refined.npz", "--fonts", FONTS, "--out", tmp_path / "regions",
        "--pictures", 24, "--processes", 2)
    assert len(np.unique(Regions.load(tmp_path / "regions").picture)) == 24
    run("harden", "--regions", tmp_path / "regions", "--out", tmp_path / "out.pth", "--steps", 3, "--batch", 32)
    old, new = (checkpoint.load(tmp_path / name).state_dict() for name in ("initial.pth", "out.pth"))
    assert any(not torch.equal(old[name], new[name]) for name in old)
    assert all(torch.equal(old[name], new[name]) for name in old if ".class_" not in name)
