//! A paused pipeline leaves the processor alone.
//!
//! In a program of its own, because it measures the time that the whole process uses.

use std::time::Duration;

use crate::alone;
use crate::support::*;
use gst::prelude::*;

/// Processor time of this process so far, in hundredths of a second.
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The name, in brackets, may hold spaces; user and system time are the 14th and 15th field of all.
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 1..].split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_paused_pipeline_uses_no_processor_time() {
    alone("idle::a_paused_pipeline_uses_no_processor_time", || {
        let element = detector();
        element.set_property("num-threads", 2u32);
        let source = gst::ElementFactory::make("videotestsrc").build().unwrap();
        let filter = gst::ElementFactory::make("capsfilter")
            .property("caps", CAPS.parse::<gst::Caps>().unwrap())
            .build()
            .unwrap();
        let sink = gst::ElementFactory::make("fakesink")
            .property("sync", true)
            .build()
            .unwrap();
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([&source, &filter, &element, &sink]).unwrap();
        gst::Element::link_many([&source, &filter, &element, &sink]).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        wait_until("frames have left", || stat(&element, "frames-out") >= 12);
        pipeline.set_state(gst::State::Paused).unwrap();

        // The queues fill up first, which takes its time on a busy machine. A thread that spins would never let a whole second
        // pass with next to nothing.
        let quiet = (0..30).any(|_| {
            let before = cpu_ticks();
            std::thread::sleep(Duration::from_secs(1));
            cpu_ticks() - before <= 2
        });
        pipeline.set_state(gst::State::Null).unwrap();
        assert!(quiet, "more than 20 ms of processor time in each of 30 s");
    });
}
