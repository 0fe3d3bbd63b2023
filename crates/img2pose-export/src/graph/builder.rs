//! Builds an ONNX graph node by node.

use std::collections::HashMap;

pub use img2pose::onnx::attribute::{float, int, ints, text};
use img2pose::onnx::{
    AttributeProto, DimensionProto, NodeProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto, data_type,
};
use prost::bytes::Bytes;

use crate::weights::Recipe;

/// Name of a value in the graph.
pub type Value = String;

/// A weight: written with the graph, made when it is written.
#[derive(Clone, Debug)]
pub struct Weight {
    /// Name of the value, the key of its source in the checkpoint.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Where the numbers come from.
    pub recipe: Recipe,
    /// Type in which the numbers are stored, see [`data_type`].
    pub stored_as: i32,
}

/// Type in which the large weights are stored in the file. They are f32 when the model runs, in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// 32-bit floats.
    #[default]
    F32,
    /// 16-bit floats and a cast behind each: half the file, weights rounded to 11 bits.
    F16,
}

/// An ONNX graph in the making. Node names say where a node belongs (`proposals/level_0/TopK`).
#[derive(Debug, Default)]
pub struct Builder {
    pub nodes: Vec<NodeProto>,
    pub constants: Vec<TensorProto>,
    pub weights: Vec<Weight>,
    pub inputs: Vec<ValueInfoProto>,
    pub outputs: Vec<ValueInfoProto>,
    pub value_infos: Vec<ValueInfoProto>,
    storage: Storage,
    scope: String,
    name_counts: HashMap<String, usize>,
    constant_names: HashMap<(i32, Vec<i64>, Bytes), Value>,
}

impl Builder {
    pub fn new(storage: Storage) -> Self {
        Self {
            storage,
            ..Self::default()
        }
    }

    /// Prefix of the names of the nodes to come.
    pub fn scope(&mut self, scope: impl Into<String>) {
        self.scope = scope.into();
    }

    /// Adds a node with one output and gives the name of that.
    pub fn op<S: AsRef<str>>(&mut self, op: &str, inputs: &[S], attributes: Vec<AttributeProto>) -> Value {
        let name = self.fresh(op);
        let output = format!("{name}:0");
        self.named(&name, op, inputs, &[&output], attributes);
        output
    }

    /// Adds a node with several outputs.
    pub fn op_n<S: AsRef<str>, const N: usize>(
        &mut self,
        op: &str,
        inputs: &[S],
        attributes: Vec<AttributeProto>,
    ) -> [Value; N] {
        let name = self.fresh(op);
        let outputs = std::array::from_fn(|i| format!("{name}:{i}"));
        self.named(&name, op, inputs, &outputs, attributes);
        outputs
    }

    /// Adds a node whose output has a name that others rely on.
    pub fn op_to<S: AsRef<str>>(
        &mut self,
        output: &str,
        op: &str,
        inputs: &[S],
        attributes: Vec<AttributeProto>,
    ) -> Value {
        let name = self.fresh(op);
        self.named(&name, op, inputs, &[output], attributes);
        output.to_owned()
    }

    /// Adds a node with all its names.
    pub fn named<I: AsRef<str>, O: AsRef<str>>(
        &mut self,
        name: &str,
        op: &str,
        inputs: &[I],
        outputs: &[O],
        attributes: Vec<AttributeProto>,
    ) {
        self.nodes.push(NodeProto {
            name: Some(name.to_owned()),
            op_type: Some(op.to_owned()),
            input: inputs.iter().map(|i| i.as_ref().to_owned()).collect(),
            output: outputs.iter().map(|o| o.as_ref().to_owned()).collect(),
            attribute: attributes,
            ..NodeProto::default()
        });
    }

    /// Adds a weight, or finds it when it is shared, and gives the name of its f32 value.
    pub fn weight(&mut self, name: &str, shape: Vec<usize>, recipe: Recipe) -> Value {
        // Biases are a hundredth of the file: they stay exact.
        let half = self.storage == Storage::F16 && shape.len() > 1;
        let value = if half {
            format!("{name}/f32")
        } else {
            name.to_owned()
        };
        if !self.weights.iter().any(|w| w.name == name) {
            let stored_as = if half {
                data_type::FLOAT16
            } else {
                data_type::FLOAT
            };
            self.weights.push(Weight {
                name: name.to_owned(),
                shape,
                recipe,
                stored_as,
            });
            if half {
                let cast = int("to", data_type::FLOAT.into());
                self.named(&format!("{name}/Cast"), "Cast", &[name], &[&value], vec![cast]);
            }
        }
        value
    }

