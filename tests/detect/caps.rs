//! Caps: changes close the batch, what cannot be read is refused.

use super::support::*;
use gst::prelude::*;

#[test]
fn a_change_in_mid_batch_separates_the_sizes() {
    let element = detector();
    let recorder = Recorder::on(&element.static_pad("src").unwrap());
    let mut harness = harness(&element, true);
    for index in 0..2 {
        harness.push(frame(index)).unwrap();
    }
    let wide = "video/x-raw,format=GRAY8,width=96,height=60,framerate=25/1";
    harness.push_event(gst::event::Caps::new(&wide.parse::<gst::Caps>().unwrap()));
    for index in 2..5 {
        harness.push(frame_of(96, 60, index)).unwrap();
    }
    harness.push_event(gst::event::Eos::new());
    recorder.wait_for("eos", 1);
    assert_eq!(recorder.after_start(), ["0", "1", "caps", "2", "3", "4", "eos"]);
    let mut alone = bare_detector();
    for index in 0..5 {
        let buffer = harness.pull().unwrap();
        let (width, height) = if index < 2 { (WIDTH, HEIGHT) } else { (96, 60) };
        let record = gstimg2pose::meta::read(&buffer).unwrap().unwrap();
        assert_eq!((record.frame_width, record.frame_height), (width, height));
        assert_eq!(record.faces, faces_of(&mut alone, width, height, index));
    }
    assert_eq!(stat(&element, "batches"), 2);
}

#[test]
fn a_change_with_every_frame() {
    let element = detector();
    let mut harness = harness(&element, true);
    let sizes = |index: u64| {
        if index.is_multiple_of(2) {
            (80, 48)
        } else {
            (48, 80)
        }
    };
    for index in 0..12 {
        let (width, height) = sizes(index);
        let caps = format!("video/x-raw,format=GRAY8,width={width},height={height},framerate=25/1");
        harness.push_event(gst::event::Caps::new(&caps.parse::<gst::Caps>().unwrap()));
        harness.push(frame_of(width, height, index)).unwrap();
    }
    harness.push_event(gst::event::Eos::new());
    let mut alone = bare_detector();
    for index in 0..12 {
        let buffer = harness.pull().unwrap();
        let (width, height) = sizes(index);
        assert_eq!(
            faces_on(&buffer),
            Some(faces_of(&mut alone, width, height, index))
        );
    }
}

/// The model's bound of the long side (1400 pixels) used to win without a word.
#[test]
fn a_min_size_that_the_model_does_not_allow_is_named_and_so_is_what_to_do() {
    let warnings = |min_size: u32, max_size: u32, width: u32, height: u32| {
        let element = detector();
        element.set_property("min-size", min_size);
        element.set_property("max-size", max_size);
        let bus = listen(&element);
        let mut harness = harness(&element, true);
        // The second one brings no other size.
        for framerate in [25, 30] {
            let caps =
                format!("video/x-raw,format=GRAY8,width={width},height={height},framerate={framerate}/1");
            assert!(harness.push_event(gst::event::Caps::new(&caps.parse::<gst::Caps>().unwrap())));
        }
        let mut texts = Vec::new();
        while let Some(message) = bus.pop_filtered(&[gst::MessageType::Warning]) {
            if let gst::MessageView::Warning(warning) = message.view() {
                texts.push(warning.error().to_string());
            }
        }
        texts
    };
    let bounded = "min-size=960 cannot be reached: the model limits the long side, so frames of";
    assert_eq!(
        warnings(960, 0, 1920, 1080),
        [format!(
            "{bounded} 1920x1080 are resized to 1400x787; set max-size=1707 as well"
        )]
    );
    assert_eq!(
        warnings(960, 0, 1080, 1920),
        [format!(
            "{bounded} 1080x1920 are resized to 787x1400; set max-size=1707 as well"
        )]
    );
    // As it says; and where nothing is beyond reach, or nobody asked for it.
    for (min_size, max_size, width, height) in [
        (960, 1707, 1920, 1080),
        (787, 0, 1920, 1080),
        (0, 0, 3840, 1000),
        (960, 1000, 3840, 1000),
    ] {
        let texts = warnings(min_size, max_size, width, height);
        assert!(
            texts.is_empty(),
            "{min_size} {max_size} {width} {height}: {texts:?}"
        );
    }
}

