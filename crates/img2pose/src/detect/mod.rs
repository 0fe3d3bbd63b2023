//! The detector: a loaded model that turns frames into faces.

mod batch;
mod device;
#[cfg(test)]
mod device_test;
mod faces;
#[cfg(test)]
mod golden;
mod host;
mod levels;
mod options;
mod shapes;
#[cfg(test)]
mod shapes_test;
mod slots;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use ort::session::RunOptions;

use crate::contract::Contract;
use crate::ending::{self, Held};
use crate::error::Error;
use crate::face::Face;
use crate::frame::{Frame, FrameLayout, NetworkSize};
use crate::model::{Model, Networks, Origin, Sessions};
use crate::runtime;
pub use batch::{Batch, BatchMaker};
pub(crate) use faces::{ScoredProposal, choose_wanted, process_prediction, set_poses};
pub use options::{DetectorOptions, ExecutionProvider, Precision, Selection};
use shapes::Shapes;
pub use slots::Slot;

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
    sessions: Held<Sessions>,
    pool: Arc<rayon::ThreadPool>,
    shapes: Shapes,
    work: Work,
    /// The batch of [`Detector::detect`].
    batch: Option<Batch>,
    times: StageTimes,
    /// Whether a batch has been run.
    has_run: bool,
}

/// Where the time of the last [`Detector::detect_batch`] went, summed over the frames of the batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct StageTimes {
    /// The convolutions: one run for the whole batch. On a device the conversion of the frames, too.
    pub dense: Duration,
    /// Decoding and suppressing region proposals.
    pub proposals: Duration,
    /// Pooling their features; 0 where the network does that, in the same run that scores them.
    pub roi_align: Duration,
    /// Scoring the proposals.
    pub class_head: Duration,
    /// Regressing the poses of those that passed.
    pub pose_head: Duration,
    /// Turning poses into faces.
    pub faces: Duration,
}

/// Memory that is used again for every batch.
enum Work {
    Host(Box<host::Work>),
    Device(Box<device::Work>),
}

/// What holds for all frames of a batch.
struct Terms<'d> {
    contract: &'d Contract,
    channels: usize,
    origin: &'d Origin,
    selection: &'d Selection,
    shapes: Shapes,
    pool: &'d rayon::ThreadPool,
    canceller: &'d Canceller,
}

