//! The detector, which runs a model in parts, against the same file run as a whole: what the file itself says, and the detector's
//! own engine for that.

use std::path::Path;

use img2pose::frame::Frame;
use img2pose::whole::{Images, WholeModel};
use img2pose::{Detector, DetectorOptions, ExecutionProvider, Face, Selection};
use img2pose_export::convert;
use test_support::{CASES, Image, golden_model, read_png, shipped_model_in_8_bits};

use crate::convert::options;
use crate::end_to_end::{runtime_is_there, whole};
use crate::folder::Folder;
use crate::synthetic::{self, Random, Style, entries, write_pth};

/// Random frames that are compared.
const FRAMES: usize = 200;

/// The ways to run one model.
struct Ways {
    detector: Detector,
    in_one_session: Detector,
    whole: WholeModel,
}

/// How many faces there were, and how many the other side does not have.
#[derive(Default)]
struct Tally {
    faces: usize,
    unmatched: usize,
}

impl Ways {
    fn open(model: &Path, min_size: u32) -> Self {
        let options = DetectorOptions::default()
            .with_min_size(min_size)
            .with_execution_provider(ExecutionProvider::Cpu)
            // Everything that the whole model gives.
            .with_selection(Selection::default().with_score_threshold(0.0));
        Self {
            detector: Detector::open(model, options.clone()).unwrap(),
            in_one_session: Detector::open(model, options.with_whole(true)).unwrap(),
            whole: whole(model, &[]),
        }
    }

    /// Runs a batch of frames of one size in all ways and compares face by face.
    fn compare(&mut self, images: &[Image], tally: &mut Tally) {
        let frames: Vec<Frame<'_>> = images.iter().map(frame).collect();
        let mut batch = self.detector.new_batch(frames[0].layout, frames.len()).unwrap();
        for frame in &frames {
            batch.push(frame).unwrap();
        }
        let size = *batch.network_size();
        let seen = self
            .whole
            .run(&Images {
                values: batch.images().unwrap().to_vec(),
                batch: frames.len(),
                height: size.padded_height as usize,
                width: size.padded_width as usize,
                unpadded: [size.height as usize, size.width as usize],
            })
            .unwrap();
        let scale = [
            size.frame_width as f32 / size.width as f32,
            size.frame_height as f32 / size.height as f32,
        ];
        let (width, height) = (size.width as f32, size.height as f32);
        let in_one_session = self.in_one_session.detect_batch(&batch).unwrap();
        for (index, found) in self.detector.detect_batch(&batch).unwrap().iter().enumerate() {
            let same = in_one_session[index].iter();
            let same = same.map(|face| (face.bbox, face.confidence, face.pose));
            tally.add(found, &same.collect::<Vec<_>>());
            // The detector puts the boxes of heads beside the frame onto its edge, the model leaves them inside out.
            let expected = seen
                .faces_of(index)
                .into_iter()
                .map(|([x0, y0, x1, y1], score, pose)| {
                    let corners = [x0.min(width), y0.min(height), x1.max(0.0), y1.max(0.0)];
                    let scaled = std::array::from_fn(|side| corners[side] * scale[side % 2]);
                    (scaled, score, pose)
                });
            tally.add(found, &expected.collect::<Vec<_>>());
        }
    }
}

impl Tally {
    fn add(&mut self, found: &[Face], expected: &[([f32; 4], f32, [f32; 6])]) {
        self.faces += expected.len();
        let mut left: Vec<&Face> = found.iter().collect();
        for (bbox, score, pose) in expected {
            let same = left.iter().position(|face| {
                let near =
                    |a: &[f32], b: &[f32], most: f32| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= most);
                let length = pose[3..].iter().map(|t| t * t).sum::<f32>().sqrt();
                (face.confidence - score).abs() <= 1e-4
                    && near(&face.bbox, bbox, 1.0)
                    && near(&face.pose[..3], &pose[..3], 1e-3)
                    && near(&face.pose[3..], &pose[3..], 1e-3 * length)
            });
            match same {
                Some(index) => drop(left.swap_remove(index)),
                None => self.unmatched += 1,
            }
        }
        self.unmatched += left.len();
    }
}

fn frame(image: &Image) -> Frame<'_> {
    Frame::rgb(&image.pixels, image.width, image.height)
}

/// Rectangles of all sizes on noise.
fn random_image(random: &mut Random, width: u32, height: u32) -> Image {
    let (w, h) = (width as usize, height as usize);
    let mut pixels: Vec<u8> = (0..w * h * 3).map(|_| (random.next() * 60.0) as u8).collect();
    for _ in 0..40 {
        let left = (random.next() * w as f32) as usize;
        let top = (random.next() * h as f32) as usize;
        let side = (3.0 + 60.0 * random.next().powi(2)) as usize;
        let colour = [0; 3].map(|_| (random.next() * 255.0) as u8);
        for y in top..(top + side).min(h) {
            for x in left..(left + side).min(w) {
                pixels[(y * w + x) * 3..][..3].copy_from_slice(&colour);
            }
        }
    }
    Image {
        width,
        height,
        pixels,
    }
}

/// A network of random weights sees dozens of faces in every frame, many of them near some threshold.
#[test]
fn random_frames_have_the_same_faces_as_the_model_run_as_a_whole() {
    let test = "random_frames_have_the_same_faces_as_the_model_run_as_a_whole";
    if !runtime_is_there(test) {
        return;
    }
    let folder = Folder::new();
    let (from, to) = (folder.path("a.pth"), folder.path("a.onnx"));
    let style = Style::default();
    write_pth(&from, &entries(&synthetic::tiny(), &style), &style);
    convert(&from, &to, &options()).unwrap();

    let mut random = Random::new("frames");
    let mut tally = Tally::default();
    let mut done = 0;
    for (size, min_size) in [([160, 96], 96), ([97, 130], 120), ([200, 64], 64), ([64, 48], 96)] {
        let mut ways = Ways::open(&to, min_size);
        for batch in [1, 2, 3, 4, 5, 6, 7, 8, 14] {
            let images: Vec<Image> = (0..batch)
                .map(|_| random_image(&mut random, size[0], size[1]))
                .collect();
            ways.compare(&images, &mut tally);
            done += images.len();
        }
    }
    assert_eq!(done, FRAMES);
    assert!(tally.faces > 40 * FRAMES, "{} faces", tally.faces);
    println!("{} faces, {} without partner", tally.faces, tally.unmatched);
    // Sums in another order may take a box across a threshold that it lies on.
    assert!(
        tally.unmatched * 1000 <= tally.faces,
        "{} of {} faces have no partner",
        tally.unmatched,
        tally.faces
    );
}

#[test]
fn golden_images_have_the_same_faces_as_the_model_run_as_a_whole() {
    let test = "golden_images_have_the_same_faces_as_the_model_run_as_a_whole";
    let (Some(golden), true) = (test_support::golden(test), runtime_is_there(test)) else {
        return;
    };
    for model in [golden_model(&golden), &shipped_model_in_8_bits()] {
        assert_same_faces(model, &golden);
    }
}

fn assert_same_faces(model: &Path, golden: &Path) {
    let mut ways = Ways::open(model, 480);
    let mut tally = Tally::default();
    for (name, _) in CASES {
        let image = read_png(&golden.join(format!("{name}.png")));
        ways.compare(&[image], &mut tally);
    }
    println!(
        "{}: {} faces, {} without partner",
        model.display(),
        tally.faces,
        tally.unmatched
    );
    assert!(
        tally.faces > 0 && tally.unmatched == 0,
        "{}: {} of {} faces",
        model.display(),
        tally.unmatched,
        tally.faces
    );
}
