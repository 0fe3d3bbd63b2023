//! What the threads of an element share, and how it changes.
//!
//! The parts of [`State`] know nothing of each other; what follows from one for another is said here.

mod admission;
mod batches;
mod departure;
mod filling;
mod flow;
mod incoming;
mod outgoing;
mod pace;
mod pending;
mod record;

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

pub use admission::FormatChange;
pub use batches::Waiting;
pub use departure::{Departure, Turn};
use filling::Filling;
pub use filling::{Joined, Next, Passed, Share};
use flow::Flow;
use incoming::Incoming;
use outgoing::Outgoing;
use pace::Pace;
pub use pending::{Admission, Pending, Source};
use record::Record;

use super::queue::Item;

/// Everything that changes while frames flow.
#[derive(Default)]
pub struct State {
    /// Whether frames come and leave.
    pub flow: Flow,
    /// What comes in.
    pub incoming: Incoming,
    /// The batch that takes frames.
    pub filling: Filling,
    /// What waits to leave, and what leaves.
    pub outgoing: Outgoing,
    /// How all that runs against the clock.
    pub pace: Pace,
    /// What was counted and measured.
    pub record: Record,
}

/// The state and the ways to wait for its changes.
#[derive(Default)]
pub struct Stream {
    state: Mutex<State>,
    /// Signalled when the source pad's task may have something to do.
    pub ready: Condvar,
    /// Signalled when something has left the queue.
    pub left: Condvar,
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

/// What of a stream is dropped without the lock: freeing a buffer may call into its pool, and a timer into the clock.
pub struct Remains {
    /// What was queued.
    pub items: VecDeque<Item<Pending>>,
    /// The batch that took frames.
    pub open: Option<Share>,
}

impl State {
    /// Lets frames flow.
    pub fn start(&mut self) {
        self.flow.start();
    }

    /// Stops every thread of the stream and takes everything out of the queue.
    pub fn flush(&mut self) -> Remains {
        self.flow.flush();
        Remains {
            items: self.outgoing.clear(),
            open: self.filling.close(),
        }
    }

    /// Forgets the stream but not its format and its tags; for flushes.
    #[must_use = "it is dropped without the lock"]
    pub fn reset(&mut self) -> Option<Share> {
        self.incoming.reset();
        self.outgoing.reset();
        self.pace.set_earliest(None);
        self.filling.reset()
    }

    /// Forgets everything that upstream has said; the next one may be another.
    #[must_use = "it is dropped without the lock"]
    pub fn forget_upstream(&mut self) -> Option<Share> {
        let open = self.reset();
        self.incoming.forget();
        self.pace.forget_upstream();
        open
    }

    /// Ends the stream after a panic in the task.
    pub fn stop_after_panic(&mut self) {
        self.flow.stop();
        self.outgoing.end_push();
    }

    /// Counts and measures anew.
    pub fn begin_record(&mut self) {
        self.record = Record::default();
    }
}
