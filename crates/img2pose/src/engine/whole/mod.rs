//! The engine that runs a model file as it is, in one session, as a user of the bare file would: what the others are compared
//! with.

mod model;
#[cfg(test)]
mod tests;

use super::{Engine, Setting};
use crate::batch::Input;
use crate::contract::{CLASS_SCORES, Contract, POSE_REGRESSION, PROPOSAL_FRAMES, PROPOSALS};
use crate::error::Error;
use crate::model::{Model, RcnnFacts};
use crate::options::Selection;
use crate::origin::Origin;
use crate::provider::Placement;
use crate::rcnn::{ScoredProposal, is_wanted};
use crate::runtime::Runtime;
use crate::times::{Clock, StageTimes};
pub use model::{Images, Outputs, WholeModel};

/// A model file in one session.
pub(super) struct WholeEngine {
    model: WholeModel,
    facts: RcnnFacts,
}

impl WholeEngine {
    /// Loads `model` with outputs for what the file keeps to itself.
    ///
    /// # Errors
    /// What [`WholeModel::load`] says.
    pub fn load(model: &Model, runtime: &'static Runtime, placement: Placement) -> Result<Self, Error> {
        let inner = [PROPOSALS, PROPOSAL_FRAMES, CLASS_SCORES, POSE_REGRESSION].map(str::to_owned);
        Ok(Self {
            facts: model.rcnn_facts()?.clone(),
            model: WholeModel::load_at(model, runtime, placement, &inner)?,
        })
    }
}

impl Engine for WholeEngine {
    type Found = ScoredProposal;

    fn infer(
        &mut self,
        setting: &Setting,
        batch: Input<'_>,
        selection: &Selection,
        found: &mut [Vec<ScoredProposal>],
        times: &mut StageTimes,
    ) -> Result<(), Error> {
        let mut clock = Clock::start();
        let images = batch.images().ok_or(Error::OtherDevice)?;
        let [height, width] = batch.padded();
        let contract = &self.facts.contract;
        let most = batch.proposals(contract.proposals.post_nms_top_n);
        let unpadded = |view: usize| {
            let size = batch.size(view);
            [size.height as usize, size.width as usize]
        };
        // The file takes one size for all images of a run; regions have several.
        let mut first = 0;
        while first < found.len() {
            let size = unpadded(first);
            let count = (first..found.len())
                .take_while(|&view| unpadded(view) == size)
                .count();
            let image = 3 * height * width;
            let values = &images[first * image..(first + count) * image];
            let shape = [count, height, width];
            let outputs = self
                .model
                .run_values(values, shape, size, Some(&setting.canceller))?;
            let found = &mut found[first..first + count];
            choose(&outputs, &setting.origin, contract, selection, most, found)?;
            first += count;
        }
        clock.lap(&mut times.dense);
        Ok(())
    }
}

/// Puts the proposals that are wanted, of the first `most` of each view, into `found`, with their poses.
fn choose(
    outputs: &Outputs,
    origin: &Origin,
    contract: &Contract,
    selection: &Selection,
    most: usize,
    found: &mut [Vec<ScoredProposal>],
) -> Result<(), Error> {
    let (proposals, scores) = (outputs.rows::<4>(PROPOSALS), outputs.numbers(CLASS_SCORES));
    let poses = outputs.rows::<6>(POSE_REGRESSION);
    // The file regresses the poses of those only that its own threshold lets pass.
    let everything = Selection {
        score_threshold: 0.0,
        ..*selection
    };
    let has_pose = |(proposal, score): (&[f32; 4], &f32)| is_wanted(proposal, *score, &everything, contract);
    let rows = proposals.iter().zip(scores).filter(|row| has_pose(*row)).count();
    if poses.len() != rows {
        let shape = [poses.len() as i64, 6];
        return Err(origin.wrong_shape(POSE_REGRESSION, &shape, format!("[{rows}, 6]")));
    }
    let mut poses = poses.iter();
    found.iter_mut().for_each(Vec::clear);
    let (mut view, mut rank) = (0, 0);
    for ((proposal, score), &of) in proposals.iter().zip(scores).zip(&outputs.proposal_frames) {
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
