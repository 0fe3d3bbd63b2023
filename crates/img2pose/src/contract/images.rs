//! How frames become network images, whatever the architecture.

/// How frames become network images.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ImageFacts {
    /// Default size in pixels of the short side of the resized frame.
    pub min_size: u32,
    /// Upper bound in pixels of the long side of the resized frame.
    pub max_size: u32,
    /// The network image is padded to a multiple of this, in pixels.
    pub size_divisor: u32,
    /// Mean of R, G, B in 0..1, taken off before the network.
    pub image_mean: [f32; 3],
    /// Standard deviation of R, G, B in 0..1.
    pub image_std: [f32; 3],
    /// Whether a frame that is shrunk is smoothed by as much (antialiased).
    pub is_smoothed: bool,
}
