//! What happens to the stream around the crops.

use gst::prelude::*;
use gst_check::Harness;

use super::support::{aligned, face, frame, harness, pull_all, rgb};
use crate::faces::{self, blank_frame};

/// The events that are there, up to now.
fn events(harness: &mut Harness) -> Vec<gst::Event> {
    std::iter::from_fn(|| harness.try_pull_event()).collect()
}

fn gaps(harness: &mut Harness) -> Vec<(u64, Option<u64>)> {
    events(harness)
        .iter()
        .filter_map(|event| match event.view() {
            gst::EventView::Gap(gap) => {
                let (pts, duration) = gap.get();
                Some((pts.mseconds(), duration.map(gst::ClockTime::mseconds)))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn a_frame_without_crops_is_a_gap() {
    let info = rgb();
    let mut harness = harness(&info, "max-yaw=45");
    harness.push(frame(&info, 0, &[])).unwrap();
    harness.push(blank_frame(&info, 1)).unwrap();
    harness.push(frame(&info, 2, &[face(1.2, 0.9, 200.0)])).unwrap();
    harness.push(frame(&info, 3, &[face(0.0, 0.9, 200.0)])).unwrap();
    assert_eq!(
        gaps(&mut harness),
        [(0, Some(40)), (40, Some(40)), (80, Some(40))]
    );
    assert_eq!(pull_all(&mut harness).len(), 1);
}

#[test]
fn a_sink_prerolls_although_no_face_comes() {
    let info = rgb();
    let (pipeline, src) = faces::pipeline("img2posealign ! fakesink name=sink", &info);
    pipeline.set_state(gst::State::Paused).unwrap();
    src.push_buffer(frame(&info, 0, &[])).unwrap();
    let (result, state, _) = pipeline.state(gst::ClockTime::from_seconds(20));
    assert_eq!(
        (result, state),
        (Ok(gst::StateChangeSuccess::Success), gst::State::Paused)
    );
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn events_keep_their_place_between_the_crops() {
    let info = rgb();
    let mut harness = harness(&info, "");
    harness.push(frame(&info, 0, &[face(0.0, 0.9, 200.0)])).unwrap();
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    harness.push_event(gst::event::Segment::new(&segment));
    harness.push_event(gst::event::Eos::new());
    let types: Vec<_> = events(&mut harness).iter().map(|event| event.type_()).collect();
    let expected = [
        gst::EventType::StreamStart,
        gst::EventType::Caps,
        gst::EventType::Segment,
        gst::EventType::Segment,
        gst::EventType::Eos,
    ];
    assert_eq!(types, expected);
    assert_eq!(pull_all(&mut harness).len(), 1);
}

/// A player or `videoflip` that follows the tag would turn crops that are upright.
#[test]
fn the_orientation_of_the_video_is_not_that_of_the_crops() {
    let info = rgb();
    let mut harness = harness(&info, "");
    let mut tags = gst::TagList::new();
    let inner = tags.make_mut();
    inner.add::<gst::tags::ImageOrientation>(&"rotate-90", gst::TagMergeMode::Append);
    inner.add::<gst::tags::Title>(&"stays", gst::TagMergeMode::Append);
    inner.set_scope(gst::TagScope::Stream);
    harness.push_event(gst::event::Tag::new(tags));
    harness.push(frame(&info, 0, &[face(0.0, 0.9, 200.0)])).unwrap();
    let events = events(&mut harness);
    let tags = events.iter().find_map(|event| match event.view() {
        gst::EventView::Tag(tags) => Some(tags.tag_owned()),
        _ => None,
    });
    let tags = tags.expect("the tags go on");
    assert_eq!(tags.scope(), gst::TagScope::Stream);
    assert_eq!(
        tags.get::<gst::tags::ImageOrientation>().unwrap().get(),
        "rotate-0"
    );
    assert_eq!(tags.get::<gst::tags::Title>().unwrap().get(), "stays");
}

#[test]
fn frames_are_counted_anew_after_a_flush_and_a_new_stream() {
    let info = rgb();
    let mut harness = harness(&info, "");
    let found = [face(0.0, 0.9, 200.0)];
    let number = |harness: &mut Harness| {
        harness.push(frame(&info, 0, &[])).unwrap();
        aligned(&harness.push_and_pull(frame(&info, 1, &found)).unwrap()).frame
    };
    assert_eq!(number(&mut harness), 1);
    assert_eq!(number(&mut harness), 3);
    harness.push_event(gst::event::FlushStart::new());
    assert_eq!(
        harness.push(frame(&info, 0, &found)),
        Err(gst::FlowError::Flushing)
    );
    harness.push_event(gst::event::FlushStop::new(true));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    harness.push_event(gst::event::Segment::new(&segment));
    assert_eq!(number(&mut harness), 1);
    harness.push_event(gst::event::StreamStart::new("another"));
    harness.push_event(gst::event::Caps::new(&info.to_caps().unwrap()));
    harness.push_event(gst::event::Segment::new(&segment));
    assert_eq!(number(&mut harness), 1);
}

#[test]
fn nothing_is_added_to_the_latency() {
    let info = rgb();
    let mut harness = harness(&info, "");
    let latency = gst::ClockTime::from_mseconds(17);
    harness.set_upstream_latency(latency);
    assert_eq!(harness.query_latency(), Some(latency));
}

#[test]
fn an_error_downstream_ends_the_frame() {
    let info = rgb();
    // Takes one crop, then no more.
    let elements = "img2posealign ! identity name=counter eos-after=2 ! fakesink sync=false";
    let (pipeline, src) = faces::pipeline(elements, &info);
    pipeline.set_state(gst::State::Playing).unwrap();
    let found = [0.9, 0.8, 0.7, 0.6].map(|confidence| face(0.0, confidence, 200.0));
    src.push_buffer(frame(&info, 0, &found)).unwrap();
    let message = pipeline
        .bus()
        .unwrap()
        .timed_pop_filtered(
            gst::ClockTime::from_seconds(20),
            &[gst::MessageType::Eos, gst::MessageType::Error],
        )
        .expect("the pipeline hangs");
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_crop_that_waits_for_memory_is_woken_by_a_flush_and_a_state_change() {
    for flush in [true, false] {
        let info = rgb();
        let mut harness = harness(&info, "");
        // Downstream has memory for one crop, and the test keeps it.
        let caps = super::support::out_caps(&harness);
        let pool = gst_video::VideoBufferPool::new();
        let mut config = pool.config();
        config.set_params(Some(&caps), 112 * 336, 1, 1);
        pool.set_config(config).unwrap();
        let probe_pool = pool.clone();
        harness
            .sinkpad()
            .unwrap()
            .add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, move |_, info| {
                if let Some(gst::QueryViewMut::Allocation(allocation)) =
                    info.query_mut().map(gst::QueryRef::view_mut)
                {
                    allocation.add_allocation_pool(Some(&probe_pool), 112 * 336, 1, 1);
                    return gst::PadProbeReturn::Handled;
                }
                gst::PadProbeReturn::Ok
            });
        harness.push_upstream_event(gst::event::Reconfigure::new());
        let kept = harness
            .push_and_pull(frame(&info, 0, &[face(0.0, 0.9, 200.0)]))
            .unwrap();
        let element = harness.element().unwrap();
        let sink_pad = element.static_pad("sink").unwrap();
        let second = frame(&info, 1, &[face(0.0, 0.9, 200.0)]);
        let pusher = std::thread::spawn(move || sink_pad.chain(second));
        // Whether it waits already or not, it must come back.
        if flush {
            harness.push_event(gst::event::FlushStart::new());
        } else {
            element.set_state(gst::State::Null).unwrap();
        }
        assert_eq!(pusher.join().unwrap(), Err(gst::FlowError::Flushing));
        drop(kept);
    }
}
