//! Buffers belong to others: every element passes on no more than downstream promises, reads and writes no byte that is not
//! the frame's, and refuses what a buffer says of itself when it is not true.

mod allocation;
mod frame;
mod hostile;
mod raw_bytes;

use crate::detector::init;
