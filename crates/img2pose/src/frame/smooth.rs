//! Rows of a frame that is shrunk and smoothed by as much: weights as wide as the shrinking, so that no pixel is skipped.

use super::kernels::Normalise;
use super::lanes::LANES;
use super::rows::RowResizer;
use super::simd::Simd;
use super::taps::Taps;
use super::{Frame, FrameLayout};

/// Which samples, with which weights, make each sample of a shrunk axis: a triangle whose base is twice as wide as an output
/// sample, or two source samples where it is not shrunk, about half-pixel centres, as in PyTorch's
/// `interpolate(mode="bilinear", antialias=True)`.
struct Filter {
    /// For each output sample, its first source sample and where its weights end.
    spans: Vec<(usize, usize)>,
    weights: Vec<f32>,
}

impl Filter {
    fn new(source: u32, output: u32) -> Self {
        let scale = f64::from(source) / f64::from(output);
        let reach = scale.max(1.0);
        let (mut spans, mut weights) = (Vec::with_capacity(output as usize), Vec::new());
        let mut shares = Vec::new();
        for index in 0..output {
            let centre = scale * (f64::from(index) + 0.5);
            let first = (centre - reach + 0.5).max(0.0) as usize;
            let end = ((centre + reach + 0.5) as usize).min(source as usize);
            shares.clear();
            shares.extend((first..end).map(|at| {
                let far = (at as f64 + 0.5 - centre) / reach;
                (1.0 - far.abs()).max(0.0)
            }));
            let sum: f64 = shares.iter().sum();
            weights.extend(shares.iter().map(|share| (share / sum) as f32));
            spans.push((first, weights.len()));
        }
        Self { spans, weights }
    }

    /// First source sample and weights of output sample `index`.
    fn of(&self, index: usize) -> (usize, &[f32]) {
        let start = index.checked_sub(1).map_or(0, |before| self.spans[before].1);
        let (first, end) = self.spans[index];
        (first, &self.weights[start..end])
    }

    /// Most source samples of an output sample.
    fn width(&self) -> usize {
        (0..self.spans.len())
            .map(|index| self.of(index).1.len())
            .max()
            .unwrap_or(1)
    }
}

/// A row of the frame in linear R, G, B.
struct Row {
    source: Option<usize>,
    values: Vec<f32>,
}

/// Makes the rows of shrunk frames of one layout.
pub(super) struct Smooth {
    simd: Simd,
    reader: RowResizer,
    rows: Filter,
    columns: Filter,
    /// Rows of the frame and whether it is read from its last row on.
    height: usize,
    is_reversed: bool,
    /// As many rows of the frame as a shrunk one is made of.
    kept: Vec<Row>,
    /// The sum of those for the row at hand.
    sum: Vec<f32>,
}

impl Smooth {
    /// For frames of `layout`, brought to `width` x `height` as they lie; rows come in the order of the upright picture.
    /// `None` when neither side is shrunk: there is nothing to smooth.
    pub(super) fn new(layout: &FrameLayout, [width, height]: [u32; 2], simd: Simd) -> Option<Self> {
        if width >= layout.width && height >= layout.height {
            return None;
        }
        let reader = RowResizer::new(layout, Taps::new(layout.width, layout.width, LANES), simd);
        let len = reader.channels() * reader.channel_len();
        let rows = Filter::new(layout.height, height);
        let row = || Row {
            source: None,
            values: vec![0.0; len],
        };
        Some(Self {
            simd,
            kept: std::iter::repeat_with(row).take(rows.width()).collect(),
            sum: vec![0.0; len],
            rows,
            columns: Filter::new(layout.width, width),
            height: layout.height as usize,
            is_reversed: layout.view.orientation.reverses_rows(),
            reader,
        })
    }

    /// Forgets the rows of the frame before.
    pub(super) fn begin(&mut self) {
        self.kept.iter_mut().for_each(|row| row.source = None);
    }

    /// Prepares row `y` of the shrunk frame.
    pub(super) fn prepare(&mut self, frame: &Frame<'_>, y: usize) {
        let Self {
            simd,
            reader,
            rows,
            kept,
            sum,
            ..
        } = self;
        sum.fill(0.0);
        let (first, weights) = rows.of(y);
        for (source, &weight) in (first..).zip(weights) {
            let places = kept.len();
            let row = &mut kept[source % places];
            if row.source != Some(source) {
                let at = if self.is_reversed {
                    self.height - 1 - source
                } else {
                    source
                };
                reader.resize(frame, at, &mut row.values);
                row.source = Some(source);
            }
            simd.add_scaled(&row.values, weight, sum);
        }
    }

