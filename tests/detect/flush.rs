//! Flushes and seeks: what is old goes, what is new comes, nothing waits.

use std::time::Instant;

use super::support::*;
use gst::prelude::*;

/// An element whose runs take long: the small network on large images.
fn slow_detector() -> gst::Element {
    let element = detector();
    element.set_property("min-size", 2000u32);
    element.set_property("max-size", 4000u32);
    element
}

#[test]
fn a_flush_in_mid_batch_forgets_the_batch() {
    let element = detector();
    let recorder = Recorder::on(&element.static_pad("src").unwrap());
    let mut harness = harness(&element, true);
    harness.push(frame(0)).unwrap();
    harness.push(frame(1)).unwrap();
    recorder.wait_for("segment", 1);
    flush(&mut harness);
    for index in 10..14 {
        harness.push(frame(index)).unwrap();
    }
    for index in 10..14 {
        assert_frame(&harness.pull().unwrap(), index);
    }
    let expected = ["flush-start", "flush-stop", "segment", "10", "11", "12", "13"];
    assert_eq!(recorder.after_start(), expected);
    assert_eq!(stat(&element, "batches"), 1);
    assert_eq!(stat(&element, "queue-level"), 0);
}

#[test]
fn a_flush_of_nothing_runs_nothing() {
    let element = detector();
    let mut harness = harness(&element, true);
    flush(&mut harness);
    harness.push_event(gst::event::Eos::new());
    assert_eq!(stat(&element, "batches"), 0);
}

#[test]
fn a_flush_stops_a_run() {
    let element = slow_detector();
    let mut harness = harness(&element, true);
    // How long a run takes when it is left alone.
    for index in 0..4 {
        harness.push(frame(index)).unwrap();
    }
    let began = Instant::now();
    harness.pull().unwrap();
    let whole = began.elapsed();

    for index in 4..8 {
        harness.push(frame(index)).unwrap();
    }
    std::thread::sleep(whole / 8);
    let began = Instant::now();
    flush(&mut harness);
    let flushing = began.elapsed();
    assert!(flushing < whole / 2, "flush took {flushing:?}, a run {whole:?}");
    // The next batch does not queue up behind the stopped run.
    element.set_property("score-threshold", 1.0f32);
    for index in 8..12 {
        harness.push(frame(index)).unwrap();
    }
    let received = harness.buffers_received();
    assert_eq!(received, 4);
    for _ in 1..4 {
        harness.pull().unwrap();
    }
    for index in 8..12 {
        assert_eq!(harness.pull().unwrap().offset(), index);
    }
}

#[test]
fn a_flush_wakes_a_blocked_chain() {
    let element = slow_detector();
    element.set_property("max-queued-batches", 1u32);
    let mut harness = harness(&element, true);
    harness.push(frame(0)).unwrap();
    let pad = harness.srcpad().unwrap();
    let pusher = std::thread::spawn({
        let pad = pad.clone();
        move || (1..1000).map(|index| pad.push(frame(index))).find(Result::is_err)
    });
    wait_until("the queue is full", || stat(&element, "queue-level") >= 7);
    std::thread::sleep(QUIET);
    assert!(!pusher.is_finished());
    pad.push_event(gst::event::FlushStart::new());
    assert_eq!(pusher.join().unwrap(), Some(Err(gst::FlowError::Flushing)));
}

#[test]
fn a_flush_storm() {
    let element = detector();
    let mut harness = harness(&element, true);
    for round in 0..200u64 {
        for index in 0..round % 7 {
            harness.push(frame(index)).unwrap();
        }
        flush(&mut harness);
    }
    while harness.try_pull().is_some() {}
    for index in 50..54 {
        harness.push(frame(index)).unwrap();
    }
    for index in 50..54 {
        assert_frame(&harness.pull().unwrap(), index);
    }
}

