//! Whether frames may come in, and whether they leave: the states of a stream and the ways from one to another.
//!
//! ```text
//!              start                    stop, drained, refuse
//! Flushing ------------->  Running  ---------------------------> Stopped
//!     ^                       |                                     |
//!     +------ flush ----------+----------------- flush -------------+
//! ```

use gst::{FlowError, FlowSuccess};

/// How the stream goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow(Phase);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// The element is inactive or flushing, or downstream is: no frame comes in and none leaves.
    #[default]
    Flushing,
    /// Frames come and leave, as far as both sides let them.
    Running { entry: Entry, downstream: Downstream },
    /// Nothing leaves before the next flush. `reported`: whether an error was posted.
    Stopped { error: FlowError, reported: bool },
}

/// What may come in. `reported`: whether an error was posted although frames still come and leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Open {
        reported: bool,
    },
    /// Upstream has sent EOS.
    Ended {
        reported: bool,
    },
    /// A frame could not be read: what came before it leaves as always, and nothing comes after it. The error was posted.
    Unreadable,
    /// Inference has failed: what is queued leaves without faces, and then the stream stops. The error was posted.
    Failed,
}

/// What downstream does with what leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Downstream {
    Takes,
    /// It is not there. It may be linked again.
    Unlinked,
    /// It wants no more frames before something new begins.
    Ended,
}

impl Flow {
    /// Lets frames flow, from a new beginning.
    pub(super) fn start(&mut self) {
        self.0 = Phase::Running {
            entry: Entry::Open { reported: false },
            downstream: Downstream::Takes,
        };
    }

    /// Ends everything: the element flushes or is deactivated.
    pub(super) fn flush(&mut self) {
        self.0 = Phase::Flushing;
    }

    /// Ends the stream with an error of the element itself.
    pub fn stop(&mut self) {
        self.refuse_for_good(FlowError::Error);
    }

    /// What the source pad's task may do, and what upstream is told if it may not.
    pub fn result(&self) -> Result<FlowSuccess, FlowError> {
        match self.0 {
            Phase::Flushing => Err(FlowError::Flushing),
            Phase::Running { downstream, .. } => match downstream {
                Downstream::Takes => Ok(FlowSuccess::Ok),
                Downstream::Unlinked => Err(FlowError::NotLinked),
                Downstream::Ended => Err(FlowError::Eos),
            },
            Phase::Stopped { error, .. } => Err(error),
        }
    }

    /// Whether another frame may come in.
    ///
    /// # Errors
    /// What upstream is told when it may not.
    pub fn admit_frame(&self) -> Result<(), FlowError> {
        match self.0 {
            Phase::Running {
                entry: Entry::Ended { .. },
                ..
            } => Err(FlowError::Eos),
            Phase::Running {
                entry: Entry::Unreadable | Entry::Failed,
                ..
            } => self.result().and(Err(FlowError::Error)),
            _ => self.result().map(drop),
        }
    }

