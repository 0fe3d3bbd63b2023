//! The faces as GStreamer's own analytics metadata, for the elements that read it: overlays, trackers, ONVIF converters.
//!
//! Nothing of this plugin reads it back: the record holds more, and survives more.

#[cfg(feature = "v1_28")]
mod face_tensor;
#[cfg(feature = "v1_26")]
mod frame_tensor;

use gst::glib;
use gst_analytics::{AnalyticsODMtd, AnalyticsRelationMeta, AnalyticsTrackingMtd, RelTypes, prelude::*};

use super::{FrameFaces, MetaError, ROI_TYPE, Track, roi};

/// Name of the tensor with the poses of all faces of a frame, `[faces, 6]`.
#[cfg(feature = "v1_26")]
pub const POSES_TENSOR: &str = "img2pose-face-poses";
/// Name of the tensor with the pose of one face, `[6]`.
#[cfg(feature = "v1_28")]
pub const POSE_TENSOR: &str = "img2pose-face-pose";

/// The class of an object detection.
fn face_class() -> glib::Quark {
    glib::Quark::from_str(ROI_TYPE)
}

/// Adds one object detection for each face, in the order of the record, to the buffer's relation meta.
pub(super) fn add(buffer: &mut gst::BufferRef, frame: &FrameFaces) -> Result<(), MetaError> {
    #[cfg(feature = "v1_26")]
    frame_tensor::add(buffer, frame)?;
    if frame.faces.is_empty() {
        return Ok(());
    }
    let pts = buffer.pts();
    let mut seen = Vec::new();
    // A buffer has one relation meta, which all detectors share.
    if buffer.meta::<AnalyticsRelationMeta>().is_none() {
        AnalyticsRelationMeta::add(buffer);
    }
    let mut meta = buffer
        .meta_mut::<AnalyticsRelationMeta>()
        .ok_or(MetaError::Analytics)?;
    for (index, face) in frame.faces.iter().enumerate() {
        // The side of a frame fits an i32, see record::check().
        let [x, y, width, height] = roi::rect_of(frame, face).map(|n| n as i32);
        let detection = meta
            .add_od_mtd(face_class(), x, y, width, height, face.confidence)
            .map_err(|_| MetaError::Analytics)?
            .id();
        #[cfg(feature = "v1_28")]
        face_tensor::add(&mut meta, detection, &face.pose)?;
        if let Some(track) = frame.track(index) {
            let tracking = add_track(&mut meta, detection, track, pts)?;
            seen.push((tracking, ago(pts, track.unseen)));
        }
    }
    for (tracking, time) in seen {
        update_seen(buffer, tracking, time)?;
    }
    Ok(())
}

/// Adds who the face is, and relates it to the object detection, as GStreamer's own trackers do; its id in the meta. Times are those of the
/// buffers.
fn add_track(
    meta: &mut gst::MetaRefMut<'_, AnalyticsRelationMeta, gst::meta::Standalone>,
    detection: u32,
    track: &Track,
    pts: Option<gst::ClockTime>,
) -> Result<u32, MetaError> {
    let tracking = meta
        .add_tracking_mtd(track.id, ago(pts, track.age))
        .map_err(|_| MetaError::Analytics)?
        .id();
    meta.set_relation(RelTypes::RELATE_TO, detection, tracking)
        .map_err(|_| MetaError::Analytics)?;
    Ok(tracking)
}

/// Says when the face was seen last. The meta is borrowed for as long as it lives, so each face borrows it anew.
fn update_seen(buffer: &mut gst::BufferRef, tracking: u32, time: gst::ClockTime) -> Result<(), MetaError> {
    let Some(mut meta) = buffer.meta_mut::<AnalyticsRelationMeta>() else {
        return Err(MetaError::Analytics);
    };
    let Some(mut tracking) = meta.mtd_mut::<AnalyticsTrackingMtd>(tracking) else {
        return Err(MetaError::Analytics);
    };
    tracking.update_last_seen(time).map_err(|_| MetaError::Analytics)
}

fn ago(pts: Option<gst::ClockTime>, time: gst::ClockTime) -> gst::ClockTime {
    pts.unwrap_or(gst::ClockTime::ZERO).saturating_sub(time)
}

/// Takes away what [`add`] has put on a buffer whose record has `count` faces.
///
/// Nothing can be taken out of a relation meta. It goes as a whole when its object detections are these faces: what
/// else is in it, such as a tracker's notes, is then about them. Beside detections of other elements they have to stay.
pub(super) fn remove(buffer: &mut gst::BufferRef, count: usize) {
    #[cfg(feature = "v1_26")]
    frame_tensor::remove(buffer);
    let Some(meta) = buffer.meta::<AnalyticsRelationMeta>() else {
        return;
    };
    let classes: Vec<_> = meta.iter::<AnalyticsODMtd>().map(|od| od.obj_type()).collect();
    let only_ours =
        count > 0 && classes.len() == count && classes.iter().all(|class| *class == Some(face_class()));
    if only_ours && let Some(meta) = buffer.meta_mut::<AnalyticsRelationMeta>() {
        // Fails for metas that are locked, and no one locks this one.
        let _ = meta.remove();
    }
}
