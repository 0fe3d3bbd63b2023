//! A frame straight into the network's input tensor.

use super::kernels::Normalise;
use super::lanes::LANES;
use super::region::Cut;
use super::rows::RowResizer;
use super::simd::Simd;
use super::smooth::Smooth;
use super::taps::Taps;
use super::turn::Turned;
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
/// A frame that has to be turned ([`View`](super::View)) is read turned, at no more than the cost of writing its network
/// image once more; the image is that of the turned frame but for the last bits of its numbers.
///
/// The same frame gives the same bits on every machine. Nothing is allocated after [`Converter::new`].
pub struct Converter {
    layout: FrameLayout,
    size: NetworkSize,
    simd: Simd,
    normalise: [Normalise; 3],
    resizer: RowResizer,
    /// Taps from the rows of the resized frame to the rows of the frame.
    rows: Taps,
    /// The two resized rows in use.
    cache: [CachedRow; 2],
    /// Makes the rows instead, where the frame is smoothed.
    smooth: Option<Smooth>,
    /// How the resized frame becomes the network image; `None` if it is that already.
    turned: Option<Turned>,
}

/// A resized row of the frame at hand.
struct CachedRow {
    source: Option<u32>,
    values: Vec<f32>,
}

impl std::fmt::Debug for Converter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Converter")
            .field("layout", &self.layout)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
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

    /// A converter that smooths a frame by as much as it is shrunk (antialiasing), as PyTorch's
    /// `interpolate(mode="bilinear", antialias=True)` does, so that each pixel of the frame counts. All else is as in
    /// [`new`](Self::new).
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn smoothed(
        layout: FrameLayout,
        size: NetworkSize,
        image_mean: [f32; 3],
        image_std: [f32; 3],
    ) -> Result<Self, FrameError> {
        let mut converter = Self::new(layout, size, image_mean, image_std)?;
        let sides = match layout.view.orientation.swaps_sides() {
            true => [size.height, size.width],
            false => [size.width, size.height],
        };
        converter.smooth = Smooth::new(&layout, sides, converter.simd);
        Ok(converter)
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
        let orientation = layout.view.orientation;
        let (width, height) = match orientation.swaps_sides() {
            true => (size.height, size.width),
            false => (size.width, size.height),
        };
        // Positions are those of the upright picture, whichever way the frame runs.
        let columns = match orientation.reverses_columns() {
            true => Taps::reversed(layout.width, width, LANES),
            false => Taps::new(layout.width, width, LANES),
        };
        let rows = Taps::new(layout.height, height, 1);
        let rows = match orientation.reverses_rows() {
            true => rows.seen_from_the_end(layout.height),
            false => rows,
        };
        let resizer = RowResizer::new(&layout, columns, simd);
        let row_len = resizer.channels() * resizer.channel_len();
        Ok(Self {
            layout,
            size,
            simd,
            normalise,
            rows,
            cache: [0, 1].map(|_| CachedRow {
                source: None,
                values: vec![0.0; row_len],
            }),
            resizer,
            smooth: None,
            turned: Turned::new(orientation, &size),
        })
    }

    /// Shows the part of the frame that `cut` says from now on, which fits into the size that this was made with. Nothing is
    /// allocated.
    pub(crate) fn aim(&mut self, cut: &Cut) {
        let orientation = self.layout.view.orientation;
        self.size = cut.size;
        let [x, y] = cut.axes();
        let (width, height) = (cut.size.width as usize, cut.size.height as usize);
        let ((columns, width), (rows, height)) = match orientation.swaps_sides() {
            true => ((y, height), (x, width)),
            false => ((x, width), (y, height)),
        };
        let layout = &self.layout;
        self.resizer.aim(|taps| match orientation.reverses_columns() {
            true => taps.aim_reversed(layout.width, &columns, width),
            false => taps.aim(layout.width, &columns, width),
        });
        match orientation.reverses_rows() {
            true => self.rows.aim_from_the_end(layout.height, &rows, height),
            false => self.rows.aim(layout.height, &rows, height),
        }
        if let Some(turned) = &mut self.turned {
            turned.aim(&cut.size);
        }
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
        self.smooth.iter_mut().for_each(Smooth::begin);
        // Taken out, so that the rows can be made meanwhile.
        match self.turned.take() {
            None => self.convert_upright(frame, slot),
            Some(mut turned) => {
                self.convert_turned(frame, slot, &mut turned);
                self.turned = Some(turned);
            }
        }
        Ok(())
    }

    fn convert_upright(&mut self, frame: &Frame<'_>, slot: &mut [f32]) {
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        let padded_width = self.size.padded_width as usize;
        let plane_len = padded_width * self.size.padded_height as usize;
        for y in 0..height {
            self.prepare(frame, y);
            for (channel, plane) in slot.chunks_exact_mut(plane_len).enumerate() {
                let (image, padding) = plane[y * padded_width..][..padded_width].split_at_mut(width);
                self.blend(y, channel, image);
                padding.fill(0.0);
            }
        }
        for plane in slot.chunks_exact_mut(plane_len) {
            plane[height * padded_width..].fill(0.0);
        }
    }

    fn convert_turned(&mut self, frame: &Frame<'_>, slot: &mut [f32], turned: &mut Turned) {
        turned.blank_padding(slot);
        for y in 0..turned.rows() {
            self.prepare(frame, y);
            for channel in 0..3 {
                self.blend(y, channel, turned.row(y, channel));
            }
            turned.write_if_due(y, slot);
        }
    }

    /// Loads what row `y` of the resized frame is made of.
    fn prepare(&mut self, frame: &Frame<'_>, y: usize) {
        match &mut self.smooth {
            Some(smooth) => smooth.prepare(frame, y),
            None => self.load_rows(frame, self.rows.first[y], self.rows.second[y]),
        }
    }

    /// One channel of row `y` of the resized frame, normalised, out of what is loaded.
    fn blend(&self, y: usize, channel: usize, output: &mut [f32]) {
        if let Some(smooth) = &self.smooth {
            return smooth.write(channel, &self.normalise[channel], output);
        }
        let [first, second] = &self.cache;
        // Where the second row has no weight it is not loaded.
        let second = if self.rows.second[y] == self.rows.first[y] {
            first
        } else {
            second
        };
        // A gray row has one channel for all three.
        let start = channel.min(self.resizer.channels() - 1) * self.resizer.channel_len();
        self.simd.blend_rows(
            &first.values[start..][..output.len()],
            &second.values[start..][..output.len()],
            self.rows.weight[y],
            &self.normalise[channel],
            output,
        );
    }

    /// Brings source row `first` into the first cached row, and `second` into the second unless it is the same.
    fn load_rows(&mut self, frame: &Frame<'_>, first: u32, second: u32) {
        if self.cache[0].source != Some(first) {
            // The second row is often the next first.
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
    let (width, height) = layout.upright_size();
    if (size.frame_width, size.frame_height) != (width, height) {
        return Err(FrameError::SizeMismatch {
            expected_width: size.frame_width,
            expected_height: size.frame_height,
            width,
            height,
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
    use super::super::{ColorMatrix, ColorRange, PixelFormat, Plane, View};
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
                        view: View::PLAIN,
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
