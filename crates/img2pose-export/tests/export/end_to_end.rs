//! Converted models run as a whole in plain ONNX Runtime, and do what the documentation says.

use std::path::{Path, PathBuf};

use img2pose::whole::{Images, Outputs, WholeModel};
use img2pose::{DetectorOptions, ExecutionProvider, Model, runtime};
use img2pose_export::architecture::Architecture;
use img2pose_export::contract::{self, Contract};
use img2pose_export::{Options, Storage, convert};

use crate::convert::options;
use crate::folder::Folder;
use crate::reference::{self, Map};
use crate::synthetic::{self, Random, Style, entries, write_pth};

/// Whether there is an ONNX Runtime; prints that `test` is skipped when not.
pub fn runtime_is_there(test: &str) -> bool {
    match runtime::load(None, None) {
        Ok(_) => true,
        Err(error) => {
            test_support::skip(test, &error.to_string());
            false
        }
    }
}

/// The model at `path`, run as a whole on the processor.
pub fn whole(path: &Path, extra: &[String]) -> WholeModel {
    let options = DetectorOptions::default().with_execution_provider(ExecutionProvider::Cpu);
    WholeModel::load(&Model::open(path).unwrap(), &options, extra).unwrap()
}

/// Every cut point of the contract.
fn cut_points() -> Vec<String> {
    use contract::*;
    let named = [
        PROPOSALS,
        PROPOSAL_FRAMES,
        ROI_FEATURES,
        CLASS_SCORES,
        POSE_ROI_FEATURES,
        POSE_REGRESSION,
    ];
    (0..FEATURE_LEVELS)
        .map(features)
        .chain((0..PROPOSAL_LEVELS).flat_map(|level| [objectness(level), deltas(level)]))
        .chain(named.map(str::to_owned))
        .collect()
}

fn model(folder: &Folder, architecture: &Architecture, options: &Options) -> PathBuf {
    let (from, to) = (folder.path("a.pth"), folder.path("a.onnx"));
    write_pth(
        &from,
        &entries(architecture, &Style::default()),
        &Style::default(),
    );
    convert(&from, &to, options).unwrap();
    to
}

/// Random blocks: edges and flat parts, so that boxes of all sizes are proposed.
fn image(seed: &str, [height, width]: [usize; 2], [inner_height, inner_width]: [usize; 2]) -> Vec<f32> {
    let mut random = Random::new(seed);
    let mut values = vec![0.0; 3 * height * width];
    for _ in 0..60 {
        let (x, y) = (
            (random.next() * inner_width as f32) as usize,
            (random.next() * inner_height as f32) as usize,
        );
        let side = (4.0 + 80.0 * random.next().powi(2)) as usize;
        let colour = [0; 3].map(|_| 4.0 * random.next() - 2.0);
        for y in y..(y + side).min(inner_height) {
            for x in x..(x + side).min(inner_width) {
                (0..3).for_each(|c| values[(c * height + y) * width + x] = colour[c]);
            }
        }
    }
    values
}

fn images(seeds: &[&str], padded: [usize; 2], unpadded: [usize; 2]) -> Images {
    let values = seeds.iter().flat_map(|seed| match *seed {
        "blank" => vec![0.0; 3 * padded[0] * padded[1]],
        seed => image(seed, padded, unpadded),
    });
    Images {
        values: values.collect(),
        batch: seeds.len(),
        height: padded[0],
        width: padded[1],
        unpadded,
    }
}

/// One image's part of an extra output.
fn map<'s>(seen: &'s Outputs, name: &str, frame: usize) -> Map<'s> {
    let (shape, values) = &seen.tensors[name];
    let [_, channels, height, width] = shape[..] else {
        panic!("{name} has shape {shape:?}")
    };
    let (height, width) = (height as usize, width as usize);
    let len = channels as usize * height * width;
    Map {
        values: &values[frame * len..(frame + 1) * len],
        height,
        width,
    }
}

