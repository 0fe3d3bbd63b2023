import numpy as np
import pytest

from img2pose_train import geometry
from img2pose_train.labels import FOCAL_PER_BOX, change_camera, pose_in_box, solve_pose


@pytest.fixture
def random():
    return np.random.default_rng(0)


def poses(random, count):
    return geometry.POSE_MEAN + geometry.POSE_STDDEV * random.normal(size=(count, 6))


def test_rotation_vectors_survive_the_round_trip(random):
    rvec = random.uniform(-1.8, 1.8, size=(100, 3))  # shorter than pi
    assert np.allclose(geometry.rotation_vector(geometry.rotation_matrix(rvec)), rvec)


def test_view_rotation_is_the_polar_factor_of_the_shear(random):
    for shift in random.normal(0, 0.3, (20, 2)):
        shear = np.eye(3)
        shear[:2, 2] = shift
        u, _, vt = np.linalg.svd(shear)
        assert np.allclose(geometry.view_rotation(shift)[0], u @ vt)


def test_box_and_image_cameras_are_inverse(random):
    pose = poses(random, 50)
    corner = random.uniform(0, 300, (50, 2))
    box = np.concatenate([corner, corner + random.uniform(20, 200, (50, 2))], 1)
    focal, centre = geometry.box_camera(box)
    rotation = geometry.rotation_matrix(pose[:, :3])
    image = geometry.to_image(rotation, pose[:, 3:], focal, centre, 1120.0, [320, 240])
    back = geometry.to_box(*image, 1120.0, [320, 240], box)
    assert np.allclose(back[0], rotation) and np.allclose(back[1], pose[:, 3:])


def test_the_origin_of_a_face_stays_on_its_pixel_when_the_camera_changes(random):
    pose = poses(random, 20)
    rotation = geometry.rotation_matrix(pose[:, :3])
    centre = random.uniform(0, 400, (20, 2))
    before = geometry.project(rotation, pose[:, 3:], 200.0, centre, np.zeros((1, 3)))
    moved = geometry.to_image(rotation, pose[:, 3:], 200.0, centre, 1000.0, [320, 240])
    after = geometry.project(*moved, 1000.0, np.tile([320, 240], (20, 1)), np.zeros((1, 3)))
    assert np.allclose(before, after)


def test_a_mirrored_pose_projects_to_mirrored_points(random):
    pose = poses(random, 5)
    rotation = geometry.rotation_matrix(pose[:, :3])
    points = geometry.project(rotation, pose[:, 3:], 500.0, np.zeros((5, 2)), geometry.REFERENCE_68)
    flipped = geometry.project(
        *geometry.mirror(rotation, pose[:, 3:]), 500.0, np.zeros((5, 2)),
        geometry.REFERENCE_68 * [-1, 1, 1],
    )
    assert np.allclose(flipped, points * [-1, 1])


@pytest.mark.parametrize("roll, side", [(0.0, "above"), (1.5, "right"), (-1.5, "left"), (3.0, "below")])
def test_the_forehead_is_added_on_the_side_that_the_roll_says(roll, side):
    square = np.array([[[0.0, 0], [10, 10]]])
    plain = np.array([-0.5, -0.5, 10.5, 10.5])
    grown = geometry.face_box(square, np.array([roll]))[0] - plain
    assert np.allclose(grown, {
        "above": [0, -3, 0, 0], "right": [0, 0, 3, 0], "left": [-3, 0, 0, 0], "below": [0, 0, 0, 3],
    }[side])


def test_pnp_finds_a_pose_from_its_projection(random):
    for pose in poses(random, 10):
        seen = geometry.project(
            geometry.rotation_matrix(pose[:3]), pose[None, 3:] * 3, 900.0, np.array([[320, 240]]),
            geometry.REFERENCE_68,
        )[0]
        rvec, tvec = solve_pose(seen, 900.0, [320, 240])
        assert np.allclose(rvec, pose[:3], atol=1e-3) and np.allclose(tvec, pose[3:] * 3, atol=1e-3)


def test_a_label_is_what_inference_would_have_to_answer():
    """A face whose box is centred in its photo: there the box-local pose is the pose in the photo."""
    rvec, tvec = np.array([0.1, -0.4, 0.05]), np.array([0, 0, 14.0])
    rotation, focal = geometry.rotation_matrix(rvec), 1120.0
    for _ in range(20):
        landmarks = geometry.project(rotation, tvec[None], focal, np.zeros((1, 2)), geometry.REFERENCE_68)
        box = geometry.face_box(landmarks, rvec[2:])[0]
        tvec[:2] -= (box[:2] + box[2:]) / 2 * tvec[2] / focal
    found, _, camera, _, error = pose_in_box(landmarks[0])
    assert np.allclose(camera[1:], 0, atol=0.5)
    assert error < 0.01
    # Not exactly: the photo's focal length is 8 times the box, a label's 4 times.
    assert geometry.rotation_angle(geometry.rotation_matrix(found), rotation)[0] < 1.0


def test_changing_the_camera_keeps_the_projection(random):
    pose = poses(random, 10)
    camera = np.tile([400.0, 300.0, 200.0], (10, 1))
    tvec = pose[:, 3:] * [1, 1, 2]
    before = geometry.project(
        geometry.rotation_matrix(pose[:, :3]), tvec, camera[:, 0], camera[:, 1:], geometry.REFERENCE_68
    )
    rvec, tvec, camera, box = change_camera(pose[:, :3], tvec, camera)
    after = geometry.project(
        geometry.rotation_matrix(rvec), tvec, camera[:, 0], camera[:, 1:], geometry.REFERENCE_68
    )
    size = box[:, 2:] - box[:, :2]
    assert np.abs(after - before).max() < 0.04 * size.max()
    assert np.allclose(camera[:, 1:], (box[:, :2] + box[:, 2:]) / 2, atol=0.02 * size.max())
    assert np.allclose(camera[:, 0], FOCAL_PER_BOX * size.sum(1), rtol=0.02)
