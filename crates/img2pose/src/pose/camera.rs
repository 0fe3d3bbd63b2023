//! The change of camera from a proposal to the frame, and the face box.

use super::rotation::{Matrix, apply, matrix_to_rotation_vector, multiply, rotation_matrix};
use crate::view::PixelAspectRatio;

/// A pinhole camera: focal length and principal point in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Camera {
    /// Focal length in pixels, across and down: two numbers where pixels are not square.
    pub focal_length: [f64; 2],
    /// Principal point `x, y` in pixels.
    pub center: [f64; 2],
}

/// How the face box is made from the projected landmarks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FaceBox {
    pub x_factor: f64,
    pub y_factor: f64,
    pub forehead: f64,
}

impl Camera {
    /// The camera that img2pose assumes for a frame of square pixels: focal length width + height, principal point in the
    /// middle.
    pub fn of_frame(width: u32, height: u32) -> Self {
        Self::with_pixels(width, height, PixelAspectRatio::SQUARE)
    }

    /// The same camera where pixels may be of any shape: its focal length is width + height of the frame in square pixels. In
    /// pixels of the frame, with the ratio r of a pixel's width to its height, that is width + height / r across and
    /// width r + height down.
    pub fn with_pixels(width: u32, height: u32, ratio: PixelAspectRatio) -> Self {
        let (width, height, ratio) = (f64::from(width), f64::from(height), ratio.value());
        Self {
            focal_length: [width + height / ratio, width * ratio + height],
            center: [width / 2.0, height / 2.0],
        }
    }

    /// The camera of the network image, whose principal point the reference keeps in whole pixels.
    pub(crate) fn of_network_image(width: u32, height: u32) -> Self {
        Self {
            center: [f64::from(width / 2), f64::from(height / 2)],
            ..Self::of_frame(width, height)
        }
    }

    /// Pixel position of a point in the head frame.
    pub fn project(&self, rotation: &Matrix, translation: [f64; 3], point: [f64; 3]) -> [f64; 2] {
        let [x, y, z] = apply(rotation, point);
        let [x, y, z] = [x + translation[0], y + translation[1], z + translation[2]];
        [
            self.focal_length[0] * x / z + self.center[0],
            self.focal_length[1] * y / z + self.center[1],
        ]
    }

    /// Pixel positions of `points` (head units, head frame) under `pose`.
    pub fn project_points<const N: usize>(&self, points: &[[f32; 3]; N], pose: &[f32; 6]) -> [[f32; 2]; N] {
        let pose = pose.map(f64::from);
        let rotation = rotation_matrix([pose[0], pose[1], pose[2]]);
        let translation = [pose[3], pose[4], pose[5]];
        points.map(|point| {
            self.project(&rotation, translation, point.map(f64::from))
                .map(|side| side as f32)
        })
    }
}

/// Turns a pose seen by the camera of a proposal into the pose seen by the camera of the whole image.
///
/// `pose` is `rx, ry, rz, tx, ty, tz` for a camera in the middle of `proposal` (`x_min, y_min, x_max, y_max`) whose
/// focal length is the proposal's width + height (img2pose, section 3.2). The reference multiplies the rotation by
/// K^-1 K_box, which is a shear, and takes the nearest rotation. In closed form: with a the offset of the image
/// centre from the proposal's centre in focal lengths and s = |a|, that is Q(a)^T R, where Q(a) turns by atan(s/2)
/// about (-a_y, a_x, 0). The proposal's centre is truncated to whole pixels because the reference keeps its
/// intrinsics in integers.
pub(crate) fn to_frame_camera(pose: [f64; 6], proposal: [f32; 4], camera: &Camera) -> [f64; 6] {
    let (width, height) = (proposal[2] - proposal[0], proposal[3] - proposal[1]);
    let middle = |low: f32, side: f32| f64::from((low + (side / 2.0).floor()).trunc());
    let center = [middle(proposal[0], width), middle(proposal[1], height)];
    // The network image has square pixels.
    let [focal_length, _] = camera.focal_length;
    let offset = [
        (camera.center[0] - center[0]) / focal_length,
        (camera.center[1] - center[1]) / focal_length,
    ];

    let z = pose[5] * (focal_length / f64::from(width + height));
    let translation = [pose[3] - offset[0] * z, pose[4] - offset[1] * z, z];

    let length = (offset[0] * offset[0] + offset[1] * offset[1]).sqrt();
    let rotation = rotation_matrix([pose[0], pose[1], pose[2]]);
    let turned = if length > 0.0 {
        let angle = (length / 2.0).atan() / length;
        // Transposed: the opposite turn.
        let back = rotation_matrix([offset[1] * angle, -offset[0] * angle, 0.0]);
        multiply(&back, &rotation)
    } else {
        rotation
    };
    let [rx, ry, rz] = matrix_to_rotation_vector(&turned);
    [rx, ry, rz, translation[0], translation[1], translation[2]]
}

