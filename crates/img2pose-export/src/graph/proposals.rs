//! RPN outputs to proposals: best anchors of each level, decoding, suppression, best of each frame.

use img2pose::contract::{self, IMAGE_SIZE, IMAGES, PROPOSAL_FRAMES, PROPOSAL_LEVELS, PROPOSALS};
use img2pose_onnx::Value;
use img2pose_onnx::attribute::{int, ints};
use img2pose_onnx::data_type::FLOAT;

use super::Network;

/// Largest growth of an anchor, as a logarithm (`BBOX_XFORM_CLIP` of Faster R-CNN).
fn max_log_scale() -> f32 {
    (1000.0f64 / 16.0).ln() as f32
}

/// Score of what must never be chosen, and the threshold that no real logit is below.
const NEVER: f32 = -1e30;
const LOWEST: f32 = -1e29;

/// Proposals of one level: boxes `[batch, k, 4]`, scores `[batch, k]`, best first.
struct Level {
    boxes: Value,
    scores: Value,
}

/// Corners `[-w, -h, w, h] / 2` of the anchors of one size, rounded to pixels (half to even, as PyTorch does).
pub(super) fn base_anchors(size: f32, aspect_ratios: &[f32]) -> Vec<f32> {
    aspect_ratios
        .iter()
        .flat_map(|ratio| {
            let h_ratio = ratio.sqrt();
            let (w, h) = ((1.0 / h_ratio) * size, h_ratio * size);
            [-w, -h, w, h].map(|side| (side / 2.0).round_ties_even())
        })
        .collect()
}

