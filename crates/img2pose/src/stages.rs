//! Single stages of the detector on a real frame, for `benches/stages.rs`. No part of the API.

use crate::batch::{BatchMaker, Intake};
use crate::contract::{Contract, FEATURE_LEVELS, PROPOSAL_LEVELS};
use crate::engine::{HostEngine, Setting, new_pool};
use crate::error::Error;
use crate::face::Face;
use crate::frame::{Frame, FrameLayout, NetworkSize};
use crate::model::{HalfParts, Model, RcnnFacts};
use crate::options::{DetectorOptions, Selection};
use crate::provider::Placement;
use crate::rcnn::{
    Kept, LevelFeatures, LevelOutput, ProposalMaker, ScoredProposal, choose_wanted, process_prediction,
    roi_align, set_poses,
};
use crate::runtime;
use crate::tensor::Tensor;

/// What the network says of one frame, and working memory for each stage.
pub struct Stages {
    contract: Contract,
    selection: Selection,
    channels: usize,
    layout: FrameLayout,
    size: NetworkSize,
    features: Vec<Level>,
    objectness: Vec<Level>,
    deltas: Vec<Level>,
    maker: ProposalMaker,
    proposals: Vec<[f32; 4]>,
    regions: Vec<f32>,
    scores: Vec<f32>,
    candidates: Vec<ScoredProposal>,
    kept: Kept,
    faces: Vec<Face>,
}

/// Cuts `model` into the parts for every kind of device, as loading it does, and throws them away.
///
/// # Errors
/// Those of [`Detector::load`](crate::Detector::load), as far as they are the model's.
pub fn cut(model: &Model) -> Result<(), Error> {
    let model = model.rcnn()?;
    drop(model.parts()?);
    for is_half in [false, true] {
        let half = HalfParts {
            dense: is_half,
            heads: is_half,
        };
        drop(model.device_parts(half, is_half)?);
    }
    Ok(())
}

/// A session of the graph that a server runs, for servers of tests: a process has one environment of ONNX Runtime.
///
/// # Errors
/// What ONNX Runtime says, in words.
pub fn server_session(onnx: &[u8]) -> Result<ort::session::Session, String> {
    let runtime = runtime::load(None, None).map_err(|error| error.to_string())?;
    let builder = ort::session::Session::builder(runtime.environment());
    let builder = builder.map_err(|error| error.to_string())?;
    let mut builder = builder.with_intra_threads(1).map_err(|error| error.to_string())?;
    builder
        .commit_from_memory(onnx)
        .map_err(|error| error.to_string())
}

struct Level {
    height: usize,
    width: usize,
    data: Vec<f32>,
}

impl std::fmt::Debug for Stages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stages")
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

impl Stages {
    /// Runs `model` on the processor on one frame.
    ///
    /// # Errors
    /// Those of [`Detector::load`](crate::Detector::load) and of inference.
    pub fn of(model: &Model, options: &DetectorOptions, frame: &Frame<'_>) -> Result<Self, Error> {
        let placement = Placement::on_processor(options);
        let setting = Setting::new(model, placement, new_pool(options.threads())?)?;
        let runtime = runtime::load(None, None)?;
        let mut engine = HostEngine::load(model, &model.rcnn()?.parts()?, runtime, placement, &setting)?;
        let RcnnFacts { contract, channels } = model.rcnn_facts()?.clone();
        let selection = options.selection;
        let maker = BatchMaker::new(
            &contract.images(),
            options.min_size,
            options.max_size,
            Intake::Images,
        );
        let mut batch = maker.new_batch(frame.layout, 1)?;
        batch.push(frame)?;
        let (dense, heads) = engine.parts();
        let (layout, size) = (batch.layout(), *batch.network_size());
        let (height, width) = (size.padded_height as usize, size.padded_width as usize);
        let images = batch.images().expect("it was made for the processor");
        let outputs = dense.run(images, 1, height, width)?;
        let level = |tensor: Tensor<'_>, first: usize| Level {
            height: tensor.shape[first] as usize,
            width: tensor.shape[first + 1] as usize,
            data: tensor.data.to_vec(),
        };
        let (mut features, mut objectness, mut deltas) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..FEATURE_LEVELS {
            features.push(level(outputs.features(index)?, 1));
        }
        for index in 0..PROPOSAL_LEVELS {
            objectness.push(level(outputs.objectness(index)?, 2));
            deltas.push(level(outputs.deltas(index)?, 2));
        }
        drop(outputs);
        let mut stages = Self {
            maker: ProposalMaker::new(contract.proposals.clone()),
            contract,
            selection,
            channels,
            layout,
            size,
            features,
            objectness,
            deltas,
            proposals: Vec::new(),
            regions: Vec::new(),
            scores: Vec::new(),
            candidates: Vec::new(),
            kept: Kept::default(),
            faces: Vec::new(),
        };
        stages.propose();
        stages.pool();
        let side = stages.contract.roi.output_size;
        let shape = |rows| [rows, side, side, channels];
        heads.class_scores(&stages.regions, shape(stages.proposals.len()), &mut stages.scores)?;
        let wanted = stages.prepare_poses();
        if wanted > 0 {
            let mut poses = Vec::new();
            let region = side * side * channels;
            heads.poses(&stages.regions[..wanted * region], shape(wanted), &mut poses)?;
            set_poses(&mut stages.candidates, &poses);
        }
        Ok(stages)
    }

    /// Decodes and suppresses; returns the number of proposals.
    pub fn propose(&mut self) -> usize {
        let levels: [LevelOutput<'_>; PROPOSAL_LEVELS] = std::array::from_fn(|level| LevelOutput {
            height: self.objectness[level].height,
            width: self.objectness[level].width,
            objectness: &self.objectness[level].data,
            deltas: &self.deltas[level].data,
        });
        self.proposals.clear();
        let most = self.contract.proposals.post_nms_top_n;
        let made = self.maker.propose(&levels, &self.size, most, &mut self.proposals);
        made.expect("memory for a frame's anchors");
        self.proposals.len()
    }

    /// Pools the features of the proposals on the threads of the current rayon pool; returns the last number.
    pub fn pool(&mut self) -> f32 {
        let levels: [LevelFeatures<'_>; FEATURE_LEVELS] = std::array::from_fn(|level| LevelFeatures {
            height: self.features[level].height,
            width: self.features[level].width,
            data: &self.features[level].data,
        });
        let roi = &self.contract.roi;
        let region = roi.output_size * roi.output_size * self.channels;
        self.regions.resize(self.proposals.len() * region, 0.0);
        roi_align(&levels, self.channels, roi, &self.proposals, &mut self.regions);
        self.regions.last().copied().unwrap_or_default()
    }

    /// Picks the proposals whose pose is wanted and moves their regions to the front; returns their number. Their poses
    /// are unknown then.
    pub fn prepare_poses(&mut self) -> usize {
        let region = self.regions.len() / self.proposals.len().max(1);
        choose_wanted(
            &self.proposals,
            &self.scores,
            &self.selection,
            &self.contract,
            &mut self.regions,
            region,
            &mut self.candidates,
        );
        self.candidates.len()
    }

    /// Number of proposals whose pose is wanted.
    pub fn candidates(&self) -> usize {
        self.candidates.len()
    }

    /// Turns the poses into faces; returns their number.
    pub fn faces(&mut self) -> usize {
        let (selection, contract) = (&self.selection, &self.contract);
        process_prediction(
            &mut self.candidates,
            &self.layout,
            &self.size,
            selection,
            contract,
            &mut self.kept,
            &mut self.faces,
        );
        self.faces.len()
    }
}
