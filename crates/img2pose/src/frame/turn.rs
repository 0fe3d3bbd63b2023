//! A resized frame into a network image that shows it turned.

use super::{NetworkSize, Orientation};

/// Rows that are written at a time where rows become columns: 16 floats are a line of the processor's cache, so that each
/// line of the tensor is touched once.
const ROWS_AT_A_TIME: usize = 16;

/// The way of the rows of a resized frame into the network image. Rows come in the order in which the upright picture
/// has them; their columns may come from the last to the first.
pub(super) struct Turned {
    swaps_sides: bool,
    reverses_columns: bool,
    /// Size of the resized frame, not turned.
    width: usize,
    height: usize,
    /// Of the network image.
    size: NetworkSize,
    /// Rows that wait to be written: three channels of as many as are written at a time.
    waiting: Vec<f32>,
}

impl Turned {
    /// `None` if nothing has to be moved.
    pub(super) fn new(orientation: Orientation, size: &NetworkSize) -> Option<Self> {
        let (swaps_sides, reverses_columns) = (orientation.swaps_sides(), orientation.reverses_columns());
        if !swaps_sides && !reverses_columns {
            return None;
        }
        let (width, height) = match swaps_sides {
            true => (size.height as usize, size.width as usize),
            false => (size.width as usize, size.height as usize),
        };
        let mut turned = Self {
            swaps_sides,
            reverses_columns,
            width,
            height,
            size: *size,
            waiting: Vec::new(),
        };
        turned.waiting = vec![0.0; 3 * turned.rows_at_a_time() * width];
        Some(turned)
    }

    /// Turns images of another size, no larger than the first one, from now on.
    pub(super) fn aim(&mut self, size: &NetworkSize) {
        (self.width, self.height) = match self.swaps_sides {
            true => (size.height as usize, size.width as usize),
            false => (size.width as usize, size.height as usize),
        };
        self.size = *size;
    }

    fn rows_at_a_time(&self) -> usize {
        if self.swaps_sides { ROWS_AT_A_TIME } else { 1 }
    }

    /// Rows of the resized frame.
    pub(super) fn rows(&self) -> usize {
        self.height
    }

    /// Where a channel of row `y` of the resized frame belongs.
    pub(super) fn row(&mut self, y: usize, channel: usize) -> &mut [f32] {
        let rows = self.rows_at_a_time();
        let start = (channel * rows + y % rows) * self.width;
        &mut self.waiting[start..][..self.width]
    }

    /// Writes the rows that wait when row `y` completes them or is the last.
    pub(super) fn write_if_due(&self, y: usize, slot: &mut [f32]) {
        let rows = self.rows_at_a_time();
        let count = y % rows + 1;
        if count < rows && y + 1 < self.height {
            return;
        }
        let first = y + 1 - count;
        let padded_width = self.size.padded_width as usize;
        let plane_len = padded_width * self.size.padded_height as usize;
        let channels = self.waiting.chunks_exact(rows * self.width);
        for (plane, waiting) in slot.chunks_exact_mut(plane_len).zip(channels) {
            if !self.swaps_sides {
                let row = &mut plane[first * padded_width..][..self.width];
                for (to, from) in row.iter_mut().zip(waiting.iter().rev()) {
                    *to = *from;
                }
                continue;
            }
            for x in 0..self.width {
                let row = if self.reverses_columns {
                    self.width - 1 - x
                } else {
                    x
                };
                let to = &mut plane[row * padded_width + first..][..count];
                for (to, waiting) in to.iter_mut().zip(waiting.chunks_exact(self.width)) {
                    *to = waiting[x];
                }
            }
        }
    }

    /// Makes the padding right and below zero.
    pub(super) fn blank_padding(&self, slot: &mut [f32]) {
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        let padded_width = self.size.padded_width as usize;
        for plane in slot.chunks_exact_mut(padded_width * self.size.padded_height as usize) {
            let (image, below) = plane.split_at_mut(height * padded_width);
            for row in image.chunks_exact_mut(padded_width) {
                row[width..].fill(0.0);
            }
            below.fill(0.0);
        }
    }
}
