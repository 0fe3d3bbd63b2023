//! Builds an ONNX graph node by node.

use std::collections::HashMap;

use prost::bytes::Bytes;

use crate::attribute::int;
use crate::proto::{AttributeProto, GraphProto, NodeProto, TensorProto, data_type};

/// Name of a value in a graph.
pub type Value = String;

/// An ONNX graph in the making, or a piece of one. Node names say where a node belongs (`proposals/level_0/TopK`).
///
/// Methods that add a node return the name of the value that it makes, and those that add a constant the name of that; equal
/// constants are one.
#[derive(Debug, Default)]
pub struct Builder {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    scope: String,
    prefix: String,
    name_counts: HashMap<String, usize>,
    constant_names: HashMap<(i32, Vec<i64>, Bytes), Value>,
}

impl Builder {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// A piece for a graph that has names already: those of the piece begin with `scope`.
    pub fn piece(scope: &str) -> Self {
        Self {
            scope: scope.to_owned(),
            prefix: format!("{scope}/"),
            ..Self::default()
        }
    }

    /// Prefix of the names of the nodes to come.
    pub fn scope(&mut self, scope: impl Into<String>) {
        self.scope = scope.into();
    }

    /// The nodes in the order in which they were added, and the constants.
    pub fn into_parts(self) -> (Vec<NodeProto>, Vec<TensorProto>) {
        (self.nodes, self.constants)
    }

    /// The nodes and constants as a graph of that name, which has no inputs and outputs yet.
    pub fn into_graph(self, name: &str) -> GraphProto {
        GraphProto {
            node: self.nodes,
            initializer: self.constants,
            name: Some(name.to_owned()),
            ..GraphProto::default()
        }
    }

