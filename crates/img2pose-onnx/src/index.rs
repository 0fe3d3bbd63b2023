//! Looking things up in a graph by the names of its values.

use std::collections::HashMap;

use crate::proto::{GraphProto, NodeProto, TensorProto};

/// What makes, and what takes, each value of a graph. Made once for a graph, in one pass over it: looking through the nodes
/// for every name would take the square of their number.
#[derive(Debug)]
pub struct Index<'g> {
    nodes: &'g [NodeProto],
    makers: HashMap<&'g str, usize>,
    users: HashMap<&'g str, Vec<usize>>,
    weights: HashMap<&'g str, &'g TensorProto>,
}

impl<'g> Index<'g> {
    /// Reads the names of `graph`. Where several nodes make one value, which no ONNX graph may have, the last one counts.
    pub fn new(graph: &'g GraphProto) -> Self {
        let mut users: HashMap<&str, Vec<usize>> = HashMap::new();
        for (number, node) in graph.node.iter().enumerate() {
            for name in node.input.iter().filter(|name| !name.is_empty()) {
                users.entry(name).or_default().push(number);
            }
        }
        let nodes = graph.node.iter().enumerate();
        Self {
            makers: nodes
                .flat_map(|(number, node)| node.output.iter().map(move |name| (name.as_str(), number)))
                .collect(),
            users,
            weights: graph
                .initializer
                .iter()
                .map(|tensor| (tensor.name(), tensor))
                .collect(),
            nodes: &graph.node,
        }
    }

    /// Number of the node that makes `name`.
    pub fn maker(&self, name: &str) -> Option<usize> {
        self.makers.get(name).copied()
    }

    /// The node that makes `name`.
    pub fn made_by(&self, name: &str) -> Option<&'g NodeProto> {
        Some(&self.nodes[self.maker(name)?])
    }

    /// The nodes that take `name`, in the order of the file; one that takes it twice comes twice.
    pub fn users(&self, name: &str) -> impl Iterator<Item = &'g NodeProto> {
        let users = self.users.get(name).map(Vec::as_slice).unwrap_or_default();
        users.iter().map(|&number| &self.nodes[number])
    }

    /// The weight of that name.
    pub fn weight(&self, name: &str) -> Option<&'g TensorProto> {
        self.weights.get(name).copied()
    }

    /// The tensor that `name` was before every conversion on its way.
    pub fn before_conversions<'n>(&self, name: &'n str) -> &'n str
    where
        'g: 'n,
    {
        self.conversions_before(name)
            .last()
            .map_or(name, |(_, input)| input)
    }

    /// The conversions on the way to `name`, the last one first, each with what it takes.
    pub fn conversions_before(&self, name: &str) -> impl Iterator<Item = (&'g NodeProto, &'g str)> {
        let before = |name: &str| {
            let node = self.made_by(name).filter(|node| node.is_conversion())?;
            Some((node, node.input.first()?.as_str()))
        };
        // A damaged graph may run in circles.
        std::iter::successors(before(name), move |(_, input)| before(input)).take(self.nodes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(operator: &str, input: &str, output: &str) -> NodeProto {
        NodeProto {
            input: vec![input.to_owned()],
            output: vec![output.to_owned()],
            op_type: Some(operator.to_owned()),
            ..NodeProto::default()
        }
    }

    fn before_conversions(nodes: Vec<NodeProto>, name: &str) -> String {
        let graph = GraphProto {
            node: nodes,
            ..GraphProto::default()
        };
        Index::new(&graph).before_conversions(name).to_owned()
    }

    #[test]
    fn conversions_are_followed_back_to_what_was_computed() {
        let nodes = || {
            vec![
                node("Conv", "image", "convolved"),
                node("QuantizeLinear", "convolved", "rounded"),
                node("DequantizeLinear", "rounded", "features"),
            ]
        };
        assert_eq!(before_conversions(nodes(), "features"), "convolved");
        assert_eq!(before_conversions(nodes(), "image"), "image");
    }

    #[test]
    fn a_circle_of_conversions_ends() {
        let circle = vec![node("Cast", "a", "b"), node("Cast", "b", "a")];
        assert!(["a", "b"].contains(&before_conversions(circle, "a").as_str()));
    }
}
