//! What is said of files that are no usable model. No ONNX Runtime is needed for any of it.

use std::path::Path;

use img2pose::contract::{CLASS_SCORES, METADATA_KEY, deltas, features};
use img2pose::{Error, Model};
use img2pose_onnx::{
    GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto, attribute, data_type,
};
use prost::Message;

const PATH: &str = "/some/where/model.onnx";

fn shipped() -> ModelProto {
    let bytes = std::fs::read(test_support::shipped_model()).expect("the shipped model is there");
    ModelProto::decode(&bytes[..]).expect("the shipped model is ONNX")
}

fn message(bytes: Vec<u8>) -> String {
    let error = Model::parse(Path::new(PATH), bytes).expect_err("the file is refused");
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
    assert_eq!(model.channels(), Some(64));
    assert_eq!(model.contract().unwrap().contract_version, 1);
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
        text.contains("zip file") && text.contains("img2pose convert"),
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
        text.contains("no metadata 'img2pose'") && text.contains("img2pose convert"),
        "{text}"
    );
}

#[test]
fn metadata_that_cannot_be_used() {
    let text = with_metadata(|json| json["contract_version"] = 99.into());
    assert!(
        text.contains("contract version 99") && text.contains("reads 1 and 2"),
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
    let model = Model::parse(Path::new(PATH), model.encode_to_vec());
    // Found when the model is cut into parts, before ONNX Runtime sees it.
    let error = model.and_then(|model| img2pose::Detector::load(&model, Default::default()).map(|_| ()));
    let text = error.expect_err("a weight is missing").to_string();
    assert!(text.contains(&format!("tensor '{name}' is missing")), "{text}");
}

fn graph_of(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().unwrap()
}

fn weight_of<'m>(model: &'m mut ModelProto, name: &str) -> &'m mut TensorProto {
    let weights = &mut graph_of(model).initializer;
    weights
        .iter_mut()
        .find(|tensor| tensor.name().contains(name))
        .expect("such a weight")
}

fn node_of<'m>(model: &'m mut ModelProto, operator: &str) -> &'m mut NodeProto {
    let nodes = &mut graph_of(model).node;
    nodes
        .iter_mut()
        .find(|node| node.op_type() == operator)
        .expect("such a node")
}

fn node(operator: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.to_owned()],
        op_type: Some(operator.to_owned()),
        ..NodeProto::default()
    }
}

/// They gave empty lists of faces, and nobody was told.
#[test]
fn weights_that_are_no_numbers_are_refused() {
    for weight in [
        "body.conv1.weight",
        "fpn.layer_blocks.2",
        "rpn.head.bbox_pred.bias",
        "cls_score.weight",
        "box_head.fc6",
    ] {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let text = message_for(|model| {
                let tensor = weight_of(model, weight);
                let mut raw = tensor.raw_data.take().unwrap().to_vec();
                let last = raw.len() - 4;
                raw[last..].copy_from_slice(&bad.to_le_bytes());
                tensor.raw_data = Some(raw.into());
            });
            assert!(
                text.contains(weight) && text.contains("infinity or not-a-number"),
                "{text}"
            );
        }
    }
    // In 8 bits it is the scales that are floats.
    let bytes = std::fs::read(test_support::shipped_model_in_8_bits()).unwrap();
    let mut model = ModelProto::decode(&bytes[..]).unwrap();
    let scale = weight_of(&mut model, "class_head.fc6.weight_scale");
    scale.raw_data = None;
    scale.float_data = vec![f32::NAN; scale.dims.iter().product::<i64>() as usize];
    assert!(message(model.encode_to_vec()).contains("fc6.weight_scale"));
}

