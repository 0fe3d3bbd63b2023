//! Single pixels of a frame, whatever its format.

use super::kernels::{self, YCbCrToRgb};
use super::{Frame, PixelFormat};

/// Pixels as R, G, B of 0..255.
pub(super) trait Source {
    /// The pixel at `x`, `y`, which lies in the frame.
    fn rgb(&self, x: usize, y: usize) -> [f32; 3];
}

/// What is done with the pixels of a frame; compiled for each format.
pub(super) trait Reader {
    /// Reads `source`, which is as large as the frame.
    fn read(self, source: &impl Source);
}

/// Lets `reader` read `frame`, whose planes were [checked](super::planes::Planes::check).
pub(super) fn read(frame: &Frame<'_>, reader: impl Reader) {
    let [main, second, third] = frame.planes;
    let layout = &frame.layout;
    let packed = |order: [usize; 3]| Packed {
        data: main.data,
        stride: main.stride,
        step: layout.format.pixel_stride(),
        order,
    };
    let to_rgb = || YCbCrToRgb::new(layout.matrix, layout.range);
    match layout.format {
        PixelFormat::Rgb | PixelFormat::Rgbx => reader.read(&packed([0, 1, 2])),
        PixelFormat::Bgr | PixelFormat::Bgrx => reader.read(&packed([2, 1, 0])),
        PixelFormat::Gray8 => {
            let (scale, offset) = kernels::luma_to_gray(layout.range);
            reader.read(&Gray {
                data: main.data,
                stride: main.stride,
                scale,
                offset,
            });
        }
        PixelFormat::Nv12 => reader.read(&YCbCr {
            luma: (main.data, main.stride),
            // Interleaved: the row of Cr begins a byte later.
            cb: (second.data, second.stride),
            cr: (&second.data[1..], second.stride),
            chroma_step: 2,
            to_rgb: to_rgb(),
        }),
        PixelFormat::I420 => reader.read(&YCbCr {
            luma: (main.data, main.stride),
            cb: (second.data, second.stride),
            cr: (third.data, third.stride),
            chroma_step: 1,
            to_rgb: to_rgb(),
        }),
    }
}

struct Packed<'a> {
    data: &'a [u8],
    stride: usize,
    step: usize,
    /// Places of R, G, B in a pixel.
    order: [usize; 3],
}

impl Source for Packed<'_> {
    #[inline(always)]
    fn rgb(&self, x: usize, y: usize) -> [f32; 3] {
        let pixel = &self.data[y * self.stride + x * self.step..][..3];
        self.order.map(|place| f32::from(pixel[place]))
    }
}

struct Gray<'a> {
    data: &'a [u8],
    stride: usize,
    scale: f32,
    offset: f32,
}

impl Source for Gray<'_> {
    #[inline(always)]
    fn rgb(&self, x: usize, y: usize) -> [f32; 3] {
        let luma = f32::from(self.data[y * self.stride + x]);
        [kernels::clamp(luma * self.scale + self.offset); 3]
    }
}

struct YCbCr<'a> {
    luma: (&'a [u8], usize),
    cb: (&'a [u8], usize),
    cr: (&'a [u8], usize),
    chroma_step: usize,
    to_rgb: YCbCrToRgb,
}

impl Source for YCbCr<'_> {
    #[inline(always)]
    fn rgb(&self, x: usize, y: usize) -> [f32; 3] {
        let chroma = |(data, stride): (&[u8], usize)| data[y / 2 * stride + x / 2 * self.chroma_step];
        self.to_rgb
            .rgb(self.luma.0[y * self.luma.1 + x], chroma(self.cb), chroma(self.cr))
    }
}

#[inline(always)]
pub(super) fn mix(first: [f32; 3], second: [f32; 3], share: f32) -> [f32; 3] {
    [0, 1, 2].map(|channel| first[channel] + (second[channel] - first[channel]) * share)
}
