//! From landmarks to the pose that they show: a fit of the reference points.
//!
//! A face is a rotation R, an origin o (pixels: where the origin of the reference points is seen), a scale s (pixels for a unit
//! at the origin's depth), a flatness k and a lean l: with (x, y, z) = R X the reference point X is seen at
//! o + s ((x, y) - l z) / (1 + k z). The camera is that of the face's own box, with focal length F = 4 (width + height) and the
//! principal point in its middle c; so k = s / F and l = (o - c) / F.

use nalgebra::{Matrix2, Matrix2x3, Matrix3, Matrix6, SVector, Vector2, Vector3, Vector6};

use super::Square;
use crate::contract::PairContract;
use crate::pose::{FaceBox, box_around, matrix_to_rotation_vector, multiply, rotation_matrix};

/// Rounds of the fit.
const ROUNDS: usize = 8;
/// Focal length of a face's own camera, in widths and heights of its box.
const FOCAL_PER_BOX: f64 = 4.0;
/// Flatness of the start: a head as far away as most are.
const FIRST_FLATNESS: f64 = 1.0 / 14.0;
/// Largest turn (radians) and largest step of the scale's logarithm in a round.
const LARGEST_STEP: f64 = 0.5;
/// What is added to the diagonal of the normal matrix.
const DAMPING: f64 = 1e-9;

/// Landmarks of a face: `x, y`.
pub(crate) type Landmarks = [[f64; 2]; 68];

/// A fitted face.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fit {
    /// In the camera of the face's own box.
    pub rotation: [[f64; 3]; 3],
    /// Where the origin of the reference points is seen.
    pub origin: [f64; 2],
    /// Pixels for a unit of the reference points.
    pub scale: f64,
    pub flatness: f64,
    pub lean: [f64; 2],
    /// The box of the projection, not clipped.
    pub bbox: [f64; 4],
    /// Mean distance of the landmarks from the projection, in units of the scale.
    pub residual: f64,
}

/// The reference points, prepared.
pub(crate) struct Fitter {
    reference: Landmarks3,
    mean: Vector3<f64>,
    /// From landmarks off their mean to the affine map that is nearest to them: the pseudoinverse of the reference points off
    /// their mean.
    inverse: Landmarks3,
    /// The box of a face in its own camera.
    rule: FaceBox,
}

type Landmarks3 = [Vector3<f64>; 68];

impl Fitter {
    /// For the reference points of `contract`, which are [valid](PairContract::validate).
    pub fn new(contract: &PairContract) -> Self {
        let reference: Landmarks3 = std::array::from_fn(|point| {
            let numbers = contract.reference_points.get(point).copied().unwrap_or_default();
            Vector3::from(numbers.map(f64::from))
        });
        let mean = reference.iter().sum::<Vector3<f64>>() / 68.0;
        let spread = reference
            .iter()
            .map(|point| (point - mean) * (point - mean).transpose())
            .sum::<Matrix3<f64>>();
        let inverse = spread.try_inverse().unwrap_or_else(Matrix3::zeros);
        Self {
            inverse: reference.map(|point| inverse * (point - mean)),
            reference,
            mean,
            rule: FaceBox {
                x_factor: contract.bbox_x_factor,
                y_factor: contract.bbox_y_factor,
                forehead: contract.expand_forehead,
            },
        }
    }

    /// The fit of `landmarks`, in whose pixels it is; `None` when they are no picture of a head at all: in a line, or not finite.
    ///
    /// Gauss-Newton from the weak perspective that is nearest to them. The box, and with it the camera, follows in every round.
    pub fn fit(&self, landmarks: &Landmarks) -> Option<Fit> {
        let mut face = self.start(landmarks)?;
        for _ in 0..ROUNDS {
            face.look_at_own_box(self);
            face.step(self, landmarks)?;
        }
        let bbox = face.bbox(self);
        let rotation = face.rotation;
        let residual = self
            .reference
            .iter()
            .zip(landmarks)
            .map(|(point, seen)| (face.project(point) - Vector2::from(*seen)).norm())
            .sum::<f64>()
            / (68.0 * face.scale);
        let fit = Fit {
            rotation,
            origin: face.origin.into(),
            scale: face.scale,
            flatness: face.flatness,
            lean: face.lean.into(),
            bbox,
            residual,
        };
        let finite = residual.is_finite() && bbox.iter().all(|side| side.is_finite());
        (finite && face.scale > 0.0).then_some(fit)
    }

