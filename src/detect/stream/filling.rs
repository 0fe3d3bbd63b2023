//! The batch that takes this element's frames, and how long it waits for more.

use gst::ClockTime;

use crate::detect::batcher::BatchId;
use crate::detect::latency::Patience;
use crate::detect::portion::Portion;

/// What an open batch waits for at the clock. Dropping it calls the wait off.
pub struct Timer(gst::SingleShotClockId);

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.unschedule();
    }
}

/// What this element has in a batch. Dropped without the stream's lock, because its timer calls into the clock.
pub struct Share {
    id: BatchId,
    /// Frames that have come since it was opened, those that go into no batch, too.
    arrived: usize,
    /// When this element's first frame got into it, on the pipeline's clock if there was one.
    opened_at: Option<ClockTime>,
    /// Closes it in time.
    timer: Option<Timer>,
}

impl Share {
    /// Name of the batch.
    pub fn id(&self) -> BatchId {
        self.id
    }
}

/// A frame that has got into a batch.
#[derive(Clone, Copy, Debug)]
pub struct Joined {
    /// Which batch.
    pub batch: BatchId,
    /// Whether it is this element's first frame in it.
    pub first: bool,
    /// Whether it is full with that frame.
    pub full: bool,
    /// The time on the pipeline's clock, if it has one and the frame is the first.
    pub time: Option<ClockTime>,
}

/// What follows when a frame has come that goes into no batch.
pub struct Passed {
    /// The open batch.
    pub open: BatchId,
    /// Whether it need not wait for more.
    pub whole: bool,
}

/// What follows when a frame has got into a batch.
pub struct Next {
    /// A batch that no more frames can join.
    pub closed: Option<Share>,
    /// How long the open batch waits from its first frame on, if it needs a timer for that.
    pub timer: Option<ClockTime>,
    /// Whether the open batch need not wait for more.
    pub whole: bool,
}

/// The batch of this element that was opened last.
#[derive(Default)]
enum Latest {
    /// There is none, or it was closed.
    #[default]
    None,
    /// It takes frames.
    Open(Share),
    /// It has run, or was given up, before it was closed. Its timer is left to run out, which costs less than to call it off.
    Gone(Share),
}

/// How this element fills its batches.
pub struct Filling {
    latest: Latest,
    /// The batch that was open when the last frame had arrived.
    last: Option<BatchId>,
    /// After how many frames upstream waits for one of them to leave.
    portion: Portion,
    /// How long open batches wait.
    patience: Patience,
}

impl Default for Filling {
    fn default() -> Self {
        Self {
            latest: Latest::None,
            last: None,
            portion: Portion::default(),
            patience: Patience::None,
        }
    }
}

impl Filling {
    /// The open batch.
    pub(super) fn open(&self) -> Option<BatchId> {
        match &self.latest {
            Latest::Open(batch) => Some(batch.id),
            Latest::None | Latest::Gone(_) => None,
        }
    }

    /// Takes note of a frame that has got into a batch and into the queue.
    pub(super) fn join(&mut self, frame: Joined) -> Next {
        self.last = Some(frame.batch);
        if frame.full {
            self.portion.filled();
            return Next {
                closed: self.close(),
                timer: None,
                whole: false,
            };
        }
        let (open, closed) = match self.close() {
            // It may have been given up here, and not yet at the worker.
            Some(mut batch) if batch.id == frame.batch && !frame.first => {
                batch.arrived += 1;
                (batch, None)
            }
            old => {
                let new = Share {
                    id: frame.batch,
                    arrived: 1,
                    opened_at: frame.time,
                    timer: None,
                };
                (new, old)
            }
        };
        let timer = match self.patience {
            Patience::For(time) if open.timer.is_none() => Some(time),
            _ => None,
        };
        let whole = self.is_whole(open.arrived);
        self.latest = Latest::Open(open);
        Next { closed, timer, whole }
    }

