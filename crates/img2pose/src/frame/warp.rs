//! Pieces of a frame, turned and scaled into RGB pictures.

use super::planes::Planes;
use super::source::{self, Reader, Source, mix};
use super::{Frame, FrameError, FrameLayout};
use crate::pose::Affine;

/// Room for an RGB picture: one byte each for red, green and blue.
#[derive(Debug)]
pub struct RgbPicture<'a> {
    /// The bytes from the first pixel on; the last row may end with its last pixel.
    pub data: &'a mut [u8],
    /// Distance in bytes between the starts of two rows.
    pub stride: usize,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// Takes pictures out of frames of one layout.
///
/// A pixel of the picture is the bilinear mean of the four pixels of the frame around the place that it comes from, as
/// OpenCV's `warpAffine` computes it, but not rounded to 32nds of a pixel. What lies outside the frame is black. A
/// chroma sample of NV12 or I420 serves its 2x2 pixels as it is.
#[derive(Clone, Debug)]
pub struct Warper {
    layout: FrameLayout,
    planes: Planes,
}

impl Warper {
    /// A warper for frames of `layout`.
    ///
    /// # Errors
    /// A side of the frame is zero.
    pub fn new(layout: FrameLayout) -> Result<Self, FrameError> {
        if layout.width == 0 || layout.height == 0 {
            return Err(FrameError::ZeroSize {
                what: "the frame",
                width: layout.width,
                height: layout.height,
            });
        }
        Ok(Self {
            layout,
            planes: Planes::new(&layout),
        })
    }

    /// Fills `picture` from `frame`; `to_frame` says where in the frame a pixel of the picture comes from. Whole
    /// numbers are the middles of pixels in both.
    ///
    /// # Errors
    /// A frame of another layout, a plane, a stride or a picture that is too short; the picture is untouched then.
    pub fn warp(
        &self,
        frame: &Frame<'_>,
        to_frame: &Affine,
        picture: &mut RgbPicture<'_>,
    ) -> Result<(), FrameError> {
        if frame.layout != self.layout {
            return Err(FrameError::WrongLayout {
                expected: Box::new(self.layout),
                found: Box::new(frame.layout),
            });
        }
        self.planes.check(frame)?;
        check(picture)?;
        let (width, height) = (self.layout.width, self.layout.height);
        let fill = Fill {
            width,
            height,
            to_frame,
            picture,
        };
        source::read(frame, fill);
        Ok(())
    }
}

fn check(picture: &RgbPicture<'_>) -> Result<(), FrameError> {
    let (width, height) = (picture.width as usize, picture.height as usize);
    if width == 0 || height == 0 {
        return Err(FrameError::ZeroSize {
            what: "the picture",
            width: picture.width,
            height: picture.height,
        });
    }
    let row = width.saturating_mul(3);
    let needed = (height - 1)
        .checked_mul(picture.stride)
        .and_then(|start| start.checked_add(row))
        .unwrap_or(usize::MAX);
    if picture.stride < row || picture.data.len() < needed {
        return Err(FrameError::PictureLength {
            row,
            stride: picture.stride,
            needed,
            found: picture.data.len(),
        });
    }
    Ok(())
}

/// Fills a picture from a frame of `width` x `height`.
struct Fill<'p, 'd> {
    width: u32,
    height: u32,
    to_frame: &'p Affine,
    picture: &'p mut RgbPicture<'d>,
}

impl Reader for Fill<'_, '_> {
    fn read(self, source: &impl Source) {
        fill(source, self.width, self.height, self.to_frame, self.picture);
    }
}

fn fill(source: &impl Source, width: u32, height: u32, to_frame: &Affine, picture: &mut RgbPicture<'_>) {
    let row_len = picture.width as usize * 3;
    let rows = picture
        .data
        .chunks_mut(picture.stride)
        .take(picture.height as usize);
    for (y, row) in rows.enumerate() {
        for (x, pixel) in row[..row_len].chunks_exact_mut(3).enumerate() {
            let at = to_frame.apply([x as f64, y as f64]);
            let rgb = sample(source, width, height, at);
            for (byte, value) in pixel.iter_mut().zip(rgb) {
                *byte = (value + 0.5) as u8;
            }
        }
    }
}

