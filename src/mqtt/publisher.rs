//! The thread that publishes lines.
//!
//! The pipeline's side only ever puts a line into the [queue](super::queue). Everything that can wait for a network happens on the
//! publisher's own thread, see [`session`](super::session).

use std::sync::Arc;
use std::thread::JoinHandle;

use super::queue::{Queue, Report};
use super::session;
use super::settings::Broker;

/// A running publisher. Dropping it stops the thread, within a second.
pub struct Publisher {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Starts to connect. At most `most` lines wait.
    ///
    /// # Errors
    /// When the system has no thread or no socket left.
    pub fn start(
        broker: Broker,
        most: usize,
        report: impl Fn(Report) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::new(most, report));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let theirs = queue.clone();
        let thread = std::thread::Builder::new()
            .name("img2pose-mqtt".to_owned())
            .spawn(move || {
                runtime.block_on(session::run(&theirs, &broker));
                // A name that is being looked up holds a thread, which nobody waits for.
                runtime.shutdown_background();
                theirs.wake_waiters();
            })?;
        Ok(Self {
            queue,
            thread: Some(thread),
        })
    }

    /// What it publishes, and what has become of it; outlives the publisher.
    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.queue.stop();
        if let Some(thread) = self.thread.take() {
            // A panic has been reported on stderr, and the pipeline goes on without it.
            let _ = thread.join();
        }
    }
}
