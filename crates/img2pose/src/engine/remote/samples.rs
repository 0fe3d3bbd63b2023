//! A batch as it is sent: upright frames of three samples a pixel, and what makes R, G, B of them.
//!
//! Nothing is rounded: chroma that serves 2x2 pixels is repeated, as the converter on the processor reads it.

use crate::error::{Error, reserve};
use crate::frame::{Colours, Conversion, raw_len};

/// What each of three samples is multiplied with for R, G and B, then what is added.
pub(super) type Factors = [[f32; 3]; 4];

/// Height and width of the upright frames.
pub(super) fn upright(conversion: &Conversion) -> [usize; 2] {
    let (width, height) = conversion.layout.upright_size();
    [height as usize, width as usize]
}

/// R, G, B of samples.
pub(super) fn factors(conversion: &Conversion) -> Factors {
    match conversion.colours() {
        Colours::Packed { .. } => [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0; 3]],
        // The sample stands there three times.
        Colours::Gray { scale, offset } => [[scale; 3], [0.0; 3], [0.0; 3], [offset; 3]],
        Colours::YCbCr {
            scale,
            cb,
            cr,
            offset,
            ..
        } => [[scale; 3], cb, cr, offset],
    }
}

/// Appends the samples of every frame of `frames`, bytes of frames without gaps, to `into`: `[frames, height, width, 3]`.
///
/// # Errors
/// [`Error::NoMemory`].
pub(super) fn write(conversion: &Conversion, frames: &[u8], into: &mut Vec<u8>) -> Result<(), Error> {
    let layout = &conversion.layout;
    let (width, height) = (layout.width as usize, layout.height as usize);
    let bytes = raw_len(layout);
    let count = frames.len() / bytes;
    reserve(
        into,
        into.len() + count * width * height * 3,
        "the frames of a batch for the server",
    )?;
    for frame in frames.chunks_exact(bytes) {
        let pixel = pixels(conversion.colours(), frame, width, height);
        each_upright(conversion, |x, y| into.extend_from_slice(&pixel(x, y)));
    }
    Ok(())
}

/// Calls `with` for every pixel of the upright frame, row by row, with its place in the frame as it is.
fn each_upright(conversion: &Conversion, mut with: impl FnMut(usize, usize)) {
    let orientation = conversion.layout.view.orientation;
    let (width, height) = (
        conversion.layout.width as usize,
        conversion.layout.height as usize,
    );
    let [upright_height, upright_width] = upright(conversion);
    for row in 0..upright_height {
        for column in 0..upright_width {
            // As the graph does it for devices: first the frame's rows and columns are reversed, then they change places.
            let (y, x) = match orientation.swaps_sides() {
                true => (column, row),
                false => (row, column),
            };
            let y = if orientation.reverses_rows() {
                height - 1 - y
            } else {
                y
            };
            let x = if orientation.reverses_columns() {
                width - 1 - x
            } else {
                x
            };
            with(x, y);
        }
    }
}

/// The three samples of a pixel.
fn pixels(colours: Colours, frame: &[u8], width: usize, height: usize) -> impl Fn(usize, usize) -> [u8; 3] {
    let (chroma_width, chroma_height) = (width.div_ceil(2), height.div_ceil(2));
    let chroma = width * height;
    move |x, y| match colours {
        Colours::Packed { bytes, places } => {
            let first = (y * width + x) * bytes;
            places.map(|place| frame[first + place])
        }
        Colours::Gray { .. } => [frame[y * width + x]; 3],
        Colours::YCbCr { interleaved, .. } => {
            let sample = y / 2 * chroma_width + x / 2;
            let [cb, cr] = match interleaved {
                true => [2 * sample, 2 * sample + 1],
                false => [sample, chroma_width * chroma_height + sample],
            };
            [frame[y * width + x], frame[chroma + cb], frame[chroma + cr]]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{ColorMatrix, ColorRange, FrameLayout, NetworkSize, Orientation, PixelFormat, View};

    fn conversion(format: PixelFormat, orientation: Orientation) -> Conversion {
        let layout = FrameLayout {
            format,
            width: 3,
            height: 2,
            matrix: ColorMatrix::Bt601,
            range: ColorRange::Limited,
            view: View {
                orientation,
                ..View::PLAIN
            },
        };
        Conversion {
            layout,
            size: NetworkSize::of_layout(&layout, 32, 64, 32),
            mean: [0.0; 3],
            std: [1.0; 3],
            is_smoothed: false,
        }
    }

    fn written(conversion: &Conversion, frames: &[u8]) -> Vec<u8> {
        let mut samples = Vec::new();
        write(conversion, frames, &mut samples).unwrap();
        samples
    }

    #[test]
    fn samples_come_from_their_places() {
        let plain = Orientation::Identity;
        let numbers: Vec<u8> = (0..24).collect();
        let bgrx = written(&conversion(PixelFormat::Bgrx, plain), &numbers);
        assert_eq!(bgrx[..6], [2, 1, 0, 6, 5, 4]);
        assert_eq!(bgrx.len(), 18);
        // Two frames.
        let gray = written(&conversion(PixelFormat::Gray8, plain), &numbers[..12]);
        assert_eq!(gray[15..21], [5, 5, 5, 6, 6, 6]);
        // Six of luma, then 2x1 of chroma.
        let i420 = written(&conversion(PixelFormat::I420, plain), &numbers[..10]);
        assert_eq!(i420, [0, 6, 8, 1, 6, 8, 2, 7, 9, 3, 6, 8, 4, 6, 8, 5, 7, 9]);
        let nv12 = written(&conversion(PixelFormat::Nv12, plain), &numbers[..10]);
        assert_eq!(nv12, [0, 6, 7, 1, 6, 7, 2, 8, 9, 3, 6, 7, 4, 6, 7, 5, 8, 9]);
    }

    #[test]
    fn frames_are_sent_upright() {
        // 0 1 2
        // 3 4 5
        for (orientation, expected) in [
            (Orientation::Clockwise, [3, 0, 4, 1, 5, 2]),
            (Orientation::CounterClockwise, [2, 5, 1, 4, 0, 3]),
            (Orientation::HalfTurn, [5, 4, 3, 2, 1, 0]),
            (Orientation::MirrorHorizontal, [2, 1, 0, 5, 4, 3]),
            (Orientation::MirrorMainDiagonal, [0, 3, 1, 4, 2, 5]),
        ] {
            let samples = written(&conversion(PixelFormat::Gray8, orientation), &[0, 1, 2, 3, 4, 5]);
            let luma: Vec<u8> = samples.chunks_exact(3).map(|samples| samples[0]).collect();
            assert_eq!(luma, expected, "{orientation:?}");
        }
    }
}
