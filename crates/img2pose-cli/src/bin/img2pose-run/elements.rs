//! Elements of GStreamer by name.

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
