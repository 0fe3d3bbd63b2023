//! Sizes that follow the frame's.

use super::settings::Settings;

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
}
