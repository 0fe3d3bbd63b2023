//! What is known of the stream, and what a frame adds to it.

use gst::glib;
use gst::prelude::*;
use gst_video::VideoInfo;

use super::follow::{Follower, Known};
use super::held::{Held, HeldFrame};
use super::settings::Settings;
use super::timeline::{Moment, Timeline, USUAL_FRAME};
use crate::meta::{self, CurrentFaces};
use crate::reader::{Counts, Once};
use crate::video;

/// The stream; everything is forgotten when it restarts.
#[derive(Debug, Default)]
pub struct Stream {
    info: Option<VideoInfo>,
    /// Whether pixels lie where reading them costs nothing.
    in_system_memory: bool,
    /// What a frame takes by the caps, in nanoseconds.
    frame_duration: Option<u64>,
    id: Option<String>,
    timeline: Timeline,
    follower: Follower,
    /// Frames that wait for a later look, and the events between them.
    pub held: Held<gst::Buffer, gst::Event>,
    /// Memory of frames that have left.
    spare: Vec<Known>,
    counts: Counts,
    /// The last record that came had small pictures of its faces, so that those that are written have them too.
    likeness: bool,
    change_warning: Once,
    time_warning: Once,
}

/// A frame has been taken.
#[derive(Debug)]
pub struct Taken {
    /// Its number, from 0 on.
    pub number: u64,
    /// What to tell the user.
    pub warning: Option<String>,
}

impl Stream {
    /// Takes a frame and what its record says of faces.
    ///
    /// # Errors
    /// No caps have come, or the record cannot be read: what to return, and to post.
    pub fn take(
        &mut self,
        buffer: gst::Buffer,
        settings: &Settings,
    ) -> Result<Taken, (gst::FlowError, gst::ErrorMessage)> {
        let Some(info) = &self.info else {
            return Err((gst::FlowError::NotNegotiated, video::without_caps()));
        };
        let number = self.counts.arrive();
        let current = meta::read_current(&buffer, info).map_err(|error| {
            let message = gst::error_msg!(gst::StreamError::Format, ("Frame {number}: {error}"));
            (gst::FlowError::Error, message)
        })?;
        let mut warning = self
            .follower
            .set_options(settings.options())
            .err()
            .map(|error| error.to_string());
        let took = buffer.duration().map(gst::ClockTime::nseconds);
        let took = took.or(self.frame_duration);
        let pts = buffer.pts().map(gst::ClockTime::nseconds);
        if pts.is_none() && took.is_none() && self.time_warning.is_first() {
            warning.get_or_insert(untimed(number));
        }
        let Moment { time, anew } = self.timeline.next(pts, took.unwrap_or(USUAL_FRAME));
        if anew {
            self.follower.reset();
            self.held.reset();
        }
        let mut known = self.spare.pop().unwrap_or_default();
        known.clear();
        match current {
            Some(current) if !current.recorded.reused => {
                self.counts.infer();
                match current.located() {
                    Some(found) => {
                        self.likeness = meta::has_likeness(&buffer);
                        self.follower.look(time, found, &mut known);
                    }
                    None if !self.change_warning.is_first() => {}
                    None => {
                        warning.get_or_insert(changed(number, &current));
                    }
                }
            }
            reused => self.follower.expect(time, info, reused.is_some(), &mut known),
        }
        let frame = HeldFrame { buffer, time, known };
        self.held.push(frame, settings.options().max_lost);
        Ok(Taken { number, warning })
    }

    /// Takes back the memory of a frame that has left.
    pub fn give_back(&mut self, known: Known) {
        self.spare.push(known);
    }

    /// The format of frames whose faces get small pictures; `None` where they get none.
    pub fn likeness_in(&self) -> Option<VideoInfo> {
        self.info
            .clone()
            .filter(|_| self.likeness && self.in_system_memory)
    }

    /// Frames have these caps from now on. Another picture begins anew, the same one in another size does not. Says whether the
    /// framerate is another.
    ///
    /// # Errors
    /// They are no video that has a size.
    pub fn set_caps(&mut self, caps: &gst::CapsRef) -> Result<bool, glib::BoolError> {
        let info = VideoInfo::from_caps(caps)?;
        let shape = |info: &VideoInfo| {
            let par = info.par();
            f64::from(info.width()) * f64::from(par.numer())
                / (f64::from(info.height()) * f64::from(par.denom()))
        };
        if let Some(old) = &self.info {
            // A scaler rounds to whole, or even, pixels.
            if (shape(old) / shape(&info) - 1.0).abs() > 0.02 {
                self.follower.reset();
            }
            if (old.width(), old.height()) != (info.width(), info.height()) {
                self.held.reset();
            }
        }
        let fps = info.fps();
        let frame_duration = (fps.numer() > 0 && fps.denom() > 0)
            .then(|| gst::ClockTime::SECOND.mul_div_round(fps.denom() as u64, fps.numer() as u64))
            .flatten()
            .map(gst::ClockTime::nseconds);
        self.in_system_memory = caps.features(0).is_none_or(|features| {
            !features.is_any()
                && (features.iter()).all(|feature| {
                    !feature.starts_with("memory:") || feature == gst::CAPS_FEATURE_MEMORY_SYSTEM_MEMORY
                })
        });
        self.info = Some(info);
        let old = std::mem::replace(&mut self.frame_duration, frame_duration);
        Ok(old != frame_duration)
    }

    /// A stream of this name begins.
    pub fn start(&mut self, id: &str) {
        if self.id.as_deref() != Some(id) {
            self.begin_anew();
            self.id = Some(id.to_owned());
        }
        self.change_warning = Once::default();
        self.time_warning = Once::default();
    }

    /// Frames come backwards from now on, or no longer.
    pub fn set_reverse(&mut self, reverse: bool) {
        self.timeline.set_reverse(reverse);
    }

    /// What comes does not follow what has come. Returns what waited.
    pub fn flush(&mut self) -> Held<gst::Buffer, gst::Event> {
        self.begin_anew();
        std::mem::take(&mut self.held)
    }

    fn begin_anew(&mut self) {
        self.timeline.reset();
        self.follower.reset();
        self.held.reset();
        self.counts = Counts::default();
    }

    /// What a frame takes, in nanoseconds; a usual time where the caps do not say.
    pub fn frame_duration(&self) -> u64 {
        self.frame_duration.unwrap_or(USUAL_FRAME)
    }

    /// Frames since the stream began.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

fn untimed(number: u64) -> String {
    format!(
        "Frame {number} has no timestamp, and its caps have no framerate: it is taken to come {} ms after the \
         frame before. With appsrc, set do-timestamp=true or put a framerate into its caps.",
        USUAL_FRAME / 1_000_000
    )
}

fn changed(number: u64, current: &CurrentFaces) -> String {
    let what = current.change.words();
    format!(
        "Frame {number} of {}x{} {what} after its faces were found in {}x{} pixels, so it is not known where they are now: they are \
         not followed. Put img2posetrack before the element that changes the picture.",
        current.width, current.height, current.recorded.frame_width, current.recorded.frame_height
    )
}
