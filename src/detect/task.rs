//! The task of the source pad: takes what is ready out of the queue and pushes it.

use std::time::{Duration, Instant};

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::CAT;
use super::batcher::BatchId;
use super::imp::Img2PoseDetect;
use super::network::Failure;
use super::queue::Item;
use super::stream::{Departure, Pending, Source, Stream, Turn};
use super::worker::Run;
use crate::meta::{self, FrameFaces};

impl Img2PoseDetect {
    /// Lets frames flow and starts the task.
    pub(super) fn start_task(&self) -> bool {
        self.stream.lock().start();
        // Weak: GStreamer 1.22 leaks the function if there is a task already.
        let imp = self.downgrade();
        let started = self.srcpad.start_task(move || {
            if let Some(imp) = imp.upgrade() {
                let alive = gst::panic_to_error!(&*imp, false, {
                    imp.src_loop();
                    true
                });
                if !alive {
                    imp.stop_after_panic();
                }
            }
        });
        if let Err(error) = &started {
            gst::error!(CAT, imp = self, "cannot start the task: {error}");
            self.stream.lock().flow.stop();
        }
        started.is_ok()
    }

    /// Ends the stream after a panic, which has been posted as an error; the task would only find it again and again.
    fn stop_after_panic(&self) {
        self.stream.lock().stop_after_panic();
        self.stream.notify();
        let _ = self.srcpad.pause_task();
    }

    /// Waits until the task has left its function, and ends it. [`set_flushing`](Self::set_flushing) comes first.
    pub(super) fn end_task(&self) {
        let is_task = self.stream.lock().outgoing.is_task();
        let ended = if is_task {
            // Somebody downstream seeks out of the thread that brings the frames. It cannot wait for itself.
            self.srcpad.pause_task()
        } else {
            self.srcpad.stop_task()
        };
        if let Err(error) = ended {
            gst::error!(CAT, imp = self, "cannot end the task: {error}");
        }
    }

    /// One round of the task: waits for the item whose turn it is and pushes it.
    fn src_loop(&self) {
        let Some(item) = self.next_item() else {
            return;
        };
        let flow = match item {
            Item::Event(event) => {
                gst::log!(CAT, imp = self, "pushing {event:?}");
                self.stream.lock().event_leaves(&event);
                self.srcpad.push_event(event);
                Ok(gst::FlowSuccess::Ok)
            }
            Item::Frame(frame) => self.push_frame(frame),
        };
        self.item_left(flow);
    }

    /// Waits until the front of the queue is ready to leave. `None`: the task has nothing to do any more and pauses.
    fn next_item(&self) -> Option<Item<Pending>> {
        let mut state = self.stream.lock();
        state.outgoing.enter_task();
        loop {
            match state.next_turn() {
                Turn::Wait => state = Stream::wait(&self.stream.ready, state),
                Turn::Push(item) => {
                    drop(state);
                    // There is room from now on, however long downstream takes for this item.
                    self.stream.left.notify_all();
                    break Some(item);
                }
                Turn::Pause(error) => {
                    drop(state);
                    // The stream may have come to its end just now.
                    self.stream.notify();
                    gst::debug!(CAT, imp = self, "the task pauses: {error:?}");
                    let _ = self.srcpad.pause_task();
                    break None;
                }
            }
        }
    }