#[test]
fn unsupported_caps_are_refused() {
    let element = detector();
    let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
    harness.set_src_caps_str("video/x-raw,format=Y42B,width=64,height=48,framerate=25/1");
    assert_eq!(harness.push(frame(0)), Err(gst::FlowError::NotNegotiated));
}

#[test]
fn unsupported_caps_in_a_pipeline_are_an_error_message() {
    init();
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc num-buffers=1 ! capsfilter name=filter ! img2posedetect model={} ! fakesink",
        text(model())
    ))
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let caps = "video/x-raw,format=Y42B".parse::<gst::Caps>().unwrap();
    pipeline.by_name("filter").unwrap().set_property("caps", caps);
    pipeline.set_state(gst::State::Playing).unwrap();
    let message = message(&pipeline, &[gst::MessageType::Error]);
    assert!(error_text(&message).contains("not-negotiated"), "{message:?}");
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn every_format_runs() {
    init();
    for format in [
        "RGB", "BGR", "RGBx", "BGRx", "RGBA", "BGRA", "NV12", "I420", "GRAY8",
    ] {
        let pipeline = gst::parse::launch(&format!(
            "videotestsrc num-buffers=5 ! video/x-raw,format={format},width=50,height=38 ! \
             img2posedetect name=detect min-size=64 num-threads=1 model={} ! fakesink",
            text(model())
        ))
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
        run_to_eos(&pipeline);
        assert_eq!(
            stat(&pipeline.by_name("detect").unwrap(), "inferred"),
            5,
            "{format}"
        );
    }
}

/// They used to end in a bare NOT_NEGOTIATED.
#[test]
fn caps_without_a_framerate_are_taken_by_all_elements() {
    init();
    for name in [
        "img2posedetect",
        "img2posetrack",
        "img2posejson",
        "img2poseoverlay",
        "img2posealign",
    ] {
        for framerate in ["", ",framerate=0/1", ",framerate=25/1"] {
            for format in ["RGB", "NV12", "GRAY8"] {
                let caps = format!("video/x-raw,format={format},width=64,height=48{framerate}");
                let caps = caps.parse::<gst::Caps>().unwrap();
                let element = match name {
                    "img2posedetect" => detector(),
                    name => gst::ElementFactory::make(name).build().unwrap(),
                };
                let template = element.static_pad("sink").unwrap().pad_template_caps();
                assert!(caps.is_subset(&template), "{name}: {caps}");
                let source = gst_app::AppSrc::builder()
                    .caps(&caps)
                    .format(gst::Format::Time)
                    .build();
                let sink = gst::ElementFactory::make("fakesink").build().unwrap();
                let pipeline = gst::Pipeline::new();
                let elements = [source.upcast_ref(), &element, &sink];
                pipeline.add_many(elements).unwrap();
                gst::Element::link_many(elements).unwrap();
                let info = gst_video::VideoInfo::from_caps(&caps).unwrap();
                for index in 0..3 {
                    let mut buffer = gst::Buffer::with_size(info.size()).unwrap();
                    buffer.get_mut().unwrap().set_pts(FRAME * index);
                    source.push_buffer(buffer).unwrap();
                }
                source.end_of_stream().unwrap();
                pipeline.set_state(gst::State::Playing).unwrap();
                let end = message(&pipeline, &[gst::MessageType::Eos, gst::MessageType::Error]);
                assert_eq!(end.type_(), gst::MessageType::Eos, "{name}: {caps}: {end:?}");
                if matches!(name, "img2posedetect" | "img2poseoverlay") {
                    assert_eq!(sink.sink_pads()[0].current_caps(), Some(caps), "{name}");
                }
                pipeline.set_state(gst::State::Null).unwrap();
            }
        }
    }
}

/// In a live pipeline a batch waits for a fixed time then, and the pipeline is told of it.
#[test]
fn a_live_stream_without_a_framerate_has_a_latency() {
    let element = detector();
    let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
    harness.set_live(true);
    harness.set_src_caps_str("video/x-raw,format=GRAY8,width=64,height=48");
    harness.push(frame(0)).unwrap();
    let mut query = gst::query::Latency::new();
    assert!(harness.sinkpad().unwrap().peer_query(&mut query));
    let (live, min, max) = query.result();
    assert!(live && min >= gst::ClockTime::from_mseconds(100), "{min}");
    assert!(max.is_none_or(|max| max >= min), "{max:?}");
    harness.crank_single_clock_wait().unwrap();
    assert_frame(&harness.pull().unwrap(), 0);
}
