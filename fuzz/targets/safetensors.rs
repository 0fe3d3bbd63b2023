//! A safetensors file whose header is JSON and lies is read or refused.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[path = "../builders/mod.rs"]
#[allow(dead_code)] // For other targets.
mod builders;

use builders::Size;

#[derive(Arbitrary, Debug)]
struct Input {
    tensors: Vec<Tensor>,
    metadata: Option<String>,
    /// Instead of the length that the header has.
    length: Option<Size>,
    data: Vec<u8>,
}

#[derive(Arbitrary, Debug)]
struct Tensor {
    name: Option<String>,
    dtype: u8,
    shape: Vec<Size>,
    /// Of the data; where it is missing, all that are there.
    offsets: Option<(Size, Size)>,
}

const DTYPES: [&str; 7] = ["F32", "F16", "BF16", "F64", "I64", "F4", "nothing"];

fuzz_target!(|input: Input| {
    let mut header = serde_json::Map::new();
    if let Some(metadata) = &input.metadata {
        header.insert(
            "__metadata__".to_owned(),
            serde_json::json!({ "format": metadata }),
        );
    }
    for (index, tensor) in input.tensors.iter().enumerate() {
        let name = tensor.name.clone().unwrap_or(format!("tensor.{index}"));
        let shape: Vec<u64> = tensor.shape.iter().map(|size| size.0).collect();
        let offsets = match tensor.offsets {
            Some((from, to)) => [from.0, to.0],
            None => [0, input.data.len() as u64],
        };
        let dtype = DTYPES[usize::from(tensor.dtype) % DTYPES.len()];
        let entry = serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets });
        header.insert(name, entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let length = input.length.map_or(header.len() as u64, |length| length.0);
    builders::file::read_checkpoint(&[&length.to_le_bytes(), &header[..], &input.data].concat());
});