#[test]
fn every_stage_equals_a_plain_implementation() {
    if !runtime_is_there("every_stage_equals_a_plain_implementation") {
        return;
    }
    let folder = Folder::new();
    // Rolls all around, so that the forehead is on every side, and heads that lie beside the frame.
    let mut options = options();
    options.statistics.stddev[2] = 8.0;
    options.statistics.stddev[3] = 30.0;
    let mut whole_model = whole(&model(&folder, &synthetic::tiny(), &options), &cut_points());
    let contract = whole_model.contract().clone();
    // 64 x 80 cells on the finest level: more anchors than a level keeps.
    let (padded, unpadded) = ([256, 320], [250, 313]);
    let batch = images(&["first", "second"], padded, unpadded);
    let seen = whole_model.run(&batch).unwrap();
    let corners = |name: &str| seen.tensors[name].1.as_chunks::<4>().0.to_vec();
    let (proposals, scores) = (
        corners(contract::PROPOSALS),
        &seen.tensors[contract::CLASS_SCORES].1,
    );
    assert_eq!(
        (proposals.len(), seen.proposal_frames.len(), scores.len()),
        (scores.len(), scores.len(), scores.len())
    );
    assert!(seen.proposal_frames.is_sorted());

    let mut candidates = Vec::new();
    for frame in 0..2usize {
        let rows: Vec<usize> = (0..proposals.len())
            .filter(|&i| seen.proposal_frames[i] == frame)
            .collect();
        assert!(rows.len() > 200, "{} proposals", rows.len());
        same_proposals(&seen, &rows, &proposals, frame, (padded, unpadded), &contract);
        same_pooling(&seen, &rows, &proposals, frame, &contract);
        candidates.extend(rows.into_iter().filter(|&i| {
            let [left, top, right, bottom] = proposals[i];
            scores[i] > contract.score_floor && (right - left).min(bottom - top) >= contract.min_box_side
        }));
    }
    let (shape, regressions) = &seen.tensors[contract::POSE_REGRESSION];
    assert_eq!(shape[..], [candidates.len() as i64, 6]);
    assert!(
        candidates.len() > 50 && candidates.len() < proposals.len(),
        "{} candidates",
        candidates.len()
    );
    same_faces(
        &seen,
        &candidates,
        &proposals,
        scores,
        regressions.as_chunks().0,
        unpadded,
        &contract,
    );
}

fn same_proposals(
    seen: &Outputs,
    rows: &[usize],
    proposals: &[reference::Box],
    frame: usize,
    (padded, unpadded): ([usize; 2], [usize; 2]),
    contract: &Contract,
) {
    let levels: Vec<_> = (0..contract::PROPOSAL_LEVELS)
        .map(|level| {
            (
                map(seen, &contract::objectness(level), frame),
                map(seen, &contract::deltas(level), frame),
            )
        })
        .collect();
    let expected = reference::proposals(&levels, padded, unpadded, contract);
    // An overlap within rounding of the threshold may fall on either side.
    let slack = 1 + expected.len() / 200;
    let close = |a: &reference::Box, b: &reference::Box| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 0.01);
    let is_found = |proposal: &reference::Box| rows.iter().any(|&i| close(&proposals[i], proposal));
    let found = expected.iter().filter(|(_, proposal)| is_found(proposal)).count();
    assert!(
        found + slack >= expected.len() && rows.len() <= expected.len() + slack,
        "{padded:?}, frame {frame}: {found} of {}, {} in all",
        expected.len(),
        rows.len()
    );
    // Few come from the pooled level, whose stride is the odd one: none of them may be missing.
    for (level, proposal) in &expected {
        assert!(
            *level < contract::FEATURE_LEVELS || is_found(proposal),
            "{padded:?}: {proposal:?}"
        );
    }
    // Best first: the order at the top is free of ties.
    assert!(
        rows.iter()
            .zip(&expected)
            .take(20)
            .all(|(&i, (_, e))| close(&proposals[i], e))
    );
}