/// An attribute of 0 was a panic, or a division by zero in ONNX Runtime.
#[test]
fn attributes_that_cannot_be_are_refused() {
    for (operator, name, values) in [
        ("Conv", "strides", &[0, -1, i64::MIN, i64::MAX][..]),
        ("Conv", "dilations", &[0, -1, i64::MAX]),
        ("Conv", "kernel_shape", &[0, -3, i64::MAX]),
        ("Conv", "group", &[0, -1, i64::MAX]),
        ("Conv", "pads", &[-1, i64::MIN, i64::MAX]),
        ("MaxPool", "strides", &[0, i64::MIN]),
        ("RoiAlign", "output_height", &[0, -7, 1, 64, i64::MAX]),
        ("RoiAlign", "output_width", &[0, 14]),
        ("RoiAlign", "sampling_ratio", &[-1, 0, 1, i64::MAX]),
        ("Softmax", "axis", &[i64::MIN, i64::MAX]),
    ] {
        for &value in values {
            let text = message_for(|model| {
                let attributes = &mut node_of(model, operator).attribute;
                attributes.retain(|attribute| attribute.name() != name);
                attributes.push(match name {
                    "strides" | "dilations" | "kernel_shape" | "pads" => attribute::ints(name, &[value, 1]),
                    _ => attribute::int(name, value),
                });
            });
            assert!(text.contains(&format!("{name} = {value}")), "{operator}: {text}");
        }
    }
    for scale in [f32::NAN, f32::INFINITY, 0.0, -0.25, 1e30, 0.2] {
        let text = message_for(|model| {
            let attributes = &mut node_of(model, "RoiAlign").attribute;
            attributes.retain(|attribute| attribute.name() != "spatial_scale");
            attributes.push(attribute::float("spatial_scale", scale));
        });
        assert!(text.contains("spatial_scale"), "{text}");
    }
}

#[test]
fn graphs_that_cannot_be_are_refused() {
    type Change = fn(&mut GraphProto);
    let changes: [(&str, Change); 10] = [
        ("names no operator", |graph| graph.node[3].op_type = None),
        ("has no output", |graph| graph.node[3].output.clear()),
        ("has no output", |graph| {
            graph.node[3].output = vec![String::new()]
        }),
        ("made twice", |graph| {
            let again = graph.node[3].clone();
            graph.node.push(again);
        }),
        ("made twice", |graph| {
            graph.node.push(node("Relu", &["images"], "images"))
        }),
        ("runs in a circle", |graph| {
            graph.node.push(node("Identity", &["there"], "back"));
            graph.node.push(node("Identity", &["back"], "there"));
        }),
        ("'nowhere' is missing", |graph| {
            graph.node.push(node("Relu", &["nowhere"], "somewhere"))
        }),
        ("two weights", |graph| {
            let again = graph.initializer[0].clone();
            graph.initializer.push(again);
        }),
        ("without a name", |graph| graph.initializer[0].name = None),
        ("lacks the tensors", |graph| {
            graph.node.retain(|node| node.op_type() != "Softmax")
        }),
    ];
    for (number, (expected, change)) in changes.iter().enumerate() {
        let text = message_for(|model| change(graph_of(model)));
        let is_missing = number == 9 && text.contains("is missing");
        assert!(text.contains(expected) || is_missing, "number {number}: {text}");
    }
    // A name may be of any length and have anything in it.
    let name = format!("\u{1b}[2J\n{}", "x".repeat(100_000));
    let text = message_for(|model| graph_of(model).node.push(node("Relu", &[&name], "y")));
    assert!(text.len() < 1000 && text.contains("\\u{1b}[2J\\n"), "{text}");
}

#[test]
fn tensors_that_lie_about_their_size_are_refused() {
    for dims in [
        vec![i64::MAX, i64::MAX],
        vec![-1, 4],
        vec![1 << 62, 4],
        vec![0],
        vec![1],
    ] {
        let text = message_for(|model| weight_of(model, "class_head.fc6.weight").dims = dims.clone());
        assert!(
            text.contains("class_head.fc6.weight") && text.contains("shape"),
            "{dims:?}: {text}"
        );
    }
    let text = message_for(|model| weight_of(model, "layer2").raw_data = None);
    assert!(text.contains("layer2") && text.contains("0 numbers"), "{text}");
    // In an attribute as well.
    let text = message_for(|model| {
        let mut constant = node("Constant", &[], "constant");
        constant.attribute.push(img2pose_onnx::AttributeProto {
            name: Some("value".to_owned()),
            t: Some(TensorProto {
                dims: vec![1 << 40],
                data_type: Some(data_type::FLOAT),
                ..TensorProto::default()
            }),
            ..Default::default()
        });
        graph_of(model).node.push(constant);
    });
    assert!(
        text.contains("'constant' (Constant)") && text.contains("shape"),
        "{text}"
    );
}

