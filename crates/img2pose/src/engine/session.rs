//! Loading a part of the network into ONNX Runtime.

use std::path::Path;

use ort::session::{Session, builder::GraphOptimizationLevel};

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
    let builder = builder(runtime, placement.threads).map_err(failed)?;
    placement
        .register(builder, runtime, engines)?
        .commit_from_memory(bytes)
        .map_err(failed)
}

fn builder(runtime: &Runtime, threads: usize) -> ort::Result<ort::session::builder::SessionBuilder> {
    Ok(Session::builder(&runtime.environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(threads)?
        // Idle threads must not burn the processor that decoders and other streams need.
        .with_intra_op_spinning(false)?
        // A pattern is a second block of memory as large as all activations of a run, beside the arena that has grown
        // in the first one, for each input shape. It saves no time that could be measured.
        .with_memory_pattern(false)?)
}
