//! With `per-track-interval`: crops are held back until their stretch of time ends.

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::{CAT, Cropping, Img2PoseAlign};
use crate::align::best::quality;
use crate::align::settings::Settings;
use crate::align::source::crops;
use crate::meta::TrackState;

/// Whether crops of the frames before an event of this type go out before it.
pub(super) fn ends_stretch(kind: gst::EventType) -> bool {
    use gst::EventType::{Caps, Eos, Segment, SegmentDone, StreamGroupDone, StreamStart};
    matches!(
        kind,
        Caps | Eos | Segment | SegmentDone | StreamGroupDone | StreamStart
    )
}

impl Img2PoseAlign {
    /// A frame of time `pts` comes: pushes what was held back if its stretch of time is over.
    pub(super) fn end_stretch(&self, pts: Option<gst::ClockTime>) -> Result<(), gst::FlowError> {
        let Some(interval) = self.settings().per_track_interval() else {
            // It may have been set until now.
            self.release()?;
            return Ok(());
        };
        let ends = self.state().best.ends_before(pts, interval);
        if ends && self.release()? == 0 {
            // Sinks are not to wait for faces.
            if let Some(pts) = pts {
                self.pads.src.push_event(gst::event::Gap::new(pts, None));
            }
        }
        Ok(())
    }

    /// Pushes the crops that were held back, and says how many.
    pub(super) fn release(&self) -> Result<usize, gst::FlowError> {
        let held = self.state().best.take();
        let mut pushed = 0;
        for crop in held {
            self.pads.src.push(crop)?;
            pushed += 1;
        }
        Ok(pushed)
    }

    /// The same in front of an event, which cannot tell upstream what became of them.
    pub(super) fn release_before(&self, event: &gst::Event) {
        if let Err(flow) = self.release() {
            gst::debug!(
                CAT,
                imp = self,
                "crops before {:?} were not taken: {flow}",
                event.type_()
            );
        }
    }

    /// Crops that are held back come later by as much as a stretch lasts.
    pub(super) fn add_latency(&self, latency: &mut gst::query::Latency) -> bool {
        let mut upstream = gst::query::Latency::new();
        if !self.pads.sink.peer_query(&mut upstream) {
            return false;
        }
        let (live, min, max) = upstream.result();
        let held = self.settings().per_track_interval().unwrap_or_default();
        latency.set(
            live,
            min.saturating_add(held),
            max.map(|max| max.saturating_add(held)),
        );
        true
    }

    /// Keeps the crops that are the best of their faces so far.
    pub(super) fn keep_best(
        &self,
        frame: &Cropping<'_>,
        settings: &Settings,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let recorded = &frame.faces.recorded;
        for crop in crops(frame.faces, settings) {
            let Some(track) = recorded.track(crop.face) else {
                self.say_untracked();
                continue;
            };
            let is_seen = matches!(track.state, TrackState::New | TrackState::Seen);
            if !is_seen || !recorded.is_seen(crop.face) {
                continue;
            }
            let face = &recorded.faces[crop.face];
            let quality = quality(face, frame.faces.scaled_box(face.bbox));
            if self.state().best.is_best(track.id, quality) {
                let picture = self.cut(frame, &crop)?;
                self.state().best.keep(track.id, quality, picture);
            }
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn say_untracked(&self) {
        if self.state().untracked.is_first() {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Failed,
                ("per-track-interval is set, but no tracker follows the faces, so there are no crops of them: put \
                  img2posetrack in front of img2posealign, or set per-track-interval=0")
            );
        }
    }
}
