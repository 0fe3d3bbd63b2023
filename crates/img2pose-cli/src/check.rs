//! `img2pose check`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use img2pose::contract::{
    CLASS_SCORES, Facts, PROPOSAL_FRAMES, PROPOSAL_LEVELS, PROPOSALS, deltas, objectness,
};
use img2pose::frame::Frame;
use img2pose::runtime;
use img2pose::whole::{Images, Outputs, WholeModel};
use img2pose::{Detector, DetectorOptions, ExecutionProvider, Face, Model, Selection};

use crate::error::{Error, Result};
use crate::output;

/// Width and height in pixels of the frame that the detector gets.
const FRAME: (u32, u32) = (320, 240);

/// Largest short side in pixels of the images.
const LARGEST: u32 = 1080;

/// Images of the batched run.
const BATCH: usize = 3;
/// A batch may differ from the frames alone by this much, in pixels and shares, where a provider sums in another
/// order. The CPU gives the same bits.
const TOLERANCE: f32 = 1e-3;

/// Run a model in ONNX Runtime: blank, single and batched input
#[derive(Args)]
pub struct Check {
    /// Model to run
    model: PathBuf,
}

impl Check {
    pub fn run(self) -> Result<()> {
        let path = self.model.clone();
        self.judge().map_err(|error| match error {
            Error::Detector(source @ img2pose::Error::Inference { .. }) => Error::DoesNotRun { path, source },
            other => other,
        })
    }

    fn judge(self) -> Result<()> {
        let started = Instant::now();
        let mut cut_points = [PROPOSALS, PROPOSAL_FRAMES, CLASS_SCORES]
            .map(str::to_owned)
            .to_vec();
        // Numbers that are none propose nothing, so that the proposals would not tell.
        cut_points.extend((0..PROPOSAL_LEVELS).flat_map(|level| [objectness(level), deltas(level)]));
        let model = Model::open(&self.model)?;
        let facts = model.facts();
        let Facts::Img2pose(contract) = facts else {
            return check_pair(&model, started);
        };
        let mut whole = WholeModel::load(&model, &on_processor(), &cut_points)?;
        name(&model);
        let library = runtime::load(None, None).map_err(img2pose::Error::from)?;
        output::line(format_args!("ONNX Runtime {}", library.path().display()));
        output::line(format_args!("loaded in {} ms", started.elapsed().as_millis()));
        compare_detectors(&model)?;

        let (height, width) = network_size(contract.min_size, contract.max_size, contract.size_divisor);
        let single = |image: Vec<f32>| Images {
            values: image,
            batch: 1,
            height,
            width,
            unpadded: [height, width],
        };
        let blank = vec![0.0; 3 * height * width];
        let pattern = pattern(height, width);
        let batch = Images {
            values: [&pattern[..], &blank, &pattern].concat(),
            batch: BATCH,
            ..single(Vec::new())
        };
        let blank = report(&mut whole, "blank", &single(blank))?;
        let alone = report(&mut whole, "single", &single(pattern))?;
        let together = report(&mut whole, &format!("batch of {BATCH}"), &batch)?;

        let worst = [&alone, &blank, &alone]
            .iter()
            .zip(0..)
            .map(|(alone, frame)| difference(alone, &together, frame))
            .try_fold(0f32, |worst, next| next.map(|next| worst.max(next)));
        match worst {
            Some(0.0) => output::line(format_args!("the batch equals its frames alone, bit for bit")),
            Some(worst) if worst <= TOLERANCE => output::line(format_args!(
                "the batch equals its frames alone within {worst:.1e}"
            )),
            other => {
                let what = other.map_or("in the number of proposals or faces".to_owned(), |d| {
                    format!("by {d}")
                });
                let reason = format!("a batch gives other results than its frames alone; they differ {what}");
                let path = self.model;
                return Err(img2pose::Error::Contract { path, reason }.into());
            }
        }
        Ok(())
    }
}

/// Says which model it is.
fn name(model: &Model) {
    let facts = model.facts();
    output::line(format_args!(
        "{}: {}, contract {}",
        model.path().display(),
        facts.architecture(),
        facts.contract_version()
    ));
}

/// Loads a model that finds and looks as the element does, and compares a batch with its frames alone.
fn check_pair(model: &Model, started: Instant) -> Result<()> {
    name(model);
    // Every place that the finder lets pass is looked at.
    let selection = Selection::default().with_score_threshold(0.0);
    let mut detector = Detector::load(model, on_processor().with_selection(selection))?;
    let library = runtime::load(None, None).map_err(img2pose::Error::from)?;
    output::line(format_args!("ONNX Runtime {}", library.path().display()));
    output::line(format_args!("loaded in {} ms", started.elapsed().as_millis()));
    let (width, height) = FRAME;
    let noise = noise();
    let blank = vec![0; noise.len()];
    let frames = [&noise, &blank, &noise].map(|pixels| Frame::rgb(pixels, width, height));
    let mut find = |what: &str, frames: &[Frame<'_>]| -> Result<Vec<Vec<Face>>> {
        let started = Instant::now();
        let faces = detector.detect(frames)?;
        output::line(format_args!(
            "{what}: {} faces in {} ms",
            faces.iter().map(Vec::len).sum::<usize>(),
            started.elapsed().as_millis()
        ));
        Ok(faces)
    };
    let mut alone = find("noise", &frames[..1])?;
    alone.extend(find("blank", &frames[1..2])?);
    alone.push(alone[0].clone());
    if find(&format!("batch of {BATCH}"), &frames)? != alone {
        let reason = "a batch gives other results than its frames alone".to_owned();
        let path = model.path().to_owned();
        return Err(img2pose::Error::Contract { path, reason }.into());
    }
    output::line(format_args!("the batch equals its frames alone, bit for bit"));
    Ok(())
}

