//! Stopping a run of the network from another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ort::session::RunOptions;

/// Stops a running detection from another thread.
#[derive(Clone)]
pub struct Canceller {
    cancelled: Arc<AtomicBool>,
    options: Arc<RunOptions>,
}

impl Canceller {
    pub(crate) fn new() -> ort::Result<Self> {
        Ok(Self {
            cancelled: Arc::new(AtomicBool::new(false)),
            options: Arc::new(RunOptions::new()?),
        })
    }

    /// Makes a running detection, and every later one until [`reset`](Self::reset), fail with
    /// [`Error::Cancelled`](crate::Error::Cancelled). Returns at once.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        // Cannot fail: ONNX Runtime only sets a flag.
        let _ = self.options.terminate();
    }

    /// Lets detections run again.
    pub fn reset(&self) {
        let _ = self.options.unterminate();
        self.cancelled.store(false, Ordering::SeqCst);
    }

    /// Whether [`cancel`](Self::cancel) was called and [`reset`](Self::reset) was not since.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// What a run of ONNX Runtime is to be given, so that it can be stopped.
    pub(crate) fn run_options(&self) -> &RunOptions {
        &self.options
    }
}

impl std::fmt::Debug for Canceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Canceller")
            .field("is_cancelled", &self.is_cancelled())
            .finish()
    }
}
