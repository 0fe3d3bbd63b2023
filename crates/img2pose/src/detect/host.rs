//! A batch through a network that computes in the processor's memory.

use super::batch::Batch;
use super::faces::{ScoredProposal, choose_wanted, process_prediction, set_poses};
use super::levels::{FeatureLevels, RpnLevels};
use super::{Clock, StageTimes, Terms};
use crate::contract::{Contract, ProposalContract};
use crate::error::{Error, reserve};
use crate::face::Face;
use crate::model::{Dense, Heads, Origin};
use crate::nms::Kept;
use crate::proposals::ProposalMaker;
use crate::roi_align::roi_align;

/// Memory that is used again for every frame.
pub(super) struct Work {
    proposal_maker: ProposalMaker,
    proposals: Vec<[f32; 4]>,
    regions: Vec<f32>,
    scores: Vec<f32>,
    wanted: Vec<ScoredProposal>,
    poses: Vec<f32>,
    kept: Kept,
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
            wanted: Vec::new(),
            poses: Vec::new(),
            kept: Kept::default(),
            padded: Vec::new(),
        }
    }
}

/// Runs the heads on blank regions (`[side, side, channels]` each), in every number of rows that is to come.
pub(super) fn warm_up(
    heads: &mut Heads,
    [side, _, channels]: [usize; 3],
    class_rows: usize,
    pose_rows: &[usize],
) -> Result<(), Error> {
    let region = side * side * channels;
    let most = pose_rows.iter().copied().fold(class_rows, usize::max);
    let mut regions = Vec::new();
    resize(&mut regions, most * region)?;
    let (mut scores, mut poses) = (Vec::new(), Vec::new());
    let shape = |rows| [rows, side, side, channels];
    heads.class_scores(&regions[..class_rows * region], shape(class_rows), &mut scores)?;
    for &rows in pose_rows {
        heads.poses(&regions[..rows * region], shape(rows), &mut poses)?;
    }
    Ok(())
}

/// Runs every part on the smallest image that there is, a blank one, and looks at what they give.
///
/// # Errors
/// [`Error::OutputShape`], [`Error::NotFinite`], and what ONNX Runtime says of parts that do not fit together.
pub(super) fn try_out(
    dense: &mut Dense,
    heads: &mut Heads,
    origin: &Origin,
    contract: &Contract,
    channels: usize,
) -> Result<(), Error> {
    let side = contract.size_divisor as usize;
    let mut blank = Vec::new();
    resize(&mut blank, 3 * side * side)?;
    let outputs = dense.run(&blank, 1, side, side)?;
    let images = [1, side, side];
    FeatureLevels::read(origin, &outputs, images, channels)?.check_finite(origin)?;
    let objectness = |level| outputs.objectness(level);
    RpnLevels::read(origin, images, objectness, |level| outputs.deltas(level))?.check_finite(origin, 0)?;
    drop(outputs);
    let side = contract.roi.output_size;
    warm_up(heads, [side, side, channels], 1, &[1])
}

/// Makes `regions` hold `len` numbers; those that are new are 0.
fn resize(regions: &mut Vec<f32>, len: usize) -> Result<(), Error> {
    reserve(regions, len, "the features of the proposals")?;
    regions.resize(len, 0.0);
    Ok(())
}

/// Finds the faces of every frame of `batch`, which is not empty; `faces` has an entry for each.
pub(super) fn detect(
    dense: &mut Dense,
    heads: &mut Heads,
    batch: &Batch,
    terms: &Terms<'_>,
    work: &mut Work,
    faces: &mut [Vec<Face>],
    times: &mut StageTimes,
) -> Result<(), Error> {
    let (contract, channels) = (terms.contract, terms.channels);
    let (layout, size) = (batch.layout(), *batch.network_size());
    let (height, width) = (size.padded_height as usize, size.padded_width as usize);
    let mut clock = Clock::start();
    let Work {
        proposal_maker,
        proposals,
        regions,
        scores,
        wanted,
        poses,
        kept,
        padded,
    } = work;
    let frames = terms.shapes.frames(batch.len(), batch.capacity());
    let Some(images) = batch.images() else {
        return Err(Error::OtherDevice);
    };
    let images = if frames == batch.len() {
        images
    } else {
        padded.clear();
        let len = frames * size.tensor_len();
        reserve(padded, len, "the images of a batch")?;
        padded.extend_from_slice(images);
        padded.resize(len, 0.0);
        &padded[..]
    };
    let outputs = dense.run(images, frames, height, width)?;
    let images = [frames, height, width];
    let pyramids = FeatureLevels::read(terms.origin, &outputs, images, channels)?;
    let rpn = RpnLevels::read(
        terms.origin,
        images,
        |level| outputs.objectness(level),
        |level| outputs.deltas(level),
    )?;
    terms.pool.install(|| pyramids.check_finite(terms.origin))?;
    clock.lap(&mut times.dense);

    let side = contract.roi.output_size;
    let region = side * side * channels;
    let most = contract.proposals.post_nms_top_n;
    // The heads run frame by frame: their input for a whole batch would take hundreds of megabytes, and a
    // frame's result cannot depend on its neighbours this way.
    for (frame, faces) in faces.iter_mut().enumerate() {
        if terms.canceller.is_cancelled() {
            return Err(Error::Cancelled);
        }
        proposals.clear();
        rpn.check_finite(terms.origin, frame)?;
        proposal_maker.propose(&rpn.of(frame), &size, proposals)?;
        clock.lap(&mut times.proposals);

        let pyramid = pyramids.of(frame, channels);
        let rows = terms.shapes.class_rows(proposals.len(), most);
        resize(regions, rows * region)?;
        let (pooled, blank) = regions.split_at_mut(proposals.len() * region);
        terms
            .pool
            .install(|| roi_align(&pyramid, channels, &contract.roi, proposals, pooled));
        blank.fill(0.0);
        clock.lap(&mut times.roi_align);

        scores.clear();
        if !proposals.is_empty() {
            heads.class_scores(regions, [rows, side, side, channels], scores)?;
        }
        clock.lap(&mut times.class_head);
        choose_wanted(
            proposals,
            scores,
            terms.selection,
            contract,
            regions,
            region,
            wanted,
        );
        if !wanted.is_empty() {
            let rows = terms.shapes.pose_rows(wanted.len(), most);
            resize(regions, rows * region)?;
            regions[wanted.len() * region..].fill(0.0);
            poses.clear();
            heads.poses(regions, [rows, side, side, channels], poses)?;
            set_poses(wanted, poses);
        }
        clock.lap(&mut times.pose_head);
        process_prediction(wanted, &layout, &size, terms.selection, contract, kept, faces);
        clock.lap(&mut times.faces);
    }
    Ok(())
}
