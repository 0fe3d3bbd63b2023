//! From RPN outputs to proposals: anchors, decoding, suppression.

use super::Kept;
use crate::contract::{PROPOSAL_LEVELS, ProposalContract};
use crate::error::{Error, reserve};
use crate::frame::NetworkSize;

/// Upper bound of the predicted log-size, ln(1000/16): no box grows past it (torchvision's `BoxCoder`).
const LOG_SIZE_CLAMP: f32 = 4.135_166_6;

/// How many candidates are sorted at a time. Most frames have their proposals after two such portions.
const PORTION: usize = 2048;

/// RPN output of one frame at one level.
#[derive(Clone, Copy)]
pub(crate) struct LevelOutput<'a> {
    /// Height and width of the level.
    pub height: usize,
    pub width: usize,
    /// Logits, `[3, height, width]`.
    pub objectness: &'a [f32],
    /// Box deltas, `[12, height, width]`: `dx, dy, dw, dh` for each aspect ratio.
    pub deltas: &'a [f32],
}

/// Makes proposals; holds the working memory between frames.
pub(crate) struct ProposalMaker {
    contract: ProposalContract,
    /// `x_min, y_min, x_max, y_max` around the origin, per level and aspect ratio.
    base_anchors: [[[f32; 4]; 3]; PROPOSAL_LEVELS],
    level_candidates: Vec<Candidate>,
    candidates: Vec<Candidate>,
    kept: [Kept; PROPOSAL_LEVELS],
}

/// An anchor and its score, packed so that integer order is: score falling, then level, then index rising.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate(u64);

impl Candidate {
    const LEVEL_SHIFT: u32 = 29;

    fn new(score: f32, level: usize, index: usize) -> Self {
        debug_assert!(index < 1 << Self::LEVEL_SHIFT);
        // Flips the bits so that unsigned order is descending float order.
        let bits = score.to_bits();
        let ascending = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
        Self(u64::from(!ascending) << 32 | (level as u64) << Self::LEVEL_SHIFT | index as u64)
    }

    fn level(self) -> usize {
        ((self.0 as u32) >> Self::LEVEL_SHIFT) as usize
    }

    fn index(self) -> usize {
        (self.0 as u32 & ((1 << Self::LEVEL_SHIFT) - 1)) as usize
    }
}

impl ProposalMaker {
    pub fn new(contract: ProposalContract) -> Self {
        let anchors = |size: f32| {
            contract.aspect_ratios.map(|ratio| {
                let height_ratio = ratio.sqrt();
                let (width, height) = (1.0 / height_ratio * size, height_ratio * size);
                // torch rounds halves to even.
                [-width, -height, width, height].map(|side| (side / 2.0).round_ties_even())
            })
        };
        Self {
            base_anchors: contract.anchor_sizes.map(anchors),
            contract,
            level_candidates: Vec::new(),
            candidates: Vec::new(),
            kept: Default::default(),
        }
    }

    /// Appends the proposals of one frame, at most `most`, to `proposals`, best first, as `x_min, y_min, x_max, y_max` in pixels
    /// of the resized frame.
    ///
    /// Same result as torchvision's `RegionProposalNetwork.filter_proposals`: because suppression never crosses
    /// levels, walking all levels together in the order of the scores and stopping at the wanted number keeps
    /// the same boxes as suppressing each level to its end and taking the best.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    pub fn propose(
        &mut self,
        levels: &[LevelOutput<'_>; PROPOSAL_LEVELS],
        size: &NetworkSize,
        most: usize,
        proposals: &mut Vec<[f32; 4]>,
    ) -> Result<(), Error> {
        self.collect(levels)?;
        for kept in &mut self.kept {
            kept.clear();
        }
        let strides = levels.map(|level| {
            let stride = |padded: u32, cells: usize| (padded as usize / cells.max(1)) as f32;
            [
                stride(size.padded_width, level.width),
                stride(size.padded_height, level.height),
            ]
        });
        let (width, height) = (size.width as f32, size.height as f32);

        let mut found = 0;
        let mut rest = &mut self.candidates[..];
        while !rest.is_empty() {
            let portion = rest.len().min(PORTION);
            if portion < rest.len() {
                rest.select_nth_unstable(portion);
            }
            let (now, later) = rest.split_at_mut(portion);
            now.sort_unstable();
            for candidate in now {
                let level = candidate.level();
                let anchors = &self.base_anchors[level];
                let decoded = decode(&levels[level], anchors, strides[level], candidate.index());
                let clipped = [
                    decoded[0].clamp(0.0, width),
                    decoded[1].clamp(0.0, height),
                    decoded[2].clamp(0.0, width),
                    decoded[3].clamp(0.0, height),
                ];
                let least = self.contract.min_box_side;
                let big_enough = clipped[2] - clipped[0] >= least && clipped[3] - clipped[1] >= least;
                if big_enough && self.kept[level].keep(clipped, self.contract.nms_threshold) {
                    proposals.push(clipped);
                    found += 1;
                    if found >= most {
                        return Ok(());
                    }
                }
            }
            rest = later;
        }
        Ok(())
    }

