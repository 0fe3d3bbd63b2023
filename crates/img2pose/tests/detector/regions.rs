//! Faces that are looked for in regions of frames, beside those of the whole frames.

use img2pose::frame::{Frame, FrameLayout, Orientation, Region, View};
use img2pose::pose::{angle_between, turn_pose};
use img2pose::{Detector, DetectorOptions, Face, FollowOptions, Follower, Selection, StreamFrame};
use test_support::{Image, golden, golden_model, read_png, shipped_model, shipped_model_in_8_bits};

const PICTURES: [&str; 7] = [
    "faker_0",
    "faker_1",
    "faker_2",
    "headpose_2p_a",
    "headpose_2p_b",
    "walking",
    "walking_pause",
];

fn open(model: &std::path::Path, min_size: u32, score_threshold: f32) -> Detector {
    let options = DetectorOptions::default()
        .with_min_size(min_size)
        .with_selection(Selection::default().with_score_threshold(score_threshold));
    Detector::open(model, options).expect("the model opens")
}

fn rgb(image: &Image) -> Frame<'_> {
    Frame::rgb(&image.pixels, image.width, image.height)
}

fn in_regions(detector: &mut Detector, frame: &Frame<'_>, side: u32, regions: &[Region]) -> Vec<Face> {
    let mut batch = detector.new_region_batch(side, regions.len().max(1)).unwrap();
    assert_eq!(batch.push(frame, regions).unwrap(), 0);
    let mut faces = Vec::new();
    detector.detect_regions_into(&batch, &mut faces).unwrap();
    assert_eq!(faces.len(), 1);
    faces.remove(0)
}

fn around(faces: &[Face], margin: f64, layout: &FrameLayout) -> Vec<Region> {
    let region = |face: &Face| Region::around(face.bbox, margin, 0.0, layout);
    faces.iter().map(region).collect()
}

fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let side = |low: usize| (a[low + 2].min(b[low + 2]) - a[low].max(b[low])).max(0.0);
    let area = |b: &[f32; 4]| (b[2] - b[0]) * (b[3] - b[1]);
    let both = side(0) * side(1);
    both / (area(a) + area(b) - both)
}

/// The face of `found` that overlaps `expected` most.
fn nearest<'f>(found: &'f [Face], expected: &Face) -> &'f Face {
    found
        .iter()
        .max_by(|a, b| overlap(&a.bbox, &expected.bbox).total_cmp(&overlap(&b.bbox, &expected.bbox)))
        .expect("there are faces")
}

/// A square piece of a picture.
fn piece(image: &Image, [left, top]: [usize; 2], side: usize) -> Image {
    let row = |y: usize| {
        let start = 3 * ((top + y) * image.width as usize + left);
        &image.pixels[start..start + 3 * side]
    };
    Image {
        width: side as u32,
        height: side as u32,
        pixels: (0..side).flat_map(row).copied().collect(),
    }
}

/// At the same scale both see the same pixels, so what is left are the reference's whole pixels: in its boxes, and in the
/// principal point of a frame of odd size.
#[test]
fn the_whole_picture_as_a_region_gives_the_faces_of_the_frame() {
    let Some(golden) = golden("the_whole_picture_as_a_region_gives_the_faces_of_the_frame") else {
        return;
    };
    let mut detector = open(golden_model(&golden), 256, 0.5);
    let mut compared = 0;
    for name in PICTURES {
        let image = read_png(&golden.join(format!("{name}.png")));
        let side = image.width.min(image.height) as usize;
        for left in [0, image.width as usize - side] {
            let image = piece(&image, [left, 0], side);
            let frame = rgb(&image);
            let whole = detector.detect(&[frame]).unwrap().remove(0);
            let found = in_regions(&mut detector, &frame, 256, &[Region::whole(&frame.layout)]);
            assert_eq!(found.len(), whole.len(), "{name}");
            for (found, expected) in found.iter().zip(&whole) {
                let what = format!("{name}: {found:?}, whole {expected:?}");
                assert!((found.confidence - expected.confidence).abs() < 1e-3, "{what}");
                assert!(angle_between(&found.pose, &expected.pose) < 0.05, "{what}");
                let far = expected.pose[5];
                for (found, expected) in found.pose[3..].iter().zip(&expected.pose[3..]) {
                    assert!((found - expected).abs() < 1e-3 * far, "{what}");
                }
                // Two pixels of the network image, in which the reference has lost the fractions of sides and corners.
                let most = 2.0 * side as f32 / 256.0;
                for (found, expected) in found.bbox.iter().zip(&expected.bbox) {
                    assert!((found - expected).abs() <= most, "{what}");
                }
                compared += 1;
            }
        }
    }
    assert!(compared >= 7, "{compared}");
}

