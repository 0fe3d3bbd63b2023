//! Frames that are kept after their memory has gone.

use super::planes::Planes;
use super::raw::copy_raw;
use super::{Frame, FrameError, FrameLayout, Plane};

/// A copy of a frame, without the gaps between its rows. Its memory is used again for the next one.
#[derive(Clone, Debug, Default)]
pub struct FrameCopy {
    layout: Option<FrameLayout>,
    bytes: Vec<u8>,
}

impl FrameCopy {
    /// Copies `frame`.
    ///
    /// # Errors
    /// When a side is 0, or a plane or stride is too short; nothing is held then.
    pub fn set(&mut self, frame: &Frame<'_>) -> Result<(), FrameError> {
        self.layout = None;
        let layout = frame.layout;
        if layout.width == 0 || layout.height == 0 {
            return Err(FrameError::ZeroSize {
                what: "the frame",
                width: layout.width,
                height: layout.height,
            });
        }
        let planes = Planes::new(&layout);
        // Before there is memory for them: nobody has bytes for an absurd size.
        planes.check(frame)?;
        self.bytes.resize(planes.byte_len(), 0);
        copy_raw(frame, &mut self.bytes)?;
        self.layout = Some(layout);
        Ok(())
    }

    /// Holds nothing from now on; its memory stays.
    pub(crate) fn clear(&mut self) {
        self.layout = None;
    }

    /// The frame; `None` when nothing is held.
    #[must_use]
    pub fn frame(&self) -> Option<Frame<'_>> {
        let layout = self.layout?;
        let sizes = Planes::new(&layout);
        let mut planes = [Plane { data: &[], stride: 0 }; 3];
        let mut rest = &self.bytes[..];
        for (index, plane) in planes.iter_mut().enumerate().take(sizes.count()) {
            let stride = sizes.row_len(index);
            let (data, behind) = rest.split_at(sizes.rows(index) * stride);
            *plane = Plane { data, stride };
            rest = behind;
        }
        Some(Frame { layout, planes })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ColorMatrix, ColorRange, PixelFormat, View};
    use super::*;

    #[test]
    fn a_copy_has_the_rows_of_the_frame() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut copy = FrameCopy::default();
        assert!(copy.frame().is_none());
        for format in PixelFormat::ALL {
            let layout = FrameLayout {
                format,
                width: 5,
                height: 3,
                matrix: ColorMatrix::Bt601,
                range: ColorRange::Full,
                view: View::PLAIN,
            };
            let planes = [0, 100, 150].map(|start| Plane {
                data: &bytes[start..],
                stride: 24,
            });
            let frame = Frame { layout, planes };
            copy.set(&frame).unwrap();
            let found = copy.frame().unwrap();
            assert_eq!(found.layout, layout);
            let sizes = Planes::new(&layout);
            for plane in 0..sizes.count() {
                for row in 0..sizes.rows(plane) {
                    let rows = [&found, &frame].map(|frame| sizes.row(frame, plane, row));
                    assert_eq!(rows[0], rows[1], "{format:?} {plane} {row}");
                }
            }
        }
        let mut short = copy.frame().unwrap();
        short.planes[2].data = &[];
        let short = Frame {
            planes: [Plane {
                data: &bytes[..7],
                stride: 7,
            }; 3],
            ..short
        };
        let mut other = copy.clone();
        assert!(other.set(&short).is_err());
        assert!(
            other.frame().is_none(),
            "what was there before is not taken for it"
        );
    }
}