impl Detector {
    /// Loads the model file at `path`, or at [`Precision::Int8`] its quantized twin ([`Model::open_in`]). Loads
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
        Self::load_with(model, options, None)
    }

    /// Loads the same model once more, to run a second batch while this detector runs one. The two have the thread pool
    /// in common, and a batch that was made for one runs in the other; the device holds the weights twice.
    ///
    /// # Errors
    /// Those of [`load`](Self::load), when the device has no memory left for a second one, say.
    pub fn twin(&self, model: &Model) -> Result<Self, Error> {
        let options = DetectorOptions {
            execution_provider: self.sessions.provider(),
            ..self.options.clone()
        };
        Self::load_with(model, options, Some(self.pool.clone()))
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
        let parts = model.parts()?;
        let runtime = runtime::load(None, None)?;
        let _inside = ending::enter(None).ok_or(Error::Cancelled)?;
        let sessions = ending::arm_while(|| {
            let candidates = options.placement().candidates(runtime)?;
            Sessions::load(model, &parts, runtime, &candidates, |sessions| {
                warm_up(sessions, model)
            })
        })?;
        Self::with_sessions(model, options, sessions, pool)
    }

    /// `sessions` are warm.
    fn with_sessions(
        model: &Model,
        options: DetectorOptions,
        mut sessions: Sessions,
        pool: Option<Arc<rayon::ThreadPool>>,
    ) -> Result<Self, Error> {
        let proposals = &model.contract().proposals;
        let work = match sessions.networks() {
            Networks::Host { .. } => Work::Host(Box::new(host::Work::new(proposals))),
            Networks::Device(_) => Work::Device(Box::default()),
        };
        let pool = match pool {
            Some(pool) => pool,
            None => Arc::new(new_pool(options.threads())?),
        };
        Ok(Self {
            shapes: Shapes::at(sessions.provider()),
            contract: model.contract().clone(),
            channels: model.channels(),
            options,
            sessions: Held::new(sessions),
            pool,
            work,
            batch: None,
            times: StageTimes::default(),
            has_run: false,
        })
    }

    /// What [`warm_up`] does, for shapes that a test has chosen.
    #[cfg(test)]
    fn show_shapes(&mut self) -> Result<(), Error> {
        show_shapes(&mut self.sessions, &self.contract, self.channels, self.shapes)
    }

    /// The facts that stand in the model file.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// The parts of the network, and the number of feature channels.
    pub(crate) fn networks(&mut self) -> (&mut Networks, usize) {
        (self.sessions.networks(), self.channels)
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

    /// How many batches are worth running at one time, each in a detector of its own ([`twin`](Self::twin)). On a
    /// device 2: it computes one while the processor chooses among the proposals of the other. On the processor 1:
    /// one batch keeps it busy.
    pub fn batches_in_flight(&self) -> usize {
        match self.work {
            Work::Host(_) => 1,
            Work::Device(_) => 2,
        }
    }

    /// Whether a run takes the time of a full batch, however few frames there are: on a device, blank ones make it up.
    pub fn fills_batches(&self) -> bool {
        self.shapes == Shapes::Few
    }

    /// Makes batches for this detector, also while it runs on another thread.
    pub fn batch_maker(&self) -> BatchMaker {
        let exchange = self.sessions.exchange().cloned();
        BatchMaker::new(
            &self.contract,
            self.options.min_size,
            self.options.max_size,
            exchange,
        )
    }

    /// The sizes that a frame of `layout` is brought to.
    pub fn network_size(&self, layout: &FrameLayout) -> NetworkSize {
        self.batch_maker().network_size(layout)
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
        if batch.is_empty() {
            return Ok(());
        }
        let canceller = self.sessions.canceller().clone();
        let origin = self.sessions.origin().clone();
        let _inside = ending::enter(Some(&canceller)).ok_or(Error::Cancelled)?;
        let terms = Terms {
            contract: &self.contract,
            channels: self.channels,
            origin: &origin,
            selection: &self.options.selection,
            shapes: self.shapes,
            pool: &self.pool,
            canceller: &canceller,
        };
        let mut times = StageTimes::default();
        let mut run = || match (self.sessions.networks(), &mut self.work) {
            (Networks::Host { dense, heads }, Work::Host(work)) => {
                host::detect(dense, heads, batch, &terms, work, faces, &mut times)
            }
            (Networks::Device(network), Work::Device(work)) => {
                device::detect(network, batch, &terms, work, faces, &mut times)
            }
            _ => unreachable!("they are made together, see with_sessions"),
        };
        match self.has_run {
            true => run()?,
            // It may be the first of the process.
            false => ending::arm_while(run)?,
        }
        self.has_run = true;
        self.times = times;
        Ok(())
    }
}

/// Shows the heads every shape that they will be given, where that is worth it. The dense part's shape is known with
/// the first batch.
fn warm_up(sessions: &mut Sessions, model: &Model) -> Result<(), Error> {
    let origin = sessions.origin().clone();
    let is_free = sessions.provider() == ExecutionProvider::Cpu;
    if let Networks::Host { dense, heads } = sessions.networks()
        && is_free
    {
        // What does not fit together is no fault of the first frame. Others would compile for this shape.
        host::try_out(dense, heads, &origin, model.contract(), model.channels())?;
    }
    let shapes = Shapes::at(sessions.provider());
    show_shapes(sessions, model.contract(), model.channels(), shapes)
}

fn show_shapes(
    sessions: &mut Sessions,
    contract: &Contract,
    channels: usize,
    shapes: Shapes,
) -> Result<(), Error> {
    let most = contract.proposals.post_nms_top_n;
    let pose_rows = shapes.all_pose_rows(most);
    if pose_rows.is_empty() {
        return Ok(());
    }
    let class_rows = shapes.class_rows(0, most);
    let side = contract.roi.output_size;
    match sessions.networks() {
        Networks::Host { heads, .. } => host::warm_up(heads, [side, side, channels], class_rows, &pose_rows),
        Networks::Device(network) => device::warm_up(&mut network.heads, channels, class_rows, &pose_rows),
    }
}

/// The threads for what is not ONNX Runtime's: proposals, RoIAlign.
fn new_pool(threads: usize) -> Result<rayon::ThreadPool, Error> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|index| format!("img2pose-{index}"))
        .build()
        .map_err(|error| ort::Error::new(error.to_string()))
        .map_err(Error::inference("start worker threads"))
}

/// Shares time out among the stages.
struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn lap(&mut self, stage: &mut Duration) {
        let now = Instant::now();
        *stage += now - self.0;
        self.0 = now;
    }
}
