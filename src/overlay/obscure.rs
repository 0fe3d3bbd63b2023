//! Making a part of a frame unrecognisable, in its own pixels.

use gst::glib;
use gst_video::VideoFrameRef;
use gst_video::prelude::*;

use super::settings::Blur;
use super::style::Area;

/// Most cells along the short side of an area: too few to tell one face from another.
const CELLS: usize = 8;
/// Least pixels along the side of a cell: a small face must change too.
const LEAST_CELL: usize = 4;

/// Memory that is kept from one area to the next.
#[derive(Default)]
pub struct Scratch {
    sums: Vec<u32>,
    means: Vec<u8>,
    row: Vec<f32>,
}

/// Obscures the area. What is left of it are the means of a few cells, in blocks or blended into each other: nothing
/// that could be computed back. Samples of subsampled components change as a whole where the area touches them.
///
/// # Errors
/// The frame has a component with a negative stride.
pub fn obscure(
    frame: &mut VideoFrameRef<&mut gst::BufferRef>,
    area: Area,
    kind: Blur,
    scratch: &mut Scratch,
) -> Result<(), glib::BoolError> {
    let cells = cells(area);
    let format = frame.format_info();
    for component in 0..frame.n_components() {
        if format.has_alpha() && component + 1 == frame.n_components() {
            continue;
        }
        let (x_sub, y_sub) = (
            format.w_sub()[component as usize],
            format.h_sub()[component as usize],
        );
        let span = |start: u32, length: u32, sub: u32, side: u32| {
            let end = (start + length).div_ceil(1 << sub).min(side);
            let start = (start >> sub).min(end);
            (start as usize, (end - start) as usize)
        };
        let (x, width) = span(area.x, area.width, x_sub, frame.comp_width(component));
        let (y, height) = span(area.y, area.height, y_sub, frame.comp_height(component));
        let stride = frame.comp_stride(component);
        let stride = usize::try_from(stride)
            .map_err(|_| glib::bool_error!("component {component} has a negative stride ({stride})"))?;
        let step = frame.comp_pstride(component).max(1) as usize;
        if width == 0 || height == 0 {
            continue;
        }
        let data = frame.comp_data_mut(component)?;
        let start = y * stride + x * step;
        let end = start + (height - 1) * stride + (width - 1) * step + 1;
        let samples = data
            .get_mut(start..end)
            .ok_or_else(|| glib::bool_error!("component {component} is shorter than the caps say"))?;
        let mut samples = Samples {
            samples,
            stride,
            step,
            width,
            height,
        };
        let cells = [cells[0].min(width), cells[1].min(height)];
        samples.average(cells, scratch);
        match kind {
            Blur::Blur => samples.blend(cells, scratch),
            _ => samples.fill(cells, scratch),
        }
    }
    Ok(())
}

/// Number of cells along x and y.
fn cells(area: Area) -> [usize; 2] {
    let (width, height) = (area.width as usize, area.height as usize);
    let side = (width.min(height).div_ceil(CELLS)).max(LEAST_CELL);
    [(width / side).max(1), (height / side).max(1)]
}

/// One component inside an area.
struct Samples<'a> {
    samples: &'a mut [u8],
    stride: usize,
    step: usize,
    width: usize,
    height: usize,
}

