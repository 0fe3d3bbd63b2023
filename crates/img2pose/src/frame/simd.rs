//! Which vector instructions the machine has, and the row kernels compiled for them.

use super::kernels::{self, Normalise, YCbCrToRgb};
use super::lanes::{Block, LANES};

/// The vector instructions in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Simd(Level);

#[derive(Clone, Copy, Debug)]
enum Level {
    /// Those that every machine of the target architecture has.
    Baseline,
    /// Only ever made by [`Simd::detect`], on a machine with AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

/// Makes a method that runs the kernel of that name with the instructions in use.
macro_rules! kernel {
    ($name:ident($($argument:ident: $type:ty),* $(,)?)) => {
        #[doc = concat!("[`kernels::", stringify!($name), "`]")]
        pub(super) fn $name(self, $($argument: $type),*) {
            match self.0 {
                Level::Baseline => kernels::$name($($argument),*),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => {
                    #[target_feature(enable = "avx2")]
                    fn avx2($($argument: $type),*) {
                        kernels::$name($($argument),*)
                    }
                    // SAFETY: the machine has AVX2, see `Level::Avx2`.
                    unsafe { avx2($($argument),*) }
                }
            }
        }
    };
}

impl Simd {
    /// The best that this machine has.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            return Self(Level::Avx2);
        }
        Self(Level::Baseline)
    }

    /// What every machine has.
    #[cfg(test)]
    pub(super) fn baseline() -> Self {
        Self(Level::Baseline)
    }

    kernel!(add_scaled(row: &[f32], weight: f32, sum: &mut [f32]));
    kernel!(blend_packed(
        first: &[u32],
        second: &[u32],
        shifts: [u32; 3],
        weight: &[f32],
        output: &mut [f32],
    ));
    kernel!(blend_gray(
        first: &[u8],
        second: &[u8],
        scale: f32,
        offset: f32,
        weight: &[f32],
        output: &mut [f32],
    ));
    kernel!(blend_ycbcr(
        first: [&[u8]; 3],
        second: [&[u8]; 3],
        to_rgb: &YCbCrToRgb,
        weight: &[f32],
        output: &mut [f32],
    ));
    kernel!(blend_rows(first: &[f32], second: &[f32], weight: f32, normalise: &Normalise, output: &mut [f32]));

    /// Picks the bytes of `blocks` out of `row`, [`LANES`] at a time, into `first` and `second`. Returns whether there
    /// are instructions for that; if not, nothing is done.
    pub(super) fn shuffle<const WINDOWS: usize>(
        self,
        blocks: &[Block<WINDOWS>],
        row: &[u8],
        first: &mut [u8],
        second: &mut [u8],
    ) -> bool {
        match self.0 {
            Level::Baseline => false,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => {
                // SAFETY: the machine has AVX2, see `Level::Avx2`.
                unsafe { shuffle_avx2(blocks, row, first, second) };
                true
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[allow(clippy::needless_range_loop)]
fn shuffle_avx2<const WINDOWS: usize>(
    blocks: &[Block<WINDOWS>],
    row: &[u8],
    first: &mut [u8],
    second: &mut [u8],
) {
    use std::arch::x86_64::{
        __m128i, _mm_cvtsi128_si64, _mm_extract_epi64, _mm_or_si128, _mm_set_epi64x, _mm_setzero_si128,
        _mm_shuffle_epi8,
    };

    /// One 16-byte load, without a pointer.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(bytes: &[u8; 16]) -> __m128i {
        let bits = u128::from_le_bytes(*bytes);
        _mm_set_epi64x((bits >> 64) as i64, bits as i64)
    }

    let (first, second) = (
        first.as_chunks_mut::<LANES>().0,
        second.as_chunks_mut::<LANES>().0,
    );
    for ((block, first), second) in blocks.iter().zip(first).zip(second) {
        let windows = row[block.start as usize..][..16 * WINDOWS].as_chunks::<16>().0;
        let mut picked = _mm_setzero_si128();
        // Not zipped: that leaves a call for each block, and takes twice as long.
        for window in 0..WINDOWS {
            let (bytes, lanes) = (load(&windows[window]), load(&block.lanes[window]));
            picked = _mm_or_si128(picked, _mm_shuffle_epi8(bytes, lanes));
        }
        *first = _mm_cvtsi128_si64(picked).to_le_bytes();
        *second = _mm_extract_epi64::<1>(picked).to_le_bytes();
    }
}
