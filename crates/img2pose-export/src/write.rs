//! Writes a model to disk weight by weight, so that it is never in memory as a whole.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use half::f16;
use img2pose::contract::{Contract, METADATA_KEY};
use img2pose_onnx::data_type::{FLOAT, FLOAT16};
use img2pose_onnx::{GraphProto, MOST_BYTES, ModelProto, StringStringEntryProto, TensorProto, field};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use crate::checkpoint::{Checkpoint, count};
use crate::error::{Error, Result};
use crate::graph::{Graph, Weight};
use crate::output_file::OutputFile;

/// Writes the graph as an ONNX file at `path`, in one step: the file appears when it is complete, and nothing is left
/// when something fails.
pub(crate) fn write(path: &Path, graph: Graph, contract: &Contract, checkpoint: &Checkpoint) -> Result<u64> {
    let mut file = OutputFile::create(path).map_err(Error::write(path))?;
    {
        let mut out = BufWriter::with_capacity(1 << 20, file.as_file());
        write_model(&mut out, path, graph, contract, checkpoint)?;
        out.flush().map_err(Error::write(path))?;
    }
    file.finish().map_err(Error::write(path))
}

fn write_model(
    out: &mut impl Write,
    path: &Path,
    graph: Graph,
    contract: &Contract,
    checkpoint: &Checkpoint,
) -> Result<()> {
    let io = |e: io::Error| Error::write(path)(e);
    let json = serde_json::to_string(contract).map_err(|e| Error::write(path)(e.into()))?;
    let Graph {
        proto: graph,
        weights,
    } = graph;
    let model = ModelProto {
        producer_name: Some(env!("CARGO_PKG_NAME").to_owned()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        doc_string: Some("img2pose: faces with 6DoF head pose".to_owned()),
        metadata_props: vec![StringStringEntryProto {
            key: Some(METADATA_KEY.to_owned()),
            value: Some(json),
        }],
        // Written apart, see below.
        graph: None,
        ..ModelProto::of(GraphProto::default())
    };
    let tensors: Vec<_> = weights.iter().map(TensorHeader::of).collect();
    let weights_len: u64 = tensors
        .iter()
        .map(|t| field_len(field::GRAPH_INITIALIZER, t.len()))
        .sum();
    let graph_len = graph.encoded_len() as u64 + weights_len;
    if graph_len + model.encoded_len() as u64 > MOST_BYTES {
        return Err(Error::Model {
            path: path.to_owned(),
            reason: "the model would pass the 2 GiB of an ONNX file".into(),
        });
    }
    out.write_all(&model.encode_to_vec()).map_err(io)?;
    write_field_start(out, field::MODEL_GRAPH, graph_len).map_err(io)?;
    out.write_all(&graph.encode_to_vec()).map_err(io)?;
    for (tensor, weight) in tensors.iter().zip(&weights) {
        write_field_start(out, field::GRAPH_INITIALIZER, tensor.len()).map_err(io)?;
        out.write_all(&tensor.header).map_err(io)?;
        write_field_start(out, field::TENSOR_RAW_DATA, tensor.data_len).map_err(io)?;
        let numbers = weight.recipe.make(checkpoint)?;
        if numbers.len() != count(&weight.shape) {
            return Err(Error::tensor(
                checkpoint.path(),
                &weight.name,
                "another count of numbers than its shape says",
            ));
        }
        write_numbers(out, weight, &numbers, path, checkpoint)?;
    }
    Ok(())
}

fn write_numbers(
    out: &mut impl Write,
    weight: &Weight,
    numbers: &[f32],
    path: &Path,
    checkpoint: &Checkpoint,
) -> Result<()> {
    for numbers in numbers.chunks(1 << 16) {
        let bytes: Vec<u8> = match weight.stored_as {
            FLOAT16 => {
                if let Some(large) = numbers.iter().find(|n| f16::from_f32(**n).is_infinite()) {
                    let reason = format!("it holds {large}, which no 16-bit float can hold; store it as f32");
                    return Err(Error::tensor(checkpoint.path(), &weight.name, reason));
                }
                numbers
                    .iter()
                    .flat_map(|n| f16::from_f32(*n).to_le_bytes())
                    .collect()
            }
            _ => numbers.iter().flat_map(|n| n.to_le_bytes()).collect(),
        };
        out.write_all(&bytes).map_err(Error::write(path))?;
    }
    Ok(())
}

/// An encoded tensor but for its numbers.
struct TensorHeader {
    header: Vec<u8>,
    data_len: u64,
}

impl TensorHeader {
    fn of(weight: &Weight) -> Self {
        let element = if weight.stored_as == FLOAT { 4 } else { 2 };
        let tensor = TensorProto {
            dims: weight.shape.iter().map(|&d| d as i64).collect(),
            data_type: Some(weight.stored_as),
            name: Some(weight.name.clone()),
            ..TensorProto::default()
        };
        Self {
            header: tensor.encode_to_vec(),
            data_len: element * count(&weight.shape) as u64,
        }
    }

    fn len(&self) -> u64 {
        self.header.len() as u64 + field_len(field::TENSOR_RAW_DATA, self.data_len)
    }
}

fn field_len(tag: u32, len: u64) -> u64 {
    (encoded_len_varint(u64::from(tag) << 3) + encoded_len_varint(len)) as u64 + len
}

fn write_field_start(out: &mut impl Write, tag: u32, len: u64) -> io::Result<()> {
    let mut start = Vec::with_capacity(16);
    encode_key(tag, WireType::LengthDelimited, &mut start);
    encode_varint(len, &mut start);
    out.write_all(&start)
}
