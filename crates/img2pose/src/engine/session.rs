//! Loading a part of the network into ONNX Runtime.

use std::path::Path;

use ort::logging::LogLevel;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use super::threads;
use crate::provider::Placement;
use crate::runtime::Runtime;
use crate::{Error, ending};

/// Loads the ONNX file in `bytes`; `model` and `name` say in messages what it is, `engines` is where the provider keeps what it
/// builds for it.
///
/// # Errors
/// What ONNX Runtime says, and [`Error::Cancelled`] when the process ends.
pub(super) fn load_session(
    model: &Path,
    runtime: &Runtime,
    placement: Placement,
    engines: Option<&Path>,
    name: &str,
    bytes: &[u8],
) -> Result<Session, Error> {
    if ending::process_is_ending() {
        // Loading a part cannot be stopped, so none is begun any more: the end waits for it.
        return Err(Error::Cancelled);
    }
    let _turn = placement.turn()?;
    let failed = |error| placement.failed(format!("load the {name} of {}", model.display()), error);
    let builder = begin(runtime, placement.threads, failed)?;
    placement
        .register(configured(builder).map_err(failed)?, runtime, engines)?
        .commit_from_memory(bytes)
        .map_err(failed)
}

/// The beginning of every session: with so many threads, which the system has, and quiet.
///
/// # Errors
/// [`Error::Threads`], and what `failed` makes of ONNX Runtime's.
pub(super) fn begin(
    runtime: &Runtime,
    threads: usize,
    failed: impl Fn(ort::Error) -> Error,
) -> Result<SessionBuilder, Error> {
    threads::try_out(threads)?;
    let mut builder = Session::builder(runtime.environment()).map_err(&failed)?;
    // What fails is said in our error. `ort` reads the variable, for those who want to read ONNX Runtime's own log.
    if std::env::var_os("ORT_LOG").is_none() {
        builder = builder
            .with_log_level(LogLevel::Fatal)
            .map_err(|error| failed(error.into()))?;
    }
    builder
        .with_intra_threads(threads)
        .map_err(|error| failed(error.into()))
}

fn configured(builder: SessionBuilder) -> ort::Result<SessionBuilder> {
    Ok(builder
        .with_optimization_level(GraphOptimizationLevel::All)?
        // Idle threads must not burn the processor that decoders and other streams need.
        .with_intra_op_spinning(false)?
        // A pattern is a second block of memory as large as all activations of a run, beside the arena that has grown
        // in the first one, for each input shape. It saves no time that could be measured.
        .with_memory_pattern(false)?)
}
