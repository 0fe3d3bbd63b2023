//! A small network with made-up weights, converted as a user converts a checkpoint.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use img2pose::contract::IMAGES;
use img2pose_export::architecture::{Architecture, Block, Stage};
use img2pose_export::statistics::PoseStatistics;
use img2pose_export::{Options, convert};
use img2pose_onnx::{AttributeProto, ModelProto, NodeProto, TensorProto};
use prost::Message;

/// A folder of this test run.
pub fn scratch() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        // Cargo names a folder to the tests in `tests/` only.
        let parent = option_env!("CARGO_TARGET_TMPDIR").map_or_else(
            || std::env::current_exe().unwrap().parent().unwrap().to_owned(),
            PathBuf::from,
        );
        let folder = parent.join(env!("CARGO_CRATE_NAME"));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    });
    &FOLDER
}

/// The model file; made on first use.
pub fn model() -> &'static Path {
    static MODEL: LazyLock<PathBuf> = LazyLock::new(|| {
        let checkpoint = scratch().join("small.safetensors");
        std::fs::write(&checkpoint, checkpoint_bytes(&small_network())).unwrap();
        let model = scratch().join("small.onnx");
        let statistics = PoseStatistics {
            mean: [0.0, 0.0, 0.0, 0.0, 0.0, 3.0],
            stddev: [0.3, 0.5, 0.2, 0.2, 0.2, 0.4],
        };
        let options = Options::new(statistics)
            .with_sizes(64, 1400)
            .with_licence("made up for tests");
        convert(&checkpoint, &model, &options).unwrap();
        model
    });
    &MODEL
}

/// A model like [`model`] that fails when a batch has a white pixel.
pub fn failing_model() -> &'static Path {
    static MODEL: LazyLock<PathBuf> = LazyLock::new(|| {
        let mut model = ModelProto::decode(&*std::fs::read(model()).unwrap()).unwrap();
        let graph = model.graph.as_mut().unwrap();
        // images + 0 * table[index], where the index is far outside of the table for a white pixel.
        for node in &mut graph.node {
            for input in &mut node.input {
                if input == IMAGES {
                    *input = "checked_images".to_owned();
                }
            }
        }
        let node = |op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>| NodeProto {
            op_type: Some(op.to_owned()),
            name: Some(output.to_owned()),
            input: inputs.iter().map(|input| (*input).to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute,
            ..Default::default()
        };
        let number = |name: &str, value: f32| TensorProto {
            name: Some(name.to_owned()),
            dims: vec![1],
            data_type: Some(1),
            float_data: vec![value],
            ..Default::default()
        };
        let int = |name: &str, value: i64| AttributeProto {
            name: Some(name.to_owned()),
            r#type: Some(2),
            i: Some(value),
            ..Default::default()
        };
        let checks = [
            node("ReduceMax", &[IMAGES], "brightest", vec![int("keepdims", 0)]),
            // White is 2.64 in the third channel, the brightest pixel of other frames 2.52.
            node("Sub", &["brightest", "white"], "brighter", vec![]),
            node("Mul", &["brighter", "steep"], "far", vec![]),
            node("Relu", &["far"], "index_f32", vec![]),
            node("Cast", &["index_f32"], "index", vec![int("to", 7)]),
            node("Gather", &["table", "index"], "looked_up", vec![]),
            node("Add", &[IMAGES, "looked_up"], "checked_images", vec![]),
        ];
        graph.node.splice(0..0, checks);
        graph
            .initializer
            .extend([number("white", 2.6), number("steep", 1e6), number("table", 0.0)]);
        let path = scratch().join("failing.onnx");
        std::fs::write(&path, model.encode_to_vec()).unwrap();
        path
    });
    &MODEL
}

fn small_network() -> Architecture {
    let stage = Stage {
        blocks: 1,
        width: 8,
        channels: 8,
    };
    Architecture {
        block: Block::Basic,
        stem: 8,
        stages: [stage; 4],
        fpn: 8,
        class_head: [16, 16],
        pose_head: [16, 16],
        pose_hidden: 16,
    }
}

/// A safetensors file: length of the header, header in JSON, tensors.
fn checkpoint_bytes(network: &Architecture) -> Vec<u8> {
    let mut random = Random(0x1357_9bdf);
    let mut header = serde_json::Map::new();
    let mut data: Vec<u8> = Vec::new();
    for (name, shape) in network.tensors() {
        let count: usize = shape.iter().product();
        let fan_in = count / shape[0];
        let begin = data.len();
        for _ in 0..count {
            let value = match name.rsplit('.').next() {
                Some("running_var") => 1.0 + 0.2 * random.next(),
                Some("running_mean" | "bias") => 0.1 * random.next(),
                Some("weight") if shape.len() == 1 => 1.0 + 0.2 * random.next(),
                _ => random.next() * 1.7 / (fan_in as f32).sqrt(),
            };
            data.write_all(&value.to_le_bytes()).unwrap();
        }
        let entry = serde_json::json!({
            "dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()],
        });
        header.insert(name, entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(data);
    file
}

/// Numbers between -1 and 1, the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 / (1u64 << 23) as f32) - 1.0
    }
}
