//! Every format against the f64 reference.

use img2pose::frame::{ColorMatrix, ColorRange, Converter, FrameLayout, NetworkSize, PixelFormat, View};
use proptest::prelude::*;

use super::picture::{FORMATS, MEAN, Picture, STD, layout, max_difference};

/// Rounding of f32 arithmetic on normalised values of up to 2.7.
const TOLERANCE: f64 = 3e-6;

fn network_size(frame: (u32, u32), resized: (u32, u32), padding: (u32, u32)) -> NetworkSize {
    NetworkSize {
        frame_width: frame.0,
        frame_height: frame.1,
        width: resized.0,
        height: resized.1,
        padded_width: resized.0 + padding.0,
        padded_height: resized.1 + padding.1,
    }
}

fn check(layout: FrameLayout, size: NetworkSize, gap: usize, seed: u64) {
    let picture = Picture::noise(layout, gap, seed);
    let difference = max_difference(&picture.convert(&size), &picture.reference(&size));
    assert!(
        difference <= TOLERANCE,
        "{layout:?} to {size:?}, gap {gap}: {difference:e}"
    );
}

/// All formats, matrices and ranges.
fn layouts(width: u32, height: u32) -> impl Iterator<Item = FrameLayout> {
    FORMATS.into_iter().flat_map(move |format| {
        [ColorMatrix::Bt601, ColorMatrix::Bt709]
            .into_iter()
            .flat_map(move |matrix| {
                [ColorRange::Full, ColorRange::Limited].map(|range| FrameLayout {
                    format,
                    width,
                    height,
                    matrix,
                    range,
                    view: View::PLAIN,
                })
            })
    })
}

#[test]
fn every_layout_up_and_down_odd_and_even() {
    let sizes = [
        ((64, 48), (96, 72)),
        ((96, 72), (64, 48)),
        ((97, 75), (61, 33)),
        ((33, 35), (131, 67)),
        ((150, 9), (31, 4)),
        ((301, 5), (40, 40)),
        ((40, 40), (40, 40)),
        ((1, 1), (7, 5)),
        ((7, 5), (1, 1)),
        ((2, 3), (3, 2)),
    ];
    for (frame, resized) in sizes {
        for layout in layouts(frame.0, frame.1) {
            check(layout, network_size(frame, resized, (5, 3)), 13, 1);
        }
    }
}

#[test]
fn real_sizes() {
    for (width, height) in [(1280, 720), (640, 360), (1920, 1080), (321, 241)] {
        for format in [
            PixelFormat::Nv12,
            PixelFormat::I420,
            PixelFormat::Bgrx,
            PixelFormat::Rgb,
        ] {
            let layout = FrameLayout {
                range: ColorRange::Limited,
                matrix: ColorMatrix::Bt709,
                ..layout(format, width, height)
            };
            check(layout, NetworkSize::new(width, height, 480, 1400, 32), 0, 2);
        }
    }
}

#[test]
fn a_big_stride_changes_nothing() {
    for format in FORMATS {
        check(
            layout(format, 37, 23),
            network_size((37, 23), (29, 31), (3, 1)),
            100_000,
            3,
        );
    }
}

#[test]
fn padding_is_zero_and_nothing_else_is() {
    let size = network_size((20, 10), (30, 15), (2, 17));
    let tensor = Picture::noise(layout(PixelFormat::Rgb, 20, 10), 0, 4).convert(&size);
    for (index, value) in tensor.iter().enumerate() {
        let (x, y) = (index % 32, index / 32 % 32);
        assert_eq!(*value == 0.0, x >= 30 || y >= 15, "x {x}, y {y}: {value}");
    }
}

#[test]
fn byte_order_does_not_change_a_bit() {
    for (frame, resized) in [((67, 41), (90, 55)), ((67, 41), (33, 21)), ((3, 2), (5, 5))] {
        let size = network_size(frame, resized, (0, 0));
        let rgb = Picture::noise(layout(PixelFormat::Rgb, frame.0, frame.1), 0, 5);
        let pixels: Vec<&[u8]> = rgb.planes[0].chunks_exact(3).collect();
        let expected = rgb.convert(&size);
        for (format, order) in [
            (PixelFormat::Bgr, &[2, 1, 0][..]),
            (PixelFormat::Rgbx, &[0, 1, 2, 1]),
            (PixelFormat::Bgrx, &[2, 1, 0, 0]),
        ] {
            let bytes: Vec<u8> = pixels
                .iter()
                .flat_map(|pixel| order.iter().map(|at| pixel[*at]))
                .collect();
            let strides = [order.len() * frame.0 as usize, 0, 0];
            let picture = Picture {
                layout: layout(format, frame.0, frame.1),
                planes: vec![bytes],
                strides,
            };
            assert_eq!(bits(&picture.convert(&size)), bits(&expected), "{format:?}");
        }
    }
}

