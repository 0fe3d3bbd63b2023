//! The faces as GStreamer's own analytics metadata: what is written, and what GStreamer's elements make of it.
//!
//! Built with the features `v1_24`, `v1_26` and `v1_28` only. An element that is not installed is skipped, unless
//! `IMG2POSE_READERS` lists it, as scripts/test-debian.sh does.

use crate::faces::{self, face, frame_with, info, run, two_faces};
use gst::glib::Quark;
use gst_analytics::{
    AnalyticsAnyMtd, AnalyticsODMtd, AnalyticsRelationMeta, AnalyticsTrackingMtd, RelTypes, prelude::*,
};
use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoInfo, VideoRegionOfInterestMeta};
use gstimg2pose::meta::{self, FrameFaces};

fn video_info() -> VideoInfo {
    info(VideoFormat::Rgba, 320, 240)
}

fn buffer_with(frame: &FrameFaces) -> gst::Buffer {
    let mut buffer = gst::Buffer::new();
    meta::attach(buffer.make_mut(), frame).unwrap();
    buffer
}

/// Class, box as x, y, width, height, and confidence of each object detection.
fn detections(buffer: &gst::BufferRef) -> Vec<(String, [i32; 4], f32)> {
    let Some(meta) = buffer.meta::<AnalyticsRelationMeta>() else {
        return Vec::new();
    };
    meta.iter::<AnalyticsODMtd>()
        .map(|od| {
            let at = od.location().unwrap();
            let class = od.obj_type().unwrap().as_str().to_string();
            (class, [at.x, at.y, at.w, at.h], at.loc_conf_lvl)
        })
        .collect()
}

fn two_detections() -> Vec<(String, [i32; 4], f32)> {
    vec![
        ("face".to_owned(), [33, 21, 41, 57], 0.987),
        ("face".to_owned(), [150, 90, 41, 56], 0.654),
    ]
}

/// Whether to go on with a test that needs `element`.
fn have(element: &str) -> bool {
    faces::init();
    let there = gst::ElementFactory::find(element).is_some();
    let wanted = std::env::var("IMG2POSE_READERS").unwrap_or_default();
    assert!(
        there || !wanted.split(' ').any(|name| name == element),
        "{element} is not installed"
    );
    if !there {
        println!("skipped: {element} is not installed");
    }
    there
}

#[test]
fn one_object_detection_for_each_face() {
    let buffer = buffer_with(&two_faces(&video_info()));
    assert_eq!(detections(&buffer), two_detections());
    assert_eq!(buffer.iter_meta::<VideoRegionOfInterestMeta>().count(), 2);
    let nothing = buffer_with(&FrameFaces::new(&video_info(), vec![]));
    assert!(nothing.meta::<AnalyticsRelationMeta>().is_none());
}

#[test]
fn faces_that_are_followed_have_tracking_metadata() {
    let track = |id, unseen| {
        Some(meta::Track {
            id,
            age: gst::ClockTime::from_mseconds(400),
            unseen: gst::ClockTime::from_mseconds(unseen),
            state: if unseen > 0 {
                meta::TrackState::Predicted
            } else {
                meta::TrackState::Seen
            },
            seen: None,
        })
    };
    let mut frame = two_faces(&video_info());
    frame.tracks = vec![None, track(7, 80)];
    let mut buffer = gst::Buffer::new();
    buffer.make_mut().set_pts(gst::ClockTime::from_mseconds(1000));
    meta::attach(buffer.make_mut(), &frame).unwrap();
    assert_eq!(detections(&buffer), two_detections());
    let ms = gst::ClockTime::from_mseconds;
    {
        let relations = buffer.meta::<AnalyticsRelationMeta>().unwrap();
        let tracks: Vec<_> = relations.iter::<AnalyticsTrackingMtd>().collect();
        assert_eq!(tracks.len(), 1);
        assert_eq!(tracks[0].info(), (7, ms(600), ms(920), false));
        let second = relations.iter::<AnalyticsODMtd>().nth(1).unwrap();
        let related: Vec<_> = relations
            .iter_direct_related::<AnalyticsTrackingMtd>(second.id(), RelTypes::RELATE_TO)
            .map(|track| track.id())
            .collect();
        assert_eq!(related, [tracks[0].id()]);
    }
    // Written anew: once, not twice.
    frame.tracks = vec![track(3, 0), track(7, 0)];
    meta::attach(buffer.make_mut(), &frame).unwrap();
    let relations = buffer.meta::<AnalyticsRelationMeta>().unwrap();
    let seen: Vec<_> = relations
        .iter::<AnalyticsTrackingMtd>()
        .map(|track| track.info())
        .collect();
    assert_eq!(seen, [3, 7].map(|id| (id, ms(600), ms(1000), false)));
}

