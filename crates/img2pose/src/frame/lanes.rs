//! What vector kernels work on at a time.

/// Resized rows are rounded up to a multiple of this many pixels, so that the kernels have no remainders.
pub(super) const LANES: usize = 8;

/// How [`LANES`] pixels are picked from the bytes after `start`.
pub(super) struct Block<const WINDOWS: usize> {
    /// Offset of the first window in the row; all windows end within the row.
    pub(super) start: u32,
    /// Places in each window of the bytes under the first taps, then under the second ones.
    pub(super) lanes: [[u8; 2 * LANES]; WINDOWS],
}
