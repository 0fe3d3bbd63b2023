//! Faces in frames that are to be turned, and in frames whose pixels are not square.

use img2pose::frame::{Frame, FrameLayout, NetworkSize, Orientation, PixelAspectRatio, View};
use img2pose::pose::{Camera, angle_between, turn_pose};
use img2pose::{Detector, DetectorOptions, Face, Selection};
use test_support::{Image, golden, golden_model, read_png, shipped_model};

fn open(model: &std::path::Path, min_size: u32, score_threshold: f32) -> Detector {
    let options = DetectorOptions::default()
        .with_min_size(min_size)
        .with_selection(Selection::default().with_score_threshold(score_threshold));
    Detector::open(model, options).expect("the model opens")
}

fn seen_as(image: &Image, view: View) -> Frame<'_> {
    let frame = Frame::rgb(&image.pixels, image.width, image.height);
    Frame {
        layout: FrameLayout { view, ..frame.layout },
        ..frame
    }
}

fn turned_by(orientation: Orientation) -> View {
    View {
        orientation,
        ..View::PLAIN
    }
}

/// The picture after it is turned.
fn turn(image: &Image, orientation: Orientation) -> Image {
    let (width, height) = match orientation.swaps_sides() {
        true => (image.height, image.width),
        false => (image.width, image.height),
    };
    let mut pixels = vec![0; image.pixels.len()];
    let (old_width, old_height) = (image.width as f32, image.height as f32);
    for (index, pixel) in image.pixels.chunks_exact(3).enumerate() {
        // The middle of the pixel.
        let at = [index % image.width as usize, index / image.width as usize].map(|side| side as f32 + 0.5);
        let [x, y] = orientation
            .turn_point(at, old_width, old_height)
            .map(|side| side as usize);
        pixels[3 * (y * width as usize + x)..][..3].copy_from_slice(pixel);
    }
    Image {
        width,
        height,
        pixels,
    }
}

/// What is found in the turned frame are the faces of the upright one, turned.
fn assert_turned(found: &[Face], upright: &[Face], back: Orientation, upright_size: (u32, u32), what: &str) {
    assert_eq!(found.len(), upright.len(), "{what}: number of faces");
    let (width, height) = (upright_size.0 as f32, upright_size.1 as f32);
    for (found, upright) in found.iter().zip(upright) {
        let what = format!("{what}: {found:?}, upright {upright:?}");
        assert!(
            (found.confidence - upright.confidence).abs() < 1e-4,
            "score of {what}"
        );
        let bbox = back.turn_box(upright.bbox, width, height);
        for (found, expected) in found.bbox.iter().zip(bbox) {
            assert!((found - expected).abs() <= 1.0, "box of {what}");
        }
        let pose = turn_pose(upright.pose.map(f64::from), back).map(|number| number as f32);
        assert!(angle_between(&found.pose, &pose) < 0.05, "rotation of {what}");
        let length = pose[3..].iter().map(|t| t * t).sum::<f32>().sqrt();
        for (found, expected) in found.pose[3..].iter().zip(&pose[3..]) {
            assert!((found - expected).abs() < 1e-3 * length, "translation of {what}");
        }
        // Left and right change places in a mirror. The head model is not quite the same to both sides.
        let (order, tolerance) = match back.is_mirrored() {
            true => ([1, 0, 2, 4, 3], 0.05 * (bbox[2] - bbox[0]).max(bbox[3] - bbox[1])),
            false => ([0, 1, 2, 3, 4], 0.5),
        };
        for (point, from) in found.keypoints.iter().zip(order) {
            let expected = back.turn_point(upright.keypoints[from], width, height);
            let far = (point[0] - expected[0]).abs().max((point[1] - expected[1]).abs());
            assert!(far < tolerance, "keypoint of {what}");
        }
    }
}

#[test]
fn frames_to_be_turned_give_the_faces_of_the_upright_picture() {
    let Some(golden) = golden("frames_to_be_turned_give_the_faces_of_the_upright_picture") else {
        return;
    };
    let mut detector = open(golden_model(&golden), 480, 0.3);
    let mut faces = 0;
    for name in ["faker_0", "headpose_2p_a", "classroom"] {
        let image = read_png(&golden.join(format!("{name}.png")));
        let upright = detector
            .detect(&[seen_as(&image, View::PLAIN)])
            .unwrap()
            .remove(0);
        assert!(!upright.is_empty(), "{name}");
        for orientation in Orientation::ALL {
            let back = orientation.inverse();
            let lying = turn(&image, back);
            let found = detector
                .detect(&[seen_as(&lying, turned_by(orientation))])
                .unwrap()
                .remove(0);
            let what = format!("{name}, {orientation:?}");
            assert_turned(&found, &upright, back, (image.width, image.height), &what);
            faces += found.len();
        }
    }
    assert!(faces > 40, "{faces}");
}

