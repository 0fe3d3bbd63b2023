//! A frame on its way through the element.

use std::sync::Arc;

use crate::detect::batcher::BatchId;
use crate::detect::watcher::{Watched, WatcherBatch};
use crate::detect::worker::Ticket;
use crate::video::InputFormat;

/// A frame that has come and not left yet.
pub struct Pending {
    /// The buffer as it came.
    pub buffer: gst::Buffer,
    /// Format of the frame.
    pub format: Arc<InputFormat>,
    /// When it is to be shown; `None`: unknown.
    pub running_time: Option<gst::ClockTime>,
    /// Where its faces come from.
    pub source: Source,
    /// Whether the frames after it have no other faces to reuse, so that it is inferred even when it is late.
    pub needed: bool,
}

/// Where the faces of a frame come from.
pub enum Source {
    /// From a batch.
    Batch(Ticket<WatcherBatch>),
    /// It is not inferred, because of `inference-interval`.
    Skipped,
    /// It is not inferred, because it is too late for downstream.
    Late,
}

/// What becomes of a frame that comes in.
pub enum Admission {
    /// It is inferred.
    Infer {
        /// See [`Pending::needed`].
        needed: bool,
        /// What the network remembers of the frames before it.
        stream: Arc<Watched>,
    },
    /// It is not, and why.
    Pass(Source),
}

impl Pending {
    /// Whether the frame can leave.
    pub fn is_ready(&self) -> bool {
        self.unfinished_batch().is_none()
    }

    /// The batch that the frame waits for.
    pub fn unfinished_batch(&self) -> Option<BatchId> {
        match &self.source {
            Source::Batch(ticket) if !ticket.is_finished() => Some(ticket.batch()),
            _ => None,
        }
    }
}