    pub fn i64s(&mut self, numbers: &[i64]) -> Value {
        let raw = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        self.constant(data_type::INT64, &[numbers.len()], raw)
    }

    pub fn i64(&mut self, number: i64) -> Value {
        self.constant(data_type::INT64, &[], number.to_le_bytes().to_vec())
    }

    pub fn f32s(&mut self, shape: &[usize], numbers: &[f32]) -> Value {
        debug_assert_eq!(shape.iter().product::<usize>(), numbers.len());
        let raw = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        self.constant(data_type::FLOAT, shape, raw)
    }

    pub fn f32(&mut self, number: f32) -> Value {
        self.f32s(&[], &[number])
    }

    pub fn f64s(&mut self, shape: &[usize], numbers: &[f64]) -> Value {
        debug_assert_eq!(shape.iter().product::<usize>(), numbers.len());
        let raw = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        self.constant(data_type::DOUBLE, shape, raw)
    }

    pub fn f64(&mut self, number: f64) -> Value {
        self.f64s(&[], &[number])
    }

    fn constant(&mut self, kind: i32, shape: &[usize], raw: Vec<u8>) -> Value {
        let dims: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
        let raw = Bytes::from(raw);
        let next = self.constants.len();
        let name = self
            .constant_names
            .entry((kind, dims.clone(), raw.clone()))
            .or_insert_with(|| {
                let name = format!("constant_{next}");
                self.constants.push(TensorProto {
                    name: Some(name.clone()),
                    data_type: Some(kind),
                    dims,
                    raw_data: Some(raw),
                    ..TensorProto::default()
                });
                name
            });
        name.clone()
    }

    fn fresh(&mut self, op: &str) -> String {
        let name = format!("{}/{op}", self.scope);
        let count = self.name_counts.entry(name.clone()).or_insert(0);
        *count += 1;
        if *count == 1 {
            name
        } else {
            format!("{name}_{}", *count - 1)
        }
    }

    // Shorthands.

    pub fn binary(&mut self, op: &str, a: &str, b: &str) -> Value {
        self.op(op, &[a, b], vec![])
    }

    pub fn cast(&mut self, value: &str, to: i32) -> Value {
        self.op("Cast", &[value], vec![int("to", to.into())])
    }

    pub fn gather(&mut self, data: &str, indices: &str, axis: i64) -> Value {
        self.op("Gather", &[data, indices], vec![int("axis", axis)])
    }

    pub fn concat<S: AsRef<str>>(&mut self, values: &[S], axis: i64) -> Value {
        self.op("Concat", values, vec![int("axis", axis)])
    }

    pub fn unsqueeze(&mut self, value: &str, axis: i64) -> Value {
        let axes = self.i64s(&[axis]);
        self.op("Unsqueeze", &[value, &axes], vec![])
    }

    pub fn reshape(&mut self, value: &str, shape: &[i64]) -> Value {
        let shape = self.i64s(shape);
        self.op("Reshape", &[value, &shape], vec![])
    }

    /// Size of `value` along `axis`, as a scalar.
    pub fn size(&mut self, value: &str, axis: i64) -> Value {
        let (shape, axis) = (self.op("Shape", &[value], vec![]), self.i64(axis));
        self.gather(&shape, &axis, 0)
    }

    /// Indices of the true elements of a vector.
    pub fn indices_of(&mut self, mask: &str) -> Value {
        let found = self.op("NonZero", &[mask], vec![]);
        let axis = self.i64s(&[0]);
        self.op("Squeeze", &[&found, &axis], vec![])
    }
}

/// Size of a dimension in a [`value_info`].
pub enum Dim<'a> {
    /// Known when the model is written.
    Fixed(usize),
    /// Known when the model runs.
    Named(&'a str),
}

pub fn value_info(name: &str, elem_type: i32, shape: &[Dim]) -> ValueInfoProto {
    let dim = |dim: &Dim| match dim {
        Dim::Fixed(size) => DimensionProto {
            dim_value: Some(*size as i64),
            dim_param: None,
        },
        Dim::Named(name) => DimensionProto {
            dim_value: None,
            dim_param: Some((*name).to_owned()),
        },
    };
    let shape = TensorShapeProto {
        dim: shape.iter().map(dim).collect(),
    };
    let tensor_type = TensorTypeProto {
        elem_type: Some(elem_type),
        shape: Some(shape),
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            tensor_type: Some(tensor_type),
        }),
        doc_string: None,
    }
}
