//! Geometry of head poses: rotations, the change of camera from a proposal to the frame, projection, boxes.
//!
//! Camera frames have x to the right, y down and z into the scene. A pose is a rotation vector in radians and a
//! translation in head units; a camera is a focal length and a principal point in pixels.

mod align;
mod camera;
mod euler;
mod rotation;

pub use align::{Affine, Alignment, align};
pub use camera::Camera;
pub(crate) use camera::{FaceBox, face_box, to_frame_camera};
pub use euler::yaw_pitch_roll;
pub use rotation::{matrix_to_rotation_vector, rotation_matrix};

use crate::contract::{REFERENCE_POINTS_5, REFERENCE_POINTS_68};

/// Which of the 68 landmarks are reported as keypoints: outer corner of the left eye, outer corner of the right
/// eye, tip of the nose, left and right mouth corner (as they are seen in the picture).
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
    let camera = Camera::of_frame(width, height);
    let pose = pose.map(f64::from);
    let rotation = rotation_matrix([pose[0], pose[1], pose[2]]);
    let translation = [pose[3], pose[4], pose[5]];
    points.map(|point| {
        camera
            .project(&rotation, translation, point.map(f64::from))
            .map(|side| side as f32)
    })
}

/// The five keypoints of a face, see [`KEYPOINT_LANDMARKS`].
pub fn project_keypoints(pose: &[f32; 6], width: u32, height: u32) -> [[f32; 2]; 5] {
    project_points(
        &KEYPOINT_LANDMARKS.map(|index| REFERENCE_POINTS_68[index]),
        pose,
        width,
        height,
    )
}
