//! What GPUs do, on the processor: the choice of shapes, and that a provider which does not work is passed over.

use super::*;
use crate::Detector;
use crate::frame::{ColorMatrix, ColorRange, Frame, FrameLayout, PixelFormat, Plane, View};
use crate::options::DetectorOptions;
use crate::runtime;

const SIDE: usize = 96;

/// Rectangles; another picture for each seed.
fn picture(seed: usize) -> Vec<u8> {
    (0..SIDE * SIDE)
        .map(|i| ((i % SIDE / (5 + seed) * 37) ^ (i / SIDE / 9 * 61 * (seed + 1))) as u8)
        .collect()
}

fn detector_of_few_shapes(model: &Model, options: DetectorOptions) -> Detector {
    let placement = Placement::on_processor(&options);
    let mut setting = Setting::new(model, placement, new_pool(options.threads()).unwrap()).unwrap();
    setting.shapes = Shapes::Few;
    let runtime = runtime::load(None, None).unwrap();
    let mut engine = HostEngine::load(
        model,
        &model.rcnn().unwrap().parts().unwrap(),
        runtime,
        placement,
        &setting,
    )
    .unwrap();
    engine.warm_up(&setting).unwrap();
    let opened = Opened {
        setting,
        network: Network::Rcnn(Box::new(engine)),
        passed_over: Vec::new(),
    };
    Detector::with_network(model, options, opened).unwrap()
}

/// Some libraries load on a GPU that they cannot use, and say so only in a run.
#[test]
fn the_next_provider_is_taken_when_one_loads_and_cannot_run() {
    let candidates = [Placement::on_processor(&DetectorOptions::default()); 2];
    let open = |failures: usize| {
        let mut tried = 0;
        let opened = first_that_works(&candidates, |_| {
            tried += 1;
            match tried <= failures {
                true => Err(Error::Cancelled),
                false => Ok(tried),
            }
        });
        (opened, tried)
    };
    let (opened, tried) = open(1);
    assert_eq!(opened.unwrap(), (2, vec![Error::Cancelled.to_string()]));
    assert_eq!(tried, 2);
    let (opened, tried) = open(2);
    assert!(matches!(opened, Err(Error::Cancelled)));
    assert_eq!(tried, 2);
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
    let model = Model::open(&test_support::shipped_model()).unwrap();
    let mut free = Detector::load(&model, options.clone()).unwrap();
    let mut few = detector_of_few_shapes(&model, options);

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