fn same_pooling(
    seen: &Outputs,
    rows: &[usize],
    proposals: &[reference::Box],
    frame: usize,
    contract: &Contract,
) {
    let features = [0, 1, 2, 3].map(|level| map(seen, &contract::features(level), frame));
    let (shape, pooled) = &seen.tensors[contract::ROI_FEATURES];
    let channels = shape[1] as usize;
    for &row in rows {
        for channel in [0, channels - 1] {
            let expected = reference::roi_align(&features, proposals[row], channel, contract);
            let at = (row * channels + channel) * expected.len();
            for (found, expected) in pooled[at..at + expected.len()].iter().zip(&expected) {
                assert!(
                    (found - expected).abs() < 2e-3 * (1.0 + expected.abs()),
                    "{:?}: {found} {expected}",
                    proposals[row]
                );
            }
        }
    }
}

fn same_faces(
    seen: &Outputs,
    candidates: &[usize],
    proposals: &[reference::Box],
    scores: &[f32],
    regressions: &[[f32; 6]],
    unpadded: [usize; 2],
    contract: &Contract,
) {
    let mut expected = Vec::new();
    for frame in 0..2 {
        let mut mine: Vec<_> = candidates
            .iter()
            .zip(regressions)
            .filter(|&(&i, _)| seen.proposal_frames[i] == frame)
            .map(|(&i, regression)| {
                (
                    scores[i],
                    reference::face(regression, proposals[i], unpadded, contract),
                )
            })
            .collect();
        mine.sort_by(|a, b| b.0.total_cmp(&a.0));
        let kept = reference::suppress(mine, contract.nms_threshold, |face| face.1.0);
        expected.extend(kept.into_iter().map(|face| (frame, face)));
    }
    assert!(expected.len() > 20, "{} faces", expected.len());
    let inside_out = seen.boxes.iter().filter(|b| b[0] > b[2] || b[1] > b[3]).count();
    assert!(inside_out > 20, "{inside_out} boxes outside the frame");
    let rolls: Vec<f64> = expected.iter().map(|(_, (_, (_, pose)))| pose[2]).collect();
    for side in [-2.5..-1.0, -1.0..1.0, 1.0..2.5, 2.5..4.0] {
        assert!(
            rolls.iter().any(|roll| side.contains(roll)),
            "no roll in {side:?}"
        );
    }
    assert_eq!(
        seen.frames,
        expected.iter().map(|(frame, _)| *frame).collect::<Vec<_>>()
    );
    for (i, (_, (score, (corners, pose)))) in expected.iter().enumerate() {
        assert_eq!(seen.scores[i], *score);
        assert_eq!(seen.boxes[i], *corners, "face {i}");
        for (found, expected) in seen.poses[i].iter().zip(pose) {
            assert!(
                (f64::from(*found) - expected).abs() < 1e-5 * (1.0 + expected.abs()),
                "{:?} {pose:?}",
                seen.poses[i]
            );
        }
    }
}

#[test]
fn a_batch_equals_its_frames_alone() {
    if !runtime_is_there("a_batch_equals_its_frames_alone") {
        return;
    }
    let folder = Folder::new();
    let mut whole_model = whole(&model(&folder, &synthetic::tiny(), &options()), &[]);
    let (padded, unpadded) = ([160, 224], [150, 217]);
    let seeds = ["a", "blank", "b", "a", "c", "blank", "d", "e"];
    let alone = seeds.map(|seed| {
        whole_model
            .run(&images(&[seed], padded, unpadded))
            .unwrap()
            .faces_of(0)
    });
    assert!(alone[0].len() > 5 && alone[0] != alone[2]);
    for count in 1..=seeds.len() {
        let batch = whole_model
            .run(&images(&seeds[..count], padded, unpadded))
            .unwrap();
        assert!(batch.frames.is_sorted());
        for (frame, alone) in alone[..count].iter().enumerate() {
            assert!(batch.faces_of(frame) == *alone, "frame {frame} of {count}");
        }
    }
}

