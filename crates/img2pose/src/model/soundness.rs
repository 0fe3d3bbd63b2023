//! What is refused of a foreign file before anything relies on it: graphs that cannot be, and tensors and attributes that
//! lie. ONNX Runtime is not asked first, because it does not survive all of it.

use std::collections::{HashMap, HashSet};

use img2pose_onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, shown, shown_node};

use super::tensors;

/// Most nodes of a graph that are believed; the published network has some hundred, and each costs ONNX Runtime time.
const MOST_NODES: usize = 50_000;

/// Integers of attributes that sizes are divided by or counted with, and the range in which they make sense.
const COUNTS: [(&str, i64, i64); 11] = [
    ("strides", 1, 1 << 16),
    ("dilations", 1, 1 << 16),
    ("kernel_shape", 1, 1 << 16),
    ("group", 1, 1 << 20),
    ("pads", 0, 1 << 16),
    ("output_padding", 0, 1 << 16),
    ("output_height", 1, 1 << 12),
    ("output_width", 1, 1 << 12),
    ("sampling_ratio", 0, 1 << 8),
    ("num_outputs", 1, 1 << 16),
    ("blocksize", 1, 1 << 16),
];

/// Integers of attributes that number an axis.
const AXES: [&str; 4] = ["axis", "axes", "batch_axis", "perm"];
/// Tensors of more dimensions do not occur.
const MOST_AXES: i64 = 64;

/// Checks what holds for every ONNX graph.
///
/// # Errors
/// A text that names the first node, tensor or attribute that cannot be.
pub(super) fn check(model: &ModelProto) -> Result<(), String> {
    let graph = model.graph.as_ref().ok_or("it has no graph")?;
    check_parts(graph)?;
    check_order(graph)
}

/// Every tensor and attribute, those of inner graphs, too. prost bounds how deep they can be.
fn check_parts(graph: &GraphProto) -> Result<(), String> {
    if graph.node.len() > MOST_NODES {
        return Err(format!(
            "it has {} nodes, expected at most {MOST_NODES}",
            graph.node.len()
        ));
    }
    let mut names = HashSet::new();
    for tensor in &graph.initializer {
        if tensor.name().is_empty() {
            return Err("it has a weight without a name".to_owned());
        }
        if !names.insert(tensor.name()) {
            return Err(format!("it has two weights '{}'", shown(tensor.name())));
        }
        tensors::check(tensor)?;
    }
    for node in &graph.node {
        check_node(node).map_err(|reason| format!("{} {reason}", shown_node(node)))?;
    }
    Ok(())
}

fn check_node(node: &NodeProto) -> Result<(), String> {
    if node.op_type().is_empty() {
        return Err("names no operator".to_owned());
    }
    if node.output.iter().all(String::is_empty) {
        return Err("has no output".to_owned());
    }
    for attribute in &node.attribute {
        check_attribute(attribute)?;
    }
    Ok(())
}

fn check_attribute(attribute: &AttributeProto) -> Result<(), String> {
    let name = attribute.name();
    let integers = || attribute.i.iter().chain(&attribute.ints).copied();
    let counts = COUNTS.iter().find(|(known, ..)| *known == name);
    let range = match counts {
        Some(&(_, least, most)) => Some(least..=most),
        None if AXES.contains(&name) => Some(-MOST_AXES..=MOST_AXES),
        None => None,
    };
    if let Some(range) = range
        && let Some(found) = integers().find(|number| !range.contains(number))
    {
        return Err(format!(
            "has {name} = {found}, expected {} to {}",
            range.start(),
            range.end()
        ));
    }
    let mut floats = attribute.f.iter().chain(&attribute.floats);
    if let Some(found) = floats.find(|number| number.is_nan()) {
        return Err(format!("has {} = {found}, expected a number", shown(name)));
    }
    // RoIAlign in ONNX Runtime turns coordinates to indices without looking.
    if name == "spatial_scale" && !attribute.f.is_some_and(|scale| scale > 0.0 && scale <= 1.0) {
        return Err(format!("has {name} = {}, expected up to 1", attribute.f()));
    }
    if let Some(tensor) = &attribute.t {
        tensors::check(tensor)?;
    }
    attribute.g.as_ref().map_or(Ok(()), check_parts)
}

fn outputs(node: &NodeProto) -> impl Iterator<Item = &String> {
    node.output.iter().filter(|name| !name.is_empty())
}

/// Each value is made once, of values that there are, and not of itself.
fn check_order(graph: &GraphProto) -> Result<(), String> {
    let given: HashSet<&str> = graph
        .input
        .iter()
        .map(|input| input.name())
        .chain(graph.initializer.iter().map(|tensor| tensor.name()))
        .collect();
    let mut makers = HashMap::new();
    for (number, node) in graph.node.iter().enumerate() {
        for output in outputs(node) {
            if given.contains(output.as_str()) || makers.insert(output.as_str(), number).is_some() {
                return Err(format!("tensor '{}' is made twice", shown(output)));
            }
        }
    }

    // Kahn's algorithm: a node is done when all that it takes is.
    let mut waits_for = vec![0_usize; graph.node.len()];
    let mut waiting: HashMap<&str, Vec<usize>> = HashMap::new();
    for (number, node) in graph.node.iter().enumerate() {
        for input in node.input.iter().filter(|name| !name.is_empty()) {
            if makers.contains_key(input.as_str()) {
                waits_for[number] += 1;
                waiting.entry(input).or_default().push(number);
            } else if !given.contains(input.as_str()) {
                return Err(format!("tensor '{}' is missing", shown(input)));
            }
        }
    }
    let mut ready: Vec<usize> = (0..waits_for.len())
        .filter(|&number| waits_for[number] == 0)
        .collect();
    let mut done = 0;
    while let Some(number) = ready.pop() {
        done += 1;
        for output in outputs(&graph.node[number]) {
            for &user in waiting.get(output.as_str()).into_iter().flatten() {
                waits_for[user] -= 1;
                if waits_for[user] == 0 {
                    ready.push(user);
                }
            }
        }
    }
    if done == graph.node.len() {
        return Ok(());
    }
    let around = waits_for
        .iter()
        .position(|&inputs| inputs > 0)
        .map(|number| &graph.node[number]);
    let output = around.and_then(|node| outputs(node).next());
    Err(format!(
        "its graph runs in a circle through or before tensor '{}'",
        output.map(|name| shown(name)).unwrap_or_default()
    ))
}
