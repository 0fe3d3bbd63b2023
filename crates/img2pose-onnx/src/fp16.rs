//! A graph that computes with 16-bit floats.

use std::collections::{HashMap, HashSet};

use half::f16;

use crate::attribute;
use crate::proto::{GraphProto, ModelProto, NodeProto, TensorProto, data_type};

/// The operators that compute in 16 bits. Those that are not named in one of these lists (the softmax, RoIAlign with its
/// coordinates) stay in 32.
const COMPUTES: [&str; 2] = ["Conv", "Gemm"];

/// The operators that take what comes, and how many of their inputs (from the first on) are numbers to compute with.
const FOLLOWS: [(&str, usize); 6] = [
    ("Relu", 1),
    ("Add", 2),
    ("MaxPool", 1),
    ("Flatten", 1),
    ("Resize", 1),
    ("Gather", 1),
];

/// Rewrites `model`: weights, and what computes with them, in 16 bits, inputs and outputs in 32 bits as before.
///
/// The last matrix before a softmax or an output stays in 32 bits: it costs nothing and decides the last digits.
///
/// # Errors
/// A text that names a weight beyond what 16 bits can hold.
pub fn to_half(model: &mut ModelProto) -> Result<(), String> {
    let graph = model.graph.as_mut().ok_or("it has no graph")?;
    let delicate = delicate(graph);
    let outputs: Vec<String> = graph
        .output
        .iter()
        .map(|output| output.name().to_owned())
        .collect();
    let mut rewriter = Rewriter::new(graph)?;
    for node in std::mem::take(&mut graph.node) {
        rewriter.take(node, &delicate)?;
    }
    for output in outputs {
        rewriter.full(&output)?;
    }
    graph.node = rewriter.nodes;
    graph.initializer = rewriter
        .weights
        .into_iter()
        .filter(|w| w.is_used)
        .map(|w| w.tensor)
        .collect();
    Ok(())
}

/// Names of what the last matrices give.
fn delicate(graph: &GraphProto) -> HashSet<String> {
    let ends = |value: &String| {
        let mut users = graph.node.iter().filter(|node| node.input.contains(value));
        users.all(|node| node.op_type() == "Softmax")
    };
    let last = graph.node.iter().filter(|node| node.op_type() == "Gemm");
    last.filter_map(|node| node.output.first())
        .filter(|output| ends(output))
        .cloned()
        .collect()
}

struct Weight {
    tensor: TensorProto,
    is_used: bool,
}

/// Writes the new graph; each value exists in 32 bits, in 16 bits, or in both, whatever was asked for.
struct Rewriter {
    nodes: Vec<NodeProto>,
    weights: Vec<Weight>,
    /// Index in `weights` by name.
    places: HashMap<String, usize>,
    /// Values that exist in 32 bits (or are no floats), under their own names.
    full: HashSet<String>,
    /// Values that exist in 16 bits, and under which names.
    halves: HashMap<String, String>,
}

impl Rewriter {
    fn new(graph: &mut GraphProto) -> Result<Self, String> {
        let tensors = std::mem::take(&mut graph.initializer).into_iter();
        let weights: Vec<Weight> = tensors
            .map(|tensor| Weight {
                tensor,
                is_used: false,
            })
            .collect();
        let name = |(index, weight): (usize, &Weight)| (weight.tensor.name().to_owned(), index);
        Ok(Self {
            nodes: Vec::new(),
            places: weights.iter().enumerate().map(name).collect(),
            weights,
            full: graph.input.iter().map(|input| input.name().to_owned()).collect(),
            halves: HashMap::new(),
        })
    }

    fn take(&mut self, mut node: NodeProto, delicate: &HashSet<String>) -> Result<(), String> {
        if let Some((stored, value)) = self.widened_weight(&node) {
            // It is widened again where somebody asks for 32 bits.
            self.halves.insert(value, stored);
            return Ok(());
        }
        let numbers = match node.output.first() {
            Some(output) if !delicate.contains(output) => self.half_inputs(&node),
            _ => 0,
        };
        for (index, input) in node
            .input
            .iter_mut()
            .enumerate()
            .filter(|(_, input)| !input.is_empty())
        {
            if index < numbers {
                *input = self.half(input)?;
            } else {
                self.full(input)?;
            }
        }
        for output in &mut node.output {
            if numbers > 0 {
                let half = format!("{output}/f16");
                self.halves.insert(std::mem::replace(output, half.clone()), half);
            } else {
                self.full.insert(output.clone());
            }
        }
        self.nodes.push(node);
        Ok(())
    }

