//! Mean and standard deviation of the training poses, which undo the normalisation of the pose head.

use std::fs;
use std::path::{Path, PathBuf};

use img2pose::files;
use img2pose::text::{brief, one_line};
use ndarray_npy::npy::header::Header;
use py_literal::Value as PyValue;

use crate::error::{Error, Result};

/// Mean and standard deviation of `rx, ry, rz, tx, ty, tz`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoseStatistics {
    /// Mean.
    pub mean: [f64; 6],
    /// Standard deviation, each above zero.
    pub stddev: [f64; 6],
}

impl PoseStatistics {
    /// What the reference implementation uses when it is given none. Right only for a network that was trained so;
    /// every published one was not.
    pub const NONE: Self = Self {
        mean: [0.0, 0.0, 0.0, 0.0, 0.0, 1.0],
        stddev: [1.0; 6],
    };

    /// Statistics of WIDER FACE version 1, with which `img2pose_v1.pth` was trained, to the four decimals that
    /// py-feat publishes. The files of the official download have all digits.
    pub const WIDER: Self = Self {
        mean: [-0.0238, 0.0275, -0.0144, 0.0664, 0.2380, 3.4813],
        stddev: [0.2353, 0.5395, 0.1767, 0.1320, 0.1358, 0.3663],
    };

    /// Reads two `.npy` files of six numbers.
    ///
    /// # Errors
    /// When a file cannot be read, is no `.npy` file, does not hold six finite floats, or a deviation is not positive.
    pub fn read(mean: &Path, stddev: &Path) -> Result<Self> {
        let statistics = Self {
            mean: six(mean)?,
            stddev: six(stddev)?,
        };
        if let Some(bad) = statistics.stddev.iter().find(|&&s| s as f32 <= 0.0) {
            let path = stddev.display();
            return Err(Error::Statistics(format!(
                "{path}: a standard deviation of {bad}; expected numbers above 0"
            )));
        }
        Ok(statistics)
    }

    /// Reads the one `*pose_mean*.npy` and the one `*pose_stddev*.npy` in a folder, if it has them.
    ///
    /// # Errors
    /// When there are several of a kind, only one of the two, or as for [`Self::read`].
    pub fn find(folder: &Path) -> Result<Option<(Self, PathBuf, PathBuf)>> {
        match (one(folder, "pose_mean")?, one(folder, "pose_stddev")?) {
            (Some(mean), Some(stddev)) => Ok(Some((Self::read(&mean, &stddev)?, mean, stddev))),
            (None, None) => Ok(None),
            (found, _) => {
                let missing = if found.is_some() {
                    "pose_stddev"
                } else {
                    "pose_mean"
                };
                let folder = folder.display();
                Err(Error::Statistics(format!(
                    "{folder} has no *{missing}*.npy, but its counterpart"
                )))
            }
        }
    }
}

fn one(folder: &Path, what: &str) -> Result<Option<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(Error::read(folder))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.contains(what) && name.ends_with(".npy")
        })
        .collect();
    found.sort();
    match &found[..] {
        [] => Ok(None),
        [path] => Ok(Some(path.clone())),
        [a, b, ..] => {
            let text = format!(
                "several *{what}*.npy: {} and {}; name the two files",
                a.display(),
                b.display()
            );
            Err(Error::Statistics(text))
        }
    }
}

/// Bytes of a file of six numbers and more header than any writer of the format makes.
const MAX_FILE: u64 = 64 << 10;

/// Brackets in the header's Python dict: its own, those of the shape, and room for a list of fields. The parser goes into
/// each, and tries several readings of it.
const MAX_BRACKETS: usize = 4;

/// Characters of the library's reason in a message.
const REASON: usize = 200;

/// Longest header in bytes; of six numbers it has 118.
const MAX_HEADER: usize = 4096;

fn six(path: &Path) -> Result<[f64; 6]> {
    let bytes = files::read(path, MAX_FILE).map_err(Error::read(path))?;
    numbers(&bytes).map_err(|reason| Error::Statistics(format!("{}: {reason}", path.display())))
}

