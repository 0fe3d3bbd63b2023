//! The detector: a loaded model that turns frames into faces.

mod following;
mod network;

use std::path::Path;
use std::sync::Arc;

use crate::batch::{Batch, BatchMaker, RegionBatch};
use crate::cancel::Canceller;
use crate::contract::{Contract, Facts};
use crate::ending;
#[cfg(feature = "remote")]
use crate::engine::remote::Connection;
use crate::engine::{self, Opened, Setting};
use crate::error::Error;
use crate::face::Face;
use crate::frame::{Frame, FrameLayout, NetworkSize};
use crate::model::Model;
use crate::options::{DetectorOptions, Selection};
use crate::provider::Placement;
use crate::runtime;
#[cfg(feature = "remote")]
use crate::server::ServerOptions;
use crate::shapes::Shapes;
use crate::times::StageTimes;
pub use following::StreamFrame;
use network::Network;

/// A model that is loaded and ready.
pub struct Detector {
    options: DetectorOptions,
    setting: Setting,
    network: Network,
    passed_over: Vec<String>,
    /// Twins have it in common.
    #[cfg(feature = "remote")]
    connection: Option<Arc<Connection>>,
    following: following::Work,
    /// The batch of [`Detector::detect`].
    batch: Option<Batch>,
    times: StageTimes,
    /// Whether a batch has been run.
    has_run: bool,
}

