//! A frame straight into the network's input tensor.

use super::kernels::Normalise;
use super::rows::RowResizer;
use super::simd::Simd;
use super::taps::Taps;
use super::{Frame, FrameError, FrameLayout, NetworkSize};

/// Longest side of a frame or a network image, in pixels.
const MAX_SIDE: u32 = 1 << 16;

/// Writes frames of one layout into the network's input tensor: R, G, B, resized, normalised and padded.
///
/// Each pixel of the frame counts as the R, G, B in 0..1 that an 8-bit RGB picture would hold, clamped but not rounded
/// to 8 bits. It is resized bilinearly with half-pixel centres and without antialiasing, as PyTorch's
/// `interpolate(mode="bilinear", align_corners=False, recompute_scale_factor=True)` does, and normalised to
/// `(value - mean) / std`. The padding right and below is zero.
///
/// A chroma sample of NV12 or I420 serves its 2x2 pixels as it is.
///
/// The same frame gives the same bits on every machine. Nothing is allocated after [`Converter::new`].
pub struct Converter {
    layout: FrameLayout,
    size: NetworkSize,
    simd: Simd,
    normalise: [Normalise; 3],
    resizer: RowResizer,
    /// Taps from the rows of the network image to the rows of the frame.
    rows: Taps,
    /// The two resized rows in use.
    cache: [CachedRow; 2],
}

/// A resized row of the frame at hand.
struct CachedRow {
    source: Option<u32>,
    values: Vec<f32>,
}

impl Converter {
    /// A converter for frames of `layout` to network images of `size`, which must be made for that frame size.
    ///
    /// `image_mean` and `image_std` are those of R, G, B in 0..1.
    ///
    /// # Errors
    /// A size that is zero, beyond 65536 pixels or does not fit the layout; numbers that cannot normalise.
    pub fn new(
        layout: FrameLayout,
        size: NetworkSize,
        image_mean: [f32; 3],
        image_std: [f32; 3],
    ) -> Result<Self, FrameError> {
        Self::with_simd(layout, size, image_mean, image_std, Simd::detect())
    }

    fn with_simd(
        layout: FrameLayout,
        size: NetworkSize,
        image_mean: [f32; 3],
        image_std: [f32; 3],
        simd: Simd,
    ) -> Result<Self, FrameError> {
        check_sizes(&layout, &size)?;
        let finite = image_mean.iter().chain(&image_std).all(|value| value.is_finite());
        let normalise = [0, 1, 2].map(|channel| Normalise::new(image_mean[channel], image_std[channel]));
        if !finite || image_std.iter().any(|&std| std <= 0.0) || !normalise.iter().all(Normalise::is_finite) {
            return Err(FrameError::Normalisation {
                mean: image_mean,
                std: image_std,
            });
        }
        let resizer = RowResizer::new(&layout, size.width, simd);
        let row_len = resizer.channels() * resizer.channel_len();
        Ok(Self {
            layout,
            size,
            simd,
            normalise,
            rows: Taps::new(layout.height, size.height, 1),
            cache: [0, 1].map(|_| CachedRow {
                source: None,
                values: vec![0.0; row_len],
            }),
            resizer,
        })
    }

    /// The layout of the frames that this converter takes.
    pub fn layout(&self) -> &FrameLayout {
        &self.layout
    }

    /// The sizes on the way to the network.
    pub fn size(&self) -> &NetworkSize {
        &self.size
    }

    /// Writes `frame` into `slot`: three planes R, G, B of `padded_height` x `padded_width` floats.
    ///
    /// # Errors
    /// A frame of another layout, a plane or stride that is too short, a slot of another length than
    /// [`NetworkSize::tensor_len`]; the slot is untouched then.
    pub fn convert(&mut self, frame: &Frame<'_>, slot: &mut [f32]) -> Result<(), FrameError> {
        if frame.layout != self.layout {
            return Err(FrameError::WrongLayout {
                expected: Box::new(self.layout),
                found: Box::new(frame.layout),
            });
        }
        self.resizer.planes().check(frame)?;
        if slot.len() != self.size.tensor_len() {
            return Err(FrameError::SlotLength {
                expected: self.size.tensor_len(),
                found: slot.len(),
            });
        }

        // Rows that are left from the frame before.
        self.cache.iter_mut().for_each(|row| row.source = None);
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        let padded_width = self.size.padded_width as usize;
        let plane_len = padded_width * self.size.padded_height as usize;
        for y in 0..height {
            self.load_rows(frame, self.rows.first[y], self.rows.second[y]);
            let [first, second] = &self.cache;
            // Where the second row has no weight it is not loaded.
            let second = if self.rows.second[y] == self.rows.first[y] {
                first
            } else {
                second
            };
            let channel_len = self.resizer.channel_len();
            for (channel, (plane, normalise)) in
                slot.chunks_exact_mut(plane_len).zip(&self.normalise).enumerate()
            {
                // A gray row has one channel for all three.
                let start = channel.min(self.resizer.channels() - 1) * channel_len;
                let (image, padding) = plane[y * padded_width..][..padded_width].split_at_mut(width);
                self.simd.blend_rows(
                    &first.values[start..][..width],
                    &second.values[start..][..width],
                    self.rows.weight[y],
                    normalise,
                    image,
                );
                padding.fill(0.0);
            }
        }
        for plane in slot.chunks_exact_mut(plane_len) {
            plane[height * padded_width..].fill(0.0);
        }
        Ok(())
    }

