//! Pose regressions to faces: poses in the camera of the whole frame, boxes around the projected head, suppression.
//!
//! Done in f64, as the reference does it, because boxes are truncated to whole pixels.

use img2pose::contract::{
    BOXES, CLASS_SCORES, FRAMES, IMAGE_SIZE, IMAGES, POSE_REGRESSION, POSES, PROPOSAL_FRAMES, PROPOSALS,
    SCORES,
};
use img2pose::onnx::data_type::{DOUBLE, FLOAT, INT64};

use super::Network;
use super::builder::{Builder, Value, int, ints};

/// Keeps a quotient by the length of a vector finite when that is 0.
const TINY: f64 = 1e-30;

/// A quaternion, or a rotation as one: columns `[q, 1]`.
struct Quaternion {
    w: Value,
    x: Value,
    y: Value,
    z: Value,
}

/// The cameras, f64: focal length and centre of the frame `[1]`, and of each region how its centre is off `[q, 1]`.
struct Cameras {
    focal: Value,
    centre: [Value; 2],
    /// `(region's centre - frame's centre) / focal`.
    offset: [Value; 2],
    /// Width plus height of the region.
    extent: Value,
    /// Width and height of the frame.
    size: [Value; 2],
}

/// A pose in the camera of the whole frame.
struct Pose {
    rotation: Quaternion,
    vector: [Value; 3],
    translation: [Value; 3],
}

impl Network<'_> {
    /// [`POSE_REGRESSION`] to the outputs; `chosen` are the indices of its rows among the proposals.
    pub(super) fn faces(&mut self, chosen: &str) {
        let contract = self.contract.clone();
        let g = &mut self.graph;
        g.scope("faces");
        let regions = g.gather(PROPOSALS, chosen, 0);
        let scores = g.gather(CLASS_SCORES, chosen, 0);
        let frames = g.gather(PROPOSAL_FRAMES, chosen, 0);
        let cameras = cameras(g, &regions);
        let pose = global_pose(g, &cameras, &contract.pose_mean, &contract.pose_stddev);

        g.scope("faces/box");
        let landmarks: Vec<f64> = contract
            .reference_points
            .iter()
            .flatten()
            .map(|&c| c.into())
            .collect();
        let projected = project(g, &cameras, &pose, &landmarks);
        let factors = [contract.bbox_x_factor, contract.bbox_y_factor].map(decimal);
        let sides = bounding_box(
            g,
            &cameras,
            &pose,
            &projected,
            factors,
            decimal(contract.expand_forehead),
        );

        g.scope("faces");
        let boxes = sides.each_ref().map(|side| g.cast(side, FLOAT));
        let kept = suppress(
            g,
            &boxes,
            &scores,
            &frames,
            contract.nms_threshold,
            contract.proposals.post_nms_top_n,
        );
        let boxes = g.concat(&boxes, 1);
        let [a, b, c] = pose.vector;
        let [x, y, z] = pose.translation;
        let poses = g.concat(&[a, b, c, x, y, z], 1);
        let poses = g.cast(&poses, FLOAT);
        for (output, values) in [(BOXES, boxes), (SCORES, scores), (POSES, poses), (FRAMES, frames)] {
            g.op_to(output, "Gather", &[&values, &kept], vec![int("axis", 0)]);
        }
    }
}

/// The shortest decimal that means this f32: the reference computes with 1.1, not with the f32 next to it.
fn decimal(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(number.into())
}

/// Splits `[q, N]` into columns `[q, 1]`.
fn columns<const N: usize>(g: &mut Builder, value: &str) -> [Value; N] {
    let ones = g.i64s(&[1; N]);
    g.op_n("Split", &[value, &ones], vec![int("axis", 1)])
}

