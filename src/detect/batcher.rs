//! Which frames share a batch, when it closes, and which batch runs next.
//!
//! Bookkeeping only: no pixels, no threads, no clock (whoever asks says what time it is). A batch holds frames of one
//! layout; it may hold frames of several clients (elements that share a model). It closes when it is full or when a
//! client that has a frame in it asks for that; a closed batch takes no more frames. A batch that is open runs only while
//! the model has nothing else to do, and only when a client with a frame in it does not want to wait any longer. Batches
//! run in the order in which they were opened, so no client can starve another.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// For how long a client that would have a small batch run waits for the whole model to be free, when a part of it is always
/// busy with others' batches.
const OVERDUE: Duration = Duration::from_millis(500);

/// Names a batch; later batches compare greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(u64);

/// Names an element that feeds the batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(pub u64);

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The batch that the frame belongs to from now on.
    pub batch: BatchId,
    /// Whether the batch was opened for this frame.
    pub opened: bool,
    /// Whether it is the client's first frame in the batch, which starts the client's timeout.
    pub first_of_client: bool,
    /// Whether the frame took the last place.
    pub full: bool,
}

/// What is known of a batch that has not run yet.
#[derive(Clone, Debug)]
struct Entry<L> {
    id: BatchId,
    layout: L,
    /// Frames that are in the tensor.
    filled: usize,
    /// Frames that have a place and are being converted.
    filling: usize,
    /// Places of frames that could not be converted: they stay empty.
    lost: usize,
    closed: bool,
    /// When something came last: a frame into it, or one that would have gone there if it were looked at.
    touched: Instant,
    /// Whether nothing more is expected before it has run, so that it waits no longer.
    hurried: bool,
    /// Whose frames are wanted, and how many of each client.
    claims: Vec<(ClientId, usize)>,
}

impl<L> Entry<L> {
    /// Nobody wants the results, and no conversion is under way.
    fn is_abandoned(&self) -> bool {
        self.claims.is_empty() && self.filling == 0
    }

    fn claim_of(&mut self, client: ClientId) -> Option<&mut (ClientId, usize)> {
        self.claims.iter_mut().find(|(claimant, _)| *claimant == client)
    }
}

/// Why a batch runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is full, or was closed.
    Closed,
    /// The model is free and a client does not want to wait, or nothing more was expected.
    Eager,
    /// The model is free and nothing has come for as long as a client wants to wait.
    Quiet,
}

/// A batch that is to run now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Which one.
    pub batch: BatchId,
    /// Number of frames in it, at least 1.
    pub frames: usize,
    /// The clients that wait for it, and the number of their frames.
    pub claims: Vec<(ClientId, usize)>,
    /// Why now.
    pub cause: Cause,
}

/// What the model can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Run this batch.
    Run(Due),
    /// Nothing before this time, unless something changes.
    Wait(Instant),
    /// Nothing, unless something changes.
    Nothing,
}

/// The batches that have not run yet.
#[derive(Debug)]
pub struct Batcher<L> {
    size: usize,
    next: u64,
    waiting: VecDeque<Entry<L>>,
    /// Clients that would rather have a small batch soon than a full one later, and for how long nothing must have come.
    eager: Vec<(ClientId, Duration)>,
}

impl<L: Copy + Eq> Batcher<L> {
    /// Batches of `size` frames, at least 1.
    pub fn new(size: usize) -> Self {
        Self {
            size: size.max(1),
            next: 0,
            waiting: VecDeque::new(),
            eager: Vec::new(),
        }
    }

    /// Gives a frame of `layout` its place: in the open batch of that layout, or in a new one. The batch does not
    /// run before [`filled`](Self::filled) was called for the frame.
    pub fn reserve(&mut self, client: ClientId, layout: L, now: Instant) -> Reservation {
        let size = self.size;
        // A batch without claims is on its way out, see `filled`.
        let open = self
            .waiting
            .iter()
            .position(|entry| !entry.closed && entry.layout == layout && !entry.claims.is_empty());
        let index = open.unwrap_or_else(|| {
            self.waiting.push_back(Entry {
                id: BatchId(self.next),
                layout,
                filled: 0,
                filling: 0,
                lost: 0,
                closed: false,
                touched: now,
                hurried: false,
                claims: Vec::new(),
            });
            self.next += 1;
            self.waiting.len() - 1
        });
        let entry = &mut self.waiting[index];
        entry.filling += 1;
        // Whatever was expected: something has come.
        entry.hurried = false;
        let full = entry.filled + entry.filling + entry.lost == size;
        entry.closed |= full;
        let first_of_client = match entry.claim_of(client) {
            Some((_, frames)) => {
                *frames += 1;
                false
            }
            None => {
                entry.claims.push((client, 1));
                true
            }
        };
        Reservation {
            batch: entry.id,
            opened: open.is_none(),
            first_of_client,
            full,
        }
    }

