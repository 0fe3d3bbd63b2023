//! How long this element's batches wait, and which of them are given up.

use super::State;
use super::filling::Timer;
use super::pending::Source;
use crate::detect::batcher::BatchId;
use crate::detect::latency::{Patience, Timing};
use crate::detect::settings::Settings;

/// How long batches wait from now on.
pub struct Waiting {
    /// How long.
    pub patience: Patience,
    /// Whether that is a change.
    pub changed: bool,
    /// The open batch, if no timer closes it.
    pub untimed: Option<BatchId>,
}

impl State {
    /// What the waiting for batches depends on.
    pub fn timing(&self, settings: &Settings) -> Timing {
        Timing {
            batch_size: settings.load.batch_size,
            timeout: settings.batch_timeout,
            live: self.pace.is_live(),
            frame_duration: self.incoming.format().and_then(|format| format.frame_duration),
        }
    }

    /// Works out how long batches wait from now on, see [`Filling::set_patience`].
    pub fn update_patience(&mut self, settings: &Settings) -> Waiting {
        let patience = self
            .timing(settings)
            .patience(self.pace.is_playing(), self.outgoing.is_awaited());
        let (changed, untimed) = self.filling.set_patience(patience);
        Waiting {
            patience,
            changed,
            untimed,
        }
    }

    /// Has `batch` closed by a timer, see [`Filling::set_timer`]; `None`: it is not open, or there is no clock that runs.
    #[must_use = "the old timer is dropped without the lock"]
    pub fn set_timer(
        &mut self,
        batch: BatchId,
        make: impl FnOnce(Option<gst::ClockTime>) -> gst::SingleShotClockId,
    ) -> Option<(gst::SingleShotClockId, Option<Timer>)> {
        match self.pace.is_playing() {
            true => self.filling.set_timer(batch, make),
            false => None,
        }
    }

    /// The clock runs from now on, or does not. The timer of the open batch is for the other case.
    #[must_use = "it is dropped without the lock"]
    pub fn set_playing(&mut self, playing: bool) -> Option<Timer> {
        self.pace.set_playing(playing);
        self.filling.take_timer()
    }

    /// Lets those frames pass without inference that are all too late in a batch which has not run yet. `give_up` gives up
    /// their place in it, and says whether that was possible. Returns these batches.
    pub fn release_late(&mut self, give_up: impl Fn(BatchId) -> bool) -> Vec<BatchId> {
        let mut batches: Vec<(BatchId, bool)> = Vec::new();
        for frame in self.outgoing.frames() {
            let Some(batch) = frame.unfinished_batch() else {
                continue;
            };
            let is_late = self.pace.is_late(frame.running_time) && !frame.needed;
            match batches.last_mut() {
                Some((last, all)) if *last == batch => *all &= is_late,
                _ => batches.push((batch, is_late)),
            }
        }
        if self.incoming.is_submitting() {
            // The frame may be on its way into the last one, and may be in time.
            batches.pop();
        }
        let released: Vec<BatchId> = batches
            .into_iter()
            .filter(|(batch, all)| *all && give_up(*batch))
            .map(|(batch, _)| batch)
            .collect();
        for frame in self.outgoing.frames_mut() {
            if frame
                .unfinished_batch()
                .is_some_and(|batch| released.contains(&batch))
            {
                frame.source = Source::Late;
            }
        }
        for batch in &released {
            self.filling.give_up(*batch);
        }
        released
    }
}
