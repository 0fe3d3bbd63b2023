//! The sink pad: its activation, and what becomes of a frame that comes in.

use std::sync::Arc;
use std::time::Instant;

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::CAT;
use super::batcher::BatchId;
use super::imp::Img2PoseDetect;
use super::stream::{Admission, Joined, Next, Passed, Pending, Source, State, Stream};
use super::watcher::Watcher;
use super::worker::{Client, Submitted};
use crate::video::{self, InputFormat};

/// A frame that has room in the queue.
struct Admitted {
    format: Arc<InputFormat>,
    running_time: Option<gst::ClockTime>,
    /// Whether it is inferred.
    admission: Admission,
}

impl Img2PoseDetect {
    pub(super) fn sink_activate_mode(
        &self,
        pad: &gst::Pad,
        mode: gst::PadMode,
        active: bool,
    ) -> Result<(), gst::LoggableError> {
        if mode != gst::PadMode::Push {
            return Err(gst::loggable_error!(
                CAT,
                "only push mode is supported, not {mode:?}"
            ));
        }
        if !active {
            drop(self.set_flushing());
            // Wait for a chain or event function that is still in there; it may leave an event.
            let _stream_lock = pad.stream_lock();
            drop(self.set_flushing());
            let open = self.stream.lock().forget_upstream();
            drop(open);
        }
        Ok(())
    }

    /// Converts a frame into its batch and queues it.
    pub(super) fn sink_chain(
        &self,
        pad: &gst::Pad,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        gst::trace!(CAT, obj = pad, "received {buffer:?}");
        self.stream.lock().arrive();
        let flow = self.take_frame(pad, buffer);
        self.stream.lock().settle();
        flow
    }

