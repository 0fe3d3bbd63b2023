//! Test pictures, and the conversion written as its definition reads, in f64.

use img2pose::frame::{
    ColorMatrix, ColorRange, Converter, Frame, FrameLayout, NetworkSize, Orientation, PixelFormat, Plane,
    View,
};

pub const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
pub const STD: [f32; 3] = [0.229, 0.224, 0.225];

pub const FORMATS: [PixelFormat; 7] = PixelFormat::ALL;

/// A frame that owns its bytes.
pub struct Picture {
    pub layout: FrameLayout,
    pub planes: Vec<Vec<u8>>,
    pub strides: [usize; 3],
}

pub fn layout(format: PixelFormat, width: u32, height: u32) -> FrameLayout {
    FrameLayout {
        format,
        width,
        height,
        matrix: ColorMatrix::Bt601,
        range: ColorRange::Full,
        view: View::PLAIN,
    }
}

/// Bytes of a row and number of rows of each plane.
pub fn plane_sizes(layout: &FrameLayout) -> Vec<(usize, usize)> {
    let (width, height) = (layout.width as usize, layout.height as usize);
    let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
    match layout.format {
        PixelFormat::Rgb | PixelFormat::Bgr => vec![(3 * width, height)],
        PixelFormat::Rgbx | PixelFormat::Bgrx => vec![(4 * width, height)],
        PixelFormat::Gray8 => vec![(width, height)],
        PixelFormat::Nv12 => vec![(width, height), (2 * half_width, half_height)],
        PixelFormat::I420 => vec![
            (width, height),
            (half_width, half_height),
            (half_width, half_height),
        ],
    }
}

impl Picture {
    /// Noise, rows `gap` bytes further apart than they need be, no byte after the last pixel.
    pub fn noise(layout: FrameLayout, gap: usize, seed: u64) -> Self {
        let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut byte = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        let mut strides = [0; 3];
        let planes = plane_sizes(&layout)
            .into_iter()
            .enumerate()
            .map(|(plane, (row, rows))| {
                strides[plane] = row + gap * (plane + 1);
                std::iter::repeat_with(&mut byte)
                    .take(strides[plane] * (rows - 1) + row)
                    .collect()
            });
        let planes = planes.collect();
        Self {
            layout,
            planes,
            strides,
        }
    }

