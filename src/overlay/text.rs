//! Text: the characters of ASCII as coverage, made once for a size.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};

/// DejaVu Sans Mono Bold, reduced to ASCII; see `font/LICENSE`.
static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!("font/DejaVuSansMono-Bold-ascii.ttf"))
        .expect("the font in the binary is valid")
});

const FIRST: char = ' ';
const LAST: char = '~';

/// The characters in one size.
pub struct Glyphs {
    /// Height of a line in pixels.
    pub size: u32,
    /// Width of every character in pixels.
    pub advance: u32,
    glyphs: Vec<Glyph>,
}

/// One character: where its pixels lie in its cell, and how far the ink covers each, 0 to 255.
#[derive(Default)]
struct Glyph {
    x: i32,
    y: i32,
    width: usize,
    coverage: Vec<u8>,
}

impl Glyphs {
    /// For lines of `size` pixels height.
    pub fn new(size: u32) -> Self {
        let scale = PxScale::from(size as f32);
        let font = FONT.as_scaled(scale);
        let glyphs = (FIRST..=LAST)
            .map(|character| {
                let glyph = FONT
                    .glyph_id(character)
                    .with_scale_and_position(scale, point(0.0, font.ascent()));
                let Some(outline) = FONT.outline_glyph(glyph) else {
                    return Glyph::default(); // A space.
                };
                let bounds = outline.px_bounds();
                let (width, height) = (bounds.width() as usize, bounds.height() as usize);
                let mut coverage = vec![0; width * height];
                outline.draw(|x, y, share| {
                    coverage[y as usize * width + x as usize] = (share.clamp(0.0, 1.0) * 255.0).round() as u8;
                });
                Glyph {
                    x: bounds.min.x as i32,
                    y: bounds.min.y as i32,
                    width,
                    coverage,
                }
            })
            .collect();
        Self {
            size,
            advance: font.h_advance(FONT.glyph_id('0')).ceil().max(1.0) as u32,
            glyphs,
        }
    }

    /// Calls `ink(x, y, coverage)` for the pixels of a line whose cell begins at `left`, `top`. Other characters
    /// than those of ASCII are left out.
    pub fn draw(&self, line: &str, left: i32, top: i32, mut ink: impl FnMut(i32, i32, u8)) {
        let mut left = left;
        for character in line.chars() {
            let index = (character as usize).wrapping_sub(FIRST as usize);
            if let Some(glyph) = self.glyphs.get(index).filter(|glyph| glyph.width > 0) {
                for (row, pixels) in glyph.coverage.chunks_exact(glyph.width).enumerate() {
                    for (column, coverage) in pixels.iter().enumerate().filter(|(_, c)| **c > 0) {
                        ink(
                            left + glyph.x + column as i32,
                            top + glyph.y + row as i32,
                            *coverage,
                        );
                    }
                }
            }
            left += self.advance as i32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The box of the ink, and the sum of its coverage in pixels.
    fn ink(glyphs: &Glyphs, line: &str) -> ([i32; 4], f32) {
        let (mut bounds, mut sum) = ([i32::MAX, i32::MAX, i32::MIN, i32::MIN], 0.0);
        glyphs.draw(line, 100, 50, |x, y, coverage| {
            bounds = [
                bounds[0].min(x),
                bounds[1].min(y),
                bounds[2].max(x),
                bounds[3].max(y),
            ];
            sum += f32::from(coverage) / 255.0;
        });
        (bounds, sum)
    }

    #[test]
    fn ink_stays_in_its_cells() {
        for size in [9, 12, 18, 54] {
            let glyphs = Glyphs::new(size);
            for character in FIRST..=LAST {
                let ([left, top, right, bottom], sum) = ink(&glyphs, &character.to_string());
                if character == ' ' {
                    assert_eq!(sum, 0.0);
                    continue;
                }
                assert!(sum > 0.5, "{character} has no ink at size {size}");
                let advance = glyphs.advance as i32;
                assert!(
                    left >= 99 && right <= 100 + advance,
                    "{character} {size}: {left} {right}"
                );
                assert!(
                    top >= 49 && bottom <= 50 + size as i32,
                    "{character} {size}: {top} {bottom}"
                );
            }
        }
    }

    #[test]
    fn characters_differ_and_follow_each_other() {
        let glyphs = Glyphs::new(20);
        assert!(ink(&glyphs, "8").1 > ink(&glyphs, "1").1);
        let ([left, ..], one) = ink(&glyphs, " -");
        assert!(left >= 100 + glyphs.advance as i32);
        assert!((ink(&glyphs, "--").1 - 2.0 * one).abs() < 1e-3);
        assert_eq!(ink(&glyphs, "\u{e9}").1, 0.0);
    }
}
