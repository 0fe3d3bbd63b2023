//! The arithmetic on rows of pixels.
//!
//! Plain loops that the compiler turns into vector instructions; [`Simd`](super::simd::Simd) compiles them once for
//! each instruction set, which is why they are always inlined. No multiply and add is fused, so that a frame gives the
//! same bits on every machine.

use super::{ColorMatrix, ColorRange};

/// From a value of 0..255 to the network's `(value / 255 - mean) / std`.
pub(super) struct Normalise {
    scale: f32,
    offset: f32,
}

impl Normalise {
    pub(super) fn new(mean: f32, std: f32) -> Self {
        let (mean, std) = (f64::from(mean), f64::from(std));
        Self {
            scale: (1.0 / (255.0 * std)) as f32,
            offset: (-mean / std) as f32,
        }
    }

    /// What a value of 0..255 is multiplied with, and what is added to it then.
    pub(super) fn factors(&self) -> (f32, f32) {
        (self.scale, self.offset)
    }

    /// Whether all that comes of 0..255 is finite, with room for what rounding adds.
    pub(super) fn is_finite(&self) -> bool {
        let white = 256.0 * self.scale;
        self.offset.is_finite() && white.is_finite() && (white + self.offset).is_finite()
    }
}

/// Matrix from 8-bit Y, Cb, Cr to R, G, B of 0..255 (before clamping), offsets folded in.
pub(super) struct YCbCrToRgb {
    luma: f32,
    cr_to_red: f32,
    cb_to_green: f32,
    cr_to_green: f32,
    cb_to_blue: f32,
    offset: [f32; 3],
}

impl YCbCrToRgb {
    /// Coefficients of ITU-R BT.601 and BT.709 (Kr, Kb and the quantisation of 8-bit samples).
    pub(super) fn new(matrix: ColorMatrix, range: ColorRange) -> Self {
        let (kr, kb) = match matrix {
            ColorMatrix::Bt601 => (0.299, 0.114),
            ColorMatrix::Bt709 => (0.2126, 0.0722),
        };
        let kg = 1.0 - kr - kb;
        let (luma, black) = luma_levels(range);
        let chroma = match range {
            ColorRange::Full => 1.0,
            ColorRange::Limited => 255.0 / 224.0,
        };
        let cr_to_red = 2.0 * (1.0 - kr) * chroma;
        let cb_to_blue = 2.0 * (1.0 - kb) * chroma;
        let cb_to_green = -cb_to_blue * kb / kg;
        let cr_to_green = -cr_to_red * kr / kg;
        let offset = |chroma: f64| (-black * luma - 128.0 * chroma) as f32;
        Self {
            luma: luma as f32,
            cr_to_red: cr_to_red as f32,
            cb_to_green: cb_to_green as f32,
            cr_to_green: cr_to_green as f32,
            cb_to_blue: cb_to_blue as f32,
            offset: [
                offset(cr_to_red),
                offset(cb_to_green + cr_to_green),
                offset(cb_to_blue),
            ],
        }
    }

    /// What luma is multiplied with.
    pub(super) fn luma(&self) -> f32 {
        self.luma
    }

    /// What Cb is multiplied with for R, G and B, and what Cr is.
    pub(super) fn chroma(&self) -> [[f32; 3]; 2] {
        [
            [0.0, self.cb_to_green, self.cb_to_blue],
            [self.cr_to_red, self.cr_to_green, 0.0],
        ]
    }

    /// What is added to R, G and B.
    pub(super) fn offset(&self) -> [f32; 3] {
        self.offset
    }

    #[inline(always)]
    pub(super) fn rgb(&self, y: u8, cb: u8, cr: u8) -> [f32; 3] {
        let (y, cb, cr) = (f32::from(y) * self.luma, f32::from(cb), f32::from(cr));
        [
            clamp(y + (cr * self.cr_to_red + self.offset[0])),
            clamp(y + (cb * self.cb_to_green + (cr * self.cr_to_green + self.offset[1]))),
            clamp(y + (cb * self.cb_to_blue + self.offset[2])),
        ]
    }
}

