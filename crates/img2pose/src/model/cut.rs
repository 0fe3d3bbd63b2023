//! Cutting a part out of an ONNX graph: everything between some named tensors.

use std::collections::{HashMap, HashSet};

use prost::Message;
use prost::bytes::Bytes;

use crate::onnx::{
    DimensionProto, GraphProto, ModelProto, NodeProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto, attribute, data_type,
};

/// The dimension names and sizes of an input, outermost first.
pub(crate) enum Dimension {
    /// Known when the model runs.
    Free(&'static str),
    /// The same in every run.
    Fixed(usize),
}

/// The smallest model that computes `outputs` from `inputs`.
///
/// Nodes and weights that lie outside are left out. Fails with a text that names the tensor when an output
/// depends on something that is neither an input nor a weight.
pub(crate) fn cut(
    model: &ModelProto,
    inputs: &[(&str, &[Dimension])],
    outputs: &[String],
) -> Result<ModelProto, String> {
    let graph = model.graph.as_ref().ok_or("it has no graph")?;
    let producer: HashMap<&str, usize> = graph
        .node
        .iter()
        .enumerate()
        .flat_map(|(index, node)| node.output.iter().map(move |name| (name.as_str(), index)))
        .collect();
    let weights: HashMap<&str, &TensorProto> = graph
        .initializer
        .iter()
        .map(|tensor| (tensor.name(), tensor))
        .collect();

    let mut wanted: Vec<&str> = outputs.iter().map(String::as_str).collect();
    let mut seen: HashSet<&str> = inputs.iter().map(|(name, _)| *name).collect();
    let mut nodes: HashSet<usize> = HashSet::new();
    let mut used_weights: HashSet<&str> = HashSet::new();
    while let Some(name) = wanted.pop() {
        if name.is_empty() || !seen.insert(name) {
            continue;
        }
        if let Some(&index) = producer.get(name) {
            if nodes.insert(index) {
                wanted.extend(graph.node[index].input.iter().map(String::as_str));
            }
        } else if weights.contains_key(name) {
            used_weights.insert(name);
        } else {
            return Err(format!("tensor '{name}' is missing"));
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
                .map(|(name, shape)| tensor_value(name, data_type::FLOAT, Some(shape)))
                .collect(),
            output: outputs
                .iter()
                .map(|name| tensor_value(name, data_type::FLOAT, None))
                .collect(),
            ..GraphProto::default()
        }),
        metadata_props: Vec::new(),
        ..model.clone()
    })
}

/// Makes `name`, an output of `[n, c, h, w]`, come out as `[n, h, w, c]` under the returned name.
pub(crate) fn output_channels_last(model: &mut ModelProto, name: &str) -> String {
    let last = format!("{name}_channels_last");
    if let Some(graph) = model.graph.as_mut() {
        graph.node.push(NodeProto {
            input: vec![name.to_owned()],
            output: vec![last.clone()],
            name: Some(last.clone()),
            op_type: Some("Transpose".to_owned()),
            attribute: vec![attribute::ints("perm", &[0, 2, 3, 1])],
            ..NodeProto::default()
        });
        for output in graph.output.iter_mut().filter(|output| output.name() == name) {
            *output = tensor_value(&last, data_type::FLOAT, None);
        }
    }
    last
}

