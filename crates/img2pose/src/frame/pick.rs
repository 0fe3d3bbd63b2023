//! Picks the bytes under the taps out of a row, so that the arithmetic runs over plain arrays.

use super::lanes::{Block, LANES};
use super::simd::Simd;
use super::taps::Taps;

/// Bytes that one shuffle instruction selects from.
const WINDOW: usize = 16;
/// Mark of a lane that another window fills; shuffle instructions write 0 for it.
const OTHER_WINDOW: u8 = 0x80;

/// Picks the bytes at fixed offsets out of rows of one length.
pub(super) struct BytePicker {
    first: Vec<u32>,
    second: Vec<u32>,
    blocks: Blocks,
}

/// The same offsets as shuffles, for as many windows as the offsets of [`LANES`] pixels need.
enum Blocks {
    One(Vec<Block<1>>),
    Two(Vec<Block<2>>),
    Four(Vec<Block<4>>),
    /// The pixels lie too far apart, or the row is shorter than the windows.
    None,
}

impl<const WINDOWS: usize> Block<WINDOWS> {
    /// Shuffles for `first` and `second`, offsets in rows of `row_len` bytes; `None` if they reach too far.
    fn plan(first: &[u32], second: &[u32], row_len: usize) -> Option<Vec<Self>> {
        let reach = WINDOWS * WINDOW;
        let last_start = row_len.checked_sub(reach)?;
        let block = |(first, second): (&[u32], &[u32])| {
            // Offsets never fall, so the first one is the lowest.
            let start = (first[0] as usize).min(last_start);
            let mut lanes = [[OTHER_WINDOW; 2 * LANES]; WINDOWS];
            for (lane, offset) in first.iter().chain(second).enumerate() {
                let place = *offset as usize - start;
                lanes.get_mut(place / WINDOW)?[lane] = (place % WINDOW) as u8;
            }
            Some(Self {
                start: start as u32,
                lanes,
            })
        };
        first
            .chunks_exact(LANES)
            .zip(second.chunks_exact(LANES))
            .map(block)
            .collect()
    }
}

impl BytePicker {
    /// `first` and `second` are offsets below `row_len`, a multiple of [`LANES`] each, that never fall.
    pub(super) fn new(first: Vec<u32>, second: Vec<u32>, row_len: usize) -> Self {
        let blocks = if let Some(blocks) = Block::plan(&first, &second, row_len) {
            Blocks::One(blocks)
        } else if let Some(blocks) = Block::plan(&first, &second, row_len) {
            Blocks::Two(blocks)
        } else if let Some(blocks) = Block::plan(&first, &second, row_len) {
            Blocks::Four(blocks)
        } else {
            Blocks::None
        };
        Self {
            first,
            second,
            blocks,
        }
    }

    /// Exchanges the offsets in place, for a few rows: planning shuffles takes longer than they save then.
    pub(super) fn aim(&mut self, first: impl Iterator<Item = u32>, second: impl Iterator<Item = u32>) {
        self.blocks = Blocks::None;
        self.first.clear();
        self.first.extend(first);
        self.second.clear();
        self.second.extend(second);
    }

    /// Picks from `row`; `first` and `second` are as long as the offsets.
    pub(super) fn pick(&self, simd: Simd, row: &[u8], first: &mut [u8], second: &mut [u8]) {
        let shuffled = match &self.blocks {
            Blocks::One(blocks) => simd.shuffle(blocks, row, first, second),
            Blocks::Two(blocks) => simd.shuffle(blocks, row, first, second),
            Blocks::Four(blocks) => simd.shuffle(blocks, row, first, second),
            Blocks::None => false,
        };
        if !shuffled {
            for (offsets, bytes) in [(&self.first, first), (&self.second, second)] {
                for (offset, byte) in offsets.iter().zip(bytes) {
                    *byte = row[*offset as usize];
                }
            }
        }
    }
}

/// Picks whole pixels of `PIXEL` (3 or 4) bytes as little-endian words, whose highest byte means nothing.
pub(super) fn pick_pixels<const PIXEL: usize>(
    row: &[u8],
    taps: &Taps,
    first: &mut [u32],
    second: &mut [u32],
) {
    let pixel = |x: u32| {
        let bytes = &row[x as usize * PIXEL..][..3];
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0])
    };
    for (((&left, &right), first), second) in taps.first.iter().zip(&taps.second).zip(first).zip(second) {
        let start = left as usize * PIXEL;
        // The two pixels are neighbours (or the second has no weight): one load, except near the end of the row.
        if let Some(bytes) = row.get(start..start + 8).and_then(<[u8]>::first_chunk) {
            let word = u64::from_le_bytes(*bytes);
            *first = word as u32;
            *second = (word >> (8 * PIXEL)) as u32;
        } else {
            *first = pixel(left);
            *second = pixel(right);
        }
    }
}
