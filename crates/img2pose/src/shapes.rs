//! Which shapes the network is given.
//!
//! A GPU tunes or compiles its kernels for every new shape, which takes from tens of milliseconds to minutes. There the
//! runs keep to a few shapes that are all seen at the start, and what is missing is filled with blanks whose results are
//! thrown away. A processor takes any shape, and is given no more work than there is.

/// The pose head always runs on a multiple of this many regions: a product with few rows may take another kernel
/// than the same row among many, and its last bits would depend on how many faces a frame has.
const POSE_ROWS: usize = 8;

/// How the shapes of the runs are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shapes {
    /// As large as the work is.
    Free,
    /// Few.
    Few,
}

impl Shapes {
    /// Frames in the run of the dense part for `frames` frames in a batch that can hold `capacity`.
    pub fn frames(self, frames: usize, capacity: usize) -> usize {
        match self {
            Self::Free => frames,
            Self::Few => capacity,
        }
    }

    /// Rows in the run of the class head for `proposals` proposals, of which a frame has at most `most`.
    pub fn class_rows(self, proposals: usize, most: usize) -> usize {
        match self {
            Self::Free => proposals,
            Self::Few => most.max(proposals),
        }
    }

    /// Rows in the run of the pose head for `wanted` regions, of which a frame has at most `most`.
    pub fn pose_rows(self, wanted: usize, most: usize) -> usize {
        let rows = wanted.next_multiple_of(POSE_ROWS);
        match self {
            Self::Free => rows,
            Self::Few => rows
                .next_power_of_two()
                .min(most.next_multiple_of(POSE_ROWS))
                .max(rows),
        }
    }

    /// Every number of rows that [`pose_rows`](Self::pose_rows) can give, when those are few.
    pub fn all_pose_rows(self, most: usize) -> Vec<usize> {
        let mut rows: Vec<usize> = match self {
            Self::Free => Vec::new(),
            Self::Few => (1..=most).map(|wanted| self.pose_rows(wanted, most)).collect(),
        };
        rows.dedup();
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_does_no_more_than_it_must() {
        let shapes = Shapes::Free;
        assert_eq!(shapes.frames(3, 8), 3);
        assert_eq!(shapes.class_rows(613, 1000), 613);
        assert_eq!(
            [1, 8, 9, 1000].map(|n| shapes.pose_rows(n, 1000)),
            [8, 8, 16, 1000]
        );
        assert!(shapes.all_pose_rows(1000).is_empty());
    }

    #[test]
    fn a_gpu_sees_few_shapes_each_large_enough() {
        let shapes = Shapes::Few;
        assert_eq!((1..=8).map(|n| shapes.frames(n, 8)).collect::<Vec<_>>(), [8; 8]);
        assert_eq!(shapes.class_rows(613, 1000), 1000);
        assert_eq!(shapes.all_pose_rows(1000), [8, 16, 32, 64, 128, 256, 512, 1000]);
        for wanted in 1..=1000 {
            let rows = shapes.pose_rows(wanted, 1000);
            assert!(rows >= wanted && rows <= 1000 && rows % POSE_ROWS == 0);
        }
        // A contract may ask for a number that is no multiple.
        assert_eq!(shapes.all_pose_rows(12), [8, 16]);
    }
}
