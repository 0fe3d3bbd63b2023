//! Random streams against a simple model of the element: what went in since the last flush comes out, the same frames
//! with their own faces in the same places between the same events, and nothing is kept.
//!
//! `IMG2POSE_RANDOM_CASES` sets the number of streams. A stream that fails is shrunk and printed.

#[path = "detect/support/mod.rs"]
#[allow(dead_code)] // Written for the other tests.
mod support;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_check::TestClock;
use img2pose::{Detector, Face};
use proptest::prelude::*;
use support::*;

/// Frames differ in one of so many ways, so that their faces are known from a table.
const VARIANTS: u64 = 5;
const SIZES: [(u32, u32); 3] = [(64, 48), (48, 64), (96, 40)];
/// A stream takes milliseconds; one that takes so long has met a deadlock.
const WATCHDOG: Duration = Duration::from_secs(120);
/// How long the last item may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
enum Step {
    Frame,
    Custom,
    Tag,
    Gap,
    Segment,
    StreamStart,
    Caps(usize),
    Query,
    Flush,
    Pause,
    Play,
    /// Milliseconds that pass on the clock.
    Time(u64),
    /// Waits until everything has come out, unless a batch waits for a time on the clock, which stands still.
    Settle,
    /// `batch-timeout` in milliseconds.
    Timeout(Option<u64>),
    Interval(u32),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        24 => Just(Step::Frame),
        2 => Just(Step::Custom),
        1 => Just(Step::Tag),
        1 => Just(Step::Gap),
        1 => Just(Step::Segment),
        1 => Just(Step::StreamStart),
        2 => (0..SIZES.len()).prop_map(Step::Caps),
        1 => Just(Step::Query),
        2 => Just(Step::Flush),
        1 => Just(Step::Pause),
        2 => Just(Step::Play),
        3 => (1u64..300).prop_map(Step::Time),
        1 => Just(Step::Settle),
        1 => prop::option::of(0u64..200).prop_map(Step::Timeout),
        1 => (1u32..4).prop_map(Step::Interval),
        1 => Just(Step::Restart),
    ]
}

/// What comes out of the source pad.
#[derive(Clone, Debug, PartialEq)]
enum Output {
    /// Index of a frame, its size by the caps, and its faces if it was looked at.
    Frame(u64, (u32, u32), Option<Vec<Face>>),
    Event(String),
    Flush,
}

/// What a frame is like.
#[derive(Clone, Copy, Debug)]
struct Sent {
    index: u64,
    size: usize,
}

/// Memory that is counted while it lives.
struct Counted(Vec<u8>, Arc<AtomicUsize>);

