//! Which sighting is which face.

use pathfinding::kuhn_munkres::{Weights, kuhn_munkres};

/// A face and a sighting that may be the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    pub track: usize,
    pub sighting: usize,
    /// How little they agree; 0 is best.
    pub cost: f64,
}

/// Costs as whole numbers, which the assignment computes in.
const STEPS: f64 = 1e6;

/// What leaving a face and a sighting alone costs: candidates that agree less are no match, and two matches go before one that agrees
/// better where they cost no more than this in addition. Found by `scripts/compare-trackers.sh`: with more, faces that are seen exchange
/// their ids with those that are hidden behind them; with less, those that move quickly lose theirs.
pub const ALONE: f64 = 25.0;

/// Chooses among candidates so that each face and each sighting is matched once at most, and costs, with those of being left alone, are
/// least in sum.
#[derive(Debug, Default)]
pub struct Assignment {
    /// Group of each face and of each sighting: those that compete, directly or through others.
    groups: Vec<usize>,
    rows: Vec<usize>,
    columns: Vec<usize>,
    gains: Vec<i64>,
}

impl Assignment {
    /// Calls `matched` with the face and the sighting of each pair. Candidates have costs of 0 to [`ALONE`].
    ///
    /// Allocates only where faces compete for sightings.
    pub fn solve(
        &mut self,
        candidates: &[Candidate],
        tracks: usize,
        sightings: usize,
        mut matched: impl FnMut(usize, usize),
    ) {
        self.group(candidates, tracks, sightings);
        for (index, candidate) in candidates.iter().enumerate() {
            let group = self.groups[candidate.track];
            let of_group = |other: &&Candidate| self.groups[other.track] == group;
            // Each group once, with its first candidate.
            if candidates[..index]
                .iter()
                .any(|other| self.groups[other.track] == group)
            {
                continue;
            }
            if candidates.iter().filter(of_group).count() == 1 {
                matched(candidate.track, candidate.sighting);
            } else {
                self.solve_group(candidates, group, &mut matched);
            }
        }
    }

    /// Finds out who competes.
    fn group(&mut self, candidates: &[Candidate], tracks: usize, sightings: usize) {
        self.groups.clear();
        self.groups.extend(0..tracks + sightings);
        // The numbers of groups only fall, so this ends; it takes few rounds.
        let mut changed = true;
        while changed {
            changed = false;
            for candidate in candidates {
                let (a, b) = (candidate.track, tracks + candidate.sighting);
                let least = self.groups[a].min(self.groups[b]);
                changed |= self.groups[a] != least || self.groups[b] != least;
                self.groups[a] = least;
                self.groups[b] = least;
            }
        }
    }

    fn solve_group(
        &mut self,
        candidates: &[Candidate],
        group: usize,
        matched: &mut impl FnMut(usize, usize),
    ) {
        self.rows.clear();
        self.columns.clear();
        for candidate in candidates {
            if self.groups[candidate.track] == group {
                if !self.rows.contains(&candidate.track) {
                    self.rows.push(candidate.track);
                }
                if !self.columns.contains(&candidate.sighting) {
                    self.columns.push(candidate.sighting);
                }
            }
        }
        let place = |of: &[usize], what| of.iter().position(|other| *other == what);
        // A column of its own for each row: it may stay alone.
        let width = self.columns.len() + self.rows.len();
        self.gains.clear();
        self.gains.resize(self.rows.len() * width, 0);
        for candidate in candidates {
            let (row, column) = (
                place(&self.rows, candidate.track),
                place(&self.columns, candidate.sighting),
            );
            if let (Some(row), Some(column)) = (row, column) {
                self.gains[row * width + column] = gain(candidate);
            }
        }
        let gains = Gains {
            width,
            gains: &self.gains,
            sign: 1,
        };
        let (_, assigned) = kuhn_munkres(&gains);
        for (row, column) in assigned.into_iter().enumerate() {
            if self.gains[row * width + column] > 0
                && let Some(&sighting) = self.columns.get(column)
            {
                matched(self.rows[row], sighting);
            }
        }
    }
}

