//! The engine that runs a model file as it is, in one session, as a user of the bare file would: what the others are compared
//! with.

mod model;
#[cfg(test)]
mod tests;

use super::{Engine, Setting};
use crate::batch::Batch;
use crate::contract::{CLASS_SCORES, POSE_REGRESSION, PROPOSAL_FRAMES, PROPOSALS};
use crate::error::Error;
use crate::model::Model;
use crate::options::Selection;
use crate::provider::Placement;
use crate::rcnn::{ScoredProposal, is_wanted};
use crate::runtime::Runtime;
use crate::times::{Clock, StageTimes};
pub use model::{Images, Outputs, WholeModel};

/// A model file in one session.
pub(super) struct WholeEngine(WholeModel);

impl WholeEngine {
    /// Loads `model` with outputs for what the file keeps to itself.
    ///
    /// # Errors
    /// What [`WholeModel::load`] says.
    pub fn load(model: &Model, runtime: &'static Runtime, placement: Placement) -> Result<Self, Error> {
        let inner = [PROPOSALS, PROPOSAL_FRAMES, CLASS_SCORES, POSE_REGRESSION].map(str::to_owned);
        WholeModel::load_at(model, runtime, placement, &inner).map(Self)
    }
}

impl Engine for WholeEngine {
    fn infer(
        &mut self,
        setting: &Setting,
        batch: &Batch,
        selection: &Selection,
        found: &mut [Vec<ScoredProposal>],
        times: &mut StageTimes,
    ) -> Result<(), Error> {
        let mut clock = Clock::start();
        let size = batch.network_size();
        let images = batch.images().ok_or(Error::OtherDevice)?;
        let shape = [
            batch.len(),
            size.padded_height as usize,
            size.padded_width as usize,
        ];
        let unpadded = [size.height as usize, size.width as usize];
        let outputs = self
            .0
            .run_values(images, shape, unpadded, Some(&setting.canceller))?;
        let contract = &setting.contract;
        let (proposals, scores) = (outputs.rows::<4>(PROPOSALS), outputs.numbers(CLASS_SCORES));
        let poses = outputs.rows::<6>(POSE_REGRESSION);
        // The file regresses the poses of those only that its own threshold lets pass.
        let everything = Selection {
            score_threshold: 0.0,
            ..*selection
        };
        let has_pose =
            |(proposal, score): (&[f32; 4], &f32)| is_wanted(proposal, *score, &everything, contract);
        let rows = proposals.iter().zip(scores).filter(|row| has_pose(*row)).count();
        if poses.len() != rows {
            let shape = [poses.len() as i64, 6];
            return Err(setting
                .origin
                .wrong_shape(POSE_REGRESSION, &shape, format!("[{rows}, 6]")));
        }
        let mut poses = poses.iter();
        found.iter_mut().for_each(Vec::clear);
        let (mut frame, mut rank) = (0, 0);
        for ((proposal, score), &of) in proposals.iter().zip(scores).zip(&outputs.proposal_frames) {
            if of != frame {
                (frame, rank) = (of, 0);
            }
            if has_pose((proposal, score))
                && let Some(&pose) = poses.next()
                && is_wanted(proposal, *score, selection, contract)
            {
                found[of].push(ScoredProposal {
                    pose,
                    ..ScoredProposal::new(rank, *proposal, *score)
                });
            }
            rank += 1;
        }
        clock.lap(&mut times.dense);
        Ok(())
    }
}
