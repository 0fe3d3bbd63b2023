//! From the size of a frame to the size of the network's input.

use super::{FrameLayout, PixelAspectRatio};
use crate::view::in_square_pixels;

/// The sizes that a frame goes through on its way into the network.
///
/// Same rule as torchvision's `GeneralizedRCNNTransform`: scale so that the short side becomes `min_size`, unless
/// the long side would pass `max_size`; then pad right and bottom to a multiple of the divisor. The network image has
/// square pixels and is upright.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NetworkSize {
    /// Width in pixels of the frame, turned upright.
    pub frame_width: u32,
    /// Height in pixels of the frame, turned upright.
    pub frame_height: u32,
    /// Width after resizing.
    pub width: u32,
    /// Height after resizing.
    pub height: u32,
    /// Width after padding.
    pub padded_width: u32,
    /// Height after padding.
    pub padded_height: u32,
}

impl NetworkSize {
    /// Sizes for an upright frame of `frame_width` x `frame_height` square pixels. Nothing may be 0; the result is meaningless
    /// then, and [`Converter::new`](super::Converter::new) refuses it.
    pub fn new(frame_width: u32, frame_height: u32, min_size: u32, max_size: u32, divisor: u32) -> Self {
        let square = PixelAspectRatio::SQUARE;
        Self::of_picture((frame_width, frame_height), square, min_size, max_size, divisor)
    }

    /// Sizes for frames of `layout`, whose pixels may be of any shape and which may have to be turned.
    ///
    /// The picture is stretched across where its pixels are wide and down where they are high, so that no side loses
    /// pixels; which of the two makes no difference to the network image, because scaling follows.
    pub fn of_layout(layout: &FrameLayout, min_size: u32, max_size: u32, divisor: u32) -> Self {
        let ratio = layout.upright_pixel_aspect_ratio();
        Self::of_picture(layout.upright_size(), ratio, min_size, max_size, divisor)
    }

    fn of_picture(
        (frame_width, frame_height): (u32, u32),
        ratio: PixelAspectRatio,
        min_size: u32,
        max_size: u32,
        divisor: u32,
    ) -> Self {
        let [wide, high] = in_square_pixels(frame_width, frame_height, ratio);
        // In doubles, as torchvision in eager mode: min(min_size / min(h, w), max_size / max(h, w)), and
        // interpolate() cuts the fraction of side * scale off. In f32 half of all sizes come out a pixel short.
        let scale = (f64::from(min_size) / wide.min(high)).min(f64::from(max_size) / wide.max(high));
        let resized = |side: f64| ((side * scale).floor() as u32).max(1);
        let padded = |side: u32| side.div_ceil(divisor.max(1)).saturating_mul(divisor);
        let (width, height) = (resized(wide), resized(high));
        Self {
            frame_width,
            frame_height,
            width,
            height,
            padded_width: padded(width),
            padded_height: padded(height),
        }
    }

    /// Number of floats of one network image: 3 planes of the padded size.
    pub fn tensor_len(&self) -> usize {
        (self.padded_width as usize)
            .saturating_mul(self.padded_height as usize)
            .saturating_mul(3)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ColorMatrix, ColorRange, Orientation, PixelFormat, View};
    use super::*;

    /// The scale used to be rounded to f32, which made every second network image a pixel short.
    #[test]
    fn thousands_of_sizes_are_torchvisions_own() {
        let table = include_str!("../../tests/data/network_sizes.txt");
        let mut compared = 0;
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            let numbers: Vec<u32> = line.split(' ').map(|number| number.parse().unwrap()).collect();
            let [width, height, min_size, max_size, expected @ ..] = &numbers[..] else {
                panic!("{line}");
            };
            let size = NetworkSize::new(*width, *height, *min_size, *max_size, 32);
            assert_eq!([size.width, size.height], expected, "{line}");
            compared += 1;
        }
        assert!(compared > 3000);
    }

    fn layout(width: u32, height: u32, ratio: (u32, u32), orientation: Orientation) -> FrameLayout {
        FrameLayout {
            format: PixelFormat::I420,
            width,
            height,
            matrix: ColorMatrix::Bt601,
            range: ColorRange::Limited,
            view: View {
                pixel_aspect_ratio: PixelAspectRatio::new(ratio.0, ratio.1).unwrap(),
                orientation,
            },
        }
    }

    #[test]
    fn pixels_that_are_not_square_become_square() {
        for ((width, height), ratio, as_square) in [
            ((720, 576), (16, 15), (768, 576)),
            ((720, 576), (64, 45), (1024, 576)),
            ((720, 480), (8, 9), (720, 540)),
            ((320, 480), (2, 1), (640, 480)),
            ((1440, 1080), (4, 3), (1920, 1080)),
            ((640, 480), (1, 1), (640, 480)),
        ] {
            let found = NetworkSize::of_layout(
                &layout(width, height, ratio, Orientation::Identity),
                480,
                1400,
                32,
            );
            let square = NetworkSize::new(as_square.0, as_square.1, 480, 1400, 32);
            assert_eq!((found.frame_width, found.frame_height), (width, height));
            let rest = |size: NetworkSize| [size.width, size.height, size.padded_width, size.padded_height];
            assert_eq!(rest(found), rest(square), "{width}x{height} {ratio:?}");
        }
    }

    #[test]
    fn frames_on_their_side_have_the_size_of_the_upright_picture() {
        for orientation in Orientation::ALL {
            let found = NetworkSize::of_layout(&layout(720, 576, (16, 15), orientation), 480, 1400, 32);
            let upright = match orientation.swaps_sides() {
                true => layout(576, 720, (15, 16), Orientation::Identity),
                false => layout(720, 576, (16, 15), Orientation::Identity),
            };
            assert_eq!(
                found,
                NetworkSize::of_layout(&upright, 480, 1400, 32),
                "{orientation:?}"
            );
        }
    }

    #[test]
    fn sizes_of_torchvision() {
        // From GeneralizedRCNNTransform: width and height, min_size, max_size, then resized and padded.
        let cases = [
            ((1024, 1024), (480, 1400), (480, 480), (480, 480)),
            ((480, 270), (480, 1400), (853, 480), (864, 480)),
            ((1280, 720), (480, 1400), (853, 480), (864, 480)),
            ((720, 1280), (480, 1400), (480, 853), (480, 864)),
            // A scale in f32 is a little less, so that the floor would take the pixel below.
            ((4000, 1000), (480, 1400), (1400, 350), (1408, 352)),
            ((768, 576), (480, 1400), (640, 480), (640, 480)),
            ((1024, 768), (640, 1400), (853, 640), (864, 640)),
        ];
        for ((width, height), (min_size, max_size), resized, padded) in cases {
            let size = NetworkSize::new(width, height, min_size, max_size, 32);
            assert_eq!((size.width, size.height), resized, "{width}x{height}");
            assert_eq!(
                (size.padded_width, size.padded_height),
                padded,
                "{width}x{height}"
            );
        }
    }

    #[test]
    fn no_number_panics() {
        let numbers = [0, 1, 2, 31, 65_536, u32::MAX - 1, u32::MAX];
        for width in numbers {
            for height in numbers {
                for min_size in numbers {
                    for divisor in numbers {
                        for ratio in [(1, 1), (u32::MAX, 1), (1, u32::MAX)] {
                            let layout = layout(width, height, ratio, Orientation::Clockwise);
                            let size = NetworkSize::of_layout(&layout, min_size, u32::MAX, divisor);
                            assert!(size.width >= 1 && size.height >= 1);
                            let _ = size.tensor_len();
                        }
                    }
                }
            }
        }
    }
}
