//! `img2pose convert`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use img2pose::files;
use img2pose_export::checkpoint::Checkpoint;
use img2pose_export::statistics::PoseStatistics;
use img2pose_export::{self as export, Options, Storage, convert, refuse_input};

use crate::error::{Error, Result};
use crate::{output, signals};

/// Longest licence text that is put into a model.
const MAX_LICENCE: u64 = 1 << 20;

/// How many tensors a warning names.
const NAMED: usize = 3;

/// Convert a checkpoint (.pth or .safetensors) to one ONNX file
#[derive(Args)]
pub struct Convert {
    /// Checkpoint: torch zip (.pth) or .safetensors
    checkpoint: PathBuf,

    /// Model to write
    #[arg(short, long, value_name = "OUT.onnx")]
    output: PathBuf,

    /// Statistics of the training poses: a folder with *pose_mean*.npy and *pose_stddev*.npy, or the two files, or
    /// `wider` (those of WIDER FACE v1, to four decimals), or `none` (mean 0 0 0 0 0 1, deviation 1).
    /// Without it the two files are looked for beside the checkpoint
    #[arg(long, num_args = 1..=2, value_names = ["DIR|MEAN.npy|wider|none", "STDDEV.npy"])]
    pose_stats: Vec<PathBuf>,

    /// Epsilon of the frozen batch norm: 0 for weights trained with torchvision 0.8 (the published ones), 1e-5 for
    /// later versions [default: 1e-5]
    #[arg(long, value_name = "E", value_parser = epsilon)]
    bn_eps: Option<f64>,

    /// Default size in pixels of the short side, written into the model
    #[arg(long, value_name = "N", default_value_t = 640, value_parser = clap::value_parser!(u32).range(32..=16384))]
    min_size: u32,

    /// Largest size in pixels of the long side, written into the model
    #[arg(long, value_name = "N", default_value_t = 1400, value_parser = clap::value_parser!(u32).range(32..=16384))]
    max_size: u32,

    /// Licence of the weights, written into the model: the text, or a file that holds it
    #[arg(long, value_name = "TEXT|FILE", default_value = "unknown")]
    licence: String,

    /// Type in which the weights are stored; they are 32-bit floats when the model runs
    #[arg(long, value_enum, default_value_t = StorageArg::F32)]
    storage: StorageArg,
}

/// The epsilon of torchvision since 0.9.
const BATCH_NORM_EPSILON: f64 = 1e-5;

#[derive(Clone, Copy, ValueEnum)]
enum StorageArg {
    /// As they are
    F32,
    /// Half the file; each weight rounded to 11 bits
    F16,
}

impl Convert {
    pub fn run(self) -> Result<()> {
        signals::watch();
        if self.max_size < self.min_size {
            let (min, max) = (self.min_size, self.max_size);
            return Err(Error::Usage(format!(
                "--max-size {max} is below --min-size {min}"
            )));
        }
        // The checkpoint is looked at by convert().
        for input in self
            .pose_stats
            .iter()
            .map(PathBuf::as_path)
            .chain([Path::new(&self.licence)])
        {
            refuse_input(input, &self.output)?;
        }
        // First whether it is a checkpoint at all; only then whether its licence or its statistics are missing.
        Checkpoint::open(&self.checkpoint)?;
        let storage = match self.storage {
            StorageArg::F32 => Storage::F32,
            StorageArg::F16 => Storage::F16,
        };
        let options = Options::new(self.statistics()?)
            .with_batch_norm_epsilon(self.bn_eps.unwrap_or(BATCH_NORM_EPSILON))
            .with_sizes(self.min_size, self.max_size)
            .with_licence(licence(&self.licence)?)
            .with_storage(storage);
        let report = convert(&self.checkpoint, &self.output, &options)?;
        if !report.unused.is_empty() {
            let named = report.unused[..report.unused.len().min(NAMED)].join(", ");
            let more = match report.unused.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            output::warning(format_args!(
                "left out, because the network has no such tensors: {named}{more}"
            ));
        }
        if report.old_names && self.bn_eps.is_none() {
            output::warning(format_args!(
                "the names are those of torchvision 0.8 to 0.12; weights trained with 0.8, as the published ones were, need \
                 --bn-eps 0 (taken: {BATCH_NORM_EPSILON:e})"
            ));
        }
        output::line(format_args!(
            "{}: {}, {:.1} M parameters, {:.1} MB",
            self.output.display(),
            report.contract.architecture,
            report.parameters as f64 / 1e6,
            report.bytes as f64 / 1e6,
        ));
        Ok(())
    }

