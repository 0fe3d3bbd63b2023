//! Why a command failed, in sentences for the user.

use std::path::PathBuf;

use img2pose::text::{printable, shown};

/// Result of a command.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a command failed. Every message is one line, in which texts of others are [printable].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read, converted, written or run.
    #[error(transparent)]
    Export(#[from] img2pose_export::Error),
    /// A model does not keep the contract, or does not run.
    #[error(transparent)]
    Detector(#[from] img2pose::Error),
    /// A model fails in ONNX Runtime.
    #[error(
        "{} does not run: {source}. Unless the machine is short of memory, make the model anew (img2pose convert), or get it again",
        shown(path)
    )]
    DoesNotRun {
        /// The file.
        path: PathBuf,
        /// What ONNX Runtime says.
        source: img2pose::Error,
    },
    /// The options of a command contradict one another.
    #[error("{}", printable(.0))]
    Usage(String),
    /// The licence text cannot be had.
    #[error("licence: {}", printable(.0))]
    Licence(String),
    /// A model repository cannot be written.
    #[error("{}", printable(.0))]
    Repository(String),
    /// `img2pose run` cannot hand over.
    #[error("{}", printable(.0))]
    Run(String),
    /// Faults of an installation, each of which was printed.
    #[error("{count} {}, see above", if *count == 1 { "fault" } else { "faults" })]
    Faults {
        /// How many.
        count: usize,
    },
}
