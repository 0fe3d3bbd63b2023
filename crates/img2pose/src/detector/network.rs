//! From what an engine says of a batch to faces, by the architecture of the model.

use crate::batch::{Batch, Input, Intake, RegionBatch};
use crate::contract::{Contract, Facts, PairContract};
use crate::ending::Held;
use crate::engine::{self, Engine, Setting};
use crate::error::Error;
use crate::face::Face;
use crate::model::Model;
use crate::options::Selection;
use crate::pair::{Faces, Sight};
use crate::rcnn::{Kept, RegionWork, ScoredProposal, process_prediction, process_regions};
use crate::times::{Clock, StageTimes};

/// A loaded network, and memory for what it finds.
pub(super) enum Network {
    Rcnn(Box<Rcnn>),
    Pair(Box<Pair>),
}

/// An img2pose network.
pub(super) struct Rcnn {
    contract: Contract,
    engine: Held<Box<dyn Engine<Found = ScoredProposal>>>,
    /// What the engine found in each view of the last batch.
    found: Vec<Vec<ScoredProposal>>,
    kept: Kept,
    regions: RegionWork,
}

/// Two networks that find and look.
pub(super) struct Pair {
    contract: PairContract,
    engine: Held<Box<dyn Engine<Found = Sight>>>,
    /// What the engine found in each frame of the last batch.
    found: Vec<Vec<Sight>>,
    faces: Faces,
}

/// A run of an engine, done in the way that the first one of a process needs.
pub(super) type Around<'r> = dyn Fn(&mut dyn FnMut() -> Result<(), Error>) -> Result<(), Error> + 'r;

impl Network {
    /// The network of `model`, which `engine` runs.
    ///
    /// # Errors
    /// [`Error::Contract`] when the engine is for another architecture.
    pub fn new(model: &Model, engine: engine::Network) -> Result<Self, Error> {
        match engine {
            engine::Network::Rcnn(engine) => Ok(Self::Rcnn(Box::new(Rcnn {
                contract: model.rcnn_facts()?.contract.clone(),
                engine: Held::new(engine),
                found: Vec::new(),
                kept: Kept::default(),
                regions: RegionWork::default(),
            }))),
            engine::Network::Pair(engine) => {
                let contract = model.pair_contract()?.clone();
                Ok(Self::Pair(Box::new(Pair {
                    faces: Faces::new(&contract),
                    contract,
                    engine: Held::new(engine),
                    found: Vec::new(),
                })))
            }
        }
    }

    /// The facts that stand in the model file.
    pub fn facts(&self) -> Facts<'_> {
        match self {
            Self::Rcnn(rcnn) => Facts::Img2pose(&rcnn.contract),
            Self::Pair(pair) => Facts::FindAndLook(&pair.contract),
        }
    }

    /// As [`Engine::intake`].
    pub fn intake(&self) -> Intake {
        match self {
            Self::Rcnn(rcnn) => rcnn.engine.intake(),
            Self::Pair(pair) => pair.engine.intake(),
        }
    }

    /// As [`Engine::batches_in_flight`].
    pub fn batches_in_flight(&self) -> usize {
        match self {
            Self::Rcnn(rcnn) => rcnn.engine.batches_in_flight(),
            Self::Pair(pair) => pair.engine.batches_in_flight(),
        }
    }

    /// Finds the faces of each frame of `batch`, which is not empty, into `faces`, which has an entry for each.
    ///
    /// # Errors
    /// Those of [`Engine::infer`].
    pub fn find_in_batch(
        &mut self,
        setting: &Setting,
        batch: &Batch,
        selection: &Selection,
        faces: &mut [Vec<Face>],
        around: &Around<'_>,
    ) -> Result<StageTimes, Error> {
        match self {
            Self::Rcnn(rcnn) => rcnn.find_in_batch(setting, batch, selection, faces, around),
            Self::Pair(pair) => pair.find_in_batch(setting, batch, selection, faces, around),
        }
    }

    /// Finds the faces in the regions of `batch`, which is not empty, into `faces`, which has an entry for each frame.
    ///
    /// # Errors
    /// Those of [`Engine::infer`].
    pub fn find_in_regions(
        &mut self,
        setting: &Setting,
        batch: &RegionBatch,
        selection: &Selection,
        faces: &mut [Vec<Face>],
        around: &Around<'_>,
    ) -> Result<StageTimes, Error> {
        match self {
            Self::Rcnn(rcnn) => rcnn.find_in_regions(setting, batch, selection, faces, around),
            Self::Pair(_) => Err(Error::Batch(
                "models that find and look take whole frames, not regions of them".to_owned(),
            )),
        }
    }
}

/// Runs an engine; `found` has at least an entry for each view afterwards.
fn infer<T>(
    engine: &mut dyn Engine<Found = T>,
    setting: &Setting,
    batch: Input<'_>,
    selection: &Selection,
    found: &mut Vec<Vec<T>>,
    around: &Around<'_>,
) -> Result<StageTimes, Error> {
    // Never fewer: the memory of the others is used again.
    if found.len() < batch.len() {
        found.resize_with(batch.len(), Vec::new);
    }
    let found = &mut found[..batch.len()];
    let mut times = StageTimes::default();
    around(&mut || engine.infer(setting, batch, selection, found, &mut times))?;
    Ok(times)
}

impl Rcnn {
    fn find_in_batch(
        &mut self,
        setting: &Setting,
        batch: &Batch,
        selection: &Selection,
        faces: &mut [Vec<Face>],
        around: &Around<'_>,
    ) -> Result<StageTimes, Error> {
        let Self {
            contract,
            engine,
            found,
            kept,
            ..
        } = self;
        let mut times = infer(&mut ***engine, setting, batch.input(), selection, found, around)?;
        let mut clock = Clock::start();
        let (layout, size) = (batch.layout(), batch.network_size());
        for (found, faces) in found.iter_mut().zip(faces) {
            process_prediction(found, &layout, size, selection, contract, kept, faces);
        }
        clock.lap(&mut times.faces);
        Ok(times)
    }

    fn find_in_regions(
        &mut self,
        setting: &Setting,
        batch: &RegionBatch,
        selection: &Selection,
        faces: &mut [Vec<Face>],
        around: &Around<'_>,
    ) -> Result<StageTimes, Error> {
        let Self {
            contract,
            engine,
            found,
            regions,
            ..
        } = self;
        let mut times = infer(&mut ***engine, setting, batch.input(), selection, found, around)?;
        let mut clock = Clock::start();
        let mut first = 0;
        for (frame, faces) in batch.region_frames().iter().zip(faces) {
            let slots = first..frame.end;
            first = frame.end;
            let (found, cuts) = (&found[slots.clone()], &batch.cuts()[slots]);
            process_regions(found, cuts, &frame.layout, selection, contract, regions, faces);
        }
        clock.lap(&mut times.faces);
        Ok(times)
    }
}

impl Pair {
    fn find_in_batch(
        &mut self,
        setting: &Setting,
        batch: &Batch,
        selection: &Selection,
        faces: &mut [Vec<Face>],
        around: &Around<'_>,
    ) -> Result<StageTimes, Error> {
        let Self {
            contract,
            engine,
            found,
            faces: maker,
        } = self;
        let mut times = infer(&mut ***engine, setting, batch.input(), selection, found, around)?;
        let mut clock = Clock::start();
        for (found, faces) in found.iter_mut().zip(faces) {
            maker.process(found, &batch.layout(), selection, contract, faces);
        }
        clock.lap(&mut times.faces);
        Ok(times)
    }
}
