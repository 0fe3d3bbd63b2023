//! Colours, areas, and sizes that follow the frame's.

use img2pose::frame::Orientation;

use super::settings::Settings;
use crate::meta::pixel_rect;

/// A colour as 0xAARRGGBB, alpha not multiplied in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color(pub u32);

/// Colours of tracks, one after the other: of like brightness, far apart from each other and from those of the axes.
const TRACK_COLORS: [u32; 10] = [
    0xffff_d633,
    0xff33_d6ff,
    0xffff_7f50,
    0xff9b_e564,
    0xffe0_7bff,
    0xff40_e0b0,
    0xffff_9ecb,
    0xffb8_a6ff,
    0xffd2_b48c,
    0xffe8_ff8a,
];

impl Color {
    /// The colour of the face with this id through time: the same in every frame, and another than that of the next ids.
    pub fn of_track(id: u64) -> Self {
        // Ids begin at 1.
        Self(TRACK_COLORS[(id.wrapping_sub(1) % TRACK_COLORS.len() as u64) as usize])
    }

    /// Blue, green, red, alpha: the order of the bytes in an overlay rectangle.
    fn bgra(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }

    /// The same with alpha multiplied in.
    pub fn premultiplied(self) -> [u8; 4] {
        let [b, g, r, a] = self.bgra();
        let times = |c: u8| ((u32::from(c) * u32::from(a) + 127) / 255) as u8;
        [times(b), times(g), times(r), a]
    }
}

/// A part of the frame in whole pixels, inside the frame and not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Left.
    pub x: u32,
    /// Top.
    pub y: u32,
    /// Width, at least 1.
    pub width: u32,
    /// Height, at least 1.
    pub height: u32,
}

impl Area {
    /// All of a frame of `width` x `height`.
    pub fn whole(width: u32, height: u32) -> Self {
        Self {
            x: 0,
            y: 0,
            width,
            height,
        }
    }

    /// The same area of a frame of `frame_width` x `frame_height` that is turned.
    pub fn turned(self, orientation: Orientation, frame_width: u32, frame_height: u32) -> Self {
        let sides = [self.x, self.y, self.x + self.width, self.y + self.height].map(|side| side as f32);
        // Whole numbers, exact in f32 as far as frames reach.
        let [x, y, right, bottom] = orientation
            .turn_box(sides, frame_width as f32, frame_height as f32)
            .map(|side| side as u32);
        Self {
            x,
            y,
            width: right - x,
            height: bottom - y,
        }
    }

    /// The smallest area that holds the box `x_min, y_min, x_max, y_max`, clipped to a frame of `frame_width` x
    /// `frame_height`; `None` if nothing is left.
    pub fn around(bbox: [f32; 4], frame_width: u32, frame_height: u32) -> Option<Self> {
        let [x, y, width, height] = pixel_rect(bbox, frame_width, frame_height);
        (width > 0 && height > 0).then_some(Self { x, y, width, height })
    }

    /// Whether the other lies inside.
    pub fn holds(self, other: Self) -> bool {
        let inside = |a: u32, a_length: u32, b: u32, b_length: u32| a <= b && b + b_length <= a + a_length;
        inside(self.x, self.width, other.x, other.width) && inside(self.y, self.height, other.y, other.height)
    }

    /// Whether the two have a pixel in common.
    pub fn overlaps(self, other: Self) -> bool {
        let meet = |a: u32, a_length: u32, b: u32, b_length: u32| a < b + b_length && b < a + a_length;
        meet(self.x, self.width, other.x, other.width) && meet(self.y, self.height, other.y, other.height)
    }

    /// The four sides of the area as areas of their own that do not overlap, `thickness` wide.
    pub fn sides(self, thickness: u32) -> impl Iterator<Item = Self> {
        let Self { x, y, width, height } = self;
        let top = thickness.min(height);
        let bottom = thickness.min(height - top);
        let left = thickness.min(width);
        let right = thickness.min(width - left);
        let between = height - top - bottom;
        [
            (x, y, width, top),
            (x, y + height - bottom, width, bottom),
            (x, y + top, left, between),
            (x + width - right, y + top, right, between),
        ]
        .into_iter()
        .filter(|(_, _, width, height)| *width > 0 && *height > 0)
        .map(|(x, y, width, height)| Self { x, y, width, height })
    }
}

/// Sizes in pixels for one frame size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Width of lines.
    pub thickness: u32,
    /// Height of a line of text.
    pub text_size: TextSize,
}

/// Height of a line of text in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextSize {
    /// As the user wants it.
    Set(u32),
    /// At most this, and less where a face is smaller.
    UpTo(u32),
}

/// Smaller text cannot be read.
const LEAST_TEXT: u32 = 8;
/// Width of a character of the font for a size of 1, and the space on both sides of a line of text; see [`Glyphs`] and
/// [`label`](super::label).
///
/// [`Glyphs`]: super::text::Glyphs
const CHARACTER: f32 = 0.602;
const PADDING: f32 = 1.0 / 3.0;

impl TextSize {
    /// The sizes to try for a text of `columns` characters at a face of `width` pixels, the best first: one at which the
    /// text is no wider than the face, in steps, so that it does not change with every frame; and the least.
    pub fn sizes(self, columns: u32, width: f32) -> impl Iterator<Item = u32> {
        let (best, least) = match self {
            Self::Set(size) => (size, size),
            Self::UpTo(most) => {
                let fits = (width / (columns as f32 * CHARACTER + PADDING)) as u32;
                let step = match fits {
                    0..16 => 2,
                    16..32 => 4,
                    _ => 8,
                };
                let best = if fits >= most { most } else { fits / step * step };
                (best.max(LEAST_TEXT), LEAST_TEXT)
            }
        };
        std::iter::once(best).chain((least < best).then_some(least))
    }
}