/// The face box of a pose in whole pixels, clipped to an image of `width` x `height`.
///
/// The box spans the projected `landmarks`, scaled by the factors, plus the forehead on the side where the roll
/// (third component of the rotation vector) puts it. Sizes and corners are truncated as the reference does.
pub(crate) fn face_box(
    pose: &[f64; 6],
    camera: &Camera,
    landmarks: &[[f32; 3]],
    rule: &FaceBox,
    width: u32,
    height: u32,
) -> [f32; 4] {
    let [x_min, y_min, x_max, y_max] = face_extent(pose, camera, landmarks, rule, f64::trunc);
    let (width, height) = (f64::from(width), f64::from(height));
    [
        x_min.max(0.0),
        y_min.max(0.0),
        x_max.min(width),
        y_max.min(height),
    ]
    .map(|side| side as f32)
}

/// The face box of a pose, not clipped: [`face_box`] in pixels of `camera`, whose sizes and corners `round` makes.
pub(crate) fn face_extent(
    pose: &[f64; 6],
    camera: &Camera,
    landmarks: &[[f32; 3]],
    rule: &FaceBox,
    round: impl Fn(f64) -> f64,
) -> [f64; 4] {
    let rotation = rotation_matrix([pose[0], pose[1], pose[2]]);
    let translation = [pose[3], pose[4], pose[5]];
    let seen = landmarks
        .iter()
        .map(|point| camera.project(&rotation, translation, point.map(f64::from)));
    box_around(seen, pose[2], rule, round)
}