    pub fn frame(&self) -> Frame<'_> {
        let plane = |plane: usize| Plane {
            data: self.planes.get(plane).map_or(&[][..], Vec::as_slice),
            stride: self.strides[plane],
        };
        Frame {
            layout: self.layout,
            planes: [plane(0), plane(1), plane(2)],
        }
    }

    fn byte(&self, plane: usize, row: usize, offset: usize) -> f64 {
        f64::from(self.planes[plane][row * self.strides[plane] + offset])
    }

    /// R, G, B in 0..1 of a pixel of the upright picture: where in the frame it lies, as the documentation of
    /// `GstVideoOrientationMethod` has it.
    fn upright(&self, x: usize, y: usize) -> [f64; 3] {
        let (right, bottom) = (self.layout.width as usize - 1, self.layout.height as usize - 1);
        let (x, y) = match self.layout.view.orientation {
            Orientation::Identity => (x, y),
            Orientation::Clockwise => (y, bottom - x),
            Orientation::HalfTurn => (right - x, bottom - y),
            Orientation::CounterClockwise => (right - y, x),
            Orientation::MirrorHorizontal => (right - x, y),
            Orientation::MirrorVertical => (x, bottom - y),
            Orientation::MirrorMainDiagonal => (y, x),
            Orientation::MirrorAntiDiagonal => (right - y, bottom - x),
        };
        self.rgb(x, y)
    }

    /// R, G, B of a pixel in 0..1.
    fn rgb(&self, x: usize, y: usize) -> [f64; 3] {
        let packed =
            |pixel: usize, order: [usize; 3]| order.map(|at| self.byte(0, y, pixel * x + at) / 255.0);
        match self.layout.format {
            PixelFormat::Rgb => packed(3, [0, 1, 2]),
            PixelFormat::Bgr => packed(3, [2, 1, 0]),
            PixelFormat::Rgbx => packed(4, [0, 1, 2]),
            PixelFormat::Bgrx => packed(4, [2, 1, 0]),
            PixelFormat::Gray8 => [self.luma(x, y).clamp(0.0, 1.0); 3],
            PixelFormat::Nv12 => {
                let chroma = |at| self.byte(1, y / 2, 2 * (x / 2) + at);
                self.ycbcr(self.luma(x, y), chroma(0), chroma(1))
            }
            PixelFormat::I420 => self.ycbcr(
                self.luma(x, y),
                self.byte(1, y / 2, x / 2),
                self.byte(2, y / 2, x / 2),
            ),
        }
    }

    fn luma(&self, x: usize, y: usize) -> f64 {
        match self.layout.range {
            ColorRange::Full => self.byte(0, y, x) / 255.0,
            ColorRange::Limited => (self.byte(0, y, x) - 16.0) / 219.0,
        }
    }

    fn ycbcr(&self, luma: f64, cb: f64, cr: f64) -> [f64; 3] {
        let steps = if self.layout.range == ColorRange::Full {
            255.0
        } else {
            224.0
        };
        let (pb, pr) = ((cb - 128.0) / steps, (cr - 128.0) / steps);
        // Solved from Y = Kr R + Kg G + Kb B, Pb = (B - Y) / (2 (1 - Kb)), Pr = (R - Y) / (2 (1 - Kr)).
        let (kr, kb) = match self.layout.matrix {
            ColorMatrix::Bt601 => (0.299, 0.114),
            ColorMatrix::Bt709 => (0.2126, 0.0722),
        };
        let (red, blue) = (luma + 2.0 * (1.0 - kr) * pr, luma + 2.0 * (1.0 - kb) * pb);
        let green = (luma - kr * red - kb * blue) / (1.0 - kr - kb);
        [red, green, blue].map(|value| value.clamp(0.0, 1.0))
    }

    /// The network image by its definition. Positions are f32 as PyTorch's are, all else is f64.
    pub fn reference(&self, size: &NetworkSize) -> Vec<f64> {
        let axis = |source: u32, output: u32| {
            let ratio = source as f32 / output as f32;
            move |index: u32| {
                let position = (ratio * (index as f32 + 0.5) - 0.5).max(0.0);
                let first = (position as u32).min(source - 1);
                let weight = (f64::from(position) - f64::from(first)).clamp(0.0, 1.0);
                (first as usize, (first + 1).min(source - 1) as usize, weight)
            }
        };
        let columns = axis(size.frame_width, size.width);
        let rows = axis(size.frame_height, size.height);
        let plane = size.padded_width as usize * size.padded_height as usize;
        let mut tensor = vec![0.0; 3 * plane];
        for y in 0..size.height {
            let (top, bottom, down) = rows(y);
            for x in 0..size.width {
                let (left, right, across) = columns(x);
                let corners = [
                    self.upright(left, top),
                    self.upright(right, top),
                    self.upright(left, bottom),
                    self.upright(right, bottom),
                ];
                for channel in 0..3 {
                    let [a, b, c, d] = corners.map(|rgb| rgb[channel]);
                    let value = (a * (1.0 - across) + b * across) * (1.0 - down)
                        + (c * (1.0 - across) + d * across) * down;
                    tensor[channel * plane + y as usize * size.padded_width as usize + x as usize] =
                        (value - f64::from(MEAN[channel])) / f64::from(STD[channel]);
                }
            }
        }
        tensor
    }

    /// The network image by the converter. The slot is full of NaN before.
    pub fn convert(&self, size: &NetworkSize) -> Vec<f32> {
        let mut converter = Converter::new(self.layout, *size, MEAN, STD).unwrap();
        let mut slot = vec![f32::NAN; size.tensor_len()];
        converter.convert(&self.frame(), &mut slot).unwrap();
        slot
    }
}

/// Largest absolute difference; NaN counts as infinite.
pub fn max_difference(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found
        .iter()
        .zip(expected)
        .map(|(found, expected)| (f64::from(*found) - expected).abs())
        .fold(0.0, |max, difference| {
            if difference <= max {
                max
            } else if difference.is_nan() {
                f64::INFINITY
            } else {
                difference
            }
        })
}
