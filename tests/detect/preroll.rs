//! A sink that waits for its first buffer gets it, even when upstream stops short of a batch.

use super::support::*;
use gst::prelude::*;

fn pipeline(source: &gst::Element) -> (gst::Pipeline, gst::Element) {
    init();
    let pipeline = gst::Pipeline::new();
    let element = detector();
    element.set_property("batch-size", 8u32);
    let sink = gst::ElementFactory::make("fakesink")
        .property("sync", true)
        .build()
        .unwrap();
    pipeline.add_many([source, &element, &sink]).unwrap();
    gst::Element::link_many([source, &element, &sink]).unwrap();
    (pipeline, element)
}

fn app_source(kind: gst_app::AppStreamType) -> gst_app::AppSrc {
    init();
    gst_app::AppSrc::builder()
        .caps(&CAPS.parse::<gst::Caps>().unwrap())
        .format(gst::Format::Time)
        .stream_type(kind)
        .build()
}

fn reaches(pipeline: &gst::Pipeline, state: gst::State) {
    let limit = gst::ClockTime::try_from(TIME_LIMIT).unwrap();
    let (result, reached, _) = pipeline.state(limit);
    assert_eq!(result, Ok(gst::StateChangeSuccess::Success));
    assert_eq!(reached, state);
}

#[test]
fn a_short_file_prerolls() {
    init();
    let source = gst::ElementFactory::make("videotestsrc")
        .property("num-buffers", 3i32)
        .build()
        .unwrap();
    let (pipeline, element) = pipeline(&source);
    pipeline.set_state(gst::State::Paused).unwrap();
    reaches(&pipeline, gst::State::Paused);
    run_to_eos(&pipeline);
    assert_eq!(stat(&element, "frames-out"), 3);
}

#[test]
fn a_source_that_pauses_after_one_frame_prerolls() {
    let source = app_source(gst_app::AppStreamType::Stream);
    let (pipeline, _) = pipeline(source.upcast_ref());
    pipeline.set_state(gst::State::Playing).unwrap();
    source.push_buffer(frame(0)).unwrap();
    reaches(&pipeline, gst::State::Playing);
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_flush_while_playing_prerolls_again() {
    let source = app_source(gst_app::AppStreamType::Seekable);
    source.set_callbacks(gst_app::AppSrcCallbacks::builder().seek_data(|_, _| true).build());
    let (pipeline, _) = pipeline(source.upcast_ref());
    pipeline.set_state(gst::State::Playing).unwrap();
    source.push_buffer(frame(0)).unwrap();
    reaches(&pipeline, gst::State::Playing);
    for _ in 0..5 {
        pipeline
            .seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::ZERO)
            .unwrap();
        source.push_buffer(frame(0)).unwrap();
        reaches(&pipeline, gst::State::Playing);
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn in_paused_everything_that_is_there_is_inferred() {
    let element = detector();
    let mut harness = harness(&element, false);
    element.set_state(gst::State::Paused).unwrap();
    for index in 0..3 {
        harness.push(frame(index)).unwrap();
    }
    for index in 0..3 {
        assert_frame(&harness.pull().unwrap(), index);
    }
}
