//! What reading a file may cost.
//!
//! Numbers in a file say how much there is to unpack, to build or to read, and a file of others may lie. Every limit here
//! follows from the size of the file itself, and is held against what a file says before memory is taken.

/// Largest file in bytes that is read: four times the largest model, for checkpoints with the optimiser's state.
pub const MOST_FILE: u64 = 8 << 30;

/// Bytes that every file may cost, however small: all the tensors of a small network, if they compress well.
const BASE: u64 = 16 << 20;

/// Bytes of unpacked entries and of tensors, for each byte of the file. PyTorch does not compress, and random weights
/// cannot be; 16-bit floats become twice as long when they are read.
const UNPACKED: u64 = 8;

/// Bytes read from the file, for each byte of it. Each tensor is read up to three times, and checked once.
const READ: u64 = 32;

/// Bytes that the values of a pickle may take, for each byte of it. A list of floats takes four.
const VALUES: u64 = 16;

/// Bytes that the file's entries, and the tensors in it, may have when they are unpacked.
pub fn unpacked(file_len: u64) -> u64 {
    BASE.saturating_add(file_len.saturating_mul(UNPACKED))
}

/// Bytes that may be read from a file before it is converted.
pub fn read(file_len: u64) -> u64 {
    BASE.saturating_add(file_len.saturating_mul(READ))
}

/// Bytes of memory that a pickle's values may take.
pub fn values(pickle_len: u64) -> u64 {
    BASE.saturating_add(pickle_len.saturating_mul(VALUES))
}

/// An empty vector with room for `len` elements.
///
/// # Errors
/// That there is no memory for it, in words: an allocation that fails in any other way ends the process.
pub fn room<T>(len: usize) -> Result<Vec<T>, String> {
    let mut vec = Vec::new();
    vec.try_reserve_exact(len).map_err(|_| {
        let bytes = len.saturating_mul(size_of::<T>());
        format!("not enough memory for {bytes} bytes")
    })?;
    Ok(vec)
}

/// A vector of `len` zero bytes.
///
/// # Errors
/// As [`room`].
pub fn zeroed(len: usize) -> Result<Vec<u8>, String> {
    let mut vec = room(len)?;
    vec.resize(len, 0);
    Ok(vec)
}
