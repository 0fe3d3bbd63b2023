//! What the elements between a detector and a reader do to the faces, and what the reader makes of it.
//!
//! Regions fare differently from one version of GStreamer to the next. What holds for all is asserted always: the
//! record arrives, and faces are never reported where they are not. The rest is asserted for the version that it
//! was measured with.

use crate::faces::{self, frame_with, info, run, two_faces};
use gst_video::{VideoFormat, VideoInfo, VideoRegionOfInterestMeta};
use gstimg2pose::meta::{self, CurrentFaces, FrameChange, FrameFaces};

/// What arrives behind `elements` of a 320x240 frame with two faces.
struct Through {
    sent: FrameFaces,
    current: CurrentFaces,
    /// Names of the parameters of each region.
    params: Vec<Vec<String>>,
}

fn through(elements: &str, format: VideoFormat) -> Through {
    let info = info(format, 320, 240);
    let sent = two_faces(&info);
    let arrived = run(elements, &info, vec![frame_with(&info, 0, &sent)]);
    let (buffer, now) = arrived.frame();
    // The record survives everything in this file.
    assert_eq!(meta::read(buffer), Ok(Some(sent.clone())), "{elements}");
    let current = meta::read_current(buffer, &now).unwrap().unwrap();
    let params = buffer
        .iter_meta::<VideoRegionOfInterestMeta>()
        .map(|region| region.params().map(|p| p.name().to_string()).collect())
        .collect();
    Through {
        sent,
        current,
        params,
    }
}

const REGIONS: [Option<[u32; 4]>; 2] = [Some([33, 21, 41, 57]), Some([150, 90, 41, 56])];

/// Measured with 1.22.0 of Debian 12; other releases of the series are not expected to differ.
fn is_1_22() -> bool {
    let (major, minor, ..) = gst::version();
    (major, minor) == (1, 22)
}

fn assert_untouched(elements: &str, format: VideoFormat) {
    let Through {
        sent,
        current,
        params,
    } = through(elements, format);
    assert_eq!(current.rois, REGIONS, "{elements}");
    assert!(
        params.iter().all(|names| names == &["detection", "face-pose"]),
        "{elements}: {params:?}"
    );
    assert_eq!(current.change, FrameChange::None, "{elements}");
    assert_eq!(current.located(), Some(sent), "{elements}");
}

#[test]
fn elements_that_leave_the_picture_in_place_keep_all() {
    for elements in [
        "identity",
        "queue",
        "tee name=t t. ! queue ! fakesink t. ! queue",
        "videorate",
        "videorate ! video/x-raw,framerate=50/1",
        "videobalance brightness=0.1",
        "videoconvert ! video/x-raw,format=I420",
    ] {
        assert_untouched(elements, VideoFormat::I420);
    }
    assert_untouched("cairooverlay", VideoFormat::Bgrx);
}

#[test]
fn videorate_repeats_faces_with_the_frame() {
    let info = info(VideoFormat::I420, 320, 240);
    let sent: Vec<_> = (0..3)
        .map(|i| FrameFaces {
            faces: two_faces(&info).faces[..i].to_vec(),
            ..two_faces(&info)
        })
        .collect();
    let frames = (0..3).map(|i| frame_with(&info, i, &sent[i as usize])).collect();
    let arrived = run("videorate ! video/x-raw,framerate=50/1", &info, frames);
    assert_eq!(arrived.error, None);
    let counts: Vec<_> = arrived
        .samples
        .iter()
        .map(|s| meta::read(s.buffer().unwrap()).unwrap().unwrap().faces.len())
        .collect();
    assert_eq!(counts, [0, 0, 1, 1, 2, 2][..counts.len()]);
    assert!(counts.len() >= 5, "{counts:?}");
}

#[test]
fn conversion_to_another_format() {
    let Through {
        sent,
        current,
        params,
    } = through("videoconvert ! video/x-raw,format=RGB", VideoFormat::I420);
    assert_eq!(current.rois, REGIONS);
    assert_eq!(
        (current.change, current.located()),
        (FrameChange::None, Some(sent))
    );
    if is_1_22() {
        assert_eq!(params, [[""; 0]; 2], "parameters are lost");
    }
}

#[test]
fn an_encoder_and_a_decoder_in_the_same_pipeline() {
    if is_1_22() {
        assert_untouched("jpegenc ! jpegdec", VideoFormat::I420);
    }
}

