//! The parts of a model for a device: features and pooled regions stay there from one part to the next.

use img2pose_onnx::attribute::int;
use img2pose_onnx::{
    Builder, Dimension, GraphProto, ModelProto, NodeProto, Value, ValueInfoProto, cut, data_type, encode,
    to_half,
};

use super::parts::dense_outputs;
use super::rcnn::RcnnModel;
use crate::Error;
use crate::contract::{self, FEATURE_LEVELS};

/// What the names of the nodes that are put into the parts begin with.
const PIECE: &str = "device";

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

impl RcnnModel<'_> {
    /// With `sums`, the dense part's last output is the sum of each frame's features.
    ///
    /// # Errors
    /// [`Error::Contract`] when the graph cannot be cut, or cannot be brought to 16 bits.
    pub(crate) fn device_parts(&self, half: HalfParts, sums: bool) -> Result<DeviceParts, Error> {
        self.cut_device_parts(half, sums)
            .map_err(|reason| Error::Contract {
                path: self.path.to_owned(),
                reason,
            })
    }

    fn cut_device_parts(&self, half: HalfParts, sums: bool) -> Result<DeviceParts, String> {
        let finish = |mut model: ModelProto, is_half: bool| {
            if is_half {
                to_half(&mut model)?;
            }
            encode(&model)
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
            dense: encode(&dense)?,
            regions: finish(self.regions()?, half.heads)?,
            poses: finish(self.poses()?, half.heads)?,
            dense_outputs,
        })
    }

    /// RoIAlign and the class head. The whole model sorts the boxes by level with nodes whose shapes depend on what they
    /// find, for which a GPU waits; here the processor has sorted them.
    fn regions(&self) -> Result<ModelProto, String> {
        let scores = [contract::CLASS_SCORES.to_owned()];
        let mut model = cut(
            self.proto,
            &[(contract::ROI_FEATURES, &self.region_dimensions())],
            &scores,
        )?;
        let whole = self.proto.graph.as_ref().ok_or("it has no graph")?;
        let graph = model.graph.as_mut().ok_or("it has no graph")?;

        let mut g = Builder::piece(PIECE);
        let boxes: [Value; FEATURE_LEVELS] = g.op_n("Split", &[BOXES, COUNTS], vec![int("axis", 0)]);
        let frames: [Value; FEATURE_LEVELS] = g.op_n("Split", &[FRAMES, COUNTS], vec![int("axis", 0)]);
        let mut pooled = Vec::new();
        for (level, (boxes, frames)) in boxes.iter().zip(&frames).enumerate() {
            let features = contract::features(level);
            // The model's own, with its attributes.
            let own = roi_align_of(whole, &features)?;
            pooled.push(g.like(own, &[&features, boxes, frames]));
        }
        g.op_to(contract::ROI_FEATURES, "Concat", &pooled, vec![int("axis", 0)]);
        put_before(graph, g);

        let fixed = Dimension::Fixed;
        graph.input = (0..FEATURE_LEVELS)
            .map(|level| {
                let shape = [
                    Dimension::Free("frames"),
                    fixed(self.channels),
                    Dimension::Free(["height_0", "height_1", "height_2", "height_3"][level]),
                    Dimension::Free(["width_0", "width_1", "width_2", "width_3"][level]),
                ];
                ValueInfoProto::tensor(&contract::features(level), data_type::FLOAT, Some(&shape))
            })
            .collect();
        let rows = || Dimension::Free("rows");
        graph.input.extend([
            ValueInfoProto::tensor(BOXES, data_type::FLOAT, Some(&[rows(), fixed(4)])),
            ValueInfoProto::tensor(FRAMES, data_type::INT64, Some(&[rows()])),
            ValueInfoProto::tensor(COUNTS, data_type::INT64, Some(&[fixed(FEATURE_LEVELS)])),
        ]);
        graph.output.push(ValueInfoProto::tensor(
            contract::ROI_FEATURES,
            data_type::FLOAT,
            None,
        ));
        Ok(model)
    }

    /// The pose head on some of the regions.
    fn poses(&self) -> Result<ModelProto, String> {
        let regions = self.region_dimensions();
        let poses = [contract::POSE_REGRESSION.to_owned()];
        let mut model = cut(self.proto, &[(contract::POSE_ROI_FEATURES, &regions)], &poses)?;
        let graph = model.graph.as_mut().ok_or("it has no graph")?;
        let mut g = Builder::piece(PIECE);
        let rows = [contract::ROI_FEATURES, ROWS];
        g.op_to(contract::POSE_ROI_FEATURES, "Gather", &rows, vec![int("axis", 0)]);
        put_before(graph, g);
        graph.input = vec![
            ValueInfoProto::tensor(contract::ROI_FEATURES, data_type::FLOAT, Some(&regions)),
            ValueInfoProto::tensor(ROWS, data_type::INT64, Some(&[Dimension::Free("wanted")])),
        ];
        Ok(model)
    }

    fn region_dimensions(&self) -> [Dimension<'static>; 4] {
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
    let mut g = Builder::piece(PIECE);
    let axes = g.i64s(&[1, 2, 3]);
    let mut sums = Vec::new();
    for level in 0..FEATURE_LEVELS {
        let inputs = [&contract::features(level), &axes];
        sums.push(g.op("ReduceSum", &inputs, vec![int("keepdims", 0)]));
    }
    // Sum is not known everywhere: a device would fetch each.
    let [first, second, third, fourth] = [&sums[0], &sums[1], &sums[2], &sums[3]];
    let (finer, coarser) = (g.binary("Add", first, second), g.binary("Add", third, fourth));
    g.op_to(SUMS, "Add", &[finer, coarser], vec![]);
    let (nodes, constants) = g.into_parts();
    graph.node.extend(nodes);
    graph.initializer.extend(constants);
    graph
        .output
        .push(ValueInfoProto::tensor(SUMS, data_type::FLOAT, None));
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

/// Puts a piece in front of the nodes of `graph`, which take what it makes.
pub(super) fn put_before(graph: &mut GraphProto, piece: Builder) {
    let (nodes, constants) = piece.into_parts();
    graph.node.splice(..0, nodes);
    graph.initializer.extend(constants);
}
