//! Caps with and without overlay compositions, and the choice between attaching and blending.

use gst::prelude::*;
use gst_video::{
    CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION as COMPOSITION, VideoOverlayCompositionMeta,
};

use crate::video::readable_caps;

/// The caps of both pads: the detector's formats, with and without compositions.
pub fn template_caps() -> gst::Caps {
    let mut caps = readable_caps();
    let attached = with_composition(&caps);
    caps.merge(attached);
    caps
}

/// What the sink pad takes: what downstream takes, and the same without compositions where it takes them.
pub fn sink_caps(src_pad: &gst::Pad, filter: Option<&gst::CapsRef>) -> gst::Caps {
    let filter_downstream = filter.map(|filter| {
        let mut both = with_composition(filter);
        both.merge(filter.to_owned());
        both
    });
    let downstream = src_pad.peer_query_caps(filter_downstream.as_ref());
    restrict(&with_and_without(&downstream), filter)
}

/// What the source pad gives: what upstream gives, with and without compositions.
pub fn src_caps(sink_pad: &gst::Pad, filter: Option<&gst::CapsRef>) -> gst::Caps {
    // Upstream is not filtered: a composition in the filter need not come from there.
    let upstream = sink_pad.peer_query_caps(None);
    let mut caps = with_composition(&upstream);
    caps.merge(upstream);
    restrict(&caps, filter)
}

/// Sets caps downstream for video of the caps `video`; says whether compositions are attached (or else blended).
///
/// They are attached where downstream takes the caps feature and, asked for an allocation, the meta; or where they are
/// in the caps already, because then frames come with some.
///
/// # Errors
/// Downstream takes neither.
pub fn negotiate(src_pad: &gst::Pad, video: &gst::Caps) -> Result<bool, gst::FlowError> {
    let attached = with_composition(video);
    if has_composition(video) || !src_pad.peer_query_accept_caps(video) {
        return set_caps(src_pad, &attached).map(|()| true);
    }
    if src_pad.current_caps().as_ref() != Some(&attached) {
        // Before the question about the allocation, which a base transform answers only once it has caps. The plain
        // ones, because some elements fail for good on the others when nothing behind them takes the meta (videocrop).
        set_caps(src_pad, video)?;
    }
    if src_pad.peer_query_accept_caps(&attached) {
        let mut query = gst::query::Allocation::new(Some(&attached), false);
        if src_pad.peer_query(&mut query)
            && query
                .find_allocation_meta::<VideoOverlayCompositionMeta>()
                .is_some()
        {
            return set_caps(src_pad, &attached).map(|()| true);
        }
    }
    set_caps(src_pad, video).map(|()| false)
}

fn set_caps(pad: &gst::Pad, caps: &gst::Caps) -> Result<(), gst::FlowError> {
    if pad.current_caps().as_ref() == Some(caps) || pad.push_event(gst::event::Caps::new(caps)) {
        Ok(())
    } else if pad.pad_flags().contains(gst::PadFlags::FLUSHING) {
        Err(gst::FlowError::Flushing)
    } else {
        Err(gst::FlowError::NotNegotiated)
    }
}

fn has_composition(caps: &gst::CapsRef) -> bool {
    caps.features(0)
        .is_some_and(|features| features.contains(COMPOSITION))
}

/// The same caps with the feature that says that frames can carry compositions.
fn with_composition(caps: &gst::CapsRef) -> gst::Caps {
    caps.iter_with_features()
        .map(|(structure, features)| {
            let mut features = features.to_owned();
            if !features.is_any() && !features.contains(COMPOSITION) {
                features.add(COMPOSITION);
            }
            (structure.to_owned(), features)
        })
        .collect()
}

/// The caps, and where they have the feature the same without it, those first.
fn with_and_without(caps: &gst::CapsRef) -> gst::Caps {
    let mut both: gst::Caps = caps
        .iter_with_features()
        .map(|(structure, features)| {
            let mut features = features.to_owned();
            if !features.is_any() {
                features.remove(COMPOSITION);
            }
            (structure.to_owned(), features)
        })
        .collect();
    both.merge(caps.to_owned());
    both
}

fn restrict(caps: &gst::Caps, filter: Option<&gst::CapsRef>) -> gst::Caps {
    let mode = gst::CapsIntersectMode::First;
    let caps = caps.intersect_with_mode(&template_caps(), mode);
    match filter {
        Some(filter) => filter.to_owned().intersect_with_mode(&caps, mode),
        None => caps,
    }
}
