//! The one way from a buffer to the pixels of its frame, for all elements.
//!
//! A `GstVideoMeta` says where the planes of a frame lie, and whoever made it may be wrong: an application that counts in
//! pixels instead of bytes, a driver that rounds a height up, a shared buffer that was cut short. GStreamer's own mapping
//! believes it. Here everything is checked against the caps and against the memory before the first byte is touched;
//! what does not fit is an error that says what was found and what was expected.

mod cuda;
mod layout;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use cuda::{is_in_cuda, read_cuda};
pub use read::{check, read};
pub use write::{MappedFrame, write};

use gst::glib;

/// Why the pixels of a buffer cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// The meta describes frames of another format than the caps.
    #[error("its video meta says {found}, the caps {expected}")]
    Format {
        /// In the meta.
        found: glib::GString,
        /// In the caps.
        expected: glib::GString,
    },
    /// The meta describes a frame that is smaller than the caps say.
    #[error("its video meta is for {width}x{height} pixels, the caps say {expected_width}x{expected_height}")]
    Size {
        /// In the meta.
        width: u32,
        /// In the meta.
        height: u32,
        /// In the caps.
        expected_width: u32,
        /// In the caps.
        expected_height: u32,
    },
    /// The meta has too few planes, or more than there can be.
    #[error("its video meta has {found} planes, expected {expected}")]
    Planes {
        /// In the meta.
        found: u32,
        /// Of the format.
        expected: u32,
    },
    /// Rows that go up in memory.
    #[error("plane {plane} has a negative stride ({stride})")]
    NegativeStride {
        /// Index of the plane.
        plane: usize,
        /// Bytes from one row to the next.
        stride: i32,
    },
    /// Rows that overlap.
    #[error("plane {plane}: a row takes {needed} bytes, but its stride is {stride}")]
    ShortStride {
        /// Index of the plane.
        plane: usize,
        /// Bytes of a row.
        needed: usize,
        /// Bytes from one row to the next.
        stride: usize,
    },
    /// A plane that is not in the buffer as a whole.
    #[error("plane {plane} needs {len} bytes from offset {offset} on, but the buffer has {size} bytes")]
    Outside {
        /// Index of the plane.
        plane: usize,
        /// Bytes from its first to its last pixel.
        len: usize,
        /// Where in the buffer it starts, in bytes.
        offset: usize,
        /// Bytes of the buffer.
        size: usize,
    },
    /// GStreamer cannot map the memory.
    #[error("it cannot be mapped: {0}")]
    Map(#[from] glib::BoolError),
}
