//! From scored proposals and raw poses to the faces of a frame.

use super::Kept;
use crate::contract::Contract;
use crate::face::Face;
use crate::frame::{FrameLayout, NetworkSize};
use crate::options::Selection;
use crate::pose::{Camera, FaceBox, face_box, keypoints_by, to_frame_camera, turn_pose};

/// A proposal that passed the threshold, with the network's answer for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScoredProposal {
    /// Place among the proposals of the frame: decides between equal scores.
    pub rank: usize,
    /// `x_min, y_min, x_max, y_max` in pixels of the resized frame.
    pub proposal: [f32; 4],
    pub score: f32,
    /// Raw output of the pose head: normalised, in the proposal's camera.
    pub pose: [f32; 6],
}

impl ScoredProposal {
    /// A proposal whose pose is not known yet.
    pub fn new(rank: usize, proposal: [f32; 4], score: f32) -> Self {
        Self {
            rank,
            proposal,
            score,
            pose: [0.0; 6],
        }
    }
}

/// Gives proposals their poses, six numbers each in `poses`.
pub(crate) fn set_poses(proposals: &mut [ScoredProposal], poses: &[f32]) {
    for (proposal, pose) in proposals.iter_mut().zip(poses.chunks_exact(6)) {
        proposal.pose.copy_from_slice(pose);
    }
}

/// Whether a proposal with this score can become a face: the caller runs the pose head for these only. A lower
/// score never suppresses a higher one, so leaving the others out changes no face.
pub(crate) fn is_wanted(proposal: &[f32; 4], score: f32, selection: &Selection, contract: &Contract) -> bool {
    let side = contract.min_box_side;
    score > contract.score_floor
        && score >= selection.score_threshold
        && proposal[2] - proposal[0] >= side
        && proposal[3] - proposal[1] >= side
}

/// Puts the proposals that can become faces into `wanted`, and their pooled regions, `region` numbers each, at the front
/// of `regions`, both in the order of `proposals`.
pub(crate) fn choose_wanted(
    proposals: &[[f32; 4]],
    scores: &[f32],
    selection: &Selection,
    contract: &Contract,
    regions: &mut [f32],
    region: usize,
    wanted: &mut Vec<ScoredProposal>,
) {
    wanted.clear();
    for (rank, (&proposal, &score)) in proposals.iter().zip(scores).enumerate() {
        if is_wanted(&proposal, score, selection, contract) {
            // Each region comes from its own place or from further back.
            regions.copy_within(rank * region..(rank + 1) * region, wanted.len() * region);
            wanted.push(ScoredProposal::new(rank, proposal, score));
        }
    }
}

/// A pose in radians and head units.
pub(super) fn denormalised(pose: &[f32; 6], contract: &Contract) -> [f64; 6] {
    std::array::from_fn(|i| f64::from(pose[i]) * contract.pose_stddev[i] + contract.pose_mean[i])
}

impl Selection {
    /// How face boxes are drawn.
    pub(crate) fn face_box(&self) -> FaceBox {
        FaceBox {
            x_factor: self.bbox_x_factor,
            y_factor: self.bbox_y_factor,
            forehead: self.expand_forehead,
        }
    }
}

/// Puts the faces of one frame into `faces`, most confident first. `kept` is working memory.
///
/// Poses are denormalised and brought into the frame's camera, boxes are projected from them, overlapping boxes are
/// suppressed, the rest is scaled to the frame, turned to how its pixels lie, and given its keypoints. `proposals` come in
/// any order; `size` is that of the network image of a frame of `layout`.
pub(crate) fn process_prediction(
    proposals: &mut [ScoredProposal],
    layout: &FrameLayout,
    size: &NetworkSize,
    selection: &Selection,
    contract: &Contract,
    kept: &mut Kept,
    faces: &mut Vec<Face>,
) {
    // A stable sort would allocate.
    proposals.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.rank.cmp(&b.rank)));
    let camera = Camera::of_network_image(size.width, size.height);
    let rule = selection.face_box();
    let (upright_width, upright_height) = (size.frame_width as f32, size.frame_height as f32);
    let scale_x = upright_width / size.width as f32;
    let scale_y = upright_height / size.height as f32;
    let frame_camera = Camera::with_pixels(layout.width, layout.height, layout.view.pixel_aspect_ratio);
    let back = layout.view.orientation.inverse();

    kept.clear();
    faces.clear();
    for candidate in proposals.iter() {
        if selection.max_faces.is_some_and(|most| faces.len() >= most) {
            break;
        }
        let pose = to_frame_camera(
            denormalised(&candidate.pose, contract),
            candidate.proposal,
            &camera,
        );
        let bbox = face_box(
            &pose,
            &camera,
            &contract.reference_points,
            &rule,
            size.width,
            size.height,
        );
        if !kept.keep(bbox, contract.nms_threshold) {
            continue;
        }
        let pose = turn_pose(pose, back).map(|value| value as f32);
        // The reference clips each side at one edge only, so the box of a head beside the frame turns inside out.
        let (width, height) = (size.width as f32, size.height as f32);
        let upright = [
            bbox[0].min(width) * scale_x,
            bbox[1].min(height) * scale_y,
            bbox[2].max(0.0) * scale_x,
            bbox[3].max(0.0) * scale_y,
        ];
        faces.push(Face {
            bbox: back.turn_box(upright, upright_width, upright_height),
            confidence: candidate.score,
            pose,
            keypoints: keypoints_by(&frame_camera, &pose),
            sigma: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regression_box_of_a_head_beside_the_frame_is_not_inside_out() {
        let contract = Contract::reference("test", [0.0; 6], [1.0; 6]);
        let layout = FrameLayout::rgb(320, 240);
        let size = NetworkSize::of_layout(&layout, 480, 1400, 32);
        for (x, y) in [(-40.0, 0.0), (40.0, 0.0), (0.0, -40.0), (0.0, 40.0)] {
            let mut proposals = [ScoredProposal {
                rank: 0,
                proposal: [300.0, 220.0, 340.0, 260.0],
                score: 0.9,
                pose: [0.0, 0.0, 0.0, x, y, 3.0],
            }];
            let mut faces = Vec::new();
            process_prediction(
                &mut proposals,
                &layout,
                &size,
                &Selection::default(),
                &contract,
                &mut Kept::default(),
                &mut faces,
            );
            let [x_min, y_min, x_max, y_max] = faces[0].bbox;
            assert!(
                0.0 <= x_min && x_min <= x_max && x_max <= 320.0,
                "{:?}",
                faces[0].bbox
            );
            assert!(
                0.0 <= y_min && y_min <= y_max && y_max <= 240.0,
                "{:?}",
                faces[0].bbox
            );
        }
    }
}
