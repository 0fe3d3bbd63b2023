//! The record: one custom meta for a frame.

use std::ops::ControlFlow;
use std::sync::Once;

use gst::buffer::BufferMetaForeachAction::{Keep, Remove};
use gst::meta::CustomMeta;
use img2pose::Face;

use super::trace::TRACE_NAME;
use super::{FrameFaces, MetaError, fields, track};

/// Name of the custom meta; `gst_buffer_get_custom_meta()` finds the record by it.
pub const RECORD_NAME: &str = "Img2PoseFacesMeta";

const N_FACES: &str = "n-faces";
const LIKENESS: &str = "likeness";

pub(super) fn register() {
    static REGISTER: Once = Once::new();
    REGISTER.call_once(|| {
        // A program may hold this crate twice, linked in and as a plugin; a name can be registered once.
        if !CustomMeta::is_registered(RECORD_NAME) {
            // Without tags every element copies the meta: one with tags is dropped by the elements that
            // change what the tag stands for, and with it the pose.
            CustomMeta::register_simple(RECORD_NAME);
        }
    });
}

/// Whether the numbers can be read back.
pub(super) fn check(frame: &FrameFaces) -> Result<(), MetaError> {
    let (width, height) = (frame.frame_width, frame.frame_height);
    let fits = |side: u32| side > 0 && i32::try_from(side).is_ok();
    if !fits(width) || !fits(height) {
        return Err(MetaError::FrameSize { width, height });
    }
    let seen = |index| frame.track(index).and_then(|track| track.seen.as_ref());
    for (index, face) in frame.faces.iter().enumerate() {
        check_face(index, face)?;
        seen(index).map_or(Ok(()), |face| check_face(index, face))?;
    }
    Ok(())
}

fn check_face(index: usize, face: &Face) -> Result<(), MetaError> {
    let finite = |what, numbers: &[f32]| {
        let ok = numbers.iter().all(|n| n.is_finite());
        if ok {
            Ok(())
        } else {
            Err(MetaError::NotFinite { face: index, what })
        }
    };
    finite("the box", &face.bbox)?;
    finite("the confidence", &[face.confidence])?;
    finite("the pose", &face.pose)?;
    finite("a keypoint", face.keypoints.as_flattened())?;
    finite("sigma", face.sigma.as_slice())
}

pub(super) fn add(buffer: &mut gst::BufferRef, frame: &FrameFaces) -> Result<(), MetaError> {
    register();
    let mut meta =
        CustomMeta::add(buffer, RECORD_NAME).map_err(|_| MetaError::NotRegistered { name: RECORD_NAME })?;
    let s = meta.mut_structure();
    fields::set_frame(s, frame.size());
    s.set(fields::PIXEL_ASPECT_RATIO, frame.pixel_aspect_ratio);
    fields::set_view(s, frame.pixel_aspect_ratio, frame.orientation);
    s.set(N_FACES, frame.faces.len() as u32);
    fields::set_reused(s, frame.reused);
    for (index, face) in frame.faces.iter().enumerate() {
        let mut nested = gst::Structure::new_empty("face");
        fields::set_detection(&mut nested, frame.size(), face);
        fields::set_pose(&mut nested, face);
        if let Some(track) = frame.track(index) {
            track::set(&mut nested, track);
            track::set_seen(&mut nested, frame.size(), track);
        }
        s.set(field_of(index), nested);
    }
    Ok(())
}

pub(super) fn read(buffer: &gst::BufferRef) -> Result<Option<FrameFaces>, MetaError> {
    register();
    let Ok(meta) = CustomMeta::from_buffer(buffer, RECORD_NAME) else {
        return Ok(None);
    };
    let s = meta.structure();
    let size = fields::get_frame(s, RECORD_NAME)?;
    let n_faces: u32 = fields::get(s, N_FACES, "an unsigned integer")?;
    let (mut faces, mut tracks) = (Vec::new(), Vec::new());
    for index in 0..n_faces as usize {
        let nested: &gst::StructureRef = fields::get(s, &field_of(index), "a structure")?;
        faces.push(fields::get_face(nested, size)?);
        if let Some(track) = track::get(nested, size)? {
            tracks.resize(index, None);
            tracks.push(Some(track));
        }
    }
    if !tracks.is_empty() {
        tracks.resize(faces.len(), None);
    }
    let (pixel_aspect_ratio, orientation) = fields::get_view(s)?;
    Ok(Some(FrameFaces {
        frame_width: size.0,
        frame_height: size.1,
        pixel_aspect_ratio,
        reused: fields::get_reused(s)?,
        orientation,
        faces,
        tracks,
    }))
}

/// Adds what the faces look like, for [`read_current`](super::read_current), to the record that is on the buffer.
pub(super) fn set_likeness(buffer: &mut gst::BufferRef, likeness: String) {
    if let Ok(mut meta) = CustomMeta::from_mut_buffer(buffer, RECORD_NAME) {
        meta.mut_structure().set(LIKENESS, likeness);
    }
}

/// Takes away what [`set_likeness`] added.
pub(super) fn remove_likeness(buffer: &mut gst::BufferRef) {
    if let Ok(mut meta) = CustomMeta::from_mut_buffer(buffer, RECORD_NAME) {
        meta.mut_structure().remove_field(LIKENESS);
    }
}

/// Whether it is there.
pub(super) fn has_likeness(buffer: &gst::BufferRef) -> bool {
    let meta = CustomMeta::from_buffer(buffer, RECORD_NAME);
    meta.is_ok_and(|meta| meta.structure().has_field(LIKENESS))
}

/// What [`set_likeness`] added.
pub(super) fn likeness(buffer: &gst::BufferRef) -> Option<String> {
    let meta = CustomMeta::from_buffer(buffer, RECORD_NAME).ok()?;
    meta.structure().get(LIKENESS).ok()
}

/// Number of faces in the record; `None` without a record that can be read so far.
pub(super) fn face_count(buffer: &gst::BufferRef) -> Option<usize> {
    register();
    let meta = CustomMeta::from_buffer(buffer, RECORD_NAME).ok()?;
    meta.structure().get::<u32>(N_FACES).ok().map(|n| n as usize)
}

/// Takes the record off, and the trace with it.
pub(super) fn remove(buffer: &mut gst::BufferRef) {
    register();
    buffer.foreach_meta_mut(|meta| {
        let ours = meta
            .try_as_custom_meta()
            .is_some_and(|meta| meta.has_name(RECORD_NAME) || meta.has_name(TRACE_NAME));
        ControlFlow::Continue(if ours { Remove } else { Keep })
    });
}

fn field_of(index: usize) -> String {
    format!("face-{index}")
}
