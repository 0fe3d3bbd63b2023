//! Frames pass as they are, whatever they are.

use gst::prelude::*;
use gst_check::Harness;
use gstimg2pose::meta;

use super::support::*;
use crate::faces;

#[test]
fn a_frame_leaves_as_the_buffer_that_came() {
    let mut harness = harness("");
    let mut frame = looked(3, &[face(100.0)]);
    {
        let frame = frame.get_mut().unwrap();
        frame.set_dts(gst::ClockTime::from_mseconds(100));
        frame.set_flags(gst::BufferFlags::DISCONT | gst::BufferFlags::MARKER);
    }
    let (pointer, memory) = (frame.as_ptr(), frame.peek_memory(0).as_ptr());
    let out = harness.push_and_pull(frame).unwrap();
    assert_eq!((out.as_ptr(), out.peek_memory(0).as_ptr()), (pointer, memory));
    assert_eq!(out.pts(), Some(gst::ClockTime::from_mseconds(120)));
    assert_eq!(out.dts(), Some(gst::ClockTime::from_mseconds(100)));
    assert_eq!(out.duration(), Some(gst::ClockTime::from_mseconds(40)));
    assert_eq!(out.offset(), 3);
    assert_eq!(out.flags(), gst::BufferFlags::DISCONT | gst::BufferFlags::MARKER);
}

#[test]
fn a_frame_that_others_hold_too_is_not_changed_under_them_and_its_pixels_are_not_copied() {
    let mut harness = harness("");
    let theirs = looked(0, &[face(100.0)]);
    let out = harness.push_and_pull(theirs.clone()).unwrap();
    assert_eq!(tracks(&out), [Some((1, New))]);
    assert_eq!(tracks(&theirs), [None]);
    assert_eq!(out.peek_memory(0).as_ptr(), theirs.peek_memory(0).as_ptr());
}

#[test]
fn any_format_and_any_memory_is_welcome() {
    faces::init();
    for caps in [
        "video/x-raw,format=P010_10LE,width=640,height=480",
        "video/x-raw(memory:DMABuf),format=NV12,width=640,height=480,framerate=25/1",
        "video/x-raw(memory:GLMemory),format=RGBA,width=640,height=480,framerate=25/1",
        "video/x-raw(meta:GstVideoOverlayComposition),format=BGRA,width=640,height=480",
    ] {
        let caps: gst::Caps = caps.parse().unwrap();
        let mut harness = Harness::new("img2posetrack");
        harness.set_src_caps(caps.clone());
        harness.play();
        // In memory that cannot be read as pixels: there are none.
        for index in 0..3 {
            let mut frame = gst::Buffer::new();
            {
                let frame = frame.get_mut().unwrap();
                frame.set_pts(gst::ClockTime::from_mseconds(40 * index));
                let found = meta::FrameFaces::new(&info(), vec![face(100.0)]);
                meta::attach(frame, &found).unwrap();
            }
            let out = harness.push_and_pull(frame).unwrap();
            assert_eq!(tracks(&out)[0].unwrap().0, 1, "{caps}");
        }
        assert_eq!(harness.sinkpad().unwrap().current_caps(), Some(caps));
    }
    let element = gst::ElementFactory::make("img2posetrack").build().unwrap();
    let sink = element.static_pad("sink").unwrap();
    assert!(!sink.query_accept_caps(&gst::Caps::new_empty_simple("image/jpeg")));
}

#[test]
fn what_downstream_takes_upstream_is_asked_for() {
    faces::init();
    let mut harness = Harness::new("img2posetrack");
    let wanted: gst::Caps = "video/x-raw,format=NV12".parse().unwrap();
    harness.set_sink_caps(wanted.clone());
    let sink = harness.element().unwrap().static_pad("sink").unwrap();
    assert!(sink.query_caps(None).is_subset(&wanted));
}

#[test]
fn what_downstream_answers_goes_upstream() {
    faces::init();
    let element = gst::ElementFactory::make("img2posetrack").build().unwrap();
    let mut loose = Harness::with_element(&element, Some("sink"), None);
    loose.set_src_caps(info().to_caps().unwrap());
    loose.play();
    assert_eq!(loose.push(looked(0, &[])), Err(gst::FlowError::NotLinked));

    let mut harness = harness("");
    harness.push(looked(0, &[face(100.0)])).unwrap();
    harness
        .sinkpad()
        .unwrap()
        .push_event(gst::event::FlushStart::new());
    harness.sinkpad().unwrap().set_active(false).unwrap();
    assert_eq!(harness.push(looked(1, &[])), Err(gst::FlowError::Flushing));
}

#[test]
fn without_look_ahead_it_adds_no_latency_and_holds_no_buffers() {
    let mut harness = harness("");
    harness.set_upstream_latency(gst::ClockTime::from_mseconds(70));
    harness.push(looked(0, &[face(100.0)])).unwrap();
    assert_eq!(harness.query_latency(), Some(gst::ClockTime::from_mseconds(70)));
    harness.add_propose_allocation_meta(gst_video::VideoMeta::meta_api(), None);
    let mut query = gst::query::Allocation::new(Some(&info().to_caps().unwrap()), true);
    let sink = harness.element().unwrap().static_pad("sink").unwrap();
    assert!(sink.query(&mut query));
    assert!(query.find_allocation_meta::<gst_video::VideoMeta>().is_some());
    assert_eq!(query.allocation_pools().count(), 0);
}

#[test]
fn events_pass_in_their_places() {
    let mut harness = harness("");
    harness.push(looked(0, &[face(100.0)])).unwrap();
    while harness.try_pull_event().is_some() {}
    harness.push_event(gst::event::Gap::new(
        gst::ClockTime::from_mseconds(40),
        gst::ClockTime::NONE,
    ));
    harness.push_event(gst::event::Tag::new(gst::TagList::new()));
    harness.push(unlooked(2)).unwrap();
    harness.push_event(gst::event::Eos::new());
    let types: Vec<_> = std::iter::from_fn(|| harness.try_pull_event())
        .map(|event| event.type_())
        .collect();
    assert_eq!(
        types,
        [gst::EventType::Gap, gst::EventType::Tag, gst::EventType::Eos]
    );
    // Time has passed, the face is expected all the same.
    let buffers = out(&mut harness);
    assert_eq!(tracks(&buffers[1]), [Some((1, Predicted))]);
}

#[test]
fn what_gst_inspect_shows() {
    faces::init();
    let factory = gst::ElementFactory::find("img2posetrack").unwrap();
    assert_eq!(factory.metadata("klass"), Some("Filter/Analyzer/Video"));
    let element = factory.create().build().unwrap();
    let own = element.list_properties();
    let own: Vec<_> = own
        .iter()
        .filter(|spec| spec.owner_type() == element.type_())
        .collect();
    assert_eq!(own.len(), 8);
    for spec in own {
        assert!(
            spec.blurb().is_some_and(|blurb| blurb.len() > 20),
            "{}",
            spec.name()
        );
        assert!(
            spec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING),
            "{}",
            spec.name()
        );
    }
}
