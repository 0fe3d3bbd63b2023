//! From the rotation vector of a pose to yaw, pitch and roll.

use super::rotation::rotation_matrix;

/// Yaw, pitch and roll in degrees of a pose `rx, ry, rz, tx, ty, tz`; only the rotation vector is read.
///
/// The camera looks along z, with x to the right and y down; a face with no rotation looks straight into it.
/// The rotation matrix is `Rx(-pitch) * Ry(yaw) * Rz(roll)`, the convention of AFLW2000-3D and of the img2pose
/// evaluation (there: the `xyz` Euler angles of the transposed matrix, the last two negated). As seen in the
/// picture:
///
/// * yaw, -90 to 90: positive when the face turns to the left of the picture, which is the person's right;
/// * pitch, -180 to 180: positive when the face looks up;
/// * roll, -180 to 180: positive when the head is tilted clockwise.
///
/// A head seen from behind therefore has a pitch beyond 90. Where yaw is -90 or 90, pitch and roll turn about the
/// same axis; roll is then 0.
pub fn yaw_pitch_roll(pose: &[f32; 6]) -> [f32; 3] {
    let r = rotation_matrix([pose[0], pose[1], pose[2]].map(f64::from));
    let cos_yaw = r[0][0].hypot(r[0][1]);
    let yaw = r[0][2].atan2(cos_yaw);
    // Below this the two other axes coincide as far as f32 input can tell.
    let (pitch, roll) = if cos_yaw > 1e-7 {
        (r[1][2].atan2(r[2][2]), (-r[0][1]).atan2(r[0][0]))
    } else {
        ((-r[2][1]).atan2(r[1][1]), 0.0)
    };
    // Adding zero turns -0 into 0: no rotation reads as 0, not -0.
    [yaw, pitch, roll].map(|angle| angle.to_degrees() as f32 + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(axis: [f64; 3], degrees: f64) -> [[f64; 3]; 3] {
        rotation_matrix(axis.map(|c| c * degrees.to_radians()))
    }

    fn product(a: &[[f64; 3]; 3], b: &[[f64; 3]; 3]) -> [[f64; 3]; 3] {
        std::array::from_fn(|i| std::array::from_fn(|j| (0..3).map(|k| a[i][k] * b[k][j]).sum()))
    }

    /// The rotation vector of a matrix whose angle is below 180 degrees.
    fn rotation_vector(r: &[[f64; 3]; 3]) -> [f64; 3] {
        let axis = [r[2][1] - r[1][2], r[0][2] - r[2][0], r[1][0] - r[0][1]];
        let sine = axis.iter().map(|c| c * c).sum::<f64>().sqrt() / 2.0;
        let angle = sine.atan2((r[0][0] + r[1][1] + r[2][2] - 1.0) / 2.0);
        axis.map(|c| if sine > 0.0 { c / (2.0 * sine) * angle } else { 0.0 })
    }

    fn pose_of(r: &[[f64; 3]; 3]) -> [f32; 6] {
        let [x, y, z] = rotation_vector(r).map(|c| c as f32);
        [x, y, z, 0.0, 0.0, 10.0]
    }

    fn assert_close(found: [f32; 3], expected: [f32; 3]) {
        for (f, e) in found.iter().zip(expected) {
            assert!((f - e).abs() < 1e-4, "{found:?}, expected {expected:?}");
        }
    }

    fn apply(r: &[[f64; 3]; 3], v: [f64; 3]) -> [f64; 3] {
        std::array::from_fn(|i| (0..3).map(|k| r[i][k] * v[k]).sum())
    }

    #[test]
    fn no_rotation_is_zero() {
        assert_eq!(yaw_pitch_roll(&[0.0; 6]).map(f32::to_bits), [0; 3]);
    }

    /// The nose points along -z; where it goes, and where the face's x axis goes, is what the signs mean.
    #[test]
    fn signs_are_what_a_viewer_sees() {
        let yaw = about([0.0, 1.0, 0.0], 30.0);
        assert!(
            apply(&yaw, [0.0, 0.0, -1.0])[0] < -0.4,
            "nose to the left of the picture"
        );
        assert_close(yaw_pitch_roll(&pose_of(&yaw)), [30.0, 0.0, 0.0]);

        let pitch = about([1.0, 0.0, 0.0], -20.0);
        assert!(apply(&pitch, [0.0, 0.0, -1.0])[1] < -0.3, "nose up");
        assert_close(yaw_pitch_roll(&pose_of(&pitch)), [0.0, 20.0, 0.0]);

        let roll = about([0.0, 0.0, 1.0], 40.0);
        assert!(
            apply(&roll, [1.0, 0.0, 0.0])[1] > 0.6,
            "right side of the picture down: clockwise"
        );
        assert_close(yaw_pitch_roll(&pose_of(&roll)), [0.0, 0.0, 40.0]);
    }

    #[test]
    fn composes_as_documented() {
        for (yaw, pitch, roll) in [
            (10.0, 20.0, 30.0),
            (-75.0, 15.0, -5.0),
            (60.0, -40.0, 80.0),
            (-5.0, 100.0, 20.0),
        ] {
            let r = product(
                &product(&about([1.0, 0.0, 0.0], -pitch), &about([0.0, 1.0, 0.0], yaw)),
                &about([0.0, 0.0, 1.0], roll),
            );
            assert_close(
                yaw_pitch_roll(&pose_of(&r)),
                [yaw as f32, pitch as f32, roll as f32],
            );
        }
    }

    /// Made with scipy 1.17: `Rotation.from_rotvec(v).as_matrix().T` to `xyz` angles `a, b, c`; pitch `a`,
    /// yaw `-b`, roll `-c`.
    #[test]
    fn agrees_with_the_evaluation_of_the_reference() {
        for (v, expected) in SCIPY {
            assert_close(yaw_pitch_roll(&[v[0], v[1], v[2], 1.0, 2.0, 3.0]), *expected);
        }
    }

    const SCIPY: &[([f32; 3], [f32; 3])] = &[
        (
            [0.14971814, -0.06612, -0.23537707],
            [-4.74480, -8.07264, -13.18121],
        ),
        ([0.5, 0.9, -0.3], [41.99525, -45.7192, -37.26063]),
        ([-1.2, 0.4, 0.8], [-7.48704, 70.02989, 47.54084]),
        ([0.02, -1.4, 0.1], [-79.30267, -23.25397, 26.24887]),
        ([2.0, -0.3, 0.7], [20.6328, -113.58084, 30.65198]),
        ([1e-5, -2e-05, 3e-05], [-0.00115, -0.00057, 0.00172]),
    ];

    #[test]
    fn looking_sideways_has_no_roll() {
        let quarter = std::f32::consts::FRAC_PI_2;
        assert_close(
            yaw_pitch_roll(&[0.0, quarter, 0.0, 0.0, 0.0, 1.0]),
            [90.0, 0.0, 0.0],
        );
        assert_close(
            yaw_pitch_roll(&[0.0, -quarter, 0.0, 0.0, 0.0, 1.0]),
            [-90.0, 0.0, 0.0],
        );
        assert!(
            yaw_pitch_roll(&[1.2, 1.2, -1.2, 0.0, 0.0, 1.0])
                .iter()
                .all(|a| a.is_finite())
        );
    }
}
