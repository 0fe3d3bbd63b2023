//! `img2pose inspect`.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use img2pose::files;
use img2pose::text::brief;
use img2pose_export::architecture::Architecture;
use img2pose_export::checkpoint::Checkpoint;
use img2pose_export::contract::Facts;
use img2pose_export::statistics::PoseStatistics;
use img2pose_export::{Error, Model};
use img2pose_onnx::{MOST_BYTES, TensorProto, ValueInfoProto, data_type};
use prost::bytes::Bytes;

use crate::error::Result;
use crate::output;

/// Say what a checkpoint or a model is
///
/// It ends with 0 for every file that it can read, also where it says that a model is not usable: `img2pose check` judges, and
/// ends with 1 then.
#[derive(Args)]
pub struct Inspect {
    /// Checkpoint (.pth, .safetensors) or model (.onnx)
    file: PathBuf,
}

impl Inspect {
    pub fn run(self) -> Result<()> {
        if looks_like_a_checkpoint(&self.file)? {
            checkpoint(&self.file)
        } else {
            model(&self.file)
        }
    }
}

fn line(name: &str, value: impl std::fmt::Display) {
    output::line(format_args!("{name:<18} {value}"));
}

/// How many names of a list are printed before the rest is only counted.
const NAMED: usize = 20;

/// Characters of a name that are printed.
const NAME: usize = 120;

/// By the first bytes: a zip, a pickle, or a length and `{` as in safetensors. An ONNX file starts with `0x08`, the
/// key of its version, and has no `{` there.
fn looks_like_a_checkpoint(path: &Path) -> Result<bool> {
    let read = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let (file, len) = files::open(path).map_err(read)?;
    if len == 0 {
        return Err(Error::Format {
            path: path.to_owned(),
            reason: "an empty file, neither a checkpoint nor an ONNX model".to_owned(),
        }
        .into());
    }
    let mut start = Vec::new();
    file.take(9).read_to_end(&mut start).map_err(read)?;
    Ok(start.starts_with(b"PK") || start.first() == Some(&0x80) || start.get(8) == Some(&b'{'))
}

