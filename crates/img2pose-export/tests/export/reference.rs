//! The stages after the convolutions, written out plainly and in another way than the graph: loops instead of
//! tensor operations, rotation matrices and an iterated polar factor instead of quaternions and a closed form.

use img2pose_export::contract::Contract;

pub type Box = [f32; 4];

/// One image's part of a tensor `[batch, channels, height, width]`.
#[derive(Clone, Copy)]
pub struct Map<'t> {
    pub values: &'t [f32],
    pub height: usize,
    pub width: usize,
}

impl Map<'_> {
    fn at(&self, channel: usize, y: usize, x: usize) -> f32 {
        self.values[(channel * self.height + y) * self.width + x]
    }
}

/// Proposals of one image with the level of each, best first. `levels` are objectness and deltas.
pub fn proposals(
    levels: &[(Map, Map)],
    padded: [usize; 2],
    unpadded: [usize; 2],
    contract: &Contract,
) -> Vec<(usize, Box)> {
    let numbers = &contract.proposals;
    let [height, width] = unpadded.map(|side| side as f32);
    let mut all: Vec<(f32, (usize, Box))> = Vec::new();
    for (level, (objectness, deltas)) in levels.iter().enumerate() {
        let stride_y = (padded[0] / objectness.height) as f32;
        let stride_x = (padded[1] / objectness.width) as f32;
        let mut anchors = Vec::new();
        for y in 0..objectness.height {
            for x in 0..objectness.width {
                for (a, ratio) in numbers.aspect_ratios.iter().enumerate() {
                    let (h, w) = (
                        ratio.sqrt() * numbers.anchor_sizes[level],
                        numbers.anchor_sizes[level] / ratio.sqrt(),
                    );
                    let (h, w) = (
                        (h / 2.0).round_ties_even() * 2.0,
                        (w / 2.0).round_ties_even() * 2.0,
                    );
                    let (cx, cy) = (x as f32 * stride_x, y as f32 * stride_y);
                    let delta = |k: usize| deltas.at(4 * a + k, y, x);
                    let clamp = (1000f32 / 16.0).ln();
                    let (cx, cy) = (cx + delta(0) * w, cy + delta(1) * h);
                    let (w, h) = (w * delta(2).min(clamp).exp(), h * delta(3).min(clamp).exp());
                    let clip = |value: f32, limit: f32| value.clamp(0.0, limit);
                    let corners = [
                        clip(cx - w / 2.0, width),
                        clip(cy - h / 2.0, height),
                        clip(cx + w / 2.0, width),
                        clip(cy + h / 2.0, height),
                    ];
                    anchors.push((objectness.at(a, y, x), corners));
                }
            }
        }
        anchors.sort_by(|a, b| b.0.total_cmp(&a.0));
        anchors.truncate(numbers.pre_nms_top_n);
        anchors.retain(|(_, b)| (b[2] - b[0]).min(b[3] - b[1]) >= numbers.min_box_side);
        let kept = suppress(anchors, numbers.nms_threshold, |anchor| anchor.1);
        all.extend(kept.into_iter().map(|(score, corners)| (score, (level, corners))));
    }
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all.truncate(numbers.post_nms_top_n);
    all.into_iter().map(|(_, proposal)| proposal).collect()
}

/// Keeps what overlaps nothing better; `items` fall in score.
pub fn suppress<T>(items: Vec<T>, threshold: f32, corners: impl Fn(&T) -> Box) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for item in items {
        if kept
            .iter()
            .all(|other| iou(corners(other), corners(&item)) <= threshold)
        {
            kept.push(item);
        }
    }
    kept
}

fn iou(a: Box, b: Box) -> f32 {
    let side = |axis: usize| (a[axis + 2].min(b[axis + 2]) - a[axis].max(b[axis])).max(0.0);
    let area = |b: Box| (b[2] - b[0]) * (b[3] - b[1]);
    let both = side(0) * side(1);
    if both == 0.0 {
        0.0
    } else {
        both / (area(a) + area(b) - both)
    }
}

/// Pools one channel of a region: 7 x 7 bins, the mean of 2 x 2 samples in each.
pub fn roi_align(features: &[Map; 4], region: Box, channel: usize, contract: &Contract) -> Vec<f32> {
    let roi = &contract.roi;
    let side = ((region[2] - region[0]) * (region[3] - region[1])).sqrt();
    let level = (roi.canonical_level as f32 + (side / roi.canonical_size).log2() + 1e-6)
        .floor()
        .clamp(2.0, 5.0) as usize;
    let (map, scale) = (&features[level - 2], 1.0 / (1 << level) as f32);
    let [x0, y0, x1, y1] = region.map(|side| side * scale);
    let (n, samples) = (roi.output_size, roi.sampling_ratio);
    let (bin_w, bin_h) = ((x1 - x0).max(1.0) / n as f32, (y1 - y0).max(1.0) / n as f32);
    let mut pooled = Vec::new();
    for by in 0..n {
        for bx in 0..n {
            let mut sum = 0.0;
            for sy in 0..samples {
                for sx in 0..samples {
                    let offset = |s: usize| (s as f32 + 0.5) / samples as f32;
                    let y = y0 + bin_h * (by as f32 + offset(sy));
                    let x = x0 + bin_w * (bx as f32 + offset(sx));
                    sum += bilinear(map, channel, y, x);
                }
            }
            pooled.push(sum / (samples * samples) as f32);
        }
    }
    pooled
}