    /// The best anchors of every level.
    fn collect(&mut self, levels: &[LevelOutput<'_>; PROPOSAL_LEVELS]) -> Result<(), Error> {
        self.candidates.clear();
        for (level, output) in levels.iter().enumerate() {
            let cells = output.height * output.width;
            let all = &mut self.level_candidates;
            all.clear();
            reserve(all, output.objectness.len(), "the scores of a frame's anchors")?;
            for (ratio, logits) in output.objectness.chunks_exact(cells.max(1)).enumerate() {
                all.extend(logits.iter().enumerate().map(|(cell, &score)| {
                    // The reference flattens to [height, width, ratio].
                    Candidate::new(score, level, cell * 3 + ratio)
                }));
            }
            if all.len() > self.contract.pre_nms_top_n {
                all.select_nth_unstable(self.contract.pre_nms_top_n);
                all.truncate(self.contract.pre_nms_top_n);
            }
            self.candidates.extend_from_slice(all);
        }
        Ok(())
    }
}

/// Applies the deltas of anchor `index` (torchvision `BoxCoder.decode_single`, weights 1).
fn decode(level: &LevelOutput<'_>, anchors: &[[f32; 4]; 3], stride: [f32; 2], index: usize) -> [f32; 4] {
    let (cell, ratio) = (index / 3, index % 3);
    let cells = level.height * level.width;
    let shift = [
        (cell % level.width) as f32 * stride[0],
        (cell / level.width) as f32 * stride[1],
    ];
    let base = anchors[ratio];
    let anchor = [
        shift[0] + base[0],
        shift[1] + base[1],
        shift[0] + base[2],
        shift[1] + base[3],
    ];
    let delta = |k: usize| level.deltas[(ratio * 4 + k) * cells + cell];

    let (width, height) = (anchor[2] - anchor[0], anchor[3] - anchor[1]);
    let center = [anchor[0] + 0.5 * width, anchor[1] + 0.5 * height];
    let x = delta(0) * width + center[0];
    let y = delta(1) * height + center[1];
    let half_width = 0.5 * (delta(2).min(LOG_SIZE_CLAMP).exp() * width);
    let half_height = 0.5 * (delta(3).min(LOG_SIZE_CLAMP).exp() * height);
    [x - half_width, y - half_height, x + half_width, y + half_height]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Contract;

    fn reference() -> ProposalContract {
        Contract::reference("test", [0.0; 6], [1.0; 6]).proposals
    }

    #[test]
    fn candidates_order_by_score_then_level_then_index() {
        let mut scores = [
            Candidate::new(-1.0, 0, 0),
            Candidate::new(3.5, 4, 1),
            Candidate::new(0.0, 0, 7),
            Candidate::new(3.5, 1, 900_000),
            Candidate::new(3.5, 1, 2),
            Candidate::new(-0.5, 2, 2),
        ];
        scores.sort_unstable();
        let order: Vec<_> = scores.iter().map(|c| (c.level(), c.index())).collect();
        assert_eq!(order, [(1, 2), (1, 900_000), (4, 1), (0, 7), (2, 2), (0, 0)]);
    }

    #[test]
    fn base_anchors_are_rounded_to_even() {
        let maker = ProposalMaker::new(reference());
        assert_eq!(maker.base_anchors[0][0], [-11.0, -6.0, 11.0, 6.0]);
        assert_eq!(maker.base_anchors[0][1], [-8.0, -8.0, 8.0, 8.0]);
        assert_eq!(maker.base_anchors[4][2], [-91.0, -181.0, 91.0, 181.0]);
    }

    /// The reference's procedure, level by level to the end, without shortcuts.
    fn by_the_book(
        levels: &[LevelOutput<'_>; PROPOSAL_LEVELS],
        size: &NetworkSize,
        maker: &ProposalMaker,
    ) -> Vec<[f32; 4]> {
        let contract = &maker.contract;
        let mut all: Vec<(Candidate, [f32; 4])> = Vec::new();
        for (number, level) in levels.iter().enumerate() {
            let cells = level.height * level.width;
            let mut order: Vec<Candidate> = (0..cells * 3)
                .map(|i| Candidate::new(level.objectness[i % 3 * cells + i / 3], number, i))
                .collect();
            order.sort();
            order.truncate(contract.pre_nms_top_n);
            let stride = [
                (size.padded_width as usize / level.width) as f32,
                (size.padded_height as usize / level.height) as f32,
            ];
            let mut kept: Vec<[f32; 4]> = Vec::new();
            for candidate in order {
                let b = decode(level, &maker.base_anchors[number], stride, candidate.index());
                let (w, h) = (size.width as f32, size.height as f32);
                let b = [
                    b[0].clamp(0.0, w),
                    b[1].clamp(0.0, h),
                    b[2].clamp(0.0, w),
                    b[3].clamp(0.0, h),
                ];
                if b[2] - b[0] < contract.min_box_side || b[3] - b[1] < contract.min_box_side {
                    continue;
                }
                let area = |b: &[f32; 4]| (b[2] - b[0]) * (b[3] - b[1]);
                let overlaps = |k: &[f32; 4]| {
                    let w = (k[2].min(b[2]) - k[0].max(b[0])).max(0.0);
                    let h = (k[3].min(b[3]) - k[1].max(b[1])).max(0.0);
                    w * h / (area(k) + area(&b) - w * h) > contract.nms_threshold
                };
                if !kept.iter().any(overlaps) {
                    kept.push(b);
                    all.push((candidate, b));
                }
            }
        }
        all.sort_by_key(|(candidate, _)| *candidate);
        all.truncate(contract.post_nms_top_n);
        all.into_iter().map(|(_, b)| b).collect()
    }

    #[test]
    fn equals_the_procedure_without_shortcuts() {
        // Small limits, so that both the limit before and the one after suppression are reached.
        let contract = ProposalContract {
            pre_nms_top_n: 900,
            post_nms_top_n: 150,
            ..reference()
        };
        let mut maker = ProposalMaker::new(contract);
        let size = NetworkSize::new(300, 200, 200, 1400, 32);
        let mut state = 12345_u32;
        let mut random = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32
        };
        for round in 0..20 {
            let mut shapes = [(0, 0); PROPOSAL_LEVELS];
            for (level, shape) in shapes.iter_mut().enumerate() {
                *shape = (
                    size.padded_height.div_ceil(4 << level),
                    size.padded_width.div_ceil(4 << level),
                );
            }
            let data: Vec<(Vec<f32>, Vec<f32>)> = shapes
                .iter()
                .map(|(h, w)| {
                    let cells = (h * w) as usize;
                    // Few distinct scores: ties must be broken by the one documented order.
                    let objectness = (0..3 * cells).map(|_| (random() * 50.0).floor() - 25.0).collect();
                    let deltas =
                        (0..12 * cells).map(|_| (random() - 0.5) * if round == 0 { 20.0 } else { 2.0 });
                    (objectness, deltas.collect())
                })
                .collect();
            let levels: [LevelOutput<'_>; PROPOSAL_LEVELS] = std::array::from_fn(|i| LevelOutput {
                height: shapes[i].0 as usize,
                width: shapes[i].1 as usize,
                objectness: &data[i].0,
                deltas: &data[i].1,
            });
            let mut found = Vec::new();
            let most = maker.contract.post_nms_top_n;
            maker.propose(&levels, &size, most, &mut found).unwrap();
            assert_eq!(found, by_the_book(&levels, &size, &maker));
            assert!(!found.is_empty());
        }
    }

