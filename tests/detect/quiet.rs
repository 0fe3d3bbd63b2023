//! A source that is not live and brings no more for now gets what it has brought; one that goes on fills its batches.
//!
//! The clocks of the harnesses stand still: what is waited for does not depend on them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::support::*;
use gst::prelude::*;

/// How long nothing must have come at the framerate of [`CAPS`].
const QUIET_TIME: Duration = Duration::from_millis(120);

/// A harness whose first frame has left, so that nothing waits for a preroll.
fn flowing(element: &gst::Element) -> gst_check::Harness {
    let mut harness = harness(element, false);
    harness.push(frame(0)).unwrap();
    assert_frame(&harness.pull().unwrap(), 0);
    harness
}

/// Counts how often nothing came to an element for so long that a batch may have run early for it; on a busy machine that
/// happens to the most even source.
#[derive(Clone)]
struct Pauses(Arc<AtomicU64>);

impl Pauses {
    fn of(element: &gst::Element) -> Self {
        let pauses = Arc::<AtomicU64>::default();
        let last = Mutex::new(None::<Instant>);
        let pad = element.static_pad("sink").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, {
            let pauses = pauses.clone();
            move |_, _| {
                let now = Instant::now();
                let before = last.lock().unwrap().replace(now);
                if before.is_some_and(|before| now - before > QUIET_TIME / 2) {
                    pauses.fetch_add(1, Ordering::SeqCst);
                }
                gst::PadProbeReturn::Ok
            }
        });
        Self(pauses)
    }

    /// Batches that may be small because of them: the one that ran, and those after it that did not wait.
    fn allowance(&self) -> u64 {
        4 * self.0.load(Ordering::SeqCst)
    }
}

fn push_evenly(harness: &mut gst_check::Harness, frames: std::ops::Range<u64>, gap: Duration) {
    for index in frames {
        std::thread::sleep(gap);
        harness.push(frame(index)).unwrap();
    }
}

/// It used to wait for ever, from the second frame on.
#[test]
fn an_application_that_pushes_one_and_pulls_one_gets_each() {
    let element = detector();
    let mut harness = harness(&element, false);
    for index in 0..30 {
        harness.push(frame(index)).unwrap();
        assert_frame(&harness.pull().expect("the frame that was pushed"), index);
    }
    assert_eq!(stat(&element, "batches"), 30);
    // The first is for the preroll, the second waits. Then 2, 4, 8 and 16 do not, and one between them does, to see
    // whether it is still so.
    assert_eq!(stat(&element, "quiet-batches"), 4);
}

/// Each portion used to wait for more: its last frame is not looked at.
#[test]
fn a_source_that_waits_behind_a_frame_that_is_not_looked_at_waits_once_and_then_seldom() {
    let element = detector();
    element.set_property("inference-interval", 2u32);
    let mut harness = flowing(&element);
    // The second of the first two.
    harness.push(frame(1)).unwrap();
    assert_eq!(harness.pull().unwrap().offset(), 1);
    let pauses = Pauses::of(&element);
    for portion in 1..30 {
        for index in [2 * portion, 2 * portion + 1] {
            harness.push(frame(index)).unwrap();
        }
        for index in [2 * portion, 2 * portion + 1] {
            assert_eq!(harness.pull().expect("a frame that was pushed").offset(), index);
        }
    }
    assert_eq!(stat(&element, "batches"), 30);
    // As for an application that pushes one and pulls one.
    let quiet = stat(&element, "quiet-batches");
    assert!(quiet <= 4 + pauses.allowance(), "{quiet}");
}

#[test]
fn what_is_there_runs_when_no_more_comes() {
    let element = detector();
    let mut harness = flowing(&element);
    let began = Instant::now();
    for index in 1..4 {
        harness.push(frame(index)).unwrap();
    }
    for index in 1..4 {
        assert_frame(
            &harness.pull().expect("a frame of the batch that does not fill"),
            index,
        );
    }
    assert!(began.elapsed() >= QUIET_TIME);
    assert_eq!(stat(&element, "quiet-batches"), stat(&element, "batches") - 1);
    assert_eq!(harness.testclock().unwrap().peek_id_count(), 0);
}

