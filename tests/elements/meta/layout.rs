//! What `attach` writes and `read` gives back.

use crate::faces::{self, face, info, two_faces};
use gst::meta::CustomMeta;
use gst_video::{VideoFormat, VideoRegionOfInterestMeta};
use gstimg2pose::meta::{self, FrameFaces, MetaError, RECORD_NAME, Track, TrackState};
use img2pose::Face;
use img2pose::frame::Orientation;

fn video_info() -> gst_video::VideoInfo {
    info(VideoFormat::I420, 641, 359)
}

fn buffer_with(frame: &FrameFaces) -> gst::Buffer {
    let mut buffer = gst::Buffer::new();
    meta::attach(buffer.make_mut(), frame).unwrap();
    buffer
}

/// The record's structure, to break it.
fn change_record(buffer: &mut gst::Buffer, change: impl FnOnce(&mut gst::StructureRef)) {
    let mut record = CustomMeta::from_mut_buffer(buffer.make_mut(), RECORD_NAME).unwrap();
    change(record.mut_structure());
}

fn fields(s: &gst::StructureRef) -> Vec<(String, String)> {
    s.iter()
        .map(|(name, value)| (name.to_string(), value.type_().name().to_string()))
        .collect()
}

fn typed(names: &[&str], type_name: &str) -> Vec<(String, String)> {
    names
        .iter()
        .map(|name| (name.to_string(), type_name.to_owned()))
        .collect()
}

const DETECTION: [&str; 5] = ["x_min", "x_max", "y_min", "y_max", "confidence"];
const POSE: [&str; 19] = [
    "rx",
    "ry",
    "rz",
    "tx",
    "ty",
    "tz",
    "yaw",
    "pitch",
    "roll",
    "left-eye-x",
    "left-eye-y",
    "right-eye-x",
    "right-eye-y",
    "nose-x",
    "nose-y",
    "mouth-left-x",
    "mouth-left-y",
    "mouth-right-x",
    "mouth-right-y",
];

#[test]
fn every_bit_comes_back() {
    let info = video_info();
    // A small generator is enough to reach mantissas of all kinds.
    let mut state = 1u32;
    let mut next = |limit: f32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 * limit
    };
    let faces = (0..50)
        .map(|number| Face {
            bbox: [next(641.0), next(359.0), next(641.0), next(359.0)],
            confidence: next(1.0),
            pose: std::array::from_fn(|_| next(200.0) - 100.0),
            keypoints: std::array::from_fn(|_| [next(800.0) - 80.0, next(500.0) - 70.0]),
            sigma: (number % 2 == 0).then(|| next(180.0)),
        })
        .collect();
    let frame = FrameFaces::new(&info, faces);
    assert_eq!(meta::read(&buffer_with(&frame)), Ok(Some(frame)));
}

#[test]
fn how_sure_a_rotation_is_stands_beside_the_pose_where_a_model_says_it() {
    let info = video_info();
    let mut frame = two_faces(&info);
    frame.faces[1].sigma = Some(3.25);
    let buffer = buffer_with(&frame);
    let record = CustomMeta::from_buffer(&buffer, RECORD_NAME).unwrap();
    let of = |face: &str| record.structure().get::<gst::Structure>(face).unwrap();
    assert_eq!(of("face-1").get("sigma"), Ok(3.25_f64));
    assert!(!of("face-0").has_field("sigma"));
    let regions: Vec<Option<f64>> = buffer
        .iter_meta::<VideoRegionOfInterestMeta>()
        .map(|region| region.param("face-pose").unwrap().get("sigma").ok())
        .collect();
    assert_eq!(regions, [None, Some(3.25)]);
    frame.faces[1].sigma = Some(f32::NAN);
    let error = meta::attach(gst::Buffer::new().make_mut(), &frame)
        .unwrap_err()
        .to_string();
    assert!(error.contains("sigma"), "{error}");
}