impl Style {
    /// For a frame of `width` x `height` pixels.
    pub fn new(settings: &Settings, width: u32, height: u32) -> Self {
        let short = width.min(height);
        let or_auto = |set: u32, auto: u32| if set > 0 { set } else { auto };
        Self {
            // A line of one pixel can miss every chroma sample of a subsampled format and lose its colour.
            thickness: or_auto(settings.thickness, ((short + 180) / 360).max(2)),
            text_size: match settings.text_size {
                0 => TextSize::UpTo((short / 40).max(12)),
                size => TextSize::Set(size),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors() {
        assert_eq!(Color(0xff11_2233).premultiplied(), [0x33, 0x22, 0x11, 0xff]);
        assert_eq!(Color(0x80ff_0000).premultiplied(), [0, 0, 0x80, 0x80]);
        assert_eq!(Color(0x00ff_ffff).premultiplied(), [0; 4]);
    }

    #[test]
    fn tracks_have_colours_of_their_own_which_come_round() {
        let colors: Vec<u32> = (1..=10).map(|id| Color::of_track(id).0).collect();
        for (index, color) in colors.iter().enumerate() {
            assert!(!colors[..index].contains(color), "{color:x}");
            assert_eq!(color >> 24, 0xff);
        }
        assert_eq!(Color::of_track(11), Color::of_track(1));
        let _ = [Color::of_track(0), Color::of_track(u64::MAX)];
    }

    #[test]
    fn areas_are_clipped() {
        let area = |b| Area::around(b, 100, 50).map(|a| (a.x, a.y, a.width, a.height));
        assert_eq!(area([10.2, 5.0, 20.1, 7.5]), Some((10, 5, 11, 3)));
        assert_eq!(area([-5.0, -5.0, 500.0, 500.0]), Some((0, 0, 100, 50)));
        assert_eq!(area([10.0, 5.0, 10.0, 20.0]), None);
        assert_eq!(area([120.0, 5.0, 130.0, 20.0]), None);
        assert_eq!(area([20.0, 5.0, 10.0, 20.0]), None);
        assert_eq!(area([f32::NAN, 0.0, f32::NAN, 1.0]), None);
    }

    #[test]
    fn sides_cover_the_border_once() {
        for (width, height, thickness) in [(7, 5, 2), (3, 9, 2), (1, 1, 2), (4, 4, 2), (8, 8, 1)] {
            let area = Area {
                x: 3,
                y: 2,
                width,
                height,
            };
            let mut hits = vec![0; (width * height) as usize];
            for side in area.sides(thickness) {
                for y in side.y..side.y + side.height {
                    for x in side.x..side.x + side.width {
                        hits[((y - 2) * width + x - 3) as usize] += 1;
                    }
                }
            }
            for y in 0..height {
                for x in 0..width {
                    let border = x.min(y).min(width - 1 - x).min(height - 1 - y) < thickness;
                    assert_eq!(
                        hits[(y * width + x) as usize],
                        i32::from(border),
                        "{width}x{height} {x} {y}"
                    );
                }
            }
        }
    }

    #[test]
    fn sizes_follow_the_frame() {
        let auto = Settings::default();
        assert_eq!(
            Style::new(&auto, 1280, 720),
            Style {
                thickness: 2,
                text_size: TextSize::UpTo(18)
            }
        );
        assert_eq!(
            Style::new(&auto, 2160, 3840),
            Style {
                thickness: 6,
                text_size: TextSize::UpTo(54)
            }
        );
        assert_eq!(
            Style::new(&auto, 160, 120),
            Style {
                thickness: 2,
                text_size: TextSize::UpTo(12)
            }
        );
        let set = Settings {
            thickness: 1,
            text_size: 9,
            ..auto
        };
        assert_eq!(
            Style::new(&set, 1280, 720),
            Style {
                thickness: 1,
                text_size: TextSize::Set(9)
            }
        );
    }

    #[test]
    fn text_is_no_wider_than_its_face() {
        let sizes = |size: TextSize, columns, width| size.sizes(columns, width).collect::<Vec<_>>();
        let auto = TextSize::UpTo(18);
        // As large as in a frame with one face.
        assert_eq!(sizes(auto, 4, 200.0), [18, 8]);
        assert_eq!(sizes(auto, 4, 30.0), [10, 8]);
        assert_eq!(sizes(auto, 10, 100.0), [14, 8]);
        // Never too small to be read, whatever the face.
        for width in [14.0, 0.0, -3.0, f32::NAN] {
            assert_eq!(sizes(auto, 4, width), [8], "{width}");
        }
        assert_eq!(sizes(TextSize::Set(30), 4, 14.0), [30]);
    }

    #[test]
    fn areas_overlap_where_they_share_a_pixel() {
        let area = |x, y, width, height| Area { x, y, width, height };
        assert!(area(0, 0, 10, 10).overlaps(area(9, 9, 5, 5)));
        assert!(area(4, 4, 1, 1).overlaps(area(0, 0, 10, 10)));
        assert!(!area(0, 0, 10, 10).overlaps(area(10, 0, 5, 5)));
        assert!(!area(0, 0, 10, 10).overlaps(area(0, 10, 5, 5)));
    }
}
