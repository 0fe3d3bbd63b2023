//! Drives the real element through a sequence and hands what happened to the model.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_check::TestClock;

use crate::downstream::Downstream;
use crate::expect::{Action, End, EventKind, Outcome, Part, Sent, Step, check};
use crate::frames::{Network, Setting, THRESHOLDS, caps};
use crate::make;
use crate::operation::{Answer, EventOp, FrameOp, Op, Sequence, Start};
use crate::streamer::{Call, Streamer};
use crate::support;

/// How long nothing may come before what is missing counts as lost.
const QUIET_LIMIT: Duration = Duration::from_secs(20);

/// What the element's clock moves on by while the test waits for a batch whose time has to come.
const TICK: gst::ClockTime = gst::ClockTime::from_mseconds(10);

/// What is common to the elements of many sequences.
pub struct Setup {
    /// Where their network runs.
    pub network: Network,
    /// Sets what that needs.
    pub prepare: Box<dyn Fn(&gst::Element) + Send + Sync>,
}

impl Setup {
    /// The network runs in this process.
    #[allow(dead_code, reason = "the storm with a server has its own")]
    pub fn here() -> Self {
        Self {
            network: Network::Here,
            prepare: Box::new(|_| ()),
        }
    }
}

/// The element between two pads of the test.
struct Rig {
    network: Network,
    element: gst::Element,
    /// The element's clock, where it stands still until the test lets time pass.
    clock: Option<TestClock>,
    bus: gst::Bus,
    upstream: gst::Pad,
    sinkpad: gst::Pad,
    srcpad: gst::Pad,
    downstream: Downstream,
    downpad: gst::Pad,
    qos_upstream: Arc<Mutex<usize>>,
    streamer: Streamer,
    parts: Vec<Part>,
    shared: bool,
    live: bool,
    playing: bool,
    timeout: Option<u64>,
    stream: usize,
    settings: Vec<Setting>,
    next_id: u64,
    streams_started: usize,
    /// Whether EOS was sent since the stream began.
    eos: bool,
    /// Number of OOB events by whether they were accepted.
    oob: Vec<(gst::Seqnum, bool)>,
    qos_sent: usize,
    held_buffers: Vec<gst::Buffer>,
    life: Arc<()>,
}

/// Runs a sequence.
///
/// # Errors
/// What the element did wrong, in words.
pub fn run(sequence: &Sequence, setup: &Setup) -> Result<(), String> {
    let mut rig = Rig::new(&sequence.start, setup);
    for op in &sequence.ops {
        rig.apply(op)?;
    }
    rig.finish()
}

fn new_element(start: &Start, setup: &Setup) -> gst::Element {
    let element = support::detector();
    (setup.prepare)(&element);
    element.set_property("whole-frame-interval", start.whole_frame_interval);
    element.set_property("region-size", 32u32);
    set_batch_size(&element, setup.network, start.shared, start.batch_size);
    element.set_property("max-queued-batches", start.max_queued_batches);
    element.set_property("batch-timeout", nanoseconds(start.timeout));
    element.set_property("score-threshold", THRESHOLDS[0]);
    element
}

/// Elements can share a model only if they have the same batch size and follow faces alike.
fn set_batch_size(element: &gst::Element, network: Network, shared: bool, batch_size: u32) {
    element.set_property("batch-size", batch_size);
    if shared {
        let interval = element.property::<u32>("whole-frame-interval");
        let name = format!("storm-{network:?}-{batch_size}-{interval}");
        element.set_property("model-instance-id", name);
    }
}

/// Starts `element`. A server that loses batches may lose those of the start, which then fails: it is tried again.
fn start(element: &gst::Element, bus: &gst::Bus, network: Network, state: gst::State) {
    while let Err(error) = element.set_state(state) {
        assert_eq!(network, Network::LostServer, "{error}");
        // Errors of the sequence that have come before stay.
        let mut errors: Vec<_> =
            std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Error])).collect();
        let text = support::error_text(&errors.pop().expect("it says why"));
        for error in errors {
            bus.post(error).unwrap();
        }
        // Sequences that hang are ended by the watchdog.
        assert!(text.contains("Is it running"), "{text}");
        element.set_state(gst::State::Null).unwrap();
    }
}

