//! The safetensors format: a JSON header and the tensors behind it.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::pickle::ElementType;
use super::{TensorInfo, budget, to_f32};
use crate::error::{Error, Result};

/// Longest header that is read. The format allows 100 MB, which would be gigabytes of names; a tensor takes about a hundred
/// bytes.
const MAX_HEADER: u64 = 4 << 20;

pub struct SafetensorsFile {
    path: PathBuf,
    file: File,
    /// Offset of the tensors in the file.
    data_at: u64,
    metadata: Metadata,
}

impl SafetensorsFile {
    /// Whether the first bytes of a file of `len` bytes look like this format: the length of a header, and the header.
    pub fn starts_with(start: &[u8], len: u64) -> bool {
        matches!(start, [header @ .., b'{'] if header.len() == 8 && header_len(header).is_some_and(|l| l <= len.saturating_sub(8)))
    }

    /// Reads the header of `file`, which has `len` bytes and [starts](Self::starts_with) so; `path` is its name.
    pub fn open(path: &Path, file: File, len: u64) -> Result<Self> {
        let broken = |reason: String| Error::format(path, format!("a broken safetensors file: {reason}"));
        let mut start = [0; 8];
        file.read_exact_at(&mut start, 0).map_err(Error::read(path))?;
        let header_len = u64::from_le_bytes(start);
        if header_len > MAX_HEADER {
            return Err(broken(format!(
                "its header has {header_len} bytes, expected at most {MAX_HEADER}"
            )));
        }
        let mut header = vec![0; header_len as usize];
        file.read_exact_at(&mut header, 8).map_err(Error::read(path))?;
        let metadata: Metadata = serde_json::from_slice(&header).map_err(|e| broken(e.to_string()))?;
        let data_at = 8 + header_len;
        let expected = data_at.checked_add(metadata.data_len() as u64);
        if Some(len) != expected {
            let expected = expected.map_or("more than there can be".to_owned(), |e| e.to_string());
            return Err(broken(format!(
                "it is truncated or too long: {len} bytes, expected {expected}"
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            data_at,
            metadata,
        })
    }

    pub fn infos(&self) -> HashMap<String, TensorInfo> {
        let info = |t: &safetensors::tensor::TensorInfo| TensorInfo {
            shape: t.shape.clone(),
            element: element(t.dtype),
        };
        let tensors = self.metadata.tensors().into_iter();
        tensors.map(|(name, t)| (name, info(t))).collect()
    }

    pub fn read(&self, name: &str) -> Result<Vec<f32>> {
        let error = |reason: String| Error::tensor(&self.path, name, reason);
        let info = self
            .metadata
            .info(name)
            .ok_or_else(|| error("missing".to_owned()))?;
        let element = element(info.dtype);
        if let ElementType::Other(_) = element {
            return Err(error("its numbers are not floats".to_owned()));
        }
        // Within the file: the library has checked that they are in order and end where the file does.
        let (from, to) = info.data_offsets;
        let mut bytes = budget::zeroed(to - from).map_err(error)?;
        self.file
            .read_exact_at(&mut bytes, self.data_at + from as u64)
            .map_err(Error::read(&self.path))?;
        to_f32(&bytes, element).map_err(error)
    }
}

fn header_len(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

fn element(dtype: Dtype) -> ElementType {
    match dtype {
        Dtype::F32 => ElementType::F32,
        Dtype::F16 => ElementType::F16,
        Dtype::BF16 => ElementType::Bf16,
        Dtype::F64 => ElementType::F64,
        other => ElementType::Other(other.bitsize().div_ceil(8)),
    }
}