impl AsMut<[u8]> for Counted {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The element between two pads of ours, on a clock of ours.
struct Rig {
    element: gst::Element,
    source: gst::Pad,
    sink: gst::Pad,
    clock: TestClock,
    output: Arc<Mutex<Vec<Output>>>,
    buffers: Arc<AtomicUsize>,
    faces: HashMap<(usize, u64), Vec<Face>>,
    live: Arc<Mutex<bool>>,
}

impl Rig {
    fn new() -> Self {
        let element = detector();
        let clock = TestClock::new();
        element.set_clock(Some(&clock)).unwrap();
        element.set_base_time(gst::ClockTime::ZERO);
        let live = Arc::new(Mutex::new(false));
        let source = gst::Pad::builder(gst::PadDirection::Src)
            .query_function({
                let live = live.clone();
                move |pad, parent, query| match query.view_mut() {
                    gst::QueryViewMut::Latency(latency) => {
                        latency.set(*live.lock().unwrap(), gst::ClockTime::ZERO, gst::ClockTime::NONE);
                        true
                    }
                    _ => gst::Pad::query_default(pad, parent, query),
                }
            })
            .build();
        let output = Arc::new(Mutex::new(Vec::new()));
        let sink = gst::Pad::builder(gst::PadDirection::Sink)
            .chain_function({
                let output = output.clone();
                move |pad, _, buffer| {
                    let info = gst_video::VideoInfo::from_caps(&pad.current_caps().unwrap()).unwrap();
                    let size = (info.width(), info.height());
                    let frame = Output::Frame(buffer.offset(), size, faces_on(&buffer));
                    output.lock().unwrap().push(frame);
                    Ok(gst::FlowSuccess::Ok)
                }
            })
            .query_function(|pad, parent, query| match query.view_mut() {
                // By default a pad accepts only the caps that it has.
                gst::QueryViewMut::AcceptCaps(accept) => {
                    accept.set_result(true);
                    true
                }
                _ => gst::Pad::query_default(pad, parent, query),
            })
            .event_function({
                let output = output.clone();
                move |_, _, event| {
                    let output = &mut output.lock().unwrap();
                    output.push(match event.view() {
                        gst::EventView::FlushStart(_) => return true,
                        gst::EventView::FlushStop(_) => Output::Flush,
                        _ => Output::Event(describe(&event)),
                    });
                    true
                }
            })
            .build();
        source.link(&element.static_pad("sink").unwrap()).unwrap();
        element.static_pad("src").unwrap().link(&sink).unwrap();
        let mut alone: Detector = bare_detector();
        let faces = (0..SIZES.len())
            .flat_map(|size| (0..VARIANTS).map(move |variant| (size, variant)))
            .map(|(size, variant)| {
                let (width, height) = SIZES[size];
                ((size, variant), faces_of(&mut alone, width, height, variant))
            })
            .collect();
        Self {
            element,
            source,
            sink,
            clock,
            output,
            buffers: Arc::default(),
            faces,
            live,
        }
    }

    fn frame(&self, sent: Sent) -> gst::Buffer {
        let (width, height) = SIZES[sent.size];
        self.buffers.fetch_add(1, Ordering::SeqCst);
        let memory = Counted(pixels(width, height, sent.index % VARIANTS), self.buffers.clone());
        let mut buffer = gst::Buffer::from_mut_slice(memory);
        let inner = buffer.get_mut().unwrap();
        inner.set_pts(FRAME * sent.index);
        inner.set_offset(sent.index);
        buffer
    }

    fn stop(&self) {
        self.element.set_state(gst::State::Null).unwrap();
        self.source.set_active(false).unwrap();
        self.sink.set_active(false).unwrap();
    }

    /// Plays one stream and returns what was expected and what came.
    fn play(&self, live: bool, batch_size: u32, steps: &[Step]) -> Result<(), TestCaseError> {
        *self.live.lock().unwrap() = live;
        self.output.lock().unwrap().clear();
        self.element.set_property("batch-size", batch_size);
        self.element.set_property("batch-timeout", u64::MAX);
        self.element.set_property("inference-interval", 1u32);
        self.source.set_active(true).unwrap();
        self.sink.set_active(true).unwrap();
        self.element.set_state(gst::State::Playing).unwrap();

        let mut stream = Stream {
            rig: self,
            expected: vec![Vec::new()],
            size: 0,
            index: 0,
            streams: 0,
            live,
            playing: true,
            timeout: None,
        };
        stream.begin();
        for step in steps {
            stream.take(step)?;
        }
        stream.send(gst::event::Eos::new());
        stream.check_end()?;

        self.element.set_state(gst::State::Ready).unwrap();
        self.source.set_active(false).unwrap();
        self.sink.set_active(false).unwrap();
        prop_assert_eq!(self.buffers.load(Ordering::SeqCst), 0, "buffers are kept");
        prop_assert_eq!(self.clock.peek_id_count(), 0, "a timer is kept");
        Ok(())
    }
}

fn describe(event: &gst::EventRef) -> String {
    format!("{} {:?}", event.type_().name(), event.seqnum())
}

/// One generation of a stream: what went in since the last flush.
struct Stream<'r> {
    rig: &'r Rig,
    /// For each generation what must come out, in order.
    expected: Vec<Vec<Expected>>,
    size: usize,
    index: u64,
    streams: u64,
    live: bool,
    playing: bool,
    /// `batch-timeout` in milliseconds.
    timeout: Option<u64>,
}

