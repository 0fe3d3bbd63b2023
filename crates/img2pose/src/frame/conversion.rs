//! How the frames of a batch become network images.

use super::kernels::{self, Normalise, YCbCrToRgb};
use super::{Converter, FrameError, FrameLayout, NetworkSize, PixelFormat};

/// From frames of one layout to network images of one size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Conversion {
    pub layout: FrameLayout,
    pub size: NetworkSize,
    /// Of R, G, B in 0..1.
    pub mean: [f32; 3],
    /// As `mean`.
    pub std: [f32; 3],
    /// Whether a frame that is shrunk is smoothed by as much.
    pub is_smoothed: bool,
}

/// From regions of frames of any layout to network images of one size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RegionConversion {
    /// Width and height of a network image, a multiple of the network's divisor.
    pub side: u32,
    /// As in [`Conversion`].
    pub mean: [f32; 3],
    /// As in [`Conversion`].
    pub std: [f32; 3],
}

impl RegionConversion {
    /// Of any network image, before a region is known.
    pub fn size(&self, layout: &FrameLayout) -> NetworkSize {
        let (frame_width, frame_height) = layout.upright_size();
        NetworkSize {
            frame_width,
            frame_height,
            width: self.side,
            height: self.side,
            padded_width: self.side,
            padded_height: self.side,
        }
    }

    /// One to be [aimed](Converter::aim).
    ///
    /// # Errors
    /// Those of [`Converter::new`].
    pub fn converter(&self, layout: &FrameLayout) -> Result<Converter, FrameError> {
        Converter::new(*layout, self.size(layout), self.mean, self.std)
    }
}

/// How the bytes of a frame become R, G, B of 0..255, before clamping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Colours {
    /// Pixels of `bytes` bytes; `places` are those of R, G, B in a pixel.
    Packed { bytes: usize, places: [usize; 3] },
    /// All three are `luma * scale + offset`.
    Gray { scale: f32, offset: f32 },
    /// Each is `luma * scale + cb * its cb + cr * its cr + its offset`. A chroma sample serves 2x2 pixels.
    YCbCr {
        scale: f32,
        cb: [f32; 3],
        cr: [f32; 3],
        offset: [f32; 3],
        /// Whether Cb and Cr take turns in one plane, or have a plane each.
        interleaved: bool,
    },
}

/// What a value of 0..255 of a colour of this mean and deviation is multiplied with, and what is added to it then.
pub(crate) fn normalisation(mean: f32, std: f32) -> (f32, f32) {
    Normalise::new(mean, std).factors()
}

impl Conversion {
    /// # Errors
    /// Those of [`Converter::new`].
    pub fn converter(&self) -> Result<Converter, FrameError> {
        match self.is_smoothed {
            true => Converter::smoothed(self.layout, self.size, self.mean, self.std),
            false => Converter::new(self.layout, self.size, self.mean, self.std),
        }
    }

    /// # Errors
    /// A text when frames of `layout` are others.
    pub fn check(&self, layout: &FrameLayout) -> Result<(), String> {
        if *layout == self.layout {
            return Ok(());
        }
        Err(format!("it is {layout:?}, the batch holds {:?}", self.layout))
    }

    /// For R, G and B what a value of 0..255 is multiplied with, and what is added to it then.
    pub fn normalisation(&self) -> [(f32, f32); 3] {
        [0, 1, 2].map(|channel| normalisation(self.mean[channel], self.std[channel]))
    }

    /// The colours of the layout.
    pub fn colours(&self) -> Colours {
        let layout = &self.layout;
        let packed = |places| Colours::Packed {
            bytes: layout.format.pixel_stride(),
            places,
        };
        let ycbcr = |interleaved| {
            let to_rgb = YCbCrToRgb::new(layout.matrix, layout.range);
            let [cb, cr] = to_rgb.chroma();
            Colours::YCbCr {
                scale: to_rgb.luma(),
                cb,
                cr,
                offset: to_rgb.offset(),
                interleaved,
            }
        };
        match layout.format {
            PixelFormat::Rgb | PixelFormat::Rgbx => packed([0, 1, 2]),
            PixelFormat::Bgr | PixelFormat::Bgrx => packed([2, 1, 0]),
            PixelFormat::Gray8 => {
                let (scale, offset) = kernels::luma_to_gray(layout.range);
                Colours::Gray { scale, offset }
            }
            PixelFormat::Nv12 => ycbcr(true),
            PixelFormat::I420 => ycbcr(false),
        }
    }
}
