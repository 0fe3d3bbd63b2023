//! The planes of a frame: how many, how large, and safe access to their rows.

use super::{Frame, FrameError, FrameLayout, PixelFormat};

/// Size of one plane.
#[derive(Clone, Copy, Debug)]
struct Extent {
    /// Bytes of a row that hold pixels.
    row: usize,
    /// Number of rows.
    rows: usize,
}

/// The planes of one layout.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planes {
    extents: [Extent; 3],
    count: usize,
}

impl PixelFormat {
    /// Bytes from one pixel to the next in the first plane.
    pub(super) fn pixel_stride(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Rgbx | Self::Bgrx => 4,
            Self::Gray8 | Self::Nv12 | Self::I420 => 1,
        }
    }
}

impl Planes {
    /// The planes of `layout`. Chroma planes of an odd frame are rounded up.
    pub(super) fn new(layout: &FrameLayout) -> Self {
        let (width, height) = (layout.width as usize, layout.height as usize);
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        let main = Extent {
            row: width * layout.format.pixel_stride(),
            rows: height,
        };
        let none = Extent { row: 0, rows: 0 };
        let (extents, count) = match layout.format {
            PixelFormat::Nv12 => (
                [
                    main,
                    Extent {
                        row: 2 * half_width,
                        rows: half_height,
                    },
                    none,
                ],
                2,
            ),
            PixelFormat::I420 => {
                let chroma = Extent {
                    row: half_width,
                    rows: half_height,
                };
                ([main, chroma, chroma], 3)
            }
            _ => ([main, none, none], 1),
        };
        Self { extents, count }
    }

    /// Number of planes.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Rows of plane `plane`.
    pub(super) fn rows(&self, plane: usize) -> usize {
        self.extents[plane].rows
    }

    /// Bytes that hold pixels, in all planes.
    pub(super) fn byte_len(&self) -> usize {
        self.extents.iter().map(|extent| extent.row * extent.rows).sum()
    }

    /// Bytes of a row of plane `plane`.
    pub(super) fn row_len(&self, plane: usize) -> usize {
        self.extents[plane].row
    }

    /// Checks that every row of every plane lies within its bytes.
    pub(super) fn check(&self, frame: &Frame<'_>) -> Result<(), FrameError> {
        self.check_sizes(frame.planes.map(|plane| (plane.stride, plane.data.len())))
    }

    /// The same of planes of these strides and lengths in bytes.
    pub(super) fn check_sizes(&self, sizes: [(usize, usize); 3]) -> Result<(), FrameError> {
        for (plane, (extent, (stride, found))) in self.extents.iter().zip(sizes).take(self.count).enumerate()
        {
            if stride < extent.row {
                return Err(FrameError::ShortStride {
                    plane,
                    needed: extent.row,
                    found: stride,
                });
            }
            // Too much for usize is too much for any slice.
            let needed = (extent.rows - 1)
                .checked_mul(stride)
                .and_then(|start| start.checked_add(extent.row))
                .unwrap_or(usize::MAX);
            if found < needed {
                return Err(FrameError::ShortPlane { plane, needed, found });
            }
        }
        Ok(())
    }

    /// Row `row` of plane `plane` of a frame that passed [`Planes::check`].
    pub(super) fn row<'a>(&self, frame: &Frame<'a>, plane: usize, row: usize) -> &'a [u8] {
        let start = row * frame.planes[plane].stride;
        &frame.planes[plane].data[start..start + self.extents[plane].row]
    }
}
