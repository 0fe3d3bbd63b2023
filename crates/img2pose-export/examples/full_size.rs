//! Makes a checkpoint of the published size out of the slim model that the project ships, for measuring.
//!
//!     cargo run --release -p img2pose-export --example full_size -- MODEL FOLDER [SCORE_BIAS]
//!     img2pose convert FOLDER/full_size.pth --licence "for measuring only" -o full_size.onnx
//!
//! Every channel of MODEL is there several times, and what a layer takes from it is split among the copies in random
//! shares (Chen et al., Net2Net, ICLR 2016). So the large network computes what the small one does, but for rounding:
//! proposals, scores and faces are those of real pictures, while every weight of the large network is in use.
//! SCORE_BIAS is added to the logit of "face": above 0, more proposals pass the threshold.

#[allow(dead_code)]
#[path = "../tests/export/synthetic.rs"]
mod synthetic;

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;

use img2pose::Model;
use img2pose_onnx::ModelProto;
use prost::Message;
use synthetic::{Random, Style, entries, official, write_pth_of};

/// Epsilon with which the checkpoint is to be converted: the converter's own.
const EPSILON: f32 = 1e-5;

/// A weight of the small network: shape and numbers.
type Weight = (Vec<usize>, Vec<f32>);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, folder, rest @ ..] = &arguments[..] else {
        return Err("MODEL FOLDER [SCORE_BIAS]".into());
    };
    let score_bias: f32 = rest.first().map_or(Ok(0.0), |bias| bias.parse())?;
    let folder = Path::new(folder);
    std::fs::create_dir_all(folder)?;

    let bytes = std::fs::read(model)?;
    let contract = Model::parse(Path::new(model), bytes.clone())?
        .contract()
        .unwrap()
        .clone();
    let small = weights(&ModelProto::decode(&bytes[..])?);

    let style = Style::default();
    let entries = entries(&official(), &style);
    // Looked up before anything is written, so that a model of another architecture leaves nothing behind.
    for (name, _) in &entries {
        source(&small, name)?;
    }
    write_pth_of(&folder.join("full_size.pth"), &entries, &style, &|name, shape| {
        let mut numbers = match source(&small, name) {
            Ok(Source::Weight(weight)) => widened(weight, shape, name),
            Ok(Source::Constant(value)) => vec![value; shape.iter().product()],
            Err(_) => unreachable!("looked up before"),
        };
        if name.ends_with("cls_score.bias") {
            numbers[1] += score_bias;
        }
        numbers
    });
    ndarray_npy::write_npy(folder.join("pose_mean.npy"), &ndarray::arr1(&contract.pose_mean))?;
    ndarray_npy::write_npy(
        folder.join("pose_stddev.npy"),
        &ndarray::arr1(&contract.pose_stddev),
    )?;
    println!("{}", folder.join("full_size.pth").display());
    Ok(())
}

fn weights(model: &ModelProto) -> HashMap<String, Weight> {
    let initializers = model.graph.iter().flat_map(|graph| &graph.initializer);
    initializers
        .filter_map(|tensor| {
            let raw = tensor.raw_data.as_ref()?;
            let shape = tensor.dims.iter().map(|&side| side as usize).collect();
            let numbers = raw
                .as_chunks::<4>()
                .0
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes));
            Some((tensor.name().to_owned(), (shape, numbers.collect())))
        })
        .collect()
}

enum Source<'w> {
    Weight(&'w Weight),
    Constant(f32),
}

/// What a tensor of the checkpoint is made of. The model's batch norms are folded into the layers before them, so those
/// of the checkpoint change nothing but to add the bias.
fn source<'w>(small: &'w HashMap<String, Weight>, name: &str) -> Result<Source<'w>, String> {
    let name = name.trim_start_matches("module.");
    let (layer, what) = name.rsplit_once('.').unwrap_or((name, ""));
    // The batch norm behind a layer: bn1 behind conv1, downsample.1 behind downsample.0, dof_pred.1 behind dof_pred.0.
    let behind_conv = layer
        .rsplit_once(".bn")
        .map(|(block, number)| format!("{block}.conv{number}"));
    let normed = behind_conv.or_else(|| {
        let first = layer.strip_suffix(".1")?;
        (first.ends_with("downsample") || first.ends_with("dof_pred")).then(|| format!("{first}.0"))
    });
    let has_bias_in_norm = layer.ends_with("dof_pred.0") && what == "bias";
    let key = match (&normed, what) {
        _ if has_bias_in_norm => return Ok(Source::Constant(0.0)),
        (Some(_), "weight") => return Ok(Source::Constant(1.0)),
        (Some(_), "running_mean" | "num_batches_tracked") => return Ok(Source::Constant(0.0)),
        (Some(_), "running_var") => return Ok(Source::Constant(1.0 - EPSILON)),
        (Some(layer), _) => format!("{layer}.{what}"),
        (None, _) => name.to_owned(),
    };
    small
        .get(&key)
        .map(Source::Weight)
        .ok_or_else(|| format!("the model has no f32 weight '{key}'"))
}

/// Numbers of `shape`: output channel `o` does what channel `o mod outputs` of the small weight does, and takes random
/// shares, 1 in sum, of the copies of each of its inputs.
fn widened((small_shape, small): &Weight, shape: &[usize], name: &str) -> Vec<f32> {
    if name.ends_with("dof_pred.3.weight") || name.ends_with("dof_pred.3.bias") {
        // The published network has twelve outputs, of which the model keeps the last six.
        let mut last_shape = shape.to_vec();
        last_shape[0] = small_shape[0];
        let last = widen((small_shape, small), &last_shape, name);
        let mut numbers = vec![0.0; shape.iter().product()];
        let start = numbers.len() - last.len();
        numbers[start..].copy_from_slice(&last);
        return numbers;
    }
    widen((small_shape, small), shape, name)
}

fn widen((small_shape, small): (&[usize], &[f32]), shape: &[usize], name: &str) -> Vec<f32> {
    let outputs = shape[0];
    let small_outputs = small_shape[0];
    if shape.len() == 1 {
        return (0..outputs).map(|o| small[o % small_outputs]).collect();
    }
    // A first matrix behind the pooled regions has 49 columns for each channel.
    let cells = match shape {
        [_, _, height, width] => height * width,
        _ if name.contains(".fc6.") => 49,
        _ => 1,
    };
    let inputs = shape[1..].iter().product::<usize>() / cells;
    let small_inputs = small_shape[1..].iter().product::<usize>() / cells;
    let mut random = Random::new(name);
    let mut numbers = Vec::with_capacity(shape.iter().product());
    for output in 0..outputs {
        let parts: Vec<f32> = (0..inputs).map(|_| 0.5 + random.next()).collect();
        let mut sums = vec![0.0; small_inputs];
        for (input, part) in parts.iter().enumerate() {
            sums[input % small_inputs] += part;
        }
        for (input, part) in parts.iter().enumerate() {
            let from = (output % small_outputs * small_inputs + input % small_inputs) * cells;
            let share = part / sums[input % small_inputs];
            numbers.extend(small[from..from + cells].iter().map(|weight| weight * share));
        }
    }
    numbers
}
