//! Reads checkpoints: torch zip files and safetensors, one tensor at a time.

mod pickle;
mod safetensors;
mod torch;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use sha2::{Digest, Sha256};

pub use pickle::{ElementType, PickleError};

use crate::error::{Error, Result};
use safetensors::SafetensorsFile;
use torch::TorchFile;

/// Shape and type of a tensor in a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// Size along each axis, outermost first.
    pub shape: Vec<usize>,
    /// Type in which the numbers are stored.
    pub element: ElementType,
}

impl TensorInfo {
    /// Count of numbers.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A checkpoint on disk. Tensors are read when they are asked for, so that a large checkpoint is never in memory
/// as a whole.
///
/// Names are those of the img2pose network in torchvision's present spelling (`backbone.body.conv1.weight`,
/// `backbone.fpn.inner_blocks.0.0.weight`), whatever the file calls them: a leading `module.` (from data-parallel
/// training) is dropped, and the FPN names of torchvision 0.8 to 0.12 (`inner_blocks.0.weight`) are rewritten.
pub struct Checkpoint {
    path: PathBuf,
    source: Source,
    /// By normalised name: the name in the file, and what is there.
    tensors: BTreeMap<String, (String, TensorInfo)>,
}

enum Source {
    Torch(TorchFile),
    Safetensors(SafetensorsFile),
}

impl Checkpoint {
    /// Opens a checkpoint; the format is told from the content.
    ///
    /// # Errors
    /// When the file cannot be read, is in neither format, or holds a pickle that is not plain data.
    pub fn open(path: &Path) -> Result<Self> {
        let mut magic = [0; 4];
        let mut file = File::open(path).map_err(Error::read(path))?;
        if file.metadata().map_err(Error::read(path))?.is_dir() {
            return Err(Error::format(path, "a folder, not a checkpoint file"));
        }
        let read = file.read(&mut magic).map_err(Error::read(path))?;
        let source = if read == 4 && &magic == b"PK\x03\x04" {
            Source::Torch(TorchFile::open(path)?)
        } else if let Some(file) = SafetensorsFile::open(path)? {
            Source::Safetensors(file)
        } else {
            return Err(Error::format(path, unknown_format(&magic[..read])));
        };
        let infos = match &source {
            Source::Torch(file) => file.infos(),
            Source::Safetensors(file) => file.infos(),
        };
        let mut tensors = BTreeMap::new();
        for (name, info) in infos {
            let normalised = normalise(&name);
            if let Some((other, _)) = tensors.insert(normalised, (name.clone(), info)) {
                let reason = format!("the tensors {other} and {name} are the same one in two spellings");
                return Err(Error::format(path, reason));
            }
        }
        Ok(Self {
            path: path.to_owned(),
            source,
            tensors,
        })
    }

    /// Whether the FPN's tensors are named as torchvision 0.8 to 0.12 did: the file may come from a torchvision whose
    /// frozen batch norm had no epsilon.
    pub fn has_old_names(&self) -> bool {
        let fpn = |name: &&String| name.starts_with("backbone.fpn.");
        self.tensors
            .iter()
            .filter(|(name, _)| fpn(name))
            .any(|(name, (original, _))| original.trim_start_matches("module.") != name)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Name of the file format, for people.
    pub fn format(&self) -> &'static str {
        match self.source {
            Source::Torch(_) => "torch zip",
            Source::Safetensors(_) => "safetensors",
        }
    }

    /// Names and shapes of all tensors.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &TensorInfo)> {
        self.tensors.iter().map(|(name, (_, info))| (name.as_str(), info))
    }

    /// Shape and type of the tensor `name`, if it is there.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name).map(|(_, info)| info)
    }

    /// The numbers of the tensor `name` in row-major order; 16-bit and 64-bit floats are converted.
    ///
    /// # Errors
    /// When it is missing, truncated, damaged, or holds no floats.
    pub fn read(&self, name: &str) -> Result<Vec<f32>> {
        let (name, _) = self
            .tensors
            .get(name)
            .ok_or_else(|| Error::tensor(&self.path, name, "missing"))?;
        match &self.source {
            Source::Torch(file) => file.read(name),
            Source::Safetensors(file) => file.read(name),
        }
    }

    /// SHA-256 of the file, lower-case hex.
    pub fn sha256(&self) -> Result<String> {
        let mut file = File::open(&self.path).map_err(Error::read(&self.path))?;
        let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
        loop {
            match file.read(&mut buffer).map_err(Error::read(&self.path))? {
                0 => break,
                n => hash.update(&buffer[..n]),
            }
        }
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

fn unknown_format(magic: &[u8]) -> &'static str {
    match magic {
        [] => "an empty file, not a checkpoint",
        // PROTO 2: torch before 1.6, or any other pickle.
        [0x80, 2..=5, ..] => {
            "a bare pickle, not a torch zip checkpoint; load and save it again with PyTorch 1.6 or later, or save it as .safetensors"
        }
        _ => "neither a torch zip checkpoint (.pth) nor a safetensors file",
    }
}

fn normalise(name: &str) -> String {
    let mut name = name;
    while let Some(rest) = name.strip_prefix("module.") {
        name = rest;
    }
    let parts: Vec<_> = name.split('.').collect();
    match parts[..] {
        [
            "backbone",
            "fpn",
            blocks @ ("inner_blocks" | "layer_blocks"),
            level,
            what,
        ] => {
            format!("backbone.fpn.{blocks}.{level}.0.{what}")
        }
        _ => name.to_owned(),
    }
}

/// `None` when the numbers are not floats.
fn to_f32(bytes: &[u8], element: ElementType) -> Option<Vec<f32>> {
    match element {
        ElementType::F32 => Some(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|&b| f32::from_le_bytes(b))
                .collect(),
        ),
        ElementType::F16 => Some(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|&b| f16::from_le_bytes(b).to_f32())
                .collect(),
        ),
        ElementType::Bf16 => Some(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|&b| bf16::from_le_bytes(b).to_f32())
                .collect(),
        ),
        ElementType::F64 => Some(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|&b| f64::from_le_bytes(b) as f32)
                .collect(),
        ),
        ElementType::Other(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::normalise;

    #[test]
    fn names_are_normalised() {
        for (given, expected) in [
            ("module.backbone.body.conv1.weight", "backbone.body.conv1.weight"),
            (
                "backbone.fpn.inner_blocks.0.weight",
                "backbone.fpn.inner_blocks.0.0.weight",
            ),
            (
                "module.backbone.fpn.layer_blocks.3.bias",
                "backbone.fpn.layer_blocks.3.0.bias",
            ),
            (
                "backbone.fpn.layer_blocks.3.0.bias",
                "backbone.fpn.layer_blocks.3.0.bias",
            ),
            ("module.module.rpn.head.conv.bias", "rpn.head.conv.bias"),
        ] {
            assert_eq!(normalise(given), expected);
        }
    }
}
