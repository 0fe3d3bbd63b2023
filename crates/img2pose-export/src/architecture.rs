//! Which network a checkpoint holds, told from the names and shapes of its tensors.

use std::collections::HashSet;

use img2pose::contract::FEATURE_LEVELS;

use crate::checkpoint::{Checkpoint, count};
use crate::error::{Error, Result};

/// Anchors at each location of a level: one per aspect ratio.
const ANCHORS: usize = 3;
/// Numbers of the pose head: six for the background class, which nobody uses, and six for the face.
pub(crate) const POSE_OUTPUTS: usize = 12;

/// Most blocks of a stage. The deepest published ResNets have 36.
const MOST_BLOCKS: usize = 256;

/// Most channels of a layer. The widest published ResNets have 2048, their heads 1024.
const MOST_CHANNELS: usize = 1 << 16;

/// Residual block of a ResNet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Two 3x3 convolutions (ResNet-18, -34).
    Basic,
    /// 1x1, 3x3 and 1x1 convolutions; the 3x3 one carries the stride (ResNet-50 and deeper, torchvision's form).
    Bottleneck,
}

/// One of the four stages of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Number of blocks.
    pub blocks: usize,
    /// Channels between the convolutions of a block.
    pub width: usize,
    /// Channels that the stage gives.
    pub channels: usize,
}

/// The shape of a network: everything that its graph depends on but the numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Architecture {
    /// Kind of the residual blocks.
    pub block: Block,
    /// Channels after the first convolution.
    pub stem: usize,
    /// Stages of stride 4, 8, 16, 32.
    pub stages: [Stage; FEATURE_LEVELS],
    /// Channels of the feature pyramid.
    pub fpn: usize,
    /// Width of the two layers of the class head.
    pub class_head: [usize; 2],
    /// Width of the two layers of the pose head.
    pub pose_head: [usize; 2],
    /// Width of the pose head's last hidden layer.
    pub pose_hidden: usize,
}

/// Name and shape of a tensor.
pub type Expected = (String, Vec<usize>);

