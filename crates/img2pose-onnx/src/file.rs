//! An ONNX file: taken apart within bounds, and put together.

use prost::Message;
use prost::bytes::{Buf, Bytes};
use prost::encoding::{WireType, decode_key, decode_varint};

use crate::proto::{GraphProto, ModelProto, OperatorSetIdProto};

/// Most bytes of an ONNX file: a protobuf message cannot be longer.
pub const MOST_BYTES: u64 = i32::MAX as u64;

/// Most bytes of a file beside its weights. Each takes up to a hundred in memory when it is decoded; the published network
/// has about a tenth of a megabyte of them.
const MOST_STRUCTURE: usize = 4 << 20;

/// Version of the file format, and of the operators, that files written here have: RoIAlign has its half-pixel option
/// since operator set 16.
pub const IR_VERSION: i64 = 8;
/// See [`IR_VERSION`].
pub const OPSET: i64 = 17;

/// Field numbers of `onnx.proto` on the way to the numbers of weights, for what reads or writes them one by one.
pub mod field {
    /// The graph of a model.
    pub const MODEL_GRAPH: u32 = 7;
    /// A weight of a graph.
    pub const GRAPH_INITIALIZER: u32 = 5;
    /// Floats of a weight.
    pub const TENSOR_FLOAT_DATA: u32 = 4;
    /// Bytes of a weight.
    pub const TENSOR_RAW_DATA: u32 = 9;
}

impl ModelProto {
    /// A model of nothing but `graph`, with the versions of this crate.
    pub fn of(graph: GraphProto) -> Self {
        Self {
            ir_version: Some(IR_VERSION),
            opset_import: vec![OperatorSetIdProto {
                domain: Some(String::new()),
                version: Some(OPSET),
            }],
            graph: Some(graph),
            ..Self::default()
        }
    }
}

/// Decodes an ONNX file.
///
/// # Errors
/// A text when it is none, or when most of it is no weights: the memory that decoding takes follows from that.
pub fn decode(bytes: Bytes) -> Result<ModelProto, String> {
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
    fields(model, |number, graph| {
        if number != field::MODEL_GRAPH {
            return Some(());
        }
        fields(graph, |number, tensor| {
            if number != field::GRAPH_INITIALIZER {
                return Some(());
            }
            fields(tensor, |number, numbers| {
                if [field::TENSOR_RAW_DATA, field::TENSOR_FLOAT_DATA].contains(&number) {
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

pub(crate) const NO_MEMORY: &str = "there is not enough memory to load it";

/// The file that ONNX Runtime is given.
///
/// # Errors
/// A text when there is no memory for it.
pub fn encode(model: &ModelProto) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let len = model.encoded_len();
    bytes.try_reserve_exact(len).map_err(|_| NO_MEMORY)?;
    // Only a buffer without room is an error.
    model.encode(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_type;
    use crate::proto::{GraphProto, NodeProto, TensorProto};

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
}
