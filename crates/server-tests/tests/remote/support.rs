//! The shipped model at a server and here, and pictures.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use img2pose::frame::Frame;
use img2pose::{Detector, DetectorOptions, Error, Face, Model, Selection, ServerOptions};
use server_tests::{FakeServer, MODEL, Served};
use test_support::shipped_model;

pub const SIDE: u32 = 96;

pub fn served() -> &'static Arc<Served> {
    static SERVED: LazyLock<Arc<Served>> = LazyLock::new(|| Arc::new(Served::open(&shipped_model())));
    &SERVED
}

pub fn model() -> &'static Model {
    static MODEL: LazyLock<Model> = LazyLock::new(|| Model::open(&shipped_model()).unwrap());
    &MODEL
}

/// Everything above the model's floor: pictures of nothing show little more.
pub fn options() -> DetectorOptions {
    DetectorOptions::default()
        .with_min_size(SIDE)
        .with_num_threads(1)
        .with_selection(Selection::default().with_score_threshold(0.0))
}

/// Long enough for a loaded machine, for what has an answer.
pub fn server(url: &str) -> ServerOptions {
    ServerOptions::new(url, MODEL).with_timeout(Duration::from_secs(60))
}

/// The time for an answer where none is to come.
pub const SHORT: Duration = Duration::from_millis(400);

pub fn connect(server: ServerOptions) -> Result<Detector, Error> {
    Detector::load(model(), options().with_server(server))
}

pub fn remote(server: &FakeServer) -> Detector {
    connect(self::server(&server.url())).unwrap()
}

pub fn local() -> Detector {
    Detector::load(model(), options()).unwrap()
}

/// Rectangles, another picture for each seed.
pub fn picture(seed: usize, width: u32, height: u32) -> Vec<u8> {
    let (width, height) = (width as usize, height as usize);
    let shade = |i: usize| ((i % width / (5 + seed) * 37) ^ (i / width / 9 * 61 * (seed + 1))) as u8;
    (0..width * height)
        .flat_map(|i| [shade(i), shade(i + 7), shade(i * 3)])
        .collect()
}

/// Runs batches of 1 to 8 frames here and there, which must have the same faces; `sent` sees `[frames, height, width, colours]` of each.
/// Another size each time: even and odd sides, upright and lying, larger and smaller than the network image.
pub fn batches_of_one_to_eight(here: &mut Detector, there: &mut Detector, sent: impl Fn([i64; 4])) {
    let mut faces = 0;
    for count in 1..=8 {
        let (width, height) = (SIDE + 7 * count as u32, SIDE + 50 - 11 * count as u32);
        let pictures: Vec<_> = (0..count).map(|seed| picture(seed, width, height)).collect();
        let frames: Vec<_> = pictures
            .iter()
            .map(|pixels| Frame::rgb(pixels, width, height))
            .collect();
        faces += assert_same(&here.detect(&frames).unwrap(), &there.detect(&frames).unwrap());
        sent([count as i64, height.into(), width.into(), 3]);
    }
    assert!(faces > 20, "{faces} faces prove little");
}

pub fn detect(detector: &mut Detector, seed: usize) -> Result<Vec<Vec<Face>>, Error> {
    let pixels = picture(seed, SIDE, SIDE);
    detector.detect(&[Frame::rgb(&pixels, SIDE, SIDE)])
}

/// Asserts that the faces are the same, as far as sums in another order allow. Returns how many there are.
pub fn assert_same(expected: &[Vec<Face>], found: &[Vec<Face>]) -> usize {
    assert_eq!(expected.len(), found.len());
    for (frame, (expected, found)) in expected.iter().zip(found).enumerate() {
        assert_eq!(
            expected.len(),
            found.len(),
            "frame {frame}: {expected:?} {found:?}"
        );
        for (expected, found) in expected.iter().zip(found) {
            let far = |a: &[f32], b: &[f32]| {
                let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
                differences.fold(0.0_f32, f32::max)
            };
            assert!(
                far(&expected.bbox, &found.bbox) < 1e-3,
                "frame {frame}: {expected:?} {found:?}"
            );
            assert!(
                (expected.confidence - found.confidence).abs() < 1e-5,
                "{expected:?} {found:?}"
            );
            assert!(
                far(&expected.pose, &found.pose) < 1e-4,
                "frame {frame}: {expected:?} {found:?}"
            );
        }
    }
    expected.iter().map(Vec::len).sum()
}
