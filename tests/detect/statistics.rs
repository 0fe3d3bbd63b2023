//! `stats` against what was counted.

use super::support::*;
use gst::prelude::*;

#[test]
fn every_number_is_true() {
    let element = detector();
    element.set_property("inference-interval", 2u32);
    element.set_property("qos", true);
    let mut harness = harness(&element, true);
    let (mut faces, mut inferred, mut without) = (0, 0, 0);
    let mut count = |buffer: &gst::BufferRef| match faces_on(buffer) {
        Some(found) => {
            inferred += 1;
            faces += found.len() as u64;
        }
        None => without += 1,
    };
    // Of 0 to 20 every other one: batches of 4, 4 and 3.
    for index in 0..21 {
        harness.push(frame(index)).unwrap();
    }
    assert!(stat(&element, "queue-level") <= 21);
    harness.push_event(gst::event::Gap::new(FRAME * 21, FRAME));
    for _ in 0..21 {
        count(&harness.pull().unwrap());
    }
    // Frames 21 to 24, of which 22 and 24 would be looked at, are too late.
    let event = gst::event::Qos::new(gst::QOSType::Underflow, 2.0, 0, Some(FRAME * 25));
    harness.push_upstream_event(event);
    for index in 21..25 {
        harness.push(frame(index)).unwrap();
    }
    for _ in 21..25 {
        count(&harness.pull().unwrap());
    }
    wait_until("the last frame is counted", || stat(&element, "frames-out") == 25);

    let stats = element.property::<gst::Structure>("stats");
    let number = |name: &str| stats.get::<u64>(name).unwrap();
    assert_eq!(number("frames-in"), 25);
    assert_eq!((number("inferred"), number("faces")), (inferred, faces));
    assert_eq!((number("skipped"), number("late")), (12, 2));
    assert_eq!(number("skipped") + number("late"), without);
    assert_eq!((number("batches"), number("queue-level")), (3, 0));
    assert_eq!(stats.get::<f64>("mean-fill"), Ok(11.0 / 3.0));
    let counts = ["convert", "infer", "post", "push"].map(|stage| {
        let stage = stats.get::<gst::Structure>(stage).unwrap();
        let time = |name: &str| stage.get::<u64>(name).unwrap();
        assert!(time("p50") > 0 && time("p50") <= time("p95") && time("p95") <= time("max"));
        assert!(time("mean") > 0 && time("mean") <= time("max"));
        time("count")
    });
    assert_eq!(counts, [11, 3, 11, 25]);
}

#[test]
fn they_are_posted_when_wanted() {
    let element = detector();
    element.set_property("batch-timeout", 0u64);
    let bus = listen(&element);
    let mut harness = harness(&element, true);
    let mut exchange = |index| {
        harness.push(frame(index)).unwrap();
        harness.pull().unwrap();
        wait_until("the frame is counted", || {
            stat(&element, "frames-out") == index + 1
        });
    };
    exchange(0);
    exchange(1);
    assert!(bus.pop_filtered(&[gst::MessageType::Element]).is_none());
    element.set_property("stats-interval", 1u64);
    exchange(2);
    let limit = gst::ClockTime::try_from(TIME_LIMIT).unwrap();
    let message = bus
        .timed_pop_filtered(limit, &[gst::MessageType::Element])
        .expect("statistics");
    let structure = message.structure().unwrap();
    assert_eq!(structure.name(), "img2posedetect-stats");
    assert_eq!(structure.get::<u64>("inferred"), Ok(3));
    // Not again before the time is over.
    element.set_property("stats-interval", 3_600_000_000_000u64);
    exchange(3);
    exchange(4);
    assert!(bus.pop_filtered(&[gst::MessageType::Element]).is_none());
}