/// A picture that no golden data is needed for; faces in it mean nothing, but depend on every pixel.
fn drawn() -> Image {
    let (width, height) = (120, 90);
    let grey = |i: usize| ((i % width / 7 * 37) ^ (i / width / 9 * 61)) as u8;
    Image {
        width: width as u32,
        height: height as u32,
        pixels: (0..width * height).flat_map(|i| [grey(i); 3]).collect(),
    }
}

#[test]
fn frames_of_every_orientation_come_back_in_order() {
    let mut detector = open(&shipped_model(), 96, 0.05);
    let image = drawn();
    let lying = turn(&image, Orientation::CounterClockwise);
    let views = Orientation::ALL.map(turned_by);
    let frames: Vec<Frame<'_>> = views
        .iter()
        .flat_map(|view| [seen_as(&image, *view), seen_as(&lying, *view)])
        .collect();
    let together = detector.detect(&frames).unwrap();
    for (frame, together) in frames.iter().zip(&together) {
        assert_eq!(detector.detect(&[*frame]).unwrap()[0], *together);
    }
    assert_ne!(together[0], together[2], "turning makes a difference");
}

/// Every second column of `image`, each the mean of two.
fn squeezed(image: &Image) -> Image {
    let pair = |pair: &[u8]| [0, 1, 2].map(|c| pair[c].midpoint(pair[c + 3]));
    Image {
        width: image.width / 2,
        height: image.height,
        pixels: image.pixels.chunks_exact(6).flat_map(pair).collect(),
    }
}

/// Twice as many columns.
fn widened(image: &Image) -> Image {
    Image {
        width: image.width * 2,
        height: image.height,
        pixels: image
            .pixels
            .chunks_exact(3)
            .flat_map(|pixel| pixel.repeat(2))
            .collect(),
    }
}

/// They used to be looked at as if they were square: a stretch of 2 moved the yaw by 4.4 degrees.
#[test]
fn poses_do_not_depend_on_the_shape_of_the_pixels() {
    let Some(golden) = golden("poses_do_not_depend_on_the_shape_of_the_pixels") else {
        return;
    };
    let mut detector = open(golden_model(&golden), 480, 0.9);
    let (mut compared, mut sum, mut ignored) = (0, 0.0, 0.0_f64);
    for name in ["faker_0", "faker_2", "headpose_2p_a", "walking"] {
        let image = read_png(&golden.join(format!("{name}.png")));
        let expected = detector
            .detect(&[seen_as(&image, View::PLAIN)])
            .unwrap()
            .remove(0);
        // Half of the columns are gone, or every column is there twice.
        for (pixels, ratio, factor, most) in [
            (squeezed(&image), (2, 1), 0.5, 5.0),
            (widened(&image), (1, 2), 2.0, 2.0),
        ] {
            let view = View {
                pixel_aspect_ratio: PixelAspectRatio::new(ratio.0, ratio.1).unwrap(),
                ..View::PLAIN
            };
            let frame = seen_as(&pixels, view);
            let square = NetworkSize::new(image.width, image.height, 480, 1400, 32);
            let size = detector.network_size(&frame.layout);
            assert_eq!((size.width, size.height), (square.width, square.height), "{name}");
            let found = detector.detect(&[frame]).unwrap().remove(0);
            let camera = Camera::with_pixels(pixels.width, pixels.height, view.pixel_aspect_ratio);
            // Of smaller faces too few columns are left.
            for expected in expected.iter().filter(|face| face.bbox[2] - face.bbox[0] > 40.0) {
                let middle = |face: &Face| {
                    [
                        (face.bbox[0] + face.bbox[2]) / 2.0,
                        (face.bbox[1] + face.bbox[3]) / 2.0,
                    ]
                };
                let [x, y] = middle(expected);
                let near = |face: &&Face| {
                    let [found_x, found_y] = middle(face);
                    let side = (expected.bbox[2] - expected.bbox[0]) / 4.0;
                    (found_x / factor - x).abs() < side && (found_y - y).abs() < side
                };
                let face = found
                    .iter()
                    .find(near)
                    .unwrap_or_else(|| panic!("{name} {ratio:?}: {expected:?}"));
                let angle = angle_between(&face.pose, &expected.pose);
                assert!(
                    angle < most,
                    "{name} {ratio:?}: {angle} degrees, {face:?}, {expected:?}"
                );
                let point =
                    camera.project_points(&[img2pose::contract::REFERENCE_POINTS_68[30]], &face.pose)[0];
                assert_eq!(point, face.keypoints[2]);
                compared += 1;
                sum += angle;
            }
            let as_square = detector
                .detect(&[seen_as(&pixels, View::PLAIN)])
                .unwrap()
                .remove(0);
            if let (Some(a), Some(b)) = (as_square.first(), expected.first()) {
                ignored = ignored.max(angle_between(&a.pose, &b.pose));
            }
        }
    }
    assert!(compared >= 8, "{compared}");
    let mean = sum / f64::from(compared);
    assert!(mean < 1.5, "{mean} degrees in the mean");
    assert!(ignored > 3.0, "the shape makes no difference: {ignored}");
}
