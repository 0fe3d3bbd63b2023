//! Cutting a part out of an ONNX graph: everything between some named tensors.

use std::collections::HashSet;

use crate::Index;
use crate::make::Dimension;
use crate::names::shown;
use crate::proto::{GraphProto, ModelProto, ValueInfoProto, data_type};

/// The smallest model that computes `outputs` from `inputs`.
///
/// Nodes and weights that lie outside are left out; inputs and outputs are floats.
///
/// # Errors
/// A text that names the tensor when an output depends on something that is neither an input nor a weight.
pub fn cut(
    model: &ModelProto,
    inputs: &[(&str, &[Dimension<'_>])],
    outputs: &[String],
) -> Result<ModelProto, String> {
    let graph = model.graph.as_ref().ok_or("it has no graph")?;
    let index = Index::new(graph);
    let mut wanted: Vec<&str> = outputs.iter().map(String::as_str).collect();
    let mut seen: HashSet<&str> = inputs.iter().map(|(name, _)| *name).collect();
    let mut nodes: HashSet<usize> = HashSet::new();
    let mut used_weights: HashSet<&str> = HashSet::new();
    while let Some(name) = wanted.pop() {
        if name.is_empty() || !seen.insert(name) {
            continue;
        }
        if let Some(number) = index.maker(name) {
            if nodes.insert(number) {
                wanted.extend(graph.node[number].input.iter().map(String::as_str));
            }
        } else if index.weight(name).is_some() {
            used_weights.insert(name);
        } else {
            return Err(format!("tensor '{}' is missing", shown(name)));
        }
    }

    let kept = graph
        .node
        .iter()
        .enumerate()
        .filter(|(index, _)| nodes.contains(index));
    Ok(ModelProto {
        graph: Some(GraphProto {
            node: kept.map(|(_, node)| node.clone()).collect(),
            name: graph.name.clone(),
            // Weights keep the order of the file; their bytes are shared, not copied.
            initializer: graph
                .initializer
                .iter()
                .filter(|tensor| used_weights.contains(tensor.name()))
                .cloned()
                .collect(),
            input: inputs
                .iter()
                .map(|(name, shape)| ValueInfoProto::tensor(name, data_type::FLOAT, Some(shape)))
                .collect(),
            output: outputs
                .iter()
                .map(|name| ValueInfoProto::tensor(name, data_type::FLOAT, None))
                .collect(),
            ..GraphProto::default()
        }),
        ir_version: model.ir_version,
        opset_import: model.opset_import.clone(),
        ..ModelProto::default()
    })
}
