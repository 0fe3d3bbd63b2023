//! Where a box is going: constant velocity, with noise.

/// Velocities of a face that nobody sees fade with this time constant in seconds: people stop.
const FADING: f64 = 0.6;

/// A quantity that moves: a Kalman filter whose state is its value and its velocity, at the time of the last measurement.
#[derive(Clone, Copy, Debug)]
pub struct Moving {
    value: f64,
    velocity: f64,
    /// Covariance: of the value, of both, of the velocity.
    covariance: [f64; 3],
}

/// What is expected of a [`Moving`] quantity some time after its last measurement.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// If it comes to rest.
    pub value: f64,
    /// If it goes on as fast as it was.
    pub onward: f64,
    pub variance: f64,
}

impl Moving {
    /// Begins at rest. `noise` is the standard deviation of a measurement, `speed` that of velocities.
    pub fn new(value: f64, noise: f64, speed: f64) -> Self {
        Self {
            value,
            velocity: 0.0,
            covariance: [noise * noise, 0.0, speed * speed],
        }
    }

    /// Where it may be `seconds` after the last measurement.
    pub fn after(&self, seconds: f64) -> Expected {
        let [value, both, velocity] = self.covariance;
        Expected {
            value: self.value + self.velocity * faded(seconds),
            onward: self.value + self.velocity * seconds,
            variance: value + seconds * (2.0 * both + seconds * velocity),
        }
    }

    /// Takes a measurement `seconds` after the last one. `noise` is its standard deviation, `acceleration` that of
    /// accelerations.
    pub fn measure(&mut self, seconds: f64, measured: f64, noise: f64, acceleration: f64) {
        let [value, both, velocity] = self.covariance;
        let q = acceleration * acceleration;
        let (t2, t3, t4) = (seconds.powi(2), seconds.powi(3), seconds.powi(4));
        // Prediction: x' = x + v t, with accelerations that are constant for the time of a step.
        let predicted = [
            value + seconds * (2.0 * both + seconds * velocity) + q * t4 / 4.0,
            both + seconds * velocity + q * t3 / 2.0,
            velocity + q * t2,
        ];
        let expected = self.value + self.velocity * seconds;
        let gain = [predicted[0], predicted[1]].map(|covariance| covariance / (predicted[0] + noise * noise));
        let surprise = measured - expected;
        self.value = expected + gain[0] * surprise;
        self.velocity += gain[1] * surprise;
        self.covariance = [
            (1.0 - gain[0]) * predicted[0],
            (1.0 - gain[0]) * predicted[1],
            predicted[2] - gain[1] * predicted[1],
        ];
    }

    /// Change in a second.
    pub fn velocity(&self) -> f64 {
        self.velocity
    }

    /// From another origin.
    pub fn shifted(&self, by: f64) -> Self {
        Self {
            value: self.value + by,
            ..*self
        }
    }

    /// In a frame of another size.
    pub fn scale(&mut self, factor: f64) {
        self.value *= factor;
        self.velocity *= factor;
        self.covariance = self.covariance.map(|number| number * factor * factor);
    }
}

/// The seconds' worth of motion that is left of `seconds` when the velocity fades.
pub fn faded(seconds: f64) -> f64 {
    FADING * (1.0 - (-seconds / FADING).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_motion_is_learnt_and_goes_on() {
        let mut moving = Moving::new(0.0, 1.0, 100.0);
        for step in 1..=30 {
            moving.measure(0.04, f64::from(step) * 2.0, 1.0, 50.0);
        }
        assert!((moving.velocity - 50.0).abs() < 0.5, "{moving:?}");
        assert!((moving.after(0.04).value - 62.0).abs() < 0.5, "{moving:?}");
        // It does not run away: at most FADING seconds' worth.
        assert!((moving.after(100.0).value - (60.0 + 50.0 * FADING)).abs() < 1.0);
        assert!(moving.after(1.0).variance > moving.after(0.1).variance);
    }

    #[test]
    fn a_steady_motion_is_learnt_at_any_framerate() {
        let mut moving = Moving::new(0.0, 1.0, 100.0);
        let mut time = 0.0;
        for step in 0..60 {
            let seconds = [0.01, 0.1, 0.033, 0.2][step % 4];
            time += seconds;
            moving.measure(seconds, 30.0 * time, 1.0, 50.0);
        }
        assert!((moving.velocity - 30.0).abs() < 0.5, "{moving:?}");
    }
}
