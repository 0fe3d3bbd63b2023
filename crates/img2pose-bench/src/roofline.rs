//! The least time that the convolutions can take: their multiply-adds over what the cores do.

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use img2pose::Model;
use img2pose::contract::IMAGES;
use img2pose_onnx::{Index, ModelProto, NodeProto};
use prost::Message;
use serde::Serialize;

/// Work and speed of one machine.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Roofline {
    /// Operations of all convolutions for one frame, a multiply-add being two, in units of 1e9.
    pub gflop_per_frame: f64,
    /// What the threads do in multiply-adds on registers, f32, in 1e9 operations a second.
    pub gflop_per_second: f64,
}

impl Roofline {
    /// For a network image of `height` x `width` pixels and so many threads.
    pub fn measure(model: &Path, height: u64, width: u64, threads: usize) -> Result<Self> {
        let bytes = std::fs::read(model)?;
        Model::parse(model, bytes.clone())?;
        let model = ModelProto::decode(&bytes[..])?;
        Ok(Self {
            gflop_per_frame: 2e-9
                * multiply_adds(&model, [height, width]).context("the graph is not understood")? as f64,
            gflop_per_second: fused_multiply_adds_per_second(threads) * 2e-9,
        })
    }

    /// No f32 convolution that does all multiply-adds takes less, in milliseconds a frame.
    pub fn least_milliseconds(&self) -> f64 {
        1000.0 * self.gflop_per_frame / self.gflop_per_second
    }
}

/// Multiply-adds of the convolutions for one image.
fn multiply_adds(model: &ModelProto, image: [u64; 2]) -> Option<u64> {
    let graph = model.graph.as_ref()?;
    let weights: HashMap<&str, &[i64]> = graph
        .initializer
        .iter()
        .map(|w| (w.name(), &w.dims[..]))
        .collect();
    let mut sizes: HashMap<&str, [u64; 2]> = HashMap::from([(IMAGES, image)]);
    let index = Index::new(graph);
    let mut sum = 0;
    for node in &graph.node {
        let known = node.input.iter().filter_map(|name| sizes.get(name.as_str()));
        // The sum of a level and the one above, enlarged, has the size of the level.
        let Some(size) = known.copied().reduce(|a, b| [a[0].max(b[0]), a[1].max(b[1])]) else {
            continue;
        };
        let size = match node.op_type() {
            "Conv" => {
                let name = index.before_conversions(node.input.get(1)?);
                let &[outputs, inputs, height, width] = weights.get(name).copied()? else {
                    return None;
                };
                let size = stepped(node, size, [height as u64, width as u64]);
                sum += (outputs * inputs * height * width) as u64 * size[0] * size[1];
                size
            }
            "MaxPool" => {
                let kernel = integers(node, "kernel_shape")?;
                stepped(node, size, [*kernel.first()? as u64, *kernel.get(1)? as u64])
            }
            "Relu" | "Add" | "Identity" => size,
            _ if node.is_conversion() => size,
            _ => continue,
        };
        sizes.extend(node.output.iter().map(|name| (name.as_str(), size)));
    }
    Some(sum)
}

/// Size of what a window that moves over an image gives.
fn stepped(node: &NodeProto, size: [u64; 2], kernel: [u64; 2]) -> [u64; 2] {
    let integer = |name, index: usize, default| {
        integers(node, name)
            .and_then(|all| all.get(index).copied())
            .unwrap_or(default) as u64
    };
    [0, 1].map(|axis| {
        let padded = size[axis] + integer("pads", axis, 0) + integer("pads", axis + 2, 0);
        padded.saturating_sub(kernel[axis]) / integer("strides", axis, 1) + 1
    })
}

fn integers<'n>(node: &'n NodeProto, name: &str) -> Option<&'n [i64]> {
    let found = node.attribute.iter().find(|attribute| attribute.name() == name)?;
    Some(&found.ints)
}

/// The best of a few short runs on that many threads at once.
fn fused_multiply_adds_per_second(threads: usize) -> f64 {
    let once = || -> f64 {
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|_| {
                    scope.spawn(|| {
                        let (began, mut steps) = (Instant::now(), 0);
                        while began.elapsed() < Duration::from_millis(60) {
                            steps += multiply_add(black_box(0.999), black_box(1e-9));
                        }
                        steps as f64 / began.elapsed().as_secs_f64()
                    })
                })
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or(0.0))
                .sum()
        })
    };
    (0..5).map(|_| once()).fold(0.0, f64::max)
}

const STEPS: usize = 20_000;
/// Independent sums: enough to keep every unit busy while the last result is on its way.
const CHAINS: usize = 12;

/// Does multiply-adds on registers and returns how many.
#[cfg(target_arch = "x86_64")]
fn multiply_add(factor: f32, term: f32) -> usize {
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has AVX-512F.
        black_box(unsafe { x86::avx512(factor, term) });
        16 * STEPS * CHAINS
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the processor has AVX2 and FMA.
        black_box(unsafe { x86::avx2(factor, term) });
        8 * STEPS * CHAINS
    } else {
        portable(factor, term)
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn multiply_add(factor: f32, term: f32) -> usize {
    portable(factor, term)
}

fn portable(factor: f32, term: f32) -> usize {
    let mut sums = [[0.5_f32; 8]; CHAINS];
    for _ in 0..STEPS {
        for lane in sums.iter_mut().flatten() {
            *lane = *lane * factor + term;
        }
    }
    black_box(sums);
    8 * STEPS * CHAINS
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{CHAINS, STEPS};

    #[target_feature(enable = "avx512f")]
    pub fn avx512(factor: f32, term: f32) -> f32 {
        let (factor, term) = (_mm512_set1_ps(factor), _mm512_set1_ps(term));
        let mut sums = [_mm512_set1_ps(0.5); CHAINS];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, factor, term);
            }
        }
        sums.into_iter().map(|sum| _mm512_cvtss_f32(sum)).sum()
    }

    #[target_feature(enable = "avx2,fma")]
    pub fn avx2(factor: f32, term: f32) -> f32 {
        let (factor, term) = (_mm256_set1_ps(factor), _mm256_set1_ps(term));
        let mut sums = [_mm256_set1_ps(0.5); CHAINS];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, factor, term);
            }
        }
        sums.into_iter().map(|sum| _mm256_cvtss_f32(sum)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_models_have_as_many_multiply_adds_as_their_layers() {
        // By hand for 64 x 64: cells of the levels from stride 2 to 64.
        let [c2, c4, c8, c16, c32, c64] = [1024, 256, 64, 16, 4, 1u64];
        let stem = c2 * 32 * 3 * 49;
        let layer1 = 4 * c4 * 32 * 32 * 9;
        let stage = |cells: u64, from: u64, to: u64| cells * (from * to * 9 + 3 * to * to * 9 + from * to);
        let body = stage(c8, 32, 64) + stage(c16, 64, 128) + stage(c32, 128, 256);
        let lateral = 64 * (c4 * 32 + c8 * 64 + c16 * 128 + c32 * 256);
        let pyramid = 64 * 64 * 9 * (c4 + c8 + c16 + c32);
        let rpn = (64 * 64 * 9 + 64 * 15) * (c4 + c8 + c16 + c32 + c64);
        let expected = stem + layer1 + body + lateral + pyramid + rpn;
        for name in ["img2pose-slim.onnx", "img2pose-slim-int8.onnx"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../../models")
                .join(name);
            let model = ModelProto::decode(&std::fs::read(path).unwrap()[..]).unwrap();
            assert_eq!(multiply_adds(&model, [64, 64]), Some(expected), "{name}");
        }
    }
}
