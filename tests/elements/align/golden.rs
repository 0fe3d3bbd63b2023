//! The crops of the Python library.

use gst_video::VideoFormat;
use gstimg2pose::meta::{self, FrameFaces};
use img2pose::Face;
use test_support::{GoldenFace, images, mean_difference, read_alignments, read_crop};

use super::support::{aligned, harness, pixels, pull_all};
use crate::faces;

fn face(golden: &GoldenFace) -> Face {
    Face {
        bbox: golden.bbox,
        confidence: golden.score,
        pose: golden.pose,
        keypoints: golden.keypoints,
        sigma: None,
    }
}

#[test]
fn crops_and_transforms_equal_the_reference() {
    let Some(golden) = test_support::golden("crops_and_transforms_equal_the_reference") else {
        return;
    };
    let alignments = read_alignments(&golden);
    let mut compared = 0;
    for (name, image, result) in images(&golden, 480) {
        let info = faces::info(VideoFormat::Rgb, image.width, image.height);
        let found = FrameFaces::new(&info, result.faces.iter().map(face).collect());
        for size in [112, 224] {
            // The sizes of all images are multiples of 4: rows have no padding.
            assert_eq!(info.size(), image.pixels.len());
            let mut frame = gst::Buffer::from_slice(image.pixels.clone());
            meta::attach(frame.get_mut().unwrap(), &found).unwrap();
            let mut harness = harness(&info, &format!("size={size}"));
            harness.push(frame).unwrap();
            let crops = pull_all(&mut harness);
            assert_eq!(crops.len(), alignments[name].len());
            for (crop, expected) in crops.iter().zip(&alignments[name]) {
                let aligned = aligned(crop);
                assert_eq!(aligned.index as usize, expected.face);
                assert_eq!(aligned.alignment.template, expected.template);
                let scale = f64::from(size) / 112.0;
                for (found, expected) in aligned
                    .alignment
                    .transform
                    .0
                    .as_flattened()
                    .iter()
                    .zip(expected.transform_112.as_flattened())
                {
                    assert!(
                        (found / scale - expected).abs() < 1e-3,
                        "{name}: {found} {expected}"
                    );
                }
                let picture = read_crop(&golden, name, expected.face, size);
                let difference = mean_difference(&pixels(crop, size as usize), &picture.pixels);
                assert!(difference < 1.0, "{name}, face {}: {difference}", expected.face);
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 32);
}
