//! The shipped model with another class head.

use img2pose::Model;
use img2pose::onnx::ModelProto;
use prost::Message;
use test_support::shipped_model;

/// The shipped model with these biases of its two classes, background and face.
pub fn model_with_class_bias(bias: [f32; 2]) -> Model {
    let bytes = std::fs::read(shipped_model()).unwrap();
    let mut proto = ModelProto::decode(&bytes[..]).unwrap();
    let weights = &mut proto.graph.as_mut().unwrap().initializer;
    let tensor = weights
        .iter_mut()
        .find(|tensor| tensor.name().contains("cls_score.bias"))
        .unwrap();
    tensor.raw_data = Some(bias.map(f32::to_le_bytes).concat().into());
    Model::parse("biased.onnx".as_ref(), proto.encode_to_vec().into()).unwrap()
}
