//! Elements of GStreamer by name.

use gst::prelude::*;

use crate::error::{Error, Result};

/// An element by the name of its kind.
///
/// # Errors
/// GStreamer has none.
pub fn element(name: &str) -> Result<gst::Element> {
    gst::ElementFactory::make(name).build().map_err(|_| {
        let cure = match name.starts_with("img2pose") {
            true => "see img2pose doctor",
            false => "Debian, Ubuntu: apt install gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-libav",
        };
        Error::Usage(format!("GStreamer has no element {name}; {cure}"))
    })
}

/// What is written to each face.
pub fn label(is_tracked: bool) -> &'static str {
    match is_tracked {
        true => "track+score+angles",
        false => "score+angles",
    }
}

/// Links the elements one behind the other, and the first of them behind `tee`; `None` where they do not fit together.
pub fn add_branch(elements: &[gst::Element], pipeline: &gst::Pipeline, tee: &gst::Element) -> Option<()> {
    pipeline.add_many(elements).ok()?;
    gst::Element::link_many(elements).ok()?;
    tee.link(elements.first()?).ok()
}
