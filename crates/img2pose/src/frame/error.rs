//! Why a frame cannot be converted.

use super::FrameLayout;

/// A frame, or the room for its result, that does not fit.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A side of the frame or of the network image is zero.
    #[error("{what} is {width}x{height}: each side must be at least 1 pixel")]
    ZeroSize {
        /// Whose size it is.
        what: &'static str,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A side is longer than the converter handles.
    #[error("{what} is {width}x{height}: no side may be longer than {limit} pixels")]
    TooLarge {
        /// Whose size it is.
        what: &'static str,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Longest side that is accepted, in pixels.
        limit: u32,
    },
    /// The network size was made for frames of another size; sizes are those of the upright picture.
    #[error(
        "the network size is for frames of {expected_width}x{expected_height}, the layout has {width}x{height}"
    )]
    SizeMismatch {
        /// Width that the network size was made for.
        expected_width: u32,
        /// Height that the network size was made for.
        expected_height: u32,
        /// Width of the layout.
        width: u32,
        /// Height of the layout.
        height: u32,
    },
    /// The padded network image is smaller than the image in it.
    #[error("the network image of {width}x{height} does not fit into {padded_width}x{padded_height}")]
    PaddingTooSmall {
        /// Width before padding.
        width: u32,
        /// Height before padding.
        height: u32,
        /// Width after padding.
        padded_width: u32,
        /// Height after padding.
        padded_height: u32,
    },
    /// The mean or standard deviation cannot normalise anything.
    #[error(
        "cannot normalise with mean {mean:?} and standard deviation {std:?}: all must be finite, std above 0"
    )]
    Normalisation {
        /// Mean of R, G, B.
        mean: [f32; 3],
        /// Standard deviation of R, G, B.
        std: [f32; 3],
    },
    /// The frame has another layout than the converter.
    #[error(
        "the frame is {found:?}, the converter was made for {expected:?}: make a converter for each layout"
    )]
    WrongLayout {
        /// Layout of the converter.
        expected: Box<FrameLayout>,
        /// Layout of the frame.
        found: Box<FrameLayout>,
    },
    /// The rows of a plane overlap.
    #[error("plane {plane}: a row takes {needed} bytes, but its stride is {found}")]
    ShortStride {
        /// Index of the plane.
        plane: usize,
        /// Bytes of a row.
        needed: usize,
        /// The stride given.
        found: usize,
    },
    /// A plane ends before its last pixel.
    #[error("plane {plane} must have at least {needed} bytes, found {found}")]
    ShortPlane {
        /// Index of the plane.
        plane: usize,
        /// Bytes up to and with the last pixel; `usize::MAX` when no memory could hold them.
        needed: usize,
        /// Bytes given.
        found: usize,
    },
    /// Nothing of a region can be seen.
    #[error(
        "the region (x, y, width, height) {region:?} shows nothing of the upright picture of {width}x{height} pixels; its \
         sides must be above 0 and part of it within"
    )]
    Region {
        /// The region: `x, y, width, height`.
        region: [f64; 4],
        /// Width of the upright picture in pixels.
        width: u32,
        /// Height of the upright picture in pixels.
        height: u32,
    },
    /// The slot is not one network image.
    #[error("the slot of the tensor must have {expected} floats, found {found}")]
    SlotLength {
        /// Floats of one network image.
        expected: usize,
        /// Floats given.
        found: usize,
    },
    /// The room for a picture is too small for it.
    #[error("the picture needs rows of {row} bytes, {needed} bytes, found {found} in rows of {stride}")]
    PictureLength {
        /// Bytes of a row.
        row: usize,
        /// The stride given.
        stride: usize,
        /// Bytes up to and with the last pixel; `usize::MAX` when no memory could hold them.
        needed: usize,
        /// Bytes given.
        found: usize,
    },
}
