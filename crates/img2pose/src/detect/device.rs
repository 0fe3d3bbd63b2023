//! A batch through a network on a device: only RPN outputs, scores and poses come back to the processor.

use rayon::prelude::*;

use super::batch::Batch;
use super::faces::{ScoredProposal, is_wanted, process_prediction, set_poses};
use super::levels::RpnLevels;
use super::{Clock, StageTimes, Terms};
use crate::contract::{FEATURE_LEVELS, ProposalContract};
use crate::error::Error;
use crate::face::Face;
use crate::model::{BoundDense, Device, DeviceHeads, Element, Exchange, HostTensor, SortedBoxes};
use crate::nms::Kept;
use crate::proposals::ProposalMaker;
use crate::roi_align::level_of;

/// Memory that is used again for every batch.
#[derive(Default)]
pub(super) struct Work {
    frames: Vec<FrameWork>,
    wanted: Vec<ScoredProposal>,
    /// The row of each wanted box.
    rows: Vec<usize>,
    poses: Vec<f32>,
    kept: Kept,
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

/// Runs the heads on blank features, in every number of rows that is to come.
pub(super) fn warm_up(
    heads: &mut DeviceHeads,
    channels: usize,
    class_rows: usize,
    pose_rows: &[usize],
) -> Result<(), Error> {
    let mut regions = heads.blank_regions(channels, class_rows)?;
    let mut poses = Vec::new();
    for &rows in pose_rows {
        regions.poses(std::iter::empty(), rows, &mut poses)?;
    }
    Ok(())
}

/// Finds the faces of every frame of `batch`, which is not empty; `faces` has an entry for each.
pub(super) fn detect(
    network: &mut Device,
    batch: &Batch,
    terms: &Terms<'_>,
    work: &mut Work,
    faces: &mut [Vec<Face>],
    times: &mut StageTimes,
) -> Result<(), Error> {
    let mut clock = Clock::start();
    let (layout, size) = (batch.layout(), *batch.network_size());
    let frames = terms.shapes.frames(batch.len(), batch.capacity());
    let Device {
        frames: preparation,
        dense,
        heads,
        exchange,
    } = network;
    let is_whole = batch.is_full();
    let outputs = if let Some((bytes, tensor)) = batch.frames() {
        let tensor = match is_whole {
            true => tensor,
            false => {
                let shape = [frames, bytes.len() / batch.len()];
                padded(&mut work.padded_frames, exchange, &shape, bytes)?
            }
        };
        let images = preparation.images(batch.conversion(), tensor)?;
        dense.run(images.value())?
    } else {
        let tensor = match batch.tensor() {
            Some(tensor) if is_whole => tensor,
            _ => {
                let shape = [frames, 3, size.padded_height as usize, size.padded_width as usize];
                let images = batch.images().unwrap_or_default();
                padded(&mut work.padded_images, exchange, &shape, images)?
            }
        };
        dense.run(tensor.value())?
    };
    outputs.check_features(batch.len())?;
    let rpn = RpnLevels::read(
        terms.origin,
        [frames, size.padded_height as usize, size.padded_width as usize],
        |level| outputs.objectness(level),
        |level| outputs.deltas(level),
    )?;
    clock.lap(&mut times.dense);

    let contract = terms.contract;
    while work.frames.len() < faces.len() {
        work.frames.push(FrameWork::new(&contract.proposals));
    }
    let propose = |work: &mut FrameWork, frame: usize| {
        work.proposals.clear();
        rpn.check_finite(terms.origin, frame)?;
        work.maker.propose(&rpn.of(frame), &size, &mut work.proposals)?;
        let level = |proposal: &[f32; 4]| level_of(proposal, &contract.roi);
        work.sorted.set(&work.proposals, level);
        Ok::<_, Error>(())
    };
    terms.pool.install(|| {
        let frames = work.frames[..faces.len()].par_iter_mut().enumerate();
        frames.try_for_each(|(frame, work)| propose(work, frame))
    })?;
    clock.lap(&mut times.proposals);

    for (frame, faces) in faces.iter_mut().enumerate() {
        if terms.canceller.is_cancelled() {
            return Err(Error::Cancelled);
        }
        score_and_pose(heads, &outputs, frame, terms, work, &mut clock, times)?;
        let selection = terms.selection;
        process_prediction(
            &mut work.wanted,
            &layout,
            &size,
            selection,
            contract,
            &mut work.kept,
            faces,
        );
        clock.lap(&mut times.faces);
    }
    Ok(())
}

/// Scores the proposals of one frame and finds the poses of those that are wanted.
fn score_and_pose(
    heads: &mut DeviceHeads,
    features: &BoundDense<'_>,
    frame: usize,
    terms: &Terms<'_>,
    work: &mut Work,
    clock: &mut Clock,
    times: &mut StageTimes,
) -> Result<(), Error> {
    let Work {
        frames,
        wanted,
        rows,
        poses,
        ..
    } = work;
    let Sorted { boxes, ranks, counts } = &frames[frame].sorted;
    wanted.clear();
    rows.clear();
    if boxes.is_empty() {
        return Ok(());
    }
    let most = terms.contract.proposals.post_nms_top_n;
    let sorted = SortedBoxes {
        boxes,
        counts: *counts,
    };
    let class_rows = terms.shapes.class_rows(boxes.len(), most);
    let mut regions = heads.regions(features, frame, &sorted, class_rows)?;
    for (row, ((&proposal, &rank), &score)) in boxes.iter().zip(ranks).zip(regions.scores()?).enumerate() {
        if is_wanted(&proposal, score, terms.selection, terms.contract) {
            rows.push(row);
            wanted.push(ScoredProposal::new(rank, proposal, score));
        }
    }
    clock.lap(&mut times.class_head);
    if !wanted.is_empty() {
        poses.clear();
        let pose_rows = terms.shapes.pose_rows(wanted.len(), most);
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
