//! Elements with one `model-instance-id` share the model and its batches, and nothing else.

use std::time::Duration;

use super::support::*;
use gst::prelude::*;
use img2pose::Face;

/// An element of the given group.
fn member(group: &str) -> gst::Element {
    let element = detector();
    element.set_property("model-instance-id", group);
    element
}

#[test]
fn one_batch_holds_frames_of_both() {
    let elements = [member("both"), member("both")];
    let mut harnesses = elements.each_ref().map(|element| harness(element, true));
    for index in 0..2 {
        for (offset, harness) in (0..).step_by(10).zip(&mut harnesses) {
            harness.push(frame(offset + index)).unwrap();
        }
    }
    for (offset, harness) in (0..).step_by(10).zip(&mut harnesses) {
        for index in 0..2 {
            assert_frame(&harness.pull().unwrap(), offset + index);
        }
    }
    for element in &elements {
        assert_eq!((stat(element, "batches"), stat(element, "inferred")), (1, 2));
        let stats = element.property::<gst::Structure>("stats");
        assert_eq!(stats.get::<f64>("mean-fill"), Ok(4.0));
    }
}

#[test]
fn other_names_and_no_name_share_nothing() {
    let elements = [member("one"), member("other"), detector()];
    let mut harnesses = elements.each_ref().map(|element| harness(element, true));
    for harness in &mut harnesses {
        harness.push(frame(0)).unwrap();
        harness.push(frame(1)).unwrap();
    }
    std::thread::sleep(QUIET);
    assert!(harnesses.iter().all(|harness| harness.buffers_received() == 0));
}

#[test]
fn the_model_is_loaded_once() {
    let copy = write_file("loaded-once.onnx", &std::fs::read(model()).unwrap());
    let elements = [member("once"), member("once")];
    for element in &elements {
        element.set_property("model", text(&copy));
    }
    elements[0].set_state(gst::State::Ready).unwrap();
    std::fs::remove_file(&copy).unwrap();
    elements[1].set_state(gst::State::Ready).unwrap();
    assert_eq!(
        elements[1]
            .property::<Option<String>>("active-provider")
            .as_deref(),
        Some("cpu")
    );
    // It stays until the last one goes.
    elements[0].set_state(gst::State::Null).unwrap();
    elements[0].set_state(gst::State::Ready).unwrap();
    for element in &elements {
        element.set_state(gst::State::Null).unwrap();
    }
    assert!(elements[0].set_state(gst::State::Ready).is_err());
    elements[0].set_state(gst::State::Null).unwrap();
}

