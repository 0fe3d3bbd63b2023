//! Taking turns, for execution providers that fail when two of their sessions are at work at one time.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a thread that waits looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(5);

/// A queue in which threads wait for their turn, first come, first served: a stream that has always a batch ready cannot keep
/// another one waiting.
#[derive(Debug)]
pub(crate) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    taken: bool,
    next: u64,
    waiting: VecDeque<u64>,
}

/// A turn; it ends when this is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Turn<'t>(&'t Turns);

impl Turns {
    pub const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                taken: false,
                next: 0,
                waiting: VecDeque::new(),
            }),
            changed: Condvar::new(),
        }
    }

    /// Waits for a turn; `None` when `gives_up` says so before it comes. A thread must not wait for one while it has one.
    pub fn take(&self, gives_up: impl Fn() -> bool) -> Option<Turn<'_>> {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.waiting.push_back(number);
        while state.taken || state.waiting.front() != Some(&number) {
            if gives_up() {
                state.waiting.retain(|other| *other != number);
                self.changed.notify_all();
                return None;
            }
            let waited = self.changed.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.waiting.pop_front();
        state.taken = true;
        Some(Turn(self))
    }

    // A panic cannot leave the queue half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.lock().taken = false;
        self.0.changed.notify_all();
    }
}

/// Something of an execution provider's that is used and freed in a turn, where it has turns.
#[derive(Debug)]
pub(crate) struct InTurns<T> {
    value: Option<T>,
    turns: Option<&'static Turns>,
}

impl<T> InTurns<T> {
    pub fn new(value: T, turns: Option<&'static Turns>) -> Self {
        Self {
            value: Some(value),
            turns,
        }
    }

    /// Waits for the turn to use it, and gives both; `None` when `gives_up` says so before it comes.
    pub fn enter(&mut self, gives_up: impl Fn() -> bool) -> Option<(Option<Turn<'static>>, &mut T)> {
        let turn = match self.turns {
            Some(turns) => Some(turns.take(gives_up)?),
            None => None,
        };
        Some((turn, self.value.as_mut().expect(TAKEN_LAST)))
    }
}

impl<T> Drop for InTurns<T> {
    fn drop(&mut self) {
        let _turn = self.turns.and_then(|turns| turns.take(|| false));
        self.value = None;
    }
}

const TAKEN_LAST: &str = "taken only when it is dropped";

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    fn wait_for(turns: &Turns, waiting: usize) {
        while turns.lock().waiting.len() < waiting {
            std::thread::yield_now();
        }
    }

    #[test]
    fn one_at_a_time_in_the_order_of_coming() {
        let turns = Turns::new();
        let inside = AtomicUsize::new(0);
        let order = Mutex::new(Vec::new());
        let first = turns.take(|| false).unwrap();
        std::thread::scope(|scope| {
            for number in 0..5 {
                let (turns, inside, order) = (&turns, &inside, &order);
                scope.spawn(move || {
                    let _turn = turns.take(|| false).unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    order.lock().unwrap().push(number);
                    std::thread::sleep(Duration::from_millis(2));
                    inside.fetch_sub(1, Ordering::SeqCst);
                });
                wait_for(turns, number + 1);
            }
            drop(first);
        });
        assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn who_gives_up_does_not_hold_up_those_behind() {
        let turns = Turns::new();
        let first = turns.take(|| false).unwrap();
        let gives_up = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (turns, gives_up) = (&turns, &gives_up);
            let second = scope.spawn(|| turns.take(|| gives_up.load(Ordering::SeqCst)).is_some());
            wait_for(turns, 1);
            let third = scope.spawn(|| turns.take(|| false).is_some());
            wait_for(turns, 2);
            gives_up.store(true, Ordering::SeqCst);
            assert!(!second.join().unwrap());
            drop(first);
            assert!(third.join().unwrap());
        });
        assert!(turns.take(|| true).is_some(), "a turn that is free is taken");
    }
}