/// Lets time pass on a clock that stands still.
fn pass(clock: &TestClock, time: gst::ClockTime) {
    clock.set_time(clock.time() + time);
    while clock.process_next_clock_id().is_some() {}
}

fn nanoseconds(timeout: Option<u64>) -> u64 {
    timeout.map_or(u64::MAX, |microseconds| microseconds * 1000)
}

impl Rig {
    fn new(start: &Start, setup: &Setup) -> Self {
        let element = new_element(start, setup);
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let clock = start.still_clock.then(TestClock::new);
        let element_clock = match &clock {
            Some(clock) => clock.clone().upcast(),
            None => gst::SystemClock::obtain(),
        };
        element.set_clock(Some(&element_clock)).unwrap();
        element.set_base_time(element_clock.time());

        let (sinkpad, srcpad) = (
            element.static_pad("sink").unwrap(),
            element.static_pad("src").unwrap(),
        );
        let live = start.live;
        let qos_upstream = Arc::new(Mutex::new(0));
        let upstream = gst::Pad::builder(gst::PadDirection::Src)
            .name("upstream")
            .query_function(move |pad, parent, query| match query.view_mut() {
                gst::QueryViewMut::Latency(latency) => {
                    latency.set(live, gst::ClockTime::ZERO, gst::ClockTime::NONE);
                    true
                }
                _ => gst::Pad::query_default(pad, parent, query),
            })
            .event_function({
                let qos_upstream = qos_upstream.clone();
                move |_, _, event| {
                    if event.type_() == gst::EventType::Qos {
                        *qos_upstream.lock().unwrap() += 1;
                    }
                    true
                }
            })
            .build();
        upstream.set_active(true).unwrap();
        upstream.link(&sinkpad).unwrap();
        let (downstream, downpad) = Downstream::new();
        srcpad.link(&downpad).unwrap();

        let state = if start.playing {
            gst::State::Playing
        } else {
            gst::State::Paused
        };
        self::start(&element, &bus, setup.network, state);
        let mut this = Self {
            network: setup.network,
            streamer: Streamer::start(sinkpad.clone()),
            element,
            clock,
            bus,
            upstream,
            sinkpad,
            srcpad,
            downstream,
            downpad,
            qos_upstream,
            parts: vec![Part {
                steps: Vec::new(),
                end: End::Whole,
            }],
            shared: start.shared,
            live,
            playing: start.playing,
            timeout: start.timeout,
            stream: start.stream,
            settings: vec![Setting {
                follows: start.whole_frame_interval > 1,
                network: setup.network,
                ..Setting::FIRST
            }],
            next_id: 1,
            streams_started: 0,
            eos: false,
            oob: Vec::new(),
            qos_sent: 0,
            held_buffers: Vec::new(),
            life: Arc::new(()),
        };
        this.begin_stream();
        this
    }

    fn begin_stream(&mut self) {
        self.event(EventOp::StreamStart);
        self.event(EventOp::Caps(self.stream));
        self.event(EventOp::Segment(1, 0));
    }

    fn note(&mut self, action: Action) {
        let outcome = Outcome::Nothing;
        self.parts
            .last_mut()
            .unwrap()
            .steps
            .push(Step { action, outcome });
    }

    fn call(&mut self, action: Action, call: Call) {
        self.note(action);
        self.streamer.call(call);
    }

    /// Lets downstream go on and waits until the streaming thread rests.
    fn rest(&mut self) -> Outcome {
        self.downstream.hold(false);
        self.streamer.rest()
    }

    fn end_part(&mut self, end: End) {
        self.parts.last_mut().unwrap().end = end;
        self.parts.push(Part {
            steps: Vec::new(),
            end: End::Whole,
        });
    }

    fn frame(&mut self, op: &FrameOp) -> (gst::Buffer, Sent) {
        let id = self.next_id;
        self.next_id += 1;
        let setting = self.settings.len() - 1;
        let (buffer, sent) = make::frame(op, id, self.stream, setting, &self.life);
        if op.shared {
            self.held_buffers.push(buffer.clone());
        }
        if let Some(error) = sent.answer {
            self.downstream.answer(id, error);
        }
        (buffer, sent)
    }

