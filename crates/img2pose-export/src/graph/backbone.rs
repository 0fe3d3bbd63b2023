//! ResNet body, feature pyramid and RPN head: convolutions, and nothing between them that hinders fusion.

use img2pose::contract::{self, FEATURE_LEVELS, IMAGES};
use img2pose_onnx::attribute::{ints, text};
use img2pose_onnx::{AttributeProto, Value};

use super::Network;
use crate::architecture::{Block, block_name};
use crate::weights::{Folding, Recipe};

/// Kernel side, stride and padding of a convolution.
#[derive(Clone, Copy)]
struct Window {
    kernel: i64,
    stride: i64,
    padding: i64,
}

impl Window {
    fn of(kernel: i64, stride: i64) -> Self {
        Self {
            kernel,
            stride,
            padding: kernel / 2,
        }
    }

    fn attributes(self) -> Vec<AttributeProto> {
        vec![
            ints("kernel_shape", &[self.kernel; 2]),
            ints("strides", &[self.stride; 2]),
            ints("pads", &[self.padding; 4]),
        ]
    }
}

impl Network<'_> {
    /// Images to RPN outputs; the tensors keep the names of the contract.
    pub(super) fn dense(&mut self) {
        let stages = self.body();
        self.pyramid(&stages);
        self.rpn_head();
    }

    /// Outputs of the four stages.
    fn body(&mut self) -> Vec<Value> {
        let arch = self.architecture;
        let stem = self.conv_norm(
            "backbone.body.conv1",
            "backbone.body.bn1",
            IMAGES,
            Window::of(7, 2),
        );
        let stem = self.relu("backbone.body.relu", &stem);
        let mut x = "backbone.body.maxpool:0".to_owned();
        self.graph.named(
            "backbone.body.maxpool",
            "MaxPool",
            &[&stem],
            &[&x],
            Window::of(3, 2).attributes(),
        );
        let mut stages = Vec::new();
        for (index, stage) in arch.stages.iter().enumerate() {
            for block in 0..stage.blocks {
                let stride = if index > 0 && block == 0 { 2 } else { 1 };
                x = self.block(
                    &block_name(index, block),
                    &x,
                    stride,
                    arch.has_shortcut(index, block),
                );
            }
            stages.push(x.clone());
        }
        stages
    }

    fn block(&mut self, name: &str, input: &str, stride: i64, shortcut: bool) -> Value {
        let windows: &[Window] = match self.architecture.block {
            Block::Basic => &[Window::of(3, stride), Window::of(3, 1)],
            Block::Bottleneck => &[Window::of(1, 1), Window::of(3, stride), Window::of(1, 1)],
        };
        let mut x = input.to_owned();
        for (index, &window) in (1..).zip(windows) {
            x = self.conv_norm(
                &format!("{name}.conv{index}"),
                &format!("{name}.bn{index}"),
                &x,
                window,
            );
            if index < windows.len() {
                x = self.relu(&format!("{name}.relu{index}"), &x);
            }
        }
        let identity = match shortcut {
            true => {
                let (conv, norm) = (format!("{name}.downsample.0"), format!("{name}.downsample.1"));
                self.conv_norm(&conv, &norm, input, Window::of(1, stride))
            }
            false => input.to_owned(),
        };
        let sum = format!("{name}.add:0");
        self.graph
            .named(&format!("{name}.add"), "Add", &[&x, &identity], &[&sum], vec![]);
        self.relu(&format!("{name}.relu"), &sum)
    }

    fn pyramid(&mut self, stages: &[Value]) {
        let mut above: Option<Value> = None;
        for level in (0..FEATURE_LEVELS).rev() {
            let name = format!("backbone.fpn.inner_blocks.{level}.0");
            let mut inner = self.conv(&name, &stages[level], Window::of(1, 1), &format!("{name}:0"));
            if let Some(above) = above {
                // Levels halve exactly, because the input is padded to a multiple of 32.
                let upsample = format!("backbone.fpn.upsample.{level}");
                let (larger, sum) = (format!("{upsample}:0"), format!("backbone.fpn.add.{level}:0"));
                let scales = self.graph.f32s(&[4], &[1.0, 1.0, 2.0, 2.0]);
                let attributes = vec![
                    text("mode", "nearest"),
                    text("coordinate_transformation_mode", "asymmetric"),
                    text("nearest_mode", "floor"),
                ];
                self.graph.named(
                    &upsample,
                    "Resize",
                    &[above.as_str(), "", &scales],
                    &[&larger],
                    attributes,
                );
                let add = format!("backbone.fpn.add.{level}");
                self.graph.named(&add, "Add", &[&inner, &larger], &[&sum], vec![]);
                inner = sum;
            }
            let layer = format!("backbone.fpn.layer_blocks.{level}.0");
            self.conv(&layer, &inner, Window::of(3, 1), &contract::features(level));
            above = Some(inner);
        }
    }

    fn rpn_head(&mut self) {
        let pooled = "backbone.fpn.pool:0".to_owned();
        let top = contract::features(FEATURE_LEVELS - 1);
        let window = Window {
            kernel: 1,
            stride: 2,
            padding: 0,
        };
        self.graph.named(
            "backbone.fpn.pool",
            "MaxPool",
            &[&top],
            &[&pooled],
            window.attributes(),
        );
        let levels: Vec<_> = (0..FEATURE_LEVELS)
            .map(contract::features)
            .chain([pooled])
            .collect();
        for (level, features) in levels.iter().enumerate() {
            let hidden = self.shared_conv("rpn.head.conv", level, features, Window::of(3, 1), None);
            let hidden = self.relu(&format!("rpn.head.relu.{level}"), &hidden);
            let (objectness, deltas) = (contract::objectness(level), contract::deltas(level));
            self.shared_conv(
                "rpn.head.cls_logits",
                level,
                &hidden,
                Window::of(1, 1),
                Some(&objectness),
            );
            self.shared_conv(
                "rpn.head.bbox_pred",
                level,
                &hidden,
                Window::of(1, 1),
                Some(&deltas),
            );
        }
    }

    /// A convolution that every level runs with the same weights.
    fn shared_conv(
        &mut self,
        layer: &str,
        level: usize,
        input: &str,
        window: Window,
        output: Option<&str>,
    ) -> Value {
        let weight = self.copied(layer, "weight");
        let bias = self.copied(layer, "bias");
        let name = format!("{layer}.{level}");
        let output = output.map_or_else(|| format!("{name}:0"), str::to_owned);
        self.graph.named(
            &name,
            "Conv",
            &[input, &weight, &bias],
            &[&output],
            window.attributes(),
        );
        output
    }

    fn conv(&mut self, layer: &str, input: &str, window: Window, output: &str) -> Value {
        let weight = self.copied(layer, "weight");
        let bias = self.copied(layer, "bias");
        self.graph.named(
            layer,
            "Conv",
            &[input, &weight, &bias],
            &[output],
            window.attributes(),
        );
        output.to_owned()
    }

    /// A convolution without bias and the frozen batch norm behind it, as one convolution.
    fn conv_norm(&mut self, layer: &str, norm: &str, input: &str, window: Window) -> Value {
        let epsilon = self.contract.batch_norm_epsilon;
        let folding = Folding {
            layer: layer.to_owned(),
            biased: false,
            norm: norm.to_owned(),
            epsilon,
        };
        let (weight, bias) = self.folded(folding);
        let output = format!("{layer}:0");
        self.graph.named(
            layer,
            "Conv",
            &[input, &weight, &bias],
            &[&output],
            window.attributes(),
        );
        output
    }

    fn relu(&mut self, name: &str, input: &str) -> Value {
        let output = format!("{name}:0");
        self.graph.named(name, "Relu", &[input], &[&output], vec![]);
        output
    }

    /// Weight and bias of a layer with its batch norm folded in.
    pub(super) fn folded(&mut self, folding: Folding) -> (Value, Value) {
        let weight = format!("{}.weight", folding.layer);
        let shape = self.shapes[&weight].clone();
        let channels = vec![shape[0]];
        let bias = format!("{}.bias", folding.layer);
        let weight = self.weight(&weight, shape, Recipe::FoldedWeight(folding.clone()));
        (weight, self.weight(&bias, channels, Recipe::FoldedBias(folding)))
    }

    /// A tensor of the checkpoint as it is.
    pub(super) fn copied(&mut self, layer: &str, what: &str) -> Value {
        let name = format!("{layer}.{what}");
        let shape = self.shapes[&name].clone();
        self.weight(&name, shape, Recipe::Copy(name.clone()))
    }
}
