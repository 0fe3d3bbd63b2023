//! The source pad: its activation, and what downstream tells and asks.

use std::time::Duration;

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::CAT;
use super::imp::Img2PoseDetect;
use super::probe::{self, Measured};

/// The latency query of a pipeline that starts is held up by no more than this.
const PROBE_LIMIT: Duration = Duration::from_secs(3);

impl Img2PoseDetect {
    pub(super) fn src_activate_mode(
        &self,
        pad: &gst::Pad,
        mode: gst::PadMode,
        active: bool,
    ) -> Result<(), gst::LoggableError> {
        if mode != gst::PadMode::Push {
            return Err(gst::loggable_error!(
                CAT,
                "only push mode is supported, not {mode:?}"
            ));
        }
        if active {
            let open = self.stream.lock().reset();
            drop(open);
            self.apply_patience();
            if !self.start_task() {
                return Err(gst::loggable_error!(CAT, "cannot start the task"));
            }
        } else {
            drop(self.set_flushing());
            pad.stop_task()?;
        }
        Ok(())
    }

    pub(super) fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        gst::log!(CAT, obj = pad, "received {event:?}");
        if event.type_() == gst::EventType::Reconfigure {
            self.reconfigure();
        }
        if let gst::EventView::Qos(qos) = event.view() {
            self.note_lateness(qos);
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    /// Takes note of how late frames reach the sink, and lets those pass that cannot be in time.
    fn note_lateness(&self, qos: &gst::event::Qos) {
        if !self.settings().qos {
            return;
        }
        let (_, _, difference, time) = qos.get();
        let client = self.client();
        let released = {
            let mut state = self.stream.lock();
            let format = state.incoming.format();
            let frame = format.and_then(|format| format.frame_duration);
            let earliest = time.map(|time| earliest_in_time(time, difference, frame));
            state.pace.set_earliest(earliest);
            // In one piece, so that no frame gets into a batch that is given up.
            client.map_or_else(Vec::new, |client| {
                state.release_late(|batch| client.abandon_batch(batch))
            })
        };
        if !released.is_empty() {
            gst::debug!(
                CAT,
                imp = self,
                "{released:?} are too late, their frames pass without inference"
            );
            self.stream.notify();
        }
    }

    /// Measures once how long a run takes, unless frames have shown it.
    fn measure_run(&self) {
        let layout = {
            let mut state = self.stream.lock();
            if !state.record.begin_probe() {
                return;
            }
            let format = state.incoming.format();
            format.map_or(probe::USUAL_LAYOUT, |format| format.layout)
        };
        let Some(client) = self.client() else { return };
        let Some(measured) = probe::run_time(client.worker(), layout, PROBE_LIMIT) else {
            gst::info!(CAT, imp = self, "cannot tell how long a run will take");
            return;
        };
        gst::info!(CAT, imp = self, "a blank frame: {measured:?}");
        let instance = self.model_instance();
        let (time, runs) = match measured {
            Measured::Run(time) => (time, instance.map_or(1, |instance| instance.probes_in_a_run)),
            // The first run sets much up, so this says little about the next; but it is better than no time at all.
            Measured::TooLong => (PROBE_LIMIT, 1),
        };
        self.stream.lock().record.assume(time, runs);
    }

    /// Goes on if the source pad was not linked when the last frame was pushed; it may be linked now.
    fn reconfigure(&self) {
        let was_awaited = self.stream.lock().relink();
        if was_awaited {
            gst::debug!(CAT, imp = self, "linked again");
            self.stream.notify();
        }
    }

    pub(super) fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        gst::log!(CAT, obj = pad, "received {query:?}");
        let gst::QueryViewMut::Latency(latency) = query.view_mut() else {
            return gst::Pad::query_default(pad, Some(&*self.obj()), query);
        };
        if !self.sinkpad.peer_query(latency) {
            return false;
        }
        let (live, min, max) = latency.result();
        if live {
            self.measure_run();
        }
        let settings = self.settings().clone();
        let (newly_known, added) = {
            let mut state = self.stream.lock();
            let newly_known = state.pace.set_live(live) != Some(live);
            let promised = state.record.promised();
            let added = state.timing(&settings).added(promised, settings.capacity());
            (newly_known, added)
        };
        if newly_known {
            self.apply_patience();
        }
        if live {
            let max = max.map(|max| max.saturating_add(added.1));
            latency.set(live, min.saturating_add(added.0), max);
        }
        gst::debug!(
            CAT,
            obj = pad,
            "latency: live {live}, upstream {min}, answer {:?}",
            latency.result()
        );
        true
    }
}

/// The running time from which on frames can be in time again, when the frame of running time `time` was late by
/// `difference` nanoseconds: as GStreamer's decoders reckon, twice the delay ahead, and one frame.
fn earliest_in_time(time: gst::ClockTime, difference: i64, frame: Option<gst::ClockTime>) -> gst::ClockTime {
    let delay = gst::ClockTime::from_nseconds(difference.unsigned_abs().min(u64::MAX - 1));
    if difference > 0 {
        let ahead = delay
            .saturating_add(delay)
            .saturating_add(frame.unwrap_or(gst::ClockTime::ZERO));
        time.saturating_add(ahead)
    } else {
        time.saturating_sub(delay)
    }
}