/// The face box around projected landmarks, not clipped; `roll` is the third component of the rotation vector. `round` makes
/// its sizes and corners.
pub(crate) fn box_around(
    landmarks: impl Iterator<Item = [f64; 2]>,
    roll: f64,
    rule: &FaceBox,
    round: impl Fn(f64) -> f64,
) -> [f64; 4] {
    let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
    for at in landmarks {
        for axis in 0..2 {
            low[axis] = low[axis].min(at[axis]);
            high[axis] = high[axis].max(at[axis]);
        }
    }
    let extent = [high[0] - low[0], high[1] - low[1]];
    let size = [round(extent[0] * rule.x_factor), round(extent[1] * rule.y_factor)];
    let center = [0.5 * low[0] + 0.5 * high[0], 0.5 * low[1] + 0.5 * high[1]];
    let mut corners = [
        center[0] - size[0] * 0.5,
        center[1] - size[1] * 0.5,
        center[0] + size[0] * 0.5,
        center[1] + size[1] * 0.5,
    ];
    if roll.abs() > 2.5 {
        corners[3] += rule.forehead * extent[1];
    } else if roll > 1.0 {
        corners[2] += rule.forehead * extent[0];
    } else if roll < -1.0 {
        corners[0] -= rule.forehead * extent[0];
    } else {
        corners[1] -= rule.forehead * extent[1];
    }
    corners.map(round)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the reference computes, without the closed form: polar factor by Newton's iteration.
    fn reference_rotation(rotation: &Matrix, offset: [f64; 2]) -> Matrix {
        let shear = [[1.0, 0.0, -offset[0]], [0.0, 1.0, -offset[1]], [0.0, 0.0, 1.0]];
        let mut m = multiply(&shear, rotation);
        for _ in 0..60 {
            let inverse_transposed = inverse_transposed(&m);
            for i in 0..3 {
                for j in 0..3 {
                    m[i][j] = 0.5 * (m[i][j] + inverse_transposed[i][j]);
                }
            }
        }
        m
    }

    fn inverse_transposed(m: &Matrix) -> Matrix {
        let cofactor = |i: usize, j: usize| {
            let (a, b, c, d) = ((i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3);
            m[a][c] * m[b][d] - m[a][d] * m[b][c]
        };
        let determinant: f64 = (0..3).map(|j| m[0][j] * cofactor(0, j)).sum();
        std::array::from_fn(|i| std::array::from_fn(|j| cofactor(i, j) / determinant))
    }

    #[test]
    fn closed_form_equals_the_nearest_rotation() {
        let camera = Camera::of_network_image(853, 480);
        let cases = [
            ([0.1, -0.4, 0.2, 0.05, 0.2, 3.5], [10.3, 20.7, 60.1, 99.9]),
            ([-0.3, 1.2, -0.6, 0.1, 0.3, 3.2], [700.0, 300.0, 853.0, 480.0]),
            ([0.0, 0.0, 0.0, 0.0, 0.0, 3.0], [400.0, 200.0, 452.0, 280.0]),
        ];
        for (pose, proposal) in cases {
            let found = to_frame_camera(pose, proposal, &camera);
            let [w, h] = [proposal[2] - proposal[0], proposal[3] - proposal[1]];
            let center = [proposal[0] + (w / 2.0).floor(), proposal[1] + (h / 2.0).floor()].map(f32::trunc);
            let [f, _] = camera.focal_length;
            let offset = [
                (camera.center[0] - f64::from(center[0])) / f,
                (camera.center[1] - f64::from(center[1])) / f,
            ];
            let expected = matrix_to_rotation_vector(&reference_rotation(
                &rotation_matrix([pose[0], pose[1], pose[2]]),
                offset,
            ));
            for axis in 0..3 {
                assert!(
                    (found[axis] - expected[axis]).abs() < 1e-12,
                    "{found:?} != {expected:?}"
                );
            }
        }
    }

    #[test]
    fn the_camera_of_stretched_pixels_sees_the_same_picture() {
        let pose = [0.2, -0.4, 0.1, -3.0, 1.5, 25.0];
        let points = crate::contract::REFERENCE_POINTS_68;
        // A third as many columns, three times as wide.
        let ratio = PixelAspectRatio::new(3, 1).unwrap();
        let square = Camera::of_frame(960, 540).project_points(&points, &pose);
        let narrow = Camera::with_pixels(320, 540, ratio).project_points(&points, &pose);
        for (square, narrow) in square.into_iter().zip(narrow) {
            assert!((square[0] - 3.0 * narrow[0]).abs() < 1e-3 && (square[1] - narrow[1]).abs() < 1e-3);
        }
        assert_eq!(
            Camera::with_pixels(33, 47, PixelAspectRatio::SQUARE).focal_length,
            [80.0; 2]
        );
    }

    #[test]
    fn forehead_goes_where_the_roll_says() {
        let camera = Camera::of_network_image(1000, 1000);
        let rule = FaceBox {
            x_factor: 1.0,
            y_factor: 1.0,
            forehead: 0.3,
        };
        let plain = FaceBox {
            forehead: 0.0,
            ..rule
        };
        let points = crate::contract::REFERENCE_POINTS_68;
        for (roll, grown) in [(0.0, 1), (1.2, 2), (-1.2, 0), (2.8, 3), (-2.8, 3)] {
            let pose = [0.0, 0.0, roll, 0.0, 0.0, 20.0];
            let with = face_box(&pose, &camera, &points, &rule, 1000, 1000);
            let without = face_box(&pose, &camera, &points, &plain, 1000, 1000);
            for side in 0..4 {
                assert_eq!(
                    with[side] != without[side],
                    side == grown,
                    "roll {roll}: {with:?} {without:?}"
                );
            }
        }
    }

    #[test]
    fn box_is_clipped_to_the_image() {
        let camera = Camera::of_network_image(100, 80);
        let rule = FaceBox {
            x_factor: 1.1,
            y_factor: 1.1,
            forehead: 0.3,
        };
        let pose = [0.0, 0.0, 0.0, 0.0, 0.0, 1.2];
        let found = face_box(
            &pose,
            &camera,
            &crate::contract::REFERENCE_POINTS_68,
            &rule,
            100,
            80,
        );
        assert_eq!(found, [0.0, 0.0, 100.0, 80.0]);
    }
}