#[test]
fn settings_that_do_not_agree_name_both_elements() {
    let first = member("quarrel");
    first.set_state(gst::State::Ready).unwrap();
    for (name, value) in [
        ("batch-size", "7"),
        ("score-threshold", "0.75"),
        ("min-size", "99"),
    ] {
        let second = member("quarrel");
        second.set_property_from_str(name, value);
        let bus = gst::Bus::new();
        second.set_bus(Some(&bus));
        assert!(second.set_state(gst::State::Ready).is_err());
        let error = error_text(&bus.pop_filtered(&[gst::MessageType::Error]).unwrap());
        let names = [first.name(), second.name(), name.into(), value.into()];
        assert!(names.iter().all(|name| error.contains(name.as_str())), "{error}");
        second.set_state(gst::State::Null).unwrap();
    }
    first.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_flush_of_one_leaves_the_other_alone() {
    let elements = [member("flushed"), member("flushed")];
    let [mut flushed, mut other] = elements.each_ref().map(|element| harness(element, true));
    flushed.push(frame(0)).unwrap();
    other.push(frame(10)).unwrap();
    flushed.push(frame(1)).unwrap();
    flushed.push_event(gst::event::FlushStart::new());
    flushed.push_event(gst::event::FlushStop::new(true));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    flushed.push_event(gst::event::Segment::new(&segment));
    other.push(frame(11)).unwrap();
    assert_frame(&other.pull().unwrap(), 10);
    assert_frame(&other.pull().unwrap(), 11);
    flushed.push(frame(2)).unwrap();
    flushed.push_event(gst::event::Eos::new());
    assert_frame(&flushed.pull().unwrap(), 2);
    assert!(flushed.try_pull().is_none());
}

#[test]
fn a_blocked_paused_or_removed_element_does_not_hold_up_the_other() {
    let elements = [member("blocked"), member("blocked")];
    let [mut blocked, mut other] = elements.each_ref().map(|element| harness(element, true));
    blocked
        .sinkpad()
        .unwrap()
        .add_probe(gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER, |_, _| {
            gst::PadProbeReturn::Ok
        });
    for index in 0..9 {
        blocked.push(frame(index)).unwrap();
    }
    let mut exchange = |from: u64| {
        for index in from..from + 8 {
            other.push(frame(index)).unwrap();
        }
        other.push_event(gst::event::Gap::new(FRAME * (from + 8), FRAME));
        for index in from..from + 8 {
            assert_frame(&other.pull().unwrap(), index);
        }
    };
    exchange(20);
    elements[0].set_state(gst::State::Paused).unwrap();
    exchange(30);
    // What is downstream of an element is stopped before it; this ends the block.
    blocked.sinkpad().unwrap().set_active(false).unwrap();
    elements[0].set_state(gst::State::Null).unwrap();
    exchange(40);
    drop(blocked);
    exchange(50);
}

#[test]
fn a_failure_of_one_leaves_the_other_alone() {
    let elements = [member("failing"), member("failing")];
    for element in &elements {
        element.set_property("model", text(failing_model()));
    }
    let buses = elements.each_ref().map(|_| gst::Bus::new());
    let [mut bad, mut good] = elements.each_ref().map(|element| harness(element, true));
    for (element, bus) in elements.iter().zip(&buses) {
        element.set_bus(Some(bus));
    }
    let mut white = frame(0);
    white.get_mut().unwrap().map_writable().unwrap().fill(255);
    bad.push(white).unwrap();
    for index in 0..3 {
        good.push(frame(index)).unwrap();
    }
    for index in 0..3 {
        assert_frame(&good.pull().unwrap(), index);
    }
    assert_eq!(faces_on(&bad.pull().unwrap()), None);
    let limit = gst::ClockTime::try_from(TIME_LIMIT).unwrap();
    assert!(
        buses[0]
            .timed_pop_filtered(limit, &[gst::MessageType::Error])
            .is_some()
    );
    assert!(buses[1].pop_filtered(&[gst::MessageType::Error]).is_none());
    for index in 3..7 {
        good.push(frame(index)).unwrap();
    }
    for index in 3..7 {
        assert_frame(&good.pull().unwrap(), index);
    }
}

/// A stream of its own size and rate, in its own pipeline; every frame must come out once, in order, with its own faces.
fn stream(number: u64, frames: u64) {
    let (width, height) = (48 + 16 * (number % 4) as u32, 48 + 8 * (number % 3) as u32);
    let alone: Vec<Vec<Face>> = {
        let mut detector = bare_detector();
        (0..5)
            .map(|variant| faces_of(&mut detector, width, height, variant))
            .collect()
    };
    let element = member("many");
    element.set_property("batch-timeout", 3_000_000u64);
    let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
    harness.use_systemclock();
    harness.set_src_caps_str(&format!(
        "video/x-raw,format=GRAY8,width={width},height={height},framerate=200/1"
    ));
    let (mut pushed, mut pulled) = (0, 0);
    let check = |buffer: &gst::BufferRef, index: u64| {
        assert_eq!(buffer.offset(), index, "stream {number}");
        let own = &alone[(index % 5) as usize];
        assert_eq!(
            faces_on(buffer).as_ref(),
            Some(own),
            "stream {number}, frame {index}"
        );
    };
    while pushed < frames {
        let mut buffer = frame_of(width, height, pushed % 5);
        buffer.get_mut().unwrap().set_offset(pushed);
        harness.push(buffer).unwrap();
        pushed += 1;
        // Some are fast and some are slow.
        std::thread::sleep(Duration::from_micros(400 * (number % 5)));
        while let Some(buffer) = harness.try_pull() {
            check(&buffer, pulled);
            pulled += 1;
        }
    }
    harness.push_event(gst::event::Eos::new());
    for index in pulled..pushed {
        check(&harness.pull().expect("every frame comes out"), index);
    }
    assert!(pushed > 0);
}

#[test]
fn sixteen_streams_that_come_and_go() {
    init();
    model();
    std::thread::scope(|scope| {
        for number in 0..16u64 {
            scope.spawn(move || {
                // Each is taken out and put in again twice, at different moments.
                for round in 0..3 {
                    stream(number, 15 + 7 * ((number + round) % 4));
                }
            });
        }
    });
}
