//! What is shown: the newest picture, the last lines, the state. Whoever tells it something never waits for who looks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{broadcast, watch};

/// Messages that a viewer may be behind; one that is further loses the oldest.
const BEHIND: usize = 256;
/// Lines that a viewer is given that comes late: more than the plots show.
const LINES: usize = 900;
/// Their bytes at most; crowds have long lines.
const LINE_BYTES: usize = 2_000_000;

/// How fast it goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Numbers {
    /// Frames that have left so far.
    pub frames: u64,
    /// Frames that left in a second, lately.
    pub frames_per_second: f64,
    /// Milliseconds from a frame's coming to its line, lately: the middle one.
    pub latency_ms: Option<f64>,
    /// The same: 95 of 100 take no longer.
    pub latency_95_ms: Option<f64>,
    /// Frames that a batch holds.
    pub batch_size: u32,
    /// Frames that batches did hold, lately.
    pub batch_fill: Option<f64>,
}

/// Where the source is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Waiting,
    Running,
    Ended,
    Failed,
}

/// What does not change with each frame.
#[derive(Clone, Debug, Default, Serialize)]
struct Status {
    state: State,
    source: String,
    /// Counts the sources, so that a page knows a new one of the same name.
    number: u64,
    message: String,
}

#[derive(Default)]
struct Past {
    status: Status,
    numbers: Option<Bytes>,
    lines: VecDeque<Bytes>,
    bytes: usize,
}

/// What is shown.
pub struct Feed {
    past: Mutex<Past>,
    messages: broadcast::Sender<Bytes>,
    picture: watch::Sender<Option<Bytes>>,
    viewers: AtomicUsize,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            past: Mutex::default(),
            messages: broadcast::Sender::new(BEHIND),
            picture: watch::Sender::new(None),
            viewers: AtomicUsize::new(0),
        }
    }
}

impl Feed {
    /// A source begins.
    pub fn source(&self, name: &str) {
        self.change(|past| {
            past.lines.clear();
            past.bytes = 0;
            past.status = Status {
                state: State::Running,
                source: name.to_owned(),
                number: past.status.number + 1,
                message: String::new(),
            };
        });
    }

    /// It has ended.
    pub fn ended(&self) {
        self.change(|past| past.status.state = State::Ended);
    }

    /// It was lost.
    pub fn failed(&self, why: &str) {
        self.change(|past| {
            past.status.state = State::Failed;
            past.status.message = why.to_owned();
        });
    }

    fn change(&self, change: impl FnOnce(&mut Past)) {
        let mut past = self.past();
        change(&mut past);
        self.send(status_message(&past.status));
    }

    /// A line.
    pub fn line(&self, line: &[u8]) {
        let line = message("line", line.strip_suffix(b"\n").unwrap_or(line));
        let mut past = self.past();
        past.bytes += line.len();
        past.lines.push_back(line.clone());
        while past.lines.len() > LINES || past.bytes > LINE_BYTES {
            let Some(oldest) = past.lines.pop_front() else {
                break;
            };
            past.bytes -= oldest.len();
        }
        // Under the lock: a viewer that comes now has it among the past ones or is sent it, not both.
        self.send(line);
    }

    /// Figures.
    pub fn numbers(&self, numbers: &Numbers) {
        let numbers = json_message("numbers", numbers);
        let mut past = self.past();
        past.numbers = Some(numbers.clone());
        self.send(numbers);
    }

    /// The newest picture.
    pub fn picture(&self, jpeg: Bytes) {
        self.picture.send_replace(Some(jpeg));
    }

    /// How many are being sent pictures.
    pub fn viewers(&self) -> usize {
        self.viewers.load(Ordering::Relaxed)
    }

    /// The pictures from now on, beginning with the newest.
    pub fn pictures(self: &Arc<Self>) -> Pictures {
        self.viewers.fetch_add(1, Ordering::Relaxed);
        let mut picture = self.picture.subscribe();
        picture.mark_changed();
        Pictures {
            feed: self.clone(),
            picture,
        }
    }

    /// The newest picture, if there was one.
    pub fn newest(&self) -> Option<Bytes> {
        self.picture.borrow().clone()
    }

    /// What a viewer has missed, as messages, and those that come from now on.
    pub fn messages(&self) -> (Bytes, broadcast::Receiver<Bytes>) {
        let past = self.past();
        let mut missed = status_message(&past.status).to_vec();
        missed.extend(past.numbers.iter().flatten());
        missed.extend(past.lines.iter().flatten());
        (missed.into(), self.messages.subscribe())
    }

    /// Whether every viewer has been given every message.
    pub fn is_sent(&self) -> bool {
        self.messages.is_empty()
    }

    fn send(&self, message: Bytes) {
        // Fails where nobody listens.
        let _ = self.messages.send(message);
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        // Nothing under the lock leaves it half changed.
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pictures for one viewer.
pub struct Pictures {
    feed: Arc<Feed>,
    picture: watch::Receiver<Option<Bytes>>,
}

impl Pictures {
    /// The newest picture that this viewer has not been given; waits for one. `None` when there will be none any more.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            self.picture.changed().await.ok()?;
            let picture = self.picture.borrow_and_update().clone();
            if picture.is_some() {
                return picture;
            }
        }
    }
}

impl Drop for Pictures {
    fn drop(&mut self) {
        self.feed.viewers.fetch_sub(1, Ordering::Relaxed);
    }
}

fn status_message(status: &Status) -> Bytes {
    json_message("status", status)
}

fn json_message(event: &str, what: &impl Serialize) -> Bytes {
    let json = serde_json::to_vec(what).expect("numbers and strings can be written as JSON");
    message(event, &json)
}

/// An event as server-sent events are written: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.
pub fn message(event: &str, data: &[u8]) -> Bytes {
    let mut text = format!("event: {event}\n").into_bytes();
    for line in data.split(|&byte| byte == b'\n' || byte == b'\r') {
        text.extend_from_slice(b"data: ");
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    text.push(b'\n');
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_a_line_does_not_break_a_message() {
        assert_eq!(
            message("line", b"a\n\nevent: b\rc"),
            "event: line\ndata: a\ndata: \ndata: event: b\ndata: c\n\n"
        );
    }

    #[test]
    fn late_viewers_are_given_so_much_and_no_more() {
        let feed = Feed::default();
        feed.source("a.mp4");
        for number in 0..LINES + 5 {
            feed.line(format!("{{\"frame\":{number}}}\n").as_bytes());
        }
        let text = |feed: &Feed| String::from_utf8(feed.messages().0.to_vec()).unwrap();
        let missed = text(&feed);
        assert_eq!(missed.matches("event: line").count(), LINES);
        assert!(missed.contains("{\"frame\":5}") && !missed.contains("{\"frame\":4}"));
        feed.line(&[b'0'; LINE_BYTES - 1000]);
        assert!(text(&feed).len() < LINE_BYTES + 1000);
        feed.source("b.mp4");
        assert!(!text(&feed).contains("event: line"));
    }
}