/// The network sees a face at another scale and with less around it, which moves its answer by a part of its own error
/// (6.5 degrees in the median): that is the tolerance. What must be exact is the camera, see the test above.
#[test]
fn a_face_in_its_region_is_the_face_of_the_whole_frame() {
    let Some(golden) = golden("a_face_in_its_region_is_the_face_of_the_whole_frame") else {
        return;
    };
    for model in [shipped_model(), shipped_model_in_8_bits()] {
        let mut detector = open(&model, 480, 0.5);
        let mut angles = Vec::new();
        for name in PICTURES.iter().chain(&["classroom"]) {
            let image = read_png(&golden.join(format!("{name}.png")));
            let frame = rgb(&image);
            let whole = detector.detect(&[frame]).unwrap().remove(0);
            let found = in_regions(&mut detector, &frame, 128, &around(&whole, 2.0, &frame.layout));
            assert_eq!(found.len(), whole.len(), "{name}: {found:?}, whole {whole:?}");
            for expected in &whole {
                let found = nearest(&found, expected);
                let what = format!("{name}: {found:?}, whole {expected:?}");
                assert!(overlap(&found.bbox, &expected.bbox) > 0.7, "{what}");
                let angle = angle_between(&found.pose, &expected.pose);
                assert!(angle < 12.0, "{angle} degrees, {what}");
                let far = found.pose[5] / expected.pose[5];
                assert!((0.85..1.18).contains(&far), "{what}");
                angles.push(angle);
            }
        }
        angles.sort_by(f64::total_cmp);
        assert!(angles.len() >= 14, "{}", angles.len());
        let median = angles[angles.len() / 2];
        assert!(median < 4.0, "{median} degrees in the median");
    }
}

/// Each face in five regions, which show it whole and cut at every edge, and the neighbour with it.
#[test]
fn a_face_in_several_regions_is_one_face_and_two_stay_two() {
    let Some(golden) = golden("a_face_in_several_regions_is_one_face_and_two_stay_two") else {
        return;
    };
    let mut detector = open(golden_model(&golden), 480, 0.5);
    for name in PICTURES {
        let image = read_png(&golden.join(format!("{name}.png")));
        let frame = rgb(&image);
        let whole = detector.detect(&[frame]).unwrap().remove(0);
        let mut regions = around(&whole, 2.0, &frame.layout);
        for region in around(&whole, 1.8, &frame.layout) {
            for (x, y) in [(-0.35, 0.1), (0.35, -0.1), (0.0, -0.35), (0.1, 0.35)] {
                regions.push(Region {
                    x: region.x + x * region.width,
                    y: region.y + y * region.height,
                    ..region
                });
            }
        }
        let found = in_regions(&mut detector, &frame, 128, &regions);
        assert_eq!(found.len(), whole.len(), "{name}: {found:?}, whole {whole:?}");
        assert!(found.is_sorted_by(|a, b| a.confidence >= b.confidence));
        for expected in &whole {
            assert!(
                overlap(&nearest(&found, expected).bbox, &expected.bbox) > 0.7,
                "{name}"
            );
        }
    }
}

