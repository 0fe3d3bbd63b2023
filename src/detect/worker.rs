//! The threads that own a loaded model and run one batch after another.
//!
//! Elements are its clients. A client's streaming thread converts each frame straight into the open batch
//! ([`Client::submit`]) and gets a [`Ticket`]; the worker begins the batches in order and wakes the clients that have
//! a frame in it. Converting, running and pushing downstream thus happen on three threads: a sink that waits for
//! the clock does not hold up the next batch. No lock is held while the network runs or a frame is converted: clients
//! that share a batch convert into it side by side.
//!
//! A model on a GPU is loaded twice, each time with a thread of its own: while the processor chooses among the
//! proposals of one batch, the GPU computes another. The later one may end first; the elements' queues keep the order.

mod client;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use img2pose::frame::FrameLayout;
use img2pose::{Face, Selection};

use super::batcher::{BatchId, Batcher, Cause, ClientId, Due, Next};
use super::network::{Failure, Network, NetworkHandle};
pub use client::{Client, Submitted};

/// Batches that are kept for use again, for each client: one is filled, one waits, one is run.
const FREE_BATCHES_PER_CLIENT: usize = 3;

/// Called, with no lock held, when a batch that has frames of the client has run.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// A batch from its first frame to its last result.
struct Job<B> {
    layout: FrameLayout,
    batch: Mutex<Option<B>>,
    /// Whose frame each slot holds; `None`: none, because it could not be converted.
    owners: Mutex<Vec<Option<ClientId>>>,
    /// When it waited for nothing but its turn.
    ready: OnceLock<Instant>,
    results: Mutex<Vec<Option<FrameResult>>>,
    /// Set after `results`.
    end: OnceLock<Run>,
}

/// The faces of one frame, or why there are none.
type FrameResult = Result<Vec<Face>, Failure>;

/// What is known of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Number of frames in the batch.
    pub frames: usize,
    /// Why it ran.
    pub cause: Cause,
    /// How long the batch waited for its turn after it was closed.
    pub waited: Duration,
    /// How long the network took.
    pub duration: Duration,
}

/// Stands for the result of one frame.
pub struct Ticket<B> {
    job: Arc<Job<B>>,
    id: BatchId,
    slot: usize,
}

impl<B> Ticket<B> {
    /// The batch that the frame is in.
    pub fn batch(&self) -> BatchId {
        self.id
    }

    /// Whether the batch has run, or will never run.
    pub fn is_finished(&self) -> bool {
        self.job.end.get().is_some()
    }

    /// The faces of the frame, once; `None` before the batch has run and after the first call.
    pub fn take(&self) -> Option<Result<(Vec<Face>, Run), Failure>> {
        let run = *self.job.end.get()?;
        let result = lock(&self.job.results)
            .get_mut(self.slot)
            .and_then(Option::take)?;
        Some(result.map(|faces| (faces, run)))
    }
}

struct State<N: Network> {
    batcher: Batcher<FrameLayout>,
    jobs: HashMap<BatchId, Arc<Job<N::Batch>>>,
    free: Vec<(FrameLayout, N::Batch)>,
    /// One for each network.
    seats: Vec<Seat>,
    clients: HashMap<ClientId, Waker>,
    next_client: u64,
    stop: bool,
}

/// What the state knows of one network.
#[derive(Default)]
struct Seat {
    /// Whom the batch is for that it runs now.
    running: Option<Vec<ClientId>>,
    /// What it is to report from its next batch on, if that has changed.
    selection: Option<Selection>,
}

/// A batch that a network runs now.
struct Turn<B> {
    id: BatchId,
    cause: Cause,
    job: Arc<Job<B>>,
    /// What the network is to report from now on, if that has changed.
    selection: Option<Selection>,
}

struct Shared<N: Network> {
    /// One for each network, in the order of [`State::seats`].
    handles: Vec<N::Handle>,
    size: usize,
    state: Mutex<State<N>>,
    work: Condvar,
}

/// A running worker. Dropping it stops the threads and waits for them.
pub struct Worker<N: Network> {
    shared: Arc<Shared<N>>,
    threads: Vec<JoinHandle<()>>,
    /// The process that the threads are in.
    process: u32,
}

