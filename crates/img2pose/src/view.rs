//! How the pixels of a frame are meant to be seen: their shape, and how the picture is to be turned.

/// Width of a pixel over its height, as a fraction in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PixelAspectRatio {
    width: u32,
    height: u32,
}

impl PixelAspectRatio {
    /// Pixels as wide as they are high.
    pub const SQUARE: Self = Self { width: 1, height: 1 };

    /// `width` to `height`; `None` if one of them is 0.
    #[must_use]
    pub fn new(width: u32, height: u32) -> Option<Self> {
        let divisor = greatest_common_divisor(width, height);
        (width > 0 && height > 0).then(|| Self {
            width: width / divisor,
            height: height / divisor,
        })
    }

    /// The quotient; 1 for square pixels.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from(self.width) / f64::from(self.height)
    }

    /// The same pixel, lying on its side.
    pub(crate) fn on_its_side(self) -> Self {
        Self {
            width: self.height,
            height: self.width,
        }
    }
}

impl Default for PixelAspectRatio {
    fn default() -> Self {
        Self::SQUARE
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

/// How the pixels of a frame have to be turned to show the picture upright: what EXIF, MP4 and GStreamer's
/// `image-orientation` tag say.
///
/// The names are those of `GstVideoOrientationMethod`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Orientation {
    /// Not at all.
    #[default]
    Identity,
    /// By 90 degrees clockwise.
    Clockwise,
    /// By 180 degrees.
    HalfTurn,
    /// By 90 degrees counter-clockwise.
    CounterClockwise,
    /// Left and right change places.
    MirrorHorizontal,
    /// Top and bottom change places.
    MirrorVertical,
    /// Mirrored at the diagonal from the upper left to the lower right corner: rows become columns.
    MirrorMainDiagonal,
    /// Mirrored at the diagonal from the upper right to the lower left corner.
    MirrorAntiDiagonal,
}

impl Orientation {
    /// All of them, in the order of `GstVideoOrientationMethod`.
    pub const ALL: [Self; 8] = [
        Self::Identity,
        Self::Clockwise,
        Self::HalfTurn,
        Self::CounterClockwise,
        Self::MirrorHorizontal,
        Self::MirrorVertical,
        Self::MirrorMainDiagonal,
        Self::MirrorAntiDiagonal,
    ];

    /// The name that GStreamer gives it in pipelines, such as `90r`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Clockwise => "90r",
            Self::HalfTurn => "180",
            Self::CounterClockwise => "90l",
            Self::MirrorHorizontal => "horiz",
            Self::MirrorVertical => "vert",
            Self::MirrorMainDiagonal => "ul-lr",
            Self::MirrorAntiDiagonal => "ur-ll",
        }
    }

    /// The orientation of that [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|orientation| orientation.name() == name)
    }

    /// Whether rows of the frame are columns of the upright picture.
    #[must_use]
    pub fn swaps_sides(self) -> bool {
        matches!(
            self,
            Self::Clockwise | Self::CounterClockwise | Self::MirrorMainDiagonal | Self::MirrorAntiDiagonal
        )
    }

    /// Whether the columns of the frame are read from the last to the first.
    pub(crate) fn reverses_columns(self) -> bool {
        matches!(
            self,
            Self::HalfTurn | Self::CounterClockwise | Self::MirrorHorizontal | Self::MirrorAntiDiagonal
        )
    }

    /// Whether the rows of the frame are read from the last to the first.
    pub(crate) fn reverses_rows(self) -> bool {
        matches!(
            self,
            Self::HalfTurn | Self::Clockwise | Self::MirrorVertical | Self::MirrorAntiDiagonal
        )
    }

    /// Whether the pixels of the frame show the picture mirrored, which no turning sets right.
    #[must_use]
    pub fn is_mirrored(self) -> bool {
        self.swaps_sides() ^ self.reverses_columns() ^ self.reverses_rows()
    }

    /// What brings the upright picture back to the pixels of the frame.
    #[must_use]
    pub fn inverse(self) -> Self {
        match self {
            Self::Clockwise => Self::CounterClockwise,
            Self::CounterClockwise => Self::Clockwise,
            other => other,
        }
    }

    /// Where a point of a picture of `width` x `height` lies in the turned one. Coordinates are distances from the upper
    /// left corner.
    #[must_use]
    pub fn turn_point(self, [x, y]: [f32; 2], width: f32, height: f32) -> [f32; 2] {
        let x = if self.reverses_columns() { width - x } else { x };
        let y = if self.reverses_rows() { height - y } else { y };
        if self.swaps_sides() { [y, x] } else { [x, y] }
    }

    /// A box `x_min, y_min, x_max, y_max` of a picture of `width` x `height`, in the turned one.
    #[must_use]
    pub fn turn_box(self, [x_min, y_min, x_max, y_max]: [f32; 4], width: f32, height: f32) -> [f32; 4] {
        let [ax, ay] = self.turn_point([x_min, y_min], width, height);
        let [bx, by] = self.turn_point([x_max, y_max], width, height);
        [ax.min(bx), ay.min(by), ax.max(bx), ay.max(by)]
    }
}

