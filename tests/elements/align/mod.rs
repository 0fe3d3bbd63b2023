//! `img2posealign`: which crops it makes, of which pixels, and what happens to the stream around them.

mod support;

mod changes;
mod crops;
mod events;
mod formats;
mod golden;
mod negotiation;
mod properties;
mod tracks;
