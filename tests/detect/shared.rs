//! Elements with one `model-instance-id` share the model and its batches, and nothing else.

use std::sync::atomic::{AtomicBool, Ordering};

use super::support::*;
use gst::prelude::*;

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
        ("precision", "int8"),
    ] {
        let second = member("quarrel");
        second.set_property_from_str(name, value);
        let bus = gst::Bus::new();
        second.set_bus(Some(&bus));
        assert!(second.set_state(gst::State::Ready).is_err());
        let error = error_text(&bus.pop_filtered(&[gst::MessageType::Error]).unwrap());
        assert!(error.contains(first.name().as_str()), "{error}");
        // As it is written in a pipeline, not as it is described.
        // With the pipeline: in applications, elements of several pipelines have one name.
        let setting = format!("'{}' has {name}={value}", second.path_string());
        assert!(error.contains(&setting), "{error}");
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
    flush(&mut flushed);
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

/// Of an element that always has frames, only those may go first that were there first: `max-queued-batches`, the one
/// that runs, and the one that is open.
#[test]
fn a_fast_stream_does_not_starve_a_slow_one() {
    let elements = [member("fair"), member("fair")];
    for element in &elements {
        element.set_property("batch-size", 2u32);
        // A run takes some milliseconds, longer than a frame takes to arrive.
        element.set_property("min-size", 400u32);
        element.set_property("max-size", 600u32);
    }
    let [mut fast, mut slow] = elements.each_ref().map(|element| harness(element, true));
    let [fast_element, _] = &elements;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut index = 0;
            while !stop.load(Ordering::Relaxed) {
                fast.push(frame(index % 4)).unwrap();
                index += 1;
                while fast.try_pull().is_some() {}
            }
        });
        wait_until("the fast stream flows", || stat(fast_element, "batches") >= 4);
        let overtaken: Vec<u64> = (0..20)
            .map(|index| {
                let before = stat(fast_element, "batches");
                slow.push(frame(index)).unwrap();
                slow.push_event(gst::event::Gap::new(FRAME * (index + 1), FRAME));
                let buffer = slow.pull().expect("a frame in its turn");
                assert_eq!(buffer.offset(), index);
                stat(fast_element, "batches") - before
            })
            .collect();
        stop.store(true, Ordering::Relaxed);
        // Two queued, one that runs, one open; and as much again for what the threads do before they have counted.
        assert!(
            overtaken.iter().all(|batches| *batches <= 8),
            "batches of the fast stream that went before each frame of the slow one: {overtaken:?}"
        );
    });
}