#[test]
fn a_second_look_replaces_the_first() {
    let info = video_info();
    let mut buffer = buffer_with(&two_faces(&info));
    // A tracker's note about a face goes with it.
    let mut relations = buffer.make_mut().meta_mut::<AnalyticsRelationMeta>().unwrap();
    let note = relations.add_tracking_mtd(7, gst::ClockTime::ZERO).unwrap().id();
    relations.set_relation(RelTypes::RELATE_TO, 0, note).unwrap();
    let second = FrameFaces::new(&info, vec![face(200.0, 100.0, 0.9)]);
    meta::attach(buffer.make_mut(), &second).unwrap();
    assert_eq!(
        detections(&buffer),
        [("face".to_owned(), [200, 100, 41, 56], 0.9)]
    );
    assert_eq!(buffer.iter_meta::<AnalyticsRelationMeta>().count(), 1);

    meta::clear(buffer.make_mut());
    assert_eq!(buffer.iter_meta::<gst::Meta>().count(), 0);
}

#[test]
fn detections_of_others_stay() {
    let info = video_info();
    for class in ["car", "face"] {
        let mut buffer = gst::Buffer::new();
        let b = buffer.make_mut();
        AnalyticsRelationMeta::add(b)
            .add_od_mtd(Quark::from_str(class), 1, 2, 3, 4, 0.5)
            .unwrap();
        meta::attach(b, &two_faces(&info)).unwrap();
        let theirs = (class.to_owned(), [1, 2, 3, 4], 0.5);
        let all = [vec![theirs], two_detections()].concat();
        assert_eq!(detections(b), all);
        assert_eq!(b.iter_meta::<AnalyticsRelationMeta>().count(), 1);
        // Ours cannot be taken out beside them.
        meta::clear(b);
        assert_eq!(detections(b), all);
        assert_eq!(meta::read(b), Ok(None));
    }
}

#[test]
fn a_frame_without_faces_keeps_the_notes_of_others() {
    let nothing = FrameFaces::new(&video_info(), vec![]);
    let mut buffer = buffer_with(&nothing);
    AnalyticsRelationMeta::add(buffer.make_mut())
        .add_tracking_mtd(7, gst::ClockTime::ZERO)
        .unwrap();
    meta::attach(buffer.make_mut(), &nothing).unwrap();
    let relations = buffer.meta::<AnalyticsRelationMeta>().unwrap();
    assert_eq!(relations.iter::<AnalyticsAnyMtd>().count(), 1);
}

#[test]
fn more_faces_than_anyone_has_seen() {
    let info = video_info();
    let many: Vec<_> = (0..1000).map(|i| face((i % 280) as f32, 50.0, 0.9)).collect();
    let mut buffer = buffer_with(&FrameFaces::new(&info, many));
    assert_eq!(detections(&buffer).len(), 1000);
    meta::clear(buffer.make_mut());
    assert_eq!(detections(&buffer), []);
}

#[test]
fn conversion_keeps_detections_and_scaling_scales_them() {
    let info = video_info();
    let through = |elements: &str| {
        let arrived = run(elements, &info, vec![frame_with(&info, 0, &two_faces(&info))]);
        detections(arrived.frame().0)
    };
    assert_eq!(
        through("videoconvert ! video/x-raw,format=NV12"),
        two_detections()
    );
    assert_eq!(through("tee ! queue ! identity"), two_detections());
    let scaled = through("videoscale ! video/x-raw,width=640,height=480");
    // 1.24 leaves them where they were.
    if gst::version() >= (1, 26, 0, 0) {
        assert_eq!(
            scaled.iter().map(|found| found.1).collect::<Vec<_>>(),
            [[66, 42, 82, 114], [300, 180, 82, 112]]
        );
    }
}

