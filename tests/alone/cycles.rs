//! Starting and stopping leaves nothing behind. Alone in its program, because it counts what the process has.

use std::time::Duration;

use crate::alone;
use crate::support::*;
use gst::prelude::*;

fn count(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// Resident memory in KiB.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// From NULL to PLAYING and back, stopping at various moments.
fn cycle(round: u64) {
    let pipeline = gst::Pipeline::new();
    let source = gst::ElementFactory::make("videotestsrc")
        .property("is-live", round.is_multiple_of(2))
        .build()
        .unwrap();
    let element = detector();
    let sink = gst::ElementFactory::make("fakesink")
        .property("sync", round.is_multiple_of(3))
        .build()
        .unwrap();
    pipeline.add_many([&source, &element, &sink]).unwrap();
    let caps = "video/x-raw,format=NV12,width=64,height=48,framerate=200/1";
    source
        .link_filtered(&element, &caps.parse::<gst::Caps>().unwrap())
        .unwrap();
    element.link(&sink).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    match round % 4 {
        0 => wait_until("a frame came out", || stat(&element, "frames-out") > 0),
        1 => wait_until("a frame went in", || stat(&element, "frames-in") > 0),
        2 => std::thread::sleep(Duration::from_millis(round % 7)),
        _ => {}
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_hundred_starts_leave_no_thread_no_descriptor_and_no_memory() {
    alone(
        "cycles::a_hundred_starts_leave_no_thread_no_descriptor_and_no_memory",
        || {
            init();
            // Threads and memory that GStreamer and ONNX Runtime keep for good.
            (0..12).for_each(cycle);
            let threads = count("/proc/self/task");
            let files = count("/proc/self/fd");
            let before = memory();
            (0..100).for_each(cycle);
            // A thread that has ended may be seen for a moment longer.
            wait_until("no thread is left", || count("/proc/self/task") <= threads);
            assert_eq!(count("/proc/self/fd"), files);
            let growth = memory().saturating_sub(before);
            assert!(
                growth < 16 * 1024,
                "{growth} KiB more than after the first cycles"
            );
        },
    );
}
