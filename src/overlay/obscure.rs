//! Making a part of a frame unrecognisable, in its own pixels.

use gst_video::{VideoColorRange, VideoInfo};

use super::area::Area;
use super::settings::Blur;
use crate::video::mapping::MappedFrame;

/// Least pixels along the side of a cell: in smaller ones the detector finds small faces again.
const LEAST_CELL: u32 = 8;

/// Memory that is kept from one area to the next.
#[derive(Default)]
pub struct Scratch {
    sums: Vec<u64>,
    means: Vec<u8>,
    row: Vec<f32>,
    columns: Vec<Neighbours>,
}

/// Long side of the box `x_min, y_min, x_max, y_max`, which measures a face: of one at the edge of a frame, the box has only
/// what can be seen, but seldom so of both sides.
fn long_side([x_min, y_min, x_max, y_max]: [f32; 4]) -> f64 {
    f64::from((x_max - x_min).max(y_max - y_min))
}

/// The box with the share `margin` of its long side added on each side.
pub fn widened(bbox: [f32; 4], margin: f64) -> [f32; 4] {
    let margin = (long_side(bbox) * margin) as f32;
    let [x_min, y_min, x_max, y_max] = bbox;
    [x_min - margin, y_min - margin, x_max + margin, y_max + margin]
}

/// Side in pixels of the cells for a face with the given box: the share `strength` of its long side.
pub fn cell_side(bbox: [f32; 4], strength: f64) -> u32 {
    // Negative values become 0, too large ones the maximum, NaN 0.
    ((long_side(bbox) * strength).ceil() as u32).max(LEAST_CELL)
}

/// Obscures the area. What is left of it are the means of cells of about `cell` pixels, in blocks or blended into each
/// other: nothing that could be computed back from one frame; or black. Samples of subsampled components change as a
/// whole where the area touches them.
pub fn obscure(frame: &mut MappedFrame<'_>, area: Area, kind: Blur, cell: u32, scratch: &mut Scratch) {
    let cells = [area.width, area.height].map(|side| (side / cell).max(1) as usize);
    let info = frame.info();
    let format = info.format_info();
    let count = info.n_components() as usize - usize::from(format.has_alpha());
    for component in 0..count {
        let index = component as u8;
        let span = |start: u32, length: u32, sub: u32, side: u32| {
            let end = (start + length).div_ceil(1 << sub).min(side);
            let start = (start >> sub).min(end);
            (start as usize, (end - start) as usize)
        };
        let (w_sub, h_sub) = (format.w_sub()[component], format.h_sub()[component]);
        let (x, width) = span(area.x, area.width, w_sub, info.comp_width(index));
        let (y, height) = span(area.y, area.height, h_sub, info.comp_height(index));
        if width == 0 || height == 0 {
            continue;
        }
        let plane = info.comp_plane(index) as usize;
        let step = info.comp_pstride(index).max(1) as usize;
        let first = info.comp_poffset(index) as usize;
        let black = black(info, component);
        let stride = frame.stride(plane);
        let start = first + y * stride + x * step;
        let end = start + (height - 1) * stride + (width - 1) * step + 1;
        let mut samples = Samples {
            samples: &mut frame.plane(plane)[start..end],
            stride,
            step,
            width,
            height,
        };
        let cells = [cells[0].min(width), cells[1].min(height)];
        match kind {
            Blur::None => {}
            Blur::Solid => samples.set(black),
            Blur::Pixelate => {
                samples.average(cells, scratch);
                samples.fill(cells, scratch);
            }
            Blur::Blur => {
                samples.average(cells, scratch);
                samples.blend(cells, scratch);
            }
        }
    }
}

/// The sample of black.
fn black(info: &VideoInfo, component: usize) -> u8 {
    let limited = match info.colorimetry().range() {
        VideoColorRange::Range16_235 => true,
        VideoColorRange::Range0_255 => false,
        _ => info.is_yuv(),
    };
    match component {
        _ if info.is_rgb() => 0,
        0 if limited => 16,
        0 => 0,
        _ => 128,
    }
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
    /// Gives every sample one value.
    fn set(&mut self, value: u8) {
        for row in self.samples.chunks_mut(self.stride) {
            row.iter_mut()
                .step_by(self.step)
                .take(self.width)
                .for_each(|sample| *sample = value);
        }
    }

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
                    *sum += cell.map(|sample| u64::from(*sample)).sum::<u64>();
                }
            }
            for (cell, sum) in scratch.sums.iter().enumerate() {
                let columns = self.width * (cell + 1) / across - self.width * cell / across;
                let count = (columns * rows.len()) as u64;
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
        let Scratch {
            means, row, columns, ..
        } = scratch;
        columns.clear();
        columns.extend((0..self.width).map(|x| Neighbours::new(x, self.width, across)));
        for (y, samples) in self.samples.chunks_mut(self.stride).enumerate() {
            let Neighbours { first, second, share } = Neighbours::new(y, self.height, down);
            let cells = |row: usize| &means[row * across..(row + 1) * across];
            row.clear();
            row.extend(
                cells(first)
                    .iter()
                    .zip(cells(second))
                    .map(|(a, b)| f32::from(*a) * (1.0 - share) + f32::from(*b) * share),
            );
            for (sample, column) in samples.iter_mut().step_by(self.step).zip(&*columns) {
                let blended = row[column.first] * (1.0 - column.share) + row[column.second] * column.share;
                *sample = (blended + 0.5) as u8;
            }
        }
    }
}

