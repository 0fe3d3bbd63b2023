//! The parts of a model for a device: features and pooled regions stay there from one part to the next.

use super::Model;
use super::cut::{self, Dimension};
use super::fp16::to_half;
use super::parts::dense_outputs;
use crate::Error;
use crate::contract::{self, FEATURE_LEVELS};
use crate::onnx::{GraphProto, ModelProto, NodeProto, TensorProto, attribute, data_type};

/// Input of the regions part: boxes in pixels of the resized frame, `[rows, 4]`, those of the finest level first.
const BOXES: &str = "boxes";
/// Input of the regions part: the frame of each box, `[rows]`.
const FRAMES: &str = "box_frames";
/// Input of the regions part: how many boxes each level has, `[FEATURE_LEVELS]`.
const COUNTS: &str = "level_counts";
/// Input of the pose part: which pooled regions are wanted, `[wanted]`.
const ROWS: &str = "wanted_rows";

/// Output of the dense part: the sum of each frame's features, `[frames]`.
const SUMS: &str = "feature_sums";

/// The three networks that a detector runs on a device, as ONNX files in memory.
pub(crate) struct DeviceParts {
    /// Network image to pyramid features `[frames, channels, h, w]`, RPN logits and RPN deltas, maybe [`SUMS`]; outputs in this
    /// order.
    pub dense: Vec<u8>,
    /// Features of all levels, boxes, their frames and the levels' counts to face probabilities and pooled regions.
    pub regions: Vec<u8>,
    /// Pooled regions and the wanted rows to normalised poses.
    pub poses: Vec<u8>,
    /// Names of the outputs of `dense`.
    pub dense_outputs: Vec<String>,
}

/// Which of the parts compute with 16-bit floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HalfParts {
    pub dense: bool,
    pub heads: bool,
}

impl Model {
    /// With `sums`, the dense part's last output is the sum of each frame's features.
    ///
    /// # Errors
    /// [`Error::Contract`] when the graph cannot be cut, or cannot be brought to 16 bits.
    pub(crate) fn device_parts(&self, half: HalfParts, sums: bool) -> Result<DeviceParts, Error> {
        self.cut_device_parts(half, sums)
            .map_err(|reason| Error::Contract {
                path: self.path.clone(),
                reason,
            })
    }

    fn cut_device_parts(&self, half: HalfParts, sums: bool) -> Result<DeviceParts, String> {
        let finish = |mut model: ModelProto, is_half: bool| {
            if is_half {
                to_half(&mut model)?;
            }
            cut::encode(&model)
        };
        let mut dense = self.cut_dense()?;
        if half.dense {
            to_half(&mut dense)?;
        }
        let mut dense_outputs = dense_outputs();
        if sums {
            sum_features(&mut dense);
            dense_outputs.push(SUMS.to_owned());
        }
        Ok(DeviceParts {
            dense: cut::encode(&dense)?,
            regions: finish(self.regions()?, half.heads)?,
            poses: finish(self.poses()?, half.heads)?,
            dense_outputs,
        })
    }

    /// RoIAlign and the class head. The whole model sorts the boxes by level with nodes whose shapes depend on what they
    /// find, for which a GPU waits; here the processor has sorted them.
    fn regions(&self) -> Result<ModelProto, String> {
        let scores = [contract::CLASS_SCORES.to_owned()];
        let mut model = cut::cut(
            &self.proto,
            &[(contract::ROI_FEATURES, &self.region_dimensions())],
            &scores,
        )?;
        let whole = self.proto.graph.as_ref().ok_or("it has no graph")?;
        let graph = model.graph.as_mut().ok_or("it has no graph")?;

        let per_level = |what: &str| -> Vec<String> {
            (0..FEATURE_LEVELS)
                .map(|level| format!("{what}_{level}"))
                .collect()
        };
        let (boxes, frames, pooled) = (per_level(BOXES), per_level(FRAMES), per_level("pooled"));
        let mut nodes = vec![
            node("Split", &[BOXES, COUNTS], &boxes, &[("axis", 0)]),
            node("Split", &[FRAMES, COUNTS], &frames, &[("axis", 0)]),
        ];
        for level in 0..FEATURE_LEVELS {
            // The model's own, with its attributes.
            let features = contract::features(level);
            let own = roi_align_of(whole, &features)?;
            nodes.push(NodeProto {
                input: vec![features, boxes[level].clone(), frames[level].clone()],
                output: vec![pooled[level].clone()],
                ..own.clone()
            });
        }
        let pooled: Vec<&str> = pooled.iter().map(String::as_str).collect();
        nodes.push(node(
            "Concat",
            &pooled,
            &[contract::ROI_FEATURES.to_owned()],
            &[("axis", 0)],
        ));
        nodes.append(&mut graph.node);
        graph.node = nodes;

        let fixed = Dimension::Fixed;
        graph.input = (0..FEATURE_LEVELS)
            .map(|level| {
                let shape = [
                    Dimension::Free("frames"),
                    fixed(self.channels),
                    Dimension::Free(["height_0", "height_1", "height_2", "height_3"][level]),
                    Dimension::Free(["width_0", "width_1", "width_2", "width_3"][level]),
                ];
                cut::tensor_value(&contract::features(level), data_type::FLOAT, Some(&shape))
            })
            .collect();
        let rows = || Dimension::Free("rows");
        graph.input.extend([
            cut::tensor_value(BOXES, data_type::FLOAT, Some(&[rows(), fixed(4)])),
            cut::tensor_value(FRAMES, data_type::INT64, Some(&[rows()])),
            cut::tensor_value(COUNTS, data_type::INT64, Some(&[fixed(FEATURE_LEVELS)])),
        ]);
        graph
            .output
            .push(cut::tensor_value(contract::ROI_FEATURES, data_type::FLOAT, None));
        Ok(model)
    }

