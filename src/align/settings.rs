//! The properties.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;
use img2pose::Face;
use img2pose::pose::yaw_pitch_roll;

use crate::properties::value_of;

/// Sides of a crop that can be asked for, in pixels.
pub const SIZES: RangeInclusive<u32> = 16..=2048;

/// The values of all properties.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Side of a crop in pixels, where downstream leaves the choice.
    pub size: u32,
    /// Most crops of a frame; -1: no limit.
    pub max_faces: i32,
    /// Least short side of a face's box, in pixels of the frame as it arrives.
    pub min_face_size: u32,
    /// Most yaw to either side, in degrees.
    pub max_yaw: f64,
    /// One crop of each followed face in every stretch of so many nanoseconds; 0: all crops.
    pub per_track_interval: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            size: 112,
            max_faces: -1,
            min_face_size: 0,
            max_yaw: 90.0,
            per_track_interval: 0,
        }
    }
}

impl Settings {
    /// Whether a face is wanted, `max_faces` aside; its box is `bbox` in pixels of the frame as it arrives.
    pub fn want(&self, face: &Face, bbox: [f32; 4]) -> bool {
        let [x_min, y_min, x_max, y_max] = bbox;
        let short_side = (x_max - x_min).min(y_max - y_min);
        let [yaw, _, _] = yaw_pitch_roll(&face.pose);
        short_side >= self.min_face_size as f32 && f64::from(yaw.abs()) <= self.max_yaw
    }

    /// Most crops of a frame.
    pub fn limit(&self) -> usize {
        usize::try_from(self.max_faces).unwrap_or(usize::MAX)
    }

    /// The stretch of time in which there is one crop of each followed face; `None`: all crops.
    pub fn per_track_interval(&self) -> Option<gst::ClockTime> {
        (self.per_track_interval > 0).then(|| gst::ClockTime::from_nseconds(self.per_track_interval))
    }

    /// Takes the value of a property over. GObject has checked name, type and range.
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        match name {
            "size" => self.size = value_of(value),
            "max-faces" => self.max_faces = value_of(value),
            "min-face-size" => self.min_face_size = value_of(value),
            "max-yaw" => self.max_yaw = value_of(value),
            "per-track-interval" => self.per_track_interval = value_of(value),
            name => unreachable!("no property '{name}'"),
        }
    }

    /// The value of a property.
    pub fn get(&self, name: &str) -> glib::Value {
        match name {
            "size" => self.size.to_value(),
            "max-faces" => self.max_faces.to_value(),
            "min-face-size" => self.min_face_size.to_value(),
            "max-yaw" => self.max_yaw.to_value(),
            "per-track-interval" => self.per_track_interval.to_value(),
            name => unreachable!("no property '{name}'"),
        }
    }

    /// The properties of the element, as `gst-inspect-1.0` shows them.
    pub fn param_specs() -> &'static [glib::ParamSpec] {
        static SPECS: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let defaults = Settings::default();
            vec![
                glib::ParamSpecUInt::builder("size")
                    .nick("Size")
                    .blurb(
                        "Width and height of a crop in pixels; most face recognition models take 112 or 224. If \
                         downstream's caps do not allow this size, the nearest that they allow",
                    )
                    .minimum(*SIZES.start())
                    .maximum(*SIZES.end())
                    .default_value(defaults.size)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecInt::builder("max-faces")
                    .nick("Maximum faces")
                    .blurb("Make at most this many crops of a frame, of the most confident faces; -1: of all faces")
                    .minimum(-1)
                    .default_value(defaults.max_faces)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt::builder("min-face-size")
                    .nick("Minimum face size")
                    .blurb("Leave out faces whose box has a side shorter than this, in pixels of the frame; 0: keep \
                         all")
                    .maximum(1 << 16)
                    .default_value(defaults.min_face_size)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecDouble::builder("max-yaw")
                    .nick("Maximum yaw")
                    .blurb("Leave out faces that are turned further than this to either side, in degrees; 90: keep \
                         all")
                    .minimum(0.0)
                    .maximum(90.0)
                    .default_value(defaults.max_yaw)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt64::builder("per-track-interval")
                    .nick("Interval per track")
                    .blurb(
                        "Behind img2posetrack: make one crop of each followed face in every stretch of this many \
                         nanoseconds, the largest that looks into the camera, and hold it back until the stretch \
                         ends; 0: make all crops",
                    )
                    .maximum(u64::MAX / 4)
                    .default_value(defaults.per_track_interval)
                    .mutable_playing()
                    .build(),
            ]
        });
        &SPECS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(ry: f32) -> Face {
        Face {
            bbox: [10.0, 20.0, 50.0, 80.0],
            confidence: 0.9,
            pose: [0.0, ry, 0.0, 0.0, 0.0, 20.0],
            keypoints: [[0.0; 2]; 5],
            sigma: None,
        }
    }

    #[test]
    fn every_property_reads_its_default_and_what_was_set() {
        let defaults = Settings::default();
        for spec in Settings::param_specs() {
            let mut settings = defaults;
            settings.set(spec.name(), spec.default_value());
            assert_eq!(settings, defaults, "{}", spec.name());
            assert_eq!(settings.get(spec.name()).type_(), spec.value_type());
        }
    }

    #[test]
    fn faces_that_are_too_small_or_turned_too_far() {
        let settings = Settings {
            min_face_size: 40,
            max_yaw: 45.0,
            ..Settings::default()
        };
        let bbox = face(0.0).bbox;
        assert!(settings.want(&face(0.0), bbox));
        assert!(settings.want(&face(0.7), bbox) && settings.want(&face(-0.7), bbox));
        assert!(!settings.want(&face(0.9), bbox) && !settings.want(&face(-0.9), bbox));
        // The short side counts.
        assert!(!settings.want(&face(0.0), [10.0, 20.0, 49.0, 80.0]));
        assert!(!settings.want(&face(0.0), [10.0, 20.0, 150.0, 59.0]));
        assert!(Settings::default().want(&face(1.57), [0.0; 4]));
    }

    #[test]
    fn limits() {
        let limit = |max_faces| {
            Settings {
                max_faces,
                ..Settings::default()
            }
            .limit()
        };
        assert_eq!((limit(-1), limit(0), limit(3)), (usize::MAX, 0, 3));
    }
}
