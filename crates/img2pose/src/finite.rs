//! Whether numbers are numbers.

use multiversion::multiversion;

/// The bits of an f32 without its sign: they are in the order of magnitude, infinity behind every number, and what is no
/// number behind infinity.
const MAGNITUDE: u32 = 0x7fff_ffff;
const INFINITY: u32 = f32::INFINITY.to_bits();

/// Whether no value is infinite or not-a-number.
///
/// Looks at bits, because comparisons with NaN are false, and at all of them without an early end: that is as
/// fast as memory.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2", "aarch64+neon"))]
pub(crate) fn are_finite(values: &[f32]) -> bool {
    let bits = values.iter().map(|value| value.to_bits() & MAGNITUDE);
    bits.fold(0, u32::max) < INFINITY
}

/// The same for f32 in little-endian bytes, wherever they begin. A remainder does not count.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2", "aarch64+neon"))]
pub(crate) fn bytes_are_finite(bytes: &[u8]) -> bool {
    let words = bytes
        .as_chunks()
        .0
        .iter()
        .map(|bytes| u32::from_le_bytes(*bytes) & MAGNITUDE);
    words.fold(0, u32::max) < INFINITY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_number_is_found_wherever_it_is() {
        let good = [0.0, -0.0, 1.5, f32::MAX, f32::MIN, f32::MIN_POSITIVE / 2.0];
        let values: Vec<f32> = good.iter().copied().cycle().take(131).collect();
        assert!(are_finite(&values) && are_finite(&[]));
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for place in 0..values.len() {
                let mut values = values.clone();
                values[place] = bad;
                assert!(!are_finite(&values), "{bad} at {place}");
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                assert!(!bytes_are_finite(&bytes), "{bad} at {place}");
            }
        }
    }
}
