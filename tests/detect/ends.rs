//! Streams of 0, 1, N-1, N, N+1 frames end completely.

use super::support::*;
use gst::prelude::*;

#[test]
fn eos_comes_after_the_last_frame_whatever_the_fill() {
    for count in [0u64, 1, 3, 4, 5] {
        let element = detector();
        let recorder = Recorder::on(&element.static_pad("src").unwrap());
        let mut harness = harness(&element, true);
        for index in 0..count {
            harness.push(frame(index)).unwrap();
        }
        assert!(harness.push_event(gst::event::Eos::new()));
        recorder.wait_for("eos", 1);
        for index in 0..count {
            assert_frame(&harness.pull().unwrap(), index);
        }
        let mut expected: Vec<_> = (0..count).map(|index| index.to_string()).collect();
        expected.push("eos".to_owned());
        assert_eq!(recorder.after_start(), expected);
        assert_eq!(stat(&element, "batches"), count.div_ceil(4), "{count} frames");
    }
}

#[test]
fn a_partial_batch_waits_until_something_ends_it() {
    let element = detector();
    let mut harness = harness(&element, true);
    for index in 0..3 {
        harness.push(frame(index)).unwrap();
    }
    std::thread::sleep(QUIET);
    assert_eq!(harness.buffers_received(), 0);
    harness.push(frame(3)).unwrap();
    for index in 0..4 {
        assert_frame(&harness.pull().unwrap(), index);
    }
}

#[test]
fn nothing_follows_eos_and_a_new_stream_does() {
    let element = detector();
    let recorder = Recorder::on(&element.static_pad("src").unwrap());
    let mut harness = harness(&element, true);
    harness.push(frame(0)).unwrap();
    assert!(harness.push_event(gst::event::Eos::new()));
    assert_eq!(harness.push(frame(1)), Err(gst::FlowError::Eos));
    assert!(!harness.push_event(gst::event::Eos::new()), "EOS twice");
    recorder.wait_for("eos", 1);
    assert_eq!(recorder.after_start(), ["0", "eos"]);

    assert!(harness.push_event(gst::event::StreamStart::new("second")));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(harness.push_event(gst::event::Segment::new(&segment)));
    harness.push(frame(2)).unwrap();
    assert!(harness.push_event(gst::event::Eos::new()));
    recorder.wait_for("eos", 2);
    let end = ["eos", "stream-start", "segment", "2", "eos"];
    assert_eq!(recorder.after_start()[1..], end);
}

#[test]
fn every_length_through_a_pipeline() {
    init();
    for count in [1i32, 3, 4, 5, 17] {
        let pipeline = gst::Pipeline::new();
        let source = gst::ElementFactory::make("videotestsrc")
            .property("num-buffers", count)
            .build()
            .unwrap();
        let filter = gst::ElementFactory::make("capsfilter")
            .property("caps", CAPS.parse::<gst::Caps>().unwrap())
            .build()
            .unwrap();
        let element = detector();
        let sink = gst::ElementFactory::make("fakesink").build().unwrap();
        pipeline.add_many([&source, &filter, &element, &sink]).unwrap();
        gst::Element::link_many([&source, &filter, &element, &sink]).unwrap();
        run_to_eos(&pipeline);
        assert_eq!(stat(&element, "frames-out"), count as u64);
        assert_eq!(stat(&element, "inferred"), count as u64);
    }
}
