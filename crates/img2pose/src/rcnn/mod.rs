//! The second half of an img2pose network that is no convolution: from RPN outputs to proposals, from proposals to pooled
//! features, and from scored proposals to faces.

mod faces;
mod levels;
mod nms;
mod proposals;
mod region_faces;
mod roi_align;

pub(crate) use faces::{ScoredProposal, choose_wanted, is_wanted, process_prediction, set_poses};
pub(crate) use levels::{FeatureLevels, RpnLevels};
pub(crate) use nms::Kept;
pub(crate) use proposals::{LevelOutput, ProposalMaker};
pub(crate) use region_faces::{RegionWork, process_regions};
pub(crate) use roi_align::{LevelFeatures, level_of, roi_align};
