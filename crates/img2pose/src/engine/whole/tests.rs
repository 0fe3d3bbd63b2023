//! The whole file finds what its parts find.

use test_support::{shipped_model, shipped_model_in_8_bits};

use crate::frame::Frame;
use crate::{Detector, DetectorOptions, Error, ExecutionProvider, Model, Selection};

const SIDE: usize = 96;

fn options(whole: bool) -> DetectorOptions {
    DetectorOptions {
        min_size: Some(SIDE as u32),
        execution_provider: ExecutionProvider::Cpu,
        // Everything above the floor: candidates are few in pictures without faces.
        selection: Selection {
            score_threshold: 0.0,
            ..Selection::default()
        },
        whole,
        ..DetectorOptions::default()
    }
}

/// Rectangles; another picture for each seed.
fn picture(seed: usize) -> Vec<u8> {
    let shade = |i: usize| ((i % SIDE / (5 + seed) * 37) ^ (i / SIDE / 9 * 61 * (seed + 1))) as u8;
    (0..SIDE * SIDE)
        .flat_map(|i| [shade(i), shade(i + 7), shade(i * 3)])
        .collect()
}

#[test]
fn a_model_run_as_a_whole_finds_the_faces_of_its_parts() {
    let pictures: Vec<Vec<u8>> = (0..5).map(picture).collect();
    let side = SIDE as u32;
    let frames: Vec<Frame<'_>> = pictures
        .iter()
        .map(|pixels| Frame::rgb(pixels, side, side))
        .collect();
    for path in [shipped_model(), shipped_model_in_8_bits()] {
        let model = Model::open(&path).unwrap();
        let [mut parts, mut whole] =
            [false, true].map(|whole| Detector::load(&model, options(whole)).unwrap());
        let mut seen = 0;
        // One frame, several, and another threshold.
        for (frames, threshold) in [(&frames[..1], 0.0), (&frames[..], 0.0), (&frames[..], 0.07)] {
            for detector in [&mut parts, &mut whole] {
                let score_threshold = threshold;
                let selection = *detector.selection();
                detector
                    .set_selection(Selection {
                        score_threshold,
                        ..selection
                    })
                    .unwrap();
            }
            let [expected, found] = [&mut parts, &mut whole].map(|detector| detector.detect(frames).unwrap());
            for (expected, found) in expected.iter().zip(&found) {
                assert_eq!(expected.len(), found.len());
                for (expected, found) in expected.iter().zip(found) {
                    seen += 1;
                    assert!((expected.confidence - found.confidence).abs() < 1e-4);
                    let numbers = expected.pose.iter().zip(&found.pose);
                    assert!(numbers.clone().all(|(a, b)| (a - b).abs() < 1e-3), "{numbers:?}");
                }
            }
        }
        assert!(seen > 0, "no picture shows anything");
    }
}

#[test]
fn a_whole_model_can_be_cancelled_and_has_a_twin() {
    let model = Model::open(&shipped_model()).unwrap();
    let mut whole = Detector::load(&model, options(true)).unwrap();
    assert_eq!((whole.batches_in_flight(), whole.fills_batches()), (1, false));
    let mut twin = whole.twin(&model).unwrap();
    let pixels = picture(0);
    let frame = [Frame::rgb(&pixels, SIDE as u32, SIDE as u32)];
    assert_eq!(whole.detect(&frame).unwrap(), twin.detect(&frame).unwrap());
    whole.canceller().cancel();
    assert!(matches!(whole.detect(&frame), Err(Error::Cancelled)));
    whole.canceller().reset();
    assert_eq!(whole.detect(&frame).unwrap(), twin.detect(&frame).unwrap());
}
