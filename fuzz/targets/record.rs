//! A record with any fields is read or refused: buffers may come from another version or another program.
#![no_main]

use std::sync::Once;

use arbitrary::Arbitrary;
use gstimg2pose::meta;
use libfuzzer_sys::fuzz_target;

/// A change of a record, as another writer might have made it.
#[derive(Arbitrary, Debug)]
struct Change {
    field: u8,
    /// In the structure of this face, or in the record's own.
    face: Option<u8>,
    value: Value,
}

#[derive(Arbitrary, Debug)]
enum Value {
    Absent,
    Int(i32),
    UInt(u32),
    Double(f64),
    Fraction(i32, i32),
    Text(String),
}

const FIELDS: [&str; 24] = [
    "version",
    "frame-width",
    "frame-height",
    "pixel-aspect-ratio",
    "n-faces",
    "face-0",
    "face-1",
    "x_min",
    "x_max",
    "y_min",
    "y_max",
    "confidence",
    "label_id",
    "rx",
    "tz",
    "yaw",
    "left-eye-x",
    "mouth-right-y",
    "ry",
    "ty",
    "track-id",
    "track-age",
    "track-state",
    "seen",
];

fn apply(structure: &mut gst::StructureRef, change: &Change) {
    let name = FIELDS[change.field as usize % FIELDS.len()];
    match &change.value {
        Value::Absent => structure.remove_field(name),
        Value::Int(value) => structure.set(name, *value),
        Value::UInt(value) => structure.set(name, *value),
        Value::Double(value) => structure.set(name, *value),
        // GStreamer itself knows no fraction of zero parts.
        Value::Fraction(numer, denom) if *denom != 0 && *denom != i32::MIN && *numer != i32::MIN => {
            structure.set(name, gst::Fraction::new(*numer, *denom));
        }
        Value::Fraction(..) => {}
        Value::Text(text) => structure.set(name, text.replace('\0', "")),
    }
}

fuzz_target!(|changes: Vec<Change>| {
    static INIT: Once = Once::new();
    INIT.call_once(|| gst::init().unwrap());
    let mut buffer = gst::Buffer::new();
    let face = img2pose::Face {
        bbox: [10.0, 20.0, 30.0, 50.0],
        confidence: 0.9,
        pose: [0.1, -0.2, 0.05, -2.5, 0.75, 18.0],
        keypoints: [
            [12.0, 25.0],
            [25.0, 25.0],
            [20.0, 30.0],
            [14.0, 40.0],
            [26.0, 40.0],
        ],
        sigma: None,
    };
    let frame = meta::FrameFaces {
        frame_width: 64,
        orientation: img2pose::frame::Orientation::Identity,
        frame_height: 48,
        pixel_aspect_ratio: gst::Fraction::new(1, 1),
        reused: false,
        tracks: vec![
            None,
            Some(meta::Track {
                id: 3,
                age: gst::ClockTime::from_mseconds(40),
                unseen: gst::ClockTime::ZERO,
                state: meta::TrackState::Seen,
                seen: Some(face.clone()),
            }),
        ],
        faces: vec![face.clone(), face],
    };
    meta::attach(buffer.get_mut().unwrap(), &frame).unwrap();
    {
        let buffer = buffer.get_mut().unwrap();
        let mut record = gst::meta::CustomMeta::from_mut_buffer(buffer, meta::RECORD_NAME).unwrap();
        let structure = record.mut_structure();
        for change in &changes {
            match change.face {
                None => apply(structure, change),
                Some(face) => {
                    let name = format!("face-{}", face % 3);
                    if let Ok(mut nested) = structure.get::<gst::Structure>(&name) {
                        apply(&mut nested, change);
                        structure.set(&name, nested);
                    }
                }
            }
        }
    }
    if let Ok(Some(faces)) = meta::read(&buffer) {
        assert!(faces.frame_width > 0 && faces.frame_height > 0);
        // What was read can be written again.
        let _ = meta::attach(gst::Buffer::new().get_mut().unwrap(), &faces);
    }
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, 32, 24)
        .build()
        .unwrap();
    let _ = meta::read_current(&buffer, &info);
});
