//! How long a run takes, measured before the first frame has come.
//!
//! A live pipeline asks for the latency when it starts, and a sink drops what comes later than it was told. So the
//! first answer must know the model's speed already.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use img2pose::frame::{ColorMatrix, ColorRange, Frame, FrameLayout, PixelFormat, Plane, View};

use super::network::Network;
use super::worker::Worker;

/// A frame like most: what is measured when the caps are not known yet.
pub const USUAL_LAYOUT: FrameLayout = FrameLayout {
    format: PixelFormat::Gray8,
    width: 1280,
    height: 720,
    matrix: ColorMatrix::Bt601,
    range: ColorRange::Full,
    view: View::PLAIN,
};

/// What a probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measured {
    /// A run of one frame takes this long.
    Run(Duration),
    /// The first run takes longer than one can wait for.
    TooLong,
}

/// Runs a blank frame of `layout` twice and returns how long the second run took: the first one also sets up the memory.
/// `None` when it failed, [`Measured::TooLong`] when the first did not end within `limit`, counted from now; it is stopped then.
pub fn run_time<N: Network>(
    worker: &Arc<Worker<N>>,
    layout: FrameLayout,
    limit: Duration,
) -> Option<Measured> {
    let began = Instant::now();
    let cold = one_run(worker, layout, limit)?;
    if cold == Measured::TooLong {
        return Some(cold);
    }
    match one_run(worker, layout, limit.saturating_sub(began.elapsed())) {
        Some(warm @ Measured::Run(_)) => Some(warm),
        _ => Some(cold),
    }
}

fn one_run<N: Network>(worker: &Arc<Worker<N>>, layout: FrameLayout, limit: Duration) -> Option<Measured> {
    let (done, wait) = channel();
    let done = Mutex::new(done);
    let client = worker.client(Arc::new(move || {
        if let Ok(done) = done.lock() {
            // Nobody listens after the limit.
            let _ = done.send(());
        }
    }));
    // Wide enough for every format, and one plane for all.
    let stride = (layout.width as usize).checked_mul(4)?;
    let len = stride.checked_mul(layout.height as usize)?;
    let mut blank = Vec::new();
    // A frame that there is no memory for is an error when one comes, and not the end of the process here.
    blank.try_reserve_exact(len).ok()?;
    blank.resize(len, 0);
    let plane = Plane { data: &blank, stride };
    let frame = Frame {
        layout,
        planes: [plane; 3],
    };
    let submitted = client.submit(&frame, &Arc::default()).ok()?;
    client.close();
    if wait.recv_timeout(limit).is_err() {
        // The client that goes now stops it.
        return Some(Measured::TooLong);
    }
    let (_, run) = submitted.ticket.take()?.ok()?;
    Some(Measured::Run(run.duration))
}
