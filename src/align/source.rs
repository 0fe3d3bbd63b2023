//! From the faces of a frame to where in it their crops come from.

use img2pose::frame::{RgbPicture, Warper};
use img2pose::pose::{Affine, Alignment, align_with_pixels};

use super::settings::Settings;
use crate::meta::CurrentFaces;
use crate::video::InputFormat;

/// Frames of one format.
pub struct Source {
    /// The format, with its colours.
    pub format: InputFormat,
    warper: Warper,
}

/// Where a crop comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crop {
    /// Index of the face in the record.
    pub face: usize,
    /// From pixels of the frame that was looked at to pixels of the crop.
    pub alignment: Alignment,
    /// From pixels of the crop to pixels of the frame as it is now.
    pub to_frame: Affine,
}

impl Source {
    /// Frames with the given caps.
    ///
    /// # Errors
    /// When they cannot be read; in words.
    pub fn new(caps: &gst::CapsRef) -> Result<Self, String> {
        let format = InputFormat::from_caps(caps)?;
        let warper = Warper::new(format.layout).map_err(|error| error.to_string())?;
        Ok(Self { format, warper })
    }

    /// Cuts a crop out of the frame.
    ///
    /// # Errors
    /// When the buffer cannot be read; in words.
    pub fn cut(
        &self,
        buffer: &gst::BufferRef,
        crop: &Crop,
        picture: &mut RgbPicture<'_>,
    ) -> Result<(), String> {
        self.format
            .read_frame(buffer, |frame| self.warper.warp(frame, &crop.to_frame, picture))?
            .map_err(|error| error.to_string())
    }
}

/// The crops that the settings ask for, in the order of the record. A face whose pose has no picture gives none.
pub fn crops<'f>(current: &'f CurrentFaces, settings: &'f Settings) -> impl Iterator<Item = Crop> + 'f {
    let recorded = &current.recorded;
    let (width, height, view) = (recorded.frame_width, recorded.frame_height, recorded.view());
    let [x_scale, y_scale] = current.scale();
    // The middle of pixel 0 lies half a pixel from the corner, which is what stays in its place.
    let now = Affine([
        [x_scale, 0.0, (x_scale - 1.0) / 2.0],
        [0.0, y_scale, (y_scale - 1.0) / 2.0],
    ]);
    recorded
        .faces
        .iter()
        .enumerate()
        .filter(|(_, face)| settings.want(face, current.scaled_box(face.bbox)))
        .filter_map(move |(index, face)| {
            let alignment = align_with_pixels(&face.pose, width, height, view, settings.size)?;
            let to_frame = alignment.transform.inverse()?.then(&now);
            Some(Crop {
                face: index,
                alignment,
                to_frame,
            })
        })
        .take(settings.limit())
}

#[cfg(test)]
mod tests {
    use img2pose::Face;
    use img2pose::frame::Orientation;

    use super::*;
    use crate::meta::{FrameChange, FrameFaces};

    fn current(faces: Vec<Face>, width: u32, height: u32) -> CurrentFaces {
        CurrentFaces {
            rois: vec![None; faces.len()],
            recorded: FrameFaces {
                frame_width: 640,
                frame_height: 480,
                pixel_aspect_ratio: gst::Fraction::new(1, 1),
                reused: false,
                orientation: Orientation::Identity,
                faces,
                tracks: Vec::new(),
            },
            change: FrameChange::Scaled,
            width,
            height,
            pixel_aspect_ratio: gst::Fraction::new(1, 1),
        }
    }

    fn face(side: f32, z: f32) -> Face {
        Face {
            bbox: [100.0, 100.0, 100.0 + side, 100.0 + side],
            confidence: 0.9,
            pose: [0.1, 0.2, 0.1, 0.5, -0.5, z],
            keypoints: [[0.0; 2]; 5],
            sigma: None,
        }
    }

    #[test]
    fn the_crop_comes_from_the_frame_that_was_looked_at() {
        let current = current(vec![face(50.0, 20.0)], 640, 480);
        let settings = Settings::default();
        let crop = crops(&current, &settings).next().unwrap();
        let place = crop.to_frame.apply([30.0, 70.0]);
        let back = crop.alignment.transform.apply(place);
        assert!((back[0] - 30.0).abs() < 1e-9 && (back[1] - 70.0).abs() < 1e-9);
    }

    #[test]
    fn or_from_the_same_place_in_the_scaled_one() {
        let settings = Settings::default();
        let place = |width, height| {
            let current = current(vec![face(50.0, 20.0)], width, height);
            let crop = crops(&current, &settings).next().unwrap();
            // Distance from the frame's corner, in widths and heights.
            let [x, y] = crop.to_frame.apply([30.0, 70.0]);
            [(x + 0.5) / f64::from(width), (y + 0.5) / f64::from(height)]
        };
        let (whole, scaled) = (place(640, 480), place(1280, 240));
        assert!((whole[0] - scaled[0]).abs() < 1e-9 && (whole[1] - scaled[1]).abs() < 1e-9);
    }

    #[test]
    fn which_faces() {
        let faces = vec![
            face(50.0, 20.0),
            face(20.0, 20.0),
            face(60.0, f32::INFINITY),
            face(90.0, 20.0),
        ];
        let indices = |width, height, settings: Settings| -> Vec<usize> {
            crops(&current(faces.clone(), width, height), &settings)
                .map(|crop| crop.face)
                .collect()
        };
        let all = Settings::default();
        assert_eq!(indices(640, 480, all), [0, 1, 3]);
        let settings = |min_face_size, max_faces| Settings {
            min_face_size,
            max_faces,
            ..all
        };
        assert_eq!(indices(640, 480, settings(30, -1)), [0, 3]);
        assert_eq!(indices(640, 480, settings(30, 1)), [0]);
        assert!(indices(640, 480, settings(0, 0)).is_empty());
        // The pixels that are left count.
        assert_eq!(indices(320, 240, settings(30, -1)), [3]);
    }
}
