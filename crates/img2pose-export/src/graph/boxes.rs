//! Landmarks to face boxes, and suppression between them.

use img2pose::contract::IMAGES;
use img2pose_onnx::attribute::{int, ints};
use img2pose_onnx::data_type::{DOUBLE, INT64};
use img2pose_onnx::{Builder, Value};

/// Left, top, right, bottom, each `[q, 1]` in whole pixels: the extent of the landmarks times the factors, more on
/// the side of the forehead, clipped to the frame on the sides that pass it.
pub(super) fn bounding_box(
    g: &mut Builder,
    frame: &[Value; 2],
    roll: &Value,
    projected: &[Value; 2],
    factors: [f64; 2],
    forehead: f64,
) -> [Value; 4] {
    let half = g.f64(0.5);
    let mut low = Vec::new();
    let mut high = Vec::new();
    let mut more = Vec::new();
    for (points, factor) in projected.iter().zip(factors) {
        let [min, max] = ["ReduceMin", "ReduceMax"]
            .map(|op| g.op(op, &[points], vec![ints("axes", &[1]), int("keepdims", 1)]));
        let extent = g.binary("Sub", &max, &min);
        let (factor, forehead) = (g.f64(factor), g.f64(forehead));
        let size = g.binary("Mul", &extent, &factor);
        let size = truncate(g, &size);
        let half_size = g.binary("Mul", &size, &half);
        let (min, max) = (g.binary("Mul", &min, &half), g.binary("Mul", &max, &half));
        let centre = g.binary("Add", &min, &max);
        low.push(g.binary("Sub", &centre, &half_size));
        high.push(g.binary("Add", &centre, &half_size));
        more.push(g.binary("Mul", &extent, &forehead));
    }

    // Which side the forehead is on, by the roll; exactly one of the four.
    let size = g.op("Abs", &[roll], vec![]);
    let (upside_down, right, left) = (g.f64(2.5), g.f64(1.0), g.f64(-1.0));
    let below = g.binary("Greater", &size, &upside_down);
    let not_below = g.op("Not", &[&below], vec![]);
    let turned_right = g.binary("Greater", roll, &right);
    let right = g.binary("And", &not_below, &turned_right);
    let turned_left = g.binary("Less", roll, &left);
    let left = g.binary("And", &not_below, &turned_left);
    let sideways = g.binary("Or", &right, &left);
    let not_above = g.binary("Or", &below, &sideways);
    let above = g.op("Not", &[&not_above], vec![]);

    let mut side = |op: &str, value: &Value, mask: &Value, more: &Value| {
        let grown = g.binary(op, value, more);
        let value = g.op("Where", &[mask, &grown, value], vec![]);
        truncate(g, &value)
    };
    let left = side("Sub", &low[0], &left, &more[0]);
    let top = side("Sub", &low[1], &above, &more[1]);
    let right = side("Add", &high[0], &right, &more[0]);
    let bottom = side("Add", &high[1], &below, &more[1]);
    let zero = g.f64(0.0);
    let [left, top] = [left, top].map(|side| g.binary("Max", &side, &zero));
    let [width, height] = frame;
    let [right, bottom] =
        [(right, width), (bottom, height)].map(|(side, limit)| g.binary("Min", &side, limit));
    [left, top, right, bottom]
}

/// Drops the fraction, towards zero.
fn truncate(g: &mut Builder, value: &str) -> Value {
    let whole = g.cast(value, INT64);
    g.cast(&whole, DOUBLE)
}

/// Suppression within each frame: indices of the faces that stay, by frame and falling score.
pub(super) fn suppress(
    g: &mut Builder,
    sides: &[Value; 4],
    scores: &str,
    frames: &str,
    iou: f32,
    most: usize,
) -> Value {
    // A box that lies outside the frame is inside out after clipping. It overlaps nothing; the operator would turn
    // it round.
    let [left, top, right, bottom] = sides;
    let (right, bottom) = (g.binary("Max", left, right), g.binary("Max", top, bottom));
    let boxes = g.concat(&[left, top, &right, &bottom], 1);
    let boxes = g.unsqueeze(&boxes, 0);
    // A frame is a class here: [1, batch, q], and what is in another frame has a score that is never chosen.
    let (zero, one, batch) = (g.i64(0), g.i64(1), g.size(IMAGES, 0));
    let ids = g.op("Range", &[&zero, &batch, &one], vec![]);
    let ids = g.unsqueeze(&ids, 1);
    let own = g.binary("Equal", frames, &ids);
    let never = g.f32(-1.0);
    let scores = g.op("Where", &[own.as_str(), scores, &never], vec![]);
    let scores = g.unsqueeze(&scores, 0);
    let (most, iou, lowest) = (g.i64(most as i64), g.f32(iou), g.f32(0.0));
    let kept = g.op(
        "NonMaxSuppression",
        &[&boxes, &scores, &most, &iou, &lowest],
        vec![],
    );
    let index = g.i64(2);
    g.gather(&kept, &index, 1)
}
