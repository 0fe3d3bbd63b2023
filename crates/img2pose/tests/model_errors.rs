//! What is said of files that are no usable model. No ONNX Runtime is needed for any of it.

use std::path::Path;

use img2pose::contract::{METADATA_KEY, deltas};
use img2pose::onnx::{GraphProto, ModelProto, NodeProto, StringStringEntryProto};
use img2pose::{Error, Model};
use prost::Message;

const PATH: &str = "/some/where/model.onnx";

fn shipped() -> ModelProto {
    let bytes = std::fs::read(test_support::shipped_model()).expect("the shipped model is there");
    ModelProto::decode(&bytes[..]).expect("the shipped model is ONNX")
}

fn message(bytes: Vec<u8>) -> String {
    let error = Model::parse(Path::new(PATH), bytes.into())
        .err()
        .expect("the file is refused");
    let text = error.to_string();
    assert!(text.contains(PATH), "names the file: {text}");
    assert!(!text.contains('\n'), "is one line: {text}");
    text
}

fn message_for(change: impl FnOnce(&mut ModelProto)) -> String {
    let mut model = shipped();
    change(&mut model);
    message(model.encode_to_vec())
}

fn with_metadata(change: impl FnOnce(&mut serde_json::Value)) -> String {
    message_for(|model| {
        let entry = model
            .metadata_props
            .iter_mut()
            .find(|entry| entry.key() == METADATA_KEY)
            .unwrap();
        let mut json = serde_json::from_str(entry.value()).unwrap();
        change(&mut json);
        entry.value = Some(json.to_string());
    })
}

#[test]
fn the_shipped_model_is_accepted() {
    let model = Model::open(&test_support::shipped_model()).unwrap();
    assert_eq!(model.channels(), 64);
    assert_eq!(model.contract().contract_version, 1);
}

#[test]
fn a_missing_file() {
    let error = Model::open(Path::new("/no/such/model.onnx")).err().unwrap();
    assert!(matches!(error, Error::ReadModel { .. }));
    assert!(error.to_string().contains("/no/such/model.onnx"), "{error}");
}

#[test]
fn files_that_are_not_onnx() {
    assert!(message(Vec::new()).contains("not an ONNX model: the file is empty"));
    assert!(message(b"#!/bin/sh\necho hello\n".to_vec()).contains("not an ONNX model"));
    assert!(message(vec![0xff; 4096]).contains("not an ONNX model"));
    let whole = std::fs::read(test_support::shipped_model()).unwrap();
    for length in [10, 1000, whole.len() / 2, whole.len() - 1] {
        assert!(
            message(whole[..length].to_vec()).contains("not an ONNX model"),
            "cut to {length} bytes"
        );
    }
}

#[test]
fn a_checkpoint_is_told_what_to_do_with_it() {
    let text = message(b"PK\x03\x04 and so on".to_vec());
    assert!(
        text.contains("zip file") && text.contains("img2pose-export convert"),
        "{text}"
    );
}

#[test]
fn an_onnx_file_of_something_else() {
    let node = NodeProto {
        input: vec!["x".to_owned()],
        output: vec!["y".to_owned()],
        op_type: Some("Relu".to_owned()),
        ..NodeProto::default()
    };
    let graph = GraphProto {
        node: vec![node],
        ..GraphProto::default()
    };
    let model = ModelProto {
        ir_version: Some(8),
        graph: Some(graph),
        ..ModelProto::default()
    };
    let text = message(model.encode_to_vec());
    assert!(
        text.contains("no metadata 'img2pose'") && text.contains("img2pose-export convert"),
        "{text}"
    );
}

#[test]
fn metadata_that_cannot_be_used() {
    let text = with_metadata(|json| json["contract_version"] = 99.into());
    assert!(
        text.contains("contract version 99") && text.contains("reads 1"),
        "{text}"
    );
    let text = with_metadata(|json| {
        json.as_object_mut().unwrap().remove("pose_mean");
    });
    assert!(text.contains("pose_mean"), "{text}");
    let text = with_metadata(|json| json["min_size"] = 0.into());
    assert!(text.contains("min_size = 0"), "{text}");
    let text = with_metadata(|json| json["image_std"] = serde_json::json!([0.2, -1.0, 0.2]));
    assert!(text.contains("image_std"), "{text}");
    let text = with_metadata(|json| json["reference_points"] = serde_json::json!([[0.0, 0.0, 0.0]]));
    assert!(text.contains("reference_points"), "{text}");
    let text = message_for(|model| {
        model.metadata_props = vec![StringStringEntryProto {
            key: Some(METADATA_KEY.to_owned()),
            value: Some("{ not json".to_owned()),
        }];
    });
    assert!(text.contains("cannot be read"), "{text}");
}

#[test]
fn a_static_batch_is_an_error_that_says_so() {
    let text = message_for(|model| {
        let input = &mut model.graph.as_mut().unwrap().input[0];
        let shape = input
            .r#type
            .as_mut()
            .unwrap()
            .tensor_type
            .as_mut()
            .unwrap()
            .shape
            .as_mut()
            .unwrap();
        shape.dim[0].dim_param = None;
        shape.dim[0].dim_value = Some(1);
    });
    assert!(
        text.contains("fixed batch size of 1") && text.contains("dynamic"),
        "{text}"
    );
}

#[test]
fn a_missing_tensor_is_named() {
    let text = message_for(|model| {
        for node in &mut model.graph.as_mut().unwrap().node {
            for name in node
                .output
                .iter_mut()
                .chain(&mut node.input)
                .filter(|name| **name == deltas(2))
            {
                *name = "something_else".to_owned();
            }
        }
    });
    assert!(text.contains("lacks the tensors deltas_2"), "{text}");
    let text = message_for(|model| model.graph.as_mut().unwrap().input.clear());
    assert!(text.contains("no input 'images'"), "{text}");
}

#[test]
fn a_missing_weight_is_named() {
    let mut model = shipped();
    let graph = model.graph.as_mut().unwrap();
    let lost = graph
        .initializer
        .iter()
        .position(|tensor| tensor.name().contains("layer3"))
        .unwrap();
    let name = graph.initializer.remove(lost).name().to_owned();
    let model = Model::parse(Path::new(PATH), model.encode_to_vec().into());
    // Found when the model is cut into parts, before ONNX Runtime sees it.
    let error = model.and_then(|model| img2pose::Detector::load(&model, Default::default()).map(|_| ()));
    let text = error.expect_err("a weight is missing").to_string();
    assert!(text.contains(&format!("tensor '{name}' is missing")), "{text}");
}
