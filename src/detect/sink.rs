//! The sink pad: what the thread that delivers frames does.

use std::sync::Arc;
use std::time::Instant;

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::CAT;
use super::imp::Img2PoseDetect;
use super::input::InputFormat;
use super::latency::Patience;
use super::queue::{ends_batch, starts_anew};
use super::stream::{Pending, Stream};

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
            self.set_flushing();
            // Wait for a chain or event function that is still in there.
            let _stream_lock = pad.stream_lock();
            let mut state = self.stream.lock();
            state.reset();
            state.format = None;
            state.live = None;
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
        self.ask_whether_live();
        let format = self.wait_for_room()?;
        let client = self.client().ok_or(gst::FlowError::Flushing)?;

        let began = Instant::now();
        let submitted = format
            .read_frame(&buffer, |frame| client.submit(frame))
            .and_then(|submitted| submitted)
            .map_err(|cause| self.fail_on_frame(&buffer, &cause))?;
        let converted = began.elapsed();

        let batch = submitted.ticket.batch();
        let timer = {
            let mut state = self.stream.lock();
            if let Err(error) = state.flow {
                drop(state);
                // The frame got into the batch after the others had been given up.
                client.abandon();
                gst::debug!(CAT, obj = pad, "{error:?} while the frame was converted");
                return Err(error);
            }
            gst::trace!(CAT, obj = pad, "slot in {batch:?}, full: {}", submitted.full);
            state.stats.frames_in += 1;
            state.stats.convert.add(converted);
            state.queue.push_frame(Pending {
                buffer,
                format,
                ticket: submitted.ticket,
            });
            let old = (submitted.first_of_client || submitted.full).then(|| state.timer.take());
            state.open = (!submitted.full).then_some(batch);
            let wait = match state.patience {
                Patience::For(time) if state.open.is_some() && state.timer.is_none() => Some(time),
                _ => None,
            };
            drop(state);
            drop(old);
            wait
        };
        self.stream.ready.notify_all();
        if let Some(time) = timer {
            self.start_timer(batch, time);
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// Blocks while the queue is full. Returns the format of the next frame.
    fn wait_for_room(&self) -> Result<Arc<InputFormat>, gst::FlowError> {
        let settings = self.settings().clone();
        let mut state = self.stream.lock();
        loop {
            if state.eos {
                gst::debug!(CAT, imp = self, "frame after EOS");
                return Err(gst::FlowError::Eos);
            }
            state.flow?;
            if state.failed {
                return Err(gst::FlowError::Error);
            }
            if state.has_room(&settings) {
                return state.format.clone().ok_or_else(|| {
                    gst::error!(CAT, imp = self, "frame before caps");
                    gst::FlowError::NotNegotiated
                });
            }
            if state.waits_for_open_batch() {
                // It cannot fill while the queue is full, and the queue cannot drain before it has run.
                drop(state);
                self.close_batch("a full queue");
                state = self.stream.lock();
                continue;
            }
            gst::trace!(CAT, imp = self, "{} frames queued, waiting", state.queue.frames());
            state = Stream::wait(&self.stream.left, state);
        }
    }

    /// Asks upstream once whether it is live.
    fn ask_whether_live(&self) {
        if self.stream.lock().live.is_some() {
            return;
        }
        let mut query = gst::query::Latency::new();
        let live = self.sinkpad.peer_query(&mut query) && query.result().0;
        gst::debug!(CAT, imp = self, "upstream is live: {live}");
        self.stream.lock().live = Some(live);
        self.apply_patience();
    }

    /// Ends the stream because of a frame that cannot be read. What is queued before it still leaves.
    fn fail_on_frame(&self, buffer: &gst::Buffer, cause: &str) -> gst::FlowError {
        self.close_batch("a bad frame");
        let pts = buffer.pts();
        self.post_error(&gst::error_msg!(
            gst::StreamError::Failed,
            ("cannot read the frame at {}: {cause}", pts.display()),
            ["{buffer:?}"]
        ));
        gst::FlowError::Error
    }

    pub(super) fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        gst::log!(CAT, obj = pad, "received {event:?}");
        match event.view() {
            gst::EventView::FlushStart(_) => {
                let forwarded = self.srcpad.push_event(event);
                self.set_flushing();
                // Returns when the task has left its function.
                if let Err(error) = self.srcpad.pause_task() {
                    gst::error!(CAT, obj = pad, "cannot pause the task: {error}");
                }
                forwarded
            }
            gst::EventView::FlushStop(_) => {
                let forwarded = self.srcpad.push_event(event);
                self.stream.lock().reset();
                self.apply_patience();
                self.start_task() && forwarded
            }
            _ if event.is_serialized() => self.sink_serialized_event(pad, event),
            _ => gst::Pad::event_default(pad, Some(&*self.obj()), event),
        }
    }

    fn sink_serialized_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        let format = match event.view() {
            gst::EventView::Caps(caps) => match InputFormat::from_caps(caps.caps()) {
                Ok(format) => {
                    if let Some(note) = format.note {
                        gst::info!(CAT, obj = pad, "{note}");
                    }
                    Some(Arc::new(format))
                }
                Err(message) => {
                    gst::error!(CAT, obj = pad, "{message}");
                    return false;
                }
            },
            _ => None,
        };
        if ends_batch(&event) {
            self.close_batch(event.type_().name());
        }

        let is_eos = event.type_() == gst::EventType::Eos;
        let mut rate_changed = false;
        let refused = {
            let mut state = self.stream.lock();
            if starts_anew(&event) && state.flow == Err(gst::FlowError::Eos) {
                gst::debug!(CAT, obj = pad, "downstream gets a new chance after its EOS");
                state.flow = Ok(gst::FlowSuccess::Ok);
            }
            if event.type_() == gst::EventType::StreamStart {
                state.eos = false;
                state.live = None;
            }
            state.eos |= is_eos;
            match state.flow {
                Ok(_) | Err(gst::FlowError::Eos) => {
                    if let Some(format) = format {
                        let rate = format.frame_duration;
                        let old = state.format.replace(format);
                        rate_changed = old.is_none_or(|old| old.frame_duration != rate);
                    }
                    state.queue.push_event(event);
                    None
                }
                Err(error) => Some(error),
            }
        };
        match refused {
            None => {
                self.stream.ready.notify_all();
                if rate_changed {
                    self.apply_patience();
                    self.post_latency();
                }
                true
            }
            Some(error) => {
                gst::debug!(CAT, obj = pad, "event refused: {error:?}");
                // Upstream sends nothing more, so it cannot report the error for us.
                if is_eos && error != gst::FlowError::Flushing {
                    self.post_flow_error(error);
                }
                false
            }
        }
    }

    pub(super) fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        gst::log!(CAT, obj = pad, "received {query:?}");
        if !query.is_serialized() {
            return gst::Pad::query_default(pad, Some(&*self.obj()), query);
        }
        // Upstream waits for the answer and sends no frame meanwhile.
        self.close_batch("a serialized query");
        {
            let mut state = self.stream.lock();
            while (state.pushing || !state.queue.is_empty()) && state.flow.is_ok() {
                state = Stream::wait(&self.stream.left, state);
            }
            if let Err(error) = state.flow {
                gst::debug!(CAT, obj = pad, "query refused: {error:?}");
                return false;
            }
        }
        let answered = self.srcpad.peer_query(query);
        match query.view_mut() {
            gst::QueryViewMut::Allocation(allocation) => {
                if !answered {
                    gst::debug!(CAT, obj = pad, "downstream has no wishes for the allocation");
                }
                self.complete_allocation(allocation);
                true
            }
            _ => answered,
        }
    }

    /// Adds to downstream's answer that strides are understood, and the buffers that this element holds.
    fn complete_allocation(&self, query: &mut gst::query::Allocation) {
        if query.find_allocation_meta::<gst_video::VideoMeta>().is_none() {
            query.add_allocation_meta::<gst_video::VideoMeta>(None);
        }
        let held = self.settings().capacity() as u32;
        let pools: Vec<_> = query.allocation_pools().collect();
        for (index, (pool, size, min, max)) in (0..).zip(&pools) {
            let needed = min.saturating_add(held);
            // A pool that cannot grow so far is no use to upstream, which will make its own.
            let fits = *max == 0 || needed <= *max;
            let pool = pool.as_ref().filter(|_| fits);
            query.set_nth_allocation_pool(index, pool, *size, needed, if fits { *max } else { 0 });
        }
        if pools.is_empty()
            && let Some(size) = query
                .get_owned()
                .0
                .and_then(|caps| gst_video::VideoInfo::from_caps(&caps).ok())
                .and_then(|info| u32::try_from(info.size()).ok())
        {
            query.add_allocation_pool(None::<&gst::BufferPool>, size, held, 0);
        }
        gst::debug!(
            CAT,
            imp = self,
            "answering {query:?}, {held} buffers may be held here"
        );
    }
}
