//! What is wrong is said once, with cause and cure, and can be put right.

use super::support::*;
use gst::prelude::*;

/// Starts a pipeline with the element, which must fail, and returns the error.
fn start_fails(element: &gst::Element) -> String {
    let pipeline = gst::Pipeline::new();
    pipeline.add(element).unwrap();
    assert!(pipeline.set_state(gst::State::Playing).is_err());
    let message = message(&pipeline, &[gst::MessageType::Error]);
    assert_eq!(message.src(), Some(element.upcast_ref::<gst::Object>()));
    assert!(
        pipeline
            .bus()
            .unwrap()
            .pop_filtered(&[gst::MessageType::Error])
            .is_none()
    );
    pipeline.set_state(gst::State::Null).unwrap();
    pipeline.remove(element).unwrap();
    error_text(&message)
}

#[test]
fn a_wrong_path() {
    let element = detector();
    element.set_property("model", "/no/such/model.onnx");
    let error = start_fails(&element);
    assert!(
        error.contains("/no/such/model.onnx") && error.contains("img2pose convert"),
        "{error}"
    );
    // It can be put right.
    element.set_property("model", text(model()));
    element.set_state(gst::State::Ready).unwrap();
    assert_eq!(
        element.property::<Option<String>>("active-provider").as_deref(),
        Some("cpu")
    );
    element.set_state(gst::State::Null).unwrap();
    assert_eq!(element.property::<Option<String>>("active-provider"), None);
}

#[test]
fn a_folder_in_place_of_a_model() {
    let element = detector();
    element.set_property("model", text(scratch()));
    let error = start_fails(&element);
    assert!(error.contains("a folder"), "{error}");
}

#[test]
fn a_long_side_below_the_short_one() {
    let element = detector();
    element.set_property("min-size", 320u32);
    element.set_property("max-size", 100u32);
    let error = start_fails(&element);
    assert!(error.contains("min-size is 320 and max-size 100"), "{error}");
}

#[test]
fn a_corrupt_model() {
    let whole = std::fs::read(model()).unwrap();
    let files = [
        ("noise.onnx", b"this is no model".to_vec()),
        ("empty.onnx", Vec::new()),
        ("half.onnx", whole[..whole.len() / 2].to_vec()),
    ];
    for (name, content) in files {
        let path = write_file(name, &content);
        let element = detector();
        element.set_property("model", text(&path));
        let error = start_fails(&element);
        assert!(error.contains(name), "{error}");
    }
}

