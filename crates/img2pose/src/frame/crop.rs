//! Turned pieces of a frame straight into the input of a network.

use super::kernels::Normalise;
use super::planes::Planes;
use super::source::{self, Reader, Source, mix};
use super::{Frame, FrameError};
use crate::pose::Affine;

/// Cuts crops out of frames of any layout. Its memory is used again for every crop.
///
/// A pixel of a crop is the bilinear mean of the four around the place that it comes from, edges repeated. Where the crop is
/// coarser than half of the frame, these are means of blocks of the frame, so that no pixel is skipped. As in a
/// [`Converter`](super::Converter), values are clamped and not rounded to 8 bits, and a chroma sample serves its 2x2 pixels.
#[derive(Default)]
pub(crate) struct Cropper {
    /// R, G, B of the blocks that a crop needs, row by row.
    blocks: Vec<[f32; 3]>,
}

/// A square crop.
pub(crate) struct Crop<'c> {
    /// Width and height in pixels.
    pub side: usize,
    /// Where in the frame a pixel of the crop comes from. Whole numbers are the middles of pixels in both.
    pub to_frame: Affine,
    /// Pixels of the frame that make a block, across and down; 1 and 1: pixels are sampled as they are.
    pub block: [u32; 2],
    /// Of R, G, B in 0..1.
    pub mean: [f32; 3],
    /// As `mean`.
    pub std: [f32; 3],
    /// Three planes R, G, B of `side` x `side` floats.
    pub into: &'c mut [f32],
}

impl Cropper {
    /// Cuts `crop` out of `frame`.
    ///
    /// # Errors
    /// A side of the frame is zero, or a plane or stride is too short; the crop is untouched then.
    pub fn cut(&mut self, frame: &Frame<'_>, crop: Crop<'_>) -> Result<(), FrameError> {
        let layout = &frame.layout;
        if layout.width == 0 || layout.height == 0 {
            return Err(FrameError::ZeroSize {
                what: "the frame",
                width: layout.width,
                height: layout.height,
            });
        }
        Planes::new(layout).check(frame)?;
        assert_eq!(crop.into.len(), 3 * crop.side * crop.side, "room for a crop");
        let cut = Cut {
            size: [layout.width as usize, layout.height as usize],
            blocks: &mut self.blocks,
            crop,
        };
        source::read(frame, cut);
        Ok(())
    }
}

struct Cut<'c> {
    /// Width and height of the frame.
    size: [usize; 2],
    blocks: &'c mut Vec<[f32; 3]>,
    crop: Crop<'c>,
}

impl Reader for Cut<'_> {
    fn read(self, source: &impl Source) {
        let Self { size, blocks, crop } = self;
        let block = [0, 1].map(|axis| (crop.block[axis].max(1) as usize).min(size[axis]));
        if block == [1, 1] {
            let to_frame = crop.to_frame;
            return sample_all(crop, &to_frame, size, |x, y| source.rgb(x, y));
        }
        // Block b has its middle at block b + (block - 1) / 2.
        let shrink = |axis: usize| {
            let block = block[axis] as f64;
            (1.0 / block, (1.0 - block) / (2.0 * block))
        };
        let ((across, left), (down, up)) = (shrink(0), shrink(1));
        let to_block = crop
            .to_frame
            .then(&Affine([[across, 0.0, left], [0.0, down, up]]));
        let count = [0, 1].map(|axis| size[axis] / block[axis]);
        let [low, high] = touched(&to_block, crop.side, count);
        let shrunk = [0, 1].map(|axis| high[axis] + 1 - low[axis]);
        blocks.clear();
        for y in low[1]..=high[1] {
            blocks.extend((low[0]..=high[0]).map(|x| mean(source, [x, y], block)));
        }
        let moved = Affine([[1.0, 0.0, -(low[0] as f64)], [0.0, 1.0, -(low[1] as f64)]]);
        sample_all(crop, &to_block.then(&moved), shrunk, |x, y| {
            blocks[y * shrunk[0] + x]
        });
    }
}