#[derive(Clone, Debug)]
enum Expected {
    Frame(Sent),
    Event(String),
}

impl Stream<'_> {
    fn begin(&mut self) {
        self.start_stream();
        self.send_caps();
        self.segment();
    }

    fn start_stream(&mut self) {
        self.streams += 1;
        self.send(gst::event::StreamStart::new(&format!("stream-{}", self.streams)));
    }

    fn segment(&mut self) {
        self.send(gst::event::Segment::new(
            &gst::FormattedSegment::<gst::ClockTime>::new(),
        ));
    }

    fn send_caps(&mut self) {
        let (width, height) = SIZES[self.size];
        let caps = format!("video/x-raw,format=GRAY8,width={width},height={height},framerate=25/1");
        self.send(gst::event::Caps::new(&caps.parse::<gst::Caps>().unwrap()));
    }

    fn send(&mut self, event: gst::Event) {
        let expected = Expected::Event(describe(&event));
        assert!(self.rig.source.push_event(event));
        self.expected.last_mut().unwrap().push(expected);
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let rig = self.rig;
        match step {
            Step::Frame => {
                let sent = Sent {
                    index: self.index,
                    size: self.size,
                };
                self.index += 1;
                prop_assert_eq!(rig.source.push(rig.frame(sent)), Ok(gst::FlowSuccess::Ok));
                self.expected.last_mut().unwrap().push(Expected::Frame(sent));
            }
            Step::Custom => self.send(gst::event::CustomDownstream::new(gst::Structure::new_empty("x"))),
            Step::Tag => self.send(gst::event::Tag::new(gst::TagList::new())),
            Step::Gap => self.send(gst::event::Gap::new(FRAME * self.index, FRAME)),
            Step::Segment => self.segment(),
            Step::StreamStart => self.begin(),
            Step::Caps(size) => {
                let changed = std::mem::replace(&mut self.size, *size) != *size;
                // The pad does not pass on the caps that it has already.
                if changed {
                    self.send_caps();
                }
            }
            Step::Query => {
                let mut query = gst::query::Drain::new();
                rig.source.peer_query(&mut query);
                let here = self.current();
                prop_assert_eq!(
                    here.len(),
                    self.expected.last().unwrap().len(),
                    "left before the query"
                );
            }
            Step::Flush => {
                prop_assert!(rig.source.push_event(gst::event::FlushStart::new()));
                prop_assert!(rig.source.push_event(gst::event::FlushStop::new(true)));
                self.expected.push(Vec::new());
                self.segment();
            }
            Step::Pause => {
                self.playing = false;
                rig.element.set_state(gst::State::Paused).unwrap();
            }
            Step::Play => {
                self.playing = true;
                rig.element.set_state(gst::State::Playing).unwrap();
            }
            Step::Time(milliseconds) => {
                let now = rig.clock.time() + gst::ClockTime::from_mseconds(*milliseconds);
                rig.clock.set_time(now);
                while rig.clock.process_next_clock_id().is_some() {}
            }
            Step::Settle => {
                let waits_for_clock =
                    self.playing && (self.live || self.timeout.is_some_and(|timeout| timeout > 0));
                if !waits_for_clock {
                    self.check_end()?;
                }
            }
            Step::Timeout(milliseconds) => {
                self.timeout = *milliseconds;
                let timeout = milliseconds.map_or(u64::MAX, |milliseconds| milliseconds * 1_000_000);
                rig.element.set_property("batch-timeout", timeout);
            }
            Step::Interval(interval) => rig.element.set_property("inference-interval", *interval),
            Step::Restart => {
                rig.element.set_state(gst::State::Ready).unwrap();
                // What was there is gone, as after a flush.
                self.check()?;
                rig.output.lock().unwrap().push(Output::Flush);
                self.playing = true;
                rig.element.set_state(gst::State::Playing).unwrap();
                self.expected.push(Vec::new());
                // Sticky events were lost with the pads' activation.
                self.begin();
            }
        }
        Ok(())
    }

    /// What has come out, by generation. Sticky events that a flush has delayed are left out where they come late.
    fn generations(&self) -> Vec<Vec<Output>> {
        let output = self.rig.output.lock().unwrap();
        let is_late = |generation: usize, output: &Output| match output {
            Output::Event(event) => self.expected[..generation.min(self.expected.len())]
                .iter()
                .flatten()
                .any(|expected| matches!(expected, Expected::Event(earlier) if earlier == event)),
            _ => false,
        };
        output
            .split(|output| *output == Output::Flush)
            .enumerate()
            .map(|(index, outputs)| {
                outputs
                    .iter()
                    .filter(|output| !is_late(index, output))
                    .cloned()
                    .collect()
            })
            .collect()
    }

    /// What has come out since the last flush.
    fn current(&self) -> Vec<Output> {
        self.generations().pop().unwrap()
    }

    /// Waits until everything has come out.
    fn check_end(&self) -> Result<(), TestCaseError> {
        let complete = self.expected.last().unwrap().len();
        let began = Instant::now();
        while self.current().len() < complete && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_micros(100));
        }
        self.check()?;
        prop_assert_eq!(self.current().len(), complete);
        Ok(())
    }

    /// Each generation came out up to some point, in order, each frame with its own faces or none.
    fn check(&self) -> Result<(), TestCaseError> {
        let generations = self.generations();
        prop_assert_eq!(generations.len(), self.expected.len());
        for (generation, expected) in generations.iter().zip(&self.expected) {
            prop_assert!(generation.len() <= expected.len());
            for (output, expected) in generation.iter().zip(expected) {
                match (output, expected) {
                    (Output::Event(output), Expected::Event(expected)) => prop_assert_eq!(output, expected),
                    (Output::Frame(index, size, faces), Expected::Frame(sent)) => {
                        prop_assert_eq!(*index, sent.index);
                        prop_assert_eq!(*size, SIZES[sent.size]);
                        if let Some(faces) = faces {
                            let own = &self.rig.faces[&(sent.size, sent.index % VARIANTS)];
                            prop_assert_eq!(faces, own);
                        }
                    }
                    (output, expected) => {
                        prop_assert!(false, "{output:?} came, {expected:?} was expected");
                    }
                }
            }
        }
        Ok(())
    }
}