fn checkpoint(path: &Path) -> Result<()> {
    let checkpoint = Checkpoint::open(path)?;
    let architecture = Architecture::of(&checkpoint)?;
    line(
        "file",
        format!("{}: img2pose checkpoint, {}", path.display(), checkpoint.format()),
    );
    line("architecture", architecture.name());
    line("widths", widths(&architecture));
    let (parameters, unused) = architecture.usage(&checkpoint);
    line(
        "parameters",
        format!("{parameters} in {} tensors", architecture.tensors().len()),
    );
    if !unused.is_empty() {
        let named: Vec<_> = unused.iter().take(NAMED).map(String::as_str).collect();
        let more = match unused.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        line("not used", named.join(", ") + &more);
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    match PoseStatistics::find(folder) {
        Ok(Some((found, mean, _))) => {
            statistics(&found.mean, &found.stddev);
            line("", format!("from {} and its counterpart", mean.display()));
        }
        Ok(None) => line("pose statistics", "none beside the file"),
        Err(error) => line("pose statistics", error),
    }
    line("SHA-256", checkpoint.sha256()?);
    Ok(())
}

fn widths(architecture: &Architecture) -> String {
    let body = architecture
        .stages
        .map(|stage| stage.channels.to_string())
        .join(", ");
    format!(
        "body {body}; pyramid {}; class head {:?}; pose head {:?}, hidden {}",
        architecture.fpn, architecture.class_head, architecture.pose_head, architecture.pose_hidden
    )
}

fn statistics(mean: &[f64; 6], stddev: &[f64; 6]) {
    let text = |numbers: &[f64; 6]| numbers.map(|n| format!("{n:.4}")).join(" ");
    line("pose mean", text(mean));
    line("pose deviation", text(stddev));
}

fn model(path: &Path) -> Result<()> {
    let read = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let bytes = Bytes::from(files::read(path, MOST_BYTES).map_err(read)?);
    let size = bytes.len();
    let neither = |why: &str| Error::Format {
        path: path.to_owned(),
        reason: format!("neither a checkpoint nor an ONNX model: {why}"),
    };
    let proto = img2pose_onnx::decode(bytes.clone()).map_err(|why| neither(&why))?;
    let graph = proto
        .graph
        .as_ref()
        .filter(|graph| !graph.node.is_empty())
        .ok_or_else(|| neither("it contains no graph"))?;
    let made_by = [proto.producer_name(), proto.producer_version()].join(" ");
    line(
        "file",
        format!(
            "{}: ONNX model of {:.1} MB by {}",
            path.display(),
            size as f64 / 1e6,
            brief(&made_by, NAME)
        ),
    );
    let opsets: Vec<_> = proto
        .opset_import
        .iter()
        .map(|set| match set.domain() {
            "" => set.version().to_string(),
            domain => format!("{} {}", brief(domain, NAME), set.version()),
        })
        .take(NAMED)
        .collect();
    line(
        "opset",
        format!("{} (IR version {})", opsets.join(", "), proto.ir_version()),
    );
    for (what, values) in [("input", &graph.input), ("output", &graph.output)] {
        values
            .iter()
            .take(NAMED)
            .for_each(|value| line(what, value_text(value)));
        if let Some(more) = values.len().checked_sub(NAMED + 1) {
            line(what, format!("and {} more", more + 1));
        }
    }
    let weights: Vec<&TensorProto> = graph
        .initializer
        .iter()
        .filter(|tensor| is_weight(tensor))
        .collect();
    let count = |tensor: &&TensorProto| tensor.dims.iter().copied().fold(1, i64::saturating_mul);
    let stored_as = |element| weights.iter().filter(|t| t.data_type() == element).count();
    line(
        "weights",
        format!(
            "{} in {} tensors, {} of them stored as f16 and {} as int8; {} nodes",
            weights.iter().map(count).fold(0, i64::saturating_add),
            weights.len(),
            stored_as(data_type::FLOAT16),
            stored_as(data_type::INT8),
            graph.node.len()
        ),
    );
    match Model::parse(path, bytes) {
        Ok(model) => facts(model.facts()),
        Err(error) => line("contract", error),
    }
    Ok(())
}

/// Weights are named after their source; the graph's other constants are numbers of the algorithm, or say how the numbers
/// of a quantized weight are to be read.
fn is_weight(tensor: &TensorProto) -> bool {
    let name = tensor.name();
    let float = [data_type::FLOAT, data_type::FLOAT16].contains(&tensor.data_type());
    let constant = name.starts_with("constant_") || name.ends_with("_scale");
    name.ends_with("_quantized") || float && !constant
}

fn value_text(value: &ValueInfoProto) -> String {
    let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let element = match tensor.map(|t| t.elem_type()) {
        Some(data_type::FLOAT) => "f32".to_owned(),
        Some(data_type::INT64) => "i64".to_owned(),
        Some(data_type::FLOAT16) => "f16".to_owned(),
        other => format!("type {}", other.unwrap_or(0)),
    };
    let dims = tensor.and_then(|t| t.shape.as_ref()).map(|shape| {
        let dim = |d: &img2pose_onnx::DimensionProto| match d.dim_value {
            Some(size) => size.to_string(),
            None => brief(d.dim_param(), NAME).into_owned(),
        };
        shape
            .dim
            .iter()
            .take(NAMED)
            .map(dim)
            .collect::<Vec<_>>()
            .join(", ")
    });
    format!(
        "{} {element} [{}]",
        brief(value.name(), NAME),
        dims.unwrap_or_default()
    )
}

fn facts(facts: Facts<'_>) {
    line("contract", format!("version {}", facts.contract_version()));
    line("architecture", facts.architecture());
    let images = facts.images();
    line(
        "frame size",
        format!(
            "short side {}, long side at most {}",
            images.min_size, images.max_size
        ),
    );
    match facts {
        Facts::Img2pose(contract) => {
            statistics(&contract.pose_mean, &contract.pose_stddev);
            line("batch norm epsilon", contract.batch_norm_epsilon);
            line("source SHA-256", &contract.source_sha256);
        }
        Facts::FindAndLook(contract) => {
            line(
                "crops",
                format!("{0}x{0}, margin {1}", contract.crop_side, contract.crop_margin),
            );
            for (name, sha256) in contract.source_sha256.iter().take(NAMED) {
                let name = brief(name, NAME);
                line("source SHA-256", format!("{} ({name})", brief(sha256, NAME)));
            }
        }
        _ => {}
    }
    // Its lines are set in, so that none passes for another fact.
    for (number, text) in facts.licence().lines().enumerate() {
        line(if number == 0 { "licence" } else { "" }, text);
    }
}
