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
// Plain loops over indices, which the compiler turns into the widest instructions there are. The `fold` of an iterator stays a call, which is
// compiled once and for the oldest machines, and blocks of a fixed number of values are shuffled about: ten times slower.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2", "aarch64+neon"))]
#[allow(clippy::needless_range_loop)]
pub(crate) fn are_finite(values: &[f32]) -> bool {
    let mut greatest = 0;
    for index in 0..values.len() {
        greatest = u32::max(greatest, values[index].to_bits() & MAGNITUDE);
    }
    greatest < INFINITY
}

/// The same for f32 in little-endian bytes, wherever they begin. A remainder does not count.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2", "aarch64+neon"))]
#[allow(clippy::needless_range_loop)]
pub(crate) fn bytes_are_finite(bytes: &[u8]) -> bool {
    let words = bytes.as_chunks::<4>().0;
    let mut greatest = 0;
    for index in 0..words.len() {
        greatest = u32::max(greatest, u32::from_le_bytes(words[index]) & MAGNITUDE);
    }
    greatest < INFINITY
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
