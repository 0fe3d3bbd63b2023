//! Where the system refuses threads, that is an error, and no wait without end.
//!
//! The test starts itself again under a limit of the address space, in which that many stacks have no room.

use std::process::Command;

use img2pose::{Detector, DetectorOptions, Error, ExecutionProvider};
use test_support::shipped_model;

/// Set in the process that is under the limit.
const VARIABLE: &str = "IMG2POSE_TEST_UNDER_LIMIT";
/// Address space in KiB.
const LIMIT: &str = "2500000";
/// Their stacks take 3.2 GB.
const THREADS: usize = 400;
const NAME: &str = "a_system_that_refuses_threads_is_an_error";

#[test]
fn a_system_that_refuses_threads_is_an_error() {
    if std::env::var_os(VARIABLE).is_some() {
        return under_the_limit();
    }
    let output = Command::new("sh")
        .args(["-c", &format!("ulimit -v {LIMIT} && exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args([NAME, "--exact", "--nocapture"])
        .env(VARIABLE, "1")
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("lived on"),
        "{}\n{text}",
        output.status
    );
}

fn under_the_limit() {
    let open = |threads| {
        let options = DetectorOptions::default()
            .with_min_size(64)
            .with_num_threads(threads)
            .with_execution_provider(ExecutionProvider::Cpu);
        Detector::open(&shipped_model(), options)
    };
    let error = open(THREADS).expect_err("there is no room for them");
    assert!(matches!(error, Error::Threads { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains(&format!("refuses {THREADS} threads")) && text.contains("num-threads"),
        "{text}"
    );
    // With fewer it starts.
    open(1).unwrap();
    println!("lived on");
}