impl Architecture {
    /// Tells the architecture of a checkpoint and checks that every tensor is there with the shape that fits the
    /// others.
    ///
    /// # Errors
    /// [`Error::MissingTensors`] and [`Error::WrongShape`]; [`Error::Format`] when it has more blocks, and
    /// [`Error::Tensor`] when it has more channels than any network, or none. [`Error::Format`] also when its tensors hold
    /// more numbers than there can be in a file of its size.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        let this = Self::guess(checkpoint)?;
        let expected = this.tensors();
        let missing: Vec<_> = expected
            .iter()
            .map(|(name, _)| name)
            .filter(|name| checkpoint.info(name).is_none())
            .cloned()
            .collect();
        if !missing.is_empty() {
            return Err(Error::MissingTensors {
                path: checkpoint.path().to_owned(),
                missing,
                expected: expected.len(),
            });
        }
        let mut bytes = 0u64;
        for (_, shape) in &expected {
            bytes = bytes.saturating_add(size_of::<f32>() as u64 * count(shape) as u64);
        }
        if bytes > checkpoint.budget() {
            let (len, most) = (checkpoint.len(), checkpoint.budget());
            let reason = format!(
                "its tensors would have {bytes} bytes; in a file of {len} bytes at most {most} are believed"
            );
            return Err(Error::format(checkpoint.path(), reason));
        }
        for (name, expected) in expected {
            if let Some(info) = checkpoint.info(&name)
                && info.shape != expected
            {
                let path = checkpoint.path().to_owned();
                return Err(Error::WrongShape {
                    path,
                    name,
                    found: info.shape.clone(),
                    expected,
                });
            }
        }
        Ok(this)
    }

    /// Reads the free sizes, taking those of the published network where a tensor is missing or of another rank.
    fn guess(checkpoint: &Checkpoint) -> Result<Self> {
        let outputs = |name: &str, rank: usize, otherwise: usize| match checkpoint.info(name) {
            Some(info) if info.shape.len() == rank => match info.shape[0] {
                channels @ 1..=MOST_CHANNELS => Ok(channels),
                channels => {
                    let reason = format!(
                        "its shape {:?} gives the layer {channels} channels, expected 1 to {MOST_CHANNELS}",
                        info.shape
                    );
                    Err(Error::tensor(checkpoint.path(), name, reason))
                }
            },
            _ => Ok(otherwise),
        };
        let block = match checkpoint.info("backbone.body.layer1.0.conv3.weight") {
            Some(_) => Block::Bottleneck,
            None => Block::Basic,
        };
        let stage = |stage: usize| {
            let prefix = format!("backbone.body.layer{stage}");
            let present = |block: &usize| checkpoint.has(&format!("{prefix}.{block}."));
            let blocks = match (0..=MOST_BLOCKS).take_while(present).count() {
                0 => 2,
                blocks @ 1..=MOST_BLOCKS => blocks,
                _ => {
                    let reason = format!("{prefix} has more than {MOST_BLOCKS} blocks, as no network has");
                    return Err(Error::format(checkpoint.path(), reason));
                }
            };
            let width = outputs(&format!("{prefix}.0.conv1.weight"), 4, 32 << stage)?;
            let channels = match block {
                Block::Basic => width,
                Block::Bottleneck => outputs(&format!("{prefix}.0.conv3.weight"), 4, width * 4)?,
            };
            Ok(Stage {
                blocks,
                width,
                channels,
            })
        };
        let head = |name: &str| {
            let width = |layer| outputs(&format!("roi_heads.{name}.{layer}.weight"), 2, 1024);
            Ok([width("fc6")?, width("fc7")?])
        };
        Ok(Self {
            block,
            stem: outputs("backbone.body.conv1.weight", 4, 64)?,
            stages: [stage(1)?, stage(2)?, stage(3)?, stage(4)?],
            fpn: outputs("backbone.fpn.inner_blocks.0.0.weight", 4, 256)?,
            class_head: head("class_head")?,
            pose_head: head("box_head")?,
            pose_hidden: outputs("roi_heads.box_predictor.dof_pred.0.weight", 2, 256)?,
        })
    }

    /// Name of the network, such as `resnet18-fpn`.
    pub fn name(&self) -> String {
        let blocks = self.stages.map(|stage| stage.blocks);
        let body = match (self.block, blocks) {
            (Block::Basic, [2, 2, 2, 2]) => "resnet18".to_owned(),
            (Block::Basic, [3, 4, 6, 3]) => "resnet34".to_owned(),
            (Block::Bottleneck, [3, 4, 6, 3]) => "resnet50".to_owned(),
            (Block::Bottleneck, [3, 4, 23, 3]) => "resnet101".to_owned(),
            (Block::Bottleneck, [3, 8, 36, 3]) => "resnet152".to_owned(),
            (block, [a, b, c, d]) => {
                let block = if block == Block::Basic {
                    "basic"
                } else {
                    "bottleneck"
                };
                format!("resnet-{block}-{a}-{b}-{c}-{d}")
            }
        };
        format!("{body}-fpn")
    }

    /// Every tensor that the network needs, with its shape. A checkpoint may hold more
    /// (`num_batches_tracked`), which are not used.
    pub fn tensors(&self) -> Vec<Expected> {
        let mut list = List::default();
        list.conv("backbone.body.conv1", self.stem, 3, 7);
        list.norm("backbone.body.bn1", self.stem);
        let mut input = self.stem;
        for (index, stage) in self.stages.iter().enumerate() {
            for block in 0..stage.blocks {
                list.block(&block_name(index, block), self.block, input, stage);
                if self.has_shortcut(index, block) {
                    list.conv(
                        &format!("{}.downsample.0", block_name(index, block)),
                        stage.channels,
                        input,
                        1,
                    );
                    list.norm(
                        &format!("{}.downsample.1", block_name(index, block)),
                        stage.channels,
                    );
                }
                input = stage.channels;
            }
        }
        for (level, stage) in self.stages.iter().enumerate() {
            list.biased_conv(
                &format!("backbone.fpn.inner_blocks.{level}.0"),
                self.fpn,
                stage.channels,
                1,
            );
        }
        for level in 0..FEATURE_LEVELS {
            list.biased_conv(
                &format!("backbone.fpn.layer_blocks.{level}.0"),
                self.fpn,
                self.fpn,
                3,
            );
        }
        list.biased_conv("rpn.head.conv", self.fpn, self.fpn, 3);
        list.biased_conv("rpn.head.cls_logits", ANCHORS, self.fpn, 1);
        list.biased_conv("rpn.head.bbox_pred", 4 * ANCHORS, self.fpn, 1);
        let pooled = self.fpn * ROI_SIDE * ROI_SIDE;
        list.linear("roi_heads.box_head.fc6", self.pose_head[0], pooled);
        list.linear("roi_heads.box_head.fc7", self.pose_head[1], self.pose_head[0]);
        list.linear(
            "roi_heads.box_predictor.dof_pred.0",
            self.pose_hidden,
            self.pose_head[1],
        );
        list.norm("roi_heads.box_predictor.dof_pred.1", self.pose_hidden);
        list.linear(
            "roi_heads.box_predictor.dof_pred.3",
            POSE_OUTPUTS,
            self.pose_hidden,
        );
        list.linear("roi_heads.class_head.fc6", self.class_head[0], pooled);
        list.linear("roi_heads.class_head.fc7", self.class_head[1], self.class_head[0]);
        list.linear("roi_heads.class_predictor.cls_score", 2, self.class_head[1]);
        list.0
    }

    /// Count of the numbers that the network uses, and names of the tensors of a checkpoint that it does not.
    pub fn usage(&self, checkpoint: &Checkpoint) -> (usize, Vec<String>) {
        let expected = self.tensors();
        let used: HashSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
        let parameters = expected.iter().map(|(_, shape)| count(shape)).sum();
        // The count of training steps is in every checkpoint and means nothing here.
        let known = |name: &str| used.contains(name) || name.ends_with(".num_batches_tracked");
        let names = checkpoint.tensors().map(|(name, _)| name);
        (
            parameters,
            names.filter(|name| !known(name)).map(str::to_owned).collect(),
        )
    }

    /// Whether a block projects its shortcut: where the stride or the number of channels changes.
    pub(crate) fn has_shortcut(&self, stage: usize, block: usize) -> bool {
        let input = if stage == 0 {
            self.stem
        } else {
            self.stages[stage - 1].channels
        };
        block == 0 && (stage > 0 || input != self.stages[stage].channels)
    }
}

