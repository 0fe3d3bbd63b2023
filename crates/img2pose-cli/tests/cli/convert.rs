//! Conversions as a user calls them: options, what is said, and what stands in the model then.

use std::path::Path;

use img2pose_export::Model;
use img2pose_export::checkpoint::Checkpoint;
use img2pose_export::contract::Contract;
use img2pose_export::statistics::PoseStatistics;
use img2pose_onnx::{ModelProto, OPSET, TensorProto};
use prost::Message;

use crate::synthetic::{self, Style, entries, write_pth, write_safetensors};
use crate::tool::{Folder, run, text};

fn read(path: &Path) -> ModelProto {
    ModelProto::decode(&std::fs::read(path).unwrap()[..]).unwrap()
}

fn weights(path: &Path) -> Vec<TensorProto> {
    read(path).graph.unwrap().initializer
}

#[test]
fn the_model_carries_its_facts() {
    let folder = Folder::new();
    let (from, to, licence) = (
        folder.path("a.safetensors"),
        folder.path("a.onnx"),
        folder.path("LICENCE"),
    );
    write_safetensors(
        &from,
        &entries(&synthetic::tiny(), &Style::default()),
        &Style::default(),
    );
    std::fs::write(&licence, "Only for tests.\n").unwrap();
    let arguments = [
        "convert",
        text(&from),
        "--pose-stats",
        "wider",
        "-o",
        text(&to),
        "--bn-eps",
        "0",
    ];
    let sizes = [
        "--min-size",
        "320",
        "--max-size",
        "640",
        "--licence",
        text(&licence),
    ];
    run(&[&arguments[..], &sizes].concat()).succeeded();
    let model = Model::open(&to).unwrap();
    let PoseStatistics { mean, stddev } = PoseStatistics::WIDER;
    let expected = Contract {
        min_size: 320,
        max_size: 640,
        batch_norm_epsilon: 0.0,
        source_sha256: Checkpoint::open(&from).unwrap().sha256().unwrap(),
        licence: "Only for tests.".to_owned(),
        ..Contract::reference("resnet18-fpn", mean, stddev)
    };
    assert_eq!(model.contract(), Some(&expected));
    assert_eq!(model.channels(), Some(8));
    let proto = read(&to);
    assert_eq!((proto.ir_version(), proto.opset_import[0].version()), (8, OPSET));
}

#[test]
fn statistics_beside_the_checkpoint_are_taken_and_said() {
    let folder = Folder::new();
    let (from, to) = (folder.path("a.pth"), folder.path("a.onnx"));
    write_pth(
        &from,
        &entries(&synthetic::tiny(), &Style::default()),
        &Style::default(),
    );
    let (mean, stddev) = (
        folder.path("WIDER_train_pose_mean_v1.npy"),
        folder.path("WIDER_train_pose_stddev_v1.npy"),
    );
    ndarray_npy::write_npy(&mean, &ndarray::arr1(&[0.1f64, 0.2, 0.3, 0.4, 0.5, 3.0])).unwrap();
    ndarray_npy::write_npy(&stddev, &ndarray::arr1(&[1f32, 2.0, 3.0, 4.0, 5.0, 0.5])).unwrap();
    let ran = run(&["convert", text(&from), "-o", text(&to)]);
    assert!(ran.succeeded().stderr.contains(text(&mean)), "{}", ran.stderr);
    let model = Model::open(&to).unwrap();
    assert_eq!(
        model.contract().unwrap().pose_mean,
        [0.1, 0.2, 0.3, 0.4, 0.5, 3.0]
    );
    assert_eq!(
        model.contract().unwrap().pose_stddev,
        [1.0, 2.0, 3.0, 4.0, 5.0, 0.5]
    );
    // The same two, named.
    let named = folder.path("named.onnx");
    run(&[
        "convert",
        text(&from),
        "-o",
        text(&named),
        "--pose-stats",
        text(&mean),
        text(&stddev),
    ])
    .succeeded();
    assert!(std::fs::read(&to).unwrap() == std::fs::read(&named).unwrap());
    // The reference's silent defaults are loud here.
    let ran = run(&["convert", text(&from), "-o", text(&to), "--pose-stats", "none"]);
    assert!(
        ran.succeeded().stderr.starts_with("warning: no pose statistics"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        Model::open(&to).unwrap().contract().unwrap().pose_stddev,
        [1.0; 6]
    );
}

#[test]
fn f16_storage_halves_the_file() {
    let folder = Folder::new();
    let from = folder.path("a.pth");
    write_pth(
        &from,
        &entries(&synthetic::tiny(), &Style::default()),
        &Style::default(),
    );
    let sizes = ["f32", "f16"].map(|storage| {
        let to = folder.path(storage);
        let arguments = [
            "convert",
            text(&from),
            "-o",
            text(&to),
            "--pose-stats",
            "wider",
            "--storage",
            storage,
        ];
        run(&arguments).succeeded();
        let raw = weights(&to)
            .iter()
            .filter(|t| !t.name().starts_with("constant_"))
            .map(|t| t.raw_data().len())
            .sum();
        Model::open(&to).unwrap();
        raw
    });
    let [full, half]: [usize; 2] = sizes;
    assert!((half as f64) < full as f64 * 0.52, "{half} of {full}");
    let seen = run(&["inspect", text(&folder.path("f16"))]);
    assert!(
        seen.succeeded().stdout.contains("stored as f16"),
        "{}",
        seen.stdout
    );
}

#[test]
fn tensors_of_something_else_are_named() {
    let folder = Folder::new();
    let (from, to) = (folder.path("a.pth"), folder.path("a.onnx"));
    let mut entries = entries(&synthetic::tiny(), &Style::default());
    entries.push(("module.landmarks.weight".to_owned(), vec![2, 2]));
    write_pth(&from, &entries, &Style::default());
    let ran = run(&["convert", text(&from), "--pose-stats", "wider", "-o", text(&to)]);
    assert_eq!(
        ran.succeeded().stderr,
        "warning: left out, because the network has no such tensors: landmarks.weight\n"
    );
}