/// Without them a pose cannot be projected, nor said how the viewer sees it.
#[test]
fn shape_of_the_pixels_and_orientation_come_back() {
    faces::init();
    let info = gst_video::VideoInfo::builder(VideoFormat::I420, 720, 576)
        .par(gst::Fraction::new(16, 15))
        .build()
        .unwrap();
    for orientation in Orientation::ALL {
        let frame = FrameFaces::new(&info, two_faces(&info).faces).turned(orientation);
        let buffer = buffer_with(&frame);
        assert_eq!(meta::read(&buffer), Ok(Some(frame)));
        let region = buffer.iter_meta::<VideoRegionOfInterestMeta>().next().unwrap();
        let pose = region.param("face-pose").unwrap();
        assert_eq!(pose.get("pixel-aspect-ratio"), Ok(gst::Fraction::new(16, 15)));
        let name = pose.get::<&str>("orientation").ok();
        let expected = (orientation != Orientation::Identity).then(|| orientation.name());
        assert_eq!(name, expected);
    }
    let mut buffer = buffer_with(&two_faces(&info));
    change_record(&mut buffer, |s| s.set("orientation", "upside-down"));
    let error = meta::read(&buffer).unwrap_err().to_string();
    assert!(
        error.contains("`orientation`") && error.contains("'upside-down'"),
        "{error}"
    );
}

#[test]
fn nothing_found_is_not_the_same_as_not_looked_at() {
    let info = video_info();
    let mut buffer = gst::Buffer::new();
    assert_eq!(meta::read(&buffer), Ok(None));
    let empty = FrameFaces::new(&info, vec![]);
    meta::attach(buffer.make_mut(), &empty).unwrap();
    assert_eq!(meta::read(&buffer), Ok(Some(empty)));
    meta::clear(buffer.make_mut());
    assert_eq!(meta::read(&buffer), Ok(None));
}

#[test]
fn record_has_the_documented_fields() {
    let buffer = buffer_with(&two_faces(&video_info()));
    let record = CustomMeta::from_buffer(&buffer, RECORD_NAME).unwrap();
    let s = record.structure();
    assert_eq!(s.name(), RECORD_NAME);
    let mut expected = typed(&["version"], "guint");
    expected.extend(typed(&["frame-width", "frame-height"], "gint"));
    expected.extend(typed(&["pixel-aspect-ratio"], "GstFraction"));
    expected.extend(typed(&["n-faces"], "guint"));
    expected.extend(typed(&["face-0", "face-1"], "GstStructure"));
    assert_eq!(fields(s), expected);
    assert_eq!(s.get("version"), Ok(1u32));
    assert_eq!(s.get("frame-width"), Ok(641i32));
    assert_eq!(s.get("frame-height"), Ok(359i32));
    assert_eq!(s.get("pixel-aspect-ratio"), Ok(gst::Fraction::new(1, 1)));
    assert_eq!(s.get("n-faces"), Ok(2u32));

    let nested: &gst::StructureRef = s.get("face-1").unwrap();
    let mut expected = typed(&DETECTION, "gdouble");
    expected.extend(typed(&["label_id"], "gint"));
    expected.extend(typed(&POSE, "gdouble"));
    assert_eq!(nested.name(), "face");
    assert_eq!(fields(nested), expected);
    assert_eq!(nested.get("x_min"), Ok(f64::from(150.6f32) / 641.0));
    assert_eq!(nested.get("y_max"), Ok(f64::from(90.1f32 + 55.7) / 359.0));
    assert_eq!(nested.get("tz"), Ok(f64::from(60.632f32)));
    assert_eq!(nested.get("nose-x"), Ok(f64::from(150.6f32 + 20.3)));
    let [yaw, pitch, roll] = img2pose::pose::yaw_pitch_roll(&face(0.0, 0.0, 1.0).pose).map(f64::from);
    assert_eq!(nested.get("yaw"), Ok(yaw));
    assert_eq!(nested.get("pitch"), Ok(pitch));
    assert_eq!(nested.get("roll"), Ok(roll));
}

