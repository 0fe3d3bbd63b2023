//! Geometry of head poses: rotations, the change of camera from a proposal to the frame, projection, boxes.
//!
//! Camera frames have x to the right, y down and z into the scene. A pose is a rotation vector in radians and a
//! translation in head units; a camera is a focal length and a principal point in pixels. The functions that take a width
//! and a height are for frames of square pixels; for others there is [`Camera::with_pixels`].

mod align;
mod camera;
mod euler;
mod rotation;
mod turn;

pub use align::{Affine, Alignment, align, align_with_pixels};
pub use camera::Camera;
pub(crate) use camera::{FaceBox, box_around, face_box, face_extent, to_frame_camera};
pub use euler::yaw_pitch_roll;
pub(crate) use rotation::multiply;
pub use rotation::{matrix_to_rotation_vector, rotation_matrix};
pub use turn::turn_pose;

use crate::contract::{REFERENCE_POINTS_5, REFERENCE_POINTS_68};

/// Which of the 68 landmarks are reported as keypoints: outer corner of the left eye, outer corner of the right
/// eye, tip of the nose, left and right mouth corner (as they are seen in a picture with the head upright).
pub const KEYPOINT_LANDMARKS: [usize; 5] = [36, 45, 30, 48, 54];

/// Pixel positions of the 68 landmarks of a face in a frame of `width` x `height` pixels.
pub fn project_landmarks(pose: &[f32; 6], width: u32, height: u32) -> [[f32; 2]; 68] {
    project_points(&REFERENCE_POINTS_68, pose, width, height)
}

/// Pixel positions of the five alignment points of a face in a frame of `width` x `height` pixels.
pub fn project_alignment_points(pose: &[f32; 6], width: u32, height: u32) -> [[f32; 2]; 5] {
    project_points(&REFERENCE_POINTS_5, pose, width, height)
}

/// Pixel positions of `points` (head units, head frame) under `pose` in a frame of `width` x `height` pixels,
/// seen by the camera of the frame ([`Camera::of_frame`]).
pub fn project_points<const N: usize>(
    points: &[[f32; 3]; N],
    pose: &[f32; 6],
    width: u32,
    height: u32,
) -> [[f32; 2]; N] {
    Camera::of_frame(width, height).project_points(points, pose)
}

/// The five keypoints of a face, see [`KEYPOINT_LANDMARKS`].
pub fn project_keypoints(pose: &[f32; 6], width: u32, height: u32) -> [[f32; 2]; 5] {
    keypoints_by(&Camera::of_frame(width, height), pose)
}

/// The five keypoints of a face as `camera` sees them: pixels of its frame.
pub fn keypoints_by(camera: &Camera, pose: &[f32; 6]) -> [[f32; 2]; 5] {
    camera.project_points(&KEYPOINT_LANDMARKS.map(|index| REFERENCE_POINTS_68[index]), pose)
}

/// Angle in degrees, 0 to 180, between the orientations of two poses.
pub fn angle_between(a: &[f32; 6], b: &[f32; 6]) -> f64 {
    let matrix = |pose: &[f32; 6]| rotation_matrix([pose[0], pose[1], pose[2]].map(f64::from));
    let (a, b) = (matrix(a), matrix(b));
    // |A - B| (Frobenius) = 2 sqrt(2) sin(angle / 2), which keeps its digits at small angles.
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    let distance: f64 = pairs.map(|(a, b)| (a - b).powi(2)).sum();
    (2.0 * (distance.sqrt() / 8.0_f64.sqrt()).min(1.0).asin()).to_degrees()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_between_orientations_small_and_large() {
        let turned = |degrees: f32| [0.0, degrees.to_radians(), 0.0, 0.0, 0.0, 5.0];
        for degrees in [0.001_f32, 1.0, 90.0, 179.0] {
            let angle = angle_between(&turned(-0.25 * degrees), &turned(0.75 * degrees));
            assert!(
                (angle / f64::from(degrees) - 1.0).abs() < 1e-4,
                "{degrees}: {angle}"
            );
        }
        assert_eq!(angle_between(&turned(30.0), &turned(30.0)), 0.0);
    }
}
