//! What does not fit is refused, and the slot is left alone.

use img2pose::frame::{Converter, FrameError, NetworkSize, PixelFormat};
use proptest::prelude::*;

use super::picture::{FORMATS, MEAN, Picture, STD, layout, plane_sizes};

fn size(width: u32, height: u32) -> NetworkSize {
    NetworkSize::new(width, height, 48, 140, 32)
}

#[test]
fn every_plane_is_checked_to_its_last_byte() {
    for format in FORMATS {
        let layout = layout(format, 19, 11);
        let mut converter = Converter::new(layout, size(19, 11), MEAN, STD).unwrap();
        for plane in 0..plane_sizes(&layout).len() {
            let mut picture = Picture::noise(layout, 2, 1);
            let needed = picture.planes[plane].len();
            picture.planes[plane].pop();
            let mut slot = vec![7.0; converter.size().tensor_len()];
            let error = converter.convert(&picture.frame(), &mut slot).unwrap_err();
            assert_eq!(
                error,
                FrameError::ShortPlane {
                    plane,
                    needed,
                    found: needed - 1
                },
                "{format:?}"
            );
            assert!(slot.iter().all(|&value| value == 7.0));
        }
    }
}

#[test]
fn a_stride_shorter_than_a_row_is_refused() {
    for format in FORMATS {
        let layout = layout(format, 19, 11);
        let mut converter = Converter::new(layout, size(19, 11), MEAN, STD).unwrap();
        for (plane, (needed, _)) in plane_sizes(&layout).into_iter().enumerate() {
            let mut picture = Picture::noise(layout, 0, 1);
            picture.strides[plane] = needed - 1;
            let mut slot = vec![0.0; converter.size().tensor_len()];
            let error = converter.convert(&picture.frame(), &mut slot).unwrap_err();
            assert_eq!(
                error,
                FrameError::ShortStride {
                    plane,
                    needed,
                    found: needed - 1
                },
                "{format:?}"
            );
        }
    }
}

#[test]
fn a_stride_that_overflows_is_a_short_plane() {
    let layout = layout(PixelFormat::Gray8, 8, 8);
    let mut picture = Picture::noise(layout, 0, 1);
    picture.strides[0] = usize::MAX / 2;
    let mut converter = Converter::new(layout, size(8, 8), MEAN, STD).unwrap();
    let mut slot = vec![0.0; converter.size().tensor_len()];
    let error = converter.convert(&picture.frame(), &mut slot).unwrap_err();
    assert_eq!(
        error,
        FrameError::ShortPlane {
            plane: 0,
            needed: usize::MAX,
            found: 64
        }
    );
}

#[test]
fn another_layout_is_refused() {
    let expected = layout(PixelFormat::Rgb, 8, 8);
    let mut converter = Converter::new(expected, size(8, 8), MEAN, STD).unwrap();
    for found in [layout(PixelFormat::Bgr, 8, 8), layout(PixelFormat::Rgb, 8, 7)] {
        let picture = Picture::noise(found, 0, 1);
        let mut slot = vec![0.0; converter.size().tensor_len()];
        let error = converter.convert(&picture.frame(), &mut slot).unwrap_err();
        assert_eq!(
            error,
            FrameError::WrongLayout {
                expected: Box::new(expected),
                found: Box::new(found)
            }
        );
    }
}

#[test]
fn a_slot_of_another_length_is_refused() {
    let layout = layout(PixelFormat::Rgb, 8, 8);
    let picture = Picture::noise(layout, 0, 1);
    let mut converter = Converter::new(layout, size(8, 8), MEAN, STD).unwrap();
    let expected = converter.size().tensor_len();
    for found in [0, expected - 1, expected + 1] {
        let error = converter
            .convert(&picture.frame(), &mut vec![0.0; found])
            .unwrap_err();
        assert_eq!(error, FrameError::SlotLength { expected, found });
    }
}

#[test]
fn sizes_that_make_no_sense_are_refused() {
    let good = size(8, 8);
    let new =
        |width, height, size| Converter::new(layout(PixelFormat::Nv12, width, height), size, MEAN, STD).err();
    assert_eq!(new(8, 8, good), None);
    let error = new(
        0,
        8,
        NetworkSize {
            frame_width: 0,
            ..good
        },
    );
    assert_eq!(
        error,
        Some(FrameError::ZeroSize {
            what: "the frame",
            width: 0,
            height: 8
        })
    );
    let error = new(8, 8, NetworkSize { height: 0, ..good });
    assert_eq!(
        error,
        Some(FrameError::ZeroSize {
            what: "the network image",
            width: good.width,
            height: 0
        })
    );
    assert!(matches!(
        new(
            8,
            u32::MAX,
            NetworkSize {
                frame_height: u32::MAX,
                ..good
            }
        ),
        Some(FrameError::TooLarge { .. })
    ));
    assert!(matches!(new(9, 8, good), Some(FrameError::SizeMismatch { .. })));
    let error = new(
        8,
        8,
        NetworkSize {
            padded_width: good.width - 1,
            ..good
        },
    );
    assert!(matches!(error, Some(FrameError::PaddingTooSmall { .. })));
}

#[test]
fn numbers_that_cannot_normalise_are_refused() {
    let layout = layout(PixelFormat::Rgb, 8, 8);
    for (mean, std) in [
        (f32::NAN, 1.0),
        (0.5, 0.0),
        (0.5, -1.0),
        (0.5, f32::INFINITY),
        (0.5, f32::from_bits(1)),
        // Found by fuzzing: the factor is finite, the product with a bright pixel is not.
        (0.0, 1.087_35e-40),
    ] {
        let error = Converter::new(layout, size(8, 8), [0.5, mean, mean], [0.2, 0.2, std]).err();
        assert!(
            matches!(error, Some(FrameError::Normalisation { .. })),
            "{mean} {std}"
        );
    }
}

proptest! {
    /// Any planes and strides give a result or an error, never a panic.
    #[test]
    fn any_planes(
        (width, height) in (1_u32..40, 1_u32..40),
        format in 0_usize..7,
        strides: [u8; 3],
        lengths: [u16; 3],
    ) {
        let layout = layout(FORMATS[format], width, height);
        let picture = Picture {
            layout,
            planes: lengths.map(|len| vec![9; usize::from(len % 3000)]).into(),
            strides: strides.map(usize::from),
        };
        let mut converter = Converter::new(layout, size(width, height), MEAN, STD).unwrap();
        let mut slot = vec![f32::NAN; converter.size().tensor_len()];
        match converter.convert(&picture.frame(), &mut slot) {
            Ok(()) => prop_assert!(slot.iter().all(|value| value.is_finite())),
            Err(error) => {
                let short = matches!(error, FrameError::ShortPlane { .. } | FrameError::ShortStride { .. });
                prop_assert!(short, "{}", error);
            }
        }
    }
}
