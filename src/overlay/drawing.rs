//! Drawings onto a frame: attached for a sink that blends them, or blended here.

use gst_video::{VideoInfo, VideoOverlayComposition, VideoOverlayCompositionMeta};

use super::blending::Blender;
use crate::video::mapping::{self, MappingError};

/// Attaches the composition, on top of what an element before has attached.
pub fn attach(buffer: &mut gst::Buffer, composition: &VideoOverlayComposition) {
    let buffer = buffer.make_mut();
    if let Some(mut meta) = buffer.meta_mut::<VideoOverlayCompositionMeta>() {
        // An element before us has drawn too; ours goes on top.
        let mut both = meta.overlay().to_owned();
        {
            let both = both.make_mut();
            for rectangle in composition.iter() {
                both.add_rectangle(&rectangle);
            }
        }
        meta.set_overlay(&both);
    } else {
        VideoOverlayCompositionMeta::add(buffer, composition);
    }
}

/// Blends the composition into the pixels.
///
/// # Errors
/// When the pixels of the frame cannot be had, or the composition cannot be read.
pub fn blend(
    buffer: &mut gst::Buffer,
    info: &VideoInfo,
    composition: &VideoOverlayComposition,
    blender: &mut Blender,
) -> Result<(), MappingError> {
    let blended = mapping::write(buffer.make_mut(), info, |frame| blender.blend(frame, composition))?;
    Ok(blended?)
}