/// The bilinear mean around a place; pixels outside the frame count as black.
#[inline(always)]
fn sample(source: &impl Source, width: u32, height: u32, [x, y]: [f64; 2]) -> [f32; 3] {
    // Also false for what is not a number.
    let touches = x > -1.0 && y > -1.0 && x < f64::from(width) && y < f64::from(height);
    if !touches {
        return [0.0; 3];
    }
    let (left, top) = (x.floor(), y.floor());
    let (right_share, lower_share) = ((x - left) as f32, (y - top) as f32);
    let (left, top) = (left as i64, top as i64);
    let (last_column, last_row) = (i64::from(width) - 1, i64::from(height) - 1);
    if left >= 0 && top >= 0 && left < last_column && top < last_row {
        let (left, top) = (left as usize, top as usize);
        let upper = mix(source.rgb(left, top), source.rgb(left + 1, top), right_share);
        let lower = mix(
            source.rgb(left, top + 1),
            source.rgb(left + 1, top + 1),
            right_share,
        );
        return mix(upper, lower, lower_share);
    }
    let pixel = |x: i64, y: i64| {
        if (0..=last_column).contains(&x) && (0..=last_row).contains(&y) {
            source.rgb(x as usize, y as usize)
        } else {
            [0.0; 3]
        }
    };
    let upper = mix(pixel(left, top), pixel(left + 1, top), right_share);
    let lower = mix(pixel(left, top + 1), pixel(left + 1, top + 1), right_share);
    mix(upper, lower, lower_share)
}

#[cfg(test)]
mod tests {
    use test_support::{Image, images, mean_difference, read_alignments, read_crop};

    use super::*;
    use crate::frame::{ColorMatrix, ColorRange, PixelFormat, Plane, View};
    use crate::pose::align;

    const IDENTITY: Affine = Affine([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);

    fn layout(format: PixelFormat, width: u32, height: u32) -> FrameLayout {
        FrameLayout {
            format,
            width,
            height,
            matrix: ColorMatrix::Bt709,
            range: ColorRange::Limited,
            view: View::PLAIN,
        }
    }

    fn plane(data: &[u8], stride: usize) -> Plane<'_> {
        Plane { data, stride }
    }

    fn warp(frame: &Frame<'_>, to_frame: &Affine, width: u32, height: u32) -> Vec<u8> {
        let stride = width as usize * 3;
        let mut data = vec![77; stride * height as usize];
        let mut picture = RgbPicture {
            data: &mut data,
            stride,
            width,
            height,
        };
        let warper = Warper::new(frame.layout).unwrap();
        warper.warp(frame, to_frame, &mut picture).unwrap();
        data
    }

