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
