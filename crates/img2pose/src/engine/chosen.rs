//! From the proposals, scores and poses of a whole file to those that can become faces.

use crate::contract::{Contract, POSE_REGRESSION};
use crate::error::Error;
use crate::options::Selection;
use crate::origin::Origin;
use crate::rcnn::{ScoredProposal, is_wanted};

/// What a file gave for a batch. There are as many proposals as scores and frames.
pub(super) struct Rows<'r> {
    /// In pixels of the resized frame.
    pub proposals: &'r [[f32; 4]],
    /// Index in the batch of each proposal's frame, rising.
    pub frames: &'r [usize],
    pub scores: &'r [f32],
    /// Of those that the file's own threshold lets pass.
    pub poses: &'r [[f32; 6]],
}

/// Puts the proposals that are wanted, of the first `most` of each view, into `found`, with their poses.
///
/// # Errors
/// [`Error::OutputShape`] when there are other poses than those.
pub(super) fn choose(
    rows: &Rows<'_>,
    origin: &Origin,
    contract: &Contract,
    selection: &Selection,
    most: usize,
    found: &mut [Vec<ScoredProposal>],
) -> Result<(), Error> {
    // The file regresses the poses of those only that its own threshold lets pass.
    let everything = Selection {
        score_threshold: 0.0,
        ..*selection
    };
    let has_pose = |(proposal, score): (&[f32; 4], &f32)| is_wanted(proposal, *score, &everything, contract);
    let with_scores = || rows.proposals.iter().zip(rows.scores);
    let count = with_scores().filter(|row| has_pose(*row)).count();
    if rows.poses.len() != count {
        let shape = [rows.poses.len() as i64, 6];
        return Err(origin.wrong_shape(POSE_REGRESSION, &shape, format!("[{count}, 6]")));
    }
    let mut poses = rows.poses.iter();
    found.iter_mut().for_each(Vec::clear);
    let (mut view, mut rank) = (0, 0);
    for ((proposal, score), &of) in with_scores().zip(rows.frames) {
        if of != view {
            (view, rank) = (of, 0);
        }
        if has_pose((proposal, score))
            && let Some(&pose) = poses.next()
            && rank < most
            && is_wanted(proposal, *score, selection, contract)
        {
            found[of].push(ScoredProposal {
                pose,
                ..ScoredProposal::new(rank, *proposal, *score)
            });
        }
        rank += 1;
    }
    Ok(())
}
