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

mod cases;
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

use cases::{from_environment, run_cases};
use rig::Setup;

#[test]
fn the_element_does_what_the_model_says() {
    support::init();
    let first = from_environment("IMG2POSE_RANDOM_SEED", 1);
    let cases = from_environment("IMG2POSE_RANDOM_CASES", 2000);
    let began = std::time::Instant::now();
    let setup = Setup::here();
    run_cases(first..first + cases, |sequence| rig::run(sequence, &setup));
    println!("{cases} sequences from {first} on in {:?}", began.elapsed());
}
