//! From a row of a frame to a row of the network image's width: linear R, G, B, resized horizontally.
//!
//! First the bytes under each output pixel's two taps are picked out, then both taps become R, G, B and are blended.
//! So only pixels that are used are converted, and the arithmetic runs over plain arrays whatever the format.

use super::kernels::{self, YCbCrToRgb};
use super::pick::{BytePicker, pick_pixels};
use super::planes::Planes;
use super::simd::Simd;
use super::taps::Taps;
use super::{Frame, FrameLayout, PixelFormat};

/// Bytes of one component under the first and second tap of each output pixel.
struct Picked {
    samples: Samples,
    picker: BytePicker,
    first: Vec<u8>,
    second: Vec<u8>,
}

/// Where the bytes of a component lie in a row.
#[derive(Clone, Copy)]
enum Samples {
    /// One for each pixel.
    Luma,
    /// One for each two pixels: bytes from one to the next, and to the first.
    Chroma { step: u32, start: u32 },
}

impl Samples {
    /// The byte of pixel `x`.
    fn offset(self, x: u32) -> u32 {
        match self {
            Self::Luma => x,
            Self::Chroma { step, start } => x / 2 * step + start,
        }
    }
}

impl Picked {
    /// Picks the byte of each tap from rows of `row_len` bytes.
    fn new(taps: &Taps, row_len: usize, samples: Samples) -> Self {
        let offsets = |taps: &[u32]| taps.iter().map(|&x| samples.offset(x)).collect::<Vec<_>>();
        let len = taps.first.len();
        Self {
            samples,
            picker: BytePicker::new(offsets(&taps.first), offsets(&taps.second), row_len),
            first: vec![0; len],
            second: vec![0; len],
        }
    }

    /// Picks for other taps from now on, as many as before.
    fn aim(&mut self, taps: &Taps) {
        let samples = self.samples;
        let offset = |x: &u32| samples.offset(*x);
        self.picker
            .aim(taps.first.iter().map(offset), taps.second.iter().map(offset));
    }

    fn pick(&mut self, simd: Simd, row: &[u8]) {
        self.picker.pick(simd, row, &mut self.first, &mut self.second);
    }
}

/// What is picked for a format, and how it becomes R, G, B.
enum Pixels {
    /// Bytes of whole pixels as little-endian words; `shifts` are the places of R, G, B in a word.
    Packed {
        pixel: usize,
        shifts: [u32; 3],
        first: Vec<u32>,
        second: Vec<u32>,
    },
    /// Luma alone: the row has one channel, which stands for all three.
    Gray { luma: Picked, scale: f32, offset: f32 },
    /// Luma and two chroma samples, each of which serves 2x2 pixels.
    YCbCr {
        luma: Picked,
        chroma: Box<[Picked; 2]>,
        chroma_planes: [usize; 2],
        to_rgb: YCbCrToRgb,
    },
}

/// Turns rows of frames of one layout into resized rows.
pub(super) struct RowResizer {
    simd: Simd,
    planes: Planes,
    taps: Taps,
    pixels: Pixels,
}

impl RowResizer {
    /// For frames of `layout`, to rows of pixels at `taps`, whose number is a multiple of [`LANES`](super::simd::LANES) and which never fall.
    pub(super) fn new(layout: &FrameLayout, taps: Taps, simd: Simd) -> Self {
        let planes = Planes::new(layout);
        let len = taps.first.len();
        let packed = |shifts| Pixels::Packed {
            pixel: layout.format.pixel_stride(),
            shifts,
            first: vec![0; len],
            second: vec![0; len],
        };
        let chroma =
            |plane, step, start| Picked::new(&taps, planes.row_len(plane), Samples::Chroma { step, start });
        let luma = || Picked::new(&taps, planes.row_len(0), Samples::Luma);
        let to_rgb = || YCbCrToRgb::new(layout.matrix, layout.range);
        let pixels = match layout.format {
            PixelFormat::Rgb | PixelFormat::Rgbx => packed([0, 8, 16]),
            PixelFormat::Bgr | PixelFormat::Bgrx => packed([16, 8, 0]),
            PixelFormat::Gray8 => {
                let (scale, offset) = kernels::luma_to_gray(layout.range);
                Pixels::Gray {
                    luma: luma(),
                    scale,
                    offset,
                }
            }
            PixelFormat::Nv12 => Pixels::YCbCr {
                luma: luma(),
                chroma: Box::new([chroma(1, 2, 0), chroma(1, 2, 1)]),
                chroma_planes: [1, 1],
                to_rgb: to_rgb(),
            },
            PixelFormat::I420 => Pixels::YCbCr {
                luma: luma(),
                chroma: Box::new([chroma(1, 1, 0), chroma(2, 1, 0)]),
                chroma_planes: [1, 2],
                to_rgb: to_rgb(),
            },
        };
        Self {
            simd,
            planes,
            taps,
            pixels,
        }
    }

    /// Resizes to pixels at other taps from now on. `aim` moves them and leaves their number as it is.
    pub(super) fn aim(&mut self, aim: impl FnOnce(&mut Taps)) {
        aim(&mut self.taps);
        match &mut self.pixels {
            Pixels::Packed { .. } => {}
            Pixels::Gray { luma, .. } => luma.aim(&self.taps),
            Pixels::YCbCr { luma, chroma, .. } => {
                luma.aim(&self.taps);
                chroma.iter_mut().for_each(|chroma| chroma.aim(&self.taps));
            }
        }
    }

    /// The planes of the layout.
    pub(super) fn planes(&self) -> &Planes {
        &self.planes
    }

    /// Floats of one channel of a resized row: the width, rounded up to a multiple of [`LANES`](super::simd::LANES).
    pub(super) fn channel_len(&self) -> usize {
        self.taps.first.len()
    }

    /// Channels of a resized row: 3, or 1 when R, G and B are the same.
    pub(super) fn channels(&self) -> usize {
        if matches!(self.pixels, Pixels::Gray { .. }) {
            1
        } else {
            3
        }
    }

    /// Resizes row `row` of a frame that [`Planes::check`] has passed.
    ///
    /// `output` gets [`channels`](Self::channels) times [`channel_len`](Self::channel_len) values of 0 to 255.
    pub(super) fn resize(&mut self, frame: &Frame<'_>, row: usize, output: &mut [f32]) {
        let simd = self.simd;
        let main = self.planes.row(frame, 0, row);
        match &mut self.pixels {
            Pixels::Packed {
                pixel,
                shifts,
                first,
                second,
            } => {
                match pixel {
                    3 => pick_pixels::<3>(main, &self.taps, first, second),
                    _ => pick_pixels::<4>(main, &self.taps, first, second),
                }
                simd.blend_packed(first, second, *shifts, &self.taps.weight, output);
            }
            Pixels::Gray { luma, scale, offset } => {
                luma.pick(simd, main);
                simd.blend_gray(
                    &luma.first,
                    &luma.second,
                    *scale,
                    *offset,
                    &self.taps.weight,
                    output,
                );
            }
            Pixels::YCbCr {
                luma,
                chroma,
                chroma_planes,
                to_rgb,
            } => {
                luma.pick(simd, main);
                for (chroma, plane) in chroma.iter_mut().zip(chroma_planes) {
                    chroma.pick(simd, self.planes.row(frame, *plane, row / 2));
                }
                let [cb, cr] = &**chroma;
                simd.blend_ycbcr(
                    [&luma.first, &cb.first, &cr.first],
                    [&luma.second, &cb.second, &cr.second],
                    to_rgb,
                    &self.taps.weight,
                    output,
                );
            }
        }
    }
}