#[test]
fn objectdetectionoverlay_draws_the_boxes() {
    if !have("objectdetectionoverlay") {
        return;
    }
    let info = video_info();
    let arrived = run(
        // It refuses frames after a query for buffers that came before the format, as appsrc asks it.
        "videoconvert ! objectdetectionoverlay draw-labels=false object-detection-outline-color=0xffff0000",
        &info,
        vec![frame_with(&info, 0, &two_faces(&info))],
    );
    let (buffer, now) = arrived.frame();
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &now).unwrap();
    let (stride, data) = (frame.plane_stride()[0] as usize, frame.plane_data(0).unwrap());
    let drawn = |x: i32, y: i32| data[y as usize * stride + x as usize * 4..][..3] != [128, 128, 128];
    let line = 4;
    for (_, [x, y, width, height], _) in two_detections() {
        for (x, y) in [
            (x, y + height / 2),
            (x + width, y + height / 2),
            (x + width / 2, y),
            (x + width / 2, y + height),
        ] {
            let near = (-line..=line).any(|d| drawn(x + d, y) || drawn(x, y + d));
            assert!(near, "no line at {x}, {y}");
        }
        assert!(!drawn(x + width / 2, y + height / 2));
    }
    let inside = |x: i32, y: i32, margin: i32| {
        two_detections().iter().any(|(_, [left, top, width, height], _)| {
            (left - margin..=left + width + margin).contains(&x)
                && (top - margin..=top + height + margin).contains(&y)
        })
    };
    for y in 0..240 {
        for x in 0..320 {
            assert!(!drawn(x, y) || inside(x, y, line), "drawn at {x}, {y}");
        }
    }
}

#[test]
fn ioutracker_follows_the_faces() {
    if !have("ioutracker") {
        return;
    }
    let info = video_info();
    let frames = (0..8u64)
        .map(|index| {
            let moved = 3.0 * index as f32;
            let mut both = vec![face(30.0 + moved, 20.0, 0.9), face(200.0 - moved, 120.0, 0.8)];
            // Order of confidence says nothing of who is who.
            if index % 2 == 1 {
                both.reverse();
            }
            frame_with(&info, index, &FrameFaces::new(&info, both))
        })
        .collect();
    let arrived = run("ioutracker", &info, frames);
    assert_eq!((&arrived.error, arrived.samples.len()), (&None, 8));
    let followed: Vec<_> = arrived
        .samples
        .iter()
        .map(|sample| {
            let relations = sample.buffer().unwrap().meta::<AnalyticsRelationMeta>().unwrap();
            let mut tracks: Vec<_> = relations
                .iter::<AnalyticsODMtd>()
                .map(|od| {
                    let track = relations
                        .iter_direct_related::<AnalyticsTrackingMtd>(od.id(), RelTypes::ANY)
                        .next()
                        .expect("a face without a track");
                    (od.location().unwrap().y, track.info().0)
                })
                .collect();
            tracks.sort();
            tracks
        })
        .collect();
    assert_eq!(followed[0].len(), 2);
    assert_ne!(followed[0][0].1, followed[0][1].1);
    assert!(
        followed.iter().all(|tracks| tracks == &followed[0]),
        "{followed:?}"
    );
}

