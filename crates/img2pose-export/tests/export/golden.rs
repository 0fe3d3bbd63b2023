//! A converted checkpoint, run as a whole, against the reference implementation.

use img2pose::whole::{Images, Outputs};
use img2pose_export::contract;
use ndarray::ArrayD;
use test_support::{GoldenFace, STAGED, golden_model, open_tensors, read_collages, read_png, read_tensor};

use crate::end_to_end::{runtime_is_there, whole};

const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

fn largest_difference<'a>(a: impl IntoIterator<Item = &'a f32>, b: impl IntoIterator<Item = &'a f32>) -> f32 {
    a.into_iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[test]
fn stages_equal_the_reference() {
    let test = "stages_equal_the_reference";
    let (Some(folder), true) = (test_support::golden(test), runtime_is_there(test)) else {
        return;
    };
    let levels = 0..contract::PROPOSAL_LEVELS;
    let mut names: Vec<_> = levels
        .clone()
        .flat_map(|i| [contract::objectness(i), contract::deltas(i)])
        .collect();
    names.extend([contract::PROPOSALS, contract::CLASS_SCORES].map(str::to_owned));
    let mut whole_model = whole(golden_model(&folder), &names);
    for (name, min_size) in STAGED {
        let mut tensors = open_tensors(&folder, name, min_size);
        let input = read_tensor(&mut tensors, "net_input");
        let result = test_support::read_result(&folder, name, min_size);
        let images = Images {
            batch: 1,
            height: input.shape()[1],
            width: input.shape()[2],
            values: input.iter().copied().collect(),
            unpadded: result.net_image_size_hw.map(|side| side as usize),
        };
        let seen = whole_model.run(&images).unwrap();
        for level in levels.clone() {
            for (ours, theirs) in [
                (contract::objectness(level), "objectness"),
                (contract::deltas(level), "deltas"),
            ] {
                let expected = read_tensor(&mut tensors, &format!("{theirs}_l{level}"));
                let found = &seen.tensors[&ours];
                assert_eq!(
                    found.0[1..].iter().map(|&d| d as usize).collect::<Vec<_>>(),
                    expected.shape()
                );
                let difference = largest_difference(&found.1, &expected);
                assert!(difference < 1e-3, "{name} {min_size} {ours}: {difference}");
            }
        }
        same_proposals_and_scores(
            &seen,
            &read_tensor(&mut tensors, "proposals"),
            &read_tensor(&mut tensors, "cls_scores"),
        );
        let scale = [0, 1].map(|axis| match axis {
            0 => read_png(&folder.join(&result.image)).width as f32 / images.unpadded[1] as f32,
            _ => read_png(&folder.join(&result.image)).height as f32 / images.unpadded[0] as f32,
        });
        let confident: Vec<_> = seen
            .faces_of(0)
            .into_iter()
            .filter(|face| face.1 >= 0.5)
            .collect();
        same_faces(name, &confident, &result.faces, scale);
    }
}

/// The same set, each with its score.
fn same_proposals_and_scores(seen: &Outputs, expected: &ArrayD<f32>, scores: &ArrayD<f32>) {
    let found: Vec<[f32; 4]> = seen.tensors[contract::PROPOSALS].1.as_chunks().0.to_vec();
    assert_eq!(found.len(), expected.shape()[0]);
    let expected: Vec<f32> = expected.iter().copied().collect();
    for (corners, score) in expected.as_chunks::<4>().0.iter().zip(scores) {
        let distance = |other: &[f32; 4]| largest_difference(corners, other);
        let nearest = (0..found.len())
            .min_by(|&a, &b| distance(&found[a]).total_cmp(&distance(&found[b])))
            .unwrap();
        assert!(
            distance(&found[nearest]) < 0.01,
            "{corners:?}: nearest is {:?}",
            found[nearest]
        );
        let ours = seen.tensors[contract::CLASS_SCORES].1[nearest];
        assert!(
            (ours - score).abs() < 1e-4,
            "{corners:?}: score {ours}, expected {score}"
        );
    }
}

fn same_faces(name: &str, found: &[([f32; 4], f32, [f32; 6])], expected: &[GoldenFace], scale: [f32; 2]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for ((corners, score, pose), expected) in found.iter().zip(expected) {
        let [x, y] = scale;
        let corners = [corners[0] * x, corners[1] * y, corners[2] * x, corners[3] * y];
        let pixels = largest_difference(&corners, &expected.bbox);
        assert!(
            pixels < 1.0,
            "{name}: box {corners:?}, expected {:?}",
            expected.bbox
        );
        assert!(
            (score - expected.score).abs() < 1e-4,
            "{name}: score {score}, expected {}",
            expected.score
        );
        let rotation = largest_difference(&pose[..3], &expected.pose[..3]).to_degrees();
        assert!(rotation < 0.05, "{name}: {rotation} degrees");
        for (found, expected) in pose[3..].iter().zip(&expected.pose[3..]) {
            assert!(
                (found - expected).abs() < 1e-3 * expected.abs().max(1.0),
                "{name}: {found} {expected}"
            );
        }
    }
}

#[test]
fn every_detection_of_the_collages_is_found_in_batches() {
    let test = "every_detection_of_the_collages_is_found_in_batches";
    let (Some(folder), true) = (test_support::golden(test), runtime_is_there(test)) else {
        return;
    };
    let mut whole_model = whole(golden_model(&folder), &[]);
    let collages: Vec<_> = read_collages(&folder).into_iter().collect();
    let mut faces = 0;
    for batch in collages.chunks(8) {
        // 640 x 480 at min_size 480: nothing is resized and nothing padded.
        let mut images = Images {
            values: Vec::new(),
            batch: batch.len(),
            height: 480,
            width: 640,
            unpadded: [480, 640],
        };
        for (name, _) in batch {
            let image = read_png(&folder.join("collages").join(name));
            assert_eq!((image.width, image.height), (640, 480));
            let value = |c: usize, pixel: &[u8]| (f32::from(pixel[c]) / 255.0 - MEAN[c]) / STD[c];
            let planes = (0..3).flat_map(|c| image.pixels.chunks(3).map(move |pixel| value(c, pixel)));
            images.values.extend(planes);
        }
        let seen = whole_model.run(&images).unwrap();
        for (frame, (name, expected)) in (0..).zip(batch) {
            same_faces(name, &seen.faces_of(frame), expected, [1.0, 1.0]);
            faces += expected.len();
        }
    }
    assert_eq!(faces, 179);
}
