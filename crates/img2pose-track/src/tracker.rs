//! The faces of one stream.

use std::time::Duration;

use crate::assign::{ALONE, Assignment, Candidate};
use crate::one_euro::difference;
use crate::options::{OptionError, Smoothing, TrackerOptions};
use crate::pose::Place;
use crate::sighting::{Followed, Sighting, State};
use crate::track::{Outline, Seconds, Track};

/// How far, in sides of the face, the middle of a sighting may lie from where it is expected; more when that is in doubt.
const NEAR: f64 = 0.7;
const FAR: f64 = 2.5;
/// How much larger or smaller it may be, as a logarithm; more by so much for each second in which it was not seen.
const SAME_SIZE: f64 = 0.5;
const SIZE_IN_A_SECOND: f64 = 0.5;
/// What a face that is the same may be off by in place (sides of the face), size (logarithm) and rotation (radians), beside what is in doubt
/// and by so much more for each second in which it was not seen.
const CLOSE: f64 = 0.15;
const GROWTH: f64 = 0.15;
const GROWTH_IN_A_SECOND: f64 = 0.3;
const TURN: f64 = 0.25;
const TURN_IN_A_SECOND: f64 = 0.8;
/// The root of tau: a normal density is as high as an even one over so many standard deviations.
const SPREAD: f64 = 2.507;
/// Sightings that are seen once and then no more are forgotten after this time in seconds: a false alarm rarely comes twice.
const ONCE: f64 = 0.15;
/// Sightings that begin a face must not overlap one that is followed by more than this share of their union: that is the same
/// face, found twice.
const SAME_FACE: f64 = 0.7;
/// A weak sighting must lie this near, in sides of the face.
const NEAR_IF_WEAK: f64 = 0.5;

/// Follows the faces of one stream.
#[derive(Debug)]
pub struct Tracker {
    options: TrackerOptions,
    tracks: Vec<Track>,
    /// The next id.
    next: u64,
    frame: Option<[u32; 2]>,
    /// Time of the last frame.
    time: Seconds,
    assignment: Assignment,
    candidates: Vec<Candidate>,
    /// Which face each sighting is.
    owners: Vec<Option<u64>>,
}

impl Tracker {
    /// # Panics
    /// In debug builds when options are out of range; ask [`TrackerOptions::validate`] first.
    pub fn new(options: TrackerOptions) -> Self {
        debug_assert_eq!(options.validate(), Ok(()));
        Self {
            options,
            tracks: Vec::new(),
            next: 1,
            frame: None,
            time: 0.0,
            assignment: Assignment::default(),
            candidates: Vec::new(),
            owners: Vec::new(),
        }
    }

    /// Changes how faces are followed from now on.
    ///
    /// # Errors
    /// When an option is out of range; nothing changes then.
    pub fn set_options(&mut self, options: TrackerOptions) -> Result<(), OptionError> {
        options.validate()?;
        self.options = options;
        Ok(())
    }

    /// Forgets all faces, for a flush, a cut or another stream. Ids go on counting: none is used twice.
    pub fn reset(&mut self) {
        self.tracks.clear();
        self.frame = None;
        self.time = 0.0;
    }

    /// How many faces are remembered, those that are not seen now among them.
    pub fn remembered(&self) -> usize {
        self.tracks.len()
    }

    /// Takes what was found in the frame of this `time`, whose width and height in pixels are `frame`, and puts its faces into
    /// `faces`: first the sightings' in their order, then those that are predicted.
    ///
    /// A sighting gets no face when its numbers mean nothing, when it is a second one of the same face, or when it is too weak
    /// to begin one. Times that go back by themselves begin anew.
    pub fn see(
        &mut self,
        time: Duration,
        frame: [u32; 2],
        sightings: &[Sighting],
        faces: &mut Vec<Followed>,
    ) {
        let time = self.advance(time, frame);
        self.owners.clear();
        self.owners.resize(sightings.len(), None);
        let strong = |sighting: &Sighting, least: f32| sighting.confidence >= least;
        let least = self.options.start_score;
        self.assign(time, sightings, FAR, |sighting| strong(sighting, least));
        self.assign(time, sightings, NEAR_IF_WEAK, |sighting| !strong(sighting, least));
        self.begin(time, sightings);
        for track in &mut self.tracks {
            if track.seen < time {
                track.missed.get_or_insert(time);
            }
        }
        self.tracks
            .retain(|track| track.sightings > 1 || time - track.seen <= ONCE);
        self.report(time, frame, faces);
        if self.options.smoothing == Smoothing::None {
            // As they were seen, to the last bit.
            for face in faces {
                if let Some(sighting) = face.sighting.map(|index| &sightings[index]) {
                    (face.bbox, face.pose) = (sighting.bbox, sighting.pose);
                }
            }
        }
    }

    /// The faces of a frame that nobody looked at, of this `time` and with this width and height: where they should be.
    pub fn predict(&mut self, time: Duration, frame: [u32; 2], faces: &mut Vec<Followed>) {
        let time = self.advance(time, frame);
        self.owners.clear();
        self.report(time, frame, faces);
    }

    /// Forgets who was not seen for too long, and brings what is known to this frame's size. Returns the time in seconds.
    fn advance(&mut self, time: Duration, frame: [u32; 2]) -> Seconds {
        let time = time.as_secs_f64();
        if time < self.time {
            self.tracks.clear();
        }
        self.time = time;
        if let Some(last) = self.frame.replace(frame)
            && last != frame
        {
            let factors = [0, 1].map(|side| f64::from(frame[side].max(1)) / f64::from(last[side].max(1)));
            for track in &mut self.tracks {
                track.scale(factors);
            }
        }
        let max_lost = self.options.max_lost.as_secs_f64();
        self.tracks
            .retain(|track| time - track.seen <= max_lost && !track.has_left(time, frame));
        time
    }