    /// The upright square around what `fit` shows of the reference points: where a face is looked at again.
    pub fn square(&self, fit: &Fit) -> Square {
        let face = Estimate {
            rotation: fit.rotation,
            origin: fit.origin.into(),
            scale: fit.scale,
            flatness: fit.flatness,
            lean: fit.lean.into(),
        };
        // Where the head's downward axis points.
        let angle = (-fit.rotation[0][1]).atan2(fit.rotation[1][1]);
        let (sine, cosine) = angle.sin_cos();
        let upright = self.reference.iter().map(|point| {
            let seen = face.project(point);
            [cosine * seen.x + sine * seen.y, cosine * seen.y - sine * seen.x]
        });
        let [x_min, y_min, x_max, y_max] = box_around(upright, 0.0, &self.rule, |number| number);
        let [x, y] = [(x_min + x_max) / 2.0, (y_min + y_max) / 2.0];
        Square {
            centre: [cosine * x - sine * y, sine * x + cosine * y],
            side: (x_max - x_min).max(y_max - y_min),
            angle,
        }
    }

    /// Weak perspective: the affine map nearest to the landmarks, and the rotation and scale nearest to that.
    fn start(&self, landmarks: &Landmarks) -> Option<Estimate> {
        let seen = landmarks.map(Vector2::from);
        let middle = seen.iter().sum::<Vector2<f64>>() / 68.0;
        let affine: Matrix2x3<f64> = seen
            .iter()
            .zip(&self.inverse)
            .map(|(seen, inverse)| (seen - middle) * inverse.transpose())
            .sum();
        // The polar factor (A A^T)^-1/2 A. The root of a positive 2x2 matrix M is (M + sqrt(det M) I) / t, where t, the trace of
        // the root, is sqrt(tr M + 2 sqrt(det M)) (Cayley-Hamilton).
        let square: Matrix2<f64> = affine * affine.transpose();
        let root_of_determinant = square.determinant().max(0.0).sqrt();
        let trace = (square.trace() + 2.0 * root_of_determinant).sqrt();
        let root = (square + Matrix2::identity() * root_of_determinant) / trace;
        let rows = root.try_inverse()? * affine;
        let (first, second) = (rows.row(0).transpose(), rows.row(1).transpose());
        let third = first.cross(&second);
        let rotation = [first, second, third].map(<[f64; 3]>::from);
        // The mean of the singular values.
        let scale = trace / 2.0;
        let turned = rows * self.mean;
        let estimate = Estimate {
            rotation,
            origin: middle - scale * turned,
            scale,
            flatness: FIRST_FLATNESS,
            lean: Vector2::zeros(),
        };
        (scale.is_finite() && scale > 0.0 && estimate.origin.iter().all(|side| side.is_finite()))
            .then_some(estimate)
    }
}

/// A face on its way to its fit.
struct Estimate {
    rotation: [[f64; 3]; 3],
    origin: Vector2<f64>,
    scale: f64,
    flatness: f64,
    lean: Vector2<f64>,
}

impl Estimate {
    fn turn(&self, point: &Vector3<f64>) -> Vector3<f64> {
        self.rotation.map(|row| Vector3::from(row).dot(point)).into()
    }

    fn project(&self, point: &Vector3<f64>) -> Vector2<f64> {
        let seen = self.turn(point);
        let flat = (seen.xy() - self.lean * seen.z) / (1.0 + self.flatness * seen.z);
        self.origin + self.scale * flat
    }

    fn bbox(&self, fitter: &Fitter) -> [f64; 4] {
        let roll = matrix_to_rotation_vector(&self.rotation)[2];
        let seen = fitter.reference.iter().map(|point| self.project(point).into());
        box_around(seen, roll, &fitter.rule, |number| number)
    }

    /// Takes the camera of the box that the face has now.
    fn look_at_own_box(&mut self, fitter: &Fitter) {
        let [x_min, y_min, x_max, y_max] = self.bbox(fitter);
        let focal_length = FOCAL_PER_BOX * (x_max - x_min + y_max - y_min);
        let middle = Vector2::new((x_min + x_max) / 2.0, (y_min + y_max) / 2.0);
        self.flatness = self.scale / focal_length;
        self.lean = (self.origin - middle) / focal_length;
    }