#[test]
fn any_multiple_of_32_is_decoded() {
    if !runtime_is_there("any_multiple_of_32_is_decoded") {
        return;
    }
    let folder = Folder::new();
    let mut whole_model = whole(&model(&folder, &synthetic::tiny(), &options()), &cut_points());
    let contract = whole_model.contract().clone();
    // Odd numbers of top cells: the pooled level rounds up, so its stride is not 64.
    for (padded, unpadded) in [
        ([32, 32], [32, 20]),
        ([32, 288], [31, 288]),
        ([224, 96], [224, 90]),
        ([288, 224], [288, 211]),
        ([96, 160], [70, 160]),
    ] {
        let seen = whole_model
            .run(&images(&["a", "blank"], padded, unpadded))
            .unwrap();
        for frame in 0..2 {
            let proposals: Vec<_> = seen.tensors[contract::PROPOSALS].1.as_chunks::<4>().0.to_vec();
            let rows: Vec<usize> = (0..proposals.len())
                .filter(|&i| seen.proposal_frames[i] == frame)
                .collect();
            same_proposals(&seen, &rows, &proposals, frame, (padded, unpadded), &contract);
            let [height, width] = unpadded.map(|side| side as f32);
            for i in rows {
                let [left, top, right, bottom] = proposals[i];
                assert!(
                    0.0 <= left
                        && left < right
                        && right <= width
                        && 0.0 <= top
                        && top < bottom
                        && bottom <= height
                );
            }
        }
        for ([left, top, right, bottom], score) in seen.boxes.iter().zip(&seen.scores) {
            assert!(
                *left >= 0.0 && *top >= 0.0 && *right <= unpadded[1] as f32 && *bottom <= unpadded[0] as f32
            );
            assert!(*score > contract.score_floor && *score <= 1.0);
        }
    }
}

#[test]
fn no_proposal_and_no_face_give_empty_outputs() {
    if !runtime_is_there("no_proposal_and_no_face_give_empty_outputs") {
        return;
    }
    let folder = Folder::new();
    let mut whole_model = whole(&model(&folder, &synthetic::tiny(), &options()), &cut_points());
    // An image without extent: every box is clipped away.
    let nothing = Images {
        unpadded: [0, 0],
        ..images(&["a", "b"], [64, 64], [64, 64])
    };
    let seen = whole_model.run(&nothing).unwrap();
    assert_eq!(seen.tensors[contract::PROPOSALS].0, [0, 4]);
    assert_eq!(seen.tensors[contract::ROI_FEATURES].0, [0, 8, 7, 7]);
    assert_eq!(
        (
            seen.boxes.len(),
            seen.scores.len(),
            seen.poses.len(),
            seen.frames.len()
        ),
        (0, 0, 0, 0)
    );
}

#[test]
fn f16_storage_computes_nearly_the_same() {
    if !runtime_is_there("f16_storage_computes_nearly_the_same") {
        return;
    }
    let folder = Folder::new();
    let batch = images(&["a"], [96, 160], [96, 160]);
    let [full, half] = [Storage::F32, Storage::F16].map(|storage| {
        let path = model(&folder, &synthetic::tiny(), &options().with_storage(storage));
        let seen = whole(&path, &cut_points()).run(&batch).unwrap();
        seen.tensors[&contract::objectness(1)].1.clone()
    });
    let largest = full.iter().map(|x| x.abs()).fold(0.0, f32::max);
    let difference = full
        .iter()
        .zip(&half)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(
        difference > 0.0 && difference < 0.01 * largest,
        "{difference} of {largest}"
    );
}

#[test]
fn a_bottleneck_network_runs() {
    if !runtime_is_there("a_bottleneck_network_runs") {
        return;
    }
    let folder = Folder::new();
    let mut whole_model = whole(&model(&folder, &synthetic::resnet50(), &options()), &cut_points());
    let seen = whole_model.run(&images(&["a", "b"], [64, 96], [64, 96])).unwrap();
    assert!(!seen.boxes.is_empty());
}
