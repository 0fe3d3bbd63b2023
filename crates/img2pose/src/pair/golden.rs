//! Each step against numbers of the Python implementation in `training/`: a part of them is committed, the whole set is
//! read from the folder `IMG2POSE_GOLDEN_V2`, which `python -m img2pose_train.golden` makes.

use std::path::{Path, PathBuf};

use ndarray_npy::read_npy;
use serde::Deserialize;

use super::*;
use crate::contract::{ANSWER, CELL, pair_tests::contract};
use crate::frame::{Crop, Cropper, Frame, FrameLayout, NetworkSize};
use crate::options::Selection;
use crate::pose::rotation_matrix;

/// Pixels and degrees of the numbers after given answers.
const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
struct Golden {
    picture: [u32; 2],
    network: [u32; 2],
    padded: [u32; 2],
    faces: Vec<GoldenFace>,
}

#[derive(Deserialize)]
struct GoldenFace {
    place: GoldenPlace,
    presence: f64,
    /// Radians.
    spread: f64,
    sigma: f64,
    fit: GoldenFit,
    /// The square of a second look.
    again: GoldenSquare,
    pose: GoldenPose,
    /// Not clipped.
    r#box: [f64; 4],
    score: f64,
}

#[derive(Deserialize)]
struct GoldenPlace {
    found: f32,
    square: GoldenSquare,
    /// From pixels of the picture to pixels of the crop.
    map: [[f64; 3]; 2],
}

#[derive(Deserialize)]
struct GoldenSquare {
    centre: [f64; 2],
    side: f64,
    angle: f64,
}

#[derive(Deserialize)]
struct GoldenFit {
    rotation: [[f64; 3]; 3],
    origin: [f64; 2],
    scale: f64,
    flatness: f64,
    lean: [f64; 2],
    residual: f64,
    r#box: [f64; 4],
}

#[derive(Deserialize)]
struct GoldenPose {
    rotation_vector: [f64; 3],
    translation: [f64; 3],
}

/// What is committed: the numbers of golden.json, the cells that are sure of something, and the answers.
#[derive(Deserialize)]
struct Committed {
    #[serde(flatten)]
    golden: Golden,
    cells: usize,
    /// Number of a cell, and what it says.
    sure: Vec<[f32; 1 + CELL]>,
}

#[derive(Deserialize)]
struct CommittedAnswers {
    faces: Vec<CommittedAnswer>,
}

#[derive(Deserialize)]
struct CommittedAnswer {
    answer: Vec<f32>,
}

fn committed() -> (Golden, Vec<f32>, Vec<f32>) {
    let text = include_str!("../../tests/data/pair_golden.json");
    let Committed { golden, cells, sure } = serde_json::from_str(text).unwrap();
    let answers: CommittedAnswers = serde_json::from_str(text).unwrap();
    let answers = answers.faces.into_iter().flat_map(|face| face.answer).collect();
    let mut all = vec![0.0; CELL * cells];
    all[..cells].fill(-20.0);
    for [cell, values @ ..] in sure {
        for (number, value) in values.into_iter().enumerate() {
            all[number * cells + cell as usize] = value;
        }
    }
    (golden, all, answers)
}

/// The whole set, or `None` after saying that `test` is skipped.
fn whole(test: &str) -> Option<(PathBuf, Golden, Vec<f32>, Vec<f32>)> {
    let folder = test_support::golden_pair(test)?;
    let text = std::fs::read_to_string(folder.join("golden.json")).unwrap();
    let golden = serde_json::from_str(&text).unwrap();
    let numbers = |name: &str| -> Vec<f32> {
        let array: ndarray::ArrayD<f32> = read_npy(folder.join(name)).unwrap();
        array.into_iter().collect()
    };
    let (cells, answers) = (numbers("cells.npy"), numbers("answers.npy"));
    Some((folder, golden, cells, answers))
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (a, b) in found.iter().zip(expected) {
        assert!(
            (a - b).abs() <= tolerance,
            "{what}: {found:?}, expected {expected:?}"
        );
    }
}

