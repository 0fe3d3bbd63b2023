//! The network of the element: a detector that looks at every frame, or follows faces from one whole frame to the next.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use img2pose::frame::{Frame, FrameCopy, FrameLayout, NetworkSize};
use img2pose::{
    Batch, BatchMaker, Canceller, CudaFrame, Detector, Error, Face, FollowCounts, FollowOptions, Follower,
    Selection, Slot, StreamFrame,
};

use super::network::{Failure, Network, NetworkHandle};

/// A detector, and how it follows faces.
pub struct Watcher {
    detector: Detector,
    /// `None`: it looks at every frame.
    following: Option<FollowOptions>,
    /// The streams of the batch at hand.
    sessions: Vec<Session>,
    followers: Vec<Follower>,
}

/// What is remembered of one stream of frames.
#[derive(Default)]
pub struct Watched {
    /// Beginnings so far: what comes after one does not follow what came before it.
    generation: AtomicU64,
    /// What its frames up to the last batch have shown, and of which generation they were.
    follower: Mutex<(u64, Follower)>,
    counts: Mutex<FollowCounts>,
}

/// A stream in one batch.
struct Session {
    watched: Arc<Watched>,
    generation: u64,
    before: FollowCounts,
}

/// Frames of one layout on their way into the network.
pub enum WatcherBatch {
    /// Network images of whole frames.
    Whole(Batch),
    /// The frames themselves: what of them is looked at is known when the batch runs.
    Frames(Frames),
}

/// Frames that wait. The memory of those that were here before is kept.
#[derive(Default)]
pub struct Frames {
    kept: Vec<Arc<Mutex<Waiting>>>,
    len: usize,
}

/// A frame that waits.
#[derive(Default)]
pub struct Waiting {
    frame: FrameCopy,
    /// Whose it is, and of which generation.
    stream: Option<(Arc<Watched>, u64)>,
}

/// The place of one frame.
pub enum WatcherSlot {
    /// Of its network image.
    Whole(Slot),
    /// Of the frame.
    Frame(Arc<Mutex<Waiting>>),
}