    fn event(&mut self, op: EventOp) {
        match op {
            EventOp::Caps(stream) => self.stream = stream,
            EventOp::StreamStart => {
                self.streams_started += 1;
                self.eos = false;
            }
            EventOp::Eos => self.eos = true,
            _ => {}
        }
        let event = make::event(op, self.streams_started);
        let kind = match op {
            EventOp::BadCaps => EventKind::BadCaps,
            _ => EventKind::of(&event),
        };
        let seqnum = event.seqnum();
        self.call(Action::Event { seqnum, kind }, Call::Event(event));
    }

    fn drain(&mut self) {
        let id = self.next_id;
        self.next_id += 1;
        self.call(Action::Query(id), Call::Drain(id));
    }

    fn apply(&mut self, op: &Op) -> Result<(), String> {
        match op {
            Op::Frame(frame) => {
                let (buffer, sent) = self.frame(frame);
                self.call(Action::Frames(vec![sent]), Call::Chain(buffer));
            }
            Op::List(frames) => {
                let (buffers, sent): (Vec<_>, Vec<_>) = frames
                    .iter()
                    .map(|frame| FrameOp {
                        answer: Answer::Ok,
                        ..frame.clone()
                    })
                    .map(|frame| {
                        let (buffer, sent) = self.frame(&frame);
                        let in_list = true;
                        (buffer, Sent { in_list, ..sent })
                    })
                    .unzip();
                self.call(
                    Action::Frames(sent),
                    Call::ChainList(buffers.into_iter().collect()),
                );
            }
            Op::ShortBuffer => {
                let (id, setting) = (self.next_id, self.settings.len() - 1);
                self.next_id += 1;
                let mut buffer = gst::Buffer::from_slice([0u8; 100]);
                buffer.get_mut().unwrap().set_offset(id);
                self.call(Action::ShortBuffer { id, setting }, Call::Chain(buffer));
            }
            // After EOS caps would be refused, and frames of the old caps be taken for those of the new.
            Op::Event(EventOp::Caps(_)) if self.eos => {}
            Op::Event(event) => self.event(*event),
            Op::Oob => {
                let event = gst::event::CustomDownstreamOob::new(gst::Structure::new_empty("oob"));
                let seqnum = event.seqnum();
                let accepted = self.sinkpad.send_event(event);
                self.oob.push((seqnum, accepted));
            }
            Op::Drain => self.drain(),
            Op::Allocation => self.call(Action::Query(0), Call::Allocation(caps(self.stream))),
            Op::Flush { rested, times } => self.flush(*rested, *times)?,
            Op::Restart {
                rested,
                null,
                batch_size,
                playing,
            } => self.restart(*rested, *null, *batch_size, *playing),
            Op::Play(playing) => {
                self.playing = *playing;
                let state = if *playing {
                    gst::State::Playing
                } else {
                    gst::State::Paused
                };
                self.element
                    .set_state(state)
                    .map_err(|_| format!("cannot go to {state:?}"))?;
            }
            Op::Timeout(timeout) => {
                self.timeout = *timeout;
                self.element.set_property("batch-timeout", nanoseconds(*timeout));
            }
            // The elements of a shared model have to agree.
            Op::Threshold(_) if self.shared => {}
            Op::Threshold(threshold) => {
                let threshold = *threshold;
                self.set(Setting {
                    threshold,
                    ..self.setting()
                });
                self.element
                    .set_property("score-threshold", THRESHOLDS[threshold]);
            }
            Op::Interval(interval) => {
                let interval = *interval;
                self.set(Setting {
                    interval,
                    ..self.setting()
                });
                self.element.set_property("inference-interval", interval);
            }
            Op::Hold => self.downstream.hold(true),
            Op::Release => self.downstream.hold(false),
            Op::Rest => {
                self.rest();
            }
            Op::Settle => self.settle()?,
            Op::Wait(milliseconds) => match &self.clock {
                Some(clock) => pass(clock, gst::ClockTime::from_mseconds(*milliseconds)),
                None => std::thread::sleep(Duration::from_millis(*milliseconds)),
            },
            Op::Relink { frames, stream } => self.relink(*frames, *stream),
            Op::Reconfigure => {
                self.downpad.push_event(gst::event::Reconfigure::new());
            }
            Op::Qos => {
                let qos = gst::event::Qos::new(gst::QOSType::Underflow, 1.5, 30, gst::ClockTime::ZERO);
                if self.downpad.push_event(qos) {
                    self.qos_sent += 1;
                }
            }
            Op::Latency => {
                let mut query = gst::query::Latency::new();
                if !self.srcpad.query(&mut query) {
                    return Err("the latency query was refused".to_owned());
                }
            }
        }
        Ok(())
    }

