//! The element under the hands of several threads: seeks, state changes and removal while frames flow.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::support::*;
use gst::prelude::*;

/// Ends the program if `body` takes far longer than it does on a busy machine.
fn watched(what: &str, body: impl FnOnce()) {
    let (end, ended) = channel::<()>();
    let text = what.to_owned();
    let watchdog = std::thread::spawn(move || {
        if ended.recv_timeout(Duration::from_secs(120)) == Err(RecvTimeoutError::Timeout) {
            eprintln!("deadlock: {text}");
            std::process::abort();
        }
    });
    body();
    drop(end);
    watchdog.join().unwrap();
}

struct Line {
    pipeline: gst::Pipeline,
    source: gst::Element,
    element: gst::Element,
    sink: gst::Element,
}

/// `videotestsrc ! img2posedetect ! fakesink`, as fast as it goes.
fn line(live: bool) -> Line {
    let element = detector();
    let source = gst::ElementFactory::make("videotestsrc")
        .property("is-live", live)
        .build()
        .unwrap();
    let filter = gst::ElementFactory::make("capsfilter")
        .property(
            "caps",
            "video/x-raw,format=NV12,width=64,height=48,framerate=100/1"
                .parse::<gst::Caps>()
                .unwrap(),
        )
        .build()
        .unwrap();
    let sink = gst::ElementFactory::make("fakesink").build().unwrap();
    let pipeline = gst::Pipeline::new();
    pipeline.add_many([&source, &filter, &element, &sink]).unwrap();
    gst::Element::link_many([&source, &filter, &element, &sink]).unwrap();
    Line {
        pipeline,
        source: filter,
        element,
        sink,
    }
}

fn assert_no_error(pipeline: &gst::Pipeline) {
    let error = pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Error]);
    assert!(error.is_none(), "{}", error_text(&error.unwrap()));
}

/// Stops the pipeline and asserts that nothing holds it or its elements any more.
fn take_down(line: Line) {
    line.pipeline.set_state(gst::State::Null).unwrap();
    assert_no_error(&line.pipeline);
    let (pipeline, element) = (line.pipeline.downgrade(), line.element.downgrade());
    drop(line);
    wait_until("everything is freed", || {
        pipeline.upgrade().is_none() && element.upgrade().is_none()
    });
}

/// Numbers that look random and are the same in every run.
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    let step = |state: &mut u64| {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Some(*state >> 33)
    };
    std::iter::repeat_with({
        let mut state = seed;
        move || step(&mut state)
    })
    .map_while(|number| number)
}

#[test]
fn seeks_and_state_changes_from_several_threads() {
    init();
    watched("seeks and state changes", || {
        let line = line(false);
        line.pipeline.set_state(gst::State::Playing).unwrap();
        let end = Instant::now() + Duration::from_secs(3);
        std::thread::scope(|scope| {
            for seed in 0..2 {
                let pipeline = &line.pipeline;
                scope.spawn(move || {
                    for number in numbers(seed).take_while(|_| Instant::now() < end) {
                        // Refused while the pipeline is in READY.
                        let position = FRAME * (number % 100);
                        let _ = pipeline.seek_simple(gst::SeekFlags::FLUSH, position);
                        std::thread::sleep(Duration::from_millis(number % 5));
                    }
                });
            }
            for seed in 2..4 {
                let (pipeline, element) = (&line.pipeline, &line.element);
                scope.spawn(move || {
                    for number in numbers(seed).take_while(|_| Instant::now() < end) {
                        let state = [gst::State::Playing, gst::State::Paused, gst::State::Ready];
                        // A change may be overtaken by that of the other thread.
                        let _ = pipeline.set_state(state[number as usize % 3]);
                        element.set_property("score-threshold", (number % 100) as f32 / 100.0);
                        element.set_property("batch-timeout", number % 3_000_000);
                        std::thread::sleep(Duration::from_millis(number % 9));
                    }
                });
            }
        });
        // It still works.
        line.pipeline.set_state(gst::State::Null).unwrap();
        line.pipeline.set_state(gst::State::Playing).unwrap();
        wait_until("frames come out", || stat(&line.element, "frames-out") > 20);
        take_down(line);
    });
}