    /// Takes note of a frame that goes into no batch. `None`: no batch is open.
    pub(super) fn pass(&mut self) -> Option<Passed> {
        let passed = match &mut self.latest {
            Latest::Open(batch) => {
                batch.arrived += 1;
                Some((batch.id, batch.arrived))
            }
            Latest::None | Latest::Gone(_) => None,
        };
        self.last = passed.map(|(open, _)| open);
        let (open, arrived) = passed?;
        let whole = self.is_whole(arrived);
        Some(Passed { open, whole })
    }

    /// Whether upstream brings no more than `arrived` frames before one of them leaves.
    fn is_whole(&mut self, arrived: usize) -> bool {
        matches!(self.patience, Patience::Quiet(_)) && self.portion.is_whole(arrived)
    }

    /// No more frames join the open batch. Returns the batch that was opened last.
    #[must_use = "it is dropped without the lock"]
    pub(super) fn close(&mut self) -> Option<Share> {
        match std::mem::take(&mut self.latest) {
            Latest::None => None,
            Latest::Open(batch) | Latest::Gone(batch) => Some(batch),
        }
    }

    /// No more frames join the open batch, if there is one.
    #[must_use = "it is dropped without the lock"]
    pub fn close_open(&mut self) -> Option<Share> {
        self.open()?;
        self.close()
    }

    /// No more frames join `batch`.
    pub fn give_up(&mut self, batch: BatchId) {
        if self.open() == Some(batch)
            && let Some(batch) = self.close()
        {
            self.latest = Latest::Gone(batch);
        }
    }

    /// Begins anew. How long batches wait stays as it is.
    #[must_use = "it is dropped without the lock"]
    pub(super) fn reset(&mut self) -> Option<Share> {
        self.last = None;
        self.portion = Portion::default();
        self.close()
    }

    /// Open batches wait this long from now on. Returns whether that is a change, and the open batch if no timer closes it.
    pub(super) fn set_patience(&mut self, patience: Patience) -> (bool, Option<BatchId>) {
        let changed = std::mem::replace(&mut self.patience, patience) != patience;
        let untimed = match &self.latest {
            Latest::Open(open) if open.timer.is_none() => Some(open.id),
            _ => None,
        };
        (changed, untimed)
    }

    /// Has `batch` closed by the timer that `make` makes of the time of this element's first frame in it, if it is open.
    /// Returns that timer's name, and the timer that it had.
    #[must_use = "the old timer is dropped without the lock"]
    pub(super) fn set_timer(
        &mut self,
        batch: BatchId,
        make: impl FnOnce(Option<ClockTime>) -> gst::SingleShotClockId,
    ) -> Option<(gst::SingleShotClockId, Option<Timer>)> {
        match &mut self.latest {
            Latest::Open(open) if open.id == batch => {
                let id = make(open.opened_at);
                let old = open.timer.replace(Timer(id.clone()));
                Some((id, old))
            }
            _ => None,
        }
    }

    /// Takes the timer away.
    #[must_use = "it is dropped without the lock"]
    pub fn take_timer(&mut self) -> Option<Timer> {
        match &mut self.latest {
            Latest::Open(batch) | Latest::Gone(batch) => batch.timer.take(),
            Latest::None => None,
        }
    }

    /// A frame has come.
    pub(super) fn arrive(&mut self) {
        self.portion.arrived();
    }

    /// A frame leaves.
    pub(super) fn leave(&mut self) {
        self.portion.left();
    }

    /// `batch` has waited for more in vain, if nothing has come since the last of its frames and those behind it.
    pub(super) fn wait_in_vain(&mut self, batch: BatchId) {
        if self.last != Some(batch) {
            return;
        }
        if let Latest::Open(share) | Latest::Gone(share) = &self.latest
            && share.id == batch
        {
            self.portion.waited_in_vain(share.arrived);
        }
    }
}