/// What other threads can ask while the network runs.
pub struct WatcherHandle {
    maker: BatchMaker,
    canceller: Canceller,
    is_following: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watched {
    /// The frames that come from now on do not follow those before.
    pub fn begin_anew(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// How its frames were looked at.
    pub fn counts(&self) -> FollowCounts {
        *lock(&self.counts)
    }
}

impl Session {
    /// Takes what is remembered of the stream, for frames of `generation`.
    fn begin(watched: &Arc<Watched>, generation: u64) -> (Self, Follower) {
        let follower = {
            let mut remembered = lock(&watched.follower);
            match remembered.0 == generation {
                true => std::mem::take(&mut remembered.1),
                false => Follower::default(),
            }
        };
        let session = Self {
            watched: watched.clone(),
            generation,
            before: follower.counts(),
        };
        (session, follower)
    }

    /// Leaves what is known now, unless frames after a newer beginning have done so.
    fn end(self, follower: Follower) {
        let (before, now) = (self.before, follower.counts());
        {
            let mut counts = lock(&self.watched.counts);
            counts.whole_frames += now.whole_frames - before.whole_frames;
            counts.regions += now.regions - before.regions;
            counts.losses += now.losses - before.losses;
        }
        let mut remembered = lock(&self.watched.follower);
        if self.generation >= remembered.0 {
            *remembered = (self.generation, follower);
        }
    }
}

impl Watcher {
    /// `following`: how faces are followed; `None`: every frame is looked at.
    pub fn new(detector: Detector, following: Option<FollowOptions>) -> Self {
        Self {
            detector,
            following,
            sessions: Vec::new(),
            followers: Vec::new(),
        }
    }

    fn follow(&mut self, frames: &Frames, options: &FollowOptions) -> Result<Vec<Vec<Face>>, Error> {
        let waiting: Vec<MutexGuard<'_, Waiting>> = frames.kept[..frames.len]
            .iter()
            .map(|frame| lock(frame))
            .collect();
        self.sessions.clear();
        self.followers.clear();
        let mut members = Vec::with_capacity(waiting.len());
        // The place of each member's faces; a slot whose frame failed has none.
        let mut places = Vec::with_capacity(waiting.len());
        for (place, waiting) in waiting.iter().enumerate() {
            let (Some(frame), Some((watched, generation))) = (waiting.frame.frame(), &waiting.stream) else {
                continue;
            };
            let is_same = |session: &Session| {
                Arc::ptr_eq(&session.watched, watched) && session.generation == *generation
            };
            let stream = match self.sessions.iter().position(is_same) {
                Some(stream) => stream,
                None => {
                    let (session, follower) = Session::begin(watched, *generation);
                    self.sessions.push(session);
                    self.followers.push(follower);
                    self.sessions.len() - 1
                }
            };
            members.push(StreamFrame { frame, stream });
            places.push(place);
        }
        let mut found = Vec::new();
        let done = self
            .detector
            .detect_following(&members, &mut self.followers, options, &mut found);
        for (session, follower) in self.sessions.drain(..).zip(self.followers.drain(..)) {
            session.end(follower);
        }
        done?;
        let mut faces = vec![Vec::new(); waiting.len()];
        for (place, found) in places.into_iter().zip(found) {
            faces[place] = found;
        }
        Ok(faces)
    }
}

impl WatcherHandle {
    /// The sizes that a whole frame of `layout` is brought to.
    pub fn network_size(&self, layout: &FrameLayout) -> NetworkSize {
        self.maker.network_size(layout)
    }
}

impl Network for Watcher {
    type Batch = WatcherBatch;
    type Handle = WatcherHandle;

    fn handle(&self) -> WatcherHandle {
        WatcherHandle {
            maker: self.detector.batch_maker(),
            canceller: self.detector.canceller(),
            is_following: self.following.is_some(),
        }
    }

    fn run(&mut self, batch: &WatcherBatch) -> Result<Vec<Vec<Face>>, Failure> {
        let found = match batch {
            WatcherBatch::Whole(batch) => self.detector.detect_batch(batch),
            WatcherBatch::Frames(frames) => {
                let options = self.following.unwrap_or_default();
                self.follow(frames, &options)
            }
        };
        found.map_err(|error| match error {
            Error::Cancelled => Failure::Cancelled,
            #[cfg(feature = "remote")]
            Error::Outage { number, .. } => Failure::Outage {
                cause: error.to_string(),
                number,
            },
            error => Failure::Failed(error.to_string()),
        })
    }

    fn select(&mut self, selection: Selection) -> Result<(), String> {
        self.detector
            .set_selection(selection)
            .map_err(|error| error.to_string())
    }
}

impl NetworkHandle for WatcherHandle {
    type Batch = WatcherBatch;
    type Slot = WatcherSlot;
    type Stream = Watched;

    fn new_batch(&self, layout: FrameLayout, capacity: usize) -> Result<WatcherBatch, String> {
        if self.is_following {
            return Ok(WatcherBatch::Frames(Frames::default()));
        }
        let batch = self.maker.new_batch(layout, capacity);
        batch.map(WatcherBatch::Whole).map_err(|error| error.to_string())
    }

    fn reserve(batch: &mut WatcherBatch) -> Result<(usize, WatcherSlot), String> {
        match batch {
            WatcherBatch::Whole(batch) => {
                let slot = batch.reserve().map_err(|error| error.to_string())?;
                Ok((slot.index(), WatcherSlot::Whole(slot)))
            }
            WatcherBatch::Frames(frames) => {
                let index = frames.len;
                if frames.kept.len() == index {
                    frames.kept.push(Arc::default());
                }
                frames.len += 1;
                Ok((index, WatcherSlot::Frame(frames.kept[index].clone())))
            }
        }
    }

    fn convert(slot: WatcherSlot, frame: &Frame<'_>, stream: &Arc<Watched>) -> Result<(), String> {
        match slot {
            WatcherSlot::Whole(slot) => slot.convert(frame).map_err(|error| error.to_string()),
            WatcherSlot::Frame(waiting) => {
                let mut waiting = lock(&waiting);
                waiting.stream = Some((stream.clone(), stream.generation.load(Ordering::Relaxed)));
                waiting.frame.set(frame).map_err(|error| error.to_string())
            }
        }
    }

    fn takes_cuda_frames(&self, layout: &FrameLayout) -> bool {
        // Regions are cut out by the processor.
        !self.is_following && self.maker.takes_cuda_frames(layout)
    }

    fn copy_cuda(slot: &mut WatcherSlot, frame: &CudaFrame<'_>) -> Result<(), String> {
        match slot {
            WatcherSlot::Whole(slot) => slot.copy_cuda(frame),
            WatcherSlot::Frame(_) => Err("faces are followed".to_owned()),
        }
    }

    fn push_from(batch: &mut WatcherBatch, from: &WatcherBatch, slot: usize) -> Result<usize, String> {
        match (batch, from) {
            (WatcherBatch::Whole(batch), WatcherBatch::Whole(from)) => {
                batch.push_from(from, slot).map_err(|error| error.to_string())
            }
            (WatcherBatch::Frames(frames), WatcherBatch::Frames(from)) => {
                let waiting = from.kept[..from.len]
                    .get(slot)
                    .ok_or_else(|| format!("the other batch has {} frames, not {slot}", from.len))?;
                // Nobody writes into a slot of a batch that has run.
                frames.kept.truncate(frames.len);
                frames.kept.push(waiting.clone());
                frames.len += 1;
                Ok(frames.len - 1)
            }
            _ => Err("one batch is for every frame, the other for followed faces".to_owned()),
        }
    }

    fn clear(batch: &mut WatcherBatch) {
        match batch {
            WatcherBatch::Whole(batch) => batch.clear(),
            WatcherBatch::Frames(frames) => {
                for waiting in &frames.kept[..frames.len] {
                    lock(waiting).stream = None;
                }
                frames.len = 0;
            }
        }
    }

    fn cancel(&self) {
        self.canceller.cancel();
    }

    fn reset(&self) {
        self.canceller.reset();
    }
}
