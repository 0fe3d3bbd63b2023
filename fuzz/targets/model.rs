//! A model file of any content is parsed or refused.
#![no_main]

use std::path::Path;

use img2pose::{Model, stages};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(model) = Model::parse(Path::new("fuzz.onnx"), bytes.to_vec()) {
        assert!(model.channels().is_none_or(|channels| channels > 0));
        assert!(model.facts().images().min_size > 0);
        let _ = stages::cut(&model);
    }
});
