//! Gray frames that look different, and the faces that each has alone.

use img2pose::frame::{ColorMatrix, ColorRange, Frame, FrameLayout, PixelFormat, Plane, View};
use img2pose::{Detector, Face};

/// At 25 frames a second.
pub const FRAME: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// The faces that frame `index` of the given size has alone.
pub fn faces_of(detector: &mut Detector, width: u32, height: u32, index: u64) -> Vec<Face> {
    faces_seen(detector, width, height, index, View::PLAIN)
}

/// The faces that frame `index` has alone when it is looked at in that way.
pub fn faces_seen(detector: &mut Detector, width: u32, height: u32, index: u64, view: View) -> Vec<Face> {
    let data = pixels(width, height, index);
    let plane = Plane {
        data: &data,
        stride: width.next_multiple_of(4) as usize,
    };
    let frame = Frame {
        layout: FrameLayout {
            format: PixelFormat::Gray8,
            width,
            height,
            matrix: ColorMatrix::Bt601,
            range: ColorRange::Full,
            view,
        },
        planes: [plane; 3],
    };
    detector.detect(&[frame]).unwrap().remove(0)
}

/// Pixels of gray frame `index`: blobs that no other frame has.
pub fn pixels(width: u32, height: u32, index: u64) -> Vec<u8> {
    let stride = width.next_multiple_of(4);
    let phase = index as f32 * 0.7;
    (0..height)
        .flat_map(|y| (0..stride).map(move |x| (x as f32, y as f32)))
        .map(|(x, y)| {
            let wave =
                (x * 0.21 + phase).sin() + (y * 0.17 - 1.3 * phase).cos() + (x * y * 0.003 + phase).sin();
            (128.0 + 40.0 * wave) as u8
        })
        .collect()
}

/// Gray frame `index` of another size.
pub fn frame_of(width: u32, height: u32, index: u64) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(pixels(width, height, index));
    let inner = buffer.get_mut().unwrap();
    inner.set_pts(FRAME * index);
    inner.set_duration(FRAME);
    inner.set_offset(index);
    buffer
}
