//! What became of the frames of each camera, as text that Prometheus reads.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gst::prelude::*;

/// What a camera has counted: in pipelines that have ended, and in the one that runs.
#[derive(Default)]
struct Camera {
    before: Counts,
    running: Option<gst::Element>,
    restarts: u64,
}

/// What the detector counts since it started.
#[derive(Clone, Copy, Default)]
struct Counts {
    frames: u64,
    inferred: u64,
    late: u64,
    unreached: u64,
    outages: u64,
    faces: u64,
    batches: u64,
    batched: f64,
    seconds: f64,
}

/// Name, description and value of what is counted.
type Counter = (&'static str, &'static str, fn(&Counts) -> f64);

/// A number of `stats`; one that the plugin was built without is nothing to count.
fn number(stats: &gst::StructureRef, name: &str) -> u64 {
    stats.get(name).unwrap_or(0)
}

impl Counts {
    fn of(stats: &gst::StructureRef) -> Self {
        let batches = number(stats, "batches");
        let infer: Option<gst::Structure> = stats.get("infer").ok();
        let infer = |name| infer.as_ref().map_or(0, |infer| number(infer, name));
        let mean = Duration::from_nanos(infer("mean")).as_secs_f64();
        Self {
            frames: number(stats, "frames-out"),
            inferred: number(stats, "inferred"),
            late: number(stats, "late"),
            unreached: number(stats, "unreached"),
            outages: number(stats, "outages"),
            faces: number(stats, "faces"),
            batches,
            batched: stats.get("mean-fill").unwrap_or(0.0) * batches as f64,
            seconds: mean * infer("count") as f64,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            frames: self.frames + other.frames,
            inferred: self.inferred + other.inferred,
            late: self.late + other.late,
            unreached: self.unreached + other.unreached,
            outages: self.outages + other.outages,
            faces: self.faces + other.faces,
            batches: self.batches + other.batches,
            batched: self.batched + other.batched,
            seconds: self.seconds + other.seconds,
        }
    }
}

impl Camera {
    fn counts(&self) -> (Counts, u64) {
        match &self.running {
            None => (self.before, 0),
            Some(detector) => {
                let stats: gst::Structure = detector.property("stats");
                (
                    self.before.plus(Counts::of(&stats)),
                    number(&stats, "queue-level"),
                )
            }
        }
    }
}

/// All cameras; clones are the same.
#[derive(Clone)]
pub struct Metrics(Arc<Mutex<Vec<Camera>>>);

impl Metrics {
    /// Of so many cameras, none of which runs yet.
    pub fn new(cameras: usize) -> Self {
        Self(Arc::new(Mutex::new(
            (0..cameras).map(|_| Camera::default()).collect(),
        )))
    }

    // Each section is a few assignments: a panic leaves nothing half changed.
    fn lock(&self) -> MutexGuard<'_, Vec<Camera>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note that a camera is watched by this detector, until what is returned is dropped: before the detector stops.
    pub fn watch(&self, camera: usize, detector: &gst::Element) -> Watched {
        self.lock()[camera].running = Some(detector.clone());
        Watched {
            metrics: self.clone(),
            camera,
        }
    }

    /// Takes note that a camera is started again.
    pub fn restarted(&self, camera: usize) {
        self.lock()[camera].restarts += 1;
    }

    /// Everything in Prometheus's text format, version 0.0.4.
    pub fn text(&self) -> String {
        let rows: Vec<_> = self
            .lock()
            .iter()
            .map(|camera| (camera.counts(), camera.running.is_some(), camera.restarts))
            .collect();
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, values: &mut dyn Iterator<Item = f64>| {
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "# HELP img2pose_{name} {help}\n# TYPE img2pose_{name} {kind}"
            );
            for (camera, value) in values.enumerate() {
                let _ = writeln!(text, "img2pose_{name}{{camera=\"{camera}\"}} {value}");
            }
        };
        let counters: [Counter; 9] = [
            ("frames_total", "Frames that left the detector.", |c| {
                c.frames as f64
            }),
            (
                "inferred_frames_total",
                "Frames among them whose faces were looked for.",
                |c| c.inferred as f64,
            ),
            (
                "late_frames_total",
                "Frames among them that were too late to be looked at.",
                |c| c.late as f64,
            ),
            (
                "unreached_frames_total",
                "Frames among them that passed because the inference server did not answer.",
                |c| c.unreached as f64,
            ),
            (
                "outages_total",
                "Outages of the inference server that frames have met.",
                |c| c.outages as f64,
            ),
            ("faces_total", "Faces that were found.", |c| c.faces as f64),
            (
                "batches_total",
                "Batches with a frame of this camera; those of cameras that share a batch count for each.",
                |c| c.batches as f64,
            ),
            (
                "batch_frames_total",
                "Frames in those batches; divided by the batches: how full they were.",
                |c| c.batched,
            ),
            (
                "batch_seconds_total",
                "Time of those batches in the network, or at the server and on the way; divided by the batches: the latency.",
                |c| c.seconds,
            ),
        ];
        for (name, help, value) in counters {
            family(
                name,
                "counter",
                help,
                &mut rows.iter().map(|((counts, _), _, _)| value(counts)),
            );
        }
        family(
            "queued_frames",
            "gauge",
            "Frames in the detector now.",
            &mut rows.iter().map(|((_, queued), _, _)| *queued as f64),
        );
        family(
            "camera_up",
            "gauge",
            "1 while the camera is watched, 0 while it is lost or has ended.",
            &mut rows.iter().map(|(_, up, _)| f64::from(u8::from(*up))),
        );
        family(
            "camera_restarts_total",
            "counter",
            "How often the camera was lost and started again.",
            &mut rows.iter().map(|(_, _, restarts)| *restarts as f64),
        );
        text
    }
}

/// A camera whose detector is asked for its numbers.
pub struct Watched {
    metrics: Metrics,
    camera: usize,
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut cameras = self.metrics.lock();
        let camera = &mut cameras[self.camera];
        camera.before = camera.counts().0;
        camera.running = None;
    }
}