#[test]
fn seeks_in_a_loop() {
    init();
    let pipeline = gst::parse::launch(
        "videotestsrc num-buffers=-1 ! capsfilter name=filter ! identity name=from ! fakesink name=sink sync=false",
    )
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let caps = CAPS.parse::<gst::Caps>().unwrap();
    pipeline.by_name("filter").unwrap().set_property("caps", caps);
    let element = detector();
    let (from, sink) = (
        pipeline.by_name("from").unwrap(),
        pipeline.by_name("sink").unwrap(),
    );
    pipeline.add(&element).unwrap();
    from.unlink(&sink);
    gst::Element::link_many([&from, &element, &sink]).unwrap();

    // Frames of one segment must be consecutive, from the position that was sought.
    let recorder = std::sync::Arc::new(std::sync::Mutex::new(Vec::<(Option<gst::ClockTime>, u32)>::new()));
    let expected = std::sync::Arc::new(std::sync::Mutex::new(None::<gst::ClockTime>));
    element.static_pad("src").unwrap().add_probe(
        gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM,
        {
            let (recorder, expected) = (recorder.clone(), expected.clone());
            move |_, info| {
                match &info.data {
                    Some(gst::PadProbeData::Event(event)) => {
                        if let gst::EventView::Segment(segment) = event.view() {
                            let segment = segment.segment().downcast_ref::<gst::ClockTime>().unwrap();
                            *expected.lock().unwrap() = segment.start();
                            recorder.lock().unwrap().push((segment.start(), 0));
                        }
                    }
                    Some(gst::PadProbeData::Buffer(buffer)) => {
                        let mut expected = expected.lock().unwrap();
                        assert_eq!(buffer.pts(), *expected);
                        assert!(faces_on(buffer).is_some());
                        *expected = expected.map(|pts| pts + FRAME);
                        recorder.lock().unwrap().last_mut().unwrap().1 += 1;
                    }
                    _ => {}
                }
                gst::PadProbeReturn::Ok
            }
        },
    );
    pipeline.set_state(gst::State::Playing).unwrap();
    pipeline.state(None).0.unwrap();
    for round in 0..60u64 {
        let position = FRAME * (round * 13 % 50);
        pipeline.seek_simple(gst::SeekFlags::FLUSH, position).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(round % 8));
    }
    let flags = gst::SeekFlags::FLUSH;
    let (start, stop) = (FRAME * 5, FRAME * 15);
    pipeline
        .seek(1.0, flags, gst::SeekType::Set, start, gst::SeekType::Set, stop)
        .unwrap();
    let message = message(&pipeline, &[gst::MessageType::Eos, gst::MessageType::Error]);
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(recorder.lock().unwrap().last(), Some(&(Some(start), 10)));
}

#[test]
fn caps_that_wait_survive_a_flush() {
    let element = detector();
    let recorder = Recorder::on(&element.static_pad("src").unwrap());
    let mut harness = harness(&element, true);
    let sink = harness.sinkpad().unwrap();
    let block = sink.add_probe(gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER, |_, _| {
        gst::PadProbeReturn::Ok
    });
    recorder.wait_for("segment", 1);
    harness.push(frame(0)).unwrap();
    let wide = "video/x-raw,format=GRAY8,width=96,height=60,framerate=25/1";
    harness.push_event(gst::event::Caps::new(&wide.parse::<gst::Caps>().unwrap()));
    flush(&mut harness);
    sink.remove_probe(block.unwrap());
    // Upstream does not send the caps again.
    harness.push(frame_of(96, 60, 1)).unwrap();
    harness.push_event(gst::event::Eos::new());
    recorder.wait_for("eos", 1);
    let list = recorder.list();
    let end = &list[list.iter().position(|what| what == "flush-stop").unwrap()..];
    assert_eq!(end, ["flush-stop", "caps", "segment", "1", "eos"]);
}

/// GStreamer 1.22 leaks the function of a task that is started twice, and the element with it.
#[test]
fn a_flushed_element_is_freed() {
    let element = detector();
    let mut harness = harness(&element, true);
    for index in 0..4 {
        harness.push(frame(index)).unwrap();
    }
    flush(&mut harness);
    let weak = element.downgrade();
    drop((harness, element));
    assert!(weak.upgrade().is_none());
}
