//! What a live pipeline is told about the delay.

use super::support::*;
use gst::prelude::*;

fn latency(harness: &gst_check::Harness) -> (bool, gst::ClockTime, Option<gst::ClockTime>) {
    let mut query = gst::query::Latency::new();
    assert!(harness.sinkpad().unwrap().peer_query(&mut query));
    query.result()
}

/// The part of the latency that is waiting for the batch: what goes away when nothing waits.
fn wait(element: &gst::Element, harness: &gst_check::Harness) -> gst::ClockTime {
    let timeout = element.property::<u64>("batch-timeout");
    let with = latency(harness).1;
    element.set_property("batch-timeout", 0u64);
    let without = latency(harness).1;
    element.set_property("batch-timeout", timeout);
    with - without
}

#[test]
fn a_live_stream_is_delayed_by_the_fill() {
    for size in 1..=16u32 {
        let element = detector();
        element.set_property("batch-size", size);
        let mut harness = harness(&element, true);
        harness.set_upstream_latency(FRAME);
        // Half a frame of tolerance, as the automatic timeout has.
        let fill = match size {
            1 => gst::ClockTime::ZERO,
            size => FRAME * u64::from(size - 1) + FRAME / 2,
        };
        assert_eq!(wait(&element, &harness), fill, "batches of {size}");
        let (live, min, max) = latency(&harness);
        assert!(live);
        assert!(min > FRAME + fill, "the time of a run is in it");
        // The harness has no upper limit itself.
        assert_eq!(max, None);
    }
}

#[test]
fn a_timeout_bounds_the_wait() {
    let element = detector();
    let harness = harness(&element, true);
    for (timeout, expected) in [
        (gst::ClockTime::from_mseconds(5), gst::ClockTime::from_mseconds(5)),
        (gst::ClockTime::from_seconds(10), FRAME * 3),
    ] {
        element.set_property("batch-timeout", timeout.nseconds());
        assert_eq!(wait(&element, &harness), expected);
    }
}

#[test]
fn a_stream_of_unknown_rate_has_a_fixed_wait() {
    for (size, expected) in [(1u32, 0), (2, 100), (16, 100)] {
        let element = detector();
        element.set_property("batch-size", size);
        let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
        harness.set_src_caps_str("video/x-raw,format=GRAY8,width=64,height=48,framerate=0/1");
        assert_eq!(wait(&element, &harness), gst::ClockTime::from_mseconds(expected));
        element.set_property("batch-timeout", 7_000_000u64);
        let timeout = if size == 1 { 0 } else { 7 };
        assert_eq!(wait(&element, &harness), gst::ClockTime::from_mseconds(timeout));
    }
}

#[test]
fn the_maximum_grows_by_what_the_queue_holds() {
    for (rate, held) in [("25/1", Some(12)), ("0/1", None)] {
        let element = detector();
        let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
        harness.set_src_caps_str(&format!(
            "video/x-raw,format=GRAY8,width=64,height=48,framerate={rate}"
        ));
        harness
            .srcpad()
            .unwrap()
            .add_probe(gst::PadProbeType::QUERY_UPSTREAM, |_, info| {
                if let Some(gst::PadProbeData::Query(query)) = &mut info.data
                    && let gst::QueryViewMut::Latency(query) = query.view_mut()
                {
                    query.set(true, FRAME, FRAME * 5);
                    return gst::PadProbeReturn::Handled;
                }
                gst::PadProbeReturn::Ok
            });
        let (_, min, max) = latency(&harness);
        match held {
            // (2 batches that wait and 1 that runs) x 4 frames.
            Some(frames) => assert_eq!(max, Some(FRAME * 5 + FRAME * frames)),
            // The time in the queue is unknown; it holds what the element needs.
            None => assert_eq!(max, Some(min + FRAME * 4)),
        }
    }
}

#[test]
fn a_file_has_no_latency() {
    let element = detector();
    let harness = harness(&element, false);
    assert_eq!(latency(&harness).1, gst::ClockTime::ZERO);
}

#[test]
fn the_pipeline_is_told_the_time_of_a_run_before_the_first_frame() {
    let element = detector();
    // So slow that a batch takes longer than everything else.
    element.set_property("min-size", 1000u32);
    element.set_property("max-size", 2000u32);
    element.set_property("batch-timeout", 0u64);
    let mut harness = harness(&element, true);
    let promised = latency(&harness).1;
    for index in 0..8 {
        harness.push(frame(index)).unwrap();
    }
    harness.push_event(gst::event::Eos::new());
    for _ in 0..8 {
        harness.pull().unwrap();
    }
    let infer = element
        .property::<gst::Structure>("stats")
        .get::<gst::Structure>("infer")
        .unwrap();
    let typical = gst::ClockTime::from_nseconds(infer.get::<u64>("p50").unwrap());
    // A machine that is busy with other tests makes any single figure doubtful.
    assert!(
        promised >= typical / 2,
        "promised {promised}, a run took {typical}"
    );
    assert!(
        promised <= typical * 20,
        "promised {promised}, a run took {typical}"
    );
}

#[test]
fn a_new_framerate_is_announced_also_at_the_start_of_a_stream() {
    let element = detector();
    let bus = listen(&element);
    let mut harness = harness(&element, true);
    let before = wait(&element, &harness);
    while bus.pop().is_some() {}
    harness.push_event(gst::event::StreamStart::new("another"));
    harness.set_src_caps_str("video/x-raw,format=GRAY8,width=64,height=48,framerate=5/1");
    let limit = gst::ClockTime::try_from(TIME_LIMIT).unwrap();
    bus.timed_pop_filtered(limit, &[gst::MessageType::Latency])
        .expect("a latency message before the first frame");
    assert_eq!(before, FRAME * 3 + FRAME / 2);
    assert_eq!(wait(&element, &harness), gst::ClockTime::from_mseconds(700));
}

#[test]
fn a_run_that_outgrows_the_promise_is_announced() {
    let element = detector();
    let bus = listen(&element);
    let mut harness = harness(&element, true);
    // No query came before the first frame, so nothing is promised yet.
    for index in 0..4 {
        harness.push(frame(index)).unwrap();
    }
    harness.pull().unwrap();
    let limit = gst::ClockTime::try_from(TIME_LIMIT).unwrap();
    bus.timed_pop_filtered(limit, &[gst::MessageType::Latency])
        .expect("a latency message");
    element.set_property("batch-timeout", 0u64);
    let infer = element
        .property::<gst::Structure>("stats")
        .get::<gst::Structure>("infer")
        .unwrap();
    let longest = gst::ClockTime::from_nseconds(infer.get::<u64>("max").unwrap());
    let promised = latency(&harness).1;
    assert_eq!(promised, longest + longest / 4);
}