#[test]
fn regions_have_the_documented_fields() {
    let buffer = buffer_with(&two_faces(&video_info()));
    let regions: Vec<_> = buffer.iter_meta::<VideoRegionOfInterestMeta>().collect();
    assert_eq!(regions.iter().map(|r| r.id()).collect::<Vec<_>>(), [0, 1]);
    // Boxes [33.3, 21.7, 73.6, 77.4] and [150.6, 90.1, 190.9, 145.8].
    assert_eq!(
        regions.iter().map(|r| r.rect()).collect::<Vec<_>>(),
        [(33, 21, 41, 57), (150, 90, 41, 56)]
    );
    for region in &regions {
        assert_eq!((region.roi_type(), region.parent_id()), ("face", -1));
        assert_eq!(
            region.params().map(|p| p.name().to_string()).collect::<Vec<_>>(),
            ["detection", "face-pose"]
        );
    }
    let mut expected = typed(&DETECTION, "gdouble");
    expected.extend(typed(&["label_id"], "gint"));
    let detection = regions[0].param("detection").unwrap();
    assert_eq!(fields(detection), expected);
    assert_eq!(detection.get("confidence"), Ok(f64::from(0.987f32)));

    let mut expected = typed(&["version"], "guint");
    expected.extend(typed(&["frame-width", "frame-height"], "gint"));
    expected.extend(typed(&POSE, "gdouble"));
    let pose = regions[0].param("face-pose").unwrap();
    assert_eq!(fields(pose), expected);
    assert_eq!(pose.get("frame-width"), Ok(641i32));
    assert_eq!(pose.get("mouth-right-y"), Ok(f64::from(21.7f32 + 40.9)));
}

#[test]
fn regions_are_clipped_to_the_frame() {
    let info = video_info();
    let boxed = |bbox| Face {
        bbox,
        ..face(0.0, 0.0, 0.5)
    };
    let frame = FrameFaces::new(
        &info,
        vec![
            boxed([-5.5, -1.0, 10.0, 20.0]),
            boxed([600.2, 300.9, 700.0, 359.5]),
            boxed([700.0, 400.0, 800.0, 500.0]),
            boxed([20.0, 30.0, 10.0, 25.0]),
        ],
    );
    let buffer = buffer_with(&frame);
    let rects: Vec<_> = buffer
        .iter_meta::<VideoRegionOfInterestMeta>()
        .map(|r| r.rect())
        .collect();
    assert_eq!(
        rects,
        [
            (0, 0, 10, 20),
            (600, 300, 41, 59),
            (641, 359, 0, 0),
            (20, 30, 0, 0)
        ]
    );
    // The record keeps what was found.
    assert_eq!(meta::read(&buffer), Ok(Some(frame)));
}

#[test]
fn a_second_look_replaces_the_first() {
    let info = video_info();
    let mut buffer = buffer_with(&two_faces(&info));
    let second = FrameFaces::new(&info, vec![face(300.0, 100.0, 0.9)]);
    meta::attach(buffer.make_mut(), &second).unwrap();
    assert_eq!(meta::read(&buffer), Ok(Some(second)));
    assert_eq!(buffer.iter_meta::<VideoRegionOfInterestMeta>().count(), 1);

    let nothing = FrameFaces::new(&info, vec![]);
    meta::attach(buffer.make_mut(), &nothing).unwrap();
    assert_eq!(meta::read(&buffer), Ok(Some(nothing)));
    assert_eq!(buffer.iter_meta::<VideoRegionOfInterestMeta>().count(), 0);
}

#[test]
fn regions_of_others_stay() {
    let info = video_info();
    let mut buffer = gst::Buffer::new();
    let b = buffer.make_mut();
    // Another detector's face with the default id, which is also the id of our first face.
    VideoRegionOfInterestMeta::add(b, "face", (1, 2, 3, 4)).add_param(
        gst::Structure::builder("detection")
            .field("confidence", 0.5f64)
            .build(),
    );
    VideoRegionOfInterestMeta::add(b, "face", (5, 6, 7, 8)); // the same, stripped of its parameters
    VideoRegionOfInterestMeta::add(b, "car", (9, 10, 11, 12)).set_parent_id(-1);
    meta::attach(b, &two_faces(&info)).unwrap();
    assert_eq!(b.iter_meta::<VideoRegionOfInterestMeta>().count(), 5);

    let current = meta::read_current(b, &info).unwrap().unwrap();
    assert_eq!(current.rois, [Some([33, 21, 41, 57]), Some([150, 90, 41, 56])]);

    meta::clear(b);
    let left: Vec<_> = b
        .iter_meta::<VideoRegionOfInterestMeta>()
        .map(|r| r.rect())
        .collect();
    assert_eq!(left, [(1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12)]);
}

