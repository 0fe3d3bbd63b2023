//! Lines with round ends and joins, and discs, with soft edges.
//!
//! A pixel's share of a shape follows from the distance of its middle to the line, so that a line and the wider one that it
//! lies on take one pass. A library for paths of any kind took six times as long for a large face: most of its time.

use super::color::Color;
use super::pixels::{PIXEL, over};

/// A point in pixels from the left upper corner of the area that is drawn into.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// To the right.
    pub x: f32,
    /// Down.
    pub y: f32,
}

/// Steps of depth in a pixel.
const STEPS: f32 = 128.0;

/// Shapes that are drawn together: where they lie over each other they are one.
#[derive(Default)]
pub struct Shapes {
    /// For each pixel, how far inside the nearest shape its middle lies, in steps; half a pixel outside is 0.
    depths: Vec<u8>,
    width: usize,
}

impl Shapes {
    /// Begins anew in an area of `width` x `height` pixels.
    pub fn clear(&mut self, width: u32, height: u32) {
        self.width = width as usize;
        self.depths.clear();
        self.depths.resize(width as usize * height as usize, 0);
    }

    /// Adds a line with round ends, or a disc where it starts and ends at one point. Nothing is added if a coordinate is
    /// not finite.
    pub fn add_line(&mut self, from: Point, to: Point, radius: f32) {
        let (dx, dy) = (to.x - from.x, to.y - from.y);
        let length_squared = dx * dx + dy * dy;
        if !(length_squared + from.x + from.y).is_finite() || self.width == 0 {
            return;
        }
        let inverse = if length_squared > 0.0 {
            length_squared.recip()
        } else {
            0.0
        };
        let reach = radius + 0.5;
        // A float that is negative or too large saturates in the cast.
        let rows = self.depths.len() / self.width;
        let first = (from.y.min(to.y) - reach) as usize;
        let last = ((from.y.max(to.y) + reach + 1.0) as usize).min(rows);
        for y in first..last {
            let middle = y as f32 + 0.5;
            // What of the line is near enough to the row to be seen in it, as shares of its length.
            let (near, far) = match ((middle - reach - from.y) / dy, (middle + reach - from.y) / dy) {
                (a, b) if dy != 0.0 => (a.min(b).clamp(0.0, 1.0), a.max(b).clamp(0.0, 1.0)),
                _ => (0.0, 1.0),
            };
            let (left, right) = (from.x + dx * near, from.x + dx * far);
            let end = ((left.max(right) + reach + 1.0) as usize).min(self.width);
            let start = ((left.min(right) - reach) as usize).min(end);
            let row = &mut self.depths[y * self.width..][start..end];
            for (x, depth) in row.iter_mut().enumerate() {
                let (px, py) = ((start + x) as f32 + 0.5 - from.x, middle - from.y);
                let along = ((px * dx + py * dy) * inverse).clamp(0.0, 1.0);
                let (ex, ey) = (px - along * dx, py - along * dy);
                let inside = (reach - (ex * ex + ey * ey).sqrt()) * STEPS + 0.5;
                *depth = (*depth).max(inside as u8);
            }
        }
    }

    /// Lays colours over the pixels of the area, row by row without gaps: each where the shapes are, less an inset at
    /// their edges, in pixels and smaller than one. Later colours lie on earlier ones.
    pub fn paint(&self, pixels: &mut [u8], layers: &[(Color, f32)]) {
        // Of a pixel of each depth.
        let mut colors = [[0; PIXEL]; 256];
        for (color, inset) in layers {
            let (color, inset) = (color.premultiplied(), (inset * STEPS) as u32);
            for (depth, pixel) in colors.iter_mut().enumerate() {
                let share = (depth as u32).saturating_sub(inset).min(STEPS as u32);
                over(pixel, color, (share * 255 / STEPS as u32) as u8);
            }
        }
        // Most pixels are outside.
        let (depths, pixels) = (self.depths.chunks(GROUP), pixels.chunks_mut(GROUP * PIXEL));
        for (depths, pixels) in depths.zip(pixels) {
            if depths.iter().fold(0, |all, depth| all | depth) == 0 {
                continue;
            }
            for (depth, pixel) in depths.iter().zip(pixels.chunks_exact_mut(PIXEL)) {
                let color = colors[usize::from(*depth)];
                if color[3] == 255 || pixel == [0; PIXEL] {
                    pixel.copy_from_slice(&color);
                } else if *depth > 0 {
                    over(pixel, color, 255);
                }
            }
        }
    }
}

