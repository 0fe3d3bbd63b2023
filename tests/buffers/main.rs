//! Buffers belong to others: every element passes on no more than downstream promises, reads and writes no byte that is not
//! the frame's, and refuses what a buffer says of itself when it is not true.

#[path = "../detect/support/mod.rs"]
#[allow(dead_code, unused_imports)] // Written for the tests of the detector.
mod detector;
#[path = "../faces/mod.rs"]
mod faces;

mod allocation;
mod frame;
mod hostile;
mod raw_bytes;

/// Registers the elements, once: doing it again takes the factories away from elements that are alive.
fn init() {
    static INIT: std::sync::Once = std::sync::Once::new();
    INIT.call_once(|| {
        faces::init();
        detector::init();
    });
}
