//! The ROIs (regions of interest): one for each face.

use std::ops::ControlFlow;

use gst::buffer::BufferMetaForeachAction::{Keep, Remove};
use gst_video::VideoRegionOfInterestMeta;
use img2pose::Face;

use super::{FrameFaces, fields, record, track};

/// Type of a face's ROI.
pub const ROI_TYPE: &str = "face";

const DETECTION: &str = "detection";
const FACE_POSE: &str = "face-pose";

/// Says that an ROI lies in no other. Elements that set nothing leave 0, which is the id of the first face.
const NO_PARENT: i32 = -1;

/// The smallest box of whole pixels that holds the face's box, as `x, y, width, height`, clipped to the frame.
pub(super) fn rect_of(frame: &FrameFaces, face: &Face) -> [u32; 4] {
    pixel_rect(face.bbox, frame.frame_width, frame.frame_height)
}

/// The smallest box of whole pixels that holds the box `x_min, y_min, x_max, y_max`, as `x, y, width, height`, clipped to a
/// frame of `frame_width` x `frame_height`.
pub(crate) fn pixel_rect(
    [x_min, y_min, x_max, y_max]: [f32; 4],
    frame_width: u32,
    frame_height: u32,
) -> [u32; 4] {
    // A float that is negative, too large or NaN saturates in the cast.
    let span = |low: f32, high: f32, side: u32| {
        let low = (low.floor() as u32).min(side);
        let high = (high.ceil() as u32).min(side);
        (low, high.saturating_sub(low))
    };
    let (x, width) = span(x_min, x_max, frame_width);
    let (y, height) = span(y_min, y_max, frame_height);
    [x, y, width, height]
}

pub(super) fn add(buffer: &mut gst::BufferRef, frame: &FrameFaces, index: usize, face: &Face) {
    let [x, y, width, height] = rect_of(frame, face);
    let mut meta = VideoRegionOfInterestMeta::add(buffer, ROI_TYPE, (x, y, width, height));
    meta.set_id(index as i32);
    meta.set_parent_id(NO_PARENT);

    let mut detection = gst::Structure::new_empty(DETECTION);
    fields::set_detection(&mut detection, frame.size(), face);
    meta.add_param(detection);

    let mut pose = gst::Structure::new_empty(FACE_POSE);
    fields::set_frame(&mut pose, frame.size());
    fields::set_view(&mut pose, frame.pixel_aspect_ratio, frame.orientation);
    fields::set_pose(&mut pose, face);
    fields::set_reused(&mut pose, frame.reused);
    if let Some(track) = frame.track(index) {
        track::set(&mut pose, track);
    }
    meta.add_param(pose);
}

/// Where the ROI of each of `count` faces is now, as `x, y, width, height`; `None` where it is gone.
pub(super) fn rects(buffer: &gst::BufferRef, count: usize) -> Vec<Option<[u32; 4]>> {
    let mut rects = vec![None; count];
    for meta in buffer
        .iter_meta::<VideoRegionOfInterestMeta>()
        .filter(|meta| is_ours(meta, count))
    {
        if let Some(slot) = usize::try_from(meta.id()).ok().and_then(|id| rects.get_mut(id)) {
            let (x, y, width, height) = meta.rect();
            *slot = Some([x, y, width, height]);
        }
    }
    rects
}

pub(super) fn remove_all(buffer: &mut gst::BufferRef) {
    let count = record::face_count(buffer).unwrap_or(0);
    buffer.foreach_meta_mut(|mut meta| {
        let ours = meta
            .downcast_ref::<VideoRegionOfInterestMeta>()
            .is_some_and(|meta| is_ours(meta, count));
        ControlFlow::Continue(if ours { Remove } else { Keep })
    });
}

/// Whether this plugin made the ROI, on a frame whose record has `count` faces.
///
/// Other detectors mark faces as `face` too. Ours have a pose, and where a converter has dropped the parameters,
/// the id of a face in the record and no parent.
fn is_ours(meta: &VideoRegionOfInterestMeta, count: usize) -> bool {
    if meta.roi_type() != ROI_TYPE {
        return false;
    }
    let bare = meta.params().next().is_none();
    let known = usize::try_from(meta.id()).is_ok_and(|id| id < count) && meta.parent_id() == NO_PARENT;
    meta.param(FACE_POSE).is_some() || (bare && known)
}