#[test]
fn weights_in_other_files_are_refused() {
    let text = message_for(|model| {
        let tensor = weight_of(model, "layer1");
        tensor.raw_data = None;
        tensor.data_location = Some(1);
    });
    assert!(text.contains("layer1") && text.contains("another file"), "{text}");
}

/// The element refused what reading the file, and so `img2pose check`, accepted.
#[test]
fn metadata_that_contradicts_the_network_is_refused_on_reading() {
    for side in [1, 6, 8, 64] {
        let text = with_metadata(|json| json["roi"]["output_size"] = side.into());
        assert!(
            text.contains("output_height = 7") && text.contains(&side.to_string()),
            "{text}"
        );
    }
    let text = with_metadata(|json| json["roi"]["sampling_ratio"] = 3.into());
    assert!(text.contains("sampling_ratio = 2"), "{text}");
    // Without RoIAlign it is the head that tells.
    let text = message_for(|model| {
        for node in &mut graph_of(model).node {
            if node.op_type() == "RoiAlign" {
                node.op_type = Some("MyAlign".to_owned());
            }
        }
        let entry = &mut model.metadata_props[0];
        entry.value = Some(entry.value().replace("\"output_size\":7", "\"output_size\":14"));
    });
    assert!(text.contains("64 channels x 196 cells"), "{text}");
}

/// With 1200 conversions it took 7 seconds, growing with the third power: these would have taken hours.
#[test]
fn many_conversions_are_read_in_linear_time() {
    const EACH: usize = 2500;
    let mut model = shipped();
    let graph = graph_of(&mut model);
    // Between each of three weights and who takes it, and between the features and who takes them.
    let mut chained = 0;
    let mut conversions = Vec::new();
    let mut chain = |from: String, to: String| {
        let name = |number: usize| format!("chain_{chained}_{number}");
        for number in 0..EACH {
            let input = if number == 0 {
                from.clone()
            } else {
                name(number - 1)
            };
            let output = if number == EACH - 1 {
                to.clone()
            } else {
                name(number)
            };
            let mut conversion = match number % 2 {
                0 => node("Cast", &[&input], &output),
                _ => node("DequantizeLinear", &[&input, "scale"], &output),
            };
            conversion.attribute.push(attribute::int("axis", 0));
            conversions.push(conversion);
        }
        chained += 1;
    };
    for node in &mut graph.node {
        let is_head = node.op_type() == "Gemm";
        let is_features = node.output.iter().any(|name| *name == features(0));
        if is_head || is_features {
            let weight = node.input[1].clone();
            node.input[1] = format!("{weight}/converted");
            chain(weight, node.input[1].clone());
        }
        if node
            .output
            .iter()
            .any(|name| [features(1), CLASS_SCORES.to_owned()].contains(name))
        {
            let output = node.output[0].clone();
            node.output[0] = format!("{output}/before");
            chain(node.output[0].clone(), output);
        }
    }
    graph.node.append(&mut conversions);
    graph.initializer.push(TensorProto {
        data_type: Some(data_type::FLOAT),
        name: Some("scale".to_owned()),
        raw_data: Some(1f32.to_le_bytes().to_vec().into()),
        ..TensorProto::default()
    });
    assert!(graph.node.len() > 15_000, "{}", graph.node.len());
    let bytes = model.encode_to_vec();
    let began = std::time::Instant::now();
    let model = Model::parse(Path::new(PATH), bytes).unwrap();
    assert_eq!(model.channels(), Some(64));
    let time = began.elapsed();
    assert!(time.as_secs() < 20, "{time:?}");
}