#[test]
fn copies_of_a_buffer_have_the_faces() {
    let frame = two_faces(&video_info());
    let buffer = buffer_with(&frame);
    let mut copy = buffer.copy();
    assert_eq!(meta::read(&copy), Ok(Some(frame.clone())));
    assert_eq!(meta::read(&buffer.copy_deep().unwrap()), Ok(Some(frame.clone())));
    // The copy has its own record.
    meta::clear(copy.get_mut().unwrap());
    assert_eq!(meta::read(&buffer), Ok(Some(frame)));
}

#[test]
fn numbers_that_are_none_are_refused_and_change_nothing() {
    let info = video_info();
    let good = two_faces(&info);
    let mut buffer = buffer_with(&good);
    let mut bad = good.clone();
    bad.faces[1].pose[4] = f32::NAN;
    let error = meta::attach(buffer.make_mut(), &bad).unwrap_err();
    assert_eq!(error.to_string(), "face 1: the pose is not a finite number");
    bad = good.clone();
    bad.faces[0].keypoints[3][1] = f32::INFINITY;
    assert_eq!(
        meta::attach(buffer.make_mut(), &bad),
        Err(MetaError::NotFinite {
            face: 0,
            what: "a keypoint"
        })
    );
    bad = FrameFaces {
        frame_height: 0,
        ..good.clone()
    };
    assert_eq!(
        meta::attach(buffer.make_mut(), &bad).unwrap_err().to_string(),
        "faces of a frame of 641x0 pixels: both sides must be 1 to 2147483647"
    );
    assert_eq!(meta::read(&buffer), Ok(Some(good)));
    assert_eq!(buffer.iter_meta::<VideoRegionOfInterestMeta>().count(), 2);
}

#[test]
fn a_record_that_cannot_be_read_is_an_error() {
    let info = video_info();
    let read_changed = |change: &dyn Fn(&mut gst::StructureRef)| {
        let mut buffer = buffer_with(&two_faces(&info));
        change_record(&mut buffer, change);
        meta::read(&buffer).unwrap_err().to_string()
    };
    assert_eq!(
        read_changed(&|s| s.set("version", 2u32)),
        "Img2PoseFacesMeta has layout version 2, this plugin reads version 1: use the same version of the plugin for \
         all elements"
    );
    assert_eq!(
        read_changed(&|s| s.remove_field("version")),
        "faces on the buffer: no field `version` in `Img2PoseFacesMeta`"
    );
    assert_eq!(
        read_changed(&|s| s.set("frame-width", 640.0f64)),
        "faces on the buffer: field `frame-width` of `Img2PoseFacesMeta` is a gdouble, expected an integer"
    );
    assert_eq!(
        read_changed(&|s| s.set("frame-height", -3i32)),
        "faces on the buffer: field `frame-height` of `Img2PoseFacesMeta` is -3, expected 1 or more"
    );
    assert_eq!(
        read_changed(&|s| s.set("n-faces", u32::MAX)),
        "faces on the buffer: no field `face-2` in `Img2PoseFacesMeta`"
    );
    assert_eq!(
        read_changed(&|s| {
            let mut face: gst::Structure = s.get("face-0").unwrap();
            face.set("rx", f64::NAN);
            s.set("face-0", face);
        }),
        "faces on the buffer: field `rx` of `face` is NaN, expected a finite number"
    );
    assert_eq!(
        read_changed(&|s| {
            let mut face: gst::Structure = s.get("face-1").unwrap();
            face.remove_field("nose-y");
            s.set("face-1", face);
        }),
        "faces on the buffer: no field `nose-y` in `face`"
    );
}

