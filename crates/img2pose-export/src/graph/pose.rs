//! Pose regressions to faces: poses in the camera of the whole frame, boxes around the projected head, suppression.
//!
//! Done in f64, as the reference does it, because boxes are truncated to whole pixels.

use img2pose::contract::{
    BOXES, CLASS_SCORES, FRAMES, IMAGE_SIZE, POSE_REGRESSION, POSES, PROPOSAL_FRAMES, PROPOSALS, SCORES,
};
use img2pose_onnx::attribute::int;
use img2pose_onnx::data_type::{DOUBLE, FLOAT, INT64};
use img2pose_onnx::{Builder, Value};

use super::Network;
use super::boxes::{bounding_box, suppress};
use super::rotation::{
    Quaternion, from_rotation_vector, matrix_rows, multiply, shear_rotation, to_rotation_vector,
};

/// The cameras, f64: focal length and centre of the frame `[1]`, and of each region how its centre is off `[q, 1]`.
pub(super) struct Cameras {
    focal: Value,
    centre: [Value; 2],
    /// `(region's centre - frame's centre) / focal`.
    offset: [Value; 2],
    /// Width plus height of the region.
    extent: Value,
    /// Width and height of the frame.
    pub size: [Value; 2],
}

/// A pose in the camera of the whole frame.
pub(super) struct Pose {
    rotation: Quaternion,
    pub vector: [Value; 3],
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
            &cameras.size,
            &pose.vector[2],
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
    let two = g.i64(2);
    let [height, width] = [0, 1].map(|axis| {
        let axis = g.i64s(&[axis]);
        g.gather(IMAGE_SIZE, &axis, 0)
    });
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
