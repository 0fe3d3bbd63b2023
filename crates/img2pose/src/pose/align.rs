//! Alignment: from a pose to the transform that brings a face to where recognisers expect it.
//!
//! The five alignment points of the head model are projected with the face's pose, a similarity is fitted that brings them
//! to each of five templates from profile to profile, and the template that they come nearest to, by summed distance,
//! wins. That is the alignment of the Python library.

use super::{Camera, rotation_matrix, turn_pose};
use crate::contract::REFERENCE_POINTS_5;
use crate::view::{Orientation, View, in_square_pixels};

/// Side in pixels of the crops that the templates are written for.
const TEMPLATE_SIZE: f64 = 112.0;

/// Left eye, right eye, nose, left and right mouth corner in a crop of 112 x 112 pixels: of a face that looks to the left
/// of the picture, half to the left, ahead, half to the right, to the right. The usual templates of face recognition.
const TEMPLATES: [[[f64; 2]; 5]; 5] = [
    [
        [51.642, 50.115],
        [57.617, 49.990],
        [35.740, 69.007],
        [51.157, 89.050],
        [57.025, 89.702],
    ],
    [
        [45.031, 50.118],
        [65.568, 50.872],
        [39.677, 68.111],
        [45.177, 86.190],
        [64.246, 86.758],
    ],
    [
        [39.730, 51.138],
        [72.270, 51.138],
        [56.000, 68.493],
        [42.463, 87.010],
        [69.537, 87.010],
    ],
    [
        [46.845, 50.872],
        [67.382, 50.118],
        [72.737, 68.111],
        [48.167, 86.758],
        [67.236, 86.190],
    ],
    [
        [54.796, 49.990],
        [60.771, 50.115],
        [76.673, 69.007],
        [55.388, 89.702],
        [61.257, 89.050],
    ],
];

/// An affine map of the plane: `[x, y]` becomes `[m00 x + m01 y + m02, m10 x + m11 y + m12]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine(pub [[f64; 3]; 2]);

impl Affine {
    /// Every point to itself.
    pub const IDENTITY: Self = Self([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);

    /// Where a point goes.
    #[must_use]
    pub fn apply(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        self.0.map(|[a, b, c]| a * x + b * y + c)
    }

    /// First this map, then `next`.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        let [first, second] = self.0;
        Self(next.0.map(|[a, b, c]| {
            let row = |column: usize| a * first[column] + b * second[column];
            [row(0), row(1), row(2) + c]
        }))
    }

    /// The map back; `None` if this one is not finite or takes the plane to a line.
    #[must_use]
    pub fn inverse(&self) -> Option<Self> {
        let [[a, b, c], [d, e, f]] = self.0;
        let determinant = a * e - b * d;
        let inverse = Self([
            [e / determinant, -b / determinant, (b * f - e * c) / determinant],
            [-d / determinant, a / determinant, (d * c - a * f) / determinant],
        ]);
        inverse.is_finite().then_some(inverse)
    }

    fn is_finite(&self) -> bool {
        self.0.as_flattened().iter().all(|number| number.is_finite())
    }
}

/// How a face is brought into a crop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alignment {
    /// From pixels of the frame to pixels of the crop, whole numbers being the middles of pixels in both. Turns, scales
    /// and shifts, no more, unless the pixels of the frame are not square or show it mirrored.
    pub transform: Affine,
    /// The template that fits: 0 left profile, 1 half left, 2 frontal, 3 half right, 4 right profile, as seen in the
    /// picture.
    pub template: usize,
}

/// How the face with `pose` in a frame of `width` x `height` square pixels is brought into a crop of `size` x `size` pixels.
///
/// `None` if the pose has no picture: a number that is not finite, or a head that has shrunk to a point.
#[must_use]
pub fn align(pose: &[f32; 6], width: u32, height: u32, size: u32) -> Option<Alignment> {
    align_with_pixels(pose, width, height, View::PLAIN, size)
}

