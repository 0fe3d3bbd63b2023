//! The stages of the detector against the intermediate tensors of the reference.

use std::path::{Path, PathBuf};

use ndarray_npy::NpzReader;
use test_support::{open_tensors, read_png, read_result, read_tensor};

use super::*;
use crate::contract::PROPOSAL_LEVELS;
use crate::engine::new_pool;
use crate::frame::NetworkSize;
use crate::options::DetectorOptions;
use crate::runtime;

fn engine(golden_test: &str) -> Option<(PathBuf, Setting, HostEngine)> {
    let golden = test_support::golden(golden_test)?;
    let model = Model::open(test_support::golden_model(&golden)).expect("the model opens");
    let options = DetectorOptions::default();
    let placement = Placement::on_processor(&options);
    let setting = Setting::new(&model, placement, new_pool(options.threads()).unwrap()).unwrap();
    let runtime = runtime::load(None, None).expect("ONNX Runtime");
    let engine = HostEngine::load(
        &model,
        &model.rcnn().unwrap().parts().unwrap(),
        runtime,
        placement,
        &setting,
    );
    Some((golden, setting, engine.expect("it loads")))
}

struct Stage {
    size: NetworkSize,
    tensors: NpzReader<std::fs::File>,
    input: ndarray::ArrayD<f32>,
}

fn stage(golden: &Path, name: &str, min_size: u32) -> Stage {
    let result = read_result(golden, name, min_size);
    let image = read_png(&golden.join(&result.image));
    let size = NetworkSize::new(image.width, image.height, min_size, result.max_size, 32);
    let mut tensors = open_tensors(golden, name, min_size);
    let input = read_tensor(&mut tensors, "net_input");
    Stage { size, tensors, input }
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn objectness_and_deltas_equal_the_reference() {
    let Some((golden, _, mut engine)) = engine("objectness_and_deltas_equal_the_reference") else {
        return;
    };
    for (name, min_size) in test_support::STAGED {
        let Stage {
            size,
            mut tensors,
            input,
        } = stage(&golden, name, min_size);
        let (dense, _) = engine.parts();
        let (height, width) = (size.padded_height as usize, size.padded_width as usize);
        let outputs = dense.run(input.as_slice().unwrap(), 1, height, width).unwrap();
        for level in 0..PROPOSAL_LEVELS {
            let expected = read_tensor(&mut tensors, &format!("objectness_l{level}"));
            let difference = largest_difference(
                outputs.objectness(level).unwrap().data,
                expected.as_slice().unwrap(),
            );
            assert!(
                difference < 1e-3,
                "{name} {min_size}: objectness of level {level} differs by {difference}"
            );
            let expected = read_tensor(&mut tensors, &format!("deltas_l{level}"));
            let difference =
                largest_difference(outputs.deltas(level).unwrap().data, expected.as_slice().unwrap());
            assert!(
                difference < 1e-3,
                "{name} {min_size}: deltas of level {level} differ by {difference}"
            );
        }
    }
}

#[test]
fn heads_equal_the_reference_on_its_proposals() {
    let Some((golden, setting, mut engine)) = engine("heads_equal_the_reference_on_its_proposals") else {
        return;
    };
    for (name, min_size) in test_support::STAGED {
        let Stage {
            size,
            mut tensors,
            input,
        } = stage(&golden, name, min_size);
        let proposals = read_tensor(&mut tensors, "proposals");
        let boxes: Vec<[f32; 4]> = proposals
            .rows()
            .into_iter()
            .map(|row| std::array::from_fn(|side| row[side]))
            .collect();
        let (origin, RcnnFacts { contract, channels }) = (&setting.origin, engine.facts.clone());
        let (dense, heads) = engine.parts();
        let (height, width) = (size.padded_height as usize, size.padded_width as usize);
        let outputs = dense.run(input.as_slice().unwrap(), 1, height, width).unwrap();
        let levels = FeatureLevels::read(origin, [1, height, width], channels, |level| {
            outputs.features(level)
        })
        .unwrap();
        let mut regions = vec![0.0; boxes.len() * 49 * channels];
        roi_align(
            &levels.of(0, channels),
            channels,
            &contract.roi,
            &boxes,
            &mut regions,
        );

        let shape = [boxes.len(), 7, 7, channels];
        let (mut scores, mut poses) = (Vec::new(), Vec::new());
        heads.class_scores(&regions, shape, &mut scores).unwrap();
        heads.poses(&regions, shape, &mut poses).unwrap();
        let expected = read_tensor(&mut tensors, "cls_scores");
        let difference = largest_difference(&scores, expected.as_slice().unwrap());
        assert!(
            difference < 1e-4,
            "{name} {min_size}: class scores differ by {difference}"
        );
        let expected: Vec<f32> = read_tensor(&mut tensors, "dof_regression")
            .rows()
            .into_iter()
            .flat_map(|row| row.to_vec().split_off(6))
            .collect();
        let difference = largest_difference(&poses, &expected);
        assert!(
            difference < 1e-3,
            "{name} {min_size}: raw poses differ by {difference}"
        );
    }
}
