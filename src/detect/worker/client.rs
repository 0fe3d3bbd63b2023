//! What an element does at its worker: submit frames, close batches, give results up.

use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use img2pose::frame::{Frame, FrameLayout};

use super::{Job, Shared, Ticket, Waker, Worker, lock};
use crate::detect::batcher::{BatchId, ClientId};
use crate::detect::network::{Network, NetworkHandle};

/// A frame that was accepted.
pub struct Submitted<B> {
    /// Stands for its result.
    pub ticket: Ticket<B>,
    /// Whether it is the client's first frame in the batch.
    pub first_of_client: bool,
    /// Whether it was the last frame that the batch can take.
    pub full: bool,
}

/// The place of one element at a worker. Dropping it gives up everything that the element had there.
pub struct Client<N: Network> {
    worker: Arc<Worker<N>>,
    id: ClientId,
}

/// What a network remembers of the frames of a stream.
type StreamOf<N> = <<N as Network>::Handle as NetworkHandle>::Stream;

/// The place of a frame in a batch of a network.
type SlotOf<N> = <<N as Network>::Handle as NetworkHandle>::Slot;

impl<N: Network> Worker<N> {
    /// Adds a client, which `waker` wakes.
    pub fn client(self: &Arc<Self>, waker: Waker) -> Client<N> {
        let mut state = lock(&self.shared.state);
        let id = ClientId(state.next_client);
        state.next_client += 1;
        state.clients.insert(id, waker);
        Client {
            worker: self.clone(),
            id,
        }
    }
}

impl<N: Network> Client<N> {
    /// Converts `frame` of `stream` into its slot of the batch that is open for its layout.
    ///
    /// # Errors
    /// When the frame cannot be converted; the other frames of the batch are not affected.
    pub fn submit(
        &self,
        frame: &Frame<'_>,
        stream: &Arc<StreamOf<N>>,
    ) -> Result<Submitted<N::Batch>, String> {
        self.submit_with(frame.layout, |slot| N::Handle::convert(slot, frame, stream))
    }

    /// Whether the batches for `layout` take frames from the memory of an NVIDIA GPU.
    pub fn takes_cuda_frames(&self, layout: &FrameLayout) -> bool {
        self.worker.shared.maker().takes_cuda_frames(layout)
    }

