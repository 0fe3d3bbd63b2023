//! The queue of lines, which the pipeline fills and the publisher empties.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

use super::settings::MOST_BYTES;
use crate::shell;

/// Lines that are with the broker at one time: sent and not acknowledged.
const WINDOW: usize = 64;

/// A line on its way.
#[derive(Clone, Debug)]
pub struct Line {
    /// Lines are numbered in the order in which they came.
    pub number: u64,
    pub topic: String,
    pub payload: Bytes,
}

/// What has become of the lines, since the publisher started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines that came.
    pub lines: u64,
    /// Lines that have arrived, as far as the quality of service says.
    pub published: u64,
    /// Lines that were given up.
    pub dropped: u64,
    /// Lines that wait to be sent or acknowledged.
    pub queued: u64,
    /// How often a connection was lost, or could not be had after one that was.
    pub outages: u64,
    /// Whether there is a connection.
    pub is_connected: bool,
}

/// What a publisher reports of itself, on its own thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// There is no connection, for the first time since there was one or since the start.
    Outage(String),
    /// There is one again.
    Connected,
}

#[derive(Default)]
struct State {
    /// Not sent yet, in their order.
    waiting: VecDeque<Line>,
    /// Sent and not acknowledged.
    unacknowledged: usize,
    counts: Counts,
    is_stopping: bool,
}

/// What the pipeline, the publisher and those who wait for the end share.
pub struct Queue {
    most: usize,
    state: Mutex<State>,
    /// Something has arrived, was given up, or the publisher has ended.
    progress: Condvar,
    /// There is something to do for the publisher.
    pub wake: Notify,
    /// The publisher is to stop.
    pub stop: Notify,
    report: Box<dyn Fn(Report) + Send + Sync>,
}

impl State {
    fn counts(&self) -> Counts {
        Counts {
            queued: (self.waiting.len() + self.unacknowledged) as u64,
            ..self.counts
        }
    }
}

impl Queue {
    /// A queue in which at most `most` lines wait.
    pub fn new(most: usize, report: impl Fn(Report) + Send + Sync + 'static) -> Self {
        Self {
            most: most.max(1),
            state: Mutex::default(),
            progress: Condvar::new(),
            wake: Notify::new(),
            stop: Notify::new(),
            report: Box::new(report),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        shell::lock(&self.state)
    }

    /// Puts a line into the queue, whatever the broker does. When it is full, the oldest that was not sent is dropped.
    pub fn publish(&self, topic: String, payload: Bytes) {
        let mut state = self.state();
        let number = state.counts.lines;
        state.counts.lines += 1;
        // The packet has a head, too. What is larger would end every connection.
        if topic.len() + payload.len() + 64 > MOST_BYTES {
            state.counts.dropped += 1;
            return;
        }
        state.waiting.push_back(Line {
            number,
            topic,
            payload,
        });
        while state.waiting.len() + state.unacknowledged > self.most && state.waiting.len() > 1 {
            state.waiting.pop_front();
            state.counts.dropped += 1;
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Waits until no line waits any more, at most `timeout`, or until `is_cancelled`, which is asked at every
    /// [`wake_waiters`](Self::wake_waiters). Returns whether none does.
    pub fn drain(&self, timeout: Duration, is_cancelled: impl Fn() -> bool) -> bool {
        let until = Instant::now() + timeout;
        let mut state = self.state();
        loop {
            if state.waiting.is_empty() && state.unacknowledged == 0 {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || is_cancelled() {
                return false;
            }
            let waited = self.progress.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Wakes the threads that wait.
    pub fn wake_waiters(&self) {
        // With the lock: a thread that has just looked is waiting by then.
        let _state = self.state();
        self.progress.notify_all();
    }

    /// What has become of the lines so far.
    pub fn counts(&self) -> Counts {
        self.state().counts()
    }

    /// Asks the publisher to stop.
    pub fn stop(&self) {
        self.state().is_stopping = true;
        self.wake.notify_one();
        self.stop.notify_one();
    }

    /// The next line to send, if the broker has not too many already.
    pub fn next(&self) -> Option<Line> {
        let mut state = self.state();
        if state.is_stopping || state.unacknowledged >= WINDOW {
            return None;
        }
        let line = state.waiting.pop_front()?;
        state.unacknowledged += 1;
        Some(line)
    }

    /// A line has arrived.
    pub fn arrived(&self) {
        {
            let mut state = self.state();
            state.unacknowledged -= 1;
            state.counts.published += 1;
        }
        self.progress.notify_all();
        self.wake.notify_one();
    }

    /// Lines that were sent over a connection that is lost, in their order: they go first over the next one.
    pub fn take_back(&self, lines: impl DoubleEndedIterator<Item = Line>) {
        let mut state = self.state();
        for line in lines.rev() {
            state.unacknowledged -= 1;
            state.waiting.push_front(line);
        }
        debug_assert_eq!(state.unacknowledged, 0);
    }

    pub fn is_stopping(&self) -> bool {
        self.state().is_stopping
    }

    /// There is a connection.
    pub fn connected(&self) {
        let was_away = {
            let mut state = self.state();
            state.counts.is_connected = true;
            state.counts.outages > 0
        };
        if was_away {
            (self.report)(Report::Connected);
        }
    }

    /// There is none, for a reason that only counts when it is new.
    pub fn disconnected(&self, why: &str, is_new: bool) {
        {
            let mut state = self.state();
            state.counts.is_connected = false;
            if is_new {
                state.counts.outages += 1;
            }
        }
        if is_new {
            (self.report)(Report::Outage(why.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn queue(most: usize) -> Queue {
        Queue::new(most, |_| {})
    }

    fn publish(queue: &Queue, number: u64) {
        queue.publish("t".to_owned(), Bytes::from(number.to_string()));
    }

    #[test]
    fn the_oldest_that_was_not_sent_goes_when_the_queue_is_full() {
        let queue = queue(3);
        publish(&queue, 0);
        let sent = queue.next().unwrap();
        for number in 1..5 {
            publish(&queue, number);
        }
        let counts = queue.counts();
        assert_eq!((counts.lines, counts.dropped, counts.queued), (5, 2, 3));
        queue.take_back([sent].into_iter());
        let order: Vec<u64> = std::iter::from_fn(|| queue.next())
            .map(|line| line.number)
            .collect();
        assert_eq!(order, [0, 3, 4]);
        (0..3).for_each(|_| queue.arrived());
        let counts = queue.counts();
        assert_eq!((counts.published, counts.dropped, counts.queued), (3, 2, 0));
    }

    #[test]
    fn no_more_than_a_window_is_under_way() {
        let queue = queue(1000);
        (0..200).for_each(|number| publish(&queue, number));
        let sent = std::iter::from_fn(|| queue.next()).count();
        assert_eq!(sent, WINDOW);
        queue.arrived();
        assert!(queue.next().is_some() && queue.next().is_none());
    }

    #[test]
    fn the_end_waits_for_what_is_under_way_and_no_longer() {
        let queue = Arc::new(queue(10));
        assert!(queue.drain(Duration::ZERO, || false));
        publish(&queue, 0);
        assert!(!queue.drain(Duration::from_millis(10), || false));
        assert!(!queue.drain(Duration::from_secs(60), || true));
        queue.next().unwrap();
        let theirs = queue.clone();
        let broker = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            theirs.arrived();
        });
        assert!(queue.drain(Duration::from_secs(60), || false));
        broker.join().unwrap();
    }
}
