//! What the worker needs of a face detector.
//!
//! A trait, so that the threads around the detector can be tested with networks that stall, fail and count.

use std::sync::Arc;

use img2pose::frame::{Frame, FrameLayout};
use img2pose::{CudaFrame, Face, Selection};

/// Why a run gave no faces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was stopped on purpose; nobody waits for its results.
    Cancelled,
    /// It failed, with the cause in words.
    Failed(String),
    /// The server that runs the network does not answer.
    #[cfg(feature = "remote")]
    Outage {
        /// Why, in words.
        cause: String,
        /// Counts the outages of this network, from 1.
        number: u64,
    },
}

/// A loaded model.
pub trait Network: Send + 'static {
    /// Frames of one layout, ready for the network.
    type Batch: Send + 'static;
    /// What other threads can do while the network runs.
    type Handle: NetworkHandle<Batch = Self::Batch>;

    /// A handle on this network.
    fn handle(&self) -> Self::Handle;

    /// Finds the faces of each frame of the batch.
    fn run(&mut self, batch: &Self::Batch) -> Result<Vec<Vec<Face>>, Failure>;

    /// Changes which faces are reported from the next run on.
    fn select(&mut self, selection: Selection) -> Result<(), String>;
}

/// The part of a network that can be used from any thread, also while it runs.
pub trait NetworkHandle: Send + Sync + 'static {
    /// Frames of one layout, ready for the network.
    type Batch: Send + 'static;
    /// The place of a frame in a batch, to be filled.
    type Slot;
    /// What is remembered of the frames of one client from batch to batch.
    type Stream: Default + Send + Sync + 'static;

    /// An empty batch for up to `capacity` frames of `layout`.
    fn new_batch(&self, layout: FrameLayout, capacity: usize) -> Result<Self::Batch, String>;

    /// Takes the next slot of the batch; returns its index too.
    fn reserve(batch: &mut Self::Batch) -> Result<(usize, Self::Slot), String>;

    /// Converts a frame of `stream` into a slot. When that fails, the slot stays in the batch and holds no frame. Slots are converted
    /// side by side.
    fn convert(slot: Self::Slot, frame: &Frame<'_>, stream: &Arc<Self::Stream>) -> Result<(), String>;

    /// Whether batches for `layout` take frames from the memory of an NVIDIA GPU.
    fn takes_cuda_frames(&self, _layout: &FrameLayout) -> bool {
        false
    }

    /// Copies a frame that lies in such memory into a slot. When that fails, the slot is still to be filled.
    ///
    /// # Errors
    /// In words.
    fn copy_cuda(_slot: &mut Self::Slot, _frame: &CudaFrame<'_>) -> Result<(), String> {
        Err("the network takes no frames from there".to_owned())
    }

    /// Takes over a frame that another batch has converted.
    fn push_from(batch: &mut Self::Batch, from: &Self::Batch, slot: usize) -> Result<usize, String>;

    /// Forgets the frames of the batch and keeps its memory.
    fn clear(batch: &mut Self::Batch);

    /// Makes the run that is going on, and every later one, end soon with [`Failure::Cancelled`].
    fn cancel(&self);

    /// Takes [`cancel`](Self::cancel) back.
    fn reset(&self);
}
