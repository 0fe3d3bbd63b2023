//! What leaves: what the task of the source pad does next, and what follows from it.

use std::time::Duration;

use gst::{FlowError, FlowSuccess};

use super::State;
use super::pending::Pending;
use crate::detect::batcher::{BatchId, Cause};
use crate::detect::queue::{Item, begins_anew};
use crate::detect::worker::Run;
use crate::meta::FrameFaces;

/// What the task of the source pad does next.
pub enum Turn {
    /// It pushes this item.
    Push(Item<Pending>),
    /// Nothing, until something changes.
    Wait,
    /// Nothing before the next start.
    Pause(FlowError),
}

/// What has become of an item that the task has pushed.
pub enum Departure {
    /// It has left.
    Left,
    /// Downstream is at EOS and does not want these frames any more. They are dropped without the lock.
    AtEos(Vec<Pending>),
    /// The pad was linked while the item was pushed to it unlinked.
    Relinked,
    /// Downstream did not take it.
    Refused(FlowError),
}

impl State {
    /// What the task of the source pad does next.
    pub fn next_turn(&mut self) -> Turn {
        match self.flow.result() {
            Ok(_) | Err(FlowError::Eos) => {}
            // Until downstream is linked and says so.
            Err(FlowError::NotLinked) => return Turn::Wait,
            Err(error) => return Turn::Pause(error),
        }
        let failed = self.flow.has_failed();
        match self.outgoing.front() {
            Some(Item::Frame(frame)) if !failed && !frame.is_ready() => return Turn::Wait,
            None if failed => {
                // Everything has left that was queued.
                self.flow.stop();
                return Turn::Pause(FlowError::Error);
            }
            _ => {}
        }
        match self.outgoing.begin_push() {
            Some(item) => {
                if matches!(item, Item::Frame(_)) {
                    // Before it is pushed: upstream may answer to it while it is.
                    self.filling.leave();
                }
                Turn::Push(item)
            }
            None => Turn::Wait,
        }
    }

    /// Takes note of an event that leaves.
    pub fn event_leaves(&mut self, event: &gst::EventRef) {
        if begins_anew(event) {
            self.outgoing.set_last_faces(None);
        }
    }

    /// Takes note of the faces that a frame leaves with, and of how long it took to attach them.
    pub fn faces_leave(&mut self, faces: FrameFaces, attaching: Duration) {
        let stats = self.record.stats();
        stats.post.add(attaching);
        stats.inferred += 1;
        stats.faces += faces.faces.len() as u64;
        // Also while they are not reused: the user may want that from the next frame on.
        self.outgoing.set_last_faces(Some(faces));
    }

    /// Takes note of what has become of the item that was pushed.
    #[must_use = "frames are dropped without the lock"]
    pub fn end_push(&mut self, result: Result<FlowSuccess, FlowError>) -> Departure {
        let relinked = self.outgoing.end_push();
        match result {
            Ok(_) => Departure::Left,
            Err(FlowError::Eos) => {
                let (unwanted, restarts) = self.outgoing.take_unwanted();
                if !restarts {
                    self.flow.refuse(FlowError::Eos);
                }
                Departure::AtEos(unwanted)
            }
            Err(FlowError::NotLinked) if relinked => Departure::Relinked,
            Err(error) => {
                self.flow.refuse(error);
                Departure::Refused(error)
            }
        }
    }

    /// Downstream may be linked again. Returns whether that was waited for.
    pub fn relink(&mut self) -> bool {
        self.outgoing.relink();
        self.flow.relink()
    }

    /// Counts a run, once for its first frame that leaves; `None`: it was counted before. `delay`: for how long frames
    /// waited because of it. Returns whether what the pipeline was told of the time of a run has changed.
    pub fn count_run(&mut self, batch: BatchId, run: &Run, delay: Duration) -> Option<bool> {
        let promise_changed = self.record.count(batch, run, delay)?;
        if run.cause == Cause::Quiet && !self.incoming.is_arriving() {
            self.filling.wait_in_vain(batch);
        }
        // It may have run before it was closed.
        self.filling.give_up(batch);
        Some(promise_changed)
    }

    /// The statistics as the property shows them.
    pub fn stats_structure(&self) -> gst::Structure {
        self.record.structure(self.outgoing.level())
    }
}
