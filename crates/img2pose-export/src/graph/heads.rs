//! Proposals to class scores and pose regressions: RoIAlign and the two heads.

use img2pose::contract::{
    self, CLASS_SCORES, FEATURE_LEVELS, POSE_REGRESSION, POSE_ROI_FEATURES, PROPOSAL_FRAMES, PROPOSALS,
    ROI_FEATURES, RoiContract,
};
use img2pose_onnx::Value;
use img2pose_onnx::attribute::{float, int, ints, text};

use super::Network;
use crate::architecture::POSE_OUTPUTS;
use crate::weights::{Folding, Recipe};

/// Stride of the finest level, as log2.
const FINEST: usize = 2;

/// Numbers that describe a pose.
const POSE: usize = 6;

/// Epsilon of the batch norm in the pose head. It is an ordinary one (PyTorch's `BatchNorm1d`), not a frozen one, so
/// it has the same epsilon in every torchvision.
const HEAD_EPSILON: f64 = 1e-5;

/// Smallest side (square root of the area) of a region that is pooled from a level of stride `2^level` or coarser.
///
/// The rule is `floor(canonical_level + log2(side / canonical_size) + 1e-6)` in f32, as torchvision computes it. It
/// rises with the side, so a threshold says the same and needs no logarithm, which ONNX only has to another base.
pub(super) fn level_threshold(roi: &RoiContract, level: i32) -> f32 {
    let reaches =
        |side: f32| roi.canonical_level as f32 + (side / roi.canonical_size).log2() + 1e-6 >= level as f32;
    let (mut below, mut reached) = (1f32.to_bits(), 1e6f32.to_bits());
    // Positive floats are ordered as their bits are.
    while reached - below > 1 {
        let middle = below + (reached - below) / 2;
        *(if reaches(f32::from_bits(middle)) {
            &mut reached
        } else {
            &mut below
        }) = middle;
    }
    f32::from_bits(reached)
}