/// The picture after it is turned.
fn turn(image: &Image, orientation: Orientation) -> Image {
    let (width, height) = match orientation.swaps_sides() {
        true => (image.height, image.width),
        false => (image.width, image.height),
    };
    let mut pixels = vec![0; image.pixels.len()];
    for (index, pixel) in image.pixels.chunks_exact(3).enumerate() {
        // The middle of the pixel.
        let at = [index % image.width as usize, index / image.width as usize].map(|side| side as f32 + 0.5);
        let [x, y] = orientation
            .turn_point(at, image.width as f32, image.height as f32)
            .map(|side| side as usize);
        pixels[3 * (y * width as usize + x)..][..3].copy_from_slice(pixel);
    }
    Image {
        width,
        height,
        pixels,
    }
}

#[test]
fn regions_of_frames_to_be_turned_show_the_upright_picture() {
    let Some(golden) = golden("regions_of_frames_to_be_turned_show_the_upright_picture") else {
        return;
    };
    let mut detector = open(golden_model(&golden), 480, 0.5);
    let image = read_png(&golden.join("headpose_2p_a.png"));
    let (width, height) = (image.width as f32, image.height as f32);
    let whole = detector.detect(&[rgb(&image)]).unwrap().remove(0);
    let upright = in_regions(
        &mut detector,
        &rgb(&image),
        128,
        &around(&whole, 2.0, &rgb(&image).layout),
    );
    assert_eq!(upright.len(), 2);
    for orientation in Orientation::ALL {
        let back = orientation.inverse();
        let lying = turn(&image, back);
        let mut frame = rgb(&lying);
        frame.layout.view = View {
            orientation,
            ..View::PLAIN
        };
        let boxes: Vec<Region> = whole
            .iter()
            .map(|face| Region::around(back.turn_box(face.bbox, width, height), 2.0, 0.0, &frame.layout))
            .collect();
        let found = in_regions(&mut detector, &frame, 128, &boxes);
        assert_eq!(found.len(), upright.len(), "{orientation:?}");
        for (found, upright) in found.iter().zip(&upright) {
            let what = format!("{orientation:?}: {found:?}, upright {upright:?}");
            let bbox = back.turn_box(upright.bbox, width, height);
            for (found, expected) in found.bbox.iter().zip(bbox) {
                assert!((found - expected).abs() < 0.1, "{what}");
            }
            let pose = turn_pose(upright.pose.map(f64::from), back).map(|number| number as f32);
            assert!(angle_between(&found.pose, &pose) < 0.05, "{what}");
        }
    }
}

#[test]
fn a_batch_takes_the_regions_of_a_frame_or_none() {
    let detector = open(&shipped_model(), 96, 0.5);
    let image = drawn(0);
    let frame = rgb(&image);
    let whole = Region::whole(&frame.layout);
    let beside = Region { x: 500.0, ..whole };
    let mut batch = detector.new_region_batch(100, 3).unwrap();
    assert_eq!((batch.side(), batch.capacity()), (128, 3));
    assert!(batch.push(&frame, &[whole, beside]).is_err());
    assert!(batch.push(&frame, &[whole; 4]).is_err());
    let short = Frame::rgb(&image.pixels[1..], image.width, image.height);
    assert!(batch.push(&short, &[whole]).is_err());
    assert_eq!((batch.len(), batch.frames()), (0, 0));
    assert_eq!(batch.push(&frame, &[whole]).unwrap(), 0);
    assert_eq!(batch.push(&frame, &[]).unwrap(), 1);
    assert_eq!(batch.push(&frame, &[whole; 2]).unwrap(), 2);
    assert!(batch.push(&frame, &[whole]).is_err());
    assert_eq!((batch.len(), batch.frames()), (3, 3));
    for (side, capacity) in [(0, 1), (32, 0)] {
        assert!(detector.new_region_batch(side, capacity).is_err());
    }
}

/// A picture that no golden data is needed for; faces in it mean nothing, but depend on every pixel.
fn drawn(seed: usize) -> Image {
    let (width, height) = (120, 90);
    let grey = |i: usize| (((i % width + seed) / 7 * 37) ^ (i / width / 9 * 61)) as u8;
    Image {
        width: width as u32,
        height: height as u32,
        pixels: (0..width * height).flat_map(|i| [grey(i); 3]).collect(),
    }
}

