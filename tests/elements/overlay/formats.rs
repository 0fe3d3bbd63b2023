//! Drawing into every format that the detector takes.

use gst_video::VideoFormat;
use gstimg2pose::meta::FrameFaces;

use super::support::{NOTHING, Picture, blank, middle_face, render};
use crate::faces;
use crate::faces::FORMATS;

#[test]
fn every_format_of_the_detector() {
    faces::init();
    let detector = faces::sink_caps("img2posedetect");
    assert!(detector.is_subset(&faces::sink_caps("img2poseoverlay")));
    for format in FORMATS {
        let info = faces::info(format, 640, 480);
        let rgb = faces::info(VideoFormat::Rgb, 640, 480);
        assert!(info.to_caps().unwrap().is_subset(&detector));
        let found = FrameFaces::new(&info, vec![middle_face([0.1, 0.5, 0.0])]);
        let properties = format!("{NOTHING} draw-box=true draw-axes=true draw-points=landmarks thickness=4");
        let drawn = Picture::new(&render(&info, &properties, &found), &info);
        let expected = Picture::new(&render(&rgb, &properties, &found), &rgb);
        // A box edge, inside.
        let (found, wanted) = (drawn.at(300, 121), expected.at(300, 121));
        let luma = |[r, g, b]: [u8; 3]| 0.3 * f32::from(r) + 0.59 * f32::from(g) + 0.11 * f32::from(b);
        assert!(
            (luma(found) - luma(wanted)).abs() < 20.0,
            "{format:?}: {found:?} {wanted:?}"
        );
        if format != VideoFormat::Gray8 {
            for (found, wanted) in found.iter().zip(wanted) {
                assert!(found.abs_diff(wanted) < 40, "{format:?}: {found} {wanted}");
            }
        }
        // The same places change in all formats, but for the neighbours that share a chroma sample. Colours as bright
        // as the gray around them do not show in gray.
        let changes = drawn.changes(&blank(&info), 40).len() as f32;
        let wanted = expected.changes(&blank(&rgb), 40).len() as f32;
        let least = if format == VideoFormat::Gray8 { 0.5 } else { 0.8 };
        assert!(
            (least..1.25).contains(&(changes / wanted)),
            "{format:?}: {changes} {wanted}"
        );
    }
}

#[test]
fn rows_of_any_stride() {
    let info = faces::info(VideoFormat::Nv12, 640, 480);
    let found = FrameFaces::new(&info, vec![middle_face([0.0; 3])]);
    let wide = 704 * 480;
    let mut frame = gst::Buffer::from_mut_slice(vec![128_u8; wide + 768 * 240]);
    {
        let frame = frame.get_mut().unwrap();
        gst_video::VideoMeta::add_full(
            frame,
            gst_video::VideoFrameFlags::empty(),
            VideoFormat::Nv12,
            640,
            480,
            &[0, wide],
            &[704, 768],
        )
        .unwrap();
        gstimg2pose::meta::attach(frame, &found).unwrap();
    }
    let mut harness = super::support::harness(&info, "blur-faces=blur", false);
    let drawn = Picture::new(&harness.push_and_pull(frame).unwrap(), &info);
    let expected = Picture::new(&render(&info, "", &found), &info);
    assert_eq!(drawn.changes(&expected, 1), []);
}
