//! The model of the element: from what was sent, and what each call returned, follows what must come out.
//!
//! It knows nothing of threads. What depends on their timing is left open, and only that: how much of the queue has
//! left before a flush, when an error of downstream has reached upstream, and whether the one frame that met a loose
//! end did so.

use std::collections::BTreeMap;

use crate::downstream::{Seen, SeenBuffer};
use crate::frames::{caps, faces_alone};

/// What the rules for an event depend on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventKind {
    StreamStart,
    Caps,
    /// Caps that cannot be read.
    BadCaps,
    Segment,
    Tag,
    CustomSticky(String),
    StreamGroupDone,
    Eos,
    /// Not sticky.
    Passing,
}

impl EventKind {
    pub fn of(event: &gst::Event) -> Self {
        match event.type_() {
            gst::EventType::StreamStart => Self::StreamStart,
            gst::EventType::Caps => Self::Caps,
            gst::EventType::Segment => Self::Segment,
            gst::EventType::Tag => Self::Tag,
            gst::EventType::StreamGroupDone => Self::StreamGroupDone,
            gst::EventType::Eos => Self::Eos,
            gst::EventType::CustomDownstreamSticky => {
                Self::CustomSticky(event.structure().unwrap().name().to_string())
            }
            _ => Self::Passing,
        }
    }

    fn is_sticky(&self) -> bool {
        *self != Self::Passing
    }

    /// Whether it must still arrive when a flush has thrown it out of the queue.
    fn survives_flush(&self) -> bool {
        matches!(
            self,
            Self::StreamStart | Self::Caps | Self::Tag | Self::CustomSticky(_)
        )
    }
}

/// A frame as it was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Also its offset.
    pub id: u64,
    /// Address of the buffer.
    pub buffer: usize,
    /// Addresses of its memories.
    pub memories: Vec<usize>,
    /// Whether somebody else held the buffer, so that another one with the same memories has to leave.
    pub shared: bool,
    /// Whether it came in a list, which holds it for an unknown time.
    pub in_list: bool,
    pub pts: Option<gst::ClockTime>,
    pub dts: Option<gst::ClockTime>,
    pub flags: gst::BufferFlags,
    pub stream: usize,
    pub picture: u8,
    /// Number of the value that `score-threshold` had at the latest before.
    pub threshold: usize,
    /// What downstream returns for it.
    pub answer: Option<gst::FlowError>,
}

/// What the streaming thread did.
#[derive(Clone, Debug)]
pub enum Action {
    /// One frame, or a list.
    Frames(Vec<Sent>),
    ShortBuffer,
    Event {
        seqnum: gst::Seqnum,
        kind: EventKind,
    },
    Query(u64),
    /// The link to downstream was taken away, with nothing under way.
    Unlinked,
    /// It was restored.
    Linked,
}

/// What the call returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Flow(Result<gst::FlowSuccess, gst::FlowError>),
    Done(bool),
    /// Nothing was called.
    Nothing,
}

/// One action and its outcome.
#[derive(Clone, Debug)]
pub struct Step {
    pub action: Action,
    pub outcome: Outcome,
}

/// How a part of the sequence ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a flush; `rested`: after the streaming thread had come to rest.
    Flush { rested: bool },
    /// With a state change to READY.
    Stop { rested: bool },
    /// With the end of the sequence: all that is due has to come.
    Whole,
}

/// What lies between two flushes.
#[derive(Clone, Debug)]
pub struct Part {
    pub steps: Vec<Step>,
    pub end: End,
}

/// Something that must come out.
#[derive(Clone, Debug)]
struct Due<'a> {
    what: DueWhat<'a>,
    optional: bool,
}

