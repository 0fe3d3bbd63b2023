//! What can happen to the element, and how random sequences of it are made.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::frames::{LAYOUTS, Layout, N_PICTURES, N_STREAMS, THRESHOLDS};

/// A frame and what downstream answers to it.
#[derive(Clone, Debug)]
pub struct FrameOp {
    /// Which picture.
    pub picture: u8,
    /// How it lies in memory.
    pub layout: Layout,
    /// Presentation time in milliseconds, not in order; `None`: no timestamp.
    pub pts: Option<u64>,
    /// Flags DISCONT, MARKER, GAP, DROPPABLE by bit.
    pub flags: u8,
    /// Whether somebody else holds the buffer too.
    pub shared: bool,
    /// What downstream returns for it.
    pub answer: Answer,
}

/// What downstream returns for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Ok,
    Eos,
    Error,
    NotNegotiated,
    Flushing,
}

/// A serialized event from upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventOp {
    Gap,
    Tag,
    Custom,
    /// A sticky custom event; those of one name replace each other.
    CustomSticky(u8),
    /// A segment of this rate that starts at this many milliseconds.
    Segment(i8, u16),
    SegmentDone,
    StreamGroupDone,
    Caps(usize),
    /// Caps that the element cannot read.
    BadCaps,
    StreamStart,
    Eos,
}

/// A step of a sequence.
#[derive(Clone, Debug)]
pub enum Op {
    Frame(FrameOp),
    List(Vec<FrameOp>),
    /// A buffer with too few bytes.
    ShortBuffer,
    Event(EventOp),
    /// An event that is not serialized.
    Oob,
    /// A serialized query, DRAIN.
    Drain,
    /// The serialized query ALLOCATION.
    Allocation,
    /// Flushes so many times, at once or after the streaming thread has come to rest.
    Flush {
        rested: bool,
        times: u8,
    },
    /// Stops the element and starts it again.
    Restart {
        rested: bool,
        null: bool,
        batch_size: u32,
        playing: bool,
    },
    /// PAUSED to PLAYING and back.
    Play(bool),
    /// `batch-timeout` in microseconds.
    Timeout(Option<u64>),
    /// `score-threshold` by index.
    Threshold(usize),
    /// `inference-interval`.
    Interval(u32),
    /// Downstream blocks.
    Hold,
    /// Downstream goes on.
    Release,
    /// Waits until the streaming thread rests.
    Rest,
    /// Waits until everything has left: whatever was sent, nothing waits for more to come.
    Settle,
    /// Lets so many milliseconds pass, on the element's clock too: about as many as a batch waits for more frames.
    Wait(u64),
    /// Unlinks downstream, pushes frames and perhaps new caps, links it again.
    Relink {
        frames: u8,
        stream: Option<usize>,
    },
    /// Events and queries from downstream.
    Reconfigure,
    Qos,
    Latency,
}

/// How a sequence starts.
#[derive(Clone, Debug)]
pub struct Start {
    /// Whether the model is shared with the sequences that run at the same time and have the same batch size.
    pub shared: bool,
    pub batch_size: u32,
    pub max_queued_batches: u32,
    pub live: bool,
    pub playing: bool,
    pub timeout: Option<u64>,
    pub stream: usize,
    /// Whether the element's clock is one of the test's, which stands still until the sequence lets time pass.
    pub still_clock: bool,
    /// `whole-frame-interval`.
    pub whole_frame_interval: u32,
}

/// A whole sequence.
#[derive(Clone, Debug)]
pub struct Sequence {
    pub start: Start,
    pub ops: Vec<Op>,
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.start)?;
        self.ops.iter().try_for_each(|op| writeln!(f, "  {op:?}"))
    }
}

fn timeout() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![3 => Just(None), 1 => Just(Some(0)), 2 => (1u64..3000).prop_map(Some)]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        120 => Just(Answer::Ok),
        2 => Just(Answer::Eos),
        1 => Just(Answer::Error),
        1 => Just(Answer::NotNegotiated),
        1 => Just(Answer::Flushing),
    ]
}

fn frame() -> impl Strategy<Value = FrameOp> {
    (
        0..N_PICTURES,
        prop::sample::select(&LAYOUTS[..]),
        prop::option::weighted(0.9, 0u64..5000),
        prop_oneof![3 => Just(0u8), 1 => 0u8..16],
        prop::bool::weighted(0.2),
        answer(),
    )
        .prop_map(|(picture, layout, pts, flags, shared, answer)| FrameOp {
            picture,
            layout,
            pts,
            flags,
            shared,
            answer,
        })
}

fn event() -> impl Strategy<Value = EventOp> {
    prop_oneof![
        3 => Just(EventOp::Gap),
        3 => Just(EventOp::Tag),
        4 => Just(EventOp::Custom),
        2 => (0u8..2).prop_map(EventOp::CustomSticky),
        3 => (prop_oneof![Just(1i8), Just(-1), Just(2)], 0u16..500).prop_map(|(rate, start)| EventOp::Segment(rate, start)),
        1 => Just(EventOp::SegmentDone),
        1 => Just(EventOp::StreamGroupDone),
        6 => (0..N_STREAMS).prop_map(EventOp::Caps),
        1 => Just(EventOp::BadCaps),
        1 => Just(EventOp::StreamStart),
        1 => Just(EventOp::Eos),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        40 => frame().prop_map(Op::Frame),
        2 => vec(frame(), 1..5).prop_map(Op::List),
        1 => Just(Op::ShortBuffer),
        14 => event().prop_map(Op::Event),
        2 => Just(Op::Oob),
        2 => Just(Op::Drain),
        1 => Just(Op::Allocation),
        4 => (any::<bool>(), 1u8..4).prop_map(|(rested, times)| Op::Flush { rested, times }),
        2 => (any::<bool>(), prop::bool::weighted(0.2), 1u32..6, any::<bool>()).prop_map(
            |(rested, null, batch_size, playing)| Op::Restart { rested, null, batch_size, playing }
        ),
        3 => any::<bool>().prop_map(Op::Play),
        2 => timeout().prop_map(Op::Timeout),
        2 => (0..THRESHOLDS.len()).prop_map(Op::Threshold),
        2 => (1u32..4).prop_map(Op::Interval),
        2 => Just(Op::Hold),
        2 => Just(Op::Release),
        2 => Just(Op::Rest),
        2 => Just(Op::Settle),
        1 => (30u64..140).prop_map(Op::Wait),
        2 => (1u8..12, prop::option::of(0..N_STREAMS)).prop_map(|(frames, stream)| Op::Relink { frames, stream }),
        1 => Just(Op::Reconfigure),
        1 => Just(Op::Qos),
        1 => Just(Op::Latency),
    ]
}

/// Sequences of 5 to 40 steps.
pub fn sequence() -> impl Strategy<Value = Sequence> {
    let start = (
        prop::bool::weighted(0.4),
        1u32..6,
        1u32..4,
        prop::bool::weighted(0.3),
        any::<bool>(),
        timeout(),
        0..N_STREAMS,
        any::<bool>(),
        prop_oneof![3 => Just(1u32), 2 => 2u32..6],
    );
    let start = start.prop_map(
        |(
            shared,
            batch_size,
            max_queued_batches,
            live,
            playing,
            timeout,
            stream,
            still_clock,
            whole_frame_interval,
        )| Start {
            whole_frame_interval,
            shared,
            batch_size,
            max_queued_batches,
            live,
            playing,
            timeout,
            stream,
            still_clock,
        },
    );
    (start, vec(op(), 5..40)).prop_map(|(start, ops)| Sequence { start, ops })
}
