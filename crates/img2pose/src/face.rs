//! What the detector finds.

/// One face.
#[derive(Clone, Debug, PartialEq)]
pub struct Face {
    /// `x_min, y_min, x_max, y_max` in pixels of the frame, clipped to it.
    pub bbox: [f32; 4],
    /// Probability that this is a face, 0 to 1.
    pub confidence: f32,
    /// `rx, ry, rz` (rotation vector, radians) and `tx, ty, tz` (translation, head units) in the camera of the
    /// whole frame: focal length width + height, principal point in the middle of the frame; where pixels are not square,
    /// that of [`Camera::with_pixels`](crate::pose::Camera::with_pixels). It is the pose in the frame as its pixels lie, also when
    /// the frame has to be turned ([`View`](crate::frame::View)).
    pub pose: [f32; 6],
    /// Left eye, right eye, nose, left and right mouth corner: `x, y` in pixels of the frame; outside it where
    /// the face is cut.
    pub keypoints: [[f32; 2]; 5],
    /// How sure the rotation is, in degrees above 0 to 180: in two of three cases (0.683) it is off by no more, as was counted on
    /// faces that the model was not trained on. `None`: the model does not say.
    pub sigma: Option<f32>,
}
