//! `img2poseoverlay`: what it draws, in which formats, how it negotiates, and what it leaves alone.

mod support;

mod blending;
mod blur;
mod changes;
mod drawings;
mod edges;
mod formats;
mod labels;
mod negotiation;
mod properties;
mod untouched;
