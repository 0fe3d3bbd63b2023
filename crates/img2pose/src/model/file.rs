//! Reading a model file, and taking it apart within bounds.

use std::path::Path;

use prost::Message;
use prost::bytes::{Buf, Bytes};
use prost::encoding::{WireType, decode_key, decode_varint};

use crate::Error;
use crate::files;
use crate::onnx::ModelProto;

/// A protobuf message, as an ONNX file is one, cannot be longer.
const MOST_BYTES: u64 = i32::MAX as u64;

/// Most bytes of a file beside its weights. Each takes up to a hundred in memory when it is decoded; the published network
/// has about a tenth of a megabyte of them.
const MOST_STRUCTURE: usize = 4 << 20;

// Field numbers of onnx.proto on the way to the numbers of weights.
const MODEL_GRAPH: u32 = 7;
const GRAPH_INITIALIZER: u32 = 5;
const TENSOR_FLOAT_DATA: u32 = 4;
const TENSOR_RAW_DATA: u32 = 9;

/// The bytes of the file at `path`.
///
/// # Errors
/// [`Error::ReadModel`] when it cannot be read or is no regular file, which may have no end, and [`Error::NotOnnx`] when it
/// is longer than any model.
pub(super) fn read(path: &Path) -> Result<Bytes, Error> {
    let failed = |source| Error::ReadModel {
        path: path.to_owned(),
        source,
    };
    let (_, length) = files::open(path).map_err(failed)?;
    if length > MOST_BYTES {
        return Err(Error::NotOnnx {
            path: path.to_owned(),
            reason: format!("it has {length} bytes, an ONNX file at most {MOST_BYTES}"),
        });
    }
    files::read(path, MOST_BYTES).map(Bytes::from).map_err(failed)
}

/// Decodes an ONNX file.
///
/// # Errors
/// A text when it is none, or when most of it is no weights: the memory that decoding takes follows from that.
pub(super) fn decode(bytes: Bytes) -> Result<ModelProto, String> {
    let none = || "it is no protobuf message of the ONNX format, or it is truncated".to_owned();
    let weights = weight_bytes(bytes.clone()).ok_or_else(none)?;
    let structure = bytes.len().saturating_sub(weights);
    if structure > MOST_STRUCTURE {
        return Err(format!(
            "it has {structure} bytes beside its weights, expected at most {MOST_STRUCTURE}"
        ));
    }
    ModelProto::decode(bytes).map_err(|_| none())
}

/// Bytes of the numbers of weights, which are not copied, or take no more memory than in the file. `None` when it is no
/// protobuf message.
fn weight_bytes(model: Bytes) -> Option<usize> {
    let mut sum = 0_usize;
    fields(model, |field, graph| {
        if field != MODEL_GRAPH {
            return Some(());
        }
        fields(graph, |field, tensor| {
            if field != GRAPH_INITIALIZER {
                return Some(());
            }
            fields(tensor, |field, numbers| {
                if [TENSOR_RAW_DATA, TENSOR_FLOAT_DATA].contains(&field) {
                    sum = sum.saturating_add(numbers.len());
                }
                Some(())
            })
        })
    })?;
    Some(sum)
}

/// Calls `visit` for each field of a message that has a length, with its number and what is in it.
fn fields(mut message: Bytes, mut visit: impl FnMut(u32, Bytes) -> Option<()>) -> Option<()> {
    while message.has_remaining() {
        let (field, wire_type) = decode_key(&mut message).ok()?;
        let skipped = match wire_type {
            WireType::LengthDelimited => {
                let len = usize::try_from(decode_varint(&mut message).ok()?).ok()?;
                if len > message.remaining() {
                    return None;
                }
                visit(field, message.split_to(len))?;
                0
            }
            WireType::Varint => {
                decode_varint(&mut message).ok()?;
                0
            }
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            // Groups do not occur in ONNX.
            WireType::StartGroup | WireType::EndGroup => return None,
        };
        if skipped > message.remaining() {
            return None;
        }
        message.advance(skipped);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{GraphProto, NodeProto, TensorProto, data_type};

    fn model(nodes: usize, weight: usize) -> Bytes {
        let graph = GraphProto {
            node: vec![NodeProto::default(); nodes],
            initializer: vec![TensorProto {
                dims: vec![weight as i64],
                data_type: Some(data_type::UINT8),
                raw_data: Some(vec![1; weight].into()),
                ..TensorProto::default()
            }],
            ..GraphProto::default()
        };
        let model = ModelProto {
            ir_version: Some(8),
            graph: Some(graph),
            ..ModelProto::default()
        };
        model.encode_to_vec().into()
    }

    #[test]
    fn the_numbers_of_weights_are_told_from_the_rest() {
        assert_eq!(weight_bytes(model(3, 1000)), Some(1000));
        assert_eq!(weight_bytes(Bytes::from_static(b"\x3a\x05\x2a")), None);
        assert!(decode(model(3, 2 * MOST_STRUCTURE)).is_ok());
    }

    /// Two bytes in the file for each empty node, 168 in memory.
    #[test]
    fn a_file_that_would_grow_in_memory_is_refused_before_it_does() {
        let text = decode(model(MOST_STRUCTURE / 2, 1)).unwrap_err();
        assert!(text.contains("beside its weights"), "{text}");
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        for (path, what) in [("/dev/zero", "a device"), ("/tmp", "a folder")] {
            let text = read(Path::new(path)).unwrap_err().to_string();
            assert!(text.contains(path) && text.contains(what), "{text}");
        }
    }

    #[test]
    fn a_file_longer_than_any_model_is_not_read() {
        let path = std::env::temp_dir().join(format!("img2pose-long-{}.onnx", std::process::id()));
        // It takes no room on the disk.
        std::fs::File::create(&path)
            .unwrap()
            .set_len(MOST_BYTES + 1)
            .unwrap();
        let text = read(&path).unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        assert!(text.contains("2147483648 bytes"), "{text}");
    }
}