/// The first and the last of `count` samples, across and down, that a crop of `side` pixels touches.
fn touched(to_source: &Affine, side: usize, count: [usize; 2]) -> [[usize; 2]; 2] {
    let last = (side - 1) as f64;
    let corners = [[0.0, 0.0], [last, 0.0], [0.0, last], [last, last]].map(|corner| to_source.apply(corner));
    let most = |axis: usize| (count[axis] - 1) as f64;
    let low = [0, 1].map(|axis| {
        let low = corners
            .iter()
            .map(|corner| corner[axis])
            .fold(f64::INFINITY, f64::min);
        low.floor().clamp(0.0, most(axis)) as usize
    });
    let high = [0, 1].map(|axis| {
        let high = corners
            .iter()
            .map(|corner| corner[axis])
            .fold(f64::NEG_INFINITY, f64::max);
        (high.floor() + 1.0).clamp(0.0, most(axis)) as usize
    });
    [low, high]
}

/// The mean of a block.
#[inline(always)]
fn mean(source: &impl Source, place: [usize; 2], block: [usize; 2]) -> [f32; 3] {
    let mut sum = [0.0; 3];
    for y in place[1] * block[1]..(place[1] + 1) * block[1] {
        for x in place[0] * block[0]..(place[0] + 1) * block[0] {
            let rgb = source.rgb(x, y);
            for channel in 0..3 {
                sum[channel] += rgb[channel];
            }
        }
    }
    let share = 1.0 / (block[0] * block[1]) as f32;
    sum.map(|sum| sum * share)
}

/// Fills the crop from samples of `size`, edges repeated.
#[inline(always)]
fn sample_all(crop: Crop<'_>, to_source: &Affine, size: [usize; 2], rgb: impl Fn(usize, usize) -> [f32; 3]) {
    let (side, plane) = (crop.side, crop.side * crop.side);
    let factors = [0, 1, 2].map(|channel| Normalise::new(crop.mean[channel], crop.std[channel]).factors());
    let (red, rest) = crop.into.split_at_mut(plane);
    let (green, blue) = rest.split_at_mut(plane);
    for y in 0..side {
        for x in 0..side {
            let [across, down] = to_source.apply([x as f64, y as f64]);
            let (left, right, right_share) = tap(across, size[0]);
            let (top, bottom, lower_share) = tap(down, size[1]);
            let upper = mix(rgb(left, top), rgb(right, top), right_share);
            let lower = mix(rgb(left, bottom), rgb(right, bottom), right_share);
            let value = mix(upper, lower, lower_share);
            let at = y * side + x;
            let [(r, r0), (g, g0), (b, b0)] = factors;
            red[at] = value[0] * r + r0;
            green[at] = value[1] * g + g0;
            blue[at] = value[2] * b + b0;
        }
    }
}

