//! RoIAlign over channels-last pyramid features.

use std::cell::RefCell;

use multiversion::multiversion;
use rayon::prelude::*;

use crate::contract::{FEATURE_LEVELS, RoiContract};

/// Stride of the finest feature level as a power of two.
const FIRST_LEVEL: i32 = 2;

/// Features of one frame at one level, `[height, width, channels]`.
#[derive(Clone, Copy)]
pub(crate) struct LevelFeatures<'a> {
    pub height: usize,
    pub width: usize,
    pub data: &'a [f32],
}

/// A weighted cell of a feature level along one axis.
type Tap = (usize, f32);

/// The cells that the bins of one axis of a region are made of.
struct AxisTaps {
    /// Taps of all bins, one bin after the other.
    taps: Vec<Tap>,
    /// End in `taps` of each bin.
    ends: Vec<usize>,
}

/// Working memory of one thread.
struct Scratch {
    columns: AxisTaps,
    rows: AxisTaps,
    bin: Vec<Tap>,
}

thread_local! {
    /// Kept from frame to frame.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Pools every region of `boxes` (`x_min, y_min, x_max, y_max` in pixels of the resized frame) to
/// `[output_size, output_size, channels]`, one after the other in `pooled`.
///
/// Same definition as torchvision's `MultiScaleRoIAlign` with `aligned=False`: level by the canonical rule, mean of
/// `sampling_ratio`^2 bilinear samples a bin, samples beyond one cell outside count as zero. Regions are spread
/// over the threads of the current rayon pool; each region's result does not depend on the others.
pub(crate) fn roi_align(
    levels: &[LevelFeatures<'_>; FEATURE_LEVELS],
    channels: usize,
    contract: &RoiContract,
    boxes: &[[f32; 4]],
    pooled: &mut [f32],
) {
    let region = contract.output_size * contract.output_size * channels;
    debug_assert_eq!(pooled.len(), boxes.len() * region);
    pooled
        .par_chunks_exact_mut(region)
        .zip(boxes)
        .for_each(|(out, roi)| {
            let level = level_of(roi, contract);
            SCRATCH.with_borrow_mut(|scratch| {
                pool(&levels[level], channels, contract, *roi, level, scratch, out);
            });
        });
}

/// Index of the level that a region is pooled from: floor(4 + log2(sqrt(area) / 224) + 1e-6), clamped
/// (Lin et al., Feature Pyramid Networks, eq. 1).
pub(crate) fn level_of(roi: &[f32; 4], contract: &RoiContract) -> usize {
    let side = ((roi[2] - roi[0]) * (roi[3] - roi[1])).sqrt();
    let level = (contract.canonical_level as f32 + (side / contract.canonical_size).log2() + 1e-6).floor();
    // A cast from float saturates, so an empty region lands on the finest level.
    (level as i32)
        .saturating_sub(FIRST_LEVEL)
        .clamp(0, FEATURE_LEVELS as i32 - 1) as usize
}

fn pool(
    level: &LevelFeatures<'_>,
    channels: usize,
    contract: &RoiContract,
    roi: [f32; 4],
    index: usize,
    scratch: &mut Scratch,
    out: &mut [f32],
) {
    let scale = 1.0 / (1u32 << (index as i32 + FIRST_LEVEL)) as f32;
    let [x_min, y_min, x_max, y_max] = roi.map(|side| side * scale);
    scratch.columns.set(x_min, x_max, level.width, contract);
    scratch.rows.set(y_min, y_max, level.height, contract);

    let (columns, rows, bin) = (&scratch.columns, &scratch.rows, &mut scratch.bin);
    let mut cells = out.chunks_exact_mut(channels);
    for row in 0..contract.output_size {
        for column in 0..contract.output_size {
            bin.clear();
            for &(y, vertical) in rows.bin(row) {
                for &(x, horizontal) in columns.bin(column) {
                    let cell = y * level.width + x;
                    bin.push((cell * channels, vertical * horizontal));
                }
            }
            if let Some(cell) = cells.next() {
                weighted_sum(level.data, bin, cell);
            }
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        let axis = || AxisTaps {
            taps: Vec::with_capacity(64),
            ends: Vec::with_capacity(8),
        };
        Self {
            columns: axis(),
            rows: axis(),
            bin: Vec::with_capacity(64),
        }
    }
}

impl AxisTaps {
    fn bin(&self, bin: usize) -> &[Tap] {
        let start = if bin == 0 { 0 } else { self.ends[bin - 1] };
        &self.taps[start..self.ends[bin]]
    }

    /// Taps for a region from `low` to `high` on an axis of `cells` cells. Samples that share a cell share a tap.
    fn set(&mut self, low: f32, high: f32, cells: usize, contract: &RoiContract) {
        self.taps.clear();
        self.ends.clear();
        let samples = contract.sampling_ratio;
        let bin_size = (high - low).max(1.0) / contract.output_size as f32;
        let share = 1.0 / samples as f32;
        for bin in 0..contract.output_size {
            let first = self.taps.len();
            for sample in 0..samples {
                let offset = (sample as f32 + 0.5) * bin_size / samples as f32;
                let at = low + bin as f32 * bin_size + offset;
                if at < -1.0 || at > cells as f32 {
                    continue;
                }
                let at = at.max(0.0);
                let lower = at as usize;
                if lower + 1 >= cells {
                    self.add(first, cells - 1, share);
                } else {
                    let upper_weight = at - lower as f32;
                    self.add(first, lower, (1.0 - upper_weight) * share);
                    self.add(first, lower + 1, upper_weight * share);
                }
            }
            self.ends.push(self.taps.len());
        }
    }

    fn add(&mut self, first: usize, cell: usize, weight: f32) {
        match self.taps[first..].iter_mut().find(|(at, _)| *at == cell) {
            Some((_, sum)) => *sum += weight,
            None => self.taps.push((cell, weight)),
        }
    }
}

/// Sum over `taps` (offset in `data`, weight) of `out.len()` consecutive values.
///
/// Multiplies and adds are kept apart (no fused operation), so every processor gives the same bits.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn weighted_sum(data: &[f32], taps: &[Tap], out: &mut [f32]) {
    const LANES: usize = 64;
    let mut start = 0;
    while start + LANES <= out.len() {
        let mut sums = [0.0; LANES];
        for &(offset, weight) in taps {
            let from = offset + start;
            let values = &data[from..from + LANES];
            for lane in 0..LANES {
                sums[lane] += weight * values[lane];
            }
        }
        out[start..start + LANES].copy_from_slice(&sums);
        start += LANES;
    }
    for (lane, sum) in out.iter_mut().enumerate().skip(start) {
        *sum = taps
            .iter()
            .map(|&(offset, weight)| weight * data[offset + lane])
            .sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROI: RoiContract = RoiContract {
        output_size: 7,
        sampling_ratio: 2,
        canonical_size: 224.0,
        canonical_level: 4,
    };

    /// The textbook form: every sample on its own, in f64.
    fn sample(level: &LevelFeatures<'_>, channels: usize, channel: usize, y: f64, x: f64) -> f64 {
        let (height, width) = (level.height as f64, level.width as f64);
        if y < -1.0 || y > height || x < -1.0 || x > width {
            return 0.0;
        }
        let corner = |at: f64, cells: f64| {
            let at = at.max(0.0);
            let lower = at.floor().min(cells - 1.0);
            let upper = (lower + 1.0).min(cells - 1.0);
            (
                lower as usize,
                upper as usize,
                if lower >= cells - 1.0 { 0.0 } else { at - lower },
            )
        };
        let ((y0, y1, fy), (x0, x1, fx)) = (corner(y, height), corner(x, width));
        let value = |y: usize, x: usize| f64::from(level.data[(y * level.width + x) * channels + channel]);
        (value(y0, x0) * (1.0 - fx) + value(y0, x1) * fx) * (1.0 - fy)
            + (value(y1, x0) * (1.0 - fx) + value(y1, x1) * fx) * fy
    }

    #[test]
    fn equals_the_textbook_form() {
        let channels = 70; // one whole block of lanes and a remainder
        let sizes = [(40, 56), (20, 28), (10, 14), (5, 7)];
        let data: Vec<Vec<f32>> = sizes
            .iter()
            .map(|(h, w)| {
                (0..h * w * channels)
                    .map(|i| ((i * 7919 % 1009) as f32 / 504.5) - 1.0)
                    .collect()
            })
            .collect();
        let levels: [LevelFeatures<'_>; 4] = std::array::from_fn(|i| LevelFeatures {
            height: sizes[i].0,
            width: sizes[i].1,
            data: &data[i],
        });
        let boxes = [
            [3.2, 5.1, 9.9, 11.0],
            [0.0, 0.0, 224.0, 160.0],
            [100.5, 20.25, 222.0, 159.0],
            [50.0, 40.0, 51.0, 40.5],
            [200.0, 140.0, 224.0, 160.0],
            [-9.0, -30.0, 12.0, 20.0],
        ];
        let mut pooled = vec![0.0; boxes.len() * 49 * channels];
        roi_align(&levels, channels, &ROI, &boxes, &mut pooled);

        for (i, roi) in boxes.iter().enumerate() {
            let index = level_of(roi, &ROI);
            let scaled = roi.map(|side| f64::from(side) / f64::from(4 << index));
            let bin = |low: f64, high: f64| (high - low).max(1.0) / 7.0;
            let (bin_w, bin_h) = (bin(scaled[0], scaled[2]), bin(scaled[1], scaled[3]));
            for (cell, channel) in (0..49).flat_map(|cell| [0, 33, 64, 69].map(|channel| (cell, channel))) {
                let mut expected = 0.0;
                for (dy, dx) in [(0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)] {
                    let y = scaled[1] + (f64::from(cell / 7) + dy) * bin_h;
                    let x = scaled[0] + (f64::from(cell % 7) + dx) * bin_w;
                    expected += sample(&levels[index], channels, channel, y, x) / 4.0;
                }
                let found = f64::from(pooled[(i * 49 + cell as usize) * channels + channel]);
                assert!(
                    (found - expected).abs() < 1e-4,
                    "box {i} cell {cell}: {found} != {expected}"
                );
            }
        }
    }

    #[test]
    fn levels_follow_the_canonical_rule() {
        let side = |s: f32| level_of(&[0.0, 0.0, s, s], &ROI);
        assert_eq!(
            [side(0.0), side(111.0), side(112.0), side(223.0), side(224.0)],
            [0, 0, 1, 1, 2]
        );
        assert_eq!([side(447.9), side(448.0), side(5000.0)], [2, 3, 3]);
    }
}
