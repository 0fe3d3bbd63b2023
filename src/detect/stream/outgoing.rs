//! What leaves: the queue, and what the source pad's task does.

use std::collections::VecDeque;
use std::thread::ThreadId;

use super::pending::Pending;
use crate::detect::queue::{Item, ItemQueue};
use crate::meta::FrameFaces;

/// An item that the task has taken and that has not left yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Push {
    /// There is none.
    #[default]
    Nothing,
    /// `relinked`: downstream has asked for a RECONFIGURE meanwhile, so it may be linked again.
    Underway { relinked: bool },
}

/// What waits to leave, and what leaves.
pub struct Outgoing {
    queue: ItemQueue<Pending>,
    push: Push,
    /// The thread of the source pad's task.
    task: Option<ThreadId>,
    /// Whether no frame has left yet since the start or the last flush.
    awaited: bool,
    /// Faces of the last frame that was inferred, for `reuse-faces`.
    last_faces: Option<FrameFaces>,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self {
            queue: ItemQueue::default(),
            push: Push::Nothing,
            task: None,
            awaited: true,
            last_faces: None,
        }
    }
}

impl Outgoing {
    /// Puts a frame at the end.
    pub(super) fn push_frame(&mut self, frame: Pending) {
        self.queue.push_frame(frame);
    }

    /// Puts an event at the end.
    pub(super) fn push_event(&mut self, event: gst::Event) {
        self.queue.push_event(event);
    }

    /// The item that leaves next.
    pub(super) fn front(&self) -> Option<&Item<Pending>> {
        self.queue.front()
    }

    /// All frames in order.
    pub(super) fn frames(&self) -> impl Iterator<Item = &Pending> {
        self.queue.iter().filter_map(|item| match item {
            Item::Frame(frame) => Some(frame),
            Item::Event(_) => None,
        })
    }

    /// All frames in order.
    pub(super) fn frames_mut(&mut self) -> impl Iterator<Item = &mut Pending> {
        self.queue.frames_mut()
    }

    /// Number of frames that wait.
    pub fn queued(&self) -> usize {
        self.queue.frames()
    }

    /// Number of frames that wait or leave now.
    pub(super) fn level(&self) -> usize {
        self.queue.frames() + usize::from(self.push != Push::Nothing)
    }

    /// Whether nothing waits and nothing leaves.
    pub fn is_empty(&self) -> bool {
        self.push == Push::Nothing && self.queue.is_empty()
    }

    /// Batches of queued frames that have not run yet.
    pub(super) fn unfinished_batches(&self) -> usize {
        let mut last = None;
        self.frames()
            .filter_map(Pending::unfinished_batch)
            .filter(|batch| last.replace(*batch) != Some(*batch))
            .count()
    }

    /// Takes everything out. The caller drops it without the lock.
    #[must_use = "it is dropped without the lock"]
    pub fn clear(&mut self) -> VecDeque<Item<Pending>> {
        self.queue.clear()
    }

    /// Takes out what downstream does not want any more after it has returned `EOS`, see [`ItemQueue::take_unwanted`].
    #[must_use = "it is dropped without the lock"]
    pub(super) fn take_unwanted(&mut self) -> (Vec<Pending>, bool) {
        self.queue.take_unwanted()
    }

    /// Takes the item that leaves next, which is under way until [`end_push`](Self::end_push).
    pub(super) fn begin_push(&mut self) -> Option<Item<Pending>> {
        let item = self.queue.pop()?;
        self.push = Push::Underway { relinked: false };
        Some(item)
    }

    /// The item that was taken has left, or was refused. Returns whether downstream may have been linked meanwhile.
    pub(super) fn end_push(&mut self) -> bool {
        std::mem::take(&mut self.push) == Push::Underway { relinked: true }
    }

    /// Downstream may be linked again.
    pub(super) fn relink(&mut self) {
        if let Push::Underway { relinked } = &mut self.push {
            *relinked = true;
        }
    }

    /// The calling thread is the task's.
    pub fn enter_task(&mut self) {
        self.task = Some(std::thread::current().id());
    }

    /// Whether the calling thread is the task's.
    pub fn is_task(&self) -> bool {
        self.task == Some(std::thread::current().id())
    }

    /// A frame leaves. Returns whether it is the first since the start or the last flush.
    pub fn leave(&mut self) -> bool {
        std::mem::replace(&mut self.awaited, false)
    }

    /// Whether no frame has left yet since the start or the last flush.
    pub(super) fn is_awaited(&self) -> bool {
        self.awaited
    }

    /// Faces of the last frame that was inferred.
    pub fn last_faces(&self) -> Option<&FrameFaces> {
        self.last_faces.as_ref()
    }

    /// Keeps the faces of a frame that was inferred; `None`: the frames from now on may show something else.
    pub(super) fn set_last_faces(&mut self, faces: Option<FrameFaces>) {
        self.last_faces = faces;
    }

    /// Forgets what has left; for flushes. The queue is cleared on its own.
    pub(super) fn reset(&mut self) {
        self.awaited = true;
        self.last_faces = None;
    }
}