/// The six numbers in a `.npy` file. Its header is believed only as far as the file is long.
///
/// Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
fn numbers(bytes: &[u8]) -> Result<[f64; 6], String> {
    let unreadable = |reason: &dyn std::fmt::Display| format!("not a readable .npy file: {reason}");
    // Magic text, version, length of the header, the header.
    let text_at = match bytes.get(6) {
        Some(1) => 10,
        _ => 12,
    };
    let length = match bytes.get(8..text_at) {
        Some(&[a, b]) => usize::from(u16::from_le_bytes([a, b])),
        Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]) as usize,
        _ => return Err(unreadable(&"it ends in its header")),
    };
    if bytes.starts_with(b"\x93NUMPY") {
        let text = bytes.get(text_at..).and_then(|rest| rest.get(..length));
        let text = text.ok_or_else(|| unreadable(&"its header is longer than the file"))?;
        if length > MAX_HEADER {
            return Err(unreadable(&format_args!(
                "its header has {length} bytes, expected at most {MAX_HEADER}"
            )));
        }
        if text.iter().filter(|&byte| b"([{".contains(byte)).count() > MAX_BRACKETS {
            return Err(unreadable(&"its header is no description of an array of numbers"));
        }
    }
    let mut rest = bytes;
    let header = Header::from_reader(&mut rest).map_err(|e| {
        // The library repeats the header, which may be long.
        let reason = one_line(&e.to_string()).to_string();
        unreadable(&brief(&reason, REASON))
    })?;
    let found = header.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    if found != Some(6) {
        let found = found.map_or("more than 2^64".to_owned(), |n| n.to_string());
        return Err(format!("{found} numbers, expected 6 (rx, ry, rz, tx, ty, tz)"));
    }
    let axes = header.shape.iter().filter(|&&d| d > 1).count();
    if axes > 1 && header.layout.is_fortran() {
        return Err(format!(
            "a table of shape {:?} in Fortran order, expected a row",
            header.shape
        ));
    }
    let element = match &header.type_descriptor {
        PyValue::String(element) => element.as_str(),
        _ => "of several fields",
    };
    let size = match element {
        "<f8" => 8,
        "<f4" => 4,
        _ => {
            return Err(format!(
                "numbers of type {}, expected '<f8' or '<f4'",
                brief(element, 40)
            ));
        }
    };
    if rest.len() != 6 * size {
        return Err(unreadable(&format_args!(
            "{} bytes of numbers, expected {}",
            rest.len(),
            6 * size
        )));
    }
    let mut numbers = [0.0; 6];
    for (number, bytes) in numbers.iter_mut().zip(rest.chunks_exact(size)) {
        *number = match *bytes {
            [a, b, c, d] => f32::from_le_bytes([a, b, c, d]).into(),
            [a, b, c, d, e, f, g, h] => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => return Err(unreadable(&"a number of another size")),
        };
    }
    // The model computes with 32 bits.
    if numbers.iter().any(|&n| !(n as f32).is_finite()) {
        return Err("a number that is not finite in 32 bits".to_owned());
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(version: u8, header: &str, numbers: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY".to_vec();
        bytes.extend([version, 0]);
        let length = (header.len() as u32).to_le_bytes();
        bytes.extend(if version == 1 { &length[..2] } else { &length });
        bytes.extend(header.as_bytes());
        bytes.extend(numbers);
        bytes
    }

    fn header(element: &str, shape: &str) -> String {
        format!("{{'descr': '{element}', 'fortran_order': False, 'shape': {shape}, }}\n")
    }

    #[test]
    fn six_numbers_of_either_size_in_a_row() {
        let eight: Vec<u8> = (1..=6).flat_map(|n| f64::from(n).to_le_bytes()).collect();
        let four: Vec<u8> = (1u8..=6).flat_map(|n| f32::from(n).to_le_bytes()).collect();
        let expected = Ok([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        for version in [1, 2, 3] {
            for shape in ["(6,)", "(1, 6)", "(6, 1)", "(2, 3)"] {
                assert_eq!(numbers(&npy(version, &header("<f8", shape), &eight)), expected);
                assert_eq!(numbers(&npy(version, &header("<f4", shape), &four)), expected);
            }
        }
    }

    #[test]
    fn headers_are_believed_as_far_as_the_file_is_long() {
        let zeros = [0; 48];
        let refused = |bytes: &[u8]| numbers(bytes).unwrap_err();
        for shape in [
            "(100000000000,)",
            "(18446744073709551615, 2)",
            "(6, 0)",
            "(6, 1, 1, 2)",
            "()",
        ] {
            assert!(
                refused(&npy(1, &header("<f8", shape), &zeros)).contains("expected 6"),
                "{shape}"
            );
        }
        // A length of 4 GiB.
        let mut bytes = npy(2, &header("<f8", "(6,)"), &zeros);
        bytes[8..12].fill(0xff);
        assert!(refused(&bytes).contains("longer than the file"));
        // Deep nesting, of which the parser tries every reading.
        let nested = format!("{{'descr': {}{}}}\n", "(".repeat(1000), ")".repeat(1000));
        assert!(refused(&npy(1, &nested, &zeros)).contains("no description"));
        let long = format!("{}\n", " ".repeat(5000));
        assert!(refused(&npy(1, &long, &zeros)).contains("at most 4096"));
        for length in 0..zeros.len() {
            assert!(numbers(&npy(1, &header("<f8", "(6,)"), &zeros[..length])).is_err());
        }
        assert!(refused(&npy(1, &header("<f8", "(6,)"), &[0; 56])).contains("56 bytes of numbers"));
        assert!(refused(&npy(1, &header("|O", "(6,)"), &zeros)).contains("type |O"));
        for length in 0..12 {
            assert!(numbers(&npy(1, &header("<f8", "(6,)"), &zeros)[..length]).is_err());
        }
    }

    #[test]
    fn numbers_beyond_32_bits_are_refused() {
        let large: Vec<u8> = [1e300f64; 6].iter().flat_map(|n| n.to_le_bytes()).collect();
        let said = numbers(&npy(1, &header("<f8", "(6,)"), &large)).unwrap_err();
        assert!(said.contains("not finite in 32 bits"), "{said}");
    }
}
