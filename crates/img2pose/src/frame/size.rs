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
    /// Sizes for a frame of `frame_width` x `frame_height` pixels, each at least 1.
    pub fn new(frame_width: u32, frame_height: u32, min_size: u32, max_size: u32, divisor: u32) -> Self {
        // torchvision computes the scale in f32 and lets interpolate() floor side * scale in f64.
        let (short, long) = (frame_width.min(frame_height), frame_width.max(frame_height));
        let scale = f64::from((min_size as f32 / short as f32).min(max_size as f32 / long as f32));
        let resized = |side: u32| ((f64::from(side) * scale).floor() as u32).max(1);
        let padded = |side: u32| side.div_ceil(divisor) * divisor;
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
        3 * self.padded_width as usize * self.padded_height as usize
    }
}
