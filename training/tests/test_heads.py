"""Rendered heads, as far as they can be tested without MakeHuman's data."""

import cv2
import numpy as np
import pytest

from img2pose_train import facefree, geometry
from img2pose_train.heads import assets, compose, landmarks, people, portraits, render
from img2pose_train.labels import pose_in_box

CUBE = """\
v -1 -1 -1
v 1 -1 -1
v 1 1 -1
v -1 1 -1
v -1 -1 1
v 1 -1 1
v 1 1 1
v -1 1 1
vt 0 0
vt 1 0
vt 1 1
vt 0 1
g body
f 1/1 4/4 3/3 2/2
f 5/1 6/2 7/3 8/4
g joint-head
f 1 2 6 5
"""


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A MakeHuman tree of one cube, with a target, a proxy and two skins, one of which has no picture."""
    for folder in ("3dobjs", "targets/head", "hair/cap", "skins/young_asian_male", "skins/old_african_male"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "3dobjs/base.obj").write_text(CUBE)
    (tmp_path / "targets/head/head-tall.target").write_text("# comment\n6 0 0.5 0\n7 0 0.5 0\n")
    (tmp_path / "hair/cap/cap.obj").write_text("v 0 0 0\nv 0 0 0\nv 0 0 0\nvt 0 0\nf 1/1 2/1 3/1\n")
    (tmp_path / "hair/cap/cap.mhclo").write_text(
        "obj_file cap.obj\nmaterial cap.mhmat\nx_scale 0 1 2.0\nverts 0\n6\n7\n4 5 6 0.5 0.25 0.25 1 0 0\n\ndelete_verts\n1 - 3 6\n")
    for skin in ("young_asian_male", "old_african_male"):
        (tmp_path / f"skins/{skin}/{skin}.mhmat").write_text("diffuseTexture skin.png\n")
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "skins/young_asian_male/skin.png"), picture)
    (tmp_path / "skins/old_african_male/skin.png").write_text("version https://git-lfs.github.com/spec/v1\n")
    cached = (people.base, people.target, people.proxy, people.skins, people.hairs, people.texture)
    for function in cached:
        function.cache_clear()
    monkeypatch.setattr(assets, "_folder", None)
    assets.use(tmp_path)
    yield tmp_path
    for function in cached:
        function.cache_clear()


def test_data_that_are_not_there_are_named(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="no 3dobjs/base.obj"):
        assets.use(tmp_path)
    monkeypatch.setattr(assets, "_folder", None)
    with pytest.raises(ValueError, match="--assets"):
        assets.data()


def test_meshes_morph_and_carry_what_hangs_on_them(tree):
    v, uv, groups, joint = people.base()
    assert v.shape == (8, 3) and uv.shape == (4, 2) and set(joint) == {"head"} and sorted(joint["head"]) == [0, 1, 4, 5]
    surface = people.Surface(groups["body"], uv)
    assert len(surface.triangles) == 4
    normals = surface.normals(v)
    assert np.allclose(normals[[4, 5, 6, 7], 2], 1) and np.allclose(normals[[0, 1, 2, 3], 2], -1)
    tall = people.morph({"head/head-tall": 0.5})
    assert np.allclose(tall[6], [1, 1.25, 1]) and np.allclose(tall[0], v[0])
    cap = people.proxy("hair/cap/cap.mhclo")
    fitted = cap.fit(tall)
    assert np.allclose(fitted[:2], tall[6:8]) and cap.deleted == [1, 2, 3, 6]
    assert np.allclose(fitted[2], 0.5 * tall[4] + 0.25 * tall[5] + 0.25 * tall[6] + [1, 0, 0])


def test_a_skin_without_its_picture_is_not_chosen(tree):
    assert people.skins() == ["young_asian_male"]
    name, tint = people.choose_skin(np.random.default_rng(0), "old", "african", "male")
    assert name == "young_asian_male" and (tint < 0.5).all()
    assert (people.choose_skin(np.random.default_rng(0), "old", "asian", "female")[1] == 1).all()


def test_angles_and_matrices_are_each_others_inverse():
    for angles in ((70, -40, 30), (-95 + 10, 20, -45), (0, 55, 0)):
        assert np.allclose(compose.angles(compose.rotation(*angles)), angles)
    # Looking up is a positive pitch, to the picture's right a positive yaw: the face's forward axis is -z.
    assert (compose.rotation(0, 30, 0) @ [0, 0, -1])[1] < 0
    assert geometry.yaw(compose.rotation(40, 0, 0)[None])[0] == pytest.approx(-40)


def test_a_similarity_is_found_again():
    rng = np.random.default_rng(1)
    a, r = rng.normal(size=(30, 3)), geometry.rotation_matrix([0.3, -0.8, 0.2])[0]
    scale, rotation, shift = landmarks.similarity(a, 1.7 * a @ r.T + [1, 2, 3])
    assert scale == pytest.approx(1.7) and np.allclose(rotation, r) and np.allclose(shift, [1, 2, 3])


def test_angles_are_wide():
    rng = np.random.default_rng(2)
    drawn = np.array([portraits.angles(rng) for _ in range(2000)])
    assert (np.abs(drawn[:, 0]) > 60).mean() > 0.2 and (np.abs(drawn[:, 1]) > 30).mean() > 0.15
    assert np.abs(drawn).max(0).tolist() <= [120, 70, 60]


def test_the_heads_own_shape_does_not_turn_its_label():
    rng = np.random.default_rng(3)
    r, t = compose.rotation(35, 20, 5), np.array([0.0, 0, 14])
    exact = compose.project(compose.REF @ r.T + t, 800, np.array([112, 112]))
    seen = exact + rng.normal(0, 3, exact.shape) + [0, 2] * (np.arange(68) < 17)[:, None]
    shaped = portraits.shaped_points(seen, exact)
    angle = lambda points: geometry.rotation_angle(
        geometry.rotation_matrix(pose_in_box(points)[0]), geometry.rotation_matrix(pose_in_box(exact)[0]))[0]
    assert angle(seen) > 0.5 and angle(shaped) < 0.3 * angle(seen)


def test_backgrounds_fill_the_picture(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((50, 70, 3), 200, np.uint8))
    for pictures in ([], [tmp_path / "a.png"]):
        b = portraits.background(pictures, 64, np.random.default_rng(4))
        assert b.shape == (64, 64, 3) and 0 <= b.min() and b.max() <= 1


def test_details_without_a_face_keep_away_from_faces(pack, tmp_path):
    _, _, folder = pack
    arguments = ["--pack", str(folder), "--labels", str(folder / "refined.npz"), "--out", str(tmp_path), "--side", "100", "--count", "5"]
    facefree.main([*arguments, "--contrast", "0"])
    found = sorted(tmp_path.glob("*.jpg"))
    assert 1 <= len(found) <= 5 and cv2.imread(str(found[0])).shape == (100, 100, 3)
    rng = np.random.default_rng(0)
    boxes = np.array([[100.0, 100, 200, 200]])
    for _ in range(30):
        x, y = facefree.free_square(boxes, 640, 480, 120, rng)
        assert x + 120 <= 60 or x >= 240 or y + 120 <= 60 or y >= 240
    assert facefree.free_square(np.array([[0.0, 0, 640, 480]]), 640, 480, 120, rng) is None


def test_what_is_drawn_is_where_the_camera_sees_it(tree):
    """A cube of side 2 whose middle lies at (2, -1, 10), lit from its left."""
    v, uv, groups, _ = people.base()
    surface = people.Surface(groups["body"] + [[(0, 0), (1, 1), (5, 2), (4, 3)], [(2, 0), (3, 1), (7, 2), (6, 3)]], uv)
    part = render.Part(surface, v * [1, -1, -1] + [2, -1, 10], np.ones((4, 4, 4), np.float32), (0.5, 0.5, 0.5), spec=0.0)
    renderer = render.Renderer()
    renderer.light([part], lambda d: np.full((len(d), 3), 0.3), count=8)
    image = renderer.draw([part], (160, 120), 180.0, np.array([80.0, 60.0]), np.array([0, 0, -1.0]), np.ones(3), 1.0, np.ones(3))
    assert image.shape == (120, 160, 4)
    rows, columns = np.nonzero(image[:, :, 3] > 0.5)
    # The front face stands at a depth of 9: x from 1 to 3, y from -2 to 0; to the left of it the back face shows, at 11.
    assert abs(columns.min() - (80 + 180 * 1 / 11)) < 1.5 and abs(columns.max() + 1 - (80 + 180 * 3 / 9)) < 1.5
    assert abs(rows.min() - (60 - 180 * 2 / 9)) < 1.5 and abs(rows.max() + 1 - 60) < 1.5
    assert image[40, 120, :3].min() > 0.3
