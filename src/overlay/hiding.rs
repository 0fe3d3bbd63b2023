//! What of a frame is hidden, and hiding it.

use gst_video::VideoInfo;

use super::area::Area;
use super::obscure::{Scratch, cell_side, obscure, widened};
use super::settings::{Blur, Settings};
use crate::meta::{self, CurrentFaces};
use crate::video::mapping::{self, MappingError};

/// What is to be hidden: where faces are, or may be, which is anywhere if it is not known. Each with the side of the cells
/// that are left of it.
pub fn hidden_areas<'c>(
    current: &'c CurrentFaces,
    known: bool,
    settings: &Settings,
) -> impl Iterator<Item = (Area, u32)> + use<'c> {
    let (width, height) = (current.width, current.height);
    let (margin, strength) = (settings.blur_margin, settings.blur_strength);
    let recorded = &current.recorded;
    // A face that is smoothed can lag behind: where it was found, it is hidden too.
    let found = (recorded.tracks.iter().flatten()).filter_map(|track| track.seen.as_ref());
    let boxes = (recorded.faces.iter().chain(found))
        .filter(move |_| known)
        .filter_map(move |face| {
            let bbox = current.scaled_box(face.bbox);
            let area = Area::around(widened(bbox, margin), width, height)?;
            Some((area, cell_side(bbox, strength)))
        });
    boxes.chain((!known).then(|| everything(width, height, strength)))
}

/// The whole frame, whose largest face is as high or as wide as the frame.
pub fn everything(width: u32, height: u32, strength: f64) -> (Area, u32) {
    let side = width.min(height) as f32;
    (
        Area::whole(width, height),
        cell_side([0.0, 0.0, side, side], strength),
    )
}

/// Makes these areas of a frame unrecognisable.
///
/// # Errors
/// When the pixels of the frame cannot be had.
pub fn hide(
    buffer: &mut gst::Buffer,
    info: &VideoInfo,
    areas: impl Iterator<Item = (Area, u32)>,
    kind: Blur,
    scratch: &mut Scratch,
) -> Result<(), MappingError> {
    let mut areas = areas.peekable();
    if areas.peek().is_none() {
        return Ok(());
    }
    let buffer = buffer.make_mut();
    mapping::write(buffer, info, |frame| {
        for (area, cell) in areas {
            obscure(frame, area, kind, cell, scratch);
        }
    })?;
    // They show the faces as they were.
    meta::forget_likeness(buffer);
    Ok(())
}
