//! The engine whose parts are bound to memory that may be a device's: only RPN outputs, scores and poses come back to the
//! processor.

#[cfg(test)]
mod cuda_tests;
mod frames;
mod network;
mod part;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use super::session::load_session;
use super::{Engine, Setting};
use crate::batch::{Input, Intake};
use crate::contract::{Contract, FEATURE_LEVELS, ProposalContract};
use crate::error::Error;
use crate::memory::{Element, Exchange, HostTensor, Memory};
use crate::model::{HalfParts, Model, RcnnFacts};
use crate::options::Selection;
use crate::provider::Placement;
use crate::rcnn::{ProposalMaker, RpnLevels, ScoredProposal, is_wanted, level_of, set_poses};
use crate::runtime::Runtime;
use crate::times::{Clock, StageTimes};
use frames::RawFrames;
use network::{BoundDense, DeviceHeads, Network, PartKind, SortedBoxes};

/// A network that is bound to memory.
pub(crate) struct BoundEngine {
    facts: RcnnFacts,
    network: Network,
    work: Work,
    takes_turns: bool,
}

/// Memory that is used again for every batch.
#[derive(Default)]
struct Work {
    frames: Vec<FrameWork>,
    /// The row of each wanted box.
    rows: Vec<usize>,
    poses: Vec<f32>,
    /// A batch with blank frames behind its own, of network images or of frames as they are.
    padded_images: Option<Padded<f32>>,
    padded_frames: Option<Padded<u8>>,
}

/// The tensor of a batch that was filled up, and its shape.
struct Padded<T: Element> {
    tensor: HostTensor<T>,
    shape: Vec<usize>,
}

/// Memory for one frame of a batch: their proposals are made side by side.
struct FrameWork {
    maker: ProposalMaker,
    proposals: Vec<[f32; 4]>,
    sorted: Sorted,
}

/// Proposals in the order of the levels that they are pooled from.
#[derive(Default)]
struct Sorted {
    boxes: Vec<[f32; 4]>,
    /// Place of each of the boxes among the proposals.
    ranks: Vec<usize>,
    counts: [usize; FEATURE_LEVELS],
}

impl Sorted {
    fn set(&mut self, proposals: &[[f32; 4]], level_of: impl Fn(&[f32; 4]) -> usize) {
        self.boxes.clear();
        self.ranks.clear();
        for (level, count) in self.counts.iter_mut().enumerate() {
            let before = self.ranks.len();
            for (rank, proposal) in proposals.iter().enumerate() {
                if level_of(proposal) == level {
                    self.boxes.push(*proposal);
                    self.ranks.push(rank);
                }
            }
            *count = self.ranks.len() - before;
        }
    }
}

impl FrameWork {
    fn new(contract: &ProposalContract) -> Self {
        Self {
            maker: ProposalMaker::new(contract.clone()),
            proposals: Vec::new(),
            sorted: Sorted::default(),
        }
    }
}

impl BoundEngine {
    /// Loads the parts of `model`, bound to `memory`.
    ///
    /// # Errors
    /// What ONNX Runtime says of one of them, and when there is not so much memory.
    pub fn load(
        model: &Model,
        runtime: &'static Runtime,
        placement: Placement,
        setting: &Setting,
        memory: &Memory,
    ) -> Result<Self, Error> {
        let heads = placement.for_heads();
        let half = HalfParts {
            dense: placement.needs_half_graph(),
            heads: heads.needs_half_graph(),
        };
        let parts = model
            .rcnn()?
            .device_parts(half, placement.provider.sums_features)?;
        let engines = placement.engine_folder(&parts.dense, runtime);
        let path = model.path().to_owned();
        let network = Network::load(&parts, memory, setting, move |name, bytes, kind| {
            let (placement, engines) = match kind {
                PartKind::Dense => (placement, engines.as_deref()),
                PartKind::Heads => (heads, None),
                // It leaves nothing to the processor.
                PartKind::Frames => (Placement { threads: 1, ..heads }, None),
            };
            load_session(&path, runtime, placement, engines, name, bytes)
        })?;
        Ok(Self {
            facts: model.rcnn_facts()?.clone(),
            network,
            work: Work::default(),
            takes_turns: setting.turns.is_some(),
        })
    }

    /// Runs the heads on blank features, in every number of rows that is to come, where that is worth it. The dense part's
    /// shape is known with the first batch.
    pub fn warm_up(&mut self, setting: &Setting) -> Result<(), Error> {
        let (shapes, channels) = (setting.shapes, self.facts.channels);
        let most = self.facts.contract.proposals.post_nms_top_n;
        let pose_rows = shapes.all_pose_rows(most);
        if pose_rows.is_empty() {
            return Ok(());
        }
        let class_rows = shapes.class_rows(0, most);
        let mut regions = self.network.heads.blank_regions(channels, class_rows)?;
        let mut poses = Vec::new();
        for rows in pose_rows {
            regions.poses(std::iter::empty(), rows, &mut poses)?;
        }
        Ok(())
    }
}

impl Engine for BoundEngine {
    type Found = ScoredProposal;

    fn intake(&self) -> Intake {
        Intake::Device(self.network.exchange.clone())
    }

    /// The device computes one batch while the processor chooses among the proposals of the other; not where sessions take turns,
    /// as all but that choice is done in one.
    fn batches_in_flight(&self) -> usize {
        match self.takes_turns {
            true => 1,
            false => 2,
        }
    }

