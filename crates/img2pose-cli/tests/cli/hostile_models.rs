//! Models that were made to do harm, and models that no detector can use.

use std::fs;
use std::path::Path;

use img2pose_export::contract::METADATA_KEY;
use img2pose_onnx::{ModelProto, NodeProto};
use prost::Message;

use crate::hostile::limited;
use crate::synthetic::{self, Style, entries, write_pth};
use crate::tool::{Folder, run, text};

/// A good model in `folder`.
fn model(folder: &Folder) -> ModelProto {
    let (from, to) = (folder.path("a.pth"), folder.path("a.onnx"));
    write_pth(
        &from,
        &entries(&synthetic::tiny(), &Style::default()),
        &Style::default(),
    );
    run(&["convert", text(&from), "--pose-stats", "wider", "-o", text(&to)]).succeeded();
    ModelProto::decode(&fs::read(&to).unwrap()[..]).unwrap()
}

fn write(path: &Path, model: &ModelProto) {
    fs::write(path, model.encode_to_vec()).unwrap();
}

/// What was refused at the first frame, or not at all, while `check` said that all was well.
#[test]
fn check_refuses_what_the_element_refuses() {
    let folder = Folder::new();
    let model = model(&folder);
    let path = folder.path("changed.onnx");
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut model = model.clone();
        let entry = &mut model.metadata_props[0];
        assert_eq!(entry.key(), METADATA_KEY);
        let mut json = serde_json::from_str(entry.value()).unwrap();
        change(&mut json);
        entry.value = Some(json.to_string());
        write(&path, &model);
        let element = img2pose::Detector::open(&path, img2pose::DetectorOptions::default());
        let ran = run(&["check", text(&path)]);
        if let Err(error) = element {
            // In the same words.
            ran.refused(&[&error.to_string()]);
        }
        ran
    };
    with(&|_| ()).succeeded();
    with(&|json| json["roi"]["output_size"] = 1.into()).refused(&["changed.onnx"]);
    with(&|json| json["roi"]["output_size"] = 64.into()).refused(&["changed.onnx"]);
    with(&|json| json["image_std"] = serde_json::json!([1e-30, 1e-30, 1e-30])).refused(&["image_std"]);
    with(&|json| json["image_mean"] = serde_json::json!([1e30, 0.0, 0.0])).refused(&["image_mean"]);
    with(&|json| json["pose_stddev"] = serde_json::json!([1e30, 1, 1, 1, 1, 1])).refused(&["pose_stddev"]);
    with(&|json| json["min_size"] = 0.into()).refused(&["min_size"]);
    with(&|json| json["proposals"]["post_nms_top_n"] = 100_000.into()).refused(&["post_nms_top_n"]);
}

/// ONNX Runtime wrote lines of its own, with colours, beside the error.
#[test]
fn a_model_that_fails_while_it_runs_is_refused_in_one_line() {
    let folder = Folder::new();
    let mut model = model(&folder);
    let graph = model.graph.as_mut().unwrap();
    // In place of a Relu: a tensor is reshaped to more numbers than it has, which ONNX Runtime sees when it runs.
    let relu = graph
        .node
        .iter_mut()
        .find(|node| node.op_type() == "Relu")
        .unwrap();
    let (from, to) = (relu.input[0].clone(), relu.output[0].clone());
    let of = |op: &str, inputs: &[&str], output: &str| NodeProto {
        op_type: Some(op.to_owned()),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    };
    let nodes = [
        of("Shape", &[&from], "odd_shape"),
        of("Add", &["odd_shape", "odd_shape"], "odd_size"),
        of("Reshape", &[&from, "odd_size"], &to),
    ];
    let at = graph
        .node
        .iter()
        .position(|node| node.output.contains(&to))
        .unwrap();
    graph.node.splice(at..=at, nodes);
    let path = folder.path("fails.onnx");
    write(&path, &model);
    let ran = run(&["check", text(&path)]);
    assert_eq!((ran.code, ran.stderr.lines().count()), (1, 1), "{}", ran.stderr);
    let begin = format!("error: {} does not run: ONNX Runtime failed to ", path.display());
    assert!(ran.stderr.starts_with(&begin), "{}", ran.stderr);
    for part in ["node Reshape", "img2pose convert"] {
        assert!(ran.stderr.contains(part), "no '{part}' in: {}", ran.stderr);
    }
    assert!(!ran.stderr.contains(".cc:"), "{}", ran.stderr);
}