fn check_squares(golden: &Golden, cells: &[f32]) {
    let size = NetworkSize {
        frame_width: golden.picture[0],
        frame_height: golden.picture[1],
        width: golden.network[0],
        height: golden.network[1],
        padded_width: golden.padded[0],
        padded_height: golden.padded[1],
    };
    let computed = NetworkSize::new(golden.picture[0], golden.picture[1], 360, 1400, 32);
    assert_eq!(size, computed);
    let mut places = Vec::new();
    let picture = golden.picture.map(f64::from);
    // Those above the floor: the set has the best, however low they score.
    let contract = contract();
    let floor = contract.score_floor;
    Places::default().choose(cells, &size, picture, &contract, floor, &mut places);
    let expected: Vec<&GoldenPlace> = golden
        .faces
        .iter()
        .map(|face| &face.place)
        .filter(|place| place.found > floor)
        .collect();
    assert!(expected.len() > 1 && places.len() >= expected.len());
    for (found, expected) in places.iter().zip(expected) {
        let square = &expected.square;
        assert!((found.found - expected.found).abs() < 1e-5);
        assert_close(&found.square.centre, &square.centre, 1e-3, "centre");
        assert_close(&[found.square.side], &[square.side], 1e-3, "side");
        assert_close(&[found.square.angle], &[square.angle], TOLERANCE, "angle");
    }
}

fn square(place: &GoldenPlace) -> Square {
    let GoldenSquare { centre, side, angle } = place.square;
    Square { centre, side, angle }
}