    /// Matches sightings that are `wanted` and have no face yet with faces that have no sighting yet.
    fn assign(
        &mut self,
        time: Seconds,
        sightings: &[Sighting],
        far: f64,
        wanted: impl Fn(&Sighting) -> bool,
    ) {
        self.candidates.clear();
        for (index, track) in self.tracks.iter().enumerate() {
            if self.owners.contains(&Some(track.id)) {
                continue;
            }
            let expected = track.expect(time);
            let size = expected.outline.size();
            let lost = time - track.seen;
            let near = (NEAR + 2.0 * expected.doubt / size).min(far);
            let same_size = SAME_SIZE + SIZE_IN_A_SECOND * lost;
            for (sighting_index, sighting) in sightings.iter().enumerate() {
                if self.owners[sighting_index].is_some() || !sighting.is_sound() || !wanted(sighting) {
                    continue;
                }
                let outline = Outline::of(&sighting.bbox);
                let (off, way) = expected.off_the_way(outline.middle);
                let (distance, way) = (off / size, way / size);
                let growth = (outline.size() / size).ln().abs();
                if distance > near || growth > same_size {
                    continue;
                }
                let rotation = Place::of(&sighting.pose).rotation;
                let turn = difference(expected.rotation, rotation).length();
                // In what is usual for a face that is the same; more for one that was away.
                let close = CLOSE + 2.0 * expected.doubt / size;
                let same = GROWTH + GROWTH_IN_A_SECOND * lost;
                let alike = TURN + TURN_IN_A_SECOND * lost;
                // The logarithm of a normal density. Without its second part, a face that was lost long ago, of which anything may
                // be expected, would be likelier everywhere than one that was seen just now.
                let cost = (distance / close).powi(2)
                    + (growth / same).powi(2)
                    + (turn / alike).min(4.0).powi(2)
                    + 4.0 * (close / CLOSE).ln()
                    + 2.0 * (1.0 + way / (SPREAD * close)).ln()
                    + 2.0 * (same / GROWTH).ln()
                    + 2.0 * (alike / TURN).ln();
                if cost < ALONE {
                    self.candidates.push(Candidate {
                        track: index,
                        sighting: sighting_index,
                        cost,
                    });
                }
            }
        }
        let (tracks, owners) = (&mut self.tracks, &mut self.owners);
        let smoothing = &self.options.smoothing;
        let count = tracks.len();
        self.assignment
            .solve(&self.candidates, count, sightings.len(), |track, sighting| {
                let track = &mut tracks[track];
                track.see(time, &sightings[sighting], smoothing);
                owners[sighting] = Some(track.id);
            });
    }

    /// Begins a face with each sighting that is none yet.
    fn begin(&mut self, time: Seconds, sightings: &[Sighting]) {
        for (index, sighting) in sightings.iter().enumerate() {
            let strong = sighting.confidence >= self.options.start_score;
            if self.owners[index].is_some() || !strong || !sighting.is_sound() {
                continue;
            }
            let outline = Outline::of(&sighting.bbox);
            let known = sightings.iter().zip(&self.owners);
            let mut others = known.filter(|(_, owner)| owner.is_some()).map(|(other, _)| other);
            if others.any(|other| Outline::of(&other.bbox).overlap(&outline) > SAME_FACE) {
                continue;
            }
            self.owners[index] = Some(self.next);
            self.tracks.push(Track::new(self.next, time, sighting));
            self.next += 1;
        }
    }

    fn report(&self, time: Seconds, frame: [u32; 2], faces: &mut Vec<Followed>) {
        faces.clear();
        for (index, owner) in self.owners.iter().enumerate() {
            let track = owner.and_then(|id| self.tracks.iter().find(|track| track.id == id));
            let Some(track) = track else { continue };
            let state = match track.sightings {
                1 => State::New,
                _ => State::Seen,
            };
            faces.extend(followed(track, time, frame, state, Some(index)));
        }
        let max_predicted = self.options.max_predicted.as_secs_f64();
        for track in &self.tracks {
            let in_vain = track.missed.map_or(0.0, |since| time - since);
            // The frame in which it is missed first counts as one of them.
            let shown = track.missed.is_none() || (in_vain < max_predicted && track.sightings > 1);
            if !self.owners.contains(&Some(track.id)) && shown {
                faces.extend(followed(track, time, frame, State::Predicted, None));
            }
        }
    }
}

/// A face as it is reported; `None` when no part of it is in the frame.
fn followed(
    track: &Track,
    time: Seconds,
    frame: [u32; 2],
    state: State,
    sighting: Option<usize>,
) -> Option<Followed> {
    let (bbox, pose) = track.report(time);
    let limits = [frame[0], frame[1], frame[0], frame[1]].map(f64::from);
    let clipped: [f64; 4] = std::array::from_fn(|side| bbox[side].clamp(0.0, limits[side]));
    let visible = clipped[2] > clipped[0] && clipped[3] > clipped[1];
    visible.then(|| Followed {
        id: track.id,
        age: Duration::from_secs_f64((time - track.born).max(0.0)),
        unseen: Duration::from_secs_f64((time - track.seen).max(0.0)),
        state,
        sighting,
        bbox: clipped.map(|side| side as f32),
        confidence: track.confidence,
        pose,
    })
}
