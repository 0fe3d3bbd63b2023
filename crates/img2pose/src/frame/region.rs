//! Parts of a picture, and where their network images lie in it.

use super::taps::Axis;
use super::{FrameError, FrameLayout, NetworkSize};
use crate::pose::Camera;
use crate::view::in_square_pixels;

/// A rectangle of the upright picture of a frame, in its pixels. Edges may lie between pixels, and beyond the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// Distance of its left edge from that of the picture.
    pub x: f64,
    /// Distance of its upper edge from that of the picture.
    pub y: f64,
    /// Width, above 0.
    pub width: f64,
    /// Height, above 0.
    pub height: f64,
}

impl Region {
    /// The whole picture of a frame of `layout`.
    #[must_use]
    pub fn whole(layout: &FrameLayout) -> Self {
        let (width, height) = layout.upright_size();
        Self {
            x: 0.0,
            y: 0.0,
            width: f64::from(width),
            height: f64::from(height),
        }
    }

    /// The square (in square pixels) around the middle of `bbox` whose side is `margin` times the longer side of the box
    /// and at least `least` pixels, pushed into the picture where it reaches beyond. `bbox` is `x_min, y_min, x_max, y_max`
    /// in pixels of a frame of `layout`, as in [`Face::bbox`](crate::Face::bbox).
    #[must_use]
    pub fn around(bbox: [f32; 4], margin: f64, least: f64, layout: &FrameLayout) -> Self {
        let orientation = layout.view.orientation;
        let (across, down) = (layout.width as f32, layout.height as f32);
        let [x_min, y_min, x_max, y_max] = orientation.turn_box(bbox, across, down).map(f64::from);
        // Square pixels for each pixel of the picture.
        let [wide, high] = in_square_pixels(1, 1, layout.upright_pixel_aspect_ratio());
        let side = ((x_max - x_min) * wide).max((y_max - y_min) * high) * margin;
        let side = side.max(least);
        let (width, height) = (side / wide, side / high);
        let (picture_width, picture_height) = layout.upright_size();
        let place = |low: f64, high: f64, side: f64, picture: u32| {
            let most = (f64::from(picture) - side).max(0.0);
            ((low + high - side) / 2.0).clamp(0.0, most)
        };
        Self {
            x: place(x_min, x_max, width, picture_width),
            y: place(y_min, y_max, height, picture_height),
            width,
            height,
        }
    }
}

/// A region on its way to a square network image: how large it comes out there, and how pixels there are pixels of the
/// picture.
///
/// The longer side of the region fills the network image, the other one what it fills at the same scale; where the region
/// reaches beyond the picture there is as much less of it. So square pixels stay square exactly, and a camera that sees the
/// whole picture sees the region with another focal length and principal point and the same pose: pixel u of the
/// network image lies at p = origin + scale u of the picture, the pinhole camera p = f X/Z + c is then u = (f / scale) X/Z +
/// (c - origin) / scale, and neither X nor Z is touched. What the network says of a proposal in the region thus becomes the
/// pose in the whole frame in the same step as in a whole frame ([`to_frame_camera`](crate::pose::to_frame_camera)), with
/// the camera of [`camera`](Self::camera).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cut {
    /// Sizes of the network image; the frame's are those of the picture.
    pub size: NetworkSize,
    /// Pixels of the picture from its upper left corner to that of the network image.
    pub origin: [f64; 2],
    /// Pixels of the picture for each of the network image, across and down.
    pub scale: [f64; 2],
    /// Whether the left, upper, right and lower edge is one of the picture's.
    pub at_edge: [bool; 4],
    /// Square pixels of the picture for each of the network image.
    square: f64,
    /// Width and height of the picture in square pixels.
    picture: [f64; 2],
}

