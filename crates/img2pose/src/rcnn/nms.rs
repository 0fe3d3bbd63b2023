//! Non-maximum suppression over a structure of arrays.

use multiversion::multiversion;

/// The boxes kept so far, in the order in which they were kept.
///
/// Intersection over union is computed in f32 in the order of torchvision's `nms`, so that boxes at the very
/// threshold fall on the same side.
#[derive(Default)]
pub(crate) struct Kept {
    x_min: Vec<f32>,
    y_min: Vec<f32>,
    x_max: Vec<f32>,
    y_max: Vec<f32>,
    area: Vec<f32>,
}

impl Kept {
    pub fn clear(&mut self) {
        for values in [
            &mut self.x_min,
            &mut self.y_min,
            &mut self.x_max,
            &mut self.y_max,
            &mut self.area,
        ] {
            values.clear();
        }
    }

    /// Whether the intersection of `candidate` with a kept box is more than the share `threshold` of the smaller of the two.
    pub fn covers(&self, candidate: [f32; 4], threshold: f32) -> bool {
        let [x_min, y_min, x_max, y_max] = candidate;
        let area = (x_max - x_min) * (y_max - y_min);
        (0..self.area.len()).any(|i| {
            let width = (self.x_max[i].min(x_max) - self.x_min[i].max(x_min)).max(0.0);
            let height = (self.y_max[i].min(y_max) - self.y_min[i].max(y_min)).max(0.0);
            width * height > threshold * area.min(self.area[i])
        })
    }

    /// Keeps `candidate` (`x_min, y_min, x_max, y_max`) unless a kept box overlaps it by more than `threshold`.
    pub fn keep(&mut self, candidate: [f32; 4], threshold: f32) -> bool {
        let [x_min, y_min, x_max, y_max] = candidate;
        let area = (x_max - x_min) * (y_max - y_min);
        if suppressed(
            &self.x_min,
            &self.y_min,
            &self.x_max,
            &self.y_max,
            &self.area,
            candidate,
            area,
            threshold,
        ) {
            return false;
        }
        self.x_min.push(x_min);
        self.y_min.push(y_min);
        self.x_max.push(x_max);
        self.y_max.push(y_max);
        self.area.push(area);
        true
    }
}

/// Whether any kept box overlaps the candidate; blocks of 16 keep the inner loop free of branches.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2", "aarch64+neon"))]
#[allow(clippy::too_many_arguments)]
fn suppressed(
    x_min: &[f32],
    y_min: &[f32],
    x_max: &[f32],
    y_max: &[f32],
    areas: &[f32],
    candidate: [f32; 4],
    area: f32,
    threshold: f32,
) -> bool {
    const BLOCK: usize = 16;
    let overlaps = |i: usize| {
        let width = (x_max[i].min(candidate[2]) - x_min[i].max(candidate[0])).max(0.0);
        let height = (y_max[i].min(candidate[3]) - y_min[i].max(candidate[1])).max(0.0);
        let intersection = width * height;
        intersection / (areas[i] + area - intersection) > threshold
    };
    let whole = areas.len() - areas.len() % BLOCK;
    for start in (0..whole).step_by(BLOCK) {
        let mut any = false;
        let (x_min, y_min) = (&x_min[start..start + BLOCK], &y_min[start..start + BLOCK]);
        let (x_max, y_max) = (&x_max[start..start + BLOCK], &y_max[start..start + BLOCK]);
        let areas = &areas[start..start + BLOCK];
        for i in 0..BLOCK {
            let width = (x_max[i].min(candidate[2]) - x_min[i].max(candidate[0])).max(0.0);
            let height = (y_max[i].min(candidate[3]) - y_min[i].max(candidate[1])).max(0.0);
            let intersection = width * height;
            any |= intersection / (areas[i] + area - intersection) > threshold;
        }
        if any {
            return true;
        }
    }
    (whole..areas.len()).any(overlaps)
}
