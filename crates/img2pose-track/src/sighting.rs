//! What comes in, and what goes out.

use std::time::Duration;

/// A face that a detector found in a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sighting {
    /// `x_min, y_min, x_max, y_max` in pixels of the frame.
    pub bbox: [f32; 4],
    /// Probability that this is a face, 0 to 1.
    pub confidence: f32,
    /// `rx, ry, rz` (rotation vector, radians) and `tx, ty, tz` (translation, head units), in the camera of the frame.
    pub pose: [f32; 6],
}

impl Sighting {
    /// Whether every number is finite, the box has an area, and the head stands in front of the camera.
    pub(crate) fn is_sound(&self) -> bool {
        let finite = self
            .bbox
            .iter()
            .chain(&self.pose)
            .all(|number| number.is_finite());
        let [x_min, y_min, x_max, y_max] = self.bbox;
        finite && self.confidence.is_finite() && x_max > x_min && y_max > y_min && self.pose[5] > 0.0
    }
}

/// How a face of a frame is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Seen for the first time; it may be a false alarm.
    New,
    /// Seen in this frame, and before.
    Seen,
    /// Not seen in this frame, where nobody looked or it was not found: it is where it was going.
    Predicted,
    /// Nobody looked at this frame: it lies between a look before and one after it, see [`between`](crate::between).
    Interpolated,
}

impl State {
    /// The state's name in records and lines: `new`, `seen`, `predicted`, `interpolated`.
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Seen => "seen",
            Self::Predicted => "predicted",
            Self::Interpolated => "interpolated",
        }
    }

    /// The state with this [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::New, Self::Seen, Self::Predicted, Self::Interpolated]
            .into_iter()
            .find(|state| state.name() == name)
    }

    /// Whether the face was seen in this frame: all that is known of others is where it should be.
    pub fn is_seen(self) -> bool {
        matches!(self, Self::New | Self::Seen)
    }
}

/// A face of a frame, with its identity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Followed {
    /// The same for the same face as long as it is followed, and never used again in the life of a tracker. From 1 on.
    pub id: u64,
    /// How long ago it was seen for the first time.
    pub age: Duration,
    /// How long ago it was seen for the last time; 0 where it is seen.
    pub unseen: Duration,
    /// How it is known in this frame.
    pub state: State,
    /// Which of the frame's sightings it is; `None` where it was not seen.
    pub sighting: Option<usize>,
    /// `x_min, y_min, x_max, y_max` in pixels of the frame, smoothed, clipped to the frame.
    pub bbox: [f32; 4],
    /// Of the last sighting.
    pub confidence: f32,
    /// Rotation vector and translation in the camera of the frame, smoothed.
    pub pose: [f32; 6],
}