fn check_faces(golden: &Golden, answers: &[f32]) {
    let contract = contract_of(golden);
    let fitter = Fitter::new(&contract);
    let layout = FrameLayout::rgb(golden.picture[0], golden.picture[1]);
    let selection = Selection::default().with_score_threshold(0.0);
    assert_eq!(answers.len(), golden.faces.len() * ANSWER);
    for (face, answer) in golden.faces.iter().zip(answers.as_chunks::<ANSWER>().0) {
        let sight = Sight {
            rank: 0,
            square: square(&face.place),
            found: face.place.found,
            answer: *answer,
        };
        assert!((f64::from(sight.presence()) - face.presence).abs() < 1e-5);
        assert!((f64::from(sight.score()) - face.score).abs() < 1e-5);
        assert!((f64::from(sight.sigma(&contract)) - face.sigma).abs() < 1e-3 * face.sigma.max(1.0));
        let (found, expected) = (fitter.fit(&sight.landmarks(&contract)).unwrap(), &face.fit);
        let (rotation, expected_rotation) = (found.rotation.as_flattened(), expected.rotation.as_flattened());
        assert_close(rotation, expected_rotation, TOLERANCE, "rotation");
        assert_close(&found.origin, &expected.origin, 1e-3, "origin");
        assert_close(&[found.scale], &[expected.scale], 1e-3, "scale");
        assert_close(&[found.flatness], &[expected.flatness], TOLERANCE, "flatness");
        assert_close(&found.lean, &expected.lean, TOLERANCE, "lean");
        assert_close(&[found.residual], &[expected.residual], TOLERANCE, "residual");
        assert_close(&found.bbox, &expected.r#box, 1e-3, "box of the fit");
        let (again, expected) = (fitter.square(&found), &face.again);
        assert_close(&again.centre, &expected.centre, 1e-3, "centre of the second look");
        assert_close(&[again.side], &[expected.side], 1e-3, "side of the second look");
        assert_close(
            &[again.angle],
            &[expected.angle],
            TOLERANCE,
            "angle of the second look",
        );

        let mut faces = Vec::new();
        Faces::new(&contract).process(&mut [sight], &layout, &selection, &contract, &mut faces);
        let [rx, ry, rz, t @ ..] = faces[0].pose.map(f64::from);
        let (found, expected) = (
            rotation_matrix([rx, ry, rz]),
            rotation_matrix(face.pose.rotation_vector),
        );
        assert_close(found.as_flattened(), expected.as_flattened(), TOLERANCE, "pose");
        assert_close(&t, &face.pose.translation, 1e-3, "translation");
        let [width, height] = golden.picture.map(f64::from);
        let [x_min, y_min, x_max, y_max] = face.r#box;
        let clipped = [
            x_min.max(0.0),
            y_min.max(0.0),
            x_max.min(width),
            y_max.min(height),
        ];
        assert_close(&faces[0].bbox.map(f64::from), &clipped, 1e-2, "box");
    }
}

/// The facts that the numbers were made with. What a spread means differs from model to model: two faces say it, and the others
/// must agree.
fn contract_of(golden: &Golden) -> crate::contract::PairContract {
    let mut contract = contract();
    let by_spread = |a: &&GoldenFace, b: &&GoldenFace| a.spread.total_cmp(&b.spread);
    let [low, high] = [
        golden.faces.iter().min_by(by_spread),
        golden.faces.iter().max_by(by_spread),
    ]
    .map(|face| {
        face.map(|face| [face.spread.to_degrees().ln(), face.sigma.ln()])
            .unwrap()
    });
    let slope = (high[1] - low[1]) / (high[0] - low[0]);
    (contract.sigma.a, contract.sigma.b) = (low[1] - slope * low[0], slope);
    contract
}

#[test]
fn cells_become_the_squares_of_the_reference() {
    let (golden, cells, _) = committed();
    check_squares(&golden, &cells);
}

#[test]
fn answers_become_the_faces_of_the_reference() {
    let (golden, _, answers) = committed();
    check_faces(&golden, &answers);
}

#[test]
fn maps_of_crops_are_those_of_the_reference() {
    let (golden, ..) = committed();
    let layout = FrameLayout::rgb(golden.picture[0], golden.picture[1]);
    for face in &golden.faces {
        let plan = CropPlan::new(&square(&face.place), &layout, &contract());
        let found = plan.to_frame.inverse().unwrap().0;
        assert_close(found.as_flattened(), face.place.map.as_flattened(), 1e-3, "map");
    }
}

#[test]
fn every_step_of_the_whole_set_is_that_of_the_reference() {
    let Some((folder, golden, cells, answers)) =
        whole("every_step_of_the_whole_set_is_that_of_the_reference")
    else {
        return;
    };
    check_squares(&golden, &cells);
    check_crops(&folder, &golden);
    check_faces(&golden, &answers);
}

fn check_crops(folder: &Path, golden: &Golden) {
    let picture = test_support::read_ppm(&folder.join("picture.ppm"));
    let frame = Frame::rgb(&picture.pixels, picture.width, picture.height);
    let expected: ndarray::Array4<u8> = read_npy(folder.join("crops.npy")).unwrap();
    let contract = contract();
    let side = contract.crop_side as usize;
    let mut cropper = Cropper::default();
    for (index, face) in golden.faces.iter().enumerate() {
        let plan = CropPlan::new(&square(&face.place), &frame.layout, &contract);
        let mut crop = vec![0.0; 3 * side * side];
        let into = Crop {
            side,
            to_frame: plan.to_frame,
            block: plan.block,
            mean: [0.0; 3],
            std: [1.0 / 255.0; 3],
            into: &mut crop,
        };
        cropper.cut(&frame, into).unwrap();
        let (mut sum, mut largest) = (0.0_f64, 0.0_f64);
        for y in 0..side {
            for x in 0..side {
                for channel in 0..3 {
                    let found = f64::from(crop[(channel * side + y) * side + x]);
                    let far = (found - f64::from(expected[[index, y, x, channel]])).abs();
                    sum += far;
                    largest = largest.max(far);
                }
            }
        }
        // OpenCV rounds places to 32nds of a pixel, which shows at the edges of what is drawn, and values to whole numbers.
        let mean = sum / (3 * side * side) as f64;
        assert!(mean < 0.5 && largest < 8.0, "crop {index}: {mean} {largest}");
    }
}
