//! Frames as they are, without the gaps between their rows: for a device that converts them itself.

use super::planes::Planes;
use super::{Frame, FrameError, FrameLayout};

/// Bytes of a frame of `layout`, whose sides are at most 65536.
pub(crate) fn raw_len(layout: &FrameLayout) -> usize {
    Planes::new(layout).byte_len()
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
