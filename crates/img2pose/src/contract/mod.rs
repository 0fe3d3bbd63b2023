//! What an img2pose ONNX file promises: the names of its tensors and the facts in its metadata.
//!
//! There are two contracts. Version 1 is that of img2pose networks, and the rest of this page; version 2 is that of two small
//! networks in one file, of which one finds faces and the other looks at each of them: [`PairContract`]. [`Facts`] is either.
//!
//! One standard ONNX file holds the whole detector. It runs end to end in plain ONNX Runtime, and it can be
//! run in parts, because the tensors between the stages have the names below. All numbers that the stages need
//! (sizes, normalisation, anchors, thresholds, pose statistics, reference points) stand in one JSON object under
//! the metadata key [`METADATA_KEY`], so that a reader needs nothing but the file.
//!
//! | tensor | type, shape | what |
//! |---|---|---|
//! | [`IMAGES`] (input) | f32 `[batch, 3, height, width]` | resized RGB frames, normalised by `image_mean`/`image_std`, zero-padded right and bottom to a multiple of `size_divisor` |
//! | [`IMAGE_SIZE`] (input) | i64 `[2]` | height and width before padding, the same for the whole batch |
//! | [`features`] 0..=3 | f32 `[batch, channels, h, w]` | FPN levels of stride 4, 8, 16, 32 |
//! | [`objectness`] 0..=4 | f32 `[batch, 3, h, w]` | RPN logits, one per anchor ratio; level 4 is the pooled level |
//! | [`deltas`] 0..=4 | f32 `[batch, 12, h, w]` | RPN box deltas `dx, dy, dw, dh` per anchor ratio |
//! | [`PROPOSALS`] | f32 `[p, 4]` | `x_min, y_min, x_max, y_max` in pixels of the resized frame |
//! | [`PROPOSAL_FRAMES`] | i64 `[p]` | index in the batch of each proposal, rising |
//! | [`ROI_FEATURES`] | f32 `[p, channels, 7, 7]` | RoIAlign of every proposal |
//! | [`CLASS_SCORES`] | f32 `[p]` | probability that the proposal is a face |
//! | [`POSE_ROI_FEATURES`] | f32 `[q, channels, 7, 7]` | rows of [`ROI_FEATURES`] whose score passed `score_floor` |
//! | [`POSE_REGRESSION`] | f32 `[q, 6]` | raw pose head output: `rx, ry, rz, tx, ty, tz`, normalised, in the proposal's own camera |
//! | [`BOXES`] (output) | f32 `[n, 4]` | face boxes in pixels of the resized frame |
//! | [`SCORES`] (output) | f32 `[n]` | confidence, above `score_floor` |
//! | [`POSES`] (output) | f32 `[n, 6]` | pose in the camera of the whole frame |
//! | [`FRAMES`] (output) | i64 `[n]` | index in the batch of each face, rising; within a frame the scores fall |

mod facts;
mod images;
mod pair;
mod reference_points;
mod validate;

use serde::{Deserialize, Serialize};

pub use facts::Facts;
pub use images::ImageFacts;
#[cfg(test)]
pub(crate) use pair::tests as pair_tests;
pub(crate) use pair::{ANSWER, ANSWER_POINTS, ANSWER_PRESENCE, ANSWER_SPREAD, CELL};
pub use pair::{
    Ends, FIND_AND_LOOK, PAIR_CONTRACT_VERSION, PairContract, PairNetworks, SecondLook, SigmaFacts,
};
pub use reference_points::{REFERENCE_POINTS_5, REFERENCE_POINTS_68};
pub use validate::ContractError;

/// The version of the contract of img2pose networks.
pub const CONTRACT_VERSION: u32 = 1;

/// Metadata key under which the [`Contract`] stands in the ONNX file, as JSON.
pub const METADATA_KEY: &str = "img2pose";

/// Number of pyramid levels that regions are pooled from.
pub const FEATURE_LEVELS: usize = 4;
/// Number of pyramid levels that propose regions: the [`FEATURE_LEVELS`] and one pooled level above.
pub const PROPOSAL_LEVELS: usize = 5;

/// Input: the batch of network images.
pub const IMAGES: &str = "images";
/// Input: height and width of the images before padding.
pub const IMAGE_SIZE: &str = "image_size";
/// Cut point: boxes of the proposals.
pub const PROPOSALS: &str = "proposals";
/// Cut point: frame index of each proposal.
pub const PROPOSAL_FRAMES: &str = "proposal_frames";
/// Cut point: pooled features of each proposal; input of the class head.
pub const ROI_FEATURES: &str = "roi_features";
/// Cut point: face probability of each proposal.
pub const CLASS_SCORES: &str = "class_scores";
/// Cut point: pooled features of the proposals whose pose is wanted; input of the pose head.
pub const POSE_ROI_FEATURES: &str = "pose_roi_features";
/// Cut point: raw output of the pose head.
pub const POSE_REGRESSION: &str = "pose_regression";
/// Output: face boxes.
pub const BOXES: &str = "boxes";
/// Output: face confidences.
pub const SCORES: &str = "scores";
/// Output: face poses.
pub const POSES: &str = "poses";
/// Output: frame index of each face.
pub const FRAMES: &str = "frames";

/// Cut point: name of the FPN level `level`, 0 (stride 4) to 3 (stride 32).
pub fn features(level: usize) -> String {
    format!("features_{level}")
}

