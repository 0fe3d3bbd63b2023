//! What the parts of a model have in common, and what is checked of them.

use super::tensors;
use crate::contract::{self, Contract, FEATURE_LEVELS, PROPOSAL_LEVELS};
use crate::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto};

/// Names of what the dense part gives: pyramid features, RPN logits, RPN deltas, in this order.
pub(super) fn dense_outputs() -> Vec<String> {
    (0..FEATURE_LEVELS)
        .map(contract::features)
        .chain((0..PROPOSAL_LEVELS).map(contract::objectness))
        .chain((0..PROPOSAL_LEVELS).map(contract::deltas))
        .collect()
}

/// Checks that no number that a part computes with is infinite or not-a-number.
///
/// Only the parts: a constant of what chooses among the proposals may well be infinite.
///
/// # Errors
/// A text that names the weight.
pub(super) fn check_finite(part: &ModelProto) -> Result<(), String> {
    let graphs = || part.graph.iter();
    let attributes = graphs()
        .flat_map(|graph| &graph.node)
        .flat_map(|node| &node.attribute);
    graphs()
        .flat_map(|graph| &graph.initializer)
        .chain(attributes.filter_map(|attribute| attribute.t.as_ref()))
        .try_for_each(tensors::check_finite)
}

/// Checks that the model pools its regions as its metadata says; the detector pools by the metadata, or by the nodes. Files
/// that pool by other nodes than RoIAlign are left to the comparison of `img2pose-export check`.
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