fn bilinear(map: &Map, channel: usize, y: f32, x: f32) -> f32 {
    if y < -1.0 || y > map.height as f32 || x < -1.0 || x > map.width as f32 {
        return 0.0;
    }
    let (y, x) = (
        y.clamp(0.0, (map.height - 1) as f32),
        x.clamp(0.0, (map.width - 1) as f32),
    );
    let (top, left) = (y as usize, x as usize);
    let (bottom, right) = ((top + 1).min(map.height - 1), (left + 1).min(map.width - 1));
    let (fy, fx) = (y - top as f32, x - left as f32);
    (map.at(channel, top, left) * (1.0 - fx) + map.at(channel, top, right) * fx) * (1.0 - fy)
        + (map.at(channel, bottom, left) * (1.0 - fx) + map.at(channel, bottom, right) * fx) * fy
}

type Matrix = [[f64; 3]; 3];

/// Face box and pose of one region, from the pose head's output for it.
pub fn face(regression: &[f32], region: Box, unpadded: [usize; 2], contract: &Contract) -> (Box, [f64; 6]) {
    let pose: Vec<f64> = (0..6)
        .map(|i| f64::from(regression[i]) * contract.pose_stddev[i] + contract.pose_mean[i])
        .collect();
    let (height, width) = (unpadded[0] as f64, unpadded[1] as f64);
    let focal = height + width;
    let centre = [(width / 2.0).floor(), (height / 2.0).floor()];
    let [left, top, right, bottom] = region;
    let middle = [
        left + ((right - left) / 2.0).floor(),
        top + ((bottom - top) / 2.0).floor(),
    ]
    .map(|m| f64::from(m.floor()));
    let mut shear = identity();
    for axis in 0..2 {
        shear[axis][2] = (middle[axis] - centre[axis]) / focal;
    }
    let z = pose[5] * focal / f64::from((right - left) + (bottom - top));
    let translation = apply(&shear, [pose[3], pose[4], z]);
    let rotation = polar(multiply(&shear, &rodrigues([pose[0], pose[1], pose[2]])));
    let vector = rotation_vector(&rotation);

    let mut low = [f64::INFINITY; 2];
    let mut high = [f64::NEG_INFINITY; 2];
    for point in &contract.reference_points {
        let p = apply(&rotation, point.map(f64::from));
        for axis in 0..2 {
            let coordinate = focal * (p[axis] + translation[axis]) / (p[2] + translation[2]) + centre[axis];
            low[axis] = low[axis].min(coordinate);
            high[axis] = high[axis].max(coordinate);
        }
    }
    let extent = [high[0] - low[0], high[1] - low[1]];
    let mut corners = [0.0; 4];
    for axis in 0..2 {
        let size = (extent[axis] * 1.1).trunc();
        let middle = (low[axis] + high[axis]) / 2.0;
        corners[axis] = middle - size / 2.0;
        corners[axis + 2] = middle + size / 2.0;
    }
    let roll = vector[2];
    match roll {
        _ if roll.abs() > 2.5 => corners[3] += 0.3 * extent[1],
        _ if roll > 1.0 => corners[2] += 0.3 * extent[0],
        _ if roll < -1.0 => corners[0] -= 0.3 * extent[0],
        _ => corners[1] -= 0.3 * extent[1],
    }
    let corners = corners.map(f64::trunc);
    let corners = [
        corners[0].max(0.0),
        corners[1].max(0.0),
        corners[2].min(width),
        corners[3].min(height),
    ];
    let [rx, ry, rz] = vector;
    let [tx, ty, tz] = translation;
    (corners.map(|c| c as f32), [rx, ry, rz, tx, ty, tz])
}

fn identity() -> Matrix {
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
}

fn multiply(a: &Matrix, b: &Matrix) -> Matrix {
    let cell = |i: usize, j: usize| (0..3).map(|k| a[i][k] * b[k][j]).sum();
    [0, 1, 2].map(|i| [0, 1, 2].map(|j| cell(i, j)))
}

fn apply(m: &Matrix, v: [f64; 3]) -> [f64; 3] {
    [0, 1, 2].map(|i| (0..3).map(|k| m[i][k] * v[k]).sum())
}

/// Rodrigues' formula: `I + sin K + (1 - cos) K^2`.
fn rodrigues(v: [f64; 3]) -> Matrix {
    let angle = v.iter().map(|c| c * c).sum::<f64>().sqrt();
    let [x, y, z] = v.map(|c| c / angle.max(1e-12));
    let k = [[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]];
    let k2 = multiply(&k, &k);
    let cell = |i: usize, j: usize| identity()[i][j] + angle.sin() * k[i][j] + (1.0 - angle.cos()) * k2[i][j];
    [0, 1, 2].map(|i| [0, 1, 2].map(|j| cell(i, j)))
}

/// The nearest rotation, by Higham's iteration `X <- (X + X^-T) / 2`.
fn polar(mut m: Matrix) -> Matrix {
    for _ in 0..50 {
        let minor = |i: usize, j: usize| {
            let (a, b, c, d) = ((i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3);
            m[a][c] * m[b][d] - m[a][d] * m[b][c]
        };
        let determinant: f64 = (0..3).map(|j| m[0][j] * minor(0, j)).sum();
        let next = [0, 1, 2].map(|i| [0, 1, 2].map(|j| (m[i][j] + minor(i, j) / determinant) / 2.0));
        m = next;
    }
    m
}

fn rotation_vector(m: &Matrix) -> [f64; 3] {
    let axis = [m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1]];
    let sine = axis.iter().map(|c| c * c).sum::<f64>().sqrt() / 2.0;
    let cosine = (m[0][0] + m[1][1] + m[2][2] - 1.0) / 2.0;
    let angle = sine.atan2(cosine);
    axis.map(|c| {
        if sine > 1e-9 {
            c / (2.0 * sine) * angle
        } else {
            c / 2.0
        }
    })
}
