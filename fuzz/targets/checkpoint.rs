//! A checkpoint file of any content is read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../builders/mod.rs"]
#[allow(dead_code)] // For other targets.
mod builders;

fuzz_target!(|bytes: &[u8]| builders::file::read_checkpoint(bytes));