fn cameras(g: &mut Builder, regions: &str) -> Cameras {
    g.scope("faces/camera");
    let [first, second, two] = [0, 1]
        .map(|i| g.i64s(&[i]))
        .into_iter()
        .chain([g.i64(2)])
        .collect::<Vec<_>>()
        .try_into()
        .unwrap_or_else(|_| unreachable!("three values"));
    let [height, width] = [&first, &second].map(|axis| g.gather(IMAGE_SIZE, axis, 0));
    let focal = g.binary("Add", &width, &height);
    let focal = g.cast(&focal, DOUBLE);
    let centre = [&width, &height].map(|side| {
        // The sides are positive: integer division rounds down, as the reference does.
        let half = g.binary("Div", side, &two);
        g.cast(&half, DOUBLE)
    });
    let size = [width, height].map(|side| g.cast(&side, DOUBLE));
    let [left, top, right, bottom] = columns(g, regions);
    let mut sides = Vec::new();
    let mut offset = Vec::new();
    for (low, high, centre) in [(left, right, &centre[0]), (top, bottom, &centre[1])] {
        let side = g.binary("Sub", &high, &low);
        let half = g.f32(0.5);
        let half = g.binary("Mul", &side, &half);
        let half = g.op("Floor", &[&half], vec![]);
        let middle = g.binary("Add", &low, &half);
        // The reference keeps its intrinsics in integers.
        let middle = g.cast(&middle, INT64);
        let middle = g.cast(&middle, DOUBLE);
        let off = g.binary("Sub", &middle, centre);
        offset.push(g.binary("Div", &off, &focal));
        sides.push(side);
    }
    let extent = g.binary("Add", &sides[0], &sides[1]);
    let extent = g.cast(&extent, DOUBLE);
    let [x, y] = [0, 1].map(|i| offset[i].clone());
    Cameras {
        focal,
        centre,
        offset: [x, y],
        extent,
        size,
    }
}

/// From the camera of each region to that of the frame.
///
/// The reference applies `M = K^-1 K_region`, a shear, and takes the rotation nearest to `M R` (the polar factor).
/// The polar factor of `M` alone is a rotation by `atan(s / 2)` in the plane of the shear `s`, so that of `M R` is
/// the product of both.
fn global_pose(g: &mut Builder, cameras: &Cameras, mean: &[f64; 6], stddev: &[f64; 6]) -> Pose {
    g.scope("faces/pose");
    let regression = g.cast(POSE_REGRESSION, DOUBLE);
    let (mean, stddev) = (g.f64s(&[6], mean), g.f64s(&[6], stddev));
    let regression = g.binary("Mul", &regression, &stddev);
    let regression = g.binary("Add", &regression, &mean);
    let [rx, ry, rz, tx, ty, tz] = columns(g, &regression);

    let zoom = g.binary("Div", &cameras.focal, &cameras.extent);
    let tz = g.binary("Mul", &tz, &zoom);
    let [tx, ty] = [(tx, &cameras.offset[0]), (ty, &cameras.offset[1])].map(|(t, offset)| {
        let shift = g.binary("Mul", offset, &tz);
        g.binary("Add", &t, &shift)
    });

    let local = from_rotation_vector(g, [&rx, &ry, &rz]);
    let turn = shear_rotation(g, &cameras.offset);
    let rotation = multiply(g, &turn, &local);
    let vector = to_rotation_vector(g, &rotation);
    Pose {
        rotation,
        vector,
        translation: [tx, ty, tz],
    }
}

/// The rotation nearest to the shear `[[1, 0, u], [0, 1, v], [0, 0, 1]]`: by `atan(s / 2)` about `(-v, u, 0) / s`
/// with `s = |(u, v)|`, written with half angles so that nothing is divided by `s`.
fn shear_rotation(g: &mut Builder, [u, v]: &[Value; 2]) -> Quaternion {
    let squares = [u, v].map(|a| g.binary("Mul", a, a));
    let square = g.binary("Add", &squares[0], &squares[1]);
    let (four, two, one, half) = (g.f64(4.0), g.f64(2.0), g.f64(1.0), g.f64(0.5));
    let hypotenuse = g.binary("Add", &square, &four);
    let hypotenuse = g.op("Sqrt", &[&hypotenuse], vec![]);
    let cosine = g.binary("Div", &two, &hypotenuse);
    let w = g.binary("Add", &cosine, &one);
    let w = g.binary("Mul", &w, &half);
    let w = g.op("Sqrt", &[&w], vec![]);
    let divisor = g.binary("Mul", &w, &hypotenuse);
    let divisor = g.binary("Mul", &divisor, &two);
    let x = g.binary("Div", v, &divisor);
    let x = g.op("Neg", &[&x], vec![]);
    let y = g.binary("Div", u, &divisor);
    let z = g.binary("Sub", u, u);
    Quaternion { w, x, y, z }
}

