//! Damage to models that keeps them ONNX files: what random bytes hardly ever reach.

use img2pose_onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, attribute, data_type};

/// Changes one thing in `model`, as the numbers that `random` gives say.
pub fn damage(model: &mut ModelProto, random: &mut impl FnMut() -> u64) {
    if random().is_multiple_of(4) {
        return damage_metadata(model, random);
    }
    let Some(graph) = model.graph.as_mut() else { return };
    match random() % 4 {
        0 => damage_weight(graph, random),
        1 => damage_attribute(graph, random),
        _ => damage_node(graph, random),
    }
}

/// An integer of the kind that breaks things.
fn integer(random: &mut impl FnMut() -> u64) -> i64 {
    const EDGES: [i64; 14] = [
        0,
        1,
        -1,
        2,
        3,
        7,
        64,
        1 << 31,
        1 << 32,
        1 << 62,
        i64::MAX,
        i64::MIN,
        i32::MIN as i64,
        1000,
    ];
    EDGES[random() as usize % EDGES.len()]
}

fn float(random: &mut impl FnMut() -> u64) -> f32 {
    const EDGES: [f32; 11] = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN_POSITIVE,
        1e-42,
        70_000.0,
    ];
    EDGES[random() as usize % EDGES.len()]
}

fn pick<'a, T>(values: &'a mut [T], random: &mut impl FnMut() -> u64) -> Option<&'a mut T> {
    let count = values.len().max(1);
    values.get_mut(random() as usize % count)
}

/// The name of a value somewhere in the graph, or one that nothing has.
fn name(graph: &GraphProto, random: &mut impl FnMut() -> u64) -> String {
    let number = random() as usize;
    let of_node = |node: &NodeProto| {
        let names = node.input.iter().chain(&node.output);
        names.clone().nth(number % names.count().max(1)).cloned()
    };
    match random() % 8 {
        0 => String::new(),
        1 => "nowhere".to_owned(),
        2 if !graph.initializer.is_empty() => graph.initializer[number % graph.initializer.len()]
            .name()
            .to_owned(),
        _ if !graph.node.is_empty() => {
            of_node(&graph.node[random() as usize % graph.node.len()]).unwrap_or_default()
        }
        _ => "images".to_owned(),
    }
}

fn damage_node(graph: &mut GraphProto, random: &mut impl FnMut() -> u64) {
    const OPERATORS: [&str; 12] = [
        "",
        "Cast",
        "DequantizeLinear",
        "QuantizeLinear",
        "Relu",
        "Conv",
        "Gemm",
        "Flatten",
        "Identity",
        "RoiAlign",
        "Split",
        "Nonsense",
    ];
    let value = name(graph, random);
    let kind = random() % 9;
    let index = random() as usize % graph.node.len().max(1);
    let Some(node) = graph.node.get_mut(index) else {
        return;
    };
    match kind {
        0 => drop(graph.node.remove(index)),
        1 => {
            let copy = node.clone();
            graph.node.push(copy);
        }
        2 => {
            let operator = OPERATORS[random() as usize % OPERATORS.len()];
            node.op_type = Some(operator.to_owned());
        }
        3 => drop(node.input.pop()),
        4 => node.input.push(value),
        5 => node.output.clear(),
        6 => node.output.push(value),
        7 => {
            // A conversion in front of an input.
            let Some(input) = pick(&mut node.input, random) else {
                return;
            };
            let before = std::mem::replace(input, format!("{value}/converted"));
            let converted = input.clone();
            graph.node.push(NodeProto {
                input: vec![before, value],
                output: vec![converted],
                op_type: Some(OPERATORS[1 + random() as usize % 3].to_owned()),
                attribute: vec![attribute::int("to", 1), attribute::int("axis", 0)],
                ..NodeProto::default()
            });
        }
        _ => {
            if let Some(input) = pick(&mut node.input, random) {
                *input = value;
            }
        }
    }
}

fn damage_attribute(graph: &mut GraphProto, random: &mut impl FnMut() -> u64) {
    let Some(node) = pick(&mut graph.node, random) else {
        return;
    };
    let kind = random() % 6;
    let (number, real) = (integer(random), float(random));
    let Some(attribute) = pick(&mut node.attribute, random) else {
        return;
    };
    match kind {
        0 => attribute.ints.clear(),
        1 => attribute.ints.push(number),
        2 => attribute.i = None,
        3 => {
            attribute.t = Some(TensorProto {
                dims: vec![number],
                data_type: Some(data_type::FLOAT),
                ..TensorProto::default()
            });
        }
        4 => *attribute = AttributeProto::default(),
        _ => {
            attribute.i = attribute.i.map(|_| number);
            attribute.f = attribute.f.map(|_| real);
            if let Some(one) = pick(&mut attribute.ints, random) {
                *one = number;
            }
        }
    }
}

fn damage_weight(graph: &mut GraphProto, random: &mut impl FnMut() -> u64) {
    let kind = random() % 8;
    let (number, real) = (integer(random), float(random));
    let other = name(graph, random);
    let Some(tensor) = pick(&mut graph.initializer, random) else {
        return;
    };
    match kind {
        0 => tensor.dims.push(number),
        1 => drop(tensor.dims.pop()),
        2 => tensor.data_type = Some((number as i32).rem_euclid(24)),
        3 => tensor.data_location = Some(1),
        4 => tensor.raw_data = None,
        5 => tensor.name = Some(other),
        6 => {
            let mut raw = tensor.raw_data.take().unwrap_or_default().to_vec();
            if raw.len() >= 4 && tensor.data_type() == data_type::FLOAT {
                let place = random() as usize % (raw.len() / 4) * 4;
                raw[place..place + 4].copy_from_slice(&real.to_le_bytes());
            }
            tensor.raw_data = Some(raw.into());
        }
        _ => {
            if let Some(one) = pick(&mut tensor.dims, random) {
                *one = number;
            }
        }
    }
}

fn damage_metadata(model: &mut ModelProto, random: &mut impl FnMut() -> u64) {
    let Some(entry) = pick(&mut model.metadata_props, random) else {
        return;
    };
    let Ok(mut facts) = serde_json::from_str::<serde_json::Value>(entry.value()) else {
        return;
    };
    // Down to a number, a text or a list.
    let mut fact = &mut facts;
    while let serde_json::Value::Object(fields) = fact {
        let count = fields.len().max(1);
        match fields.values_mut().nth(random() as usize % count) {
            Some(inner) => fact = inner,
            None => return,
        }
    }
    let number = match random() % 2 {
        0 => serde_json::json!(integer(random)),
        _ => serde_json::json!(float(random)),
    };
    match fact {
        serde_json::Value::Array(values) => {
            if let Some(one) = pick(values, random) {
                *one = number;
            }
        }
        fact => *fact = number,
    }
    entry.value = Some(facts.to_string());
}
