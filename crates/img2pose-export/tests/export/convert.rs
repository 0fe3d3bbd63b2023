//! Every kind of checkpoint gives the model that it should.

use std::path::Path;

use img2pose_export::architecture::Architecture;
use img2pose_export::checkpoint::Checkpoint;
use img2pose_export::statistics::PoseStatistics;
use img2pose_export::{Options, convert};
use img2pose_onnx::{ModelProto, TensorProto};
use prost::Message;

use crate::folder::Folder;
use crate::synthetic::{self, Stored, Style, entries, write_pth, write_safetensors};

pub fn options() -> Options {
    Options::new(PoseStatistics::WIDER)
        .with_sizes(480, 1400)
        .with_licence("CC0")
}

fn read(path: &Path) -> ModelProto {
    ModelProto::decode(&std::fs::read(path).unwrap()[..]).unwrap()
}

fn weights(path: &Path) -> Vec<TensorProto> {
    read(path).graph.unwrap().initializer
}

fn weight<'w>(weights: &'w [TensorProto], name: &str) -> &'w TensorProto {
    weights
        .iter()
        .find(|tensor| tensor.name() == name)
        .unwrap_or_else(|| panic!("no {name}"))
}

fn floats(tensor: &TensorProto) -> Vec<f32> {
    tensor
        .raw_data()
        .as_chunks()
        .0
        .iter()
        .map(|&b| f32::from_le_bytes(b))
        .collect()
}

#[test]
fn every_spelling_and_format_gives_the_same_weights() {
    let folder = Folder::new();
    let network = synthetic::tiny();
    let model = |name: &str, style: &Style, safetensors: bool| {
        let (from, to) = (folder.path(name), folder.path(&format!("{name}.onnx")));
        let entries = entries(&network, style);
        if safetensors {
            write_safetensors(&from, &entries, style)
        } else {
            write_pth(&from, &entries, style)
        }
        let report = convert(&from, &to, &options()).unwrap();
        assert_eq!(report.architecture, network);
        assert!(report.unused.is_empty(), "{:?}", report.unused);
        assert_eq!(
            report.old_names, style.old_fpn,
            "decides on the hint about --bn-eps"
        );
        weights(&to)
    };
    let usual = model("usual", &Style::default(), false);
    assert!(usual.len() > 60);
    let bare = Style {
        prefix: "",
        ..Style::default()
    };
    let old = Style {
        old_fpn: true,
        ..Style::default()
    };
    let top = Style {
        wrapped: false,
        prefix: "",
        ..Style::default()
    };
    for (name, style) in [("bare", &bare), ("old", &old), ("top", &top)] {
        assert!(model(name, style, false) == usual, "{name}.pth");
        assert!(
            model(&format!("{name}.safetensors"), style, true) == usual,
            "{name}.safetensors"
        );
    }
}

#[test]
fn half_precision_checkpoints_become_f32() {
    let folder = Folder::new();
    let network = synthetic::tiny();
    let name = "roi_heads.class_head.fc7.weight";
    let expected = synthetic::numbers(name, &[16, 16]);
    for (stored, tolerance) in [(Stored::F16, 1.0 / 2048.0), (Stored::Bf16, 1.0 / 256.0)] {
        let style = Style {
            stored,
            ..Style::default()
        };
        for safetensors in [false, true] {
            let (from, to) = (folder.path("half"), folder.path("half.onnx"));
            let entries = entries(&network, &style);
            if safetensors {
                write_safetensors(&from, &entries, &style)
            } else {
                write_pth(&from, &entries, &style)
            }
            convert(&from, &to, &options()).unwrap();
            let found = floats(weight(&weights(&to), name));
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert!(
                    (found - expected).abs() <= expected.abs() * tolerance,
                    "{stored:?}: {found} {expected}"
                );
            }
            assert_ne!(found, expected, "{stored:?} is not exact");
        }
    }
}

