//! A small network with made-up weights, converted as a user converts a checkpoint.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use img2pose_export::architecture::{Architecture, Block, Stage};
use img2pose_export::statistics::PoseStatistics;
use img2pose_export::{Options, Storage, convert};

/// A folder of this test run.
pub fn scratch() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_CRATE_NAME"));
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
        let options = Options {
            statistics: PoseStatistics {
                mean: [0.0, 0.0, 0.0, 0.0, 0.0, 3.0],
                stddev: [0.3, 0.5, 0.2, 0.2, 0.2, 0.4],
            },
            batch_norm_epsilon: 1e-5,
            min_size: 64,
            max_size: 1400,
            licence: "made up for tests".to_owned(),
            storage: Storage::F32,
        };
        convert(&checkpoint, &model, &options).unwrap();
        model
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
