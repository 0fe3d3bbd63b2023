//! Frames that are to be turned, and frames whose pixels are not square.

use img2pose::frame::{NetworkSize, Orientation, PixelAspectRatio, PixelFormat, View};

use super::picture::{FORMATS, Picture, layout, max_difference};

/// As for upright frames, and what the order of the two interpolations adds.
const TOLERANCE: f64 = 4e-6;

#[test]
fn every_format_is_read_turned() {
    // Up and down, odd and even, shorter than the rows that are written at a time, and of one pixel.
    let sizes = [
        ((64, 48), (96, 72)),
        ((97, 75), (61, 33)),
        ((33, 35), (131, 67)),
        ((150, 9), (31, 4)),
        ((40, 40), (40, 40)),
        ((17, 64), (15, 48)),
        ((1, 1), (7, 5)),
        ((2, 3), (3, 2)),
    ];
    for (frame, resized) in sizes {
        for format in FORMATS {
            for orientation in Orientation::ALL {
                let mut layout = layout(format, frame.0, frame.1);
                layout.view.orientation = orientation;
                let (frame, resized) = match orientation.swaps_sides() {
                    true => ((frame.1, frame.0), (resized.1, resized.0)),
                    false => (frame, resized),
                };
                let size = NetworkSize {
                    frame_width: frame.0,
                    frame_height: frame.1,
                    width: resized.0,
                    height: resized.1,
                    padded_width: resized.0 + 5,
                    padded_height: resized.1 + 3,
                };
                let picture = Picture::noise(layout, 13, 1);
                let difference = max_difference(&picture.convert(&size), &picture.reference(&size));
                assert!(difference <= TOLERANCE, "{layout:?} to {size:?}: {difference:e}");
            }
        }
    }
}

#[test]
fn real_sizes_on_their_side() {
    for format in [PixelFormat::I420, PixelFormat::Rgb] {
        for orientation in Orientation::ALL {
            let mut layout = layout(format, 1280, 720);
            layout.view.orientation = orientation;
            let size = NetworkSize::of_layout(&layout, 480, 1400, 32);
            assert_eq!(
                (size.width, size.height),
                if orientation.swaps_sides() {
                    (480, 853)
                } else {
                    (853, 480)
                }
            );
            let picture = Picture::noise(layout, 0, 2);
            let difference = max_difference(&picture.convert(&size), &picture.reference(&size));
            assert!(difference <= TOLERANCE, "{orientation:?}: {difference:e}");
        }
    }
}

/// The shape of the pixels decides about the size of the network image and about nothing else.
#[test]
fn pixels_that_are_not_square_are_read_as_any_others() {
    let mut stretched = layout(PixelFormat::Nv12, 72, 58);
    stretched.view = View {
        pixel_aspect_ratio: PixelAspectRatio::new(16, 15).unwrap(),
        orientation: Orientation::Identity,
    };
    let size = NetworkSize::of_layout(&stretched, 48, 140, 32);
    assert_eq!((size.width, size.height), (63, 48));
    let picture = Picture::noise(stretched, 0, 3);
    let found = picture.convert(&size);
    assert!(max_difference(&found, &picture.reference(&size)) <= TOLERANCE);
    let square = Picture {
        layout: layout(PixelFormat::Nv12, 72, 58),
        ..picture
    };
    assert_eq!(found, square.convert(&size));
}
