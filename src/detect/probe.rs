//! How long a run takes, measured before the first frame has come.
//!
//! A live pipeline asks for the latency when it starts, and a sink drops what comes later than it was told. So the
//! first answer must know the model's speed already.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use img2pose::frame::{ColorMatrix, ColorRange, Frame, FrameLayout, PixelFormat, Plane};

use super::network::Network;
use super::worker::Worker;

/// A frame like most: what is measured when the caps are not known yet.
pub const USUAL_LAYOUT: FrameLayout = FrameLayout {
    format: PixelFormat::Gray8,
    width: 1280,
    height: 720,
    matrix: ColorMatrix::Bt601,
    range: ColorRange::Full,
};

/// Runs a blank frame of `layout` twice and returns how long the second run took: the first one also sets up the memory.
/// `None` when it failed, or the first took longer than `limit`, counted from now.
pub fn run_time<N: Network>(
    worker: &Arc<Worker<N>>,
    layout: FrameLayout,
    limit: Duration,
) -> Option<Duration> {
    let began = Instant::now();
    let cold = one_run(worker, layout, limit)?;
    let warm = one_run(worker, layout, limit.saturating_sub(began.elapsed()));
    Some(warm.unwrap_or(cold))
}

fn one_run<N: Network>(worker: &Arc<Worker<N>>, layout: FrameLayout, limit: Duration) -> Option<Duration> {
    let (done, wait) = channel();
    let done = Mutex::new(done);
    let client = worker.client(Arc::new(move || {
        if let Ok(done) = done.lock() {
            // Nobody listens after the limit.
            let _ = done.send(());
        }
    }));
    // Wide enough for every format, and one plane for all.
    let stride = layout.width as usize * 4;
    let blank = vec![0; stride * layout.height as usize];
    let plane = Plane { data: &blank, stride };
    let frame = Frame {
        layout,
        planes: [plane; 3],
    };
    let submitted = client.submit(&frame).ok()?;
    client.close();
    wait.recv_timeout(limit).ok()?;
    let (_, run) = submitted.ticket.take()?.ok()?;
    Some(run.duration)
}
