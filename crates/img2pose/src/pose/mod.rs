//! The geometry of a head's pose.

mod euler;

pub use euler::yaw_pitch_roll;
