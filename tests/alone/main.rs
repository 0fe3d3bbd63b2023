//! Tests that measure the process or the time: each in a process of its own, and one after the other.

#[path = "../detect/support/mod.rs"]
#[allow(dead_code)] // Written for the other tests.
mod support;

mod cycles;
mod idle;
mod live;
mod memory;
mod process;

use process::alone;
