//! The shipped model with another class head.

use img2pose::Model;
use img2pose_onnx::ModelProto;
use prost::Message;
use test_support::shipped_model;

/// The shipped model with these biases of its two classes, background and face.
#[allow(dead_code)] // Not every test needs both.
pub fn model_with_class_bias(bias: [f32; 2]) -> Model {
    let bytes = std::fs::read(shipped_model()).unwrap();
    let mut proto = ModelProto::decode(&bytes[..]).unwrap();
    let weights = &mut proto.graph.as_mut().unwrap().initializer;
    let tensor = weights
        .iter_mut()
        .find(|tensor| tensor.name().contains("cls_score.bias"))
        .unwrap();
    tensor.raw_data = Some(bias.map(f32::to_le_bytes).concat().into());
    Model::parse("biased.onnx".as_ref(), proto.encode_to_vec()).unwrap()
}

/// The shipped model with the numbers of every weight whose name contains `name` times `factor`, as far as floats reach: all
/// of them stay finite.
#[allow(dead_code)] // Not every test needs both.
pub fn model_with_scaled_weights(name: &str, factor: f32) -> Model {
    let bytes = std::fs::read(shipped_model()).unwrap();
    let mut proto = ModelProto::decode(&bytes[..]).unwrap();
    let weights = proto.graph.as_mut().unwrap().initializer.iter_mut();
    let mut found = 0;
    for tensor in weights.filter(|tensor| tensor.name().contains(name)) {
        let raw = tensor.raw_data.take().unwrap();
        let numbers = raw.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        let scaled = numbers.flat_map(|number| (number * factor).clamp(f32::MIN, f32::MAX).to_le_bytes());
        tensor.raw_data = Some(scaled.collect::<Vec<u8>>().into());
        found += 1;
    }
    assert!(found > 0, "no weight '{name}'");
    Model::parse("scaled.onnx".as_ref(), proto.encode_to_vec()).unwrap()
}