/// What is gained by matching, in place of leaving both alone.
fn gain(candidate: &Candidate) -> i64 {
    ((ALONE - candidate.cost) * STEPS) as i64
}

/// A matrix of gains, row by row, with at least as many columns as rows.
struct Gains<'g> {
    width: usize,
    gains: &'g [i64],
    sign: i64,
}

impl Weights<i64> for Gains<'_> {
    fn rows(&self) -> usize {
        self.gains.len() / self.width
    }

    fn columns(&self) -> usize {
        self.width
    }

    fn at(&self, row: usize, column: usize) -> i64 {
        self.sign * self.gains[row * self.width + column]
    }

    fn neg(&self) -> Self {
        Self {
            sign: -self.sign,
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn solve(candidates: &[Candidate], tracks: usize, sightings: usize) -> Vec<(usize, usize)> {
        let mut pairs = Vec::new();
        Assignment::default().solve(candidates, tracks, sightings, |track, sighting| {
            pairs.push((track, sighting));
        });
        pairs.sort_unstable();
        pairs
    }

    fn candidate(track: usize, sighting: usize, cost: f64) -> Candidate {
        Candidate {
            track,
            sighting,
            cost,
        }
    }

    #[test]
    fn the_sum_counts_and_not_the_first() {
        let candidates = [
            candidate(0, 0, 0.1),
            candidate(0, 1, 0.2),
            candidate(1, 0, 0.15),
            candidate(1, 1, 5.0),
        ];
        assert_eq!(solve(&candidates, 2, 2), [(0, 1), (1, 0)]);
    }

    #[test]
    fn two_matches_go_before_a_better_one_within_reason() {
        let both = |cost| [candidate(0, 0, 0.0), candidate(0, 1, cost), candidate(1, 0, cost)];
        assert_eq!(solve(&both(12.0), 2, 2), [(0, 1), (1, 0)]);
        assert_eq!(solve(&both(13.0), 2, 2), [(0, 0)]);
    }

    #[test]
    fn who_is_no_candidate_stays_alone() {
        assert_eq!(solve(&[], 2, 2), []);
        let candidates = [candidate(0, 0, 1.0), candidate(1, 0, 2.0), candidate(2, 0, 3.0)];
        assert_eq!(solve(&candidates, 4, 1), [(0, 0)]);
    }

    /// What the best matching gains, by trying all.
    fn best(candidates: &[Candidate], tracks: usize, used: u32) -> i64 {
        let Some(track) = tracks.checked_sub(1) else {
            return 0;
        };
        let mut best = self::best(candidates, track, used);
        for other in candidates.iter().filter(|other| other.track == track) {
            if used & (1 << other.sighting) == 0 {
                best = best.max(gain(other) + self::best(candidates, track, used | (1 << other.sighting)));
            }
        }
        best
    }

    proptest! {
        #[test]
        fn no_matching_is_better(
            costs in prop::collection::vec(prop::option::of(0.0f64..ALONE), 20),
            tracks in 1usize..5,
            sightings in 1usize..6,
        ) {
            let mut candidates = Vec::new();
            for track in 0..tracks {
                for sighting in 0..sightings {
                    if let Some(Some(cost)) = costs.get(track * sightings + sighting) {
                        candidates.push(candidate(track, sighting, *cost));
                    }
                }
            }
            let pairs = solve(&candidates, tracks, sightings);
            let gained: i64 = pairs
                .iter()
                .map(|pair| {
                    let found = candidates.iter().find(|other| (other.track, other.sighting) == *pair);
                    gain(found.unwrap())
                })
                .sum();
            let mut seen: Vec<usize> = pairs.iter().map(|(_, sighting)| *sighting).collect();
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len(), pairs.len());
            prop_assert_eq!(gained, best(&candidates, tracks, 0));
        }
    }
}
