//! The one-euro filter, for vectors and for rotations.
//!
//! Source: G. Casiez, N. Roussel, D. Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive
//! Systems", CHI 2012.

use glam::{DQuat, DVec3};

use crate::options::OneEuro;

/// The share of a new value that a low pass with this cut-off in hertz takes, `seconds` after the last one.
fn share(seconds: f64, cutoff: f64) -> f64 {
    let constant = 1.0 / (std::f64::consts::TAU * cutoff);
    seconds / (seconds + constant)
}

/// Smooths three numbers that move together. One unit is what 100 degrees are to a rotation.
#[derive(Clone, Copy, Debug)]
pub struct SmoothVector {
    last: DVec3,
    smooth: DVec3,
    /// Per second.
    speed: DVec3,
}

impl SmoothVector {
    pub fn new(value: DVec3) -> Self {
        Self {
            last: value,
            smooth: value,
            speed: DVec3::ZERO,
        }
    }

    pub fn see(&mut self, filter: &OneEuro, seconds: f64, value: DVec3) {
        if seconds > 0.0 {
            let speed = (value - self.last) / seconds;
            self.speed = self.speed.lerp(speed, share(seconds, filter.speed_cutoff));
            let cutoff = filter.min_cutoff + filter.beta * 100.0 * self.speed.length();
            self.smooth = self.smooth.lerp(value, share(seconds, cutoff));
            self.last = value;
        }
    }

    pub fn value(&self) -> DVec3 {
        self.smooth
    }

    /// Change in a second.
    pub fn speed(&self) -> DVec3 {
        self.speed
    }

    /// In other units: each number by its factor.
    pub fn scaled(&self, factors: DVec3) -> Self {
        Self {
            last: self.last * factors,
            smooth: self.smooth * factors,
            speed: self.speed * factors,
        }
    }

    /// From another origin.
    pub fn shifted(&self, by: DVec3) -> Self {
        Self {
            last: self.last + by,
            smooth: self.smooth + by,
            speed: self.speed,
        }
    }
}

/// Smooths a rotation: differences are rotation vectors, so nothing jumps at half a turn.
#[derive(Clone, Copy, Debug)]
pub struct SmoothRotation {
    last: DQuat,
    smooth: DQuat,
    /// Radians per second about axes of the camera.
    speed: DVec3,
}

impl SmoothRotation {
    pub fn new(value: DQuat) -> Self {
        Self {
            last: value,
            smooth: value,
            speed: DVec3::ZERO,
        }
    }

    pub fn see(&mut self, filter: &OneEuro, seconds: f64, value: DQuat) {
        if seconds > 0.0 {
            let speed = difference(self.last, value) / seconds;
            self.speed = self.speed.lerp(speed, share(seconds, filter.speed_cutoff));
            let cutoff = filter.min_cutoff + filter.beta * self.speed.length().to_degrees();
            let step = difference(self.smooth, value) * share(seconds, cutoff);
            self.smooth = (DQuat::from_scaled_axis(step) * self.smooth).normalize();
            self.last = value;
        }
    }

    pub fn value(&self) -> DQuat {
        self.smooth
    }

    /// Radians per second about axes of the camera.
    pub fn speed(&self) -> DVec3 {
        self.speed
    }
}

/// The rotation vector, at most half a turn long, that turns `from` into `to`.
pub fn difference(from: DQuat, to: DQuat) -> DVec3 {
    let turn = to * from.conjugate();
    // q and -q are the same rotation; the one with a positive w is the shorter way.
    let turn = if turn.w < 0.0 { -turn } else { turn };
    turn.to_scaled_axis()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILTER: OneEuro = OneEuro {
        min_cutoff: 1.0,
        beta: 0.1,
        speed_cutoff: 1.0,
    };

    #[test]
    fn half_a_turn_is_no_jump() {
        // Turns through the place where rotation vectors change their sign.
        let at = |degrees: f64| DQuat::from_axis_angle(DVec3::Z, degrees.to_radians());
        let mut filter = SmoothRotation::new(at(150.0));
        let mut last = filter.value();
        for step in 0..60 {
            filter.see(&FILTER, 0.033, at(150.0 + f64::from(step)));
            let moved = difference(last, filter.value()).length().to_degrees();
            assert!(moved < 3.0, "step {step} moved by {moved} degrees");
            last = filter.value();
        }
        assert!(difference(last, at(209.0)).length().to_degrees() < 3.0);
    }

    #[test]
    fn the_sign_of_a_quaternion_means_nothing() {
        let value = DQuat::from_axis_angle(DVec3::X, 0.3);
        let mut filter = SmoothRotation::new(value);
        filter.see(&FILTER, 0.04, -value);
        assert!(difference(filter.value(), value).length() < 1e-12);
    }

    #[test]
    fn without_time_nothing_moves() {
        let mut filter = SmoothVector::new(DVec3::ZERO);
        filter.see(&FILTER, 0.0, DVec3::X);
        assert_eq!(filter.value(), DVec3::ZERO);
    }

    #[test]
    fn a_constant_is_kept_and_a_step_is_reached() {
        let mut filter = SmoothVector::new(DVec3::ZERO);
        for _ in 0..120 {
            filter.see(&FILTER, 0.033, DVec3::X);
        }
        assert!((filter.value() - DVec3::X).length() < 1e-3);
        assert!(filter.speed().length() < 1e-3);
    }
}
