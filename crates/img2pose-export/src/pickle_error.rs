//! Why the pickle in a checkpoint is refused.

/// Why a pickle was not read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PickleError {
    /// It names a Python object that is not needed to hold tensors.
    #[error(
        "the pickle wants to use {0}, which is no part of a plain state dict; nothing was executed, and the file is refused"
    )]
    Global(String),
    /// It calls something, or makes an object, in a way that is not needed to hold tensors.
    #[error("the pickle wants to {0}; nothing was executed, and the file is refused")]
    Call(&'static str),
    /// It ends too early.
    #[error("the pickle is truncated at byte {0}")]
    Truncated(usize),
    /// Its values take more memory than a pickle of its length may.
    #[error(
        "the pickle is refused at byte {at}: the memory for its values would pass {budget} bytes, too much for a pickle of \
         {len} bytes"
    )]
    Memory {
        /// Offset of the instruction.
        at: usize,
        /// How much it may take.
        budget: u64,
        /// Length of the pickle in bytes.
        len: usize,
    },
    /// It is not a pickle, or a broken one.
    #[error("the pickle is malformed at byte {at}: {what}")]
    Malformed {
        /// Offset of the instruction.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
}