    /// Whether a serialized event may come in.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn admit_event(&self, event: &gst::EventRef) -> Result<(), FlowError> {
        match self.result() {
            Ok(_) | Err(FlowError::Eos) => Ok(()),
            // Refused, a sticky event would make upstream's next frame fail for itself and not for the cause: a loose
            // end, or an element that stops, would look like caps that nobody wants.
            Err(_) if event.is_sticky() && event.type_() != gst::EventType::Eos => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Upstream has sent EOS, which was taken.
    pub(super) fn end_entry(&mut self) {
        if let Some(entry @ Entry::Open { .. }) = self.entry() {
            *entry = Entry::Ended {
                reported: entry.is_reported(),
            };
        }
    }

    /// Upstream has begun another stream, also after EOS.
    pub(super) fn begin_stream(&mut self) {
        if let Some(entry @ Entry::Ended { .. }) = self.entry() {
            *entry = Entry::Open {
                reported: entry.is_reported(),
            };
        }
    }

    /// Whether upstream has sent EOS and will not hear of an error.
    pub fn has_ended(&self) -> bool {
        matches!(
            self.0,
            Phase::Running {
                entry: Entry::Ended { .. },
                ..
            }
        )
    }

    /// A frame could not be read. Returns whether an error is to be posted.
    pub(super) fn reject_frame(&mut self) -> bool {
        let unreported = self.report();
        if let Some(entry @ (Entry::Open { .. } | Entry::Ended { .. })) = self.entry() {
            *entry = Entry::Unreadable;
        }
        unreported
    }

    /// Inference has failed, and the error was posted.
    pub fn fail(&mut self) {
        if let Some(entry) = self.entry() {
            *entry = Entry::Failed;
        }
    }

    /// Whether inference has failed, so that frames leave without faces.
    pub fn has_failed(&self) -> bool {
        matches!(
            self.0,
            Phase::Running {
                entry: Entry::Failed,
                ..
            }
        )
    }

    /// Asks whether an error is to be posted: once for a stream.
    pub fn report(&mut self) -> bool {
        match &mut self.0 {
            Phase::Flushing => true,
            Phase::Running {
                entry: Entry::Open { reported } | Entry::Ended { reported },
                ..
            }
            | Phase::Stopped { reported, .. } => !std::mem::replace(reported, true),
            Phase::Running {
                entry: Entry::Unreadable | Entry::Failed,
                ..
            } => false,
        }
    }

    /// Downstream did not take something.
    pub(super) fn refuse(&mut self, error: FlowError) {
        let Phase::Running {
            downstream: downstream @ Downstream::Takes,
            ..
        } = &mut self.0
        else {
            return;
        };
        match error {
            FlowError::NotLinked => *downstream = Downstream::Unlinked,
            FlowError::Eos => *downstream = Downstream::Ended,
            FlowError::Flushing => self.flush(),
            error => self.refuse_for_good(error),
        }
    }

    /// Downstream may be linked again. Returns whether that was waited for.
    pub(super) fn relink(&mut self) -> bool {
        self.leave(Downstream::Unlinked)
    }

    /// Something new begins, which downstream may want although it has returned EOS. Returns whether it had.
    pub(super) fn resume(&mut self) -> bool {
        self.leave(Downstream::Ended)
    }

    fn leave(&mut self, from: Downstream) -> bool {
        match &mut self.0 {
            Phase::Running { downstream, .. } if *downstream == from => {
                *downstream = Downstream::Takes;
                true
            }
            _ => false,
        }
    }

    fn refuse_for_good(&mut self, error: FlowError) {
        let reported = match self.0 {
            Phase::Flushing => false,
            Phase::Running { entry, .. } => entry.is_reported(),
            Phase::Stopped { reported, .. } => reported,
        };
        self.0 = Phase::Stopped { error, reported };
    }

    fn entry(&mut self) -> Option<&mut Entry> {
        match &mut self.0 {
            Phase::Running { entry, .. } => Some(entry),
            Phase::Flushing | Phase::Stopped { .. } => None,
        }
    }
}

impl Entry {
    /// Whether an error was posted.
    fn is_reported(self) -> bool {
        match self {
            Self::Open { reported } | Self::Ended { reported } => reported,
            Self::Unreadable | Self::Failed => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Flow {
        let mut flow = Flow::default();
        flow.start();
        flow
    }

    #[test]
    fn nothing_flows_before_the_start_and_after_a_flush() {
        let mut flow = Flow::default();
        assert_eq!(flow.admit_frame(), Err(FlowError::Flushing));
        flow.start();
        assert_eq!(flow.admit_frame(), Ok(()));
        flow.fail();
        flow.flush();
        assert_eq!(flow.result(), Err(FlowError::Flushing));
        flow.start();
        assert_eq!(flow.admit_frame(), Ok(()), "a flush makes good what has failed");
    }

    #[test]
    fn after_eos_no_frame_comes_before_another_stream_begins() {
        let mut flow = running();
        flow.end_entry();
        assert!(flow.has_ended());
        assert_eq!(flow.admit_frame(), Err(FlowError::Eos));
        assert_eq!(flow.result(), Ok(FlowSuccess::Ok), "what is queued leaves");
        flow.begin_stream();
        assert_eq!(flow.admit_frame(), Ok(()));
    }

    #[test]
    fn what_has_failed_stays_failed_whatever_upstream_begins() {
        let unreadable = |flow: &mut Flow| {
            flow.reject_frame();
        };
        for fail in [Flow::fail, unreadable] {
            let mut flow = running();
            fail(&mut flow);
            flow.end_entry();
            flow.begin_stream();
            assert_eq!(flow.admit_frame(), Err(FlowError::Error));
            assert_eq!(flow.result(), Ok(FlowSuccess::Ok), "what is queued leaves");
        }
    }

    #[test]
    fn an_error_is_reported_once_for_a_stream() {
        let mut flow = running();
        assert!(flow.report());
        flow.end_entry();
        flow.begin_stream();
        assert!(!flow.report());
        assert!(!flow.reject_frame());
        flow.stop();
        assert!(!flow.report());
        flow.flush();
        flow.start();
        assert!(flow.reject_frame());
        assert!(!flow.report());
    }

    #[test]
    fn downstream_gets_a_new_chance_only_from_what_it_waits_for() {
        let mut flow = running();
        flow.refuse(FlowError::NotLinked);
        assert_eq!(flow.admit_frame(), Err(FlowError::NotLinked));
        assert!(!flow.resume());
        assert!(flow.relink());
        assert_eq!(flow.admit_frame(), Ok(()));
        flow.refuse(FlowError::Eos);
        assert_eq!(flow.admit_frame(), Err(FlowError::Eos));
        assert!(!flow.relink());
        assert!(flow.resume());
        flow.refuse(FlowError::NotNegotiated);
        assert!(!flow.relink() && !flow.resume());
        assert_eq!(flow.admit_frame(), Err(FlowError::NotNegotiated));
    }

    #[test]
    fn the_first_refusal_counts() {
        let mut flow = running();
        flow.refuse(FlowError::NotLinked);
        flow.refuse(FlowError::Error);
        assert_eq!(flow.result(), Err(FlowError::NotLinked));
        flow.flush();
        flow.refuse(FlowError::Error);
        assert_eq!(flow.result(), Err(FlowError::Flushing));
    }

    #[test]
    fn a_stream_that_takes_no_frames_takes_sticky_events_but_no_eos() {
        gst::init().unwrap();
        let tags = gst::event::Tag::new(gst::TagList::new());
        let custom = gst::event::CustomDownstream::new(gst::Structure::new_empty("x"));
        let eos = gst::event::Eos::new();
        let mut flow = running();
        flow.refuse(FlowError::Eos);
        for event in [&tags, &custom, &eos] {
            assert_eq!(flow.admit_event(event), Ok(()));
        }
        flow.stop();
        assert_eq!(flow.admit_event(&tags), Ok(()));
        for event in [&custom, &eos] {
            assert_eq!(flow.admit_event(event), Err(FlowError::Error));
        }
    }
}
