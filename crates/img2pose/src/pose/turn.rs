//! Poses in pictures that are turned or mirrored.

use super::rotation::{Matrix, matrix_to_rotation_vector, multiply, rotation_matrix};
use crate::view::Orientation;

/// The mirror image of the head model, which is the same to the left and to the right.
const MIRROR: Matrix = [[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

/// The pose of a head after its picture is turned by `orientation`, in the camera of the turned picture.
///
/// A turn is one about the camera's axis: R' = M R, t' = M t. In a picture that is mirrored (det M = -1) there is the mirror
/// image of a head, which is a head again: R' = M R S with S = diag(-1, 1, 1), a rotation. Its left eye is the right
/// eye of the other. `rx, ry, rz` are in radians, `tx, ty, tz` in head units.
#[must_use]
pub fn turn_pose(pose: [f64; 6], orientation: Orientation) -> [f64; 6] {
    if orientation == Orientation::Identity {
        return pose;
    }
    let sign = |reversed: bool| if reversed { -1.0 } else { 1.0 };
    let (x, y) = (
        sign(orientation.reverses_columns()),
        sign(orientation.reverses_rows()),
    );
    let turn = match orientation.swaps_sides() {
        true => [[0.0, y, 0.0], [x, 0.0, 0.0], [0.0, 0.0, 1.0]],
        false => [[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]],
    };
    let [rx, ry, rz, tx, ty, tz] = pose;
    let mut rotation = multiply(&turn, &rotation_matrix([rx, ry, rz]));
    if orientation.is_mirrored() {
        rotation = multiply(&rotation, &MIRROR);
    }
    let [rx, ry, rz] = matrix_to_rotation_vector(&rotation);
    let [tx, ty] = match orientation.swaps_sides() {
        true => [y * ty, x * tx],
        false => [x * tx, y * ty],
    };
    [rx, ry, rz, tx, ty, tz]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::REFERENCE_POINTS_68;
    use crate::pose::{Camera, yaw_pitch_roll};
    use crate::view::PixelAspectRatio;

    const POSES: [[f64; 6]; 4] = [
        [0.0, 0.0, 0.0, -1.0, 0.5, 9.0],
        [0.3, -0.7, 0.2, 2.0, 1.5, 14.0],
        [-0.4, 0.9, -0.3, -2.0, 0.2, 22.0],
        [1.9, 1.2, -1.4, 0.4, -3.0, 30.0],
    ];

    #[test]
    fn a_turned_head_is_seen_where_the_turned_picture_has_it() {
        let (width, height) = (640, 360);
        let ratio = PixelAspectRatio::new(4, 3).unwrap();
        let camera = Camera::with_pixels(width, height, ratio);
        for orientation in Orientation::ALL {
            let turned_camera = match orientation.swaps_sides() {
                true => Camera::with_pixels(height, width, PixelAspectRatio::new(3, 4).unwrap()),
                false => camera,
            };
            for pose in POSES {
                let turned = turn_pose(pose, orientation).map(|number| number as f32);
                let found = turned_camera.project_points(&REFERENCE_POINTS_68, &turned);
                // A mirrored head is looked at from the mirrored model.
                let points = match orientation.is_mirrored() {
                    true => REFERENCE_POINTS_68.map(|[x, y, z]| [-x, y, z]),
                    false => REFERENCE_POINTS_68,
                };
                let expected = camera.project_points(&points, &pose.map(|number| number as f32));
                for (found, at) in found.into_iter().zip(expected) {
                    let expected = orientation.turn_point(at, width as f32, height as f32);
                    let far = (found[0] - expected[0]).abs().max((found[1] - expected[1]).abs());
                    assert!(
                        far < 2e-3,
                        "{orientation:?} {pose:?}: {found:?}, expected {expected:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn turning_back_gives_the_pose_again() {
        for orientation in Orientation::ALL {
            for pose in POSES {
                let back = turn_pose(turn_pose(pose, orientation), orientation.inverse());
                for (a, b) in pose.iter().zip(back) {
                    assert!((a - b).abs() < 1e-12, "{orientation:?} {pose:?}: {back:?}");
                }
            }
        }
    }

    #[test]
    fn angles_of_a_head_that_is_upright_after_the_turn() {
        let upright = [0.0, 0.0, 0.0, 0.0, 0.0, 10.0];
        let angles = |orientation: Orientation| {
            let pose = turn_pose(upright, orientation.inverse()).map(|number| number as f32);
            yaw_pitch_roll(&pose).map(f32::round)
        };
        assert_eq!(angles(Orientation::Identity), [0.0, 0.0, 0.0]);
        // The picture has to be turned clockwise because the head is tilted the other way.
        assert_eq!(angles(Orientation::Clockwise), [0.0, 0.0, -90.0]);
        assert_eq!(angles(Orientation::CounterClockwise), [0.0, 0.0, 90.0]);
        assert_eq!(angles(Orientation::HalfTurn)[2].abs(), 180.0);
        assert_eq!(angles(Orientation::MirrorHorizontal), [0.0, 0.0, 0.0]);
        assert_eq!(angles(Orientation::MirrorVertical)[2].abs(), 180.0);
        assert_eq!(angles(Orientation::MirrorMainDiagonal)[2].abs(), 90.0);
    }
}
