//! Tests that need a process of their own.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Set to the name of the test in the process that runs it.
const INSIDE: &str = "IMG2POSE_ALONE";

/// Runs the test of this name in a process of its own, which comes here again and then runs `body`.
///
/// # Panics
/// If it fails there, with what it has printed.
pub fn alone(name: &str, body: impl FnOnce()) {
    alone_with(name, &[], body);
}

/// The same with environment variables.
pub fn alone_with(name: &str, variables: &[(&str, &str)], body: impl FnOnce()) {
    static ONE_AFTER_THE_OTHER: Mutex<()> = Mutex::new(());
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let _turn = ONE_AFTER_THE_OTHER.lock().unwrap_or_else(PoisonError::into_inner);
    let output = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(INSIDE, name)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let text = format!("{out}{err}");
    assert!(output.status.success(), "{text}");
    assert!(out.contains("1 passed"), "no test is called {name}: {text}");
    print!("{out}");
}
