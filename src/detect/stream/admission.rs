//! What comes in: frames that have room, and events between them.

use std::sync::Arc;
use std::time::Duration;

use super::State;
use super::filling::{Joined, Next, Passed};
use super::incoming::Choice;
use super::pending::{Admission, Pending, Source};
use crate::detect::orientation::Orientation;
use crate::detect::queue::{Item, starts_anew};
use crate::detect::settings::Intake;
use crate::detect::stats::Way;
use crate::video::InputFormat;

/// Frames of another kind.
pub struct FormatChange {
    /// What they were before; `None`: they are the first.
    pub old: Option<Arc<InputFormat>>,
    /// What they are from now on.
    pub new: Arc<InputFormat>,
}

impl State {
    /// A frame comes.
    pub fn arrive(&mut self) {
        self.incoming.arrive();
        self.filling.arrive();
    }

    /// The frame that has come is in the queue, or refused.
    pub fn settle(&mut self) {
        self.incoming.settle();
    }

    /// Whether another frame can be taken.
    pub fn has_room(&self, intake: &Intake) -> bool {
        self.outgoing.queued() < intake.capacity
            && (self.filling.open().is_some()
                || self.outgoing.unfinished_batches() <= intake.max_queued_batches)
    }

    /// Whether the frame that leaves next is in the open batch.
    pub fn waits_for_open_batch(&self) -> bool {
        match (self.filling.open(), self.outgoing.front()) {
            (Some(open), Some(Item::Frame(frame))) => frame.unfinished_batch() == Some(open),
            _ => false,
        }
    }

    /// Decides whether a frame of `format` that arrives now is inferred, see [`Incoming::choose`].
    pub fn admit(
        &mut self,
        format: &Arc<InputFormat>,
        running_time: Option<gst::ClockTime>,
        intake: &Intake,
    ) -> Admission {
        let choice = self
            .incoming
            .choose(format, intake.inference_interval, intake.reuse_faces);
        match choice {
            Choice::Skip => Admission::Pass(Source::Skipped),
            Choice::Infer { needed: false } if intake.qos && self.pace.is_late(running_time) => {
                Admission::Pass(Source::Late)
            }
            Choice::Infer { needed } => {
                let stream = self.record.watched().clone();
                if self.incoming.is_beginning() {
                    stream.begin_anew();
                }
                self.incoming.submit(format.clone());
                Admission::Infer { needed, stream }
            }
        }
    }

    /// The frame that has come is in its batch, or goes into none. It comes into the queue next.
    ///
    /// # Errors
    /// When it may not any more.
    pub fn end_submission(&mut self) -> Result<(), gst::FlowError> {
        self.incoming.submitted();
        self.flow.result().map(drop)
    }

    /// Queues a frame that is not inferred. `None`: no batch is open.
    pub fn queue_passing(&mut self, frame: Pending) -> Option<Passed> {
        self.queue_frame(frame);
        self.filling.pass()
    }

    /// Queues a frame that has got into a batch on `way`; `converted`: how long that took.
    pub fn queue_joined(&mut self, frame: Pending, joined: Joined, converted: Duration, way: Way) -> Next {
        self.queue_frame(frame);
        self.record.stats().converted(way, converted);
        self.filling.join(joined)
    }

    fn queue_frame(&mut self, frame: Pending) {
        self.record.stats().frames_in += 1;
        self.outgoing.push_frame(frame);
    }

    /// A frame could not be read. Returns whether an error is to be posted.
    pub fn reject_frame(&mut self) -> bool {
        self.incoming.submitted();
        self.flow.reject_frame()
    }

    /// Whether `event` begins something new that downstream may want although it has returned EOS.
    pub fn resume(&mut self, event: &gst::EventRef) -> bool {
        starts_anew(event) && self.flow.resume()
    }

    /// Takes note of a serialized event and queues it. `format`: what it says of the frames after it, to be turned as
    /// `orientation` says; returned as a change.
    ///
    /// # Errors
    /// When it may not come in. What it says of the stream holds all the same.
    pub fn queue_event(
        &mut self,
        event: gst::Event,
        format: Option<&InputFormat>,
        orientation: Orientation,
    ) -> Result<Option<FormatChange>, gst::FlowError> {
        self.incoming.read_event(&event);
        match event.type_() {
            gst::EventType::StreamStart => {
                self.flow.begin_stream();
                self.pace.begin_stream();
            }
            gst::EventType::Segment => self.pace.set_earliest(None),
            _ => {}
        }
        self.flow.admit_event(&event)?;
        if event.type_() == gst::EventType::Eos {
            self.flow.end_entry();
        }
        let change = format.map(|format| {
            let (old, new) = self.incoming.set_format(format, orientation);
            FormatChange { old, new }
        });
        self.outgoing.push_event(event);
        Ok(change)
    }
}
