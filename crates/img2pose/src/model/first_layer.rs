//! How much memory the beginning of a network takes.

use img2pose_onnx::{GraphProto, Index, NodeProto};

/// Operators that leave the size of an image as it is.
const SAME_SIZE: [&str; 8] = [
    "Add",
    "Cast",
    "DequantizeLinear",
    "Div",
    "Identity",
    "Mul",
    "QuantizeLinear",
    "Sub",
];
/// The three channels of a network image.
const CHANNELS: f64 = 3.0;
const FLOAT: f64 = size_of::<f32>() as f64;

/// Bytes for each pixel of the network image `images` that the first convolution of `graph` holds at once: the image and its
/// own output, in 32 bits. A lower bound of what a run takes: all of it is touched, and nothing can be freed before. Files that
/// compute in 8 bits take no less: what such a convolution saves it needs for its rearranged input.
pub(super) fn bytes_per_pixel(graph: &GraphProto, images: &str) -> f64 {
    let index = Index::new(graph);
    let mut names = vec![images];
    let mut convolution = None;
    // A damaged graph may run in circles.
    for _ in 0..graph.node.len() {
        let Some(name) = names.pop() else { break };
        for node in index.users(name) {
            match node.op_type() {
                "Conv" => convolution = Some(node),
                kind if SAME_SIZE.contains(&kind) => names.extend(node.output.iter().map(String::as_str)),
                _ => {}
            }
        }
        if convolution.is_some() {
            break;
        }
    }
    let output = convolution.and_then(|node| output_of(node, &index));
    FLOAT * (CHANNELS + output.unwrap_or_default())
}

/// Numbers that a convolution gives for each pixel that it is given.
fn output_of(convolution: &NodeProto, index: &Index<'_>) -> Option<f64> {
    let weight = index.weight(index.before_conversions(convolution.input.get(1)?))?;
    let channels = *weight.dims.first()? as f64;
    let strides = convolution
        .attribute
        .iter()
        .find(|attribute| attribute.name() == "strides");
    let step: f64 = strides.map_or(1.0, |strides| {
        strides.ints.iter().map(|&stride| stride as f64).product()
    });
    Some(channels / step.max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Model;
    use crate::contract::IMAGES;

    #[test]
    fn the_shipped_networks_begin_with_32_channels_at_half_the_size() {
        for path in [
            test_support::shipped_model(),
            test_support::shipped_model_in_8_bits(),
        ] {
            let model = Model::open(&path).unwrap();
            let graph = model.proto.graph.as_ref().unwrap();
            assert_eq!(
                bytes_per_pixel(graph, IMAGES),
                4.0 * (3.0 + 32.0 / 4.0),
                "{}",
                path.display()
            );
        }
    }

    #[test]
    fn a_graph_without_a_convolution_holds_its_image() {
        assert_eq!(bytes_per_pixel(&GraphProto::default(), IMAGES), 12.0);
    }
}
