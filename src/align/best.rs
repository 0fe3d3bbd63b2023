//! The best crop of each followed face in every stretch of time.

use img2pose::Face;
use img2pose::pose::rotation_matrix;

/// How good a crop of a face will be: pixels across, less as the face is turned away from the camera. Its box is `bbox` in
/// pixels of the frame as it is now. A crop is upright, so the roll does not matter.
pub fn quality(face: &Face, bbox: [f32; 4]) -> f64 {
    let [x_min, y_min, x_max, y_max] = bbox;
    let [rx, ry, rz, tx, ty, tz] = face.pose.map(f64::from);
    let rotation = rotation_matrix([rx, ry, rz]);
    // Cosine of the angle between the head's axis from nose to nape and the line of sight.
    let along = rotation[0][2] * tx + rotation[1][2] * ty + rotation[2][2] * tz;
    let facing = along / tx.hypot(ty).hypot(tz).max(f64::MIN_POSITIVE);
    f64::from((x_max - x_min).min(y_max - y_min)) * facing.max(0.0)
}

/// The best crop so far of each followed face, in a stretch of time that has not ended.
///
/// Stretches are as long as the interval, one after another from the first frame on, and the same for all faces: so
/// crops leave in the order of their frames.
#[derive(Default)]
pub struct BestCrops {
    /// When the stretch ends; `None` before its first frame.
    end: Option<gst::ClockTime>,
    /// In the order of their frames, and of the faces in a frame.
    kept: Vec<Kept>,
}

struct Kept {
    track: u64,
    quality: f64,
    crop: gst::Buffer,
}

impl BestCrops {
    /// A frame of time `pts` comes: whether a stretch ends before it, of which `take` has the crops. A frame without a time
    /// belongs to the stretch of the frame before.
    pub fn ends_before(&mut self, pts: Option<gst::ClockTime>, interval: gst::ClockTime) -> bool {
        let Some(pts) = pts else {
            return false;
        };
        let after = pts.saturating_add(interval);
        match self.end {
            None => {
                self.end = Some(after);
                false
            }
            Some(end) if pts >= end => {
                // The stretches go on from each other, unless nothing came for longer than one.
                let next = end.saturating_add(interval);
                self.end = Some(if pts < next { next } else { after });
                true
            }
            // Time has jumped back.
            Some(end) if after < end => {
                self.end = Some(after);
                true
            }
            Some(_) => false,
        }
    }

    /// Whether a crop of that quality is the best of its face.
    pub fn is_best(&self, track: u64, quality: f64) -> bool {
        self.kept
            .iter()
            .all(|kept| kept.track != track || quality > kept.quality)
    }

    /// Keeps the crop of a face, in place of one that was kept before.
    pub fn keep(&mut self, track: u64, quality: f64, crop: gst::Buffer) {
        self.kept.retain(|kept| kept.track != track);
        self.kept.push(Kept { track, quality, crop });
    }

    /// The crops that were kept; none is afterwards.
    pub fn take(&mut self) -> impl Iterator<Item = gst::Buffer> + use<> {
        std::mem::take(&mut self.kept).into_iter().map(|kept| kept.crop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: gst::ClockTime = gst::ClockTime::from_seconds(1);

    fn at(milliseconds: u64) -> Option<gst::ClockTime> {
        Some(gst::ClockTime::from_mseconds(milliseconds))
    }

    fn face(rotation: [f32; 3], [x, y]: [f32; 2]) -> Face {
        let [rx, ry, rz] = rotation.map(f32::to_radians);
        Face {
            bbox: [0.0; 4],
            confidence: 0.9,
            pose: [rx, ry, rz, x, y, 9.0],
            keypoints: [[0.0; 2]; 5],
            sigma: None,
        }
    }

    #[test]
    fn large_faces_that_look_here_are_better() {
        let quality = |face: &Face, side: f32| quality(face, [10.0, 10.0, 10.0 + side, 20.0 + side]);
        let middle = [0.0, 0.0];
        let front = face([0.0; 3], middle);
        assert_eq!(quality(&front, 50.0), 50.0);
        assert!(quality(&front, 60.0) > quality(&front, 50.0));
        assert!(quality(&face([0.0, 40.0, 0.0], middle), 60.0) < 50.0);
        assert!(quality(&face([40.0, 0.0, 0.0], middle), 60.0) < 50.0);
        let rolled = quality(&face([0.0, 0.0, 80.0], middle), 50.0);
        assert!((rolled - 50.0).abs() < 1e-3, "a crop is upright");
        assert_eq!(
            quality(&face([0.0, 170.0, 0.0], middle), 50.0),
            0.0,
            "the back of a head"
        );
        // To the right of the camera, looking into it.
        let aside = quality(&face([0.0, 45.0, 0.0], [9.0, 0.0]), 50.0);
        assert!((aside - 50.0).abs() < 1e-3, "{aside}");
    }

    #[test]
    fn stretches_follow_each_other() {
        let mut best = BestCrops::default();
        let mut ends = |time| best.ends_before(time, INTERVAL);
        assert!(!ends(at(500)) && !ends(at(1499)) && !ends(None));
        assert!(ends(at(1500)) && !ends(at(2499)), "the next one");
        assert!(
            ends(at(2540)) && !ends(at(3499)) && ends(at(3500)),
            "they do not shift"
        );
        assert!(
            ends(at(20_000)) && !ends(at(20_999)) && ends(at(21_000)),
            "after a pause"
        );
        assert!(
            ends(at(100)) && !ends(at(1099)) && ends(at(1100)),
            "after a jump back"
        );
    }

    #[test]
    fn the_best_of_each_face_stays() {
        gst::init().unwrap();
        let crop = |number| {
            let mut crop = gst::Buffer::new();
            crop.get_mut().unwrap().set_offset(number);
            crop
        };
        let mut best = BestCrops::default();
        assert!(best.is_best(1, 0.0));
        best.keep(1, 5.0, crop(0));
        best.keep(2, 3.0, crop(1));
        assert!(!best.is_best(1, 5.0) && best.is_best(1, 6.0) && best.is_best(2, 4.0));
        best.keep(1, 6.0, crop(2));
        assert_eq!(best.take().map(|crop| crop.offset()).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(best.take().count(), 0);
        assert!(best.is_best(1, 0.0));
    }
}