#[test]
fn an_element_is_removed_while_it_is_full() {
    init();
    watched("removal", || {
        for round in 0..12 {
            let line = line(round % 2 == 1);
            let block = AtomicBool::new(true);
            let pad = line.sink.static_pad("sink").unwrap();
            let mask = gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER;
            let probe = pad.add_probe(mask, move |_, _| {
                if block.load(Ordering::Relaxed) {
                    gst::PadProbeReturn::Ok
                } else {
                    gst::PadProbeReturn::Pass
                }
            });
            line.pipeline.set_state(gst::State::Playing).unwrap();
            wait_until("the queue is full", || stat(&line.element, "queue-level") >= 12);

            let from = line.source.static_pad("src").unwrap();
            let (blocked, is_blocked) = channel();
            let stop = from
                .add_probe(gst::PadProbeType::BLOCK_DOWNSTREAM, move |_, _| {
                    let _ = blocked.send(());
                    gst::PadProbeReturn::Ok
                })
                .unwrap();
            let abruptly = round % 3 == 0;
            if abruptly {
                // The thread that waits for room in the queue is sent away, and the source stops.
                pad.remove_probe(probe.unwrap());
                line.pipeline.remove(&line.element).unwrap();
                line.element.set_state(gst::State::Null).unwrap();
            } else {
                // As an application should do it: when no frame is on its way into the element.
                pad.remove_probe(probe.unwrap());
                is_blocked.recv().unwrap();
                line.pipeline.remove(&line.element).unwrap();
                line.element.set_state(gst::State::Null).unwrap();
            }
            let next = detector();
            line.pipeline.add(&next).unwrap();
            gst::Element::link_many([&line.source, &next, &line.sink]).unwrap();
            next.sync_state_with_parent().unwrap();
            from.remove_probe(stop);
            if abruptly {
                line.pipeline.set_state(gst::State::Ready).unwrap();
                line.pipeline.set_state(gst::State::Playing).unwrap();
            }
            wait_until("frames come through the next element", || {
                stat(&next, "frames-out") > 8
            });
            take_down(Line {
                element: next,
                ..line
            });
        }
    });
}

#[test]
fn an_element_is_stopped_while_others_push_and_ask() {
    init();
    watched("stops", || {
        let element = detector();
        let harness = harness(&element, true);
        let pad = harness.srcpad().unwrap();
        let sink = element.static_pad("sink").unwrap();
        let end = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let end = &end;
            // Frames and serialized queries come from one thread, as they do in a pipeline.
            scope.spawn(move || {
                for index in (0..).take_while(|_| !end.load(Ordering::Relaxed)) {
                    let _ = pad.push(frame(index));
                    if index % 7 == 0 {
                        let _ = pad.peer_query(&mut gst::query::Drain::new());
                    }
                }
            });
            scope.spawn(move || {
                while !end.load(Ordering::Relaxed) {
                    let _ = sink.query(&mut gst::query::Caps::new(None));
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            for number in numbers(9).take(150) {
                std::thread::sleep(Duration::from_millis(number % 8));
                element.set_state(gst::State::Ready).unwrap();
                if number % 4 == 0 {
                    element.set_state(gst::State::Null).unwrap();
                }
                element.set_state(gst::State::Playing).unwrap();
            }
            end.store(true, Ordering::Relaxed);
            element.set_state(gst::State::Null).unwrap();
        });
    });
}

/// Pushes frames while another thread reports that everything which has arrived is too late: that gives up batches, one of
/// which the next frame may just be on its way into.
fn frames_under_reports_of_lateness(element: &gst::Element) {
    const FRAMES: u64 = 1500;
    element.set_property("qos", true);
    let mut harness = harness(element, true);
    let (pad, source) = (harness.srcpad().unwrap(), element.static_pad("src").unwrap());
    let arrived = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let arrived = &arrived;
        scope.spawn(move || {
            for index in 0..FRAMES {
                arrived.store(index, Ordering::Relaxed);
                pad.push(frame(index)).unwrap();
            }
            pad.push_event(gst::event::Eos::new());
        });
        scope.spawn(move || {
            loop {
                let last = arrived.load(Ordering::Relaxed);
                if last == FRAMES - 1 {
                    break;
                }
                // Nothing that is earlier than frame `last` can be in time.
                if last > 3 {
                    let time = FRAME * (last - 3);
                    let difference = FRAME.nseconds() as i64;
                    source.send_event(gst::event::Qos::new(
                        gst::QOSType::Underflow,
                        2.0,
                        difference,
                        Some(time),
                    ));
                }
                std::thread::sleep(Duration::from_micros(50));
            }
        });
        for index in 0..FRAMES {
            let buffer = harness.pull().expect("every frame comes out");
            assert_eq!(buffer.offset(), index);
            if let Some(faces) = faces_on(&buffer) {
                assert_eq!(faces, faces_alone(index), "frame {index}");
            }
        }
    });
    let (inferred, late) = (stat(element, "inferred"), stat(element, "late"));
    assert_eq!(inferred + late, FRAMES);
    assert!(inferred > 0 && late > 0, "inferred {inferred}, late {late}");
}

/// A frame whose batch was given up between its conversion and its place in the queue waited for ever.
#[test]
fn lateness_that_is_reported_while_a_frame_arrives_does_not_strand_it() {
    init();
    watched("lateness", || frames_under_reports_of_lateness(&detector()));
}

#[test]
fn nor_with_a_shared_model() {
    init();
    watched("lateness with a shared model", || {
        let elements = [detector(), detector()];
        for element in &elements {
            element.set_property("model-instance-id", "lateness");
        }
        std::thread::scope(|scope| {
            for element in &elements {
                scope.spawn(|| frames_under_reports_of_lateness(element));
            }
        });
    });
}