    /// Has `convert` bring a frame of `layout` into its slot of the batch that is open for it.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub fn submit_with(
        &self,
        layout: FrameLayout,
        convert: impl FnOnce(SlotOf<N>) -> Result<(), String>,
    ) -> Result<Submitted<N::Batch>, String> {
        let shared = &self.worker.shared;
        let (reservation, job) = {
            let mut state = lock(&shared.state);
            let reservation = state.batcher.reserve(self.id, layout, Instant::now());
            if reservation.opened {
                let free = state.free.iter().position(|(free, _)| *free == layout);
                let batch = free.map(|index| state.free.swap_remove(index).1);
                let job = Arc::new(Job {
                    layout,
                    batch: Mutex::new(batch),
                    owners: Mutex::default(),
                    ready: OnceLock::new(),
                    results: Mutex::default(),
                    end: OnceLock::new(),
                });
                state.jobs.insert(reservation.batch, job);
            }
            (reservation, state.jobs[&reservation.batch].clone())
        };

        let mut filling = Filling {
            shared,
            client: self.id,
            batch: reservation.batch,
            converted: false,
        };
        let reserved = {
            let mut batch = lock(&job.batch);
            // Allocated here because the memory of a batch is large and the state's lock must be short.
            let made = match &mut *batch {
                Some(_) => Ok(()),
                empty => shared
                    .maker()
                    .new_batch(layout, shared.size)
                    .map(|new| *empty = Some(new)),
            };
            let reserved = made.and_then(|()| N::Handle::reserve(batch.as_mut().expect("made above")));
            if reserved.is_ok() {
                lock(&job.owners).push(Some(self.id));
            }
            reserved
        };
        // With no lock held: other clients convert into other slots meanwhile.
        let slot = reserved.and_then(|(index, slot)| match convert(slot) {
            Ok(()) => Ok(index),
            Err(cause) => {
                lock(&job.owners)[index] = None;
                Err(cause)
            }
        });

        filling.converted = slot.is_ok();
        drop(filling);
        Ok(Submitted {
            ticket: Ticket {
                job,
                id: reservation.batch,
                slot: slot?,
            },
            first_of_client: reservation.first_of_client,
            full: reservation.full,
        })
    }

    /// Closes every batch with a frame of this client, so that none waits for more frames.
    pub fn close(&self) {
        let mut state = lock(&self.worker.shared.state);
        state.batcher.close_client(self.id);
        state.note_ready();
        drop(state);
        self.worker.shared.work.notify_all();
    }

    /// A function that closes `batch`; for timers, so it does not keep the worker alive.
    pub fn closer(&self, batch: BatchId) -> impl Fn() + Send + 'static {
        let shared: Weak<Shared<N>> = Arc::downgrade(&self.worker.shared);
        move || {
            if let Some(shared) = shared.upgrade() {
                let mut state = lock(&shared.state);
                state.batcher.close(batch);
                state.note_ready();
                drop(state);
                shared.work.notify_all();
            }
        }
    }

    /// Says whether the worker may run a batch with a frame of this client before it is full: when it has nothing else to
    /// do and nothing has come for that long; `None`: never.
    pub fn set_eager(&self, after: Option<Duration>) {
        lock(&self.worker.shared.state).batcher.set_eager(self.id, after);
        self.worker.shared.work.notify_all();
    }

    /// Takes note that a frame has come that does not go into `batch`, but shows that upstream is at work.
    pub fn touch(&self, batch: BatchId) {
        let mut state = lock(&self.worker.shared.state);
        // The worker looks again when the time is over that it waits for now.
        state.batcher.touch(batch, Instant::now());
    }

    /// Lets `batch` run as soon as the worker has nothing else to do, unless another frame comes first.
    pub fn hurry(&self, batch: BatchId) {
        lock(&self.worker.shared.state).batcher.hurry(batch);
        self.worker.shared.work.notify_all();
    }

    /// Gives up all results that the client waits for. A batch that runs for it alone is stopped.
    pub fn abandon(&self) {
        let mut state = lock(&self.worker.shared.state);
        for batch in state.batcher.abandon(self.id) {
            state.discard(batch);
        }
        for (seat, handle) in state.seats.iter_mut().zip(&self.worker.shared.handles) {
            let Some(claims) = &mut seat.running else { continue };
            let before = claims.len();
            claims.retain(|client| *client != self.id);
            if claims.is_empty() && before > 0 {
                // Under the lock: the worker takes this back before it begins another batch.
                handle.cancel();
            }
        }
    }

    /// Gives up the client's results of one batch. Returns whether that was possible: not once it runs.
    pub fn abandon_batch(&self, batch: BatchId) -> bool {
        let mut state = lock(&self.worker.shared.state);
        let abandoned = state.batcher.abandon_batch(batch, self.id);
        if abandoned == Some(true) {
            state.discard(batch);
        }
        abandoned.is_some()
    }

    /// The worker of this client.
    pub fn worker(&self) -> &Arc<Worker<N>> {
        &self.worker
    }
}

/// A frame that is being converted into its slot. The batch does not run before this is dropped, be it by a panic.
struct Filling<'s, N: Network> {
    shared: &'s Shared<N>,
    client: ClientId,
    batch: BatchId,
    converted: bool,
}

impl<N: Network> Drop for Filling<'_, N> {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        if state
            .batcher
            .filled(self.batch, self.client, self.converted, Instant::now())
        {
            state.discard(self.batch);
        }
        state.note_ready();
        drop(state);
        self.shared.work.notify_all();
    }
}

impl<N: Network> Drop for Client<N> {
    fn drop(&mut self) {
        if self.worker.is_left_behind() {
            return;
        }
        self.abandon();
        let mut state = lock(&self.worker.shared.state);
        state.batcher.set_eager(self.id, None);
        state.clients.remove(&self.id);
    }
}