// A panic cannot leave these locks' data half changed in a way that matters: each section is a few assignments.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<N: Network> Worker<N> {
    /// Starts a thread for each of `networks`, which run batches of up to `size` frames. They are one model, loaded as
    /// often as batches are to run at one time: at least once.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(networks: Vec<N>, size: usize) -> std::io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            handles: networks.iter().map(N::handle).collect(),
            size,
            state: Mutex::new(State {
                batcher: Batcher::new(size),
                jobs: HashMap::new(),
                free: Vec::new(),
                seats: networks.iter().map(|_| Seat::default()).collect(),
                clients: HashMap::new(),
                next_client: 0,
                stop: false,
            }),
            work: Condvar::new(),
        });
        // Built before its threads start: if one of them cannot be started, dropping it stops the others.
        let mut worker = Self {
            shared,
            threads: Vec::new(),
            process: std::process::id(),
        };
        for (seat, network) in networks.into_iter().enumerate() {
            let shared = worker.shared.clone();
            let thread = std::thread::Builder::new()
                .name("img2pose-worker".to_owned())
                .spawn(move || shared.work(seat, network))?;
            worker.threads.push(thread);
        }
        Ok(Arc::new(worker))
    }

    /// What can be asked of the networks while they run.
    pub fn handle(&self) -> &N::Handle {
        self.shared.maker()
    }

    /// Whether this is the child of a fork. The threads do not exist here: to wait for one of them, or for a lock that one has
    /// held at that time, would last for ever.
    fn is_left_behind(&self) -> bool {
        self.process != std::process::id()
    }

    /// Changes which faces are reported, from the next batch on.
    pub fn select(&self, selection: Selection) {
        for seat in &mut lock(&self.shared.state).seats {
            seat.selection = Some(selection);
        }
    }
}

impl<N: Network> Drop for Worker<N> {
    fn drop(&mut self) {
        if self.is_left_behind() {
            return;
        }
        {
            let mut state = lock(&self.shared.state);
            state.stop = true;
            self.shared.handles.iter().for_each(N::Handle::cancel);
        }
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            // A panic of the network is caught below; one of the worker itself was reported on stderr.
            let _ = thread.join();
        }
    }
}

impl<N: Network> State<N> {
    /// Takes down the time for batches that have just become ready.
    fn note_ready(&self) {
        for (batch, job) in &self.jobs {
            if self.batcher.is_ready(*batch) {
                job.ready.get_or_init(Instant::now);
            }
        }
    }

    /// Forgets a batch that nobody waits for.
    fn discard(&mut self, batch: BatchId) {
        if let Some(job) = self.jobs.remove(&batch) {
            self.recycle(&job);
        }
    }

    /// Keeps the memory of a batch for the next one of that layout.
    fn recycle(&mut self, job: &Job<N::Batch>) {
        let Some(mut batch) = lock(&job.batch).take() else {
            return;
        };
        N::Handle::clear(&mut batch);
        if self.free.len() >= FREE_BATCHES_PER_CLIENT * self.clients.len().max(1) {
            self.free.remove(0);
        }
        self.free.push((job.layout, batch));
    }
}

impl<N: Network> Shared<N> {
    /// Runs batches on the network of `seat` until the worker is dropped.
    fn work(&self, seat: usize, mut network: N) {
        while let Some(Turn {
            id,
            cause,
            job,
            selection,
        }) = self.next(seat)
        {
            let batch = lock(&job.batch).take();
            let began = Instant::now();
            let waited = began.duration_since(*job.ready.get_or_init(|| began));
            let owners = std::mem::take(&mut *lock(&job.owners));
            let changed = selection.map_or(Ok(()), |selection| network.select(selection));
            let results = match (&batch, changed) {
                (Some(batch), Ok(())) => self.run(&mut network, batch, job.layout, &owners),
                (_, changed) => {
                    let cause = changed.err().unwrap_or_else(|| "the batch is missing".to_owned());
                    vec![Err(Failure::Failed(cause)); owners.len()]
                }
            };
            let duration = began.elapsed();
            *lock(&job.batch) = batch;
            *lock(&job.results) = results.into_iter().map(Some).collect();
            let run = Run {
                frames: owners.iter().flatten().count(),
                cause,
                waited,
                duration,
            };
            self.finish(seat, id, &job, run);
        }
    }

    /// Runs a batch. When it fails, each client's frames run again alone, so that only those see the failure who have
    /// brought it about, and then the frames of such a client one by one: those before the first that fails have their
    /// faces, and those behind it are not tried.
    fn run(
        &self,
        network: &mut N,
        batch: &N::Batch,
        layout: FrameLayout,
        owners: &[Option<ClientId>],
    ) -> Vec<FrameResult> {
        let failure = match run_once(network, batch, owners.len()) {
            Ok(faces) => return faces.into_iter().map(Ok).collect(),
            Err(failure) => failure,
        };
        let mut results = vec![Err(failure.clone()); owners.len()];
        let mut clients = owners.iter().flatten();
        let first = clients.next();
        let is_shared = clients.any(|client| Some(client) != first);
        // Not the fault of a frame.
        let concerns_all = match failure {
            Failure::Cancelled => true,
            Failure::Failed(_) => false,
            #[cfg(feature = "remote")]
            Failure::Outage { .. } => true,
        };
        if concerns_all {
            return results;
        }
        let mut done: Vec<ClientId> = Vec::new();
        for owner in owners.iter().flatten() {
            if done.contains(owner) {
                continue;
            }
            done.push(*owner);
            let is_theirs = |slot: &usize| owners[*slot] == Some(*owner);
            let slots: Vec<usize> = (0..owners.len()).filter(is_theirs).collect();
            let all = match is_shared {
                true => self.run_again(network, batch, layout, &slots),
                false => Err(failure.clone()),
            };
            let found = match all {
                Ok(faces) => faces.into_iter().map(Ok).collect(),
                Err(failure) => self.run_one_by_one(network, batch, layout, &slots, failure),
            };
            for (slot, result) in slots.into_iter().zip(found) {
                results[slot] = result;
            }
        }
        results
    }