    fn statistics(&self) -> Result<PoseStatistics> {
        let checkpoint = self.checkpoint.display();
        match &self.pose_stats[..] {
            [] => {
                let folder = match self.checkpoint.parent() {
                    Some(folder) if !folder.as_os_str().is_empty() => folder,
                    _ => Path::new("."),
                };
                if !folder.is_dir() {
                    let path = self.checkpoint.clone();
                    let source = std::io::ErrorKind::NotFound.into();
                    return Err(export::Error::Read { path, source }.into());
                }
                let (statistics, mean, stddev) = PoseStatistics::find(folder)?.ok_or_else(|| {
                    export::Error::Statistics(format!(
                        "none beside {checkpoint}; give --pose-stats with the folder or the two .npy files that came with \
                         the checkpoint, or `wider` for the published weights, or `none` for a network trained without"
                    ))
                })?;
                output::note(format_args!(
                    "pose statistics: {} and {}",
                    mean.display(),
                    stddev.display()
                ));
                Ok(statistics)
            }
            [one] if one.as_os_str() == "wider" => Ok(PoseStatistics::WIDER),
            [one] if one.as_os_str() == "none" => {
                output::warning(format_args!(
                    "no pose statistics (mean 0 0 0 0 0 1, deviation 1): poses and boxes are wrong unless {checkpoint} was \
                     trained so"
                ));
                Ok(PoseStatistics::NONE)
            }
            [folder] if folder.is_dir() => match PoseStatistics::find(folder)? {
                Some((statistics, _, _)) => Ok(statistics),
                None => {
                    let folder = folder.display();
                    Err(export::Error::Statistics(format!(
                        "{folder} has no *pose_mean*.npy and *pose_stddev*.npy"
                    ))
                    .into())
                }
            },
            [mean, stddev] => Ok(PoseStatistics::read(mean, stddev)?),
            [file] => {
                let file = file.display();
                Err(export::Error::Statistics(format!(
                    "{file} is no folder; expected a folder, the two files MEAN.npy STDDEV.npy, `wider` or `none`"
                )).into())
            }
            _ => unreachable!("the parser takes at most two"),
        }
    }
}

fn epsilon(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(epsilon) if (0.0..=1.0).contains(&epsilon) => Ok(epsilon),
        _ => Err("expected a number from 0 to 1".to_owned()),
    }
}

/// The text itself, or what is in the file of that name.
fn licence(argument: &str) -> Result<String> {
    let path = Path::new(argument);
    let Ok(metadata) = fs::metadata(path) else {
        // A name that is mistyped must not become the licence.
        let is_name = path.extension().is_some_and(|end| end == "txt" || end == "md");
        return if is_name {
            Err(Error::Licence(format!("there is no file {argument}")))
        } else {
            Ok(argument.to_owned())
        };
    };
    if !metadata.is_file() || metadata.len() > MAX_LICENCE {
        return Err(Error::Licence(format!(
            "{argument} is no text file of at most 1 MiB"
        )));
    }
    let unreadable = |e: &dyn std::fmt::Display| Error::Licence(format!("{argument} cannot be read: {e}"));
    let bytes = files::read(path, MAX_LICENCE).map_err(|e| unreadable(&e))?;
    let text = String::from_utf8(bytes).map_err(|e| unreadable(&e))?;
    if text.trim().is_empty() {
        return Err(Error::Licence(format!("{argument} is an empty file")));
    }
    Ok(text.trim_end().to_owned())
}
