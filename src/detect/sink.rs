//! The sink pad: what the thread that delivers frames does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::CAT;
use super::imp::Img2PoseDetect;
use super::input::InputFormat;
use super::latency::Patience;
use super::queue::{Item, ends_batch, starts_anew};
use super::stream::{Pending, Source, State, Stream};
use super::worker::Submitted;
use crate::meta;

/// A frame that has room in the queue.
struct Admitted {
    format: Arc<InputFormat>,
    running_time: Option<gst::ClockTime>,
    /// Why it is not looked at, if it is not.
    passes: Option<Source>,
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
            let timer = {
                let mut state = self.stream.lock();
                state.format = None;
                state.live = None;
                state.live_asked = false;
                state.reset()
            };
            drop(timer);
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
        let admitted = self.wait_for_room(&buffer)?;
        let client = self.client().ok_or(gst::FlowError::Flushing)?;
        if let Some(source) = admitted.passes {
            self.queue_frame(buffer, admitted.format, admitted.running_time, source, |_| ())?;
            return Ok(gst::FlowSuccess::Ok);
        }

        let began = Instant::now();
        let Submitted {
            ticket,
            first_of_client,
            full,
        } = admitted
            .format
            .read_frame(&buffer, |frame| client.submit(frame))
            .and_then(|submitted| submitted)
            .map_err(|cause| self.fail_on_frame(&buffer, &cause))?;
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
        let source = Source::Batch(ticket);
        let queued = self.queue_frame(buffer, admitted.format, admitted.running_time, source, |state| {
            state.stats.convert.add(converted);
            state.open = (!full).then_some(batch);
            if first_of_client {
                state.opened_at = arrived;
            }
            let old_timer = (first_of_client || full).then(|| state.timer.take());
            let wait = match state.patience {
                Patience::For(time) if !full && state.timer.is_none() => Some(time),
                _ => None,
            };
            (old_timer, wait)
        });
        let (old_timer, wait) = queued.inspect_err(|error| {
            if *error == gst::FlowError::Flushing {
                // The frame got into the batch after the others had been given up. Otherwise the queue has kept
                // frames that wait for their batches, this one among them; it is inferred for nothing.
                client.abandon();
            }
        })?;
        drop(old_timer);
        if let Some(time) = wait {
            self.start_timer(batch, time);
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// Puts a frame into the queue and updates the state with it, unless the element is flushing.
    fn queue_frame<R>(
        &self,
        buffer: gst::Buffer,
        format: Arc<InputFormat>,
        running_time: Option<gst::ClockTime>,
        source: Source,
        update: impl FnOnce(&mut State) -> R,
    ) -> Result<R, gst::FlowError> {
        let mut state = self.stream.lock();
        state.submitting = false;
        if let Err(error) = state.flow {
            drop(state);
            gst::debug!(CAT, imp = self, "{error:?} while a frame came in");
            return Err(error);
        }
        state.stats.frames_in += 1;
        state.queue.push_frame(Pending {
            buffer,
            format,
            running_time,
            source,
        });
        let result = update(&mut state);
        drop(state);
        self.stream.ready.notify_all();
        Ok(result)
    }

    /// Blocks while the queue is full. Then says what the frame is, and whether it is looked at.
    fn wait_for_room(&self, buffer: &gst::BufferRef) -> Result<Admitted, gst::FlowError> {
        let mut state = self.stream.lock();
        loop {
            // Read again after each wait, which may be long.
            let intake = self.settings().intake();
            if state.eos {
                gst::debug!(CAT, imp = self, "frame after EOS");
                return Err(gst::FlowError::Eos);
            }
            state.flow?;
            if state.failed || state.unreadable {
                return Err(gst::FlowError::Error);
            }
            if state.has_room(&intake) {
                let Some(format) = state.format.clone() else {
                    gst::error!(CAT, imp = self, "frame before caps");
                    return Err(gst::FlowError::NotNegotiated);
                };
                let running_time = state.running_time(buffer);
                let is_skipped = !state.position.is_multiple_of(intake.inference_interval);
                state.position += 1;
                let passes = if is_skipped {
                    Some(Source::Skipped)
                } else if intake.qos && state.is_late(running_time) {
                    gst::debug!(CAT, imp = self, "too late, not inferred: {buffer:?}");
                    Some(Source::Late)
                } else {
                    state.submitting = true;
                    None
                };
                return Ok(Admitted {
                    format,
                    running_time,
                    passes,
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

    /// Asks upstream once a stream whether it is live.
    fn ask_whether_live(&self) {
        if self.stream.lock().live_asked {
            return;
        }
        let mut query = gst::query::Latency::new();
        let live = self.sinkpad.peer_query(&mut query) && query.result().0;
        gst::debug!(CAT, imp = self, "upstream is live: {live}");
        let before = {
            let mut state = self.stream.lock();
            state.live_asked = true;
            state.live.replace(live)
        };
        self.apply_patience();
        // Before the first stream the pipeline asks by itself.
        if before.is_some_and(|before| before != live) {
            self.post_latency();
        }
    }

    /// Ends the stream because of a frame that cannot be read. What is queued before it still leaves.
    fn fail_on_frame(&self, buffer: &gst::Buffer, cause: &str) -> gst::FlowError {
        {
            let mut state = self.stream.lock();
            state.submitting = false;
            state.unreadable = true;
        }
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
                let items = self.set_flushing();
                self.end_task();
                self.keep_sticky_events(items);
                forwarded
            }
            gst::EventView::FlushStop(_) => {
                let forwarded = self.srcpad.push_event(event);
                // An event function may have left one after the FLUSH_START.
                let items = self.stream.lock().queue.clear();
                self.keep_sticky_events(items);
                let timer = self.stream.lock().reset();
                drop(timer);
                self.apply_patience();
                self.start_task() && forwarded
            }
            _ if event.is_serialized() => self.sink_serialized_event(pad, event),
            _ => gst::Pad::event_default(pad, Some(&*self.obj()), event),
        }
    }

    /// Leaves the sticky events of a flushed queue on the source pad, which sends them before the next frame: upstream
    /// has seen them accepted and will not send them again. To be called when the task rests, because an older
    /// event that it is pushing would replace them.
    fn keep_sticky_events(&self, items: VecDeque<Item<Pending>>) {
        for item in items {
            if let Item::Event(event) = item
                && event.is_sticky()
                && !matches!(event.type_(), gst::EventType::Segment | gst::EventType::Eos)
            {
                // Says that the pad is flushing, and keeps the event.
                let _ = self.srcpad.store_sticky_event(&event);
            }
        }
    }

    fn sink_serialized_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        let format = match event.view() {
            gst::EventView::Caps(caps) => match InputFormat::from_caps(caps.caps()) {
                Ok(format) => {
                    if let Some(note) = format.note {
                        gst::info!(CAT, obj = pad, "{note}");
                    }
                    if format.info.par() != gst::Fraction::new(1, 1) {
                        gst::info!(
                            CAT,
                            obj = pad,
                            "pixels are not square ({}): faces look stretched to the network, put videoscale ! \
                             video/x-raw,pixel-aspect-ratio=1/1 before the element",
                            format.info.par()
                        );
                    }
                    self.check_min_size(&format);
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
            match event.view() {
                gst::EventView::StreamStart(_) => {
                    state.eos = false;
                    state.live_asked = false;
                    state.position = 0;
                }
                gst::EventView::Segment(segment) => {
                    // Without a segment in time there is no running time, and so no lateness.
                    state.segment = segment.segment().downcast_ref().cloned();
                    state.earliest = None;
                }
                _ => {}
            }
            let accepted = match state.flow {
                Ok(_) | Err(gst::FlowError::Eos) => true,
                // Refused, a sticky event would make upstream's next frame fail for itself and not for the cause: a
                // loose end, or an element that stops, would look like caps that nobody wants.
                Err(_) => event.is_sticky() && !is_eos,
            };
            match state.flow {
                _ if accepted => {
                    state.eos |= is_eos;
                    if let Some(format) = format {
                        let rate = format.frame_duration;
                        let old = state.format.replace(format);
                        rate_changed = old.is_none_or(|old| old.frame_duration != rate);
                    }
                    state.queue.push_event(event);
                    None
                }
                flow => flow.err(),
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

    /// Says so when the model's own bound of the long side keeps frames from the `min-size` that was asked for.
    fn check_min_size(&self, format: &InputFormat) {
        let (min_size, max_size) = {
            let settings = self.settings();
            (settings.load.min_size, settings.load.max_size)
        };
        // What was set for both was meant, and so was what the model says of both.
        let (true, Some(instance)) = (min_size > 0 && max_size == 0, self.model_instance()) else {
            return;
        };
        let (width, height) = (format.layout.width, format.layout.height);
        let size = instance.batch_maker.network_size(width, height);
        // Sides are rounded down.
        if size.width.min(size.height).saturating_add(1) < min_size {
            let (short, long) = (u64::from(width.min(height)), u64::from(width.max(height)));
            gst::element_imp_warning!(
                self,
                gst::LibraryError::Settings,
                (
                    "min-size={min_size} is out of reach: the model bounds the long side, so frames of {width}x{height} \
                     are looked at as {}x{}; set max-size={}, too",
                    size.width,
                    size.height,
                    (u64::from(min_size) * long).div_ceil(short)
                )
            );
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

    /// Adds to downstream's answer that strides are understood, and the buffers that this element holds. Takes out of it
    /// that cropping can be left to downstream.
    fn complete_allocation(&self, query: &mut gst::query::Allocation) {
        meta::refuse_crop(query);
        if query.find_allocation_meta::<gst_video::VideoMeta>().is_none() {
            query.add_allocation_meta::<gst_video::VideoMeta>(None);
        }
        // One more is on its way out.
        let held = self.settings().capacity() as u32 + 1;
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
