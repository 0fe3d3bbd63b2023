//! The end of the process while detectors are still at work on other threads.
//!
//! `exit` runs the destructors of ONNX Runtime's statics and lets all other threads go on meanwhile. A run that uses one of
//! them then fails, with messages on the terminal, or crashes. So a function of ours runs before those destructors: it stops
//! the runs, waits until every thread has left ONNX Runtime, and lets none in any more. What is freed later is left to the
//! system.
//!
//! Functions that are registered later run earlier, and ONNX Runtime makes some of its statics only when it is first used
//! for something. That is why the function is registered several times, see [`arm`] and [`arm_while`].

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Condvar, LockResult, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crate::cancel::Canceller;

/// The end of the process waits no longer for threads inside ONNX Runtime. A run that is stopped ends with the node of the
/// graph that it is at; a model that is being loaded cannot be stopped.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// How often the function is registered at most: a process that loads models for months must not grow by it. Each one takes
/// 32 bytes.
const MOST_REGISTRATIONS: usize = 4096;

/// The pauses between registrations while statics are being made: at least the first, and longer by and by, in proportion
/// to the time that has passed, since the first milliseconds of a load are those that make most of them.
const SHORTEST_PAUSE: Duration = Duration::from_micros(200);
const PAUSES_IN_PROPORTION: u32 = 200;

static GATE: Gate = Gate::new();
/// The process in which the function is to do something.
static OWNER: AtomicU32 = AtomicU32::new(0);
static REGISTRATIONS: AtomicUsize = AtomicUsize::new(0);

/// Whether this process ends: detections fail with [`Error::Cancelled`](crate::Error::Cancelled) from now on.
pub fn process_is_ending() -> bool {
    GATE.closed.load(Ordering::SeqCst)
}

/// Begins a use of ONNX Runtime, which lasts until the result is dropped; `None`: it must not be used any more. `canceller`
/// stops it if it takes long.
pub(crate) fn enter(canceller: Option<&Canceller>) -> Option<Inside<'static>> {
    GATE.enter(canceller)
}

/// Sees to it that uses of ONNX Runtime end before its statics are destroyed that exist now. To be called whenever it has
/// done something for the first time.
pub(crate) fn arm() {
    let process = std::process::id();
    if OWNER.swap(process, Ordering::SeqCst) != process {
        // After a fork: the threads that were inside are not here.
        GATE.lock().inside.clear();
    }
    if REGISTRATIONS.fetch_add(1, Ordering::Relaxed) < MOST_REGISTRATIONS {
        // SAFETY: `at_exit` may be called at any time in any thread, and does not unwind. When there is no memory to
        // register it, the process ends as it would without it.
        let _ = unsafe { libc::atexit(at_exit) };
    }
}

/// Does `work`, in which ONNX Runtime makes statics that nobody else learns of: the first session makes hundreds, over a
/// fifth of a second. A process that ends in the middle of it would destroy them before the function is called that waits
/// for the work, so another thread goes on registering it meanwhile.
pub(crate) fn arm_while<R>(work: impl FnOnce() -> R) -> R {
    arm();
    let result = std::thread::scope(|scope| {
        // Dropped when the work is done, also by a panic.
        let (_working, done) = channel::<()>();
        let began = Instant::now();
        let watch = move || loop {
            let pause = (began.elapsed() / PAUSES_IN_PROPORTION).max(SHORTEST_PAUSE);
            if done.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) || process_is_ending() {
                return;
            }
            arm();
        };
        // Where there can be no thread the end may be noisy, as it would be without this.
        let _ = std::thread::Builder::new()
            .name("img2pose-arm".to_owned())
            .spawn_scoped(scope, watch);
        work()
    });
    arm();
    result
}

extern "C" fn at_exit() {
    // In the child of a fork the other threads do not exist, and a lock that one of them held stays locked.
    if OWNER.load(Ordering::SeqCst) == std::process::id() {
        // A panic must not cross into C; there is nobody left to tell of it.
        let _ = catch_unwind(AssertUnwindSafe(|| GATE.close(Instant::now() + LONGEST_WAIT)));
    }
}

/// Where all threads pass that use ONNX Runtime.
struct Gate {
    closed: AtomicBool,
    state: Mutex<State>,
    left: Condvar,
}

struct State {
    next: u64,
    inside: Vec<Visit>,
}

struct Visit {
    number: u64,
    thread: usize,
    canceller: Option<Canceller>,
}

/// A use of ONNX Runtime.
pub(crate) struct Inside<'g> {
    gate: &'g Gate,
    number: u64,
}

impl Gate {
    const fn new() -> Self {
        Self {
            closed: AtomicBool::new(false),
            state: Mutex::new(State {
                next: 0,
                inside: Vec::new(),
            }),
            left: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        unpoisoned(self.state.lock())
    }

    fn enter(&self, canceller: Option<&Canceller>) -> Option<Inside<'_>> {
        let mut state = self.lock();
        if self.closed.load(Ordering::SeqCst) {
            return None;
        }
        let number = state.next;
        state.next += 1;
        state.inside.push(Visit {
            number,
            thread: this_thread(),
            canceller: canceller.cloned(),
        });
        Some(Inside { gate: self, number })
    }