    fn setting(&self) -> Setting {
        self.settings[self.settings.len() - 1]
    }

    /// Takes note that a setting is about to change.
    fn set(&mut self, setting: Setting) {
        self.settings.push(setting);
        self.downstream.next_setting();
    }

    /// Whether a batch may wait for a time on the element's clock.
    fn waits_for_clock(&self) -> bool {
        self.playing && (self.live || self.timeout.is_some_and(|timeout| timeout > 0))
    }

    /// Waits until the element is empty, with nothing sent that would close a batch. A clock that stands still moves on only
    /// where a batch may wait for it. Where an error of this part keeps frames from leaving there is nothing to wait for.
    fn settle(&mut self) -> Result<(), String> {
        self.rest();
        let is_clean = self
            .parts
            .last()
            .unwrap()
            .steps
            .iter()
            .all(|step| match &step.action {
                Action::Frames(frames) => frames.iter().all(|frame| frame.answer.is_none()),
                Action::ShortBuffer { .. } => false,
                _ => true,
            });
        if !is_clean {
            return Ok(());
        }
        let queued = || support::stat(&self.element, "queue-level");
        let began = Instant::now();
        while queued() > 0 {
            if began.elapsed() > QUIET_LIMIT {
                return Err(format!("stands still with {} frames", queued()));
            }
            if let Some(clock) = &self.clock
                && self.waits_for_clock()
            {
                pass(clock, TICK);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn flush(&mut self, rested: bool, times: u8) -> Result<(), String> {
        if rested {
            self.rest();
        }
        for round in 0..times {
            // The pad refuses the second: it flushes already.
            for first in [true, false] {
                let started = self.sinkpad.send_event(gst::event::FlushStart::new());
                if started != first {
                    return Err(format!("FLUSH_START returned {started}, first: {first}"));
                }
            }
            self.streamer.rest();
            let rested = rested || round > 0;
            self.end_part(End::Flush { rested });
            if !self.sinkpad.send_event(gst::event::FlushStop::new(true)) {
                return Err("FLUSH_STOP was refused".to_owned());
            }
        }
        self.eos = false;
        // What the flush has refused, the pad of a real upstream would send again.
        let last_start = make::stream_id(self.streams_started);
        if self.sinkpad.stream_id().is_none_or(|id| id != last_start) {
            self.event(EventOp::StreamStart);
        }
        if self.sinkpad.current_caps() != Some(caps(self.stream)) {
            self.event(EventOp::Caps(self.stream));
        }
        self.event(EventOp::Segment(1, 0));
        Ok(())
    }

    fn restart(&mut self, rested: bool, null: bool, batch_size: u32, playing: bool) {
        if rested {
            self.rest();
        }
        // As a sink would, which stops first.
        self.downstream.hold(false);
        self.element.set_state(gst::State::Ready).unwrap();
        self.streamer.rest();
        self.downstream.stopped();
        self.end_part(End::Stop { rested });
        if null {
            self.element.set_state(gst::State::Null).unwrap();
            set_batch_size(&self.element, self.network, self.shared, batch_size);
        }
        let state = if playing {
            gst::State::Playing
        } else {
            gst::State::Paused
        };
        self.playing = playing;
        start(&self.element, &self.bus, self.network, state);
        self.begin_stream();
    }

    /// Leaves the source pad unlinked for some frames. Not after an error or EOS, where nothing would be tried.
    fn relink(&mut self, frames: u8, stream: Option<usize>) {
        self.drain();
        if self.rest() != Outcome::Done(true) || self.sinkpad.pad_flags().contains(gst::PadFlags::EOS) {
            return;
        }
        // No frame would meet the loose end, and of the events that do only the last of a kind comes out.
        let steps = &self.parts.last().unwrap().steps;
        if steps
            .iter()
            .any(|step| matches!(step.action, Action::ShortBuffer { .. }))
        {
            return;
        }
        self.srcpad.unlink(&self.downpad).unwrap();
        self.note(Action::Unlinked);
        let plain = FrameOp {
            picture: 1,
            layout: crate::frames::Layout::Plain,
            pts: None,
            flags: 0,
            shared: false,
            answer: Answer::Ok,
        };
        for _ in 0..frames {
            let (buffer, sent) = self.frame(&plain);
            self.call(Action::Frames(vec![sent]), Call::Chain(buffer));
        }
        if let Some(stream) = stream {
            self.event(EventOp::Caps(stream));
            let (buffer, sent) = self.frame(&plain);
            self.call(Action::Frames(vec![sent]), Call::Chain(buffer));
        }
        self.streamer.rest();
        self.srcpad.link(&self.downpad).unwrap();
        self.note(Action::Linked);
    }

    /// The parts with the outcomes of the calls.
    fn parts(&self) -> Vec<Part> {
        let outcomes = self.streamer.outcomes();
        let mut outcomes = outcomes.into_iter();
        let mut parts = self.parts.clone();
        for step in parts.iter_mut().flat_map(|part| &mut part.steps) {
            if !matches!(step.action, Action::Unlinked | Action::Linked) {
                step.outcome = outcomes.next().expect("an outcome for each call");
            }
        }
        parts
    }

    fn finish(mut self) -> Result<(), String> {
        self.event(EventOp::Eos);
        self.rest();
        let parts = self.parts();
        self.downstream
            .check_until(QUIET_LIMIT, |seen| check(&parts, seen, &self.settings))?;
        self.check_around()?;
        if self.errors(&parts) == (0, 0) {
            // The task may still be on its way back from downstream.
            support::wait_until("the queue is empty", || {
                support::stat(&self.element, "queue-level") == 0
            });
        }
        self.element.set_state(gst::State::Null).unwrap();
        self.check_errors(&parts)?;
        self.downstream.clear();
        self.held_buffers.clear();
        if let Some(clock) = &self.clock
            && clock.peek_id_count() != 0
        {
            return Err("a timer is kept after the end".to_owned());
        }
        match Arc::strong_count(&self.life) {
            1 => {}
            more => return Err(format!("{} memories are kept by the stopped element", more - 1)),
        }
        self.bus.set_flushing(true);
        self.upstream.unlink(&self.sinkpad).unwrap();
        self.srcpad.unlink(&self.downpad).unwrap();
        let element = self.element.downgrade();
        drop(self);
        match element.upgrade() {
            None => Ok(()),
            Some(element) => Err(format!("the element is still referenced {}", element.ref_count())),
        }
    }

    /// What is not in the order of the stream.
    fn check_around(&self) -> Result<(), String> {
        let mut came = self.downstream.oob();
        for (seqnum, accepted) in &self.oob {
            let times = came.iter().filter(|other| *other == seqnum).count();
            if times != usize::from(*accepted) {
                return Err(format!("an OOB event, accepted: {accepted}, came {times} times"));
            }
            came.retain(|other| other != seqnum);
        }
        let qos = *self.qos_upstream.lock().unwrap();
        if qos != self.qos_sent {
            return Err(format!("{qos} of {} QOS events came upstream", self.qos_sent));
        }
        Ok(())
    }

    /// Least and greatest number of error messages that are right.
    fn errors(&self, parts: &[Part]) -> (usize, usize) {
        let mut least = 0;
        let mut most = 0;
        for part in parts {
            let has_short = part.steps.iter().any(|step| {
                matches!(step.action, Action::ShortBuffer { .. })
                    && step.outcome == Outcome::Flow(Err(gst::FlowError::Error))
            });
            let has_failure = part.steps.iter().any(|step| match &step.action {
                Action::Frames(frames) => frames
                    .iter()
                    .any(|frame| frame.answer.is_some_and(|answer| answer != gst::FlowError::Eos)),
                Action::Unlinked => true,
                _ => false,
            });
            least += usize::from(has_short && !has_failure);
            most += usize::from(has_short || has_failure);
        }
        (least, most)
    }

    fn check_errors(&self, parts: &[Part]) -> Result<(), String> {
        let (least, most) = self.errors(parts);
        let errors: Vec<String> = std::iter::from_fn(|| self.bus.pop_filtered(&[gst::MessageType::Error]))
            .map(|message| support::error_text(&message))
            .collect();
        if (least..=most).contains(&errors.len()) {
            Ok(())
        } else {
            Err(format!("{least} to {most} errors expected, posted: {errors:?}"))
        }
    }
}