#[test]
fn scaling() {
    for (caps, width, height) in [
        ("width=160,height=120", 160, 120),
        ("width=213,height=160", 213, 160),
        ("width=1280,height=960", 1280, 960),
        // The pixel aspect ratio becomes 1/2: the picture keeps its shape.
        ("width=640,height=240", 640, 240),
    ] {
        let Through {
            sent,
            current,
            params,
        } = through(&format!("videoscale ! video/x-raw,{caps}"), VideoFormat::I420);
        assert_eq!(current.change, FrameChange::Scaled, "{caps}");
        let located = current.located().unwrap();
        assert_eq!((located.frame_width, located.frame_height), (width, height));
        for (sent, found) in sent.faces.iter().zip(&located.faces) {
            let (x, y) = (width as f32 / 320.0, height as f32 / 240.0);
            for (side, scale) in [x, y, x, y].into_iter().enumerate() {
                assert!(
                    (found.bbox[side] - sent.bbox[side] * scale).abs() < 1e-3,
                    "{caps}"
                );
            }
            assert!(
                (found.keypoints[2][1] - sent.keypoints[2][1] * y).abs() < 1e-3,
                "{caps}"
            );
            assert_eq!(found.pose, sent.pose);
        }
        if is_1_22() {
            assert_eq!(params, [[""; 0]; 2], "parameters are lost");
        }
    }
}

#[test]
fn scaling_and_conversion_in_a_chain() {
    for elements in [
        "videoconvert ! video/x-raw,format=NV12 ! videoscale ! video/x-raw,width=160,height=120",
        "videoscale ! video/x-raw,width=160,height=120 ! queue ! videoconvert ! video/x-raw,format=BGRx",
    ] {
        assert_eq!(
            through(elements, VideoFormat::I420).current.change,
            FrameChange::Scaled,
            "{elements}"
        );
    }
    // Back at the old size, a pixel short here and there.
    let Through { sent, current, .. } = through(
        "videoscale ! video/x-raw,width=160,height=120 ! videoscale ! video/x-raw,width=320,height=240",
        VideoFormat::I420,
    );
    assert_eq!(
        (current.change, current.located()),
        (FrameChange::Scaled, Some(sent))
    );
}

#[test]
fn borders_are_not_taken_for_scaling() {
    let elements = "videoscale ! video/x-raw,width=640,height=240,pixel-aspect-ratio=1/1";
    let Through { current, .. } = through(elements, VideoFormat::I420);
    assert_eq!(current.located(), None);
    if is_1_22() {
        // The region is stretched although the picture is not.
        assert_eq!(current.rois[0], Some([66, 21, 82, 57]));
        assert_eq!(current.change, FrameChange::Unknown);
    }
}

#[test]
fn cropping_padding_and_turning_are_told() {
    // videoflip: the older property `method` does nothing in 1.22.0.
    for (elements, size) in [
        ("videocrop left=20", (300, 240)),
        ("videocrop right=20", (300, 240)),
        (
            "videocrop left=40 bottom=30 ! videoscale ! video/x-raw,width=320,height=240",
            (320, 240),
        ),
        ("videobox left=20", (300, 240)),
        ("videobox left=-20", (340, 240)),
        ("videobox left=-20 right=20", (320, 240)),
        ("videoflip video-direction=horiz", (320, 240)),
        ("videoflip video-direction=180", (320, 240)),
        ("videoflip video-direction=90r", (240, 320)),
    ] {
        let Through { sent, current, .. } = through(elements, VideoFormat::I420);
        assert_eq!((current.width, current.height), size, "{elements}");
        assert_eq!(
            (current.recorded.frame_width, current.recorded.frame_height),
            (320, 240)
        );
        assert_eq!(current.recorded, sent, "{elements}");
        assert_eq!(current.located(), None, "{elements}");
        if is_1_22() {
            assert_eq!(current.rois, [None, None], "{elements}");
            assert_eq!(current.change, FrameChange::Unknown, "{elements}");
        }
    }
}

/// A frame of the format with a structure in it that is not the same anywhere, upside down or mirrored, and two faces as a detector
/// leaves them, one of them in the middle.
fn picture(info: &VideoInfo) -> (gst::Buffer, FrameFaces) {
    let mut found = two_faces(info);
    found.faces[1] = faces::face(
        info.width() as f32 / 2.0 - 20.0,
        info.height() as f32 / 2.0 - 28.0,
        0.6,
    );
    let mut buffer = faces::blank_frame(info, 0);
    let frame = buffer.get_mut().unwrap();
    {
        let mut data = frame.map_writable().unwrap();
        let stride = info.stride()[0] as usize;
        let step = info.comp_pstride(0) as usize;
        for y in 0..info.height() as usize {
            for x in 0..info.width() as usize {
                let wave = |x: f32, y: f32| (x * 0.23 + y * 0.11).sin() + (y * 0.19 - x * 0.07).cos();
                let value = (128.0 + 50.0 * wave(x as f32, y as f32)) as u8;
                data[y * stride + x * step..][..step].fill(value);
            }
        }
    }
    meta::attach_with_likeness(frame, info, &found).unwrap();
    (buffer, found)
}