    /// Lets nobody in any more, stops who is inside, and waits until all have left, or until `deadline`. Returns whether all
    /// have left, not counting this thread, which may have been inside when it called `exit`.
    fn close(&self, deadline: Instant) -> bool {
        self.closed.store(true, Ordering::SeqCst);
        let this = this_thread();
        let Some(mut state) = self.lock_until(deadline) else {
            return false;
        };
        loop {
            let mut others = state
                .inside
                .iter()
                .filter(|visit| visit.thread != this)
                .peekable();
            if others.peek().is_none() {
                return true;
            }
            others
                .filter_map(|visit| visit.canceller.as_ref())
                .for_each(Canceller::cancel);
            let wait = deadline.saturating_duration_since(Instant::now());
            if wait.is_zero() {
                return false;
            }
            state = unpoisoned(self.left.wait_timeout(state, wait)).0;
        }
    }

    /// For a thread that may hold the lock already: somebody may call `exit` in a signal handler.
    fn lock_until(&self, deadline: Instant) -> Option<MutexGuard<'_, State>> {
        loop {
            match self.state.try_lock() {
                Ok(state) => return Some(state),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return None,
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let visit = {
            let mut state = self.gate.lock();
            let visit = state.inside.iter().position(|visit| visit.number == self.number);
            visit.map(|index| state.inside.swap_remove(index))
        };
        drop(visit);
        self.gate.left.notify_all();
    }
}

// A panic cannot leave the list half changed.
fn unpoisoned<T>(result: LockResult<T>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

/// A number that no other thread has. The standard library's may be gone when a thread calls `exit`.
fn this_thread() -> usize {
    thread_local!(static PLACE: Cell<u8> = const { Cell::new(0) });
    PLACE.with(|place| std::ptr::from_ref(place).addr())
}

/// Something of ONNX Runtime's that is not freed any more when the process ends.
#[derive(Debug)]
pub(crate) struct Held<T>(Option<T>);

impl<T> Held<T> {
    pub fn new(value: T) -> Self {
        Self(Some(value))
    }
}

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("taken only when it is dropped")
    }
}

impl<T> DerefMut for Held<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("taken only when it is dropped")
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        let value = self.0.take();
        match enter(None) {
            Some(_inside) => drop(value),
            None => std::mem::forget(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn in_time() -> Instant {
        Instant::now() + LONG
    }

    #[test]
    fn an_empty_gate_closes_at_once_and_for_good() {
        let gate = Gate::new();
        drop(gate.enter(None));
        assert!(gate.close(in_time()));
        assert!(gate.enter(None).is_none());
        // The function is registered more than once.
        assert!(gate.close(in_time()));
    }

    #[test]
    fn closing_waits_for_others_to_leave() {
        let gate = Gate::new();
        let (entered, wait) = channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let inside = gate.enter(None);
                entered.send(()).unwrap();
                while !gate.closed.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
                std::thread::sleep(Duration::from_millis(20));
                drop(inside);
            });
            wait.recv().unwrap();
            assert!(gate.close(in_time()));
            assert!(gate.lock().inside.is_empty());
        });
    }

    #[test]
    fn closing_does_not_wait_for_ever() {
        let gate = Gate::new();
        let (entered, wait) = channel();
        let (leave, left) = channel::<()>();
        std::thread::scope(|scope| {
            let gate = &gate;
            scope.spawn(move || {
                let _inside = gate.enter(None);
                entered.send(()).unwrap();
                left.recv().unwrap();
            });
            wait.recv().unwrap();
            assert!(!gate.close(Instant::now() + Duration::from_millis(20)));
            leave.send(()).unwrap();
        });
    }

    #[test]
    fn a_thread_that_ends_the_process_from_inside_does_not_wait_for_itself() {
        let gate = Gate::new();
        let _inside = gate.enter(None);
        assert!(gate.close(in_time()));
    }

    #[test]
    fn while_work_is_done_the_function_is_registered_again_and_again() {
        let before = REGISTRATIONS.load(Ordering::Relaxed);
        let result = arm_while(|| {
            let deadline = in_time();
            while REGISTRATIONS.load(Ordering::Relaxed) < before + 5 && Instant::now() < deadline {
                std::thread::yield_now();
            }
            REGISTRATIONS.load(Ordering::Relaxed)
        });
        assert!(result >= before + 5);
        assert!(std::panic::catch_unwind(|| arm_while(|| panic!("no work"))).is_err());
    }

    #[test]
    fn a_lock_that_is_never_given_back_does_not_hold_the_end_up() {
        let gate = Gate::new();
        let _locked = gate.lock();
        assert!(!gate.close(Instant::now() + Duration::from_millis(20)));
    }

    #[test]
    fn what_is_held_is_freed_as_long_as_the_process_goes_on() {
        let value = std::sync::Arc::new(5);
        let held = Held::new(value.clone());
        assert_eq!(**held, 5);
        drop(held);
        assert_eq!(std::sync::Arc::strong_count(&value), 1);
    }
}
