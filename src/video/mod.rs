//! Raw video as all elements see it: caps, formats, and the pixels of a buffer.

mod format;
pub mod mapping;

pub use format::{InputFormat, mappable_caps, pixel_aspect_ratio, readable_caps};

/// Raw video of any format in any memory, for elements that never look at pixels.
pub fn any_caps() -> gst::Caps {
    gst::Caps::builder("video/x-raw").any_features().build()
}

/// What all elements say of a frame that came before its caps.
pub fn without_caps() -> gst::ErrorMessage {
    gst::error_msg!(
        gst::CoreError::Negotiation,
        ("A video frame arrived before its caps"),
        [
            "upstream must say what its frames are: put caps like video/x-raw,format=RGB,width=...,height=... or a parser before it"
        ]
    )
}