impl Cut {
    /// `region` of a frame of `layout` to a network image of `side` x `side`.
    ///
    /// # Errors
    /// [`FrameError::Region`] when nothing of the region lies in the picture, or its numbers mean nothing.
    pub fn new(layout: &FrameLayout, region: &Region, side: u32) -> Result<Self, FrameError> {
        let (width, height) = layout.upright_size();
        let numbers = [region.x, region.y, region.width, region.height];
        let refused = || FrameError::Region {
            region: numbers,
            width,
            height,
        };
        if !numbers.iter().all(|number| number.is_finite()) || region.width <= 0.0 || region.height <= 0.0 {
            return Err(refused());
        }
        let bounds = [f64::from(width), f64::from(height)];
        let low = [region.x.max(0.0), region.y.max(0.0)];
        let high = [
            (region.x + region.width).min(bounds[0]),
            (region.y + region.height).min(bounds[1]),
        ];
        if low[0] >= high[0] || low[1] >= high[1] {
            return Err(refused());
        }
        // Square pixels for each pixel of the picture.
        let ratio = in_square_pixels(1, 1, layout.upright_pixel_aspect_ratio());
        let square = (region.width * ratio[0]).max(region.height * ratio[1]) / f64::from(side);
        let scale = [square / ratio[0], square / ratio[1]];
        // A hair above a whole number is that number.
        let pixels =
            |axis: usize| (((high[axis] - low[axis]) / scale[axis] - 1e-6).ceil() as u32).clamp(1, side);
        Ok(Self {
            size: NetworkSize {
                frame_width: width,
                frame_height: height,
                width: pixels(0),
                height: pixels(1),
                padded_width: side,
                padded_height: side,
            },
            origin: low,
            scale,
            at_edge: [
                low[0] <= 0.0,
                low[1] <= 0.0,
                high[0] >= bounds[0],
                high[1] >= bounds[1],
            ],
            square,
            picture: [bounds[0] * ratio[0], bounds[1] * ratio[1]],
        })
    }

    /// Where its pixels lie along the axes of the picture.
    pub(super) fn axes(&self) -> [Axis; 2] {
        [0, 1].map(|axis| Axis {
            start: self.origin[axis],
            step: self.scale[axis],
        })
    }

    /// The camera of the whole frame, in pixels of the network image.
    pub fn camera(&self) -> Camera {
        let focal_length = (self.picture[0] + self.picture[1]) / self.square;
        let bounds = [self.size.frame_width, self.size.frame_height].map(f64::from);
        Camera {
            focal_length: [focal_length; 2],
            center: [0, 1].map(|axis| (bounds[axis] / 2.0 - self.origin[axis]) / self.scale[axis]),
        }
    }

    /// A box of the network image in pixels of the picture.
    pub fn to_picture(self, bbox: [f64; 4]) -> [f64; 4] {
        [0, 1, 2, 3].map(|side| self.origin[side % 2] + self.scale[side % 2] * bbox[side])
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        ColorMatrix, ColorRange, Converter, Frame, Orientation, PixelAspectRatio, PixelFormat, Plane,
        RegionConversion, View,
    };
    use super::*;

    fn layout(orientation: Orientation, ratio: (u32, u32)) -> FrameLayout {
        FrameLayout {
            format: PixelFormat::I420,
            width: 640,
            height: 360,
            matrix: ColorMatrix::Bt601,
            range: ColorRange::Limited,
            view: View {
                pixel_aspect_ratio: PixelAspectRatio::new(ratio.0, ratio.1).unwrap(),
                orientation,
            },
        }
    }