/// It used to stand still for ever.
#[test]
fn a_fixed_pool_smaller_than_a_batch_goes_round() {
    init();
    let caps = CAPS.parse::<gst::Caps>().unwrap();
    let size = pixels(WIDTH, HEIGHT, 0).len() as u32;
    for (batch_size, buffers, interval) in [(8u32, 4u32, 1u32), (8, 1, 1), (4, 3, 2), (32, 5, 1), (4, 6, 1)] {
        let element = detector();
        element.set_property("batch-size", batch_size);
        element.set_property("inference-interval", interval);
        let mut harness = harness(&element, false);
        let pool = gst::BufferPool::new();
        let mut config = pool.config();
        config.set_params(Some(&caps), size, buffers, buffers);
        pool.set_config(config).unwrap();
        pool.set_active(true).unwrap();
        let pad = harness.srcpad().unwrap();
        let source = std::thread::spawn({
            let pool = pool.clone();
            move || {
                for index in 0..40 {
                    let mut buffer = pool.acquire_buffer(None).unwrap();
                    {
                        let buffer = buffer.get_mut().unwrap();
                        let mut map = buffer.map_writable().unwrap();
                        map.copy_from_slice(&pixels(WIDTH, HEIGHT, index));
                    }
                    buffer.get_mut().unwrap().set_offset(index);
                    pad.push(buffer).unwrap();
                }
                pad.push_event(gst::event::Eos::new());
            }
        });
        for index in 0..40 {
            let buffer = harness.pull().expect("a frame before the pool starves");
            match index % u64::from(interval) {
                0 => assert_frame(&buffer, index),
                _ => assert_eq!(faces_on(&buffer), None),
            }
        }
        source.join().unwrap();
        pool.set_active(false).unwrap();
    }
}

#[test]
fn a_source_that_delivers_evenly_fills_its_batches() {
    let element = detector();
    let mut harness = flowing(&element);
    let pauses = Pauses::of(&element);
    push_evenly(&mut harness, 1..25, Duration::from_millis(30));
    harness.push_event(gst::event::Eos::new());
    for index in 1..25 {
        assert_frame(&harness.pull().unwrap(), index);
    }
    // One for the preroll and six full ones.
    let batches = stat(&element, "batches");
    assert!(batches <= 7 + pauses.allowance(), "{batches}");
}

/// A frame that passes by shows that upstream is at work, although it does not go into the batch.
#[test]
fn frames_that_are_not_looked_at_keep_a_batch_open() {
    let element = detector();
    element.set_property("batch-size", 2u32);
    element.set_property("inference-interval", 4u32);
    let mut harness = flowing(&element);
    let pauses = Pauses::of(&element);
    // A frame that is looked at comes every 160 ms.
    push_evenly(&mut harness, 1..17, Duration::from_millis(40));
    harness.push_event(gst::event::Eos::new());
    for index in 1..17 {
        assert_eq!(harness.pull().unwrap().offset(), index);
    }
    let batches = stat(&element, "batches");
    assert!(batches <= 3 + pauses.allowance(), "{batches}");
}

#[test]
fn a_timeout_set_by_hand_is_kept_to() {
    let element = detector();
    element.set_property("batch-timeout", 3_600_000_000_000u64);
    let mut harness = harness(&element, false);
    harness.push(frame(0)).unwrap();
    std::thread::sleep(3 * QUIET_TIME);
    assert_eq!(harness.buffers_received(), 0);
    // Back to the automatic one, for the batch that is open.
    element.set_property("batch-timeout", u64::MAX);
    assert_frame(&harness.pull().expect("the frame that waits"), 0);
}

