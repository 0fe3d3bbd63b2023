//! What `img2posetrack` adds to a face of the record: which face through time it is.

use img2pose::Face;
pub use img2pose_track::State as TrackState;

use super::{MetaError, fields};

const ID: &str = "track-id";
const AGE: &str = "track-age";
const UNSEEN: &str = "track-unseen";
const STATE: &str = "track-state";
const SEEN: &str = "seen";

/// Which face through time a face of a frame is.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// The same for the same face as long as it is followed; no other face of the stream has it, before or after. From 1 on.
    pub id: u64,
    /// How long ago it was seen for the first time.
    pub age: gst::ClockTime,
    /// How long ago it was seen for the last time; 0 where it was seen in this frame.
    pub unseen: gst::ClockTime,
    /// How it is known in this frame.
    pub state: TrackState,
    /// The face as the detector found it in this frame, before it was smoothed; `None` where it was not found.
    pub seen: Option<Face>,
}

/// Adds the scalars of the track to a face.
pub(super) fn set(s: &mut gst::StructureRef, track: &Track) {
    s.set(ID, track.id);
    s.set(AGE, track.age.nseconds());
    s.set(UNSEEN, track.unseen.nseconds());
    s.set(STATE, track.state.name());
}

/// Adds the face as it was found, in a frame of `size`, to a face of the record.
pub(super) fn set_seen(s: &mut gst::StructureRef, size: (u32, u32), track: &Track) {
    if let Some(face) = &track.seen {
        let mut seen = gst::Structure::new_empty(SEEN);
        fields::set_detection(&mut seen, size, face);
        fields::set_pose(&mut seen, face);
        s.set(SEEN, seen);
    }
}

/// The track of a face in a frame of `size`; `None` for a face that no tracker has seen.
pub(super) fn get(s: &gst::StructureRef, size: (u32, u32)) -> Result<Option<Track>, MetaError> {
    if !s.has_field(ID) {
        return Ok(None);
    }
    let name: &str = fields::get(s, STATE, "a string")?;
    let state = TrackState::from_name(name)
        .ok_or_else(|| fields::wrong(s, STATE, format!("'{name}'"), "the name of a state of a track"))?;
    let seen = match s.has_field(SEEN) {
        true => Some(fields::get_face(
            fields::get::<&gst::StructureRef>(s, SEEN, "a structure")?,
            size,
        )?),
        false => None,
    };
    Ok(Some(Track {
        id: fields::get(s, ID, "an unsigned 64-bit integer")?,
        age: get_time(s, AGE)?,
        unseen: get_time(s, UNSEEN)?,
        state,
        seen,
    }))
}

fn get_time(s: &gst::StructureRef, name: &str) -> Result<gst::ClockTime, MetaError> {
    let time: u64 = fields::get(s, name, "an unsigned 64-bit integer")?;
    gst::ClockTime::try_from(time).map_err(|_| fields::wrong(s, name, time, "a time"))
}
