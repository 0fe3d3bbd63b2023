//! Events and queries.

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::held::Item;
use super::imp::{CAT, Img2PoseTrack};
use crate::reader::Reader;
use crate::{allocation, meta};

impl Img2PoseTrack {
    pub(super) fn take_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        gst::trace!(CAT, obj = pad, "{event:?}");
        if event.is_serialized() && !matches!(event.type_(), gst::EventType::FlushStop) {
            if lets_none_wait(event.type_()) {
                self.drain();
            } else if !self.stream().held.is_empty() {
                self.stream().held.push_event(event);
                return true;
            }
        }
        match event.view() {
            gst::EventView::Caps(caps) => {
                let framerate_changed = match self.stream().set_caps(caps.caps()) {
                    Ok(changed) => changed,
                    Err(error) => {
                        gst::error!(CAT, obj = pad, "caps {} refused: {error}", caps.caps());
                        return false;
                    }
                };
                if framerate_changed && self.settings().look_ahead > 0 {
                    self.post_latency();
                }
            }
            gst::EventView::StreamStart(start) => self.stream().start(start.stream_id()),
            gst::EventView::Segment(segment) => {
                self.stream().set_reverse(segment.segment().rate() < 0.0);
            }
            gst::EventView::FlushStop(_) => self.flush(),
            gst::EventView::Eos(_) => {
                let counts = self.stream().counts();
                self.warn_if_none_inferred(counts);
            }
            _ => {}
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    /// Pushes everything that waits.
    fn drain(&self) {
        if let Err(error) = self.push_ready(0) {
            gst::debug!(CAT, imp = self, "frames that waited: {error}");
        }
        self.wait_for_more();
    }

    /// Throws frames away that wait; a tag between them still holds.
    fn flush(&self) {
        let mut held = self.stream().flush();
        self.wait_for_more();
        while let Some(item) = held.pop(0) {
            if let Item::Event(event) = item
                && event.is_sticky()
            {
                // Fails on a pad that flushes, and then nothing holds any more.
                let _ = self.pads.src.store_sticky_event(&event);
            }
        }
    }

    pub(super) fn answer_upstream(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        if query.is_serialized() {
            // Upstream waits for the answer and sends nothing meanwhile.
            self.drain();
        }
        let answered = gst::Pad::query_default(pad, Some(&*self.obj()), query);
        let gst::QueryViewMut::Allocation(allocation) = query.view_mut() else {
            return answered;
        };
        meta::refuse_crop(allocation);
        if !answered {
            meta::refuse_all(allocation);
        }
        let held = self.settings().look_ahead;
        if held > 0 {
            allocation::hold(allocation, held);
        }
        answered || held > 0
    }

    pub(super) fn answer_downstream(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        let answered = gst::Pad::query_default(pad, Some(&*self.obj()), query);
        if answered && let gst::QueryViewMut::Latency(latency) = query.view_mut() {
            let frames = u64::from(self.settings().look_ahead);
            let added = gst::ClockTime::from_nseconds(frames * self.stream().frame_duration());
            let (live, min, max) = latency.result();
            latency.set(
                live,
                min.saturating_add(added),
                max.map(|max| max.saturating_add(added)),
            );
        }
        answered
    }
}

/// Whether frames that wait go on before the event: it ends what they belong to, or upstream may have nothing more for a while.
fn lets_none_wait(event: gst::EventType) -> bool {
    matches!(
        event,
        gst::EventType::StreamStart
            | gst::EventType::Caps
            | gst::EventType::Segment
            | gst::EventType::SegmentDone
            | gst::EventType::StreamGroupDone
            | gst::EventType::Gap
            | gst::EventType::Eos
    )
}
