//! The buffers and events of a sequence.

use std::sync::Arc;

use crate::expect::Sent;
use crate::frames::{buffer, caps};
use crate::operation::{Answer, EventOp, FrameOp};

/// The id of the stream with this number.
pub fn stream_id(number: usize) -> String {
    format!("stream-{number}")
}

/// An event; `stream`: the number of the stream that a STREAM_START begins.
pub fn event(op: EventOp, stream: usize) -> gst::Event {
    let empty = gst::Structure::new_empty;
    match op {
        EventOp::Gap => gst::event::Gap::new(gst::ClockTime::ZERO, gst::ClockTime::SECOND),
        EventOp::Tag => {
            let mut tags = gst::TagList::new();
            tags.get_mut()
                .unwrap()
                .add::<gst::tags::Title>(&"title", gst::TagMergeMode::Append);
            gst::event::Tag::new(tags)
        }
        EventOp::Custom => gst::event::CustomDownstream::new(empty("custom")),
        EventOp::CustomSticky(name) => {
            gst::event::CustomDownstreamSticky::new(empty(&format!("sticky-{name}")))
        }
        EventOp::Segment(rate, start) => {
            let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
            segment.set_rate(f64::from(rate));
            segment.set_start(gst::ClockTime::from_mseconds(start.into()));
            segment.set_stop(gst::ClockTime::from_seconds(10));
            segment.set_offset(gst::ClockTime::from_mseconds(u64::from(start) / 3));
            gst::event::Segment::new(&segment)
        }
        EventOp::SegmentDone => gst::event::SegmentDone::new(gst::ClockTime::ZERO),
        EventOp::StreamGroupDone => gst::event::StreamGroupDone::new(gst::GroupId::next()),
        EventOp::Caps(stream) => gst::event::Caps::new(&caps(stream)),
        EventOp::BadCaps => {
            let caps = "video/x-raw,format=Y42B,width=64,height=48,framerate=25/1";
            gst::event::Caps::new(&caps.parse().unwrap())
        }
        EventOp::StreamStart => gst::event::StreamStart::new(&stream_id(stream)),
        EventOp::Eos => gst::event::Eos::new(),
    }
}

/// A frame of a stream, and what is to be remembered of it. `setting`: the number of the setting that holds at the latest; `life`:
/// see [`buffer`].
pub fn frame(op: &FrameOp, id: u64, stream: usize, setting: usize, life: &Arc<()>) -> (gst::Buffer, Sent) {
    let mut buffer = buffer(stream, op.picture, op.layout, life);
    let flags = [
        gst::BufferFlags::DISCONT,
        gst::BufferFlags::MARKER,
        gst::BufferFlags::GAP,
        gst::BufferFlags::DROPPABLE,
    ]
    .into_iter()
    .enumerate()
    .filter(|(bit, _)| op.flags & (1 << bit) != 0)
    .fold(gst::BufferFlags::empty(), |flags, (_, flag)| flags | flag);
    {
        let buffer = buffer.get_mut().unwrap();
        buffer.set_offset(id);
        buffer.set_pts(op.pts.map(gst::ClockTime::from_mseconds));
        buffer.set_dts(op.pts.map(|pts| gst::ClockTime::from_mseconds(pts / 2)));
        buffer.unset_flags(gst::BufferFlags::all() - gst::BufferFlags::TAG_MEMORY);
        buffer.set_flags(flags);
    }
    let answer = match op.answer {
        Answer::Ok => None,
        Answer::Eos => Some(gst::FlowError::Eos),
        Answer::Error => Some(gst::FlowError::Error),
        Answer::NotNegotiated => Some(gst::FlowError::NotNegotiated),
        Answer::Flushing => Some(gst::FlowError::Flushing),
    };
    let sent = Sent {
        id,
        buffer: buffer.as_ptr() as usize,
        memories: buffer
            .iter_memories()
            .map(|memory| memory.as_ptr() as usize)
            .collect(),
        shared: op.shared,
        in_list: false,
        pts: buffer.pts(),
        dts: buffer.dts(),
        flags,
        stream,
        picture: op.picture,
        setting,
        answer,
    };
    (buffer, sent)
}