#[test]
fn reused_faces_are_marked_and_others_carry_no_new_field() {
    let looked_at = two_faces(&video_info());
    let reused = FrameFaces {
        reused: true,
        ..looked_at.clone()
    };
    for frame in [looked_at, reused] {
        let buffer = buffer_with(&frame);
        assert_eq!(meta::read(&buffer), Ok(Some(frame.clone())));
        let record = gst::meta::CustomMeta::from_buffer(&buffer, meta::RECORD_NAME).unwrap();
        let marks = [record.structure().get::<bool>("reused").ok()];
        let region = buffer.iter_meta::<VideoRegionOfInterestMeta>().next().unwrap();
        let pose = region.param("face-pose").unwrap();
        let expected = frame.reused.then_some(true);
        assert_eq!(marks, [expected]);
        assert_eq!(pose.get::<bool>("reused").ok(), expected);
    }
}

fn followed(info: &gst_video::VideoInfo) -> FrameFaces {
    let frame = two_faces(info);
    let track = Track {
        id: u64::MAX,
        age: gst::ClockTime::from_mseconds(480),
        unseen: gst::ClockTime::ZERO,
        state: TrackState::Seen,
        seen: Some(face(31.1, 22.2, 0.987)),
    };
    FrameFaces {
        tracks: vec![None, Some(track)],
        ..frame
    }
}

#[test]
fn tracks_read_back_as_they_were_written() {
    let frame = followed(&video_info());
    let buffer = buffer_with(&frame);
    assert_eq!(meta::read(&buffer), Ok(Some(frame.clone())));
    assert_eq!((frame.track(0), frame.track(7)), (None, None));
    for state in [TrackState::New, TrackState::Predicted, TrackState::Interpolated] {
        let mut frame = frame.clone();
        let track = frame.tracks[1].as_mut().unwrap();
        (track.state, track.seen) = (state, None);
        assert_eq!(frame.is_seen(1), state == TrackState::New);
        assert_eq!(meta::read(&buffer_with(&frame)), Ok(Some(frame)));
    }
    // As C and Python read them.
    let record = gst::meta::CustomMeta::from_buffer(&buffer, meta::RECORD_NAME).unwrap();
    let face: gst::Structure = record.structure().get("face-1").unwrap();
    assert_eq!(face.get::<u64>("track-id"), Ok(u64::MAX));
    assert_eq!(face.get::<u64>("track-age"), Ok(480_000_000));
    assert_eq!(face.get::<&str>("track-state"), Ok("seen"));
    let seen: gst::Structure = face.get("seen").unwrap();
    assert_eq!(seen.get::<f64>("confidence"), Ok(f64::from(0.987f32)));
}

#[test]
fn a_track_that_cannot_be_read_is_an_error() {
    let read_changed = |change: &dyn Fn(&mut gst::StructureRef)| {
        let mut buffer = buffer_with(&followed(&video_info()));
        change_record(&mut buffer, |s| {
            let mut face: gst::Structure = s.get("face-1").unwrap();
            change(&mut face);
            s.set("face-1", face);
        });
        meta::read(&buffer).unwrap_err().to_string()
    };
    assert_eq!(
        read_changed(&|face| face.set("track-state", "asleep")),
        "faces on the buffer: field `track-state` of `face` is 'asleep', expected the name of a state of a track"
    );
    assert_eq!(
        read_changed(&|face| face.set("track-id", 7i32)),
        "faces on the buffer: field `track-id` of `face` is a gint, expected an unsigned 64-bit integer"
    );
    assert_eq!(
        read_changed(&|face| face.set("track-age", u64::MAX)),
        "faces on the buffer: field `track-age` of `face` is 18446744073709551615, expected a time"
    );
    assert_eq!(
        read_changed(&|face| face.set("seen", 1i32)),
        "faces on the buffer: field `seen` of `face` is a gint, expected a structure"
    );
}

#[test]
fn a_face_that_was_found_in_no_place_cannot_be_attached() {
    let mut frame = followed(&video_info());
    frame.tracks[1].as_mut().unwrap().seen.as_mut().unwrap().bbox[0] = f32::NAN;
    assert_eq!(
        meta::attach(gst::Buffer::new().make_mut(), &frame)
            .unwrap_err()
            .to_string(),
        "face 1: the box is not a finite number"
    );
}