#[test]
fn a_live_stream_keeps_to_its_fill() {
    let element = detector();
    let mut harness = harness(&element, true);
    harness.push(frame(0)).unwrap();
    // The clock stands still, and what was promised is counted on it.
    std::thread::sleep(3 * QUIET_TIME);
    assert_eq!(harness.buffers_received(), 0);
    harness.crank_single_clock_wait().unwrap();
    assert_frame(&harness.pull().unwrap(), 0);
}

#[test]
fn a_flush_or_a_pause_at_the_moment_when_a_batch_would_run_loses_nothing() {
    let element = detector();
    let mut harness = flowing(&element);
    for round in 0..6u64 {
        harness.push(frame(1)).unwrap();
        // Around the time at which it runs.
        std::thread::sleep(QUIET_TIME - Duration::from_millis(5) + Duration::from_millis(2) * round as u32);
        match round % 2 {
            0 => {
                flush(&mut harness);
                while harness.try_pull().is_some() {}
                // A preroll.
                harness.push(frame(2)).unwrap();
                assert_frame(&harness.pull().unwrap(), 2);
            }
            _ => {
                element.set_state(gst::State::Paused).unwrap();
                assert_frame(&harness.pull().unwrap(), 1);
                element.set_state(gst::State::Playing).unwrap();
            }
        }
        harness.push(frame(3)).unwrap();
        assert_frame(&harness.pull().unwrap(), 3);
    }
}

/// A frame that arrives when the batch is about to run goes into it or into the next, and is not forgotten.
#[test]
fn a_frame_at_the_moment_when_a_batch_runs_is_not_forgotten() {
    let element = detector();
    let mut harness = flowing(&element);
    for round in 0..8u64 {
        let (first, second) = (2 * round + 1, 2 * round + 2);
        harness.push(frame(first)).unwrap();
        std::thread::sleep(QUIET_TIME - Duration::from_millis(4) + Duration::from_millis(1) * round as u32);
        harness.push(frame(second)).unwrap();
        assert_frame(&harness.pull().unwrap(), first);
        assert_frame(&harness.pull().unwrap(), second);
    }
}

#[test]
fn two_that_share_a_model_get_what_is_there() {
    let elements = ["quiet-pair"; 2].map(|group| {
        let element = detector();
        element.set_property("model-instance-id", group);
        element
    });
    let [mut first, mut second] = elements.each_ref().map(flowing);
    for index in 1..9 {
        first.push(frame(index)).unwrap();
        assert_frame(&first.pull().unwrap(), index);
        second.push(frame(index + 20)).unwrap();
        second.push(frame(index + 30)).unwrap();
        assert_frame(&second.pull().unwrap(), index + 20);
        assert_frame(&second.pull().unwrap(), index + 30);
    }
}

/// The settings of [`detector`], for a description of a pipeline.
fn detect(number: usize, batch_size: u32, more: &str) -> String {
    init();
    let model = text(model());
    format!(
        "img2posedetect name=detect{number} model={model} min-size=64 num-threads=1 batch-size={batch_size} \
         score-threshold=0.05 max-faces=4 {more}"
    )
}

fn launch(description: &str) -> gst::Pipeline {
    let pipeline = gst::parse::launch(description).unwrap();
    pipeline.downcast().unwrap()
}