/// The two cells whose middles lie around a sample, and the share of the second.
struct Neighbours {
    first: usize,
    second: usize,
    share: f32,
}

impl Neighbours {
    /// Of `cells` cells along `length` samples.
    fn new(sample: usize, length: usize, cells: usize) -> Self {
        let at = ((sample as f32 + 0.5) * cells as f32 / length as f32 - 0.5).max(0.0);
        let first = (at as usize).min(cells - 1);
        Self {
            first,
            second: (first + 1).min(cells - 1),
            share: at - first as f32,
        }
    }
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
    fn cells_are_a_share_of_the_long_side() {
        assert_eq!(cell_side([10.0, 20.0, 90.0, 140.0], 0.25), 30);
        // Cut off by the edge of the frame: as large as those of the whole face.
        assert_eq!(cell_side([0.0, 20.0, 15.0, 140.0], 0.25), 30);
        assert_eq!(cell_side([0.0, 0.0, 9.0, 9.0], 0.25), LEAST_CELL);
        assert_eq!(cell_side([f32::NAN; 4], 0.25), LEAST_CELL);
        assert_eq!(cell_side([-1e30, 0.0, 1e30, 1.0], 1.0), u32::MAX);
    }

    #[test]
    fn boxes_are_widened_on_each_side() {
        assert_eq!(widened([10.0, 20.0, 30.0, 60.0], 0.25), [0.0, 10.0, 40.0, 70.0]);
        // What sticks out of a face at the edge of the frame is as large as that of a whole one.
        assert_eq!(widened([0.0, 20.0, 2.0, 60.0], 0.5), [-20.0, 0.0, 22.0, 80.0]);
        assert_eq!(widened([10.0, 20.0, 30.0, 60.0], 0.0), [10.0, 20.0, 30.0, 60.0]);
    }

    #[test]
    fn black_is_black_in_every_format() {
        gst::init().unwrap();
        let black = |caps: &str| {
            let caps: gst::Caps = format!("video/x-raw,width=8,height=8,{caps}").parse().unwrap();
            let info = VideoInfo::from_caps(&caps).unwrap();
            (0..info.n_components() as usize)
                .map(|component| super::black(&info, component))
                .collect::<Vec<_>>()
        };
        assert_eq!(black("format=RGB"), [0, 0, 0]);
        assert_eq!(black("format=BGRx"), [0, 0, 0]);
        assert_eq!(black("format=NV12"), [16, 128, 128]);
        assert_eq!(black("format=I420,colorimetry=1:4:0:0"), [0, 128, 128]);
        assert_eq!(black("format=GRAY8,colorimetry=1:4:0:0"), [0]);
        assert_eq!(black("format=GRAY8,colorimetry=2:4:0:0"), [16]);
    }

    #[test]
    fn memory_is_kept_from_one_frame_to_the_next() {
        gst::init().unwrap();
        let info = VideoInfo::builder(gst_video::VideoFormat::I420, 64, 48)
            .build()
            .unwrap();
        let mut buffer = gst::Buffer::from_mut_slice(vec![9_u8; info.size()]);
        let mut scratch = Scratch::default();
        let mut hide = |scratch: &mut Scratch| {
            let area = |x, y, width, height| Area { x, y, width, height };
            crate::video::mapping::write(buffer.make_mut(), &info, |frame| {
                for kind in [Blur::Pixelate, Blur::Blur, Blur::Solid] {
                    obscure(frame, area(3, 5, 40, 30), kind, 6, scratch);
                    obscure(frame, area(0, 0, 64, 48), kind, 20, scratch);
                }
            })
            .unwrap();
            let Scratch {
                sums,
                means,
                row,
                columns,
            } = scratch;
            ((sums.as_ptr(), means.as_ptr()), (row.as_ptr(), columns.as_ptr()))
        };
        let before = hide(&mut scratch);
        assert_eq!(hide(&mut scratch), before);
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
