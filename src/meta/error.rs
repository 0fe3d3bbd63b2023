//! What can be wrong with faces on a buffer.

use super::LAYOUT_VERSION;

/// Why faces could not be read from a buffer, or put on it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MetaError {
    /// The faces were written by another version of the plugin.
    #[error(
        "{name} has layout version {found}, this plugin reads version {LAYOUT_VERSION}: use the same version of the plugin for all elements"
    )]
    UnknownVersion {
        /// Name of the meta.
        name: &'static str,
        /// The version in the meta.
        found: u32,
    },
    /// A field is not there.
    #[error("faces on the buffer: no field `{field}` in `{structure}`")]
    MissingField {
        /// Structure in which the field was looked for.
        structure: String,
        /// Name of the field.
        field: String,
    },
    /// A field is of another type, or its value is out of range.
    #[error("faces on the buffer: field `{field}` of `{structure}` is {found}, expected {expected}")]
    WrongField {
        /// Structure that the field is in.
        structure: String,
        /// Name of the field.
        field: String,
        /// Type or value found.
        found: String,
        /// Type or range expected.
        expected: &'static str,
    },
    /// A number of a face is NaN or infinite.
    #[error("face {face}: {what} is not a finite number")]
    NotFinite {
        /// Index of the face.
        face: usize,
        /// Which of its numbers.
        what: &'static str,
    },
    /// The size of the frame is 0 or does not fit a GStreamer integer.
    #[error(
        "faces of a frame of {width}x{height} pixels: both sides must be 1 to {}",
        i32::MAX
    )]
    FrameSize {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The name of the meta belongs to one of another kind.
    #[error("another library has registered a meta named {name}, faces cannot be attached")]
    NotRegistered {
        /// The name.
        name: &'static str,
    },
    /// GStreamer has refused to add analytics metadata.
    #[cfg(feature = "v1_24")]
    #[error("GStreamer has no more room for object detections on this buffer")]
    Analytics,
}
