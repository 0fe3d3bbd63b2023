//! Making the messages of a graph.

use prost::bytes::Bytes;

use crate::proto::{
    AttributeProto, DimensionProto, NodeProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto,
};

/// Size of a dimension of an input, an output or a value in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension<'a> {
    /// The same in every run.
    Fixed(usize),
    /// Known when the model runs; the name says which sizes are the same.
    Free(&'a str),
}

impl NodeProto {
    /// Whether the node changes how numbers are stored, not what they are (but for rounding): weights may be stored in
    /// 16 bits, and a quantized network rounds weights and activations to 8.
    pub fn is_conversion(&self) -> bool {
        matches!(self.op_type(), "Cast" | "QuantizeLinear" | "DequantizeLinear")
    }

    /// One application of the operator `op_type` of ONNX itself.
    pub fn new<I: AsRef<str>, O: AsRef<str>>(
        name: &str,
        op_type: &str,
        inputs: &[I],
        outputs: &[O],
        attribute: Vec<AttributeProto>,
    ) -> Self {
        Self {
            name: Some(name.to_owned()),
            op_type: Some(op_type.to_owned()),
            input: inputs.iter().map(|name| name.as_ref().to_owned()).collect(),
            output: outputs.iter().map(|name| name.as_ref().to_owned()).collect(),
            attribute,
            ..Self::default()
        }
    }
}

impl TensorProto {
    /// A constant whose elements are `raw`, little-endian and row-major.
    pub fn new(name: &str, data_type: i32, dims: Vec<i64>, raw: impl Into<Bytes>) -> Self {
        Self {
            name: Some(name.to_owned()),
            data_type: Some(data_type),
            dims,
            raw_data: Some(raw.into()),
            ..Self::default()
        }
    }
}

impl ValueInfoProto {
    /// The tensor `name` of elements of type `elem_type` ([`data_type`](crate::data_type)); without a shape, even the number of dimensions is open.
    pub fn tensor(name: &str, elem_type: i32, shape: Option<&[Dimension<'_>]>) -> Self {
        let dimension = |dimension: &Dimension<'_>| match *dimension {
            Dimension::Fixed(size) => DimensionProto {
                dim_value: Some(size as i64),
                dim_param: None,
            },
            Dimension::Free(name) => DimensionProto {
                dim_value: None,
                dim_param: Some(name.to_owned()),
            },
        };
        let tensor_type = TensorTypeProto {
            elem_type: Some(elem_type),
            shape: shape.map(|shape| TensorShapeProto {
                dim: shape.iter().map(dimension).collect(),
            }),
        };
        Self {
            name: Some(name.to_owned()),
            r#type: Some(TypeProto {
                tensor_type: Some(tensor_type),
            }),
            doc_string: None,
        }
    }
}
