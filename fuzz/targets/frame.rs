//! Frames of any size, stride and length are converted or refused, and nothing outside of them is read.
#![no_main]

use arbitrary::Arbitrary;
use img2pose::frame::{
    ColorMatrix, ColorRange, Converter, Frame, FrameLayout, NetworkSize, PixelFormat, Plane,
    Orientation, PixelAspectRatio, View,
};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    format: u8,
    bt709: bool,
    full: bool,
    /// Wide sizes are refused or need few rows.
    width: u16,
    pixel: [u8; 2],
    orientation: u8,
    height: u8,
    min_size: u8,
    max_size: u16,
    divisor: u8,
    mean: [f32; 3],
    std: [f32; 3],
    strides: [u16; 3],
    /// Where each plane begins in the data.
    offsets: [u16; 3],
    data: &'a [u8],
}

/// A larger network image only takes time.
const MOST_FLOATS: usize = 1 << 18;

fuzz_target!(|input: Input<'_>| {
    let format = PixelFormat::ALL[input.format as usize % 7];
    let layout = FrameLayout {
        format,
        width: input.width.into(),
        height: input.height.into(),
        matrix: if input.bt709 {
            ColorMatrix::Bt709
        } else {
            ColorMatrix::Bt601
        },
        range: if input.full {
            ColorRange::Full
        } else {
            ColorRange::Limited
        },
        view: View {
            pixel_aspect_ratio: PixelAspectRatio::new(input.pixel[0].into(), input.pixel[1].into())
                .unwrap_or_default(),
            orientation: Orientation::ALL[input.orientation as usize % 8],
        },
    };
    if layout.width == 0
        || layout.height == 0
        || input.min_size == 0
        || input.max_size == 0
        || input.divisor == 0
    {
        return;
    }
    let (min, max) = (input.min_size.into(), input.max_size.into());
    let size = NetworkSize::of_layout(&layout, min, max, input.divisor.into());
    if size.tensor_len() > MOST_FLOATS {
        return;
    }
    let Ok(mut converter) = Converter::new(layout, size, input.mean, input.std) else {
        return;
    };
    let planes = [0, 1, 2].map(|plane| Plane {
        data: input
            .data
            .get(input.offsets[plane] as usize..)
            .unwrap_or_default(),
        stride: input.strides[plane].into(),
    });
    let mut slot = vec![f32::NAN; size.tensor_len()];
    if converter.convert(&Frame { layout, planes }, &mut slot).is_ok() {
        assert!(slot.iter().all(|value| value.is_finite()));
    }
});
