//! How many frames upstream brings before it waits for one of them to leave.
//!
//! An application that pushes a frame and waits for its faces brings 1, a source with a pool of 6 buffers that decodes
//! into two of them brings 4. To wait for more is in vain each time, so it is done once and from then on only now and
//! then, to see whether it is still so. A wrong guess costs a batch that could have been larger, never a frame.
//!
//! Events in, decisions out; no clock and no threads.

/// Batches that run without a wait after one that has waited in vain. Few, because a source may have paused for once.
const FIRST_PERIOD: u32 = 2;
/// The same when every test so far has been in vain.
const LONGEST_PERIOD: u32 = 128;

/// What is known of upstream's portions.
#[derive(Clone, Debug, Default)]
pub struct Portion {
    /// Frames after which nothing comes before one of them has left; `None`: there is no such number.
    frames: Option<usize>,
    /// Batches that are to run without a wait, until the next one waits again; and how many there were to be.
    trusted: u32,
    period: u32,
    /// Whether a batch was not made to wait, and nothing has left since.
    unproven: bool,
}

impl Portion {
    /// Asks whether a batch of `frames` frames need not wait for more. Counts it, if so.
    pub fn is_whole(&mut self, frames: usize) -> bool {
        match self.frames {
            Some(portion) if frames > portion => {
                // More have come than was thought.
                *self = Self::default();
                false
            }
            Some(portion) if frames == portion && self.trusted > 0 => {
                self.trusted -= 1;
                self.unproven = true;
                true
            }
            _ => false,
        }
    }

    /// Takes note that something has come.
    pub fn arrived(&mut self) {
        if self.unproven {
            // Upstream did not wait for anything to leave.
            *self = Self::default();
        }
    }

    /// Takes note that something has left.
    pub fn left(&mut self) {
        self.unproven = false;
    }

    /// Takes note that a batch of `frames` frames has waited for more in vain, and that nothing has come since.
    pub fn waited_in_vain(&mut self, frames: usize) {
        self.period = match self.frames {
            Some(portion) if portion == frames => (self.period * 2).min(LONGEST_PERIOD),
            _ => FIRST_PERIOD,
        };
        self.frames = Some(frames);
        self.trusted = self.period;
    }

    /// Takes note that a batch has filled up, so that there is no need to know.
    pub fn filled(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a source brings that waits for `frames` frames: how many of `batches` batches had to wait.
    fn waits(portion: &mut Portion, frames: usize, batches: usize) -> usize {
        let mut waits = 0;
        for _ in 0..batches {
            let whole = (1..=frames)
                .map(|count| {
                    portion.arrived();
                    portion.is_whole(count)
                })
                .next_back();
            if whole != Some(true) {
                waits += 1;
                portion.waited_in_vain(frames);
            }
            portion.left();
        }
        waits
    }

    #[test]
    fn a_source_that_waits_is_made_to_wait_once_and_then_seldom() {
        for frames in [1, 4] {
            let mut portion = Portion::default();
            assert_eq!(waits(&mut portion, frames, 3), 1);
            // Number 4, 9, 18, 35, 68 and 133 wait, to see whether it is still so, and then every 129th.
            assert_eq!(waits(&mut portion, frames, 130), 6);
            assert_eq!(waits(&mut portion, frames, 10 * 129), 10);
        }
    }

    #[test]
    fn a_source_that_goes_on_before_anything_leaves_does_not_wait() {
        let mut portion = Portion::default();
        portion.waited_in_vain(2);
        portion.left();
        assert!(!portion.is_whole(1));
        assert!(portion.is_whole(2));
        portion.arrived();
        assert!(!portion.is_whole(2));
    }

    #[test]
    fn a_test_that_brings_more_ends_it() {
        let mut portion = Portion::default();
        assert_eq!(waits(&mut portion, 2, 3), 1);
        // Nothing is taken for granted now, and a third frame comes.
        portion.arrived();
        assert!(!portion.is_whole(1));
        portion.arrived();
        assert!(!portion.is_whole(2));
        portion.arrived();
        assert!(!portion.is_whole(3));
        portion.left();
        assert!(!portion.is_whole(2));
    }

    #[test]
    fn a_smaller_portion_is_learned_anew() {
        let mut portion = Portion::default();
        assert_eq!(waits(&mut portion, 4, 5), 2);
        assert_eq!(waits(&mut portion, 3, 3), 1);
    }

    #[test]
    fn a_full_batch_ends_it() {
        let mut portion = Portion::default();
        portion.waited_in_vain(1);
        portion.filled();
        assert!(!portion.is_whole(1));
    }
}
