//! How `img2posejson` behaves as a GStreamer element: events, queries, flow, states.

use crate::faces::{self, blank_frame, frame_with, info, pipeline, two_faces};
use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoInfo};
use gstimg2pose::meta::FrameFaces;

fn video_info() -> VideoInfo {
    info(VideoFormat::I420, 320, 240)
}

fn harness(info: &VideoInfo) -> Harness {
    let mut harness = Harness::new("img2posejson");
    harness.set_src_caps(info.to_caps().unwrap());
    harness.play();
    harness
}

fn looked_at(info: &VideoInfo, index: u64) -> gst::Buffer {
    frame_with(info, index, &FrameFaces::new(info, vec![]))
}

fn text(buffer: &gst::BufferRef) -> String {
    String::from_utf8(buffer.map_readable().unwrap().to_vec()).unwrap()
}

fn frame_number(buffer: &gst::BufferRef) -> u64 {
    let line: serde_json::Value = serde_json::from_str(&text(buffer)).unwrap();
    line["frame"].as_u64().unwrap()
}

fn events(harness: &mut Harness) -> Vec<gst::Event> {
    std::iter::from_fn(|| harness.try_pull_event()).collect()
}

fn types(events: &[gst::Event]) -> Vec<gst::EventType> {
    events.iter().map(|event| event.type_()).collect()
}

#[test]
fn a_line_has_the_timestamps_of_its_frame() {
    let info = video_info();
    let mut harness = harness(&info);
    let mut frame = frame_with(&info, 3, &two_faces(&info));
    {
        let frame = frame.get_mut().unwrap();
        frame.set_dts(gst::ClockTime::from_mseconds(100));
        frame.set_flags(gst::BufferFlags::DISCONT | gst::BufferFlags::MARKER);
    }
    assert_eq!(harness.push(frame), Ok(gst::FlowSuccess::Ok));
    let line = harness.pull().unwrap();
    assert_eq!(line.pts(), Some(gst::ClockTime::from_mseconds(120)));
    assert_eq!(line.dts(), Some(gst::ClockTime::from_mseconds(100)));
    assert_eq!(line.duration(), Some(gst::ClockTime::from_mseconds(40)));
    assert_eq!(line.flags(), gst::BufferFlags::DISCONT);
    assert!(text(&line).starts_with("{\"pts\":120000000,\"frame\":0,"));
}

#[test]
fn events_pass_in_order_with_caps_of_its_own() {
    let info = video_info();
    let mut harness = harness(&info);
    harness.push(looked_at(&info, 0)).unwrap();
    assert_eq!(
        types(&events(&mut harness)),
        [
            gst::EventType::StreamStart,
            gst::EventType::Caps,
            gst::EventType::Segment
        ]
    );
    let caps = harness.sinkpad().unwrap().current_caps().unwrap();
    assert_eq!(caps.to_string(), "application/x-ndjson");

    // Another size of video is no news downstream, but the lines know it.
    let smaller = faces::info(VideoFormat::Nv12, 160, 120);
    harness.set_src_caps(smaller.to_caps().unwrap());
    harness.push(looked_at(&smaller, 1)).unwrap();
    harness.push_event(gst::event::Tag::new(gst::TagList::new()));
    harness.push_event(gst::event::Eos::new());
    let types = types(&events(&mut harness));
    assert!(!types.contains(&gst::EventType::Caps), "{types:?}");
    assert_eq!(
        types[types.len() - 2..],
        [gst::EventType::Tag, gst::EventType::Eos]
    );
    assert!(text(&harness.pull().unwrap()).contains("\"width\":320,\"height\":240"));
    assert!(text(&harness.pull().unwrap()).contains("\"width\":160,\"height\":120"));
}

