//! Why a run failed, in sentences for the user.

use std::path::PathBuf;

use img2pose::text::printable;

/// Result of a part of a run.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a run failed. Every message is one line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was asked for cannot be.
    #[error("{}", printable(.0))]
    Usage(String),
    /// A file cannot be written.
    #[error("{}: {source}", img2pose::text::shown(path))]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file has nothing that GStreamer can decode.
    #[error(
        "{} holds no video that GStreamer can decode here: {}",
        printable(name),
        printable(reason)
    )]
    NoVideo {
        /// The file.
        name: String,
        /// What an element said, or what is missing.
        reason: String,
    },
    /// An element has failed.
    #[error("{}: {}: {}", printable(name), printable(element), printable(message))]
    Element {
        /// The source that was read.
        name: String,
        /// The element.
        element: String,
        /// Its text.
        message: String,
    },
}