/// Files at full speed, where the element waits for the decoder, here one that takes 10 ms for a frame, and where the decoder
/// waits for the element; and two elements that share a model.
#[test]
fn files_fill_their_batches() {
    const SIZE: u64 = 8;
    for (decoding, frames) in [(10_000, 120), (0, 800)] {
        for pipelines in [1, 2] {
            let more = format!("model-instance-id=files-{pipelines}");
            let description: String = (0..pipelines)
                .map(|number| {
                    let detect = detect(number, SIZE as u32, &more);
                    format!(
                        "videotestsrc num-buffers={frames} ! {CAPS} ! identity sleep-time={decoding} ! {detect} ! fakesink "
                    )
                })
                .collect();
            let pipeline = launch(&description);
            let elements = (0..pipelines).map(|number| pipeline.by_name(&format!("detect{number}")).unwrap());
            let elements: Vec<_> = elements.map(|element| (Pauses::of(&element), element)).collect();
            pipeline.set_state(gst::State::Playing).unwrap();
            let end = message(&pipeline, &[gst::MessageType::Eos, gst::MessageType::Error]);
            assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
            let allowance: u64 = elements.iter().map(|(pauses, _)| pauses.allowance()).sum();
            // What need not be full: a batch for the preroll and the last one, of each.
            let most = (frames * pipelines as u64).div_ceil(SIZE) + 2 * pipelines as u64 + allowance;
            for (_, element) in &elements {
                let batches = stat(element, "batches");
                assert!(
                    batches <= most,
                    "{batches} batches, expected at most {most}: {pipelines} pipelines of {frames} frames, decoding takes \
                     {decoding} us"
                );
            }
            pipeline.set_state(gst::State::Null).unwrap();
        }
    }
}

/// A tee's branches that meet again: the one without the element holds the tee up, which brings no more frames for a batch.
/// It used to stand still.
#[test]
fn branches_of_a_tee_that_meet_again_go_on() {
    let pipeline = launch(&format!(
        "videotestsrc num-buffers=40 ! {CAPS} ! tee name=t \
         t. ! queue max-size-buffers=3 ! matroskamux name=mux ! fakesink \
         t. ! queue ! {} ! mux.",
        detect(0, 16, "")
    ));
    let element = pipeline.by_name("detect0").unwrap();
    run_to_eos(&pipeline);
    assert_eq!(stat(&element, "frames-out"), 40);
    // Each three or four frames; made to wait for more once, and then seldom.
    assert!(stat(&element, "batches") >= 8);
    assert!(
        stat(&element, "quiet-batches") <= 6,
        "{}",
        stat(&element, "quiet-batches")
    );
}

/// A demuxer is one thread for sound and pictures: behind a muxer that waits for pictures, sound fills its queue and holds the
/// demuxer up. It used to stand still.
#[test]
fn a_muxer_with_sound_gets_its_pictures() {
    let pipeline = launch(&format!(
        "appsrc name=pictures format=time block=true max-buffers=1 max-bytes=0 ! {CAPS} ! {} ! \
         matroskamux name=mux ! fakesink \
         appsrc name=sound format=time block=true max-buffers=1 max-bytes=0 ! \
         audio/x-raw,format=S16LE,rate=8000,channels=1,layout=interleaved ! queue max-size-buffers=2 ! mux.",
        detect(0, 16, "")
    ));
    let element = pipeline.by_name("detect0").unwrap();
    let source = |name: &str| {
        let source = pipeline.by_name(name).unwrap();
        source.downcast::<gst_app::AppSrc>().unwrap()
    };
    let (pictures, sound) = (source("pictures"), source("sound"));
    let sound_caps = "audio/x-raw,format=S16LE,rate=8000,channels=1,layout=interleaved";
    pictures.set_caps(Some(&CAPS.parse().unwrap()));
    sound.set_caps(Some(&sound_caps.parse().unwrap()));
    let demuxer = std::thread::spawn(move || {
        for index in 0..40 {
            let mut samples = gst::Buffer::from_mut_slice(vec![0u8; 640]);
            let inner = samples.get_mut().unwrap();
            inner.set_pts(FRAME * index);
            inner.set_duration(FRAME);
            sound.push_buffer(samples).unwrap();
            pictures.push_buffer(frame(index)).unwrap();
        }
        sound.end_of_stream().unwrap();
        pictures.end_of_stream().unwrap();
    });
    run_to_eos(&pipeline);
    demuxer.join().unwrap();
    assert_eq!(stat(&element, "frames-out"), 40);
}