#[test]
fn batch_norm_is_folded() {
    let folder = Folder::new();
    let (from, to) = (folder.path("a.pth"), folder.path("a.onnx"));
    let network = synthetic::tiny();
    write_pth(&from, &entries(&network, &Style::default()), &Style::default());
    let epsilon = 0.25;
    convert(&from, &to, &options().with_batch_norm_epsilon(epsilon)).unwrap();
    let weights = weights(&to);
    let shapes: std::collections::HashMap<_, _> = network.tensors().into_iter().collect();
    let source = |name: &str| synthetic::numbers(name, &shapes[name]);
    // The body's epsilon is the one given, the pose head's is always 1e-5: it is an ordinary batch norm.
    for (layer, norm, bias, epsilon) in [
        (
            "backbone.body.layer2.0.conv2",
            "backbone.body.layer2.0.bn2",
            None,
            epsilon,
        ),
        (
            "backbone.body.layer2.0.downsample.0",
            "backbone.body.layer2.0.downsample.1",
            None,
            epsilon,
        ),
        (
            "roi_heads.box_predictor.dof_pred.0",
            "roi_heads.box_predictor.dof_pred.1",
            Some("roi_heads.box_predictor.dof_pred.0.bias"),
            1e-5,
        ),
    ] {
        let [gamma, beta, mean, variance] =
            ["weight", "bias", "running_mean", "running_var"].map(|what| source(&format!("{norm}.{what}")));
        let original = source(&format!("{layer}.weight"));
        let own_bias = bias.map_or(vec![0.0; gamma.len()], source);
        let folded = floats(weight(&weights, &format!("{layer}.weight")));
        let folded_bias = floats(weight(&weights, &format!("{layer}.bias")));
        let row = original.len() / gamma.len();
        for channel in 0..gamma.len() {
            let scale = f64::from(gamma[channel]) / (f64::from(variance[channel]) + epsilon).sqrt();
            for i in channel * row..(channel + 1) * row {
                assert!(
                    (f64::from(folded[i]) - f64::from(original[i]) * scale).abs() < 1e-6,
                    "{layer}"
                );
            }
            let shift = f64::from(own_bias[channel] - mean[channel]) * scale + f64::from(beta[channel]);
            assert!((f64::from(folded_bias[channel]) - shift).abs() < 1e-6, "{layer}");
        }
    }
}

#[test]
fn deeper_networks_are_told_from_their_tensors() {
    let folder = Folder::new();
    let (from, to) = (folder.path("r50.pth"), folder.path("r50.onnx"));
    let network = synthetic::resnet50();
    write_pth(&from, &entries(&network, &Style::default()), &Style::default());
    assert_eq!(
        Architecture::of(&Checkpoint::open(&from).unwrap()).unwrap(),
        network
    );
    let report = convert(&from, &to, &options()).unwrap();
    assert_eq!(report.contract.architecture, "resnet50-fpn");
    let graph = read(&to).graph.unwrap();
    // torchvision strides the 3x3 convolution of a bottleneck, not the 1x1 one.
    let stride = |node: &str| {
        let node = graph.node.iter().find(|n| n.name() == node).unwrap();
        node.attribute
            .iter()
            .find(|a| a.name() == "strides")
            .unwrap()
            .ints
            .clone()
    };
    assert_eq!(stride("backbone.body.layer2.0.conv1"), [1, 1]);
    assert_eq!(stride("backbone.body.layer2.0.conv2"), [2, 2]);
    assert_eq!(stride("backbone.body.layer2.0.downsample.0"), [2, 2]);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let folder = Folder::new();
    let from = folder.path("a.pth");
    write_pth(
        &from,
        &entries(&synthetic::tiny(), &Style::default()),
        &Style::default(),
    );
    let [first, second] = ["1.onnx", "2.onnx"].map(|name| {
        let to = folder.path(name);
        convert(&from, &to, &options()).unwrap();
        std::fs::read(to).unwrap()
    });
    assert!(first == second);
}