impl std::fmt::Debug for Detector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detector")
            .field("provider", &self.active_provider())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Detector {
    /// Loads the model file at `path`, or at [`Precision::Int8`](crate::Precision::Int8) its quantized twin ([`Model::open_in`]). Loads
    /// ONNX Runtime too, from where the environment says, unless [`runtime::load`] was called before.
    ///
    /// # Errors
    /// When the file is no img2pose model, an option is out of range, the library is missing or too old, or the
    /// execution provider cannot be had. Each message says which and why.
    pub fn open(path: &Path, options: DetectorOptions) -> Result<Self, Error> {
        Self::load(&Model::open_in(path, options.precision)?, options)
    }

    /// Like [`open`](Self::open), for a model that was read before.
    pub fn load(model: &Model, options: DetectorOptions) -> Result<Self, Error> {
        #[cfg(feature = "remote")]
        if let Some(server) = options.server.clone() {
            let pool = engine::new_pool(options.threads())?;
            return Self::connect(model, options, &server, None, pool);
        }
        Self::load_with(model, options, None)
    }

    /// Loads the same model once more, to run a second batch while this detector runs one. The two have the thread pool
    /// in common, and a batch that was made for one runs in the other; the device holds the weights twice. Where a server computes
    /// the network, they have the connection in common, too.
    ///
    /// # Errors
    /// Those of [`load`](Self::load), when the device has no memory left for a second one, say.
    pub fn twin(&self, model: &Model) -> Result<Self, Error> {
        let options = DetectorOptions {
            execution_provider: self.setting.provider,
            ..self.options.clone()
        };
        let pool = self.setting.pool.clone();
        #[cfg(feature = "remote")]
        if let Some(server) = options.server.clone() {
            return Self::connect(model, options, &server, self.connection.clone(), pool);
        }
        Self::load_with(model, options, Some(pool))
    }

    fn load_with(
        model: &Model,
        options: DetectorOptions,
        pool: Option<Arc<rayon::ThreadPool>>,
    ) -> Result<Self, Error> {
        options.validate()?;
        let precision = model.precision(options.precision)?;
        let options = DetectorOptions { precision, ..options };
        // A broken model is reported as such, also where ONNX Runtime is missing.
        let parts = model.host_parts()?;
        let runtime = runtime::load(None, None)?;
        let _inside = ending::enter(None).ok_or(Error::Cancelled)?;
        let pool = match pool {
            Some(pool) => pool,
            None => engine::new_pool(options.threads())?,
        };
        let opened = ending::arm_while(|| {
            let candidates = Placement::candidates(&options, runtime)?;
            engine::open(model, &parts, runtime, &candidates, &pool)
        })?;
        Self::with_network(model, options, opened)
    }

    /// A detector whose network runs at `server`.
    #[cfg(feature = "remote")]
    fn connect(
        model: &Model,
        options: DetectorOptions,
        server: &ServerOptions,
        connection: Option<Arc<Connection>>,
        pool: Arc<rayon::ThreadPool>,
    ) -> Result<Self, Error> {
        options.validate()?;
        let (opened, connection) = engine::remote::open(model, &options, server, connection, pool)?;
        let mut detector = Self::with_network(model, options, opened)?;
        detector.connection = Some(connection);
        Ok(detector)
    }

    pub(crate) fn with_network(
        model: &Model,
        options: DetectorOptions,
        opened: Opened,
    ) -> Result<Self, Error> {
        Ok(Self {
            options,
            setting: opened.setting,
            network: Network::new(model, opened.network)?,
            passed_over: opened.passed_over,
            #[cfg(feature = "remote")]
            connection: None,
            following: following::Work::default(),
            batch: None,
            times: StageTimes::default(),
            has_run: false,
        })
    }

    /// The facts that stand in the model file.
    pub fn facts(&self) -> Facts<'_> {
        self.network.facts()
    }

    /// Those of an img2pose network; `None`: the model is of another architecture.
    pub fn contract(&self) -> Option<&Contract> {
        self.facts().img2pose()
    }

    /// The execution provider in use, as a user writes it.
    pub fn active_provider(&self) -> &'static str {
        self.setting.name
    }

    /// Why `auto` did not take a provider that it would have preferred: a text for each that the library has and that
    /// failed to load.
    pub fn passed_over(&self) -> &[String] {
        &self.passed_over
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
        self.setting.canceller.clone()
    }

    /// How many batches are worth running at one time, each in a detector of its own ([`twin`](Self::twin)). On a
    /// device 2: it computes one while the processor chooses among the proposals of the other. On the processor 1:
    /// one batch keeps it busy.
    pub fn batches_in_flight(&self) -> usize {
        self.network.batches_in_flight()
    }

    /// Whether a run takes the time of a full batch, however few frames there are: on a device, blank ones make it up.
    pub fn fills_batches(&self) -> bool {
        self.setting.shapes == Shapes::Few
    }

    /// Makes batches for this detector, also while it runs on another thread.
    pub fn batch_maker(&self) -> BatchMaker {
        let intake = self.network.intake();
        let maker = BatchMaker::new(
            &self.facts().images(),
            self.options.min_size,
            self.options.max_size,
            intake,
        )
        .bounded_by(self.setting.footprint);
        match self.facts() {
            Facts::Img2pose(_) => maker,
            // Crops are cut from the frame itself.
            Facts::FindAndLook(_) => maker.keeping_frames(),
        }
    }

    /// The sizes that a frame of `layout` is brought to.
    pub fn network_size(&self, layout: &FrameLayout) -> NetworkSize {
        self.batch_maker().network_size(layout)
    }

    /// An empty batch for `capacity` frames of one layout.
    ///
    /// # Errors
    /// When the layout has a side of 0, `capacity` is 0, or there is no memory for the batch or its run.
    pub fn new_batch(&self, layout: FrameLayout, capacity: usize) -> Result<Batch, Error> {
        self.batch_maker().new_batch(layout, capacity)
    }

    /// An empty batch for `capacity` regions of frames of any layout, see [`BatchMaker::new_region_batch`].
    ///
    /// # Errors
    /// When `side` or `capacity` is 0, or there is not so much memory.
    pub fn new_region_batch(&self, side: u32, capacity: usize) -> Result<RegionBatch, Error> {
        self.batch_maker().new_region_batch(side, capacity)
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
            self.batch = Some(batch);
        }
        Ok(faces)
    }

    /// An empty batch; the last one of [`detect`](Self::detect) when it fits.
    fn take_batch(&mut self, layout: FrameLayout, frames: usize) -> Result<Batch, Error> {
        match self.batch.take() {
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
    /// When inference fails, is cancelled, or the process ends, or the batch was made for a device and this detector computes on the
    /// processor.
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
    /// As [`detect_batch`](Self::detect_batch); what `faces` holds then means nothing.
    pub fn detect_batch_into(&mut self, batch: &Batch, faces: &mut Vec<Vec<Face>>) -> Result<(), Error> {
        faces.resize_with(batch.len(), Vec::new);
        self.find_in_batch(batch, faces)
    }

    /// As [`detect_batch_into`](Self::detect_batch_into); `faces` has an entry a frame.
    fn find_in_batch(&mut self, batch: &Batch, faces: &mut [Vec<Face>]) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let Self {
            network,
            setting,
            options,
            ..
        } = self;
        let around = around(setting, self.has_run);
        self.times = network.find_in_batch(setting, batch, &options.selection, faces, &around)?;
        self.has_run = true;
        Ok(())
    }

    /// Finds the faces in regions of frames, in one run of the network, into `faces`, whose memory is used again: it has one
    /// entry a frame afterwards. Poses and boxes are those of the whole frame, and no face is there twice, whichever regions
    /// show it.
    ///
    /// A face that a region shows completely is the face of the whole frame as far as its scale there allows; where a region
    /// cuts a face, its pose is a guess.
    ///
    /// # Errors
    /// As [`detect_batch`](Self::detect_batch); what `faces` holds then means nothing.
    pub fn detect_regions_into(
        &mut self,
        batch: &RegionBatch,
        faces: &mut Vec<Vec<Face>>,
    ) -> Result<(), Error> {
        faces.resize_with(batch.region_frames().len(), Vec::new);
        self.find_in_regions(batch, faces)
    }

    /// As [`detect_regions_into`](Self::detect_regions_into); `faces` has an entry a frame.
    fn find_in_regions(&mut self, batch: &RegionBatch, faces: &mut [Vec<Face>]) -> Result<(), Error> {
        if batch.is_empty() {
            faces.iter_mut().for_each(Vec::clear);
            return Ok(());
        }
        let Self {
            network,
            setting,
            options,
            ..
        } = self;
        let around = around(setting, self.has_run);
        self.times = network.find_in_regions(setting, batch, &options.selection, faces, &around)?;
        self.has_run = true;
        Ok(())
    }
}

/// What a run of an engine is done in: it is not begun when the process ends, and the end waits for it. It may be the first of
/// the process, which makes threads.
fn around(
    setting: &Setting,
    has_run: bool,
) -> impl Fn(&mut dyn FnMut() -> Result<(), Error>) -> Result<(), Error> {
    move |run| {
        let _inside = ending::enter(Some(&setting.canceller)).ok_or(Error::Cancelled)?;
        match has_run {
            true => run(),
            false => ending::arm_while(run),
        }
    }
}