/// It says what a file is, and `check` judges it; its help says so.
#[test]
fn inspect_of_an_unusable_model_ends_well_and_its_help_names_check() {
    let folder = Folder::new();
    let mut model = model(&folder);
    let entry = &mut model.metadata_props[0];
    let mut json: serde_json::Value = serde_json::from_str(entry.value()).unwrap();
    json["min_size"] = (-1).into();
    entry.value = Some(json.to_string());
    let path = folder.path("unusable.onnx");
    write(&path, &model);
    let ran = run(&["inspect", text(&path)]);
    assert!(
        ran.succeeded().stdout.contains("not a usable img2pose model"),
        "{}",
        ran.stdout
    );
    run(&["check", text(&path)]).refused(&["not a usable img2pose model"]);
    let help = run(&["inspect", "--help"]);
    assert!(
        help.succeeded().stdout.contains("img2pose check"),
        "{}",
        help.stdout
    );
}

#[test]
fn check_refuses_numbers_that_are_none() {
    let folder = Folder::new();
    let model = model(&folder);
    let path = folder.path("changed.onnx");
    for name in [
        "backbone.body.conv1.weight",
        "rpn.head.conv.bias",
        "roi_heads.class_head.fc6.weight",
    ] {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut model = model.clone();
            let graph = model.graph.as_mut().unwrap();
            let weight = graph.initializer.iter_mut().find(|w| w.name() == name).unwrap();
            let mut raw = weight.raw_data.take().unwrap().to_vec();
            raw[..4].copy_from_slice(&bad.to_le_bytes());
            weight.raw_data = Some(raw.into());
            write(&path, &model);
            run(&["check", text(&path)]).refused(&["changed.onnx", name]);
        }
    }
}

#[test]
fn models_of_many_parts_take_no_more_memory_than_their_size_allows() {
    let folder = Folder::new();
    let path = folder.path("many.onnx");
    let good = model(&folder).encode_to_vec();
    let field = |tag: u8, content: &[u8]| {
        let mut bytes = vec![tag];
        prost::encoding::encode_varint(content.len() as u64, &mut bytes);
        bytes.extend(content);
        bytes
    };
    // A second graph in a file is one with the first. Nodes and weights of two bytes each, and a shape of a byte for each axis.
    let nodes = field(0x3a, &[0x0a, 0].repeat(5 << 20));
    let weights = field(0x3a, &[0x2a, 0].repeat(5 << 20));
    let shape = field(0x3a, &field(0x2a, &field(0x0a, &vec![1; 20 << 20])));
    for hostile in [nodes, weights, shape] {
        fs::write(&path, [&good[..], &hostile].concat()).unwrap();
        for command in ["inspect", "check"] {
            limited(&[command, text(&path)]).refused(&["many.onnx", "bytes"]);
        }
    }
}

#[test]
fn sizes_beyond_all_numbers_are_inspected() {
    let folder = Folder::new();
    let mut model = model(&folder);
    let path = folder.path("a.onnx");
    for weight in &mut model.graph.as_mut().unwrap().initializer {
        weight.dims = vec![i64::MAX, i64::MAX, i64::MIN];
    }
    write(&path, &model);
    let ran = limited(&["inspect", text(&path)]);
    assert!(ran.code == 0 || ran.code == 1);
    assert!(ran.stdout.contains("weights"), "{}{}", ran.stdout, ran.stderr);
}
