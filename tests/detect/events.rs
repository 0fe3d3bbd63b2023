//! Serialized events keep their place between the buffers.

use super::support::*;
use gst::prelude::*;

fn custom(name: &str) -> gst::Event {
    gst::event::CustomDownstream::new(gst::Structure::new_empty(name))
}

fn segment() -> gst::Event {
    gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())
}

#[test]
fn every_event_stays_between_its_neighbours() {
    let element = detector();
    let recorder = Recorder::on(&element.static_pad("src").unwrap());
    let mut harness = harness(&element, true);
    harness.push(frame(0)).unwrap();
    harness.push_event(custom("first"));
    harness.push(frame(1)).unwrap();
    let tags = {
        let mut tags = gst::TagList::new();
        tags.get_mut()
            .unwrap()
            .add::<gst::tags::Title>(&"x", gst::TagMergeMode::Append);
        tags
    };
    harness.push_event(gst::event::Tag::new(tags));
    harness.push_event(custom("second"));
    harness.push(frame(2)).unwrap();
    harness.push(frame(3)).unwrap();
    harness.push_event(custom("third"));
    harness.push(frame(4)).unwrap();
    harness.push_event(segment());
    harness.push(frame(5)).unwrap();
    harness.push_event(gst::event::Gap::new(FRAME * 6, FRAME));
    harness.push(frame(7)).unwrap();
    harness.push_event(gst::event::Eos::new());
    recorder.wait_for("eos", 1);
    assert_eq!(
        recorder.after_start(),
        [
            "0", "first", "1", "tag", "second", "2", "3", "third", "4", "segment", "5", "gap", "7", "eos"
        ]
    );
    for index in [0, 1, 2, 3, 4, 5, 7] {
        assert_frame(&harness.pull().unwrap(), index);
    }
    // Tags and custom events close nothing: the first batch is whole.
    assert_eq!(stat(&element, "batches"), 4);
}

#[test]
fn what_ends_a_batch_ends_it_at_once() {
    init();
    for event in [
        segment(),
        gst::event::Gap::new(FRAME, FRAME),
        gst::event::SegmentDone::new(FRAME),
        gst::event::StreamStart::new("next"),
    ] {
        let name = event.type_().name();
        let element = detector();
        let recorder = Recorder::on(&element.static_pad("src").unwrap());
        let mut harness = harness(&element, true);
        harness.push(frame(0)).unwrap();
        harness.push_event(event);
        assert_frame(&harness.pull().unwrap(), 0);
        wait_until("the event has left", || recorder.after_start() == ["0", name]);
    }
}

#[test]
fn events_without_frames_do_not_wait() {
    let element = detector();
    let recorder = Recorder::on(&element.static_pad("src").unwrap());
    let mut harness = harness(&element, true);
    harness.push_event(custom("alone"));
    recorder.wait_for("alone", 1);
}

#[test]
fn events_that_are_not_serialized_overtake() {
    let element = detector();
    let recorder = Recorder::on(&element.static_pad("src").unwrap());
    let mut harness = harness(&element, true);
    harness.push(frame(0)).unwrap();
    let oob = gst::event::CustomDownstreamOob::new(gst::Structure::new_empty("now"));
    harness.push_event(oob);
    recorder.wait_for("custom-downstream-oob", 1);
    assert_eq!(harness.buffers_received(), 0);
}