    /// One channel of the row that was prepared, normalised, its columns in the order of the frame.
    pub(super) fn write(&self, channel: usize, normalise: &Normalise, output: &mut [f32]) {
        // A gray row has one channel for all three.
        let start = channel.min(self.reader.channels() - 1) * self.reader.channel_len();
        let sum = &self.sum[start..][..self.reader.channel_len()];
        let (scale, offset) = normalise.factors();
        for (index, output) in output.iter_mut().enumerate() {
            let (first, weights) = self.columns.of(index);
            let value: f32 = sum[first..]
                .iter()
                .zip(weights)
                .map(|(value, weight)| value * weight)
                .sum();
            *output = value * scale + offset;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        ColorMatrix, ColorRange, Converter, NetworkSize, Orientation, PixelFormat, Plane, View,
    };
    use super::*;

    #[test]
    fn weights_are_those_of_pytorch() {
        // torch.nn.functional.interpolate of the unit vectors of 7 samples to 3, antialiased.
        let filter = Filter::new(7, 3);
        let expected = [
            [0.357_142_87, 0.428_571_4, 0.214_285_7, 0.0, 0.0, 0.0, 0.0],
            [
                0.0,
                0.058_823_53,
                0.235_294_12,
                0.411_764_74,
                0.235_294_12,
                0.058_823_53,
                0.0,
            ],
            [0.0, 0.0, 0.0, 0.0, 0.214_285_76, 0.428_571_43, 0.357_142_78],
        ];
        for (index, expected) in expected.iter().enumerate() {
            let (first, weights) = filter.of(index);
            for (sample, expected) in expected.iter().enumerate() {
                let place = sample.checked_sub(first);
                let found = place.and_then(|place| weights.get(place)).copied().unwrap_or(0.0);
                assert!((found - expected).abs() < 1e-6, "{index}: {first} {weights:?}");
            }
        }
        // Not shrunk: two samples around each place.
        let filter = Filter::new(2, 4);
        assert_eq!(filter.of(1), (0, &[0.75, 0.25][..]));
        assert_eq!(filter.of(0), (0, &[1.0][..]));
    }

    fn layout(format: PixelFormat, orientation: Orientation) -> FrameLayout {
        FrameLayout {
            format,
            width: 50,
            height: 34,
            matrix: ColorMatrix::Bt709,
            range: ColorRange::Limited,
            view: View {
                orientation,
                ..View::PLAIN
            },
        }
    }

    fn converted(frame: &Frame<'_>, is_smoothed: bool) -> (NetworkSize, Vec<f32>) {
        let size = NetworkSize::of_layout(&frame.layout, 15, 100, 16);
        let (mean, std) = ([0.4, 0.5, 0.6], [0.2, 0.25, 0.3]);
        let mut converter = match is_smoothed {
            true => Converter::smoothed(frame.layout, size, mean, std),
            false => Converter::new(frame.layout, size, mean, std),
        }
        .unwrap();
        let mut image = vec![f32::NAN; size.tensor_len()];
        converter.convert(frame, &mut image).unwrap();
        // Nothing is left of the frame before.
        let mut again = vec![f32::NAN; size.tensor_len()];
        converter.convert(frame, &mut again).unwrap();
        assert_eq!(image, again);
        (size, image)
    }

    /// Each pixel against the sum over the whole frame, for every format and orientation.
    #[test]
    fn every_pixel_of_the_frame_counts_by_its_weight() {
        let bytes: Vec<u8> = (0..40_000_u32)
            .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let planes = [0, 7, 13].map(|start| Plane {
            data: &bytes[start..],
            stride: 301,
        });
        for format in PixelFormat::ALL {
            for orientation in Orientation::ALL {
                let layout = layout(format, orientation);
                let frame = Frame { layout, planes };
                // The frame at its own size, upright.
                let (width, height) = layout.upright_size();
                let own = NetworkSize::new(width, height, width.min(height), 100, 1);
                let mut whole = vec![0.0; own.tensor_len()];
                let mut converter = Converter::new(layout, own, [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]).unwrap();
                converter.convert(&frame, &mut whole).unwrap();
                let (size, image) = converted(&frame, true);
                let (columns, rows) = (Filter::new(width, size.width), Filter::new(height, size.height));
                for channel in 0..3 {
                    for y in 0..size.height as usize {
                        for x in 0..size.width as usize {
                            let ((top, down), (left, across)) = (rows.of(y), columns.of(x));
                            let mut expected = 0.0;
                            for (row, weight) in (top..).zip(down) {
                                for (column, share) in (left..).zip(across) {
                                    let at = (channel * height as usize + row) * width as usize + column;
                                    expected += weight * share * whole[at];
                                }
                            }
                            let at =
                                (channel * size.padded_height as usize + y) * size.padded_width as usize + x;
                            assert!(
                                (image[at] - expected).abs() < 1e-4,
                                "{format:?} {orientation:?} {channel} {y} {x}: {} {expected}",
                                image[at]
                            );
                        }
                    }
                }
                let padding = |index: usize| {
                    let row = index / size.padded_width as usize % size.padded_height as usize;
                    let column = index % size.padded_width as usize;
                    row >= size.height as usize || column >= size.width as usize
                };
                let mut numbers = image.iter().enumerate();
                assert!(numbers.all(|(index, number)| !padding(index) || *number == 0.0));
            }
        }
    }

    #[test]
    fn what_is_not_shrunk_is_as_without_smoothing() {
        let bytes: Vec<u8> = (0..=255).cycle().take(3 * 12 * 9).collect();
        let frame = Frame::rgb(&bytes, 12, 9);
        assert_eq!(converted(&frame, true), converted(&frame, false));
    }
}