#[derive(Clone, Debug)]
enum DueWhat<'a> {
    Frame(&'a Sent),
    Event(gst::Seqnum, &'a EventKind),
    Query(u64),
}

/// Sticky events that a flush has thrown out of the queue, by kind.
type Carried = BTreeMap<EventKind, CarriedEvents>;

#[derive(Clone, Debug, Default)]
struct CarriedEvents {
    /// The event that must still come, unless a newer one of its kind does.
    must: Option<gst::Seqnum>,
    /// Events that may come: the flush may have hidden from GStreamer that they have come or that they were accepted.
    may: Vec<gst::Seqnum>,
}

impl CarriedEvents {
    fn contains(&self, seqnum: gst::Seqnum) -> bool {
        self.must == Some(seqnum) || self.may.contains(&seqnum)
    }
}

/// Checks a whole sequence. `thresholds`: the values, by index, that `score-threshold` had one after the other.
///
/// # Errors
/// What is wrong, in words.
pub fn check(parts: &[Part], seen: &[Seen], thresholds: &[usize]) -> Result<(), String> {
    let mut carried = Carried::new();
    let mut rest = seen;
    for (number, part) in parts.iter().enumerate() {
        let is_end = |seen: &Seen| match part.end {
            End::Flush { .. } => matches!(seen, Seen::FlushStop),
            End::Stop { .. } => matches!(seen, Seen::Stopped),
            End::Whole => false,
        };
        let end = rest.iter().position(is_end);
        if part.end != End::Whole && end.is_none() {
            return Err(format!("part {number}: {:?} was not seen", part.end));
        }
        let here = &rest[..end.unwrap_or(rest.len())];
        rest = &rest[end.map_or(rest.len(), |end| end + 1)..];
        let due = Walk::new(part.end).due(&part.steps).and_then(|(due, cut)| {
            let mut carried_on = compare(part, &due, here, &mut carried, thresholds)?;
            for (kind, seqnum) in cut {
                if kind.survives_flush() {
                    carried_on.entry(kind.clone()).or_default().must = Some(seqnum);
                }
            }
            Ok(carried_on)
        });
        carried = due.map_err(|error| {
            let here: Vec<String> = here.iter().map(brief).collect();
            format!("part {number}: {error}; came: {}", here.join(", "))
        })?;
        if matches!(part.end, End::Stop { .. }) {
            carried.clear();
        }
    }
    Ok(())
}

/// Compares what was seen with what is due. Returns the sticky events that a flush has kept from leaving.
fn compare(
    part: &Part,
    due: &[Due<'_>],
    seen: &[Seen],
    carried: &mut Carried,
    thresholds: &[usize],
) -> Result<Carried, String> {
    let mut cursor = 0;
    let old = carried.clone();
    let mut passed_kinds: Vec<EventKind> = Vec::new();
    for seen in seen {
        if let Seen::Event { seqnum, kind } = seen {
            // From before the flush.
            if old.get(kind).is_some_and(|old| old.contains(*seqnum)) && !passed_kinds.contains(kind) {
                if let Some(events) = carried.get_mut(kind)
                    && events.must == Some(*seqnum)
                {
                    events.must = None;
                    events.may.push(*seqnum);
                }
                continue;
            }
        }
        let found = due[cursor..]
            .iter()
            .position(|due| due.what.is(seen))
            .filter(|found| due[cursor..cursor + found].iter().all(|due| due.optional));
        let Some(found) = found else {
            return Err(format!(
                "unexpected {}, due is {:?}",
                brief(seen),
                due.get(cursor).map(|due| &due.what)
            ));
        };
        for skipped in &due[cursor..=cursor + found] {
            if let DueWhat::Event(_, kind) = skipped.what {
                passed_kinds.push(kind.clone());
                carried.remove(kind);
                if *kind == EventKind::StreamStart {
                    // Tags belong to their stream.
                    carried.remove(&EventKind::Tag);
                }
            }
        }
        cursor += found + 1;
        if let (Seen::Buffer(buffer), DueWhat::Frame(sent)) = (seen, &due[cursor - 1].what) {
            compare_frame(sent, buffer, thresholds).map_err(|error| format!("frame {}: {error}", sent.id))?;
            if let Some((kind, _)) = carried.iter().find(|(_, events)| events.must.is_some()) {
                return Err(format!(
                    "frame {} came before {kind:?}, which a flush has lost",
                    sent.id
                ));
            }
        }
    }
    let missing: Vec<_> = due[cursor..].iter().filter(|due| !due.optional).collect();
    if part.end == End::Whole
        && let Some(missing) = missing.first()
    {
        return Err(format!("{:?} did not come", missing.what));
    }
    if let Some(missing) = missing.iter().find(|due| matches!(due.what, DueWhat::Query(_))) {
        return Err(format!("{:?} was answered but did not come", missing.what));
    }
    let mut carried_on = carried.clone();
    for (index, due) in due.iter().enumerate() {
        if let DueWhat::Event(seqnum, kind) = due.what
            && kind.survives_flush()
        {
            if index < cursor {
                carried_on.remove(kind);
            }
            if *kind == EventKind::StreamStart {
                carried_on.remove(&EventKind::Tag);
            }
            // Of those that have come only the last can be hidden from GStreamer by the flush.
            if index + 1 >= cursor {
                let events = carried_on.entry(kind.clone()).or_default();
                if index < cursor || due.optional {
                    events.may.push(seqnum);
                } else {
                    events.must = Some(seqnum);
                }
            }
        }
    }
    Ok(carried_on)
}

impl DueWhat<'_> {
    fn is(&self, seen: &Seen) -> bool {
        match (self, seen) {
            (Self::Frame(sent), Seen::Buffer(buffer)) => sent.id == buffer.buffer.offset(),
            (Self::Event(due, _), Seen::Event { seqnum, .. }) => due == seqnum,
            (Self::Query(due), Seen::Query(id)) => due == id,
            _ => false,
        }
    }
}

fn brief(seen: &Seen) -> String {
    match seen {
        Seen::Buffer(buffer) => format!("frame {}", buffer.buffer.offset()),
        Seen::Event { seqnum, kind } => format!("{kind:?} {seqnum:?}"),
        other => format!("{other:?}"),
    }
}

fn compare_frame(sent: &Sent, seen: &SeenBuffer, thresholds: &[usize]) -> Result<(), String> {
    let buffer = &seen.buffer;
    let same = |what: &str, same: bool| {
        if same {
            Ok(())
        } else {
            Err(format!("{what} differs: sent {sent:?}, came {buffer:?}"))
        }
    };
    same(
        "the buffer",
        sent.in_list || sent.shared != (buffer.as_ptr() as usize == sent.buffer),
    )?;
    same(
        "the memory",
        buffer
            .iter_memories()
            .map(|memory| memory.as_ptr() as usize)
            .eq(sent.memories.iter().copied()),
    )?;
    same("the PTS", buffer.pts() == sent.pts)?;
    same("the DTS", buffer.dts() == sent.dts)?;
    // GStreamer sets TAG_MEMORY itself when it copies a buffer without its memory.
    let flags = buffer.flags() - gst::BufferFlags::TAG_MEMORY;
    same("a flag", flags == sent.flags)?;
    let expected_caps = caps(sent.stream);
    if seen.caps.as_ref() != Some(&expected_caps) {
        return Err(format!("came under {:?}, not {expected_caps:?}", seen.caps));
    }
    let candidates = &thresholds[sent.threshold..=seen.thresholds];
    let matches = candidates
        .iter()
        .any(|&threshold| seen.faces.as_ref() == Some(&faces_alone(sent.stream, sent.picture, threshold)));
    if !matches {
        let alone = faces_alone(sent.stream, sent.picture, candidates[0]);
        return Err(format!("carries {:?}, alone it gets {alone:?}", seen.faces));
    }
    Ok(())
}

/// Walks through the steps of a part and works out what is due.
struct Walk {
    end: End,
    /// The sink pad is at EOS.
    eos: bool,
    /// What downstream returns, or will return when the frame arrives there.
    doom: Option<gst::FlowError>,
    /// That has reached upstream.
    known: bool,
    /// The link is away.
    unlinked: bool,
    /// The place of the first frame that was accepted since.
    first_unlinked: Option<usize>,
    /// The flush that ends this part has reached upstream.
    flushing: bool,
}

type Found<'a> = (Vec<Due<'a>>, Vec<(&'a EventKind, gst::Seqnum)>);

impl Walk {
    fn new(end: End) -> Self {
        Self {
            end,
            eos: false,
            doom: None,
            known: false,
            unlinked: false,
            first_unlinked: None,
            flushing: false,
        }
    }

    /// What is due, and the events behind an error, which will not leave before a flush.
    fn due<'a>(mut self, steps: &'a [Step]) -> Result<Found<'a>, String> {
        let mut due: Vec<Due<'a>> = Vec::new();
        let mut cut = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            self.step(step, &mut due, &mut cut)
                .map_err(|error| format!("step {number}, {:?}: {error}", step.action))?;
        }
        Ok((due, cut))
    }

    fn step<'a>(
        &mut self,
        step: &'a Step,
        due: &mut Vec<Due<'a>>,
        cut: &mut Vec<(&'a EventKind, gst::Seqnum)>,
    ) -> Result<(), String> {
        match &step.action {
            Action::Unlinked => {
                self.unlinked = true;
                self.known = false;
                self.first_unlinked = None;
            }
            Action::Linked => {
                self.unlinked = false;
                if let Some(first) = self.first_unlinked.take() {
                    if self.known {
                        due.remove(first);
                    } else {
                        due[first].optional = true;
                    }
                }
                self.known = false;
            }
            Action::Frames(frames) => {
                let accepted = self.flow(step.outcome)?;
                if accepted || (frames.len() > 1 && self.flushing) {
                    for sent in frames {
                        if self.doom.is_some() {
                            break;
                        }
                        if self.unlinked && self.first_unlinked.is_none() {
                            self.first_unlinked = Some(due.len());
                        }
                        due.push(Due {
                            what: DueWhat::Frame(sent),
                            optional: !accepted,
                        });
                        if accepted && sent.answer.is_some() {
                            self.doom = sent.answer;
                            self.known = false;
                        }
                    }
                }
            }
            Action::ShortBuffer => {
                let is_read_error = step.outcome == Outcome::Flow(Err(gst::FlowError::Error));
                if self.eos || !is_read_error {
                    let accepted = self.flow(step.outcome)?;
                    if accepted {
                        return Err("a buffer with too few bytes was accepted".to_owned());
                    }
                }
            }
            Action::Event { seqnum, kind } => {
                let was_flushing = self.flushing;
                let accepted = self.event(kind, step.outcome)?;
                if !accepted && self.flushing && !was_flushing && kind.is_sticky() {
                    // The flush may have come when the element had it and its pad had not.
                    due.push(Due {
                        what: DueWhat::Event(*seqnum, kind),
                        optional: true,
                    });
                }
                if accepted {
                    match kind {
                        EventKind::StreamStart => self.eos = false,
                        EventKind::Eos => self.eos = true,
                        _ => {}
                    }
                    if matches!(kind, EventKind::StreamStart | EventKind::Segment)
                        && self.doom == Some(gst::FlowError::Eos)
                    {
                        self.doom = None;
                        self.known = false;
                    }
                    if self.doom.is_none_or(|error| error == gst::FlowError::Eos) {
                        due.push(Due {
                            what: DueWhat::Event(*seqnum, kind),
                            optional: false,
                        });
                    } else {
                        cut.push((kind, *seqnum));
                    }
                }
            }
            Action::Query(id) => {
                let answered = match (step.outcome, self.doom) {
                    (Outcome::Done(true), None) if !self.flushing => true,
                    // Everything before it has left by now, so the error is known.
                    (Outcome::Done(false), Some(_)) => {
                        self.known = true;
                        false
                    }
                    (outcome, _) => {
                        self.refused_by_flush(outcome)?;
                        false
                    }
                };
                if answered {
                    due.push(Due {
                        what: DueWhat::Query(*id),
                        optional: false,
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether a frame was accepted.
    fn flow(&mut self, outcome: Outcome) -> Result<bool, String> {
        let Outcome::Flow(flow) = outcome else {
            return Err(format!("unexpected outcome {outcome:?}"));
        };
        let error = if self.unlinked {
            Some(gst::FlowError::NotLinked)
        } else {
            self.doom
        };
        if self.eos && flow == Err(gst::FlowError::Eos) {
            return Ok(false);
        }
        let can_be_accepted = !self.eos && (error.is_none() || !self.known) && !self.flushing;
        match flow {
            Ok(_) if can_be_accepted => Ok(true),
            Err(returned) if Some(returned) == error => {
                self.known = true;
                Ok(false)
            }
            _ => self.refused_by_flush(outcome).map(|()| false).map_err(|other| {
                format!("{other}; accepted can be {can_be_accepted}, error can be {error:?}")
            }),
        }
    }

    /// Whether an event was accepted.
    fn event(&mut self, kind: &EventKind, outcome: Outcome) -> Result<bool, String> {
        if *kind == EventKind::BadCaps || (self.eos && *kind != EventKind::StreamStart) {
            return match outcome {
                Outcome::Done(false) => Ok(false),
                other => Err(format!("{other:?}, but it must be refused")),
            };
        }
        let fatal = self.doom.filter(|error| *error != gst::FlowError::Eos);
        // Sticky events stay; what follows them will report the error.
        let is_kept = kind.is_sticky() && *kind != EventKind::Eos;
        if is_kept && self.flushing && outcome == Outcome::Done(true) && matches!(self.end, End::Stop { .. })
        {
            // It was on its way when the element stopped.
            return Ok(false);
        }
        let can_be_refused = fatal.is_some() && !is_kept;
        match outcome {
            Outcome::Done(true) if !self.flushing && !(can_be_refused && self.known) => Ok(true),
            Outcome::Done(false) if can_be_refused => {
                self.known = true;
                Ok(false)
            }
            other => self.refused_by_flush(other).map(|()| false),
        }
    }

    fn refused_by_flush(&mut self, outcome: Outcome) -> Result<(), String> {
        let is_refused = matches!(
            outcome,
            Outcome::Done(false) | Outcome::Flow(Err(gst::FlowError::Flushing))
        );
        let flush = matches!(
            self.end,
            End::Flush { rested: false } | End::Stop { rested: false }
        );
        if is_refused && flush {
            self.flushing = true;
            Ok(())
        } else {
            Err(format!("unexpected outcome {outcome:?}"))
        }
    }
}
