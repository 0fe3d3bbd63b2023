//! An ONNX file whose parts are damaged, and that stays one, is read and cut into parts, or refused.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use img2pose_onnx::ModelProto;
use img2pose::{Model, stages};
use libfuzzer_sys::fuzz_target;
use prost::Message;

/// The file that `seeds` has made.
static WHOLE: LazyLock<ModelProto> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/model/tiny.onnx");
    let bytes = std::fs::read(&path).expect("the seed; see fuzz/seeds.rs");
    ModelProto::decode(&bytes[..]).expect("the seed is a model")
});

fuzz_target!(|bytes: &[u8]| {
    let mut model = WHOLE.clone();
    let mut left = bytes.as_chunks::<2>().0.iter();
    while let Some(first) = left.next() {
        // Two bytes a number are enough to reach everything.
        let mut next = Some(*first);
        let mut random = || {
            let number = next.take().or_else(|| left.next().copied());
            u64::from(u16::from_le_bytes(number.unwrap_or_default()))
        };
        test_support::damage(&mut model, &mut random);
    }
    if let Ok(model) = Model::parse(Path::new("fuzz.onnx"), model.encode_to_vec()) {
        assert!(model.channels().is_none_or(|channels| channels > 0));
        let _ = stages::cut(&model);
    }
});
