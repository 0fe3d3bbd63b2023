//! The elements behind the detector, and the metadata between them, a folder for each.

#[path = "../detect/support/mod.rs"]
#[allow(dead_code, unused_imports)] // Written for the tests of the detector.
mod detector;
mod faces;

mod align;
#[cfg(feature = "v1_24")]
mod analytics;
mod buffers;
mod json;
mod meta;
mod overlay;
mod privacy;
mod track;
