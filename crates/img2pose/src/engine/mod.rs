//! The seam between the detector and whatever computes its network.
//!
//! An [`Engine`] takes a batch to what its architecture says of each place where a face may be; everything after that (camera,
//! box, suppression, order) is one function for all engines of an architecture. A new one is a folder beside these and an arm
//! in [`open`].
//!
//! The architectures do not end at the same type: an img2pose network answers with a normalised pose in the camera of a
//! proposal in whole pixels, a pair of networks with landmarks in a turned square. So the engine says what it gives
//! ([`Engine::Found`]), and a [`Network`] is an engine of either kind.

mod bound;
mod chosen;
mod host;
mod pair;
mod part;
#[cfg(feature = "remote")]
pub(crate) mod remote;
mod session;
#[cfg(test)]
mod tests;
mod threads;
pub(crate) mod whole;

use std::sync::Arc;

use crate::batch::{Input, Intake};
use crate::cancel::Canceller;
use crate::contract::FIND_AND_LOOK;
use crate::error::Error;
use crate::footprint::Footprint;
use crate::model::{HostParts, Model};
use crate::options::{ExecutionProvider, Selection};
use crate::origin::Origin;
use crate::pair::Sight;
use crate::provider::Placement;
use crate::rcnn::ScoredProposal;
use crate::runtime::Runtime;
use crate::shapes::Shapes;
use crate::times::StageTimes;
use crate::turns::Turns;
pub(crate) use host::HostEngine;
pub(crate) use threads::new_pool;

/// A network that is loaded and ready.
pub(crate) trait Engine: Send {
    /// What it says of a place where a face may be.
    type Found;

    /// In which form it takes frames.
    fn intake(&self) -> Intake {
        Intake::Images
    }

    /// How many batches are worth computing at one time, each in an engine of its own.
    fn batches_in_flight(&self) -> usize {
        1
    }

    /// Computes `batch`, which is not empty, in one run of the convolutions. `found` has an entry for each of its views, which
    /// holds afterwards the places that can become faces by `selection`, in any order. `setting` is what the engine was loaded
    /// with. Adds to `times`.
    ///
    /// # Errors
    /// [`Error::Cancelled`], [`Error::OtherDevice`] for a batch that was made for another one, and what ONNX Runtime says.
    fn infer(
        &mut self,
        setting: &Setting,
        batch: Input<'_>,
        selection: &Selection,
        found: &mut [Vec<Self::Found>],
        times: &mut StageTimes,
    ) -> Result<(), Error>;
}

/// An engine, by the architecture of its model.
pub(crate) enum Network {
    /// An img2pose network.
    Rcnn(Box<dyn Engine<Found = ScoredProposal>>),
    /// Two networks that find and look.
    Pair(Box<dyn Engine<Found = Sight>>),
}

/// What holds for every run of an engine.
pub(crate) struct Setting {
    pub provider: ExecutionProvider,
    /// Where the network runs, as a user writes it.
    pub name: &'static str,
    /// What errors say of the model.
    pub origin: Arc<Origin>,
    pub shapes: Shapes,
    /// Where its sessions take turns with all others of the process.
    pub turns: Option<&'static Turns>,
    /// Whether the provider has RoIAlign.
    pub pools_regions: bool,
    /// How large a batch can be at most.
    pub footprint: Footprint,
    /// Threads for what is not ONNX Runtime's: proposals, RoIAlign.
    pub pool: Arc<rayon::ThreadPool>,
    /// Stops a run from another thread.
    pub canceller: Canceller,
}

impl Setting {
    /// For `model`, run at `placement`.
    ///
    /// # Errors
    /// When ONNX Runtime has no memory for it.
    pub fn new(model: &Model, placement: Placement, pool: Arc<rayon::ThreadPool>) -> Result<Self, Error> {
        Ok(Self {
            provider: placement.provider.id,
            name: placement.provider.name,
            origin: placement.origin(model),
            shapes: match placement.whole {
                true => Shapes::Free,
                false => placement.provider.shapes,
            },
            turns: placement.turns(),
            pools_regions: placement.provider.pools_regions,
            footprint: match placement.memory() {
                Some(_) => Footprint::UNKNOWN,
                None => Footprint::on_this_machine(model.first_layer_bytes_per_pixel()),
            },
            pool,
            canceller: Canceller::new().map_err(Error::inference("set up a run"))?,
        })
    }
}

/// An engine, and why better placements were not taken, a text for each.
pub(crate) struct Opened {
    pub setting: Setting,
    pub network: Network,
    pub passed_over: Vec<String>,
}

/// Loads `model` at the first of `candidates` that works, and runs something: some providers load and fail only in a run, for
/// want of a part of their library, say.
///
/// # Errors
/// What the last candidate failed with.
pub(crate) fn open(
    model: &Model,
    parts: &HostParts,
    runtime: &'static Runtime,
    candidates: &[Placement],
    pool: &Arc<rayon::ThreadPool>,
) -> Result<Opened, Error> {
    let ((setting, network), passed_over) = first_that_works(candidates, |placement| {
        let setting = Setting::new(model, placement, pool.clone())?;
        let network = open_at(model, parts, runtime, placement, &setting)?;
        Ok((setting, network))
    })?;
    Ok(Opened {
        setting,
        network,
        passed_over,
    })
}

/// What `open` gives for the first of `candidates` that it does not fail for, and why those before it failed.
fn first_that_works<T>(
    candidates: &[Placement],
    mut open: impl FnMut(Placement) -> Result<T, Error>,
) -> Result<(T, Vec<String>), Error> {
    let mut passed_over = Vec::new();
    let mut last = Error::Option {
        option: "execution_provider",
        found: "none".to_owned(),
        expected: "at least one candidate",
    };
    for placement in candidates {
        match open(*placement) {
            Ok(opened) => return Ok((opened, passed_over)),
            Err(error) => {
                passed_over.push(error.to_string());
                last = error;
            }
        }
    }
    Err(last)
}

fn open_at(
    model: &Model,
    parts: &HostParts,
    runtime: &'static Runtime,
    placement: Placement,
    setting: &Setting,
) -> Result<Network, Error> {
    let parts = match parts {
        HostParts::Rcnn(parts) => parts,
        HostParts::Pair(parts) => {
            if placement.whole {
                return Err(Error::Contract {
                    path: model.path().to_owned(),
                    reason: format!("it is of architecture '{FIND_AND_LOOK}', which is run in parts only"),
                });
            }
            let mut engine = pair::PairEngine::load(model, parts, runtime, placement, setting)?;
            engine.warm_up(setting)?;
            return Ok(Network::Pair(Box::new(engine)));
        }
    };
    if placement.whole {
        let engine = whole::WholeEngine::load(model, runtime, placement)?;
        return Ok(Network::Rcnn(Box::new(engine)));
    }
    Ok(Network::Rcnn(match placement.memory() {
        Some(memory) => {
            let mut engine = bound::BoundEngine::load(model, runtime, placement, setting, &memory)?;
            engine.warm_up(setting)?;
            Box::new(engine)
        }
        None => {
            let mut engine = host::HostEngine::load(model, parts, runtime, placement, setting)?;
            engine.warm_up(setting)?;
            Box::new(engine)
        }
    }))
}
