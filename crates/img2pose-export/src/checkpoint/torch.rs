//! The torch format: a zip with one pickle, `data.pkl`, and one entry below `data/` for every storage.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use img2pose::text::brief;

use super::archive::Archive;
use super::pickle::{ElementType, Pickle, Tensor, Value};
use super::{TensorInfo, budget, check_tensor, to_f32};
use crate::error::{Error, Result};

/// The pickle of the largest checkpoint with optimiser state is below 1 MiB; more is an attack or not ours.
const MAX_PICKLE: u64 = 16 << 20;

/// Key under which img2pose saves the state dict of the network.
const MODEL_KEY: &str = "fpn_model";

pub struct TorchFile {
    path: PathBuf,
    archive: Archive,
    /// `NAME/` in `NAME/data.pkl`.
    prefix: String,
    tensors: BTreeMap<String, Arc<Tensor>>,
}

impl TorchFile {
    /// Reads the directory and the pickle of `file`, which has `len` bytes; `path` is its name.
    pub fn open(path: &Path, file: File, len: u64) -> Result<Self> {
        let archive = Archive::open(file, len).map_err(|reason| Error::format(path, reason))?;
        let pickle = archive.pickle().ok_or_else(|| {
            Error::format(path, "a zip file, but no torch checkpoint: it holds no data.pkl")
        })?;
        let prefix = pickle.strip_suffix("data.pkl").unwrap_or_default().to_owned();
        let pickle = archive
            .read(pickle, MAX_PICKLE)
            .map_err(|reason| Error::format(path, format!("data.pkl: {reason}")))?;
        if let Ok(order) = archive.read(&format!("{prefix}byteorder"), 16)
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
            archive,
            prefix,
            tensors,
        })
    }

    pub fn infos(&self) -> impl Iterator<Item = (&str, TensorInfo)> {
        let info = |t: &Tensor| TensorInfo {
            shape: t.shape.clone(),
            element: t.storage.element,
        };
        self.tensors
            .iter()
            .map(move |(name, tensor)| (name.as_str(), info(tensor)))
    }

    pub fn read(&self, name: &str) -> Result<Vec<f32>> {
        let tensor = &self.tensors[name];
        self.numbers(tensor)
            .map_err(|reason| Error::tensor(&self.path, name, reason))
    }

    fn numbers(&self, tensor: &Tensor) -> Result<Vec<f32>, String> {
        let storage = &tensor.storage;
        if let ElementType::Other(_) = storage.element {
            return Err("its numbers are not floats".into());
        }
        let entry = format!("{}data/{}", self.prefix, storage.key);
        let size = storage.element.size();
        let expected = storage.len.checked_mul(size).ok_or("too large")?;
        let found = self.archive.len_of(&entry)?;
        if found < expected as u64 {
            return Err(format!(
                "its data are truncated: {found} bytes, expected {expected}"
            ));
        }
        if found > expected as u64 {
            return Err(format!("its data have {found} bytes, expected {expected}"));
        }
        let view = View::of(tensor).ok_or("it reaches beyond its data")?;
        let range = view.from * size..view.to * size;
        let bytes = self.archive.read_range(&entry, range)?;
        to_f32(&gather(tensor, view.count, &bytes)?, storage.element)
    }
}

/// The part of a storage that a tensor is made of, in numbers.
struct View {
    from: usize,
    to: usize,
    /// Numbers of the tensor.
    count: usize,
}

impl View {
    /// `None` when the tensor reaches beyond its storage, or repeats numbers so that it has more than that.
    fn of(tensor: &Tensor) -> Option<Self> {
        let count = tensor.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
        let from = tensor.offset;
        let mut to = from;
        if count > 0 {
            for (&dim, &stride) in tensor.shape.iter().zip(&tensor.stride) {
                to = to.checked_add(stride.checked_mul(dim - 1)?)?;
            }
            to = to.checked_add(1)?;
        }
        (to <= tensor.storage.len && count <= tensor.storage.len).then_some(Self { from, to, count })
    }
}

/// The numbers of `tensor` in row-major order, from those between its first and its last.
fn gather<'a>(tensor: &Tensor, count: usize, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
    let size = tensor.storage.element.size();
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
    if contiguous || count == 0 {
        return Ok(bytes.into());
    }
    let mut out = budget::room(count * size)?;
    let mut index = vec![0; tensor.shape.len()];
    for _ in 0..count {
        // Within the view, whose end was computed without overflow.
        let at: usize = index
            .iter()
            .zip(&tensor.stride)
            .map(|(i, stride)| i * stride)
            .sum();
        out.extend_from_slice(&bytes[at * size..(at + 1) * size]);
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            if index[axis] < tensor.shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    Ok(out.into())
}

/// The tensors under `fpn_model`, or at the top; what else training code saves beside them is left alone.
fn state_dict(path: &Path, pickle: &Pickle) -> Result<BTreeMap<String, Arc<Tensor>>> {
    let root = pickle.root();
    if !matches!(pickle.value(root), Value::Dict(_)) {
        return Err(Error::format(
            path,
            "a torch file, but no checkpoint: it holds no dict",
        ));
    }
    // Of two entries with one key Python keeps the last.
    let dict = pickle
        .entries(root)
        .filter(|(key, _)| *key == MODEL_KEY)
        .last()
        .map_or(root, |(_, id)| id);
    let mut tensors = BTreeMap::new();
    for (name, id) in pickle.entries(dict) {
        if let Value::Tensor(tensor) = pickle.value(id) {
            check_tensor(path, name, tensors.len())?;
            tensors.insert(name.to_owned(), tensor.clone());
        }
    }
    if tensors.is_empty() {
        let keys: Vec<_> = pickle
            .entries(root)
            .map(|(key, _)| brief(key, 40))
            .take(5)
            .collect();
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
    use super::super::pickle::Storage;
    use super::*;

    fn view(offset: usize, shape: &[usize], stride: &[usize]) -> Option<Vec<u8>> {
        let storage = Storage {
            key: "0".to_owned(),
            element: ElementType::Other(1),
            len: 6,
        };
        let tensor = Tensor {
            storage: Arc::new(storage),
            offset,
            shape: shape.to_vec(),
            stride: stride.to_vec(),
        };
        let View { from, to, count } = View::of(&tensor)?;
        let bytes = &[0, 1, 2, 3, 4, 5][from..to];
        Some(gather(&tensor, count, bytes).unwrap().into_owned())
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
        // The same row twice.
        assert_eq!(view(1, &[2, 2], &[0, 1]), Some(vec![1, 2, 1, 2]));
    }

    #[test]
    fn views_beyond_the_storage_are_refused() {
        assert_eq!(view(1, &[2, 3], &[3, 1]), None);
        assert_eq!(view(1, &[3], &[3]), None);
        assert_eq!(view(usize::MAX, &[1], &[1]), None);
        assert_eq!(view(7, &[0], &[1]), None);
        assert_eq!(view(0, &[usize::MAX, 2], &[1, 1]), None);
        assert_eq!(view(0, &[3], &[usize::MAX]), None);
        assert_eq!(view(0, &[2, 2], &[usize::MAX, usize::MAX]), None);
        // An expanded view repeats numbers without end.
        assert_eq!(view(0, &[1 << 40], &[0]), None);
    }
}