/// How a frame is meant to be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct View {
    /// The shape of its pixels.
    pub pixel_aspect_ratio: PixelAspectRatio,
    /// How it is to be turned.
    pub orientation: Orientation,
}

impl View {
    /// Square pixels, upright.
    pub const PLAIN: Self = Self {
        pixel_aspect_ratio: PixelAspectRatio::SQUARE,
        orientation: Orientation::Identity,
    };
}

/// Width and height in pixels as large as the shorter side of a pixel.
pub(crate) fn in_square_pixels(width: u32, height: u32, ratio: PixelAspectRatio) -> [f64; 2] {
    let (width, height, ratio) = (f64::from(width), f64::from(height), ratio.value());
    match ratio >= 1.0 {
        true => [width * ratio, height],
        false => [width, height / ratio],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_in_lowest_terms() {
        assert_eq!(PixelAspectRatio::new(32, 30), PixelAspectRatio::new(16, 15));
        assert_eq!(PixelAspectRatio::new(7, 7), Some(PixelAspectRatio::SQUARE));
        assert_eq!(PixelAspectRatio::new(0, 1), None);
        assert_eq!(PixelAspectRatio::new(1, 0), None);
        assert_eq!(
            PixelAspectRatio::new(u32::MAX, 1).unwrap().value(),
            f64::from(u32::MAX)
        );
    }

    /// The corners of a picture of 4 x 2, numbered clockwise from the upper left one, where each orientation shows them:
    /// again clockwise from the upper left, as the documentation of `GstVideoOrientationMethod` and EXIF have it.
    #[test]
    fn corners_go_where_the_names_say() {
        let corners = [[0.0, 0.0], [4.0, 0.0], [4.0, 2.0], [0.0, 2.0]];
        let expected = [
            [0, 1, 2, 3],
            [3, 0, 1, 2],
            [2, 3, 0, 1],
            [1, 2, 3, 0],
            [1, 0, 3, 2],
            [3, 2, 1, 0],
            [0, 3, 2, 1],
            [2, 1, 0, 3],
        ];
        for (orientation, expected) in Orientation::ALL.into_iter().zip(expected) {
            let (width, height) = match orientation.swaps_sides() {
                true => (2.0, 4.0),
                false => (4.0, 2.0),
            };
            let turned = [[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]];
            for (place, corner) in turned.into_iter().zip(expected) {
                let found = orientation.turn_point(corners[corner], 4.0, 2.0);
                assert_eq!(found, place, "{orientation:?}, corner {corner}");
                let back = orientation.inverse().turn_point(found, width, height);
                assert_eq!(back, corners[corner], "{orientation:?}");
            }
            let mirrored = matches!(
                orientation,
                Orientation::MirrorHorizontal
                    | Orientation::MirrorVertical
                    | Orientation::MirrorMainDiagonal
                    | Orientation::MirrorAntiDiagonal
            );
            assert_eq!(orientation.is_mirrored(), mirrored);
        }
    }

    #[test]
    fn boxes_stay_boxes() {
        for orientation in Orientation::ALL {
            let [x_min, y_min, x_max, y_max] = orientation.turn_box([1.0, 0.5, 3.0, 2.0], 4.0, 2.0);
            assert!(x_min < x_max && y_min < y_max, "{orientation:?}");
        }
        let turned = Orientation::Clockwise.turn_box([1.0, 0.5, 3.0, 2.0], 4.0, 2.0);
        assert_eq!(turned, [0.0, 1.0, 1.5, 3.0]);
    }
}