    fn rgb_frame(image: &Image) -> Frame<'_> {
        Frame::rgb(&image.pixels, image.width, image.height)
    }

    #[test]
    fn crops_equal_the_reference() {
        let Some(golden) = test_support::golden("crops_equal_the_reference") else {
            return;
        };
        let alignments = read_alignments(&golden);
        let mut compared = 0;
        for (name, image, result) in images(&golden, 480) {
            for alignment in &alignments[name] {
                for size in [112, 224] {
                    let pose = &result.faces[alignment.face].pose;
                    let transform = align(pose, image.width, image.height, size).unwrap().transform;
                    let found = warp(&rgb_frame(&image), &transform.inverse().unwrap(), size, size);
                    let expected = read_crop(&golden, name, alignment.face, size);
                    let mean = mean_difference(&found, &expected.pixels);
                    assert!(mean < 1.0, "{name}, face {}: {size} px: {mean}", alignment.face);
                    compared += 1;
                }
            }
        }
        assert_eq!(compared, 32);
    }

    #[test]
    fn the_identity_copies_and_the_outside_is_black() {
        let pixels: Vec<u8> = (10..10 + 2 * 2 * 3).collect();
        let frame = Frame::rgb(&pixels, 2, 2);
        let found = warp(&frame, &IDENTITY, 3, 3);
        let expected = [
            10, 11, 12, 13, 14, 15, 0, 0, 0, 16, 17, 18, 19, 20, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn places_between_pixels_are_means_also_with_the_black_outside() {
        let frame = Frame {
            layout: FrameLayout {
                range: ColorRange::Full,
                ..layout(PixelFormat::Gray8, 2, 2)
            },
            planes: [plane(&[100, 200, 40, 80], 2); 3],
        };
        let at = |x: f64, y: f64| warp(&frame, &Affine([[1.0, 0.0, x], [0.0, 1.0, y]]), 1, 1)[0];
        assert_eq!(at(0.5, 0.0), 150);
        assert_eq!(at(0.5, 0.5), 105);
        assert_eq!(at(0.25, 0.0), 125);
        assert_eq!(at(-0.5, 0.0), 50);
        assert_eq!(at(1.5, 1.5), 20);
        assert_eq!(at(-1.0, 0.0), 0);
        assert_eq!(at(2.0, 0.0), 0);
        assert_eq!(at(f64::NAN, 0.0), 0);
        assert_eq!(at(1e300, -1e300), 0);
    }

    #[test]
    fn packed_formats_agree_whatever_their_stride() {
        let order = |format| match format {
            PixelFormat::Rgb | PixelFormat::Rgbx => [0, 1, 2],
            _ => [2, 1, 0],
        };
        let turn = Affine([[0.6, -0.8, 3.0], [0.8, 0.6, -1.5]]);
        let mut pictures = Vec::new();
        for (format, step) in [
            (PixelFormat::Rgb, 3),
            (PixelFormat::Bgr, 3),
            (PixelFormat::Rgbx, 4),
            (PixelFormat::Bgrx, 4),
        ] {
            let stride = 7 * step + 5;
            let mut data = vec![255; stride * 6];
            for (y, row) in data.chunks_exact_mut(stride).enumerate() {
                for x in 0..7 {
                    for (channel, place) in order(format).into_iter().enumerate() {
                        row[x * step + place] = (x * 31 + y * 17 + channel * 50) as u8;
                    }
                }
            }
            let frame = Frame {
                layout: layout(format, 7, 6),
                planes: [plane(&data, stride); 3],
            };
            pictures.push(warp(&frame, &turn, 9, 8));
        }
        assert!(pictures.iter().all(|picture| *picture == pictures[0]));
        assert!(pictures[0].iter().any(|byte| *byte != 0));
    }

    #[test]
    fn ycbcr_formats_agree_and_have_the_colours_of_their_colorimetry() {
        // 4x2: the left half red, the right half blue (BT.709, limited range).
        let luma = [63, 63, 32, 32, 63, 63, 32, 32];
        let (cb, cr) = ([102, 240], [240, 118]);
        let interleaved = [102, 240, 240, 118];
        let i420 = Frame {
            layout: layout(PixelFormat::I420, 4, 2),
            planes: [plane(&luma, 4), plane(&cb, 2), plane(&cr, 2)],
        };
        let nv12 = Frame {
            layout: layout(PixelFormat::Nv12, 4, 2),
            planes: [plane(&luma, 4), plane(&interleaved, 4), plane(&[], 0)],
        };
        let picture = warp(&i420, &IDENTITY, 4, 2);
        assert_eq!(picture, warp(&nv12, &IDENTITY, 4, 2));
        for (pixel, expected) in [(&picture[..3], [255, 0, 0]), (&picture[9..12], [0, 0, 255])] {
            for (found, expected) in pixel.iter().zip(expected) {
                assert!(found.abs_diff(expected) <= 2, "{pixel:?}");
            }
        }
    }

    #[test]
    fn pictures_and_frames_that_do_not_fit_are_errors() {
        let pixels = [0; 12];
        let frame = Frame::rgb(&pixels, 2, 2);
        let warper = Warper::new(frame.layout).unwrap();
        let attempt = |frame: &Frame<'_>, len: usize, stride: usize, side: u32| {
            let mut data = vec![0; len];
            let mut picture = RgbPicture {
                data: &mut data,
                stride,
                width: side,
                height: side,
            };
            warper.warp(frame, &IDENTITY, &mut picture)
        };
        assert!(attempt(&frame, 12, 6, 2).is_ok());
        assert!(attempt(&frame, 14, 8, 2).is_ok(), "the last row needs no padding");
        let error = attempt(&frame, 13, 8, 2).unwrap_err();
        assert!(error.to_string().contains("14 bytes, found 13"), "{error}");
        assert!(attempt(&frame, 100, 5, 2).is_err());
        assert!(attempt(&frame, 100, 6, 0).is_err());
        let short = Frame {
            planes: [plane(&pixels[..11], 6); 3],
            ..frame
        };
        assert!(matches!(
            attempt(&short, 12, 6, 2),
            Err(FrameError::ShortPlane { .. })
        ));
        let other = Frame {
            layout: layout(PixelFormat::Bgr, 2, 2),
            ..frame
        };
        assert!(matches!(
            attempt(&other, 12, 6, 2),
            Err(FrameError::WrongLayout { .. })
        ));
        assert!(Warper::new(layout(PixelFormat::Rgb, 0, 2)).is_err());
    }
}
