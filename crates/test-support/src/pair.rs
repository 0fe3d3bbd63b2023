//! A small model of two networks that find and look, with made-up weights.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use img2pose_export::contract::{
    Ends, FIND_AND_LOOK, METADATA_KEY, PAIR_CONTRACT_VERSION, PairContract, PairNetworks,
    REFERENCE_POINTS_68, SigmaFacts,
};
use img2pose_onnx::attribute::ints;
use img2pose_onnx::{
    Builder, Dimension, ModelProto, StringStringEntryProto, ValueInfoProto, data_type, encode,
};

/// Width and height of a crop.
const CROP: usize = 32;
/// Numbers of a cell and of an answer.
const CELL: usize = 7;
const ANSWER: usize = 144;
/// Channels of the close look.
const CHANNELS: usize = 8;

/// Its file, which is made on first use. It finds something everywhere, and looks at crops of 32 x 32 pixels: poses, scores and
/// sigmas depend on what is seen and mean nothing.
pub fn small_pair_model() -> &'static Path {
    static MODEL: OnceLock<PathBuf> = OnceLock::new();
    MODEL.get_or_init(|| {
        let program = std::env::current_exe().expect("the test program has a path");
        let path = program.with_extension("pair.onnx");
        // Programs that run at the same time find a whole file.
        let fresh = program.with_extension(format!("pair-{}.onnx", std::process::id()));
        std::fs::write(&fresh, encode(&small_pair()).expect("it is small")).expect("room for a model");
        std::fs::rename(&fresh, &path).expect("a name for the model");
        path
    })
}

/// The same, to be changed.
pub fn small_pair() -> ModelProto {
    let contract = small_pair_contract();
    let mut random = Random(0x2468_ace0);
    let mut g = Builder::new();
    let mut levels = Vec::new();
    for &stride in &contract.strides {
        g.scope(format!("find/stride_{stride}"));
        levels.push(find(&mut g, stride as usize, &mut random));
    }
    g.scope("find");
    g.op_to(
        "cells",
        "Concat",
        &levels,
        vec![img2pose_onnx::attribute::int("axis", 2)],
    );
    g.scope("cut");
    // What a user of the bare file would be shown; a detector cuts better crops.
    let [from, to, axes] = [[0, 0], [CROP as i64; 2], [2, 3]].map(|numbers| g.i64s(&numbers));
    g.op_to("crops", "Slice", &["images", &from, &to, &axes], vec![]);
    g.scope("look");
    look(&mut g, &mut random);
    let mut graph = g.into_graph("small-pair");
    let images = [
        Dimension::Free("batch"),
        Dimension::Fixed(3),
        Dimension::Free("height"),
        Dimension::Free("width"),
    ];
    graph.input = vec![ValueInfoProto::tensor("images", data_type::FLOAT, Some(&images))];
    graph.output = ["cells", "answers"]
        .map(|name| ValueInfoProto::tensor(name, data_type::FLOAT, None))
        .to_vec();
    let mut model = ModelProto::of(graph);
    model.metadata_props = vec![StringStringEntryProto {
        key: Some(METADATA_KEY.to_owned()),
        value: Some(serde_json::to_string(&contract).expect("facts are JSON")),
    }];
    model
}

/// Its facts.
pub fn small_pair_contract() -> PairContract {
    let ends = |input: &str, output: &str| Ends {
        input: input.to_owned(),
        output: output.to_owned(),
    };
    PairContract {
        contract_version: PAIR_CONTRACT_VERSION,
        architecture: FIND_AND_LOOK.to_owned(),
        min_size: 64,
        max_size: 1400,
        size_divisor: 32,
        image_mean: [0.5; 3],
        image_std: [0.25; 3],
        parts: PairNetworks {
            find: ends("images", "cells"),
            look: ends("crops", "answers"),
        },
        strides: vec![8, 16, 32],
        unit: 4.0,
        crop_side: CROP as u32,
        crop_margin: 1.3,
        sigma: SigmaFacts {
            a: 0.3,
            b: 1.1,
            share: 0.683,
        },
        second_look: None,
        score_floor: 0.2,
        nms_threshold: 0.5,
        bbox_x_factor: 1.1,
        bbox_y_factor: 1.1,
        expand_forehead: 0.3,
        reference_points: REFERENCE_POINTS_68.to_vec(),
        source_sha256: BTreeMap::from([("finder".to_owned(), "made up".to_owned())]),
        licence: "made up for tests".to_owned(),
    }
}

/// One level: a convolution whose windows are the cells.
fn find(g: &mut Builder, stride: usize, random: &mut Random) -> String {
    // Logit of the score, middle, logarithms of the sides, turn.
    const BIAS: [f32; CELL] = [-1.0, 0.0, 0.0, -0.7, -0.5, 1.0, 0.0];
    const SPREAD: [f32; CELL] = [2.0, 0.3, 0.3, 0.2, 0.2, 0.3, 0.8];
    let inputs = 3 * stride * stride;
    let weights: Vec<f32> = SPREAD
        .iter()
        .flat_map(|&spread| (0..inputs).map(move |_| spread))
        .map(|spread| spread * random.next() * 3.0 / (inputs as f32).sqrt())
        .collect();
    let weights = g.f32s(&[CELL, 3, stride, stride], &weights);
    let bias = g.f32s(&[CELL], &BIAS);
    let side = stride as i64;
    let attributes = vec![ints("kernel_shape", &[side; 2]), ints("strides", &[side; 2])];
    let cells = g.op("Conv", &["images", &weights, &bias], attributes);
    g.reshape(&cells, &[0, CELL as i64, -1])
}

/// A convolution, and a matrix around the answer of a head that looks ahead.
fn look(g: &mut Builder, random: &mut Random) {
    const WINDOW: usize = 8;
    let inputs = 3 * WINDOW * WINDOW;
    let weights: Vec<f32> = (0..CHANNELS * inputs)
        .map(|_| random.next() * 3.0 / (inputs as f32).sqrt())
        .collect();
    let weights = g.f32s(&[CHANNELS, 3, WINDOW, WINDOW], &weights);
    let bias = g.f32s(&[CHANNELS], &[0.1; CHANNELS]);
    let side = WINDOW as i64;
    let attributes = vec![ints("kernel_shape", &[side; 2]), ints("strides", &[side; 2])];
    let seen = g.op("Conv", &["crops", &weights, &bias], attributes);
    let seen = g.op("Relu", &[&seen], vec![]);
    let inputs = CHANNELS * (CROP / WINDOW) * (CROP / WINDOW);
    let seen = g.reshape(&seen, &[0, inputs as i64]);
    let mut bias = [0.0; ANSWER];
    for (point, at) in REFERENCE_POINTS_68.iter().zip(bias.as_chunks_mut::<2>().0) {
        *at = [0.42 * point[0], 0.42 * point[1] + 0.08];
    }
    bias[142] = 1.5;
    bias[143] = -2.8;
    let spread = |column: usize| match column {
        0..136 => 0.01,
        142 => 1.5,
        143 => 0.3,
        _ => 0.5,
    };
    let weights: Vec<f32> = (0..inputs * ANSWER)
        .map(|at| spread(at % ANSWER) * random.next() * 3.0 / (inputs as f32).sqrt())
        .collect();
    let weights = g.f32s(&[inputs, ANSWER], &weights);
    let bias = g.f32s(&[ANSWER], &bias);
    g.op_to("answers", "Gemm", &[&seen, &weights, &bias], vec![]);
}

/// Numbers between -1 and 1, the same in every run (Knuth's MMIX generator).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 40) as f32 / (1u64 << 23) as f32) - 1.0
    }
}