    #[test]
    fn golden_proposals() {
        let Some(golden) = test_support::golden("golden_proposals") else {
            return;
        };
        for (name, min_size) in test_support::STAGED {
            let result = test_support::read_result(&golden, name, min_size);
            let image = test_support::read_png(&golden.join(&result.image));
            let size = NetworkSize::new(image.width, image.height, min_size, 1400, 32);
            assert_eq!([size.height, size.width], result.net_image_size_hw);
            let mut tensors = test_support::open_tensors(&golden, name, min_size);
            let data: Vec<_> = (0..PROPOSAL_LEVELS)
                .map(|level| {
                    let objectness = test_support::read_tensor(&mut tensors, &format!("objectness_l{level}"));
                    let deltas = test_support::read_tensor(&mut tensors, &format!("deltas_l{level}"));
                    (objectness, deltas)
                })
                .collect();
            let levels: [LevelOutput<'_>; PROPOSAL_LEVELS] = std::array::from_fn(|level| LevelOutput {
                height: data[level].0.shape()[1],
                width: data[level].0.shape()[2],
                objectness: data[level].0.as_slice().unwrap(),
                deltas: data[level].1.as_slice().unwrap(),
            });
            let mut found = Vec::new();
            ProposalMaker::new(reference())
                .propose(&levels, &size, reference().post_nms_top_n, &mut found)
                .unwrap();
            let expected = test_support::read_tensor(&mut tensors, "proposals");
            assert_eq!(found.len(), expected.shape()[0]);
            let near = |a: &[f32; 4], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 2e-3);
            let unmatched = expected
                .rows()
                .into_iter()
                .filter(|row| !found.iter().any(|b| near(b, row.as_slice().unwrap())))
                .count();
            assert!(
                unmatched == 0,
                "{name} at {min_size}: {unmatched} of the reference's proposals are missing"
            );
        }
    }
}
