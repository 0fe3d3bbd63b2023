//! The safetensors format: a JSON header and the tensors behind it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::pickle::ElementType;
use super::{TensorInfo, to_f32};
use crate::error::{Error, Result};

/// Longest header that the format allows.
const MAX_HEADER: u64 = 100_000_000;

pub struct SafetensorsFile {
    path: PathBuf,
    file: RefCell<File>,
    /// Offset of the tensors in the file.
    data_at: u64,
    metadata: Metadata,
}

impl SafetensorsFile {
    /// Opens `path` when its first bytes look like this format.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let mut file = File::open(path).map_err(Error::read(path))?;
        let len = file.metadata().map_err(Error::read(path))?.len();
        let mut start = [0; 9];
        if len < 10 || file.read_exact(&mut start).is_err() || start[8] != b'{' {
            return Ok(None);
        }
        let [a, b, c, d, e, f, g, h, _] = start;
        let header_len = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        if header_len > MAX_HEADER || header_len + 8 > len {
            return Ok(None);
        }
        let broken = |reason: String| Error::format(path, format!("a broken safetensors file: {reason}"));
        file.seek(SeekFrom::Start(8)).map_err(Error::read(path))?;
        let mut header = vec![0; header_len as usize];
        file.read_exact(&mut header).map_err(Error::read(path))?;
        let metadata: Metadata = serde_json::from_slice(&header).map_err(|e| broken(e.to_string()))?;
        let data_at = 8 + header_len;
        let expected = data_at + metadata.data_len() as u64;
        if len != expected {
            return Err(broken(format!(
                "it is truncated or too long: {len} bytes, expected {expected}"
            )));
        }
        Ok(Some(Self {
            path: path.to_owned(),
            file: RefCell::new(file),
            data_at,
            metadata,
        }))
    }

    pub fn infos(&self) -> BTreeMap<String, TensorInfo> {
        let info = |name: String, t: &safetensors::tensor::TensorInfo| {
            (
                name,
                TensorInfo {
                    shape: t.shape.clone(),
                    element: element(t.dtype),
                },
            )
        };
        self.metadata
            .tensors()
            .into_iter()
            .map(|(name, t)| info(name, t))
            .collect()
    }

    pub fn read(&self, name: &str) -> Result<Vec<f32>> {
        let info = self
            .metadata
            .info(name)
            .ok_or_else(|| Error::tensor(&self.path, name, "missing"))?;
        let (from, to) = info.data_offsets;
        let mut bytes = vec![0; to - from];
        let mut file = self.file.borrow_mut();
        file.seek(SeekFrom::Start(self.data_at + from as u64))
            .map_err(Error::read(&self.path))?;
        file.read_exact(&mut bytes).map_err(Error::read(&self.path))?;
        to_f32(&bytes, element(info.dtype))
            .ok_or_else(|| Error::tensor(&self.path, name, "its numbers are not floats"))
    }
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