impl Network<'_> {
    /// [`PROPOSALS`] to [`ROI_FEATURES`].
    pub(super) fn roi_align(&mut self) {
        let roi = self.contract.roi.clone();
        let g = &mut self.graph;
        g.scope("roi_align");
        let halves = g.i64s(&[2, 2]);
        let [low, high] = g.op_n("Split", &[PROPOSALS, &halves], vec![int("axis", 1)]);
        let sides = g.binary("Sub", &high, &low);
        let ones = g.i64s(&[1, 1]);
        let [width, height] = g.op_n("Split", &[&sides, &ones], vec![int("axis", 1)]);
        let area = g.binary("Mul", &width, &height);
        let area = g.reshape(&area, &[-1]);
        let side = g.op("Sqrt", &[&area], vec![]);

        let mut order = Vec::new();
        let mut pooled = Vec::new();
        for level in 0..FEATURE_LEVELS {
            let g = &mut self.graph;
            g.scope(format!("roi_align/level_{level}"));
            let mine = self.pooled_from(&roi, level, &side);
            let g = &mut self.graph;
            let index = g.indices_of(&mine);
            let boxes = g.gather(PROPOSALS, &index, 0);
            let frames = g.gather(PROPOSAL_FRAMES, &index, 0);
            let attributes = vec![
                text("mode", "avg"),
                text("coordinate_transformation_mode", "output_half_pixel"),
                int("output_height", roi.output_size as i64),
                int("output_width", roi.output_size as i64),
                int("sampling_ratio", roi.sampling_ratio as i64),
                float("spatial_scale", 0.5f32.powi((FINEST + level) as i32)),
            ];
            pooled.push(g.op(
                "RoiAlign",
                &[&contract::features(level), &boxes, &frames],
                attributes,
            ));
            order.push(index);
        }
        // Back to the order of the proposals: where each of them is in the concatenation.
        let g = &mut self.graph;
        g.scope("roi_align");
        let order = g.concat(&order, 0);
        let pooled = g.concat(&pooled, 0);
        let (zero, one, count) = (g.i64(0), g.i64(1), g.size(PROPOSALS, 0));
        let places = g.op("Range", &[&zero, &count, &one], vec![]);
        let places = g.op(
            "ScatterElements",
            &[&order, &order, &places],
            vec![int("axis", 0)],
        );
        g.op_to(ROI_FEATURES, "Gather", &[&pooled, &places], vec![int("axis", 0)]);
    }

    /// Which regions, given their sides, are pooled from a level.
    fn pooled_from(&mut self, roi: &RoiContract, level: usize, side: &str) -> Value {
        let g = &mut self.graph;
        let threshold = |level: usize| level_threshold(roi, (FINEST + level) as i32);
        let below_next = (level + 1 < FEATURE_LEVELS).then(|| {
            let next = g.f32(threshold(level + 1));
            g.binary("Less", side, &next)
        });
        let reaches = (level > 0).then(|| {
            let own = g.f32(threshold(level));
            g.binary("GreaterOrEqual", side, &own)
        });
        match (reaches, below_next) {
            (Some(a), Some(b)) => g.binary("And", &a, &b),
            (Some(mask), None) | (None, Some(mask)) => mask,
            (None, None) => unreachable!("there are several levels"),
        }
    }

    /// [`ROI_FEATURES`] to [`CLASS_SCORES`].
    pub(super) fn class_head(&mut self) {
        self.graph.scope("class_head");
        let x = self.two_layers("class_head", "roi_heads.class_head", ROI_FEATURES);
        let (weight, bias) = self.linear("roi_heads.class_predictor.cls_score");
        let logits = self.gemm("class_score", &x, &weight, &bias);
        let g = &mut self.graph;
        let scores = g.op("Softmax", &[&logits], vec![int("axis", 1)]);
        let face = g.i64(1);
        g.op_to(CLASS_SCORES, "Gather", &[&scores, &face], vec![int("axis", 1)]);
    }

    /// Which proposals may be faces: their indices. Also makes [`POSE_ROI_FEATURES`].
    pub(super) fn select(&mut self) -> Value {
        let (floor, min_side) = (self.contract.score_floor, self.contract.min_box_side);
        let g = &mut self.graph;
        g.scope("select");
        let halves = g.i64s(&[2, 2]);
        let [low, high] = g.op_n("Split", &[PROPOSALS, &halves], vec![int("axis", 1)]);
        let sides = g.binary("Sub", &high, &low);
        let side = g.op(
            "ReduceMin",
            &[&sides],
            vec![ints("axes", &[1]), int("keepdims", 0)],
        );
        let (floor, min_side) = (g.f32(floor), g.f32(min_side));
        let scored = g.binary("Greater", CLASS_SCORES, &floor);
        let sized = g.binary("GreaterOrEqual", &side, &min_side);
        let chosen = g.binary("And", &scored, &sized);
        let chosen = g.indices_of(&chosen);
        g.op_to(
            POSE_ROI_FEATURES,
            "Gather",
            &[ROI_FEATURES, &chosen],
            vec![int("axis", 0)],
        );
        chosen
    }

    /// [`POSE_ROI_FEATURES`] to [`POSE_REGRESSION`].
    pub(super) fn pose_head(&mut self) {
        self.graph.scope("pose_head");
        let x = self.two_layers("pose_head", "roi_heads.box_head", POSE_ROI_FEATURES);
        let folding = Folding {
            layer: "roi_heads.box_predictor.dof_pred.0".to_owned(),
            biased: true,
            norm: "roi_heads.box_predictor.dof_pred.1".to_owned(),
            epsilon: HEAD_EPSILON,
        };
        let (weight, bias) = self.folded(folding);
        let hidden = self.gemm("pose_head.hidden", &x, &weight, &bias);
        let hidden = self.graph.op("Relu", &[&hidden], vec![]);
        // The first six outputs are those of the background class.
        let layer = "roi_heads.box_predictor.dof_pred.3";
        let [weight, bias] = ["weight", "bias"].map(|what| {
            let tensor = format!("{layer}.{what}");
            let mut shape = self.shapes[&tensor].clone();
            debug_assert_eq!(shape[0], POSE_OUTPUTS);
            shape[0] = POSE;
            self.weight(&tensor.clone(), shape, Recipe::LastRows { tensor, rows: POSE })
        });
        self.gemm_to(POSE_REGRESSION, "pose_head.out", &hidden, &weight, &bias);
    }

    fn two_layers(&mut self, node: &str, layer: &str, features: &str) -> Value {
        let mut x = self.graph.op("Flatten", &[features], vec![int("axis", 1)]);
        for part in ["fc6", "fc7"] {
            let (weight, bias) = self.linear(&format!("{layer}.{part}"));
            x = self.gemm(&format!("{node}.{part}"), &x, &weight, &bias);
            x = self.graph.op("Relu", &[&x], vec![]);
        }
        x
    }

    fn linear(&mut self, layer: &str) -> (Value, Value) {
        (self.copied(layer, "weight"), self.copied(layer, "bias"))
    }

    fn gemm(&mut self, name: &str, x: &str, weight: &str, bias: &str) -> Value {
        self.gemm_to(&format!("{name}:0"), name, x, weight, bias)
    }

    fn gemm_to(&mut self, output: &str, name: &str, x: &str, weight: &str, bias: &str) -> Value {
        self.graph.named(
            name,
            "Gemm",
            &[x, weight, bias],
            &[output],
            vec![int("transB", 1)],
        );
        output.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_thresholds_say_what_the_logarithm_says() {
        let roi = img2pose::contract::Contract::reference("", [0.0; 6], [1.0; 6]).roi;
        // A region of exactly 112, 224, 448 pixels is on the upper level, and so is one a few rounding errors below.
        for (level, side) in [(3, 112.0f32), (4, 224.0), (5, 448.0)] {
            let threshold = level_threshold(&roi, level);
            assert!(threshold < side && threshold > side * (1.0 - 2e-6), "{threshold}");
            for steps in -20i32..=20 {
                let side = f32::from_bits(threshold.to_bits().wrapping_add_signed(steps));
                let rule = (4.0 + (side / 224.0).log2() + 1e-6).floor() >= level as f32;
                assert_eq!(rule, side >= threshold, "{side}");
            }
        }
    }
}