/// Lets a head that flattens `[n, channels, h, w]` regions take `[n, h, w, channels]` regions instead, by
/// reordering the columns of the first matrix. Fails with a text when that matrix cannot be found.
pub(crate) fn take_channels_last(
    model: &mut ModelProto,
    input: &str,
    channels: usize,
    cells: usize,
) -> Result<(), String> {
    let graph = model.graph.as_mut().ok_or("it has no graph")?;
    let matrix = first_matrix(graph, input)?;
    if graph.node.iter().any(|node| scales_columns(graph, node, &matrix)) {
        return Err(format!(
            "weight '{matrix}' is quantized with a scale for each column, expected one for each row"
        ));
    }
    let tensor = graph
        .initializer
        .iter_mut()
        .find(|tensor| tensor.name() == matrix)
        .ok_or_else(|| format!("'{matrix}' is not a weight"))?;
    let [_, columns] = tensor.dims[..] else {
        return Err(format!(
            "weight '{matrix}' has shape {:?}, expected a matrix",
            tensor.dims
        ));
    };
    if usize::try_from(columns) != Ok(channels * cells) {
        return Err(format!(
            "weight '{matrix}' has {columns} columns, expected {channels} x {cells}"
        ));
    }
    let width = match tensor.data_type() {
        data_type::FLOAT => 4,
        data_type::FLOAT16 => 2,
        data_type::INT8 | data_type::UINT8 => 1,
        other => {
            return Err(format!(
                "weight '{matrix}' has ONNX type {other}, expected f32, f16 or 8 bits"
            ));
        }
    };
    let raw = tensor
        .raw_data
        .take()
        .ok_or_else(|| format!("weight '{matrix}' has no raw data"))?;
    let row = channels * cells * width;
    if raw.len() % row != 0 {
        return Err(format!("weight '{matrix}' is truncated: {} bytes", raw.len()));
    }
    let mut reordered = Vec::with_capacity(raw.len());
    for old in raw.chunks_exact(row) {
        for cell in 0..cells {
            for channel in 0..channels {
                let from = (channel * cells + cell) * width;
                reordered.extend_from_slice(&old[from..from + width]);
            }
        }
    }
    tensor.raw_data = Some(Bytes::from(reordered));
    Ok(())
}

/// Name of the weight of the first `Gemm` (with transposed B) that `input` flows into.
fn first_matrix(graph: &GraphProto, input: &str) -> Result<String, String> {
    let mut value = input;
    // A damaged graph may run in circles.
    for _ in 0..graph.node.len() {
        let mut users = graph
            .node
            .iter()
            .filter(|node| node.input.iter().any(|name| name == value));
        let (Some(user), None) = (users.next(), users.next()) else {
            return Err(format!("tensor '{value}' is not used exactly once"));
        };
        match user.op_type() {
            _ if user.is_conversion() => value = output_of(user)?,
            "Flatten" | "Reshape" | "Identity" => value = output_of(user)?,
            "Gemm" => {
                let transposed = user.attribute.iter().any(|a| a.name() == "transB" && a.i() == 1);
                let weight = user
                    .input
                    .get(1)
                    .filter(|_| transposed && user.input.first().is_some_and(|name| name == value));
                let weight = weight.ok_or_else(|| format!("node '{}' is no plain Gemm", user.name()))?;
                return Ok(graph.before_conversions(weight).to_owned());
            }
            other => return Err(format!("'{input}' flows into {other}, expected Flatten and Gemm")),
        }
    }
    Err(format!("'{input}' flows in a circle"))
}

/// Whether `node` brings the quantized `matrix` back to floats with a scale for each of its columns, which would have to
/// be reordered with them.
fn scales_columns(graph: &GraphProto, node: &NodeProto, matrix: &str) -> bool {
    let [weight, scale, ..] = &node.input[..] else {
        return false;
    };
    let scales = graph.initializer.iter().find(|tensor| tensor.name() == scale);
    // Axis 1 is ONNX's default.
    let axis = node
        .attribute
        .iter()
        .find(|a| a.name() == "axis")
        .map_or(1, |a| a.i());
    node.op_type() == "DequantizeLinear"
        && graph.before_conversions(weight) == matrix
        && axis != 0
        && scales.is_none_or(|tensor| tensor.dims.iter().product::<i64>() > 1)
}

fn output_of(node: &NodeProto) -> Result<&str, String> {
    let output = node.output.first().map(String::as_str);
    output.ok_or_else(|| format!("node '{}' has no output", node.name()))
}

/// The file that ONNX Runtime is given.
pub(crate) fn encode(model: &ModelProto) -> Vec<u8> {
    model.encode_to_vec()
}

