//! The stages after the network's convolutions, one frame of 640x360 at `min_size` 480, one core:
//! `cargo bench -p img2pose --bench stages`. Needs ONNX Runtime, which makes what the stages work on.

use img2pose::frame::{ColorMatrix, ColorRange, Frame, FrameLayout, PixelFormat, Plane, View};
use img2pose::stages::Stages;
use img2pose::{DetectorOptions, Model, Selection};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/img2pose-slim.onnx");
const WIDTH: usize = 640;
const HEIGHT: usize = 360;

fn main() {
    divan::main();
}

/// A drawn picture: what the RPN makes of it fills all 1000 places, as photos do. It shows no face, so every candidate above
/// the floor counts as one.
fn stages() -> Stages {
    let pixels: Vec<u8> = (0..WIDTH * HEIGHT)
        .map(|i| ((i % WIDTH / 11 * 37) ^ (i / WIDTH / 7 * 61)) as u8)
        .collect();
    let frame = Frame {
        layout: FrameLayout {
            format: PixelFormat::Gray8,
            width: WIDTH as u32,
            height: HEIGHT as u32,
            matrix: ColorMatrix::Bt601,
            range: ColorRange::Full,
            view: View::PLAIN,
        },
        planes: [Plane {
            data: &pixels,
            stride: WIDTH,
        }; 3],
    };
    let options = DetectorOptions::default()
        .with_min_size(480)
        .with_selection(Selection::default().with_score_threshold(0.0));
    let model = Model::open(MODEL.as_ref()).expect("the shipped model");
    let mut stages = Stages::of(&model, &options, &frame).expect("the network runs");
    assert!(
        stages.propose() > 0 && stages.candidates() > 0,
        "nothing to measure"
    );
    stages
}

/// Anchors, decoding, suppression. Counts the proposals.
#[divan::bench(min_time = 1)]
fn proposals(bencher: divan::Bencher<'_, '_>) {
    let mut stages = stages();
    let count = stages.propose();
    bencher
        .counter(divan::counter::ItemsCount::new(count))
        .bench_local(|| divan::black_box(stages.propose()));
}

/// RoIAlign of all proposals on one thread. Counts the proposals.
#[divan::bench(min_time = 1)]
fn roi_align(bencher: divan::Bencher<'_, '_>) {
    let mut stages = stages();
    let count = stages.propose();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("a thread");
    bencher
        .counter(divan::counter::ItemsCount::new(count))
        .bench_local(|| pool.install(|| divan::black_box(stages.pool())));
}

/// Picking the candidates and bringing their regions to the front. Counts the candidates.
#[divan::bench(min_time = 1)]
fn prepare_poses(bencher: divan::Bencher<'_, '_>) {
    let mut stages = stages();
    let count = stages.prepare_poses();
    bencher
        .counter(divan::counter::ItemsCount::new(count))
        .bench_local(|| divan::black_box(stages.prepare_poses()));
}

/// Poses to faces: the frame's camera, boxes, suppression, points. Counts the candidates.
#[divan::bench(min_time = 1)]
fn faces(bencher: divan::Bencher<'_, '_>) {
    let mut stages = stages();
    let count = stages.candidates();
    bencher
        .counter(divan::counter::ItemsCount::new(count))
        .bench_local(|| divan::black_box(stages.faces()));
}