    fn infer(
        &mut self,
        setting: &Setting,
        batch: Input<'_>,
        selection: &Selection,
        found: &mut [Vec<ScoredProposal>],
        times: &mut StageTimes,
    ) -> Result<(), Error> {
        let Self {
            facts, network, work, ..
        } = self;
        let mut clock = Clock::start();
        let [height, width] = batch.padded();
        let frames = setting.shapes.frames(batch.len(), batch.capacity());
        let Network {
            frames: preparation,
            dense,
            heads,
            exchange,
        } = network;
        let is_whole = batch.is_full();
        let outputs = if let Some((conversion, tensor)) = batch.device_frames(frames)? {
            let images = preparation.images(conversion, RawFrames::There(&tensor))?;
            dense.run(images.value())?
        } else if let Some((conversion, bytes, tensor)) = batch.frames() {
            let tensor = match is_whole {
                true => tensor,
                false => {
                    let shape = [frames, bytes.len() / batch.len()];
                    padded(&mut work.padded_frames, exchange, &shape, bytes)?
                }
            };
            let images = preparation.images(conversion, RawFrames::Exchanged(tensor))?;
            dense.run(images.value())?
        } else {
            let tensor = match batch.tensor() {
                Some(tensor) if is_whole => tensor,
                _ => {
                    let shape = [frames, 3, height, width];
                    let images = batch.images().unwrap_or_default();
                    padded(&mut work.padded_images, exchange, &shape, images)?
                }
            };
            dense.run(tensor.value())?
        };
        outputs.check_features(batch.len())?;
        let rpn = RpnLevels::read(
            &setting.origin,
            [frames, height, width],
            |level| outputs.objectness(level),
            |level| outputs.deltas(level),
        )?;
        clock.lap(&mut times.dense);

        let contract = &facts.contract;
        let most = batch.proposals(contract.proposals.post_nms_top_n);
        while work.frames.len() < found.len() {
            work.frames.push(FrameWork::new(&contract.proposals));
        }
        let propose = |work: &mut FrameWork, frame: usize| {
            work.proposals.clear();
            rpn.check_finite(&setting.origin, frame)?;
            work.maker
                .propose(&rpn.of(frame), batch.size(frame), most, &mut work.proposals)?;
            let level = |proposal: &[f32; 4]| level_of(proposal, &contract.roi);
            work.sorted.set(&work.proposals, level);
            Ok::<_, Error>(())
        };
        setting.pool.install(|| {
            let frames = work.frames[..found.len()].par_iter_mut().enumerate();
            frames.try_for_each(|(frame, work)| propose(work, frame))
        })?;
        clock.lap(&mut times.proposals);

        for (frame, wanted) in found.iter_mut().enumerate() {
            if setting.canceller.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let terms = (setting, contract, selection, most);
            score_and_pose(heads, (&outputs, frame), terms, work, wanted, &mut clock, times)?;
        }
        Ok(())
    }
}

/// Scores the proposals of one frame and finds the poses of those that are wanted.
fn score_and_pose(
    heads: &mut DeviceHeads,
    (features, frame): (&BoundDense<'_>, usize),
    (setting, contract, selection, most): (&Setting, &Contract, &Selection, usize),
    work: &mut Work,
    wanted: &mut Vec<ScoredProposal>,
    clock: &mut Clock,
    times: &mut StageTimes,
) -> Result<(), Error> {
    let Work {
        frames, rows, poses, ..
    } = work;
    let Sorted { boxes, ranks, counts } = &frames[frame].sorted;
    wanted.clear();
    rows.clear();
    if boxes.is_empty() {
        return Ok(());
    }
    let sorted = SortedBoxes {
        boxes,
        counts: *counts,
    };
    let class_rows = setting.shapes.class_rows(boxes.len(), most);
    let mut regions = heads.regions(features, frame, &sorted, class_rows)?;
    for (row, ((&proposal, &rank), &score)) in boxes.iter().zip(ranks).zip(regions.scores()?).enumerate() {
        if is_wanted(&proposal, score, selection, contract) {
            rows.push(row);
            wanted.push(ScoredProposal::new(rank, proposal, score));
        }
    }
    clock.lap(&mut times.class_head);
    if !wanted.is_empty() {
        poses.clear();
        let pose_rows = setting.shapes.pose_rows(wanted.len(), most);
        regions.poses(rows.iter().copied(), pose_rows, poses)?;
        set_poses(wanted, poses);
    }
    clock.lap(&mut times.pose_head);
    Ok(())
}

/// `used` in a tensor of `shape`; the rest is blank.
fn padded<'w, T: Element + Default>(
    padded: &'w mut Option<Padded<T>>,
    exchange: &Exchange,
    shape: &[usize],
    used: &[T],
) -> Result<&'w HostTensor<T>, Error> {
    let kept = match padded.take() {
        Some(kept) if kept.shape == shape => padded.insert(kept),
        _ => {
            let tensor = exchange.tensor(shape);
            padded.insert(Padded {
                tensor: tensor.map_err(Error::inference("set up an input of the network"))?,
                shape: shape.to_vec(),
            })
        }
    };
    let (taken, blank) = kept.tensor.as_mut_slice().split_at_mut(used.len());
    taken.copy_from_slice(used);
    blank.fill(T::default());
    Ok(&kept.tensor)
}