/// Like [`align`], for frames that are to be seen as `view` says. The crop has square pixels and shows the head upright and as it
/// is: where the frame is mirrored, the transform mirrors it back.
#[must_use]
pub fn align_with_pixels(
    pose: &[f32; 6],
    width: u32,
    height: u32,
    view: View,
    size: u32,
) -> Option<Alignment> {
    let [wide, high] = in_square_pixels(width, height, view.pixel_aspect_ratio);
    let camera = Camera {
        focal_length: [wide + high; 2],
        center: [wide / 2.0, high / 2.0],
    };
    let mut pose = pose.map(f64::from);
    let stretch = [wide / f64::from(width), high / f64::from(height)];
    // The upper left corner stays in its place; the middle of pixel 0 lies half a pixel from it.
    let [across, down] = stretch.map(|factor| (factor, (factor - 1.0) / 2.0));
    let mut to_picture = Affine([[across.0, 0.0, across.1], [0.0, down.0, down.1]]);
    if view.orientation.is_mirrored() {
        pose = turn_pose(pose, Orientation::MirrorHorizontal);
        to_picture = to_picture.then(&Affine([[-1.0, 0.0, wide - 1.0], [0.0, 1.0, 0.0]]));
    }
    let rotation = rotation_matrix([pose[0], pose[1], pose[2]]);
    let translation = [pose[3], pose[4], pose[5]];
    // In f64: far from the frame's corner, f32 would cost a hundredth of a pixel of the crop.
    let points = REFERENCE_POINTS_5.map(|point| camera.project(&rotation, translation, point.map(f64::from)));
    let mut alignment = align_points(&points, size)?;
    if to_picture != Affine::IDENTITY {
        alignment.transform = to_picture.then(&alignment.transform);
    }
    Some(alignment)
}

fn align_points(points: &[[f64; 2]; 5], size: u32) -> Option<Alignment> {
    let scale = f64::from(size) / TEMPLATE_SIZE;
    let mut best: Option<(f64, Alignment)> = None;
    for (index, template) in TEMPLATES.iter().enumerate() {
        let template = template.map(|point| point.map(|side| side * scale));
        let transform = fit(points, &template)?;
        let distance = summed_distance(&transform, points, &template);
        if best.is_none_or(|(least, _)| distance < least) {
            let alignment = Alignment {
                transform,
                template: index,
            };
            best = Some((distance, alignment));
        }
    }
    best.map(|(_, alignment)| alignment)
}

/// The similarity without reflection that brings `from` to `to`; `None` if it is not determined.
///
/// The turn is the one of least squares; the scale makes both sets equally wide (root mean square about their means), so
/// that the fit back is the inverse: the symmetric form of Horn (J. Opt. Soc. Am. A 4(4), 1987), section 2.D. Umeyama's,
/// which older alignment code uses, gives a scale that is smaller the worse the sets agree. In the complex plane
/// the turn is the argument of sum(conj(from) to).
fn fit(from: &[[f64; 2]; 5], to: &[[f64; 2]; 5]) -> Option<Affine> {
    let mean = |points: &[[f64; 2]; 5]| {
        [0, 1].map(|axis| points.iter().map(|point| point[axis]).sum::<f64>() / points.len() as f64)
    };
    let (from_mean, to_mean) = (mean(from), mean(to));
    let (mut real, mut imaginary, mut from_spread, mut to_spread) = (0.0, 0.0, 0.0, 0.0);
    for (p, q) in from.iter().zip(to) {
        let [px, py] = [p[0] - from_mean[0], p[1] - from_mean[1]];
        let [qx, qy] = [q[0] - to_mean[0], q[1] - to_mean[1]];
        real += px * qx + py * qy;
        imaginary += px * qy - py * qx;
        from_spread += px * px + py * py;
        to_spread += qx * qx + qy * qy;
    }
    let scale = (to_spread / from_spread).sqrt() / real.hypot(imaginary);
    let (a, b) = (real * scale, imaginary * scale);
    let transform = Affine([
        [a, -b, to_mean[0] - a * from_mean[0] + b * from_mean[1]],
        [b, a, to_mean[1] - b * from_mean[0] - a * from_mean[1]],
    ]);
    transform.is_finite().then_some(transform)
}

