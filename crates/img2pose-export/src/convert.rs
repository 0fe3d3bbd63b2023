//! Checkpoint in, ONNX model out.

use std::path::{Path, PathBuf};
use std::{fs, io};

use img2pose::contract::Contract;

use crate::architecture::Architecture;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::graph::{self, Storage};
use crate::statistics::PoseStatistics;
use crate::write;

/// What a conversion needs beside the checkpoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
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

impl Options {
    /// For the weights of today's torchvision (epsilon 1e-5), with the sizes of the img2pose library (640, 1400), 32-bit floats, and
    /// a licence that is unknown.
    pub fn new(statistics: PoseStatistics) -> Self {
        let sizes = Contract::reference("", statistics.mean, statistics.stddev);
        Self {
            statistics,
            batch_norm_epsilon: sizes.batch_norm_epsilon,
            min_size: sizes.min_size,
            max_size: sizes.max_size,
            licence: "unknown".to_owned(),
            storage: Storage::default(),
        }
    }

    /// Sets the [epsilon](Self::batch_norm_epsilon) of the batch norm.
    pub fn with_batch_norm_epsilon(mut self, batch_norm_epsilon: f64) -> Self {
        self.batch_norm_epsilon = batch_norm_epsilon;
        self
    }

    /// Sets the default sizes of the [short](Self::min_size) and the [long](Self::max_size) side.
    pub fn with_sizes(mut self, min_size: u32, max_size: u32) -> Self {
        self.min_size = min_size;
        self.max_size = max_size;
        self
    }

    /// Sets the [licence](Self::licence) of the weights.
    pub fn with_licence(mut self, licence: impl Into<String>) -> Self {
        self.licence = licence.into();
        self
    }

    /// Sets how the weights are [stored](Self::storage).
    pub fn with_storage(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }
}

/// What a conversion did.
#[derive(Clone, Debug)]
#[non_exhaustive]
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
    /// Whether the checkpoint has names of torchvision 0.8 to 0.12, the first of which had no batch norm epsilon.
    pub old_names: bool,
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
    refuse_input(from, to)?;
    refuse_what_is_no_file(to)?;
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
    // What the element would refuse is not written.
    contract.validate().map_err(|fact| Error::Model {
        path: to.to_owned(),
        reason: format!("no detector could use it: {fact}"),
    })?;
    let graph = graph::build(&architecture, &contract, options.storage);
    let bytes = write::write(to, graph, &contract, &checkpoint)?;
    let (parameters, unused) = architecture.usage(&checkpoint);
    Ok(Report {
        architecture,
        contract,
        parameters,
        unused,
        old_names: checkpoint.has_old_names(),
        bytes,
    })
}

/// Fails when writing to `output` would replace `input`, under whatever name.
///
/// # Errors
/// [`Error::OutputIsInput`].
pub fn refuse_input(input: &Path, output: &Path) -> Result<()> {
    let real = |path: &Path| -> Option<PathBuf> { fs::canonicalize(path).ok() };
    match (real(input), real(output)) {
        (Some(a), Some(b)) if a == b => Err(Error::OutputIsInput {
            path: output.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Fails early where no model can be put. Root would otherwise replace a device such as `/dev/null` with it.
fn refuse_what_is_no_file(output: &Path) -> Result<()> {
    let refusal = match fs::metadata(output) {
        Ok(there) if there.is_dir() => "it is a folder, expected a file name".to_owned(),
        Ok(there) if !there.is_file() => "it is a device or pipe, expected a file name".to_owned(),
        Ok(_) => return Ok(()),
        Err(_) => match output.parent() {
            Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
                format!("there is no folder {}", folder.display())
            }
            _ => return Ok(()),
        },
    };
    Err(Error::write(output)(io::Error::other(refusal)))
}
