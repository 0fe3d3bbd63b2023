//! What the record says of faces that are followed, seen or not.

use gst_video::VideoRegionOfInterestMeta;
use gstimg2pose::meta::{self, FrameFaces};
use img2pose::Face;

use super::support::*;
use crate::faces;

#[test]
fn a_face_keeps_its_id_and_others_get_theirs() {
    let mut harness = harness("");
    let mut course = Vec::new();
    for index in 0..10u64 {
        let x = 100.0 + 4.0 * index as f32;
        let found = match index {
            0..4 => vec![face(x)],
            // The order in the record is that of confidence.
            _ => vec![face(x), second(400.0 - x)],
        };
        course.push(tracks(&harness.push_and_pull(looked(index, &found)).unwrap()));
    }
    assert_eq!(course[0], [Some((1, New))]);
    assert_eq!(course[3], [Some((1, Seen))]);
    assert_eq!(course[4], [Some((1, Seen)), Some((2, New))]);
    assert_eq!(course[9], [Some((1, Seen)), Some((2, Seen))]);
}

#[test]
fn where_nobody_looked_it_is_where_it_was_going_and_marked() {
    let mut harness = harness("");
    for index in 0..20u64 {
        let x = 100.0 + 4.0 * index as f32;
        if index % 4 == 0 {
            let out = harness.push_and_pull(looked(index, &[face(x)])).unwrap();
            assert!(!record(&out).reused);
            continue;
        }
        let out = harness.push_and_pull(unlooked(index)).unwrap();
        assert_eq!(tracks(&out), [Some((1, Predicted))]);
        let record = record(&out);
        assert!(record.reused && !record.is_seen(0));
        let track = record.track(0).unwrap();
        assert_eq!(track.seen, None);
        assert_eq!(track.unseen, gst::ClockTime::from_mseconds(40 * (index % 4)));
        assert_eq!(track.age, gst::ClockTime::from_mseconds(40 * index));
        if index > 8 {
            assert!(
                (left(&out, 1) - x).abs() < 4.0,
                "frame {index}: {}",
                left(&out, 1)
            );
            // Points go with the pose.
            let points = img2pose::pose::project_keypoints(&record.faces[0].pose, 640, 480);
            assert_eq!(record.faces[0].keypoints, points);
        }
    }
}

#[test]
fn a_face_that_is_missed_is_shown_for_a_while_and_kept_in_mind_for_longer() {
    let mut harness = harness("max-predicted=200000000 max-lost=1000000000");
    let mut index = 0;
    let mut push = |found: &[Face]| {
        index += 1;
        tracks(&harness.push_and_pull(looked(index, found)).unwrap())
    };
    for _ in 0..5 {
        push(&[face(100.0)]);
    }
    // 200 ms are five frames.
    for _ in 0..5 {
        assert_eq!(push(&[]), [Some((1, Predicted))]);
    }
    assert_eq!(push(&[]), []);
    assert_eq!(push(&[]), []);
    assert_eq!(push(&[face(100.0)]), [Some((1, Seen))]);
    // More than a second.
    for _ in 0..26 {
        push(&[]);
    }
    assert_eq!(push(&[face(100.0)]), [Some((2, New))]);
}

#[test]
fn a_frame_without_faces_stays_as_it_was() {
    let mut harness = harness("");
    let out = harness.push_and_pull(looked(0, &[])).unwrap();
    assert_eq!(record(&out), FrameFaces::new(&info(), vec![]));
    let out = harness.push_and_pull(unlooked(1)).unwrap();
    assert_eq!(
        meta::read(&out),
        Ok(None),
        "nobody looked, and nobody is expected"
    );
    assert_eq!(out.iter_meta::<gst::Meta>().count(), 0);
}

#[test]
fn raw_values_are_in_the_record_beside_the_smooth_ones() {
    let mut harness = harness("");
    let mut moved = 0.0f32;
    for index in 0..40u64 {
        let mut found = face(100.0);
        // Shakes by 3 pixels and half a degree.
        let shake = if index % 2 == 0 { 1.0 } else { -1.0 };
        found.bbox = found.bbox.map(|side| side + 1.5 * shake);
        found.pose[1] += 0.009 * shake;
        let out = harness
            .push_and_pull(looked(index, std::slice::from_ref(&found)))
            .unwrap();
        let record = record(&out);
        assert_eq!(record.track(0).unwrap().seen.as_ref(), Some(&found));
        let smooth = &record.faces[0];
        if index > 20 {
            moved = moved.max((smooth.bbox[0] - 100.0).abs());
            assert!((smooth.pose[1] + 0.2).abs() < 0.003, "{:?}", smooth.pose);
        }
    }
    assert!(moved < 0.6, "{moved}");
}