/// Exponential map, with sines only (`cos(a) = 1 - 2 sin(a / 2)^2`): ONNX Runtime 1.20 has no f64 cosine on the CPU.
fn from_rotation_vector(g: &mut Builder, vector: [&Value; 3]) -> Quaternion {
    let angle = length(g, vector);
    let (half, quarter, one, two) = (g.f64(0.5), g.f64(0.25), g.f64(1.0), g.f64(2.0));
    let half_angle = g.binary("Mul", &angle, &half);
    let sine = g.op("Sin", &[&half_angle], vec![]);
    let scale = g.binary("Div", &sine, &angle);
    let quarter_angle = g.binary("Mul", &angle, &quarter);
    let sine = g.op("Sin", &[&quarter_angle], vec![]);
    let square = g.binary("Mul", &sine, &sine);
    let double = g.binary("Mul", &square, &two);
    let w = g.binary("Sub", &one, &double);
    let [x, y, z] = vector.map(|v| g.binary("Mul", v, &scale));
    Quaternion { w, x, y, z }
}

/// Logarithmic map, angle in 0..pi. The arc tangent is f32, the only one that ONNX Runtime has.
fn to_rotation_vector(g: &mut Builder, q: &Quaternion) -> [Value; 3] {
    // q and -q are the same rotation; the one with w >= 0 has the shorter vector.
    let (zero, one, minus_one, two) = (g.f64(0.0), g.f64(1.0), g.f64(-1.0), g.f64(2.0));
    let positive = g.binary("GreaterOrEqual", &q.w, &zero);
    let sign = g.op("Where", &[&positive, &one, &minus_one], vec![]);
    let sine = length(g, [&q.x, &q.y, &q.z]);
    let cosine = g.binary("Mul", &q.w, &sign);
    let tangent = g.binary("Div", &sine, &cosine);
    let tangent = g.cast(&tangent, FLOAT);
    let half = g.op("Atan", &[&tangent], vec![]);
    let half = g.cast(&half, DOUBLE);
    let angle = g.binary("Mul", &half, &two);
    let scale = g.binary("Div", &angle, &sine);
    let scale = g.binary("Mul", &scale, &sign);
    [&q.x, &q.y, &q.z].map(|v| g.binary("Mul", v, &scale))
}

/// Length of a vector, at least [`TINY`].
fn length(g: &mut Builder, vector: [&Value; 3]) -> Value {
    let [x, y, z] = vector.map(|v| g.binary("Mul", v, v));
    let sum = g.binary("Add", &x, &y);
    let sum = g.binary("Add", &sum, &z);
    let length = g.op("Sqrt", &[&sum], vec![]);
    let tiny = g.f64(TINY);
    g.binary("Max", &length, &tiny)
}

fn multiply(g: &mut Builder, a: &Quaternion, b: &Quaternion) -> Quaternion {
    let mut sum = |terms: [(&str, &Value, &Value); 4]| {
        let mut total: Option<Value> = None;
        for (op, p, q) in terms {
            let product = g.binary("Mul", p, q);
            total = Some(match total {
                Some(total) => g.binary(op, &total, &product),
                None => product,
            });
        }
        total.unwrap_or_else(|| unreachable!("there are four terms"))
    };
    Quaternion {
        w: sum([
            ("Add", &a.w, &b.w),
            ("Sub", &a.x, &b.x),
            ("Sub", &a.y, &b.y),
            ("Sub", &a.z, &b.z),
        ]),
        x: sum([
            ("Add", &a.w, &b.x),
            ("Add", &a.x, &b.w),
            ("Add", &a.y, &b.z),
            ("Sub", &a.z, &b.y),
        ]),
        y: sum([
            ("Add", &a.w, &b.y),
            ("Sub", &a.x, &b.z),
            ("Add", &a.y, &b.w),
            ("Add", &a.z, &b.x),
        ]),
        z: sum([
            ("Add", &a.w, &b.z),
            ("Add", &a.x, &b.y),
            ("Sub", &a.y, &b.x),
            ("Add", &a.z, &b.w),
        ]),
    }
}

