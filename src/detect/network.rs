//! What the worker needs of a face detector.
//!
//! A trait, so that the threads around the detector can be tested with networks that stall, fail and count.

use img2pose::frame::{Frame, FrameLayout, NetworkSize};
use img2pose::{Batch, BatchMaker, Canceller, Detector, Error, Face, Selection, Slot};

/// Why a run gave no faces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was stopped on purpose; nobody waits for its results.
    Cancelled,
    /// It failed, with the cause in words.
    Failed(String),
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

    /// An empty batch for up to `capacity` frames of `layout`.
    fn new_batch(&self, layout: FrameLayout, capacity: usize) -> Result<Self::Batch, String>;

    /// Takes the next slot of the batch; returns its index too.
    fn reserve(batch: &mut Self::Batch) -> Result<(usize, Self::Slot), String>;

    /// Converts a frame into a slot. When that fails, the slot stays in the batch and holds no frame. Slots are converted
    /// side by side.
    fn convert(slot: Self::Slot, frame: &Frame<'_>) -> Result<(), String>;

    /// Takes over a frame that another batch has converted.
    fn push_from(batch: &mut Self::Batch, from: &Self::Batch, slot: usize) -> Result<usize, String>;

    /// Forgets the frames of the batch and keeps its memory.
    fn clear(batch: &mut Self::Batch);

    /// Makes the run that is going on, and every later one, end soon with [`Failure::Cancelled`].
    fn cancel(&self);

    /// Takes [`cancel`](Self::cancel) back.
    fn reset(&self);
}

/// The handle on a [`Detector`].
pub struct DetectorHandle {
    maker: BatchMaker,
    canceller: Canceller,
}

impl DetectorHandle {
    /// The sizes that a frame of `layout` is brought to.
    pub fn network_size(&self, layout: &FrameLayout) -> NetworkSize {
        self.maker.network_size(layout)
    }
}

impl Network for Detector {
    type Batch = Batch;
    type Handle = DetectorHandle;

    fn handle(&self) -> DetectorHandle {
        DetectorHandle {
            maker: self.batch_maker(),
            canceller: self.canceller(),
        }
    }

    fn run(&mut self, batch: &Batch) -> Result<Vec<Vec<Face>>, Failure> {
        self.detect_batch(batch).map_err(|error| match error {
            Error::Cancelled => Failure::Cancelled,
            error => Failure::Failed(error.to_string()),
        })
    }

    fn select(&mut self, selection: Selection) -> Result<(), String> {
        self.set_selection(selection).map_err(|error| error.to_string())
    }
}

impl NetworkHandle for DetectorHandle {
    type Batch = Batch;
    type Slot = Slot;

    fn new_batch(&self, layout: FrameLayout, capacity: usize) -> Result<Batch, String> {
        self.maker
            .new_batch(layout, capacity)
            .map_err(|error| error.to_string())
    }

    fn reserve(batch: &mut Batch) -> Result<(usize, Slot), String> {
        let slot = batch.reserve().map_err(|error| error.to_string())?;
        Ok((slot.index(), slot))
    }

    fn convert(slot: Slot, frame: &Frame<'_>) -> Result<(), String> {
        slot.convert(frame).map_err(|error| error.to_string())
    }

    fn push_from(batch: &mut Batch, from: &Batch, slot: usize) -> Result<usize, String> {
        batch.push_from(from, slot).map_err(|error| error.to_string())
    }

    fn clear(batch: &mut Batch) {
        batch.clear();
    }

    fn cancel(&self) {
        self.canceller.cancel();
    }

    fn reset(&self) {
        self.canceller.reset();
    }
}
