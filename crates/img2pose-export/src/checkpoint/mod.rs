//! Reads checkpoints: torch zip files and safetensors, one tensor at a time.

mod archive;
mod budget;
mod pickle;
mod safetensors;
mod torch;

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use img2pose::files;
use img2pose::text::brief;
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
    /// Count of numbers; [`usize::MAX`] where a file claims more than that.
    pub fn len(&self) -> usize {
        count(&self.shape)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Product of a shape; [`usize::MAX`] where it is larger.
pub(crate) fn count(shape: &[usize]) -> usize {
    if shape.contains(&0) {
        return 0;
    }
    shape.iter().copied().fold(1, usize::saturating_mul)
}

/// Bytes by which the format is told.
const START: usize = 9;

/// Most axes of a tensor; PyTorch's own limit.
const MAX_AXES: usize = 64;

/// Longest name of a tensor, in bytes.
const MAX_NAME: usize = 512;

/// Most tensors of a checkpoint; the largest network has a few hundred.
const MOST_TENSORS: usize = 1 << 16;

/// A checkpoint on disk. Tensors are read when they are asked for, so that a large checkpoint is never in memory
/// as a whole.
///
/// Names are those of the img2pose network in torchvision's present spelling (`backbone.body.conv1.weight`,
/// `backbone.fpn.inner_blocks.0.0.weight`), whatever the file calls them: a leading `module.` (from data-parallel
/// training) is dropped, and the FPN names of torchvision 0.8 to 0.12 (`inner_blocks.0.weight`) are rewritten.
pub struct Checkpoint {
    path: PathBuf,
    /// Bytes of the file.
    len: u64,
    source: Source,
    /// By normalised name: the name in the file, and what is there.
    tensors: BTreeMap<String, (String, TensorInfo)>,
}

enum Source {
    Torch(TorchFile),
    Safetensors(SafetensorsFile),
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint")
            .field("path", &self.path)
            .field("tensors", &self.tensors.len())
            .finish_non_exhaustive()
    }
}

impl Checkpoint {
    /// Opens a checkpoint; the format is told from the content.
    ///
    /// # Errors
    /// When the file cannot be read, is in neither format, or holds a pickle that is not plain data.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, len) = files::open(path).map_err(Error::read(path))?;
        if len > budget::MOST_FILE {
            let most = budget::MOST_FILE;
            return Err(Error::format(
                path,
                format!("it has {len} bytes, expected a checkpoint of at most {most}"),
            ));
        }
        let mut start = Vec::with_capacity(START);
        if len > 0 {
            // What the kernel makes up (/proc) is never read: it may have no end.
            (&file)
                .take(START as u64)
                .read_to_end(&mut start)
                .map_err(Error::read(path))?;
        }
        let source = if start.starts_with(b"PK\x03\x04") {
            Source::Torch(TorchFile::open(path, file, len)?)
        } else if SafetensorsFile::starts_with(&start, len) {
            Source::Safetensors(SafetensorsFile::open(path, file, len)?)
        } else {
            return Err(Error::format(path, unknown_format(&start)));
        };
        let mut this = Self {
            path: path.to_owned(),
            len,
            source,
            tensors: BTreeMap::new(),
        };
        this.tensors = match &this.source {
            Source::Torch(file) => by_name(path, file.infos().map(|(name, info)| (name.to_owned(), info))),
            Source::Safetensors(file) => by_name(path, file.infos()),
        }?;
        Ok(this)
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

    /// Whether there is a tensor whose name begins so.
    pub(crate) fn has(&self, prefix: &str) -> bool {
        let mut behind = self
            .tensors
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        behind.next().is_some_and(|(name, _)| name.starts_with(prefix))
    }

    /// Bytes of the file.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes that tensors of 32-bit floats may have that are made of this file.
    pub(crate) fn budget(&self) -> u64 {
        budget::unpacked(self.len)
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
        let (file, _) = files::open(&self.path).map_err(Error::read(&self.path))?;
        // What grows while it is read would have no end.
        let mut file = file.take(self.len);
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

/// Whether a tensor called `name` may be kept beside `kept` others. A name and a tensor of a pickle can be used again and
/// again for two bytes each, so this is asked before either is copied.
fn check_tensor(path: &Path, name: &str, kept: usize) -> Result<()> {
    if name.len() > MAX_NAME {
        let reason = format!(
            "the name of a tensor has {} bytes, expected at most {MAX_NAME}: {}",
            name.len(),
            brief(name, 40)
        );
        return Err(Error::format(path, reason));
    }
    if kept >= MOST_TENSORS {
        let reason = format!("it has more than {MOST_TENSORS} tensors, too many for a checkpoint");
        return Err(Error::format(path, reason));
    }
    Ok(())
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

/// Tensors by normalised name.
fn by_name(
    path: &Path,
    infos: impl IntoIterator<Item = (String, TensorInfo)>,
) -> Result<BTreeMap<String, (String, TensorInfo)>> {
    let mut tensors = BTreeMap::new();
    for (name, info) in infos {
        check_tensor(path, &name, tensors.len())?;
        if info.shape.len() > MAX_AXES {
            let axes = info.shape.len();
            let reason = format!("it has {axes} axes, expected at most {MAX_AXES}");
            return Err(Error::tensor(path, &name, reason));
        }
        let normalised = normalise(&name);
        if let Some((other, _)) = tensors.get(&normalised) {
            let reason = format!("the tensors {other} and {name} are the same one in two spellings");
            return Err(Error::format(path, reason));
        }
        tensors.insert(normalised, (name, info));
    }
    Ok(tensors)
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

/// # Errors
/// When the numbers are not floats, or there is no memory for them.
fn to_f32(bytes: &[u8], element: ElementType) -> Result<Vec<f32>, String> {
    fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Result<Vec<f32>, String> {
        let (numbers, _) = bytes.as_chunks();
        let mut out = budget::room(numbers.len())?;
        out.extend(numbers.iter().map(|&bytes| number(bytes)));
        Ok(out)
    }
    match element {
        ElementType::F32 => each(bytes, f32::from_le_bytes),
        ElementType::F16 => each(bytes, |b| f16::from_le_bytes(b).to_f32()),
        ElementType::Bf16 => each(bytes, |b| bf16::from_le_bytes(b).to_f32()),
        ElementType::F64 => each(bytes, |b| f64::from_le_bytes(b) as f32),
        ElementType::Other(_) => Err("its numbers are not floats".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{count, normalise};

    #[test]
    fn shapes_beyond_all_numbers_are_counted() {
        assert_eq!(count(&[2, 3]), 6);
        assert_eq!(count(&[]), 1);
        assert_eq!(count(&[1 << 40, 1 << 40]), usize::MAX);
        assert_eq!(count(&[1 << 40, 1 << 40, 0]), 0);
    }

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
