//! Frames as they are, without the gaps between their rows: for a device that converts them itself.

use super::planes::Planes;
use super::{Frame, FrameError, FrameLayout};

/// Bytes of a frame of `layout`, whose sides are at most 65536.
pub(crate) fn raw_len(layout: &FrameLayout) -> usize {
    Planes::new(layout).byte_len()
}

/// Where a plane lies in a frame without gaps, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawPlane {
    /// Of its first row.
    pub offset: usize,
    /// Of a row.
    pub row: usize,
    /// Number of rows.
    pub rows: usize,
}

/// The planes of a frame of `layout`, one behind the other.
pub(crate) fn raw_planes(layout: &FrameLayout) -> impl Iterator<Item = RawPlane> + use<> {
    let planes = Planes::new(layout);
    let mut end = 0;
    (0..planes.count()).map(move |plane| {
        let (offset, row, rows) = (end, planes.row_len(plane), planes.rows(plane));
        end += row * rows;
        RawPlane { offset, row, rows }
    })
}

/// Checks planes of `layout` that lie elsewhere: their strides and lengths in bytes.
///
/// # Errors
/// A plane or stride that is too short, or a side of 0.
pub(crate) fn check_planes(layout: &FrameLayout, sizes: [(usize, usize); 3]) -> Result<(), FrameError> {
    if layout.width == 0 || layout.height == 0 {
        return Err(FrameError::ZeroSize {
            what: "the frame",
            width: layout.width,
            height: layout.height,
        });
    }
    Planes::new(layout).check_sizes(sizes)
}

/// Copies `frame` to `into`, which has [`raw_len`] bytes: plane after plane, row after row.
///
/// # Errors
/// A plane or stride that is too short; nothing is written then.
pub(crate) fn copy_raw(frame: &Frame<'_>, into: &mut [u8]) -> Result<(), FrameError> {
    let planes = Planes::new(&frame.layout);
    planes.check(frame)?;
    assert_eq!(into.len(), planes.byte_len(), "room for a frame");
    let mut rest = into;
    for plane in 0..planes.count() {
        let (here, behind) = rest.split_at_mut(planes.rows(plane) * planes.row_len(plane));
        if frame.planes[plane].stride == planes.row_len(plane) {
            here.copy_from_slice(&frame.planes[plane].data[..here.len()]);
        } else {
            for (row, to) in here.chunks_exact_mut(planes.row_len(plane)).enumerate() {
                to.copy_from_slice(planes.row(frame, plane, row));
            }
        }
        rest = behind;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{ColorMatrix, ColorRange, PixelFormat, Plane, View};
    use super::*;

    #[test]
    fn rows_follow_each_other_without_gaps() {
        // Each byte tells its plane, row and column.
        let plane = |plane: u8| -> Vec<u8> {
            let byte = |i: u8| 100 * plane + 10 * (i / 8) + i % 8;
            (0..24).map(byte).collect()
        };
        let planes = [plane(0), plane(1), plane(2)];
        let layout = FrameLayout {
            format: PixelFormat::I420,
            width: 5,
            height: 3,
            matrix: ColorMatrix::Bt601,
            range: ColorRange::Limited,
            view: View::PLAIN,
        };
        let mut frame = Frame {
            layout,
            planes: [0, 1, 2].map(|i| Plane {
                data: &planes[i],
                stride: 8,
            }),
        };
        let mut bytes = vec![0; raw_len(&layout)];
        copy_raw(&frame, &mut bytes).unwrap();
        let luma = [0, 1, 2, 3, 4, 10, 11, 12, 13, 14, 20, 21, 22, 23, 24];
        let chroma = [100, 101, 102, 110, 111, 112, 200, 201, 202, 210, 211, 212];
        assert_eq!(bytes, [&luma[..], &chroma].concat());

        frame.planes[2].data = &planes[2][..10];
        let mut untouched = vec![7; bytes.len()];
        assert!(copy_raw(&frame, &mut untouched).is_err());
        assert!(untouched.iter().all(|byte| *byte == 7));
    }

    #[test]
    fn rows_without_gaps_are_copied_at_once() {
        let pixels: Vec<u8> = (0..30).collect();
        let mut bytes = [0; 30];
        copy_raw(&Frame::rgb(&pixels, 5, 2), &mut bytes).unwrap();
        assert_eq!(bytes, pixels[..]);
    }
}