/// Cut point: name of the RPN logits of `level`, 0 to 4.
pub fn objectness(level: usize) -> String {
    format!("objectness_{level}")
}

/// Cut point: name of the RPN box deltas of `level`, 0 to 4.
pub fn deltas(level: usize) -> String {
    format!("deltas_{level}")
}

/// The facts about a model that the detector needs beside its weights; [`validate`](Contract::validate) knows their ranges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contract {
    /// Version of the contract, [`CONTRACT_VERSION`].
    pub contract_version: u32,
    /// Body of the network, such as `resnet18-fpn`.
    pub architecture: String,
    /// Default size in pixels of the short side of the resized frame.
    pub min_size: u32,
    /// Upper bound in pixels of the long side of the resized frame.
    pub max_size: u32,
    /// The network image is padded to a multiple of this, in pixels.
    pub size_divisor: u32,
    /// Mean of R, G, B in 0..1, taken off before the network.
    pub image_mean: [f32; 3],
    /// Standard deviation of R, G, B in 0..1.
    pub image_std: [f32; 3],
    /// How proposals are made.
    pub proposals: ProposalContract,
    /// How regions are pooled.
    pub roi: RoiContract,
    /// Lowest score that the end-to-end outputs contain.
    pub score_floor: f32,
    /// Proposals with a side shorter than this, in pixels, give no face.
    pub min_box_side: f32,
    /// Two faces whose boxes overlap by more than this IoU are one face.
    pub nms_threshold: f32,
    /// Face box: width of the projected landmarks times this.
    pub bbox_x_factor: f32,
    /// Face box: height of the projected landmarks times this.
    pub bbox_y_factor: f32,
    /// Face box: share of the landmarks' height that is added on the forehead's side.
    pub expand_forehead: f32,
    /// Mean of `rx, ry, rz, tx, ty, tz` over the training poses.
    pub pose_mean: [f64; 6],
    /// Standard deviation of the same.
    pub pose_stddev: [f64; 6],
    /// Head model: 68 landmarks, see [`REFERENCE_POINTS_68`].
    pub reference_points: Vec<[f32; 3]>,
    /// Epsilon with which batch norm was folded into the weights.
    pub batch_norm_epsilon: f64,
    /// SHA-256 of the checkpoint file, lower-case hex.
    pub source_sha256: String,
    /// Licence of the weights, in words.
    pub licence: String,
}

/// Numbers of the region proposal stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProposalContract {
    /// Anchor size in pixels for each of the [`PROPOSAL_LEVELS`].
    pub anchor_sizes: [f32; PROPOSAL_LEVELS],
    /// Height over width of the anchors at each location.
    pub aspect_ratios: [f32; 3],
    /// Best anchors by score that each level keeps before suppression.
    pub pre_nms_top_n: usize,
    /// Best proposals by score that a frame keeps after suppression.
    pub post_nms_top_n: usize,
    /// Two proposals of one level that overlap by more than this IoU are one proposal.
    pub nms_threshold: f32,
    /// Proposals with a side shorter than this, in pixels, are dropped.
    pub min_box_side: f32,
}

/// Numbers of the RoIAlign stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoiContract {
    /// Bins along each side.
    pub output_size: usize,
    /// Samples along each side of a bin.
    pub sampling_ratio: usize,
    /// Side in pixels of a region that is pooled from `canonical_level`.
    pub canonical_size: f32,
    /// Level (as log2 of its stride) for regions of `canonical_size`.
    pub canonical_level: i32,
}

impl Contract {
    /// The numbers of the reference implementation, for a checkpoint with the given statistics.
    ///
    /// `min_size` is 640 and `max_size` 1400, the defaults of the img2pose library; everything else is the
    /// configuration with which the published weights are evaluated.
    pub fn reference(architecture: &str, pose_mean: [f64; 6], pose_stddev: [f64; 6]) -> Self {
        Self {
            contract_version: CONTRACT_VERSION,
            architecture: architecture.to_owned(),
            min_size: 640,
            max_size: 1400,
            size_divisor: 32,
            image_mean: [0.485, 0.456, 0.406],
            image_std: [0.229, 0.224, 0.225],
            proposals: ProposalContract {
                anchor_sizes: [16.0, 32.0, 64.0, 128.0, 256.0],
                aspect_ratios: [0.5, 1.0, 2.0],
                pre_nms_top_n: 6000,
                post_nms_top_n: 1000,
                nms_threshold: 0.4,
                min_box_side: 1e-3,
            },
            roi: RoiContract {
                output_size: 7,
                sampling_ratio: 2,
                canonical_size: 224.0,
                canonical_level: 4,
            },
            score_floor: 0.05,
            min_box_side: 1e-2,
            nms_threshold: 0.5,
            bbox_x_factor: 1.1,
            bbox_y_factor: 1.1,
            expand_forehead: 0.3,
            pose_mean,
            pose_stddev,
            reference_points: REFERENCE_POINTS_68.to_vec(),
            batch_norm_epsilon: 1e-5,
            source_sha256: String::new(),
            licence: String::new(),
        }
    }

    /// What its network images are made by.
    pub fn images(&self) -> ImageFacts {
        ImageFacts {
            min_size: self.min_size,
            max_size: self.max_size,
            size_divisor: self.size_divisor,
            image_mean: self.image_mean,
            image_std: self.image_std,
            is_smoothed: false,
        }
    }
}