#[test]
fn without_smoothing_faces_are_what_was_found_to_the_last_bit() {
    let mut harness = harness("smoothing=none");
    for index in 0..10u64 {
        let mut found = face(100.0 + 3.7 * index as f32);
        found.pose[0] += 0.013 * (index % 3) as f32;
        // Those of another detector need not be projected.
        found.keypoints[2] = [5.25, 6.75];
        let out = harness
            .push_and_pull(looked(index, std::slice::from_ref(&found)))
            .unwrap();
        assert_eq!(record(&out).faces, [found]);
    }
}

#[test]
fn regions_say_who_it_is_too() {
    let mut harness = harness("");
    harness.push_and_pull(looked(0, &[face(100.0)])).unwrap();
    for frame in [looked(1, &[face(102.0)]), unlooked(2)] {
        let out = harness.push_and_pull(frame).unwrap();
        let regions: Vec<_> = out.iter_meta::<VideoRegionOfInterestMeta>().collect();
        assert_eq!(regions.len(), 1);
        assert_eq!((regions[0].id(), regions[0].roi_type()), (0, "face"));
        let pose = regions[0].param("face-pose").unwrap();
        assert_eq!(pose.get::<u64>("track-id"), Ok(1));
        let state = record(&out).track(0).unwrap().state.name();
        assert_eq!(pose.get::<&str>("track-state"), Ok(state));
        assert!(!pose.has_field("seen"), "scalars only");
    }
}

#[test]
fn faces_that_are_not_followed_stay_in_the_record() {
    let mut harness = harness("start-score=0.7");
    let weak = |x| Face {
        confidence: 0.4,
        ..second(x)
    };
    let out = harness.push_and_pull(looked(0, &[weak(300.0)])).unwrap();
    assert_eq!(record(&out), FrameFaces::new(&info(), vec![weak(300.0)]));
    let out = harness
        .push_and_pull(looked(1, &[face(100.0), weak(300.0)]))
        .unwrap();
    assert_eq!(tracks(&out), [Some((1, New)), None]);
    assert_eq!(record(&out).faces[1], weak(300.0));
    // A face that is known goes on with a weak one.
    let mut dim = face(101.0);
    dim.confidence = 0.3;
    let out = harness.push_and_pull(looked(2, &[weak(300.0), dim])).unwrap();
    assert_eq!(tracks(&out), [None, Some((1, Seen))]);
}

/// `reuse-faces` gives frames the faces of the last look, where they were then.
#[test]
fn faces_of_an_earlier_frame_are_moved_on_and_none_is_lost() {
    let mut harness = harness("");
    let weak = Face {
        confidence: 0.3,
        ..second(300.0)
    };
    for index in 0..12u64 {
        let x = 100.0 + 4.0 * (index / 4 * 4) as f32;
        let found = FrameFaces {
            reused: index % 4 > 0,
            ..FrameFaces::new(&info(), vec![face(x), weak.clone()])
        };
        let out = harness
            .push_and_pull(faces::frame_with(&info(), index, &found))
            .unwrap();
        let record = record(&out);
        assert_eq!(record.reused, index % 4 > 0);
        assert_eq!(record.faces[1], weak);
        let state = match index {
            0 => New,
            _ if index % 4 > 0 => Predicted,
            _ => Seen,
        };
        assert_eq!(tracks(&out), [Some((1, state)), None], "frame {index}");
    }
    // The last one was expected ahead of where it was seen.
    let out = harness.push_and_pull(unlooked(12)).unwrap();
    assert!(left(&out, 1) > 136.0, "{}", left(&out, 1));
}

#[test]
fn faces_stand_in_the_order_of_confidence() {
    let mut harness = harness("");
    for index in 0..3 {
        harness
            .push_and_pull(looked(index, &[face(100.0), second(300.0)]))
            .unwrap();
    }
    // The surer one is missed, and expected with the confidence that it had.
    let out = harness.push_and_pull(looked(3, &[second(300.0)])).unwrap();
    assert_eq!(tracks(&out), [Some((1, Predicted)), Some((2, Seen))]);
    let confidences: Vec<f32> = record(&out).faces.iter().map(|face| face.confidence).collect();
    assert_eq!(confidences, [0.95, 0.85]);
}

#[test]
fn small_pictures_of_faces_go_along_where_they_were() {
    let has = |buffer: &gst::BufferRef| {
        let record = gst::meta::CustomMeta::from_buffer(buffer, meta::RECORD_NAME).unwrap();
        record.structure().has_field("likeness")
    };
    for with in [false, true] {
        let mut harness = harness("");
        for index in 0..3 {
            let found = FrameFaces::new(&info(), vec![face(100.0)]);
            let mut frame = unlooked(index);
            match with {
                true => meta::attach_with_likeness(frame.make_mut(), &info(), &found).unwrap(),
                false => meta::attach(frame.make_mut(), &found).unwrap(),
            }
            assert_eq!(has(&harness.push_and_pull(frame).unwrap()), with);
        }
    }
}