/// It started, and found no face in any frame.
#[test]
fn a_model_with_weights_that_are_no_numbers() {
    use img2pose_onnx::ModelProto;
    use prost::Message;
    let bytes = std::fs::read(model()).unwrap();
    let mut proto = ModelProto::decode(&bytes[..]).unwrap();
    let weights = proto.graph.as_mut().unwrap().initializer.iter_mut();
    for tensor in weights.filter(|tensor| tensor.name() == "backbone.body.conv1.weight") {
        let mut raw = tensor.raw_data.take().unwrap().to_vec();
        raw[..4].copy_from_slice(&f32::NAN.to_le_bytes());
        tensor.raw_data = Some(raw.into());
    }
    let path = write_file("damaged.onnx", &proto.encode_to_vec());
    let element = detector();
    element.set_property("model", text(&path));
    let error = start_fails(&element);
    for part in ["damaged.onnx", "'backbone.body.conv1.weight'", "not-a-number"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_precision_that_the_model_does_not_have() {
    let element = detector();
    let model = write_file("alone.onnx", &std::fs::read(model()).unwrap());
    element.set_property("model", text(&model));
    element.set_property_from_str("precision", "int8");
    let error = start_fails(&element);
    assert!(
        error.contains("alone-int8.onnx") && error.contains("quantize"),
        "{error}"
    );
    // With the model's own precision it starts.
    element.set_property_from_str("precision", "auto");
    element.set_state(gst::State::Ready).unwrap();
    element.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_provider_that_cannot_be_had() {
    for provider in ["cuda", "tensorrt", "openvino", "webgpu"] {
        let element = detector();
        element.set_property_from_str("execution-provider", provider);
        let error = start_fails(&element);
        assert!(error.to_lowercase().contains(provider), "{error}");
    }
}

#[test]
fn a_frame_that_is_too_small_ends_the_stream_after_those_before_it() {
    let element = detector();
    let bus = listen(&element);
    let mut harness = harness(&element, true);
    harness.push(frame(0)).unwrap();
    harness.push(frame(1)).unwrap();
    let mut short = gst::Buffer::from_slice([0u8; 100]);
    short.get_mut().unwrap().set_pts(FRAME * 2);
    assert_eq!(harness.push(short), Err(gst::FlowError::Error));
    assert_frame(&harness.pull().unwrap(), 0);
    assert_frame(&harness.pull().unwrap(), 1);
    let limit = gst::ClockTime::try_from(TIME_LIMIT).unwrap();
    let message = bus
        .timed_pop_filtered(limit, &[gst::MessageType::Error])
        .expect("an error");
    let text = error_text(&message);
    assert!(
        text.contains("0:00:00.08") && text.contains("100 bytes"),
        "{text}"
    );
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
    // It has ended: what upstream pushes all the same is refused, until a flush.
    assert_eq!(harness.push(frame(3)), Err(gst::FlowError::Error));
    flush(&mut harness);
    for index in 4..8 {
        harness.push(frame(index)).unwrap();
    }
    assert_frame(&harness.pull().unwrap(), 4);
}

/// Nothing of its own was posted, so that users read "Internal data stream error".
#[test]
fn a_frame_before_caps_is_refused_with_an_error() {
    let element = detector();
    let bus = listen(&element);
    let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
    harness.play();
    let begin = |harness: &mut gst_check::Harness| {
        assert!(harness.push_event(gst::event::StreamStart::new("no caps")));
        assert!(harness.push_event(segment()));
    };
    begin(&mut harness);
    assert_eq!(harness.push(frame(0)), Err(gst::FlowError::NotNegotiated));
    let error = bus.pop_filtered(&[gst::MessageType::Error]).expect("an error");
    let error = error_text(&error);
    assert!(
        error.contains("A video frame arrived before its caps") && error.contains("video/x-raw"),
        "{error}"
    );
    // It is said once, and not while the element flushes.
    assert!(harness.push(frame(1)).is_err());
    assert!(harness.push_event(gst::event::FlushStart::new()));
    assert_eq!(harness.push(frame(2)), Err(gst::FlowError::Flushing));
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
    // A flush is a new chance.
    assert!(harness.push_event(gst::event::FlushStop::new(true)));
    harness.set_src_caps_str(CAPS);
    begin(&mut harness);
    for index in 3..7 {
        harness.push(frame(index)).unwrap();
    }
    assert_frame(&harness.pull().unwrap(), 3);
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
}

#[test]
fn a_model_that_fails_gives_back_the_frames_and_ends_the_stream_once() {
    let element = detector();
    element.set_property("model", text(failing_model()));
    let bus = listen(&element);
    let recorder = Recorder::on(&element.static_pad("src").unwrap());
    let mut harness = harness(&element, true);
    for index in 0..4 {
        harness.push(frame(index)).unwrap();
    }
    for index in 0..4 {
        assert_frame(&harness.pull().unwrap(), index);
    }
    // The batch after the next fails.
    for index in 4..8 {
        harness.push(frame(index)).unwrap();
    }
    let mut white = frame(8);
    white.get_mut().unwrap().map_writable().unwrap().fill(255);
    let mut flows = vec![harness.push(white)];
    flows.extend((9..100).map(|index| {
        std::thread::sleep(std::time::Duration::from_millis(2));
        harness.push(frame(index))
    }));
    assert_eq!(flows.last(), Some(&Err(gst::FlowError::Error)));
    let accepted = 8 + flows.iter().filter(|flow| flow.is_ok()).count() as u64;
    let limit = gst::ClockTime::try_from(TIME_LIMIT).unwrap();
    let message = bus
        .timed_pop_filtered(limit, &[gst::MessageType::Error])
        .expect("an error");
    let text = error_text(&message);
    assert!(
        text.contains("inference failed") && text.contains("Gather"),
        "{text}"
    );

    // All frames come back, in order; those of the batch that failed and later ones without faces.
    for index in 4..8 {
        assert_frame(&harness.pull().unwrap(), index);
    }
    for index in 8..accepted {
        let buffer = harness.pull().unwrap();
        assert_eq!((buffer.offset(), faces_on(&buffer)), (index, None));
    }
    assert!(!harness.push_event(gst::event::Eos::new()));
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
    assert!(!recorder.list().contains(&"eos".to_owned()));

    // A flush is a new chance.
    flush(&mut harness);
    for index in 200..204 {
        harness.push(frame(index)).unwrap();
    }
    for index in 200..204 {
        assert_frame(&harness.pull().unwrap(), index);
    }
}

/// They used to have them when downstream was slow, and none when it was fast.
#[test]
fn frames_behind_a_failed_batch_have_no_faces_although_theirs_has_run() {
    let [element, witness] = [detector(), detector()].map(|element| {
        element.set_property("model", text(failing_model()));
        element.set_property("model-instance-id", "behind-a-failure");
        element
    });
    let (let_go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let src = element.static_pad("src").unwrap();
    src.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if info.buffer().is_some_and(|buffer| buffer.offset() == 3) {
            // Also when the test has failed.
            let _ = wait.lock().unwrap().recv();
        }
        gst::PadProbeReturn::Ok
    });
    let bus = listen(&element);
    let mut slow = harness(&element, true);
    for index in 0..4 {
        slow.push(frame(index)).unwrap();
    }
    let mut white = frame(4);
    white.get_mut().unwrap().map_writable().unwrap().fill(255);
    slow.push(white).unwrap();
    for index in 5..12 {
        slow.push(frame(index)).unwrap();
    }
    // Batches run in order: when this frame is back, all of them have run.
    let mut other = harness(&witness, true);
    other.push(frame(0)).unwrap();
    assert!(other.push_event(gst::event::Eos::new()));
    assert_frame(&other.pull().unwrap(), 0);
    let_go.send(()).unwrap();
    for index in 0..4 {
        assert_frame(&slow.pull().unwrap(), index);
    }
    for index in 4..12 {
        let buffer = slow.pull().unwrap();
        assert_eq!((buffer.offset(), faces_on(&buffer)), (index, None));
    }
    let limit = gst::ClockTime::try_from(TIME_LIMIT).unwrap();
    let message = bus
        .timed_pop_filtered(limit, &[gst::MessageType::Error])
        .expect("an error");
    assert!(error_text(&message).contains("inference failed"));
}

#[test]
fn a_model_that_fails_in_a_pipeline_stops_it_and_its_error_comes_first() {
    init();
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc pattern=white num-buffers=50 ! video/x-raw,format=RGB,width=64,height=48 ! \
         img2posedetect min-size=64 num-threads=1 model={} ! fakesink",
        text(failing_model())
    ))
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    // Slow to post: the source would overtake, which reports that its stream has ended.
    pipeline.bus().unwrap().set_sync_handler(|_, message| {
        if message.type_() == gst::MessageType::Error {
            std::thread::sleep(QUIET);
        }
        gst::BusSyncReply::Pass
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let message = message(&pipeline, &[gst::MessageType::Error, gst::MessageType::Eos]);
    let error = error_text(&message);
    assert!(error.contains("inference failed"), "{error}");
    pipeline.set_state(gst::State::Null).unwrap();
}
