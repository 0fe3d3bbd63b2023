//! The pixels of overlay rectangles, kept for the next frame.

use gst_video::{VideoFormat, VideoFrameFlags, VideoMeta, VideoOverlayFormatFlags, VideoOverlayRectangle};

use super::area::Area;

/// Bytes of a pixel: blue, green, red, alpha, with alpha multiplied in.
pub const PIXEL: usize = 4;

/// The format that overlay rectangles have on this machine.
pub const FORMAT: VideoFormat = if cfg!(target_endian = "little") {
    VideoFormat::Bgra
} else {
    VideoFormat::Argb
};

/// Buffers for the pixels. A buffer is used again once the frames that showed it are gone.
#[derive(Default)]
pub struct PixelStore {
    buffers: Vec<gst::Buffer>,
}

impl PixelStore {
    /// A rectangle that covers `area`, with what `draw` draws into its transparent pixels, row by row without gaps.
    pub fn rectangle(
        &mut self,
        area: Area,
        draw: impl FnOnce(&mut [u8]),
    ) -> Result<VideoOverlayRectangle, gst::glib::BoolError> {
        let size = area.width as usize * area.height as usize * PIXEL;
        let buffer = self.buffer(size);
        {
            let buffer = buffer.make_mut();
            buffer.set_size(size);
            describe(buffer, area)?;
            let mut map = buffer.map_writable()?;
            map.fill(0);
            draw(&mut map);
            if cfg!(target_endian = "big") {
                map.chunks_exact_mut(PIXEL).for_each(<[u8]>::reverse);
            }
        }
        Ok(VideoOverlayRectangle::new_raw(
            buffer,
            area.x as i32,
            area.y as i32,
            area.width,
            area.height,
            VideoOverlayFormatFlags::PREMULTIPLIED_ALPHA,
        ))
    }

    /// A buffer that nobody else holds, with room for `size` bytes.
    fn buffer(&mut self, size: usize) -> &mut gst::Buffer {
        let free = |buffer: &mut gst::Buffer| buffer.get_mut().map(|buffer| buffer.maxsize());
        let (mut best, mut too_small) = (None, None);
        for (index, buffer) in self.buffers.iter_mut().enumerate() {
            match free(buffer) {
                Some(room) if room < size => too_small = Some(index),
                Some(room) if best.is_none_or(|(_, least)| room < least) => best = Some((index, room)),
                _ => {}
            }
        }
        let index = if let Some((index, _)) = best {
            index
        } else {
            // Whole pages, so that a face that grows a little does not need a new buffer each time.
            let new = gst::Buffer::with_size(size.next_multiple_of(4096)).expect("memory can be allocated");
            match too_small {
                // In its place, so that there are never more buffers than were in use at once.
                Some(index) => {
                    self.buffers[index] = new;
                    index
                }
                None => {
                    self.buffers.push(new);
                    self.buffers.len() - 1
                }
            }
        };
        &mut self.buffers[index]
    }

    /// Lets go of all buffers.
    pub fn clear(&mut self) {
        self.buffers.clear();
    }
}

/// Says of the buffer how its pixels lie.
fn describe(buffer: &mut gst::BufferRef, area: Area) -> Result<(), gst::glib::BoolError> {
    if let Some(meta) = buffer.meta_mut::<VideoMeta>() {
        if (meta.width(), meta.height()) == (area.width, area.height) {
            return Ok(());
        }
        meta.remove()?;
    }
    VideoMeta::add(buffer, VideoFrameFlags::empty(), FORMAT, area.width, area.height)?;
    Ok(())
}

/// Lays `color`, weighted by `coverage`, over a pixel; both have alpha multiplied in.
pub fn over(pixel: &mut [u8], color: [u8; 4], coverage: u8) {
    let share = |c: u8, weight: u32| (u32::from(c) * weight + 127) / 255;
    let coverage = u32::from(coverage);
    let rest = 255 - share(color[3], coverage);
    for (below, above) in pixel.iter_mut().zip(color) {
        *below = (share(above, coverage) + share(*below, rest)).min(255) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AREA: Area = Area {
        x: 3,
        y: 4,
        width: 20,
        height: 10,
    };

    #[test]
    fn buffers_are_used_again_when_they_are_free() {
        gst::init().unwrap();
        let mut store = PixelStore::default();
        let first = store.rectangle(AREA, |pixels| pixels.fill(7)).unwrap();
        assert_eq!(first.render_rectangle(), (3, 4, 20, 10));
        let second = store.rectangle(AREA, |_| ()).unwrap();
        assert_eq!(store.buffers.len(), 2);
        drop(first);
        let other = Area { width: 8, ..AREA };
        let third = store
            .rectangle(other, |pixels| {
                assert_eq!(pixels, [0; 8 * 10 * PIXEL], "old drawings are gone");
            })
            .unwrap();
        assert_eq!(store.buffers.len(), 2);
        drop((second, third));
        let big = Area {
            width: 100,
            height: 100,
            ..AREA
        };
        store.rectangle(big, |_| ()).unwrap();
        assert_eq!(
            store.buffers.len(),
            2,
            "the new one replaces one that is too small"
        );
    }
}