/// Side of the pooled regions that the published heads are made for.
const ROI_SIDE: usize = 7;

/// Prefix of a block's tensors; `stage` counts from 0.
pub(crate) fn block_name(stage: usize, block: usize) -> String {
    format!("backbone.body.layer{}.{block}", stage + 1)
}

#[derive(Default)]
struct List(Vec<Expected>);

impl List {
    fn push(&mut self, layer: &str, what: &str, shape: &[usize]) {
        self.0.push((format!("{layer}.{what}"), shape.to_vec()));
    }

    fn conv(&mut self, layer: &str, outputs: usize, inputs: usize, kernel: usize) {
        self.push(layer, "weight", &[outputs, inputs, kernel, kernel]);
    }

    fn biased_conv(&mut self, layer: &str, outputs: usize, inputs: usize, kernel: usize) {
        self.conv(layer, outputs, inputs, kernel);
        self.push(layer, "bias", &[outputs]);
    }

    fn linear(&mut self, layer: &str, outputs: usize, inputs: usize) {
        self.push(layer, "weight", &[outputs, inputs]);
        self.push(layer, "bias", &[outputs]);
    }

    fn norm(&mut self, layer: &str, channels: usize) {
        for what in ["weight", "bias", "running_mean", "running_var"] {
            self.push(layer, what, &[channels]);
        }
    }

    fn block(&mut self, name: &str, block: Block, input: usize, stage: &Stage) {
        let (width, channels) = (stage.width, stage.channels);
        let convs: &[(usize, usize, usize)] = match block {
            Block::Basic => &[(width, input, 3), (channels, width, 3)],
            Block::Bottleneck => &[(width, input, 1), (width, width, 3), (channels, width, 1)],
        };
        for (index, &(outputs, inputs, kernel)) in convs.iter().enumerate() {
            list_conv_norm(self, name, index + 1, outputs, inputs, kernel);
        }
    }
}

fn list_conv_norm(list: &mut List, block: &str, index: usize, outputs: usize, inputs: usize, kernel: usize) {
    list.conv(&format!("{block}.conv{index}"), outputs, inputs, kernel);
    list.norm(&format!("{block}.bn{index}"), outputs);
}
