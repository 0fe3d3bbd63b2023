//! Frames that wait for the next look.

use gst::prelude::*;
use gst_check::Harness;

use super::support::*;

/// 4 pixels a frame.
fn x(index: u64) -> f32 {
    100.0 + 4.0 * index as f32
}

/// Every `interval`-th frame is looked at.
fn frame(index: u64, interval: u64) -> gst::Buffer {
    match index % interval {
        0 => looked(index, &[face(x(index))]),
        _ => unlooked(index),
    }
}

#[test]
fn faces_lie_between_the_looks_before_and_after() {
    let mut harness = harness("look-ahead=4 smoothing=none");
    for index in 0..=20 {
        harness.push(frame(index, 5)).unwrap();
    }
    let buffers = out(&mut harness);
    assert_eq!(numbers(&buffers), (0..=20).collect::<Vec<_>>());
    for (index, buffer) in (0..).zip(&buffers) {
        let state = match index {
            0 => New,
            _ if index % 5 == 0 => Seen,
            _ => Interpolated,
        };
        assert_eq!(tracks(buffer), [Some((1, state))], "frame {index}");
        assert!((left(buffer, 1) - x(index)).abs() < 1e-3, "frame {index}");
        let record = record(buffer);
        assert_eq!(record.reused, state == Interpolated);
        let unseen = gst::ClockTime::from_mseconds(40 * (index % 5));
        let since = record.track(0).unwrap().unseen;
        assert!(
            since.nseconds().abs_diff(unseen.nseconds()) < 1000,
            "{since} {unseen}"
        );
    }
}

#[test]
fn a_face_that_a_detector_missed_is_placed_between_too() {
    let mut harness = harness("look-ahead=4 smoothing=none");
    for index in 0..10 {
        let found = match index {
            5 | 6 => vec![],
            _ => vec![face(x(index))],
        };
        harness.push(looked(index, &found)).unwrap();
    }
    let buffers = out(&mut harness);
    assert_eq!(numbers(&buffers), (0..10).collect::<Vec<_>>());
    for index in [5, 6] {
        let buffer = &buffers[index as usize];
        assert_eq!(tracks(buffer), [Some((1, Interpolated))]);
        assert!((left(buffer, 1) - x(index)).abs() < 1e-3);
        assert!(!record(buffer).reused, "the detector did look");
    }
}

#[test]
fn no_more_frames_wait_than_were_asked_for() {
    let mut harness = harness("look-ahead=3");
    for index in 0..3 {
        harness.push(looked(index, &[face(x(index))])).unwrap();
    }
    assert_eq!(out(&mut harness).len(), 3);
    for index in 3..20u64 {
        harness.push(unlooked(index)).unwrap();
        let left = numbers(&out(&mut harness));
        let expected: Vec<u64> = (index >= 6).then(|| index - 3).into_iter().collect();
        assert_eq!(left, expected);
    }
}

#[test]
fn frames_with_nobody_in_them_do_not_wait() {
    let mut harness = harness("look-ahead=10");
    for index in 0..5 {
        harness.push(unlooked(index)).unwrap();
        assert_eq!(numbers(&out(&mut harness)), [index]);
    }
}

#[test]
fn latency_is_reported_and_told_anew() {
    let mut harness = harness("look-ahead=4");
    harness.set_upstream_latency(gst::ClockTime::from_mseconds(70));
    harness.push(looked(0, &[])).unwrap();
    assert_eq!(
        harness.query_latency(),
        Some(gst::ClockTime::from_mseconds(70 + 160))
    );
    let bus = watch(&harness);
    harness.element().unwrap().set_property("look-ahead", 1u32);
    assert!(bus.pop_filtered(&[gst::MessageType::Latency]).is_some());
    assert_eq!(harness.query_latency(), Some(gst::ClockTime::from_mseconds(110)));
    // At half the framerate a frame takes twice as long.
    let slow = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, 640, 480)
        .fps(gst::Fraction::new(25, 2))
        .build()
        .unwrap();
    harness.set_src_caps(slow.to_caps().unwrap());
    assert!(bus.pop_filtered(&[gst::MessageType::Latency]).is_some());
    assert_eq!(harness.query_latency(), Some(gst::ClockTime::from_mseconds(150)));
}

/// What came out, in order: frames by number, events by type.
fn order(harness: &mut Harness, element: &gst::Element, push: impl FnOnce(&mut Harness)) -> Vec<String> {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let pad = element.static_pad("src").unwrap();
    let mask =
        gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::EVENT_FLUSH;
    let probe = {
        let seen = seen.clone();
        pad.add_probe(mask, move |_, info| {
            let what = match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => buffer.offset().to_string(),
                Some(gst::PadProbeData::Event(event)) => event.type_().to_string(),
                _ => unreachable!(),
            };
            seen.lock().unwrap().push(what);
            gst::PadProbeReturn::Ok
        })
        .unwrap()
    };
    push(harness);
    pad.remove_probe(probe);
    std::mem::take(&mut *seen.lock().unwrap())
}

fn waiting() -> (Harness, gst::Element) {
    let mut harness = harness("look-ahead=10");
    harness.push(looked(0, &[face(x(0))])).unwrap();
    harness.push(looked(1, &[face(x(1))])).unwrap();
    assert_eq!(out(&mut harness).len(), 2);
    harness.push(unlooked(2)).unwrap();
    assert_eq!(out(&mut harness).len(), 0);
    let element = harness.element().unwrap();
    (harness, element)
}

