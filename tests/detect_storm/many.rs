//! Sixteen streams on one model for some time: each frame carries what it would carry alone.
//!
//! `IMG2POSE_SHARED_SECONDS` says for how long streams come and go (5 unless set); `scripts/soak.sh` runs minutes.

use std::time::{Duration, Instant};

use crate::support::*;
use gst::prelude::*;
use img2pose::Face;

/// The streams' number.
const STREAMS: u64 = 16;
/// Frames of a stream that look different.
const VARIANTS: u64 = 5;

/// A stream of its own size and rate, with an element of its own; every frame must come out once, in order, with its own
/// faces. Returns the number of frames.
fn stream(number: u64, frames: u64) -> u64 {
    let (width, height) = (48 + 16 * (number % 4) as u32, 48 + 8 * (number % 3) as u32);
    let alone: Vec<Vec<Face>> = {
        let mut detector = bare_detector();
        (0..VARIANTS)
            .map(|variant| faces_of(&mut detector, width, height, variant))
            .collect()
    };
    let element = detector();
    element.set_property("model-instance-id", "many");
    element.set_property("batch-timeout", 3_000_000u64);
    let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
    harness.use_systemclock();
    harness.set_src_caps_str(&format!(
        "video/x-raw,format=GRAY8,width={width},height={height},framerate=200/1"
    ));
    let (mut pushed, mut pulled) = (0, 0);
    let check = |buffer: &gst::BufferRef, index: u64| {
        assert_eq!(buffer.offset(), index, "stream {number}");
        let own = &alone[(index % VARIANTS) as usize];
        assert_eq!(
            faces_on(buffer).as_ref(),
            Some(own),
            "stream {number}, frame {index}"
        );
    };
    while pushed < frames {
        let mut buffer = frame_of(width, height, pushed % VARIANTS);
        buffer.get_mut().unwrap().set_offset(pushed);
        harness.push(buffer).unwrap();
        pushed += 1;
        // Some are fast and some are slow.
        std::thread::sleep(Duration::from_micros(400 * (number % 5)));
        while let Some(buffer) = harness.try_pull() {
            check(&buffer, pulled);
            pulled += 1;
        }
    }
    harness.push_event(gst::event::Eos::new());
    for index in pulled..pushed {
        check(&harness.pull().expect("every frame comes out"), index);
    }
    assert_eq!(stat(&element, "inferred"), pushed);
    pushed
}

#[test]
fn sixteen_streams_that_come_and_go() {
    let seconds = match std::env::var("IMG2POSE_SHARED_SECONDS") {
        Ok(seconds) => seconds
            .parse()
            .expect("IMG2POSE_SHARED_SECONDS is a number of seconds"),
        Err(_) => 5,
    };
    init();
    model();
    let end = Instant::now() + Duration::from_secs(seconds);
    let total: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..STREAMS)
            .map(|number| {
                // Each is taken out and put in again, at moments of its own, at least twice.
                scope.spawn(move || {
                    let mut frames = 0;
                    for round in 0.. {
                        frames += stream(number, 15 + 7 * ((number + round) % 4));
                        if round >= 2 && Instant::now() > end {
                            break;
                        }
                    }
                    frames
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    println!("{STREAMS} streams, {total} frames, each with the faces that it has alone");
    assert!(total > STREAMS * 45);
}
