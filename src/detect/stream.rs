//! What the threads of an element share: the queue, the flow, and what is known of the stream.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Instant;

use img2pose::Batch;

use super::batcher::BatchId;
use super::input::InputFormat;
use super::latency::{InferencePromise, Patience, Timing};
use super::orientation::OrientationTags;
use super::portion::Portion;
use super::queue::{Item, ItemQueue};
use super::settings::{Intake, Settings};
use super::stats::Stats;
use super::worker::Ticket;
use crate::meta::FrameFaces;

/// A frame on its way through the element.
pub struct Pending {
    /// The buffer as it came.
    pub buffer: gst::Buffer,
    /// Format of the frame.
    pub format: Arc<InputFormat>,
    /// When it is to be shown; `None`: unknown.
    pub running_time: Option<gst::ClockTime>,
    /// Where its faces come from.
    pub source: Source,
    /// Whether the frames after it have no other faces to reuse, so that it is looked at even when it is late.
    pub needed: bool,
}

/// Where the faces of a frame come from.
pub enum Source {
    /// From a batch.
    Batch(Ticket<Batch>),
    /// It is not looked at, because of `inference-interval`.
    Skipped,
    /// It is not looked at, because it is too late for downstream.
    Late,
}

/// What becomes of a frame that comes in.
pub enum Admission {
    /// It is looked at.
    LookAt {
        /// See [`Pending::needed`].
        needed: bool,
    },
    /// It is not, and why.
    Pass(Source),
}

impl Pending {
    /// Whether the frame can leave.
    pub fn is_ready(&self) -> bool {
        self.unfinished_batch().is_none()
    }

    /// The batch that the frame waits for.
    pub fn unfinished_batch(&self) -> Option<BatchId> {
        match &self.source {
            Source::Batch(ticket) if !ticket.is_finished() => Some(ticket.batch()),
            _ => None,
        }
    }
}

/// What an open batch waits for at the clock. Dropping it calls the wait off.
pub struct Timer(pub gst::SingleShotClockId);

impl Drop for Timer {
    fn drop(&mut self) {
        self.0.unschedule();
    }
}

/// Everything that changes while frames flow.
pub struct State {
    /// What the next chain returns. `Err(Flushing)` while the element is inactive or flushing.
    pub flow: Result<gst::FlowSuccess, gst::FlowError>,
    /// What waits to leave.
    pub queue: ItemQueue<Pending>,
    /// The thread of the source pad's task.
    pub task: Option<ThreadId>,
    /// Whether the source pad's task has taken an item that has not left yet.
    pub pushing: bool,
    /// Whether downstream has asked for a RECONFIGURE since the task took that item: it may be linked again.
    pub reconfigured: bool,
    /// Whether EOS has arrived.
    pub eos: bool,
    /// Whether inference has failed: what is queued leaves without faces, then the stream ends with an error.
    pub failed: bool,
    /// Whether a frame could not be read: what came before it leaves as always, nothing comes after it.
    pub unreadable: bool,
    /// Whether an error was posted for this stream.
    pub error_posted: bool,
    /// Format of the frames that arrive, and how they are turned.
    pub format: Option<Arc<InputFormat>>,
    /// What the stream's tags say of which way up it is.
    pub tags: OrientationTags,
    /// Segment of the frames that arrive.
    pub segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    /// Frames that have arrived since the start of the stream, the last flush, or the last frame that had to be looked at; for
    /// `inference-interval`.
    pub position: u64,
    /// What the frames are whose faces are known or on their way; `None`: nothing was looked at since the stream began, was
    /// flushed, jumped or paused.
    pub looked_at: Option<Arc<InputFormat>>,
    /// Frames before this running time are too late for downstream.
    pub earliest: Option<gst::ClockTime>,
    /// Whether upstream is live, as it said last; `None`: not asked yet.
    pub live: Option<bool>,
    /// Whether it was asked since the stream began.
    pub live_asked: bool,
    /// Whether no frame has left yet since the start or the last flush.
    pub awaited: bool,
    /// Whether the element is in PLAYING, where the clock runs.
    pub playing: bool,
    /// The batch that takes this element's frames, if one is open.
    pub open: Option<BatchId>,
    /// Frames of this element in the open batch.
    pub open_frames: usize,
    /// The batch of the frame that arrived last; `None`: it is not looked at, or there is none.
    pub last_batch: Option<BatchId>,
    /// Whether a frame has arrived that is not in the queue yet.
    pub arriving: bool,
    /// After how many frames upstream waits for one of them to leave.
    pub portion: Portion,
    /// Whether a frame is on its way into a batch: the open one, or one that the queue does not know yet.
    pub submitting: bool,
    /// Closes the open batch in time.
    pub timer: Option<Timer>,
    /// When this element's first frame got into the open batch, on the pipeline's clock if there was one.
    pub opened_at: Option<gst::ClockTime>,
    /// How long open batches wait, and what the worker was told of it.
    pub patience: Patience,
    /// What the pipeline was told about the time of a run.
    pub promise: InferencePromise,
    /// Whether the time of a run was measured for the promise.
    pub probed: bool,
    /// Faces of the last frame that was looked at, for `reuse-faces`.
    pub last_faces: Option<FrameFaces>,
    /// The last batch whose run was counted.
    pub counted: Option<BatchId>,
    /// Counters and timings.
    pub stats: Stats,
    /// When the statistics were posted, or the element started.
    pub stats_posted: Instant,
}

