//! A pose as what can be smoothed: a rotation, and where the head is seen.

use glam::{DQuat, DVec3};

/// A rotation, and `tx / tz, ty / tz, ln tz`: noise of the distance then moves neither the other two nor, by its size,
/// depends on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    pub rotation: DQuat,
    pub direction: DVec3,
}

impl Place {
    /// `pose`: rotation vector and translation; `tz` is above 0.
    pub fn of(pose: &[f32; 6]) -> Self {
        let [rx, ry, rz, tx, ty, tz] = pose.map(f64::from);
        Self {
            rotation: DQuat::from_scaled_axis(DVec3::new(rx, ry, rz)),
            direction: DVec3::new(tx / tz, ty / tz, tz.ln()),
        }
    }

    /// Rotation vector (at most half a turn long) and translation.
    pub fn to_pose(self) -> [f32; 6] {
        let turn = if self.rotation.w < 0.0 {
            -self.rotation
        } else {
            self.rotation
        };
        let rotation = turn.to_scaled_axis();
        let tz = self.direction.z.exp();
        let translation = DVec3::new(self.direction.x * tz, self.direction.y * tz, tz);
        let [rx, ry, rz] = rotation.to_array();
        let [tx, ty, tz] = translation.to_array();
        [rx, ry, rz, tx, ty, tz].map(|number| number as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pose_survives() {
        let pose = [0.3, -1.2, 0.5, 0.7, -0.4, 6.0];
        let back = Place::of(&pose).to_pose();
        for (there, back) in pose.iter().zip(back) {
            assert!((there - back).abs() < 1e-6, "{there} {back}");
        }
    }
}
