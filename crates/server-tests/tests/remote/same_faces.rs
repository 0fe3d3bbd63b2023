//! The faces of a server are those of this machine.

use img2pose::Detector;
use img2pose::frame::{
    ColorMatrix, ColorRange, Frame, FrameLayout, Orientation, PixelAspectRatio, PixelFormat, Plane, View,
};
use server_tests::FakeServer;
use test_support::{CASES, golden, images};

use super::support::*;

#[test]
fn batches_of_any_length_and_sizes_that_change() {
    let server = FakeServer::start(served());
    let (mut here, mut there) = (local(), remote(&server));
    assert_eq!(there.active_provider(), "server");
    batches_of_one_to_eight(&mut here, &mut there, |shape| {
        assert_eq!(server.batches().last().map(Vec::as_slice), Some(&shape[..]));
    });
}

/// Every format, range and orientation, and pixels that are not square: the colours come along with the samples.
#[test]
fn frames_of_any_layout() {
    let server = FakeServer::start(served());
    let (mut here, mut there) = (local(), remote(&server));
    let (width, height) = (121, 97);
    // Rectangles in every plane, whatever its pixels are.
    let byte = |i: usize, seed: usize| ((i % 512 / (15 + seed) * 37) ^ (i / 512 / 9 * 61 * seed)) as u8;
    let pictures = [1, 2, 3, 4].map(|seed| (0..512 * 120).map(|i| byte(i, seed)).collect::<Vec<_>>());
    let mut faces = 0;
    let mut orientations = Orientation::ALL.into_iter().cycle();
    for format in [
        PixelFormat::Rgb,
        PixelFormat::Bgr,
        PixelFormat::Rgbx,
        PixelFormat::Bgrx,
        PixelFormat::Gray8,
        PixelFormat::Nv12,
        PixelFormat::I420,
    ] {
        for range in [ColorRange::Full, ColorRange::Limited] {
            let layout = FrameLayout {
                format,
                width,
                height,
                matrix: ColorMatrix::Bt709,
                range,
                view: View {
                    orientation: orientations.next().unwrap(),
                    pixel_aspect_ratio: PixelAspectRatio::new(12, 11).unwrap(),
                },
            };
            // Rows with gaps between them.
            let frames = pictures.each_ref().map(|picture| Frame {
                layout,
                planes: [0, 1, 2].map(|plane| Plane {
                    data: &picture[1000 * plane..],
                    stride: 512,
                }),
            });
            let (expected, found) = (here.detect(&frames).unwrap(), there.detect(&frames).unwrap());
            faces += assert_same(&expected, &found);
        }
    }
    assert!(faces > 20, "{faces} faces prove little");
}

#[test]
fn real_faces() {
    let Some(golden) = golden("server-tests real_faces") else {
        return;
    };
    let server = FakeServer::start(served());
    let load = |server| {
        let options = img2pose::DetectorOptions::default()
            .with_min_size(240)
            .with_server(server);
        Detector::load(model(), options).unwrap()
    };
    let (mut here, mut there) = (load(None), load(Some(super::support::server(&server.url()))));
    let mut faces = 0;
    for (_, image, _) in images(&golden, CASES[0].1[0]) {
        let frames = [Frame::rgb(&image.pixels, image.width, image.height)];
        faces += assert_same(&here.detect(&frames).unwrap(), &there.detect(&frames).unwrap());
    }
    assert!(faces > 8, "{faces} faces prove little");
}

#[test]
fn twins_share_a_connection_and_run_side_by_side() {
    let server = FakeServer::start(served());
    let mut first = remote(&server);
    assert_eq!(first.batches_in_flight(), 2);
    let mut twin = first.twin(model()).unwrap();
    let expected = local()
        .detect(&[Frame::rgb(&picture(1, SIDE, SIDE), SIDE, SIDE)])
        .unwrap();
    std::thread::scope(|scope| {
        let found = scope.spawn(|| detect(&mut first, 1).unwrap());
        assert_same(&expected, &detect(&mut twin, 1).unwrap());
        assert_same(&expected, &found.join().unwrap());
    });
}

#[test]
fn thresholds_are_those_of_this_side() {
    let server = FakeServer::start(served());
    let (mut here, mut there) = (local(), remote(&server));
    let all: usize = detect(&mut there, 2).unwrap().iter().map(Vec::len).sum();
    for detector in [&mut here, &mut there] {
        let selection = detector
            .selection()
            .with_score_threshold(0.08)
            .with_bbox_x_factor(1.4);
        detector.set_selection(selection).unwrap();
    }
    let few = assert_same(&detect(&mut here, 2).unwrap(), &detect(&mut there, 2).unwrap());
    assert!(few < all, "{few} of {all}");
}
