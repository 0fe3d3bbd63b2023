//! What a live pipeline is told about the delay.

use super::support::*;
use gst::prelude::*;

fn latency(harness: &gst_check::Harness) -> (bool, gst::ClockTime, Option<gst::ClockTime>) {
    let mut query = gst::query::Latency::new();
    assert!(harness.sinkpad().unwrap().peer_query(&mut query));
    query.result()
}

#[test]
fn a_live_stream_is_delayed_by_the_fill_and_buffered_by_the_queue() {
    for size in [1u32, 2, 4, 8, 16] {
        let element = detector();
        element.set_property("batch-size", size);
        let mut harness = harness(&element, true);
        harness.set_upstream_latency(FRAME);
        harness.push_event(gst::event::CustomDownstream::new(gst::Structure::new_empty("x")));
        // Half a frame of tolerance, as the automatic timeout has.
        let fill = match size {
            1 => gst::ClockTime::ZERO,
            size => FRAME * u64::from(size - 1) + FRAME / 2,
        };
        let (live, min, max) = latency(&harness);
        assert!(live);
        assert_eq!(min, FRAME + fill, "batches of {size}");
        // The harness has no upper limit itself.
        assert_eq!(max, None);
    }
}

#[test]
fn a_timeout_bounds_the_delay() {
    let element = detector();
    element.set_property("batch-timeout", 5_000_000u64);
    let harness = harness(&element, true);
    assert_eq!(latency(&harness).1, gst::ClockTime::from_mseconds(5));
    element.set_property("batch-timeout", 10_000_000_000u64);
    assert_eq!(latency(&harness).1, FRAME * 3);
}

#[test]
fn a_file_has_no_latency() {
    let element = detector();
    let harness = harness(&element, false);
    assert_eq!(latency(&harness).1, gst::ClockTime::ZERO);
}

#[test]
fn the_measured_time_of_a_run_is_added_and_announced() {
    let element = detector();
    let bus = gst::Bus::new();
    let mut harness = harness(&element, true);
    element.set_bus(Some(&bus));
    let before = latency(&harness).1;
    for index in 0..4 {
        harness.push(frame(index)).unwrap();
    }
    harness.pull().unwrap();
    let limit = gst::ClockTime::try_from(TIME_LIMIT).unwrap();
    bus.timed_pop_filtered(limit, &[gst::MessageType::Latency])
        .expect("a latency message");
    let run = element
        .property::<gst::Structure>("stats")
        .get::<gst::Structure>("infer")
        .unwrap();
    let longest = gst::ClockTime::from_nseconds(run.get::<u64>("max").unwrap());
    let added = latency(&harness).1 - before;
    assert!(added >= longest, "{added} for a run of {longest}");
    assert!(added <= longest + longest / 2, "{added} for a run of {longest}");
}
