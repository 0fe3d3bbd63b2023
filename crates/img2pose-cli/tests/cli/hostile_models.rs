//! Models that were made to do harm, and models that no detector can use.

use std::fs;
use std::path::Path;

use img2pose_export::contract::METADATA_KEY;
use img2pose_onnx::ModelProto;
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
