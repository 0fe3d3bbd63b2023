//! The sink pad: what upstream says and asks, in events and queries.

use std::collections::VecDeque;

use gst::prelude::*;
use gst::subclass::prelude::*;
use img2pose::frame::{FrameLayout, NetworkSize};

use super::CAT;
use super::imp::Img2PoseDetect;
use super::queue::{Item, ends_batch};
use super::settings::LARGEST_SIDE;
use super::stream::{FormatChange, Pending, Stream};
use crate::video::InputFormat;
use crate::{allocation, meta};

impl Img2PoseDetect {
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
                let items = self.stream.lock().outgoing.clear();
                self.keep_sticky_events(items);
                let open = self.stream.lock().reset();
                drop(open);
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
            gst::EventView::Caps(caps) => match read_caps(pad, caps.caps()) {
                Some(format) => Some(format),
                None => return false,
            },
            _ => None,
        };
        if ends_batch(&event) {
            self.close_batch(event.type_().name());
        }

        let is_eos = event.type_() == gst::EventType::Eos;
        let orientation = self.settings().orientation;
        let queued = {
            let mut state = self.stream.lock();
            if state.resume(&event) {
                gst::debug!(CAT, obj = pad, "downstream gets a new chance after its EOS");
            }
            state.queue_event(event, format.as_ref(), orientation)
        };
        match queued {
            Ok(change) => {
                self.stream.ready.notify_all();
                if let Some(FormatChange { old, new }) = change {
                    self.format_changed(old.as_deref(), &new);
                }
                true
            }
            Err(error) => {
                gst::debug!(CAT, obj = pad, "event refused: {error:?}");
                // Upstream sends nothing more, so it cannot report the error for us.
                if is_eos && error != gst::FlowError::Flushing {
                    self.post_flow_error(error);
                }
                false
            }
        }
    }

    /// What follows when frames of another kind come from now on; `old`: the kind before, if there was one.
    fn format_changed(&self, old: Option<&InputFormat>, new: &InputFormat) {
        let size = |format: &InputFormat| (format.layout.width, format.layout.height, format.info.par());
        if old.is_none_or(|old| size(old) != size(new)) {
            self.check_min_size(&new.layout);
        }
        if old.is_none_or(|old| old.frame_duration != new.frame_duration) {
            self.apply_patience();
            self.post_latency();
        }
    }

    /// Says so when the model's own bound of the long side keeps frames from the `min-size` that was asked for.
    fn check_min_size(&self, layout: &FrameLayout) {
        let (min_size, max_size) = {
            let settings = self.settings();
            (settings.load.min_size, settings.load.max_size)
        };
        // What was set for both was meant, and so was what the model says of both.
        let (true, Some(client)) = (min_size > 0 && max_size == 0, self.client()) else {
            return;
        };
        let size = client.worker().handle().network_size(layout);
        if let Some(warning) = out_of_reach(min_size, layout, &size) {
            gst::element_imp_warning!(self, gst::LibraryError::Settings, ("{warning}"));
        }
    }

    pub(super) fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        gst::log!(CAT, obj = pad, "received {query:?}");
        if let gst::QueryViewMut::AcceptCaps(query) = query.view_mut()
            && let Some(memory) = device_memory(query.caps())
            && !pad.pad_template_caps().can_intersect(query.caps())
        {
            // The answer is no; it does not say why.
            gst::warning!(
                CAT,
                obj = pad,
                "frames in {memory} cannot be read: fetch them with vapostproc, gldownload or cudadownload, then video/x-raw, \
                 before the element"
            );
        }
        if !query.is_serialized() {
            return gst::Pad::query_default(pad, Some(&*self.obj()), query);
        }
        // Upstream waits for the answer and sends no frame meanwhile.
        self.close_batch("a serialized query");
        {
            let mut state = self.stream.lock();
            while !state.outgoing.is_empty() && state.flow.result().is_ok() {
                state = Stream::wait(&self.stream.left, state);
            }
            if let Err(error) = state.flow.result() {
                gst::debug!(CAT, obj = pad, "query refused: {error:?}");
                return false;
            }
        }
        let answered = self.srcpad.peer_query(query);
        match query.view_mut() {
            gst::QueryViewMut::Allocation(allocation) => {
                if !answered {
                    gst::debug!(CAT, obj = pad, "downstream has no wishes for the allocation");
                    meta::refuse_all(allocation);
                }
                self.complete_allocation(allocation);
                true
            }
            _ => answered,
        }
    }

    /// Adds to downstream's answer the buffers that this element holds. Takes out of it that cropping can be left to
    /// downstream.
    ///
    /// The metas are downstream's: this element reads frames with any strides, but the same frames go on to those that may
    /// not. A decoder that is told otherwise sends padded frames to a file or an application that takes them for whole ones.
    fn complete_allocation(&self, query: &mut gst::query::Allocation) {
        meta::refuse_crop(query);
        // One more is on its way out.
        let held = self.settings().capacity() as u32 + 1;
        allocation::hold(query, held);
        gst::debug!(
            CAT,
            imp = self,
            "answering {query:?}, {held} buffers may be held here"
        );
    }
}