fn summed_distance(transform: &Affine, from: &[[f64; 2]; 5], to: &[[f64; 2]; 5]) -> f64 {
    from.iter()
        .zip(to)
        .map(|(from, to)| {
            let at = transform.apply(*from);
            (at[0] - to[0]).hypot(at[1] - to[1])
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use test_support::{GoldenAlignment, images, read_alignments};

    use super::*;

    #[test]
    fn alignments_equal_the_reference() {
        let Some(golden) = test_support::golden("alignments_equal_the_reference") else {
            return;
        };
        let expected = read_alignments(&golden);
        let mut compared = 0;
        for (name, image, result) in images(&golden, 480) {
            for GoldenAlignment {
                face,
                template,
                transform_112,
            } in &expected[name]
            {
                let pose = &result.faces[*face].pose;
                let found = align(pose, image.width, image.height, 112).unwrap();
                assert_eq!(found.template, *template, "{name}, face {face}");
                for (found, expected) in found
                    .transform
                    .0
                    .as_flattened()
                    .iter()
                    .zip(transform_112.as_flattened())
                {
                    assert!(
                        (found - expected).abs() < 1e-3,
                        "{name}, face {face}: {found} != {expected}"
                    );
                }
                compared += 1;
            }
        }
        assert_eq!(compared, 16);
    }

    /// Points of a template, turned, scaled and shifted.
    fn seen(template: usize, angle: f64, scale: f64) -> [[f64; 2]; 5] {
        let (a, b) = (scale * angle.cos(), scale * angle.sin());
        let moved = Affine([[a, -b, 500.0], [b, a, 300.0]]);
        TEMPLATES[template].map(|point| moved.apply(point))
    }

    #[test]
    fn points_that_are_a_template_go_back_to_it() {
        for (template, points) in TEMPLATES.iter().enumerate() {
            for size in [112, 224, 100] {
                let found = align_points(&seen(template, 2.5, 0.3), size).unwrap();
                assert_eq!(found.template, template);
                for (seen, point) in seen(template, 2.5, 0.3).into_iter().zip(points) {
                    let at = found.transform.apply(seen);
                    for axis in 0..2 {
                        let expected = point[axis] * f64::from(size) / 112.0;
                        assert!((at[axis] - expected).abs() < 1e-9, "{at:?} {point:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn templates_follow_the_yaw() {
        let template = |yaw: f32| {
            let alignment = align(&[0.0, yaw, 0.0, 0.0, 0.0, 20.0], 640, 480, 112);
            alignment.unwrap().template
        };
        // A positive ry turns the face to the left of the picture.
        assert_eq!([1.2, 0.6, 0.0, -0.6, -1.2].map(template), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_mirrored_face_is_turned_not_mirrored() {
        let mirrored = TEMPLATES[2].map(|[x, y]| [-x, y]);
        let [[a, b, _], [c, d, _]] = align_points(&mirrored, 112).unwrap().transform.0;
        assert!((a - d).abs() < 1e-12 && (b + c).abs() < 1e-12 && a * d - b * c > 0.0);
    }

    #[test]
    fn poses_without_a_picture() {
        assert_eq!(align(&[f32::NAN, 0.0, 0.0, 0.0, 0.0, 20.0], 640, 480, 112), None);
        assert_eq!(
            align(&[0.0, 0.0, 0.0, 0.0, 0.0, f32::INFINITY], 640, 480, 112),
            None
        );
        assert_eq!(align_points(&[[3.0, 4.0]; 5], 112), None);
    }

    #[test]
    fn maps_combine_and_go_back() {
        let first = Affine([[2.0, 0.5, -3.0], [-1.0, 1.5, 4.0]]);
        let next = Affine([[0.5, 0.0, 1.0], [0.25, -1.0, 2.0]]);
        let both = first.then(&next);
        let point = [7.0, -2.0];
        assert_eq!(both.apply(point), next.apply(first.apply(point)));
        let back = both.inverse().unwrap().apply(both.apply(point));
        assert!((back[0] - point[0]).abs() < 1e-12 && (back[1] - point[1]).abs() < 1e-12);
        assert_eq!(Affine([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0]]).inverse(), None);
    }
}
