//! From the faces of one frame to those of the stream, and back to the record of a frame.

use std::time::Duration;

use gst_video::VideoInfo;
use img2pose::Face;
use img2pose::frame::Orientation;
use img2pose::pose::keypoints_by;
use img2pose_track::{Followed, OptionError, Sighting, Tracker, TrackerOptions};

use crate::meta::{FrameFaces, Track};

/// What is known of a frame when it leaves.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The faces that are followed.
    pub followed: Vec<Followed>,
    /// What a detector found in it, in pixels of the frame as it is now; where nobody looked, what is left of an earlier look. `None` if
    /// nobody knows where that is now.
    pub found: Option<FrameFaces>,
}

/// The faces of one stream.
#[derive(Debug)]
pub struct Follower {
    tracker: Tracker,
    options: TrackerOptions,
    sightings: Vec<Sighting>,
    /// How the frame of the last look was turned; those behind it are, too.
    orientation: Orientation,
    /// Faces of the last look that nobody follows.
    others: Vec<Face>,
}

impl Default for Follower {
    fn default() -> Self {
        let options = TrackerOptions::default();
        Self {
            tracker: Tracker::new(options),
            options,
            sightings: Vec::new(),
            orientation: Orientation::Identity,
            others: Vec::new(),
        }
    }
}

impl Follower {
    /// Forgets all faces. Ids go on counting.
    pub fn reset(&mut self) {
        self.tracker.reset();
        self.orientation = Orientation::Identity;
        self.others.clear();
    }

    /// Follows faces in this way from now on.
    ///
    /// # Errors
    /// When an option is out of range; it goes on as before then.
    pub fn set_options(&mut self, options: TrackerOptions) -> Result<(), OptionError> {
        if options != self.options {
            // Told once, not with every frame.
            self.options = options;
            self.tracker.set_options(options)?;
        }
        Ok(())
    }

    /// Takes what a detector found in the frame of this time, whose pixels `found` counts in.
    pub fn look(&mut self, time: Duration, found: FrameFaces, known: &mut Known) {
        self.sightings.clear();
        self.sightings.extend(found.faces.iter().map(|face| Sighting {
            bbox: face.bbox,
            confidence: face.confidence,
            pose: face.pose,
        }));
        let frame = [found.frame_width, found.frame_height];
        self.tracker
            .see(time, frame, &self.sightings, &mut known.followed);
        self.others.clear();
        let is_followed = |index| (known.followed.iter()).any(|face| face.sighting == Some(index));
        let others = found
            .faces
            .iter()
            .enumerate()
            .filter(|(index, _)| !is_followed(*index));
        self.others.extend(others.map(|(_, face)| face.clone()));
        self.orientation = found.orientation;
        known.found = Some(found);
    }

    /// Says where faces should be in a frame of this time and format that nobody looked at. `reused`: it has the faces of the last
    /// look, so that those of them that nobody follows stay.
    pub fn expect(&mut self, time: Duration, info: &VideoInfo, reused: bool, known: &mut Known) {
        let frame = [info.width(), info.height()];
        self.tracker.predict(time, frame, &mut known.followed);
        let mut found = FrameFaces::new(info, Vec::new()).turned(self.orientation);
        if reused {
            found.faces.extend_from_slice(&self.others);
        }
        found.reused = true;
        known.found = Some(found);
    }
}

impl Known {
    /// Forgets everything but its memory.
    pub fn clear(&mut self) {
        self.followed.clear();
        self.found = None;
    }

    /// Whether a later look can tell more of this frame.
    pub fn is_open(&self) -> bool {
        self.followed
            .iter()
            .any(|face| face.state == img2pose_track::State::Predicted)
    }

    /// The record of the frame; `None` where there is nothing to add to the one that it has, or to its having none.
    ///
    /// Its faces are those that are followed and those that a detector found and nobody follows, in order of falling confidence.
    pub fn record(&self) -> Option<FrameFaces> {
        let found = self.found.as_ref().filter(|_| !self.followed.is_empty())?;
        let camera = found.camera();
        let followed = self.followed.iter().map(|face| {
            let seen = face.sighting.and_then(|index| found.faces.get(index));
            let track = Track {
                id: face.id,
                age: clock_time(face.age),
                unseen: clock_time(face.unseen),
                state: face.state,
                seen: seen.cloned(),
            };
            let keypoints = match seen {
                // Not smoothed.
                Some(seen) if seen.pose == face.pose => seen.keypoints,
                _ => keypoints_by(&camera, &face.pose),
            };
            let face = Face {
                bbox: face.bbox,
                confidence: face.confidence,
                pose: face.pose,
                keypoints,
                // Of a pose that was not seen nobody has said how sure it is.
                sigma: seen.and_then(|seen| seen.sigma),
            };
            (face, Some(track))
        });
        let is_followed = |index| (self.followed.iter()).any(|face| face.sighting == Some(index));
        let others = (found.faces.iter().enumerate())
            .filter(|(index, _)| !is_followed(*index))
            .map(|(_, face)| (face.clone(), None));
        let mut all: Vec<(Face, Option<Track>)> = followed.chain(others).collect();
        all.sort_by(|(a, _), (b, _)| b.confidence.total_cmp(&a.confidence));
        let (faces, tracks) = all.into_iter().unzip();
        Some(FrameFaces {
            frame_width: found.frame_width,
            frame_height: found.frame_height,
            pixel_aspect_ratio: found.pixel_aspect_ratio,
            reused: found.reused,
            orientation: found.orientation,
            faces,
            tracks,
        })
    }
}

fn clock_time(duration: Duration) -> gst::ClockTime {
    gst::ClockTime::try_from(duration).unwrap_or(gst::ClockTime::MAX)
}