/// Pixels that are looked at together.
const GROUP: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const WHITE: Color = Color(0xffff_ffff);

    fn point(x: f32, y: f32) -> Point {
        Point { x, y }
    }

    /// Alpha of an area of 40 x 30 pixels after the lines are painted.
    fn alpha(lines: &[(Point, Point)], radius: f32, inset: f32) -> Vec<Vec<u8>> {
        let mut shapes = Shapes::default();
        shapes.clear(40, 30);
        for (from, to) in lines {
            shapes.add_line(*from, *to, radius);
        }
        let mut pixels = vec![0; 40 * 30 * PIXEL];
        shapes.paint(&mut pixels, &[(WHITE, inset)]);
        let rows = pixels.chunks_exact(40 * PIXEL);
        rows.map(|row| row.chunks_exact(PIXEL).map(|pixel| pixel[3]).collect())
            .collect()
    }

    /// Painted area in pixels.
    fn sum(alpha: &[Vec<u8>]) -> f32 {
        alpha
            .iter()
            .flatten()
            .map(|alpha| f32::from(*alpha) / 255.0)
            .sum()
    }

    #[test]
    fn a_line_on_whole_pixels_has_sharp_sides() {
        let alpha = alpha(&[(point(5.0, 10.0), point(30.0, 10.0))], 2.0, 0.0);
        for (y, row) in alpha.iter().enumerate() {
            let expected = if (8..12).contains(&y) { 255 } else { 0 };
            assert_eq!(row[20], expected, "row {y}");
        }
        assert!(
            alpha[10][32] == 0 && alpha[9][3] > 0,
            "round ends, as wide as the line"
        );
    }

    #[test]
    fn areas_are_those_of_the_shapes() {
        let disc = |radius: f32| sum(&alpha(&[(point(20.3, 14.8), point(20.3, 14.8))], radius, 0.0));
        for radius in [1.0_f32, 1.5, 2.5, 7.0] {
            // An edge that fades over a pixel adds to a disc a twelfth of that of radius 1.
            let expected = std::f32::consts::PI * (radius * radius + 1.0 / 12.0);
            assert!(
                (disc(radius) - expected).abs() < 0.02 * expected,
                "{radius}: {}",
                disc(radius)
            );
        }
        for to in [
            point(30.0, 10.0),
            point(10.0, 25.0),
            point(33.3, 22.2),
            point(11.0, 9.0),
        ] {
            let from = point(8.2, 6.1);
            let length = (to.x - from.x).hypot(to.y - from.y);
            let expected = length * 3.0 + std::f32::consts::PI * 1.5 * 1.5;
            for line in [(from, to), (to, from)] {
                let found = sum(&alpha(&[line], 1.5, 0.0));
                assert!(
                    (found - expected).abs() < 0.03 * expected,
                    "{to:?}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn an_inset_line_is_a_thinner_one() {
        let line = [(point(8.2, 6.1), point(33.3, 22.2))];
        let (thin, inset) = (alpha(&line, 1.5, 0.0), alpha(&line, 2.25, 0.75));
        for (a, b) in thin.iter().flatten().zip(inset.iter().flatten()) {
            assert!(a.abs_diff(*b) <= 4, "{a} {b}");
        }
    }

    #[test]
    fn lines_over_each_other_are_one() {
        let line = (point(8.2, 6.1), point(33.3, 22.2));
        assert_eq!(alpha(&[line, line], 1.5, 0.0), alpha(&[line], 1.5, 0.0));
    }

    #[test]
    fn what_reaches_over_the_edges_is_cut_off() {
        // The whole area lies inside.
        let far = [(point(-5000.0, -30.0), point(9000.0, 60.0))];
        assert!(
            alpha(&far, 100.0, 0.0)
                .iter()
                .flatten()
                .all(|alpha| *alpha == 255)
        );
        let near = alpha(&[(point(-9.0, -9.0), point(60.0, 60.0))], 1.0, 0.0);
        assert!(near[20][20] == 255 && near[0][0] == 255 && near[29][29] == 255);
    }

    #[test]
    fn any_coordinates_end_soon_and_without_a_panic() {
        let values = [
            0.0,
            -1.0,
            15.5,
            1e9,
            -1e30,
            f32::MAX,
            f32::MIN,
            f32::INFINITY,
            f32::NAN,
        ];
        for x in values {
            for y in values {
                alpha(
                    &[(point(x, 3.0), point(20.0, y)), (point(x, y), point(y, x))],
                    2.0,
                    0.0,
                );
            }
        }
        let mut shapes = Shapes::default();
        shapes.add_line(point(0.0, 0.0), point(1.0, 1.0), 1.0);
    }
}