/// Scale of luma to 0..255, and the luma of black.
fn luma_levels(range: ColorRange) -> (f64, f64) {
    match range {
        ColorRange::Full => (1.0, 0.0),
        ColorRange::Limited => (255.0 / 219.0, 16.0),
    }
}

/// Scale and offset from an 8-bit luma to gray of 0..255 (before clamping).
pub(super) fn luma_to_gray(range: ColorRange) -> (f32, f32) {
    let (scale, black) = luma_levels(range);
    (scale as f32, (-black * scale) as f32)
}

/// To 0..255. Written so that it becomes one max and one min; the values are never NaN.
#[inline(always)]
pub(super) fn clamp(value: f32) -> f32 {
    let value = if value > 0.0 { value } else { 0.0 };
    if value < 255.0 { value } else { 255.0 }
}

#[inline(always)]
fn lerp(first: f32, second: f32, weight: f32) -> f32 {
    first + (second - first) * weight
}

/// Adds `weight` times `row` to `sum`.
#[inline(always)]
pub(super) fn add_scaled(row: &[f32], weight: f32, sum: &mut [f32]) {
    for (value, sum) in row.iter().zip(sum) {
        *sum += *value * weight;
    }
}

/// Blends packed pixels into three channels.
#[inline(always)]
pub(super) fn blend_packed(
    first: &[u32],
    second: &[u32],
    shifts: [u32; 3],
    weight: &[f32],
    output: &mut [f32],
) {
    for (shift, output) in shifts.into_iter().zip(output.chunks_exact_mut(weight.len())) {
        for (((first, second), weight), output) in first.iter().zip(second).zip(weight).zip(output) {
            let value = |word: u32| ((word >> shift) & 0xff) as f32;
            *output = lerp(value(*first), value(*second), *weight);
        }
    }
}

/// Blends luma into one channel.
#[inline(always)]
pub(super) fn blend_gray(
    first: &[u8],
    second: &[u8],
    scale: f32,
    offset: f32,
    weight: &[f32],
    output: &mut [f32],
) {
    for (((first, second), weight), output) in first.iter().zip(second).zip(weight).zip(output) {
        let value = |luma: u8| clamp(f32::from(luma) * scale + offset);
        *output = lerp(value(*first), value(*second), *weight);
    }
}

/// Converts Y, Cb, Cr of both taps and blends them into three channels.
#[inline(always)]
pub(super) fn blend_ycbcr(
    first: [&[u8]; 3],
    second: [&[u8]; 3],
    to_rgb: &YCbCrToRgb,
    weight: &[f32],
    output: &mut [f32],
) {
    let len = weight.len();
    let ([y0, cb0, cr0], [y1, cb1, cr1]) = (
        first.map(|bytes| &bytes[..len]),
        second.map(|bytes| &bytes[..len]),
    );
    let (red, rest) = output.split_at_mut(len);
    let (green, blue) = rest.split_at_mut(len);
    let blue = &mut blue[..len];
    for x in 0..len {
        let first = to_rgb.rgb(y0[x], cb0[x], cr0[x]);
        let second = to_rgb.rgb(y1[x], cb1[x], cr1[x]);
        red[x] = lerp(first[0], second[0], weight[x]);
        green[x] = lerp(first[1], second[1], weight[x]);
        blue[x] = lerp(first[2], second[2], weight[x]);
    }
}

/// Blends two rows of a channel and normalises them.
#[inline(always)]
pub(super) fn blend_rows(
    first: &[f32],
    second: &[f32],
    weight: f32,
    normalise: &Normalise,
    output: &mut [f32],
) {
    let (first_scale, second_scale) = ((1.0 - weight) * normalise.scale, weight * normalise.scale);
    for ((first, second), output) in first.iter().zip(second).zip(output) {
        *output = first * first_scale + (second * second_scale + normalise.offset);
    }
}