fn tag(title: &str) -> gst::Event {
    let mut tags = gst::TagList::new();
    tags.get_mut()
        .unwrap()
        .add::<gst::tags::Title>(&title, gst::TagMergeMode::Append);
    gst::event::Tag::new(tags)
}

#[test]
fn tags_and_events_of_applications_wait_in_their_places() {
    let (mut harness, element) = waiting();
    let order = order(&mut harness, &element, |harness| {
        assert!(harness.push_event(tag("one")));
        harness.push(unlooked(3)).unwrap();
        let custom = gst::Structure::new_empty("application");
        assert!(harness.push_event(gst::event::CustomDownstream::new(custom)));
        harness.push(looked(4, &[face(x(4))])).unwrap();
    });
    assert_eq!(order, ["2", "tag", "3", "custom-downstream", "4"]);
}

#[test]
fn what_ends_or_stops_lets_none_wait() {
    let segment_done = || gst::event::SegmentDone::new(gst::ClockTime::from_seconds(1));
    let gap = || gst::event::Gap::new(gst::ClockTime::from_mseconds(120), gst::ClockTime::NONE);
    let caps = || {
        gst::event::Caps::new(
            &crate::faces::info(gst_video::VideoFormat::I420, 320, 240)
                .to_caps()
                .unwrap(),
        )
    };
    let events: [(&str, &dyn Fn() -> gst::Event); 6] = [
        ("eos", &gst::event::Eos::new),
        ("gap", &gap),
        ("segment", &|| segment(1.0)),
        ("segment-done", &segment_done),
        ("caps", &caps),
        ("stream-start", &|| gst::event::StreamStart::new("another")),
    ];
    for (name, event) in events {
        let (mut harness, element) = waiting();
        let order = order(&mut harness, &element, |harness| {
            harness.push_event(event());
        });
        assert_eq!(order, ["2", name]);
        let left = out(&mut harness);
        assert_eq!(tracks(&left[0]), [Some((1, Predicted))], "{name}");
    }
}

#[test]
fn a_flush_throws_away_what_waits_and_keeps_tags() {
    let (mut harness, element) = waiting();
    harness.push_event(tag("kept"));
    let order = order(&mut harness, &element, flush);
    assert!(!order.contains(&"2".to_owned()), "{order:?}");
    let pad = element.static_pad("src").unwrap();
    let kept = pad.sticky_event::<gst::event::Tag>(0).expect("the tag is lost");
    assert_eq!(kept.tag().get::<gst::tags::Title>().unwrap().get(), "kept");
    harness.push(unlooked(9)).unwrap();
    assert_eq!(numbers(&out(&mut harness)), [9]);
}

#[test]
fn a_query_for_an_allocation_lets_none_wait_and_hears_of_those_that_will() {
    let (mut harness, element) = waiting();
    let mut query = gst::query::Allocation::new(Some(&info().to_caps().unwrap()), true);
    assert!(element.static_pad("sink").unwrap().query(&mut query));
    assert_eq!(numbers(&out(&mut harness)), [2]);
    let least: Vec<u32> = query.allocation_pools().map(|(_, _, min, _)| min).collect();
    assert_eq!(least, [10]);
}

#[test]
fn states_change_while_frames_wait() {
    let (harness, element) = waiting();
    element.set_state(gst::State::Null).unwrap();
    drop(harness);
}

/// A source whose pool has no more buffers than wait, and an application that waits for what it has pushed. Both stood still
/// for ever.
#[test]
fn upstream_that_waits_for_a_frame_to_leave_gets_it() {
    let mut harness = harness("look-ahead=4");
    let bus = watch(&harness);
    harness.push(looked(0, &[face(x(0))])).unwrap();
    harness.push(looked(1, &[face(x(1))])).unwrap();
    assert_eq!(out(&mut harness).len(), 2);
    // Three frames are out; the next one is brought when one of them has come back.
    for index in 2..5 {
        harness.push(unlooked(index)).unwrap();
    }
    for index in 2..12 {
        assert_eq!(
            harness.pull().expect("a frame that waited too long").offset(),
            index
        );
        harness.push(unlooked(index + 3)).unwrap();
    }
    let warnings = warnings(&bus);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("no more than 2 wait") && warnings[0].contains("look-ahead=4"),
        "{warnings:?}"
    );
}

#[test]
fn frames_do_not_wait_for_ever_when_nothing_comes() {
    let (mut harness, _element) = waiting();
    assert_eq!(harness.pull().expect("a frame that waited too long").offset(), 2);
}

#[test]
fn a_jump_has_no_faces_between() {
    let (mut harness, _) = waiting();
    let mut back = looked(0, &[face(300.0)]);
    back.make_mut().set_pts(gst::ClockTime::ZERO);
    let mut late = unlooked(0);
    late.make_mut().set_pts(gst::ClockTime::from_seconds(5));
    harness.push(late).unwrap();
    harness.push(back).unwrap();
    harness.push_event(gst::event::Eos::new());
    let buffers = out(&mut harness);
    assert_eq!(buffers.len(), 3);
    assert_eq!(tracks(&buffers[0]), [Some((1, Predicted))]);
    assert_eq!(tracks(&buffers[2]), [Some((2, New))]);
}
