//! What can go wrong between a model file and its faces.

use std::path::PathBuf;

use crate::failure::OnnxRuntimeFailure;
use crate::runtime::RuntimeError;
use crate::text::{one_line, printable, shown};

/// An error of the detector. Every message says what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model file cannot be read.
    #[error("cannot read the model {}: {source}", shown(path))]
    ReadModel {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is not an ONNX model at all.
    #[error("{} is not an ONNX model: {}", shown(path), printable(reason))]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        reason: String,
    },
    /// The file is an ONNX model, but not one that keeps the img2pose contract.
    #[error("{} is not a usable img2pose model: {}", shown(path), printable(reason))]
    Contract {
        /// The file.
        path: PathBuf,
        /// Which promise is broken: what was found and what was expected.
        reason: String,
    },
    /// The model file does not compute in the wanted precision.
    #[error("{} does not compute in {precision}: {}", shown(path), printable(reason))]
    Precision {
        /// The file.
        path: PathBuf,
        /// What was wanted.
        precision: &'static str,
        /// What it computes in, and what to do.
        reason: String,
    },
    /// ONNX Runtime cannot be loaded.
    #[error("{}", printable(&.0.to_string()))]
    Runtime(#[from] RuntimeError),
    /// The wanted execution provider cannot be had.
    #[error("execution provider '{provider}' cannot be used: {}", printable(reason))]
    Provider {
        /// Name of the provider.
        provider: &'static str,
        /// What is missing.
        reason: String,
    },
    /// ONNX Runtime refused to load or run a part of the model.
    #[error("ONNX Runtime failed to {action}: {}", one_line(&source.to_string()))]
    Inference {
        /// What was tried.
        action: String,
        /// The message of ONNX Runtime.
        source: OnnxRuntimeFailure,
    },
    /// A part of the model gave a tensor of another shape than the contract says.
    #[error(
        "{} gave '{}' of shape {found:?}, expected {expected}",
        shown(path),
        printable(tensor)
    )]
    OutputShape {
        /// The model file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Its shape.
        found: Vec<i64>,
        /// The shape it should have.
        expected: String,
    },
    /// The network computed infinity or not-a-number: its weights are damaged, or the precision is too low for them.
    #[error(
        "{} gave '{}' with infinity or not-a-number in it, computing in {precision}; {cure}",
        shown(path),
        printable(tensor)
    )]
    NotFinite {
        /// The model file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// The number format in use, as a user writes it.
        precision: &'static str,
        /// What to do.
        cure: &'static str,
    },
    /// There is no memory for what a frame needs on its way.
    #[error(
        "not enough memory for {what} ({megabytes} MB); lower the size that frames are resized to (min-size, max-size)"
    )]
    NoMemory {
        /// What the memory is for.
        what: &'static str,
        /// How much is needed, in units of 10^6 bytes, rounded up.
        megabytes: u64,
    },
    /// A frame cannot be converted.
    #[error(transparent)]
    Frame(#[from] crate::frame::FrameError),
    /// A batch has no free slot, or a frame of another layout was offered to it.
    #[error("the frame does not fit the batch: {0}")]
    Batch(String),
    /// A batch holds frames for a device that converts them, and the detector computes on the processor.
    #[error("the batch was made for a detector on a GPU; make it with this detector's batch_maker")]
    OtherDevice,
    /// NVIDIA's driver refused to copy frames that lie in the memory of a GPU.
    #[error("the GPU failed to {action}: {}", printable(reason))]
    Gpu {
        /// What was tried.
        action: &'static str,
        /// What the driver says.
        reason: String,
    },
    /// There is no memory for the frames of a batch.
    #[error(
        "not enough memory for a batch of {frames} frames of {width}x{height} pixels; lower the batch size, or the \
         size that frames are resized to (min-size, max-size)"
    )]
    OutOfMemory {
        /// Frames that the batch is to hold.
        frames: usize,
        /// Width in pixels of a resized and padded frame.
        width: u32,
        /// Height in pixels of a resized and padded frame.
        height: u32,
    },
    /// An inference server, or the model there, is not what is needed, or it refuses.
    #[error("inference server {}: {}", printable(server), printable(reason))]
    Server {
        /// Which server, and which model there.
        server: String,
        /// What was found, and what to do.
        reason: String,
    },
    /// An inference server has not answered in time, and is asked in the background until it does: batches fail at once until then.
    #[error(
        "inference server {} does not answer: {}",
        printable(server),
        printable(reason)
    )]
    Outage {
        /// Which server, and which model there.
        server: String,
        /// What came instead of an answer.
        reason: String,
        /// Counts the outages of this detector and its twins, from 1.
        number: u64,
    },
    /// The system has not as many threads as the detector is to have.
    #[error(
        "the system refuses {threads} threads ({}); lower num-threads, or raise what limits them (ulimit -u, ulimit -v, the \
         pids limit of a container)",
        printable(reason)
    )]
    Threads {
        /// How many were wanted at one time.
        threads: usize,
        /// What the system says.
        reason: String,
    },
    /// An option is out of its range.
    #[error("option {option} is {found}, expected {expected}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// Its value.
        found: String,
        /// The allowed range.
        expected: &'static str,
    },
    /// [`Canceller::cancel`](crate::Canceller::cancel) was called, or the process ends
    /// ([`process_is_ending`](crate::process_is_ending)).
    #[error("the detection was cancelled")]
    Cancelled,
}

impl Error {
    pub(crate) fn no_memory<T>(what: &'static str, count: usize) -> Self {
        let bytes = (count as u64).saturating_mul(size_of::<T>() as u64);
        Self::NoMemory {
            what,
            megabytes: bytes.div_ceil(1_000_000),
        }
    }

    /// ONNX Runtime failed to do what `action` says.
    pub(crate) fn failed_to(action: impl Into<String>, error: ort::Error) -> Self {
        Self::Inference {
            action: action.into(),
            source: OnnxRuntimeFailure::new(error),
        }
    }

    pub(crate) fn inference(action: impl Into<String>) -> impl FnOnce(ort::Error) -> Self {
        let action = action.into();
        move |error| Self::failed_to(action, error)
    }
}

/// Makes `values` hold `len` numbers; those that are new are 0.
///
/// # Errors
/// As [`reserve`].
pub(crate) fn resize(values: &mut Vec<f32>, len: usize, what: &'static str) -> Result<(), Error> {
    reserve(values, len, what)?;
    values.resize(len, 0.0);
    Ok(())
}

/// Makes room for `len` elements in all in `values`.
///
/// # Errors
/// [`Error::NoMemory`] when there is not so much memory, where [`Vec::reserve`] would end the process.
pub(crate) fn reserve<T>(values: &mut Vec<T>, len: usize, what: &'static str) -> Result<(), Error> {
    let more = len.saturating_sub(values.len());
    values
        .try_reserve(more)
        .map_err(|_| Error::no_memory::<T>(what, len))
}
