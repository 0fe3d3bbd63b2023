//! From what the close look says of squares to the faces of a frame.

use super::fit::{Fit, Landmarks};
use super::squares::sigmoid;
use super::{Fitter, Square};
use crate::contract::{ANSWER, ANSWER_POINTS, ANSWER_PRESENCE, ANSWER_SPREAD, PairContract};
use crate::face::Face;
use crate::frame::FrameLayout;
use crate::options::Selection;
use crate::pose::{
    Camera, KEYPOINT_LANDMARKS, face_extent, matrix_to_rotation_vector, multiply, rotation_matrix, turn_pose,
};
use crate::rcnn::Kept;

/// A rotation cannot be off by more degrees.
const LARGEST_SIGMA: f64 = 180.0;

/// A square that was looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    /// Place among those of the frame: decides between equal scores.
    pub rank: usize,
    pub square: Square,
    /// The finder's score.
    pub found: f32,
    /// What the close look says.
    pub answer: [f32; ANSWER],
}

impl Sight {
    /// The chance that the close look sees a face.
    pub fn presence(&self) -> f32 {
        sigmoid(self.answer[ANSWER_PRESENCE])
    }

    /// Both have to see a face: the geometric mean of what they say.
    pub fn score(&self) -> f32 {
        (self.found * self.presence()).sqrt()
    }

    /// The landmarks in pixels of the picture.
    pub(super) fn landmarks(&self, contract: &PairContract) -> Landmarks {
        let shown = contract.crop_margin * self.square.side;
        let (sine, cosine) = self.square.angle.sin_cos();
        let [x, y] = self.square.centre;
        let mut landmarks = [[0.0; 2]; 68];
        for (landmark, parts) in landmarks
            .iter_mut()
            .zip(self.answer[..ANSWER_POINTS].as_chunks().0)
        {
            let [u, v]: [f64; 2] = <[f32; 2]>::map(*parts, f64::from);
            *landmark = [
                x + shown * (cosine * u - sine * v),
                y + shown * (sine * u + cosine * v),
            ];
        }
        landmarks
    }

    /// Degrees that the rotation is off by no more than in the share of cases that the contract names.
    pub(super) fn sigma(&self, contract: &PairContract) -> f32 {
        let degrees = f64::from(self.answer[ANSWER_SPREAD]) + (180.0 / std::f64::consts::PI).ln();
        let sigma = (contract.sigma.a + contract.sigma.b * degrees).exp();
        sigma.min(LARGEST_SIGMA) as f32
    }
}

/// Makes faces of what was looked at.
pub(crate) struct Faces {
    fitter: Fitter,
    kept: Kept,
}

impl Faces {
    /// For models of `contract`.
    pub fn new(contract: &PairContract) -> Self {
        Self {
            fitter: Fitter::new(contract),
            kept: Kept::default(),
        }
    }

    /// Puts the faces of one frame into `faces`, most confident first.
    ///
    /// Landmarks become poses in the camera of the picture, boxes are projected from them, overlapping boxes are suppressed,
    /// and the rest is turned to how the frame's pixels lie and given its keypoints. `sights` come in any order.
    pub fn process(
        &mut self,
        sights: &mut [Sight],
        layout: &FrameLayout,
        selection: &Selection,
        contract: &PairContract,
        faces: &mut Vec<Face>,
    ) {
        // A stable sort would allocate.
        sights.sort_unstable_by(|a, b| b.score().total_cmp(&a.score()).then(a.rank.cmp(&b.rank)));
        let picture = layout.square_size();
        let camera = Camera {
            focal_length: [picture[0] + picture[1]; 2],
            center: picture.map(|side| side / 2.0),
        };
        let (upright_width, upright_height) = layout.upright_size();
        let (upright_width, upright_height) = (upright_width as f32, upright_height as f32);
        let frame_camera = Camera::with_pixels(layout.width, layout.height, layout.view.pixel_aspect_ratio);
        let back = layout.view.orientation.inverse();
        let keypoints = KEYPOINT_LANDMARKS.map(|landmark| contract.reference_points[landmark]);
        self.kept.clear();
        faces.clear();
        for sight in sights.iter() {
            let score = sight.score();
            let is_enough = selection.max_faces.is_some_and(|most| faces.len() >= most);
            // Those that follow score less.
            if is_enough || score < selection.score_threshold {
                break;
            }
            let Some(fit) = self.fitter.fit(&sight.landmarks(contract)) else {
                continue;
            };
            let pose = picture_pose(&fit, &camera);
            let points = &contract.reference_points;
            let extent = face_extent(&pose, &camera, points, &selection.face_box(), |number| number);
            let bbox = [0, 1, 2, 3].map(|side| extent[side].clamp(0.0, picture[side % 2]) as f32);
            let numbers = pose.iter().chain(&extent);
            if !numbers.copied().all(f64::is_finite) || !self.kept.keep(bbox, contract.nms_threshold) {
                continue;
            }
            let [across, down] = [
                upright_width / picture[0] as f32,
                upright_height / picture[1] as f32,
            ];
            let upright = [bbox[0] * across, bbox[1] * down, bbox[2] * across, bbox[3] * down];
            let pose = turn_pose(pose, back).map(|value| value as f32);
            faces.push(Face {
                bbox: back.turn_box(upright, upright_width, upright_height),
                confidence: score,
                pose,
                keypoints: frame_camera.project_points(&keypoints, &pose),
                sigma: Some(sight.sigma(contract)),
            });
        }
    }
}

/// The pose of a fitted face in the camera of the picture: rotation vector and translation.
///
/// The face's own camera looks at the middle c of its box: between it and the picture's axis, at m, lies the angle atan |a|, a =
/// (c - m) / f, and by the whole of it the rotation turns. (img2pose networks turn by half of it, as their reference does.) A
/// scale is seen across the ray and along it, where the plane of the picture stretches by one more cosine; the root lies between.
fn picture_pose(fit: &Fit, camera: &Camera) -> [f64; 6] {
    let [focal_length, _] = camera.focal_length;
    let [x_min, y_min, x_max, y_max] = fit.bbox;
    let off = |middle: [f64; 2]| [0, 1].map(|axis| (middle[axis] - camera.center[axis]) / focal_length);
    let a = off([(x_min + x_max) / 2.0, (y_min + y_max) / 2.0]);
    let length = a[0].hypot(a[1]);
    let rotation = if length > 0.0 {
        let angle = length.atan() / length;
        multiply(
            &rotation_matrix([-a[1] * angle, a[0] * angle, 0.0]),
            &fit.rotation,
        )
    } else {
        fit.rotation
    };
    let cosine = 1.0 / (1.0 + length * length).sqrt();
    let depth = focal_length / (fit.scale * cosine.sqrt());
    let [x, y] = off(fit.origin).map(|off| off * depth);
    let [rx, ry, rz] = matrix_to_rotation_vector(&rotation);
    [rx, ry, rz, x, y, depth]
}