/// The feature that says that frames lie in the memory of a device, if they do.
fn device_memory(caps: &gst::CapsRef) -> Option<&str> {
    caps.iter_with_features()
        .flat_map(|(_, features)| features.iter())
        .map(|feature| feature.as_str())
        .find(|feature| feature.starts_with("memory:") && *feature != "memory:SystemMemory")
}

/// Reads caps and logs what of them is approximated or odd; `None`, logged too, if they cannot be read.
fn read_caps(pad: &gst::Pad, caps: &gst::CapsRef) -> Option<InputFormat> {
    let format = InputFormat::from_caps(caps)
        .inspect_err(|message| gst::error!(CAT, obj = pad, "{message}"))
        .ok()?;
    if let Some(note) = format.note {
        gst::info!(CAT, obj = pad, "{note}");
    }
    Some(format)
}

/// What to tell a user whose `min-size` frames do not get, because something else bounds their long side.
fn out_of_reach(min_size: u32, layout: &FrameLayout, size: &NetworkSize) -> Option<String> {
    let NetworkSize { width, height, .. } = *size;
    let (frame_width, frame_height) = (layout.width, layout.height);
    // Sides are rounded down.
    if width.min(height).saturating_add(1) >= min_size {
        return None;
    }
    let [wide, high] = layout.square_size();
    let needed = (f64::from(min_size) * wide.max(high) / wide.min(high)).ceil();
    let advice = match needed <= f64::from(LARGEST_SIDE) {
        true => format!("set max-size={needed} as well"),
        false => format!("a larger max-size, at most {LARGEST_SIDE}, comes nearer"),
    };
    Some(format!(
        "min-size={min_size} cannot be reached: the model limits the long side, so frames of \
         {frame_width}x{frame_height} are resized to {width}x{height}; {advice}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_devices_is_named() {
        gst::init().unwrap();
        let memory = |caps: &str| device_memory(&caps.parse::<gst::Caps>().unwrap()).map(str::to_owned);
        for caps in [
            "video/x-raw",
            "video/x-raw(memory:SystemMemory)",
            "video/x-raw(meta:GstVideoOverlayComposition)",
        ] {
            assert_eq!(memory(caps), None, "{caps}");
        }
        for name in [
            "memory:VAMemory",
            "memory:GLMemory",
            "memory:CUDAMemory",
            "memory:DMABuf",
        ] {
            assert_eq!(
                memory(&format!("video/x-raw({name}),format=NV12")).as_deref(),
                Some(name)
            );
        }
    }

    #[test]
    fn only_a_max_size_that_can_be_set_is_advised() {
        let advice = |min_size, width, height| {
            let layout = FrameLayout::rgb(width, height);
            let size = NetworkSize::of_layout(&layout, min_size, 1400, 32);
            let warning = out_of_reach(min_size, &layout, &size);
            warning.map(|warning| warning.rsplit("; ").next().unwrap_or_default().to_owned())
        };
        assert_eq!(
            advice(960, 1080, 1920).as_deref(),
            Some("set max-size=1707 as well")
        );
        assert_eq!(
            advice(960, 4000, 200).as_deref(),
            Some("a larger max-size, at most 16384, comes nearer")
        );
        // 787.5, rounded down.
        assert_eq!(advice(788, 1920, 1080), None);
        assert!(advice(789, 1920, 1080).is_some());
    }
}
