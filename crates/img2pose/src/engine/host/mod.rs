//! The engine that computes in the processor's memory; regions are pooled there, too.

#[cfg(test)]
mod golden;
mod parts;

use super::session::load_session;
use super::{Engine, Setting};
use crate::batch::Input;
use crate::contract::ProposalContract;
use crate::error::{Error, resize};
use crate::model::{Model, Parts, RcnnFacts};
use crate::options::{ExecutionProvider, Selection};
use crate::provider::Placement;
use crate::rcnn::{
    FeatureLevels, ProposalMaker, RpnLevels, ScoredProposal, choose_wanted, roi_align, set_poses,
};
use crate::runtime::Runtime;
use crate::times::{Clock, StageTimes};
pub(crate) use parts::{Dense, Heads};

/// A network in the processor's memory.
pub(crate) struct HostEngine {
    facts: RcnnFacts,
    dense: Dense,
    heads: Heads,
    work: Work,
}

/// Memory that is used again for every frame.
struct Work {
    proposal_maker: ProposalMaker,
    proposals: Vec<[f32; 4]>,
    regions: Vec<f32>,
    scores: Vec<f32>,
    poses: Vec<f32>,
    /// A batch with blank frames behind its own.
    padded: Vec<f32>,
}

impl Work {
    pub fn new(contract: &ProposalContract) -> Self {
        Self {
            proposal_maker: ProposalMaker::new(contract.clone()),
            proposals: Vec::new(),
            regions: Vec::new(),
            scores: Vec::new(),
            poses: Vec::new(),
            padded: Vec::new(),
        }
    }
}

impl HostEngine {
    /// Loads the parts of `model`.
    ///
    /// # Errors
    /// What ONNX Runtime says of one of them.
    pub fn load(
        model: &Model,
        parts: &Parts,
        runtime: &Runtime,
        placement: Placement,
        setting: &Setting,
    ) -> Result<Self, Error> {
        let load = |name, bytes: &[u8]| load_session(model.path(), runtime, placement, None, name, bytes);
        let (dense, heads) = parts::load(parts, setting, load)?;
        let facts = model.rcnn_facts()?.clone();
        Ok(Self {
            work: Work::new(&facts.contract.proposals),
            facts,
            dense,
            heads,
        })
    }

    /// The convolutions and the heads, to be run by themselves.
    pub fn parts(&mut self) -> (&mut Dense, &mut Heads) {
        (&mut self.dense, &mut self.heads)
    }

    /// Runs what shows that the parts fit together, which is no fault of the first frame, and every number of rows that the
    /// provider is to know.
    pub fn warm_up(&mut self, setting: &Setting) -> Result<(), Error> {
        if setting.provider == ExecutionProvider::Cpu {
            // Others would compile for this shape.
            self.try_out(setting)?;
        }
        let most = self.facts.contract.proposals.post_nms_top_n;
        let pose_rows = setting.shapes.all_pose_rows(most);
        if pose_rows.is_empty() {
            return Ok(());
        }
        self.run_heads(setting.shapes.class_rows(0, most), &pose_rows)
    }

    /// Runs the heads on blank regions, in every number of rows given.
    fn run_heads(&mut self, class_rows: usize, pose_rows: &[usize]) -> Result<(), Error> {
        let (side, channels) = (self.facts.contract.roi.output_size, self.facts.channels);
        let region = side * side * channels;
        let most = pose_rows.iter().copied().fold(class_rows, usize::max);
        let mut regions = Vec::new();
        resize(&mut regions, most * region, REGIONS)?;
        let (mut scores, mut poses) = (Vec::new(), Vec::new());
        let shape = |rows| [rows, side, side, channels];
        self.heads
            .class_scores(&regions[..class_rows * region], shape(class_rows), &mut scores)?;
        for &rows in pose_rows {
            self.heads
                .poses(&regions[..rows * region], shape(rows), &mut poses)?;
        }
        Ok(())
    }

