//! Checkpoint in, ONNX model out.

use std::fs;
use std::path::{Path, PathBuf};

use img2pose::contract::Contract;

use crate::architecture::Architecture;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::graph::{self, Storage};
use crate::statistics::PoseStatistics;
use crate::write;

/// What a conversion needs beside the checkpoint.
#[derive(Clone, Debug)]
pub struct Options {
    /// Statistics of the training poses.
    pub statistics: PoseStatistics,
    /// Epsilon of the frozen batch norm of the body. torchvision 0.8, which trained the published weights, used 0;
    /// later versions use 1e-5.
    pub batch_norm_epsilon: f64,
    /// Default size in pixels of the short side, written to the contract.
    pub min_size: u32,
    /// Largest size in pixels of the long side, written to the contract.
    pub max_size: u32,
    /// Licence of the weights, written to the contract.
    pub licence: String,
    /// How the weights are stored.
    pub storage: Storage,
}

/// What a conversion did.
#[derive(Clone, Debug)]
pub struct Report {
    /// The network.
    pub architecture: Architecture,
    /// The facts that were written into the model.
    pub contract: Contract,
    /// Count of the weights read.
    pub parameters: usize,
    /// Tensors of the checkpoint that the network does not have.
    pub unused: Vec<String>,
    /// Size of the model file.
    pub bytes: u64,
}

/// Converts the checkpoint at `from` to an ONNX model at `to` that keeps the contract
/// ([`img2pose::contract`]).
///
/// The model appears at `to` when it is complete; when something fails, nothing is left and what was there before
/// stays.
///
/// # Errors
/// See [`Error`]: everything that can be wrong with the checkpoint, and an output that cannot be written.
pub fn convert(from: &Path, to: &Path, options: &Options) -> Result<Report> {
    refuse_same_file(from, to)?;
    let checkpoint = Checkpoint::open(from)?;
    let architecture = Architecture::of(&checkpoint)?;
    let PoseStatistics { mean, stddev } = options.statistics;
    let contract = Contract {
        min_size: options.min_size,
        max_size: options.max_size,
        batch_norm_epsilon: options.batch_norm_epsilon,
        source_sha256: checkpoint.sha256()?,
        licence: options.licence.clone(),
        ..Contract::reference(&architecture.name(), mean, stddev)
    };
    let graph = graph::build(&architecture, &contract, options.storage);
    let bytes = write::write(to, graph, &contract, &checkpoint)?;
    let (parameters, unused) = architecture.usage(&checkpoint);
    Ok(Report {
        architecture,
        contract,
        parameters,
        unused,
        bytes,
    })
}

fn refuse_same_file(from: &Path, to: &Path) -> Result<()> {
    let real = |path: &Path| -> Option<PathBuf> { fs::canonicalize(path).ok() };
    match (real(from), real(to)) {
        (Some(a), Some(b)) if a == b => Err(Error::OutputIsInput { path: to.to_owned() }),
        _ => Ok(()),
    }
}
