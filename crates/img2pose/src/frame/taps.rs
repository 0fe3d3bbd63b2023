//! Which two source samples each output sample lies between, and how near it is to the second.

/// Bilinear sampling positions along one axis, as in PyTorch's
/// `interpolate(mode="bilinear", align_corners=False, recompute_scale_factor=True)`: half-pixel centres, no antialias.
pub(super) struct Taps {
    /// Index of the sample at or before the position.
    pub(super) first: Vec<u32>,
    /// Index of the sample after it; the same one at the far edge and where its weight is 0.
    pub(super) second: Vec<u32>,
    /// Weight of the second sample, 0 to 1; the first has the rest.
    pub(super) weight: Vec<f32>,
}

/// Where the samples of a region lie along one axis, in source samples; both numbers are positive or `start` is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    /// The edge of the first one.
    pub(super) start: f64,
    /// From one to the next.
    pub(super) step: f64,
}

impl Axis {
    /// The source samples on both sides of sample `index`, and the weight of the second.
    fn sample(&self, source: u32, index: usize) -> (u32, u32, f32) {
        let last = source - 1;
        let position = self.start + self.step * (index as f64 + 0.5) - 0.5;
        let position = position.clamp(0.0, f64::from(last));
        let first = (position as u32).min(last);
        let weight = (position - f64::from(first)) as f32;
        let second = if weight > 0.0 {
            (first + 1).min(last)
        } else {
            first
        };
        (first, second, weight)
    }
}

impl Taps {
    /// Positions of `output` samples over `source` samples, each at least 1. The last position is repeated until
    /// there is a multiple of `multiple` of them.
    pub(super) fn new(source: u32, output: u32, multiple: usize) -> Self {
        let ratio = source as f32 / output as f32;
        let len = (output as usize).next_multiple_of(multiple);
        let mut taps = Self {
            first: Vec::with_capacity(len),
            second: Vec::with_capacity(len),
            weight: Vec::with_capacity(len),
        };
        for index in 0..len {
            let index = index.min(output as usize - 1) as f32;
            // Both roundings as in PyTorch: far from the origin a fused multiply-add, or f64, moves the position by more
            // than the results may differ.
            let position = (ratio * (index + 0.5) - 0.5).max(0.0);
            let first = (position as u32).min(source - 1);
            let weight = (position - first as f32).clamp(0.0, 1.0);
            taps.first.push(first);
            taps.second.push(if weight > 0.0 {
                (first + 1).min(source - 1)
            } else {
                first
            });
            taps.weight.push(weight);
        }
        taps
    }

    /// Moves the positions in place: `output` of them, `step` source samples apart from `start` on, which is the edge of
    /// the first; their number stays, and the last is repeated. Where the source ends, so do they.
    pub(super) fn aim(&mut self, source: u32, axis: &Axis, output: usize) {
        let len = self.first.len();
        self.clear();
        for index in 0..len {
            let (first, second, weight) = axis.sample(source, index.min(output - 1));
            self.push(first, second, weight);
        }
    }

    /// As [`aim`](Self::aim) followed by [`seen_from_the_end`](Self::seen_from_the_end).
    pub(super) fn aim_from_the_end(&mut self, source: u32, axis: &Axis, output: usize) {
        self.aim(source, axis, output);
        for index in self.first.iter_mut().chain(&mut self.second) {
            *index = source - 1 - *index;
        }
    }

    /// As [`aim`](Self::aim), in the order of [`reversed`](Self::reversed).
    pub(super) fn aim_reversed(&mut self, source: u32, axis: &Axis, output: usize) {
        let (len, last) = (self.first.len(), output - 1);
        self.clear();
        for index in 0..len {
            let (first, second, weight) = axis.sample(source, last - index.min(last));
            let weight = if first == second { 0.0 } else { 1.0 - weight };
            self.push(source - 1 - second, source - 1 - first, weight);
        }
    }

    fn clear(&mut self) {
        self.first.clear();
        self.second.clear();
        self.weight.clear();
    }

    fn push(&mut self, first: u32, second: u32, weight: f32) {
        self.first.push(first);
        self.second.push(second);
        self.weight.push(weight);
    }

    /// The positions of [`new`](Self::new), each seen from the far end of the source; for a source that runs the other way.
    pub(super) fn seen_from_the_end(mut self, source: u32) -> Self {
        for index in self.first.iter_mut().chain(&mut self.second) {
            *index = source - 1 - *index;
        }
        self
    }

    /// The positions of [`new`](Self::new) for a source that runs the other way, in the order of that source: the last
    /// output sample comes first.
    pub(super) fn reversed(source: u32, output: u32, multiple: usize) -> Self {
        let forward = Self::new(source, output, 1).seen_from_the_end(source);
        let len = (output as usize).next_multiple_of(multiple);
        let last = output as usize - 1;
        let places = (0..len).map(|index| last - index.min(last));
        Self {
            first: places.clone().map(|place| forward.second[place]).collect(),
            second: places.clone().map(|place| forward.first[place]).collect(),
            weight: places
                .map(|place| match forward.first[place] == forward.second[place] {
                    true => 0.0,
                    false => 1.0 - forward.weight[place],
                })
                .collect(),
        }
    }
}
