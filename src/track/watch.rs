//! The thread that lets frames go when nothing more comes, see [`Patience`].

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Instant;

use super::patience::Patience;
use crate::shell;

/// Patience, and who looks at the clock for it. The thread begins with the first frame that is held.
#[derive(Debug, Default)]
pub struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    patience: Patience,
    stopped: bool,
}

impl Watch {
    /// Patience, with the thread locked out.
    pub fn with_patience<R>(&self, act: impl FnOnce(&mut Patience) -> R) -> R {
        let mut state = self.shared.lock();
        let before = state.patience.until();
        let result = act(&mut state.patience);
        // A thread that waits for a later time wakes up by itself and waits again: the rest of a stream needs no waking.
        if before.is_none() && state.patience.until().is_some() {
            self.shared.changed.notify_all();
        }
        result
    }

    /// Calls `run_out` on a thread of its own each time when patience has run out.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn begin(&mut self, run_out: impl Fn() + Send + 'static) -> std::io::Result<()> {
        if self.thread.is_some() {
            return Ok(());
        }
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new()
            .name("img2posetrack".to_owned())
            .spawn(move || {
                while shared.wait() {
                    run_out();
                }
            })?;
        self.thread = Some(thread);
        Ok(())
    }

    /// Ends the thread.
    pub fn end(self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        let Some(thread) = self.thread else { return };
        // On the thread itself when it lets go of the last of the element.
        if thread.thread().id() != std::thread::current().id() {
            // It has no panics of its own: what it calls is shielded.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        shell::lock(&self.state)
    }

    /// Waits until patience has run out. `false`: it is over.
    fn wait(&self) -> bool {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return false;
            }
            let now = Instant::now();
            state = match state.patience.until() {
                None => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(std::sync::PoisonError::into_inner),
                Some(until) if until <= now => return true,
                Some(until) => {
                    let waited = self.changed.wait_timeout(state, until - now);
                    waited.unwrap_or_else(std::sync::PoisonError::into_inner).0
                }
            };
        }
    }
}
