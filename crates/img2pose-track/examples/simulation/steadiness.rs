//! How calm a head at rest is, and how late one that turns.

use std::time::Duration;

use img2pose_track::{Followed, Tracker, TrackerOptions};

use super::{Chance, FRAME, face};

/// What makes of the yaws that a detector saw, at 30 frames a second, those that are reported; in degrees.
pub enum Filter {
    /// A tracker with these options.
    Tracker(TrackerOptions),
    /// An exponential mean that takes this share of each new value.
    Exponential(f64),
}

/// Time in seconds and yaw in degrees of a head that turns as `truth(time)` says, seen with `noise` degrees (standard deviation).
pub fn yaws(filter: &Filter, seconds: f64, noise: f64, truth: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
    let mut chance = Chance(3);
    let seen = (0..(seconds * 30.0) as u32).map(|frame| {
        let time = f64::from(frame) / 30.0;
        let mut sighting = face(400.0, 300.0, 120.0, truth(time).to_radians());
        for angle in &mut sighting.pose[..3] {
            *angle += (noise.to_radians() * chance.normal()) as f32;
        }
        (time, sighting)
    });
    match filter {
        Filter::Tracker(options) => {
            let mut tracker = Tracker::new(*options);
            let mut faces: Vec<Followed> = Vec::new();
            seen.map(|(time, sighting)| {
                tracker.see(Duration::from_secs_f64(time), FRAME, &[sighting], &mut faces);
                (time, f64::from(faces[0].pose[1]).to_degrees())
            })
            .collect()
        }
        Filter::Exponential(share) => {
            let mut mean = None;
            seen.map(|(time, sighting)| {
                let yaw = f64::from(sighting.pose[1]).to_degrees();
                let last = *mean.get_or_insert(yaw);
                mean = Some(last + share * (yaw - last));
                (time, last + share * (yaw - last))
            })
            .collect()
        }
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Median change in degrees of the yaw from frame to frame of a head at rest.
pub fn jitter(filter: &Filter, noise: f64) -> f64 {
    let yaws = yaws(filter, 20.0, noise, |_| 10.0);
    median(
        yaws.windows(2)
            .skip(30)
            .map(|pair| (pair[1].1 - pair[0].1).abs())
            .collect(),
    )
}

/// Median time in seconds by which a head that turns evenly, there and back, is behind.
pub fn lag(filter: &Filter, noise: f64, degrees_a_second: f64) -> f64 {
    let period = 120.0 / degrees_a_second;
    let truth = |time: f64| {
        let phase = (time / period).fract();
        degrees_a_second * period * ((phase - 0.5).abs() - 0.25)
    };
    let yaws = yaws(filter, (3.0 * period).max(6.0), noise, truth);
    let late = yaws
        .iter()
        .filter(|(time, _)| *time > 1.0)
        .filter_map(|(time, yaw)| {
            let phase = (time / period).fract();
            // Away from the turns.
            let along = (phase * 2.0).fract();
            let direction = if phase < 0.5 { -1.0 } else { 1.0 };
            (along > 0.4).then(|| direction * (truth(*time) - yaw) / degrees_a_second)
        });
    median(late.collect())
}
