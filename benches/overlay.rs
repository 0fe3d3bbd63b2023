//! Time of `img2poseoverlay` for a 1280x720 frame, one core: `cargo bench --bench overlay`.
//!
//! Two frames whose faces differ take turns, so that every frame is drawn anew. Divide by the number of faces.

use std::fmt;

use gst_check::Harness;
use gst_video::{VideoFormat, VideoInfo, VideoOverlayCompositionMeta, prelude::*};
use gstimg2pose::meta::{self, FrameFaces};
use img2pose::Face;
use img2pose::pose::project_keypoints;

const WIDTH: u32 = 1280;
const HEIGHT: u32 = 720;

fn main() {
    gst::init().expect("GStreamer can be initialised");
    gstimg2pose::plugin_register_static().expect("the plugin can be registered");
    divan::main();
}

/// A face of the given height in pixels with its middle at `x`, `y`.
fn face(x: f32, y: f32, height: f32) -> Face {
    // The head model is about 1.75 head units high with its forehead.
    let focal_length = (WIDTH + HEIGHT) as f32;
    let z = focal_length * 1.75 / height;
    let middle = [x - WIDTH as f32 / 2.0, y - HEIGHT as f32 / 2.0];
    let pose = [
        0.1,
        -0.3,
        0.1,
        middle[0] * z / focal_length,
        middle[1] * z / focal_length,
        z,
    ];
    let (half_width, half_height) = (height * 0.4, height / 2.0);
    Face {
        bbox: [
            (x - half_width).max(0.0),
            (y - half_height).max(0.0),
            (x + half_width).min(WIDTH as f32),
            (y + half_height).min(HEIGHT as f32),
        ],
        confidence: 0.98,
        pose,
        keypoints: project_keypoints(&pose, WIDTH, HEIGHT),
        sigma: None,
    }
}

/// Frames with `count` faces of the given height, side by side.
fn run(
    bencher: divan::Bencher<'_, '_>,
    format: VideoFormat,
    properties: &str,
    count: usize,
    height: f32,
    attach: bool,
) {
    let info = VideoInfo::builder(format, WIDTH, HEIGHT)
        .build()
        .expect("a format");
    let element =
        gst::parse::launch(&format!("img2poseoverlay {properties}")).expect("properties of the element");
    let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
    if attach {
        harness.add_propose_allocation_meta(VideoOverlayCompositionMeta::meta_api(), None);
    }
    harness.set_src_caps(info.to_caps().expect("caps"));
    harness.play();
    let frame = |shift: f32| {
        let faces = (0..count).map(|n| {
            let (column, row) = (n % 4, n / 4);
            face(
                200.0 + shift + 290.0 * column as f32,
                360.0 + shift + 90.0 * row as f32,
                height,
            )
        });
        let mut buffer = gst::Buffer::with_size(info.size()).expect("memory");
        let faces = FrameFaces::new(&info, faces.collect());
        meta::attach(buffer.make_mut(), &faces).expect("finite numbers");
        buffer
    };
    let mut frames = [frame(0.0), frame(3.0)];
    let mut turn = 0;
    bencher.bench_local(move || {
        turn = 1 - turn;
        if attach {
            // Without its pixels: those are not written. The frame itself would collect compositions.
            harness.push_and_pull(frames[turn].copy()).expect("a frame");
        } else {
            let frame = std::mem::replace(&mut frames[turn], gst::Buffer::new());
            frames[turn] = harness.push_and_pull(frame).expect("a frame");
        }
    });
}

const HEIGHTS: [u32; 3] = [120, 260, 600];
const EVERYTHING: &str = "draw-points=landmarks draw-outline=true label=score+angles";

/// A format and the height of a face.
struct Case(VideoFormat, u32);

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.1)
    }
}

/// Every kind of format that the element takes: the other four differ from RGB and BGRx in the order of bytes.
fn cases() -> impl Iterator<Item = Case> {
    use VideoFormat::{Bgra, Bgrx, Gray8, I420, Nv12, Rgb};
    [Nv12, I420, Rgb, Bgrx, Bgra, Gray8]
        .into_iter()
        .flat_map(|format| HEIGHTS.map(|height| Case(format, height)))
}

#[divan::bench(min_time = 1)]
fn no_face(bencher: divan::Bencher<'_, '_>) {
    run(bencher, VideoFormat::Nv12, "", 0, 260.0, false);
}

#[divan::bench(args = HEIGHTS, min_time = 1)]
fn attached(bencher: divan::Bencher<'_, '_>, height: u32) {
    run(bencher, VideoFormat::Nv12, "", 1, height as f32, true);
}

#[divan::bench(args = HEIGHTS, min_time = 1)]
fn attached_everything(bencher: divan::Bencher<'_, '_>, height: u32) {
    run(bencher, VideoFormat::Nv12, EVERYTHING, 1, height as f32, true);
}

#[divan::bench(args = cases(), min_time = 1)]
fn blended(bencher: divan::Bencher<'_, '_>, Case(format, height): &Case) {
    run(bencher, *format, "", 1, *height as f32, false);
}

#[divan::bench(args = cases(), min_time = 1)]
fn blended_everything(bencher: divan::Bencher<'_, '_>, Case(format, height): &Case) {
    run(bencher, *format, EVERYTHING, 1, *height as f32, false);
}

#[divan::bench(args = [VideoFormat::I420, VideoFormat::Rgb], min_time = 1)]
fn eight_faces(bencher: divan::Bencher<'_, '_>, format: VideoFormat) {
    run(bencher, format, "", 8, 260.0, false);
}

#[divan::bench(args = ["pixelate", "blur", "solid"], min_time = 1)]
fn hidden_nv12(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let properties = format!("draw-box=false draw-axes=false draw-points=none label=0 blur-faces={kind}");
    run(bencher, VideoFormat::Nv12, &properties, 1, 260.0, false);
}