/// A detector for [`drawn`] pictures that reports few of the many faces that it sees in them.
fn open_for_drawn() -> Detector {
    let selection = Selection::default().with_score_threshold(0.05).with_max_faces(5);
    let options = DetectorOptions::default()
        .with_min_size(96)
        .with_selection(selection);
    Detector::open(&shipped_model(), options).expect("the model opens")
}

fn following(interval: u32) -> FollowOptions {
    FollowOptions::default().with_whole_frame_interval(interval)
}

/// With regions that are small beside the network image of a [`drawn`] picture.
fn small(options: FollowOptions) -> FollowOptions {
    options.with_region_size(32)
}

/// The faces of the frames of one stream, handed over `batch` at a time.
fn follow(
    detector: &mut Detector,
    frames: &[Frame<'_>],
    options: &FollowOptions,
    batch: usize,
) -> (Vec<Vec<Face>>, Follower) {
    let mut followers = [Follower::default()];
    let (mut all, mut faces) = (Vec::new(), Vec::new());
    for frames in frames.chunks(batch) {
        let frames: Vec<_> = frames
            .iter()
            .map(|frame| StreamFrame {
                frame: *frame,
                stream: 0,
            })
            .collect();
        detector
            .detect_following(&frames, &mut followers, options, &mut faces)
            .unwrap();
        all.append(&mut faces);
    }
    let [follower] = followers;
    (all, follower)
}

#[test]
fn whole_frames_are_those_of_the_detector_bit_for_bit() {
    let mut detector = open_for_drawn();
    let images: Vec<Image> = (0..5).map(drawn).collect();
    let frames: Vec<Frame<'_>> = images.iter().map(rgb).collect();
    let expected = detector.detect(&frames).unwrap();
    assert!(
        expected.iter().any(|faces| !faces.is_empty()),
        "nothing to compare"
    );
    let (found, follower) = follow(&mut detector, &frames, &following(1), 2);
    assert_eq!(found, expected);
    assert_eq!(follower.counts().whole_frames, 5);
    assert_eq!(follower.counts().regions, 0);
    // Every third, and those between them are not.
    let (found, follower) = follow(&mut detector, &frames[..4], &small(following(3)), 4);
    assert_eq!([&found[0], &found[3]], [&expected[0], &expected[3]]);
    assert!(follower.counts().whole_frames >= 2 && follower.counts().regions > 0);
}

/// Regions with more pixels than the whole frame would take longer than it.
#[test]
fn a_crowd_is_looked_at_whole() {
    let mut detector = open_for_drawn();
    let images: Vec<Image> = (0..5).map(drawn).collect();
    let frames: Vec<Frame<'_>> = images.iter().map(rgb).collect();
    let expected = detector.detect(&frames).unwrap();
    assert!(expected.iter().all(|faces| !faces.is_empty()), "no crowd");
    // 128 x 96 pixels of a frame are 12 regions of 32 x 32 and none of 128 x 128.
    for batch in [1, 5] {
        let (found, follower) = follow(&mut detector, &frames, &following(100), batch);
        assert_eq!(found, expected);
        let counts = follower.counts();
        assert_eq!((counts.whole_frames, counts.regions), (5, 0));
        let (_, follower) = follow(&mut detector, &frames, &small(following(100)), batch);
        assert!(follower.counts().regions > 0, "{:?}", follower.counts());
    }
}

/// A window that moves over a picture.
fn windows(image: &Image, side: usize, steps: impl Iterator<Item = [usize; 2]>) -> Vec<Image> {
    steps.map(|at| piece(image, at, side)).collect()
}

#[test]
fn faces_that_move_are_found_where_whole_frames_find_them() {
    let Some(golden) = golden("faces_that_move_are_found_where_whole_frames_find_them") else {
        return;
    };
    let mut detector = open(&shipped_model(), 480, 0.9);
    let image = read_png(&golden.join("faker_0.png"));
    let side = image.width.min(image.height) as usize - 60;
    let pieces = windows(&image, side, (0..16).map(|step| [4 * step, 3 * step]));
    let frames: Vec<Frame<'_>> = pieces.iter().map(rgb).collect();
    let whole = detector.detect(&frames).unwrap();
    for batch in [1, 8] {
        let (found, follower) = follow(&mut detector, &frames, &following(16), batch);
        let counts = follower.counts();
        assert_eq!((counts.whole_frames, counts.losses), (1, 0), "{counts:?}");
        assert_eq!(counts.regions, 15);
        for (found, whole) in found.iter().zip(&whole) {
            assert_eq!((found.len(), whole.len()), (1, 1));
            assert!(overlap(&found[0].bbox, &whole[0].bbox) > 0.8);
        }
    }
}

/// At a cut no face is where it was: the first frame after it is looked at whole, wherever it lies in the batch.
#[test]
fn a_cut_and_an_empty_scene_are_noticed_at_once() {
    let Some(golden) = golden("a_cut_and_an_empty_scene_are_noticed_at_once") else {
        return;
    };
    let mut detector = open(&shipped_model(), 480, 0.5);
    let image = read_png(&golden.join("faker_0.png"));
    let side = image.width.min(image.height) as usize / 2;
    let right = image.width as usize - side;
    // The face, another part of the picture with a bit of it or none, nothing, and the face again.
    let face = image.width as usize / 2 - side / 2;
    let mut pieces = windows(&image, side, [[face, 0]; 3].into_iter());
    pieces.extend(windows(&image, side, [[right, 0]; 3].into_iter()));
    for _ in 0..3 {
        let pixels = vec![90; 3 * side * side];
        pieces.push(Image {
            pixels,
            ..piece(&image, [0, 0], side)
        });
    }
    let frames: Vec<Frame<'_>> = pieces.iter().map(rgb).collect();
    let whole = detector.detect(&frames).unwrap();
    assert!(!whole[0].is_empty() && whole[8].is_empty());
    for batch in [1, 4, 9] {
        let (found, follower) = follow(&mut detector, &frames, &following(100), batch);
        let lengths = |all: &[Vec<Face>]| all.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths(&found), lengths(&whole), "batches of {batch}");
        assert!(follower.counts().losses >= 1);
        assert!(follower.counts().whole_frames <= 4, "{:?}", follower.counts());
    }
}