/// The two samples, of `count`, around a place, and the share of the second.
#[inline(always)]
fn tap(at: f64, count: usize) -> (usize, usize, f32) {
    let last = count - 1;
    // What is not a number is the first.
    let at = at.max(0.0).min(last as f64);
    let first = at as usize;
    (first, (first + 1).min(last), (at - first as f64) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{ColorMatrix, ColorRange, FrameLayout, PixelFormat, Plane, View};

    const SIDE: usize = 8;

    fn cut(frame: &Frame<'_>, to_frame: Affine, block: [u32; 2]) -> Vec<f32> {
        let mut into = vec![f32::NAN; 3 * SIDE * SIDE];
        let crop = Crop {
            side: SIDE,
            to_frame,
            block,
            mean: [0.0; 3],
            std: [1.0 / 255.0; 3],
            into: &mut into,
        };
        Cropper::default().cut(frame, crop).unwrap();
        into
    }

    fn noise() -> Vec<u8> {
        (0..40_000_u32)
            .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect()
    }

    fn scaled(scale: f64, x: f64, y: f64) -> Affine {
        Affine([[scale, 0.0, x], [0.0, scale, y]])
    }

    #[test]
    fn a_crop_at_the_frame_s_scale_is_a_piece_of_it_and_edges_repeat() {
        let pixels = noise();
        let frame = Frame::rgb(&pixels[..30 * 20 * 3], 30, 20);
        for (x, y) in [(4.0, 7.0), (-3.0, 15.0), (26.0, -50.0)] {
            let crop = cut(&frame, scaled(1.0, x, y), [1, 1]);
            for (index, found) in crop.iter().enumerate() {
                let (channel, row, column) = (index / SIDE / SIDE, index / SIDE % SIDE, index % SIDE);
                let at = |start: f64, step: usize, last: f64| (start + step as f64).clamp(0.0, last) as usize;
                let (column, row) = (at(x, column, 29.0), at(y, row, 19.0));
                let expected = f32::from(pixels[(row * 30 + column) * 3 + channel]);
                assert!((found - expected).abs() < 1e-3, "{found} {expected} at {index}");
            }
        }
    }

    #[test]
    fn coarse_crops_are_of_means_of_blocks() {
        let pixels = noise();
        let frame = Frame::rgb(&pixels[..64 * 48 * 3], 64, 48);
        // Each pixel of the crop is the middle of a block of 3 x 3.
        let crop = cut(&frame, scaled(3.0, 7.0, 4.0), [3, 3]);
        for row in 0..SIDE {
            for column in 0..SIDE {
                let mut sum = 0.0;
                for (y, x) in (0..9).map(|of| (of / 3, of % 3)) {
                    let at = (3 * (row + 1) + y) * 64 + 3 * (column + 2) + x;
                    sum += f32::from(pixels[3 * at]);
                }
                let found = crop[row * SIDE + column];
                assert!((found - sum / 9.0).abs() < 1e-3, "{found} {}", sum / 9.0);
            }
        }
        // A block is never larger than the frame, and a crop beyond it shows its edge.
        let far = cut(&frame, scaled(500.0, 1e5, 1e5), [400, 400]);
        assert!(far.iter().all(|number| (0.0..=255.001).contains(number)));
    }

    #[test]
    fn what_is_no_place_shows_something_and_does_not_panic() {
        let pixels = [9; 12];
        let frame = Frame::rgb(&pixels, 2, 2);
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            for block in [1, 2, 1000] {
                let crop = cut(&frame, scaled(number, number, 0.0), [block; 2]);
                assert!(crop.iter().all(|value| (value - 9.0).abs() < 1e-4));
            }
        }
    }

    /// Formats that hold the same colours give the same crop, whatever their strides are.
    #[test]
    fn all_formats_are_cut_alike() {
        let bytes = noise();
        let grey = |format, matrix| {
            let layout = FrameLayout {
                format,
                width: 40,
                height: 30,
                matrix,
                range: ColorRange::Full,
                view: View::PLAIN,
            };
            // No colour: all planes of chroma are 128.
            let luma = &bytes[..50 * 30];
            let neutral = vec![128; 100 * 30];
            let wide: Vec<u8> = (0..30 * 210)
                .map(|at| {
                    let (row, column) = (at / 210, at % 210 / format.pixel_stride());
                    luma[row * 50 + column.min(49)]
                })
                .collect();
            let (main, stride) = match format {
                PixelFormat::Gray8 | PixelFormat::Nv12 | PixelFormat::I420 => (luma, 50),
                _ => (&wide[..], 210),
            };
            let plane = |data, stride| Plane { data, stride };
            let frame = Frame {
                layout,
                planes: [plane(main, stride), plane(&neutral, 60), plane(&neutral, 60)],
            };
            let turn = Affine([[1.6, -1.2, 14.0], [1.2, 1.6, 3.0]]);
            [cut(&frame, turn, [1, 1]), cut(&frame, turn, [2, 2])]
        };
        let expected = grey(PixelFormat::Gray8, ColorMatrix::Bt601);
        for format in PixelFormat::ALL {
            for matrix in [ColorMatrix::Bt601, ColorMatrix::Bt709] {
                for (found, expected) in grey(format, matrix).iter().zip(&expected) {
                    let far = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
                    assert!(far.fold(0.0, f32::max) < 1e-2, "{format:?} {matrix:?}");
                }
            }
        }
    }

    #[test]
    fn frames_that_are_too_short_are_errors() {
        let frame = Frame::rgb(&[0; 11], 2, 2);
        let mut into = vec![7.0; 3 * SIDE * SIDE];
        let crop = Crop {
            side: SIDE,
            to_frame: Affine::IDENTITY,
            block: [1, 1],
            mean: [0.0; 3],
            std: [1.0; 3],
            into: &mut into,
        };
        assert!(Cropper::default().cut(&frame, crop).is_err());
        assert!(into.iter().all(|number| *number == 7.0));
    }
}
