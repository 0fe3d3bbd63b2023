//! A GPU's choice of shapes, on the processor.

use super::*;
use crate::frame::{ColorMatrix, ColorRange, PixelFormat, Plane, View};

const SIDE: usize = 96;

/// Rectangles; another picture for each seed.
fn picture(seed: usize) -> Vec<u8> {
    (0..SIDE * SIDE)
        .map(|i| ((i % SIDE / (5 + seed) * 37) ^ (i / SIDE / 9 * 61 * (seed + 1))) as u8)
        .collect()
}

#[test]
fn blank_frames_and_rows_change_no_face() {
    let options = DetectorOptions {
        min_size: Some(SIDE as u32),
        execution_provider: ExecutionProvider::Cpu,
        // Everything above the floor: candidates are few in pictures without faces.
        selection: Selection {
            score_threshold: 0.0,
            ..Selection::default()
        },
        ..DetectorOptions::default()
    };
    let mut free = Detector::open(&test_support::shipped_model(), options.clone()).unwrap();
    let mut few = Detector::open(&test_support::shipped_model(), options).unwrap();
    few.shapes = Shapes::Few;
    few.show_shapes().unwrap();

    let layout = FrameLayout {
        format: PixelFormat::Gray8,
        width: SIDE as u32,
        height: SIDE as u32,
        matrix: ColorMatrix::Bt601,
        range: ColorRange::Full,
        view: View::PLAIN,
    };
    let pictures: Vec<Vec<u8>> = (0..4).map(picture).collect();
    let frames = pictures.iter().map(|data| Frame {
        layout,
        planes: [Plane { data, stride: SIDE }; 3],
    });
    let frames: Vec<Frame<'_>> = frames.collect();
    let mut seen = 0;
    // Full batches between the partial ones, so that a partial one could show what an old frame left behind.
    for count in [4, 1, 4, 3, 2] {
        let mut batch = few.new_batch(layout, 4).unwrap();
        for frame in &frames[..count] {
            batch.push(frame).unwrap();
        }
        let [expected, found] = [&mut free, &mut few].map(|detector| detector.detect_batch(&batch).unwrap());
        assert_eq!(found.len(), count);
        for (expected, found) in expected.iter().zip(&found) {
            assert_eq!(expected.len(), found.len());
            for (expected, found) in expected.iter().zip(found) {
                seen += 1;
                // A product of another number of rows may differ in the last bits.
                assert!((expected.confidence - found.confidence).abs() < 1e-5);
                let numbers = expected.pose.iter().zip(&found.pose);
                assert!(numbers.clone().all(|(a, b)| (a - b).abs() < 1e-4), "{numbers:?}");
            }
        }
    }
    assert!(seen > 0, "no picture shows anything");
}