/// The input or output `name` with elements of ONNX type `elem_type`.
pub(crate) fn tensor_value(name: &str, elem_type: i32, shape: Option<&[Dimension]>) -> ValueInfoProto {
    let shape = shape.map(|dimensions| TensorShapeProto {
        dim: dimensions
            .iter()
            .map(|dimension| match *dimension {
                Dimension::Free(name) => DimensionProto {
                    dim_value: None,
                    dim_param: Some(name.to_owned()),
                },
                Dimension::Fixed(size) => DimensionProto {
                    dim_value: Some(size as i64),
                    dim_param: None,
                },
            })
            .collect(),
    });
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: Some(elem_type),
                shape,
            }),
        }),
        doc_string: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(operator: &str, input: &[&str], output: &[&str]) -> NodeProto {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        NodeProto {
            input: names(input),
            output: names(output),
            op_type: Some(operator.to_owned()),
            attribute: vec![attribute::int("transB", 1)],
            ..NodeProto::default()
        }
    }

    fn matrix_of(nodes: Vec<NodeProto>) -> Result<String, String> {
        let graph = GraphProto {
            node: nodes,
            ..GraphProto::default()
        };
        first_matrix(&graph, "regions")
    }

    #[test]
    fn the_first_matrix_is_found_behind_flatten_and_cast() {
        let flatten = || node("Flatten", &["regions"], &["flat"]);
        let gemm = || node("Gemm", &["flat", "weight"], &["out"]);
        assert_eq!(matrix_of(vec![flatten(), gemm()]), Ok("weight".to_owned()));
        let cast = node("Cast", &["stored"], &["weight"]);
        assert_eq!(matrix_of(vec![flatten(), cast, gemm()]), Ok("stored".to_owned()));
    }

    #[test]
    fn a_quantized_matrix_has_a_scale_for_each_row() {
        let dequantize = |axis: Option<i64>| NodeProto {
            attribute: axis
                .map(|axis| attribute::int("axis", axis))
                .into_iter()
                .collect(),
            ..node("DequantizeLinear", &["stored", "scale"], &["weight"])
        };
        for (axis, scales, refused) in [
            (Some(0), 2, false),
            (Some(1), 6, true),
            (None, 6, true),
            (None, 1, false),
        ] {
            let weight = |name: &str, dims: Vec<i64>, bytes: usize, element| TensorProto {
                name: Some(name.to_owned()),
                dims,
                data_type: Some(element),
                raw_data: Some(vec![0; bytes].into()),
                ..TensorProto::default()
            };
            let mut model = ModelProto {
                graph: Some(GraphProto {
                    node: vec![
                        node("Flatten", &["regions"], &["flat"]),
                        dequantize(axis),
                        node("Gemm", &["flat", "weight"], &["out"]),
                    ],
                    initializer: vec![
                        weight("stored", vec![2, 6], 12, data_type::INT8),
                        weight("scale", vec![scales], scales as usize * 4, data_type::FLOAT),
                    ],
                    ..GraphProto::default()
                }),
                ..ModelProto::default()
            };
            let taken = take_channels_last(&mut model, "regions", 3, 2);
            assert_eq!(
                taken.is_err(),
                refused,
                "axis {axis:?}, {scales} scales: {taken:?}"
            );
        }
    }

    /// Each of these used to panic.
    #[test]
    fn nodes_without_inputs_or_outputs_are_no_panic() {
        let flatten = || node("Flatten", &["regions"], &["flat"]);
        let gemm = || node("Gemm", &["flat", "weight"], &["out"]);
        assert!(matrix_of(vec![node("Flatten", &["regions"], &[])]).is_err());
        assert!(matrix_of(vec![node("Cast", &[], &[]), flatten(), gemm()]).is_ok());
        assert!(matrix_of(vec![flatten(), node("Cast", &[], &["weight"]), gemm()]).is_ok());
    }

    /// It used to go round for ever.
    #[test]
    fn a_circle_is_refused() {
        let circle = vec![
            node("Identity", &["regions"], &["around"]),
            node("Identity", &["around"], &["regions"]),
        ];
        assert!(matrix_of(circle).unwrap_err().contains("circle"));
    }
}
