//! Random sequences of everything that can happen to the element, against a model of it.
//!
//! `IMG2POSE_RANDOM_CASES` says how many sequences (2000 unless set), `IMG2POSE_RANDOM_SEED` the number of the first.
//! A failure prints its number and the shortest sequence that still fails; set the seed to that number to see it
//! again. What depends on the timing of threads may need several tries.

#[path = "../alone/process.rs"]
#[allow(dead_code)] // Written for other tests, too.
mod process;
#[path = "../detect/support/mod.rs"]
#[allow(dead_code)] // Written for the other tests.
mod support;

mod downstream;
mod expect;
mod frames;
mod leaks;
mod make;
mod many;
mod operation;
mod rig;
mod streamer;
mod threads;
mod walk;
mod watchdog;

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

fn from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(value) => value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is '{value}', expected a number")),
        Err(_) => default,
    }
}

/// Runs the sequence of this number, and shortens it if it fails.
fn run_case(number: u64) {
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
    let result = TestRunner::new_with_rng(config, rng).run(&operation::sequence(), |sequence| {
        let _guarded = watchdog::guard(number, &sequence);
        rig::run(&sequence).map_err(TestCaseError::fail)
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
fn run_cases(numbers: std::ops::Range<u64>) {
    let next = AtomicU64::new(numbers.start);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let number = next.fetch_add(1, Ordering::Relaxed)
                    && number < numbers.end
                {
                    run_case(number);
                }
            });
        }
    });
}

#[test]
fn the_element_does_what_the_model_says() {
    support::init();
    let first = from_environment("IMG2POSE_RANDOM_SEED", 1);
    let cases = from_environment("IMG2POSE_RANDOM_CASES", 2000);
    let began = std::time::Instant::now();
    run_cases(first..first + cases);
    println!("{cases} sequences from {first} on in {:?}", began.elapsed());
}
