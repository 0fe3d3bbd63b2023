//! What comes in: what is known of the frames, and which of them are inferred.

use std::sync::Arc;

use img2pose::frame::Orientation as Turn;

use crate::detect::orientation::{Orientation, OrientationTags};
use crate::detect::queue::begins_anew;
use crate::video::InputFormat;

/// The frame that upstream brings now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Arrival {
    /// There is none.
    #[default]
    Nothing,
    /// It has come and is not in the queue yet.
    Arriving,
    /// It is, besides, on its way into a batch: the open one, or one that the queue does not know yet.
    Submitting,
}

/// What was decided about a frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Choice {
    /// It is inferred, and even when it is late if it is `needed`.
    Infer { needed: bool },
    /// It is left out by `inference-interval`.
    Skip,
}

/// The stream that comes in.
#[derive(Default)]
pub struct Incoming {
    /// Format of the frames that arrive, and how they are turned.
    format: Option<Arc<InputFormat>>,
    /// What the stream's tags say of which way up it is.
    tags: OrientationTags,
    /// Segment of the frames that arrive.
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    /// Frames that have arrived since the start of the stream, the last flush, or the last frame that had to be inferred;
    /// for `inference-interval`.
    position: u64,
    /// What the frames are whose faces are known or on their way; `None`: nothing was inferred since the stream began, was
    /// flushed, jumped or paused.
    inferred: Option<Arc<InputFormat>>,
    arrival: Arrival,
}

impl Incoming {
    /// Format of the frames that arrive.
    pub fn format(&self) -> Option<&Arc<InputFormat>> {
        self.format.as_ref()
    }

    /// When a buffer that arrives now is to be shown.
    pub fn running_time(&self, buffer: &gst::BufferRef) -> Option<gst::ClockTime> {
        self.segment.as_ref()?.to_running_time(buffer.pts())
    }

    /// A frame comes.
    pub(super) fn arrive(&mut self) {
        self.arrival = Arrival::Arriving;
    }

    /// The frame that has come is in the queue, or refused.
    pub(super) fn settle(&mut self) {
        self.arrival = Arrival::Nothing;
    }

    /// Whether nothing was inferred since the stream began, was flushed, jumped or paused.
    pub(super) fn is_beginning(&self) -> bool {
        self.inferred.is_none()
    }

    /// The frame that has come is on its way into a batch.
    pub(super) fn submit(&mut self, format: Arc<InputFormat>) {
        self.inferred = Some(format);
        self.arrival = Arrival::Submitting;
    }

    /// The frame that has come is in its batch, or goes into none.
    pub(super) fn submitted(&mut self) {
        if self.is_submitting() {
            self.arrival = Arrival::Arriving;
        }
    }

    /// Whether a frame has come that is not in the queue yet.
    pub(super) fn is_arriving(&self) -> bool {
        self.arrival != Arrival::Nothing
    }

    /// Whether a frame is on its way into a batch that the queue does not know of.
    pub(super) fn is_submitting(&self) -> bool {
        self.arrival == Arrival::Submitting
    }

    /// Takes note of what an event says of the frames after it.
    pub(super) fn read_event(&mut self, event: &gst::EventRef) {
        if begins_anew(event) {
            self.inferred = None;
        }
        match event.view() {
            gst::EventView::StreamStart(_) => {
                self.position = 0;
                self.tags = OrientationTags::default();
            }
            // Frames that come from now on are turned in that way, see `turn`.
            gst::EventView::Tag(tags) => self.tags.read(tags.tag()),
            // Without a segment in time there is no running time, and so no lateness.
            gst::EventView::Segment(segment) => {
                self.segment = segment.segment().downcast_ref().cloned();
            }
            _ => {}
        }
    }

    /// Frames are of this format from now on, to be turned as `orientation` says. Returns it, and the one before.
    pub(super) fn set_format(
        &mut self,
        format: &InputFormat,
        orientation: Orientation,
    ) -> (Option<Arc<InputFormat>>, Arc<InputFormat>) {
        let format = Arc::new(format.turned(orientation.resolve(self.tags)));
        (self.format.replace(format.clone()), format)
    }

    /// Turns the frames that come from now on as `orientation` and the tags say. Returns how, if that is a change.
    pub fn turn(&mut self, orientation: Orientation) -> Option<Turn> {
        let turn = orientation.resolve(self.tags);
        let format = self
            .format
            .as_mut()
            .filter(|format| format.layout.view.orientation != turn)?;
        *format = Arc::new(format.turned(turn));
        Some(turn)
    }

    /// Counts a frame of `format` and decides whether it is inferred.
    ///
    /// While faces are reused, the first one after a new beginning and after a change of the picture's size or shape always is,
    /// whatever the interval and however late: the frames after it have no other faces.
    pub(super) fn choose(&mut self, format: &InputFormat, interval: u64, reuse_faces: bool) -> Choice {
        let is_known = self.inferred.as_ref().is_some_and(|last| last.is_like(format));
        let needed = reuse_faces && !is_known;
        if needed {
            self.position = 0;
        }
        let is_skipped = !self.position.is_multiple_of(interval);
        self.position += 1;
        match is_skipped {
            true => Choice::Skip,
            false => Choice::Infer { needed },
        }
    }

    /// Forgets the stream but not the format and the tags; for flushes.
    pub(super) fn reset(&mut self) {
        self.segment = None;
        self.position = 0;
        self.inferred = None;
        self.submitted();
    }

    /// Forgets everything that upstream has said.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}
