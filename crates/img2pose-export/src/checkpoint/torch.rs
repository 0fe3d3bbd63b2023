//! The torch format: a zip with one pickle, `data.pkl`, and one entry below `data/` for every storage.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

use super::pickle::{Pickle, Tensor, Value};
use super::{TensorInfo, to_f32};
use crate::error::{Error, Result};

/// The pickle of the largest checkpoint with optimiser state is below 1 MiB; more is an attack or not ours.
const MAX_PICKLE: u64 = 64 << 20;

/// Key under which img2pose saves the state dict of the network.
const MODEL_KEY: &str = "fpn_model";

pub struct TorchFile {
    path: PathBuf,
    archive: RefCell<ZipArchive<BufReader<File>>>,
    /// `NAME/` in `NAME/data.pkl`.
    prefix: String,
    tensors: BTreeMap<String, Tensor>,
    /// The storage that was read last: tensors that share one are read one after the other.
    last_storage: RefCell<Option<(String, Vec<u8>)>>,
}

impl TorchFile {
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::read(path))?;
        let mut archive = ZipArchive::new(BufReader::new(file))
            .map_err(|e| Error::format(path, format!("a broken zip file: {e}")))?;
        let prefix = archive
            .file_names()
            .flatten()
            .find_map(|name| {
                name.strip_suffix("data.pkl")
                    .filter(|p| p.is_empty() || p.ends_with('/'))
                    .map(str::to_owned)
            })
            .ok_or_else(|| {
                Error::format(path, "a zip file, but no torch checkpoint: it holds no data.pkl")
            })?;
        let pickle = read_entry(&mut archive, &format!("{prefix}data.pkl"), MAX_PICKLE)
            .map_err(|reason| Error::format(path, format!("data.pkl: {reason}")))?;
        if let Ok(order) = read_entry(&mut archive, &format!("{prefix}byteorder"), 16)
            && order.trim_ascii() != b"little"
        {
            return Err(Error::format(
                path,
                "the checkpoint was saved in big-endian order, which is not read",
            ));
        }
        let pickle = Pickle::parse(&pickle).map_err(|source| Error::Pickle {
            path: path.to_owned(),
            source,
        })?;
        let tensors = state_dict(path, &pickle)?;
        Ok(Self {
            path: path.to_owned(),
            archive: RefCell::new(archive),
            prefix,
            tensors,
            last_storage: RefCell::default(),
        })
    }

    pub fn infos(&self) -> BTreeMap<String, TensorInfo> {
        let info = |t: &Tensor| TensorInfo {
            shape: t.shape.clone(),
            element: t.storage.element,
        };
        self.tensors
            .iter()
            .map(|(name, tensor)| (name.clone(), info(tensor)))
            .collect()
    }

    pub fn read(&self, name: &str) -> Result<Vec<f32>> {
        let error = |reason: String| Error::tensor(&self.path, name, reason);
        let tensor = &self.tensors[name];
        let storage = &tensor.storage;
        let expected = storage
            .len
            .checked_mul(storage.element.size())
            .ok_or_else(|| error("too large".into()))?;
        let mut last = self.last_storage.borrow_mut();
        if last.as_ref().is_none_or(|(key, _)| *key != storage.key) {
            let entry = format!("{}data/{}", self.prefix, storage.key);
            let bytes = read_entry(&mut self.archive.borrow_mut(), &entry, expected as u64).map_err(error)?;
            *last = Some((storage.key.clone(), bytes));
        }
        let Some((_, bytes)) = last.as_ref() else {
            unreachable!("set above")
        };
        if bytes.len() != expected {
            return Err(error(format!(
                "its data are truncated: {} bytes, expected {expected}",
                bytes.len()
            )));
        }
        let bytes = gather(tensor, bytes).ok_or_else(|| error("it reaches beyond its data".into()))?;
        to_f32(&bytes, storage.element).ok_or_else(|| error("its numbers are not floats".into()))
    }
}

/// Reads a whole entry of at most `limit` bytes; the archive's checksum is checked on the way.
fn read_entry(archive: &mut ZipArchive<BufReader<File>>, name: &str, limit: u64) -> Result<Vec<u8>, String> {
    let entry = archive.by_name(name).map_err(|e| match e {
        ZipError::FileNotFound => format!("its data are missing: the file has no entry {name}"),
        e => e.to_string(),
    })?;
    if entry.size() > limit {
        return Err(format!(
            "entry {name} has {} bytes, expected at most {limit}",
            entry.size()
        ));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(entry.size()).unwrap_or(0));
    // The size in the directory may lie.
    entry
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| format!("entry {name} cannot be read: {e}"))?;
    Ok(bytes)
}