    /// How many inputs of `node`, from the first on, it takes in 16 bits.
    fn half_inputs(&self, node: &NodeProto) -> usize {
        if COMPUTES.contains(&node.op_type()) {
            return node.input.len();
        }
        let numbers = FOLLOWS.iter().find(|(operator, _)| *operator == node.op_type());
        let numbers = numbers.map_or(0, |(_, numbers)| *numbers);
        let is_half = |input: &String| self.halves.contains_key(input) && !self.full.contains(input);
        if node.input.iter().take(numbers).any(is_half) {
            numbers
        } else {
            0
        }
    }

    /// Name of the weight and of the result, when `node` widens a weight that is stored in 16 bits.
    fn widened_weight(&mut self, node: &NodeProto) -> Option<(String, String)> {
        let [stored] = &node.input[..] else {
            return None;
        };
        let weight = &mut self.weights[*self.places.get(stored)?];
        if node.op_type() != "Cast" || weight.tensor.data_type() != data_type::FLOAT16 {
            return None;
        }
        weight.is_used = true;
        Some((stored.clone(), node.output.first()?.clone()))
    }

    /// The name of `value` in 16 bits.
    fn half(&mut self, value: &str) -> Result<String, String> {
        if let Some(half) = self.halves.get(value) {
            return Ok(half.clone());
        }
        let half = format!("{value}/f16");
        if let Some(&place) = self.places.get(value) {
            let tensor = narrowed(&self.weights[place].tensor, &half)?;
            self.weights.push(Weight {
                tensor,
                is_used: true,
            });
        } else {
            self.full(value)?;
            self.nodes.push(cast(value, &half, data_type::FLOAT16));
        }
        self.halves.insert(value.to_owned(), half.clone());
        Ok(half)
    }

    /// Makes `value` exist in 32 bits.
    fn full(&mut self, value: &str) -> Result<(), String> {
        if let Some(&place) = self.places.get(value) {
            self.weights[place].is_used = true;
        } else if !self.full.contains(value) {
            let half = self
                .halves
                .get(value)
                .ok_or_else(|| format!("tensor '{value}' is missing"))?;
            self.nodes.push(cast(half, value, data_type::FLOAT));
            self.full.insert(value.to_owned());
        }
        Ok(())
    }
}

fn cast(from: &str, to: &str, elem_type: i32) -> NodeProto {
    let attributes = vec![attribute::int("to", elem_type.into())];
    NodeProto::new(&format!("{to}/Cast"), "Cast", &[from], &[to], attributes)
}