    /// The pose head on some of the regions.
    fn poses(&self) -> Result<ModelProto, String> {
        let regions = self.region_dimensions();
        let poses = [contract::POSE_REGRESSION.to_owned()];
        let mut model = cut::cut(&self.proto, &[(contract::POSE_ROI_FEATURES, &regions)], &poses)?;
        let graph = model.graph.as_mut().ok_or("it has no graph")?;
        let wanted = [contract::POSE_ROI_FEATURES.to_owned()];
        graph.node.insert(
            0,
            node("Gather", &[contract::ROI_FEATURES, ROWS], &wanted, &[("axis", 0)]),
        );
        graph.input = vec![
            cut::tensor_value(contract::ROI_FEATURES, data_type::FLOAT, Some(&regions)),
            cut::tensor_value(ROWS, data_type::INT64, Some(&[Dimension::Free("wanted")])),
        ];
        Ok(model)
    }

    fn region_dimensions(&self) -> [Dimension; 4] {
        let side = self.contract.roi.output_size;
        [
            Dimension::Free("rows"),
            Dimension::Fixed(self.channels),
            Dimension::Fixed(side),
            Dimension::Fixed(side),
        ]
    }
}

/// Adds the output [`SUMS`], `[frames]`: what is infinite or no number stays so in a sum, and the features need not leave the
/// device to be looked at.
fn sum_features(dense: &mut ModelProto) {
    let Some(graph) = dense.graph.as_mut() else { return };
    let axes = "feature_axes";
    graph.initializer.push(TensorProto {
        dims: vec![3],
        data_type: Some(data_type::INT64),
        name: Some(axes.to_owned()),
        raw_data: Some([1_i64, 2, 3].map(i64::to_le_bytes).concat().into()),
        ..TensorProto::default()
    });
    let sums: Vec<String> = (0..FEATURE_LEVELS)
        .map(|level| format!("{SUMS}_{level}"))
        .collect();
    for (level, sum) in sums.iter().enumerate() {
        let features = contract::features(level);
        let output = std::slice::from_ref(sum);
        graph
            .node
            .push(node("ReduceSum", &[&features, axes], output, &[("keepdims", 0)]));
    }
    let sums: Vec<&str> = sums.iter().map(String::as_str).collect();
    graph.node.push(node("Sum", &sums, &[SUMS.to_owned()], &[]));
    graph.output.push(cut::tensor_value(SUMS, data_type::FLOAT, None));
}

fn roi_align_of<'g>(graph: &'g GraphProto, features: &str) -> Result<&'g NodeProto, String> {
    let mut pools = graph.node.iter().filter(|node| {
        node.op_type() == "RoiAlign" && node.input.first().is_some_and(|name| name == features)
    });
    match (pools.next(), pools.next()) {
        (Some(node), None) => Ok(node),
        _ => Err(format!(
            "'{features}' is not pooled by exactly one RoiAlign, which a GPU needs; convert the checkpoint again with \
             img2pose convert"
        )),
    }
}

fn node(operator: &str, input: &[&str], output: &[String], attributes: &[(&str, i64)]) -> NodeProto {
    NodeProto {
        input: input.iter().map(|name| (*name).to_owned()).collect(),
        name: Some(format!("device/{operator}/{}", output[0])),
        output: output.to_vec(),
        op_type: Some(operator.to_owned()),
        attribute: attributes
            .iter()
            .map(|(name, value)| attribute::int(name, *value))
            .collect(),
        ..NodeProto::default()
    }
}