#[test]
fn nv12_and_i420_give_the_same_bits() {
    for width in [66, 67] {
        let nv12 = Picture::noise(layout(PixelFormat::Nv12, width, 41), 0, 6);
        let chroma = |at| {
            nv12.planes[1]
                .iter()
                .copied()
                .skip(at)
                .step_by(2)
                .collect::<Vec<_>>()
        };
        let half = width.div_ceil(2) as usize;
        let i420 = Picture {
            layout: layout(PixelFormat::I420, width, 41),
            planes: vec![nv12.planes[0].clone(), chroma(0), chroma(1)],
            strides: [width as usize, half, half],
        };
        let size = network_size((width, 41), (50, 60), (1, 1));
        assert_eq!(bits(&nv12.convert(&size)), bits(&i420.convert(&size)));
    }
}

#[test]
fn gray_is_a_gray_rgb_picture() {
    let gray = Picture::noise(layout(PixelFormat::Gray8, 31, 17), 0, 7);
    let rgb = Picture {
        layout: layout(PixelFormat::Rgb, 31, 17),
        planes: vec![gray.planes[0].iter().flat_map(|&luma| [luma; 3]).collect()],
        strides: [93, 0, 0],
    };
    let size = network_size((31, 17), (44, 29), (0, 0));
    assert_eq!(bits(&gray.convert(&size)), bits(&rgb.convert(&size)));
}

#[test]
fn known_colours_of_video() {
    // Black, white, and the red, green and blue bars of 100 % SMPTE-like bars, limited range.
    let cases = [
        (ColorMatrix::Bt601, [16, 128, 128], [0.0, 0.0, 0.0]),
        (ColorMatrix::Bt709, [235, 128, 128], [1.0, 1.0, 1.0]),
        (ColorMatrix::Bt601, [82, 90, 240], [1.0, 0.0, 0.0]),
        (ColorMatrix::Bt601, [145, 54, 34], [0.0, 1.0, 0.0]),
        (ColorMatrix::Bt601, [41, 240, 110], [0.0, 0.0, 1.0]),
        (ColorMatrix::Bt709, [63, 102, 240], [1.0, 0.0, 0.0]),
        (ColorMatrix::Bt709, [173, 42, 26], [0.0, 1.0, 0.0]),
        (ColorMatrix::Bt709, [32, 240, 118], [0.0, 0.0, 1.0]),
    ];
    for (matrix, [y, cb, cr], rgb) in cases {
        let picture = Picture {
            layout: FrameLayout {
                matrix,
                range: ColorRange::Limited,
                ..layout(PixelFormat::I420, 2, 2)
            },
            planes: vec![vec![y; 4], vec![cb], vec![cr]],
            strides: [2, 1, 1],
        };
        let tensor = picture.convert(&network_size((2, 2), (1, 1), (0, 0)));
        for channel in 0..3 {
            let value = tensor[channel] * STD[channel] + MEAN[channel];
            // Rounding of the bars to 8-bit Y, Cb, Cr.
            assert!(
                (value - rgb[channel]).abs() < 1.2 / 255.0,
                "{matrix:?} {rgb:?}: {value} in channel {channel}"
            );
        }
    }
}

#[test]
fn a_converter_keeps_nothing_of_the_frame_before() {
    let size = network_size((40, 30), (50, 37), (4, 4));
    for format in FORMATS {
        let layout = layout(format, 40, 30);
        let mut converter = Converter::new(layout, size, MEAN, STD).unwrap();
        for seed in 0..3 {
            let picture = Picture::noise(layout, seed as usize, seed);
            let mut slot = vec![f32::NAN; size.tensor_len()];
            converter.convert(&picture.frame(), &mut slot).unwrap();
            assert_eq!(bits(&slot), bits(&picture.convert(&size)), "{format:?}");
        }
    }
}

fn bits(tensor: &[f32]) -> Vec<u32> {
    tensor.iter().map(|value| value.to_bits()).collect()
}

proptest! {
    #[test]
    fn any_size(
        frame in (1_u32..70, 1_u32..70),
        resized in (1_u32..70, 1_u32..70),
        padding in (0_u32..40, 0_u32..40),
        kind in 0_usize..28,
        gap in 0_usize..40,
        seed: u64,
    ) {
        let layout = layouts(frame.0, frame.1).nth(kind).unwrap();
        check(layout, network_size(frame, resized, padding), gap, seed);
    }
}