impl Samples<'_> {
    /// Puts the mean of each cell into the scratch memory, row by row.
    fn average(&self, [across, down]: [usize; 2], scratch: &mut Scratch) {
        scratch.means.clear();
        for cell_row in 0..down {
            let rows = self.height * cell_row / down..self.height * (cell_row + 1) / down;
            scratch.sums.clear();
            scratch.sums.resize(across, 0);
            for row in rows.clone() {
                let row = &self.samples[row * self.stride..];
                for (cell, sum) in scratch.sums.iter_mut().enumerate() {
                    let (from, to) = (self.width * cell / across, self.width * (cell + 1) / across);
                    let cell = row[from * self.step..].iter().step_by(self.step).take(to - from);
                    *sum += cell.map(|sample| u32::from(*sample)).sum::<u32>();
                }
            }
            for (cell, sum) in scratch.sums.iter().enumerate() {
                let columns = self.width * (cell + 1) / across - self.width * cell / across;
                let count = (columns * rows.len()) as u32;
                scratch.means.push(((sum + count / 2) / count) as u8);
            }
        }
    }

    /// Gives every sample the mean of its cell.
    fn fill(&mut self, [across, down]: [usize; 2], scratch: &Scratch) {
        for cell_row in 0..down {
            let means = &scratch.means[cell_row * across..(cell_row + 1) * across];
            for row in self.height * cell_row / down..self.height * (cell_row + 1) / down {
                let row = &mut self.samples[row * self.stride..];
                for (cell, mean) in means.iter().enumerate() {
                    let (from, to) = (self.width * cell / across, self.width * (cell + 1) / across);
                    let cell = row[from * self.step..]
                        .iter_mut()
                        .step_by(self.step)
                        .take(to - from);
                    cell.for_each(|sample| *sample = *mean);
                }
            }
        }
    }

    /// Gives every sample the mean of the nearest four cells, weighted by the distance from their middles.
    fn blend(&mut self, [across, down]: [usize; 2], scratch: &mut Scratch) {
        for y in 0..self.height {
            let (above, below, share) = neighbours(y, self.height, down);
            let cells = |row: usize| &scratch.means[row * across..(row + 1) * across];
            scratch.row.clear();
            scratch.row.extend(
                cells(above)
                    .iter()
                    .zip(cells(below))
                    .map(|(a, b)| f32::from(*a) * (1.0 - share) + f32::from(*b) * share),
            );
            let row = &mut self.samples[y * self.stride..];
            for (x, sample) in row.iter_mut().step_by(self.step).take(self.width).enumerate() {
                let (left, right, share) = neighbours(x, self.width, across);
                let blended = scratch.row[left] * (1.0 - share) + scratch.row[right] * share;
                *sample = (blended + 0.5) as u8;
            }
        }
    }
}

/// The two of `cells` cells along `length` samples whose middles lie around a sample, and the share of the second.
fn neighbours(sample: usize, length: usize, cells: usize) -> (usize, usize, f32) {
    let at = ((sample as f32 + 0.5) * cells as f32 / length as f32 - 0.5).max(0.0);
    let first = (at as usize).min(cells - 1);
    (first, (first + 1).min(cells - 1), at - first as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(data: &mut [u8], width: usize, height: usize) -> Samples<'_> {
        Samples {
            samples: data,
            stride: width,
            step: 1,
            width,
            height,
        }
    }

    #[test]
    fn cells_follow_the_shape_and_never_vanish() {
        let cells = |width, height| {
            super::cells(Area {
                x: 0,
                y: 0,
                width,
                height,
            })
        };
        assert_eq!(cells(80, 120), [8, 12]);
        assert_eq!(cells(20, 20), [5, 5]);
        assert_eq!(cells(1, 3), [1, 1]);
        assert_eq!(cells(1280, 720), [14, 8]);
    }

    #[test]
    fn blocks_are_means() {
        let mut data = [0, 10, 100, 200, 20, 30, 100, 201];
        let mut scratch = Scratch::default();
        let mut samples = samples(&mut data, 4, 2);
        samples.average([2, 1], &mut scratch);
        samples.fill([2, 1], &scratch);
        assert_eq!(data, [15, 15, 150, 150, 15, 15, 150, 150]);
    }

    #[test]
    fn blending_is_smooth_between_the_middles_of_cells() {
        let mut data: Vec<u8> = (0..8).map(|x| if x < 4 { 0 } else { 80 }).collect();
        let mut scratch = Scratch::default();
        let mut samples = samples(&mut data, 8, 1);
        samples.average([2, 1], &mut scratch);
        samples.blend([2, 1], &mut scratch);
        assert_eq!(data, [0, 0, 10, 30, 50, 70, 80, 80]);
    }
}
