//! The engine that runs a model file as it is, in one session, as a user of the bare file would: what the others are compared
//! with.

mod model;
#[cfg(test)]
mod tests;

use super::chosen::{Rows, choose};
use super::{Engine, Setting};
use crate::batch::Input;
use crate::contract::{CLASS_SCORES, POSE_REGRESSION, PROPOSAL_FRAMES, PROPOSALS};
use crate::error::Error;
use crate::model::{Model, RcnnFacts};
use crate::options::Selection;
use crate::provider::Placement;
use crate::rcnn::ScoredProposal;
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
            let rows = Rows {
                proposals: outputs.rows(PROPOSALS),
                frames: &outputs.proposal_frames,
                scores: outputs.numbers(CLASS_SCORES),
                poses: outputs.rows(POSE_REGRESSION),
            };
            choose(&rows, &setting.origin, contract, selection, most, found)?;
            first += count;
        }
        clock.lap(&mut times.dense);
        Ok(())
    }
}