    /// Adds a node with one output.
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
        self.nodes
            .push(NodeProto::new(name, op, inputs, outputs, attributes));
    }

    /// Adds a copy of `node` with other inputs, and with one output.
    pub fn like<S: AsRef<str>>(&mut self, node: &NodeProto, inputs: &[S]) -> Value {
        self.op(node.op_type(), inputs, node.attribute.clone())
    }

    /// Gives the value `from`, which a node of this builder makes, the name `to` everywhere.
    pub fn rename(&mut self, from: &str, to: &str) {
        let names = self
            .nodes
            .iter_mut()
            .flat_map(|node| node.input.iter_mut().chain(&mut node.output));
        for name in names.filter(|name| *name == from) {
            to.clone_into(name);
        }
    }

    /// A vector of integers.
    pub fn i64s(&mut self, numbers: &[i64]) -> Value {
        let raw = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        self.constant(data_type::INT64, &[numbers.len()], raw)
    }

    /// An integer.
    pub fn i64(&mut self, number: i64) -> Value {
        self.constant(data_type::INT64, &[], number.to_le_bytes().to_vec())
    }

    /// 32-bit floats, row-major.
    pub fn f32s(&mut self, shape: &[usize], numbers: &[f32]) -> Value {
        debug_assert_eq!(shape.iter().product::<usize>(), numbers.len());
        let raw = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        self.constant(data_type::FLOAT, shape, raw)
    }

    /// A 32-bit float.
    pub fn f32(&mut self, number: f32) -> Value {
        self.f32s(&[], &[number])
    }

    /// A vector of bytes.
    pub fn u8s(&mut self, bytes: &[u8]) -> Value {
        self.constant(data_type::UINT8, &[bytes.len()], bytes.to_vec())
    }

    /// 64-bit floats, row-major.
    pub fn f64s(&mut self, shape: &[usize], numbers: &[f64]) -> Value {
        debug_assert_eq!(shape.iter().product::<usize>(), numbers.len());
        let raw = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        self.constant(data_type::DOUBLE, shape, raw)
    }

    /// A 64-bit float.
    pub fn f64(&mut self, number: f64) -> Value {
        self.f64s(&[], &[number])
    }

    fn constant(&mut self, kind: i32, shape: &[usize], raw: Vec<u8>) -> Value {
        let dims: Vec<i64> = shape.iter().map(|&d| d as i64).collect();
        let raw = Bytes::from(raw);
        let (next, prefix) = (self.constants.len(), &self.prefix);
        let name = self
            .constant_names
            .entry((kind, dims.clone(), raw.clone()))
            .or_insert_with(|| {
                let name = format!("{prefix}constant_{next}");
                self.constants.push(TensorProto::new(&name, kind, dims, raw));
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

    /// A node of two inputs, without attributes.
    pub fn binary(&mut self, op: &str, a: &str, b: &str) -> Value {
        self.op(op, &[a, b], vec![])
    }

    /// `value` with elements of type `to` ([`data_type`]).
    pub fn cast(&mut self, value: &str, to: i32) -> Value {
        self.op("Cast", &[value], vec![int("to", to.into())])
    }

    /// The elements of `data` at `indices` along `axis`.
    pub fn gather(&mut self, data: &str, indices: &str, axis: i64) -> Value {
        self.op("Gather", &[data, indices], vec![int("axis", axis)])
    }

    /// `values` one after the other along `axis`.
    pub fn concat<S: AsRef<str>>(&mut self, values: &[S], axis: i64) -> Value {
        self.op("Concat", values, vec![int("axis", axis)])
    }

    /// `value` with a dimension of 1 more, at `axis`.
    pub fn unsqueeze(&mut self, value: &str, axis: i64) -> Value {
        let axes = self.i64s(&[axis]);
        self.op("Unsqueeze", &[value, &axes], vec![])
    }

    /// `value` in another shape; 0 keeps a dimension, -1 takes the rest.
    pub fn reshape(&mut self, value: &str, shape: &[i64]) -> Value {
        let shape = self.i64s(shape);
        self.op("Reshape", &[value, &shape], vec![])
    }

    /// Elements `from..to` along `axis`.
    pub fn slice(&mut self, value: &str, axis: i64, from: i64, to: i64) -> Value {
        let [from, to, axis] = [from, to, axis].map(|number| self.i64s(&[number]));
        self.op("Slice", &[value, &from, &to, &axis], vec![])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_constants_are_one_and_names_are_used_once() {
        let mut builder = Builder::new();
        builder.scope("a");
        let numbers = [
            builder.i64(1),
            builder.i64s(&[1]),
            builder.i64(1),
            builder.f32(1.0),
        ];
        assert_eq!(numbers, ["constant_0", "constant_1", "constant_0", "constant_2"]);
        let sums = [(); 2].map(|()| builder.binary("Add", "x", "y"));
        assert_eq!(sums, ["a/Add:0", "a/Add_1:0"]);
        let graph = builder.into_graph("g");
        assert_eq!((graph.node.len(), graph.initializer.len()), (2, 3));
    }

    /// The graph that it is put into may have constants of its own.
    #[test]
    fn every_name_of_a_piece_begins_with_its_scope() {
        let mut piece = Builder::piece("device");
        let one = piece.i64(1);
        let sum = piece.binary("Add", "x", &one);
        assert_eq!(
            (one.as_str(), sum.as_str()),
            ("device/constant_0", "device/Add:0")
        );
    }

    #[test]
    fn a_value_is_renamed_where_it_is_made_and_where_it_is_used() {
        let mut builder = Builder::piece("p");
        let doubled = builder.binary("Add", "x", "x");
        let result = builder.binary("Mul", &doubled, "x");
        builder.rename(&doubled, "twice");
        builder.rename(&result, "result");
        let (nodes, _) = builder.into_parts();
        assert_eq!(nodes[0].output, ["twice"]);
        assert_eq!(
            (&nodes[1].input[0], &nodes[1].output[0]),
            (&"twice".to_owned(), &"result".to_owned())
        );
    }
}
