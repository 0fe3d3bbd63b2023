//! From the size of a frame to the size of the network's input.

/// The sizes that a frame goes through on its way into the network.
///
/// Same rule as torchvision's `GeneralizedRCNNTransform`: scale so that the short side becomes `min_size`, unless
/// the long side would pass `max_size`; then pad right and bottom to a multiple of the divisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NetworkSize {
    /// Width of the frame in pixels.
    pub frame_width: u32,
    /// Height of the frame in pixels.
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
    /// Sizes for a frame of `frame_width` x `frame_height` pixels. Nothing may be 0; the result is meaningless then, and
    /// [`Converter::new`](super::Converter::new) refuses it.
    pub fn new(frame_width: u32, frame_height: u32, min_size: u32, max_size: u32, divisor: u32) -> Self {
        // torchvision computes the scale in f32 and lets interpolate() floor side * scale in f64.
        let (short, long) = (frame_width.min(frame_height), frame_width.max(frame_height));
        let scale = f64::from((min_size as f32 / short as f32).min(max_size as f32 / long as f32));
        let resized = |side: u32| ((f64::from(side) * scale).floor() as u32).max(1);
        let padded = |side: u32| side.div_ceil(divisor.max(1)).saturating_mul(divisor);
        let (width, height) = (resized(frame_width), resized(frame_height));
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
    use super::*;

    #[test]
    fn sizes_of_torchvision() {
        // From GeneralizedRCNNTransform: width and height, min_size, max_size, then resized and padded.
        let cases = [
            ((1024, 1024), (480, 1400), (480, 480), (480, 480)),
            ((480, 270), (480, 1400), (853, 480), (864, 480)),
            ((1280, 720), (480, 1400), (853, 480), (864, 480)),
            ((720, 1280), (480, 1400), (480, 853), (480, 864)),
            // 0.35 as f32 is a little less, so the floor takes the pixel below.
            ((4000, 1000), (480, 1400), (1399, 349), (1408, 352)),
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
                        let size = NetworkSize::new(width, height, min_size, u32::MAX, divisor);
                        assert!(size.width >= 1 && size.height >= 1);
                        let _ = size.tensor_len();
                    }
                }
            }
        }
    }
}