/// The state and the ways to wait for its changes.
pub struct Stream {
    state: Mutex<State>,
    /// Signalled when the source pad's task may have something to do.
    pub ready: Condvar,
    /// Signalled when something has left the queue.
    pub left: Condvar,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                flow: Err(gst::FlowError::Flushing),
                queue: ItemQueue::default(),
                task: None,
                pushing: false,
                reconfigured: false,
                eos: false,
                failed: false,
                unreadable: false,
                error_posted: false,
                format: None,
                tags: OrientationTags::default(),
                segment: None,
                position: 0,
                looked_at: None,
                earliest: None,
                live: None,
                live_asked: false,
                awaited: true,
                playing: false,
                open: None,
                open_frames: 0,
                last_batch: None,
                arriving: false,
                portion: Portion::default(),
                submitting: false,
                timer: None,
                opened_at: None,
                patience: Patience::None,
                promise: InferencePromise::default(),
                probed: false,
                last_faces: None,
                counted: None,
                stats: Stats::default(),
                stats_posted: Instant::now(),
            }),
            ready: Condvar::new(),
            left: Condvar::new(),
        }
    }
}

impl Stream {
    /// The state. Never held while calling out of the element.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes everyone who waits for a change.
    pub fn notify(&self) {
        self.ready.notify_all();
        self.left.notify_all();
    }

    /// Wakes everyone after a change outside of the state that they look at while they hold its lock.
    pub fn notify_of_outside_change(&self) {
        // Whoever has looked before the change waits by the time we get the lock; others will see the change.
        drop(self.lock());
        self.notify();
    }

    /// Waits on one of the conditions.
    pub fn wait<'s>(condition: &Condvar, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        condition.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What the waiting for batches depends on.
    pub fn timing(&self, settings: &Settings) -> Timing {
        Timing {
            batch_size: settings.load.batch_size,
            timeout: settings.batch_timeout,
            live: self.live.unwrap_or(false),
            frame_duration: self.format.as_ref().and_then(|format| format.frame_duration),
        }
    }

    /// When a buffer that arrives now is to be shown.
    pub fn running_time(&self, buffer: &gst::BufferRef) -> Option<gst::ClockTime> {
        self.segment.as_ref()?.to_running_time(buffer.pts())
    }

    /// Whether downstream has said that frames of this running time are too late.
    pub fn is_late(&self, running_time: Option<gst::ClockTime>) -> bool {
        matches!((running_time, self.earliest), (Some(time), Some(earliest)) if time < earliest)
    }

    /// Decides whether a frame of `format` that arrives now is looked at.
    ///
    /// While faces are reused, the first one after a new beginning and after a change of the picture's size or shape always is,
    /// whatever the interval and however late: the frames after it have no other faces.
    pub fn admit(
        &mut self,
        format: &Arc<InputFormat>,
        running_time: Option<gst::ClockTime>,
        intake: &Intake,
    ) -> Admission {
        let is_known = self.looked_at.as_ref().is_some_and(|last| last.is_like(format));
        let needed = intake.reuse_faces && !is_known;
        if needed {
            self.position = 0;
        }
        let is_skipped = !self.position.is_multiple_of(intake.inference_interval);
        self.position += 1;
        if is_skipped {
            return Admission::Pass(Source::Skipped);
        }
        if intake.qos && !needed && self.is_late(running_time) {
            return Admission::Pass(Source::Late);
        }
        self.looked_at = Some(format.clone());
        self.submitting = true;
        Admission::LookAt { needed }
    }