    /// Reports the end of the conversion of a frame that was placed in `batch`; `ok`: it is in the tensor now.
    ///
    /// Returns whether the batch is gone, because nobody wants its results any more.
    pub fn filled(&mut self, batch: BatchId, client: ClientId, ok: bool, now: Instant) -> bool {
        let Some(index) = self.position(batch) else {
            return false;
        };
        let entry = &mut self.waiting[index];
        entry.filling -= 1;
        entry.touched = now;
        if ok {
            entry.filled += 1;
        } else {
            entry.lost += 1;
            if let Some((_, frames)) = entry.claim_of(client) {
                *frames -= 1;
                entry.claims.retain(|(_, frames)| *frames > 0);
            }
        }
        let gone = entry.is_abandoned();
        if gone {
            self.waiting.remove(index);
        }
        gone
    }

    /// Closes `batch`, if it has not run yet.
    pub fn close(&mut self, batch: BatchId) {
        if let Some(index) = self.position(batch) {
            self.waiting[index].closed = true;
        }
    }

    /// Closes every batch that has a frame of `client`.
    pub fn close_client(&mut self, client: ClientId) {
        for entry in &mut self.waiting {
            entry.closed |= entry.claim_of(client).is_some();
        }
    }

    /// Says whether batches with a frame of `client` may run before they are closed: when the model is idle and nothing
    /// has come for that long (see [`take`](Self::take)); `None`: never.
    pub fn set_eager(&mut self, client: ClientId, after: Option<Duration>) {
        self.eager.retain(|(other, _)| *other != client);
        self.eager.extend(after.map(|after| (client, after)));
    }

    /// Takes note that something came at `now` that could have gone into `batch`.
    pub fn touch(&mut self, batch: BatchId, now: Instant) {
        if let Some(index) = self.position(batch) {
            self.waiting[index].touched = now;
        }
    }

    /// Lets `batch` run as soon as the model is idle, unless another frame comes first.
    pub fn hurry(&mut self, batch: BatchId) {
        if let Some(index) = self.position(batch) {
            self.waiting[index].hurried = true;
        }
    }

    /// Gives up the results of all frames of `client`. Returns the batches that are gone because nobody else has a
    /// frame in them.
    pub fn abandon(&mut self, client: ClientId) -> Vec<BatchId> {
        let mut gone = Vec::new();
        self.waiting.retain_mut(|entry| {
            entry.claims.retain(|(claimant, _)| *claimant != client);
            let keep = !entry.is_abandoned();
            if !keep {
                gone.push(entry.id);
            }
            keep
        });
        gone
    }

    /// Gives up the results of the client's frames in `batch`, if it has not run yet. Returns `None` if it has, else
    /// whether the batch is gone because nobody else has a frame in it.
    pub fn abandon_batch(&mut self, batch: BatchId, client: ClientId) -> Option<bool> {
        let index = self.position(batch)?;
        let entry = &mut self.waiting[index];
        entry.claims.retain(|(claimant, _)| *claimant != client);
        let gone = entry.is_abandoned();
        if gone {
            self.waiting.remove(index);
        }
        Some(gone)
    }

    /// Whether `batch` waits for nothing but its turn.
    pub fn is_ready(&self, batch: BatchId) -> bool {
        self.position(batch).is_some_and(|index| {
            let entry = &self.waiting[index];
            entry.closed && entry.filling == 0 && entry.filled > 0
        })
    }

    /// Takes the batch that is to run next: the oldest that is closed, or whose clients have waited long enough, and in
    /// which no conversion is under way. Its frames count as run. `idle`: the whole model is free, and not only the part
    /// that asks; an open batch waits for that, but not for ever.
    pub fn take(&mut self, idle: bool, now: Instant) -> Next {
        let mut earliest: Option<Instant> = None;
        let mut found = None;
        for (index, entry) in self.waiting.iter().enumerate() {
            if entry.filled == 0 || entry.filling > 0 {
                continue;
            }
            if entry.closed {
                found = Some((index, Cause::Closed));
                break;
            }
            let Some(patience) = self.patience(entry) else {
                continue;
            };
            let is_eager = entry.hurried || patience.is_zero();
            let wait = if is_eager { Duration::ZERO } else { patience };
            let until = entry.touched + if idle { wait } else { wait + OVERDUE };
            if until <= now {
                let cause = if is_eager { Cause::Eager } else { Cause::Quiet };
                found = Some((index, cause));
                break;
            }
            earliest = Some(earliest.map_or(until, |earliest| earliest.min(until)));
        }
        let due = found.and_then(|(index, cause)| {
            let entry = self.waiting.remove(index)?;
            Some(Due {
                batch: entry.id,
                frames: entry.filled,
                claims: entry.claims,
                cause,
            })
        });
        match (due, earliest) {
            (Some(due), _) => Next::Run(due),
            (None, Some(until)) => Next::Wait(until),
            (None, None) => Next::Nothing,
        }
    }

    /// How long nothing must have come until the batch may run although it is open; `None`: it may not.
    fn patience(&self, entry: &Entry<L>) -> Option<Duration> {
        let claims = |client| entry.claims.iter().any(|(claimant, _)| claimant == client);
        self.eager
            .iter()
            .filter(|(client, _)| claims(client))
            .map(|(_, after)| *after)
            .min()
    }

    /// Number of batches that have not run yet.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.waiting.len()
    }

    fn position(&self, batch: BatchId) -> Option<usize> {
        self.waiting.iter().position(|entry| entry.id == batch)
    }
}

#[cfg(test)]
mod tests;