#[test]
fn onvif_documents_have_the_faces() {
    if !have("relationmeta2onvifmeta") {
        return;
    }
    let info = video_info();
    let arrived = run(
        "relationmeta2onvifmeta",
        &info,
        vec![frame_with(&info, 0, &two_faces(&info))],
    );
    let (buffer, _) = arrived.frame();
    let onvif = gst::meta::CustomMeta::from_buffer(buffer, "OnvifXMLFrameMeta").unwrap();
    let documents: gst::BufferList = onvif.structure().get("frames").unwrap();
    let document = documents.get(0).unwrap().map_readable().unwrap();
    let document = std::str::from_utf8(&document).unwrap();
    for expected in [
        [r#"left="33""#, r#"top="21""#, r#"right="74""#, r#"bottom="78""#],
        [
            r#"left="150""#,
            r#"top="90""#,
            r#"right="191""#,
            r#"bottom="146""#,
        ],
    ] {
        let found = document
            .lines()
            .any(|line| line.contains("BoundingBox") && expected.iter().all(|part| line.contains(part)));
        assert!(found, "{expected:?} in {document}");
    }
    assert_eq!(document.matches(">face<").count(), 2, "{document}");
}

#[cfg(feature = "v1_26")]
mod tensors {
    use super::*;
    use gst_analytics::{Tensor, TensorDataType, TensorDimOrder, TensorMeta};

    fn numbers(tensor: &Tensor) -> Vec<f32> {
        assert_eq!(tensor.data_type(), TensorDataType::Float32);
        assert_eq!(tensor.dims_order(), TensorDimOrder::RowMajor);
        let bytes = tensor.data().map_readable().unwrap();
        bytes
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| f32::from_ne_bytes(bytes))
            .collect()
    }

    fn faces_with_two_poses() -> FrameFaces {
        let mut frame = two_faces(&video_info());
        frame.faces[1].pose = [1.0, -2.0, 3.0, -4.0, 5.0, 6.5];
        frame
    }

    #[test]
    fn poses_of_the_frame() {
        let frame = faces_with_two_poses();
        let buffer = buffer_with(&frame);
        let meta = buffer.meta::<TensorMeta>().unwrap();
        let [tensor] = meta.as_slice() else {
            panic!("not one tensor")
        };
        assert_eq!(tensor.id().as_str(), meta::POSES_TENSOR);
        assert_eq!(tensor.dims(), [2, 6]);
        assert_eq!(
            numbers(tensor),
            [frame.faces[0].pose, frame.faces[1].pose].concat()
        );
    }

    #[test]
    fn no_faces_are_an_empty_tensor() {
        let buffer = buffer_with(&FrameFaces::new(&video_info(), vec![]));
        let meta = buffer.meta::<TensorMeta>().unwrap();
        assert_eq!(meta.as_slice()[0].dims(), [0, 6]);
        assert!(numbers(&meta.as_slice()[0]).is_empty());
    }

    #[test]
    fn tensors_of_others_stay() {
        let info = video_info();
        let mut buffer = gst::Buffer::new();
        let b = buffer.make_mut();
        let theirs = Tensor::new_simple(
            Quark::from_str("theirs"),
            TensorDataType::Uint8,
            gst::Buffer::from_mut_slice([1u8, 2]),
            TensorDimOrder::RowMajor,
            &[2],
        );
        TensorMeta::add(b).set([theirs].into());
        let ids = |buffer: &gst::BufferRef| -> Vec<String> {
            let tensors = buffer.meta::<TensorMeta>().unwrap();
            let ids = tensors
                .as_slice()
                .iter()
                .map(|tensor| tensor.id().as_str().to_string());
            ids.collect()
        };
        for _ in 0..2 {
            meta::attach(b, &two_faces(&info)).unwrap();
            assert_eq!(ids(b), ["theirs", meta::POSES_TENSOR]);
        }
        assert_eq!(b.iter_meta::<TensorMeta>().count(), 1);
        meta::clear(b);
        assert_eq!(ids(b), ["theirs"]);
    }

    #[cfg(feature = "v1_28")]
    #[test]
    fn each_detection_contains_its_pose() {
        use gst::glib::translate::from_glib_none;
        use gst_analytics::{AnalyticsMtd, ffi};

        enum TensorMtd {}
        // SAFETY: the type that GStreamer gives to tensors.
        unsafe impl AnalyticsMtd for TensorMtd {
            fn mtd_type() -> ffi::GstAnalyticsMtdType {
                // SAFETY: has no conditions.
                unsafe { ffi::gst_analytics_tensor_mtd_get_mtd_type() }
            }
        }

        let frame = faces_with_two_poses();
        let buffer = buffer_with(&frame);
        let relations = buffer.meta::<AnalyticsRelationMeta>().unwrap();
        let found: Vec<_> = relations
            .iter::<AnalyticsODMtd>()
            .map(|od| {
                let tensors: Vec<_> = relations
                    .iter_direct_related::<TensorMtd>(od.id(), RelTypes::CONTAIN)
                    .collect();
                let [tensor] = &tensors[..] else {
                    panic!("not one tensor")
                };
                // SAFETY: the meta outlives the call, and the id is that of a tensor.
                let tensor: Tensor = unsafe {
                    let mtd = ffi::GstAnalyticsTensorMtd {
                        id: tensor.id(),
                        meta: relations.as_mut_ptr(),
                    };
                    from_glib_none(ffi::gst_analytics_tensor_mtd_get_tensor(&mtd))
                };
                assert_eq!(tensor.id().as_str(), meta::POSE_TENSOR);
                assert_eq!(tensor.dims(), [6]);
                numbers(&tensor)
            })
            .collect();
        assert_eq!(found, [frame.faces[0].pose, frame.faces[1].pose]);
        assert_eq!(relations.iter::<AnalyticsAnyMtd>().count(), 4);
    }
}
