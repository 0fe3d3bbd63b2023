//! One frame's faces as a line of JSON.

use img2pose::Face;
use img2pose::frame::Orientation;
use img2pose::pose::yaw_pitch_roll;
use serde::{Serialize, Serializer};

use crate::meta::{CurrentFaces, FrameFaces, Track};

/// The members of a line, in the order in which they are written.
#[derive(Serialize)]
struct Line<'a> {
    pts: Option<u64>,
    frame: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<&'a str>,
    width: u32,
    height: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pixel_aspect_ratio: Option<[i32; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    orientation: Option<&'static str>,
    #[serde(skip_serializing_if = "is_false")]
    frame_changed: bool,
    #[serde(serialize_with = "faces")]
    faces: &'a FrameFaces,
    /// What is known of the change, if the frame has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    frame_change: Option<&'static str>,
    #[serde(skip_serializing_if = "is_false")]
    reused: bool,
}

#[derive(Serialize)]
struct LineFace<'a> {
    r#box: &'a [f32; 4],
    confidence: f32,
    pose: &'a [f32; 6],
    yaw_pitch_roll_deg: [f32; 3],
    #[serde(skip_serializing_if = "Option::is_none")]
    sigma: Option<f32>,
    keypoints: Keypoints,
    #[serde(skip_serializing_if = "Option::is_none")]
    track: Option<LineTrack>,
}

#[derive(Serialize)]
struct LineTrack {
    id: u64,
    age: u64,
    state: &'static str,
}

impl From<&Track> for LineTrack {
    fn from(track: &Track) -> Self {
        Self {
            id: track.id,
            age: track.age.nseconds(),
            state: track.state.name(),
        }
    }
}

#[derive(Serialize)]
struct Keypoints {
    left_eye: [f32; 2],
    right_eye: [f32; 2],
    nose: [f32; 2],
    mouth_left: [f32; 2],
    mouth_right: [f32; 2],
}

impl<'a> LineFace<'a> {
    fn new(face: &'a Face, track: Option<&Track>) -> Self {
        let [left_eye, right_eye, nose, mouth_left, mouth_right] = face.keypoints;
        Self {
            r#box: &face.bbox,
            confidence: face.confidence,
            pose: &face.pose,
            yaw_pitch_roll_deg: yaw_pitch_roll(&face.pose),
            sigma: face.sigma,
            keypoints: Keypoints {
                left_eye,
                right_eye,
                nose,
                mouth_left,
                mouth_right,
            },
            track: track.map(LineTrack::from),
        }
    }
}

fn faces<S: Serializer>(frame: &FrameFaces, serializer: S) -> Result<S::Ok, S::Error> {
    let face = |(index, face)| LineFace::new(face, frame.track(index));
    serializer.collect_seq(frame.faces.iter().enumerate().map(face))
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// Which frame of what a line is about.
pub(super) struct Origin<'a> {
    pub pts: Option<gst::ClockTime>,
    /// Number of the frame.
    pub frame: u64,
    /// Which camera or file it is from.
    pub source: Option<&'a str>,
    /// Its wall-clock time.
    pub time: Option<String>,
}