/// What is said of a model of two networks that was changed.
fn pair_message(change: impl FnOnce(&mut ModelProto, &mut serde_json::Value)) -> String {
    let mut model = test_support::small_pair();
    let mut facts = serde_json::from_str(model.metadata_props[0].value()).unwrap();
    change(&mut model, &mut facts);
    model.metadata_props[0].value = Some(facts.to_string());
    message(model.encode_to_vec())
}

#[test]
fn a_model_of_two_networks_is_accepted_and_says_what_it_is() {
    let model = Model::parse(Path::new(PATH), test_support::small_pair().encode_to_vec()).unwrap();
    let facts = model.facts();
    assert_eq!(
        (facts.contract_version(), facts.architecture()),
        (2, "find-and-look")
    );
    assert_eq!(facts.images().min_size, 64);
    assert!(facts.licence().contains("made up"));
    assert_eq!((model.contract(), model.channels()), (None, None));
}

#[test]
fn models_of_two_networks_that_cannot_be_run_are_refused_by_what_is_wrong() {
    type Change = fn(&mut ModelProto, &mut serde_json::Value);
    let rename: fn(&mut ModelProto, &str) = |model, name| {
        let graph = model.graph.as_mut().unwrap();
        for node in &mut graph.node {
            for value in node.input.iter_mut().chain(&mut node.output) {
                if value == name {
                    value.push_str("_gone");
                }
            }
        }
    };
    let cases: &[(&[&str], Change)] = &[
        (
            &[
                "contract version 2",
                "architecture 'find-only'",
                "'find-and-look'",
            ],
            |_, facts| facts["architecture"] = "find-only".into(),
        ),
        (&["contract version 2", "architecture ''"], |_, facts| {
            facts.as_object_mut().unwrap().remove("architecture");
        }),
        (&["contract version 3", "reads 1 and 2"], |_, facts| {
            facts["contract_version"] = 3.into();
        }),
        (&["missing field `crop_side`"], |_, facts| {
            facts.as_object_mut().unwrap().remove("crop_side");
        }),
        (&["missing field `look`"], |_, facts| {
            facts["parts"].as_object_mut().unwrap().remove("look");
        }),
        (&["strides"], |_, facts| {
            facts["strides"] = serde_json::json!([8, 0])
        }),
        (&["crop_side = 0"], |_, facts| facts["crop_side"] = 0.into()),
        (&["reference_points"], |_, facts| {
            // All in one plane: no pose follows from them.
            for point in facts["reference_points"].as_array_mut().unwrap() {
                point[2] = 0.into();
            }
        }),
        (&["no input 'pictures'"], |_, facts| {
            facts["parts"]["find"]["input"] = "pictures".into();
        }),
        (&["lacks the tensors no_cells, no_crops"], |_, facts| {
            facts["parts"]["find"]["output"] = "no_cells".into();
            facts["parts"]["look"]["input"] = "no_crops".into();
        }),
        (&["fixed batch size of 4"], |model, _| {
            let input = &mut model.graph.as_mut().unwrap().input[0];
            let tensor = input.r#type.as_mut().unwrap().tensor_type.as_mut().unwrap();
            tensor.shape.as_mut().unwrap().dim[0].dim_value = Some(4);
        }),
        (&["infinity or not-a-number", "damaged"], |model, _| {
            let weights = &mut model.graph.as_mut().unwrap().initializer;
            let floats = weights
                .iter_mut()
                .find(|weight| weight.data_type() == data_type::FLOAT && weight.dims.len() == 4);
            let weight = floats.unwrap();
            let mut raw = weight.raw_data.clone().unwrap().to_vec();
            raw[..4].copy_from_slice(&f32::NAN.to_le_bytes());
            weight.raw_data = Some(raw.into());
        }),
    ];
    for (parts, change) in cases {
        let text = pair_message(*change);
        for part in *parts {
            assert!(text.contains(part), "no '{part}' in: {text}");
        }
    }
    let text = pair_message(|model, _| rename(model, "answers"));
    assert!(text.contains("lacks the tensors answers"), "{text}");
}
