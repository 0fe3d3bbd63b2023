//! Parts of the frame in whole pixels.

use img2pose::frame::Orientation;

use crate::meta::pixel_rect;

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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn areas_overlap_where_they_share_a_pixel() {
        let area = |x, y, width, height| Area { x, y, width, height };
        assert!(area(0, 0, 10, 10).overlaps(area(9, 9, 5, 5)));
        assert!(area(4, 4, 1, 1).overlaps(area(0, 0, 10, 10)));
        assert!(!area(0, 0, 10, 10).overlaps(area(10, 0, 5, 5)));
        assert!(!area(0, 0, 10, 10).overlaps(area(0, 10, 5, 5)));
    }
}