    /// The frames in `slots`, which have failed together, up to the first that fails alone; the rest fails as it does.
    fn run_one_by_one(
        &self,
        network: &mut N,
        batch: &N::Batch,
        layout: FrameLayout,
        slots: &[usize],
        failure: Failure,
    ) -> Vec<FrameResult> {
        let mut failed = match slots.len() {
            1 => Some(failure),
            _ => None,
        };
        let mut one = |slot: usize| {
            if let Some(failure) = &failed {
                return Err(failure.clone());
            }
            let faces = self.run_again(network, batch, layout, &[slot]);
            let faces = faces.inspect_err(|failure| failed = Some(failure.clone()))?;
            Ok(faces.into_iter().next().unwrap_or_default())
        };
        slots.iter().map(|slot| one(*slot)).collect()
    }

    /// Runs some of the frames of a batch.
    fn run_again(
        &self,
        network: &mut N,
        batch: &N::Batch,
        layout: FrameLayout,
        slots: &[usize],
    ) -> Result<Vec<Vec<Face>>, Failure> {
        let part = self.copy(batch, layout, slots)?;
        run_once(network, &part, slots.len())
    }

    /// A batch with some of the frames of another.
    fn copy(&self, batch: &N::Batch, layout: FrameLayout, slots: &[usize]) -> Result<N::Batch, Failure> {
        // Of the size of all others: a GPU would have to get to know another one.
        let mut part = self
            .maker()
            .new_batch(layout, self.size.max(slots.len()))
            .map_err(Failure::Failed)?;
        for slot in slots {
            N::Handle::push_from(&mut part, batch, *slot).map_err(Failure::Failed)?;
        }
        Ok(part)
    }

    /// What makes batches: those of one network run on all of them.
    fn maker(&self) -> &N::Handle {
        &self.handles[0]
    }

    /// Waits for a batch that can run.
    fn next(&self, seat: usize) -> Option<Turn<N::Batch>> {
        let mut state = lock(&self.state);
        loop {
            if state.stop {
                return None;
            }
            let idle = state.seats.iter().all(|seat| seat.running.is_none());
            let now = Instant::now();
            // Time as it passes here, not on the pipeline's clock: what is waited for is a source that follows no clock, and
            // the model being free. A clock that stands still must not make frames stand still.
            state = match state.batcher.take(idle, now) {
                Next::Run(due) => return Some(self.begin(state, seat, due)),
                Next::Wait(until) => {
                    let wait = until.saturating_duration_since(now);
                    let waited = self.work.wait_timeout(state, wait);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                Next::Nothing => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Takes down that the network of `seat` runs a batch from now on.
    fn begin(&self, mut state: MutexGuard<'_, State<N>>, seat: usize, due: Due) -> Turn<N::Batch> {
        let job = state.jobs[&due.batch].clone();
        let Seat { running, selection } = &mut state.seats[seat];
        *running = Some(due.claims.iter().map(|(client, _)| *client).collect());
        self.handles[seat].reset();
        Turn {
            id: due.batch,
            cause: due.cause,
            job,
            selection: selection.take(),
        }
    }

    /// Hands out the results of a batch and wakes whom they are for.
    fn finish(&self, seat: usize, id: BatchId, job: &Job<N::Batch>, run: Run) {
        // A batch runs once, so nobody has set it before.
        let _ = job.end.set(run);
        let wakers: Vec<Waker> = {
            let mut state = lock(&self.state);
            state.jobs.remove(&id);
            state.recycle(job);
            let claims = state.seats[seat].running.take().unwrap_or_default();
            claims
                .iter()
                .filter_map(|id| state.clients.get(id).cloned())
                .collect()
        };
        if self.handles.len() > 1 {
            // The model may be idle now, which lets a batch run that has not been closed.
            self.work.notify_all();
        }
        for waker in wakers {
            waker();
        }
    }
}

/// Runs a batch of `frames` frames. A panic of the network must not leave elements waiting for ever.
fn run_once<N: Network>(network: &mut N, batch: &N::Batch, frames: usize) -> Result<Vec<Vec<Face>>, Failure> {
    let faces = catch_unwind(AssertUnwindSafe(|| network.run(batch)))
        .unwrap_or_else(|_| Err(Failure::Failed("the detector panicked, see stderr".to_owned())))?;
    if faces.len() != frames {
        let found = faces.len();
        return Err(Failure::Failed(format!(
            "the detector gave {found} results for {frames} frames"
        )));
    }
    Ok(faces)
}

#[cfg(test)]
mod in_flight_tests;
#[cfg(test)]
mod tests;
