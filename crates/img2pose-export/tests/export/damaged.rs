//! Models that are damaged at random are refused, or run: nothing ends the process.

use img2pose::frame::Frame;
use img2pose::{Detector, DetectorOptions, ExecutionProvider, Model};
use img2pose_export::convert;
use img2pose_onnx::ModelProto;
use prost::Message;
use test_support::damage;

use crate::convert::options;
use crate::end_to_end::runtime_is_there;
use crate::folder::Folder;
use crate::synthetic::{Style, entries, tiny, write_pth};

/// How many models are tried; another number with this environment variable.
const VARIABLE: &str = "IMG2POSE_RANDOM_CASES";
const CASES: u64 = 400;

/// xorshift64*, from Marsaglia and Vigna.
fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }
}

#[test]
fn damaged_models_are_refused_or_run() {
    if !runtime_is_there("damaged_models_are_refused_or_run") {
        return;
    }
    let folder = Folder::new();
    let (from, to) = (folder.path("a.pth"), folder.path("a.onnx"));
    write_pth(&from, &entries(&tiny(), &Style::default()), &Style::default());
    convert(&from, &to, &options()).unwrap();
    let whole = ModelProto::decode(&std::fs::read(&to).unwrap()[..]).unwrap();
    let pixels: Vec<u8> = (0..64 * 48 * 3_u32).map(|i| ((i * i) >> 3) as u8).collect();
    let options = DetectorOptions::default()
        .with_min_size(48)
        .with_max_size(64)
        .with_num_threads(1)
        .with_execution_provider(ExecutionProvider::Cpu);
    let cases = std::env::var(VARIABLE)
        .ok()
        .and_then(|number| number.parse().ok())
        .unwrap_or(CASES);
    let (mut read, mut run) = (0, 0);
    for seed in 0..cases {
        let mut model = whole.clone();
        let mut random = random(seed);
        for _ in 0..1 + seed % 3 {
            damage(&mut model, &mut random);
        }
        // The number of a case that ends the process is the last one in this file.
        std::fs::write(folder.path("case"), seed.to_string()).unwrap();
        let Ok(model) = Model::parse("damaged.onnx".as_ref(), model.encode_to_vec()) else {
            continue;
        };
        read += 1;
        let Ok(mut detector) = Detector::load(&model, options.clone()) else {
            continue;
        };
        if let Ok(faces) = detector.detect(&[Frame::rgb(&pixels, 64, 48)]) {
            assert_eq!(faces.len(), 1, "case {seed}");
            run += 1;
        }
    }
    println!("{cases} models: {read} could be read, {run} ran");
    assert!(
        read < cases && run > 0,
        "{read} of {cases} could be read, {run} ran"
    );
}
