//! Letting the parts of a network give and take `[n, h, w, channels]`, where the whole one has `[n, channels, h, w]`.

use prost::bytes::Bytes;

use crate::file::NO_MEMORY;
use crate::names::shown;
use crate::proto::{GraphProto, ModelProto, NodeProto, ValueInfoProto, data_type};
use crate::{Index, attribute};

/// Makes `name`, an output of `[n, c, h, w]`, come out as `[n, h, w, c]` under the returned name.
pub fn output_channels_last(model: &mut ModelProto, name: &str) -> String {
    let last = format!("{name}_channels_last");
    if let Some(graph) = model.graph.as_mut() {
        let attributes = vec![attribute::ints("perm", &[0, 2, 3, 1])];
        graph
            .node
            .push(NodeProto::new(&last, "Transpose", &[name], &[&last], attributes));
        for output in graph.output.iter_mut().filter(|output| output.name() == name) {
            *output = ValueInfoProto::tensor(&last, data_type::FLOAT, None);
        }
    }
    last
}

/// The first matrix of a head: a weight of `channels x cells` columns.
#[derive(Clone, Copy, Debug)]
pub struct HeadMatrix {
    /// Which weight of the graph it is.
    weight: usize,
    /// Bytes of a number, and of a row.
    number: usize,
    row: usize,
}

/// Finds the matrix that a head multiplies its flattened regions `[n, channels, h, w]` with.
///
/// # Errors
/// A text when there is none, or one whose columns cannot be put in another order.
pub fn head_matrix(
    model: &ModelProto,
    input: &str,
    channels: usize,
    cells: usize,
) -> Result<HeadMatrix, String> {
    let graph = model.graph.as_ref().ok_or("it has no graph")?;
    let index = Index::new(graph);
    let matrix = first_matrix(graph, &index, input)?;
    let name = shown(matrix);
    let weights = graph.initializer.iter();
    let (weight, tensor) = weights
        .enumerate()
        .find(|(_, tensor)| tensor.name() == matrix)
        .ok_or_else(|| format!("'{name}' is not a weight"))?;
    let [_, columns] = tensor.dims[..] else {
        return Err(format!(
            "weight '{name}' has {} dimensions, expected a matrix",
            tensor.dims.len()
        ));
    };
    let expected = channels.checked_mul(cells).filter(|expected| *expected > 0);
    if expected.is_none() || usize::try_from(columns).ok() != expected {
        return Err(format!(
            "weight '{name}' has {columns} columns, expected {channels} channels x {cells} cells of a region (the square of \
             roi.output_size in its metadata)"
        ));
    }
    let number = match tensor.data_type() {
        data_type::FLOAT => 4,
        data_type::FLOAT16 => 2,
        data_type::INT8 | data_type::UINT8 => 1,
        other => {
            return Err(format!(
                "weight '{name}' has ONNX type {other}, expected f32, f16 or 8 bits"
            ));
        }
    };
    let row = expected.and_then(|columns| columns.checked_mul(number));
    let raw = tensor.raw_data.as_ref().map(Bytes::len);
    match (row, raw) {
        (_, None) => Err(format!("weight '{name}' has no raw data")),
        (Some(row), Some(raw)) if raw > 0 && raw.is_multiple_of(row) => {
            Ok(HeadMatrix { weight, number, row })
        }
        (_, Some(raw)) => Err(format!("weight '{name}' is truncated: {raw} bytes")),
    }
}

/// Lets a head that flattens `[n, channels, h, w]` regions take `[n, h, w, channels]` regions instead, by
/// reordering the columns of the first matrix.
///
/// # Errors
/// A text when that matrix cannot be found, or there is no memory.
pub fn take_channels_last(
    model: &mut ModelProto,
    input: &str,
    channels: usize,
    cells: usize,
) -> Result<(), String> {
    let HeadMatrix { weight, number, row } = head_matrix(model, input, channels, cells)?;
    let graph = model.graph.as_mut().ok_or("it has no graph")?;
    let tensor = &mut graph.initializer[weight];
    let raw = tensor.raw_data.take().unwrap_or_default();
    let mut reordered = Vec::new();
    reordered.try_reserve_exact(raw.len()).map_err(|_| NO_MEMORY)?;
    for old in raw.chunks_exact(row) {
        for cell in 0..cells {
            for channel in 0..channels {
                let from = (channel * cells + cell) * number;
                reordered.extend_from_slice(&old[from..from + number]);
            }
        }
    }
    tensor.raw_data = Some(Bytes::from(reordered));
    Ok(())
}

