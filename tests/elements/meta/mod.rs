//! The faces on a buffer: how they are laid out, and what they survive.

mod layout;
mod survival;
