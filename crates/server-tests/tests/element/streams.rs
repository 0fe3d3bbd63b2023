//! Streams whose faces come from a server.

use std::time::{Duration, Instant};

use gst::prelude::*;
use server_tests::{FakeServer, Infer};

use super::support::{assert_same, detect, local, served};
use super::*;

#[test]
fn frames_have_the_faces_of_this_machine_in_their_order() {
    let server = FakeServer::start(served());
    let element = element(&server);
    let (mut harness, bus) = harness(&element);
    let mut local = local();
    let mut faces = 0;
    for pair in 0..6 {
        for index in [2 * pair, 2 * pair + 1] {
            harness.push(frame(index)).unwrap();
        }
        for index in [2 * pair, 2 * pair + 1] {
            let expected = detect(&mut local, index as usize % 5).unwrap();
            let found = pull(&mut harness, index).expect("it was looked at");
            faces += assert_same(&expected, &[found]);
        }
    }
    assert!(faces > 10, "{faces} faces prove little");
    assert_eq!(element.property::<String>("active-provider"), "server");
    assert_eq!(
        (count(&element, "inferred"), count(&element, "unreached")),
        (12, 0)
    );
    assert!(texts(&bus, gst::MessageType::Warning).is_empty());
}

/// Answers are late, refused, cut off: all that may pass, in any order. Two batches are on their way at a time.
#[test]
fn no_frame_is_lost_or_misplaced_by_what_passes() {
    const FRAMES: u64 = 60;
    let server = FakeServer::start(served());
    let mut seed = 0x2545_f491_u64;
    let mut any = |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let element = element(&server);
    let (mut harness, _bus) = harness(&element);
    let faults = (0..FRAMES).map(|_| match any(6) {
        0 => Infer::Status(14, "not now".to_owned()),
        1 => Infer::HangUp,
        2 => Infer::Status(1, "Timeout expired".to_owned()),
        3 => Infer::Late(Duration::from_millis(any(20))),
        _ => Infer::Answer,
    });
    server.tell(|behaviour| behaviour.next.extend(faults));
    let mut local = local();
    let expected: Vec<_> = (0..5).map(|seed| detect(&mut local, seed).unwrap()).collect();
    let mut left = 0;
    for index in 0..FRAMES {
        harness.push(frame(index)).unwrap();
        // One batch waits and two are on their way.
        while index - left >= 5 {
            let found = pull(&mut harness, left).expect("it was looked at");
            assert_same(&expected[left as usize % 5], &[found]);
            left += 1;
        }
    }
    assert!(harness.push_event(gst::event::Eos::new()));
    for index in left..FRAMES {
        let found = pull(&mut harness, index).expect("it was looked at");
        assert_same(&expected[index as usize % 5], &[found]);
    }
    assert!(
        server.batches().len() > FRAMES as usize / 2,
        "some were sent more than once"
    );
}

#[test]
fn a_state_change_does_not_wait_for_a_server() {
    let server = FakeServer::start(served());
    let element = element(&server);
    let (mut harness, _bus) = harness(&element);
    // The trial at the start has been answered.
    let before = server.batches().len();
    for what in [Infer::Silence, Infer::Status(14, "not now".to_owned())] {
        server.tell(|behaviour| behaviour.then = what.clone());
        let before = server.batches().len().max(before);
        for index in 0..2 {
            harness.push(frame(index)).unwrap();
        }
        server.wait_for_batches(before + 1);
        let began = Instant::now();
        assert!(harness.push_event(gst::event::FlushStart::new()));
        assert!(harness.push_event(gst::event::FlushStop::new(true)));
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        assert!(harness.push_event(gst::event::Segment::new(&segment)));
        within_limit(began);
    }
    for index in 0..2 {
        harness.push(frame(index)).unwrap();
    }
    let began = Instant::now();
    element.set_state(gst::State::Null).unwrap();
    within_limit(began);
}
