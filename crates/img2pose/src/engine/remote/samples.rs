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