#[test]
fn a_frame_without_a_line_is_a_gap() {
    let info = video_info();
    let mut harness = harness(&info);
    harness.element().unwrap().set_property("include-empty", false);
    harness.push(blank_frame(&info, 0)).unwrap();
    harness.push(looked_at(&info, 1)).unwrap();
    let mut untimed = blank_frame(&info, 2);
    untimed.get_mut().unwrap().set_pts(gst::ClockTime::NONE);
    harness.push(untimed).unwrap();
    harness.push(frame_with(&info, 3, &two_faces(&info))).unwrap();

    let gaps: Vec<_> = events(&mut harness)
        .iter()
        .filter_map(|event| match event.view() {
            gst::EventView::Gap(gap) => Some(gap.get()),
            _ => None,
        })
        .collect();
    let gap = |ms| {
        (
            gst::ClockTime::from_mseconds(ms),
            Some(gst::ClockTime::from_mseconds(40)),
        )
    };
    assert_eq!(gaps, [gap(0), gap(40)]);
    assert_eq!(harness.buffers_received(), 1);
    assert_eq!(frame_number(&harness.pull().unwrap()), 3);
}

#[test]
fn gaps_from_upstream_pass_and_are_not_counted() {
    let info = video_info();
    let mut harness = harness(&info);
    harness.push(looked_at(&info, 0)).unwrap();
    events(&mut harness);
    harness.push_event(gst::event::Gap::new(
        gst::ClockTime::from_mseconds(40),
        gst::ClockTime::NONE,
    ));
    harness.push(looked_at(&info, 2)).unwrap();
    assert_eq!(types(&events(&mut harness)), [gst::EventType::Gap]);
    assert_eq!(frame_number(&harness.pull().unwrap()), 0);
    assert_eq!(frame_number(&harness.pull().unwrap()), 1);
}

#[test]
fn a_sink_prerolls_though_no_frame_was_looked_at() {
    let info = video_info();
    let (pipeline, src) = pipeline("img2posejson ! fakesink", &info);
    pipeline.set_state(gst::State::Paused).unwrap();
    src.push_buffer(blank_frame(&info, 0)).unwrap();
    let (result, state, _) = pipeline.state(gst::ClockTime::from_seconds(10));
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(
        (result, state),
        (Ok(gst::StateChangeSuccess::Success), gst::State::Paused)
    );
}

#[test]
fn counting_restarts_with_the_stream() {
    let info = video_info();
    let mut harness = harness(&info);
    let number = |harness: &mut Harness| {
        harness.push(looked_at(&info, 0)).unwrap();
        frame_number(&harness.pull().unwrap())
    };
    assert_eq!([number(&mut harness), number(&mut harness)], [0, 1]);

    harness.push_event(gst::event::FlushStart::new());
    harness.push_event(gst::event::FlushStop::new(true));
    harness.push_event(gst::event::Segment::new(
        &gst::FormattedSegment::<gst::ClockTime>::new(),
    ));
    assert_eq!([number(&mut harness), number(&mut harness)], [0, 1]);

    harness.push_event(gst::event::StreamStart::new("another"));
    assert_eq!(number(&mut harness), 0);

    let element = harness.element().unwrap();
    element.set_state(gst::State::Ready).unwrap();
    element.set_state(gst::State::Playing).unwrap();
    harness.push_event(gst::event::StreamStart::new("again"));
    harness.set_src_caps(info.to_caps().unwrap());
    assert_eq!(number(&mut harness), 0);
}

#[test]
fn what_downstream_answers_goes_upstream() {
    let info = video_info();
    faces::init();
    let element = gst::ElementFactory::make("img2posejson").build().unwrap();
    let mut harness = Harness::with_element(&element, Some("sink"), None);
    harness.set_src_caps(info.to_caps().unwrap());
    harness.play();
    assert_eq!(harness.push(looked_at(&info, 0)), Err(gst::FlowError::NotLinked));

    let mut harness = self::harness(&info);
    harness.push(looked_at(&info, 0)).unwrap();
    harness
        .sinkpad()
        .unwrap()
        .push_event(gst::event::FlushStart::new());
    harness.sinkpad().unwrap().set_active(false).unwrap();
    assert_eq!(harness.push(looked_at(&info, 1)), Err(gst::FlowError::Flushing));
}

