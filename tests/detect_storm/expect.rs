//! The model of the element: from what was sent, and what each call returned, follows what must come out.
//!
//! It knows nothing of threads. What depends on their timing is left open, and only that: how much of the queue has
//! left before a flush, when an error of downstream has reached upstream, and whether the one frame that met a loose
//! end did so.

use std::collections::BTreeMap;

use crate::downstream::{Seen, SeenBuffer};
use crate::frames::{Network, Setting, THRESHOLDS, caps, faces_alone};
use crate::walk::Walk;

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

    pub fn is_sticky(&self) -> bool {
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
    /// Number of the setting that held at the latest before.
    pub setting: usize,
    /// What downstream returns for it.
    pub answer: Option<gst::FlowError>,
}

/// What the streaming thread did.
#[derive(Clone, Debug)]
pub enum Action {
    /// One frame, or a list.
    Frames(Vec<Sent>),
    /// A buffer with too few bytes for a frame; `setting` as in [`Sent`].
    ShortBuffer {
        id: u64,
        setting: usize,
    },
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
pub struct Due<'a> {
    pub what: DueWhat<'a>,
    /// It may as well not come.
    pub optional: bool,
}

#[derive(Clone, Debug)]
pub enum DueWhat<'a> {
    Frame(&'a Sent),
    /// A buffer that can leave only if nobody has looked at it.
    Unread {
        id: u64,
        setting: usize,
    },
    Event(gst::Seqnum, &'a EventKind),
    Query(u64),
}

/// Sticky events that a flush has thrown out of the queue, by kind.
type Carried = BTreeMap<EventKind, CarriedEvents>;

#[derive(Clone, Debug, Default)]
struct CarriedEvents {
    /// Events that may come, oldest first: the flush may have hidden from GStreamer that they have come or that they
    /// were accepted.
    may: Vec<gst::Seqnum>,
    /// How many of them are older than the one that must come, unless a newer one does.
    must: Option<usize>,
}

impl CarriedEvents {
    /// One more that may come.
    fn allow(&mut self, seqnum: gst::Seqnum) {
        self.may.push(seqnum);
    }

    /// One more that must come.
    fn demand(&mut self, seqnum: gst::Seqnum) {
        self.must = Some(self.may.len());
        self.may.push(seqnum);
    }

    fn contains(&self, seqnum: gst::Seqnum) -> bool {
        self.may.contains(&seqnum)
    }

    fn has_come(&mut self, seqnum: gst::Seqnum) {
        let place = self.may.iter().position(|other| *other == seqnum);
        if place >= self.must {
            self.must = None;
        }
    }
}

/// Checks a whole sequence. `settings`: those that held one after the other.
///
/// # Errors
/// What is wrong, in words.
pub fn check(parts: &[Part], seen: &[Seen], settings: &[Setting]) -> Result<(), String> {
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
        let carries = carried
            .keys()
            .any(|kind| matches!(kind, EventKind::CustomSticky(_)));
        let due = Walk::new(part.end, carries)
            .due(&part.steps)
            .and_then(|(due, cut)| {
                let mut carried_on = compare(part, &due, here, &mut carried, settings)?;
                for (kind, seqnum) in cut {
                    if *kind == EventKind::StreamStart {
                        // Tags belong to their stream.
                        carried_on.remove(&EventKind::Tag);
                    }
                    if kind.survives_flush() {
                        carried_on.entry(kind.clone()).or_default().demand(seqnum);
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
    settings: &[Setting],
) -> Result<Carried, String> {
    let mut cursor = 0;
    let old = carried.clone();
    let mut passed_kinds: Vec<EventKind> = Vec::new();
    for seen in seen {
        if let Seen::Event { seqnum, kind } = seen {
            // From before the flush.
            if old.get(kind).is_some_and(|old| old.contains(*seqnum)) && !passed_kinds.contains(kind) {
                if let Some(events) = carried.get_mut(kind) {
                    events.has_come(*seqnum);
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
        if let (Seen::Buffer(buffer), DueWhat::Unread { id, setting }) = (seen, &due[cursor - 1].what) {
            let candidates = &settings[*setting..=buffer.settings];
            let can_be_skipped = candidates.iter().any(|setting| setting.interval > 1);
            if buffer.faces.is_some() || !can_be_skipped {
                return Err(format!("buffer {id} has too few bytes, but was looked at"));
            }
        }
        if let (Seen::Buffer(buffer), DueWhat::Frame(sent)) = (seen, &due[cursor - 1].what) {
            let is_first = Some(sent.id) == first_frame(part);
            compare_frame(sent, buffer, settings, is_first)
                .map_err(|error| format!("frame {}: {error}", sent.id))?;
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
                    events.allow(seqnum);
                } else {
                    events.demand(seqnum);
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
            (Self::Unread { id, .. }, Seen::Buffer(buffer)) => *id == buffer.buffer.offset(),
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

/// The frame that came in first since the last flush.
fn first_frame(part: &Part) -> Option<u64> {
    part.steps.iter().find_map(|step| match &step.action {
        Action::Frames(frames) => frames.first().map(|frame| frame.id),
        _ => None,
    })
}

/// `is_first`: it is the first of its part, which is looked at whatever `inference-interval` says.
fn compare_frame(sent: &Sent, seen: &SeenBuffer, settings: &[Setting], is_first: bool) -> Result<(), String> {
    let buffer = &seen.buffer;
    let same = |what: &str, same: bool| {
        if same {
            Ok(())
        } else {
            Err(format!("{what} differs: sent {sent:?}, came {buffer:?}"))
        }
    };
    // One that others hold cannot take faces, so that a copy leaves; where there are none it leaves itself.
    let is_copied = sent.shared && seen.faces.is_some();
    same(
        "the buffer",
        sent.in_list || is_copied != (buffer.as_ptr() as usize == sent.buffer),
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
    let candidates = &settings[sent.setting..=seen.settings];
    let matches = candidates.iter().any(|setting| match &seen.faces {
        // The first one is looked at as a whole, and the least confidence holds everywhere.
        Some(faces) if setting.follows && !is_first => {
            let least = THRESHOLDS[setting.threshold];
            faces.len() <= 8 && faces.iter().all(|face| face.confidence >= least)
        }
        Some(faces) => {
            let alone = faces_alone(sent.stream, sent.picture, setting.threshold);
            setting.network.agrees(&alone, faces)
        }
        None => setting.network == Network::LostServer || setting.interval > 1 && !is_first,
    });
    if !matches {
        let alone = faces_alone(sent.stream, sent.picture, candidates[0].threshold);
        return Err(format!(
            "carries {:?}, alone it gets {alone:?}, under {candidates:?}",
            seen.faces
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(action: Action, accepted: bool) -> Step {
        let outcome = Outcome::Done(accepted);
        Step { action, outcome }
    }

    fn events(kinds: &[EventKind]) -> (Vec<Step>, Vec<Seen>) {
        kinds
            .iter()
            .map(|kind| {
                let (seqnum, kind) = (gst::Seqnum::next(), kind.clone());
                let seen = Seen::Event {
                    seqnum,
                    kind: kind.clone(),
                };
                (step(Action::Event { seqnum, kind }, true), seen)
            })
            .unzip()
    }

    fn whole(steps: Vec<Step>) -> [Part; 1] {
        let end = End::Whole;
        [Part { steps, end }]
    }

    #[test]
    fn what_is_lost_swapped_doubled_or_made_up_is_found() {
        crate::support::init();
        let kinds = [EventKind::Segment, EventKind::Passing, EventKind::Tag];
        let (steps, seen) = events(&kinds);
        let parts = whole(steps);
        assert_eq!(check(&parts, &seen, &[Setting::FIRST]), Ok(()));
        let mut seen = seen;
        seen.swap(0, 1);
        assert!(check(&parts, &seen, &[Setting::FIRST]).is_err());
        seen.swap(0, 1);
        let last = seen.pop().unwrap();
        assert!(check(&parts, &seen, &[Setting::FIRST]).is_err());
        seen.push(last);
        let (_, more) = events(&[EventKind::Passing]);
        seen.extend(more);
        assert!(check(&parts, &seen, &[Setting::FIRST]).is_err());
    }

    #[test]
    fn a_refusal_without_a_cause_is_found() {
        crate::support::init();
        let (mut steps, _) = events(&[EventKind::Tag]);
        steps[0].outcome = Outcome::Done(false);
        assert!(check(&whole(steps), &[], &[Setting::FIRST]).is_err());
    }

    #[test]
    fn after_a_flush_only_what_is_sticky_may_come() {
        crate::support::init();
        let (steps, mut seen) = events(&[EventKind::Passing, EventKind::Tag]);
        let end = End::Flush { rested: true };
        let parts = [Part { steps, end }, whole(Vec::new())[0].clone()];
        let tag = seen.pop().unwrap();
        let passing = seen.pop().unwrap();
        assert_eq!(check(&parts, &[Seen::FlushStop], &[Setting::FIRST]), Ok(()));
        assert_eq!(check(&parts, &[Seen::FlushStop, tag], &[Setting::FIRST]), Ok(()));
        assert!(check(&parts, &[Seen::FlushStop, passing], &[Setting::FIRST]).is_err());
        assert!(
            check(&parts, &[], &[Setting::FIRST]).is_err(),
            "no flush was seen"
        );
    }
}