    /// Brings source row `first` into the first cached row, and `second` into the second unless it is the same.
    fn load_rows(&mut self, frame: &Frame<'_>, first: u32, second: u32) {
        if self.cache[0].source != Some(first) {
            // Going down the frame, the second row is often the next first.
            if self.cache[1].source == Some(first) {
                self.cache.swap(0, 1);
            } else {
                self.load(frame, 0, first);
            }
        }
        if second != first && self.cache[1].source != Some(second) {
            self.load(frame, 1, second);
        }
    }

    fn load(&mut self, frame: &Frame<'_>, slot: usize, row: u32) {
        self.resizer
            .resize(frame, row as usize, &mut self.cache[slot].values);
        self.cache[slot].source = Some(row);
    }
}

/// Checks that nothing is zero, absurd or contradictory.
fn check_sizes(layout: &FrameLayout, size: &NetworkSize) -> Result<(), FrameError> {
    let sides = [
        ("the frame", layout.width, layout.height),
        ("the network image", size.width, size.height),
        ("the padded network image", size.padded_width, size.padded_height),
    ];
    for (what, width, height) in sides {
        if width == 0 || height == 0 {
            return Err(FrameError::ZeroSize { what, width, height });
        }
        if width > MAX_SIDE || height > MAX_SIDE {
            return Err(FrameError::TooLarge {
                what,
                width,
                height,
                limit: MAX_SIDE,
            });
        }
    }
    if (size.frame_width, size.frame_height) != (layout.width, layout.height) {
        return Err(FrameError::SizeMismatch {
            expected_width: size.frame_width,
            expected_height: size.frame_height,
            width: layout.width,
            height: layout.height,
        });
    }
    if size.width > size.padded_width || size.height > size.padded_height {
        return Err(FrameError::PaddingTooSmall {
            width: size.width,
            height: size.height,
            padded_width: size.padded_width,
            padded_height: size.padded_height,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{ColorMatrix, ColorRange, PixelFormat, Plane};
    use super::*;

    /// Each format, at ratios that take one window of bytes, two, four, and none, and in rows shorter than a window.
    #[test]
    fn vector_instructions_do_not_change_a_bit() {
        let bytes: Vec<u8> = (0..300_000_u32)
            .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let widths = [
            (300, 450),
            (300, 200),
            (300, 151),
            (299, 149),
            (300, 75),
            (300, 40),
            (300, 25),
            (31, 32),
            (15, 16),
            (1, 9),
            (9, 1),
        ];
        for format in PixelFormat::ALL {
            for (range, matrix) in [
                (ColorRange::Full, ColorMatrix::Bt709),
                (ColorRange::Limited, ColorMatrix::Bt601),
            ] {
                for (frame_width, width) in widths {
                    let layout = FrameLayout {
                        format,
                        width: frame_width,
                        height: 21,
                        matrix,
                        range,
                    };
                    let size = NetworkSize {
                        frame_width,
                        frame_height: 21,
                        width,
                        height: 17,
                        padded_width: width + 3,
                        padded_height: 20,
                    };
                    let planes = [0, 7, 13].map(|start| Plane {
                        data: &bytes[start..],
                        stride: 1201,
                    });
                    let image = |simd| {
                        let mut slot = vec![f32::NAN; size.tensor_len()];
                        let mut converter =
                            Converter::with_simd(layout, size, [0.4; 3], [0.2; 3], simd).unwrap();
                        converter.convert(&Frame { layout, planes }, &mut slot).unwrap();
                        slot.iter().map(|value| value.to_bits()).collect::<Vec<_>>()
                    };
                    assert_eq!(
                        image(Simd::baseline()),
                        image(Simd::detect()),
                        "{layout:?} to {width}"
                    );
                }
            }
        }
    }
}