/// Runs the closure and ends the program when it takes too long.
fn watched<R>(what: &str, body: impl FnOnce() -> R) -> R {
    let (done, wait) = channel::<()>();
    let what = what.to_owned();
    let watch = std::thread::spawn(move || {
        if wait.recv_timeout(WATCHDOG) == Err(RecvTimeoutError::Timeout) {
            eprintln!("deadlock in {what}");
            std::process::abort();
        }
    });
    let result = body();
    drop(done);
    watch.join().unwrap();
    result
}

#[test]
fn random_streams_come_out_as_they_went_in() {
    let cases = std::env::var("IMG2POSE_RANDOM_CASES").map_or(2000, |cases| cases.parse().unwrap());
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..Default::default()
    };
    let streams = (any::<bool>(), 1u32..6, prop::collection::vec(step(), 0..40));
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let rig = RefCell::new(None);
    let result = runner.run(&streams, |(live, batch_size, steps)| {
        watched(
            &format!("live {live}, batches of {batch_size}: {steps:?}"),
            || {
                let this = rig.take().unwrap_or_else(Rig::new);
                let result = this.play(live, batch_size, &steps);
                if result.is_ok() {
                    rig.replace(Some(this));
                } else {
                    // One that has failed is in no state to be used again.
                    this.stop();
                }
                result
            },
        )
    });
    if let Some(rig) = rig.take() {
        rig.stop();
    }
    if let Err(error) = result {
        panic!("{error}");
    }
}
