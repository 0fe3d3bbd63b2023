//! Stopping a run of the network from another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(feature = "remote")]
use std::sync::{Mutex, PoisonError};
#[cfg(feature = "remote")]
use std::task::{Poll, Waker};

use ort::session::RunOptions;

/// Stops a running detection from another thread.
#[derive(Clone)]
pub struct Canceller {
    cancelled: Arc<AtomicBool>,
    /// `None`: what is run needs no ONNX Runtime.
    options: Option<Arc<RunOptions>>,
    /// Who waits in [`cancelled`](Self::cancelled).
    #[cfg(feature = "remote")]
    waiting: Arc<Mutex<Option<Waker>>>,
}

impl Canceller {
    pub(crate) fn new() -> ort::Result<Self> {
        Ok(Self::with(Some(Arc::new(RunOptions::new()?))))
    }

    /// For runs elsewhere: nothing of ONNX Runtime is needed.
    #[cfg(feature = "remote")]
    pub(crate) fn without_runtime() -> Self {
        Self::with(None)
    }

    fn with(options: Option<Arc<RunOptions>>) -> Self {
        Self {
            cancelled: Arc::new(AtomicBool::new(false)),
            options,
            #[cfg(feature = "remote")]
            waiting: Arc::default(),
        }
    }

    /// Makes a running detection, and every later one until [`reset`](Self::reset), fail with
    /// [`Error::Cancelled`](crate::Error::Cancelled). Returns at once.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        if let Some(options) = &self.options {
            // Cannot fail: ONNX Runtime only sets a flag.
            let _ = options.terminate();
        }
        #[cfg(feature = "remote")]
        if let Some(waker) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waker.wake();
        }
    }

    /// Lets detections run again.
    pub fn reset(&self) {
        if let Some(options) = &self.options {
            let _ = options.unterminate();
        }
        self.cancelled.store(false, Ordering::SeqCst);
    }

    /// Whether [`cancel`](Self::cancel) was called and [`reset`](Self::reset) was not since.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// What a run of ONNX Runtime is to be given, so that it can be stopped.
    ///
    /// # Errors
    /// When this was made for runs elsewhere.
    pub(crate) fn run_options(&self) -> ort::Result<&RunOptions> {
        let options = self.options.as_deref();
        options.ok_or_else(|| ort::Error::new("the run was not set up for ONNX Runtime"))
    }

    /// Ends when [`cancel`](Self::cancel) is called, at once if it was called before. One at a time may wait: an engine runs one batch
    /// at a time.
    #[cfg(feature = "remote")]
    pub(crate) async fn cancelled(&self) {
        std::future::poll_fn(|context| {
            // First the waker, then the flag: `cancel` does it the other way round, so one of the two sees the other.
            *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
            match self.is_cancelled() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

impl std::fmt::Debug for Canceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Canceller")
            .field("is_cancelled", &self.is_cancelled())
            .finish()
    }
}
