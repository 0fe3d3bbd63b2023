//! The detector: a loaded model that turns frames into faces.

mod batch;
mod faces;
#[cfg(test)]
mod golden;
mod levels;
mod options;
mod shapes;
#[cfg(test)]
mod shapes_test;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use ort::session::RunOptions;

use crate::contract::Contract;
use crate::error::Error;
use crate::face::Face;
use crate::frame::{Frame, FrameLayout, NetworkSize};
use crate::model::{Model, Sessions};
use crate::nms::Kept;
use crate::proposals::ProposalMaker;
use crate::roi_align::roi_align;
use crate::runtime;
pub use batch::{Batch, BatchMaker};
use faces::{ScoredProposal, is_wanted, process_prediction};
use levels::DenseLevels;
pub use options::{DetectorOptions, ExecutionProvider, Precision, Selection};
use shapes::Shapes;

/// Stops a running detection from another thread.
#[derive(Clone)]
pub struct Canceller {
    pub(crate) cancelled: Arc<AtomicBool>,
    pub(crate) options: Arc<RunOptions>,
}

/// A model that is loaded and ready.
pub struct Detector {
    contract: Contract,
    channels: usize,
    options: DetectorOptions,
    sessions: Sessions,
    proposal_maker: ProposalMaker,
    pool: rayon::ThreadPool,
    shapes: Shapes,
    work: Work,
    times: StageTimes,
}

/// Where the time of the last [`Detector::detect_batch`] went, summed over the frames of the batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct StageTimes {
    /// The convolutions: one run for the whole batch.
    pub dense: Duration,
    /// Decoding and suppressing region proposals.
    pub proposals: Duration,
    /// Pooling their features.
    pub roi_align: Duration,
    /// Scoring the proposals.
    pub class_head: Duration,
    /// Regressing the poses of those that passed.
    pub pose_head: Duration,
    /// Turning poses into faces.
    pub faces: Duration,
}

/// Memory that is used again for every frame.
#[derive(Default)]
struct Work {
    proposals: Vec<[f32; 4]>,
    regions: Vec<f32>,
    scores: Vec<f32>,
    wanted: Vec<ScoredProposal>,
    poses: Vec<f32>,
    kept: Kept,
    /// A batch with blank frames behind its own.
    padded: Vec<f32>,
    /// The batch of [`Detector::detect`].
    batch: Option<Batch>,
}

impl Detector {
    /// Loads the model file at `path`. Loads ONNX Runtime too, from where the environment says, unless
    /// [`runtime::load`] was called before.
    ///
    /// # Errors
    /// When the file is no img2pose model, an option is out of range, the library is missing or too old, or the
    /// execution provider cannot be had. Each message says which and why.
    pub fn open(path: &Path, options: DetectorOptions) -> Result<Self, Error> {
        Self::load(&Model::open(path)?, options)
    }