    fn take_frame(&self, pad: &gst::Pad, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.ask_whether_live();
        let Admitted {
            format,
            running_time,
            admission,
        } = self.wait_for_room(&buffer)?;
        let client = self.client().ok_or(gst::FlowError::Flushing)?;
        let (needed, stream) = match admission {
            Admission::Infer { needed, stream } => (needed, stream),
            Admission::Pass(source) => {
                let frame = Pending {
                    buffer,
                    format,
                    running_time,
                    source,
                    needed: false,
                };
                match self.queue_frame(frame, State::queue_passing)? {
                    None => {}
                    // It is not inferred, but it shows that upstream is at work.
                    Some(Passed { open, whole: false }) => client.touch(open),
                    Some(Passed { open, whole: true }) => self.hurry(&client, open),
                }
                return Ok(gst::FlowSuccess::Ok);
            }
        };

        let began = Instant::now();
        let (submitted, way) = self.submit(&client, &format, &buffer, &stream);
        let Submitted {
            ticket,
            first_of_client,
            full,
        } = submitted.map_err(|cause| self.fail_on_frame(&buffer, &cause))?;
        let converted = began.elapsed();

        let batch = ticket.batch();
        let arrived = match first_of_client {
            true => self.obj().clock().map(|clock| clock.time()),
            false => None,
        };
        gst::trace!(CAT, obj = pad, "frame is in {batch:?}");
        if full {
            gst::debug!(CAT, imp = self, "a full batch closes {batch:?}");
        }
        let frame = Pending {
            buffer,
            format,
            running_time,
            source: Source::Batch(ticket),
            needed,
        };
        let joined = Joined {
            batch,
            first: first_of_client,
            full,
            time: arrived,
        };
        let queued = self.queue_frame(frame, |state, frame| {
            state.queue_joined(frame, joined, converted, way)
        });
        let Next { closed, timer, whole } = queued.inspect_err(|error| {
            if *error == gst::FlowError::Flushing {
                // The frame got into the batch after the others had been given up. Otherwise the queue has kept
                // frames that wait for their batches, this one among them; it is inferred for nothing.
                client.abandon();
            }
        })?;
        drop(closed);
        if let Some(time) = timer {
            self.start_timer(batch, time);
        }
        if whole {
            self.hurry(&client, batch);
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// Has `batch` run as soon as the model is free.
    fn hurry(&self, client: &Client<Watcher>, batch: BatchId) {
        gst::trace!(
            CAT,
            imp = self,
            "upstream waits for frames to leave, {batch:?} does not wait for more"
        );
        client.hurry(batch);
    }

    /// Has `queue` put a frame into the queue, unless the element is flushing.
    fn queue_frame<R>(
        &self,
        frame: Pending,
        queue: impl FnOnce(&mut State, Pending) -> R,
    ) -> Result<R, gst::FlowError> {
        let mut state = self.stream.lock();
        if let Err(error) = state.end_submission() {
            drop(state);
            gst::debug!(CAT, imp = self, "{error:?} while a frame came in");
            return Err(error);
        }
        let result = queue(&mut state, frame);
        drop(state);
        self.stream.ready.notify_all();
        Ok(result)
    }

    /// Blocks while the queue is full. Then says what the frame is, and whether it is inferred.
    fn wait_for_room(&self, buffer: &gst::BufferRef) -> Result<Admitted, gst::FlowError> {
        let mut state = self.stream.lock();
        loop {
            // Read again after each wait, which may be long.
            let intake = self.settings().intake();
            state.flow.admit_frame().inspect_err(|error| {
                gst::debug!(CAT, imp = self, "no frame is taken: {error:?}");
            })?;
            if state.has_room(&intake) {
                if let Some(orientation) = state.incoming.turn(intake.orientation) {
                    gst::info!(
                        CAT,
                        imp = self,
                        "frames are turned by {orientation:?} from now on"
                    );
                    drop(state);
                    // No frame joins those that are turned otherwise.
                    self.close_batch("another orientation");
                    state = self.stream.lock();
                    continue;
                }
                let Some(format) = state.incoming.format().cloned() else {
                    // Before a flush can come in between, in which nothing is posted.
                    let first = state.reject_frame();
                    drop(state);
                    self.end_on_frame(first, video::without_caps);
                    return Err(gst::FlowError::NotNegotiated);
                };
                let running_time = state.incoming.running_time(buffer);
                let admission = state.admit(&format, running_time, &intake);
                if matches!(admission, Admission::Pass(Source::Late)) {
                    gst::debug!(CAT, imp = self, "too late, not inferred: {buffer:?}");
                }
                return Ok(Admitted {
                    format,
                    running_time,
                    admission,
                });
            }
            if state.waits_for_open_batch() {
                // It cannot fill while the queue is full, and the queue cannot drain before it has run.
                drop(state);
                self.close_batch("a full queue");
                state = self.stream.lock();
                continue;
            }
            gst::trace!(
                CAT,
                imp = self,
                "{} frames queued, waiting",
                state.outgoing.queued()
            );
            state = Stream::wait(&self.stream.left, state);
        }
    }

    /// Asks upstream once a stream whether it is live.
    fn ask_whether_live(&self) {
        if !self.stream.lock().pace.is_liveness_open() {
            return;
        }
        let mut query = gst::query::Latency::new();
        let live = self.sinkpad.peer_query(&mut query) && query.result().0;
        gst::debug!(CAT, imp = self, "upstream is live: {live}");
        let before = self.stream.lock().pace.set_live(live);
        self.apply_patience();
        // Before the first stream the pipeline asks by itself.
        if before.is_some_and(|before| before != live) {
            self.post_latency();
        }
    }

    /// Ends the stream because of a frame that cannot be read. What is queued before it still leaves.
    fn fail_on_frame(&self, buffer: &gst::Buffer, cause: &str) -> gst::FlowError {
        let first = self.stream.lock().reject_frame();
        self.end_on_frame(first, || {
            gst::error_msg!(
                gst::StreamError::Failed,
                ("cannot read the frame at {}: {cause}", buffer.pts().display()),
                ["{buffer:?}"]
            )
        });
        gst::FlowError::Error
    }

    /// Ends the stream because of a frame that was rejected, and posts an error if it is the `first` of this stream. What is queued
    /// before the frame still leaves.
    fn end_on_frame(&self, first: bool, error: impl FnOnce() -> gst::ErrorMessage) {
        self.close_batch("a bad frame");
        if first {
            self.post_error_message(error());
        }
    }
}
