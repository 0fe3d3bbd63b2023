//! An img2pose network in a model file, and the parts that it is run in.

use std::path::Path;

use img2pose_onnx::{Dimension, Index, ModelProto, cut, encode};

use super::parts;
use crate::Error;
use crate::contract::{self, Contract, FEATURE_LEVELS, PROPOSAL_LEVELS};

/// What is known of an img2pose network beside its graph.
#[derive(Clone)]
pub(crate) struct RcnnFacts {
    pub contract: Contract,
    /// Channels of the pyramid features.
    pub channels: usize,
}

/// The img2pose network of a model file.
#[derive(Clone, Copy)]
pub(crate) struct RcnnModel<'m> {
    pub(super) path: &'m Path,
    pub(super) contract: &'m Contract,
    pub(super) channels: usize,
    pub(super) proto: &'m ModelProto,
}

/// The three networks that a detector runs, as ONNX files in memory, and the names of their outputs.
pub(crate) struct Parts {
    /// Network image to pyramid features (channels last), RPN logits and RPN deltas.
    pub dense: Vec<u8>,
    pub features: Vec<String>,
    pub objectness: Vec<String>,
    pub deltas: Vec<String>,
    /// Pooled regions (channels last) to face probability.
    pub class_head: Vec<u8>,
    /// Pooled regions (channels last) to normalised pose.
    pub pose_head: Vec<u8>,
}

/// The heads, each from its input to its output.
const HEADS: [(&str, &str); 2] = [
    (contract::ROI_FEATURES, contract::CLASS_SCORES),
    (contract::POSE_ROI_FEATURES, contract::POSE_REGRESSION),
];

impl RcnnModel<'_> {
    /// What a detector runs on the processor.
    ///
    /// # Errors
    /// [`Error::Contract`] when a part cannot be cut out.
    pub fn parts(&self) -> Result<Parts, Error> {
        self.cut_parts().map_err(|reason| Error::Contract {
            path: self.path.to_owned(),
            reason,
        })
    }

    /// Checks that every part can be cut out, and that the numbers in it are numbers, so that what reads a model refuses what
    /// a detector would.
    pub(super) fn check_parts(&self) -> Result<(), String> {
        let graph = self.proto.graph.as_ref().ok_or("it has no graph")?;
        parts::check_pooling(graph, self.contract)?;
        parts::check_finite(&self.cut_dense()?)?;
        for (input, output) in HEADS {
            let head = self.cut_head(input, output)?;
            img2pose_onnx::head_matrix(&head, input, self.channels, self.cells())?;
            parts::check_finite(&head)?;
        }
        Ok(())
    }

    pub(super) fn cut_dense(&self) -> Result<ModelProto, String> {
        let images = super::image_dimensions();
        cut(
            self.proto,
            &[(contract::IMAGES, &images)],
            &parts::dense_outputs(),
        )
    }

    fn cut_head(&self, input: &str, output: &str) -> Result<ModelProto, String> {
        let side = self.contract.roi.output_size;
        let regions = [
            Dimension::Free("regions"),
            Dimension::Fixed(side),
            Dimension::Fixed(side),
            Dimension::Fixed(self.channels),
        ];
        cut(self.proto, &[(input, &regions)], &[output.to_owned()])
    }

    /// Cells of a pooled region.
    fn cells(&self) -> usize {
        let side = self.contract.roi.output_size;
        side * side
    }

    fn cut_parts(&self) -> Result<Parts, String> {
        let mut features: Vec<String> = (0..FEATURE_LEVELS).map(contract::features).collect();
        let objectness: Vec<String> = (0..PROPOSAL_LEVELS).map(contract::objectness).collect();
        let deltas: Vec<String> = (0..PROPOSAL_LEVELS).map(contract::deltas).collect();
        let mut dense = self.cut_dense()?;
        for name in &mut features {
            *name = img2pose_onnx::output_channels_last(&mut dense, name);
        }

        let head = |(input, output): (&str, &str)| {
            let mut head = self.cut_head(input, output)?;
            img2pose_onnx::take_channels_last(&mut head, input, self.channels, self.cells())?;
            encode(&head)
        };
        let [class, pose] = HEADS;
        Ok(Parts {
            dense: encode(&dense)?,
            features,
            objectness,
            deltas,
            class_head: head(class)?,
            pose_head: head(pose)?,
        })
    }
}

/// Checks names and shapes; returns the number of feature channels.
pub(super) fn check_graph(proto: &ModelProto) -> Result<usize, String> {
    let graph = proto.graph.as_ref().ok_or("it has no graph")?;
    super::check_images(graph, contract::IMAGES)?;
    let index = Index::new(graph);
    let missing: Vec<String> = parts::dense_outputs()
        .into_iter()
        .chain(
            HEADS
                .iter()
                .flat_map(|(input, output)| [input, output].map(|name| (*name).to_owned())),
        )
        .filter(|name| index.maker(name).is_none())
        .collect();
    if !missing.is_empty() {
        return Err(format!("it lacks the tensors {}", missing.join(", ")));
    }
    channels(&index)
}

/// Channels of a pooled region: as many as the last convolution of the pyramid has.
fn channels(index: &Index<'_>) -> Result<usize, String> {
    /// The published network has 256.
    const MOST: usize = 1 << 14;
    let features = contract::features(0);
    let convolution = index
        .made_by(index.before_conversions(&features))
        .filter(|node| node.op_type() == "Conv");
    convolution
        .and_then(|node| node.input.get(1))
        .and_then(|weight| index.weight(index.before_conversions(weight)))
        .and_then(|tensor| usize::try_from(*tensor.dims.first()?).ok())
        .filter(|channels| (1..=MOST).contains(channels))
        .ok_or_else(|| format!("'{features}' is not made by a convolution of 1 to {MOST} channels"))
}
