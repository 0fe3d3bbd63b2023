//! The meta of an aligned crop: which face of which frame it shows.

use std::sync::Once;

use gst::meta::CustomMeta;
use img2pose::Face;
use img2pose::frame::Orientation;
use img2pose::pose::{Affine, Alignment};

use super::{MetaError, Track, fields, track};

/// Name of the custom meta on the crops of `img2posealign`.
pub const ALIGNED_NAME: &str = "Img2PoseAlignedFaceMeta";

const PTS: &str = "pts";
const FRAME: &str = "frame";
const FACE: &str = "face";
const TEMPLATE: &str = "template";
const TRANSFORM: [[&str; 3]; 2] = [["m00", "m01", "m02"], ["m10", "m11", "m12"]];

/// What a crop of `img2posealign` shows.
#[derive(Clone, Debug, PartialEq)]
pub struct AlignedFace {
    /// Timestamp of the frame, if it has one. The crop has the same, until an element changes it.
    pub pts: Option<gst::ClockTime>,
    /// Number of the frame: all frames since the stream started, or was last flushed, counted from 0.
    pub frame: u64,
    /// Index of the face in the record of the frame.
    pub index: u32,
    /// Width in pixels of the frame that was looked at.
    pub frame_width: u32,
    /// Height in pixels of the frame that was looked at.
    pub frame_height: u32,
    /// Width of a pixel of that frame over its height.
    pub pixel_aspect_ratio: gst::Fraction,
    /// How that frame was turned to look at it. Where that mirrors it, the crop is mirrored too, and shows the head as it is.
    pub orientation: Orientation,
    /// The face, in pixels of that frame.
    pub face: Face,
    /// Whether the face was found in an earlier frame, so that it may have moved since.
    pub reused: bool,
    /// Which face through time it is, if `img2posetrack` has seen the frame; always without [`seen`](Track::seen).
    pub track: Option<Track>,
    /// From pixels of that frame to pixels of the crop as it was made.
    pub alignment: Alignment,
}

pub(super) fn register() {
    static REGISTER: Once = Once::new();
    REGISTER.call_once(|| {
        if !CustomMeta::is_registered(ALIGNED_NAME) {
            CustomMeta::register_simple(ALIGNED_NAME);
        }
    });
}

/// Puts on a crop what it shows.
///
/// # Errors
/// [`MetaError::NotRegistered`] if another library has taken the meta's name.
pub fn attach_aligned(buffer: &mut gst::BufferRef, aligned: &AlignedFace) -> Result<(), MetaError> {
    register();
    let mut meta =
        CustomMeta::add(buffer, ALIGNED_NAME).map_err(|_| MetaError::NotRegistered { name: ALIGNED_NAME })?;
    let s = meta.mut_structure();
    let size = (aligned.frame_width, aligned.frame_height);
    fields::set_frame(s, size);
    fields::set_view(s, aligned.pixel_aspect_ratio, aligned.orientation);
    if let Some(pts) = aligned.pts {
        s.set(PTS, pts.nseconds());
    }
    s.set(FRAME, aligned.frame);
    s.set(FACE, aligned.index);
    fields::set_detection(s, size, &aligned.face);
    fields::set_pose(s, &aligned.face);
    fields::set_reused(s, aligned.reused);
    if let Some(track) = &aligned.track {
        track::set(s, track);
    }
    s.set(TEMPLATE, aligned.alignment.template as i32);
    for (names, row) in TRANSFORM.into_iter().zip(aligned.alignment.transform.0) {
        for (name, value) in names.into_iter().zip(row) {
            s.set(name, value);
        }
    }
    Ok(())
}

/// What the crop shows; `None` if the buffer is no crop of `img2posealign`.
///
/// # Errors
/// The meta has another version, lacks a field, or has one of a wrong type.
pub fn read_aligned(buffer: &gst::BufferRef) -> Result<Option<AlignedFace>, MetaError> {
    register();
    let Ok(meta) = CustomMeta::from_buffer(buffer, ALIGNED_NAME) else {
        return Ok(None);
    };
    let s = meta.structure();
    let (frame_width, frame_height) = fields::get_frame(s, ALIGNED_NAME)?;
    let (pixel_aspect_ratio, orientation) = fields::get_view(s)?;
    let pts = if s.has_field(PTS) {
        let pts: u64 = fields::get(s, PTS, "an unsigned 64-bit integer")?;
        Some(gst::ClockTime::try_from(pts).map_err(|_| fields::wrong(s, PTS, pts, "a time"))?)
    } else {
        None
    };
    let template: i32 = fields::get(s, TEMPLATE, "an integer")?;
    let template =
        usize::try_from(template).map_err(|_| fields::wrong(s, TEMPLATE, template, "0 or more"))?;
    let mut transform = Affine([[0.0; 3]; 2]);
    for (names, row) in TRANSFORM.into_iter().zip(&mut transform.0) {
        for (name, value) in names.into_iter().zip(row) {
            *value = fields::get(s, name, "a double")?;
        }
    }
    Ok(Some(AlignedFace {
        pts,
        frame: fields::get(s, FRAME, "an unsigned 64-bit integer")?,
        index: fields::get(s, FACE, "an unsigned integer")?,
        frame_width,
        frame_height,
        pixel_aspect_ratio,
        orientation,
        face: fields::get_face(s, (frame_width, frame_height))?,
        reused: fields::get_reused(s)?,
        track: track::get(s, (frame_width, frame_height))?,
        alignment: Alignment { transform, template },
    }))
}