    /// A point of the scene lies in the same place, whether the camera of the frame or that of the region sees it.
    #[test]
    fn the_camera_of_a_region_sees_what_the_frame_s_does() {
        for ratio in [(1, 1), (16, 11), (8, 9)] {
            for orientation in [Orientation::Identity, Orientation::Clockwise] {
                let layout = layout(orientation, ratio);
                let (width, height) = layout.upright_size();
                let whole = Camera::with_pixels(width, height, layout.upright_pixel_aspect_ratio());
                let region = Region::around([300.0, 100.0, 380.0, 190.0], 2.0, 0.0, &layout);
                let cut = Cut::new(&layout, &region, 128).unwrap();
                assert_eq!((cut.size.width, cut.size.height), (128, 128));
                for point in [[0.3, -0.2, 5.0], [-1.0, 0.8, 9.0], [0.0, 0.0, 3.0]] {
                    let at = |camera: &Camera| {
                        let identity = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
                        camera.project(&identity, [0.0; 3], point)
                    };
                    let [x, y] = at(&cut.camera());
                    let found = cut.to_picture([x, y, x, y]);
                    let expected = at(&whole);
                    for axis in 0..2 {
                        assert!(
                            (found[axis] - expected[axis]).abs() < 1e-9,
                            "{found:?} {expected:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_region_that_reaches_beyond_the_picture_is_less() {
        let layout = layout(Orientation::Identity, (1, 1));
        let region = Region {
            x: -100.0,
            y: 300.0,
            width: 200.0,
            height: 200.0,
        };
        let cut = Cut::new(&layout, &region, 100).unwrap();
        assert_eq!((cut.size.width, cut.size.height), (50, 30));
        assert_eq!((cut.origin, cut.scale), ([0.0, 300.0], [2.0, 2.0]));
        assert_eq!(cut.at_edge, [true, false, false, true]);
        // Pushed in, nothing is lost.
        let around = Region::around([0.0, 320.0, 40.0, 360.0], 3.0, 0.0, &layout);
        assert_eq!(
            around,
            Region {
                x: 0.0,
                y: 240.0,
                width: 120.0,
                height: 120.0
            }
        );
    }

    /// Enlarged twice, a region in whole pixels is a piece of the whole image, whatever the format and however it is turned.
    #[test]
    fn the_image_of_a_region_is_a_piece_of_that_of_the_frame() {
        const SIDE: u32 = 32;
        let bytes: Vec<u8> = (0..40_000_u32)
            .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let planes = [0, 7, 13].map(|start| Plane {
            data: &bytes[start..],
            stride: 301,
        });
        let (mean, std) = ([0.4; 3], [0.2; 3]);
        for format in PixelFormat::ALL {
            for orientation in Orientation::ALL {
                let layout = FrameLayout {
                    format,
                    width: 70,
                    height: 46,
                    ..layout(orientation, (1, 1))
                };
                let frame = Frame { layout, planes };
                let (width, height) = layout.upright_size();
                let whole_size = NetworkSize {
                    frame_width: width,
                    frame_height: height,
                    width: 2 * width,
                    height: 2 * height,
                    padded_width: 2 * width,
                    padded_height: 2 * height,
                };
                let mut whole = vec![0.0; whole_size.tensor_len()];
                let mut converter = Converter::new(layout, whole_size, mean, std).unwrap();
                converter.convert(&frame, &mut whole).unwrap();
                let conversion = RegionConversion {
                    side: SIDE,
                    mean,
                    std,
                };
                let mut converter = conversion.converter(&layout).unwrap();
                // One after the other with the same converter; the last one is cut by the picture's end.
                for (x, y) in [(0, 0), (13, 7), (6, 22), (width - 10, height - 13)] {
                    let region = Region {
                        x: f64::from(x),
                        y: f64::from(y),
                        width: 16.0,
                        height: 16.0,
                    };
                    let cut = Cut::new(&layout, &region, SIDE).unwrap();
                    let mut image = vec![f32::NAN; 3 * (SIDE * SIDE) as usize];
                    converter.aim(&cut);
                    converter.convert(&frame, &mut image).unwrap();
                    for (index, found) in image.iter().enumerate() {
                        let side = SIDE as usize;
                        let (channel, row, column) = (index / side / side, index / side % side, index % side);
                        let is_picture = row < cut.size.height as usize && column < cut.size.width as usize;
                        let at = (channel * 2 * height as usize + 2 * y as usize + row) * 2 * width as usize;
                        let expected = match is_picture {
                            true => whole[at + 2 * x as usize + column],
                            false => 0.0,
                        };
                        assert!(
                            (found - expected).abs() < 1e-4,
                            "{layout:?}, region at {x}, {y}: {found} at {channel} {row} {column}, {expected}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn regions_without_a_picture_are_refused() {
        let layout = layout(Orientation::Identity, (1, 1));
        let whole = Region::whole(&layout);
        for bad in [
            Region { x: 640.0, ..whole },
            Region { y: -360.0, ..whole },
            Region { width: 0.0, ..whole },
            Region {
                height: -1.0,
                ..whole
            },
            Region { x: f64::NAN, ..whole },
            Region {
                width: f64::INFINITY,
                ..whole
            },
        ] {
            let error = Cut::new(&layout, &bad, 128)
                .expect_err("no picture in it")
                .to_string();
            assert!(error.contains("640x360"), "{error}");
        }
        assert!(Cut::new(&layout, &whole, 128).is_ok());
    }
}
