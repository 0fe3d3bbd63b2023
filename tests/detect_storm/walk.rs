//! The rules: from the calls and what they returned follows what is due downstream.

use crate::expect::{Action, Due, DueWhat, End, EventKind, Outcome, Step};

/// Walks through the steps of a part and works out what is due.
pub struct Walk {
    end: End,
    /// A sticky custom event from before a flush may not have left yet.
    carries: bool,
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
    /// A frame could not be read: no more are taken.
    unreadable: bool,
}

type Found<'a> = (Vec<Due<'a>>, Vec<(&'a EventKind, gst::Seqnum)>);

impl Walk {
    /// At the beginning of a part with this end.
    pub fn new(end: End, carries: bool) -> Self {
        Self {
            end,
            carries,
            eos: false,
            doom: None,
            known: false,
            unlinked: false,
            first_unlinked: None,
            flushing: false,
            unreadable: false,
        }
    }

    /// What is due, and the events behind an error, which will not leave before a flush.
    pub fn due<'a>(mut self, steps: &'a [Step]) -> Result<Found<'a>, String> {
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
            Action::ShortBuffer { id, setting } => {
                let is_read_error = step.outcome == Outcome::Flow(Err(gst::FlowError::Error));
                self.unreadable |= is_read_error;
                if self.eos || !is_read_error {
                    let accepted = self.flow(step.outcome)?;
                    if accepted && self.doom.is_none() {
                        let (id, setting) = (*id, *setting);
                        due.push(Due {
                            what: DueWhat::Unread { id, setting },
                            optional: false,
                        });
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
                // GStreamer sends such an event only after EOS, where it is refused; serialized queries then fail.
                let may_fail = self.carries && self.eos;
                // Pads let queries pass while they flush, and the element may not have heard of the flush yet.
                let is_open = !self.flushing || self.is_raced();
                let answered = match (step.outcome, self.doom) {
                    (Outcome::Done(true), None) if is_open => true,
                    (Outcome::Done(false), None) if may_fail => false,
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
                        // ALLOCATION is answered for downstream too.
                        optional: may_fail || self.flushing,
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
        let can_be_accepted =
            !self.eos && !self.unreadable && (error.is_none() || !self.known) && !self.flushing;
        match flow {
            Ok(_) if can_be_accepted => Ok(true),
            Err(gst::FlowError::Error) if self.unreadable => Ok(false),
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
            Outcome::Done(true) if !(self.flushing || can_be_refused && self.known) => Ok(true),
            Outcome::Done(false) if can_be_refused => {
                self.known = true;
                Ok(false)
            }
            other => self.refused_by_flush(other).map(|()| false),
        }
    }

    /// Whether the end of the part comes while the streaming thread works.
    fn is_raced(&self) -> bool {
        matches!(
            self.end,
            End::Flush { rested: false } | End::Stop { rested: false }
        )
    }

    fn refused_by_flush(&mut self, outcome: Outcome) -> Result<(), String> {
        let is_refused = matches!(
            outcome,
            Outcome::Done(false) | Outcome::Flow(Err(gst::FlowError::Flushing))
        );
        if is_refused && self.is_raced() {
            self.flushing = true;
            Ok(())
        } else {
            Err(format!("unexpected outcome {outcome:?}"))
        }
    }
}
