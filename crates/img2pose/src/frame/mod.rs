//! Video frames in memory, their way into the network's input tensor, and pictures of parts of them ([`Warper`]).
//!
//! [`Converter`] says what the tensor holds. Colours are exact; GStreamer's `videoconvert` is not: in 1.22 its 8-bit
//! matrix turns white of limited range into 253, and is 2.1 to 2.3 gray levels of 255 darker in the mean on 720p video.
//! A chroma sample serves its 2x2 pixels as it is, as in `videoconvert`'s way from I420 to RGB; from NV12 it
//! interpolates chroma, which shows at the edges between saturated colours only.
//! `scripts/compare-videoconvert.sh` measures both.

mod conversion;
mod convert;
mod copy;
mod crop;
mod error;
mod kernels;
mod lanes;
mod pick;
mod planes;
mod raw;
mod region;
mod rows;
mod simd;
mod size;
mod smooth;
mod source;
mod taps;
mod turn;
mod warp;

use crate::view::in_square_pixels;

pub use crate::view::{Orientation, PixelAspectRatio, View};
pub(crate) use conversion::normalisation;
pub(crate) use conversion::{Colours, Conversion, RegionConversion};
pub use convert::Converter;
pub use copy::FrameCopy;
pub(crate) use crop::{Crop, Cropper};
pub use error::FrameError;
pub(crate) use raw::{RawPlane, check_planes, copy_raw, raw_len, raw_planes};
pub(crate) use region::Cut;
pub use region::Region;
pub use size::NetworkSize;
pub use warp::{RgbPicture, Warper};

/// How the pixels of a frame are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Packed R, G, B, one byte each.
    Rgb,
    /// Packed B, G, R.
    Bgr,
    /// Packed R, G, B and a fourth byte that is ignored (padding or alpha).
    Rgbx,
    /// Packed B, G, R and a fourth byte that is ignored.
    Bgrx,
    /// One luma byte a pixel, full range unless the colorimetry says otherwise.
    Gray8,
    /// A luma plane, and a plane of half the width and height with interleaved Cb, Cr.
    Nv12,
    /// A luma plane, and a Cb and a Cr plane of half the width and height.
    I420,
}

impl PixelFormat {
    /// Every format.
    pub const ALL: [Self; 7] = [
        Self::Rgb,
        Self::Bgr,
        Self::Rgbx,
        Self::Bgrx,
        Self::Gray8,
        Self::Nv12,
        Self::I420,
    ];
}

/// Which luma coefficients a YCbCr frame was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColorMatrix {
    /// ITU-R BT.601: standard definition.
    Bt601,
    /// ITU-R BT.709: high definition.
    Bt709,
}

/// Which byte values of a frame mean black and white.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColorRange {
    /// 0 to 255.
    Full,
    /// 16 to 235 for luma, 16 to 240 for chroma.
    Limited,
}

/// Everything about a frame but its pixels; frames of one layout can share a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameLayout {
    /// Arrangement of the pixels.
    pub format: PixelFormat,
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
    /// Matrix of a YCbCr frame; ignored for RGB.
    pub matrix: ColorMatrix,
    /// Range of a YCbCr or gray frame; ignored for RGB, which is full.
    pub range: ColorRange,
    /// The shape of the pixels, and how they are to be turned.
    pub view: View,
}

/// One plane of a frame: rows of bytes, `stride` bytes apart.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// The bytes from the first pixel of the plane on; the last row may end with its last pixel.
    pub data: &'a [u8],
    /// Distance in bytes between the starts of two rows.
    pub stride: usize,
}

/// A frame that lies in someone else's memory.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Size, format and colorimetry.
    pub layout: FrameLayout,
    /// One, two or three planes, as the format has; the rest is ignored.
    pub planes: [Plane<'a>; 3],
}

impl FrameLayout {
    /// RGB, 3 bytes a pixel.
    pub fn rgb(width: u32, height: u32) -> Self {
        Self {
            format: PixelFormat::Rgb,
            width,
            height,
            // Of no meaning for RGB.
            matrix: ColorMatrix::Bt601,
            range: ColorRange::Full,
            view: View::PLAIN,
        }
    }

    /// Width and height of the upright picture in square pixels, as large as the shorter side of a pixel of the frame.
    #[must_use]
    pub fn square_size(&self) -> [f64; 2] {
        let (width, height) = self.upright_size();
        in_square_pixels(width, height, self.upright_pixel_aspect_ratio())
    }

    /// Width and height in pixels of the upright picture.
    pub(crate) fn upright_size(&self) -> (u32, u32) {
        match self.view.orientation.swaps_sides() {
            true => (self.height, self.width),
            false => (self.width, self.height),
        }
    }

    /// The shape of a pixel of the upright picture.
    pub(crate) fn upright_pixel_aspect_ratio(&self) -> PixelAspectRatio {
        match self.view.orientation.swaps_sides() {
            true => self.view.pixel_aspect_ratio.on_its_side(),
            false => self.view.pixel_aspect_ratio,
        }
    }
}

impl<'a> Frame<'a> {
    /// A frame of RGB pixels, `3 * width * height` bytes without gaps. A wrong number of bytes is an error of whatever
    /// takes the frame.
    pub fn rgb(pixels: &'a [u8], width: u32, height: u32) -> Self {
        let plane = Plane {
            data: pixels,
            stride: 3 * width as usize,
        };
        Self {
            layout: FrameLayout::rgb(width, height),
            planes: [plane; 3],
        }
    }
}