    /// Like [`open`](Self::open), for a model that was read before.
    pub fn load(model: &Model, options: DetectorOptions) -> Result<Self, Error> {
        options.validate()?;
        // A broken model is reported as such, also where ONNX Runtime is missing.
        let parts = model.parts()?;
        let runtime = runtime::load(None, None)?;
        let threads = options.threads();
        let candidates = options.placement().candidates(runtime)?;
        let sessions = Sessions::load(model, &parts, runtime, &candidates)?;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("img2pose-{index}"))
            .build()
            .map_err(|error| ort::Error::new(error.to_string()))
            .map_err(Error::inference("start worker threads"))?;
        let mut detector = Self {
            shapes: Shapes::at(sessions.provider()),
            contract: model.contract().clone(),
            channels: model.channels(),
            proposal_maker: ProposalMaker::new(model.contract().proposals.clone()),
            options,
            sessions,
            pool,
            work: Work::default(),
            times: StageTimes::default(),
        };
        detector.warm_up()?;
        Ok(detector)
    }

    /// Shows the heads every shape that they will be given, where that is worth it. The dense part's shape is known with
    /// the first batch.
    fn warm_up(&mut self) -> Result<(), Error> {
        let (side, channels) = (self.contract.roi.output_size, self.channels);
        let most = self.contract.proposals.post_nms_top_n;
        let pose_rows = self.shapes.all_pose_rows(most);
        if pose_rows.is_empty() {
            return Ok(());
        }
        let region = side * side * channels;
        let Work {
            regions,
            scores,
            poses,
            ..
        } = &mut self.work;
        let (_, heads) = self.sessions.split();
        let rows = self.shapes.class_rows(0, most);
        regions.clear();
        regions.resize(rows.max(pose_rows[pose_rows.len() - 1]) * region, 0.0);
        heads.class_scores(&regions[..rows * region], [rows, side, side, channels], scores)?;
        for rows in pose_rows {
            heads.poses(&regions[..rows * region], [rows, side, side, channels], poses)?;
        }
        Ok(())
    }

    /// The facts that stand in the model file.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// The execution provider in use, as a user writes it.
    pub fn active_provider(&self) -> &'static str {
        self.sessions.provider().name()
    }

    /// Why `auto` did not take a provider that it would have preferred: a text for each that the library has and that
    /// failed to load.
    pub fn passed_over(&self) -> &[String] {
        self.sessions.passed_over()
    }

    /// Which faces are reported and how their boxes are drawn.
    pub fn selection(&self) -> &Selection {
        &self.options.selection
    }

    /// Changes which faces are reported, from the next detection on.
    ///
    /// # Errors
    /// [`Error::Option`] when a number is out of range; nothing changes then.
    pub fn set_selection(&mut self, selection: Selection) -> Result<(), Error> {
        selection.validate()?;
        self.options.selection = selection;
        Ok(())
    }

    /// The handle that stops a detection from another thread.
    pub fn canceller(&self) -> Canceller {
        self.sessions.canceller().clone()
    }

    /// Makes batches for this detector, also while it runs on another thread.
    pub fn batch_maker(&self) -> BatchMaker {
        BatchMaker::new(&self.contract, self.options.min_size, self.options.max_size)
    }

    /// The sizes that a frame of `width` x `height` pixels is brought to.
    pub fn network_size(&self, width: u32, height: u32) -> NetworkSize {
        self.batch_maker().network_size(width, height)
    }

    /// An empty batch for `capacity` frames of one layout.
    ///
    /// # Errors
    /// When the layout has a side of 0, `capacity` is 0, or there is not so much memory.
    pub fn new_batch(&self, layout: FrameLayout, capacity: usize) -> Result<Batch, Error> {
        self.batch_maker().new_batch(layout, capacity)
    }

    /// Where the time of the last [`detect_batch`](Self::detect_batch) went.
    pub fn stage_times(&self) -> StageTimes {
        self.times
    }

    /// Finds the faces of every frame. The result has one entry a frame, in the order of `frames`.
    ///
    /// Frames of one layout share one run of the network; frames of different sizes never share a padded tensor,
    /// because padding changes the results. The faces of a frame are the same, bit for bit, in any company.
    ///
    /// # Errors
    /// When a frame's planes are too small, or inference fails or is cancelled.
    pub fn detect(&mut self, frames: &[Frame<'_>]) -> Result<Vec<Vec<Face>>, Error> {
        let mut faces = vec![Vec::new(); frames.len()];
        let mut done = vec![false; frames.len()];
        for first in 0..frames.len() {
            if done[first] {
                continue;
            }
            let layout = frames[first].layout;
            let members: Vec<usize> = (first..frames.len())
                .filter(|&index| frames[index].layout == layout)
                .collect();
            let mut batch = self.take_batch(layout, members.len())?;
            for &index in &members {
                batch.push(&frames[index])?;
            }
            for (&index, found) in members.iter().zip(self.detect_batch(&batch)?) {
                faces[index] = found;
                done[index] = true;
            }
            self.work.batch = Some(batch);
        }
        Ok(faces)
    }

    /// An empty batch; the last one of [`detect`](Self::detect) when it fits.
    fn take_batch(&mut self, layout: FrameLayout, frames: usize) -> Result<Batch, Error> {
        match self.work.batch.take() {
            Some(mut batch) if batch.layout() == layout && batch.capacity() >= frames => {
                batch.clear();
                Ok(batch)
            }
            _ => self.new_batch(layout, frames),
        }
    }

    /// Finds the faces of every frame of a batch, in one run of the network. An empty batch runs nothing.
    ///
    /// # Errors
    /// When inference fails or is cancelled.
    pub fn detect_batch(&mut self, batch: &Batch) -> Result<Vec<Vec<Face>>, Error> {
        let mut faces = Vec::new();
        self.detect_batch_into(batch, &mut faces)?;
        Ok(faces)
    }

    /// Like [`detect_batch`](Self::detect_batch), into `faces`, whose memory is used again: it has one entry a frame
    /// afterwards. When batches are alike, nothing is allocated from the second one on but what `ort` allocates for
    /// each run.
    ///
    /// # Errors
    /// When inference fails or is cancelled; what `faces` holds then means nothing.
    pub fn detect_batch_into(&mut self, batch: &Batch, faces: &mut Vec<Vec<Face>>) -> Result<(), Error> {
        faces.resize_with(batch.len(), Vec::new);
        if batch.is_empty() {
            return Ok(());
        }
        let size = *batch.network_size();
        let (height, width) = (size.padded_height as usize, size.padded_width as usize);
        let canceller = self.sessions.canceller().clone();
        let (dense, heads) = self.sessions.split();
        let mut times = StageTimes::default();
        let mut clock = Clock(Instant::now());
        let frames = self.shapes.frames(batch.len(), batch.capacity());
        let images = if frames == batch.len() {
            batch.images()
        } else {
            let padded = &mut self.work.padded;
            padded.clear();
            padded.extend_from_slice(batch.images());
            padded.resize(frames * size.tensor_len(), 0.0);
            &padded[..]
        };
        let outputs = dense.run(images, frames, height, width)?;
        let levels = DenseLevels::read(&outputs, frames, self.channels)?;
        clock.lap(&mut times.dense);

        let (side, channels) = (self.contract.roi.output_size, self.channels);
        let region = side * side * channels;
        let most = self.contract.proposals.post_nms_top_n;
        let selection = &self.options.selection;
        let Work {
            proposals,
            regions,
            scores,
            wanted,
            poses,
            kept,
            ..
        } = &mut self.work;
        // The heads run frame by frame: their input for a whole batch would take hundreds of megabytes, and a
        // frame's result cannot depend on its neighbours this way.
        for (frame, faces) in faces.iter_mut().enumerate() {
            if canceller.is_cancelled() {
                return Err(Error::Cancelled);
            }
            proposals.clear();
            self.proposal_maker
                .propose(&levels.proposal_levels(frame), &size, proposals);
            clock.lap(&mut times.proposals);

            let pyramid = levels.feature_levels(frame, channels);
            let rows = self.shapes.class_rows(proposals.len(), most);
            regions.resize(rows * region, 0.0);
            let (pooled, blank) = regions.split_at_mut(proposals.len() * region);
            self.pool
                .install(|| roi_align(&pyramid, channels, &self.contract.roi, proposals, pooled));
            blank.fill(0.0);
            clock.lap(&mut times.roi_align);

            scores.clear();
            if !proposals.is_empty() {
                heads.class_scores(regions, [rows, side, side, channels], scores)?;
            }
            clock.lap(&mut times.class_head);
            wanted.clear();
            // Rows of wanted regions move to the front; each comes from its own place or further back.
            for (index, (&proposal, &score)) in proposals.iter().zip(&*scores).enumerate() {
                if is_wanted(&proposal, score, selection, &self.contract) {
                    regions.copy_within(index * region..(index + 1) * region, wanted.len() * region);
                    wanted.push(ScoredProposal {
                        rank: index,
                        proposal,
                        score,
                        pose: [0.0; 6],
                    });
                }
            }
            if !wanted.is_empty() {
                let rows = self.shapes.pose_rows(wanted.len(), most);
                regions.resize(rows * region, 0.0);
                regions[wanted.len() * region..].fill(0.0);
                poses.clear();
                heads.poses(regions, [rows, side, side, channels], poses)?;
                for (candidate, pose) in wanted.iter_mut().zip(poses.chunks_exact(6)) {
                    candidate.pose.copy_from_slice(pose);
                }
            }
            clock.lap(&mut times.pose_head);
            process_prediction(wanted, &size, selection, &self.contract, kept, faces);
            clock.lap(&mut times.faces);
        }
        self.times = times;
        Ok(())
    }
}

/// Shares time out among the stages.
struct Clock(Instant);

impl Clock {
    fn lap(&mut self, stage: &mut Duration) {
        let now = Instant::now();
        *stage += now - self.0;
        self.0 = now;
    }
}
