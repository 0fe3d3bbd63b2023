//! An open batch closes when its time is up on the pipeline's clock, and not before.

use super::support::*;
use gst::prelude::*;

/// The time for which the only timer waits, seen from now.
fn waits_for(harness: &gst_check::Harness) -> gst::ClockTime {
    let clock = harness.testclock().unwrap();
    clock.peek_next_pending_id().unwrap().time() - clock.time()
}

#[test]
fn a_live_batch_waits_for_one_fill_and_half_a_frame() {
    let element = detector();
    let mut harness = harness(&element, true);
    for index in 0..3 {
        harness.push(frame(index)).unwrap();
    }
    assert_eq!(waits_for(&harness), FRAME * 3 + FRAME / 2);
    std::thread::sleep(QUIET);
    assert_eq!(harness.buffers_received(), 0);
    harness.crank_single_clock_wait().unwrap();
    for index in 0..3 {
        assert_frame(&harness.pull().unwrap(), index);
    }
    assert_eq!(stat(&element, "batches"), 1);
}

#[test]
fn the_time_runs_from_the_first_frame() {
    let element = detector();
    element.set_property("batch-timeout", 100_000_000u64);
    let mut harness = harness(&element, false);
    let clock = harness.testclock().unwrap();
    harness.push(frame(1)).unwrap();
    clock.set_time(clock.time() + gst::ClockTime::from_mseconds(60));
    harness.push(frame(2)).unwrap();
    assert_eq!(waits_for(&harness), gst::ClockTime::from_mseconds(40));
    clock.set_time(clock.time() + gst::ClockTime::from_mseconds(39));
    assert!(clock.process_next_clock_id().is_none());
    harness.crank_single_clock_wait().unwrap();
    assert_frame(&harness.pull().unwrap(), 1);
    assert_frame(&harness.pull().unwrap(), 2);
}

#[test]
fn a_full_batch_leaves_no_timer() {
    let element = detector();
    let mut harness = harness(&element, true);
    for index in 0..4 {
        harness.push(frame(index)).unwrap();
    }
    harness.pull().unwrap();
    assert_eq!(harness.testclock().unwrap().peek_id_count(), 0);
}

#[test]
fn a_flush_and_a_state_change_call_the_timer_off() {
    let element = detector();
    let mut harness = harness(&element, true);
    let clock = harness.testclock().unwrap();
    harness.push(frame(0)).unwrap();
    assert_eq!(clock.peek_id_count(), 1);
    harness.push_event(gst::event::FlushStart::new());
    assert_eq!(clock.peek_id_count(), 0);
    harness.push_event(gst::event::FlushStop::new(true));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    harness.push_event(gst::event::Segment::new(&segment));
    harness.push(frame(1)).unwrap();
    assert_eq!(clock.peek_id_count(), 1);
    element.set_state(gst::State::Paused).unwrap();
    assert_eq!(clock.peek_id_count(), 0);
    // Without a clock the batch does not wait.
    assert_frame(&harness.pull().unwrap(), 1);
}

#[test]
fn no_patience_means_no_wait() {
    let element = detector();
    element.set_property("batch-timeout", 0u64);
    let mut harness = harness(&element, false);
    for index in 0..6 {
        harness.push(frame(index)).unwrap();
        assert_frame(&harness.pull().unwrap(), index);
    }
}

#[test]
fn a_pipeline_without_a_clock_has_a_timeout_too() {
    let element = detector();
    element.set_property("batch-timeout", 50_000_000u64);
    let source = gst_app::AppSrc::builder()
        .caps(&CAPS.parse::<gst::Caps>().unwrap())
        .format(gst::Format::Time)
        .build();
    let sink = gst_app::AppSink::builder().sync(false).build();
    let pipeline = gst::Pipeline::new();
    pipeline
        .add_many([source.upcast_ref(), &element, sink.upcast_ref()])
        .unwrap();
    gst::Element::link_many([source.upcast_ref(), &element, sink.upcast_ref()]).unwrap();
    pipeline.use_clock(None::<&gst::Clock>);
    pipeline.set_state(gst::State::Playing).unwrap();
    let limit = gst::ClockTime::try_from(TIME_LIMIT).unwrap();
    // The second batch is not for a preroll any more, and never fills.
    for index in 0..2 {
        source.push_buffer(frame(index)).unwrap();
        sink.try_pull_sample(limit).expect("a frame whose batch ran");
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_new_timeout_counts_for_the_open_batch() {
    let element = detector();
    let mut harness = harness(&element, true);
    let clock = harness.testclock().unwrap();
    harness.push(frame(0)).unwrap();
    clock.set_time(clock.time() + gst::ClockTime::from_mseconds(3));
    element.set_property("batch-timeout", 7_000_000u64);
    assert_eq!(waits_for(&harness), gst::ClockTime::from_mseconds(4));
    assert_eq!(harness.testclock().unwrap().peek_id_count(), 1);
    harness.crank_single_clock_wait().unwrap();
    assert_frame(&harness.pull().unwrap(), 0);
}
