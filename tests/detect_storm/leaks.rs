//! Random sequences leave nothing behind: no object of GStreamer, no thread, no file descriptor.
//!
//! In a program of its own, because GStreamer's leak tracer has to be there from the start and because threads and
//! descriptors are those of the whole process.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::cases::{from_environment, run_cases};
use crate::process::alone_with;
use crate::rig::{self, Setup};
use crate::support;

/// How long a thread that ends may hold what it ran for, on a busy machine.
const LET_GO: Duration = Duration::from_secs(10);

fn count(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// How many objects of each type are alive.
fn alive(tracer: &gst::Tracer) -> BTreeMap<String, usize> {
    let live: gst::Structure = tracer.emit_by_name("get-live-objects", &[]);
    let list = live.get::<gst::List>("live-objects-list").unwrap();
    let mut counts = BTreeMap::new();
    for object in list.iter() {
        let object = object.get::<gst::Structure>().unwrap();
        let value = object.value("object").unwrap();
        *counts.entry(value.type_().name().to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn nothing_is_left_behind() {
    alone_with(
        "leaks::nothing_is_left_behind",
        &[("GST_TRACERS", "leaks")],
        run_and_count,
    );
}

fn run_and_count() {
    support::init();
    let tracer = gst::active_tracers()
        .into_iter()
        .find(|tracer| tracer.type_().name() == "GstLeaksTracer")
        .expect("GST_TRACERS=leaks");
    let cases = from_environment("IMG2POSE_RANDOM_CASES", 2000) / 10 + 1;
    // What is made once and kept: threads of pools, caches.
    let setup = Setup::here();
    let run = |sequence: &_| rig::run(sequence, &setup);
    run_cases(1_000_000..1_000_040, run);
    let (threads, files) = (count("/proc/self/task"), count("/proc/self/fd"));
    let before = alive(&tracer);
    run_cases(2_000_000..2_000_000 + cases, run);
    support::wait_until("no thread is left", || count("/proc/self/task") <= threads);
    // A task's thread lets go of the task a moment after the task was joined.
    let more = |after: &BTreeMap<String, usize>| {
        let is_more = |(kind, count): (&String, &usize)| *count > before.get(kind).copied().unwrap_or(0);
        after.iter().any(is_more)
    };
    let deadline = Instant::now() + LET_GO;
    let mut after = alive(&tracer);
    while more(&after) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
        after = alive(&tracer);
    }
    assert!(!more(&after), "objects before: {before:?}, after: {after:?}");
    assert_eq!(count("/proc/self/fd"), files);
}
