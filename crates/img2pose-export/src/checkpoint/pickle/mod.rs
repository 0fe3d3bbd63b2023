//! Reads the pickle of a torch checkpoint as data. Nothing is ever called or imported.
//!
//! A pickle is a program for a stack machine whose `GLOBAL` and `REDUCE` instructions name and call any Python
//! function. This reader knows the instructions that build plain values and the few functions that rebuild
//! tensors (`ALLOWED` in `machine.rs`); it makes its own values in their place and refuses everything else by name.
//!
//! Every instruction takes at least one byte of the file and costs a bounded time; what its value takes is held against a
//! budget of memory that follows from the pickle's length. Values are never copied: texts lie in the pickle, and
//! tensors and storages are shared.
//! Instructions: <https://github.com/python/cpython/blob/main/Lib/pickletools.py>.

mod machine;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use crate::pickle_error::PickleError;
use machine::Machine;

/// Type of the numbers in a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// 32-bit float.
    F32,
    /// 16-bit float, IEEE 754.
    F16,
    /// 16-bit float, the upper half of an [`ElementType::F32`].
    Bf16,
    /// 64-bit float.
    F64,
    /// A type that weights never have, with its size in bytes.
    Other(usize),
}

impl ElementType {
    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::F64 => 8,
            Self::Other(size) => size,
        }
    }
}

/// Place of a value in [`Pickle`].
pub type Id = u32;

/// A function or type that a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(ElementType),
}

/// A tensor's numbers: an entry of the archive.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    /// Name of the entry below `data/`.
    pub key: String,
    /// Type of the numbers.
    pub element: ElementType,
    /// How many there are.
    pub len: usize,
}

/// A view of a storage.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Where the numbers are.
    pub storage: Arc<Storage>,
    /// Index of the first number.
    pub offset: usize,
    /// Size along each axis.
    pub shape: Vec<usize>,
    /// Numbers to skip for a step along each axis.
    pub stride: Vec<usize>,
}

/// A Python value. Small, because a byte of a pickle can make one.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(&'a str),
    Bytes,
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Arc<Storage>),
    Tensor(Arc<Tensor>),
}

/// The values of a pickle. They refer to one another by [`Id`]: shared values are stored once, and no nesting,
/// however deep, is walked by recursion.
#[derive(Debug)]
pub struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: Id,
}

impl<'a> Pickle<'a> {
    /// Reads a pickle of protocol 0 to 5.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, PickleError> {
        Machine::new(bytes).run()
    }

    /// The value that the pickle stands for.
    pub fn root(&self) -> Id {
        self.root
    }

    /// The value at `id`.
    pub fn value(&self, id: Id) -> &Value<'a> {
        &self.values[id as usize]
    }

    /// The entries of a dict whose keys are texts; empty for any other value.
    pub fn entries(&self, id: Id) -> impl Iterator<Item = (&'a str, Id)> {
        let pairs: &[(Id, Id)] = match self.value(id) {
            Value::Dict(pairs) => pairs,
            _ => &[],
        };
        pairs.iter().filter_map(|&(key, value)| match self.value(key) {
            Value::Str(key) => Some((*key, value)),
            _ => None,
        })
    }
}