/// Name of the weight of the first `Gemm` (with transposed B) that `input` flows into.
fn first_matrix<'g>(graph: &'g GraphProto, index: &Index<'g>, input: &str) -> Result<&'g str, String> {
    let mut value = input;
    // A damaged graph may run in circles.
    for _ in 0..graph.node.len() {
        let user = only_user(index, value)?;
        match user.op_type() {
            _ if user.is_conversion() => value = output_of(user)?,
            "Flatten" | "Reshape" | "Identity" => value = output_of(user)?,
            "Gemm" => {
                let transposed = user.attribute.iter().any(|a| a.name() == "transB" && a.i() == 1);
                let weight = user
                    .input
                    .get(1)
                    .filter(|_| transposed && user.input.first().is_some_and(|name| name == value));
                let weight =
                    weight.ok_or_else(|| format!("node '{}' is no plain Gemm", shown(user.name())))?;
                return stored_matrix(graph, index, weight);
            }
            other => {
                return Err(format!(
                    "'{input}' flows into {}, expected Flatten and Gemm",
                    shown(other)
                ));
            }
        }
    }
    Err(format!("'{input}' flows in a circle"))
}

/// The weight that `matrix` was before every conversion on its way. Nobody else may use it: it is going to be changed.
fn stored_matrix<'g>(graph: &'g GraphProto, index: &Index<'g>, matrix: &'g str) -> Result<&'g str, String> {
    only_user(index, matrix)?;
    let mut stored = matrix;
    for (node, input) in index.conversions_before(matrix) {
        only_user(index, input)?;
        stored = input;
        if scales_columns(index, node) {
            return Err(format!(
                "weight '{}' is quantized with a scale for each column, expected one for each row",
                shown(stored)
            ));
        }
    }
    match graph.output.iter().any(|output| output.name() == stored) {
        true => Err(format!("weight '{}' is an output, too", shown(stored))),
        false => Ok(stored),
    }
}

fn only_user<'g>(index: &Index<'g>, value: &str) -> Result<&'g NodeProto, String> {
    let mut users = index.users(value);
    match (users.next(), users.next()) {
        (Some(user), None) => Ok(user),
        _ => Err(format!("tensor '{}' is not used exactly once", shown(value))),
    }
}

/// Whether `node`, on the way of a quantized matrix to its floats, has a scale for each of the columns, which would have to
/// be reordered with them.
fn scales_columns(index: &Index<'_>, node: &NodeProto) -> bool {
    let [_, scale, ..] = &node.input[..] else {
        return false;
    };
    // Axis 1 is ONNX's default.
    let axis = node
        .attribute
        .iter()
        .find(|a| a.name() == "axis")
        .map_or(1, |a| a.i());
    let is_one = |dims: &[i64]| dims.iter().all(|&side| side == 1);
    node.op_type() == "DequantizeLinear"
        && axis != 0
        && index.weight(scale).is_none_or(|tensor| !is_one(&tensor.dims))
}

fn output_of(node: &NodeProto) -> Result<&str, String> {
    let output = node.output.first().map(String::as_str);
    output.ok_or_else(|| format!("node '{}' has no output", shown(node.name())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::TensorProto;

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
        let index = Index::new(&graph);
        first_matrix(&graph, &index, "regions").map(str::to_owned)
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

    /// The product of the channels and the cells was 0, and the length of the matrix was divided by it.
    #[test]
    fn channels_whose_product_with_the_cells_overflows_are_refused() {
        let graph = GraphProto {
            node: vec![
                node("Flatten", &["regions"], &["flat"]),
                node("Gemm", &["flat", "matrix"], &["out"]),
            ],
            initializer: vec![TensorProto {
                name: Some("matrix".to_owned()),
                dims: vec![0, 0],
                data_type: Some(data_type::FLOAT),
                raw_data: Some(Bytes::new()),
                ..TensorProto::default()
            }],
            ..GraphProto::default()
        };
        let mut model = ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        };
        for (channels, cells) in [(1 << 62, 4), (usize::MAX, usize::MAX), (0, 49), (64, 0)] {
            let text = take_channels_last(&mut model, "regions", channels, cells).unwrap_err();
            assert!(text.contains("0 columns"), "{text}");
        }
    }

    /// It would be reordered for both, and only one wants it so.
    #[test]
    fn a_matrix_that_others_use_too_is_refused() {
        let nodes = || {
            vec![
                node("Flatten", &["regions"], &["flat"]),
                node("Cast", &["stored"], &["weight"]),
                node("Gemm", &["flat", "weight"], &["out"]),
            ]
        };
        assert!(matrix_of(nodes()).is_ok());
        for taken in ["stored", "weight"] {
            let mut nodes = nodes();
            nodes.push(node("Relu", &[taken], &["else"]));
            assert!(matrix_of(nodes).unwrap_err().contains(taken));
        }
    }
}
