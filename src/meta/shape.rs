//! The shape of a frame, and when a picture fills another one.

use super::FrameFaces;

/// How far, in pixels, an ROI may lie from where scaling alone would put it.
///
/// `videoscale` cuts the fractions of x, y, width and height off, each on its own. Behind several scalers it is more, see
/// [`Trace`](super::trace::Trace).
pub const TOLERANCE: f64 = 2.0;

/// Size of a frame, and width over height of its pixels.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Width over height of a pixel.
    pub pixel_aspect_ratio: (i32, i32),
}

impl Shape {
    pub fn of_frame(frame: &FrameFaces) -> Self {
        let par = frame.pixel_aspect_ratio;
        Self {
            width: frame.frame_width,
            height: frame.frame_height,
            pixel_aspect_ratio: (par.numer(), par.denom()),
        }
    }

    pub fn of_info(info: &gst_video::VideoInfo) -> Self {
        Self {
            width: info.width(),
            height: info.height(),
            pixel_aspect_ratio: (info.par().numer(), info.par().denom()),
        }
    }

    /// Width over height of the picture as it is shown.
    fn ratio(self) -> f64 {
        let (numerator, denominator) = self.pixel_aspect_ratio;
        f64::from(self.width) / f64::from(self.height) * f64::from(numerator) / f64::from(denominator)
    }

    /// Whether the picture, shown in the same shape, fills the frame `now`.
    ///
    /// If it does not, a scaler has either stretched it or added borders, and does not say which.
    pub fn is_like(self, now: Self) -> bool {
        let (was, is) = (self.ratio(), now.ratio());
        let border_beside = f64::from(now.width) * (1.0 - was / is).abs();
        let border_above = f64::from(now.height) * (1.0 - is / was).abs();
        border_beside.min(border_above) <= TOLERANCE
    }
}
