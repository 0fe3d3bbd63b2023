//! People who move as known functions of time, seen by a detector with noise, misses and false alarms. For tests and examples.
#![allow(dead_code)] // Each of them uses a part.

pub mod scenes;
pub mod steadiness;

use img2pose_track::Sighting;

/// Width and height of the frames.
pub const FRAME: [u32; 2] = [1280, 720];

/// Numbers that look random and are the same in every run (splitmix64).
pub struct Chance(pub u64);

impl Chance {
    /// From 0 to 1.
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Of a normal distribution, by summing twelve even ones.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

/// A face of `size` pixels in the middle of `x, y`, turned by `yaw` radians.
pub fn face(x: f64, y: f64, size: f64, yaw: f64) -> Sighting {
    let (width, height) = (0.85 * size, 1.15 * size);
    let focal_length = f64::from(FRAME[0] + FRAME[1]);
    let tz = 1.6 * focal_length / size;
    let tx = (x - 640.0) / focal_length * tz;
    let ty = (y - 360.0) / focal_length * tz;
    Sighting {
        bbox: [
            x - width / 2.0,
            y - height / 2.0,
            x + width / 2.0,
            y + height / 2.0,
        ]
        .map(|side| side as f32),
        confidence: 0.95,
        pose: [0.0, yaw, 0.0, tx, ty, tz].map(|number| number as f32),
    }
}

/// As a detector sees it: boxes within some hundredths of their size, angles within some tenths of a degree.
pub fn noisy(sighting: Sighting, chance: &mut Chance) -> Sighting {
    let size = f64::from(sighting.bbox[2] - sighting.bbox[0]);
    let mut noisy = sighting;
    for side in &mut noisy.bbox {
        *side += (0.02 * size * chance.normal()) as f32;
    }
    for angle in &mut noisy.pose[..3] {
        *angle += (0.3f64.to_radians() * chance.normal()) as f32;
    }
    noisy
}
