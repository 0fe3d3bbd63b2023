//! Writes the first files of the corpora, small ones that the readers accept: `cargo +nightly run --bin seeds`.

use std::path::Path;

use img2pose_export::statistics::PoseStatistics;
use img2pose_export::{Options, convert};

#[path = "../crates/img2pose-export/tests/export/synthetic.rs"]
#[allow(dead_code)] // Written for the exporter's tests.
mod synthetic;

use synthetic::{Stored, Style};

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for target in ["checkpoint", "model"] {
        std::fs::create_dir_all(corpus.join(target)).unwrap();
    }
    let checkpoints = corpus.join("checkpoint");
    let architecture = synthetic::tiny();
    for (name, wrapped, stored) in [
        ("wrapped", true, Stored::F32),
        ("plain", false, Stored::F16),
        ("bf16", false, Stored::Bf16),
    ] {
        let style = Style {
            wrapped,
            stored,
            ..Default::default()
        };
        // The smallest tensors are enough: the reader knows nothing of the network.
        let mut entries = synthetic::entries(&architecture, &style);
        entries.sort_by_key(|(_, shape)| shape.iter().product::<usize>());
        entries.truncate(3);
        synthetic::write_pth(&checkpoints.join(format!("{name}.pth")), &entries, &style);
        synthetic::write_safetensors(&checkpoints.join(format!("{name}.safetensors")), &entries, &style);
    }

    // A whole model, the smallest that there is.
    let folder = std::env::temp_dir().join(format!("img2pose-seeds-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (checkpoint, whole) = (folder.join("tiny.safetensors"), folder.join("tiny.onnx"));
    let style = Style::default();
    let entries = synthetic::entries(&architecture, &style);
    synthetic::write_safetensors(&checkpoint, &entries, &style);
    let statistics = PoseStatistics {
        mean: [0.0, 0.0, 0.0, 0.0, 0.0, 3.0],
        stddev: [0.3, 0.5, 0.2, 0.2, 0.2, 0.4],
    };
    let options = Options::new(statistics)
        .with_sizes(64, 1400)
        .with_licence("made up for tests");
    convert(&checkpoint, &whole, &options).unwrap();
    let bytes = std::fs::read(&whole).unwrap();
    let path = corpus.join("model/tiny.onnx");
    std::fs::write(&path, bytes).unwrap();
    img2pose::Model::open(&path).expect("the seed is a model");
    std::fs::remove_dir_all(&folder).unwrap();
}