fn change_of_picture(elements: &str, format: VideoFormat) -> FrameChange {
    let info = info(format, 320, 240);
    let (buffer, _) = picture(&info);
    let arrived = run(elements, &info, vec![buffer]);
    let (buffer, now) = arrived.frame();
    meta::read_current(buffer, &now).unwrap().unwrap().change
}

#[test]
fn a_flip_that_turns_nothing_changes_nothing() {
    for elements in [
        "videoflip",
        "videoflip video-direction=identity",
        "videoflip video-direction=auto",
    ] {
        assert_eq!(
            change_of_picture(elements, VideoFormat::I420),
            FrameChange::None,
            "{elements}"
        );
    }
}

#[test]
fn filters_that_drop_regions_do_not_pass_for_crops() {
    for (elements, format) in [
        ("videoconvert ! gaussianblur", VideoFormat::I420),
        (
            "videoconvert ! gaussianblur ! videoconvert ! video/x-raw,format=I420",
            VideoFormat::I420,
        ),
        ("videoconvert ! alpha alpha=0.5", VideoFormat::Rgb),
        ("smooth", VideoFormat::I420),
        ("videomedian", VideoFormat::I420),
    ] {
        assert_eq!(
            change_of_picture(elements, format),
            FrameChange::None,
            "{elements}"
        );
    }
    assert_eq!(
        change_of_picture(
            "smooth ! videoscale ! video/x-raw,width=160,height=120",
            VideoFormat::I420
        ),
        FrameChange::Scaled
    );
}

#[test]
fn what_moves_the_picture_is_never_taken_for_a_filter() {
    for elements in [
        "videocrop left=20",
        "videocrop left=40 bottom=30 ! videoscale ! video/x-raw,width=320,height=240",
        "videocrop left=10 right=10 ! videoscale ! video/x-raw,width=320,height=240",
        "videobox left=-20 right=20",
        "videobox left=-8 right=8",
        "videoflip video-direction=horiz",
        "videoflip video-direction=vert",
        "videoflip video-direction=180",
        "videoflip video-direction=90r",
    ] {
        let change = change_of_picture(elements, VideoFormat::I420);
        assert!(!change.is_known(), "{elements}: {change:?}");
    }
}

#[test]
fn scaling_down_and_up_again_is_not_called_cropping() {
    let sizes = [(107, 80), (100, 75), (64, 48), (53, 40), (1000, 750)];
    for (width, height) in sizes {
        let Through { sent, current, .. } = through(
            &format!(
                "videoscale ! video/x-raw,width={width},height={height} ! videoscale ! video/x-raw,width=320,height=240"
            ),
            VideoFormat::I420,
        );
        assert_eq!(current.change, FrameChange::Scaled, "{width}x{height}");
        assert_eq!(current.located(), Some(sent));
    }
}

#[test]
fn borders_that_are_stretched_again_are_not_called_scaling() {
    let elements = "videoscale ! video/x-raw,width=160,height=240,pixel-aspect-ratio=1/1 \
        ! videoscale add-borders=false ! video/x-raw,width=320,height=240,pixel-aspect-ratio=1/1";
    assert_eq!(through(elements, VideoFormat::I420).current.located(), None);
}

#[test]
fn elements_that_make_new_frames_lose_all() {
    let info = info(VideoFormat::I420, 320, 240);
    for elements in ["compositor", "deinterlace mode=interlaced"] {
        let arrived = run(elements, &info, vec![frame_with(&info, 0, &two_faces(&info))]);
        assert_eq!(arrived.error, None, "{elements}");
        assert!(!arrived.samples.is_empty(), "{elements}");
        for sample in &arrived.samples {
            let buffer = sample.buffer().unwrap();
            // A later version that keeps the record must keep it whole.
            match meta::read(buffer).unwrap() {
                Some(found) if !is_1_22() => assert_eq!(found, two_faces(&info), "{elements}"),
                found => assert_eq!(found, None, "{elements}"),
            }
        }
    }
}

#[test]
fn a_crop_of_nothing_changes_nothing() {
    assert_untouched("videocrop left=0", VideoFormat::I420);
    assert_untouched("videobox left=0", VideoFormat::I420);
}

#[test]
fn a_second_look_replaces_regions_without_parameters() {
    let info = info(VideoFormat::I420, 320, 240);
    let arrived = run(
        "videoscale ! video/x-raw,width=160,height=120",
        &info,
        vec![frame_with(&info, 0, &two_faces(&info))],
    );
    let (buffer, now) = arrived.frame();
    let mut buffer = buffer.copy();
    let second = FrameFaces::new(&now, vec![faces::face(10.0, 10.0, 0.8)]);
    meta::attach(buffer.make_mut(), &second).unwrap();
    assert_eq!(buffer.iter_meta::<VideoRegionOfInterestMeta>().count(), 1);
    assert_eq!(
        meta::read_current(&buffer, &now).unwrap().unwrap().located(),
        Some(second)
    );
}
