//! What the parts of a model have in common, and what is checked of them.

use img2pose_onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, shown, shown_node};

use super::tensors;
use crate::contract::{self, Contract, FEATURE_LEVELS, PROPOSAL_LEVELS};

/// Names of what the dense part gives: pyramid features, RPN logits, RPN deltas, in this order.
pub(super) fn dense_outputs() -> Vec<String> {
    (0..FEATURE_LEVELS)
        .map(contract::features)
        .chain((0..PROPOSAL_LEVELS).map(contract::objectness))
        .chain((0..PROPOSAL_LEVELS).map(contract::deltas))
        .collect()
}

/// Checks that every number that a part computes with is finite: those of weights, constants and attributes.
///
/// Only the parts: a constant of what chooses among the proposals may well be infinite.
///
/// # Errors
/// A text that names the weight or the node.
pub(super) fn check_finite(part: &ModelProto) -> Result<(), String> {
    let refused = |what: String| {
        Err(format!(
            "{what} holds infinity or not-a-number; the file or the checkpoint that it was made of is damaged"
        ))
    };
    let Some(graph) = &part.graph else { return Ok(()) };
    if let Some(weight) = graph
        .initializer
        .iter()
        .find(|tensor| !tensors::is_finite(tensor))
    {
        return refused(format!("weight '{}'", shown(weight.name())));
    }
    let damaged = |attribute: &AttributeProto| {
        let tensor = attribute
            .t
            .as_ref()
            .is_some_and(|tensor| !tensors::is_finite(tensor));
        tensor
            || attribute
                .f
                .iter()
                .chain(&attribute.floats)
                .any(|number| !number.is_finite())
    };
    for node in &graph.node {
        if let Some(attribute) = node.attribute.iter().find(|attribute| damaged(attribute)) {
            return refused(format!("'{}' of {}", shown(attribute.name()), shown_node(node)));
        }
    }
    Ok(())
}

/// Checks that the model pools its regions as its metadata says; the detector pools by the metadata, or by the nodes. Files
/// that pool by other nodes than RoIAlign are left to the comparison of `img2pose check`.
///
/// # Errors
/// A text that names the attribute.
pub(super) fn check_pooling(graph: &GraphProto, contract: &Contract) -> Result<(), String> {
    let roi = &contract.roi;
    for level in 0..FEATURE_LEVELS {
        let features = contract::features(level);
        let pools = graph.node.iter().filter(|node| {
            node.op_type() == "RoiAlign" && node.input.first().is_some_and(|name| *name == features)
        });
        for node in pools {
            let integers = [
                ("output_height", 1, roi.output_size),
                ("output_width", 1, roi.output_size),
                ("sampling_ratio", 0, roi.sampling_ratio),
            ];
            for (name, default, expected) in integers {
                let found = attribute(node, name).map_or(default, AttributeProto::i);
                if usize::try_from(found) != Ok(expected) {
                    return Err(format!(
                        "its RoIAlign of '{features}' has {name} = {found}, its metadata says {expected}"
                    ));
                }
            }
            let scale = attribute(node, "spatial_scale").map_or(1.0, AttributeProto::f);
            let stride = (4 << level) as f32;
            if scale != 1.0 / stride {
                return Err(format!(
                    "its RoIAlign of '{features}' has spatial_scale = {scale}, expected {}",
                    1.0 / stride
                ));
            }
        }
    }
    Ok(())
}

fn attribute<'n>(node: &'n NodeProto, name: &str) -> Option<&'n AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use img2pose_onnx::{TensorProto, data_type};

    fn part(weight: f32, attribute: AttributeProto) -> ModelProto {
        let tensor = |name: &str, number: f32| TensorProto {
            dims: vec![1],
            data_type: Some(data_type::FLOAT),
            name: Some(name.to_owned()),
            raw_data: Some(number.to_le_bytes().to_vec().into()),
            ..TensorProto::default()
        };
        let node = NodeProto {
            op_type: Some("Constant".to_owned()),
            output: vec!["half".to_owned()],
            attribute: vec![attribute],
            ..NodeProto::default()
        };
        let graph = GraphProto {
            initializer: vec![tensor("w", weight)],
            node: vec![node],
            ..GraphProto::default()
        };
        ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        }
    }

    /// A constant has no name of its own: the message once said "weight ''".
    #[test]
    fn a_constant_that_is_no_number_is_named_by_its_node() {
        type Change = fn(&mut AttributeProto, f32);
        let value = |name: &str, change: Change, number: f32| {
            let mut attribute = AttributeProto {
                name: Some(name.to_owned()),
                ..AttributeProto::default()
            };
            change(&mut attribute, number);
            check_finite(&part(1.0, attribute))
        };
        let tensor = |attribute: &mut AttributeProto, number: f32| {
            attribute.t = Some(TensorProto {
                data_type: Some(data_type::FLOAT),
                float_data: vec![0.5, number],
                ..TensorProto::default()
            });
        };
        let changes: [(&str, Change); 3] = [
            ("value", tensor),
            ("value_float", |attribute, number| attribute.f = Some(number)),
            ("value_floats", |attribute, number| {
                attribute.floats = vec![0.5, number]
            }),
        ];
        for (name, change) in changes {
            assert_eq!(value(name, change, 0.5), Ok(()));
            for number in [f32::NAN, f32::NEG_INFINITY] {
                let text = value(name, change, number).unwrap_err();
                let expected = format!("'{name}' of node 'half' (Constant) holds infinity");
                assert!(text.starts_with(&expected), "{text}");
            }
        }
        let text = check_finite(&part(f32::NAN, AttributeProto::default())).unwrap_err();
        assert!(text.starts_with("weight 'w' holds"), "{text}");
    }
}
