//! Pipeline tests of `img2posedetect`, one file for each behaviour.
//!
//! They need ONNX Runtime (`ORT_DYLIB_PATH`, see `scripts/setup.sh`) but no model: a small network with made-up weights
//! is generated. Its faces mean nothing, but they depend on every pixel, so a result that belongs to another
//! frame is found out.

mod support;

mod caps;
mod cuda;
mod device;
mod ends;
mod errors;
mod events;
mod faces;
mod flow;
mod flush;
mod following;
mod interval;
mod latency;
mod log;
mod memories;
mod pair;
mod passthrough;
mod pools;
mod preroll;
mod properties;
mod qos;
mod queries;
mod quiet;
mod shared;
mod statistics;
mod timeout;
mod two_elements;
mod views;