/// The line for a frame, newline included, and whether its coordinates are those of another frame than the current.
pub(super) fn write(origin: &Origin<'_>, current: &CurrentFaces) -> serde_json::Result<(Vec<u8>, bool)> {
    let located = current.located();
    let frame_changed = located.is_none();
    let faces = located.as_ref().unwrap_or(&current.recorded);
    let FrameFaces {
        frame_width,
        frame_height,
        pixel_aspect_ratio,
        orientation,
        reused,
        ..
    } = faces;
    // About what a face takes: the vector grows rarely.
    let mut line = Vec::with_capacity(96 + 512 * faces.faces.len());
    serde_json::to_writer(
        &mut line,
        &Line {
            pts: origin.pts.map(gst::ClockTime::nseconds),
            frame: origin.frame,
            source: origin.source,
            time: origin.time.as_deref(),
            width: *frame_width,
            height: *frame_height,
            pixel_aspect_ratio: (*pixel_aspect_ratio != gst::Fraction::new(1, 1))
                .then(|| [pixel_aspect_ratio.numer(), pixel_aspect_ratio.denom()]),
            orientation: (*orientation != Orientation::Identity).then(|| orientation.name()),
            frame_changed,
            faces,
            frame_change: frame_changed.then(|| current.change.name()),
            reused: *reused,
        },
    )?;
    line.push(b'\n');
    Ok((line, frame_changed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::FrameChange;

    fn current(faces: Vec<Face>, change: FrameChange) -> CurrentFaces {
        let square = gst::Fraction::new(1, 1);
        let rois = vec![None; faces.len()];
        let recorded = FrameFaces {
            frame_width: 640,
            frame_height: 480,
            pixel_aspect_ratio: square,
            reused: false,
            orientation: Orientation::Identity,
            faces,
            tracks: Vec::new(),
        };
        CurrentFaces {
            recorded,
            change,
            rois,
            width: 320,
            height: 240,
            pixel_aspect_ratio: square,
        }
    }

    fn face() -> Face {
        Face {
            bbox: [301.5, 92.0, 388.25, 0.1 + 0.2],
            confidence: 0.987_654_3,
            pose: [0.0, -0.0, 1e-7, -1.5, f32::MIN_POSITIVE, 16_777_216.0],
            keypoints: [
                [320.1, 140.2],
                [356.8, -3.0],
                [331.0, 160.4],
                [1.0, 2.0],
                [3.0, 4.0],
            ],
            sigma: None,
        }
    }

    fn untimed() -> Origin<'static> {
        Origin {
            pts: None,
            frame: 0,
            source: None,
            time: None,
        }
    }

    #[test]
    fn the_whole_line() {
        let origin = Origin {
            pts: Some(gst::ClockTime::from_mseconds(40)),
            frame: 7,
            ..untimed()
        };
        let (line, changed) = write(&origin, &current(vec![face()], FrameChange::None)).unwrap();
        let line = String::from_utf8(line).unwrap();
        let [yaw, pitch, roll] = yaw_pitch_roll(&face().pose);
        assert!(!changed);
        assert_eq!(
            line,
            format!(
                "{{\"pts\":40000000,\"frame\":7,\"width\":640,\"height\":480,\"faces\":[{{\
                 \"box\":[301.5,92.0,388.25,0.3],\"confidence\":0.9876543,\
                 \"pose\":[0.0,-0.0,1e-7,-1.5,1.1754944e-38,16777216.0],\
                 \"yaw_pitch_roll_deg\":[{yaw:?},{pitch:?},{roll}],\
                 \"keypoints\":{{\"left_eye\":[320.1,140.2],\"right_eye\":[356.8,-3.0],\"nose\":[331.0,160.4],\
                 \"mouth_left\":[1.0,2.0],\"mouth_right\":[3.0,4.0]}}}}]}}\n"
            )
        );
    }

    #[test]
    fn where_and_when() {
        let origin = Origin {
            source: Some("door \"3\""),
            time: Some("2026-11-30T20:15:00.250000Z".to_owned()),
            ..untimed()
        };
        let (line, _) = write(&origin, &current(vec![], FrameChange::Scaled)).unwrap();
        let expected = r#"{"pts":null,"frame":0,"source":"door \"3\"","time":"2026-11-30T20:15:00.250000Z","width":320,"#;
        assert!(line.starts_with(expected.as_bytes()));
    }

    #[test]
    fn without_faces_and_without_a_timestamp() {
        let (line, _) = write(&untimed(), &current(vec![], FrameChange::Scaled)).unwrap();
        assert_eq!(
            line,
            b"{\"pts\":null,\"frame\":0,\"width\":320,\"height\":240,\"faces\":[]}\n"
        );
    }

    #[test]
    fn what_a_reader_needs_to_project_a_pose_is_said_where_it_is_not_as_usual() {
        let mut current = current(vec![], FrameChange::None);
        current.recorded.pixel_aspect_ratio = gst::Fraction::new(16, 15);
        current.recorded.orientation = Orientation::CounterClockwise;
        let (line, _) = write(&untimed(), &current).unwrap();
        assert_eq!(
            String::from_utf8(line).unwrap(),
            "{\"pts\":null,\"frame\":0,\"width\":640,\"height\":480,\"pixel_aspect_ratio\":[16,15],\
             \"orientation\":\"90l\",\"faces\":[]}\n"
        );
        // Brought to square pixels meanwhile.
        current.change = FrameChange::Scaled;
        let (line, _) = write(&untimed(), &current).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert!(line.contains("\"height\":240,\"orientation\":\"90l\""), "{line}");
    }

    #[test]
    fn scaled_frames_scale_and_changed_frames_say_so() {
        let text = |change| {
            let (line, changed) = write(&untimed(), &current(vec![face()], change)).unwrap();
            (String::from_utf8(line).unwrap(), changed)
        };
        let (line, changed) = text(FrameChange::Scaled);
        assert!(
            !changed
                && line
                    .contains("\"width\":320,\"height\":240,\"faces\":[{\"box\":[150.75,46.0,194.125,0.15")
        );
        for change in [FrameChange::Reframed, FrameChange::Unknown] {
            let (line, changed) = text(change);
            assert!(changed);
            assert!(
                line.contains(
                    "\"width\":640,\"height\":480,\"frame_changed\":true,\"faces\":[{\"box\":[301.5,"
                )
            );
        }
    }

    #[test]
    fn numbers_read_back_as_they_were() {
        let (line, _) = write(&untimed(), &current(vec![face()], FrameChange::None)).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let pose = value["faces"][0]["pose"].as_array().unwrap();
        for (written, original) in pose.iter().zip(face().pose) {
            assert_eq!((written.as_f64().unwrap() as f32).to_bits(), original.to_bits());
        }
    }
}
