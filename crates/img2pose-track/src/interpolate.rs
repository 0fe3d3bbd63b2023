//! Faces of frames between two looks.

use crate::pose::Place;
use crate::sighting::{Followed, State};

/// The face `fraction` (0 to 1) of the way from `before` to `after`, the same face in two frames: the rotation turns evenly about
/// one axis, box and position move evenly.
///
/// # Panics
/// In debug builds when the two are different faces.
pub fn between(before: &Followed, after: &Followed, fraction: f64) -> Followed {
    debug_assert_eq!(before.id, after.id, "two faces");
    let [from, to] = [before, after].map(|face| Place::of(&face.pose));
    let place = Place {
        rotation: from.rotation.slerp(to.rotation, fraction),
        direction: from.direction.lerp(to.direction, fraction),
    };
    let part = fraction as f32;
    let since = (after.age.saturating_sub(before.age)).mul_f64(fraction.clamp(0.0, 1.0));
    Followed {
        id: before.id,
        age: before.age + since,
        unseen: before.unseen + since,
        state: State::Interpolated,
        sighting: None,
        bbox: std::array::from_fn(|side| before.bbox[side] + part * (after.bbox[side] - before.bbox[side])),
        confidence: before.confidence.min(after.confidence),
        pose: place.to_pose(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn face(milliseconds: u64, x: f32, yaw: f32) -> Followed {
        Followed {
            id: 3,
            age: Duration::from_millis(milliseconds),
            unseen: Duration::ZERO,
            state: State::Seen,
            sighting: Some(0),
            bbox: [x, 10.0, x + 40.0, 60.0],
            confidence: 0.9,
            pose: [0.0, yaw, 0.0, 0.0, 0.0, 8.0],
        }
    }

    #[test]
    fn half_way_is_half_of_everything() {
        let middle = between(&face(100, 0.0, -0.4), &face(200, 20.0, 0.8), 0.5);
        assert_eq!(
            (middle.id, middle.state, middle.sighting),
            (3, State::Interpolated, None)
        );
        assert_eq!(
            (middle.age, middle.unseen),
            (Duration::from_millis(150), Duration::from_millis(50))
        );
        assert_eq!(middle.bbox, [10.0, 10.0, 50.0, 60.0]);
        assert!((middle.pose[1] - 0.2).abs() < 1e-6, "{:?}", middle.pose);
        assert!((middle.pose[5] - 8.0).abs() < 1e-5);
    }

    #[test]
    fn the_shorter_way_round_is_taken() {
        let mut before = face(0, 0.0, 0.0);
        let mut after = before;
        before.pose[2] = 3.0;
        before.pose[1] = 0.0;
        after.pose[1] = 0.0;
        after.pose[2] = -3.0;
        // From 172 to 188 degrees, through 180.
        let middle = between(&before, &after, 0.5);
        assert!(
            (middle.pose[2].abs() - std::f32::consts::PI).abs() < 1e-3,
            "{:?}",
            middle.pose
        );
    }
}
