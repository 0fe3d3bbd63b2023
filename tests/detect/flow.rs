//! What downstream returns reaches upstream, and a link that comes back is used again.

use super::support::*;
use gst::prelude::*;

#[test]
fn not_linked_then_linked_goes_on() {
    let element = detector();
    let mut harness = harness(&element, true);
    for index in 0..4 {
        harness.push(frame(index)).unwrap();
    }
    for index in 0..4 {
        assert_frame(&harness.pull().unwrap(), index);
    }
    let (source, sink) = (element.static_pad("src").unwrap(), harness.sinkpad().unwrap());
    source.unlink(&sink).unwrap();
    for index in 4..8 {
        harness.push(frame(index)).unwrap();
    }
    let flow = (8..100)
        .map(|index| {
            std::thread::sleep(std::time::Duration::from_millis(2));
            harness.push(frame(index))
        })
        .find(Result::is_err);
    assert_eq!(flow, Some(Err(gst::FlowError::NotLinked)));

    source.link(&sink).unwrap();
    for index in 200..204 {
        harness.push(frame(index)).unwrap();
    }
    harness.push_event(gst::event::Eos::new());
    // The frame that met the loose end is gone; those behind it were kept.
    let offsets: Vec<u64> = std::iter::from_fn(|| {
        let buffer = harness.pull().ok()?;
        assert_frame(&buffer, buffer.offset());
        Some(buffer.offset())
    })
    .take_while(|offset| *offset != 203)
    .collect();
    assert_eq!(offsets[0], 5);
    assert!(offsets.is_sorted());
    assert_eq!(offsets[offsets.len() - 3..], [200, 201, 202]);
}

fn return_from_downstream(harness: &gst_check::Harness, flow: gst::FlowReturn) {
    harness
        .sinkpad()
        .unwrap()
        .add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            info.flow_res = flow.into_result();
            info.data = None;
            gst::PadProbeReturn::Handled
        });
}

#[test]
fn an_error_from_downstream_is_returned() {
    for (flow, expected) in [
        (gst::FlowReturn::Error, gst::FlowError::Error),
        (gst::FlowReturn::NotNegotiated, gst::FlowError::NotNegotiated),
        (gst::FlowReturn::Eos, gst::FlowError::Eos),
    ] {
        let element = detector();
        let mut harness = harness(&element, true);
        return_from_downstream(&harness, flow);
        for index in 0..4 {
            harness.push(frame(index)).unwrap();
        }
        let mut index = 4;
        let result = loop {
            index += 1;
            match harness.push(frame(index)) {
                Ok(_) => std::thread::sleep(std::time::Duration::from_millis(1)),
                Err(error) => break error,
            }
        };
        assert_eq!(result, expected);
    }
}

#[test]
fn after_eos_from_downstream_a_new_segment_is_tried() {
    let element = detector();
    let recorder = Recorder::on(&element.static_pad("src").unwrap());
    let mut harness = harness(&element, true);
    let sink = harness.sinkpad().unwrap();
    let probe = sink
        .add_probe(gst::PadProbeType::BUFFER, |_, info| {
            info.flow_res = Err(gst::FlowError::Eos);
            gst::PadProbeReturn::Handled
        })
        .unwrap();
    for index in 0..4 {
        harness.push(frame(index)).unwrap();
    }
    wait_until("EOS comes back", || stat(&element, "queue-level") == 0);
    assert_eq!(harness.push(frame(4)), Err(gst::FlowError::Eos));
    sink.remove_probe(probe);
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(harness.push_event(gst::event::Segment::new(&segment)));
    for index in 5..9 {
        harness.push(frame(index)).unwrap();
    }
    recorder.wait_for("8", 1);
    // Frames 1 to 3 were not wanted.
    assert_eq!(recorder.after_start(), ["0", "segment", "5", "6", "7", "8"]);
}

#[test]
fn an_error_after_eos_is_posted_once() {
    let element = detector();
    let bus = listen(&element);
    let mut harness = harness(&element, true);
    return_from_downstream(&harness, gst::FlowReturn::Error);
    for index in 0..3 {
        harness.push(frame(index)).unwrap();
    }
    harness.push_event(gst::event::Eos::new());
    let limit = gst::ClockTime::try_from(TIME_LIMIT).unwrap();
    let message = bus
        .timed_pop_filtered(limit, &[gst::MessageType::Error])
        .expect("an error");
    assert!(error_text(&message).contains("streaming stopped"), "{message:?}");
    std::thread::sleep(QUIET);
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
}

#[test]
fn a_full_queue_blocks_upstream_and_no_frame_is_lost() {
    let element = detector();
    element.set_property("max-queued-batches", 1u32);
    let mut harness = harness(&element, true);
    let sink = harness.sinkpad().unwrap();
    let block = sink.add_probe(gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER, |_, _| {
        gst::PadProbeReturn::Ok
    });
    harness.push(frame(0)).unwrap();
    let pad = harness.srcpad().unwrap();
    let pusher = std::thread::spawn(move || {
        (1..40).for_each(|index| {
            pad.push(frame(index)).unwrap();
        });
    });
    // Two batches of four in the queue, and the frame that is being pushed.
    wait_until("the queue is full", || stat(&element, "queue-level") >= 9);
    std::thread::sleep(QUIET);
    assert_eq!(stat(&element, "queue-level"), 9);
    assert!(!pusher.is_finished());
    sink.remove_probe(block.unwrap());
    pusher.join().unwrap();
    for index in 0..40 {
        assert_frame(&harness.pull().unwrap(), index);
    }
    // Waiting for room is no reason to run small batches.
    assert_eq!(stat(&element, "batches"), 10);
}

/// Refused, the caps would turn upstream's NOT_LINKED, which demuxers live with, into NOT_NEGOTIATED.
#[test]
fn caps_are_accepted_while_nothing_is_linked() {
    let element = detector();
    let mut harness = harness(&element, true);
    harness.push(frame(0)).unwrap();
    let (source, sink) = (element.static_pad("src").unwrap(), harness.sinkpad().unwrap());
    source.unlink(&sink).unwrap();
    let flow = (1..1000)
        .map(|index| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            harness.push(frame(index))
        })
        .find(Result::is_err);
    assert_eq!(flow, Some(Err(gst::FlowError::NotLinked)));
    let caps = "video/x-raw,format=GRAY8,width=96,height=60,framerate=25/1";
    let caps = caps.parse::<gst::Caps>().unwrap();
    assert!(harness.push_event(gst::event::Caps::new(&caps)));
    assert_eq!(
        harness.push(frame_of(96, 60, 1000)),
        Err(gst::FlowError::NotLinked)
    );
    source.link(&sink).unwrap();
    harness.push(frame_of(96, 60, 1001)).unwrap();
    harness.push_event(gst::event::Eos::new());
    wait_until("the new size arrives", || {
        sink.current_caps() == Some(caps.clone())
    });
}