/// Rotates a point of the head model by the rotation matrix of a unit quaternion, row by row: three rows `[q, 3]`.
fn matrix_rows(g: &mut Builder, q: &Quaternion) -> [Value; 3] {
    let (one, two) = (g.f64(1.0), g.f64(2.0));
    let mut twice = |a: &Value, b: &Value| {
        let product = g.binary("Mul", a, b);
        g.binary("Mul", &product, &two)
    };
    let (xx, yy, zz) = (twice(&q.x, &q.x), twice(&q.y, &q.y), twice(&q.z, &q.z));
    let (xy, xz, yz) = (twice(&q.x, &q.y), twice(&q.x, &q.z), twice(&q.y, &q.z));
    let (wx, wy, wz) = (twice(&q.w, &q.x), twice(&q.w, &q.y), twice(&q.w, &q.z));
    let mut diagonal = |a: &Value, b: &Value| {
        let rest = g.binary("Sub", &one, a);
        g.binary("Sub", &rest, b)
    };
    let (m00, m11, m22) = (diagonal(&yy, &zz), diagonal(&xx, &zz), diagonal(&xx, &yy));
    let (m01, m10) = (g.binary("Sub", &xy, &wz), g.binary("Add", &xy, &wz));
    let (m02, m20) = (g.binary("Add", &xz, &wy), g.binary("Sub", &xz, &wy));
    let (m12, m21) = (g.binary("Sub", &yz, &wx), g.binary("Add", &yz, &wx));
    [[&m00, &m01, &m02], [&m10, &m11, &m12], [&m20, &m21, &m22]].map(|row| g.concat(&row, 1))
}

/// Landmarks in the pixels of the frame: x and y, each `[q, landmarks]`.
fn project(g: &mut Builder, cameras: &Cameras, pose: &Pose, landmarks: &[f64]) -> [Value; 2] {
    let points = landmarks.len() / 3;
    let transposed: Vec<f64> = (0..3)
        .flat_map(|axis| landmarks.iter().skip(axis).step_by(3).copied())
        .collect();
    let landmarks = g.f64s(&[3, points], &transposed);
    let rows = matrix_rows(g, &pose.rotation);
    let mut along = |row: &Value, translation: &Value| {
        let rotated = g.binary("MatMul", row, &landmarks);
        g.binary("Add", &rotated, translation)
    };
    let [x, y, z] = [0, 1, 2].map(|axis| along(&rows[axis], &pose.translation[axis]));
    [(x, &cameras.centre[0]), (y, &cameras.centre[1])].map(|(coordinate, centre)| {
        let scaled = g.binary("Mul", &coordinate, &cameras.focal);
        let shift = g.binary("Mul", &z, centre);
        let sum = g.binary("Add", &scaled, &shift);
        g.binary("Div", &sum, &z)
    })
}

/// Left, top, right, bottom, each `[q, 1]` in whole pixels: the extent of the landmarks times the factors, more on
/// the side of the forehead, clipped to the frame on the sides that pass it.
fn bounding_box(
    g: &mut Builder,
    cameras: &Cameras,
    pose: &Pose,
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
    let roll = &pose.vector[2];
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
    let [width, height] = &cameras.size;
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
fn suppress(g: &mut Builder, sides: &[Value; 4], scores: &str, frames: &str, iou: f32, most: usize) -> Value {
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