    /// Attaches the faces to a frame and pushes it.
    fn push_frame(&self, frame: Pending) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Pending {
            mut buffer,
            format,
            source,
            ..
        } = frame;
        self.first_frame_leaves();
        let failed = self.stream.lock().flow.has_failed();
        match source {
            // Whatever its batch came to: what a frame gets must not depend on how fast downstream was.
            _ if failed => {}
            Source::Batch(ticket) => match ticket.take() {
                Some(Ok((faces, run))) => {
                    self.count_run(ticket.batch(), run);
                    let found = FrameFaces::new(&format.info, faces).turned(format.layout.view.orientation);
                    self.attach(&mut buffer, &format.info, found);
                }
                Some(Err(Failure::Failed(cause))) => self.fail(&format!("inference failed: {cause}")),
                Some(Err(Failure::Cancelled)) if img2pose::process_is_ending() => {
                    // Nothing is inferred any more, and frames that were not must not look as if they showed nobody. So the
                    // stream ends, as a recording behind the element needs it.
                    gst::debug!(CAT, imp = self, "the process ends, and the stream with it");
                    self.srcpad.push_event(gst::event::Eos::new());
                    return Err(gst::FlowError::Eos);
                }
                Some(Err(Failure::Cancelled)) => {
                    gst::debug!(CAT, imp = self, "result of an old generation thrown away");
                    return Err(gst::FlowError::Flushing);
                }
                #[cfg(feature = "remote")]
                Some(Err(Failure::Outage { cause, number })) => self.pass_unreached(&cause, number),
                // It leaves before its batch has run only when another one has failed, see above.
                None => {}
            },
            Source::Skipped => {
                self.stream.lock().record.stats().skipped += 1;
                self.reuse_faces(&mut buffer, &format.info);
            }
            Source::Late => {
                self.stream.lock().record.stats().late += 1;
                self.reuse_faces(&mut buffer, &format.info);
            }
        }
        gst::trace!(CAT, imp = self, "pushing {buffer:?}");
        let began = Instant::now();
        let flow = self.srcpad.push(buffer);
        let mut state = self.stream.lock();
        let stats = state.record.stats();
        stats.push.add(began.elapsed());
        stats.frames_out += u64::from(flow.is_ok());
        flow
    }

    /// A frame that no server has looked at leaves.
    #[cfg(feature = "remote")]
    fn pass_unreached(&self, cause: &str, number: u64) {
        if self.settings().load.server.on_outage == super::settings::OnOutage::Error {
            self.fail(&format!("inference failed: {cause}"));
            return;
        }
        let is_new = {
            let mut state = self.stream.lock();
            let stats = state.record.stats();
            stats.unreached += 1;
            // Those that began while nothing of this stream was there are none of its own.
            let is_new = number > stats.last_outage;
            stats.last_outage = number;
            stats.outages += u64::from(is_new);
            is_new
        };
        if is_new {
            gst::element_imp_warning!(
                self,
                gst::ResourceError::Failed,
                ["{cause}. Frames pass without faces until it answers"]
            );
        }
    }

    /// The sink has what it needs for its preroll from now on.
    fn first_frame_leaves(&self) {
        let first = self.stream.lock().outgoing.leave();
        if first {
            self.apply_patience();
        }
    }

    /// Attaches the faces of a frame that was inferred.
    fn attach(&self, buffer: &mut gst::Buffer, info: &gst_video::VideoInfo, faces: FrameFaces) {
        let began = Instant::now();
        // A buffer that others hold too is replaced by one with the same memory; pixels are not copied.
        let attached = meta::attach_with_likeness(buffer.make_mut(), info, &faces);
        if let Err(error) = attached {
            self.fail(&format!("the faces cannot be attached: {error}"));
            return;
        }
        self.stream.lock().faces_leave(faces, began.elapsed());
    }

    /// Attaches the faces of the last frame that was inferred, if the user wants that.
    fn reuse_faces(&self, buffer: &mut gst::Buffer, info: &gst_video::VideoInfo) {
        if !self.settings().reuse_faces {
            return;
        }
        // They mean nothing in a frame of another size. The first one of another size is inferred; this is for one that is too
        // late for that.
        let is_same = |last: &FrameFaces| {
            (last.frame_width, last.frame_height, last.pixel_aspect_ratio)
                == (info.width(), info.height(), info.par())
        };
        let last = self.stream.lock().outgoing.last_faces().cloned();
        let Some(mut faces) = last.filter(is_same) else {
            return;
        };
        faces.reused = true;
        if let Err(error) = meta::attach_with_likeness(buffer.make_mut(), info, &faces) {
            self.fail(&format!("the faces cannot be attached: {error}"));
        }
    }

    /// Takes note of a run, once for its first frame here.
    fn count_run(&self, batch: BatchId, run: Run) {
        // A model of its own is kept busy by this stream alone; one that is shared makes it wait for others.
        let delay = match self.shares_model() {
            true => run.waited + run.duration,
            false => run.duration,
        };
        let counted = self.stream.lock().count_run(batch, &run, delay);
        let Some(promise_changed) = counted else {
            return;
        };
        gst::debug!(
            CAT,
            imp = self,
            "{batch:?} took {:?} for {} frames, it ran because: {:?}",
            run.duration,
            run.frames,
            run.cause
        );
        if promise_changed {
            self.post_latency();
        }
    }

    /// Posts the error; the frames that are queued leave without faces, and then the stream ends.
    fn fail(&self, message: &str) {
        // Before upstream can learn of the failure: the first error that a user sees should name the cause.
        self.post_error(&gst::error_msg!(gst::LibraryError::Failed, ("{message}")));
        self.stream.lock().flow.fail();
    }

    /// Reports what became of an item to everyone who waits for it.
    fn item_left(&self, flow: Result<gst::FlowSuccess, gst::FlowError>) {
        let (departure, is_eos) = {
            let mut state = self.stream.lock();
            let is_eos = state.flow.has_ended();
            (state.end_push(flow), is_eos)
        };
        self.stream.notify();
        match departure {
            Departure::Left => {}
            Departure::AtEos(unwanted) => {
                gst::debug!(
                    CAT,
                    imp = self,
                    "downstream is at EOS, {} frames dropped",
                    unwanted.len()
                );
            }
            Departure::Relinked => {
                gst::debug!(
                    CAT,
                    imp = self,
                    "the pad was linked while a frame was pushed to it unlinked"
                );
            }
            Departure::Refused(error) => gst::debug!(CAT, imp = self, "downstream returned {error:?}"),
        }
        self.post_stats();
        if let Err(error) = flow
            && is_eos
            && !matches!(error, gst::FlowError::Eos | gst::FlowError::Flushing)
        {
            // Upstream has sent its EOS and will not hear of the error.
            self.post_flow_error(error);
        }
    }

    /// Posts the statistics when it is time.
    fn post_stats(&self) {
        let interval = Duration::from(self.settings().stats_interval);
        let structure = {
            let mut state = self.stream.lock();
            if !state.record.is_due(interval) {
                return;
            }
            state.stats_structure()
        };
        let message = gst::message::Element::builder(structure)
            .src(&*self.obj())
            .build();
        // Without a bus nobody listens.
        let _ = self.obj().post_message(message);
    }

    /// Posts the error that a source posts when its task ends.
    pub(super) fn post_flow_error(&self, error: gst::FlowError) {
        self.post_error(&gst::error_msg!(
            gst::StreamError::Failed,
            ("Internal data stream error."),
            ["streaming stopped, reason {error} ({error:?})"]
        ));
    }
}
