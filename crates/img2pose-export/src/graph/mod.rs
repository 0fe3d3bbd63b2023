//! The whole network as an ONNX graph that keeps the contract.

mod backbone;
mod boxes;
mod heads;
mod pose;
mod proposals;
mod rotation;
mod weight;

use std::collections::HashMap;

use img2pose::contract::{self, Contract, FEATURE_LEVELS, PROPOSAL_LEVELS};
use img2pose_onnx::Dimension::{self, Fixed, Free};
use img2pose_onnx::data_type::{FLOAT, INT64};
use img2pose_onnx::{Builder, GraphProto, ValueInfoProto};

use crate::architecture::Architecture;

pub use weight::Storage;
pub(crate) use weight::Weight;

/// The network that is being written.
pub(crate) struct Network<'a> {
    architecture: &'a Architecture,
    contract: &'a Contract,
    /// Shapes of the checkpoint's tensors.
    shapes: HashMap<String, Vec<usize>>,
    graph: Builder,
    weights: Vec<Weight>,
    storage: Storage,
}

/// A graph, and the weights that belong to it.
pub(crate) struct Graph {
    pub proto: GraphProto,
    pub weights: Vec<Weight>,
}

/// Builds the graph of a network.
pub(crate) fn build(architecture: &Architecture, contract: &Contract, storage: Storage) -> Graph {
    let shapes = architecture.tensors().into_iter().collect();
    let mut network = Network {
        architecture,
        contract,
        shapes,
        graph: Builder::new(),
        weights: Vec::new(),
        storage,
    };
    network.dense();
    network.proposals();
    network.roi_align();
    network.class_head();
    let chosen = network.select();
    network.pose_head();
    network.faces(&chosen);
    let mut proto = network.graph.into_graph("img2pose");
    proto.input = inputs();
    proto.output = outputs();
    proto.value_info = cut_points(architecture, contract);
    Graph {
        proto,
        weights: network.weights,
    }
}

fn inputs() -> Vec<ValueInfoProto> {
    let images = [Free("batch"), Fixed(3), Free("height"), Free("width")];
    vec![
        value_info(contract::IMAGES, FLOAT, &images),
        value_info(contract::IMAGE_SIZE, INT64, &[Fixed(2)]),
    ]
}

fn outputs() -> Vec<ValueInfoProto> {
    let faces = || Free("faces");
    vec![
        value_info(contract::BOXES, FLOAT, &[faces(), Fixed(4)]),
        value_info(contract::SCORES, FLOAT, &[faces()]),
        value_info(contract::POSES, FLOAT, &[faces(), Fixed(6)]),
        value_info(contract::FRAMES, INT64, &[faces()]),
    ]
}

/// Types of the tensors at which the file may be cut.
fn cut_points(architecture: &Architecture, contract: &Contract) -> Vec<ValueInfoProto> {
    let level = |name: String, channels: usize, level: usize| {
        let (height, width) = (format!("height_{level}"), format!("width_{level}"));
        value_info(
            &name,
            FLOAT,
            &[Free("batch"), Fixed(channels), Free(&height), Free(&width)],
        )
    };
    let anchors = contract.proposals.aspect_ratios.len();
    let mut infos: Vec<_> = (0..FEATURE_LEVELS)
        .map(|i| level(contract::features(i), architecture.fpn, i))
        .collect();
    infos.extend((0..PROPOSAL_LEVELS).map(|i| level(contract::objectness(i), anchors, i)));
    infos.extend((0..PROPOSAL_LEVELS).map(|i| level(contract::deltas(i), 4 * anchors, i)));
    let side = contract.roi.output_size;
    let pooled = |rows| [Free(rows), Fixed(architecture.fpn), Fixed(side), Fixed(side)];
    infos.extend([
        value_info(contract::PROPOSALS, FLOAT, &[Free("proposals"), Fixed(4)]),
        value_info(contract::PROPOSAL_FRAMES, INT64, &[Free("proposals")]),
        value_info(contract::ROI_FEATURES, FLOAT, &pooled("proposals")),
        value_info(contract::CLASS_SCORES, FLOAT, &[Free("proposals")]),
        value_info(contract::POSE_ROI_FEATURES, FLOAT, &pooled("candidates")),
        value_info(contract::POSE_REGRESSION, FLOAT, &[Free("candidates"), Fixed(6)]),
    ]);
    infos
}

fn value_info(name: &str, elem_type: i32, shape: &[Dimension<'_>]) -> ValueInfoProto {
    ValueInfoProto::tensor(name, elem_type, Some(shape))
}
