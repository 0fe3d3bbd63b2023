//! Detectors whose network runs at a server.

mod faults;
mod same_faces;
mod starts;
mod support;