    /// Runs every part on the smallest image that there is, a blank one, and looks at what they give.
    fn try_out(&mut self, setting: &Setting) -> Result<(), Error> {
        let RcnnFacts { contract, channels } = &self.facts;
        let origin = &setting.origin;
        let side = contract.size_divisor as usize;
        let mut blank = Vec::new();
        resize(&mut blank, 3 * side * side, REGIONS)?;
        let outputs = self.dense.run(&blank, 1, side, side)?;
        let images = [1, side, side];
        FeatureLevels::read(origin, images, *channels, |level| outputs.features(level))?
            .check_finite(origin)?;
        let objectness = |level| outputs.objectness(level);
        RpnLevels::read(origin, images, objectness, |level| outputs.deltas(level))?
            .check_finite(origin, 0)?;
        drop(outputs);
        self.run_heads(1, &[1])
    }
}

/// What is missing where there is no memory for them.
const REGIONS: &str = "the features of the proposals";

impl Engine for HostEngine {
    type Found = ScoredProposal;

    fn infer(
        &mut self,
        setting: &Setting,
        batch: Input<'_>,
        selection: &Selection,
        found: &mut [Vec<ScoredProposal>],
        times: &mut StageTimes,
    ) -> Result<(), Error> {
        let Self {
            facts,
            dense,
            heads,
            work,
        } = self;
        let (contract, channels, origin) = (&facts.contract, facts.channels, &*setting.origin);
        let [height, width] = batch.padded();
        let mut clock = Clock::start();
        let Work {
            proposal_maker,
            proposals,
            regions,
            scores,
            poses,
            padded,
        } = work;
        let frames = setting.shapes.frames(batch.len(), batch.capacity());
        let images = batch.images_for(frames, padded)?;
        let outputs = dense.run(images, frames, height, width)?;
        let images = [frames, height, width];
        let pyramids = FeatureLevels::read(origin, images, channels, |level| outputs.features(level))?;
        let rpn = RpnLevels::read(
            origin,
            images,
            |level| outputs.objectness(level),
            |level| outputs.deltas(level),
        )?;
        setting.pool.install(|| pyramids.check_finite(origin))?;
        clock.lap(&mut times.dense);

        let side = contract.roi.output_size;
        let region = side * side * channels;
        let most = batch.proposals(contract.proposals.post_nms_top_n);
        // The heads run frame by frame: their input for a whole batch would take hundreds of megabytes, and a
        // frame's result cannot depend on its neighbours this way.
        for (frame, wanted) in found.iter_mut().enumerate() {
            if setting.canceller.is_cancelled() {
                return Err(Error::Cancelled);
            }
            proposals.clear();
            rpn.check_finite(origin, frame)?;
            proposal_maker.propose(&rpn.of(frame), batch.size(frame), most, proposals)?;
            clock.lap(&mut times.proposals);

            let pyramid = pyramids.of(frame, channels);
            let rows = setting.shapes.class_rows(proposals.len(), most);
            resize(regions, rows * region, REGIONS)?;
            let (pooled, blank) = regions.split_at_mut(proposals.len() * region);
            setting
                .pool
                .install(|| roi_align(&pyramid, channels, &contract.roi, proposals, pooled));
            blank.fill(0.0);
            clock.lap(&mut times.roi_align);

            scores.clear();
            if !proposals.is_empty() {
                heads.class_scores(regions, [rows, side, side, channels], scores)?;
            }
            clock.lap(&mut times.class_head);
            choose_wanted(proposals, scores, selection, contract, regions, region, wanted);
            if !wanted.is_empty() {
                let rows = setting.shapes.pose_rows(wanted.len(), most);
                resize(regions, rows * region, REGIONS)?;
                regions[wanted.len() * region..].fill(0.0);
                poses.clear();
                heads.poses(regions, [rows, side, side, channels], poses)?;
                set_poses(wanted, poses);
            }
            clock.lap(&mut times.pose_head);
        }
        Ok(())
    }
}
