//! Runs random sequences by their numbers.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::operation::{Sequence, sequence};
use crate::watchdog;

/// A number from the environment.
pub fn from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(value) => value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is '{value}', expected a number")),
        Err(_) => default,
    }
}

/// Runs the sequence of this number, and shortens it if it fails.
fn run_case(number: u64, run: impl Fn(&Sequence) -> Result<(), String>) {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    let config = Config {
        cases: 1,
        failure_persistence: None,
        max_shrink_iters: 300,
        max_shrink_time: 60_000,
        ..Default::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let result = TestRunner::new_with_rng(config, rng).run(&sequence(), |sequence| {
        let _guarded = watchdog::guard(number, &sequence);
        run(&sequence).map_err(TestCaseError::fail)
    });
    let again = format!("IMG2POSE_RANDOM_SEED={number} IMG2POSE_RANDOM_CASES=1");
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, sequence)) => {
            panic!("sequence {number} ({again}): {reason}\nshortest that fails: {sequence}")
        }
        Err(other) => panic!("sequence {number} ({again}): {other}"),
    }
}

/// Runs sequences in several threads: each of them waits much of its time.
pub fn run_cases(numbers: Range<u64>, run: impl Fn(&Sequence) -> Result<(), String> + Sync) {
    let next = AtomicU64::new(numbers.start);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let number = next.fetch_add(1, Ordering::Relaxed)
                    && number < numbers.end
                {
                    run_case(number, &run);
                }
            });
        }
    });
}