/// On the processor, which every model runs on.
fn on_processor() -> DetectorOptions {
    DetectorOptions::default().with_execution_provider(ExecutionProvider::Cpu)
}

/// Loads the model as the element does, and as a whole, and finds the faces of a frame of noise with both. What is wrong with its
/// contract, its graph or its numbers is told in the element's words.
fn compare_detectors(model: &Model) -> Result<()> {
    let (width, height) = FRAME;
    let pixels = noise();
    let frame = Frame::rgb(&pixels, width, height);
    let find = |whole: bool| -> Result<(Vec<Face>, Duration)> {
        let options = on_processor().with_whole(whole);
        let mut detector = Detector::load(model, options)?;
        let started = Instant::now();
        let mut faces = detector.detect(std::slice::from_ref(&frame))?;
        Ok((faces.swap_remove(0), started.elapsed()))
    };
    let ((parts, parts_time), (whole, whole_time)) = (find(false)?, find(true)?);
    output::line(format_args!(
        "detector: {} faces in a frame of noise of {width}x{height} in {} ms; run as a whole {} in {} ms",
        parts.len(),
        parts_time.as_millis(),
        whole.len(),
        whole_time.as_millis()
    ));
    if parts.len() != whole.len() {
        output::warning(format_args!(
            "the model finds other faces when it is run as a whole: its graph may compute with other numbers than its metadata says"
        ));
    }
    Ok(())
}

/// A frame of RGB pixels. Noise has edges everywhere, so that every part of the network has something to do (Knuth's MMIX
/// generator).
fn noise() -> Vec<u8> {
    let (width, height) = FRAME;
    let mut state = 1u64;
    std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(3 * width as usize * height as usize)
    .collect()
}

/// Height and width of a 4:3 picture at the model's own size, padded. Larger sizes than the published ones say nothing more
/// about the model and take memory without end.
fn network_size(min_size: u32, max_size: u32, divisor: u32) -> (usize, usize) {
    let min_size = min_size.min(LARGEST);
    let width = (min_size * 4 / 3).min(max_size);
    let padded = |side: u32| side.next_multiple_of(divisor) as usize;
    (padded(width * 3 / 4), padded(width))
}

/// Something with edges and shades at many scales: discs on a gradient, so that proposals are many and differ.
fn pattern(height: usize, width: usize) -> Vec<f32> {
    let (h, w) = (height as f32, width as f32);
    let pixel = |channel: usize, y: usize, x: usize| {
        let (x, y) = (x as f32, y as f32);
        let shade = x / w - y / h + channel as f32 * 0.2;
        let disc = (1..8).filter(|&i| {
            let i = i as f32;
            let (cx, cy, radius) = (w * (i * 0.37).fract(), h * (i * 0.61).fract(), h * 0.02 * i);
            (x - cx).hypot(y - cy) < radius
        });
        shade + disc.count() as f32 * (1.0 - channel as f32 * 0.4)
    };
    let rows = (0..3).flat_map(|c| (0..height).map(move |y| (c, y)));
    rows.flat_map(|(c, y)| (0..width).map(move |x| pixel(c, y, x)))
        .collect()
}

fn report(whole: &mut WholeModel, what: &str, images: &Images) -> Result<Outputs> {
    // The first run of a shape sets up memory.
    let first = timed(whole, images)?.1;
    let (seen, time) = timed(whole, images)?;
    let proposals = seen.proposal_frames.len();
    let highest = seen
        .tensors
        .get(CLASS_SCORES)
        .map_or(0.0, |(_, s)| s.iter().copied().fold(0.0, f32::max));
    output::line(format_args!(
        "{what}: images [{}, 3, {}, {}] in {} ms (first {} ms): {proposals} proposals, highest class score {highest:.4}; \
         boxes [{n}, 4], scores [{n}], poses [{n}, 6], frames [{n}]",
        images.batch,
        images.height,
        images.width,
        time.as_millis(),
        first.as_millis(),
        n = seen.frames.len(),
    ));
    Ok(seen)
}

fn timed(whole: &mut WholeModel, images: &Images) -> Result<(Outputs, Duration)> {
    let started = Instant::now();
    Ok((whole.run(images)?, started.elapsed()))
}

/// Largest difference between an image alone and the same image as `frame` of a batch; `None` when the counts differ.
fn difference(alone: &Outputs, together: &Outputs, frame: usize) -> Option<f32> {
    let mine: Vec<usize> = (0..together.proposal_frames.len())
        .filter(|&i| together.proposal_frames[i] == frame)
        .collect();
    let mut worst = 0f32;
    let mut compare = |a: &[f32], b: &[f32]| {
        worst = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(worst, f32::max);
        (a.len() == b.len()).then_some(())
    };
    // The run has checked that there are as many of each.
    for (name, width) in [(PROPOSALS, 4), (CLASS_SCORES, 1)] {
        let all = &together.tensors.get(name)?.1;
        let picked: Vec<f32> = mine
            .iter()
            .flat_map(|i| &all[i * width..(i + 1) * width])
            .copied()
            .collect();
        compare(&alone.tensors.get(name)?.1, &picked)?;
    }
    let (a, b) = (alone.faces_of(0), together.faces_of(frame));
    if a.len() != b.len() {
        return None;
    }
    for ((box_a, score_a, pose_a), (box_b, score_b, pose_b)) in a.iter().zip(&b) {
        compare(box_a, box_b)?;
        compare(&[*score_a], &[*score_b])?;
        compare(pose_a, pose_b)?;
    }
    Some(worst)
}