    /// Lets those frames pass without inference that are all too late in a batch which has not run yet. `give_up` gives up
    /// their place in it, and says whether that was possible. Returns these batches.
    pub fn release_late(&mut self, give_up: impl Fn(BatchId) -> bool) -> Vec<BatchId> {
        let mut batches: Vec<(BatchId, bool)> = Vec::new();
        for item in self.queue.iter() {
            let Item::Frame(frame) = item else { continue };
            let Some(batch) = frame.unfinished_batch() else {
                continue;
            };
            let is_late = self.is_late(frame.running_time) && !frame.needed;
            match batches.last_mut() {
                Some((last, all)) if *last == batch => *all &= is_late,
                _ => batches.push((batch, is_late)),
            }
        }
        if self.submitting {
            // The frame may be on its way into the last one, and may be in time.
            batches.pop();
        }
        let released: Vec<BatchId> = batches
            .into_iter()
            .filter(|(batch, all)| *all && give_up(*batch))
            .map(|(batch, _)| batch)
            .collect();
        for frame in self.queue.frames_mut() {
            if frame
                .unfinished_batch()
                .is_some_and(|batch| released.contains(&batch))
            {
                frame.source = Source::Late;
            }
        }
        if self.open.is_some_and(|open| released.contains(&open)) {
            self.open = None;
        }
        released
    }

    /// The statistics as the property shows them.
    pub fn stats_structure(&self) -> gst::Structure {
        self.stats
            .to_structure(self.queue.frames() + usize::from(self.pushing))
    }

    /// Whether another frame can be taken.
    pub fn has_room(&self, intake: &Intake) -> bool {
        self.queue.frames() < intake.capacity
            && (self.open.is_some() || self.unfinished_batches() <= intake.max_queued_batches)
    }

    /// Whether the frame that leaves next is in the open batch.
    pub fn waits_for_open_batch(&self) -> bool {
        match self.queue.front() {
            Some(Item::Frame(frame)) => self.open.is_some() && frame.unfinished_batch() == self.open,
            _ => false,
        }
    }

    /// Batches of queued frames that have not run yet.
    fn unfinished_batches(&self) -> usize {
        let mut last = None;
        let unfinished = self.queue.iter().filter_map(|item| match item {
            Item::Frame(frame) => frame.unfinished_batch(),
            Item::Event(_) => None,
        });
        unfinished
            .filter(|batch| last.replace(*batch) != Some(*batch))
            .count()
    }

    /// Takes note of a frame that has come into the queue: into `batch`, as the first of this element there or not, which
    /// is full with it or not. Returns whether the batch need not wait for more.
    pub fn note_submitted(&mut self, batch: BatchId, first: bool, full: bool) -> bool {
        self.open = (!full).then_some(batch);
        self.last_batch = Some(batch);
        self.open_frames = if first { 1 } else { self.open_frames + 1 };
        if full {
            self.portion.filled();
            return false;
        }
        matches!(self.patience, Patience::Quiet(_)) && self.portion.is_whole(self.open_frames)
    }

    /// Takes note that `batch`, whose first frame leaves now, ran because nothing came.
    pub fn note_quiet(&mut self, batch: BatchId) {
        if self.last_batch != Some(batch) || self.arriving {
            return;
        }
        let others = self.queue.iter().filter(
            |item| matches!(item, Item::Frame(Pending { source: Source::Batch(ticket), .. }) if ticket.batch() == batch),
        );
        self.portion.waited_in_vain(1 + others.count());
    }

    /// Takes note that no more frames can join `batch`.
    pub fn close_if_open(&mut self, batch: BatchId) {
        if self.open == Some(batch) {
            self.open = None;
        }
    }

    /// Forgets the stream but not the format and the tags; for flushes. The caller drops the timer without the lock, because that
    /// calls into the clock.
    #[must_use]
    pub fn reset(&mut self) -> Option<Timer> {
        self.eos = false;
        self.failed = false;
        self.unreadable = false;
        self.error_posted = false;
        self.awaited = true;
        self.segment = None;
        self.position = 0;
        self.looked_at = None;
        self.earliest = None;
        self.last_faces = None;
        self.open = None;
        self.last_batch = None;
        self.portion = Portion::default();
        self.submitting = false;
        self.timer.take()
    }
}