/// The numbers of `tensor` in row-major order; `None` when it reaches beyond its storage.
fn gather<'a>(tensor: &Tensor, bytes: &'a [u8]) -> Option<std::borrow::Cow<'a, [u8]>> {
    let size = tensor.storage.element.size();
    let count = tensor.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
    let mut dense = 1usize;
    let contiguous = tensor
        .shape
        .iter()
        .zip(&tensor.stride)
        .rev()
        .all(|(&dim, &stride)| {
            let fits = dim == 1 || stride == dense;
            dense = dense.saturating_mul(dim);
            fits
        });
    let at = tensor.offset.checked_mul(size)?;
    if contiguous || count == 0 {
        return bytes
            .get(at..at.checked_add(count.checked_mul(size)?)?)
            .map(Into::into);
    }
    if count > tensor.storage.len {
        return None;
    }
    let mut out = Vec::with_capacity(count * size);
    let mut index = vec![0; tensor.shape.len()];
    for _ in 0..count {
        let steps = index
            .iter()
            .zip(&tensor.stride)
            .try_fold(0usize, |n, (&i, &s)| n.checked_add(usize::checked_mul(i, s)?))?;
        let from = at.checked_add(steps.checked_mul(size)?)?;
        out.extend_from_slice(bytes.get(from..from.checked_add(size)?)?);
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            if index[axis] < tensor.shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    Some(out.into())
}

/// The tensors under `fpn_model`, or at the top; what else training code saves beside them is left alone.
fn state_dict(path: &Path, pickle: &Pickle) -> Result<BTreeMap<String, Tensor>> {
    let root = pickle.root();
    if !matches!(pickle.value(root), Value::Dict(_)) {
        return Err(Error::format(
            path,
            "a torch file, but no checkpoint: it holds no dict",
        ));
    }
    let dict = pickle
        .entries(root)
        .find(|(key, _)| *key == MODEL_KEY)
        .map_or(root, |(_, id)| id);
    let tensors: BTreeMap<_, _> = pickle
        .entries(dict)
        .filter_map(|(name, id)| match pickle.value(id) {
            Value::Tensor(tensor) => Some((name.to_owned(), tensor.clone())),
            _ => None,
        })
        .collect();
    if tensors.is_empty() {
        let keys: Vec<_> = pickle.entries(root).map(|(key, _)| key).take(5).collect();
        let reason = format!(
            "no tensors under the key {MODEL_KEY} or at the top (keys found: {})",
            keys.join(", ")
        );
        return Err(Error::format(path, reason));
    }
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::super::pickle::{ElementType, Storage};
    use super::*;

    fn view(offset: usize, shape: &[usize], stride: &[usize]) -> Option<Vec<u8>> {
        let storage = Storage {
            key: "0".to_owned(),
            element: ElementType::Other(1),
            len: 6,
        };
        let tensor = Tensor {
            storage,
            offset,
            shape: shape.to_vec(),
            stride: stride.to_vec(),
        };
        gather(&tensor, &[0, 1, 2, 3, 4, 5]).map(|bytes| bytes.into_owned())
    }

    #[test]
    fn views_are_read_in_their_own_order() {
        assert_eq!(view(0, &[2, 3], &[3, 1]), Some(vec![0, 1, 2, 3, 4, 5]));
        assert_eq!(view(2, &[3], &[1]), Some(vec![2, 3, 4]));
        // Transposed, and with a stride of no meaning along an axis of one.
        assert_eq!(view(0, &[3, 2], &[1, 3]), Some(vec![0, 3, 1, 4, 2, 5]));
        assert_eq!(view(1, &[1, 3], &[99, 1]), Some(vec![1, 2, 3]));
        assert_eq!(view(0, &[], &[]), Some(vec![0]));
        assert_eq!(view(0, &[3], &[2]), Some(vec![0, 2, 4]));
        assert_eq!(view(4, &[0], &[1]), Some(vec![]));
    }

    #[test]
    fn views_beyond_the_storage_are_refused() {
        assert_eq!(view(1, &[2, 3], &[3, 1]), None);
        assert_eq!(view(1, &[3], &[3]), None);
        assert_eq!(view(usize::MAX, &[1], &[1]), None);
        assert_eq!(view(0, &[usize::MAX, 2], &[1, 1]), None);
        assert_eq!(view(0, &[3], &[usize::MAX]), None);
        // An expanded view repeats numbers without end.
        assert_eq!(view(0, &[1 << 40], &[0]), None);
    }
}
