//! Mean and standard deviation of the training poses, which undo the normalisation of the pose head.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use ndarray::ArrayD;
use ndarray_npy::{ReadNpyError, ReadNpyExt};

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
        if let Some(bad) = statistics.stddev.iter().find(|&&s| s <= 0.0) {
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

fn six(path: &Path) -> Result<[f64; 6]> {
    let bytes = fs::read(path).map_err(Error::read(path))?;
    let read64 = || ArrayD::<f64>::read_npy(Cursor::new(&bytes));
    let read32 = || ArrayD::<f32>::read_npy(Cursor::new(&bytes)).map(|a| a.mapv(f64::from));
    let array = match read64() {
        Err(ReadNpyError::WrongDescriptor(_)) => read32(),
        other => other,
    };
    let path = path.display();
    let array = array.map_err(|e| match e {
        ReadNpyError::WrongDescriptor(found) => Error::Statistics(format!(
            "{path}: numbers of type {found}, expected '<f8' or '<f4'"
        )),
        e => Error::Statistics(format!(
            "{path}: not a readable .npy file: {}",
            e.to_string().replace('\n', " ")
        )),
    })?;
    let numbers: Vec<f64> = array.iter().copied().collect();
    let found = numbers.len();
    let numbers: [f64; 6] = numbers.try_into().map_err(|_| {
        Error::Statistics(format!(
            "{path}: {found} numbers, expected 6 (rx, ry, rz, tx, ty, tz)"
        ))
    })?;
    if numbers.iter().any(|n| !n.is_finite()) {
        return Err(Error::Statistics(format!("{path}: a number that is not finite")));
    }
    Ok(numbers)
}