impl Network<'_> {
    /// RPN outputs to [`PROPOSALS`] and [`PROPOSAL_FRAMES`].
    pub(super) fn proposals(&mut self) {
        self.graph.scope("proposals");
        let limits = self.limits();
        let levels: Vec<_> = (0..PROPOSAL_LEVELS)
            .map(|level| self.level(level, &limits))
            .collect();

        self.graph.scope("proposals");
        let boxes: Vec<_> = levels.iter().map(|level| &level.boxes).collect();
        let boxes = self.graph.concat(&boxes, 1);
        let all_scores: Vec<_> = levels.iter().map(|level| &level.scores).collect();
        let scores = self.graph.concat(&all_scores, 1);
        let kept = self.suppress(&levels, &boxes, &scores);
        self.best(&boxes, &scores, &kept);
    }

    /// `[w, h, w, h]` of the unpadded image, f32.
    fn limits(&mut self) -> Value {
        let order = self.graph.i64s(&[1, 0, 1, 0]);
        let limits = self.graph.gather(IMAGE_SIZE, &order, 0);
        self.graph.cast(&limits, FLOAT)
    }

    fn level(&mut self, level: usize, limits: &str) -> Level {
        let numbers = self.contract.proposals.clone();
        let anchors = numbers.aspect_ratios.len() as i64;
        let g = &mut self.graph;
        g.scope(format!("proposals/level_{level}"));
        let (objectness, deltas) = (contract::objectness(level), contract::deltas(level));

        // [batch, 3, h, w] -> [batch, h * w * 3], in the order that the reference flattens.
        let scores = g.op("Transpose", &[&objectness], vec![ints("perm", &[0, 2, 3, 1])]);
        let scores = g.op("Flatten", &[&scores], vec![int("axis", 1)]);
        // [batch, 3 * 4, h, w] -> [batch, h * w * 3, 4]
        let deltas = g.reshape(&deltas, &[0, anchors, 4, -1]);
        let deltas = g.op("Transpose", &[&deltas], vec![ints("perm", &[0, 3, 1, 2])]);
        let deltas = g.reshape(&deltas, &[0, -1, 4]);

        let shape = g.op("Shape", &[&scores], vec![int("start", 1), int("end", 2)]);
        let top_n = g.i64s(&[numbers.pre_nms_top_n as i64]);
        let k = g.op("Min", &[&shape, &top_n], vec![]);
        let [scores, index] = g.op_n("TopK", &[&scores, &k], vec![int("axis", 1)]);
        let gather_index = g.unsqueeze(&index, -1);
        let deltas = g.op("GatherND", &[&deltas, &gather_index], vec![int("batch_dims", 1)]);

        // The anchor of an index: base anchor at the stride times the cell. The stride of the pooled level is not
        // always 64: it is the padded size over the level's size, rounded down.
        let count = g.i64(anchors);
        let ratio = g.binary("Mod", &index, &count);
        let cell = g.binary("Div", &index, &count);
        let (width, height) = (g.size(&objectness, 3), g.size(&objectness, 2));
        let cells = [g.binary("Mod", &cell, &width), g.binary("Div", &cell, &width)];
        let mut shifts = Vec::new();
        for (cell, (size, axis)) in cells.iter().zip([(width, 3), (height, 2)]) {
            let padded = g.size(IMAGES, axis);
            let stride = g.binary("Div", &padded, &size);
            let shift = g.binary("Mul", cell, &stride);
            let shift = g.cast(&shift, FLOAT);
            shifts.push(g.unsqueeze(&shift, -1));
        }
        let shifts = g.concat(&[&shifts[0], &shifts[1], &shifts[0], &shifts[1]], 2);
        let base = base_anchors(numbers.anchor_sizes[level], &numbers.aspect_ratios);
        let base = g.f32s(&[numbers.aspect_ratios.len(), 4], &base);
        let base = g.gather(&base, &ratio, 0);
        let anchor = g.binary("Add", &shifts, &base);

        let (low, high) = self.decode(&anchor, &deltas, limits);
        let g = &mut self.graph;
        let boxes = g.concat(&[&low, &high], 2);
        let sides = g.binary("Sub", &high, &low);
        let side = g.op(
            "ReduceMin",
            &[&sides],
            vec![ints("axes", &[2]), int("keepdims", 0)],
        );
        let min = g.f32(numbers.min_box_side);
        let valid = g.binary("GreaterOrEqual", &side, &min);
        let never = g.f32(NEVER);
        let scores = g.op("Where", &[&valid, &scores, &never], vec![]);
        Level { boxes, scores }
    }

    /// Anchors and deltas `[batch, k, 4]` to the two corners `[batch, k, 2]` of the boxes, clipped to the image.
    fn decode(&mut self, anchors: &str, deltas: &str, limits: &str) -> (Value, Value) {
        let g = &mut self.graph;
        let halves = g.i64s(&[2, 2]);
        let [low, high] = g.op_n("Split", &[anchors, &halves], vec![int("axis", 2)]);
        let [shift, growth] = g.op_n("Split", &[deltas, &halves], vec![int("axis", 2)]);
        let [limit, _] = g.op_n("Split", &[limits, &halves], vec![int("axis", 0)]);
        let (half, zero, max) = (g.f32(0.5), g.f32(0.0), g.f32(max_log_scale()));

        let size = g.binary("Sub", &high, &low);
        let half_size = g.binary("Mul", &half, &size);
        let centre = g.binary("Add", &low, &half_size);
        let shift = g.binary("Mul", &shift, &size);
        let centre = g.binary("Add", &shift, &centre);
        let growth = g.binary("Min", &growth, &max);
        let growth = g.op("Exp", &[&growth], vec![]);
        let size = g.binary("Mul", &growth, &size);
        let half_size = g.binary("Mul", &half, &size);
        let corners = ["Sub", "Add"].map(|op| {
            let corner = g.binary(op, &centre, &half_size);
            let corner = g.binary("Min", &corner, &limit);
            g.binary("Max", &corner, &zero)
        });
        let [low, high] = corners;
        (low, high)
    }

    /// Suppression within each level of each frame: `[s, 2]`, frame and index of what is kept.
    fn suppress(&mut self, levels: &[Level], boxes: &str, scores: &str) -> Value {
        let numbers = self.contract.proposals.clone();
        let g = &mut self.graph;
        // The operator suppresses within a class and shares the boxes between classes. So a level is a class, in
        // which the boxes of the other levels have a score that is never chosen: [batch, levels, k].
        let mut level_of = Vec::new();
        for (index, level) in levels.iter().enumerate() {
            let count = g.op("Shape", &[&level.scores], vec![int("start", 1), int("end", 2)]);
            let index = g.i64s(&[index as i64]);
            level_of.push(g.binary("Expand", &index, &count));
        }
        let level_of = g.concat(&level_of, 0);
        let ids: Vec<i64> = (0..levels.len() as i64).collect();
        let ids = g.i64s(&ids);
        let ids = g.unsqueeze(&ids, 1);
        let own = g.binary("Equal", &level_of, &ids);
        let scores = g.unsqueeze(scores, 1);
        let never = g.f32(NEVER);
        let scores = g.op("Where", &[&own, &scores, &never], vec![]);
        // No level needs more than a frame keeps.
        let most = g.i64(numbers.post_nms_top_n as i64);
        let (iou, lowest) = (g.f32(numbers.nms_threshold), g.f32(LOWEST));
        let kept = g.op(
            "NonMaxSuppression",
            &[boxes, &scores, &most, &iou, &lowest],
            vec![],
        );
        let columns = g.i64s(&[0, 2]);
        g.gather(&kept, &columns, 1)
    }

    /// The best of each frame, by falling score; frames rising.
    fn best(&mut self, boxes: &str, scores: &str, kept: &str) {
        let top_n = self.contract.proposals.post_nms_top_n as i64;
        let g = &mut self.graph;
        let kept_scores = g.op("GatherND", &[scores, kept], vec![]);
        let shape = g.op("Shape", &[scores], vec![]);
        let never = g.f32(NEVER);
        let none = g.binary("Expand", &never, &shape);
        let kept_scores = g.op("ScatterND", &[&none, kept, &kept_scores], vec![]);
        let count = g.op("Shape", &[scores], vec![int("start", 1), int("end", 2)]);
        let top_n = g.i64s(&[top_n]);
        let k = g.op("Min", &[&count, &top_n], vec![]);
        let [best, index] = g.op_n("TopK", &[&kept_scores, &k], vec![int("axis", 1)]);
        let lowest = g.f32(LOWEST);
        let real = g.binary("Greater", &best, &lowest);
        let places = g.op("NonZero", &[&real], vec![]);
        let places = g.op("Transpose", &[&places], vec![ints("perm", &[1, 0])]);
        let index = g.op("GatherND", &[&index, &places], vec![]);
        let zero = g.i64(0);
        let frames = g.op_to(PROPOSAL_FRAMES, "Gather", &[&places, &zero], vec![int("axis", 1)]);
        let (frames, index) = (g.unsqueeze(&frames, 1), g.unsqueeze(&index, 1));
        let places = g.concat(&[&frames, &index], 1);
        g.op_to(PROPOSALS, "GatherND", &[boxes, &places], vec![]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_anchors_are_rounded_as_torchvision_does() {
        let ratios = [0.5, 1.0, 2.0];
        let expected = [
            -11.0, -6.0, 11.0, 6.0, -8.0, -8.0, 8.0, 8.0, -6.0, -11.0, 6.0, 11.0,
        ];
        assert_eq!(base_anchors(16.0, &ratios), expected);
        assert_eq!(base_anchors(256.0, &ratios)[..4], [-181.0, -91.0, 181.0, 91.0]);
    }
}