/// A weight in 16 bits, under another name.
fn narrowed(tensor: &TensorProto, name: &str) -> Result<TensorProto, String> {
    let raw = match &tensor.raw_data {
        Some(raw) if tensor.data_type() == data_type::FLOAT => raw,
        _ => {
            return Err(format!(
                "weight '{}' is no f32 tensor with raw data",
                tensor.name()
            ));
        }
    };
    let mut narrow = Vec::with_capacity(raw.len() / 2);
    for bytes in raw.chunks_exact(4) {
        let number = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let half = f16::from_f32(number);
        if half.is_infinite() {
            return Err(format!(
                "weight '{}' holds {number}, beyond what fp16 can hold (65504); use fp32",
                tensor.name()
            ));
        }
        narrow.extend_from_slice(&half.to_le_bytes());
    }
    Ok(TensorProto::new(
        name,
        data_type::FLOAT16,
        tensor.dims.clone(),
        narrow,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::ValueInfoProto;

    fn node(operator: &str, input: &[&str], output: &str) -> NodeProto {
        NodeProto {
            input: input.iter().map(|name| (*name).to_owned()).collect(),
            output: vec![output.to_owned()],
            op_type: Some(operator.to_owned()),
            ..NodeProto::default()
        }
    }

    fn weight(name: &str, numbers: &[f32]) -> TensorProto {
        TensorProto {
            dims: vec![numbers.len() as i64],
            data_type: Some(data_type::FLOAT),
            name: Some(name.to_owned()),
            raw_data: Some(
                numbers
                    .iter()
                    .flat_map(|n| n.to_le_bytes())
                    .collect::<Vec<u8>>()
                    .into(),
            ),
            ..TensorProto::default()
        }
    }

    fn named(name: &str) -> ValueInfoProto {
        ValueInfoProto {
            name: Some(name.to_owned()),
            ..ValueInfoProto::default()
        }
    }

    fn model(nodes: Vec<NodeProto>, weights: Vec<TensorProto>, outputs: &[&str]) -> ModelProto {
        ModelProto {
            graph: Some(GraphProto {
                node: nodes,
                initializer: weights,
                input: vec![named("x")],
                output: outputs.iter().map(|name| named(name)).collect(),
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }

    /// `output = operator(inputs)` for each node.
    fn lines(model: &ModelProto) -> Vec<String> {
        let nodes = model.graph.iter().flat_map(|graph| &graph.node);
        nodes
            .map(|node| {
                format!(
                    "{} = {}({})",
                    node.output[0],
                    node.op_type(),
                    node.input.join(", ")
                )
            })
            .collect()
    }

    #[test]
    fn convolutions_compute_in_16_bits_between_casts() {
        let mut model = model(
            vec![
                node("Conv", &["x", "w"], "a"),
                node("Resize", &["a", "", "scales"], "b"),
                node("Relu", &["b"], "y"),
                node("RoiAlign", &["y", "boxes"], "z"),
            ],
            vec![
                weight("w", &[0.5, -2.0]),
                weight("scales", &[2.0]),
                weight("boxes", &[1.0]),
            ],
            &["y", "z"],
        );
        to_half(&mut model).unwrap();
        assert_eq!(
            lines(&model),
            [
                "x/f16 = Cast(x)",
                "a/f16 = Conv(x/f16, w/f16)",
                "b/f16 = Resize(a/f16, , scales)",
                "y/f16 = Relu(b/f16)",
                "y = Cast(y/f16)",
                "z = RoiAlign(y, boxes)",
            ]
        );
        let weights = model.graph.unwrap().initializer;
        let kinds: Vec<(&str, i32)> = weights.iter().map(|w| (w.name(), w.data_type())).collect();
        assert_eq!(
            kinds,
            [
                ("scales", data_type::FLOAT),
                ("boxes", data_type::FLOAT),
                ("w/f16", data_type::FLOAT16)
            ]
        );
        assert_eq!(
            weights[2].raw_data.as_deref(),
            Some(&[0x00, 0x38, 0x00, 0xc0][..])
        );
    }

    #[test]
    fn the_last_matrix_and_the_softmax_stay_in_32_bits() {
        let mut model = model(
            vec![
                node("Flatten", &["x"], "flat"),
                node("Gemm", &["flat", "w1"], "hidden"),
                node("Relu", &["hidden"], "h"),
                node("Gemm", &["h", "w2"], "logits"),
                node("Softmax", &["logits"], "p"),
                node("Gather", &["p", "face"], "score"),
            ],
            vec![weight("w1", &[1.0]), weight("w2", &[1.0]), weight("face", &[1.0])],
            &["score"],
        );
        to_half(&mut model).unwrap();
        assert_eq!(
            lines(&model),
            [
                "flat = Flatten(x)",
                "flat/f16 = Cast(flat)",
                "hidden/f16 = Gemm(flat/f16, w1/f16)",
                "h/f16 = Relu(hidden/f16)",
                "h = Cast(h/f16)",
                "logits = Gemm(h, w2)",
                "p = Softmax(logits)",
                "score = Gather(p, face)",
            ]
        );
    }

    #[test]
    fn weights_that_are_stored_in_16_bits_are_not_widened() {
        let stored = TensorProto {
            data_type: Some(data_type::FLOAT16),
            ..weight("w", &[])
        };
        let mut model = model(
            vec![node("Cast", &["w"], "w/f32"), node("Conv", &["x", "w/f32"], "y")],
            vec![stored],
            &["y"],
        );
        to_half(&mut model).unwrap();
        assert_eq!(
            lines(&model),
            ["x/f16 = Cast(x)", "y/f16 = Conv(x/f16, w)", "y = Cast(y/f16)"]
        );
    }

    #[test]
    fn what_16_bits_cannot_hold_is_refused() {
        let mut model = model(
            vec![node("Conv", &["x", "w"], "y")],
            vec![weight("w", &[1.0, 70_000.0])],
            &["y"],
        );
        let text = to_half(&mut model).unwrap_err();
        assert!(
            text.contains("'w' holds 70000") && text.contains("fp32"),
            "{text}"
        );
    }
}
