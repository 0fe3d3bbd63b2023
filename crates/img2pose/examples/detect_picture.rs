//! Finds the faces in pictures and prints them.
//!
//!     cargo run --release -p img2pose --example detect_picture -- models/img2pose-slim.onnx PICTURE...
//!
//! PICTURE is a JPEG or PNG file. A photo whose EXIF data say that it lies on its side is turned upright first; boxes are in
//! pixels of the upright picture. ONNX Runtime is found as everywhere: `ORT_DYLIB_PATH`, or the system's.

use std::error::Error;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader};
use img2pose::frame::Frame;
use img2pose::pose::yaw_pitch_roll;
use img2pose::{Detector, DetectorOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, pictures @ ..] = arguments.as_slice() else {
        return Err("usage: detect_picture MODEL.onnx PICTURE...".into());
    };
    if pictures.is_empty() {
        return Err("give one picture at least: detect_picture MODEL.onnx PICTURE...".into());
    }
    let mut detector = Detector::open(model.as_ref(), DetectorOptions::default())?;
    for path in pictures {
        let picture = upright(path.as_ref()).map_err(|error| format!("{path}: {error}"))?;
        let picture = picture.into_rgb8();
        let frame = Frame::rgb(picture.as_raw(), picture.width(), picture.height());
        // One entry for each frame; this is one frame.
        let faces = detector.detect(&[frame])?.remove(0);
        println!("{path}: {} faces", faces.len());
        for face in &faces {
            let [left, top, right, bottom] = face.bbox;
            let [yaw, pitch, roll] = yaw_pitch_roll(&face.pose);
            println!(
                "  box {left:.0},{top:.0} to {right:.0},{bottom:.0}  confidence {:.3}  yaw {yaw:.1}  pitch {pitch:.1}  roll {roll:.1}",
                face.confidence
            );
        }
    }
    Ok(())
}

/// The picture as a viewer shows it.
fn upright(path: &Path) -> Result<DynamicImage, image::ImageError> {
    let mut decoder = ImageReader::open(path)?.with_guessed_format()?.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}