#[test]
fn a_frame_before_caps_is_refused() {
    faces::init();
    let info = video_info();
    let mut harness = Harness::new("img2posejson");
    harness.play();
    harness.push_event(gst::event::StreamStart::new("no caps"));
    harness.push_event(gst::event::Segment::new(
        &gst::FormattedSegment::<gst::ClockTime>::new(),
    ));
    assert_eq!(
        harness.push(looked_at(&info, 0)),
        Err(gst::FlowError::NotNegotiated)
    );
}

#[test]
fn latency_passes_through() {
    let info = video_info();
    let mut harness = harness(&info);
    harness.set_upstream_latency(gst::ClockTime::from_mseconds(70));
    harness.push(looked_at(&info, 0)).unwrap();
    assert_eq!(harness.query_latency(), Some(gst::ClockTime::from_mseconds(70)));
}

#[test]
fn any_memory_and_any_strides_are_welcome() {
    faces::init();
    let element = gst::ElementFactory::make("img2posejson").build().unwrap();
    let sink = element.static_pad("sink").unwrap();
    let caps = gst::Caps::builder("video/x-raw")
        .features(["memory:DMABuf"])
        .field("format", "NV12")
        .field("width", 640)
        .field("height", 480)
        .build();
    assert!(sink.query_accept_caps(&caps));
    assert!(!sink.query_accept_caps(&gst::Caps::new_empty_simple("image/jpeg")));
    element.set_state(gst::State::Paused).unwrap();
    let mut query = gst::query::Allocation::new(Some(&caps), true);
    assert!(sink.query(&mut query));
    assert!(query.find_allocation_meta::<gst_video::VideoMeta>().is_some());
    element.set_state(gst::State::Null).unwrap();
}

/// Lines of several cameras in one place are told apart, and put in order by the cameras' clocks.
#[test]
fn lines_say_which_camera_and_when() {
    let info = video_info();
    let mut harness = harness(&info);
    let element = harness.element().unwrap();
    let mut line = |stamp: Option<u64>| -> serde_json::Value {
        let mut frame = looked_at(&info, 0);
        if let Some(seconds) = stamp {
            let unix = gst::Caps::new_empty_simple("timestamp/x-unix");
            let time = gst::ClockTime::from_seconds(seconds);
            gst::ReferenceTimestampMeta::add(frame.get_mut().unwrap(), &unix, time, None);
        }
        harness.push(frame).unwrap();
        serde_json::from_str(&text(&harness.pull().unwrap())).unwrap()
    };
    let plain = line(None);
    assert!(
        plain.get("source").is_none() && plain.get("time").is_none(),
        "{plain}"
    );
    element.set_property("source", "gate-2");
    let stamped = line(Some(1_700_000_000));
    assert_eq!(stamped["source"], "gate-2");
    assert_eq!(stamped["time"], "2023-11-14T22:13:20.000000Z");
    element.set_property_from_str("time", "arrival");
    assert_eq!(
        line(Some(1_700_000_000))["time"],
        stamped["time"],
        "the camera knows better"
    );
    assert!(line(None)["time"].as_str() > stamped["time"].as_str());
    element.set_property_from_str("time", "none");
    assert!(line(Some(1_700_000_000)).get("time").is_none());
}

#[test]
fn what_gst_inspect_shows() {
    faces::init();
    let factory = gst::ElementFactory::find("img2posejson").unwrap();
    assert!(
        factory.has_type(gst::ElementFactoryType::MEDIA_METADATA) || factory.klass().contains("Metadata")
    );
    let element = factory.create().build().unwrap();
    for property in element
        .list_properties()
        .iter()
        .filter(|p| p.owner_type() == element.type_())
    {
        assert!(
            property.blurb().is_some_and(|blurb| blurb.len() > 20),
            "{}",
            property.name()
        );
    }
    assert!(element.property::<bool>("include-empty"));
}