    /// One step of Gauss-Newton in turn, shift and the logarithm of the scale; `None` when there is none.
    fn step(&mut self, fitter: &Fitter, landmarks: &Landmarks) -> Option<()> {
        let mut normal = Matrix6::from_diagonal_element(DAMPING);
        let mut right = Vector6::zeros();
        for (point, landmark) in fitter.reference.iter().zip(landmarks) {
            let seen = self.turn(point);
            let [x, y, z]: [f64; 3] = seen.into();
            let nearness = 1.0 / (1.0 + self.flatness * z);
            let position = seen.xy() - self.lean * z;
            let left = (Vector2::from(*landmark) - self.origin) / self.scale - position * nearness;
            // A small turn w moves (x, y, z) by w x (x, y, z): a column for each component of w.
            let moved = Matrix3::new(0.0, z, -y, -z, 0.0, x, y, -x, 0.0);
            let drawn = self.lean + self.flatness * nearness * position;
            for axis in 0..2 {
                let turn = (moved.row(axis) - drawn[axis] * moved.row(2)) * nearness;
                let shift = |of: usize| f64::from(u8::from(of == axis));
                let row: SVector<f64, 6> = Vector6::new(
                    turn[0],
                    turn[1],
                    turn[2],
                    shift(0),
                    shift(1),
                    position[axis] * nearness,
                );
                normal += row * row.transpose();
                right += row * left[axis];
            }
        }
        let mut step = normal.cholesky()?.solve(&right);
        let angle = step.fixed_rows::<3>(0).norm();
        step *= (LARGEST_STEP / angle.max(1e-9)).min(1.0);
        let turn = rotation_matrix([step[0], step[1], step[2]]);
        self.rotation = multiply(&turn, &self.rotation);
        self.origin += Vector2::new(step[3], step[4]) * self.scale;
        self.scale *= step[5].clamp(-LARGEST_STEP, LARGEST_STEP).exp();
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::pair_tests::contract;

    /// What a face with these numbers shows, in the camera of its own box.
    fn shown(fitter: &Fitter, vector: [f64; 3], origin: [f64; 2], scale: f64) -> (Estimate, Landmarks) {
        let mut face = Estimate {
            rotation: rotation_matrix(vector),
            origin: origin.into(),
            scale,
            flatness: FIRST_FLATNESS,
            lean: Vector2::zeros(),
        };
        // The box depends on the camera, and the camera on the box.
        for _ in 0..60 {
            face.look_at_own_box(fitter);
        }
        let landmarks = std::array::from_fn(|point| face.project(&fitter.reference[point]).into());
        (face, landmarks)
    }

    #[test]
    fn what_a_face_shows_is_its_fit_whichever_way_it_turns() {
        let fitter = Fitter::new(&contract());
        for vector in [
            [0.0, 0.0, 0.0],
            [0.2, -0.4, 0.1],
            [-0.3, 1.3, 0.2],
            [0.1, -1.5, -0.3],
            [0.5, 0.2, 2.0],
            [0.0, 0.3, -3.0],
        ] {
            let (face, landmarks) = shown(&fitter, vector, [300.0, 200.0], 60.0);
            let fit = fitter.fit(&landmarks).unwrap();
            let far = |a: f64, b: f64| (a - b).abs();
            for (found, expected) in fit
                .rotation
                .as_flattened()
                .iter()
                .zip(face.rotation.as_flattened())
            {
                assert!(far(*found, *expected) < 1e-6, "{vector:?}: {fit:?}");
            }
            assert!(far(fit.scale, 60.0) < 1e-4, "{vector:?}: {fit:?}");
            assert!(far(fit.origin[0], 300.0) < 1e-4 && far(fit.origin[1], 200.0) < 1e-4);
            assert!(fit.residual < 1e-6, "{vector:?}: {}", fit.residual);
        }
    }

    #[test]
    fn landmarks_that_are_no_head_have_no_fit() {
        let fitter = Fitter::new(&contract());
        assert_eq!(fitter.fit(&[[7.0, 9.0]; 68]), None);
        let line = std::array::from_fn(|point| [point as f64, 2.0 * point as f64]);
        if let Some(fit) = fitter.fit(&line) {
            assert!(fit.residual.is_finite(), "{fit:?}");
        }
        let (_, mut landmarks) = shown(&fitter, [0.1; 3], [50.0, 60.0], 30.0);
        landmarks[11][1] = f64::NAN;
        assert_eq!(fitter.fit(&landmarks), None);
        landmarks[11][1] = f64::INFINITY;
        assert_eq!(fitter.fit(&landmarks), None);
    }

    #[test]
    fn noise_on_the_landmarks_moves_the_pose_by_as_little() {
        let fitter = Fitter::new(&contract());
        let (face, mut landmarks) = shown(&fitter, [0.2, 0.5, -0.1], [120.0, 90.0], 50.0);
        let mut state = 7_u64;
        for number in landmarks.as_flattened_mut() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *number += (state >> 40) as f64 / f64::from(1 << 24) - 0.5;
        }
        let fit = fitter.fit(&landmarks).unwrap();
        let difference: f64 = fit
            .rotation
            .as_flattened()
            .iter()
            .zip(face.rotation.as_flattened())
            .map(|(a, b)| (a - b).powi(2))
            .sum();
        // Half a pixel on 50 for a unit is half a degree for each landmark, and there are 68.
        assert!(difference.sqrt() < 0.02 && fit.residual < 0.02, "{fit:?}");
    }
}