#[test]
fn streams_that_share_a_run_do_not_see_each_other() {
    let mut detector = open_for_drawn();
    let images: Vec<Image> = (0..12).map(drawn).collect();
    let frames: Vec<Frame<'_>> = images.iter().map(rgb).collect();
    let options = small(following(4));
    let alone = [&frames[..6], &frames[6..]].map(|frames| follow(&mut detector, frames, &options, 3).0);
    assert!(alone.iter().flatten().any(|faces| !faces.is_empty()));
    let mut followers = [Follower::default(), Follower::default()];
    let mut together = [Vec::new(), Vec::new()];
    let mut faces = Vec::new();
    for first in [0, 3] {
        // In turns.
        let members: Vec<_> = (first..first + 3)
            .flat_map(|index| [(0, frames[index]), (1, frames[6 + index])])
            .map(|(stream, frame)| StreamFrame { frame, stream })
            .collect();
        detector
            .detect_following(&members, &mut followers, &options, &mut faces)
            .unwrap();
        for (member, faces) in members.iter().zip(&faces) {
            together[member.stream].push(faces.clone());
        }
    }
    assert_eq!(together, alone);
    let stray = [StreamFrame {
        frame: frames[0],
        stream: 2,
    }];
    let error = detector.detect_following(&stray, &mut followers, &options, &mut faces);
    assert!(error.unwrap_err().to_string().contains("follower"));
    for bad in [
        options.with_whole_frame_interval(0),
        options.with_region_size(16),
        options.with_region_margin(0.5),
        options.with_region_margin(f64::NAN),
    ] {
        let error = detector.detect_following(&[], &mut followers, &bad, &mut faces);
        assert!(error.is_err(), "{bad:?}");
    }
}
