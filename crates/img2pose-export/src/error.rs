//! What can go wrong, in sentences for the user.

use std::io;
use std::path::{Path, PathBuf};

use img2pose::text::{one_line, printable, shown};

use crate::pickle_error::PickleError;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a file could not be read, converted, written or run. Every message is one line, in which texts of others are
/// [printable].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", shown(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", shown(path))]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The output would replace an input.
    #[error("{} is an input of the conversion; choose another output file", shown(path))]
    OutputIsInput {
        /// The file.
        path: PathBuf,
    },
    /// The file is in no format that is known here.
    #[error("{}: {}", shown(path), printable(reason))]
    Format {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// The pickle in a torch checkpoint is not plain data.
    #[error("{}: {}", shown(path), printable(&source.to_string()))]
    Pickle {
        /// The file.
        path: PathBuf,
        /// What the pickle holds.
        source: PickleError,
    },
    /// Tensors of the network are not in the checkpoint.
    #[error("{}: not an img2pose checkpoint: {}", shown(path), missing_text(missing, *expected))]
    MissingTensors {
        /// The file.
        path: PathBuf,
        /// Names that are missing.
        missing: Vec<String>,
        /// Number of tensors that the network has.
        expected: usize,
    },
    /// A tensor has another shape than the network needs.
    #[error(
        "{}: tensor {} has shape {found:?}, expected {expected:?}",
        shown(path),
        printable(name)
    )]
    WrongShape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits the other tensors.
        expected: Vec<usize>,
    },
    /// The numbers of a tensor cannot be had.
    #[error("{}: tensor {}: {}", shown(path), printable(name), printable(reason))]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The pose statistics cannot be had.
    #[error("pose statistics: {}", printable(.0))]
    Statistics(String),
    /// A model cannot be written, or is not what it should be.
    #[error("{}: {}", shown(path), one_line(reason))]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// [`Error::Read`] for `path`.
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Read {
            path: path.to_owned(),
            source,
        }
    }

    /// [`Error::Write`] for `path`.
    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write {
            path: path.to_owned(),
            source,
        }
    }

    /// [`Error::Format`] for `path`.
    pub(crate) fn format(path: &Path, reason: impl Into<String>) -> Self {
        Self::Format {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    /// [`Error::Tensor`] for the tensor `name` in `path`.
    pub(crate) fn tensor(path: &Path, name: &str, reason: impl Into<String>) -> Self {
        Self::Tensor {
            path: path.to_owned(),
            name: name.to_owned(),
            reason: reason.into(),
        }
    }
}

/// How many missing tensors are named before the rest is only counted.
const NAMED: usize = 3;

fn missing_text(missing: &[String], expected: usize) -> String {
    let named = missing[..missing.len().min(NAMED)].join(", ");
    let rest = match missing.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "{} of {expected} tensors are missing: {named}{rest}",
        missing.len()
    )
}
